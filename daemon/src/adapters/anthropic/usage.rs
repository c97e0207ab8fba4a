//! Token counters as the Messages API writes them.

use serde_json::value::RawValue;

use crate::adapters::event::Usage;
use crate::adapters::raw::{Object, list, raw};
use crate::mcp::edit::Members;

/// The counters of one answer while it comes: what comes later replaces what was there.
#[derive(Default)]
pub(super) struct Counted(Vec<(String, Box<RawValue>)>);

impl Counted {
    pub(super) fn update(&mut self, usage: &RawValue) {
        let Ok(Members(members)) = Members::of(usage.get()) else {
            return;
        };
        for (key, value) in members {
            if value.get() == "null" {
                continue;
            }
            match self.0.iter_mut().find(|(name, _)| *name == key) {
                Some((_, old)) => *old = value.to_owned(),
                None => self.0.push((key, value.to_owned())),
            }
        }
    }

    pub(super) fn json(&self) -> String {
        let object = Object::new();
        let put =
            |object: Object, (key, value): &(String, Box<RawValue>)| object.put(key, value.get());
        self.0.iter().fold(object, put).json()
    }

    pub(super) fn usage(&self) -> Usage {
        let get = |key: &str| self.0.iter().find(|(name, _)| name == key);
        let number = |key| get(key).map_or(0, |(_, value)| count(value));
        let inner = |key, inner| get(key).map_or(0, |(_, value)| member(value, inner));
        let cache_read = number("cache_read_input_tokens");
        let cache_write = number("cache_creation_input_tokens");
        Usage {
            input: number("input_tokens")
                .saturating_add(cache_read)
                .saturating_add(cache_write),
            cache_read,
            cache_write,
            cache_write_5m: inner("cache_creation", "ephemeral_5m_input_tokens"),
            cache_write_1h: inner("cache_creation", "ephemeral_1h_input_tokens"),
            output: number("output_tokens"),
            reasoning: inner("output_tokens_details", "thinking_tokens"),
        }
    }
}

fn count(value: &RawValue) -> u64 {
    serde_json::from_str(value.get()).unwrap_or(0)
}

fn member(object: &RawValue, key: &str) -> u64 {
    let members = Members::of(object.get());
    members
        .ok()
        .and_then(|it| it.get(key).map(count))
        .unwrap_or(0)
}

/// The members of `usage`, in the order of the API.
pub(super) fn members(usage: &Usage, mut object: Object) -> Object {
    let cached = usage.cache_read.saturating_add(usage.cache_write);
    object = object
        .put(
            "input_tokens",
            &usage.input.saturating_sub(cached).to_string(),
        )
        .put("output_tokens", &usage.output.to_string())
        .put("cache_read_input_tokens", &usage.cache_read.to_string())
        .put(
            "cache_creation_input_tokens",
            &usage.cache_write.to_string(),
        );
    if usage.cache_write_5m > 0 || usage.cache_write_1h > 0 {
        let creation = Object::new()
            .put(
                "ephemeral_5m_input_tokens",
                &(usage.cache_write_5m).to_string(),
            )
            .put(
                "ephemeral_1h_input_tokens",
                &(usage.cache_write_1h).to_string(),
            );
        object = object.put("cache_creation", &creation.json());
    }
    object
}

/// The counters of a whole answer: sums, what only the vendor counts, and each turn by itself.
/// `natives` are the `message_delta` events of the turns.
pub(super) fn total<'a>(
    sum: &Usage,
    turns: &[Usage],
    natives: impl Iterator<Item = &'a RawValue>,
) -> String {
    let mut object = members(sum, Object::new());
    if sum.reasoning > 0 {
        let details = Object::new().put("thinking_tokens", &sum.reasoning.to_string());
        object = object.put("output_tokens_details", &details.json());
    }
    for (key, value) in others(natives) {
        object = object.put(&key, value.get());
    }
    let each: Vec<String> = turns
        .iter()
        .map(|turn| members(turn, Object::of_type("message")).json())
        .collect();
    let each = list(&each);
    object.put("iterations", &each).json()
}

/// What is not among [`members`]: counts of the vendor's own tools added up, else the latest word.
fn others<'a>(natives: impl Iterator<Item = &'a RawValue>) -> Vec<(String, Box<RawValue>)> {
    const OWN: [&str; 7] = [
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "output_tokens_details",
        "iterations",
    ];
    let mut all: Vec<(String, Box<RawValue>)> = Vec::new();
    for native in natives {
        let usage = Members::of(native.get())
            .ok()
            .and_then(|it| it.get("usage"));
        let Some(Ok(Members(members))) = usage.map(|usage| Members::of(usage.get())) else {
            continue;
        };
        for (key, value) in members {
            if value.get() == "null" || OWN.contains(&key.as_str()) {
                continue;
            }
            match all.iter_mut().find(|(name, _)| *name == key) {
                Some((_, old)) if key == "server_tool_use" => *old = added(old, value),
                Some((_, old)) => *old = value.to_owned(),
                None => all.push((key, value.to_owned())),
            }
        }
    }
    all
}

fn added(one: &RawValue, other: &RawValue) -> Box<RawValue> {
    let (Ok(Members(ours)), Ok(theirs)) = (Members::of(one.get()), Members::of(other.get())) else {
        return other.to_owned();
    };
    let mut sum = Object::new();
    for (key, value) in &ours {
        let more = theirs.get(key).map_or(0, count);
        sum = sum.put(key, &count(value).saturating_add(more).to_string());
    }
    for (key, value) in &theirs.0 {
        if !ours.iter().any(|(name, _)| name == key) {
            sum = sum.put(key, &count(value).to_string());
        }
    }
    raw(sum.json())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn later_counters_replace_earlier_ones_and_null_says_nothing() {
        let mut counted = Counted::default();
        counted.update(&parsed(
            r#"{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":7,
                "cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4},"output_tokens":1}"#,
        ));
        counted.update(&parsed(
            r#"{"output_tokens":9,"input_tokens":null,"service_tier":"standard"}"#,
        ));
        let usage = counted.usage();
        assert_eq!((usage.input, usage.output), (22, 9));
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h), (3, 4));
        counted.update(&parsed(
            r#"{"output_tokens":-1,"input_tokens":"x","cache_creation":[]}"#,
        ));
        assert_eq!(counted.usage().output, 0);
    }

    #[test]
    fn an_answer_has_sums_and_each_turn() {
        let turn = Usage {
            input: 12,
            cache_read: 2,
            output: 3,
            ..Usage::default()
        };
        let mut sum = turn;
        sum += turn;
        let natives = [
            parsed(
                r#"{"usage":{"output_tokens":3,"server_tool_use":{"web_search_requests":1},"service_tier":"a"}}"#,
            ),
            parsed(r#"{"usage":{"server_tool_use":{"web_search_requests":2},"service_tier":"b"}}"#),
        ];
        let one = r#"{"type":"message","input_tokens":10,"output_tokens":3,"cache_read_input_tokens":2,"cache_creation_input_tokens":0}"#;
        assert_eq!(
            total(&sum, &[turn, turn], natives.iter().map(AsRef::as_ref)),
            format!(
                r#"{{"input_tokens":20,"output_tokens":6,"cache_read_input_tokens":4,"cache_creation_input_tokens":0,"server_tool_use":{{"web_search_requests":3}},"service_tier":"b","iterations":[{one},{one}]}}"#
            )
        );
    }
}
