//! `approvals watch`: held calls as they come, and the keys to decide them.

mod draw;
mod editor;
mod feed;
mod interactive;
mod model;
mod plain;
mod prompt;
mod screen;

use clap::Args;

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

#[derive(Args)]
#[command(after_help = "\
At a terminal: a approves, d denies, A approves for always, t for a while, e edits the arguments,
i shows everything, j and k or the arrows move, ? explains, q ends. Otherwise it prints a line for
each change; with --json an object: {\"event\":\"snapshot\",\"approvals\":[…]} first and after every
connection, then {\"event\":\"changed\",\"approval\":{…}} and {\"event\":\"disconnected\",\"message\":\"…\"}.")]
pub struct WatchArgs {
    /// Only calls of this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
}

pub async fn run(context: &Context, args: WatchArgs) -> Result<Exit, Failure> {
    // A daemon that does not run is reported, as by any command; one that goes away is waited for.
    let client = context.connect().await?;
    let feed = feed::start(
        context.endpoint.clone(),
        client,
        args.server.unwrap_or_default(),
    );
    if context.printer.can_draw() {
        interactive::run(context, feed).await
    } else {
        plain::run(context, feed).await?;
        Ok(Exit::Done)
    }
}
