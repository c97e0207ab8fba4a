//! The other pages: tools and their changes, permissions, the audit log; and what holds for all.

use super::*;
use crate::audit::{Event, Kind};
use crate::catalog::{ListedTool, Page, Standing};
use crate::types::{Decider, Secret, ServerName};

const URL: &str = "https://mcp.example/";
const BEFORE: &str =
    r#"{"name":"pay","description":"Sends money","inputSchema":{"type":"object"}}"#;
const AFTER: &str =
    r#"{"name":"pay","description":"Sends <b>money</b>\u202e","inputSchema":{"type":"object"}}"#;

/// All that show what others wrote.
const PAGES: [&str; 9] = [
    "/approvals",
    "/approvals/history",
    "/approvals/grants",
    "/ui/servers",
    "/ui/tools",
    "/ui/tools/shop",
    "/ui/policies",
    "/ui/audit",
    "/ui/audit?kind=call&server=shop",
];

impl Site {
    async fn list(&self, tools: &[&str]) {
        let tools = tools.iter().map(|json| ListedTool::read(json).unwrap());
        let page = Page {
            tools: tools.collect(),
            is_last: true,
        };
        let shop: ServerName = "shop".parse().unwrap();
        self.catalog.observe(&shop, URL, page).await.unwrap();
    }

    fn standing(&self, tool: &str) -> Standing {
        let shop: ServerName = "shop".parse().unwrap();
        self.catalog.tool(&shop, tool).unwrap().standing.clone()
    }

    async fn set_pin(&self) {
        let pin = Secret::new("2468");
        let set = self.approvals.set_pin(&pin, None, Decider::Daemon);
        set.await.unwrap();
    }
}

/// The value of the first field `name` in `page`.
pub(super) fn field(page: &str, name: &str) -> String {
    let start = page.find(&format!("name=\"{name}\"")).unwrap();
    let value = page[start..].split("value=\"").nth(1).unwrap();
    value.split('"').next().unwrap().to_owned()
}

pub(super) fn encoded(fields: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).finish()
}

#[tokio::test]
async fn every_page_needs_a_session_and_teaches_a_command_while_it_is_empty() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    for path in PAGES {
        let stranger = site.get(path, &[("accept", "text/html")]).await;
        assert_eq!(stranger.status(), StatusCode::FORBIDDEN, "{path}");
        let page = signed.get(path).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        let html = text(page).await;
        assert!(html.contains("<code>mcpbridgectl "), "{path}: {html}");
    }
}

#[tokio::test]
async fn what_others_wrote_is_markup_on_no_page() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let hostile =
        r#"{"name":"<script>x\u001b[2J\u202e","title":"<b>t","description":"<img src=x>\u200b"}"#;
    site.list(&[hostile]).await;
    site.list(&[hostile, r#"{"name":"\"><script>new"}"#]).await;
    let event = Event::new(Kind::CallStarted)
        .server(&"shop".parse().unwrap())
        .tool("<script>\u{1b}[31m")
        .actor("<b>\u{202e}")
        .detail(serde_json::json!({ "<i>": "<script>alert(1)</script>" }));
    site.audit.record(event).await.unwrap();
    let ticket = site.ask("<script>\u{202e}").await;
    let path = format!("/approvals/{}/approve", ticket.id());
    signed.answer(&path, "remember=always_arguments").await;
    for path in PAGES {
        let html = text(signed.get(path).await).await;
        assert_eq!(html.matches("<script").count(), 1, "ours alone: {path}");
        for raw in [
            "<b>",
            "<i>",
            "<img",
            "\u{1b}",
            "\u{202e}",
            "\u{200b}",
            " onclick=",
        ] {
            assert!(!html.contains(raw), "{raw:?} on {path}: {html}");
        }
        assert!(
            !html.contains("<style") && !html.contains(" style="),
            "{path}"
        );
    }
    let tools = text(signed.get("/ui/tools/shop").await).await;
    assert!(
        tools.contains("&lt;script&gt;x<span class=\"hidden-character\""),
        "{tools}"
    );
}

#[tokio::test]
async fn a_changed_tool_is_shown_with_its_difference_and_approved_as_shown() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    site.list(&[BEFORE]).await;
    let page = text(signed.get("/ui/tools/shop").await).await;
    assert!(page.contains("as approved") && !page.contains("Approve this change"));
    site.list(&[AFTER]).await;
    let page = text(signed.get("/ui/tools/shop").await).await;
    for shown in [
        "<del>-   Sends money</del>",
        "Sends &lt;b&gt;money&lt;/b&gt;",
        "changed: cosmetic",
        "Approve this change",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let seen = field(&page, "definition");
    // It changes again before the person answers.
    site.list(&[&AFTER.replace("Sends", "Gives")]).await;
    let form = encoded(&[("definition", &seen)]);
    let stale = signed.answer("/ui/tools/shop/approve", &form).await;
    assert_eq!(stale.status(), StatusCode::CONFLICT);
    let page = text(stale).await;
    assert!(page.contains("or it changed again") && page.contains("Gives"));
    assert!(matches!(site.standing("pay"), Standing::Changed { .. }));
    let form = encoded(&[("definition", &field(&page, "definition"))]);
    let done = signed.answer("/ui/tools/shop/approve", &form).await;
    assert_eq!(done.headers()["location"], "/ui/tools/shop");
    assert_eq!(site.standing("pay"), Standing::Pinned);
    for bad in ["", "definition=x", "definition=00+pay"] {
        let refused = signed.answer("/ui/tools/shop/approve", bad).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
    let unknown = signed.get("/ui/tools/nobody").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn approving_a_change_needs_the_pin_when_there_is_one() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    site.list(&[BEFORE]).await;
    site.list(&[AFTER, r#"{"name":"new"}"#]).await;
    site.set_pin().await;
    let page = text(signed.get("/ui/tools/shop").await).await;
    assert!(page.contains("Approve all 2") && page.contains("name=\"pin\""));
    let seen = field(&page, "definition");
    for pin in ["", "1"] {
        let form = encoded(&[("definition", &seen), ("pin", pin)]);
        let refused = signed.answer("/ui/tools/shop/approve", &form).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(text(refused).await.contains("PIN"));
    }
    let form = encoded(&[("definition", &seen), ("pin", "2468")]);
    signed.answer("/ui/tools/shop/approve", &form).await;
    let held = site.catalog.changes(&"shop".parse().unwrap());
    assert_eq!(held.len(), 1, "the other one waits still");
}

#[tokio::test]
async fn a_permission_is_listed_and_taken_back() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let ticket = site.ask("pay").await;
    let path = format!("/approvals/{}/approve", ticket.id());
    signed.answer(&path, "remember=for&for_seconds=900").await;
    let page = text(signed.get("/approvals/grants").await).await;
    for shown in [
        "uid:1000 exe:/usr/bin/agent",
        "the web page (session",
        "Take back",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let path = format!("/approvals/grants/{}/revoke", ticket.id());
    let no_token = signed.post(&path, &[("accept", "text/html")], "").await;
    assert_eq!(no_token.status(), StatusCode::FORBIDDEN);
    assert_eq!(site.approvals.grants().await.unwrap().len(), 1);
    let done = signed.answer(&path, "").await;
    assert_eq!(done.headers()["location"], "/approvals/grants");
    assert!(site.approvals.grants().await.unwrap().is_empty());
    for gone in [path.as_str(), "/approvals/grants/..%2f/revoke"] {
        let again = signed.answer(gone, "").await;
        assert_eq!(again.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn the_audit_page_finds_records_and_tells_whether_the_log_is_whole() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    for number in 0..60 {
        let event = Event::new(Kind::CallStarted).tool(format!("tool-{number}"));
        site.audit.record(event.actor("agent")).await.unwrap();
    }
    let page = text(signed.get("/ui/audit?kind=call&actor=agent").await).await;
    assert!(page.contains("tool-59") && !page.contains("tool-9<"));
    let next = page
        .split("href=\"/ui/audit?kind=call&amp;")
        .nth(1)
        .unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    let page = text(signed.get(&format!("/ui/audit?kind=call&{next}")).await).await;
    assert!(page.contains("tool-9<") && !page.contains("tool-59"));
    let none = text(signed.get("/ui/audit?kind=token").await).await;
    assert!(none.contains("No record fits"));
    for bad in ["kind=%3Cb%3E", "since=x", "before=x"] {
        let refused = signed.get(&format!("/ui/audit?{bad}")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
    let whole = text(signed.answer("/ui/audit/verify", "").await).await;
    assert!(whole.contains("The log is whole"), "{whole}");
    assert_eq!(
        signed.get("/ui/audit/verify").await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}
