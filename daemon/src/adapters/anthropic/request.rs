//! A request as the client sent it.

use std::collections::HashSet;

use http::StatusCode;
use serde_json::value::RawValue;

use super::betas::McpBeta;
use super::dialog::MessagesDialog;
use super::history::Survey;
use super::json::unquoted;
use super::toolset::{Offer, elements, given};
use crate::adapters::dialect::{Dialog, Request, ServerEntry};
use crate::adapters::names::mangle;
use crate::adapters::record::{Found, References};
use crate::adapters::refusal::{Refusal, THREADS_UNSUPPORTED};
use crate::adapters::step::{Listing, Tool};
use crate::adapters::target::Gateway;
use crate::mcp::edit::Members;
use crate::types::Digest;

/// A body of `/v1/messages` or `/v1/messages/count_tokens`.
#[derive(Debug)]
pub struct MessagesRequest {
    pub(super) body: String,
    pub(super) model: String,
    streams: bool,
    pub(super) beta: McpBeta,
    pub(super) offer: Offer,
    pub(super) messages: Vec<Box<RawValue>>,
    pub(super) survey: Survey,
    /// For each server what an earlier answer listed, under the names that this gives.
    listed: Vec<Option<Vec<Tool>>>,
}

impl MessagesRequest {
    /// `beta` is the header `anthropic-beta`, empty where there is none.
    ///
    /// # Errors
    /// It is not what the API says, or asks for what cannot be done here.
    pub fn parse(body: &str, beta: &str, gateway: &Gateway) -> Result<Self, Refusal> {
        let refuse = |message: &str| Refusal::new(StatusCode::BAD_REQUEST, message);
        let members = Members::of(body).map_err(|_| refuse("the body must be a JSON object"))?;
        let model = members.get("model").and_then(unquoted);
        let model =
            model.ok_or_else(|| Refusal::invalid("model", "must be the name of a model"))?;
        let streams = match members.get("stream").map(RawValue::get) {
            None | Some("false" | "null") => false,
            Some("true") => true,
            Some(_) => return Err(Refusal::invalid("stream", "must be true or false")),
        };
        let beta = McpBeta::of(beta);
        let offer = Offer::read(&members, beta, gateway)?;
        if !offer.servers.is_empty() {
            refuse_threads(&members)?;
        }
        let messages = elements(&members, "messages")?;
        let messages: Vec<_> = messages.into_iter().map(ToOwned::to_owned).collect();
        let vendors: Vec<_> = offer
            .vendors
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let survey = Survey::of(&messages, &vendors)?;
        let by_shape = match offer.has_sets {
            true => McpBeta::Toolsets,
            false => McpBeta::Configuration,
        };
        let mut request = Self {
            body: body.to_owned(),
            model,
            streams,
            beta: beta.unwrap_or(by_shape),
            offer,
            messages,
            survey,
            listed: Vec::new(),
        };
        request.listed = request.listed_before();
        Ok(request)
    }

    pub fn model(&self) -> &str {
        &self.model
    }

    /// Nothing of it is done here: no server of ours is named, now or in what was said before.
    pub fn is_plain(&self) -> bool {
        self.offer.servers.is_empty() && self.survey.calls.is_empty()
    }

    /// The vendor is left to connect to servers itself, so it has to know the beta.
    pub fn keeps_mcp(&self) -> bool {
        !self.offer.vendors.is_empty()
    }

    /// The tools of earlier listings, with names in the order in which they were given.
    fn listed_before(&self) -> Vec<Option<Vec<Tool>>> {
        let mut taken: HashSet<String> = self.reserved().into_iter().collect();
        let servers = self.offer.servers.iter().map(|entry| {
            let mut listings = self.survey.listings.iter();
            let (_, tools) = listings.find(|(name, _)| *name == entry.label)?;
            let tools = tools.iter().filter_map(|tool| given(tool, "tools").ok());
            let mut tools: Vec<Tool> = tools.filter(|tool| entry.filter.admits(tool)).collect();
            for tool in &mut tools {
                tool.function = mangle(&entry.label, &tool.name, |name| taken.contains(name));
                taken.insert(tool.function.clone());
            }
            Some(tools)
        });
        servers.collect()
    }

    fn position(&self, entry: &ServerEntry) -> Option<usize> {
        let mut servers = self.offer.servers.iter();
        servers.position(|it| it.label == entry.label)
    }

    /// Under which the listing of the server at `at` is kept, besides the calls that were made of it.
    pub(super) fn pin_of_beginning(&self, at: usize) -> String {
        self.pin(at, "first", &self.survey.first.to_string())
    }

    pub(super) fn pin_of_call(&self, at: usize, call: &str) -> String {
        self.pin(at, "call", call)
    }

    /// Asked in another way, a server may offer something else.
    fn pin(&self, at: usize, kind: &str, what: &str) -> String {
        let entry = &self.offer.servers[at];
        let filter = format!("{:?}", entry.filter);
        let parts = [kind, what, &entry.label, entry.server.as_str(), &filter];
        Digest::of_parts(parts.map(str::as_bytes)).to_string()
    }

    /// Where a listing may be kept, most certain first.
    fn pins(&self, at: usize) -> Vec<String> {
        let calls = self.survey.calls.iter();
        let mut pins: Vec<String> = calls.map(|call| self.pin_of_call(at, call)).collect();
        if self.survey.is_answered {
            pins.push(self.pin_of_beginning(at));
        }
        pins
    }

    /// The body for `count_tokens`: everything that the model would be sent.
    ///
    /// # Errors
    /// As for [`Request::bind`].
    pub fn count(self, found: Found, listings: Vec<Listing>) -> Result<String, Refusal> {
        MessagesDialog::new(self, found, listings).count()
    }
}

/// The history that the vendor keeps would lack what is done here.
fn refuse_threads(members: &Members<'_>) -> Result<(), Refusal> {
    match members.get("thread").map(RawValue::get) {
        None | Some("null") => Ok(()),
        Some(_) => Err(Refusal::invalid(
            "thread",
            "a history that the vendor keeps cannot hold MCP servers that are executed here; send the \
             whole conversation in messages",
        )
        .with_code(THREADS_UNSUPPORTED)),
    }
}

/// The same tools, whatever has become of their text.
fn same_tools(one: &[Tool], other: &[Tool]) -> bool {
    let names = |tools: &[Tool]| {
        tools
            .iter()
            .map(|tool| tool.name.clone())
            .collect::<Vec<_>>()
    };
    names(one) == names(other)
}

impl Request for MessagesRequest {
    fn streams(&self) -> bool {
        self.streams
    }

    fn servers(&self) -> &[ServerEntry] {
        &self.offer.servers
    }

    fn references(&self) -> References {
        let servers = 0..self.offer.servers.len();
        References {
            parent: None,
            items: self.survey.items.clone(),
            pins: servers.flat_map(|at| self.pins(at)).collect(),
        }
    }

    fn reserved(&self) -> Vec<String> {
        let mut names = self.offer.reserved();
        names.extend(self.survey.added.iter().cloned());
        names
    }

    fn pinned(&self, entry: &ServerEntry, found: &Found) -> Option<Listing> {
        let at = self.position(entry)?;
        let listed = self.listed[at].as_deref();
        let is_shown = listed.is_some();
        let fits = |listing: &&Listing| {
            entry.has(listing) && listed.is_none_or(|tools| same_tools(tools, &listing.tools))
        };
        let pins = self.pins(at);
        let pinned = pins
            .iter()
            .find_map(|pin| found.pins.get(pin)?.iter().find(fits));
        if let Some(listing) = pinned {
            return Some(Listing {
                known: is_shown,
                ..listing.clone()
            });
        }
        Some(Listing {
            label: entry.label.clone(),
            server: entry.server.clone(),
            tools: listed?.to_vec(),
            known: true,
        })
    }

    fn bind(
        self: Box<Self>,
        found: Found,
        listings: Vec<Listing>,
    ) -> Result<Box<dyn Dialog>, Refusal> {
        let dialog = MessagesDialog::new(*self, found, listings);
        Ok(Box::new(dialog))
    }
}
