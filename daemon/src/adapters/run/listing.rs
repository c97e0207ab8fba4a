//! What the model is offered: the servers' tools, filtered as the request asks, under names that the
//! vendor takes.

use std::collections::HashSet;

use futures_util::future::join_all;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::dialect::{Request, ServerEntry};
use super::super::names::mangle;
use super::super::record::Found;
use super::super::refusal::Refusal;
use super::super::schema::object_schema;
use super::super::step::{Listing, Tool};
use super::servers::Servers;
use crate::error::{Classify, chain, sentences};
use crate::pipeline::{ListedTool, SessionError};
use crate::types::ServerName;

/// The listing of every server of `request`, from where the conversation has it, or from the server.
///
/// # Errors
/// A server cannot be asked, or does not answer.
pub(super) async fn listings(
    request: &dyn Request,
    found: &Found,
    servers: &Servers,
) -> Result<Vec<Listing>, Refusal> {
    let entries = request.servers();
    let listed = entries.iter().map(|entry| async move {
        if let Some(pinned) = request.pinned(entry, found) {
            return Ok::<_, Refusal>(Source::Pinned(pinned));
        }
        if let Some(given) = &entry.given {
            return Ok(Source::Fresh(given.clone()));
        }
        let listed = servers.list(&entry.server).await;
        let tools = listed.map_err(|error| unlisted(entry, &error))?;
        Ok(Source::Fresh(
            tools
                .iter()
                .filter_map(|tool| read(&entry.server, tool))
                .collect(),
        ))
    });
    let sources = join_all(listed)
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let mut taken: HashSet<String> = request.reserved().into_iter().collect();
    for source in &sources {
        if let Source::Pinned(listing) = source {
            taken.extend(listing.tools.iter().map(|tool| tool.function.clone()));
        }
    }
    let listings = entries
        .iter()
        .zip(sources)
        .map(|(entry, source)| match source {
            Source::Pinned(listing) => listing,
            Source::Fresh(tools) => named(entry, tools, &mut taken),
        });
    Ok(listings.collect())
}

enum Source {
    Pinned(Listing),
    /// Without names for the model yet.
    Fresh(Vec<Tool>),
}

fn named(entry: &ServerEntry, tools: Vec<Tool>, taken: &mut HashSet<String>) -> Listing {
    let mut tools: Vec<Tool> = tools
        .into_iter()
        .filter(|tool| entry.filter.admits(tool))
        .collect();
    for tool in &mut tools {
        tool.function = mangle(&entry.label, &tool.name, |name| taken.contains(name));
        taken.insert(tool.function.clone());
    }
    Listing {
        label: entry.label.clone(),
        server: entry.server.clone(),
        tools,
        known: false,
    }
}

/// None for a tool that no model could be offered: the others of its server still are.
fn read(server: &ServerName, listed: &ListedTool) -> Option<Tool> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Definition<'a> {
        #[serde(borrow, default)]
        input_schema: Option<&'a RawValue>,
        #[serde(borrow, default)]
        annotations: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Annotations {
        #[serde(default)]
        read_only_hint: bool,
    }
    let definition: Definition<'_> = serde_json::from_str(listed.definition.get()).ok()?;
    let Some(input_schema) = definition.input_schema.and_then(object_schema) else {
        tracing::warn!(%server, tool = listed.name, "not offered: its inputSchema is no object schema");
        return None;
    };
    let annotations = definition.annotations.filter(|raw| raw.get() != "null");
    let read_only = annotations
        .and_then(|raw| serde_json::from_str::<Annotations>(raw.get()).ok())
        .is_some_and(|annotations| annotations.read_only_hint);
    Some(Tool {
        name: listed.name.clone(),
        function: String::new(),
        description: listed.description.clone(),
        input_schema,
        annotations: annotations.map(ToOwned::to_owned),
        read_only,
    })
}

/// As the vendor's hosted feature has it, with a message that helps.
fn unlisted(entry: &ServerEntry, error: &SessionError) -> Refusal {
    let cause = sentences(&chain(error), error.hint());
    Refusal {
        param: Some(entry.param.clone()),
        code: Some("http_error"),
        ..Refusal::new(
            StatusCode::FAILED_DEPENDENCY,
            format!(
                "Error retrieving tool list from MCP server: '{}'. {cause}",
                entry.label
            ),
        )
    }
}
