//! What the client has decided about calls of an earlier answer: each at most once, and only as they
//! were asked.

use std::collections::HashSet;

use super::history::Head;
use super::request::{ResponsesRequest, missing};
use crate::adapters::dialect::Decided;
use crate::adapters::record::{Found, OpenCall};
use crate::adapters::refusal::Refusal;

/// # Errors
/// A decision is about nothing that is open, about a call that is not the one that was asked, or is
/// missing.
pub(super) fn decided(
    request: &ResponsesRequest,
    found: &Found,
    foreign: &HashSet<String>,
) -> Result<Vec<Decided>, Refusal> {
    let heads: Vec<&Head> = request.input.iter().map(|item| &item.head).collect();
    let mut decided: Vec<Decided> = Vec::new();
    let mut seen = HashSet::new();
    for (at, head) in heads.iter().enumerate() {
        let Some(approval) = head.answers() else {
            if head.kind.as_deref() == Some("mcp_approval_response") {
                return Err(incomplete(at, "approval_request_id"));
            }
            continue;
        };
        if foreign.contains(approval) {
            continue;
        }
        if !seen.insert(approval) {
            return Err(at_item(
                at,
                format!("The approval request {approval:?} is answered twice."),
            ));
        }
        let Some(open) = found
            .open
            .get(approval)
            .or_else(|| in_chain(approval, found))
        else {
            if is_history(at, approval, &heads) {
                continue;
            }
            return Err(at_item(at, gone(approval, found)));
        };
        let approve = head.approve.ok_or_else(|| incomplete(at, "approve"))?;
        unaltered(open, &heads)?;
        served(at, open, request)?;
        decided.push(Decided {
            call: open.call.clone(),
            approval: approval.to_owned(),
            approve,
            reason: head.reason.clone(),
        });
    }
    complete(&decided, &heads, found)?;
    let order = in_order(&heads, found);
    decided.sort_by_key(|decided| order.iter().position(|id| **id == decided.approval));
    Ok(decided)
}

/// Approval requests of servers that the vendor executes; they are answered there.
pub(super) fn foreign(request: &ResponsesRequest, found: &Found) -> HashSet<String> {
    if request.elsewhere.is_empty() {
        return HashSet::new();
    }
    let foreign = |head: &Head| {
        let label = head.server_label.as_ref();
        let is_foreign = label.is_some_and(|label| request.elsewhere.contains(label));
        head.id.clone().filter(|_| is_foreign && head.is_request())
    };
    let chained = found.chain.iter().flat_map(|record| &record.hidden);
    let chained = chained.filter_map(|item| foreign(&Head::of(item)));
    let resent = request.input.iter().filter_map(|item| foreign(&item.head));
    chained.chain(resent).collect()
}

fn in_chain<'a>(approval: &str, found: &'a Found) -> Option<&'a OpenCall> {
    if found.used.contains_key(approval) {
        return None;
    }
    let open = &found.chain.last()?.open;
    open.iter().find(|open| open.approval == approval)
}

/// An answer that the model's own later words show to be settled.
fn is_history(at: usize, approval: &str, heads: &[&Head]) -> bool {
    let mut later = heads.iter().skip(at + 1);
    later.any(|head| head.is_output())
        || heads.iter().any(|head| {
            head.kind.as_deref() == Some("mcp_call")
                && head.approval_request_id.as_deref() == Some(approval)
        })
}

fn gone(approval: &str, found: &Found) -> String {
    match found.used.contains_key(approval) {
        true => format!(
            "The approval request {approval:?} was answered already. Continue from the response that \
             followed; to run the tool again, ask the model again."
        ),
        false => format!(
            "There is no open approval request {approval:?}. It is unknown here, has expired, or \
             belongs to another key. Ask the model again."
        ),
    }
}

/// What the client shows as asked must be what was asked.
fn unaltered(open: &OpenCall, heads: &[&Head]) -> Result<(), Refusal> {
    let resent = heads
        .iter()
        .enumerate()
        .find(|(_, head)| head.is_request() && head.id.as_deref() == Some(&*open.approval));
    let Some((at, head)) = resent else {
        return Ok(());
    };
    let call = &open.call;
    let (label, name, arguments) = (&head.server_label, &head.name, &head.arguments);
    let same = label.as_ref() == Some(&call.label)
        && name.as_ref() == Some(&call.tool)
        && arguments.as_ref() == Some(&call.call.arguments);
    match same {
        true => Ok(()),
        false => Err(at_item(
            at,
            format!(
                "The approval request {:?} is not as it was made: its server_label, name and arguments \
                 must come back unchanged.",
                open.approval
            ),
        )),
    }
}

/// The server must still be the one that the request names.
fn served(at: usize, open: &OpenCall, request: &ResponsesRequest) -> Result<(), Refusal> {
    let call = &open.call;
    let mut entries = request.entries.iter();
    let entry = entries.find(|entry| entry.server.label == call.label);
    match entry {
        Some(entry) if entry.server.server == call.server => Ok(()),
        _ => Err(at_item(
            at,
            format!(
                "The approval request {:?} is about the MCP server {:?}, which this request does not \
                 have in 'tools' as it was. Send the same mcp tool entries again.",
                open.approval, call.label
            ),
        )),
    }
}

/// The model goes on only when every call of its turn has an output.
fn complete(decided: &[Decided], heads: &[&Head], found: &Found) -> Result<(), Refusal> {
    let chained = found.chain.last().map(|record| record.open.as_slice());
    let chained = chained
        .unwrap_or_default()
        .iter()
        .map(|open| &*open.approval);
    let resent = heads.iter().filter(|head| head.is_request());
    let resent = resent
        .filter_map(|head| head.id.as_deref())
        .filter(|id| found.open.contains_key(*id));
    let mut missing: Vec<&str> = chained
        .chain(resent)
        .filter(|id| !decided.iter().any(|decided| decided.approval == *id))
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Not all approval requests are answered. Missing: {}. Send one mcp_approval_response for each; \
         \"approve\": false declines.",
        missing.join(", ")
    );
    Err(Refusal::invalid("input", message).with_code("invalid_value"))
}

/// The open requests in the order of the model.
fn in_order<'a>(heads: &[&'a Head], found: &'a Found) -> Vec<&'a String> {
    let chained = found
        .chain
        .last()
        .into_iter()
        .flat_map(|record| &record.open);
    let resent = heads.iter().filter(|head| head.is_request());
    let resent = resent.filter_map(|head| head.id.as_ref());
    chained.map(|open| &open.approval).chain(resent).collect()
}

fn incomplete(at: usize, field: &str) -> Refusal {
    missing(&format!("input[{at}].{field}"))
}

fn at_item(at: usize, message: String) -> Refusal {
    Refusal::invalid(format!("input[{at}]"), message).with_code("invalid_value")
}
