//! One file per command; each faces the daemon's file of the same RPC group.

pub mod add;
pub mod approvals;
pub mod audit;
pub mod call;
pub mod client;
pub mod completions;
pub mod env;
pub mod init;
pub mod key;
mod list;
pub mod login;
mod logout;
pub mod logs;
pub mod policy;
mod refresh;
pub mod remove;
pub mod restart;
mod show;
pub mod start;
mod status;
mod stop;
pub mod tools;
pub mod ui;

use crate::cli::Command;
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

pub async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(context, args).await,
        Command::Start(args) => start::run(context, args).await,
        Command::Stop => stop::run(context).await,
        Command::Restart(args) => restart::run(context, args).await,
        Command::Status => status::run(context).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Add(args) => add::run(context, *args).await,
        Command::List => list::run(context).await,
        Command::Show(server) => show::run(context, server.name).await,
        Command::Remove(args) => remove::run(context, args).await,
        Command::Login(args) => login::run(context, args).await,
        Command::Logout(server) => logout::run(context, server.name).await,
        Command::Refresh(server) => refresh::run(context, server.name).await,
        Command::Tools(args) => tools::run(context, args).await,
        Command::Call(args) => return call::run(context, args).await,
        Command::Approvals(args) => return approvals::run(context, args).await,
        Command::Approve(args) => return approvals::approve(context, args).await,
        Command::Deny(args) => return approvals::deny(context, args).await,
        Command::Policy { command } => policy::run(context, command).await,
        Command::Ui(args) => ui::run(context, args).await,
        Command::Client { command } => client::run(context, command).await,
        Command::Key { command } => key::run(context, command).await,
        Command::Env(args) => env::run(context, args).await,
        Command::Audit(args) => audit::run(context, args).await,
        Command::Completions(args) => completions::run(context, args),
    }?;
    Ok(Exit::Done)
}
