//! MCP servers that need a login, named in requests for a model: nobody can be asked on the wire, so the
//! request fails at once with the server, the cause and the command, as a failed listing of the vendor's
//! hosted feature does.

use mcpbridge_tests::ai::Turn;
use mcpbridge_tests::authz::Endpoint;
use mcpbridge_tests::{AsOptions, Fault};
use serde_json::{Value, json};

use crate::ai_pass::{World, error_of, sent};

const PATHS: [(&str, &str); 3] = [
    ("openai", "/openai/v1/responses"),
    ("openai", "/openai/v1/chat/completions"),
    ("anthropic", "/anthropic/v1/messages"),
];

fn body(path: &str, stream: bool) -> Value {
    let asked = json!([{ "role": "user", "content": "Say hi" }]);
    let entry = json!({
        "type": "mcp", "server_label": "locked", "server_url": "mcp://locked", "require_approval": "never",
    });
    match path {
        "/anthropic/v1/messages" => json!({
            "model": "claude-test", "max_tokens": 100, "messages": asked, "stream": stream,
            "mcp_servers": [{ "type": "url", "name": "locked", "url": "mcp://locked" }],
            "tools": [{ "type": "mcp_toolset", "mcp_server_name": "locked" }],
        }),
        "/openai/v1/responses" => {
            json!({ "model": "gpt-test", "input": asked, "tools": [entry], "stream": stream })
        }
        _ => json!({ "model": "gpt-test", "messages": asked, "tools": [entry], "stream": stream }),
    }
}

async fn assert_named(world: &World, cause: &str) {
    for stream in [false, true] {
        for (api, path) in PATHS {
            let request = world.post(path).header("anthropic-version", "2023-06-01");
            let response = sent(request.json(&body(path, stream))).await;
            let text = response.headers().get("x-should-retry").cloned();
            assert_eq!(text, None, "nothing has run");
            let (status, said) = error_of(api, response).await;
            // Neither is repeated by any SDK.
            assert_eq!(status, if api == "openai" { 424 } else { 400 }, "{said}");
            for part in ["'locked'", cause, "`mcpbridgectl login locked`"] {
                assert!(said.contains(part), "{path}: {said}");
            }
        }
    }
    let asked = [&world.openai, &world.anthropic].map(|vendor| vendor.requests().len());
    assert_eq!(asked, [0, 0], "no model is asked");
}

#[tokio::test]
async fn a_server_without_a_login_is_named_with_the_command_that_signs_in() {
    let world = World::start().await;
    let (authz, mcp) = world.scenario.another(AsOptions::default()).await;
    let url = mcp.url();
    let add = ["add", "locked", &url, "--no-browser", "--policy", "allow"];
    world.scenario.sign_in(&add).await;
    let ctl = &world.scenario.ctl;
    ctl.run(&["logout", "locked"]).await.success();
    assert_named(&world, "nobody has signed in. Run").await;

    world.scenario.login("locked").await;
    authz.once(Endpoint::Token, Fault::oauth_error("invalid_grant"));
    ctl.run(&["refresh", "locked"]).await.expect_code(6);
    world.scenario.await_state("locked", "needs_login").await;
    authz.expire_access_tokens();
    assert_named(&world, "invalid_grant").await;

    // And once somebody has signed in, the same request works.
    world.scenario.login("locked").await;
    let (_, path) = PATHS[0];
    world.openai.push(Turn::text("Hi."));
    let response = sent(world.post(path).json(&body(path, false))).await;
    assert_eq!(response.status(), 200);
    world.scenario.finish().await;
}
