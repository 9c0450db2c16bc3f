//! `holdfast-dp kubectl`: the one call of kubectl that exec Jobs make, so that they need no image with it
//! (contract-dp §10.8). Output and exit code are those of the command inside the pod.

use controller_kit::error::chain;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::AttachParams;
use kube::{Api, Client, Config};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{SignalKind, signal};

/// How long the API server may take to take the connection.
const CONNECT: Duration = Duration::from_secs(30);
/// The exit code of a process that SIGTERM ended.
const TERMINATED: u8 = 128 + 15;

/// Runs a command inside a container of a running pod, as `kubectl -n NAMESPACE exec POD -c CONTAINER -- COMMAND…`.
#[derive(clap::Args, Clone, Debug)]
pub struct Kubectl {
    /// Namespace of the pod.
    #[arg(short, long)]
    namespace: String,
    #[command(subcommand)]
    call: Call,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Call {
    /// Runs a command inside a container.
    Exec {
        /// Name of the pod.
        pod: String,
        /// Name of the container.
        #[arg(short, long)]
        container: String,
        /// The command, after `--`.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

/// Runs it to its end; the exit code is the command's, 1 where there is none.
pub fn run(call: Kubectl) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(|e| format!("could not start the async runtime: {e}")).and_then(|runtime| {
        let ended = runtime.block_on(exec(call));
        // A reader of standard input or output may still be blocked.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn exec(Kubectl { namespace, call }: Kubectl) -> Result<u8, String> {
    let Call::Exec { pod, container, command } = call;
    let mut term = signal(SignalKind::terminate()).map_err(|e| format!("could not listen to SIGTERM: {e}"))?;
    let what = format!("could not run a command in container {container} of pod {namespace}/{pod}");
    let mut config = Config::infer().await.map_err(|e| format!("{what}: {}", chain(&e)))?;
    // A command may be silent for hours; the deadline of the Job ends it.
    (config.connect_timeout, config.read_timeout, config.write_timeout) = (Some(CONNECT), None, None);
    let client = Client::try_from(config).map_err(|e| format!("{what}: {}", chain(&e)))?;
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let streams = AttachParams::default().container(container).stdin(false).stdout(true).stderr(true);
    let mut process = pods.exec(&pod, command, &streams).await.map_err(|e| format!("{what}: {}", chain(&e)))?;
    let status = process.take_status();
    let (out, err) = (process.stdout(), process.stderr());
    let all = async {
        tokio::join!(pass(out, tokio::io::stdout()), pass(err, tokio::io::stderr()), async {
            match status {
                Some(status) => status.await,
                None => None,
            }
        })
    };
    tokio::select! {
        ((), (), status) = all => exit_code(status).map_err(|why| format!("{what}: {why}")),
        _ = term.recv() => Ok(TERMINATED),
    }
}

/// Whoever reads our output may be gone; the command goes on without.
async fn pass(from: Option<impl AsyncRead + Unpin>, mut to: impl AsyncWrite + Unpin) {
    let Some(mut from) = from else { return };
    if tokio::io::copy(&mut from, &mut to).await.is_err() {
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    let _ = tokio::io::AsyncWriteExt::flush(&mut to).await;
}

/// What the API server says of the command's end; no word of it is no success.
fn exit_code(status: Option<Status>) -> Result<u8, String> {
    let Some(status) = status else { return Err("the connection ended before the command".into()) };
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|d| d.causes.iter().flatten());
    let code = causes.filter(|c| c.reason.as_deref() == Some("ExitCode")).find_map(|c| c.message.as_deref());
    match code.and_then(|code| code.parse::<u8>().ok()).filter(|code| *code != 0) {
        Some(code) => Ok(code),
        None => Err(status.message.unwrap_or_else(|| "it did not say why".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::{Value, json};

    fn code(status: Value) -> Result<u8, String> {
        exit_code(Some(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn the_exit_code_is_the_commands_and_silence_is_no_success() {
        assert_eq!(code(json!({"status": "Success"})), Ok(0));
        let ended = |code: &str| {
            json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated",
                "details": {"causes": [{"reason": "ExitCode", "message": code}]}})
        };
        assert_eq!(code(ended("3")), Ok(3));
        assert_eq!(code(ended("0")), Err("command terminated".into()), "a failure is none with code 0");
        assert_eq!(code(ended("x")), Err("command terminated".into()));
        let lost = code(json!({"status": "Failure", "message": "container not found"}));
        assert_eq!(lost, Err("container not found".into()));
        assert!(exit_code(None).is_err());
    }

    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        kubectl: Kubectl,
    }

    #[test]
    fn the_arguments_are_those_of_exec_jobs() {
        let parse = |args: &[&str]| Alone::try_parse_from([&["kubectl"], args].concat());
        let call = parse(&["-n", "n", "exec", "db-0", "-c", "main", "--", "sh", "-c", "exit 1", "--help"]).unwrap();
        let Call::Exec { pod, container, command } = call.kubectl.call;
        assert_eq!((pod.as_str(), container.as_str()), ("db-0", "main"));
        assert_eq!(command, ["sh", "-c", "exit 1", "--help"]);
        assert!(parse(&["-n", "n", "exec", "db-0", "-c", "main", "--"]).is_err());
        assert!(parse(&["-n", "n", "delete", "db-0"]).is_err());
    }
}
