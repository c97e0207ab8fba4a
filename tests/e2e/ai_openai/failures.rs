//! What goes wrong at the vendor or at a server, and what the client sees of it.

use mcpbridge_tests::Fault;
use mcpbridge_tests::ai::{Turn, lint};
use mcpbridge_tests::mcp::Endpoint;
use mcpbridge_tests::wire::Answer;
use serde_json::{Value, json};

use super::{answer, demo, kinds, refused, request, told, turns, world};
use crate::ai_pass::sent;

fn never(world: &crate::ai_pass::World, stream: bool) -> Value {
    let mut body = request(world, &json!("never"), json!("Say hi"));
    body["stream"] = json!(stream);
    body
}

#[tokio::test]
async fn a_vendor_that_refuses_at_once_is_passed_on_as_it_is() {
    let world = world("allow").await;
    for status in [400, 429, 500, 529] {
        let error = Turn::error(status)
            .header("retry-after", "7")
            .header("x-should-retry", "true");
        world.openai.push(error);
        let response = sent(
            world
                .post("/openai/v1/responses")
                .json(&never(&world, true)),
        )
        .await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["x-should-retry"], "true");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["message"], format!("scripted {status}"));
    }
    world.scenario.finish().await;
}

#[tokio::test]
async fn after_a_tool_ran_the_client_does_not_repeat_its_request() {
    let world = world("allow").await;
    for stream in [true, false] {
        world.openai.push(Turn::new().call("*echo", "{}"));
        for _ in 0..3 {
            world
                .openai
                .push(Turn::error(500).header("retry-after", "0"));
        }
        let response = sent(
            world
                .post("/openai/v1/responses")
                .json(&never(&world, stream)),
        )
        .await;
        match stream {
            true => {
                let text = response.text().await.unwrap();
                let object = lint::responses(text.as_bytes()).unwrap();
                assert_eq!(object["status"], "failed");
                assert_eq!(kinds(&object), ["mcp_list_tools", "mcp_call"]);
            }
            false => {
                assert_eq!(response.headers()["x-should-retry"], "false");
                assert!(!response.status().is_success());
            }
        }
    }
    assert_eq!(world.scenario.mcp.executions("echo"), 2);
    // A vendor that recovers in time is not noticed.
    world.openai.push(Turn::new().call("*echo", "{}"));
    world
        .openai
        .push(Turn::error(429).header("retry-after", "0"));
    world.openai.push(Turn::text("Done."));
    let done = answer(&world, &never(&world, true)).await;
    assert_eq!(done["status"], "completed");
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_brought_to_an_end_that_clients_understand() {
    let world = world("allow").await;
    for (turn, status) in [
        (Turn::text("a long text, and then").cut_after(6), "failed"),
        (
            Turn::text("some").failed("server_error", "overloaded"),
            "failed",
        ),
        (Turn::new().and_text("some").length(), "incomplete"),
        (Turn::new().and_text("some").content_filter(), "incomplete"),
        (Turn::new().call("*echo", "{}").length(), "incomplete"),
        (Turn::frames(&["event: x\ndata: {\n\n"]), "failed"),
    ] {
        let what = format!("{turn:?}");
        world.openai.push(turn);
        let response = sent(
            world
                .post("/openai/v1/responses")
                .json(&never(&world, true)),
        )
        .await;
        let success = response.status().is_success();
        let text = response.text().await.unwrap();
        if success {
            let object = lint::responses(text.as_bytes())
                .unwrap_or_else(|found| panic!("{what}: {found:#?}"));
            assert_eq!(object["status"], status, "{what}");
        } else {
            let error: Value = serde_json::from_str(&text).unwrap();
            assert!(error["error"]["message"].is_string(), "{what}: {text}");
        }
    }
    assert_eq!(
        world.scenario.mcp.executions("echo"),
        0,
        "nothing runs of an answer that was cut off"
    );
    world.scenario.finish().await;
}

#[tokio::test]
async fn each_way_a_call_can_fail_has_its_own_error_and_the_run_goes_on() {
    let world = world("allow").await;
    let protocol = |answer: &mut Value| {
        if answer["result"]["content"].is_array() {
            answer.as_object_mut().unwrap().remove("result");
            answer["error"] = json!({ "code": -32602, "message": "bad arguments" });
        }
    };
    for (tool, fault, kind, status_told) in [
        ("fail", None, "mcp_tool_execution_error", "it broke"),
        (
            "echo",
            Some(Fault::edit_json(protocol)),
            "mcp_protocol_error",
            "bad arguments",
        ),
    ] {
        if let Some(fault) = fault {
            world.scenario.mcp.script().always(Endpoint::Mcp, fault);
        }
        world
            .openai
            .push(Turn::new().call(&format!("*{tool}"), "{}"));
        world.openai.push(Turn::text("Sorry."));
        let done = answer(&world, &never(&world, true)).await;
        assert_eq!(kinds(&done), ["mcp_list_tools", "mcp_call", "message"]);
        assert_eq!(done["output"][1]["error"]["type"], kind, "{done}");
        assert!(told(&world)[0].as_str().unwrap().contains(status_told));
        world.scenario.mcp.script().clear(Endpoint::Mcp);
    }
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_listed_is_told_as_the_hosted_feature_does_with_the_way_out() {
    let world = world("allow").await;
    let before = turns(&world).len();
    let mut unknown = never(&world, true);
    unknown["tools"][0]["server_url"] = json!("mcp://nobody");
    let (status, error) = refused(&world, &unknown).await;
    assert!([400, 424].contains(&status), "{error}");
    assert!(
        error["message"].as_str().unwrap().contains("mcpbridgectl"),
        "{error}"
    );
    world
        .scenario
        .mcp
        .script()
        .always(Endpoint::Mcp, Fault::status(500));
    let (status, error) = refused(&world, &never(&world, true)).await;
    assert_eq!(status, 424, "{error}");
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("external_connector_error"), &json!("http_error"))
    );
    assert!(
        error["message"].as_str().unwrap().contains("demo"),
        "{error}"
    );
    assert_eq!(turns(&world).len(), before, "no model is asked");
    world.scenario.finish().await;
}

#[tokio::test]
async fn addresses_that_cannot_work_are_refused_before_anything_happens() {
    let world = world("allow").await;
    for (url, told) in [
        ("http://localhost:1/mcp/demo", "can never reach it"),
        ("http://192.168.7.7/mcp", "can never reach it"),
    ] {
        let mut body = never(&world, false);
        body["tools"][0]["server_url"] = json!(url);
        let (status, error) = refused(&world, &body).await;
        assert_eq!(status, 400, "{error}");
        assert_eq!(error["param"], "tools[0].server_url");
        assert!(error["message"].as_str().unwrap().contains(told), "{error}");
    }
    let mut twice = never(&world, false);
    twice["tools"] = json!([demo(&world, &json!("never")), demo(&world, &json!("never"))]);
    let (status, error) = refused(&world, &twice).await;
    assert_eq!(
        (status, &error["param"]),
        (400, &json!("tools[1].server_label"))
    );
    assert!(turns(&world).is_empty());
    world.scenario.finish().await;
}

#[tokio::test]
async fn caps_of_the_client_and_of_the_bridge_end_an_answer_in_order() {
    let world = crate::ai_pass::World::with(|_, ai| ai["max_rounds"] = json!(3)).await;
    world.scenario.add_open("demo", "allow").await;
    world
        .openai
        .push(Turn::new().call("*echo", "{}").call("*server_info", "{}"));
    world.openai.push(Turn::text("Done."));
    let mut capped = never(&world, true);
    capped["max_tool_calls"] = json!(1);
    let done = answer(&world, &capped).await;
    assert_eq!(kinds(&done), ["mcp_list_tools", "mcp_call", "message"]);
    assert!(told(&world)[1].as_str().unwrap().contains("limit"));
    assert_eq!(world.scenario.mcp.executions("server_info"), 0);

    world.openai.then(|_| Turn::new().call("*echo", "{}"));
    let response = sent(
        world
            .post("/openai/v1/responses")
            .json(&never(&world, true)),
    )
    .await;
    let text = response.text().await.unwrap();
    let object = lint::responses(text.as_bytes()).unwrap();
    assert_eq!(object["status"], "failed");
    assert!(
        object["error"]["message"]
            .as_str()
            .unwrap()
            .contains("max_rounds"),
        "{object}"
    );
    assert_eq!(kinds(&object).len(), 4);
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_large_result_and_a_bad_schema_do_no_harm() {
    let world = world("allow").await;
    world
        .scenario
        .mcp
        .offer(|offer| offer.tool("slow")["inputSchema"] = json!({ "type": "string" }));
    world
        .openai
        .push(Turn::new().call("*big", r#"{"bytes":1000000}"#));
    world.openai.push(Turn::text("Done."));
    let done = answer(&world, &never(&world, true)).await;
    let names = turns(&world)[0].tool_names();
    assert!(!names.contains(&"demo__slow".to_owned()) && names.contains(&"demo__echo".to_owned()));
    assert_eq!(
        done["output"][1]["output"].as_str().unwrap().len(),
        1_000_000
    );
    assert_eq!(told(&world)[0].as_str().unwrap().len(), 1_000_000);
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_call_that_gets_no_answer_fails_with_its_http_status() {
    let world = world("allow").await;
    let broken = Fault::edit(|answer: &mut Answer| {
        if String::from_utf8_lossy(&answer.body).contains("\"content\"") {
            *answer = Answer::json(502, &json!({ "oops": true }));
        }
    });
    world.scenario.mcp.script().always(Endpoint::Mcp, broken);
    world.openai.push(Turn::new().call("*echo", "{}"));
    world.openai.push(Turn::text("Sorry."));
    let done = answer(&world, &never(&world, true)).await;
    assert_eq!(done["output"][1]["error"]["type"], "http_error", "{done}");
    assert_eq!(done["output"][1]["error"]["code"], 502, "{done}");
    world.scenario.finish().await;
}

#[tokio::test]
async fn an_answer_that_grows_without_end_is_cut_off() {
    let world = world("allow").await;
    let padding = "x".repeat(16 * 1024 * 1024);
    let mut events = vec![json!({ "type": "response.created", "response": { "id": "resp_1" } })];
    let more = json!({ "type": "response.in_progress", "padding": padding });
    events.extend(std::iter::repeat_n(more, 5));
    world.openai.push(Turn::events(events));
    let response = sent(
        world
            .post("/openai/v1/responses")
            .json(&never(&world, false)),
    )
    .await;
    let text = response.text().await.unwrap();
    assert!(text.contains("the vendor's answer is too large"), "{text}");
    world.scenario.finish().await;
}
