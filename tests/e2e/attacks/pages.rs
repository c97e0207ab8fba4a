//! By the pages: other methods, other sites, other sessions, links that are used up.

use mcpbridge_tests::pages::{WebSession, link};
use mcpbridge_tests::{McpClient, client};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use super::Held;

const FORM: &str = "application/x-www-form-urlencoded";

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn looking_at_an_address_decides_nothing() {
    let held = Held::start(json!({ "n": 1 })).await;
    let session = WebSession::open(&held.scenario.ctl).await;
    let id = &held.item.id;
    for action in ["approve", "deny"] {
        let path = format!("/approvals/{id}/{action}");
        for method in [
            Method::GET,
            Method::HEAD,
            Method::OPTIONS,
            Method::PUT,
            Method::DELETE,
        ] {
            let query = format!("{path}?csrf={}", session.csrf);
            let request = session.request(method.clone(), &query);
            let request = request.header("x-csrf-token", &session.csrf);
            assert_eq!(status(request).await, 405, "{method} {path}");
            let overridden = session.request(method.clone(), &path);
            let overridden = overridden
                .header("x-http-method-override", "POST")
                .header("x-csrf-token", &session.csrf);
            assert_eq!(status(overridden).await, 405, "{method} {path}");
        }
    }
    session.get(&format!("/approvals/{id}")).await;
    held.still_waits().await;
}

#[tokio::test]
async fn a_decision_needs_a_session_and_its_own_token() {
    let held = Held::start(json!({})).await;
    let session = WebSession::open(&held.scenario.ctl).await;
    let other = WebSession::open(&held.scenario.ctl).await;
    let base = held.scenario.daemon.base_url();
    for action in ["approve", "deny"] {
        let path = format!("/approvals/{}/{action}", held.item.id);
        let url = format!("{base}{path}");
        let stranger = client::http().post(&url).header("content-type", FORM);
        assert_eq!(status(stranger).await, 403, "without a session");
        let stranger = client::http()
            .post(&url)
            .header("x-csrf-token", &session.csrf);
        assert_eq!(status(stranger).await, 403, "a token and no session");
        let made_up = client::http()
            .post(&url)
            .header("cookie", format!("{}x", session.cookie))
            .header("x-csrf-token", &session.csrf);
        assert_eq!(status(made_up).await, 403, "a session made up");
        let tokens = [String::new(), "x".to_owned(), other.csrf.clone()];
        for token in tokens {
            let form = format!("csrf={token}");
            let request = session.request(Method::POST, &path);
            let request = request.header("content-type", FORM).body(form);
            assert_eq!(status(request).await, 403, "the token {token:?}");
            let json = json!({ "csrf": token }).to_string();
            let request = session.request(Method::POST, &path);
            let request = request
                .header("content-type", "application/json")
                .body(json);
            assert_eq!(status(request).await, 403, "the token {token:?} in JSON");
        }
        // The token counts where a page puts it, not in an address that others see.
        let query = format!("{path}?csrf={}", session.csrf);
        assert_eq!(status(session.request(Method::POST, &query)).await, 403);
        // What a page of another site can send without being asked first.
        let plain = session.request(Method::POST, &path);
        let plain = plain.header("content-type", "text/plain").body("{}");
        assert!(status(plain).await.is_client_error());
    }
    let list = format!("{base}/approvals");
    assert_eq!(status(client::http().get(&list)).await, 403);
    let events = format!("{base}/approvals/events");
    assert_eq!(status(client::http().get(&events)).await, 403);
    held.still_waits().await;
}

#[tokio::test]
async fn another_site_or_name_decides_nothing() {
    let held = Held::start(json!({})).await;
    let session = WebSession::open(&held.scenario.ctl).await;
    let port = held.scenario.daemon.port();
    let elsewhere = [
        ("origin", "https://evil.example".to_owned()),
        ("origin", "null".to_owned()),
        (
            "origin",
            format!("http://localhost:{}", port.wrapping_add(1)),
        ),
        ("origin", format!("https://localhost.evil.example:{port}")),
        ("sec-fetch-site", "cross-site".to_owned()),
        ("sec-fetch-site", "same-site".to_owned()),
        ("host", "evil.example".to_owned()),
        ("host", format!("evil.example:{port}")),
    ];
    for action in ["approve", "deny"] {
        let path = format!("/approvals/{}/{action}", held.item.id);
        for (header, value) in &elsewhere {
            let request = session.request(Method::POST, &path);
            let request = request
                .header("content-type", FORM)
                .header("x-csrf-token", &session.csrf)
                .header(*header, value);
            assert_eq!(status(request).await, 403, "{header}: {value}");
        }
    }
    held.still_waits().await;
}

#[tokio::test]
async fn no_page_can_be_framed() {
    let held = Held::start(json!({})).await;
    let session = WebSession::open(&held.scenario.ctl).await;
    let item = format!("/approvals/{}", held.item.id);
    for path in [
        "/approvals",
        &item,
        "/approvals/history",
        "/ui/servers",
        "/no/such/page",
    ] {
        let get = session.request(Method::GET, path);
        let answer = get.header("accept", "text/html").send().await.unwrap();
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe-inline"), "{path}: {policy}");
        assert_eq!(answer.headers()["x-frame-options"], "DENY", "{path}");
        assert!(
            answer
                .headers()
                .get("access-control-allow-origin")
                .is_none()
        );
    }
    held.still_waits().await;
}

#[tokio::test]
async fn a_link_opens_one_session_and_a_look_ahead_none() {
    let held = Held::start(json!({})).await;
    let ctl = &held.scenario.ctl;
    let http = client::http();
    let once = link(ctl).await;
    // Mail programs, link scanners and browsers look at addresses before anybody opens them.
    let head = http.head(&once).send().await.unwrap();
    assert!(head.headers().get("set-cookie").is_none(), "{head:?}");
    let ahead = http.get(&once).header("sec-purpose", "prefetch");
    let ahead = ahead.send().await.unwrap();
    assert!(ahead.headers().get("set-cookie").is_none(), "{ahead:?}");
    WebSession::open_link(&once).await;
    let again = http.get(&once).send().await.unwrap();
    assert_eq!(again.status(), 403, "{again:?}");
    assert!(again.headers().get("set-cookie").is_none());
    let base = held.scenario.daemon.base_url();
    for code in ["", "x", &"A".repeat(43)] {
        let guess = format!("{base}/ui/open?code={code}");
        assert_eq!(status(http.get(guess)).await, 403, "{code}");
    }
    held.still_waits().await;
}

#[tokio::test]
async fn a_guessed_id_leads_nowhere() {
    let held = Held::start(json!({})).await;
    let session = WebSession::open(&held.scenario.ctl).await;
    let id = &held.item.id;
    let mut near = id.clone().into_bytes();
    near[11] = if near[11] == b'a' { b'b' } else { b'a' };
    let near = String::from_utf8(near).unwrap();
    let guesses = [
        "aaaaaaaaaaaa",
        &near,
        "%2e%2e",
        "0",
        "*",
        &id[..3],
        &format!("{id}a"),
    ];
    for guess in guesses {
        for action in ["approve", "deny"] {
            let answer = session
                .post(&format!("/approvals/{guess}/{action}"), &[])
                .await;
            let status = answer.status();
            assert!(status == 404 || status == 400, "{guess}: {answer:?}");
        }
        assert!(held.queue.approve(guess).await.is_err(), "{guess}");
    }
    held.still_waits().await;
}

#[tokio::test]
async fn a_session_ends_when_it_is_signed_out() {
    let held = Held::start(json!({})).await;
    let session = WebSession::open(&held.scenario.ctl).await;
    let signed_out = session.post("/ui/sign-out", &[]).await;
    assert_eq!(signed_out.status(), 200);
    let path = format!("/approvals/{}/approve", held.item.id);
    assert_eq!(session.post(&path, &[]).await.status(), 403);
    held.still_waits().await;
}

#[tokio::test]
async fn the_agent_that_asks_cannot_answer_over_mcp() {
    // What an agent may send to a server includes anything but a way to our own pages.
    let held = Held::start(json!({})).await;
    let base = held.scenario.daemon.base_url();
    let paths = [
        format!("{base}/mcp/hello/../../approvals/{}/approve", held.item.id),
        format!(
            "{base}/mcp/hello/%2e%2e/%2e%2e/approvals/{}/approve",
            held.item.id
        ),
        format!("{base}/mcp/approvals"),
    ];
    for path in paths {
        let client = McpClient::modern(&path);
        let message = client.message("tools/call", client.call_params("echo", json!({})));
        let answer = client.prepare(&message).send().await.unwrap();
        assert!(!answer.status().is_success(), "{path}: {answer:?}");
    }
    held.still_waits().await;
}
