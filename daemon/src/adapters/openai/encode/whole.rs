//! The events of an item that is shown when it is complete already, up to its
//! `response.output_item.done`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::part::Shown;
use crate::adapters::raw::{Object, elements, list, raw};
use crate::mcp::edit::{self, Edit, Members};

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
}

pub(super) fn events(item: &RawValue) -> Vec<Shown> {
    let Ok(read) = serde_json::from_str::<Item<'_>>(item.get()) else {
        return vec![added(item, &[])];
    };
    let about = || Object::new().text("item_id", read.id.as_deref().unwrap_or_default());
    match read.kind.as_str() {
        "message" | "reasoning" => {
            let mut events = vec![added(item, &[("content", "[]"), ("summary", "[]")])];
            for (index, part) in elements(read.summary).into_iter().enumerate() {
                let place = || about().put("summary_index", &index.to_string());
                events.extend(of_part("reasoning_summary_", &place, part));
            }
            for (index, part) in elements(read.content).into_iter().enumerate() {
                let place = || about().put("content_index", &index.to_string());
                events.extend(of_part("content_", &place, part));
            }
            events
        }
        "function_call" => {
            let arguments = read.arguments.map_or("\"\"", RawValue::get);
            call(
                item,
                ("function_call_arguments", "arguments"),
                arguments,
                &about,
            )
        }
        "custom_tool_call" => {
            let input = read.input.map_or("\"\"", RawValue::get);
            call(item, ("custom_tool_call_input", "input"), input, &about)
        }
        _ => vec![added(item, &[])],
    }
}

/// `item` as it would have begun: with `empty` instead of what it has there.
fn added(item: &RawValue, empty: &[(&str, &str)]) -> Shown {
    let members = Members::of(item.get());
    let mut edits: Vec<(&str, Edit<'_>)> = empty
        .iter()
        .filter(|(key, _)| {
            members
                .as_ref()
                .is_ok_and(|members| members.get(key).is_some())
        })
        .map(|(key, json)| (*key, Edit::Put((*json).into())))
        .collect();
    if !empty.is_empty() {
        edits.push(("status", Edit::Put("\"in_progress\"".into())));
    }
    let begun = edit::object(item.get(), &edits).unwrap_or_else(|_| item.get().to_owned());
    let own = Object::new().put("item", raw(begun).get());
    ("response.output_item.added".to_owned(), own)
}

fn call(
    item: &RawValue,
    (event, member): (&str, &str),
    value: &str,
    about: &dyn Fn() -> Object,
) -> Vec<Shown> {
    vec![
        added(item, &[(member, "\"\"")]),
        (
            format!("response.{event}.delta"),
            about().put("delta", value),
        ),
        (format!("response.{event}.done"), about().put(member, value)),
    ]
}

fn of_part(group: &str, place: &dyn Fn() -> Object, part: &RawValue) -> Vec<Shown> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(rename = "type")]
        kind: String,
        #[serde(borrow)]
        text: Option<&'a RawValue>,
        #[serde(borrow)]
        refusal: Option<&'a RawValue>,
        #[serde(borrow)]
        logprobs: Option<&'a RawValue>,
    }
    let shown = |what: &str, part: &str| {
        let kind = format!("response.{group}part.{what}");
        (kind, place().put("part", part))
    };
    let Ok(read) = serde_json::from_str::<Part<'_>>(part.get()) else {
        return vec![shown("added", part.get()), shown("done", part.get())];
    };
    let (event, member, value) = match read.kind.as_str() {
        "output_text" => ("output_text", "text", read.text),
        "refusal" => ("refusal", "refusal", read.refusal),
        "reasoning_text" => ("reasoning_text", "text", read.text),
        "summary_text" => ("reasoning_summary_text", "text", read.text),
        _ => return vec![shown("added", part.get()), shown("done", part.get())],
    };
    let value = value.map_or("\"\"", RawValue::get);
    let empty = [
        (member, Edit::Put("\"\"".into())),
        ("annotations", Edit::Put("[]".into())),
        ("logprobs", Edit::Put("[]".into())),
    ];
    // Only a text has annotations and probabilities.
    let empty = if event == "output_text" {
        &empty[..]
    } else {
        &empty[..1]
    };
    let begun = edit::object(part.get(), empty).unwrap_or_else(|_| part.get().to_owned());
    let logprobs = read
        .logprobs
        .map_or_else(|| list([""; 0]), |raw| raw.get().to_owned());
    let with = |own: Object| match event {
        "output_text" => own.put("logprobs", &logprobs),
        _ => own,
    };
    vec![
        shown("added", &begun),
        (
            format!("response.{event}.delta"),
            with(place().put("delta", value)),
        ),
        (
            format!("response.{event}.done"),
            with(place().put(member, value)),
        ),
        shown("done", part.get()),
    ]
}
