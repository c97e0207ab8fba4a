//! A client that identified itself with a token, and what the token is good for.

use std::borrow::Cow;
use std::sync::Arc;

use super::{ClientName, Digest, Pattern, ServerName};

/// How a client's token begins: it is ours. Other values of `Authorization` are for somebody else.
pub const CLIENT_TOKEN_PREFIX: &str = "mcpb_";
/// What follows it: 256 random bits in base64url.
const TOKEN_LENGTH: usize = 43;

/// Whether there may be a token of ours in a header's value.
pub fn may_hold_client_token(value: &[u8]) -> bool {
    let prefix = CLIENT_TOKEN_PREFIX.as_bytes();
    value.windows(prefix.len()).any(|window| window == prefix)
}

/// `text` for a record, without the tokens in it: whoever has one is let in as that client. Nothing
/// else is left out, or a caller could keep what it does out of the records.
pub fn without_client_tokens(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut done = 0;
    for (at, prefix) in text.match_indices(CLIENT_TOKEN_PREFIX) {
        let start = at + prefix.len();
        if start < done {
            continue;
        }
        let random = text.as_bytes().iter().skip(start);
        let length = random.take_while(|byte| is_base64url(**byte)).count();
        if length < TOKEN_LENGTH {
            continue;
        }
        masked.push_str(&text[done..start]);
        masked.push_str("[redacted]");
        done = start + length;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[done..]);
    Cow::Owned(masked)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Cheap to clone. Two tokens that were issued for the same name are two clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    name: ClientName,
    /// The hash of its token; None for a client that has none.
    token: Option<Digest>,
    scope: Arc<Scope>,
}

/// Which calls a token may be used for. Within it, policy decides as for everybody else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Empty for all servers, also those added later.
    pub servers: Vec<ServerName>,
    /// Empty for all tools.
    pub tools: Vec<Pattern>,
}

impl Client {
    /// A client as rules see it, with no token.
    pub fn named(name: ClientName, scope: Scope) -> Self {
        Self {
            name,
            token: None,
            scope: Arc::new(scope),
        }
    }

    /// The client that has the token of which `token` is the hash.
    pub fn issued(name: ClientName, scope: Scope, token: Digest) -> Self {
        Self {
            token: Some(token),
            ..Self::named(name, scope)
        }
    }

    /// Tells it from all others, also from one to which its name was given later: what a person
    /// allowed to the one is nothing the other may use.
    pub fn principal(&self) -> String {
        match &self.token {
            Some(token) => format!("client:{} token:{}", self.name, token.short()),
            None => format!("client:{}", self.name),
        }
    }

    pub fn name(&self) -> &ClientName {
        &self.name
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it may use anything of `server`.
    pub fn may_use(&self, server: &ServerName) -> bool {
        self.scope.servers.is_empty() || self.scope.servers.contains(server)
    }

    /// Whether it may call, and see, `tool` of `server`.
    pub fn may(&self, server: &ServerName, tool: &str) -> bool {
        let tools = &self.scope.tools;
        self.may_use(server)
            && (tools.is_empty() || tools.iter().any(|pattern| pattern.matches(tool)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(servers: &[&str], tools: &[&str]) -> Client {
        let scope = Scope {
            servers: servers.iter().map(|name| name.parse().unwrap()).collect(),
            tools: tools
                .iter()
                .map(|glob| Pattern::parse(glob).unwrap())
                .collect(),
        };
        Client::named("ci".parse().unwrap(), scope)
    }

    #[test]
    fn whole_tokens_are_left_out_of_records_and_nothing_else() {
        let random = "aB3-_".repeat(9);
        let token = format!("mcpb_{}", &random[..TOKEN_LENGTH]);
        for (text, expected) in [
            (
                format!("a {token} b {token}"),
                "a mcpb_[redacted] b mcpb_[redacted]",
            ),
            (
                format!("{{\"t\":\"{token}\"}}"),
                r#"{"t":"mcpb_[redacted]"}"#,
            ),
            (format!("mcpb_{token}x"), "mcpb_[redacted]"),
            (format!("mcpb_é {token}"), "mcpb_é mcpb_[redacted]"),
            ("mcpb_".to_owned(), "mcpb_"),
            (
                r#"{"note":"see mcpb_docs"}"#.to_owned(),
                r#"{"note":"see mcpb_docs"}"#,
            ),
        ] {
            assert_eq!(without_client_tokens(&text), expected);
        }
    }

    #[test]
    fn a_scope_limits_servers_and_tools_and_an_empty_one_nothing() {
        let (gh, stripe) = ("gh".parse().unwrap(), "stripe".parse().unwrap());
        let all = client(&[], &[]);
        assert!(all.may(&gh, "delete_repo") && all.may_use(&stripe));
        let reader = client(&["gh"], &["list_*", "get_me"]);
        assert!(reader.may(&gh, "list_repos") && reader.may(&gh, "get_me"));
        assert!(!reader.may(&gh, "delete_repo"));
        assert!(!reader.may(&stripe, "list_repos") && !reader.may_use(&stripe));
        let tools = client(&[], &["list_*"]);
        assert!(tools.may(&stripe, "list_x") && !tools.may(&stripe, "x"));
    }
}
