//! An MCP server and its authorization server in one, on loopback. It answers as it is told, else as
//! a good one: registers clients, rotates tokens, refuses a refresh token that was used.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::watch;
use url::{Url, form_urlencoded};

pub(super) type Form = HashMap<String, String>;

#[derive(Clone)]
pub(super) struct Fake {
    shared: Arc<Shared>,
}

struct Shared {
    base: String,
    state: Mutex<Script>,
    /// Closed: token requests wait for their answer.
    open: watch::Sender<bool>,
    /// Counts token requests that arrived.
    arrived: watch::Sender<usize>,
}

struct Script {
    lifetime: Option<u64>,
    refresh_tokens: bool,
    /// Asks nobody for a token.
    anonymous: bool,
    answers: VecDeque<(u16, Value)>,
    tokens: Vec<Form>,
    revoked: Vec<Form>,
    clients: usize,
    issued: usize,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        let script = Script {
            lifetime: Some(3600),
            refresh_tokens: true,
            anonymous: false,
            answers: VecDeque::new(),
            tokens: Vec::new(),
            revoked: Vec::new(),
            clients: 0,
            issued: 0,
        };
        let shared = Arc::new(Shared {
            base,
            state: Mutex::new(script),
            open: watch::Sender::new(true),
            arrived: watch::Sender::new(0),
        });
        let fake = Self { shared };
        let routes = Router::new()
            .route("/mcp", post(mcp))
            .route("/.well-known/oauth-protected-resource/mcp", get(resource))
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/register", post(register))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .with_state(fake.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "it outlives the daemon under test"
        )]
        tokio::spawn(async move { axum::serve(socket, routes).await });
        fake
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.shared.state.lock().unwrap()
    }

    pub(super) fn server_url(&self) -> Url {
        Url::parse(&format!("{}/mcp", self.shared.base)).unwrap()
    }

    /// How long tokens live from now on; None leaves `expires_in` out.
    pub(super) fn set_lifetime(&self, seconds: Option<u64>) {
        self.script().lifetime = seconds;
    }

    pub(super) fn issue_refresh_tokens(&self, yes: bool) {
        self.script().refresh_tokens = yes;
    }

    /// Whether it answers without a token, and has no metadata.
    pub(super) fn let_all_in(&self, yes: bool) {
        self.script().anonymous = yes;
    }

    /// The answer to the next token request that has none yet.
    pub(super) fn answer(&self, status: u16, body: Value) {
        self.script().answers.push_back((status, body));
    }

    pub(super) fn refuse(&self, error: &str) {
        self.answer(400, json!({ "error": error }));
    }

    /// Lets token requests wait, or answers those that wait.
    pub(super) fn hold(&self, hold: bool) {
        self.shared.open.send_replace(!hold);
    }

    /// Waits until `count` token requests have arrived since the start.
    pub(super) async fn arrived(&self, count: usize) {
        let mut arrived = self.shared.arrived.subscribe();
        arrived.wait_for(|n| *n >= count).await.unwrap();
    }

    /// Every token request so far.
    pub(super) fn token_requests(&self) -> Vec<Form> {
        self.script().tokens.clone()
    }

    pub(super) fn refreshes(&self) -> usize {
        let requests = self.token_requests();
        requests
            .iter()
            .filter(|form| form["grant_type"] == "refresh_token")
            .count()
    }

    pub(super) fn revoked(&self) -> Vec<Form> {
        self.script().revoked.clone()
    }

    pub(super) fn clients(&self) -> usize {
        self.script().clients
    }
}

async fn mcp(State(fake): State<Fake>) -> Response {
    if fake.script().anonymous {
        return json_answer(200, &json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    }
    let metadata = format!(
        "{}/.well-known/oauth-protected-resource/mcp",
        fake.shared.base
    );
    let challenge = format!("Bearer resource_metadata=\"{metadata}\"");
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, challenge)],
    )
        .into_response()
}

async fn resource(State(fake): State<Fake>) -> Response {
    if fake.script().anonymous {
        return StatusCode::NOT_FOUND.into_response();
    }
    let base = &fake.shared.base;
    json_answer(
        200,
        &json!({ "resource": format!("{base}/mcp"), "authorization_servers": [base] }),
    )
}

async fn metadata(State(fake): State<Fake>) -> Response {
    let base = &fake.shared.base;
    json_answer(
        200,
        &json!({
            "issuer": base,
            "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": format!("{base}/token"),
            "registration_endpoint": format!("{base}/register"),
            "revocation_endpoint": format!("{base}/revoke"),
            "code_challenge_methods_supported": ["S256"],
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": ["none"],
        }),
    )
}

async fn register(State(fake): State<Fake>, body: String) -> Response {
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    let mut script = fake.script();
    script.clients += 1;
    answer["client_id"] = format!("client-{}", script.clients).into();
    json_answer(201, &answer)
}

async fn token(State(fake): State<Fake>, body: String) -> Response {
    let form: Form = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    fake.script().tokens.push(form);
    fake.shared.arrived.send_modify(|count| *count += 1);
    let mut open = fake.shared.open.subscribe();
    open.wait_for(|open| *open).await.unwrap();
    let mut script = fake.script();
    if let Some((status, body)) = script.answers.pop_front() {
        return json_answer(status, &body);
    }
    script.issued += 1;
    let n = script.issued;
    let mut answer = json!({ "access_token": format!("access-{n}"), "token_type": "Bearer" });
    if script.refresh_tokens {
        answer["refresh_token"] = format!("refresh-{n}").into();
    }
    if let Some(lifetime) = script.lifetime {
        answer["expires_in"] = lifetime.into();
    }
    json_answer(200, &answer)
}

async fn revoke(State(fake): State<Fake>, body: String) -> Response {
    let form = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    fake.script().revoked.push(form);
    StatusCode::OK.into_response()
}

fn json_answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
