//! One answer from request to end: the loop between a model and the tools of servers here.

use mcpbridge_tests::ai::{Turn, lint};
use mcpbridge_tests::queue::Queue;
use mcpbridge_tests::{Gate, wait};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::ai_pass::{World, sent};

pub(crate) fn request(approval: &str, stream: bool) -> Value {
    json!({
        "model": "gpt-test", "stream": stream, "input": "Say hi",
        "tools": [{
            "type": "mcp", "server_label": "demo", "server_url": "mcp://demo",
            "require_approval": approval,
        }],
    })
}

/// Kills the daemon under a request, and starts it again.
pub(crate) async fn crash(
    world: &mut World,
    asking: JoinHandle<reqwest::Result<reqwest::Response>>,
) {
    world.scenario.daemon.kill().await;
    assert!(asking.await.unwrap().is_err());
    world.scenario.daemon.launch().await;
}

#[tokio::test]
async fn a_tool_that_is_allowed_runs_and_the_model_hears_of_it() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    for stream in [false, true] {
        world
            .openai
            .push(Turn::new().call("*echo", r#"{"text":"hi","n":1.0}"#));
        world.openai.push(Turn::text("Done."));
        let response = sent(
            world
                .post("/openai/v1/responses")
                .json(&request("never", stream)),
        )
        .await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
        let object: Value = match stream {
            true => lint::responses(text.as_bytes()).unwrap(),
            false => serde_json::from_str(&text).unwrap(),
        };
        let kinds: Vec<_> = object["output"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["mcp_list_tools", "mcp_call", "message"], "{object}");
    }
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_call_that_a_person_decides_holds_the_stream_and_runs_once() {
    let world = World::start().await;
    world.scenario.add_open("demo", "ask").await;
    world
        .openai
        .push(Turn::new().call("*echo", r#"{"text":"hi"}"#));
    world.openai.push(Turn::text("Done."));
    let asking = tokio::spawn(
        world
            .post("/openai/v1/responses")
            .json(&request("never", true))
            .send(),
    );
    let queue = Queue::of(&world.scenario.home).await;
    let question = queue.pending(1).await.remove(0);
    queue.approve(&question.id).await.unwrap();
    let text = asking.await.unwrap().unwrap().text().await.unwrap();
    lint::responses(text.as_bytes()).unwrap();
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn the_same_request_sent_again_joins_the_answer_under_way() {
    let world = World::start().await;
    world.scenario.add_open("demo", "ask").await;
    world
        .openai
        .push(Turn::new().call("*echo", r#"{"text":"hi"}"#));
    world.openai.push(Turn::text("Done."));
    let ask = || {
        world
            .post("/openai/v1/responses")
            .json(&request("never", true))
    };
    let first = sent(ask()).await;
    let queue = Queue::of(&world.scenario.home).await;
    let question = queue.pending(1).await.remove(0);
    drop(first);
    let again = sent(ask().header("x-stainless-retry-count", "1")).await;
    queue.approve(&question.id).await.unwrap();
    let object = lint::responses(again.text().await.unwrap().as_bytes()).unwrap();
    assert_eq!(object["output"][1]["output"], r#"{"text":"hi"}"#);
    // And once more, when all is over.
    let late = sent(ask().header("x-stainless-retry-count", "2")).await;
    let late = lint::responses(late.text().await.unwrap().as_bytes()).unwrap();
    assert_eq!(late, object);
    assert_eq!(world.openai.turns().len(), 2);
    assert_eq!(world.scenario.mcp.executions("echo"), 1);
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_request_sent_again_after_a_crash_goes_on_where_it_was() {
    let mut world = World::start().await;
    world.scenario.add_open("demo", "ask").await;
    world
        .openai
        .push(Turn::new().call("*echo", r#"{"text":"hi"}"#));
    world.openai.push(Turn::text("Done."));
    let body = request("never", false);
    let first = tokio::spawn(world.post("/openai/v1/responses").json(&body).send());
    let question = Queue::of(&world.scenario.home)
        .await
        .pending(1)
        .await
        .remove(0);
    crash(&mut world, first).await;
    let again = world
        .post("/openai/v1/responses")
        .header("x-stainless-retry-count", "1");
    let again = tokio::spawn(again.json(&body).send());
    let queue = Queue::of(&world.scenario.home).await;
    assert_eq!(queue.pending(1).await[0].id, question.id);
    queue.approve(&question.id).await.unwrap();
    let object: Value = again.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(object["output"][1]["output"], r#"{"text":"hi"}"#);
    assert_eq!(world.openai.turns().len(), 2);
    assert_eq!(world.scenario.mcp.executions("echo"), 1);
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn an_approval_in_the_history_of_a_repeated_request_is_not_used_again() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let ask = |input: &[Value]| {
        let mut body = request("always", false);
        body["input"] = input.into();
        body["store"] = false.into();
        world.post("/openai/v1/responses").json(&body)
    };
    let output = async |response: reqwest::Response| {
        let object: Value = response.json().await.unwrap();
        object["output"].as_array().expect("an output").clone()
    };
    let mut history = vec![json!({ "role": "user", "content": "Say hi" })];
    world
        .openai
        .push(Turn::new().call("*echo", r#"{"text":"hi"}"#));
    history.extend(output(sent(ask(&history)).await).await);
    let approval = history.last().unwrap()["id"].clone();
    history.push(json!({
        "type": "mcp_approval_response", "approval_request_id": approval, "approve": true,
    }));
    world.openai.push(Turn::text("Done."));
    history.extend(output(sent(ask(&history)).await).await);
    assert_eq!(world.scenario.mcp.executions("echo"), 1);

    history.push(json!({ "role": "user", "content": "Thanks" }));
    world.openai.push(Turn::error(429));
    assert_eq!(sent(ask(&history)).await.status(), 429);
    world.openai.push(Turn::text("Bye."));
    let again = sent(ask(&history).header("x-stainless-retry-count", "1")).await;
    let answer = output(again).await;
    assert_eq!(answer.len(), 1, "{answer:?}");
    assert_eq!(world.scenario.mcp.executions("echo"), 1);
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn servers_here_stay_here_however_the_rest_of_the_request_is_written() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    world.openai.push(Turn::text("Hi."));
    let mut body = request("never", false);
    body["stream"] = Value::Null;
    let answered = sent(world.post("/openai/v1/responses").json(&body)).await;
    assert_eq!(answered.status(), 200);
    let mut body = request("never", false);
    body.as_object_mut().unwrap().remove("model");
    let refused = sent(world.post("/openai/v1/responses").json(&body)).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("'model'"));
    let twice = r#"{"model":"gpt-test","model":"gpt-test","input":"x","tools":[{"type":"mcp","server_label":"demo","server_url":"mcp://demo"}]}"#;
    let refused = world.post("/openai/v1/responses").body(twice);
    assert_eq!(sent(refused).await.status(), 400);
    assert!(!world.openai.received("mcp://demo"));
    assert_eq!(world.openai.turns().len(), 1);
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_vendor_that_uses_an_id_again_in_a_later_turn_confuses_nothing() {
    let mut world = World::start().await;
    world.scenario.add_open("demo", "ask").await;
    let call = |turn: Turn, id: &str, text: &str| {
        let arguments = json!({ "text": text }).to_string();
        turn.call("*echo", &arguments).with_id(id)
    };
    world.openai.push(call(Turn::new(), "call_x", "a"));
    let later = call(Turn::new(), "call_y", "b");
    world.openai.push(call(later, "call_x", "c"));
    world.openai.push(Turn::text("Done."));
    let body = json!({
        "model": "gpt-test", "messages": [{ "role": "user", "content": "Go" }],
        "parallel_tool_calls": false, "tools": request("never", false)["tools"],
    });
    let ask = |world: &World| world.post("/openai/v1/chat/completions").json(&body);
    let first = tokio::spawn(ask(&world).send());
    let approve = async |queue: &Queue| {
        let question = queue.pending(1).await.remove(0);
        queue.approve(&question.id).await.unwrap();
    };
    let queue = Queue::of(&world.scenario.home).await;
    approve(&queue).await;
    world.openai.turn(2).await;
    queue.pending(1).await;
    crash(&mut world, first).await;
    let again = ask(&world).header("x-stainless-retry-count", "1");
    let again = tokio::spawn(again.send());
    let queue = Queue::of(&world.scenario.home).await;
    approve(&queue).await;
    // It has not begun, whatever became of its namesake.
    approve(&queue).await;
    let again = wait::within("the answer", again).await.unwrap().unwrap();
    let object: Value = again.json().await.unwrap();
    assert_eq!(
        object["choices"][0]["message"]["content"], "Done.",
        "{object}"
    );
    let last = world.openai.turns().pop().unwrap().json();
    let told = last["messages"].as_array().unwrap().iter();
    let told = told.filter(|message| message["role"] == "tool");
    let told: Vec<&Value> = told.map(|message| &message["content"]).collect();
    let expected = ["a", "b", "c"].map(|text| json!({ "text": text }).to_string());
    assert_eq!(json!(told), json!(expected));
    assert_eq!(world.scenario.mcp.executions("echo"), 3);
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn conversations_of_a_vendor_that_repeats_its_ids_are_told_apart() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let answer = async |approval: &str, input: Value, previous: Option<&Value>| {
        let mut body = request(approval, false);
        body["input"] = input;
        if let Some(previous) = previous {
            body["previous_response_id"] = previous["id"].clone();
        }
        let response = sent(world.post("/openai/v1/responses").json(&body)).await;
        let status = response.status();
        let object: Value = response.json().await.unwrap();
        assert_eq!(status, 200, "{object}");
        object
    };
    let call = |text: &str| {
        let arguments = json!({ "text": text }).to_string();
        Turn::new().call("*echo", &arguments).with_id("call_0")
    };
    let mut asked = Vec::new();
    for text in ["one", "two"] {
        world.openai.push(call(text));
        asked.push(answer("always", json!(text), None).await);
    }
    for (object, text) in asked.iter().zip(["one", "two"]) {
        let request = object["output"].as_array().unwrap().last().unwrap();
        let approval = json!([{
            "type": "mcp_approval_response", "approval_request_id": request["id"], "approve": true,
        }]);
        world.openai.push(Turn::text("Done."));
        let done = answer("always", approval, Some(object)).await;
        let expected = json!({ "text": text }).to_string();
        assert_eq!(done["output"][0]["output"], json!(expected), "{done}");
    }
    assert_eq!(world.scenario.mcp.executions("echo"), 2);

    // What is kept of one is not put into the other.
    let mut histories = Vec::new();
    for text in ["three", "four"] {
        world.openai.push(call(text).and_text("I said so."));
        world.openai.push(Turn::text("Done."));
        let said = json!({ "role": "user", "content": text });
        let object = answer("never", json!([said]), None).await;
        let mut history = vec![said];
        history.extend(object["output"].as_array().unwrap().clone());
        history.push(json!({ "role": "user", "content": "And?" }));
        histories.push((history, world.openai.turns().pop().unwrap()));
    }
    for (history, before) in histories {
        world.openai.push(Turn::text("Bye."));
        answer("never", json!(history), None).await;
        let now = world.openai.turns().pop().unwrap();
        now.assert_continues(&before);
    }
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn after_a_crash_calls_that_the_client_approved_are_shown_before_what_the_model_said_then() {
    let mut world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let policy = json!({ "never": { "tool_names": ["server_info"] } });
    let mut body = request("never", true);
    body["tools"][0]["require_approval"] = policy;
    world
        .openai
        .push(Turn::new().call("*echo", r#"{"text":"hi"}"#));
    let asked = sent(world.post("/openai/v1/responses").json(&body)).await;
    let asked = lint::responses(asked.text().await.unwrap().as_bytes()).unwrap();
    let approval = asked["output"].as_array().unwrap().last().unwrap();
    body["previous_response_id"] = asked["id"].clone();
    body["input"] = json!([{
        "type": "mcp_approval_response", "approval_request_id": approval["id"], "approve": true,
    }]);
    let never = Gate::new();
    world.openai.push(Turn::new().call("*server_info", "{}"));
    world.openai.push(Turn::text("Done.").held(&never));
    let ask = |world: &World| world.post("/openai/v1/responses").json(&body);
    let first = tokio::spawn(ask(&world).send());
    never.reached().await;
    world.scenario.daemon.kill().await;
    let _ = first.await.unwrap();
    never.release();
    world.scenario.daemon.launch().await;

    world.openai.push(Turn::text("Done."));
    let again = ask(&world).header("x-stainless-retry-count", "1");
    let again = sent(again).await.text().await.unwrap();
    let object = lint::responses(again.as_bytes()).unwrap();
    let items = object["output"].as_array().unwrap().iter();
    let shown: Vec<_> = items
        .map(|item| (item["type"].as_str().unwrap(), &item["name"]))
        .collect();
    let expected = [
        ("mcp_call", &json!("echo")),
        ("mcp_call", &json!("server_info")),
        ("message", &Value::Null),
    ];
    assert_eq!(shown, expected, "{object:#}");
    for tool in ["echo", "server_info"] {
        assert_eq!(world.scenario.mcp.executions(tool), 1);
    }
    let turns = world.openai.turns();
    turns[3].assert_continues(&turns[2]);
    world.openai.assert_content();
    world.scenario.finish().await;
}
