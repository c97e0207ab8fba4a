//! Names that models do not take, or that two servers share.

use mcpbridge_tests::ai::Turn;
use serde_json::json;

use super::{answer, demo, of_kind, request, turns, world};

#[tokio::test]
async fn long_dotted_and_shared_names_lead_to_their_tools() {
    let world = world("allow").await;
    world.scenario.add_open("other", "allow").await;
    let dotted = format!("a.b/{}", "x".repeat(124));
    let name = dotted.clone();
    world.scenario.mcp.offer(move |offer| {
        let definition = json!({ "name": name, "inputSchema": { "type": "object" } });
        offer.tools.push(definition);
    });
    let mut other = demo(&world, &json!("never"));
    other["server_label"] = json!("other");
    other["server_url"] = json!("other");
    let mut body = request(&world, &json!("never"), json!("hi"));
    body["tools"].as_array_mut().unwrap().push(other);
    body["tools"].as_array_mut().unwrap().push(json!({
        "type": "function", "name": "demo__echo", "parameters": { "type": "object", "properties": {} },
    }));
    body["stream"] = json!(true);
    world.openai.then(|seen| {
        let calls = seen.json()["input"].as_array().unwrap().len() > 1;
        if calls {
            return Turn::text("Done.");
        }
        let names = seen.tool_names();
        let ours = names.iter().filter(|name| {
            name.contains("__a_b_")
                || name.starts_with("other__echo")
                || name.starts_with("demo__echo_")
        });
        ours.fold(Turn::new(), |turn, name| turn.call(name, "{}"))
    });
    let done = answer(&world, &body).await;
    let calls = of_kind(&done, "mcp_call");
    let called: Vec<(&str, &str)> = calls
        .iter()
        .map(|call| {
            (
                call["server_label"].as_str().unwrap(),
                call["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        called,
        [
            ("demo", "echo"),
            ("demo", &*dotted),
            ("other", "echo"),
            ("other", &*dotted)
        ]
    );
    assert!(
        calls.iter().all(|call| call["status"] == "completed"),
        "{done}"
    );
    let names = turns(&world)[0].tool_names();
    assert!(names.iter().all(|name| name.len() <= 64), "{names:?}");
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_to_the_model_alone() {
    let world = world("allow").await;
    world.openai.push(Turn::new().call("invented", "{}"));
    world.openai.push(Turn::text("Done."));
    let body = request(&world, &json!("never"), json!("hi"));
    let done = answer(&world, &body).await;
    assert_eq!(super::kinds(&done), ["mcp_list_tools", "message"]);
    assert!(
        super::told(&world)[0]
            .as_str()
            .unwrap()
            .contains("invented")
    );
    world.scenario.finish().await;
}
