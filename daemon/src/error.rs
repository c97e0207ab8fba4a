//! The one vocabulary of failure that crosses modules.
//!
//! Each module has its own error enum, named for what failed there. What they share is [`Classify`]:
//! the kind decides the gRPC status, the HTTP status and the exit code, each in exactly one file.

use std::error::Error;

/// What kind of failure an error is, for whoever has to answer for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The caller's input is wrong and will stay wrong.
    InvalidInput,
    NotFound,
    /// The thing exists, or its state forbids the operation.
    Conflict,
    /// A person has to sign in first.
    NeedsLogin,
    /// Refused by policy, by a person, or for who the caller is.
    Denied,
    TimedOut,
    /// May work later without anyone changing anything.
    Unavailable,
    /// A server on the other side broke its contract.
    UpstreamFault,
    /// A bug or a broken machine.
    Internal,
}

/// Implemented by every error that reaches a surface.
pub trait Classify: Error {
    fn kind(&self) -> ErrorKind;

    /// What the person should do next, as a full sentence or a command. None when the message says it.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The message of `error` followed by those of its sources, joined by `: `.
///
/// By convention `Display` of an error never includes its source, so nothing is said twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// `text` as a sentence, and `hint` as another where there is one.
pub fn sentences(text: &str, hint: Option<String>) -> String {
    let Some(hint) = hint else {
        return format!("{text}.");
    };
    let mut rest = hint.chars();
    let first = rest.next().map(char::to_uppercase);
    let first: String = first.into_iter().flatten().collect();
    format!("{text}. {first}{}", rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn chain_joins_every_cause_once() {
        let error = Outer(std::io::Error::other("inner"));
        assert_eq!(chain(&error), "outer: inner");
        assert_eq!(sentences("outer", None), "outer.");
        let hint = Some("run `x`".to_owned());
        assert_eq!(sentences("outer", hint), "outer. Run `x`");
    }
}
