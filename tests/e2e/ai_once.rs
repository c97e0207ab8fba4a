//! A call of an answer is sent at most once, whatever is killed or cannot be written; one that was not sent is
//! made when the request comes again.

use mcpbridge_tests::ai::Turn;
use mcpbridge_tests::queue::Queue;
use mcpbridge_tests::wait;
use reqwest::RequestBuilder;
use rusqlite::Connection;
use serde_json::Value;

use crate::ai_loop::{crash, request};
use crate::ai_pass::{World, sent};

/// With a model that calls a tool, whose rule is `rule`, and then is done.
async fn world(rule: &str) -> World {
    let world = World::start().await;
    world.scenario.add_open("demo", rule).await;
    let call = Turn::new().call("*echo", r#"{"text":"hi"}"#);
    world.openai.push(call);
    world.openai.push(Turn::text("Done."));
    world
}

fn ask(world: &World, attempt: usize) -> RequestBuilder {
    let request = world.post("/openai/v1/responses").json(&body());
    match attempt {
        0 => request,
        again => request.header("x-stainless-retry-count", again),
    }
}

fn body() -> Value {
    request("never", false)
}

/// How the call ended, as the client is shown it.
async fn call_of(answer: reqwest::Response) -> Value {
    let object: Value = answer.json().await.unwrap();
    assert_eq!(object["status"], "completed", "{object}");
    object["output"][1].clone()
}

/// How many calls were put down as sent.
fn started(world: &World) -> i64 {
    let database = Connection::open(world.scenario.home.state_file()).unwrap();
    let steps = "SELECT count(*) FROM conversation_steps WHERE body LIKE '{\"started\":%'";
    database.query_row(steps, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn killed_as_soon_as_it_asks_a_person_a_call_was_not_sent() {
    let mut world = world("ask").await;
    let first = tokio::spawn(ask(&world, 0).send());
    let queue = Queue::of(&world.scenario.home).await;
    let question = queue.pending(1).await.remove(0);
    assert_eq!(started(&world), 0, "it is not sent before the answer");
    crash(&mut world, first).await;
    let again = tokio::spawn(ask(&world, 1).send());
    let queue = Queue::of(&world.scenario.home).await;
    assert_eq!(queue.pending(1).await[0].id, question.id);
    queue.approve(&question.id).await.unwrap();
    let again = wait::within("the answer", again).await.unwrap().unwrap();
    assert_eq!(call_of(again).await["output"], r#"{"text":"hi"}"#);
    assert_eq!(started(&world), 1);
    assert_eq!(world.scenario.mcp.executions("echo"), 1);
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn killed_when_it_was_sent_a_call_is_never_sent_again() {
    for rule in ["allow", "ask"] {
        let mut world = world(rule).await;
        let gate = world.scenario.mcp.hold("echo");
        let first = tokio::spawn(ask(&world, 0).send());
        if rule == "ask" {
            let queue = Queue::of(&world.scenario.home).await;
            let question = queue.pending(1).await.remove(0);
            queue.approve(&question.id).await.unwrap();
        }
        gate.reached().await;
        assert_eq!(started(&world), 1, "{rule}");
        crash(&mut world, first).await;
        gate.release();
        let call = call_of(sent(ask(&world, 1)).await).await;
        assert!(call.to_string().contains("is not known"), "{rule}: {call}");
        assert_eq!(world.scenario.mcp.executions("echo"), 1, "{rule}");
        world.openai.assert_content();
        world.scenario.finish().await;
    }
}

#[tokio::test]
async fn what_cannot_be_put_down_as_sent_is_not_sent_and_is_when_there_is_room_again() {
    for rule in ["allow", "ask"] {
        let mut world = world(rule).await;
        let change = async |world: &mut World, sql: &str| {
            world.scenario.daemon.stop().await;
            let database = Connection::open(world.scenario.home.state_file()).unwrap();
            database.execute_batch(sql).unwrap();
            drop(database);
            world.scenario.daemon.launch().await;
        };
        // A disk that is full when it matters.
        let full = "CREATE TRIGGER full BEFORE INSERT ON conversation_steps
             WHEN NEW.body LIKE '{\"started\":%' BEGIN SELECT RAISE(ABORT, 'no room'); END";
        change(&mut world, full).await;
        let first = tokio::spawn(ask(&world, 0).send());
        let decide = async |world: &World| {
            let queue = Queue::of(&world.scenario.home).await;
            let question = queue.pending(1).await.remove(0);
            queue.approve(&question.id).await.unwrap();
        };
        if rule == "ask" {
            decide(&world).await;
        }
        let first = wait::within("a refusal", first).await.unwrap().unwrap();
        assert!(first.status().is_server_error(), "{rule}");
        assert_eq!(world.scenario.mcp.executions("echo"), 0, "{rule}");
        change(&mut world, "DROP TRIGGER full").await;
        // An approval of a call that was not sent stands.
        let again = sent(ask(&world, 1)).await;
        assert_eq!(call_of(again).await["output"], r#"{"text":"hi"}"#, "{rule}");
        assert_eq!(world.scenario.mcp.executions("echo"), 1, "{rule}");
        world.openai.assert_content();
        world.scenario.finish().await;
    }
}

#[tokio::test]
async fn what_another_version_put_down_is_not_taken_for_nothing() {
    let mut world = world("allow").await;
    let gate = world.scenario.mcp.hold("echo");
    let first = tokio::spawn(ask(&world, 0).send());
    gate.reached().await;
    crash(&mut world, first).await;
    gate.release();
    world.scenario.daemon.stop().await;
    let database = Connection::open(world.scenario.home.state_file()).unwrap();
    let other =
        "UPDATE conversation_steps SET body = '{\"later\":1}' WHERE body LIKE '{\"started\":%'";
    assert_eq!(database.execute(other, []).unwrap(), 1);
    drop(database);
    world.scenario.daemon.launch().await;
    let refused = sent(ask(&world, 1)).await;
    assert_eq!(refused.status(), 500);
    let text = refused.text().await.unwrap();
    assert!(text.contains("Send it as a new request"), "{text}");
    assert_eq!(world.scenario.mcp.executions("echo"), 1);
    world.scenario.finish().await;
}
