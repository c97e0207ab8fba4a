//! What the tool runners of the OpenAI SDKs reject in an answer, given the request that it answers.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Findings, list, text};

#[derive(PartialEq, Clone, Copy)]
enum Approval {
    Always,
    Never,
    Undetermined,
}

/// A tool that failed is rejected by the runners too, but that is no mistake of the answer.
///
/// # Errors
/// With every contradiction between the declared tools and approvals and the answer.
pub fn policy(request: &Value, response: &Value) -> Result<(), Vec<String>> {
    let mut findings = Findings::default();
    let mcp = list(request, "tools")
        .iter()
        .filter(|tool| tool["type"] == "mcp");
    let declared: HashMap<&str, &Value> =
        mcp.map(|tool| (text(tool, "server_label"), tool)).collect();
    let input = list(request, "input");
    let mut ids: HashSet<&str> = input
        .iter()
        .filter_map(|item| item["id"].as_str())
        .collect();
    for item in list(response, "output") {
        let (kind, id) = (text(item, "type"), text(item, "id"));
        findings.check(ids.insert(id), || {
            format!("the id {id} of a {kind} occurred before")
        });
        if !kind.starts_with("mcp_") {
            continue;
        }
        let label = text(item, "server_label");
        let Some(tool) = declared.get(label) else {
            findings.note(format!("the label {label:?} of a {kind} is not declared"));
            continue;
        };
        match kind {
            "mcp_list_tools" => listing(tool, item, input, &mut findings),
            "mcp_approval_request" => {
                allowed(tool, text(item, "name"), &mut findings);
                let asks = approval(tool, text(item, "name")) != Approval::Never;
                findings.check(asks, || {
                    format!("{id} asks for an approval that the policy does not want")
                });
            }
            _ => call(tool, item, input, &mut findings),
        }
    }
    findings.or(Value::Null).map(|_| ())
}

fn listing(tool: &Value, item: &Value, input: &[Value], findings: &mut Findings) {
    let label = &item["server_label"];
    let known = |one: &Value| one["type"] == "mcp_list_tools" && one["server_label"] == *label;
    findings.check(!input.iter().any(known), || {
        format!("the server {label} is listed again")
    });
    for listed in list(item, "tools") {
        allowed(tool, text(listed, "name"), findings);
    }
}

fn call(tool: &Value, item: &Value, input: &[Value], findings: &mut Findings) {
    let name = text(item, "name");
    allowed(tool, name, findings);
    let Some(id) = item["approval_request_id"].as_str() else {
        findings.check(approval(tool, name) != Approval::Always, || {
            format!("{name} ran without the approval that the policy wants")
        });
        return;
    };
    let answers =
        |one: &&Value| one["type"] == "mcp_approval_response" && one["approval_request_id"] == id;
    let answer = input.iter().find(answers);
    findings.check(
        answer.is_some_and(|answer| answer["approve"] == true),
        || format!("{name} ran under {id}, which was not approved"),
    );
    let asked = input
        .iter()
        .find(|one| one["type"] == "mcp_approval_request" && one["id"] == id);
    for member in ["server_label", "name", "arguments"] {
        let same = asked.is_none_or(|asked| asked[member] == item[member]);
        findings.check(same, || {
            format!("`{member}` of {id} changed after the approval")
        });
    }
}

fn allowed(tool: &Value, name: &str, findings: &mut Findings) {
    let filter = &tool["allowed_tools"];
    let names = filter
        .as_array()
        .or_else(|| filter["tool_names"].as_array());
    let fits = names.is_none_or(|names| names.iter().any(|one| one == name));
    findings.check(fits, || {
        format!("the tool {name:?} is not among `allowed_tools`")
    });
}

/// As the runner of the Python SDK evaluates `require_approval`.
fn approval(tool: &Value, name: &str) -> Approval {
    let policy = &tool["require_approval"];
    match policy.as_str() {
        Some("never") => return Approval::Never,
        _ if !policy.is_object() => return Approval::Always,
        _ => {}
    }
    let filter = |kind: &str| policy.get(kind).filter(|filter| !filter.is_null());
    let (always, never) = (filter("always"), filter("never"));
    if [always, never]
        .into_iter()
        .flatten()
        .any(|filter| !filter["read_only"].is_null())
    {
        return Approval::Undetermined;
    }
    let matches = |filter: Option<&Value>| {
        filter.is_some_and(|filter| {
            let names = filter["tool_names"].as_array();
            names.is_none_or(|names| names.iter().any(|one| one == name))
        })
    };
    match (matches(always), matches(never)) {
        (true, false) => Approval::Always,
        (false, true) => Approval::Never,
        (false, false) if always.is_some() && never.is_none() => Approval::Never,
        (false, false) if never.is_some() && always.is_none() => Approval::Always,
        _ => Approval::Undetermined,
    }
}
