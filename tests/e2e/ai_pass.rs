//! Model APIs through the daemon, where nothing of MCP is in the request: the same bytes both ways.

use std::time::Duration;

use mcpbridge_tests::ai::{Endpoint, FakeAi, Turn};
use mcpbridge_tests::mcp::Access;
use mcpbridge_tests::wait;
use mcpbridge_tests::{Fault, Gate, Scenario};
use reqwest::{Method, RequestBuilder, Response, header};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

/// Both vendors and a daemon that knows them.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) openai: FakeAi,
    pub(crate) anthropic: FakeAi,
    pub(crate) http: reqwest::Client,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_, _| ()).await
    }

    /// `change` gets the configuration and its `ai`.
    pub(crate) async fn with(change: impl FnOnce(&mut Value, &mut Value)) -> Self {
        Self::logging("debug", change).await
    }

    async fn logging(level: &str, change: impl FnOnce(&mut Value, &mut Value)) -> Self {
        let builder = Scenario::builder()
            .mcp(|mcp| mcp.access = Access::Open)
            .daemon(&["--log-level", level]);
        let mut scenario = builder.start().await;
        let openai = FakeAi::openai(&scenario.secrets).await;
        let anthropic = FakeAi::anthropic(&scenario.secrets).await;
        let mut ai = json!({ "vendors": {
            "openai": { "url": openai.url(), "api": "openai" },
            "anthropic": { "url": anthropic.url(), "api": "anthropic" },
        }});
        let configured = scenario.configure(|config| {
            change(config, &mut ai);
            config["ai"] = ai;
        });
        configured.await;
        Self {
            scenario,
            openai,
            anthropic,
            http: mcpbridge_tests::client::http(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self.scenario.daemon.base_url();
        self.http.request(method, format!("{base}{path}"))
    }

    /// With the vendor's own key.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        let key = match path.starts_with("/openai") {
            true => self.openai.key(),
            false => self.anthropic.key(),
        };
        self.request(Method::POST, path).bearer_auth(key)
    }
}

pub(crate) async fn sent(request: RequestBuilder) -> Response {
    wait::within("an answer", request.send()).await.unwrap()
}

fn streamed() -> Value {
    let asked = json!([{ "role": "user", "content": "hi" }]);
    json!({ "model": "gpt-5.4", "stream": true, "messages": asked })
}

/// Status and message of an error, after a look at its shape.
pub(crate) async fn error_of(api: &str, response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let id = match api {
        "openai" => "x-request-id",
        _ => "request-id",
    };
    let id = response.headers()[id].to_str().unwrap().to_owned();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let body: Value = response.json().await.unwrap();
    let error = &body["error"];
    assert!(error["type"].is_string(), "{body}");
    if api == "openai" {
        let keys = error.as_object().unwrap().keys();
        let keys: Vec<_> = keys.map(String::as_str).collect();
        assert_eq!(keys, ["message", "type", "param", "code"], "{body}");
    } else {
        assert_eq!(body["type"], "error", "{body}");
        assert!(body["request_id"].is_string() && !id.is_empty(), "{body}");
    }
    (status, error["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_request_and_its_answer_pass_byte_for_byte() {
    let world = World::start().await;
    let body = "{ \"model\":\"text-embedding-9\",\"n\":1.0 ,\"input\":\"\\u00e4\",\"x\":123456789012345678901}";
    let request = world
        .post("/openai/v1/files?purpose=a%20b&x=")
        .header("content-type", "application/json")
        .header("openai-organization", "org-1")
        .header("x-stainless-retry-count", "0")
        .header("cookie", "session=1")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .body(body);
    let response = sent(request).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert!(
        headers["x-request-id"]
            .to_str()
            .unwrap()
            .starts_with("req_0")
    );
    assert_eq!(headers["x-echo-path"], "/v1/files");
    assert_eq!(headers["x-echo-query"], "purpose=a%20b&x=");
    assert_eq!(response.text().await.unwrap(), body);
    let seen = world.openai.requests().pop().unwrap();
    assert_eq!(seen.body, body);
    assert_eq!(seen.header("openai-organization"), Some("org-1"));
    assert_eq!(seen.header("x-stainless-retry-count"), Some("0"));
    assert_eq!(
        seen.header("host"),
        world
            .openai
            .url()
            .strip_prefix("http://")
            .map(|url| &url[..url.len() - 3])
    );
    for kept in ["cookie", "x-hop", "connection"] {
        assert_eq!(seen.header(kept), None, "{kept}");
    }
    // Bytes that are no text, and every method.
    let binary: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let response = sent(world.post("/openai/v1/uploads").body(binary.clone())).await;
    assert!(response.bytes().await.unwrap() == binary);
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
        let request = world.request(method.clone(), "/openai/v1/files/f-1");
        let response = sent(request.bearer_auth(world.openai.key())).await;
        assert_eq!(response.headers()["x-echo-method"], method.as_str());
    }
    world.scenario.finish().await;
}

#[tokio::test]
async fn paths_lead_to_the_vendor_with_and_without_the_version() {
    let world = World::start().await;
    for (path, expected) in [
        ("/openai/v1/batches", "/v1/batches"),
        ("/openai/batches", "/v1/batches"),
        ("/anthropic/v1/files?beta=true", "/v1/files"),
        ("/anthropic/files", "/v1/files"),
        ("/anthropic/v1/v1/files", "/v1/files"),
        ("/anthropic/v1/v1/messages/batches", "/v1/messages/batches"),
    ] {
        let response = sent(world.post(path).body("{}")).await;
        assert_eq!(response.headers()["x-echo-path"], expected, "{path}");
    }
    for (api, vendor) in [("openai", &world.openai), ("anthropic", &world.anthropic)] {
        let models = world.request(Method::GET, &format!("/{api}/v1/models"));
        let models = sent(models.bearer_auth(vendor.key())).await;
        assert!(models.json::<Value>().await.unwrap()["data"].is_array());
        // The path stays below the vendor's URL.
        let climbing = format!(
            "{}/{api}/v1/%2e%2e%2fadmin",
            world.scenario.daemon.base_url()
        );
        let (status, _) = error_of(api, sent(world.http.get(climbing)).await).await;
        assert_eq!(status, 400);
    }
    world.scenario.finish().await;
}

#[tokio::test]
async fn events_pass_as_they_come() {
    let world = World::start().await;
    let gate = Gate::new();
    world
        .openai
        .push(Turn::text("One two three.").held_after(1, &gate));
    let mut response = sent(world.post("/openai/v1/chat/completions").json(&streamed())).await;
    assert_eq!(response.status(), 200);
    let kind = response.headers()[header::CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let first = wait::within("the first event", response.chunk())
        .await
        .unwrap()
        .unwrap();
    assert!(first.starts_with(b"data: {"), "{first:?}");
    gate.release();
    let rest = wait::within("the rest", response.text()).await.unwrap();
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    world.scenario.finish().await;
}

#[tokio::test]
async fn what_the_vendor_refuses_is_told_in_its_own_words() {
    let world = World::start().await;
    let refusal =
        json!({ "error": { "message": "slow down", "type": "rate_limit_error" }, "own": 1.50 });
    let limited = Fault::edit(move |answer| {
        *answer = mcpbridge_tests::wire::Answer::json(429, &refusal)
            .with_header("retry-after-ms", "1500")
            .with_header("x-should-retry", "true")
            .with_header("x-ratelimit-remaining-requests", "0")
            .with_header("set-cookie", "a=b");
    });
    world.openai.faults().once(Endpoint::Embeddings, limited);
    world
        .openai
        .faults()
        .once(Endpoint::Embeddings, Fault::html(529));
    let embed = || {
        world
            .post("/openai/v1/embeddings")
            .json(&json!({ "model": "m", "input": "x" }))
    };
    let response = sent(embed()).await;
    assert_eq!(response.status(), 429);
    for (name, value) in [
        ("retry-after-ms", "1500"),
        ("x-should-retry", "true"),
        ("x-ratelimit-remaining-requests", "0"),
    ] {
        assert_eq!(response.headers()[name], value);
    }
    assert!(!response.headers().contains_key("set-cookie"));
    let text = response.text().await.unwrap();
    assert!(text.contains("slow down") && text.contains("1.5"), "{text}");
    let page = sent(embed()).await;
    assert_eq!(page.status(), 529);
    assert!(page.text().await.unwrap().contains("<title>Bad gateway"));
    let wrong = world
        .request(Method::POST, "/anthropic/v1/files")
        .header("x-api-key", "sk-wrong");
    let (status, said) = error_of("anthropic", sent(wrong).await).await;
    assert_eq!(
        (status, said.as_str()),
        (401, "Incorrect API key provided.")
    );
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_vendor_that_cannot_be_asked_is_an_error_in_its_shape() {
    // Bound, so that nobody else gets the port, and not listening.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = closed.local_addr().unwrap().port();
    let world = World::with(|_, ai| {
        ai["vendors"]["anthropic"]["url"] = json!(format!("http://127.0.0.1:{port}"));
    })
    .await;
    let (status, said) = error_of(
        "anthropic",
        sent(world.post("/anthropic/v1/messages")).await,
    )
    .await;
    assert_eq!(status, 503);
    assert!(
        said.contains("could not connect") && said.contains("ai.vendors.anthropic.url"),
        "{said}"
    );
    let redirect = Fault::edit(|answer| {
        *answer = mcpbridge_tests::wire::Answer::text(307, "text/plain", "")
            .with_header("location", "https://evil.example/v1/embeddings");
    });
    world.openai.faults().once(Endpoint::Embeddings, redirect);
    let embed = || {
        world
            .post("/openai/v1/embeddings")
            .json(&json!({ "model": "m", "input": "x" }))
    };
    let (status, said) = error_of("openai", sent(embed()).await).await;
    assert_eq!(status, 502);
    assert!(said.contains("307") && !said.contains("evil"), "{said}");
    assert_eq!(world.openai.requests().len(), 1);
    world.openai.push(Turn::text("One two three.").cut_after(2));
    let cut = sent(world.post("/openai/v1/chat/completions").json(&streamed())).await;
    assert_eq!(cut.status(), 200);
    let cut = wait::within("the end", cut.bytes()).await;
    assert!(cut.is_err(), "a broken stream must not look whole");
    assert_eq!(world.openai.requests().len(), 2, "nothing is sent twice");
    world.scenario.finish().await;
}

#[tokio::test]
async fn large_answers_pass_and_bodies_beyond_the_limit_do_not() {
    let world = World::with(|config, _| config["max_request_bytes"] = json!(100_000)).await;
    let large = vec![b'x'; 100_001];
    for api in ["openai", "anthropic"] {
        let path = match api {
            "openai" => "/openai/v1/chat/completions",
            _ => "/anthropic/v1/messages",
        };
        let post = world.post(path).body(large.clone());
        let (status, said) = error_of(api, sent(post).await).await;
        assert_eq!(status, 413);
        assert!(said.contains("max_request_bytes"), "{said}");
    }
    assert!(world.openai.requests().is_empty() && world.anthropic.requests().is_empty());
    let body = 64 << 20;
    world
        .openai
        .faults()
        .once(Endpoint::Models, Fault::Huge(body));
    let models = world
        .request(Method::GET, "/openai/v1/models")
        .bearer_auth(world.openai.key());
    let answer = sent(models).await.bytes().await.unwrap();
    assert_eq!(answer.len() as u64, body);
    world.scenario.finish().await;
}

#[tokio::test]
async fn who_may_not_ask_and_what_is_not_served_is_told_in_the_vendors_shape() {
    let world = World::start().await;
    for (api, path) in [
        ("openai", "/openai/v1/responses"),
        ("anthropic", "/anthropic/v1/messages"),
    ] {
        let upgrade = world
            .request(Method::GET, path)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let (status, said) = error_of(api, sent(upgrade).await).await;
        assert_eq!(status, 400);
        assert!(
            said.contains("WebSocket is not served here: use HTTP POST"),
            "{said}"
        );
        let page = world.post(path).header("sec-fetch-site", "cross-site");
        let (status, said) = error_of(api, sent(page).await).await;
        assert_eq!(status, 403);
        assert!(said.contains("another site"), "{said}");
        let trace = world.request(Method::TRACE, path);
        assert_eq!(error_of(api, sent(trace).await).await.0, 405);
    }
    let foreign = world
        .post("/openai/v1/responses")
        .header("origin", "https://evil.example");
    assert_eq!(sent(foreign).await.status(), 403);
    assert!(world.openai.requests().is_empty() && world.anthropic.requests().is_empty());
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_request_at_the_vendor() {
    let world = World::start().await;
    world.openai.faults().once(Endpoint::Models, Fault::Drip);
    let models = world
        .request(Method::GET, "/openai/v1/models")
        .bearer_auth(world.openai.key());
    let mut response = sent(models).await;
    wait::within("a byte", response.chunk())
        .await
        .unwrap()
        .unwrap();
    drop(response);
    let logged = || world.scenario.daemon.output();
    let line = wait::until(
        "the line of the request",
        Duration::from_secs(20),
        async || {
            let output = logged();
            let line = output.lines().find(|line| line.contains("model request"));
            line.map(str::to_owned)
        },
    );
    let line = line.await;
    for said in [
        "abandoned",
        "vendor=openai",
        "path=\"/models\"",
        "status=200",
    ] {
        assert!(line.contains(said), "{said}: {line}");
    }
    world.scenario.finish().await;
}

#[tokio::test]
async fn what_goes_well_is_in_the_log_only_for_who_looks_for_it() {
    for (level, expected) in [("info", ["429"].as_slice()), ("debug", &["200", "429"])] {
        let world = World::logging(level, |_, _| ()).await;
        for turn in [Turn::text("Hi."), Turn::error(429)] {
            world.openai.push(turn);
            let request = world.post("/openai/v1/chat/completions").json(&streamed());
            sent(request).await.bytes().await.unwrap();
        }
        let output = world.scenario.daemon.wrote("status=429").await;
        let lines = output.lines().filter(|line| line.contains("model request"));
        let statuses: Vec<&str> = lines
            .filter_map(|line| line.split_once("status="))
            .filter_map(|(_, rest)| rest.split(' ').next())
            .collect();
        assert_eq!(statuses, expected, "{level}: {output}");
        world.scenario.finish().await;
    }
}
