//! `approvals`, `approve` and `deny`: calls that wait for a person.

mod decide;
mod describe;
mod grants;
mod list;
mod pin;
mod view;
mod watch;

use clap::{Args, Subcommand};

pub use decide::{ApproveArgs, DenyArgs, approve, deny};

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ApprovalsArgs {
    #[command(subcommand)]
    command: Option<ApprovalsCommand>,
    #[command(flatten)]
    list: list::ListArgs,
}

#[derive(Subcommand)]
enum ApprovalsCommand {
    /// List the calls that wait for a decision, or those that were decided
    List(list::ListArgs),
    /// Show one in full: who asks, why, and exactly what would be sent
    Show {
        /// Id of the approval, or its beginning
        id: String,
    },
    /// Show the calls as they come, and decide them by a key
    Watch(watch::WatchArgs),
    /// List what was allowed for longer than one call, and take it back
    Grants {
        #[command(subcommand)]
        command: Option<grants::GrantsCommand>,
    },
    /// Protect approvals by a PIN, which a program with a shell does not have
    Pin {
        #[command(subcommand)]
        command: Option<pin::PinCommand>,
    },
}

pub async fn run(context: &Context, args: ApprovalsArgs) -> Result<Exit, Failure> {
    match args.command {
        Some(ApprovalsCommand::Watch(args)) => return watch::run(context, args).await,
        None => list::list(context, args.list).await,
        Some(ApprovalsCommand::List(args)) => list::list(context, args).await,
        Some(ApprovalsCommand::Show { id }) => list::show(context, id).await,
        Some(ApprovalsCommand::Grants { command }) => grants::run(context, command).await,
        Some(ApprovalsCommand::Pin { command }) => pin::run(context, command).await,
    }?;
    Ok(Exit::Done)
}
