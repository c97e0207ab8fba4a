//! `status`: the daemon, and what a person should see to.

use mcpbridge_proto::v1::{
    CredentialState, GetStatusRequest, GetStatusResponse, ListServersRequest, Server,
};
use mcpbridge_proto::{Client, visible_line};

use crate::context::Context;
use crate::error::Failure;
use crate::output::time;
use crate::view::{self, StatusView};

pub async fn run(context: &Context) -> Result<(), Failure> {
    let client = context.connect().await?;
    let (status, servers) = fetch(context, &client).await?;
    if context.printer.is_json() {
        return context.printer.json(&StatusView::new(&status, &servers));
    }
    let text = describe(&status, &servers);
    context.printer.data(&context.addressed(&text))
}

pub async fn fetch(
    context: &Context,
    client: &Client,
) -> Result<(GetStatusResponse, Vec<Server>), Failure> {
    let status = client
        .daemon()
        .get_status(GetStatusRequest {})
        .await?
        .into_inner();
    Ok((status, servers(context, client).await?))
}

pub async fn servers(context: &Context, client: &Client) -> Result<Vec<Server>, Failure> {
    let reply = client.servers().list_servers(ListServersRequest {}).await?;
    let servers = reply.into_inner().servers.into_iter();
    Ok(servers.map(|server| context.server(server)).collect())
}

fn describe(status: &GetStatusResponse, servers: &[Server]) -> String {
    let usable = servers
        .iter()
        .filter(|server| {
            !matches!(
                server.state(),
                CredentialState::NeedsLogin | CredentialState::LoggedOut
            )
        })
        .count();
    let mut text = format!(
        "daemon     running, version {}, pid {}\n\
         clients    {}\n\
         listening  {}\n\
         started    {}\n\
         directory  {}\n\
         socket     {}\n\
         vault key  {}\n\
         log        {}\n\
         servers    {} configured, {usable} usable\n",
        status.version,
        status.pid,
        status.base_url,
        status.listen.join(", "),
        time::for_people(status.started_at).unwrap_or_default(),
        status.config_dir,
        status.socket,
        status.key_store,
        status.log_destination,
        servers.len(),
    );
    if !status.config_problem.is_empty() {
        let problem = visible_line(&status.config_problem);
        let remedy = visible_line(&status.config_remedy);
        text.push_str(&format!(
            "\nconfig.json is not followed, what it said before counts: {problem}\n  {remedy}\n"
        ));
    }
    if !status.restart_settings.is_empty() {
        let settings = status.restart_settings.join(", ");
        text.push_str(&format!(
            "\nchanged in config.json, and counts after a restart: {settings}\n  \
             run: mcpbridgectl restart\n"
        ));
    }
    if status.pending_approvals > 0 {
        let calls = match status.pending_approvals {
            1 => "1 call waits".to_owned(),
            count => format!("{count} calls wait"),
        };
        text.push_str(&format!(
            "\n{calls} for a decision\n  run: mcpbridgectl approvals\n"
        ));
    }
    text.extend(servers.iter().map(attention));
    text
}

/// What a person should see to at one server, and how. Empty if nothing.
pub fn attention(server: &Server) -> String {
    let mut text = String::new();
    if !server.remedy.is_empty() {
        text.push_str(&trouble(server));
    }
    if server.changes > 0 {
        text.push_str(&format!(
            "\n{0}: {1}, so its calls ask\n  run: mcpbridgectl tools {0} --changes\n",
            server.name,
            waiting(server.changes as usize),
        ));
    }
    text
}

/// How many changes of tools a person has not approved.
pub fn waiting(changes: usize) -> String {
    match changes {
        1 => "1 change of its tools waits for approval".to_owned(),
        count => format!("{count} changes of its tools wait for approval"),
    }
}

fn trouble(server: &Server) -> String {
    let mut told = format!("\n{}: {}", server.name, view::state(server));
    if !server.reason.is_empty() {
        told.push_str(&format!(", {}", visible_line(&server.reason)));
    }
    if !server.remedy.is_empty() {
        told.push_str(&format!("\n  run: {}", visible_line(&server.remedy)));
    }
    told.push('\n');
    told
}

#[cfg(test)]
mod tests {
    use mcpbridge_proto::v1::CredentialState;

    use super::*;

    #[test]
    fn a_server_in_trouble_is_named_with_reason_and_remedy() {
        let server = Server {
            name: "stripe".to_owned(),
            state: CredentialState::NeedsLogin.into(),
            reason: "the grant was revoked".to_owned(),
            remedy: "mcpbridgectl login stripe".to_owned(),
            ..Server::default()
        };
        let changed = Server {
            name: "gh".to_owned(),
            changes: 2,
            ..Server::default()
        };
        let servers = [changed, server, Server::default()];
        let text = describe(&GetStatusResponse::default(), &servers);
        assert!(text.contains("3 configured, 2 usable"), "{text}");
        assert!(
            text.ends_with(
                "\ngh: 2 changes of its tools wait for approval, so its calls ask\n  \
                 run: mcpbridgectl tools gh --changes\n\
                 \nstripe: needs_login, the grant was revoked\n  run: mcpbridgectl login stripe\n"
            ),
            "{text}"
        );
    }
}
