//! `remove`: signs out of a server and forgets it, once a person agreed.

use clap::Args;
use mcpbridge_proto::v1::{GetServerRequest, RemoveServerRequest};
use serde::Serialize;

use crate::context::Context;
use crate::error::Failure;
use crate::pin::PinArgs;

#[derive(Args)]
pub struct RemoveArgs {
    /// Name of the server
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    pin: PinArgs,
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: Option<&'a str>,
    warnings: &'a [String],
}

pub async fn run(context: &Context, args: RemoveArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    // Asked before the question, so that nobody confirms a typing error.
    let name = args.name;
    client
        .servers()
        .get_server(GetServerRequest { name: name.clone() })
        .await?;
    let question = format!("sign out of {name} and remove it?");
    if !args.yes && !confirmed(context, &question, &name, &format!("remove {name} -y"))? {
        let nothing = Removed {
            removed: None,
            warnings: &[],
        };
        return context.printer.done(&nothing, "nothing was removed");
    }
    let remove = async |pin| {
        let name = name.clone();
        let request = RemoveServerRequest { name, pin };
        client.servers().remove_server(request).await
    };
    let warnings = args.pin.send(context, &client, remove).await?.warnings;
    for warning in &warnings {
        context.printer.warn(warning);
    }
    let removed = Removed {
        removed: Some(&name),
        warnings: &warnings,
    };
    context.printer.done(&removed, &format!("removed {name}"))
}

/// Whether a person agrees to remove `what`; where nobody can be asked, `unasked` is told as the way to do it.
pub fn confirmed(
    context: &Context,
    question: &str,
    what: &str,
    unasked: &str,
) -> Result<bool, Failure> {
    context
        .printer
        .confirm(question)
        .map_err(|e| Failure::local("cannot ask", &e))?
        .ok_or_else(|| {
            Failure::usage(format!(
                "cannot ask whether to remove {what} without a terminal"
            ))
            .hint(format!(
                "to remove it without asking, run `{}`",
                context.command(unasked)
            ))
        })
}
