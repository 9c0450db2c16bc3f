//! The command line: every subcommand and flag of the reference tool, and ours beside them.
//!
//! Enters: arguments. Leaves: [`Cli`], or one `Error:` line and exit code 1 (the reference never
//! uses 2, and never dumps its usage on an error).

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::error::{one_line, say};

mod global;

pub use global::Tune;
use global::{Logging, go_bool};

/// Moves backup data between databases and a repository.
///
/// The repository is a directory named by DATASAFED_LOCAL_BACKEND_PATH, or what the configuration
/// file says under [storage]. Remote paths are relative to DATASAFED_BACKEND_BASE_PATH; they may
/// start with a slash and can never leave that base. Every failure is one line "Error: ..." on
/// standard error and exit code 1.
#[derive(Debug, Parser)]
#[command(name = "datasafed", args_override_self = true, disable_version_flag = true)]
pub struct Cli {
    /// Configuration file, in ini syntax
    #[arg(short, long, global = true, value_name = "FILE", default_value = "/etc/datasafed/datasafed.conf")]
    pub conf: PathBuf,
    /// Accepted for compatibility.
    #[command(flatten)]
    pub logging: Logging,
    /// How transfers are done.
    #[command(flatten)]
    pub tune: Tune,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store a file, or standard input, as one object
    ///
    /// The object appears only when all of it is stored: a failed, cut or killed push leaves
    /// nothing behind, and an older object of that name stays. If the process that writes into
    /// our standard input is killed by a signal, nothing is stored (see
    /// DATASAFED_MOVER_PRODUCER = signal | strict | off).
    Push(PushArgs),
    /// Fetch one object into a file, or to standard output
    ///
    /// The local file is replaced only when the whole object was read and decoded; after a
    /// failure the old file, or no file, is there. Parent directories are made.
    Pull(PullArgs),
    /// Run a command and store what it prints as one object
    ///
    /// As push -, but nothing is stored unless the command exits with status 0. Its standard
    /// input and error are ours; the encryption pass phrase is not in its environment.
    Exec(ExecArgs),
    /// Print one object: pull RPATH -
    Cat(CatArgs),
    /// Copy an object, or all below a directory, from one repository to another
    ///
    /// Objects are copied as they are stored: compressed and encrypted ones stay so (the latter
    /// are called NAME.enc or NAME.hfe here), and no key is needed. Each appears whole or not at
    /// all, and is read back and compared. DATASAFED_BACKEND_BASE_PATH applies to both sides.
    Cp(CpArgs),
    /// Read an object, or all below a directory, to the end, and say what that proves
    ///
    /// Prints path, size of the content and what was verified: authentic (envelope), integrity
    /// trailer, the codec's checksum, or merely readable. Without -d an object is read as what
    /// it starts like. Exits with 1 when anything is damaged.
    Check(CatArgs),
    /// List a directory, or find one file
    ///
    /// Prints paths relative to the base path, directories with a trailing slash, sorted by
    /// path. A path that names a file prints that file. With -r entries come directory by
    /// directory unless -s or --reverse ask for an order. Filters apply to directories, too.
    List(ListArgs),
    /// Print how many bytes, directories and files are below a path
    Stat(StatArgs),
    /// Remove a file, or a directory with all that is in it
    ///
    /// Without -r a missing file is fine and a directory is an error; with -r a missing
    /// directory is an error.
    Rm(RmArgs),
    /// Make a directory and its parents
    Mkdir(RpathArgs),
    /// Remove an empty directory; a missing one is fine
    Rmdir(RpathArgs),
    /// Print one item of the configuration, such as storage.type
    Getconf(GetconfArgs),
    /// Print the version
    Version(VersionArgs),
    /// Copy this program into a directory, for containers that lack it
    ///
    /// Writes DIR/datasafed (mode 0755), whole or not at all, and the directory "certs" beside
    /// this program, if there is one.
    Install(InstallArgs),
    /// Run an action and report how it ended (process 1 of action containers)
    ///
    /// Forwards signals to the action's process group, reaps orphans, and exits with the action's
    /// code (128 + n for signal n; 126 or 127 when it cannot be started). The result, what the
    /// action left in DP_BACKUP_INFO_FILE and the end of its standard error go to the
    /// termination message. An action that left DP_BACKUP_INFO_FILE.exit failed whatever its
    /// code. If DATASAFED_MOVER_BACKUP_OBJECT names a file, a successful action's Backup object
    /// is stored as kubeblocks-backup.json below DP_BACKUP_BASE_PATH; without it the run fails. If
    /// DATASAFED_MOVER_MANIFEST_DIR names a directory of the repository, holdfast-manifest.json
    /// there lists what the action stored.
    Run(RunArgs),
    /// Report an action's progress to its Backup while it runs (sidecar)
    ///
    /// Reads DP_BACKUP_INFO_FILE whenever it is written, and every DP_CHECK_INTERVAL seconds, and
    /// patches totalSize, timeRange and extras, if they changed, into the status of the Backup
    /// DP_BACKUP_NAME in KB_NAMESPACE. Failures are logged and tried again; SIGTERM ends it at
    /// once with exit code 0.
    Agent,
    /// Remove a backup's directories and the empty directories above them
    ///
    /// A missing directory is fine; anything that could not be removed is an error. The result
    /// goes to the termination message.
    Delete(DeleteArgs),
    /// Remove what killed pushes left on an object store
    ///
    /// Aborts the unfinished multipart uploads below a path that began longer ago than
    /// --older-than, and prints how many. A local repository needs no such call: its pushes do it.
    GcMultipart(GcMultipartArgs),
    /// Prove that the repository can be written, read and cleaned
    ///
    /// Stores, reads back, compares and removes PREFIX/precheck.txt; the error says which of these
    /// failed and why. With encryption, a repository that holds objects of the other kind of
    /// encryption is refused: the first 1000 names below PREFIX are looked at, once. The result
    /// goes to the termination message.
    Precheck(PrecheckArgs),
}

/// Arguments of `push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Compress with this codec: zstd-fastest, zstd, gzip, lz4, s2-default, deflate-default, ...
    ///
    /// In full: zstd, zstd-{fastest,better-compression,best-compression}, gzip and pgzip alone or
    /// with -{best-speed,best-compression}, deflate-{default,best-speed,best-compression}, lz4,
    /// s2-{default,better,parallel-4,parallel-8}. zstd objects carry an integrity trailer, which
    /// other decoders skip (see DATASAFED_MOVER_ZSTD_TRAILER = on | off).
    #[arg(short = 'z', long = "compress", value_name = "CODEC", allow_hyphen_values = true)]
    pub codec: Option<String>,
    /// Local file, or - for standard input
    #[arg(value_name = "LPATH")]
    pub lpath: OsString,
    /// Path of the object
    #[arg(value_name = "RPATH")]
    pub rpath: OsString,
}

/// Arguments of `pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Decompress with this codec, or another one of its family
    #[arg(short = 'd', long = "decompress", value_name = "CODEC", allow_hyphen_values = true)]
    pub codec: Option<String>,
    /// Keep in this file what it takes to go on after a failure, and go on from there; not with -d
    /// or encryption, and only into a file
    #[arg(long, value_name = "STATE")]
    pub resume: Option<PathBuf>,
    /// Path of the object
    #[arg(value_name = "RPATH")]
    pub rpath: OsString,
    /// Local file, or - for standard output
    #[arg(value_name = "LPATH")]
    pub lpath: OsString,
}

/// Arguments of `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Compress with this codec, as in push
    #[arg(short = 'z', long = "compress", value_name = "CODEC", allow_hyphen_values = true)]
    pub codec: Option<String>,
    /// Path of the object
    #[arg(value_name = "RPATH")]
    pub rpath: OsString,
    /// The command and its arguments, after --
    #[arg(value_name = "CMD", last = true, required = true)]
    pub command: Vec<OsString>,
}

/// Arguments of `cat` and `check`.
#[derive(Debug, Args)]
pub struct CatArgs {
    /// Decompress with this codec, as in pull
    #[arg(short = 'd', long = "decompress", value_name = "CODEC", allow_hyphen_values = true)]
    pub codec: Option<String>,
    /// Path in the repository
    #[arg(value_name = "RPATH")]
    pub rpath: OsString,
}

/// Arguments of `cp`.
#[derive(Debug, Args)]
pub struct CpArgs {
    /// Repository to read: a directory, or a configuration file
    #[arg(long, value_name = "PLACE")]
    pub from: PathBuf,
    /// Repository to write: a directory, or a configuration file
    #[arg(long, value_name = "PLACE")]
    pub to: PathBuf,
    /// Object or directory
    #[arg(value_name = "RPATH")]
    pub rpath: OsString,
    /// Its path in the other repository; default the same
    #[arg(value_name = "TARGET")]
    pub target: Option<OsString>,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Directories only
    #[arg(short = 'd', long, conflicts_with = "files_only", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = go_bool, value_name = "BOOL", hide_possible_values = true, hide_default_value = true)]
    pub dirs_only: bool,
    /// Files only
    #[arg(short = 'f', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = go_bool, value_name = "BOOL", hide_default_value = true)]
    pub files_only: bool,
    /// Descend into directories
    #[arg(short = 'r', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = go_bool, value_name = "BOOL", hide_default_value = true)]
    pub recursive: bool,
    /// Levels to descend with -r; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub max_depth: i64,
    /// Sort by path, size or mtime, ascending
    #[arg(short = 's', long, value_name = "FIELD")]
    pub sort: Option<SortBy>,
    /// Reverse the order
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = go_bool, value_name = "BOOL", hide_default_value = true)]
    pub reverse: bool,
    /// Only entries modified after this Unix time; 0 for any
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    pub newer_than: i64,
    /// Only entries modified before this Unix time; 0 for any
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    pub older_than: i64,
    /// Only entries whose base name matches: * ? [a-z] [^a] and \ as in Go's path.Match
    #[arg(long, value_name = "GLOB", allow_hyphen_values = true)]
    pub name: Option<OsString>,
    /// short: path; long: time, size, path; json: one array on one line
    #[arg(short = 'o', long = "output-format", value_name = "FORMAT", default_value = "short")]
    pub format: Format,
    /// Directory or file; / is the base path
    #[arg(value_name = "RPATH")]
    pub rpath: OsString,
}

/// Orders of `list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    /// By path, byte-wise.
    Path,
    /// By size.
    Size,
    /// By time of last modification.
    Mtime,
}

/// Formats of `list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One path per line.
    Short,
    /// Time, size and path, separated by tabs.
    Long,
    /// One JSON array on one line.
    Json,
}

/// Arguments of `stat`.
#[derive(Debug, Args)]
pub struct StatArgs {
    /// Print one JSON object instead of four lines
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = go_bool, value_name = "BOOL", hide_default_value = true)]
    pub json: bool,
    /// Directory or file
    #[arg(value_name = "RPATH")]
    pub rpath: OsString,
}

/// Arguments of `rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Remove a directory with all that is in it
    #[arg(short = 'r', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = go_bool, value_name = "BOOL", hide_default_value = true)]
    pub recursive: bool,
    /// Allow removing all of the repository
    #[arg(long)]
    pub force_root: bool,
    /// File or directory
    #[arg(value_name = "RPATH")]
    pub rpath: OsString,
}

/// Arguments of commands that take one remote path.
#[derive(Debug, Args)]
pub struct RpathArgs {
    /// Directory
    #[arg(value_name = "RPATH")]
    pub rpath: OsString,
}

/// Arguments of `getconf`.
#[derive(Debug, Args)]
pub struct GetconfArgs {
    /// Item, as SECTION.KEY
    #[arg(value_name = "ITEM")]
    pub item: String,
}

/// Arguments of `version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Also print how this program was built
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = go_bool, value_name = "BOOL", hide_default_value = true)]
    pub verbose: bool,
}

/// Arguments of `install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Directory to copy to; made if missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The action and its arguments, after --
    #[arg(value_name = "CMD", last = true, required = true)]
    pub command: Vec<OsString>,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Directories in the repository: of the backup, of its manifest
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,
}

/// Arguments of `gc-multipart`.
#[derive(Debug, Args)]
pub struct GcMultipartArgs {
    /// Age, such as 90s, 24h or 7d
    #[arg(long, value_name = "AGE")]
    pub older_than: String,
    /// Directory; / is the base path
    #[arg(value_name = "RPATH", default_value = "/")]
    pub rpath: OsString,
}

/// Arguments of `precheck`.
#[derive(Debug, Args)]
pub struct PrecheckArgs {
    /// Directory for the test object
    #[arg(value_name = "PREFIX")]
    pub prefix: OsString,
}

/// Parses the command line; help goes to standard output, a mistake is one line. The error is
/// the exit code.
pub fn parse() -> Result<Cli, i32> {
    let error = match Cli::try_parse() {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let text = error.render().to_string();
    let line = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return Err(0);
        }
        ErrorKind::InvalidSubcommand => {
            format!("unknown command {:?} for \"datasafed\"", named(ContextKind::InvalidSubcommand))
        }
        ErrorKind::UnknownArgument if named(ContextKind::InvalidArg).starts_with('-') => {
            format!("unknown flag: {}", named(ContextKind::InvalidArg))
        }
        _ => {
            let paragraph = text.split("\n\n").next().unwrap_or_default();
            let paragraph = paragraph.strip_prefix("error: ").unwrap_or(paragraph);
            paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ")
        }
    };
    say!("Error: {}", one_line(&line));
    Err(1)
}
