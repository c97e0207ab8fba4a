//! `client`: tokens by which clients identify themselves.

use std::time::Duration;

use clap::{Args, Subcommand};
use mcpbridge_proto::v1::{AddClientRequest, ClientInfo, ListClientsRequest, RevokeClientRequest};
use serde::Serialize;

use crate::context::Context;
use crate::duration;
use crate::error::Failure;
use crate::output::table::Table;
use crate::output::time::{for_people, rfc3339};
use crate::pin::PinArgs;

#[derive(Subcommand)]
pub enum ClientCommand {
    /// Make a token for a client and print it, this once
    #[command(after_help = "\
The client sends it as `Authorization: Bearer TOKEN`. Policy decides about its calls as about all
others, and can name it: callers [\"client:NAME\"]. Where an approval PIN is set it is needed.")]
    Add(AddArgs),
    /// List the clients and what their tokens are good for
    List,
    /// End a client's token
    Revoke {
        /// Name of the client
        name: String,
    },
}

#[derive(Args)]
pub struct AddArgs {
    /// A name for the client
    name: String,
    /// Server it may use; repeat it for more [default: all]
    #[arg(long = "server", value_name = "SERVER")]
    servers: Vec<String>,
    /// Tool name or glob such as `list_*` that it may call; repeat it for more [default: all]
    #[arg(long = "tool", value_name = "GLOB")]
    tools: Vec<String>,
    /// How long the token lasts, such as 12h or 30d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    expires: Option<Duration>,
    #[command(flatten)]
    pin: PinArgs,
}

#[derive(Serialize)]
struct ClientView<'a> {
    name: &'a str,
    /// Only when it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    /// Empty for all.
    servers: &'a [String],
    tools: &'a [String],
    created_at: Option<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

impl<'a> ClientView<'a> {
    fn new(client: &'a ClientInfo, token: Option<&'a str>) -> Self {
        Self {
            name: &client.name,
            token,
            servers: &client.servers,
            tools: &client.tools,
            created_at: rfc3339(client.created_at),
            expires_at: rfc3339(client.expires_at),
            last_used_at: rfc3339(client.last_used_at),
        }
    }
}

#[derive(Serialize)]
struct Revoked<'a> {
    revoked: &'a str,
}

pub async fn run(context: &Context, command: ClientCommand) -> Result<(), Failure> {
    match command {
        ClientCommand::Add(args) => add(context, args).await,
        ClientCommand::List => list(context).await,
        ClientCommand::Revoke { name } => revoke(context, name).await,
    }
}

async fn add(context: &Context, args: AddArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    let request = AddClientRequest {
        name: args.name,
        servers: args.servers,
        tools: args.tools,
        lifetime_seconds: args.expires.map_or(0, |lifetime| lifetime.as_secs()),
        pin: String::new(),
    };
    let add = async |pin| {
        let request = AddClientRequest {
            pin,
            ..request.clone()
        };
        client.clients().add_client(request).await
    };
    let reply = args.pin.send(context, &client, add).await?;
    let client = reply.client.unwrap_or_default();
    if context.printer.is_json() {
        let view = ClientView::new(&client, Some(&reply.token));
        return context.printer.json(&view);
    }
    context.printer.line(&reply.token)?;
    context.printer.note(&format!(
        "{} sends it as `Authorization: Bearer TOKEN`; it is not shown again",
        client.name
    ));
    Ok(())
}

async fn list(context: &Context) -> Result<(), Failure> {
    let client = context.connect().await?;
    let reply = client.clients().list_clients(ListClientsRequest {}).await?;
    let reply = reply.into_inner();
    if context.printer.is_json() {
        let all = reply.clients.iter();
        let views: Vec<_> = all.map(|client| ClientView::new(client, None)).collect();
        return context.printer.json(&views);
    }
    let mut table = Table::new(["NAME", "SERVERS", "TOOLS", "EXPIRES", "LAST USED"]);
    for client in &reply.clients {
        table.row([
            client.name.as_str().into(),
            limits(&client.servers).as_str().into(),
            limits(&client.tools).as_str().into(),
            when(client.expires_at).as_str().into(),
            when(client.last_used_at).as_str().into(),
        ]);
    }
    context.printer.table(&table)?;
    if reply.required {
        let note = "clients without a token are refused (require_client_token)";
        context.printer.note(note);
    } else if reply.clients.is_empty() {
        let add = context.command("client add NAME");
        context.printer.note(&format!(
            "clients need no token; `{add}` makes one, which policy and approvals can go by"
        ));
    }
    Ok(())
}

async fn revoke(context: &Context, name: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let request = RevokeClientRequest { name: name.clone() };
    client.clients().revoke_client(request).await?;
    let said = format!("the token of {name} is no longer accepted");
    context.printer.done(&Revoked { revoked: &name }, &said)
}

fn limits(names: &[String]) -> String {
    match names {
        [] => "all".to_owned(),
        names => names.join(", "),
    }
}

fn when(seconds: i64) -> String {
    for_people(seconds).unwrap_or_else(|| "never".to_owned())
}
