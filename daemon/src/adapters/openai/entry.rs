//! An `mcp` entry of `tools`.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::policy::{Approval, allowed};
use super::request::missing;
use crate::adapters::dialect::{ServerEntry, ToolFilter};
use crate::adapters::refusal::Refusal;
use crate::adapters::target::Target;
use crate::types::ServerName;

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(rename = "type")]
    kind: String,
    server_label: Option<String>,
    server_url: Option<String>,
    connector_id: Option<String>,
    tunnel_id: Option<String>,
    #[serde(borrow)]
    allowed_tools: Option<&'a RawValue>,
    #[serde(borrow)]
    require_approval: Option<&'a RawValue>,
    #[serde(borrow)]
    allowed_callers: Option<&'a RawValue>,
}

/// One that is executed here, and its place in `tools`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) at: usize,
    pub(super) server: ServerEntry,
    pub(super) approval: Approval,
}

#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) ours: Vec<Entry>,
    /// Labels of those that the vendor executes.
    pub(super) elsewhere: Vec<String>,
}

impl Entries {
    /// # Errors
    /// An entry could never work. Where none is ours, the vendor judges the rest.
    pub(super) fn of(
        tools: &[&RawValue],
        gateway: &dyn Fn(&str) -> Target,
    ) -> Result<Self, Refusal> {
        let mut read = Vec::new();
        for (at, tool) in tools.iter().enumerate() {
            let kind = kind(tool);
            if kind.as_deref() != Some("mcp") {
                continue;
            }
            let entry = serde_json::from_str::<Read<'_>>(tool.get());
            let server = entry
                .as_ref()
                .ok()
                .and_then(|entry| entry.server_url.as_deref());
            let target = server.map_or(Target::Elsewhere, gateway);
            if target == Target::Private {
                return Err(unreachable(at, server.unwrap_or_default()));
            }
            read.push((at, entry, target));
        }
        if !read
            .iter()
            .any(|(_, _, target)| matches!(target, Target::Ours(_)))
        {
            return Ok(Self::default());
        }
        let (mut entries, mut labels) = (Self::default(), HashSet::new());
        for (at, entry, target) in read {
            let entry = entry.map_err(|error| {
                let message = format!("tools[{at}] cannot be read as an mcp tool: {error}");
                Refusal::invalid(format!("tools[{at}]"), message)
            })?;
            let label = label(at, &entry)?;
            if !labels.insert(label.to_ascii_lowercase()) {
                return Err(duplicate(at, &label));
            }
            one_address(at, &entry)?;
            match target {
                Target::Ours(server) => entries.ours.push(own(at, label, server, &entry)?),
                _ => entries.elsewhere.push(label),
            }
        }
        Ok(entries)
    }
}

/// The `type` of a tool or an item.
pub(super) fn kind(json: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    serde_json::from_str::<Kind>(json.get()).ok()?.kind
}

fn own(at: usize, label: String, server: ServerName, entry: &Read<'_>) -> Result<Entry, Refusal> {
    debug_assert_eq!(entry.kind, "mcp");
    let invalid = |field: &str, expected: &str| {
        let param = format!("tools[{at}].{field}");
        let message = format!("Invalid value for '{param}': {expected}.");
        Refusal::invalid(param, message).with_code("invalid_value")
    };
    let filter: ToolFilter =
        allowed(entry.allowed_tools).map_err(|expected| invalid("allowed_tools", expected))?;
    let approval = Approval::parse(entry.require_approval)
        .map_err(|expected| invalid("require_approval", expected))?;
    direct(entry.allowed_callers).map_err(|expected| invalid("allowed_callers", expected))?;
    Ok(Entry {
        at,
        server: ServerEntry {
            label,
            server,
            param: format!("tools[{at}]"),
            filter,
            given: None,
        },
        approval,
    })
}

/// Who may call the tools: the model has to be among them, because code that it writes runs at the
/// vendor.
fn direct(callers: Option<&RawValue>) -> Result<(), &'static str> {
    const EXPECTED: &str = "tools of this bridge are called by the model itself; it is a list with \
                            \"direct\" in it, or left out";
    let callers = callers.map_or("null", RawValue::get);
    let callers: Option<Vec<String>> = serde_json::from_str(callers).map_err(|_| EXPECTED)?;
    let is_direct = |callers: Vec<String>| callers.iter().any(|caller| caller == "direct");
    match callers.is_none_or(is_direct) {
        true => Ok(()),
        false => Err(EXPECTED),
    }
}

fn label(at: usize, entry: &Read<'_>) -> Result<String, Refusal> {
    let param = format!("tools[{at}].server_label");
    let Some(label) = entry.server_label.clone().filter(|label| !label.is_empty()) else {
        return Err(missing(&param));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if label.starts_with(|c: char| c.is_ascii_alphabetic()) && label.chars().all(plain) {
        return Ok(label);
    }
    let message = format!(
        "Invalid '{param}': {label:?}. A label begins with a letter and has only letters, digits, '-' \
         and '_'."
    );
    Err(Refusal::invalid(param, message).with_code("invalid_value"))
}

fn duplicate(at: usize, label: &str) -> Refusal {
    let message = format!(
        "Duplicate server_label {label:?} in 'tools'. Each MCP server needs a label of its own; case \
         makes no difference."
    );
    Refusal::invalid(format!("tools[{at}].server_label"), message).with_code("invalid_value")
}

fn one_address(at: usize, entry: &Read<'_>) -> Result<(), Refusal> {
    let addresses = [&entry.server_url, &entry.connector_id, &entry.tunnel_id];
    let given = addresses.iter().filter(|address| address.is_some()).count();
    let param = format!("tools[{at}].server_url");
    match given {
        1 => Ok(()),
        0 => {
            let message = format!(
                "Missing required parameter: '{param}'. Give one of server_url, connector_id and \
                 tunnel_id."
            );
            Err(Refusal::invalid(param, message).with_code("missing_required_parameter"))
        }
        _ => {
            let message = format!(
                "tools[{at}] has more than one of server_url, connector_id and tunnel_id. Give one."
            );
            Err(Refusal::invalid(param, message).with_code("invalid_value"))
        }
    }
}

fn unreachable(at: usize, url: &str) -> Refusal {
    let param = format!("tools[{at}].server_url");
    // No user name, password or query of it.
    let shown = url::Url::parse(url).map_or_else(
        |_| "this address".to_owned(),
        |url| {
            format!(
                "{}://{}{}",
                url.scheme(),
                url.host_str().unwrap_or(""),
                url.path()
            )
        },
    );
    let message = format!(
        "{shown} is on this machine or in a private network, and it is no server of this bridge: the \
         model's vendor connects to MCP servers from its own machines and can never reach it. Add it \
         with `mcpbridgectl add NAME URL`, and name it here as \"mcp://NAME\" or as \
         \"http://localhost:PORT/mcp/NAME\" with the port of this bridge."
    );
    Refusal::invalid(param, message).with_code("invalid_value")
}
