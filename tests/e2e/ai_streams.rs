//! Whatever a model does, each client gets a stream that its SDK accepts, and the same object without one.

mod stories;

use mcpbridge_tests::ai::{FakeAi, Turn, lint};
use mcpbridge_tests::mcp::Access;
use mcpbridge_tests::{Scenario, client, wait};
use serde_json::{Value, json};

use self::stories::{Story, stories};

/// Numbers, escapes and blanks that a reader would change.
const ODD: &str = r#"{ "z": 1.0, "a":"\u00e4" }"#;

/// Both vendors, one server whose tools may all run, and a client with the vendors' keys.
struct World {
    scenario: Scenario,
    openai: FakeAi,
    anthropic: FakeAi,
    http: reqwest::Client,
}

type Lint = fn(&[u8]) -> Result<Value, Vec<String>>;

/// One way of asking a model.
#[derive(Clone, Copy)]
struct Api {
    path: &'static str,
    lint: Lint,
    request: fn(&str) -> Value,
}

const RESPONSES: Api = Api {
    path: "/openai/v1/responses",
    lint: lint::responses,
    request: |server| {
        json!({
            "model": "gpt-5.4", "input": "Go.", "store": false, "include": ["reasoning.encrypted_content"],
            "tools": [mcp_tool(server), { "type": "function", "name": "add", "parameters": schema(), "strict": false }],
        })
    },
};

const CHAT: Api = Api {
    path: "/openai/v1/chat/completions",
    lint: lint::chat,
    request: |server| {
        json!({
            "model": "gpt-5.4", "messages": [{ "role": "user", "content": "Go." }],
            "stream_options": { "include_usage": true },
            "tools": [mcp_tool(server), { "type": "function", "function": { "name": "add", "parameters": schema() } }],
        })
    },
};

const MESSAGES: Api = Api {
    path: "/anthropic/v1/messages",
    lint: lint::messages,
    request: |server| {
        json!({
            "model": "claude-sonnet-5-5", "max_tokens": 500, "messages": [{ "role": "user", "content": "Go." }],
            "mcp_servers": [{ "type": "url", "name": "hello", "url": server }],
            "tools": [{ "type": "mcp_toolset", "mcp_server_name": "hello" }, { "name": "add", "input_schema": schema() }],
        })
    },
};

fn mcp_tool(server: &str) -> Value {
    json!({ "type": "mcp", "server_label": "hello", "server_url": server, "require_approval": "never" })
}

fn schema() -> Value {
    json!({ "type": "object", "properties": { "n": { "type": "integer" } } })
}

impl World {
    async fn start() -> Self {
        let builder = Scenario::builder().mcp(|mcp| mcp.access = Access::Open);
        let mut scenario = builder.start().await;
        let openai = FakeAi::openai(&scenario.secrets).await;
        let anthropic = FakeAi::anthropic(&scenario.secrets).await;
        let ai = json!({ "vendors": {
            "openai": { "url": openai.url(), "api": "openai" },
            "anthropic": { "url": anthropic.url(), "api": "anthropic" },
        }});
        scenario.configure(|config| config["ai"] = ai).await;
        scenario.add_open("hello", "allow").await;
        Self {
            scenario,
            openai,
            anthropic,
            http: client::http(),
        }
    }

    fn vendor(&self, api: Api) -> &FakeAi {
        match api.path.starts_with("/openai") {
            true => &self.openai,
            false => &self.anthropic,
        }
    }

    /// The body for this server, to be changed.
    fn body(&self, api: Api) -> Value {
        (api.request)(&self.scenario.daemon.mcp_url("hello"))
    }

    async fn bytes(&self, api: Api, body: &Value) -> Vec<u8> {
        let url = format!("{}{}", self.scenario.daemon.base_url(), api.path);
        let request = self.http.post(url).bearer_auth(self.vendor(api).key());
        let request = request.header("anthropic-version", "2023-06-01");
        let request = request.header("anthropic-beta", "mcp-client-2025-11-20");
        let response = wait::within("an answer", request.json(body).send())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        wait::within("the end of the answer", response.bytes())
            .await
            .unwrap()
            .to_vec()
    }

    async fn streamed(&self, api: Api, mut body: Value) -> Value {
        body["stream"] = json!(true);
        let bytes = self.bytes(api, &body).await;
        (api.lint)(&bytes)
            .unwrap_or_else(|found| panic!("{found:#?}\n{}", String::from_utf8_lossy(&bytes)))
    }

    async fn whole(&self, api: Api, mut body: Value) -> Value {
        body.as_object_mut().unwrap().remove("stream_options");
        serde_json::from_slice(&self.bytes(api, &body).await).unwrap()
    }

    /// The object of both ways, which is the same.
    async fn told(&self, api: Api, turns: &[Turn]) -> Value {
        let mut objects = Vec::new();
        for stream in [true, false] {
            for turn in turns {
                self.vendor(api).push(turn.clone());
            }
            let body = self.body(api);
            objects.push(match stream {
                true => self.streamed(api, body).await,
                false => self.whole(api, body).await,
            });
            self.vendor(api).assert_content();
        }
        assert_eq!(comparable(&objects[0]), comparable(&objects[1]));
        objects.swap_remove(0)
    }
}

/// Without what is new in every run: ids, times and seals.
fn comparable(object: &Value) -> String {
    let mut object = object.clone();
    let mut ids = Vec::new();
    blank(&mut object, &mut ids);
    format!("{object:#}")
}

fn blank(value: &mut Value, ids: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let prefixes = [
                "resp_",
                "msg_",
                "mcp_",
                "mcpl_",
                "mcpr_",
                "rs_",
                "fc_",
                "call_",
                "mcptoolu_",
                "toolu_",
                "chatcmpl-",
            ];
            if let Some(prefix) = prefixes.iter().find(|prefix| text.starts_with(**prefix)) {
                let known = ids.iter().position(|id| id == text).unwrap_or_else(|| {
                    ids.push(text.clone());
                    ids.len() - 1
                });
                *text = format!("{prefix}{known}");
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|one| blank(one, ids)),
        Value::Object(members) => {
            // Members of no content are spelled out in one form and left out in the other.
            members.retain(|_, value| !value.is_null() && *value != json!([]));
            for (name, value) in members.iter_mut() {
                match name.as_str() {
                    "created_at" | "created" | "completed_at" | "signature"
                    | "encrypted_content" => *value = json!("new"),
                    // A name of a tool may begin like an id.
                    "name" | "text" | "type" => {}
                    _ => blank(value, ids),
                }
            }
        }
        _ => {}
    }
}

fn kinds(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|one| one["type"].as_str().unwrap())
        .collect()
}

/// The object that comes of `story`, whose parts and end are `expected`.
async fn tell(
    world: &World,
    api: Api,
    story: &Story,
    (list, end): (&str, &str),
    expected: (&str, &str),
) -> Value {
    let before = executions(world);
    let object = world.told(api, &story.turns).await;
    let parts = kinds(&object[list]).join(" ");
    let told = (parts.as_str(), object[end].as_str().unwrap());
    assert_eq!(told, expected, "{}", story.name);
    assert_ran(world, story, before);
    object
}

/// Each call of `story` ran in both ways of asking.
fn assert_ran(world: &World, story: &Story, before: usize) {
    let ran = executions(world) - before;
    assert_eq!(ran, 2 * story.calls, "{}", story.name);
}

#[tokio::test]
async fn every_response_is_streamed_as_the_sdks_want_it() {
    let world = World::start().await;
    for story in stories() {
        let places = ("output", "status");
        let response = tell(&world, RESPONSES, &story, places, story.responses).await;
        lint::policy(&world.body(RESPONSES), &response).unwrap();
    }
    world.scenario.finish().await;
}

#[tokio::test]
async fn every_message_is_streamed_as_the_sdks_want_it() {
    let world = World::start().await;
    for story in stories() {
        let places = ("content", "stop_reason");
        tell(&world, MESSAGES, &story, places, story.messages).await;
    }
    world.scenario.finish().await;
}

#[tokio::test]
async fn every_completion_is_streamed_as_the_sdks_want_it() {
    let world = World::start().await;
    for story in stories() {
        let before = executions(&world);
        for turn in &story.turns {
            world.openai.push(turn.clone());
        }
        let streamed = world.streamed(CHAT, world.body(CHAT)).await;
        assert_eq!(
            streamed["choices"][0]["finish_reason"],
            finish_reason(story.messages.1),
            "{}",
            story.name
        );
        for turn in &story.turns {
            world.openai.push(turn.clone());
        }
        let whole = world.whole(CHAT, world.body(CHAT)).await;
        for member in ["content", "tool_calls"] {
            let of = |one: &Value| comparable(&one["choices"][0]["message"][member]);
            assert_eq!(of(&streamed), of(&whole), "{}: {member}", story.name);
        }
        assert_eq!(streamed["usage"], whole["usage"], "{}", story.name);
        assert_ran(&world, &story, before);
        world.openai.assert_content();
    }
    world.scenario.finish().await;
}

/// The same end in the words of Chat Completions.
fn finish_reason(stop_reason: &str) -> &str {
    match stop_reason {
        "tool_use" => "tool_calls",
        "max_tokens" => "length",
        _ => "stop",
    }
}

fn executions(world: &World) -> usize {
    let tools = ["echo", "server_info", "fail", "big"];
    tools
        .iter()
        .map(|tool| world.scenario.mcp.executions(tool))
        .sum()
}

#[tokio::test]
async fn a_model_that_breaks_off_after_a_tool_ran_ends_the_stream_properly() {
    let world = World::start().await;
    let breaks = [
        Turn::text("Almost").failed("server_error", "boom"),
        Turn::text("Almost").cut_after(5),
        Turn::error(500),
        Turn::error(529),
    ];
    for broken in breaks {
        for api in [RESPONSES, MESSAGES] {
            let before = world.scenario.mcp.executions("echo");
            world.vendor(api).push(Turn::call_only("*echo", "{}"));
            // More often than once, should the daemon try again.
            for _ in 0..4 {
                world.vendor(api).push(broken.clone());
            }
            let told = world.streamed(api, world.body(api)).await;
            let ended = match api.path {
                "/openai/v1/responses" => told["status"] == "failed",
                _ => told["type"] == "error",
            };
            assert!(ended, "{told}");
            assert_eq!(world.scenario.mcp.executions("echo"), before + 1);
            world.vendor(api).reset();
        }
    }
    world.scenario.finish().await;
}

#[tokio::test]
async fn approvals_are_asked_for_and_answered_as_the_tool_runners_want_it() {
    let world = World::start().await;
    let mut body = world.body(RESPONSES);
    body["tools"][0]
        .as_object_mut()
        .unwrap()
        .remove("require_approval");
    for approve in [true, false] {
        world.openai.push(Turn::call_only("*echo", ODD));
        let asked = world.streamed(RESPONSES, body.clone()).await;
        assert_eq!(
            kinds(&asked["output"]),
            ["mcp_list_tools", "mcp_approval_request"]
        );
        lint::policy(&body, &asked).unwrap();
        let mut input = vec![json!({ "role": "user", "content": "Go." })];
        input.extend(asked["output"].as_array().unwrap().clone());
        let id = &asked["output"][1]["id"];
        input.push(json!({ "type": "mcp_approval_response", "approval_request_id": id, "approve": approve }));
        let mut next = body.clone();
        next["input"] = json!(input);
        world.openai.push(Turn::text("Done."));
        let answered = world.streamed(RESPONSES, next.clone()).await;
        let expected: &[&str] = if approve {
            &["mcp_call", "message"]
        } else {
            &["message"]
        };
        assert_eq!(kinds(&answered["output"]), expected);
        lint::policy(&next, &answered).unwrap();
        assert_eq!(world.scenario.mcp.executions("echo"), 1);
        world.openai.assert_content();
    }
    world.scenario.finish().await;
}
