//! Approvals and grants as messages.

use jiff::Timestamp;
use mcpbridge_proto::v1::remember::Remember as AskedRemember;
use mcpbridge_proto::v1::{
    Always, Approval, ApprovalCaller, Decision, Grant, Remember, ToolChange,
};
use tonic::Status;

use super::status;
use crate::approval;
use crate::types::Digest;

pub(super) fn approval(item: &approval::Item, waiting: usize) -> Approval {
    let action = &item.action;
    let caller = &action.caller;
    let hex = |digest: Digest| digest.to_string();
    Approval {
        id: item.id.to_string(),
        state: item.state.to_string(),
        server: action.server.to_string(),
        address: action.address.clone(),
        tool: action.tool.clone(),
        arguments: item.arguments().to_owned(),
        asked_arguments: match item.edited {
            Some(_) => action.arguments.clone(),
            None => String::new(),
        },
        argument_digest: hex(item.argument_digest()),
        tool_digest: action.tool_digest.map(hex).unwrap_or_default(),
        tool_definition: action.tool_definition.clone().unwrap_or_default(),
        policy_version: hex(action.policy_version),
        change: action.change.as_ref().map(|change| ToolChange {
            severity: change.severity.clone(),
            diff: change.diff.clone(),
        }),
        reason: action.reason.clone(),
        editable: action.editable,
        accepts_weak: action.accepts_weak,
        caller: Some(ApprovalCaller {
            principal: caller.principal.clone(),
            text: caller.text.clone(),
            pid: caller.pid,
            uid: caller.uid,
            exe: caller.exe.clone().unwrap_or_default(),
            cwd: caller.cwd.clone().unwrap_or_default(),
            client: caller.client.clone().unwrap_or_default(),
            client_info: caller.client_info.clone().unwrap_or_default(),
        }),
        asked_at: seconds(item.asked_at),
        expires_at: seconds(item.expires_at),
        decision: item.decision.as_ref().map(decision),
        started_at: item.started_at.map_or(0, seconds),
        ended_at: item.ended_at.map_or(0, seconds),
        outcome: item.outcome.clone().unwrap_or_default(),
        earlier: item.earlier.map(|id| id.to_string()).unwrap_or_default(),
        waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
    }
}

fn decision(decision: &approval::Decision) -> Decision {
    let remember = match decision.remember {
        approval::Remember::Once => None,
        approval::Remember::For { seconds } => Some(AskedRemember::ForSeconds(seconds)),
        approval::Remember::Always { arguments } => Some(AskedRemember::Always(Always {
            these_arguments: arguments,
        })),
    };
    Decision {
        approved: decision.approved,
        by: decision.by.to_string(),
        at: seconds(decision.at),
        reason: decision.reason.clone().unwrap_or_default(),
        remember: remember.map(|remember| Remember {
            remember: Some(remember),
        }),
        grant: decision.grant.map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// An empty message is no way to say "once": a newer client may mean something else by it.
pub(super) fn remember(asked: Option<Remember>) -> Result<approval::Remember, Status> {
    match asked.map(|asked| asked.remember) {
        None => Ok(approval::Remember::Once),
        Some(Some(AskedRemember::ForSeconds(seconds))) => Ok(approval::Remember::For { seconds }),
        Some(Some(AskedRemember::Always(always))) => Ok(approval::Remember::Always {
            arguments: always.these_arguments,
        }),
        Some(None) => Err(status::invalid_text("remember: for_seconds or always")),
    }
}

pub(super) fn grant(grant: &approval::Grant) -> Grant {
    Grant {
        id: grant.id.to_string(),
        server: grant.server.to_string(),
        address: grant.address.clone(),
        tool: grant.tool.clone(),
        tool_digest: grant.tool_digest.to_string(),
        argument_digest: grant
            .argument_digest
            .map(|digest| digest.to_string())
            .unwrap_or_default(),
        arguments: grant.arguments.clone().unwrap_or_default(),
        principal: grant.principal.clone().unwrap_or_default(),
        by: grant.by.to_string(),
        given_at: seconds(grant.given_at),
        expires_at: grant.expires_at.map_or(0, seconds),
    }
}

pub(super) fn seconds(at: Timestamp) -> i64 {
    at.as_second()
}
