//! The shapes that `--json` prints. Scripts rely on them: keys are only ever added.

use jiff::Timestamp;
use mcpbridge_proto::v1::{
    AuditRecord, AuthMode, CredentialState, DefinitionChange, GetStatusResponse, PolicyRule,
    Server, Tool,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::output::time::rfc3339;

#[derive(Serialize)]
pub struct ServerView<'a> {
    name: &'a str,
    url: &'a str,
    proxy_url: &'a str,
    auth: &'static str,
    state: &'static str,
    reason: Option<&'a str>,
    remedy: Option<&'a str>,
    policy: &'a str,
    issuer: Option<&'a str>,
    resource: Option<&'a str>,
    client_id: Option<&'a str>,
    scopes: &'a [String],
    refreshable: bool,
    expires_at: Option<String>,
    next_refresh_at: Option<String>,
    last_refreshed_at: Option<String>,
    headers: &'a [String],
    allow_private_network: bool,
    /// Tools, and instructions, that are not what a person approved.
    changes: u32,
}

#[derive(Serialize)]
pub struct StatusView<'a> {
    version: &'a str,
    pid: u32,
    started_at: Option<String>,
    config_dir: &'a str,
    socket: &'a str,
    listen: &'a [String],
    base_url: &'a str,
    key_store: &'a str,
    log_destination: &'a str,
    /// Why config.json is not followed.
    config_problem: Option<&'a str>,
    config_remedy: Option<&'a str>,
    /// Settings that count after a restart.
    restart_settings: &'a [String],
    servers: Vec<ServerView<'a>>,
    /// Calls that wait for a decision.
    pending_approvals: u32,
}

#[derive(Serialize)]
pub struct ToolView<'a> {
    name: &'a str,
    title: Option<&'a str>,
    description: Option<&'a str>,
    effect: &'a str,
    /// pinned, new, changed or unpinnable.
    standing: &'a str,
    /// As the server sent it.
    definition: Option<&'a RawValue>,
}

#[derive(Serialize)]
pub struct AuditView<'a> {
    seq: u64,
    at: Option<String>,
    kind: &'a str,
    server: Option<&'a str>,
    tool: Option<&'a str>,
    actor: Option<&'a str>,
    approval: Option<&'a str>,
    /// As it stands in the log.
    detail: Option<&'a RawValue>,
    hash: &'a str,
}

#[derive(Serialize)]
pub struct ChangeView<'a> {
    /// None for the server's instructions.
    tool: Option<&'a str>,
    /// new, changed or unpinnable.
    standing: &'a str,
    severity: Option<&'a str>,
    problem: Option<&'a str>,
    digest: &'a str,
    approved_digest: Option<&'a str>,
    since: Option<String>,
    diff: &'a str,
}

#[derive(Serialize)]
pub struct PolicyView<'a> {
    server: &'a str,
    /// None for the server's default.
    tool: Option<&'a str>,
    effect: &'a str,
    /// As in `config.json`; None for a rule by name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<&'a RawValue>,
    /// By which explanations name the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<u32>,
}

/// One line of the NDJSON of `add` and `login`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LoginView<'a> {
    Progress {
        message: &'a str,
    },
    AuthorizationRequired {
        url: &'a str,
        issuer: &'a str,
        redirect_uri: &'a str,
        expires_at: Option<String>,
    },
    /// Something the person did was not accepted; the login goes on.
    Warning {
        message: &'a str,
    },
    Completed {
        server: Box<ServerView<'a>>,
    },
}

impl<'a> From<&'a Server> for ServerView<'a> {
    fn from(server: &'a Server) -> Self {
        Self {
            name: &server.name,
            url: &server.url,
            proxy_url: &server.proxy_url,
            auth: auth(server),
            state: state(server),
            reason: some(&server.reason),
            remedy: some(&server.remedy),
            policy: &server.policy_default,
            issuer: some(&server.issuer),
            resource: some(&server.resource),
            client_id: some(&server.client_id),
            scopes: &server.scopes,
            refreshable: server.refreshable,
            expires_at: rfc3339(server.expires_at),
            next_refresh_at: rfc3339(server.next_refresh_at),
            last_refreshed_at: rfc3339(server.last_refreshed_at),
            headers: &server.header_names,
            allow_private_network: server.allow_private_network,
            changes: server.changes,
        }
    }
}

impl<'a> StatusView<'a> {
    pub fn new(status: &'a GetStatusResponse, servers: &'a [Server]) -> Self {
        Self {
            version: &status.version,
            pid: status.pid,
            started_at: rfc3339(status.started_at),
            config_dir: &status.config_dir,
            socket: &status.socket,
            listen: &status.listen,
            base_url: &status.base_url,
            key_store: &status.key_store,
            log_destination: &status.log_destination,
            config_problem: some(&status.config_problem),
            config_remedy: some(&status.config_remedy),
            restart_settings: &status.restart_settings,
            servers: servers.iter().map(ServerView::from).collect(),
            pending_approvals: status.pending_approvals,
        }
    }
}

impl<'a> From<&'a Tool> for ToolView<'a> {
    fn from(tool: &'a Tool) -> Self {
        Self {
            name: &tool.name,
            title: some(&tool.title),
            description: some(&tool.description),
            effect: &tool.effect,
            standing: &tool.standing,
            definition: serde_json::from_str(&tool.definition_json).ok(),
        }
    }
}

impl<'a> From<&'a AuditRecord> for AuditView<'a> {
    fn from(record: &'a AuditRecord) -> Self {
        Self {
            seq: record.seq,
            at: Timestamp::from_microsecond(record.at)
                .ok()
                .map(|at| at.to_string()),
            kind: &record.kind,
            server: some(&record.server),
            tool: some(&record.tool),
            actor: some(&record.actor),
            approval: some(&record.approval),
            detail: serde_json::from_str(&record.detail_json).ok(),
            hash: &record.hash,
        }
    }
}

impl<'a> From<&'a DefinitionChange> for ChangeView<'a> {
    fn from(change: &'a DefinitionChange) -> Self {
        let definition = change.definition.as_ref();
        Self {
            tool: definition.and_then(|definition| some(&definition.tool)),
            standing: &change.standing,
            severity: some(&change.severity),
            problem: some(&change.problem),
            digest: definition.map_or("", |definition| &definition.digest),
            approved_digest: some(&change.approved_digest),
            since: rfc3339(change.since),
            diff: &change.diff,
        }
    }
}

impl<'a> From<&'a PolicyRule> for PolicyView<'a> {
    fn from(rule: &'a PolicyRule) -> Self {
        Self {
            server: &rule.server,
            tool: some(&rule.tool),
            effect: &rule.effect,
            conditions: serde_json::from_str(&rule.conditions_json).ok(),
            rule: (rule.number > 0).then_some(rule.number),
        }
    }
}

/// What policy says about a call, in words.
pub fn effect_in_words(effect: &str) -> &str {
    match effect {
        "allow" => "always allow",
        "ask" => "always ask",
        "deny" => "never allow",
        other => other,
    }
}

/// The credential's state as scripts and tables name it.
pub fn state(server: &Server) -> &'static str {
    match server.state() {
        CredentialState::Unspecified => "unknown",
        CredentialState::LoggedOut => "logged_out",
        CredentialState::Active => "active",
        CredentialState::Refreshing => "refreshing",
        CredentialState::Backoff => "backoff",
        CredentialState::NeedsLogin => "needs_login",
    }
}

pub fn auth(server: &Server) -> &'static str {
    match server.auth() {
        AuthMode::Unspecified => "unknown",
        AuthMode::Oauth => "oauth",
        AuthMode::Static => "static",
        AuthMode::None => "none",
    }
}

/// The control API says "nothing" with an empty string.
pub fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            name: "stripe".to_owned(),
            url: "https://mcp.stripe.com".to_owned(),
            proxy_url: "http://localhost:3000/mcp/stripe".to_owned(),
            auth: AuthMode::Oauth.into(),
            state: CredentialState::NeedsLogin.into(),
            reason: "the refresh token was revoked".to_owned(),
            remedy: "mcpbridgectl login stripe".to_owned(),
            policy_default: "ask".to_owned(),
            scopes: vec!["read".to_owned()],
            expires_at: 1_700_000_000,
            ..Server::default()
        }
    }

    #[test]
    fn server_shape_is_stable() {
        let server = server();
        let json = serde_json::to_string(&ServerView::from(&server)).unwrap();
        assert_eq!(
            json,
            r#"{"name":"stripe","url":"https://mcp.stripe.com","#.to_owned()
                + r#""proxy_url":"http://localhost:3000/mcp/stripe","auth":"oauth","#
                + r#""state":"needs_login","reason":"the refresh token was revoked","#
                + r#""remedy":"mcpbridgectl login stripe","policy":"ask","issuer":null,"#
                + r#""resource":null,"client_id":null,"scopes":["read"],"refreshable":false,"#
                + r#""expires_at":"2023-11-14T22:13:20Z","next_refresh_at":null,"#
                + r#""last_refreshed_at":null,"headers":[],"allow_private_network":false,"#
                + r#""changes":0}"#
        );
    }

    #[test]
    fn status_shape_is_stable() {
        let status = GetStatusResponse {
            version: "0.1.0".to_owned(),
            pid: 7,
            key_store: "keyring".to_owned(),
            ..GetStatusResponse::default()
        };
        let json = serde_json::to_string(&StatusView::new(&status, &[])).unwrap();
        assert_eq!(
            json,
            r#"{"version":"0.1.0","pid":7,"started_at":null,"config_dir":"","socket":"","#
                .to_owned()
                + r#""listen":[],"base_url":"","key_store":"keyring","log_destination":"","#
                + r#""config_problem":null,"config_remedy":null,"restart_settings":[],"servers":[],"#
                + r#""pending_approvals":0}"#
        );
    }

    #[test]
    fn login_events_name_themselves() {
        let progress = LoginView::Progress { message: "m" };
        assert_eq!(
            serde_json::to_string(&progress).unwrap(),
            r#"{"event":"progress","message":"m"}"#
        );
        let required = LoginView::AuthorizationRequired {
            url: "https://as/authorize",
            issuer: "https://as",
            redirect_uri: "http://localhost:3000/callback",
            expires_at: rfc3339(1_700_000_000),
        };
        assert_eq!(
            serde_json::to_string(&required).unwrap(),
            r#"{"event":"authorization_required","url":"https://as/authorize","#.to_owned()
                + r#""issuer":"https://as","redirect_uri":"http://localhost:3000/callback","#
                + r#""expires_at":"2023-11-14T22:13:20Z"}"#
        );
        let server = server();
        let completed = LoginView::Completed {
            server: Box::new(ServerView::from(&server)),
        };
        let json = serde_json::to_string(&completed).unwrap();
        assert!(json.starts_with(r#"{"event":"completed","server":{"name":"stripe","#));
    }

    #[test]
    fn a_tool_definition_passes_unchanged() {
        let tool = Tool {
            name: "t".to_owned(),
            effect: "ask".to_owned(),
            standing: "new".to_owned(),
            definition_json: r#"{"name":"t","x":1.0}"#.to_owned(),
            ..Tool::default()
        };
        assert_eq!(
            serde_json::to_string(&ToolView::from(&tool)).unwrap(),
            r#"{"name":"t","title":null,"description":null,"effect":"ask","standing":"new","#
                .to_owned()
                + r#""definition":{"name":"t","x":1.0}}"#
        );
    }

    #[test]
    fn the_default_rule_has_no_tool() {
        let rule = PolicyRule {
            server: "s".to_owned(),
            tool: String::new(),
            effect: "deny".to_owned(),
            ..PolicyRule::default()
        };
        assert_eq!(
            serde_json::to_string(&PolicyView::from(&rule)).unwrap(),
            r#"{"server":"s","tool":null,"effect":"deny"}"#
        );
    }
}
