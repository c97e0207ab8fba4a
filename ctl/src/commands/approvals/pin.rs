//! `approvals pin`: a secret without which nothing is approved, so that a program with a shell
//! cannot approve what it asks for.

use clap::{Args, Subcommand};
use mcpbridge_proto::Client;
use mcpbridge_proto::v1::{ClearPinRequest, GetPinRequest, GetPinResponse, SetPinRequest};
use serde::Serialize;

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;
use crate::input;
use crate::output::time::{for_people, now, rfc3339};

const PIN: &str = "approval PIN";

#[derive(Subcommand)]
pub enum PinCommand {
    /// Set the PIN, or change it
    #[command(after_help = "\
Type it at the terminal, where it is not shown. With --stdin it is the first line of standard input;
where one is set already, the present PIN is the first line and the new one the second.")]
    Set(StdinArgs),
    /// Need no PIN any more; needs it one last time
    Clear(StdinArgs),
}

#[derive(Args)]
pub struct StdinArgs {
    /// Read the PIN from standard input
    #[arg(long)]
    stdin: bool,
}

#[derive(Serialize)]
struct PinView {
    set: bool,
    set_at: Option<String>,
    wrong_tries: u32,
    /// While it is.
    locked_until: Option<String>,
}

#[derive(Serialize)]
struct Done {
    set: bool,
}

pub async fn run(context: &Context, command: Option<PinCommand>) -> Result<(), Failure> {
    match command {
        None => show(context).await,
        Some(PinCommand::Set(args)) => set(context, args.stdin).await,
        Some(PinCommand::Clear(args)) => clear(context, args.stdin).await,
    }
}

async fn show(context: &Context) -> Result<(), Failure> {
    let client = context.connect().await?;
    let state = state(&client).await?;
    let locked = (state.locked_until > now()).then_some(state.locked_until);
    if context.printer.is_json() {
        return context.printer.json(&PinView {
            set: state.set_at != 0,
            set_at: rfc3339(state.set_at),
            wrong_tries: state.wrong_tries,
            locked_until: locked.and_then(rfc3339),
        });
    }
    let Some(since) = for_people(state.set_at) else {
        let set = context.command("approvals pin set");
        context.printer.line("no approval PIN is set")?;
        context.printer.note(&format!("`{set}` sets one"));
        return Ok(());
    };
    context
        .printer
        .line(&format!("an approval PIN is set since {since}"))?;
    if state.wrong_tries > 0 {
        let tries = state.wrong_tries;
        context
            .printer
            .line(&format!("wrong tries since the last right one: {tries}"))?;
    }
    if let Some(until) = locked.and_then(for_people) {
        context.printer.line(&format!("locked until {until}"))?;
    }
    Ok(())
}

async fn set(context: &Context, from_stdin: bool) -> Result<(), Failure> {
    let client = context.connect().await?;
    let is_set = state(&client).await?.set_at != 0;
    let old_pin = match is_set {
        true => take(context, "present approval PIN", from_stdin)?,
        false => String::new(),
    };
    let pin = take(context, "new approval PIN", from_stdin)?;
    if !from_stdin && take(context, "the same again", from_stdin)? != pin {
        return Err(Failure::usage("the two PINs differ; nothing was changed"));
    }
    let request = SetPinRequest { pin, old_pin };
    client.approvals().set_pin(request).await?;
    let said = "every approval needs the PIN now, on every way to give one";
    context.printer.done(&Done { set: true }, said)
}

async fn clear(context: &Context, from_stdin: bool) -> Result<(), Failure> {
    let client = context.connect().await?;
    let pin = match state(&client).await?.set_at {
        // The daemon says that there is none.
        0 => String::new(),
        _ => take(context, PIN, from_stdin)?,
    };
    client
        .approvals()
        .clear_pin(ClearPinRequest { pin })
        .await?;
    let said = "approvals need no PIN any more";
    context.printer.done(&Done { set: false }, said)
}

async fn state(client: &Client) -> Result<GetPinResponse, Failure> {
    Ok(client
        .approvals()
        .get_pin(GetPinRequest {})
        .await?
        .into_inner())
}

fn take(context: &Context, what: &str, from_stdin: bool) -> Result<String, Failure> {
    if from_stdin || context.printer.can_ask() {
        return input::secret(what);
    }
    let message = format!("this needs the {what}, and there is no terminal to type it at");
    Err(Failure::new(Exit::Denied, message).hint("`--stdin` reads it from standard input"))
}
