//! What a person is asked, and what became of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::types::{ApprovalId, Decider, Digest, ServerName};

/// One exact tool call that needs a decision. Whoever approves it approves this and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub caller: CallerView,
    pub server: ServerName,
    /// The URL that the call goes to.
    pub address: String,
    pub tool: String,
    /// None when the tool was never seen in a list of the server's tools: it can be approved once,
    /// and not for longer.
    pub tool_digest: Option<Digest>,
    /// The definition as the server gave it, as JSON text.
    pub tool_definition: Option<String>,
    /// Set when it asks because the definition is new or has changed.
    pub change: Option<ChangeView>,
    /// The JSON text that will be sent. In the record of a call that is over they are
    /// without the tokens of clients, and empty when `keep_arguments` is false.
    pub arguments: String,
    /// Of the canonical form of `arguments`.
    pub argument_digest: Digest,
    pub policy_version: Digest,
    /// Why it asks: the rule that decided, in words.
    pub reason: String,
    /// Whether a person may change the arguments.
    pub editable: bool,
    /// Whether an answer counts for which only the asking client vouches.
    pub accepts_weak: bool,
    /// Whether records hold the arguments, or only their digest, once the call is over.
    pub keep_arguments: bool,
}

/// Who asks. `principal` is what an approval is bound to; the rest is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CallerView {
    /// Stays the same when the same program calls again.
    pub principal: String,
    /// Short, for lists and logs.
    pub text: String,
    pub pid: Option<u32>,
    pub uid: Option<u32>,
    pub exe: Option<String>,
    pub cwd: Option<String>,
    /// Name of the client token that came with the call.
    pub client: Option<String>,
    /// What the client says it is. Anybody can say anything.
    pub client_info: Option<String>,
}

/// How the tool's definition differs from the one that was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// `new`, or how much a change matters, such as `cosmetic` or `schema`.
    pub severity: String,
    /// Line by line; `-` before what is gone, `+` before what is new.
    pub diff: String,
}

impl Action {
    /// Equal for calls that are the same call made again. The policy's version is left out, because
    /// a call under another policy replaces the earlier one.
    pub(super) fn key(&self) -> Digest {
        let tool_digest = self.tool_digest.as_ref();
        Digest::of_parts([
            self.caller.principal.as_bytes(),
            self.server.as_str().as_bytes(),
            self.address.as_bytes(),
            self.tool.as_bytes(),
            tool_digest.map_or(&[][..], |digest| digest.as_bytes()),
            self.argument_digest.as_bytes(),
        ])
    }

    /// Memory that it takes, near enough.
    pub(super) fn size(&self) -> usize {
        let optional = |text: Option<&String>| text.map_or(0, String::len);
        self.arguments.len()
            + optional(self.tool_definition.as_ref())
            + optional(self.change.as_ref().map(|change| &change.diff))
            + self.reason.len()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has decided yet.
    Pending,
    /// It may run, once.
    Approved,
    Denied,
    /// Nobody decided in time, or nobody called again in time after the approval.
    Expired,
    /// The question has become pointless: the policy or the server is another one now.
    Withdrawn,
    /// It was handed over for sending and has not ended.
    Executing,
    Done,
    /// The server, or the way to it, said no.
    Failed,
    /// It may have run or not: the answer was lost.
    OutcomeUnknown,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of an approval: use one of {states}", states = State::names())]
pub struct InvalidState(pub String);

impl State {
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Withdrawn,
        Self::Executing,
        Self::Done,
        Self::Failed,
        Self::OutcomeUnknown,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Executing => "executing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    /// Whether anything can still happen to it.
    pub fn is_live(self) -> bool {
        self.is_open() || self == Self::Executing
    }

    /// Whether a repeated call joins it, and time ends it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Approved)
    }

    fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl FromStr for State {
    type Err = InvalidState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| InvalidState(text.chars().take(40).collect()))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A question and its answer, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub id: ApprovalId,
    pub action: Arc<Action>,
    pub state: State,
    pub asked_at: Timestamp,
    /// When it expires, while it is pending or approved.
    pub expires_at: Timestamp,
    /// How long a question, and then an approval, stands.
    pub patience_seconds: u32,
    pub decision: Option<Decision>,
    /// What will be sent instead of the arguments that were asked for.
    pub edited: Option<Edited>,
    /// How often it was handed over for sending; more than once when the server asked for more input
    /// or was not reached.
    pub runs: u32,
    /// The run that the server answered with a question of its own: only a call that brings the answer
    /// to that goes on from there.
    pub input_run: Option<u32>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Why it ended as it did, when there is something to say.
    pub outcome: Option<String>,
    /// The same call was made before and is under way, or what became of it is not known.
    pub earlier: Option<ApprovalId>,
}

/// Arguments that a person put in place of those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    pub arguments: String,
    pub argument_digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub approved: bool,
    pub by: Decider,
    pub at: Timestamp,
    /// For the model to read.
    pub reason: Option<String>,
    pub remember: Remember,
    /// The standing permission that decided.
    pub grant: Option<ApprovalId>,
}

/// How long an approval counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Remember {
    /// For this call.
    #[default]
    Once,
    /// For all calls of this tool by the same caller, as long as the tool stays as it is.
    For { seconds: u32 },
    /// For calls of this tool by anybody, or for those with the same arguments, as long as the
    /// tool stays as it is.
    Always { arguments: bool },
}

/// What a person says to one or more questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Approve {
        remember: Remember,
        /// A JSON object to send instead.
        arguments: Option<String>,
    },
    Deny {
        /// For the model to read.
        reason: Option<String>,
    },
}

impl Verdict {
    /// Approves this call and nothing else.
    pub fn approve() -> Self {
        Self::Approve {
            remember: Remember::Once,
            arguments: None,
        }
    }
}

/// How the sending of an approved call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The server answered.
    Done,
    /// The server refused it, or answered with an error.
    Failed { why: String },
    /// Nothing has left for the server. The call may be made again.
    NotSent { why: String },
    /// The server needs more from the client, which will call again.
    InputRequired,
    /// It may have arrived; the answer did not.
    Unknown { why: String },
}

impl Item {
    /// The JSON text that will be, or was, sent; empty when it was not kept.
    pub fn arguments(&self) -> &str {
        match &self.edited {
            Some(edited) => &edited.arguments,
            None => &self.action.arguments,
        }
    }

    pub fn argument_digest(&self) -> Digest {
        match &self.edited {
            Some(edited) => edited.argument_digest,
            None => self.action.argument_digest,
        }
    }

    /// Whether a standing permission decided, and not somebody who saw it.
    pub fn is_granted(&self) -> bool {
        self.decision
            .as_ref()
            .is_some_and(|decision| decision.grant.is_some())
    }

    /// What happened to it, as a clause that follows "it was" or "already".
    pub fn standing(&self) -> String {
        let decided = self.decision.as_ref();
        let by = decided
            .map(|decision| format!(" by {} at {}", decision.by, at(decision.at)))
            .unwrap_or_default();
        match self.state {
            State::Pending => "undecided".to_owned(),
            State::Approved => format!("approved{by}"),
            State::Denied => format!("denied{by}"),
            State::Expired if decided.is_some_and(|decision| decision.approved) => {
                format!("approved{by}, and expired before it was called again")
            }
            State::Expired => format!("expired at {}", at(self.expires_at)),
            State::Withdrawn => {
                let when = self.ended_at.unwrap_or(self.asked_at);
                format!("withdrawn at {}", at(when))
            }
            State::Executing => format!("approved{by}, and is running"),
            State::Done => format!("approved{by}, and has run"),
            State::Failed => format!("approved{by}, and has failed"),
            State::OutcomeUnknown => format!("approved{by}; whether it has run is not known"),
        }
    }
}

/// In whole seconds, as nobody decides in fewer.
fn at(when: Timestamp) -> String {
    Timestamp::from_second(when.as_second())
        .unwrap_or(when)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>().unwrap(), state);
            let json = serde_json::to_value(state).unwrap();
            assert_eq!(json, state.as_str());
        }
        let error = "asleep".parse::<State>().unwrap_err();
        assert!(error.to_string().contains("outcome_unknown"), "{error}");
    }
}
