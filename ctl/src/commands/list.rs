//! `list`: one line per server.

use mcpbridge_proto::v1::{CredentialState, Server};

use crate::commands::status;
use crate::context::Context;
use crate::error::Failure;
use crate::output::style::Style;
use crate::output::table::{Cell, Table};
use crate::view::{self, ServerView};

pub async fn run(context: &Context) -> Result<(), Failure> {
    let client = context.connect().await?;
    let servers = status::servers(context, &client).await?;
    if context.printer.is_json() {
        let views: Vec<_> = servers.iter().map(ServerView::from).collect();
        return context.printer.json(&views);
    }
    if servers.is_empty() {
        context.printer.note(&format!(
            "no servers yet: add one with `{}`",
            context.command("add NAME URL")
        ));
        return Ok(());
    }
    context.printer.table(&table(&servers))?;
    let attention: String = servers.iter().map(status::attention).collect();
    context.printer.data(&context.addressed(&attention))
}

fn table(servers: &[Server]) -> Table<4> {
    let mut table = Table::new(["NAME", "STATE", "POLICY", "URL"]);
    for server in servers {
        table.row([
            server.name.as_str().into(),
            Cell::styled(view::state(server), style(server.state())),
            server.policy_default.as_str().into(),
            server.url.as_str().into(),
        ]);
    }
    table
}

fn style(state: CredentialState) -> Style {
    match state {
        CredentialState::Active => Style::Good,
        CredentialState::Refreshing | CredentialState::Backoff => Style::Warning,
        CredentialState::NeedsLogin => Style::Bad,
        CredentialState::LoggedOut | CredentialState::Unspecified => Style::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_urls_fit_80_columns() {
        let server = Server {
            name: "a-rather-long-server-name".to_owned(),
            url: format!("https://mcp.example.com/{}", "path/".repeat(30)),
            state: CredentialState::NeedsLogin.into(),
            policy_default: "ask".to_owned(),
            ..Server::default()
        };
        let rendered = table(&[server]).render(80, false);
        assert!(rendered.lines().all(|line| line.chars().count() <= 80));
        assert!(rendered.contains("a-rather-long-server-name  needs_login  ask     https://"));
    }
}
