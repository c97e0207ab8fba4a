//! Says what is wrong with a stream that a client got from the product, before an SDK stumbles over it.
//!
//! A sound stream yields the object it adds up to, for comparison with the answer that is not streamed.
//! What is wrong is told in full: `lint::responses(&bytes).unwrap()` in a test prints every deviation.

mod chat;
mod items;
mod messages;
mod policy;
mod responses;
mod sse;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use chat::chat;
pub use messages::messages;
pub use policy::policy;
pub use responses::responses;

/// Everything that deviates, one line each.
#[derive(Debug, Default)]
struct Findings(Vec<String>);

impl Findings {
    fn note(&mut self, finding: impl Into<String>) {
        self.0.push(finding.into());
    }

    /// Notes `finding` unless it is as it should be.
    fn check(&mut self, sound: bool, finding: impl FnOnce() -> String) {
        if !sound {
            self.note(finding());
        }
    }

    fn or(self, sound: Value) -> Result<Value, Vec<String>> {
        if self.0.is_empty() {
            Ok(sound)
        } else {
            Err(self.0)
        }
    }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// The elements of a list; none when it is none.
fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map_or(&[], Vec::as_slice)
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}
