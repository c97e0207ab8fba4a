//! `remove`: signs out of a server and forgets it, once a person agreed.

use clap::Args;
use mcpbridge_proto::v1::{GetServerRequest, RemoveServerRequest};
use serde::Serialize;

use crate::context::Context;
use crate::error::Failure;

#[derive(Args)]
pub struct RemoveArgs {
    /// Name of the server
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: Option<&'a str>,
    warnings: &'a [String],
}

pub async fn run(context: &Context, args: RemoveArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    let mut servers = client.servers();
    // Asked before the question, so that nobody confirms a typing error.
    let name = args.name;
    servers
        .get_server(GetServerRequest { name: name.clone() })
        .await?;
    if !args.yes && !confirmed(context, &name)? {
        let nothing = Removed {
            removed: None,
            warnings: &[],
        };
        return context.printer.done(&nothing, "nothing was removed");
    }
    let request = RemoveServerRequest { name: name.clone() };
    let warnings = servers.remove_server(request).await?.into_inner().warnings;
    for warning in &warnings {
        context.printer.warn(warning);
    }
    let removed = Removed {
        removed: Some(&name),
        warnings: &warnings,
    };
    context.printer.done(&removed, &format!("removed {name}"))
}

fn confirmed(context: &Context, name: &str) -> Result<bool, Failure> {
    context
        .printer
        .confirm(&format!("sign out of {name} and remove it?"))
        .map_err(|e| Failure::local("cannot ask", &e))?
        .ok_or_else(|| {
            Failure::usage(format!(
                "cannot ask whether to remove {name} without a terminal"
            ))
            .hint(format!(
                "to remove it without asking, run `{}`",
                context.command(&format!("remove {name} -y"))
            ))
        })
}
