//! By the asking client: states that it was given, used again, for other calls or by others; arguments
//! that two readers read differently; answers to questions that nobody put to it.

use std::sync::Arc;

use mcpbridge_tests::client::{McpAnswer, Messages};
use mcpbridge_tests::{McpClient, Queue, Scenario, wait};
use serde_json::{Value, json};

use super::{asking, held};

const INPUT_KEY: &str = "io.github.mcp-oauth-bridge/approval";

/// The first half of a call: the client is given a state to bring back.
async fn given_state(client: &McpClient, arguments: Value) -> (Value, Value) {
    let params = client.call_params("echo", arguments);
    let asked = client.request("tools/call", params.clone()).await;
    let result = &asked.message["result"];
    assert_eq!(
        result["resultType"], "input_required",
        "{:?}",
        asked.message
    );
    assert!(result["requestState"].is_string(), "{result}");
    (params, result["requestState"].clone())
}

fn with_state(mut params: Value, state: &Value) -> Value {
    params["requestState"] = state.clone();
    params["inputResponses"] = json!({ INPUT_KEY: { "action": "accept" } });
    params
}

#[track_caller]
fn refused(answer: &McpAnswer, why: &str) {
    let said = answer.message.to_string();
    let failed = answer.is_tool_error() || answer.message.get("error").is_some();
    assert!(failed && said.contains(why), "{} {said}", answer.status);
}

#[tokio::test]
async fn a_state_is_good_for_one_execution() {
    let scenario = Scenario::under("ask").await;
    let queue = Queue::of(&scenario.home).await;
    let client = Arc::new(asking(&scenario, "hello"));
    let (params, state) = given_state(&client, json!({ "n": 1 })).await;
    let retry = with_state(params, &state);
    let item = queue.pending(1).await.remove(0);
    queue.approve(&item.id).await.unwrap();
    let done = client.request("tools/call", retry.clone()).await;
    done.assert_text(r#"{"n":1}"#);
    for _ in 0..3 {
        let replayed = client.request("tools/call", retry.clone()).await;
        refused(&replayed, "requestState was used already");
    }
    assert_eq!(scenario.mcp.executions("echo"), 1);
    assert_eq!(queue.all().await.len(), 1);
    scenario.finish().await;
}

#[tokio::test]
async fn two_retries_at_once_are_one_execution() {
    let scenario = Scenario::under("ask").await;
    let queue = Queue::of(&scenario.home).await;
    let client = Arc::new(asking(&scenario, "hello"));
    let (params, state) = given_state(&client, json!({ "n": 1 })).await;
    let retry = with_state(params, &state);
    let calls: Vec<_> = (0..8).map(|_| held(&client, retry.clone())).collect();
    let id = queue.pending(1).await.remove(0).id;
    wait::until("eight to wait", wait::PATIENCE, async || {
        (queue.get(&id).await.waiting == 8).then_some(())
    })
    .await;
    queue.approve(&id).await.unwrap();
    let mut results = 0;
    for call in calls {
        let answer = call.await.unwrap();
        results += usize::from(answer.text() == r#"{"n":1}"#);
    }
    assert_eq!((results, scenario.mcp.executions("echo")), (1, 1));
    scenario.finish().await;
}

#[tokio::test]
async fn an_approval_does_not_pass_to_other_arguments() {
    let scenario = Scenario::under("ask").await;
    let queue = Queue::of(&scenario.home).await;
    let client = asking(&scenario, "hello");
    let (_, state) = given_state(&client, json!({ "amount": 1 })).await;
    let item = queue.pending(1).await.remove(0);
    queue.approve(&item.id).await.unwrap();
    let others = [
        json!({ "amount": 1000 }),
        json!({ "amount": 1, "to": "me" }),
        json!({}),
    ];
    for arguments in others {
        let changed = with_state(client.call_params("echo", arguments), &state);
        let answer = client.request("tools/call", changed).await;
        let result = &answer.message["result"];
        assert_eq!(
            result["resultType"], "input_required",
            "{:?}",
            answer.message
        );
    }
    assert_eq!(
        queue.pending(3).await.len(),
        3,
        "each is a question of its own"
    );
    assert_eq!(scenario.mcp.executions("echo"), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn an_approval_does_not_pass_to_another_tool_server_or_caller() {
    let scenario = Scenario::under("ask").await;
    scenario.add_open("second", "ask").await;
    let queue = Queue::of(&scenario.home).await;
    let token = scenario.client_token("mallory").await;
    let client = asking(&scenario, "hello");
    let (params, state) = given_state(&client, json!({ "n": 1 })).await;
    let item = queue.pending(1).await.remove(0);
    queue.approve(&item.id).await.unwrap();
    let retry = with_state(params, &state);

    let mallory = asking(&scenario, "hello").with_token(&token);
    let answer = mallory.request("tools/call", retry.clone()).await;
    refused(&answer, "another caller");
    let second = asking(&scenario, "second");
    let answer = second.request("tools/call", retry.clone()).await;
    refused(&answer, "another tool");
    let mut other_tool = retry.clone();
    other_tool["name"] = json!("server_info");
    let answer = client.request("tools/call", other_tool).await;
    refused(&answer, "another tool");
    for tool in ["echo", "server_info"] {
        assert_eq!(scenario.mcp.executions(tool), 0, "{tool}");
    }
    // Whom it was given to can still use it.
    client
        .request("tools/call", retry)
        .await
        .assert_text(r#"{"n":1}"#);
    scenario.finish().await;
}

#[tokio::test]
async fn a_changed_state_is_refused() {
    let scenario = Scenario::under("ask").await;
    let queue = Queue::of(&scenario.home).await;
    let client = asking(&scenario, "hello");
    let (params, state) = given_state(&client, json!({ "n": 1 })).await;
    let state = state.as_str().unwrap();
    let item = queue.pending(1).await.remove(0);
    queue.approve(&item.id).await.unwrap();
    let before = scenario.mcp.requests();
    let last = if state.ends_with('A') { "B" } else { "A" };
    let middle = state.len() / 2;
    let flipped = if &state[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    let changed = [
        format!("{}{last}", &state[..state.len() - 1]),
        format!("{}{flipped}{}", &state[..middle], &state[middle + 1..]),
        state[..middle].to_owned(),
        format!("{state}AAAA"),
    ];
    for state in changed {
        let retry = with_state(params.clone(), &json!(state));
        let answer = client.request("tools/call", retry).await;
        let said = answer.message.to_string();
        assert!(
            answer.message.get("error").is_some() || answer.is_tool_error(),
            "{said}"
        );
    }
    assert_eq!(scenario.mcp.requests(), before);
    scenario.finish().await;
}

#[tokio::test]
async fn an_answer_of_the_client_counts_only_where_policy_says_so() {
    let scenario = Scenario::under("ask").await;
    let queue = Queue::of(&scenario.home).await;
    let yes = json!({ "action": "accept", "content": { "decision": "approve" } });

    // In the call itself, asked or not.
    let modern = Arc::new(asking(&scenario, "hello"));
    let (params, state) = given_state(&modern, json!({ "n": 1 })).await;
    let mut retry = with_state(params.clone(), &state);
    retry["inputResponses"] = json!({ INPUT_KEY: yes });
    let mut unasked = modern.call_params("echo", json!({ "n": 2 }));
    unasked["inputResponses"] = json!({ INPUT_KEY: yes });
    let calls = [held(&modern, retry), held(&modern, unasked)];
    // As an answer to a question that was put to somebody else, or to nobody.
    let forms = json!({ "elicitation": { "form": {}, "url": {} } });
    let url = scenario.daemon.mcp_url("hello");
    let legacy = McpClient::modern(&url).with_capabilities(forms.clone());
    let legacy = legacy.in_session().await;
    let call = legacy.open("echo", json!({ "n": 3 })).await;
    let mut messages = Messages::of(call);
    let question = loop {
        let said = wait::within("the question", messages.next()).await.unwrap();
        if said["method"] == "elicitation/create" {
            break said;
        }
    };
    let other = McpClient::modern(&url)
        .with_capabilities(forms)
        .in_session()
        .await;
    for (from, id) in [
        (&legacy, question["id"].clone()),
        (&other, question["id"].clone()),
        (&legacy, json!("mcpbridge-aaaaaaaaaaaabbbbbbbbbbbb")),
        (&other, json!(1)),
    ] {
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": yes });
        from.post(&answer).await;
    }
    let waiting = queue.live().await;
    assert!(!waiting.is_empty() && waiting.iter().all(|item| item.state == "pending"));
    assert_eq!(scenario.mcp.executions("echo"), 0);
    for item in waiting {
        queue.deny(&item.id, "no").await.unwrap();
    }
    for call in calls {
        wait::within("the answer", call).await.unwrap();
    }
    assert_eq!(scenario.mcp.executions("echo"), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn arguments_that_two_readers_read_differently_are_refused() {
    let scenario = Scenario::under("ask").await;
    let queue = Queue::of(&scenario.home).await;
    let client = scenario.client("hello");
    let message = client.message("tools/call", client.call_params("echo", json!({ "a": 1 })));
    let text = message.to_string();
    let plain = r#""arguments":{"a":1}"#;
    assert!(text.contains(plain), "{text}");
    let doubled = [
        r#""arguments":{"a":1,"a":1000}"#,
        r#""arguments":{"a":1,"\u0061":1000}"#,
        r#""arguments":{"deep":[{"a":1,"a":1000}]}"#,
        r#""arguments":{"a":1},"arguments":{"a":1000}"#,
        r#""arguments":{"a":1},"\u0061rguments":{"a":1000}"#,
    ];
    let before = scenario.mcp.requests();
    for arguments in doubled {
        let body = text.replace(plain, arguments);
        let request = client.prepare(&message).body(body);
        let answer = McpAnswer::read(request.send().await.unwrap()).await;
        assert_eq!(answer.status, 400, "{arguments}: {:?}", answer.message);
        assert!(
            answer.message["error"]["message"].is_string(),
            "{arguments}"
        );
    }
    assert_eq!(scenario.mcp.requests(), before);
    assert!(queue.all().await.is_empty(), "nobody is asked about them");
    scenario.finish().await;
}
