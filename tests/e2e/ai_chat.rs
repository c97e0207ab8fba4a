//! Chat Completions with MCP servers of the daemon among its tools.

use mcpbridge_tests::ai::Turn;
use mcpbridge_tests::queue::Queue;
use serde_json::{Value, json};

use crate::ai_pass::{World, error_of, sent};

const PATH: &str = "/openai/v1/chat/completions";

async fn world(effect: &str) -> World {
    let world = World::start().await;
    world.scenario.add_open("hello", effect).await;
    world
}

fn entry(world: &World) -> Value {
    let url = world.scenario.daemon.mcp_url("hello");
    json!({ "type": "mcp", "server_label": "hello", "server_url": url, "require_approval": "never" })
}

fn body(world: &World, messages: &[Value]) -> Value {
    json!({ "model": "gpt-5.4", "messages": messages, "tools": [entry(world)] })
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

#[tokio::test]
async fn tools_run_here_and_the_client_gets_the_models_last_word() {
    let world = world("allow").await;
    let mut messages = vec![user("Say 1.0 back.")];
    for number in 1..=2 {
        world
            .openai
            .push(Turn::new().call("*echo", r#"{"text":"hi","n":1.0}"#));
        world.openai.push(Turn::text(&format!("Done {number}.")));
        let answer = sent(world.post(PATH).json(&body(&world, &messages))).await;
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["content"], format!("Done {number}."));
        assert_eq!(choice["finish_reason"], "stop");
        assert_eq!(choice["message"]["tool_calls"], Value::Null);
        assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
        assert_eq!(world.scenario.mcp.executions("echo"), number);
        messages.push(choice["message"].clone());
        messages.push(user("And again."));
    }
    let turns = world.openai.turns();
    assert_eq!(turns.len(), 4);
    for pair in turns.windows(2) {
        pair[1].assert_continues(&pair[0]);
    }
    // The vendor hears of functions, and nothing of MCP.
    assert!(turns[0].tool_names().contains(&"hello__echo".to_owned()));
    assert!(!world.openai.received("server_url"));
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_stream_has_the_same_chunks_as_without_servers() {
    let world = world("allow").await;
    world
        .openai
        .push(Turn::new().call("*echo", r#"{"text":"hi"}"#));
    world.openai.push(Turn::text("One two three."));
    let mut body = body(&world, &[user("hi")]);
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let answer = sent(world.post(PATH).json(&body)).await;
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let text = answer.text().await.unwrap();
    let data = text
        .split("\n\n")
        .filter_map(|frame| frame.strip_prefix("data: "));
    let (chunks, done): (Vec<&str>, Vec<&str>) = data.partition(|data| *data != "[DONE]");
    assert_eq!(done.len(), 1, "{text}");
    let chunks: Vec<Value> = chunks
        .iter()
        .map(|json| serde_json::from_str(json).unwrap())
        .collect();
    let content = chunks
        .iter()
        .filter_map(|one| one["choices"][0]["delta"]["content"].as_str());
    assert_eq!(content.collect::<String>(), "One two three.");
    assert!(chunks.iter().all(|one| one["id"] == chunks[0]["id"]));
    assert!(
        chunks.last().unwrap()["usage"]["total_tokens"].is_u64(),
        "{text}"
    );
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_tool_that_is_denied_is_an_error_that_the_model_reads() {
    let world = world("deny").await;
    world.openai.push(Turn::text("There are no tools."));
    let answer = sent(world.post(PATH).json(&body(&world, &[user("hi")]))).await;
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "There are no tools."
    );
    assert_eq!(world.scenario.mcp.executions("echo"), 0);
    world.scenario.finish().await;
}

#[tokio::test]
async fn what_this_language_cannot_say_is_refused_with_the_field() {
    let world = world("allow").await;
    let with = |change: Value| {
        let mut body = body(&world, &[user("hi")]);
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        world.post(PATH).json(&body)
    };
    let mut asked = entry(&world);
    asked["require_approval"] = json!("sometimes");
    for (change, said) in [
        (json!({ "n": 2 }), "'n' is not supported"),
        (
            json!({ "model": "claude-sonnet-5-5" }),
            "does not speak Chat Completions",
        ),
        (json!({ "tools": [asked] }), "tools[0].require_approval"),
    ] {
        let (status, message) = error_of("openai", sent(with(change)).await).await;
        assert_eq!(status, 400);
        assert!(message.contains(said), "{message}");
    }
    assert!(world.openai.requests().is_empty());
    world.scenario.finish().await;
}

fn approving(world: &World, policy: &Value) -> Value {
    let mut body = body(world, &[user("Say hi.")]);
    body["tools"][0]["require_approval"] = policy.clone();
    body
}

/// The text of an answer.
fn said(text: &str, stream: bool) -> String {
    if !stream {
        let object: Value = serde_json::from_str(text).unwrap();
        return object["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    let data = text
        .split("\n\n")
        .filter_map(|frame| frame.strip_prefix("data: {"));
    let chunks = data.map(|rest| serde_json::from_str::<Value>(&format!("{{{rest}")).unwrap());
    let content = chunks.map(|chunk| chunk["choices"][0]["delta"]["content"].clone());
    content
        .filter_map(|part| part.as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_call_that_the_request_wants_approved_waits_for_a_person_here() {
    // Left out it is asked for, as in the Responses API.
    let always = [
        json!(null),
        json!("always"),
        json!({ "never": { "tool_names": ["other"] } }),
    ];
    for effect in ["allow", "ask"] {
        let world = world(effect).await;
        let queue = Queue::of(&world.scenario.home).await;
        for (at, policy) in always.iter().enumerate() {
            let (approve, stream) = (at != 1, at != 0);
            // A denial answers the same call for a while.
            let arguments = json!({ "text": "hi", "at": at }).to_string();
            let mut body = approving(&world, policy);
            body["stream"] = json!(stream);
            if policy.is_null() {
                body["tools"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("require_approval");
            }
            world.openai.push(Turn::new().call("*echo", &arguments));
            world.openai.push(Turn::text("Done."));
            let asking = tokio::spawn(world.post(PATH).json(&body).send());
            let question = queue.pending(1).await.remove(0);
            assert_eq!(
                question.reason.contains("require_approval"),
                effect == "allow",
                "{}",
                question.reason
            );
            match approve {
                true => queue.approve(&question.id).await.unwrap(),
                false => queue.deny(&question.id, "too early").await.unwrap(),
            };
            let text = asking.await.unwrap().unwrap().text().await.unwrap();
            assert_eq!(said(&text, stream), "Done.");
            let told = world.openai.turns().pop().unwrap().json().to_string();
            assert_eq!(told.contains("too early"), !approve, "{told}");
        }
        assert_eq!(world.scenario.mcp.executions("echo"), 2);
        for policy in [
            json!("never"),
            json!({ "always": { "tool_names": ["other"] } }),
        ] {
            if effect == "ask" {
                continue;
            }
            world
                .openai
                .push(Turn::new().call("*echo", r#"{"text":"hi"}"#));
            world.openai.push(Turn::text("Done."));
            let answer = sent(world.post(PATH).json(&approving(&world, &policy))).await;
            assert_eq!(said(&answer.text().await.unwrap(), false), "Done.");
        }
        world.openai.assert_content();
        world.scenario.finish().await;
    }
}

#[tokio::test]
async fn a_request_sent_again_joins_its_answer_also_after_a_restart() {
    for restart in [false, true] {
        let mut world = world("allow").await;
        world
            .openai
            .push(Turn::new().call("*echo", r#"{"text":"hi"}"#));
        world.openai.push(Turn::text("Done."));
        let mut body = approving(&world, &json!("always"));
        body["stream"] = json!(true);
        let first = sent(world.post(PATH).json(&body)).await;
        let question = Queue::of(&world.scenario.home)
            .await
            .pending(1)
            .await
            .remove(0);
        if restart {
            world.scenario.daemon.kill().await;
            world.scenario.daemon.launch().await;
        }
        drop(first);
        let retry = |count: &str| {
            world
                .post(PATH)
                .json(&body)
                .header("x-stainless-retry-count", count)
        };
        let again = tokio::spawn(retry("1").send());
        let queue = Queue::of(&world.scenario.home).await;
        assert_eq!(queue.pending(1).await[0].id, question.id);
        queue.approve(&question.id).await.unwrap();
        let text = again.await.unwrap().unwrap().text().await.unwrap();
        assert_eq!(said(&text, true), "Done.");
        let late = sent(retry("2")).await.text().await.unwrap();
        assert_eq!(said(&late, true), "Done.");
        assert_eq!(world.openai.turns().len(), 2, "{restart}");
        assert_eq!(world.scenario.mcp.executions("echo"), 1);
        world.openai.assert_content();
        world.scenario.finish().await;
    }
}
