//! `start`: runs the daemon in a session of its own and waits until it answers.

use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use mcpbridge_proto::Client;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::commands::status;
use crate::context::Context;
use crate::daemon;
use crate::error::Failure;
use crate::exit::Exit;
use crate::view::StatusView;

/// Unlocking a keyring may ask a person; everything else takes milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(20);
/// How long a daemon that was started elsewhere at the same time may take to answer.
const RIVAL_GRACE: Duration = Duration::from_secs(2);
const DRAIN_WITHIN: Duration = Duration::from_millis(500);
/// More than any start-up error needs; the rest is in the log.
const STDERR_KEPT: usize = 64 * 1024;
const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

#[derive(Args)]
pub struct StartArgs {
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Run the daemon in this terminal instead of in the background
    #[arg(long)]
    foreground: bool,
}

/// Options that are handed on to the daemon.
#[derive(Args)]
pub struct DaemonArgs {
    /// localhost, 127.0.0.1 or ::1, in place of proxy_host of config.json
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on, in place of proxy_port of config.json; 0 takes a free one
    #[arg(long)]
    port: Option<u16>,
    /// How much the daemon logs; debug includes bodies, with secrets redacted
    #[arg(long, value_name = "LEVEL", value_parser = LOG_LEVELS)]
    log_level: Option<String>,
    /// Read the vault's passphrase from this open file descriptor
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
}

#[derive(Serialize)]
struct Started<'a> {
    /// A daemon was running before this command.
    already_running: bool,
    #[serde(flatten)]
    status: StatusView<'a>,
}

pub async fn run(context: &Context, args: StartArgs) -> Result<(), Failure> {
    if let Some(client) = context.try_connect(Duration::ZERO).await? {
        return report(context, &client, true).await;
    }
    if args.foreground {
        return foreground(context, &args.daemon);
    }
    launch(context, &args.daemon).await
}

/// Starts a daemon where none runs.
pub async fn launch(context: &Context, args: &DaemonArgs) -> Result<(), Failure> {
    let program = daemon::program();
    let mut command = Command::new(&program);
    command
        .args(daemon::arguments(context))
        .arg("--new-session")
        .arg("--log-dir")
        .arg(context.config_dir.join("logs"))
        .args(args.arguments())
        .stdin(args.stdin())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP: what `--new-session` does elsewhere.
    #[cfg(windows)]
    command.creation_flags(0x0000_0208);
    context
        .printer
        .detail(&format!("starting {}", program.display()));
    let mut child = command
        .spawn()
        .map_err(|e| daemon::not_runnable(&program, &e))?;
    let client = ready(context, &mut child).await?;
    let already_running = child.id() != Some(client.info().pid);
    report(context, &client, already_running).await
}

impl DaemonArgs {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                arguments.extend([name.to_owned(), value]);
            }
        };
        option("--host", self.host.clone());
        option("--port", self.port.map(|port| port.to_string()));
        option("--log-level", self.log_level.clone());
        option("--passphrase-fd", self.passphrase_fd.map(|n| n.to_string()));
        arguments
    }

    /// Descriptor 0 is the only one that would not be inherited as it is.
    fn stdin(&self) -> Stdio {
        match self.passphrase_fd {
            Some(0) => Stdio::inherit(),
            _ => Stdio::null(),
        }
    }
}

/// Waits until the daemon answers; its error output is read meanwhile, so that it never blocks on it.
async fn ready(context: &Context, child: &mut Child) -> Result<Client, Failure> {
    let mut stderr = child.stderr.take();
    let mut said = Vec::new();
    let deadline = Instant::now() + READY_WITHIN;
    while Instant::now() < deadline {
        if let Some(client) = context.try_connect(Duration::ZERO).await? {
            return Ok(client);
        }
        let ended = child
            .try_wait()
            .map_err(|e| Failure::local("cannot watch mcpbridged", &e))?;
        if let Some(status) = ended {
            drain(&mut stderr, &mut said).await;
            let failure = daemon::failure(status, &String::from_utf8_lossy(&said));
            // Whoever started another daemon just before us holds the lock, and will answer.
            if failure.exit() == Exit::Conflict
                && let Some(client) = context.try_connect(RIVAL_GRACE).await?
            {
                return Ok(client);
            }
            return Err(failure);
        }
        tokio::select! {
            () = read_some(&mut stderr, &mut said) => {}
            () = sleep(ASK_EVERY) => {}
        }
    }
    // A daemon that comes up after we said it did not would surprise.
    let _ = child.start_kill();
    let failure = Failure::new(
        Exit::TimedOut,
        format!(
            "mcpbridged was not ready after {} s",
            READY_WITHIN.as_secs()
        ),
    );
    let last = String::from_utf8_lossy(&said);
    Err(match last.lines().last() {
        Some(line) => failure.hint(format!("its last words: {line}")),
        None => failure.hint(format!("see `{}`", context.command("logs"))),
    })
}

async fn drain(stderr: &mut Option<ChildStderr>, said: &mut Vec<u8>) {
    let all = async {
        while stderr.is_some() {
            read_some(stderr, said).await;
        }
    };
    // A helper that the daemon left behind may hold the pipe open; what was said is here by now.
    let _ = timeout(DRAIN_WITHIN, all).await;
}

/// Cancel-safe. Never returns once the stream has ended.
async fn read_some(stderr: &mut Option<ChildStderr>, said: &mut Vec<u8>) {
    let Some(stream) = stderr else {
        return std::future::pending().await;
    };
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk).await {
        Ok(0) | Err(_) => *stderr = None,
        Ok(count) if said.len() < STDERR_KEPT => said.extend_from_slice(&chunk[..count]),
        Ok(_) => {}
    }
}

async fn report(context: &Context, client: &Client, already_running: bool) -> Result<(), Failure> {
    let (status, servers) = status::fetch(context, client).await?;
    let said = if already_running {
        format!(
            "the daemon is already running (pid {}) on {}",
            status.pid, status.base_url
        )
    } else {
        format!("started (pid {}) on {}", status.pid, status.base_url)
    };
    let started = Started {
        already_running,
        status: StatusView::new(&status, &servers),
    };
    context.printer.done(&started, &said)
}

fn foreground(context: &Context, args: &DaemonArgs) -> Result<(), Failure> {
    let program = daemon::program();
    let mut command = std::process::Command::new(&program);
    command
        .args(daemon::arguments(context))
        .args(args.arguments());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Signals and the exit code are the daemon's own from here on.
        Err(daemon::not_runnable(&program, &command.exec()))
    }
    #[cfg(windows)]
    {
        let status = command
            .status()
            .map_err(|e| daemon::not_runnable(&program, &e))?;
        match status.success() {
            true => Ok(()),
            false => Err(daemon::failure(status, "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_and_nothing_else_is_handed_to_the_daemon() {
        let mut args = DaemonArgs {
            host: None,
            port: Some(0),
            log_level: Some("debug".to_owned()),
            passphrase_fd: None,
        };
        assert_eq!(args.arguments(), ["--port", "0", "--log-level", "debug"]);
        args.port = None;
        args.log_level = None;
        assert!(args.arguments().is_empty());
    }
}
