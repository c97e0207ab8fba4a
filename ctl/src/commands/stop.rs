//! `stop`: asks the daemon to end, and waits until it has.

use std::time::Duration;

use mcpbridge_proto::v1::ShutdownRequest;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::daemon;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::progress::Progress;

/// Longer than the daemon's own deadlines together: 10 s for calls under way, then 35 s for a token
/// exchange that must not be cut off, then its farewells.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(20);

#[derive(Serialize)]
struct Stopped {
    /// False when no daemon was running.
    stopped: bool,
    pid: Option<u32>,
}

pub async fn run(context: &Context) -> Result<(), Failure> {
    let pid = stop(context).await?;
    let said = match pid {
        Some(pid) => format!("stopped (pid {pid})"),
        None => "the daemon is not running".to_owned(),
    };
    let stopped = Stopped {
        stopped: pid.is_some(),
        pid,
    };
    context.printer.done(&stopped, &said)
}

/// The pid of the daemon that was stopped; None when there was none.
pub async fn stop(context: &Context) -> Result<Option<u32>, Failure> {
    let Some(client) = context.try_connect(Duration::ZERO).await? else {
        return Ok(None);
    };
    let pid = client.info().pid;
    client.daemon().shutdown(ShutdownRequest {}).await?;
    // An open connection would be one more thing to wait for over there.
    drop(client);
    let begun = Instant::now();
    let mut progress = Progress::new(&context.printer);
    while begun.elapsed() < ENDED_WITHIN {
        let listening = mcpbridge_proto::transport::connect(&context.endpoint)
            .await
            .is_ok();
        if !listening && !daemon::is_alive(pid) {
            return Ok(Some(pid));
        }
        if begun.elapsed() > Duration::from_secs(1) {
            progress.update("calls under way", begun.elapsed());
        }
        sleep(ASK_EVERY).await;
    }
    drop(progress);
    Err(Failure::new(
        Exit::TimedOut,
        format!(
            "the daemon (pid {pid}) is still shutting down after {} s",
            ENDED_WITHIN.as_secs()
        ),
    )
    .hint("run the command again to keep waiting"))
}
