//! The one place where an error becomes a gRPC status.

use std::error::Error;

use mcpbridge_proto::{Fault, Reason};
use tonic::Status;

use crate::error::{Classify, ErrorKind, chain};

/// For `map_err`: the whole chain as the message, the hint beside it.
pub(super) fn of<E: Classify + 'static>(error: E) -> Status {
    let fault = Fault {
        reason: reason(error.kind()),
        message: chain(&error),
        hint: error.hint(),
    };
    if fault.reason == Reason::Internal {
        tracing::error!(error = fault.message, "internal error");
    }
    fault.into_status()
}

/// A field of the request that cannot be used.
pub(super) fn invalid(field: &str, error: &dyn Error) -> Status {
    invalid_text(format!("{field}: {}", chain(error)))
}

/// A request that cannot be used, and why.
pub(super) fn invalid_text(message: impl Into<String>) -> Status {
    let message = message.into();
    Fault {
        reason: Reason::InvalidInput,
        message,
        hint: None,
    }
    .into_status()
}

/// A request that cannot be meant.
pub(super) fn refuse(message: &str) -> Status {
    Fault {
        reason: Reason::InvalidInput,
        message: message.to_owned(),
        hint: None,
    }
    .into_status()
}

fn reason(kind: ErrorKind) -> Reason {
    match kind {
        ErrorKind::InvalidInput => Reason::InvalidInput,
        ErrorKind::NotFound => Reason::NotFound,
        ErrorKind::Conflict => Reason::Conflict,
        ErrorKind::NeedsLogin => Reason::NeedsLogin,
        ErrorKind::Denied => Reason::Denied,
        ErrorKind::TimedOut => Reason::TimedOut,
        ErrorKind::Unavailable => Reason::Unavailable,
        ErrorKind::UpstreamFault => Reason::UpstreamFault,
        ErrorKind::Internal => Reason::Internal,
    }
}
