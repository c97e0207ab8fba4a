//! `status`: the daemon, and what a person should see to.

use mcpbridge_proto::Client;
use mcpbridge_proto::v1::{
    CredentialState, GetStatusRequest, GetStatusResponse, ListServersRequest, Server,
};

use crate::context::Context;
use crate::error::Failure;
use crate::output::{text, time};
use crate::view::{self, StatusView};

pub async fn run(context: &Context) -> Result<(), Failure> {
    let client = context.connect().await?;
    let (status, servers) = fetch(context, &client).await?;
    if context.printer.is_json() {
        return context.printer.json(&StatusView::new(&status, &servers));
    }
    context.printer.data(&describe(&status, &servers))
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
    for server in servers.iter().filter(|server| !server.remedy.is_empty()) {
        text.push_str(&attention(server));
    }
    text
}

/// One server's trouble and the way out.
pub fn attention(server: &Server) -> String {
    let mut told = format!("\n{}: {}", server.name, view::state(server));
    if !server.reason.is_empty() {
        told.push_str(&format!(", {}", text::line(&server.reason)));
    }
    if !server.remedy.is_empty() {
        told.push_str(&format!("\n  run: {}", text::line(&server.remedy)));
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
        let text = describe(&GetStatusResponse::default(), &[server, Server::default()]);
        assert!(text.contains("2 configured, 1 usable"), "{text}");
        assert!(
            text.ends_with(
                "\nstripe: needs_login, the grant was revoked\n  run: mcpbridgectl login stripe\n"
            ),
            "{text}"
        );
    }
}
