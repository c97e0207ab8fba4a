//! Which MCP servers a request names, what it wants of their tools, and the functions that the model
//! gets for them.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::betas::McpBeta;
use super::json::{normal, unquoted};
use crate::adapters::dialect::{ServerEntry, Table, ToolFilter};
use crate::adapters::raw::Object;
use crate::adapters::refusal::Refusal;
use crate::adapters::step::Tool;
use crate::adapters::target::{Gateway, Target};
use crate::mcp::edit::{self, Edit, Members};

/// What a request offers the model.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// Those that are executed here.
    pub(super) servers: Vec<ServerEntry>,
    /// One for each of `servers`.
    pub(super) sets: Vec<Toolset>,
    pub(super) tools: Vec<Entry>,
    /// The servers that the vendor is left to connect to, by name, as the client wrote them.
    pub(super) vendors: Vec<(String, Box<RawValue>)>,
    /// The client speaks of toolsets, whatever it says in its header.
    pub(super) has_sets: bool,
}

/// One entry of `tools`.
#[derive(Debug)]
pub(super) enum Entry {
    /// Goes up as it is.
    Kept(Box<RawValue>),
    /// Becomes the functions of this one of the servers.
    Server(usize),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Toolset {
    default: Flags,
    configs: BTreeMap<String, Flags>,
    cache_control: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Flags {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    defer_loading: Option<bool>,
    #[serde(default)]
    allowed_callers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ServerFields {
    name: String,
    url: String,
    #[serde(default)]
    tool_configuration: Option<ToolConfiguration>,
}

#[derive(Deserialize)]
struct ToolConfiguration {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    allowed_tools: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ToolsetFields {
    mcp_server_name: String,
    #[serde(default)]
    default_config: Option<Flags>,
    #[serde(default)]
    configs: Option<BTreeMap<String, Option<Flags>>>,
    #[serde(default)]
    cache_control: Option<Box<RawValue>>,
    #[serde(default)]
    tools: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct ToolFields {
    name: String,
    #[serde(default)]
    description: Option<String>,
    input_schema: Box<RawValue>,
}

/// A server that was read, before it is known what is wanted of it.
struct Named {
    param: String,
    fields: ServerFields,
    raw: Box<RawValue>,
    target: Target,
}

impl Offer {
    /// # Errors
    /// Servers and toolsets do not fit together, or a server can be reached by nobody.
    pub(super) fn read(
        body: &Members<'_>,
        beta: Option<McpBeta>,
        gateway: &Gateway,
    ) -> Result<Self, Refusal> {
        let named = servers(body, gateway)?;
        let tools = elements(body, "tools")?;
        let is_set = |tool: &RawValue| kind(tool).as_deref() == Some("mcp_toolset");
        let has_sets = beta >= Some(McpBeta::Toolsets) || tools.iter().any(|tool| is_set(tool));
        let mut offer = Self {
            has_sets,
            ..Self::default()
        };
        let mut used = HashSet::new();
        for (at, tool) in tools.into_iter().enumerate() {
            if !is_set(tool) {
                offer.tools.push(Entry::Kept(tool.to_owned()));
                continue;
            }
            let param = format!("tools[{at}]");
            let fields: ToolsetFields = fields(tool, &param)?;
            let server = server_of(&fields, &named, &param)?;
            if !used.insert(fields.mcp_server_name.clone()) {
                let name = &fields.mcp_server_name;
                let message =
                    format!("the MCP server '{name}' has a toolset already; give it one only");
                return Err(Refusal::invalid(param, message));
            }
            match &server.target {
                Target::Ours(_) => offer.add(server, Wanted::of_set(fields, &param)?),
                _ => offer.tools.push(Entry::Kept(tool.to_owned())),
            }
        }
        for server in named {
            offer.settle(server, &used)?;
        }
        Ok(offer)
    }

    /// What `server` is besides its toolset.
    fn settle(&mut self, server: Named, used: &HashSet<String>) -> Result<(), Refusal> {
        let name = &server.fields.name;
        if self.has_sets && !used.contains(name) {
            let message = format!(
                "no toolset names the MCP server '{name}'; add \
                 {{\"type\":\"mcp_toolset\",\"mcp_server_name\":\"{name}\"}} to tools"
            );
            return Err(Refusal::invalid(server.param, message));
        }
        if !matches!(server.target, Target::Ours(_)) {
            self.vendors.push((server.fields.name, server.raw));
            return Ok(());
        }
        let configuration = &server.fields.tool_configuration;
        if self.has_sets {
            if configuration.is_some() {
                let message = "belongs to mcp-client-2025-04-04; with toolsets, say in default_config \
                               and configs which tools are enabled";
                let param = format!("{}.tool_configuration", server.param);
                return Err(Refusal::invalid(param, message));
            }
            return Ok(());
        }
        let allowed = configuration
            .as_ref()
            .and_then(|it| it.allowed_tools.clone());
        if configuration.as_ref().and_then(|it| it.enabled) != Some(false) {
            self.add(&server, Wanted::of_names(allowed));
        }
        Ok(())
    }

    fn add(&mut self, server: &Named, wanted: Wanted) {
        let Target::Ours(name) = &server.target else {
            return;
        };
        self.tools.push(Entry::Server(self.servers.len()));
        self.servers.push(ServerEntry {
            label: server.fields.name.clone(),
            server: name.clone(),
            param: server.param.clone(),
            filter: wanted.filter,
            given: wanted.given,
        });
        self.sets.push(wanted.set);
    }

    /// Names that tools of the client have already.
    pub(super) fn reserved(&self) -> Vec<String> {
        let kept = self.tools.iter().filter_map(|entry| match entry {
            Entry::Kept(tool) => Members::of(tool.get()).ok()?.get("name").and_then(unquoted),
            Entry::Server(_) => None,
        });
        kept.collect()
    }

    /// `tools` for the vendor. Empty if there are none.
    pub(super) fn functions(&self, table: &Table) -> Vec<String> {
        let mut all = Vec::new();
        for entry in &self.tools {
            match entry {
                Entry::Kept(tool) => all.push(tool.get().to_owned()),
                Entry::Server(at) => {
                    let (server, set) = (&self.servers[*at], &self.sets[*at]);
                    let listing = table.listings().iter().find(|it| it.label == server.label);
                    let tools = listing.map_or(&[][..], |it| &it.tools);
                    all.extend(set.functions(tools));
                }
            }
        }
        all
    }

    /// Tools that are configured and that no server has: said in the log, as nothing else is said of it.
    pub(super) fn report_unknown(&self, table: &Table) {
        for (server, set) in self.servers.iter().zip(&self.sets) {
            let Some(listing) = table.listings().iter().find(|it| it.label == server.label) else {
                continue;
            };
            for (tool, flags) in &set.configs {
                let is_known = listing.tools.iter().any(|it| it.name == *tool);
                if !is_known && flags.enabled != Some(false) {
                    tracing::info!(server = %server.server, tool, "configured, but not among its tools");
                }
            }
        }
    }
}

/// What a request wants of one server.
struct Wanted {
    set: Toolset,
    filter: ToolFilter,
    given: Option<Vec<Tool>>,
}

impl Wanted {
    fn of_names(names: Option<Vec<String>>) -> Self {
        Self {
            set: Toolset::default(),
            filter: ToolFilter {
                names,
                ..ToolFilter::default()
            },
            given: None,
        }
    }

    fn of_set(fields: ToolsetFields, param: &str) -> Result<Self, Refusal> {
        let given = fields.tools.map(|tools| {
            let tools = tools.iter().enumerate();
            let read = tools.map(|(at, tool)| given(tool, &format!("{param}.tools[{at}]")));
            read.collect::<Result<Vec<_>, _>>()
        });
        let configs = fields.configs.unwrap_or_default().into_iter();
        let set = Toolset {
            default: fields.default_config.unwrap_or_default(),
            configs: configs
                .map(|(name, it)| (name, it.unwrap_or_default()))
                .collect(),
            cache_control: fields.cache_control,
        };
        set.refuse_other_callers(param)?;
        Ok(Self {
            filter: set.filter(),
            set,
            given: given.transpose()?,
        })
    }
}

impl Toolset {
    fn filter(&self) -> ToolFilter {
        let names = |enabled| {
            let configs = self.configs.iter();
            configs
                .filter(move |(_, flags)| flags.enabled == Some(enabled))
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        ToolFilter {
            names: (self.default.enabled == Some(false)).then(|| names(true)),
            except: names(false),
            read_only: None,
        }
    }

    /// Code that a model writes runs at the vendor, and its calls with it.
    fn refuse_other_callers(&self, param: &str) -> Result<(), Refusal> {
        let configs = self.configs.iter();
        let configs = configs.map(|(name, flags)| (format!("configs.{name}"), flags));
        let mut all = configs.chain([("default_config".to_owned(), &self.default)]);
        let is_direct = |callers: &Vec<String>| callers.iter().any(|caller| caller == "direct");
        let other = all.find(|(_, flags)| !flags.allowed_callers.as_ref().is_none_or(is_direct));
        let Some((place, _)) = other else {
            return Ok(());
        };
        let message = "tools of servers that are executed here are called by the model itself; add \
                       \"direct\" or leave it out";
        Err(Refusal::invalid(
            format!("{param}.{place}.allowed_callers"),
            message,
        ))
    }

    fn is_deferred(&self, tool: &Tool) -> bool {
        let own = self.configs.get(&tool.name).and_then(|it| it.defer_loading);
        own.or(self.default.defer_loading) == Some(true)
    }

    fn functions(&self, tools: &[Tool]) -> Vec<String> {
        // The vendor refuses a mark on a tool that is not loaded.
        let last = tools.iter().rposition(|tool| !self.is_deferred(tool));
        let all = tools.iter().enumerate().map(|(at, tool)| {
            let mark = self.cache_control.as_deref().filter(|_| Some(at) == last);
            Object::new()
                .text("name", &tool.function)
                .text_if("description", tool.description.as_deref())
                .put("input_schema", &normal(tool.input_schema.get()))
                .put_if("defer_loading", self.is_deferred(tool).then_some("true"))
                .put_if("cache_control", mark.map(RawValue::get))
                .json()
        });
        all.collect()
    }
}

/// A tool that the request pins, or that an earlier answer listed. It has no name for the model yet.
pub(super) fn given(tool: &RawValue, param: &str) -> Result<Tool, Refusal> {
    let fields: ToolFields = fields(tool, param)?;
    let Some(input_schema) = schema(&fields.input_schema) else {
        let message = "must be a JSON schema of an object";
        return Err(Refusal::invalid(format!("{param}.input_schema"), message));
    };
    Ok(Tool {
        name: fields.name,
        function: String::new(),
        description: fields.description,
        input_schema,
        annotations: None,
        read_only: false,
    })
}

/// `schema` with the `type` that the vendor insists on.
fn schema(schema: &RawValue) -> Option<Box<RawValue>> {
    let members = Members::of(schema.get()).ok()?;
    if members.get("type").map(RawValue::get) == Some(r#""object""#) {
        return Some(schema.to_owned());
    }
    let typed = edit::object(schema.get(), &[("type", Edit::Put(r#""object""#.into()))]).ok()?;
    let is_bare = members.get("type").is_none();
    is_bare.then(|| crate::adapters::raw::raw(typed))
}

fn servers(body: &Members<'_>, gateway: &Gateway) -> Result<Vec<Named>, Refusal> {
    let mut named: Vec<Named> = Vec::new();
    for (at, server) in elements(body, "mcp_servers")?.into_iter().enumerate() {
        let param = format!("mcp_servers[{at}]");
        let fields: ServerFields = fields(server, &param)?;
        if named.iter().any(|other| other.fields.name == fields.name) {
            let name = &fields.name;
            let message = format!("the name '{name}' is used twice; give each MCP server its own");
            return Err(Refusal::invalid(format!("{param}.name"), message));
        }
        let target = gateway.target(&fields.url);
        if target == Target::Private {
            return Err(Refusal::invalid(
                format!("{param}.url"),
                format!(
                    "the MCP server '{}' has an address of this machine or network, which the vendor, who \
                     connects from its own machines, could never have reached, and it is none of the \
                     servers here. Add it (mcpbridgectl add NAME URL) and use the URL that \
                     `mcpbridgectl list` shows for it",
                    fields.name
                ),
            ));
        }
        named.push(Named {
            param,
            fields,
            raw: server.to_owned(),
            target,
        });
    }
    Ok(named)
}

fn server_of<'a>(
    fields: &ToolsetFields,
    named: &'a [Named],
    param: &str,
) -> Result<&'a Named, Refusal> {
    let name = &fields.mcp_server_name;
    let found = named.iter().find(|server| server.fields.name == *name);
    found.ok_or_else(|| {
        let message = format!("no entry of mcp_servers has the name '{name}'");
        Refusal::invalid(format!("{param}.mcp_server_name"), message)
    })
}

/// The elements of the list `key`, which may be missing.
pub(super) fn elements<'a>(
    body: &Members<'a>,
    key: &'static str,
) -> Result<Vec<&'a RawValue>, Refusal> {
    match body.get(key) {
        None => Ok(Vec::new()),
        Some(value) if value.get() == "null" => Ok(Vec::new()),
        Some(value) => {
            serde_json::from_str(value.get()).map_err(|_| Refusal::invalid(key, "must be a list"))
        }
    }
}

fn fields<T: DeserializeOwned>(raw: &RawValue, param: &str) -> Result<T, Refusal> {
    serde_json::from_str(raw.get()).map_err(|error| {
        let text = error.to_string();
        let reason = text.split(" at line").next().unwrap_or_default();
        Refusal::invalid(param, reason)
    })
}

fn kind(object: &RawValue) -> Option<String> {
    Members::of(object.get())
        .ok()?
        .get("type")
        .and_then(unquoted)
}
