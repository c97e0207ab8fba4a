//! How a failure travels: a gRPC status with a `google.rpc.ErrorInfo` that names its reason.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "mcpbridge";
const HINT: &str = "hint";

/// What kind of failure it is, for scripts and exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    InvalidInput,
    NotFound,
    Conflict,
    NeedsLogin,
    Denied,
    TimedOut,
    Unavailable,
    UpstreamFault,
    Internal,
}

/// One failure as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub reason: Reason,
    pub message: String,
    /// What to do next; None when the message says it.
    pub hint: Option<String>,
}

impl Reason {
    pub const ALL: [Self; 9] = [
        Self::InvalidInput,
        Self::NotFound,
        Self::Conflict,
        Self::NeedsLogin,
        Self::Denied,
        Self::TimedOut,
        Self::Unavailable,
        Self::UpstreamFault,
        Self::Internal,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "INVALID_INPUT",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::NeedsLogin => "NEEDS_LOGIN",
            Self::Denied => "DENIED",
            Self::TimedOut => "TIMED_OUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::UpstreamFault => "UPSTREAM_FAULT",
            Self::Internal => "INTERNAL",
        }
    }

    pub fn code(self) -> Code {
        match self {
            Self::InvalidInput => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::Conflict => Code::FailedPrecondition,
            Self::NeedsLogin => Code::Unauthenticated,
            Self::Denied => Code::PermissionDenied,
            Self::TimedOut => Code::DeadlineExceeded,
            Self::Unavailable => Code::Unavailable,
            Self::UpstreamFault => Code::Unknown,
            Self::Internal => Code::Internal,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// For statuses that gRPC itself made, or a daemon with reasons we do not know.
    fn from_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::InvalidInput,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => Self::Conflict,
            Code::Unauthenticated => Self::NeedsLogin,
            Code::PermissionDenied => Self::Denied,
            Code::DeadlineExceeded => Self::TimedOut,
            Code::Unavailable | Code::ResourceExhausted | Code::Cancelled | Code::Unimplemented => {
                Self::Unavailable
            }
            Code::Unknown => Self::UpstreamFault,
            Code::Ok | Code::Internal | Code::DataLoss => Self::Internal,
        }
    }
}

impl Fault {
    pub fn into_status(self) -> Status {
        let metadata: HashMap<_, _> = self
            .hint
            .map(|hint| (HINT.to_owned(), hint))
            .into_iter()
            .collect();
        let details = ErrorDetails::with_error_info(self.reason.as_str(), DOMAIN, metadata);
        Status::with_error_details(self.reason.code(), self.message, details)
    }

    pub fn from_status(status: &Status) -> Self {
        if status.code() == Code::Unimplemented {
            return Self {
                reason: Reason::Unavailable,
                message: "the running daemon is older than this command".to_owned(),
                hint: Some("restart it: `mcpbridgectl restart`".to_owned()),
            };
        }
        let info = status
            .get_details_error_info()
            .filter(|info| info.domain == DOMAIN);
        let named = info
            .as_ref()
            .and_then(|info| Reason::from_name(&info.reason));
        let message = match status.message() {
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        Self {
            reason: named.unwrap_or_else(|| Reason::from_code(status.code())),
            message,
            hint: info.and_then(|mut info| info.metadata.remove(HINT)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_the_wire_with_its_hint() {
        for reason in Reason::ALL {
            let fault = Fault {
                reason,
                message: "server `x` is not configured".to_owned(),
                hint: Some("run `mcpbridgectl list`".to_owned()),
            };
            let status = fault.clone().into_status();
            assert_eq!(status.code(), reason.code());
            assert_eq!(Fault::from_status(&status), fault);
        }
    }

    #[test]
    fn every_code_that_we_send_maps_back_without_details() {
        for reason in Reason::ALL {
            let bare = Status::new(reason.code(), "m");
            assert_eq!(Fault::from_status(&bare).reason, reason);
        }
    }

    #[test]
    fn an_unknown_call_means_an_older_daemon() {
        let fault = Fault::from_status(&Status::unimplemented(""));
        assert_eq!(fault.reason, Reason::Unavailable);
        assert!(fault.message.contains("older"));
    }

    #[test]
    fn details_of_other_domains_are_not_ours() {
        let details = ErrorDetails::with_error_info("DENIED", "example.com", HashMap::new());
        let status = Status::with_error_details(Code::NotFound, "m", details);
        assert_eq!(Fault::from_status(&status).reason, Reason::NotFound);
    }
}
