//! Why a client is not let in, or its token not made.

use crate::error::{Classify, ErrorKind};
use crate::store::StoreError;
use crate::types::{ClientName, ServerName, shell_word};

/// Of a tool's name, which clients choose.
const NAME_SHOWN: usize = 128;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("this bridge serves only clients that send a token of their own")]
    Missing,
    #[error("the client token is not one of this bridge, or was revoked")]
    Unknown,
    #[error("the token of the client {0} has expired")]
    Expired(ClientName),
    #[error("the Authorization header does not hold exactly one client token")]
    Malformed,
    #[error("the token of the client {client} is not made for the server {server}")]
    OtherServer {
        client: ClientName,
        server: ServerName,
    },
    #[error("the token of the client {client} is not made for the tool {:?} of {server}", cut(.tool))]
    OtherTool {
        client: ClientName,
        server: ServerName,
        tool: String,
    },
    #[error("there is a client named {0} already")]
    Exists(ClientName),
    #[error("there is no client named {0}")]
    NotFound(ClientName),
    #[error("there are {0} clients already")]
    TooMany(usize),
    #[error("a token can name at most {0} servers and as many tools")]
    TooWide(usize),
    #[error("the operating system gave no random numbers")]
    NoRandomness,
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn cut(tool: &str) -> &str {
    &tool[..tool.floor_char_boundary(NAME_SHOWN)]
}

impl Classify for ClientError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing
            | Self::Unknown
            | Self::Expired(_)
            | Self::Malformed
            | Self::OtherServer { .. }
            | Self::OtherTool { .. } => ErrorKind::Denied,
            Self::Exists(_) | Self::TooMany(_) => ErrorKind::Conflict,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::TooWide(_) => ErrorKind::InvalidInput,
            Self::NoRandomness => ErrorKind::Internal,
            Self::Store(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing => Some(
                "the user can run `mcpbridgectl client add NAME` and let the client send what it \
                 prints as `Authorization: Bearer TOKEN`"
                    .to_owned(),
            ),
            Self::Unknown => Some(
                "`mcpbridgectl client list` shows the clients, `mcpbridgectl client add NAME` makes a \
                 new token; without any, the client must not send one"
                    .to_owned(),
            ),
            Self::Expired(client) => Some(format!(
                "the user can run `mcpbridgectl client revoke {client}` and make a new one with \
                 `mcpbridgectl client add {client}`"
            )),
            Self::Malformed => {
                Some("send one header `Authorization: Bearer TOKEN`".to_owned())
            }
            Self::OtherServer { client, server } => Some(format!(
                "the user can make a wider one: `mcpbridgectl client revoke {client}`, then \
                 `mcpbridgectl client add {client} --server {server}`"
            )),
            // A cut name would name another tool, and no real one is so long.
            Self::OtherTool { tool, .. } if tool.len() > NAME_SHOWN => None,
            Self::OtherTool {
                client,
                server,
                tool,
            } => Some(format!(
                "the user can make a wider one: `mcpbridgectl client revoke {client}`, then \
                 `mcpbridgectl client add {client} --server {server} --tool {}`",
                shell_word(tool)
            )),
            Self::Exists(client) => Some(format!(
                "use another name, or revoke the present one: `mcpbridgectl client revoke {client}`"
            )),
            Self::NotFound(_) => Some("`mcpbridgectl client list` shows the clients".to_owned()),
            Self::TooMany(_) => Some(
                "revoke those that are not used: `mcpbridgectl client list` shows them".to_owned(),
            ),
            Self::TooWide(_) => Some("leave them out to permit all, or use patterns".to_owned()),
            Self::NoRandomness => None,
            Self::Store(error) => error.hint(),
        }
    }
}
