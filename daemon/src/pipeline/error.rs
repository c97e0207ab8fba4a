//! Why a call did not reach its server, or its answer not the client.

use super::hold::SealError;
use crate::approval::{ApprovalError, ClaimError};
use crate::clients::ClientError;
use crate::credentials::{CredentialError, login_command};
use crate::error::{Classify, ErrorKind, chain};
use crate::mcp::canonical::CanonicalError;
use crate::mcp::{EnvelopeError, HeaderMismatch};
use crate::store::StoreError;
use crate::types::{ServerName, shell_word};
use crate::upstream::UpstreamError;

/// Of a tool's name, which clients choose.
pub(super) const NAME_SHOWN: usize = 128;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no server is configured under this name")]
    UnknownServer,
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Headers(#[from] HeaderMismatch),
    #[error("the arguments cannot be judged")]
    Arguments(#[from] CanonicalError),
    #[error("{0}")]
    Media(&'static str),
    #[error("{}", refusal(.server, .tool, .rule.as_deref()))]
    Refused {
        server: ServerName,
        tool: String,
        rule: Option<String>,
        /// The tool is not in the lists that this caller gets either.
        hidden: bool,
    },
    #[error("{} needs approval, and nobody can answer a call without an id", cut(.0))]
    NoId(String),
    #[error("{} needs approval; send this call alone, not in an array", cut(.0))]
    NotAlone(String),
    #[error("{0}")]
    State(&'static str),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("the call cannot be recorded, so it is not sent")]
    NotRecorded(#[source] StoreError),
    /// Nobody hears this.
    #[error("the client took the call back")]
    Cancelled,
    /// Nobody hears this either.
    #[error("whoever made the call cannot put down that it is sent, so it is not")]
    Withheld,
    #[error(
        "the policy, the tool or the address of {0} changed while this call waited, so it was not sent"
    )]
    Overtaken(ServerName),
    #[error("the changed arguments cannot be put into the call")]
    Unwritable,
    #[error("the bridge answers {0} calls already, as many as max_streams in config.json allows")]
    Busy(usize),
    /// The client's token does not let it in.
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("{0} refuses the credential it was given")]
    Unauthorized(ServerName),
    #[error("{0} wants a credential, and was added with --no-auth")]
    WantsCredential(ServerName),
    #[error("{server} wants more permission than the sign-in gave: {}", listed(.scopes))]
    InsufficientScope {
        server: ServerName,
        scopes: Vec<String>,
    },
    #[error("{0} refuses this request (HTTP status 403)")]
    Forbidden(ServerName),
    /// The era probe failed in a way that says nothing about the era.
    #[error("{0} does not offer server/discover")]
    NoDiscovery(ServerName),
    #[error("{server} redirects to another address (HTTP status {status}), which is not followed")]
    Redirected { server: ServerName, status: u16 },
    #[error("{server} answers with HTTP status {status}, which nobody asked for")]
    Unasked { server: ServerName, status: u16 },
    /// Something in it has to be seen before it may pass.
    #[error("the answer of {server} is not passed on: {why}")]
    Unreadable {
        server: ServerName,
        why: &'static str,
    },
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// Scopes as a person reads them.
fn listed(scopes: &[String]) -> String {
    match scopes {
        [] => "insufficient_scope".to_owned(),
        scopes => scopes.join(" "),
    }
}

fn refusal(server: &ServerName, tool: &str, rule: Option<&str>) -> String {
    let source = match rule {
        Some(rule) => format!("the rule {rule:?}"),
        None => "the default".to_owned(),
    };
    let tool = cut(tool);
    format!("the tool {tool:?} of {server} is denied by {source} of its policy")
}

fn cut(tool: &str) -> &str {
    &tool[..tool.floor_char_boundary(NAME_SHOWN)]
}

impl CallError {
    /// What a client is told: everything, and what to do about it.
    pub fn told(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{}; {hint}", chain(self)),
            None => chain(self),
        }
    }

    /// The tool that is to be answered for as if the server had none of this name.
    pub fn hidden_tool(&self) -> Option<&str> {
        match self {
            Self::Refused {
                hidden: true, tool, ..
            }
            | Self::Client(ClientError::OtherTool { tool, .. }) => Some(tool),
            _ => None,
        }
    }

    /// Whether nothing can have reached the server, or it refused the call before acting.
    pub(super) fn is_before_sending(&self) -> bool {
        match self {
            Self::Credential(_) | Self::Unauthorized(_) | Self::WantsCredential(_) => true,
            Self::Upstream(error) => error.is_before_sending(),
            _ => false,
        }
    }
}

impl Classify for CallError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownServer => ErrorKind::NotFound,
            Self::Envelope(_) | Self::Headers(_) | Self::Arguments(_) | Self::Media(_) => {
                ErrorKind::InvalidInput
            }
            Self::State(_) => ErrorKind::InvalidInput,
            Self::Refused { .. } | Self::Forbidden(_) | Self::NoId(_) | Self::NotAlone(_) => {
                ErrorKind::Denied
            }
            Self::Approval(error) => error.kind(),
            Self::Claim(error) => error.kind(),
            Self::NotRecorded(error) => error.kind(),
            Self::Cancelled => ErrorKind::TimedOut,
            Self::Withheld => ErrorKind::Unavailable,
            Self::Overtaken(_) => ErrorKind::Conflict,
            Self::Seal(_) | Self::Unwritable => ErrorKind::Internal,
            Self::Busy(_) => ErrorKind::Unavailable,
            Self::Client(error) => error.kind(),
            Self::Credential(error) => error.kind(),
            Self::Unauthorized(_) | Self::WantsCredential(_) | Self::InsufficientScope { .. } => {
                ErrorKind::NeedsLogin
            }
            Self::NoDiscovery(_)
            | Self::Redirected { .. }
            | Self::Unasked { .. }
            | Self::Unreadable { .. } => ErrorKind::UpstreamFault,
            Self::Upstream(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownServer => Some(
                "`mcpbridgectl list` shows the configured servers; `mcpbridgectl add NAME URL` adds \
                 one"
                .to_owned(),
            ),
            // A cut name would name another tool, and no real one is so long.
            Self::Refused { tool, .. } if tool.len() > NAME_SHOWN => None,
            Self::Refused { server, tool, .. } => Some(format!(
                "to permit it, the user can run `mcpbridgectl policy set {server} {} allow`",
                shell_word(tool)
            )),
            Self::NoId(_) | Self::NotAlone(_) => None,
            Self::Overtaken(_) => Some("make the call again".to_owned()),
            Self::Approval(error) => error.hint(),
            Self::NotRecorded(error) => error.hint(),
            Self::Client(error) => error.hint(),
            Self::Credential(error) => error.hint(),
            Self::WantsCredential(server) => Some(format!(
                "remove it and add it again: `mcpbridgectl remove {server}`, then `mcpbridgectl add` \
                 without --no-auth"
            )),
            Self::Unauthorized(server) => Some(format!("run `{}`", login_command(server, &[]))),
            Self::InsufficientScope { server, scopes } if scopes.is_empty() => Some(format!(
                "the server does not say which; ask for them by name: `mcpbridgectl login {server} \
                 --scope SCOPE`"
            )),
            Self::InsufficientScope { server, scopes } => {
                Some(format!("run `{}`", login_command(server, scopes)))
            }
            Self::Forbidden(_) => {
                Some("the signed-in account may lack the right to do this".to_owned())
            }
            Self::Redirected { server, .. } => Some(format!(
                "remove {server} and add it with the address it redirects to"
            )),
            Self::Upstream(error) => error.hint(),
            Self::Envelope(_) | Self::Headers(_) | Self::Arguments(_) | Self::Media(_) | Self::Busy(_)
            | Self::NoDiscovery(_) | Self::Unasked { .. } | Self::Unreadable { .. } | Self::State(_) | Self::Seal(_)
            | Self::Claim(_) | Self::Cancelled | Self::Withheld | Self::Unwritable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_command_that_permits_the_tool() {
        let error = CallError::Refused {
            server: "stripe".parse().unwrap(),
            tool: "create_refund".to_owned(),
            rule: None,
            hidden: false,
        };
        assert_eq!(
            error.to_string(),
            "the tool \"create_refund\" of stripe is denied by the default of its policy"
        );
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("`mcpbridgectl policy set stripe create_refund allow`"),
            "{hint}"
        );
    }

    #[test]
    fn a_reason_is_told_once() {
        let told = CallError::from(CanonicalError::DuplicateKey("n".to_owned())).told();
        assert_eq!(
            told,
            "the arguments cannot be judged: the key \"n\" occurs twice in one object"
        );
    }

    #[test]
    fn an_endless_tool_name_is_not_repeated_at_length() {
        let error = CallError::Refused {
            server: "a".parse().unwrap(),
            tool: "x".repeat(1_000_000),
            rule: None,
            hidden: false,
        };
        assert!(error.to_string().len() < 300);
        assert!(error.hint().is_none());
    }

    #[test]
    fn missing_scopes_are_asked_for_by_command() {
        let server = "gh".parse().unwrap();
        let scopes = vec!["repo".to_owned(), "read:org".to_owned()];
        let error = CallError::InsufficientScope { server, scopes };
        assert_eq!(
            error.hint().unwrap(),
            "run `mcpbridgectl login gh --scope repo --scope read:org`"
        );
    }
}
