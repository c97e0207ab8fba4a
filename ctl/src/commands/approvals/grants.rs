//! `approvals grants`: calls that were allowed for longer than once.

use clap::Subcommand;
use mcpbridge_proto::v1::{Grant, ListGrantsRequest, RevokeGrantRequest};
use serde::Serialize;

use super::list::beginning;
use super::view::GrantView;
use crate::context::Context;
use crate::error::Failure;
use crate::output::style::Style;
use crate::output::table::{Cell, Table};
use crate::output::time::left;
use crate::view::some;

#[derive(Subcommand)]
pub enum GrantsCommand {
    /// List them; the same as without a command
    List,
    /// Take a permission back; calls it covered ask again
    Revoke {
        /// Id of the grant, or its beginning
        id: String,
    },
}

#[derive(Serialize)]
struct Revoked<'a> {
    revoked: GrantView<'a>,
}

pub async fn run(context: &Context, command: Option<GrantsCommand>) -> Result<(), Failure> {
    match command {
        None | Some(GrantsCommand::List) => list(context).await,
        Some(GrantsCommand::Revoke { id }) => revoke(context, id).await,
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let client = context.connect().await?;
    let reply = client.approvals().list_grants(ListGrantsRequest {}).await?;
    let grants = reply.into_inner().grants;
    if context.printer.is_json() {
        let views: Vec<_> = grants.iter().map(GrantView::from).collect();
        return context.printer.json(&views);
    }
    if grants.is_empty() {
        context.printer.note(&format!(
            "there are no grants; `{}` gives one",
            context.command("approve ID --always")
        ));
        return Ok(());
    }
    context.printer.table(&table(&grants))?;
    let revoke = context.command("approvals grants revoke ID");
    context.printer.note(&format!("`{revoke}` takes one back"));
    Ok(())
}

async fn revoke(context: &Context, id: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let reply = client
        .approvals()
        .revoke_grant(RevokeGrantRequest { id })
        .await?;
    let grant = reply.into_inner().grant.unwrap_or_default();
    let said = format!("{} of {} asks again", grant.tool, grant.server);
    let revoked = Revoked {
        revoked: GrantView::from(&grant),
    };
    context.printer.done(&revoked, &said)
}

fn table(grants: &[Grant]) -> Table<6> {
    let mut table = Table::new(["ID", "SERVER", "TOOL", "ARGUMENTS", "CALLER", "EXPIRES"]);
    for grant in grants {
        let arguments = match some(&grant.argument_digest) {
            None => "any".to_owned(),
            Some(digest) if grant.arguments.is_empty() => digest.chars().take(12).collect(),
            Some(_) => beginning(&grant.arguments),
        };
        let expires = match grant.expires_at {
            0 => "never".to_owned(),
            at => left(at),
        };
        table.row([
            grant.id.as_str().into(),
            Cell::styled(&grant.server, Style::Plain),
            Cell::styled(&grant.tool, Style::Bold),
            Cell::styled(&arguments, Style::Plain),
            Cell::styled(some(&grant.principal).unwrap_or("any"), Style::Plain),
            expires.as_str().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_grant_covers_is_said() {
        let wide = Grant {
            id: "abcdefghijkl".to_owned(),
            server: "s".to_owned(),
            tool: "t".to_owned(),
            ..Grant::default()
        };
        let narrow = Grant {
            argument_digest: "0123456789abcdef".to_owned(),
            arguments: r#"{"a": 1}"#.to_owned(),
            principal: "uid:1000 exe:/usr/bin/node".to_owned(),
            ..wide.clone()
        };
        assert_eq!(
            table(&[wide, narrow]).render(80, false),
            "ID            SERVER  TOOL  ARGUMENTS  CALLER                      EXPIRES\n\
             abcdefghijkl  s       t     any        any                         never\n\
             abcdefghijkl  s       t     {\"a\":1}    uid:1000 exe:/usr/bin/node  never\n"
        );
    }
}
