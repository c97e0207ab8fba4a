//! How a command fails: an exit code, one message, its causes, and what to do next.

use std::error::Error;
use std::io;

use clap::error::ErrorKind;
use mcpbridge_proto::{EndpointError, Fault, is_disconnect};
use serde::Serialize;
use tonic::Status;

use crate::exit::Exit;

#[derive(Debug)]
pub enum Failure {
    /// Nobody reads our output any more, which is no fault of the command.
    BrokenPipe,
    Report(Box<Report>),
}

#[derive(Debug)]
pub struct Report {
    pub exit: Exit,
    reason: &'static str,
    pub message: String,
    pub causes: Vec<String>,
    pub hints: Vec<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Report(Box::new(Report {
            exit,
            reason: exit.reason(),
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }))
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An operation of this machine that failed.
    pub fn local(message: impl Into<String>, cause: &dyn Error) -> Self {
        Self::new(Exit::Fault, message).because(cause)
    }

    pub fn because(mut self, cause: &dyn Error) -> Self {
        if let Self::Report(report) = &mut self {
            let mut next = Some(cause);
            while let Some(cause) = next {
                report.causes.push(cause.to_string());
                next = cause.source();
            }
        }
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Report(report) = &mut self {
            report.hints.push(hint.into());
        }
        self
    }

    /// Passes every text through `rewrite`, before it is shown.
    pub fn rewritten(mut self, rewrite: impl Fn(&str) -> String) -> Self {
        if let Self::Report(report) = &mut self {
            report.message = rewrite(&report.message);
            for text in report.causes.iter_mut().chain(&mut report.hints) {
                *text = rewrite(text);
            }
        }
        self
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::BrokenPipe => Exit::Done,
            Self::Report(report) => report.exit,
        }
    }
}

impl Report {
    /// `{"error":{"reason","message","hint"}}`: the shape of every error under `--json`.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: Body<'a>,
        }
        #[derive(Serialize)]
        struct Body<'a> {
            reason: &'a str,
            message: String,
            hint: Option<String>,
        }
        let mut message = self.message.clone();
        for cause in &self.causes {
            message.push_str(": ");
            message.push_str(cause);
        }
        let envelope = Envelope {
            error: Body {
                reason: self.reason,
                message,
                hint: (!self.hints.is_empty()).then(|| self.hints.join("\n")),
            },
        };
        // Serialising strings cannot fail.
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

/// The first paragraph of what clap says is the message, the others what to do next.
impl From<&clap::Error> for Report {
    fn from(error: &clap::Error) -> Self {
        let said = match error.kind() {
            // It is all help then.
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                "the command is not complete\n\nfor more information, try '--help'".to_owned()
            }
            _ => error.to_string(),
        };
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        let mut paragraphs = said
            .split("\n\n")
            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
        Self {
            exit: Exit::Usage,
            reason: Exit::Usage.reason(),
            message: paragraphs.next().unwrap_or_default(),
            causes: Vec::new(),
            hints: paragraphs.collect(),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        if is_disconnect(&status) {
            return Self::new(Exit::Unreachable, "the connection to the daemon was lost")
                .hint("`mcpbridgectl logs` may say why it ended");
        }
        Self::from(Fault::from_status(&status))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Report(Box::new(Report {
            exit: fault.reason.into(),
            reason: fault.reason.as_str(),
            message: fault.message,
            causes: Vec::new(),
            hints: fault.hint.into_iter().collect(),
        }))
    }
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        let failure = Self::usage(error.to_string());
        match error.source() {
            Some(cause) => failure.because(cause),
            None => failure,
        }
    }
}

/// Errors of writing to stdout; everything else says what it was doing with [`Failure::local`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::local("cannot write to standard output", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use mcpbridge_proto::Reason;

    use super::*;
    use crate::cli::Cli;

    fn report(failure: Failure) -> Report {
        match failure {
            Failure::Report(report) => *report,
            Failure::BrokenPipe => panic!("broken pipe"),
        }
    }

    #[test]
    fn what_the_daemon_says_keeps_reason_message_and_hint() {
        let status = Fault {
            reason: Reason::UpstreamFault,
            message: "no metadata".to_owned(),
            hint: Some("pass --issuer".to_owned()),
        }
        .into_status();
        let report = report(status.into());
        assert_eq!(report.exit, Exit::Fault);
        assert_eq!(
            report.to_json(),
            r#"{"error":{"reason":"UPSTREAM_FAULT","message":"no metadata","hint":"pass --issuer"}}"#
        );
    }

    #[test]
    fn causes_join_the_message_in_json() {
        let cause = io::Error::other("disk full");
        let report = report(Failure::local("cannot read", &cause));
        assert_eq!(
            report.to_json(),
            r#"{"error":{"reason":"INTERNAL","message":"cannot read: disk full","hint":null}}"#
        );
    }

    #[test]
    fn a_command_line_that_is_none_has_the_shape_of_other_errors() {
        for (line, message, hint) in [
            (
                "--json list --frob",
                "unexpected argument '--frob' found",
                "Usage: mcpbridgectl list [OPTIONS]",
            ),
            (
                "--json policy set s t perhaps",
                "invalid value 'perhaps' for '<EFFECT>' [possible values: ask, allow, deny]",
                "For more information, try '--help'.",
            ),
            (
                "--json key",
                "the command is not complete",
                "for more information, try '--help'",
            ),
        ] {
            let words = ["mcpbridgectl"].into_iter().chain(line.split(' '));
            let error = Cli::try_parse_from(words).err().unwrap();
            let report = Report::from(&error);
            assert_eq!(report.exit, Exit::Usage);
            let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
            assert_eq!(json["error"]["reason"], "INVALID_INPUT");
            assert_eq!(json["error"]["message"], message, "{line}");
            let hints = json["error"]["hint"].as_str().unwrap();
            assert!(hints.lines().any(|one| one == hint), "{line}: {hints}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_success() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit(), Exit::Done);
    }
}
