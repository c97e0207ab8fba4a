//! Answers by form and by JSON, and everything that must not be one.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::approval::{Action, CallerView, State as Standing, Ticket};
use crate::mcp::canonical;
use crate::types::{ApprovalId, Digest, Secret};

const ASKED: &str = r#"{"amount":1200,"to":"<b>\u202egnp</b>"}"#;

pub(super) fn action(tool: &str, arguments: &str) -> Action {
    Action {
        caller: CallerView {
            principal: "uid:1000 exe:/usr/bin/agent".to_owned(),
            text: "http(uid 1000)".to_owned(),
            pid: Some(412),
            uid: Some(1000),
            exe: Some("/usr/bin/agent".to_owned()),
            cwd: Some("/home/me/work".to_owned()),
            client: None,
            client_info: Some("Claude <i>Code</i> \u{200b}1".to_owned()),
        },
        server: "shop".parse().unwrap(),
        address: "https://mcp.example/".to_owned(),
        tool: tool.to_owned(),
        tool_digest: Some(Digest::of(b"tool")),
        tool_definition: Some(r#"{"name":"pay","title":"Send money"}"#.to_owned()),
        change: None,
        arguments: arguments.to_owned(),
        argument_digest: canonical::digest(arguments).unwrap(),
        policy_version: Digest::of(b"policy"),
        reason: "shop asks by default".to_owned(),
        editable: true,
        accepts_weak: false,
        keep_arguments: true,
    }
}

impl Site {
    pub(super) async fn ask(&self, tool: &str) -> Ticket {
        let patience = Duration::from_secs(900);
        let asked = self.approvals.submit(action(tool, ASKED), patience);
        asked.await.unwrap()
    }

    async fn state(&self, id: ApprovalId) -> Standing {
        self.approvals.get(id).await.unwrap().state
    }
}

impl Signed<'_> {
    /// As a form of a page.
    pub(super) async fn answer(&self, path: &str, fields: &str) -> Response<Body> {
        let body = format!("csrf={}&{fields}", self.csrf);
        self.post(path, &[("accept", "text/html")], &body).await
    }
}

async fn json(response: Response<Body>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

#[tokio::test]
async fn the_list_shows_what_would_be_sent_and_nothing_of_it_as_markup() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let empty = text(signed.get("/approvals").await).await;
    assert!(empty.contains("Nothing waits") && empty.contains("mcpbridgectl approvals watch"));
    let ticket = site.ask("pay<script>").await;
    let page = text(signed.get("/approvals").await).await;
    assert!(page.contains("<title>(1) Approvals"));
    for shown in [
        "pay&lt;script&gt;",
        "Send money",
        "1200",
        "/usr/bin/agent",
        "pid 412",
        "Claude &lt;i&gt;Code&lt;/i&gt;",
        ">U+200B<",
        ">U+202E</span>gnp&lt;/b&gt;",
        "shop asks by default",
        ticket.id().as_str(),
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert_eq!(page.matches("<script").count(), 1, "ours");
    assert!(!page.contains("<b>") && !page.contains("<i>"));
}

#[tokio::test]
async fn a_form_approves_and_the_second_answer_is_told_who_was_first() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let ticket = site.ask("pay").await;
    let path = format!("/approvals/{}/approve", ticket.id());
    let done = signed.answer(&path, "remember=once").await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    let execution = ticket.claim().await.unwrap();
    assert_eq!(execution.arguments(), ASKED);
    let late = signed.answer(&path, "remember=once").await;
    assert_eq!(late.status(), StatusCode::CONFLICT);
    let page = text(late).await;
    assert!(
        page.contains("was already approved by the web page (session"),
        "{page}"
    );
    let late = signed
        .post(&path, &[("x-csrf-token", &signed.csrf)], "")
        .await;
    assert_eq!(late.status(), StatusCode::CONFLICT);
    assert_eq!(late.headers()["content-type"], "application/problem+json");
    let detail = json(late).await["detail"].to_string();
    assert!(
        detail.contains("already approved by the web page"),
        "{detail}"
    );
}

#[tokio::test]
async fn json_denies_with_a_reason_for_the_model() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let ticket = site.ask("pay").await;
    let headers = [
        ("cookie", signed.cookie.as_str()),
        ("content-type", "application/json"),
        ("x-csrf-token", signed.csrf.as_str()),
    ];
    let path = format!("/approvals/{}/deny", ticket.id());
    let body = r#"{"reason": "not before Monday"}"#;
    let denied = site.send(Method::POST, &path, &headers, body).await;
    assert_eq!(denied.status(), StatusCode::OK);
    assert_eq!(json(denied).await["state"], "denied");
    let item = ticket.decided().await;
    let decision = item.decision.as_ref().unwrap();
    assert_eq!(decision.reason.as_deref(), Some("not before Monday"));
    let listed = site.get("/approvals", &headers[..1]).await;
    assert_eq!(json(listed).await["approvals"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn edited_arguments_are_what_runs_and_both_are_shown() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let ticket = site.ask("pay").await;
    let path = format!("/approvals/{}/approve", ticket.id());
    let bad = signed.answer(&path, "arguments=[1]").await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    assert_eq!(site.state(ticket.id()).await, Standing::Pending);
    let edited = signed
        .answer(&path, "arguments=%7B%22amount%22%3A5%7D")
        .await;
    assert_eq!(edited.status(), StatusCode::SEE_OTHER);
    assert_eq!(ticket.claim().await.unwrap().arguments(), r#"{"amount":5}"#);
    let page = text(signed.get(&format!("/approvals/{}", ticket.id())).await).await;
    assert!(page.contains("1200") && page.contains(">5<"), "{page}");
}

#[tokio::test]
async fn no_request_that_a_person_did_not_make_here_decides() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let other = site.sign_in().await;
    let ticket = site.ask("pay").await;
    let id = ticket.id();
    let approve = format!("/approvals/{id}/approve");
    let token = format!("csrf={}", signed.csrf);
    let foreign_token = format!("csrf={}", other.csrf);
    let html = ("accept", "text/html");
    // Without session, without token, with another session's token.
    let form = [("content-type", "application/x-www-form-urlencoded"), html];
    let stranger = site.send(Method::POST, &approve, &form, &token).await;
    assert_eq!(stranger.status(), StatusCode::FORBIDDEN);
    for (headers, body) in [
        (vec![html], ""),
        (vec![html], foreign_token.as_str()),
        (vec![html, ("origin", "http://evil.example")], &token),
        (vec![html, ("sec-fetch-site", "cross-site")], &token),
    ] {
        let refused = signed.post(&approve, &headers, body).await;
        assert!(refused.status().is_client_error(), "{headers:?} {body}");
    }
    // Looking, also at the address of the answer.
    for path in [
        approve.clone(),
        format!("/approvals/{id}/deny"),
        "/approvals/approve?id=x".to_owned(),
    ] {
        let looked = signed.get(&path).await;
        assert_ne!(looked.status(), StatusCode::OK, "{path}");
        assert_ne!(looked.status(), StatusCode::SEE_OTHER, "{path}");
    }
    assert_eq!(
        signed.get(&approve).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    let opened = signed.get(&format!("/approvals/{id}")).await;
    assert_eq!(opened.status(), StatusCode::OK);
    // A guess.
    let guess = signed.answer("/approvals/aaaaaaaaaaaa/approve", "").await;
    assert_eq!(guess.status(), StatusCode::NOT_FOUND);
    let guess = signed.answer("/approvals/..%2f/approve", "").await;
    assert_eq!(guess.status(), StatusCode::NOT_FOUND);
    assert_eq!(site.state(id).await, Standing::Pending);
}

#[tokio::test]
async fn several_are_answered_at_once_and_each_says_what_became_of_it() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let (one, two) = (site.ask("one").await, site.ask("two").await);
    let path = format!("/approvals/{}/deny", one.id());
    signed.answer(&path, "").await;
    let ids = format!("id={}&id={}&remember=once", one.id(), two.id());
    let page = text(signed.answer("/approvals/approve", &ids).await).await;
    assert!(page.contains("already denied by the web page"), "{page}");
    assert_eq!(site.state(one.id()).await, Standing::Denied);
    assert_eq!(site.state(two.id()).await, Standing::Approved);
    let none = signed.answer("/approvals/approve", "remember=once").await;
    assert_eq!(none.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn approving_needs_the_pin_when_there_is_one_and_denying_does_not() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let by = crate::types::Decider::Daemon;
    let pin = Secret::new("2468");
    site.approvals.set_pin(&pin, None, by).await.unwrap();
    let ticket = site.ask("pay").await;
    let page = text(signed.get("/approvals").await).await;
    assert!(page.contains("type=\"password\" name=\"pin\""));
    let path = format!("/approvals/{}/approve", ticket.id());
    for (fields, said) in [
        ("remember=once", "needs the approval PIN"),
        ("pin=1", "wrong"),
    ] {
        let refused = signed.answer(&path, fields).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(text(refused).await.contains(said));
    }
    assert_eq!(site.state(ticket.id()).await, Standing::Pending);
    let approved = signed.answer(&path, "remember=once&pin=2468").await;
    assert_eq!(approved.status(), StatusCode::SEE_OTHER);
    let other = site.ask("other").await;
    let path = format!("/approvals/{}/deny", other.id());
    assert_eq!(
        signed.answer(&path, "").await.status(),
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn the_feed_tells_of_changes_and_ends_with_the_session() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let no_session = site.get("/approvals/events", &[]).await;
    assert_eq!(no_session.status(), StatusCode::FORBIDDEN);
    let mut feed = signed.get("/approvals/events").await.into_body();
    let mut next = async || {
        let frame = feed.frame().await?.unwrap().into_data().unwrap();
        Some(String::from_utf8(frame.to_vec()).unwrap())
    };
    assert!(next().await.unwrap().contains("data: 0"));
    let ticket = site.ask("pay").await;
    let told = next().await.unwrap();
    assert!(
        told.contains("event: changed") && told.contains("data: 1"),
        "{told}"
    );
    signed.answer("/ui/sign-out", "").await;
    drop(ticket);
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn the_history_finds_what_was_answered() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    for tool in ["pay", "refund"] {
        let ticket = site.ask(tool).await;
        let path = format!("/approvals/{}/deny", ticket.id());
        signed.answer(&path, "reason=no%20%3Cb%3E").await;
    }
    let page = text(signed.get("/approvals/history?state=denied&tool=ref").await).await;
    assert!(
        page.contains("refund") && !page.contains("<bdi>pay"),
        "{page}"
    );
    assert!(page.contains("no &lt;b&gt;"));
    let none = text(signed.get("/approvals/history?from=2031-01-01").await).await;
    assert!(none.contains("Nothing was asked that fits"));
    let bad = signed.get("/approvals/history?state=%3Cscript%3E").await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    assert!(!text(bad).await.contains("<script>"));
}

#[tokio::test]
async fn an_approval_that_does_not_say_all_of_what_it_means_is_refused() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let ticket = site.ask("pay").await;
    let path = format!("/approvals/{}/approve", ticket.id());
    for unclear in [
        "remember=once&arguments=",
        "for_seconds=3600",
        "remember=for",
    ] {
        let refused = signed.answer(&path, unclear).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{unclear}");
    }
    assert_eq!(ticket.item().state, Standing::Pending);
}

#[tokio::test]
async fn enter_presses_no_button_for_several_calls() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let _tickets = [site.ask("pay").await, site.ask("refund").await];
    let page = text(signed.get("/approvals").await).await;
    let form = page.split("id=\"batch\"").nth(1).unwrap();
    let first = form.split("<button").nth(1).unwrap();
    assert!(
        first.starts_with(" type=\"submit\" disabled hidden>"),
        "{first}"
    );
}
