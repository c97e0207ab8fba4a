//! The shapes that `--json` prints of approvals. Scripts rely on them: keys are only ever added.

use mcpbridge_proto::v1::remember::Remember as Asked;
use mcpbridge_proto::v1::{Approval, ApprovalCaller, Decision, Grant, Remember, ToolChange};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::output::json;
use crate::output::time::rfc3339;
use crate::view::some;

#[derive(Serialize)]
pub struct ApprovalView<'a> {
    id: &'a str,
    /// pending, approved, denied, expired, withdrawn, executing, done, failed or outcome_unknown.
    state: &'a str,
    server: &'a str,
    /// The URL of the server.
    address: &'a str,
    tool: &'a str,
    /// What will be, or was, sent. None when it was not kept.
    arguments: Option<Box<RawValue>>,
    /// What was asked for, when a person changed it.
    asked_arguments: Option<Box<RawValue>>,
    argument_digest: &'a str,
    tool_digest: Option<&'a str>,
    /// As the server sent it.
    tool_definition: Option<Box<RawValue>>,
    policy_version: &'a str,
    /// When the tool is new or not what was approved.
    change: Option<ChangeView<'a>>,
    /// Why it asks.
    reason: &'a str,
    editable: bool,
    /// Whether the answer of the asking client counts.
    accepts_weak: bool,
    caller: CallerView<'a>,
    asked_at: Option<String>,
    expires_at: Option<String>,
    decision: Option<DecisionView<'a>>,
    started_at: Option<String>,
    ended_at: Option<String>,
    /// Why it ended as it did.
    outcome: Option<&'a str>,
    /// An identical call that is under way, or whose outcome is not known.
    earlier: Option<&'a str>,
    /// Calls that wait for the answer at this moment.
    waiting: u32,
}

#[derive(Serialize)]
struct ChangeView<'a> {
    severity: &'a str,
    diff: &'a str,
}

#[derive(Serialize, Default)]
struct CallerView<'a> {
    /// What an approval is bound to.
    principal: &'a str,
    text: &'a str,
    pid: Option<u32>,
    uid: Option<u32>,
    exe: Option<&'a str>,
    cwd: Option<&'a str>,
    /// Name of its client token.
    client: Option<&'a str>,
    /// What it says it is, unproved.
    client_info: Option<&'a str>,
}

#[derive(Serialize)]
struct DecisionView<'a> {
    approved: bool,
    by: &'a str,
    at: Option<String>,
    reason: Option<&'a str>,
    remember: RememberView,
    /// The grant that decided, or that was given.
    grant: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum RememberView {
    Once,
    For { seconds: u32 },
    Always { these_arguments: bool },
}

#[derive(Serialize)]
pub struct GrantView<'a> {
    id: &'a str,
    server: &'a str,
    address: &'a str,
    tool: &'a str,
    tool_digest: &'a str,
    /// None when it is for any arguments.
    argument_digest: Option<&'a str>,
    arguments: Option<Box<RawValue>>,
    /// None when it is for any caller.
    principal: Option<&'a str>,
    by: &'a str,
    given_at: Option<String>,
    /// None when it has no end.
    expires_at: Option<String>,
}

impl<'a> From<&'a Approval> for ApprovalView<'a> {
    fn from(approval: &'a Approval) -> Self {
        let caller = approval.caller.as_ref();
        Self {
            id: &approval.id,
            state: &approval.state,
            server: &approval.server,
            address: &approval.address,
            tool: &approval.tool,
            arguments: raw(&approval.arguments),
            asked_arguments: raw(&approval.asked_arguments),
            argument_digest: &approval.argument_digest,
            tool_digest: some(&approval.tool_digest),
            tool_definition: raw(&approval.tool_definition),
            policy_version: &approval.policy_version,
            change: approval.change.as_ref().map(ChangeView::from),
            reason: &approval.reason,
            editable: approval.editable,
            accepts_weak: approval.accepts_weak,
            caller: caller.map(CallerView::from).unwrap_or_default(),
            asked_at: rfc3339(approval.asked_at),
            expires_at: rfc3339(approval.expires_at),
            decision: approval.decision.as_ref().map(DecisionView::from),
            started_at: rfc3339(approval.started_at),
            ended_at: rfc3339(approval.ended_at),
            outcome: some(&approval.outcome),
            earlier: some(&approval.earlier),
            waiting: approval.waiting,
        }
    }
}

impl<'a> From<&'a ToolChange> for ChangeView<'a> {
    fn from(change: &'a ToolChange) -> Self {
        Self {
            severity: &change.severity,
            diff: &change.diff,
        }
    }
}

impl<'a> From<&'a ApprovalCaller> for CallerView<'a> {
    fn from(caller: &'a ApprovalCaller) -> Self {
        Self {
            principal: &caller.principal,
            text: &caller.text,
            pid: caller.pid,
            uid: caller.uid,
            exe: some(&caller.exe),
            cwd: some(&caller.cwd),
            client: some(&caller.client),
            client_info: some(&caller.client_info),
        }
    }
}

impl<'a> From<&'a Decision> for DecisionView<'a> {
    fn from(decision: &'a Decision) -> Self {
        Self {
            approved: decision.approved,
            by: &decision.by,
            at: rfc3339(decision.at),
            reason: some(&decision.reason),
            remember: remember(decision.remember.as_ref()),
            grant: some(&decision.grant),
        }
    }
}

impl<'a> From<&'a Grant> for GrantView<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self {
            id: &grant.id,
            server: &grant.server,
            address: &grant.address,
            tool: &grant.tool,
            tool_digest: &grant.tool_digest,
            argument_digest: some(&grant.argument_digest),
            arguments: raw(&grant.arguments),
            principal: some(&grant.principal),
            by: &grant.by,
            given_at: rfc3339(grant.given_at),
            expires_at: rfc3339(grant.expires_at),
        }
    }
}

fn remember(remember: Option<&Remember>) -> RememberView {
    match remember.and_then(|remember| remember.remember.as_ref()) {
        None => RememberView::Once,
        Some(Asked::ForSeconds(seconds)) => RememberView::For { seconds: *seconds },
        Some(Asked::Always(always)) => RememberView::Always {
            these_arguments: always.these_arguments,
        },
    }
}

/// JSON as it is, on one line.
fn raw(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(json::compact(text)).ok()
}

#[cfg(test)]
mod tests {
    use mcpbridge_proto::v1::Always;

    use super::*;

    #[test]
    fn the_shape_of_an_approval_is_stable() {
        let approval = Approval {
            id: "abcdefghijkl".to_owned(),
            state: "approved".to_owned(),
            server: "stripe".to_owned(),
            tool: "pay".to_owned(),
            arguments: "{\n \"b\": 1.50, \"a\": 1\n}".to_owned(),
            reason: "the default".to_owned(),
            editable: true,
            caller: Some(ApprovalCaller {
                principal: "uid:1".to_owned(),
                pid: Some(3),
                ..ApprovalCaller::default()
            }),
            asked_at: 1_700_000_000,
            decision: Some(Decision {
                approved: true,
                by: "the policy".to_owned(),
                at: 1_700_000_000,
                remember: Some(Remember {
                    remember: Some(Asked::Always(Always {
                        these_arguments: true,
                    })),
                }),
                ..Decision::default()
            }),
            waiting: 1,
            ..Approval::default()
        };
        assert_eq!(
            serde_json::to_string(&ApprovalView::from(&approval)).unwrap(),
            r#"{"id":"abcdefghijkl","state":"approved","server":"stripe","address":"","tool":"pay","#
                .to_owned()
                + r#""arguments":{"b":1.50,"a":1},"asked_arguments":null,"argument_digest":"","#
                + r#""tool_digest":null,"tool_definition":null,"policy_version":"","change":null,"#
                + r#""reason":"the default","editable":true,"accepts_weak":false,"#
                + r#""caller":{"principal":"uid:1","text":"","pid":3,"uid":null,"exe":null,"#
                + r#""cwd":null,"client":null,"client_info":null},"#
                + r#""asked_at":"2023-11-14T22:13:20Z","expires_at":null,"#
                + r#""decision":{"approved":true,"by":"the policy","at":"2023-11-14T22:13:20Z","#
                + r#""reason":null,"remember":{"kind":"always","these_arguments":true},"grant":null},"#
                + r#""started_at":null,"ended_at":null,"outcome":null,"earlier":null,"waiting":1}"#
        );
    }

    #[test]
    fn a_grant_for_anything_says_so_with_null() {
        let json = serde_json::to_value(GrantView::from(&Grant::default())).unwrap();
        for key in ["argument_digest", "arguments", "principal", "expires_at"] {
            assert!(json[key].is_null(), "{key}");
        }
    }
}
