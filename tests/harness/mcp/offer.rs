//! What the server says that it has, which a test can change while it runs.

use serde_json::{Value, json};

use super::tools;

#[derive(Debug, Clone)]
pub struct Offer {
    /// Definitions, as `tools/list` gives them. A tool that only a test knows answers "ran".
    pub tools: Vec<Value>,
    /// Tools on one page of the list; all of them unless set.
    pub page: usize,
    /// How long a client may keep the list, and whether others may have it, in 2026-07-28.
    pub ttl_ms: u64,
    pub cache_scope: &'static str,
    pub instructions: Option<String>,
    /// `tools.listChanged`.
    pub announces: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            tools: tools::list(),
            page: usize::MAX,
            ttl_ms: 0,
            cache_scope: "private",
            instructions: None,
            announces: true,
        }
    }
}

impl Offer {
    /// The definition of `name`, to be changed.
    ///
    /// # Panics
    /// There is none.
    pub fn tool(&mut self, name: &str) -> &mut Value {
        let mut tools = self.tools.iter_mut();
        tools.find(|tool| tool["name"] == name).unwrap()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool["name"] == name)
    }

    /// The result of `tools/list`. The cursor is the number of tools before it, the empty one 0.
    pub(super) fn page(&self, cursor: Option<&str>, modern: bool) -> Value {
        let start = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let end = self
            .tools
            .len()
            .min(usize::saturating_add(start, self.page));
        let mut result = json!({ "tools": self.tools[start..end] });
        if end < self.tools.len() {
            result["nextCursor"] = json!(end.to_string());
        }
        if modern {
            result["ttlMs"] = json!(self.ttl_ms);
            result["cacheScope"] = json!(self.cache_scope);
        }
        result
    }
}
