//! The fakes themselves, since every other test believes them.

use std::collections::HashMap;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{FakeAi, Turn, lint};
use crate::client;
use crate::script::Gate;
use crate::secrets::Secrets;

struct Caller {
    vendor: FakeAi,
    http: reqwest::Client,
}

impl Caller {
    fn of(vendor: FakeAi) -> Self {
        Self {
            vendor,
            http: client::http(),
        }
    }

    async fn openai() -> Self {
        Self::of(FakeAi::openai(&Secrets::default()).await)
    }

    async fn anthropic() -> Self {
        Self::of(FakeAi::anthropic(&Secrets::default()).await)
    }

    fn request(&self, path: &str, body: String) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.vendor.url()));
        let request = request.bearer_auth(self.vendor.key());
        let request = request.header("anthropic-version", "2023-06-01");
        request
            .header("content-type", "application/json")
            .body(body)
    }

    async fn post(&self, path: &str, body: &str) -> (u16, HeaderMap, String) {
        let response = self.request(path, body.to_owned()).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.text().await.unwrap())
    }

    async fn json(&self, path: &str, body: &Value) -> Value {
        let (status, _, text) = self.post(path, &body.to_string()).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn refused(&self, path: &str, body: &Value) -> String {
        let (status, _, text) = self.post(path, &body.to_string()).await;
        assert_eq!(status, 400, "{text}");
        let error: Value = serde_json::from_str(&text).unwrap();
        error["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// Names of the events of a stream, repetitions joined.
fn kinds(stream: &str) -> Vec<&str> {
    let mut kinds: Vec<&str> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    kinds.dedup();
    kinds
}

fn events(stream: &str) -> Vec<Value> {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: {"));
    data.map(|text| serde_json::from_str(&format!("{{{text}")).unwrap())
        .collect()
}

fn function(name: &str) -> Value {
    let schema = json!({ "type": "object", "properties": {} });
    json!({ "type": "function", "name": name, "parameters": schema, "strict": false })
}

const ODD: &str = r#"{ "b": 1.0, "a":"\u00e9" }"#;

#[tokio::test]
async fn responses_are_streamed_in_the_order_of_the_reference() {
    let caller = Caller::openai().await;
    let turn = Turn::new()
        .thinking("Let me look at it.")
        .and_text("Looking.")
        .call("*__echo", ODD);
    caller.vendor.push(turn.fragmented(5));
    let request = json!({ "model": "gpt-5.4", "input": "hi", "stream": true, "store": false, "tools": [function("s__echo")] });
    let (_, headers, text) = caller.post("/responses", &request.to_string()).await;
    assert!(headers.contains_key("x-request-id"));
    let expected = "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
        reasoning_summary_text.done reasoning_summary_part.done output_item.done output_item.added content_part.added \
        output_text.delta output_text.done content_part.done output_item.done output_item.added \
        function_call_arguments.delta function_call_arguments.done output_item.done completed";
    let expected: Vec<String> = expected
        .split_whitespace()
        .map(|kind| format!("response.{kind}"))
        .collect();
    assert_eq!(kinds(&text), expected);
    let events = events(&text);
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], index);
    }
    let output = &lint::responses(text.as_bytes()).unwrap()["output"];
    assert_eq!(output[2]["name"], "s__echo");
    assert_eq!(output[2]["arguments"], ODD);
    caller.vendor.assert_content();
}

#[tokio::test]
async fn messages_are_streamed_in_the_order_of_the_reference() {
    let caller = Caller::anthropic().await;
    let turn = Turn::new()
        .thinking("Hm.")
        .call("echo", ODD)
        .call("now", "");
    caller.vendor.push(turn.clone());
    caller.vendor.push(turn);
    let mut request = json!({ "model": "claude", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
    let (_, _, whole) = caller.post("/v1/messages", &request.to_string()).await;
    assert!(whole.contains(&format!(r#""input":{ODD}}}"#)), "{whole}");
    request["stream"] = json!(true);
    let (_, _, text) = caller.post("/v1/messages", &request.to_string()).await;
    let block = [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ];
    let mut expected = vec!["message_start", block[0], "ping", block[1], block[2]];
    expected.extend([block, block].concat());
    expected.extend(["message_delta", "message_stop"]);
    assert_eq!(kinds(&text), expected);
    let inputs = events(&text)
        .into_iter()
        .filter(|event| event["index"] == 1);
    lint::messages(text.as_bytes()).unwrap();
    let input: String = inputs
        .filter_map(|event| event["delta"]["partial_json"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(input, ODD);
    assert!(text.contains(r#""stop_reason":"tool_use""#));
}

#[tokio::test]
async fn chat_completions_are_streamed_without_event_names() {
    let caller = Caller::openai().await;
    caller.vendor.push(Turn::text("Well.").call("echo", ODD));
    let request = json!({
        "model": "m", "messages": [{ "role": "user", "content": "hi" }], "stream": true,
        "stream_options": { "include_usage": true },
    });
    let (_, _, text) = caller.post("/chat/completions", &request.to_string()).await;
    assert!(kinds(&text).is_empty());
    lint::chat(text.as_bytes()).unwrap();
    let chunks = events(&text);
    let deltas = chunks.iter().filter_map(|chunk| {
        chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str()
    });
    assert_eq!(deltas.collect::<String>(), ODD);
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 18);
}

#[tokio::test]
async fn a_changed_prefix_is_refused_and_an_unchanged_one_is_not() {
    let caller = Caller::anthropic().await;
    let echo = json!({ "name": "echo", "input_schema": { "type": "object" } });
    let user = json!({ "role": "user", "content": "hi" });
    let mut request =
        json!({ "model": "claude", "max_tokens": 9, "tools": [echo], "messages": [user] });
    caller.vendor.push(
        Turn::new()
            .thinking("Hm.")
            .redacted_thinking()
            .call("echo", r#"{"a":1.0}"#),
    );
    let first = caller.json("/v1/messages", &request).await;
    let id = first["content"][2]["id"].as_str().unwrap();
    let result = json!({ "type": "tool_result", "tool_use_id": id, "content": "ran" });
    request["messages"] = json!([
        user, { "role": "assistant", "content": first["content"] }, { "role": "user", "content": [result] },
    ]);
    // cache_control does not count, nor does the spelling of a text.
    request["tools"][0]["cache_control"] = json!({ "type": "ephemeral" });
    request["messages"][0]["content"] = json!([{ "type": "text", "text": "hi" }]);
    caller
        .vendor
        .push(Turn::new().thinking("Done.").and_text("ok"));
    caller.json("/v1/messages", &request).await;
    caller.vendor.assert_content();
    let changes: HashMap<&str, fn(&mut Value)> = HashMap::from([
        (
            "system",
            (|body| body["system"] = json!("new")) as fn(&mut Value),
        ),
        ("a tool", |body| {
            body["tools"][0]["description"] = json!("new")
        }),
        ("a text", |body| {
            body["messages"][0]["content"][0]["text"] = json!("ho")
        }),
        ("the thinking", |body| {
            body["messages"][1]["content"][0]["thinking"] = json!("")
        }),
        ("the data", |body| {
            body["messages"][1]["content"][1]["data"] = json!("x")
        }),
    ]);
    for (what, change) in changes {
        let mut changed = request.clone();
        change(&mut changed);
        let message = caller.refused("/v1/messages", &changed).await;
        assert!(
            message.contains("Invalid signature in thinking block"),
            "{what}: {message}"
        );
        let message = caller.refused("/v1/messages/count_tokens", &changed).await;
        assert!(message.contains("Invalid signature"), "{what}: {message}");
    }
}

#[tokio::test]
async fn calls_without_results_and_results_without_calls_are_refused() {
    let caller = Caller::anthropic().await;
    let uses = json!([{ "type": "tool_use", "id": "toolu_1", "name": "echo", "input": {} }]);
    let result = json!([{ "type": "tool_result", "tool_use_id": "toolu_2", "content": "" }]);
    for (content, complaint) in [
        (json!("no"), "without `tool_result`"),
        (result, "unexpected `tool_use_id`"),
    ] {
        let messages = json!([
            { "role": "user", "content": "hi" }, { "role": "assistant", "content": uses },
            { "role": "user", "content": content },
        ]);
        let request = json!({ "model": "claude", "max_tokens": 9, "messages": messages });
        let message = caller.refused("/v1/messages", &request).await;
        assert!(message.contains(complaint), "{message}");
    }
    let caller = Caller::openai().await;
    let call =
        json!({ "type": "function_call", "call_id": "call_1", "name": "echo", "arguments": "{}" });
    let output = json!({ "type": "function_call_output", "call_id": "call_2", "output": "" });
    let listing =
        json!({ "type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s", "tools": [] });
    for (item, complaint) in [
        (call, "No tool output found"),
        (output, "No tool call found"),
        (listing, "not found"),
    ] {
        let request = json!({ "model": "gpt", "input": [item] });
        let message = caller.refused("/responses", &request).await;
        assert!(message.contains(complaint), "{message}");
    }
}

#[tokio::test]
async fn reasoning_needs_its_item_and_its_prefix() {
    let caller = Caller::openai().await;
    let user = json!({ "role": "user", "content": "hi" });
    caller
        .vendor
        .push(Turn::new().thinking("Hm.").and_text("ho"));
    let mut request = json!({ "model": "gpt", "store": false, "input": [user] });
    let first = caller.json("/responses", &request).await;
    let [reasoning, message] = [&first["output"][0], &first["output"][1]];
    request["input"] = json!([user, reasoning, user]);
    let refusal = caller.refused("/responses", &request).await;
    assert!(
        refusal.contains("without its required following item"),
        "{refusal}"
    );
    caller.vendor.reset();
    caller.vendor.then(|_| Turn::text("more"));
    request["input"] = json!([user, reasoning, message, user]);
    caller.json("/responses", &request).await;
    caller.vendor.assert_content();
    request["input"][0]["content"] = json!("changed");
    caller.json("/responses", &request).await;
    assert!(caller.vendor.complaints()[0].contains("prefix_mismatch"));
}

#[tokio::test]
async fn errors_cuts_and_gates_are_as_scripted() {
    let caller = Caller::anthropic().await;
    let request = json!({ "model": "claude", "max_tokens": 9, "stream": true,
                          "messages": [{ "role": "user", "content": "hi" }] });
    caller
        .vendor
        .push(Turn::error(529).header("retry-after", "3"));
    let (status, headers, text) = caller.post("/v1/messages", &request.to_string()).await;
    assert_eq!(
        (status, headers["retry-after"].as_bytes()),
        (529, &b"3"[..])
    );
    assert!(text.contains("overloaded_error"));
    caller.vendor.push(Turn::text("never seen").cut_after(2));
    let cut = caller
        .request("/v1/messages", request.to_string())
        .send()
        .await
        .unwrap();
    assert!(cut.text().await.is_err());
    let gate = Gate::new();
    caller.vendor.push(Turn::text("late").held(&gate));
    let sent = tokio::spawn(caller.request("/v1/messages", request.to_string()).send());
    gate.reached().await;
    assert!(!sent.is_finished());
    gate.release();
    let text = sent.await.unwrap().unwrap().text().await.unwrap();
    assert!(text.contains("late"));
    let message = caller.refused("/v1/messages", &request).await;
    assert!(message.contains("no turn left"), "{message}");
}

#[tokio::test]
async fn other_paths_come_back_and_other_keys_do_not() {
    let caller = Caller::openai().await;
    let (status, headers, text) = caller.post("/files?limit=3", "{ \"any\":1.0 }").await;
    assert_eq!((status, text.as_str()), (200, "{ \"any\":1.0 }"));
    assert_eq!(headers["x-echo-query"], "limit=3");
    let stranger = caller
        .http
        .get(format!("{}/models", caller.vendor.url()))
        .bearer_auth("other");
    assert_eq!(stranger.send().await.unwrap().status(), 401);
    assert!(caller.vendor.received("Bearer other"));
}

#[tokio::test]
async fn a_request_that_repeats_the_earlier_one_continues_it() {
    let caller = Caller::openai().await;
    caller.vendor.then(|_| Turn::text("ok"));
    let first = r#"{"model":"m","input":[{"role":"user","content":"\u00e9"}]}"#;
    let more = r#"{"model":"m","input":[{"role":"user","content":"\u00e9"},{"role":"user","content":"b"}]}"#;
    let changed =
        r#"{"model":"m","input":[{"role":"user","content":"é"},{"role":"user","content":"b"}]}"#;
    for body in [first, more, changed] {
        caller.post("/responses", body).await;
    }
    let turns = caller.vendor.turns();
    turns[1].assert_continues(&turns[0]);
    let broken = std::panic::catch_unwind(|| turns[2].assert_continues(&turns[0]));
    assert!(broken.is_err());
}
