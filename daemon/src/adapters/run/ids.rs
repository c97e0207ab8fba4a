//! Ids of a model's calls. Everything here and at the client tells calls by them, and some vendors count
//! them from 0 in every turn.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::super::event::{Block, Content, Wire};
use super::super::raw::{quoted, raw};
use crate::mcp::edit::{self, Edit};

/// Longer ones are no ids of calls.
const MAX_ID: usize = 256;

/// The ids that `body` has, of calls and of other things. It may be large, and is gone when the answer
/// comes.
pub(super) fn in_request(body: &str) -> HashSet<String> {
    // call_id, tool_use_id, tool_call_id, id.
    let places = body.match_indices("id\"");
    let found = places.filter_map(|(at, key)| {
        let value = body[at + key.len()..].trim_start().strip_prefix(':')?;
        let text = value.trim_start().strip_prefix('"')?;
        let end = text
            .bytes()
            .take(MAX_ID + 1)
            .position(|byte| byte == b'"')?;
        Some(text[..end].to_owned())
    });
    found.collect()
}

/// The ids that are taken while one turn of the model is heard.
pub(super) struct CallIds {
    wire: Wire,
    taken: HashSet<String>,
}

impl CallIds {
    /// `wire` is the vendor's, and `taken` what the request has that it answers.
    pub(super) fn new(wire: Wire, taken: HashSet<String>) -> Self {
        Self { wire, taken }
    }

    pub(super) fn wire(&self) -> Wire {
        self.wire
    }

    pub(super) fn take(&mut self, id: &str) {
        self.taken.insert(id.to_owned());
    }

    /// Gives the call in `block` another id if its own is taken; that is the one that the vendor gets
    /// back.
    pub(super) fn make_unique(&mut self, block: &mut Block) {
        let Content::Call(call) = &mut block.content else {
            return;
        };
        if self.taken.contains(&call.id) {
            let numbers = self.taken.len() + 1..;
            let mut others = numbers.map(|number| format!("{}_{number}", call.id));
            let free = others.find(|id| !self.taken.contains(id));
            call.id = free.unwrap_or_default();
            let native = block.native.as_deref();
            block.native = native.and_then(|native| self.renamed(native, &call.id));
        }
        self.taken.insert(call.id.clone());
    }

    /// The vendor's own form of a call, with `id`.
    fn renamed(&self, native: &RawValue, id: &str) -> Option<Box<RawValue>> {
        let member = match self.wire {
            Wire::Responses => "call_id",
            Wire::Messages | Wire::Chat => "id",
        };
        let edits = [(member, Edit::Put(quoted(id).into()))];
        edit::object(native.get(), &edits).map(raw).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::event::FunctionCall;
    use super::*;

    fn ids_of(wire: Wire, asked: &str, natives: &[&str]) -> Vec<(String, String)> {
        let mut ids = CallIds::new(wire, in_request(asked));
        let call = |native: &&str| {
            let mut block = Block {
                content: Content::Call(FunctionCall {
                    id: "call_0".to_owned(),
                    name: "f".to_owned(),
                    arguments: "{}".to_owned(),
                }),
                native: Some(raw((*native).to_owned())),
            };
            ids.make_unique(&mut block);
            let Content::Call(call) = block.content else {
                unreachable!("it was one")
            };
            (call.id, block.native.unwrap().get().to_owned())
        };
        natives.iter().map(call).collect()
    }

    fn pair(id: &str, native: &str) -> (String, String) {
        (id.to_owned(), native.to_owned())
    }

    #[test]
    fn an_id_that_is_new_stays() {
        let native = r#"{"call_id":"call_0","id":"fc_1"}"#;
        let asked = r#"{"input":[{"call_id":"call_00"}]}"#;
        let ids = ids_of(Wire::Responses, asked, &[native]);
        assert_eq!(ids, [pair("call_0", native)]);
    }

    #[test]
    fn an_id_of_the_conversation_or_of_the_same_turn_is_replaced() {
        let asked = r#"{"input":[{"call_id" : "call_0"},{"call_id":"call_0_2"}]}"#;
        let native = r#"{"call_id":"call_0","id":"fc_1"}"#;
        let ids = ids_of(Wire::Responses, asked, &[native, native]);
        let expected = [
            pair("call_0_3", r#"{"call_id":"call_0_3","id":"fc_1"}"#),
            pair("call_0_4", r#"{"call_id":"call_0_4","id":"fc_1"}"#),
        ];
        assert_eq!(ids, expected);
        let native = r#"{"type":"tool_use","id":"call_0","input":{"n":1.0}}"#;
        let ids = ids_of(Wire::Messages, "{}", &[native, native]);
        let second = r#"{"type":"tool_use","id":"call_0_2","input":{"n":1.0}}"#;
        assert_eq!(ids, [pair("call_0", native), pair("call_0_2", second)]);
    }
}
