//! The client's own approvals, and the daemon's behind them.

use mcpbridge_tests::ai::Turn;
use mcpbridge_tests::queue::Queue;
use serde_json::{Value, json};

use super::{answer, demo, kinds, of_kind, refused, request, told, world};
use crate::ai_pass::World;

const ARGUMENTS: &str = r#"{"z":1.0,"a":"\u00e9"}"#;

fn decision(asked: &Value, approve: bool) -> Value {
    json!({
        "type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": approve,
        "reason": "not today",
    })
}

/// Goes on from `answered`, which answered `body`, with more items.
fn going_on(way: &str, body: &Value, answered: &Value, more: &[Value]) -> Value {
    let mut next = body.clone();
    if way == "chained" {
        next["previous_response_id"] = answered["id"].clone();
        next["input"] = json!(more);
        return next;
    }
    let mut input = match &body["input"] {
        Value::String(text) => vec![json!({ "role": "user", "content": text })],
        list => list.as_array().unwrap().clone(),
    };
    input.extend(answered["output"].as_array().unwrap().iter().cloned());
    input.extend(more.iter().cloned());
    next["input"] = json!(input);
    next
}

fn two_calls(world: &World) {
    let calls = Turn::new()
        .call("*echo", ARGUMENTS)
        .call("*hello_world", r#"{"name":"Bo"}"#);
    world.openai.push(calls);
}

#[tokio::test]
async fn both_ways_of_going_on_run_what_was_approved_once_and_refuse_all_else() {
    let mut world = world("allow").await;
    let mut runs = 0;
    for (way, store, restart) in [
        ("chained", true, false),
        ("resent", true, false),
        ("resent", false, true),
        ("chained", true, true),
    ] {
        let mut body = request(&world, &json!("always"), json!("Say hi"));
        body["stream"] = json!(restart);
        body["store"] = json!(store);
        two_calls(&world);
        let asked = answer(&world, &body).await;
        assert_eq!(
            kinds(&asked),
            [
                "mcp_list_tools",
                "mcp_approval_request",
                "mcp_approval_request"
            ]
        );
        assert_eq!(asked["status"], "completed");
        let requests = of_kind(&asked, "mcp_approval_request");
        assert_eq!(requests[0]["arguments"], ARGUMENTS);
        let (yes, no) = (decision(requests[0], true), decision(requests[1], false));
        if restart {
            world.scenario.daemon.restart().await;
        }
        let unknown = json!({ "id": "mcpr_unknown" });
        for (what, more, message) in [
            (
                "partial",
                vec![yes.clone()],
                requests[1]["id"].as_str().unwrap(),
            ),
            (
                "none",
                vec![json!({ "role": "user", "content": "never mind" })],
                "Missing",
            ),
            (
                "duplicate",
                vec![yes.clone(), yes.clone(), no.clone()],
                "answered twice",
            ),
            (
                "unknown",
                vec![yes.clone(), no.clone(), decision(&unknown, true)],
                "no open approval",
            ),
        ] {
            let (status, error) = refused(&world, &going_on(way, &body, &asked, &more)).await;
            assert_eq!(status, 400, "{way} {what}: {error}");
            let told = error["message"].as_str().unwrap();
            assert!(told.contains(message), "{way} {what}: {told}");
            assert_eq!(error["type"], "invalid_request_error");
        }
        if way == "resent" {
            let mut altered = going_on(way, &body, &asked, &[yes.clone(), no.clone()]);
            for item in altered["input"].as_array_mut().unwrap() {
                if item["id"] == requests[0]["id"] {
                    item["arguments"] = json!(r#"{"z":2}"#);
                }
            }
            let (status, error) = refused(&world, &altered).await;
            assert_eq!(
                (status, error["code"].as_str()),
                (400, Some("invalid_value")),
                "{error}"
            );
        }
        assert_eq!(
            world.scenario.mcp.executions("echo"),
            runs,
            "nothing ran by a mistake"
        );

        let next = going_on(way, &body, &asked, &[yes, no]);
        world.openai.push(Turn::text("Done."));
        let done = answer(&world, &next).await;
        runs += 1;
        assert_eq!(kinds(&done), ["mcp_call", "message"], "{way}");
        let call = &done["output"][0];
        assert_eq!(call["approval_request_id"], requests[0]["id"]);
        assert_eq!(call["arguments"], ARGUMENTS);
        assert_eq!(call["status"], "completed");
        let told = told(&world);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told.contains(&json!("The user declined this call. Reason: not today")),
            "{told:?}"
        );
        assert_eq!(world.scenario.mcp.executions("echo"), runs);
        assert_eq!(world.scenario.mcp.executions("hello_world"), 0);

        let (status, error) = refused(&world, &next).await;
        assert_eq!(status, 400, "{error}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("answered already"),
            "{way}: {error}"
        );
        assert_eq!(
            world.scenario.mcp.executions("echo"),
            runs,
            "submitted twice"
        );
    }
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_policy_that_does_not_ask_leaves_the_decision_to_the_daemon() {
    for effect in ["allow", "ask", "deny"] {
        let world = world(effect).await;
        for policy in [
            json!("never"),
            json!({ "never": { "tool_names": ["echo"] } }),
        ] {
            world.openai.push(Turn::new().call("demo__echo", ARGUMENTS));
            world.openai.push(Turn::text("Done."));
            let mut body = request(&world, &policy, json!("Say hi"));
            body["stream"] = json!(true);
            let done = match effect {
                "ask" => {
                    let (done, ()) = tokio::join!(answer(&world, &body), async {
                        let queue = Queue::of(&world.scenario.home).await;
                        let question = queue.pending(1).await.remove(0);
                        queue.approve(&question.id).await.unwrap();
                    });
                    done
                }
                _ => answer(&world, &body).await,
            };
            match effect {
                // What no call could get past is not offered in the first place.
                "deny" => {
                    assert_eq!(kinds(&done), ["mcp_list_tools", "message"]);
                    assert_eq!(done["output"][0]["tools"], json!([]));
                    assert!(told(&world)[0].as_str().unwrap().contains("no tool named"));
                }
                _ => {
                    assert_eq!(kinds(&done), ["mcp_list_tools", "mcp_call", "message"]);
                    assert_eq!(done["output"][1]["status"], "completed");
                    assert_eq!(done["output"][1]["approval_request_id"], json!(null));
                }
            }
        }
        let runs = if effect == "deny" { 0 } else { 2 };
        assert_eq!(world.scenario.mcp.executions("echo"), runs, "{effect}");
        world.openai.assert_content();
        world.scenario.finish().await;
    }
}

#[tokio::test]
async fn a_call_that_a_person_denies_fails_and_the_model_hears_why() {
    let world = world("ask").await;
    world.openai.push(Turn::new().call("*echo", ARGUMENTS));
    world.openai.push(Turn::text("Sorry."));
    let mut body = request(&world, &json!("never"), json!("Say hi"));
    body["stream"] = json!(true);
    let (done, ()) = tokio::join!(answer(&world, &body), async {
        let queue = Queue::of(&world.scenario.home).await;
        let question = queue.pending(1).await.remove(0);
        queue.deny(&question.id, "too early").await.unwrap();
    });
    assert_eq!(kinds(&done), ["mcp_list_tools", "mcp_call", "message"]);
    let call = &done["output"][1];
    assert_eq!(
        (&call["status"], &call["output"]),
        (&json!("failed"), &json!(null))
    );
    assert_eq!(call["error"]["type"], "mcp_tool_execution_error");
    assert!(told(&world)[0].as_str().unwrap().contains("too early"));
    assert_eq!(world.scenario.mcp.executions("echo"), 0);
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_call_that_the_client_approved_still_passes_the_daemons_rule() {
    let world = world("ask").await;
    for (policy, way) in [(json!("always"), "chained"), (json!(null), "resent")] {
        world.openai.push(Turn::new().call("*echo", ARGUMENTS));
        let body = request(&world, &policy, json!("Say hi"));
        let asked = answer(&world, &body).await;
        assert_eq!(kinds(&asked), ["mcp_list_tools", "mcp_approval_request"]);
        let queue = Queue::of(&world.scenario.home).await;
        assert!(
            queue.live().await.is_empty(),
            "nobody is asked before the client has decided"
        );
        world.openai.push(Turn::text("Done."));
        let yes = decision(of_kind(&asked, "mcp_approval_request")[0], true);
        let next = going_on(way, &body, &asked, &[yes]);
        let (done, ()) = tokio::join!(answer(&world, &next), async {
            let question = queue.pending(1).await.remove(0);
            queue.approve(&question.id).await.unwrap();
        });
        assert_eq!(kinds(&done), ["mcp_call", "message"]);
        assert_eq!(done["output"][0]["status"], "completed");
    }
    assert_eq!(world.scenario.mcp.executions("echo"), 2);
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_turn_may_run_ask_and_leave_a_function_to_the_client() {
    let world = world("allow").await;
    let policy = json!({ "always": { "tool_names": ["hello_world"] } });
    for way in ["chained", "resent"] {
        let mut body = request(&world, &policy, json!("Say hi"));
        let function = json!({ "type": "function", "name": "mine", "parameters": { "type": "object", "properties": {} } });
        body["tools"] = json!([function, demo(&world, &policy)]);
        body["stream"] = json!(true);
        let turn = Turn::new()
            .thinking("Hm.")
            .call("mine", "{}")
            .call("*echo", ARGUMENTS)
            .call("*hello_world", r#"{"name":"Bo"}"#);
        world.openai.push(turn);
        let asked = answer(&world, &body).await;
        let expected = [
            "mcp_list_tools",
            "reasoning",
            "function_call",
            "mcp_call",
            "mcp_approval_request",
        ];
        assert_eq!(kinds(&asked), expected, "{way}");
        assert_eq!(asked["status"], "completed");
        world.openai.push(Turn::text("Done."));
        let result = json!({
            "type": "function_call_output", "call_id": asked["output"][2]["call_id"], "output": "mine too",
        });
        let yes = decision(of_kind(&asked, "mcp_approval_request")[0], true);
        let done = answer(&world, &going_on(way, &body, &asked, &[result, yes])).await;
        assert_eq!(kinds(&done), ["mcp_call", "message"], "{way}");
        let told = told(&world);
        assert_eq!(told.len(), 3);
        assert!(
            told.contains(&json!("mine too")) && told.contains(&json!("Hello, Bo!")),
            "{told:?}"
        );
    }
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn decisions_of_another_key_are_about_nothing() {
    let world = world("allow").await;
    let body = request(&world, &json!("always"), json!("Say hi"));
    world.openai.push(Turn::new().call("*echo", ARGUMENTS));
    let asked = answer(&world, &body).await;
    let yes = decision(of_kind(&asked, "mcp_approval_request")[0], true);
    for way in ["chained", "resent"] {
        let next = going_on(way, &body, &asked, std::slice::from_ref(&yes));
        let stranger = world.request(reqwest::Method::POST, "/openai/v1/responses");
        let response = crate::ai_pass::sent(stranger.bearer_auth("sk-other").json(&next)).await;
        assert_eq!(response.status(), 400, "{way}");
    }
    assert_eq!(world.scenario.mcp.executions("echo"), 0);
    world.scenario.finish().await;
}
