//! What the process says with its exit code; scripts rely on it.

use std::process::ExitCode;

use mcpbridge_proto::Reason;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Fault = 1,
    Usage = 2,
    Unreachable = 3,
    NotFound = 4,
    Conflict = 5,
    LoginNeeded = 6,
    Denied = 7,
    TimedOut = 8,
    Unavailable = 9,
    /// 128 + SIGINT, as a shell reports it.
    Interrupted = 130,
}

impl Exit {
    /// The same code as `mcpbridged` ended with; both binaries share the table above.
    pub fn from_daemon(code: Option<i32>) -> Self {
        match code {
            Some(2) => Self::Usage,
            Some(4) => Self::NotFound,
            Some(5) => Self::Conflict,
            Some(6) => Self::LoginNeeded,
            Some(7) => Self::Denied,
            Some(8) => Self::TimedOut,
            Some(9) => Self::Unavailable,
            _ => Self::Fault,
        }
    }

    /// The word for it in JSON errors.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::Fault => Reason::Internal.as_str(),
            Self::Usage => Reason::InvalidInput.as_str(),
            Self::Unreachable => "DAEMON_UNREACHABLE",
            Self::NotFound => Reason::NotFound.as_str(),
            Self::Conflict => Reason::Conflict.as_str(),
            Self::LoginNeeded => Reason::NeedsLogin.as_str(),
            Self::Denied => Reason::Denied.as_str(),
            Self::TimedOut => Reason::TimedOut.as_str(),
            Self::Unavailable => Reason::Unavailable.as_str(),
            Self::Interrupted => "INTERRUPTED",
        }
    }
}

impl From<Reason> for Exit {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::InvalidInput => Self::Usage,
            Reason::NotFound => Self::NotFound,
            Reason::Conflict => Self::Conflict,
            Reason::NeedsLogin => Self::LoginNeeded,
            Reason::Denied => Self::Denied,
            Reason::TimedOut => Self::TimedOut,
            Reason::Unavailable => Self::Unavailable,
            Reason::UpstreamFault | Reason::Internal => Self::Fault,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_documented_code() {
        let codes: Vec<u8> = Reason::ALL
            .into_iter()
            .map(|reason| Exit::from(reason) as u8)
            .collect();
        assert_eq!(codes, [2, 4, 5, 6, 7, 8, 9, 1, 1]);
    }

    #[test]
    fn a_code_of_the_daemon_is_passed_on() {
        for exit in [Exit::Usage, Exit::Conflict, Exit::Unavailable] {
            assert_eq!(Exit::from_daemon(Some(i32::from(exit as u8))), exit);
        }
        assert_eq!(Exit::from_daemon(None), Exit::Fault);
    }
}
