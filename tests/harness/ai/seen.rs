//! A request as a vendor received it.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde_json::Value;
use serde_json::value::RawValue;

use super::Endpoint;
use crate::wire::Request;

/// Its path, query, headers and body are those of [`Request`].
#[derive(Debug, Clone)]
pub struct Seen {
    pub endpoint: Endpoint,
    pub request: Request,
}

impl Deref for Seen {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The exact text of a top-level member of the body, such as `tools`.
    pub fn raw(&self, member: &str) -> Option<String> {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&self.body).ok()?;
        members.get(member).map(|value| value.get().to_owned())
    }

    /// The exact texts of the elements of `input`, `messages`, `tools` or `system`; one that is no list is
    /// its own only element.
    pub fn elements(&self, member: &str) -> Vec<String> {
        let Some(raw) = self.raw(member) else {
            return Vec::new();
        };
        match serde_json::from_str::<Vec<Box<RawValue>>>(&raw) {
            Ok(list) => list.iter().map(|one| one.get().to_owned()).collect(),
            Err(_) => vec![raw],
        }
    }

    /// Names of the tools offered, in order; nested as Chat Completions nests them or not.
    pub fn tool_names(&self) -> Vec<String> {
        let body = self.json();
        let tools = body["tools"].as_array().cloned().unwrap_or_default();
        let name = |tool: &Value| {
            let name = tool["name"].as_str().or(tool["function"]["name"].as_str());
            name.map(str::to_owned)
        };
        tools.iter().filter_map(name).collect()
    }

    /// # Panics
    /// Unless this request repeats the transcript, tools and instructions of `earlier` byte for byte.
    pub fn assert_continues(&self, earlier: &Self) {
        for fixed in ["tools", "system", "instructions"] {
            assert_eq!(earlier.raw(fixed), self.raw(fixed), "`{fixed}` changed");
        }
        for list in ["input", "messages"] {
            let Some(before) = earlier.raw(list) else {
                continue;
            };
            for (index, (old, new)) in
                std::iter::zip(earlier.elements(list), self.elements(list)).enumerate()
            {
                assert_eq!(old, new, "`{list}[{index}]` changed");
            }
            let now = self.raw(list).unwrap_or_default();
            let opened = before.strip_suffix(']').unwrap_or(&before).trim_end();
            assert!(
                now.starts_with(opened),
                "`{list}` does not begin with the bytes sent before:\n{before}\n{now}"
            );
        }
    }
}
