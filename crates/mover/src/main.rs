//! `datasafed`: moves backup data between databases and a repository; a drop-in for the tool of
//! that name, and the wrapper, sidecar and clean-up of Holdfast's backup jobs.
//!
//! Enters: a command line, environment, standard input. Leaves: objects in the repository, data
//! (and nothing but data) on standard output, one `Error:` line on failure, an exit code.

mod agent;
#[cfg(test)]
mod chain_tests;
mod check;
mod cipher;
mod cli;
mod clock;
mod codec;
mod config;
mod copy;
mod dedup;
mod delete;
mod error;
mod exec;
mod fill;
#[cfg(test)]
mod fuzz;
mod glob;
mod info;
mod ini;
mod install;
mod journal;
mod list;
mod manifest;
mod operation;
mod patch;
mod paths;
mod precheck;
mod producer;
mod progress;
mod pull;
mod push;
mod reap;
mod remove;
mod resume;
mod run;
mod saved_object;
mod size;
mod staging;
mod stat;
mod store;
mod sys;
mod tee;
mod termination;
mod tuning;
mod version;

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::cli::{Cli, Command};
use crate::codec::Codec;
use crate::config::Repository;
use crate::error::{Error, Result};

fn main() {
    let code = match cli::parse() {
        Ok(cli) => execute(&cli),
        Err(code) => code,
    };
    std::process::exit(code);
}

/// Runs one command and gives its exit code.
fn execute(cli: &Cli) -> i32 {
    match &cli.command {
        Command::Run(args) => return run::run(&args.command, &cli.conf),
        Command::Agent => return agent::agent(),
        _ => {}
    }
    // As process 1 of a container the default actions of signals do not apply; and a push or
    // pull must remove what it has staged.
    if let Err(error) = staging::stop_on_signals() {
        return Error::io("install signal handlers", error).report();
    }
    if let Err(error) = tuning::init(&cli.tune) {
        return error.report();
    }
    match &cli.command {
        Command::Delete(args) => {
            let code = delete::delete(&args.paths, &cli.conf);
            dedup::maintain_if_asked(&cli.conf);
            code
        }
        Command::Precheck(args) => precheck::precheck(&args.prefix, &cli.conf),
        command => {
            let begun = Instant::now();
            let outcome = data(command, &cli.conf);
            if outcome.is_ok() {
                dedup::maintain_if_asked(&cli.conf);
            }
            termination::report(&outcome, begun);
            operation::end(&outcome);
            outcome.map_or_else(|error| error.report(), |()| 0)
        }
    }
}

/// The commands of the reference tool, and `install`.
fn data(command: &Command, conf: &Path) -> Result<()> {
    let codec = |name: &Option<String>, flag| {
        name.as_deref().filter(|name| !name.is_empty()).map(|name| Codec::parse(name, flag)).transpose()
    };
    let begin = |name, done, path: &OsStr, codec: &Option<String>| {
        operation::begin(name, done, &path.to_string_lossy(), codec.as_deref());
    };
    match command {
        Command::Push(args) => {
            begin("push", "pushed", &args.rpath, &args.codec);
            let codec = codec(&args.codec, "-z, --compress")?;
            let source = push::Source::open(&args.lpath)?;
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            push::push(&repository, source, &path, codec)
        }
        Command::Pull(args) => {
            begin("pull", "pulled", &args.rpath, &args.codec);
            let codec = codec(&args.codec, "-d, --decompress")?;
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            match &args.resume {
                None => pull::pull(&repository, &path, &args.lpath, codec),
                Some(_) if codec.is_some() => {
                    Err(Error::Usage("--resume cannot go on inside of a compressed object".to_owned()))
                }
                Some(state) => pull::resume(&repository, &path, &args.lpath, state),
            }
        }
        Command::Exec(args) => {
            begin("exec", "pushed", &args.rpath, &args.codec);
            let codec = codec(&args.codec, "-z, --compress")?;
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            // Refused before the command starts, not after it worked for an hour.
            path.as_file()?;
            push::push(&repository, push::Source::spawn(&args.command)?, &path, codec)
        }
        Command::Cat(args) => {
            begin("cat", "pulled", &args.rpath, &args.codec);
            let codec = codec(&args.codec, "-d, --decompress")?;
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            pull::pull(&repository, &path, OsStr::new("-"), codec)
        }
        Command::Cp(args) => {
            begin("cp", "copied", &args.rpath, &None);
            let target = args.target.as_ref().unwrap_or(&args.rpath);
            copy::copy(&args.from, &args.to, &args.rpath, target)
        }
        Command::Check(args) => {
            let codec = codec(&args.codec, "-d, --decompress")?;
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            check::check(&repository, &path, codec)
        }
        Command::List(args) => {
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            list::list(&repository, &path, args)
        }
        Command::Stat(args) => {
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            stat::stat(&repository, &path, args.json)
        }
        Command::Rm(args) => {
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            remove::remove(&repository, &path, args.recursive, args.force_root)
        }
        Command::Mkdir(args) => {
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            remove::make_dir(&repository, &path)
        }
        Command::Rmdir(args) => {
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            remove::remove_dir(&repository, &path)
        }
        Command::Getconf(args) => {
            let value = config::get(conf, &args.item)?;
            writeln!(std::io::stdout(), "{value}").map_err(Error::stdout)
        }
        Command::GcMultipart(args) => {
            let age = size::duration(&args.older_than).ok_or_else(|| {
                Error::Usage(format!("--older-than is {:?}, not an age such as 90s, 24h or 7d", args.older_than))
            })?;
            let repository = Repository::open(conf)?;
            let path = repository.locate(&args.rpath)?;
            let swept = repository.store.sweep(&path.key, age)?;
            writeln!(std::io::stdout(), "{swept}").map_err(Error::stdout)
        }
        Command::Version(args) => version::print(args.verbose),
        Command::Install(args) => install::install(&args.dir),
        Command::Run(_) | Command::Agent | Command::Delete(_) | Command::Precheck(_) => Ok(()),
    }
}
