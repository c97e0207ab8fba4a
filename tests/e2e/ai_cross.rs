//! A program that speaks one vendor's language with a model of the other.

use mcpbridge_tests::ai::{FakeAi, Seen, Turn, Usage, lint};
use mcpbridge_tests::mcp::Access;
use mcpbridge_tests::{Scenario, client, wait};
use reqwest::{Response, header};
use serde_json::{Value, json};

mod anthropic_client;
mod openai_client;

const CLAUDE: &str = "claude-opus-5-5";
const GPT: &str = "gpt-5.4";
const PNG: &str = "iVBORw0KGgo=";
/// Numbers, escapes and order that a reader would change.
const ARGUMENTS: &str = r#"{"z": 1.0, "a":"\u00e4","n":12345678901234567890123}"#;

type Lint = fn(&[u8]) -> Result<Value, Vec<String>>;

/// Both vendors, whose keys the daemon holds, one server of tools, and a client with a token.
struct Cross {
    scenario: Scenario,
    openai: FakeAi,
    anthropic: FakeAi,
    token: String,
    http: reqwest::Client,
}

impl Cross {
    async fn start() -> Self {
        let builder = Scenario::builder().mcp(|mcp| mcp.access = Access::Open);
        let mut scenario = builder.start().await;
        let openai = FakeAi::openai(&scenario.secrets).await;
        let anthropic = FakeAi::anthropic(&scenario.secrets).await;
        let ai = json!({
            "vendors": {
                "openai": { "url": openai.url(), "api": "openai" },
                "anthropic": { "url": anthropic.url(), "api": "anthropic" },
            },
            "models": { "claude-*": "anthropic", "gpt-*": "openai" },
        });
        scenario.configure(|config| config["ai"] = ai).await;
        scenario.add_open("hello", "allow").await;
        for (vendor, key) in [("openai", openai.key()), ("anthropic", anthropic.key())] {
            let set = ["key", "set", vendor, "--stdin"];
            scenario.ctl.run_with_input(&set, key).await.success();
        }
        let added = scenario
            .ctl
            .run_quietly(&["client", "add", "program"])
            .await;
        let token = added.success().stdout.trim_end().to_owned();
        scenario.secrets.remember("client token", &token);
        scenario.daemon.restart().await;
        Self {
            scenario,
            openai,
            anthropic,
            token,
            http: client::http(),
        }
    }

    async fn post(&self, path: &str, body: impl ToString) -> Response {
        let url = format!("{}{path}", self.scenario.daemon.base_url());
        let request = self.http.post(url).bearer_auth(&self.token);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.header("anthropic-version", "2023-06-01");
        let request = request.header("anthropic-beta", "mcp-client-2025-11-20");
        let request = request.body(body.to_string());
        wait::within("an answer", request.send()).await.unwrap()
    }

    /// The answers to `body`, streamed and whole, to which `model` says that it sees a picture; the field
    /// `left_out` has no counterpart there.
    async fn a_picture(
        &self,
        model: &FakeAi,
        (path, lint): (&str, Lint),
        body: &Value,
        left_out: &str,
    ) -> [Value; 2] {
        let turn = Turn::new().thinking("Hm.").and_text("A picture.");
        let mut body = body.clone();
        let mut answers = [Value::Null, Value::Null];
        for (answer, stream) in answers.iter_mut().zip([true, false]) {
            model.push(turn.clone().usage(usage()));
            body["stream"] = json!(stream);
            let response = self.post(path, &body).await;
            assert_eq!(dropped(&response), [left_out]);
            *answer = match stream {
                true => streamed(response, lint).await,
                false => object(response).await,
            };
        }
        answers
    }

    /// Neither vendor had anything to complain about, and none saw what is the other's.
    async fn finish(self) {
        for (vendor, other) in [
            (&self.openai, &self.anthropic),
            (&self.anthropic, &self.openai),
        ] {
            vendor.assert_content();
            assert!(!vendor.received(other.key()) && !vendor.received(&self.token));
        }
        self.scenario.finish().await;
    }
}

/// The object of a whole answer.
async fn object(response: Response) -> Value {
    let status = response.status();
    let body = response.text().await.unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The object that a stream adds up to, after a look at every frame.
async fn streamed(response: Response, lint: Lint) -> Value {
    assert_eq!(response.status(), 200);
    let bytes = response.bytes().await.unwrap();
    lint(&bytes).unwrap_or_else(|found| {
        panic!("{found:#?}\n{}", String::from_utf8_lossy(&bytes));
    })
}

fn dropped(response: &Response) -> Vec<String> {
    let header = response.headers().get("x-mcpbridge-dropped");
    let names = header.map_or("", |value| value.to_str().unwrap());
    let mut names: Vec<String> = names.split(", ").map(str::to_owned).collect();
    names.sort();
    names
}

fn usage() -> Usage {
    Usage {
        input: 10,
        cached: 3,
        cache_written: 2,
        output: 7,
        reasoning: 0,
    }
}
