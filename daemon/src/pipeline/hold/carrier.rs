//! By which way the asking client itself is told that a call waits for a decision, and how it answers.
//!
//! Whatever it says, the item stays visible everywhere else, and the first answer counts. A form that
//! a client fills in is a weak answer: the client could fill it in itself. A URL only leads to our page.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::approval::Item;
use crate::mcp::canonical::canonical;
use crate::mcp::edit::Members;
use crate::pipeline::client::ClientView;
use crate::types::ServerName;
use crate::types::visible::visible_line;

/// Marks results and notices that are ours, for clients that know us.
pub const MARKER: &str = "io.github.mcp-oauth-bridge/approval";
/// Our key among a client's `inputResponses`.
pub(super) const INPUT_KEY: &str = "io.github.mcp-oauth-bridge/approval";
/// How ids of our own requests begin. The rest is random, so that a server's cannot be equal.
pub(in crate::pipeline) const REQUEST_PREFIX: &str = "mcpbridge-";
/// Characters of a question that is asked in a form.
const FORM_LIMIT: usize = 1_000;
/// Nobody reads and declines so fast: such a client declines by itself.
const REFLEX: SignedDuration = SignedDuration::from_secs(1);

/// How the client can ask its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Url,
    Form,
}

impl Mode {
    /// `weak_counts` is whether an answer that only the client vouches for is accepted.
    pub(super) fn of(client: &ClientView, weak_counts: bool) -> Option<Self> {
        match client {
            ClientView { url: true, .. } => Some(Self::Url),
            ClientView { form: true, .. } if weak_counts => Some(Self::Form),
            _ => None,
        }
    }
}

pub(super) fn marker(item: &Item) -> Value {
    json!({ MARKER: { "id": item.id, "state": item.state } })
}

/// What a form says about a call. None if nobody would read so much in a form: the end of it might
/// stay unseen.
pub(super) fn form(tool: &str, server: &ServerName, arguments: &str) -> Option<String> {
    // As one text for all that mean the same: blanks between tokens could push something out of sight.
    let arguments = visible_line(&canonical(arguments).ok()?);
    let tool = visible_line(tool);
    let text = format!("May {tool} of {server} run with these arguments?\n{arguments}");
    (text.chars().count() <= FORM_LIMIT).then_some(text)
}

/// The params of `elicitation/create`.
pub(super) fn elicitation(item: &Item, mode: Mode, base_url: &str) -> Value {
    let action = &item.action;
    let (tool, server) = (visible_line(&action.tool), &action.server);
    match mode {
        Mode::Url => json!({
            "mode": "url",
            "url": page(base_url, item),
            "message": format!("Decide whether {tool} of {server} may run"),
        }),
        Mode::Form => json!({
            "message": form(&action.tool, server, item.arguments()),
            "requestedSchema": {
                "type": "object",
                "properties": {
                    "decision": {
                        "type": "string",
                        "title": "Decision",
                        "enum": ["approve", "deny"],
                    },
                    "reason": {
                        "type": "string",
                        "title": "Reason",
                        "description": "When it is denied, the model reads this",
                    },
                },
                "required": ["decision"],
            },
        }),
    }
}

pub(super) fn page(base_url: &str, item: &Item) -> String {
    format!("{base_url}/approvals/{}", item.id)
}

/// What the client's answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) enum Reply {
    /// The user went to the page, or put the question off.
    Later,
    Approve,
    Deny {
        reason: Option<String>,
    },
    /// The client cannot ask anybody.
    CannotAsk,
}

impl Reply {
    /// Reads an `ElicitResult` that came `after` the question.
    pub(in crate::pipeline) fn read(json: &RawValue, after: SignedDuration) -> Self {
        #[derive(Deserialize)]
        struct Elicited {
            action: String,
            #[serde(default)]
            content: Option<Content>,
        }
        #[derive(Deserialize)]
        struct Content {
            #[serde(default)]
            decision: String,
            #[serde(default)]
            reason: Option<String>,
        }
        let Ok(elicited) = serde_json::from_str::<Elicited>(json.get()) else {
            return Self::CannotAsk;
        };
        let reason = |content: Option<Content>| content.and_then(|content| content.reason);
        match (elicited.action.as_str(), elicited.content) {
            ("accept", Some(content)) if content.decision == "approve" => Self::Approve,
            ("accept", Some(content)) if content.decision == "deny" => Self::Deny {
                reason: content.reason,
            },
            ("accept", _) => Self::Later,
            ("decline" | "cancel", _) if after < REFLEX => Self::CannotAsk,
            ("decline", content) => Self::Deny {
                reason: reason(content),
            },
            _ => Self::Later,
        }
    }
}

/// Our answer among `inputResponses`.
pub(super) fn our_response(responses: &RawValue) -> Option<&RawValue> {
    Members::of(responses.get()).ok()?.get(INPUT_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, millis: i64) -> Reply {
        let json = RawValue::from_string(json.to_owned()).unwrap();
        Reply::read(&json, SignedDuration::from_millis(millis))
    }

    #[test]
    fn only_a_filled_in_form_decides_and_a_reflex_is_no_answer() {
        let deny = |reason: Option<&str>| Reply::Deny {
            reason: reason.map(str::to_owned),
        };
        for (json, millis, expected) in [
            (r#"{"action":"accept"}"#, 5, Reply::Later),
            (
                r#"{"action":"accept","content":{"decision":"approve"}}"#,
                5,
                Reply::Approve,
            ),
            (
                r#"{"action":"accept","content":{"decision":"yes"}}"#,
                5,
                Reply::Later,
            ),
            (
                r#"{"action":"accept","content":{"decision":"deny","reason":"no"}}"#,
                5,
                deny(Some("no")),
            ),
            (r#"{"action":"decline"}"#, 5000, deny(None)),
            (r#"{"action":"cancel"}"#, 5000, Reply::Later),
            (r#"{"action":"decline"}"#, 200, Reply::CannotAsk),
            (r#"{"action":"cancel"}"#, 200, Reply::CannotAsk),
            ("[]", 5000, Reply::CannotAsk),
        ] {
            assert_eq!(read(json, millis), expected, "{json}");
        }
    }

    #[test]
    fn a_form_shows_all_of_a_call_or_nothing() {
        let server = "up".parse().unwrap();
        let form = |tool, arguments: &str| form(tool, &server, arguments);
        let blanks = " ".repeat(FORM_LIMIT);
        let padded = format!("{{\"a\":1,{blanks}\"b\":\"x\\u202ey\"}}");
        assert_eq!(
            form("pay\u{200b}\nnow", &padded).unwrap(),
            "May pay⟨U+200B⟩ now of up run with these arguments?\n{\"a\":1,\"b\":\"x⟨U+202E⟩y\"}"
        );
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(FORM_LIMIT));
        assert_eq!(form("pay", &long), None);
    }

    #[test]
    fn a_url_is_preferred_and_a_form_is_for_where_it_counts() {
        let client = |form, url| ClientView {
            name: None,
            form,
            url,
        };
        assert_eq!(Mode::of(&client(true, true), true), Some(Mode::Url));
        assert_eq!(Mode::of(&client(true, false), true), Some(Mode::Form));
        assert_eq!(Mode::of(&client(true, false), false), None);
        assert_eq!(Mode::of(&client(false, false), true), None);
    }
}
