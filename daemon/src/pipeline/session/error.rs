//! Why a request of our own got no usable answer.

use crate::error::{Classify, ErrorKind};
use crate::pipeline::CallError;
use crate::types::ServerName;

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{server} answered with HTTP status {status}")]
    Status { server: ServerName, status: u16 },
    #[error("{server} refused {method}: {message} (code {code})")]
    Refused {
        server: ServerName,
        method: &'static str,
        code: i64,
        message: String,
    },
    #[error("{server} did not answer {method} as MCP says: {problem}")]
    Malformed {
        server: ServerName,
        method: &'static str,
        problem: String,
    },
    #[error("{server} did not answer {method} in time")]
    TimedOut {
        server: ServerName,
        method: &'static str,
    },
}

impl Classify for SessionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Call(error) => error.kind(),
            Self::Refused { code, .. } if *code == i64::from(crate::mcp::codes::INVALID_PARAMS) => {
                ErrorKind::InvalidInput
            }
            Self::Status { .. } | Self::Refused { .. } | Self::Malformed { .. } => {
                ErrorKind::UpstreamFault
            }
            Self::TimedOut { .. } => ErrorKind::TimedOut,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Call(error) => error.hint(),
            _ => None,
        }
    }
}
