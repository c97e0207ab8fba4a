//! A client that identified itself with a token, and what the token is good for.

use std::sync::Arc;

use super::{ClientName, Pattern, ServerName};

/// How a client's token begins: it is ours. Other values of `Authorization` are for somebody else.
pub const CLIENT_TOKEN_PREFIX: &str = "mcpb_";

/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    name: ClientName,
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
    pub fn named(name: ClientName, scope: Scope) -> Self {
        Self {
            name,
            scope: Arc::new(scope),
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
