//! The fakes against a hand-written client, so that an e2e failure points at the product.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::authz::{AsOptions, ClientAuth, Consent, Endpoint, FakeAs};
use crate::client::{self, McpClient};
use crate::mcp::{self, Access, FakeMcp, McpOptions};
use crate::script::{Fault, Gate, set_param};
use crate::secrets::Secrets;
use crate::{browser, wait};

const VERIFIER: &str = "0123456789012345678901234567890123456789012";
const REDIRECT: &str = "http://127.0.0.1:9/callback";

struct Client {
    authz: FakeAs,
    mcp: FakeMcp,
    id: String,
    secret: Option<String>,
}

impl Client {
    async fn register(options: AsOptions) -> Self {
        let secrets = Secrets::default();
        let authz = FakeAs::start(options, &secrets).await;
        let options = McpOptions::new(Access::OAuth(authz.clone()));
        let mcp = FakeMcp::start(options, &secrets).await;
        let request = json!({
            "redirect_uris": [REDIRECT],
            "application_type": "native",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let url = format!("{}/register", authz.issuer());
        let answer = client::http()
            .post(url)
            .json(&request)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201);
        let answer: Value = answer.json().await.unwrap();
        Self {
            id: answer["client_id"].as_str().unwrap().to_owned(),
            secret: answer["client_secret"].as_str().map(str::to_owned),
            authz,
            mcp,
        }
    }

    fn authorize_url(&self) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.id)
            .append_pair("redirect_uri", REDIRECT)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("state", "s1")
            .append_pair("scope", "mcp")
            .append_pair("resource", &self.mcp.resource())
            .finish();
        format!("{}/authorize?{query}", self.authz.issuer())
    }

    async fn code(&self) -> String {
        let back = browser::redirect_url(&self.authorize_url()).await;
        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").unwrap();
        code.into_owned()
    }

    async fn token(&self, params: &[(&str, &str)]) -> Value {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(params)
            .append_pair("resource", &self.mcp.resource());
        let mut post = client::http().post(format!("{}/token", self.authz.issuer()));
        match (&self.secret, self.authz.options().client_auth) {
            (Some(secret), ClientAuth::Basic) => {
                let encode = |part: &str| byte_serialize(part.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encode(&self.id), encode(secret));
                post = post.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
            }
            (Some(secret), _) => {
                form.append_pair("client_id", &self.id)
                    .append_pair("client_secret", secret);
            }
            (None, _) => {
                form.append_pair("client_id", &self.id);
            }
        }
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        post.body(form.finish())
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn redeem(&self, code: &str) -> Value {
        let verifier = ("code_verifier", VERIFIER);
        let grant = ("grant_type", "authorization_code");
        self.token(&[grant, ("code", code), verifier, ("redirect_uri", REDIRECT)])
            .await
    }

    async fn refresh(&self, tokens: &Value) -> Value {
        let token = tokens["refresh_token"].as_str().unwrap();
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }

    fn is_live(&self, tokens: &Value) -> bool {
        self.authz
            .live(tokens["access_token"].as_str().unwrap())
            .is_some()
    }
}

#[tokio::test]
async fn a_code_becomes_tokens_for_every_way_to_authenticate() {
    for client_auth in [ClientAuth::None, ClientAuth::Basic, ClientAuth::Post] {
        let client = Client::register(AsOptions {
            client_auth,
            ..AsOptions::default()
        })
        .await;
        let tokens = client.redeem(&client.code().await).await;
        assert!(client.is_live(&tokens), "{tokens}");
    }
}

#[tokio::test]
async fn reuse_of_a_refresh_token_revokes_the_family() {
    let client = Client::register(AsOptions::default()).await;
    let first = client.redeem(&client.code().await).await;
    let second = client.refresh(&first).await;
    assert!(client.is_live(&second));
    assert_eq!(client.refresh(&first).await["error"], "invalid_grant");
    assert_eq!(client.refresh(&second).await["error"], "invalid_grant");
    assert!(!client.is_live(&second));
    assert_eq!(
        (client.authz.reuse_detected(), client.authz.refreshes()),
        (1, 3)
    );
}

#[tokio::test]
async fn a_code_works_once_and_with_its_verifier_only() {
    let client = Client::register(AsOptions::default()).await;
    let code = client.code().await;
    let wrong = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
    ];
    assert_eq!(client.token(&wrong).await["error"], "invalid_grant");
    let tokens = client.redeem(&code).await;
    assert!(client.is_live(&tokens));
    assert_eq!(client.redeem(&code).await["error"], "invalid_grant");
    assert!(
        !client.is_live(&tokens),
        "reuse of a code revokes what came of it"
    );
}

#[tokio::test]
async fn an_access_token_expires() {
    let access_lifetime = Duration::ZERO;
    let client = Client::register(AsOptions {
        access_lifetime,
        ..AsOptions::default()
    })
    .await;
    let tokens = client.redeem(&client.code().await).await;
    assert!(!client.is_live(&tokens));
}

#[tokio::test]
async fn the_consent_page_leads_to_the_same_redirect() {
    let consent = Consent::Page;
    let client = Client::register(AsOptions {
        consent,
        ..AsOptions::default()
    })
    .await;
    let page = browser::visit(&client.authorize_url()).await;
    assert!(page.body.contains("Allow access?"), "{}", page.body);
    assert_eq!(client.authz.journal().count(Endpoint::Consent), 0);
}

#[tokio::test]
async fn faults_come_in_the_scripted_order() {
    let client = Client::register(AsOptions::default()).await;
    client.authz.once(
        Endpoint::Token,
        Fault::oauth_error("temporarily_unavailable"),
    );
    let code = client.code().await;
    assert_eq!(
        client.redeem(&code).await["error"],
        "temporarily_unavailable"
    );
    assert!(client.is_live(&client.redeem(&code).await));
    let rewrite = |url: &mut url::Url| set_param(url, "iss", Some("https://evil.example"));
    client
        .authz
        .once(Endpoint::Authorize, Fault::edit_redirect(rewrite));
    let back = browser::redirect_url(&client.authorize_url()).await;
    assert!(
        back.query_pairs()
            .any(|(k, v)| k == "iss" && v == "https://evil.example")
    );
}

#[tokio::test]
async fn a_held_refresh_took_effect_before_its_answer() {
    let client = Client::register(AsOptions::default()).await;
    let tokens = client.redeem(&client.code().await).await;
    let gate = Gate::new();
    client
        .authz
        .once(Endpoint::Token, Fault::HoldAfter(gate.clone()));
    let held = client.refresh(&tokens);
    let meanwhile = async {
        gate.reached().await;
        assert_eq!(client.refresh(&tokens).await["error"], "invalid_grant");
        gate.release();
    };
    let (answer, ()) = tokio::join!(held, meanwhile);
    assert!(answer["access_token"].is_string());
}

async fn open_server() -> FakeMcp {
    FakeMcp::start(McpOptions::new(Access::Open), &Secrets::default()).await
}

#[tokio::test]
async fn the_mcp_server_challenges_and_serves_both_eras() {
    let client = Client::register(AsOptions::default()).await;
    let refused = McpClient::modern(&client.mcp.url())
        .call("echo", json!({}))
        .await;
    assert_eq!(refused.status, 401);
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("resource_metadata=") && challenge.contains("scope=\"mcp\""));

    let mcp = open_server().await;
    let modern = McpClient::modern(&mcp.url());
    let arguments = json!({ "name": "World" });
    modern
        .call("hello_world", arguments.clone())
        .await
        .assert_text("Hello, World!");
    let legacy = McpClient::legacy(&mcp.url()).await;
    legacy
        .call("hello_world", arguments)
        .await
        .assert_text("Hello, World!");
    assert_eq!(mcp.finished("hello_world"), 2);
}

#[tokio::test]
async fn a_stream_has_comments_progress_and_a_result() {
    let mcp = open_server().await;
    let legacy = McpClient::legacy(&mcp.url()).await;
    let answer = legacy.call("slow", json!({ "steps": 2 })).await;
    let stream = String::from_utf8(answer.raw.to_vec()).unwrap();
    assert!(
        stream.starts_with("id: ") && stream.contains("retry: "),
        "{stream}"
    );
    assert!(stream.contains(": still working"));
    assert_eq!(client::events(&stream).len(), 3);
    answer.assert_text("done");
}

#[tokio::test]
async fn a_client_that_leaves_ends_a_modern_call_and_not_a_legacy_one() {
    let mcp = open_server().await;
    let gate = mcp.hold("slow");
    drop(McpClient::modern(&mcp.url()).open("slow", json!({})).await);
    wait::until_true("the call to end", || mcp.abandoned("slow") == 1).await;
    let legacy = McpClient::legacy(&mcp.url()).await;
    drop(legacy.open("slow", json!({})).await);
    wait::until_true("the client to leave", || mcp.abandoned("slow") == 2).await;
    gate.release();
    wait::until_true("the legacy call to finish", || mcp.finished("slow") == 1).await;
}

#[tokio::test]
async fn a_resumed_stream_replays_what_was_missed() {
    let mcp = open_server().await;
    let legacy = McpClient::legacy(&mcp.url()).await;
    let whole = legacy.call("slow", json!({ "steps": 2 })).await;
    let text = String::from_utf8(whole.raw.to_vec()).unwrap();
    let first = text
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap();
    let mut resumed = legacy.listen(Some(first)).await;
    let mut seen = String::new();
    while client::events(&seen).len() < 3 {
        let chunk = wait::within("an event", resumed.chunk())
            .await
            .unwrap()
            .unwrap();
        seen += std::str::from_utf8(&chunk).unwrap();
    }
    assert!(seen.contains("\"result\""));
}

#[tokio::test]
async fn a_modern_request_must_repeat_its_method_in_the_headers() {
    let mcp = open_server().await;
    let modern = McpClient::modern(&mcp.url());
    let message = modern.message("tools/call", modern.call_params("echo", json!({})));
    let post = modern.prepare(&message).header("mcp-method", "tools/list");
    let status = post.send().await.unwrap().status().as_u16();
    assert_eq!(
        (status, mcp.executions("echo")),
        (200, 1),
        "the first header counts"
    );
    let other = modern.message("tools/list", json!({}));
    let mut lying = other.clone();
    lying["method"] = json!("tools/call");
    lying["params"]["name"] = json!("echo");
    let post = modern.prepare(&other).body(lying.to_string());
    assert_eq!(post.send().await.unwrap().status().as_u16(), 400);
    assert_eq!(mcp.executions("echo"), 1);
    assert_eq!(mcp.journal().count(mcp::Endpoint::Mcp), 2);
}

#[tokio::test]
async fn a_keyring_starts_empty() {
    let home = crate::daemon::Home::create();
    let keyring = crate::keyring::Keyring::start(&home).await;
    assert_eq!(keyring.key().await, None);
}

#[test]
fn a_panic_of_the_daemon_is_recognised() {
    let hook = crate::bins::root().join("daemon/src/telemetry.rs");
    let hook = std::fs::read_to_string(hook).unwrap();
    let logged = crate::scenario::PANICS[1];
    assert!(hook.contains(&format!("\"{logged}\"")), "{logged}");
}
