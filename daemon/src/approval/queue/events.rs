//! What the audit log says about each change.

use serde_json::{Value, json};

use crate::approval::grant::Grant;
use crate::approval::item::{Action, Item, State};
use crate::audit::{Event, Kind, kept_arguments};
use crate::types::Decider;

/// The record of an item that had the state `before` and is `item` now.
pub(super) fn change(before: Option<State>, item: &Item) -> Event {
    let event = |kind| {
        Event::new(kind)
            .server(&item.action.server)
            .tool(&item.action.tool)
            .approval(item.id)
    };
    let caller = &item.action.caller.text;
    let decider = item.decision.as_ref().map(|decision| &decision.by);
    match item.state {
        State::Pending => event(Kind::ApprovalRequested)
            .actor(caller)
            .detail(asked(item)),
        State::Approved if before == Some(State::Executing) => event(Kind::ApprovalSettled)
            .actor(caller)
            .detail(ended(item)),
        State::Approved | State::Denied => {
            let by = decider.unwrap_or(&Decider::Daemon);
            let decided = event(Kind::ApprovalDecided).actor(by);
            decided.detail(decision(before, item))
        }
        State::Expired => {
            let expired = event(Kind::ApprovalExpired).actor(Decider::Timeout);
            expired.detail(json!({ "was": before.map(State::as_str) }))
        }
        State::Withdrawn => event(Kind::ApprovalWithdrawn)
            .actor(Decider::Daemon)
            .detail(json!({ "was": before.map(State::as_str), "why": item.outcome })),
        State::Executing => event(Kind::ApprovalExecuting)
            .actor(caller)
            .detail(json!({ "run": item.runs, "argument_digest": item.argument_digest() })),
        State::Done | State::Failed | State::OutcomeUnknown => event(Kind::ApprovalSettled)
            .actor(caller)
            .detail(ended(item)),
    }
}

pub(super) fn granted(grant: &Grant, replaced: usize) -> Event {
    let mut detail = of_grant(grant);
    detail["replaces"] = replaced.into();
    about_grant(Kind::GrantAdded, grant)
        .actor(&grant.by)
        .detail(detail)
}

pub(super) fn revoked(grant: &Grant, by: &Decider) -> Event {
    about_grant(Kind::GrantRevoked, grant)
        .actor(by)
        .detail(of_grant(grant))
}

fn about_grant(kind: Kind, grant: &Grant) -> Event {
    Event::new(kind)
        .server(&grant.server)
        .tool(&grant.tool)
        .approval(grant.id)
}

fn of_grant(grant: &Grant) -> Value {
    json!({
        "tool_digest": grant.tool_digest,
        "argument_digest": grant.argument_digest,
        "principal": grant.principal,
        "expires_at": grant.expires_at,
    })
}

fn asked(item: &Item) -> Value {
    let action = &item.action;
    json!({
        "principal": action.caller.principal,
        "tool_digest": action.tool_digest,
        "argument_digest": action.argument_digest,
        "arguments": kept(action, &action.arguments),
        "policy_version": action.policy_version,
        "reason": action.reason,
        "expires_at": item.expires_at,
        "earlier": item.earlier,
    })
}

fn decision(before: Option<State>, item: &Item) -> Value {
    // Nobody asked for what a grant decided at once.
    let mut detail = match before {
        None => asked(item),
        Some(_) => json!({ "argument_digest": item.action.argument_digest }),
    };
    if let Some(decision) = &item.decision {
        detail["approved"] = decision.approved.into();
        detail["reason"] = json!(decision.reason);
        detail["remember"] = json!(decision.remember);
        detail["grant"] = json!(decision.grant);
        detail["by"] = json!(decision.by);
    }
    if let Some(edited) = &item.edited {
        detail["arguments"] = kept(&item.action, &item.action.arguments);
        detail["edited"] = json!({
            "argument_digest": edited.argument_digest,
            "arguments": kept(&item.action, &edited.arguments),
        });
    }
    detail
}

fn ended(item: &Item) -> Value {
    let took = item.started_at.zip(item.ended_at);
    json!({
        "state": item.state.as_str(),
        "run": item.runs,
        "why": item.outcome,
        "duration_ms": took.map(|(from, to)| {
            i64::try_from(to.duration_since(from).as_millis()).unwrap_or(i64::MAX)
        }),
    })
}

/// As text, so that it is recorded digit for digit; only its length when it is too long. The digest is
/// recorded beside it.
fn kept(action: &Action, arguments: &str) -> Value {
    if !action.keep_arguments {
        return Value::Null;
    }
    match kept_arguments(arguments) {
        Some(text) => text.into(),
        None => json!({ "bytes": arguments.len() }),
    }
}
