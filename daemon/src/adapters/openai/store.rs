//! Answers that are kept, as the endpoints under `/responses/{id}` give them.

use serde_json::value::RawValue;

use super::history::Head;
use super::ids;
use crate::adapters::raw::{Object, list, quoted};
use crate::adapters::record::Record;
use crate::adapters::refusal::Refusal;
use crate::mcp::edit::{self, Edit};
use http::StatusCode;

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// `GET /responses/{id}`. `query` as it stands in the URL, without the question mark.
///
/// # Errors
/// It asks for the stream, which is not kept.
pub fn get(record: &Record, query: Option<&str>) -> Result<String, Refusal> {
    if value(query, "stream").as_deref() == Some("true") {
        let message = "The events of this answer are not kept. Leave 'stream' out to get the answer \
                       itself, or send the request again to have it streamed.";
        return Err(Refusal::invalid("stream", message).with_code("unsupported_parameter"));
    }
    Ok(record.object.get().to_owned())
}

/// `DELETE /responses/{id}`, once it is gone.
pub fn deleted(id: &str) -> String {
    Object::new()
        .text("id", id)
        .text("object", "response")
        .put("deleted", "true")
        .json()
}

/// `POST /responses/{id}/cancel` of an answer that is kept, and so is complete.
pub fn cancelled() -> Refusal {
    let message = "Cannot cancel a synchronous response. Close its connection instead; only responses \
                   with background=true can be cancelled.";
    Refusal::new(StatusCode::BAD_REQUEST, message)
}

pub fn not_found(id: &str) -> Refusal {
    let message = format!(
        "Response with id '{id}' not found. It was deleted, is older than this bridge keeps answers, \
         was too large to be kept or made with store:false, or belongs to another key."
    );
    Refusal::new(StatusCode::NOT_FOUND, message)
}

/// `GET /responses/{id}/input_items`, newest first unless asked otherwise.
///
/// # Errors
/// `query` asks for what there is not.
pub fn input_items(record: &Record, query: Option<&str>) -> Result<String, Refusal> {
    let items = record.input.iter().enumerate();
    let mut items: Vec<(String, String)> = items
        .map(|(at, item)| identified(item, &record.id, at))
        .collect();
    match value(query, "order").as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => return Err(invalid("order", "it is \"asc\" or \"desc\"")),
    }
    if let Some(after) = value(query, "after") {
        let Some(at) = items.iter().position(|(id, _)| *id == after) else {
            return Err(invalid("after", "there is no item with this id"));
        };
        items.drain(..=at);
    }
    let limit = limit(query)?;
    let more = items.len() > limit;
    items.truncate(limit);
    let end = |item: Option<&(String, String)>| match item {
        Some((id, _)) => quoted(id),
        None => "null".to_owned(),
    };
    Ok(Object::new()
        .text("object", "list")
        .put("data", &list(items.iter().map(|(_, item)| item)))
        .put("first_id", &end(items.first()))
        .put("last_id", &end(items.last()))
        .put("has_more", if more { "true" } else { "false" })
        .json())
}

/// An item with its id, which clients need not give.
fn identified(item: &RawValue, response: &str, at: usize) -> (String, String) {
    let head = Head::of(item);
    if let Some(id) = head.id {
        return (id, item.get().to_owned());
    }
    let prefix = match head.kind.as_deref() {
        None | Some("message") => "msg",
        Some("function_call_output") => "fco",
        Some(_) => "item",
    };
    let id = ids::made(prefix, response, &format!("in_{at}"));
    let edits = [("id", Edit::Put(quoted(&id).into()))];
    let item = edit::object(item.get(), &edits).unwrap_or_else(|_| item.get().to_owned());
    (id, item)
}

fn limit(query: Option<&str>) -> Result<usize, Refusal> {
    let Some(limit) = value(query, "limit") else {
        return Ok(DEFAULT_LIMIT);
    };
    match limit.parse() {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        _ => Err(invalid("limit", "it is a number from 1 to 100")),
    }
}

fn value(query: Option<&str>, key: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query?.as_bytes());
    let found = pairs.find(|(name, _)| name == key);
    found.map(|(_, value)| value.into_owned())
}

fn invalid(param: &str, expected: &str) -> Refusal {
    let message = format!("Invalid value for '{param}': {expected}.");
    Refusal::invalid(param, message).with_code("invalid_value")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::adapters::event::Wire;
    use crate::adapters::raw::raw;

    fn record(inputs: usize) -> Record {
        let item =
            |at: usize| raw(json!({ "role": "user", "content": format!("{at}") }).to_string());
        let mut input: Vec<Box<RawValue>> = (0..inputs).map(item).collect();
        input.push(raw(
            r#"{"type":"message","id":"msg_own","role":"user","content":"1.0"}"#.to_owned(),
        ));
        Record {
            id: "resp_mb1".to_owned(),
            wire: Wire::Responses,
            parent: None,
            vendors: None,
            hidden: Vec::new(),
            listings: Vec::new(),
            version: 1,
            open: Vec::new(),
            object: raw(r#"{"id":"resp_mb1","x":1.0}"#.to_owned()),
            input,
        }
    }

    fn page(record: &Record, query: &str) -> Value {
        serde_json::from_str(&input_items(record, Some(query)).unwrap()).unwrap()
    }

    fn ids(page: &Value) -> Vec<&str> {
        let items = page["data"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap()).collect()
    }

    #[test]
    fn items_come_in_pages_that_lead_to_each_other() {
        let record = record(24);
        let first = page(&record, "");
        assert_eq!(ids(&first).len(), 20);
        assert_eq!(first["first_id"], "msg_own");
        assert_eq!(first["has_more"], true);
        let last = first["last_id"].as_str().unwrap();
        let second = page(&record, &format!("after={last}&limit=20"));
        assert_eq!(ids(&second).len(), 5);
        assert_eq!(second["has_more"], false);
        let all = page(&record, "order=asc&limit=100");
        let mut both: Vec<&str> = ids(&first).into_iter().chain(ids(&second)).collect();
        both.reverse();
        assert_eq!(ids(&all), both);
        assert_eq!(all["data"][0]["content"], "0");
        let none = page(&record, "order=asc&after=msg_own");
        assert_eq!(
            (&none["data"], &none["first_id"]),
            (&json!([]), &json!(null))
        );
        for query in [
            "limit=0",
            "limit=101",
            "limit=x",
            "order=up",
            "after=nobody",
        ] {
            assert!(input_items(&record, Some(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn an_answer_comes_back_as_it_was_given_and_not_as_a_stream() {
        let record = record(0);
        assert_eq!(get(&record, None).unwrap(), record.object.get());
        assert_eq!(
            get(&record, Some("include%5B%5D=x&stream=false")).unwrap(),
            record.object.get()
        );
        let refusal = get(&record, Some("stream=true&starting_after=4")).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some("stream"));
        assert_eq!(
            deleted("resp_1"),
            r#"{"id":"resp_1","object":"response","deleted":true}"#
        );
    }
}
