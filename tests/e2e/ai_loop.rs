//! One answer from request to end: the loop between a model and the tools of servers here.

use mcpbridge_tests::ai::{Turn, lint};
use mcpbridge_tests::queue::Queue;
use serde_json::{Value, json};

use crate::ai_pass::{World, sent};

fn request(approval: &str, stream: bool) -> Value {
    json!({
        "model": "gpt-test", "stream": stream, "input": "Say hi",
        "tools": [{
            "type": "mcp", "server_label": "demo", "server_url": "mcp://demo",
            "require_approval": approval,
        }],
    })
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
