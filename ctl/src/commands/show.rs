//! `show`: everything about one server.

use mcpbridge_proto::v1::{GetServerRequest, Server};
use mcpbridge_proto::visible_line;

use crate::context::Context;
use crate::error::Failure;
use crate::output::time;
use crate::view::{self, ServerView};

pub async fn run(context: &Context, name: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let reply = client
        .servers()
        .get_server(GetServerRequest { name })
        .await?;
    let server = context.server(reply.into_inner().server.unwrap_or_default());
    if context.printer.is_json() {
        return context.printer.json(&ServerView::from(&server));
    }
    context.printer.data(&describe(&server))
}

fn describe(server: &Server) -> String {
    let yes = |flag: bool| flag.then(|| "yes".to_owned());
    let some = |value: &str| view::some(value).map(visible_line);
    let fields = [
        ("name", some(&server.name)),
        ("url", some(&server.url)),
        ("use", some(&server.proxy_url)),
        ("auth", some(view::auth(server))),
        ("state", some(view::state(server))),
        ("reason", some(&server.reason)),
        ("run", some(&server.remedy)),
        ("policy", some(&server.policy_default)),
        ("issuer", some(&server.issuer)),
        ("resource", some(&server.resource)),
        ("client id", some(&server.client_id)),
        ("scopes", some(&server.scopes.join(" "))),
        ("expires", time::for_people(server.expires_at)),
        ("refreshable", yes(server.refreshable)),
        ("next refresh", time::for_people(server.next_refresh_at)),
        ("last refresh", time::for_people(server.last_refreshed_at)),
        ("headers", some(&server.header_names.join(", "))),
        ("private net", yes(server.allow_private_network)),
    ];
    fields
        .into_iter()
        .filter_map(|(label, value)| Some(format!("{label:<13} {}\n", value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_facts_are_shown() {
        let server = Server {
            name: "s".to_owned(),
            url: "https://s".to_owned(),
            policy_default: "ask".to_owned(),
            ..Server::default()
        };
        assert_eq!(
            describe(&server),
            "name          s\nurl           https://s\nauth          unknown\n\
             state         unknown\npolicy        ask\n"
        );
    }
}
