//! `restart`: `stop`, then `start`.

use clap::Args;

use crate::commands::{start, stop};
use crate::context::Context;
use crate::error::Failure;

#[derive(Args)]
pub struct RestartArgs {
    #[command(flatten)]
    daemon: start::DaemonArgs,
}

pub async fn run(context: &Context, args: RestartArgs) -> Result<(), Failure> {
    if let Some(pid) = stop::stop(context).await? {
        context.printer.note(&format!("stopped (pid {pid})"));
    }
    start::launch(context, &args.daemon).await
}
