//! What is decided about one tool call before anybody is asked: the rules, and what is known of the
//! tool.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::error::CallError;
use super::{Asked, Inner, Pipeline};
use crate::approval::{ChangeView, Item};
use crate::catalog::{ChangeKind, Line, ToolEntry};
use crate::policy::{self, Annotations};
use crate::registry::Server;
use crate::types::{Caller, Effect, ServerName};

/// Why a person is asked about a call that the rules allow.
const DEMANDED: &str = "the rules allow it, but the request that it is part of wants a person to approve \
                        it (require_approval)";

/// What becomes of a call.
pub(super) enum Judgement {
    /// It runs, by this rule.
    Allow {
        rule: Option<String>,
    },
    Ask(Box<Question>),
    Deny(CallError),
}

/// Why a person decides, and what helps them to.
pub(super) struct Question {
    pub(super) reason: String,
    /// The tool as it was listed last.
    pub(super) tool: Option<Arc<ToolEntry>>,
    /// Set when it asks because the definition is not one that somebody approved.
    pub(super) change: Option<ChangeView>,
}

impl Question {
    /// Whether it is the one that `item` puts: the same rules of `server`, the same address that the
    /// call goes to, and the same tool.
    pub(super) fn is_of(&self, item: &Item, server: &Server, address: &str) -> bool {
        let definition = self.tool.as_ref().map(|tool| tool.definition.digest);
        item.action.policy_version == server.policy.version()
            && item.action.address == address
            && item.action.tool_digest == definition
    }
}

impl Pipeline {
    /// Why no call like this can run at the moment, if the rules say so.
    pub fn refusal(
        &self,
        server: &ServerName,
        caller: &Caller,
        (tool, arguments): (&str, &RawValue),
    ) -> Option<CallError> {
        let server = self.inner.server(server.as_str()).ok()?;
        match self
            .inner
            .judge(&server, caller, (tool, Some(arguments)), None)
        {
            Judgement::Deny(error) => Some(error),
            Judgement::Allow { .. } | Judgement::Ask(_) => None,
        }
    }
}

impl Inner {
    /// Judges a call of `tool`, whose caller may want more than the rules do. What is hidden from the lists of tools is not there for a call either.
    pub(super) fn judge(
        &self,
        server: &Server,
        caller: &Caller,
        (tool, arguments): (&str, Option<&RawValue>),
        asked: Option<&Asked>,
    ) -> Judgement {
        let known = self.catalog.tool(&server.name, tool);
        // Only what a trusted server says about its tools may loosen anything.
        let annotations = known
            .as_ref()
            .filter(|_| server.config.trusted)
            .and_then(|tool| tool.annotations.as_ref());
        let verdict = server.policy.evaluate(&policy::Call {
            tool,
            arguments,
            annotations,
            caller,
        });
        if verdict.effect == Effect::Deny {
            return Judgement::Deny(CallError::Refused {
                server: server.name.clone(),
                tool: tool.to_owned(),
                rule: verdict.rule.map(ToString::to_string),
                hidden: is_hidden(server, caller, tool, annotations),
            });
        }
        let objection = self.catalog.objection(&server.name, tool);
        let reason = match (verdict.effect, objection) {
            (Effect::Allow, None) if asked.is_some_and(|asked| asked.in_any_case) => {
                DEMANDED.to_owned()
            }
            (Effect::Allow, None) => {
                let rule = verdict.rule.map(ToString::to_string);
                return Judgement::Allow { rule };
            }
            (Effect::Allow, Some(objection)) => objection.to_string(),
            (_, None) => verdict.explanation(),
            (_, Some(objection)) => format!("{}; {objection}", verdict.explanation()),
        };
        let change = known.as_ref().and_then(|entry| change(tool, entry));
        Judgement::Ask(Box::new(Question {
            reason,
            tool: known,
            change,
        }))
    }
}

/// Whether no call of `tool` by `caller` can be anything but refused, so that for them it does not exist.
pub fn is_hidden(
    server: &Server,
    caller: &Caller,
    tool: &str,
    annotations: Option<&Annotations>,
) -> bool {
    let annotations = annotations.filter(|_| server.config.trusted);
    !caller.may(&server.name, tool) || server.policy.hides(tool, annotations, caller)
}

fn change(tool: &str, entry: &ToolEntry) -> Option<ChangeView> {
    let change = entry.change(tool)?;
    let severity = match &change.kind {
        ChangeKind::New => "new".to_owned(),
        ChangeKind::Changed(severity) => severity.to_string(),
        ChangeKind::Unpinnable(_) => "unpinnable".to_owned(),
    };
    let lines: Vec<String> = change.diff.iter().map(line).collect();
    Some(ChangeView {
        severity,
        diff: lines.join("\n"),
    })
}

fn line(line: &Line) -> String {
    match line {
        Line::Kept(text) => format!("  {text}"),
        Line::Removed(text) => format!("- {text}"),
        Line::Added(text) => format!("+ {text}"),
        Line::Skipped(count) => format!("… {count} lines"),
    }
}
