//! The pages as a browser and as an attacker asks for them, without sockets between.

mod approvals;
mod pages;
mod policies;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::clock::SystemClock;
use crate::config::{Config, ServerConfig};
use crate::paths::ConfigDir;
use crate::store::Store;
use crate::vault::{KeyOptions, KeySource, Vault};

struct Site {
    router: Router,
    approvals: Approvals,
    catalog: Catalog,
    audit: Audit,
    registry: Registry,
    sessions: Sessions,
    _dir: tempfile::TempDir,
}

/// A browser with a session.
struct Signed<'a> {
    site: &'a Site,
    cookie: String,
    csrf: String,
}

impl Site {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config_dir = ConfigDir::new(dir.path());
        let mut config = Config::default();
        let server = ServerConfig::new("https://mcp.example".parse().unwrap());
        config.servers.insert("shop".parse().unwrap(), server);
        let options = KeyOptions {
            choice: Some(KeySource::KeyFile),
            ..KeyOptions::default()
        };
        let clock = std::sync::Arc::new(SystemClock);
        let lifecycle = Lifecycle::new();
        let sessions = Sessions::new(clock.clone(), 3000);
        let credentials = Credentials::new(
            Vault::open(&config_dir, &options).unwrap(),
            crate::audit::Audit::temporary(),
            crate::net::Client::new(),
            clock.clone(),
            lifecycle.clone(),
            "http://localhost:3000/callback".to_owned(),
        );
        let store = Store::temporary();
        let approvals = Approvals::open(store.clone(), clock.clone(), lifecycle.clone());
        let approvals = approvals.await.unwrap();
        let catalog = Catalog::open(store.clone(), clock.clone(), lifecycle.clone());
        let catalog = catalog.await.unwrap();
        let audit = Audit::new(
            store,
            clock.clone(),
            lifecycle.clone(),
            crate::config::AuditConfig::default(),
        );
        let file = br#"{"version": "1.0", "servers": {"shop": {"url": "https://mcp.example"}}}"#;
        crate::paths::write_atomic(&config_dir.config_file(), file).unwrap();
        let registry = Registry::new(config_dir.clone(), &config);
        let admin = Admin::new(crate::admin::Parts {
            registry: registry.clone(),
            credentials: credentials.clone(),
            approvals: approvals.clone(),
            catalog: catalog.clone(),
            audit: audit.clone(),
            lifecycle: lifecycle.clone(),
        });
        let web = Web {
            admin,
            approvals: approvals.clone(),
            catalog: catalog.clone(),
            audit: audit.clone(),
            registry: registry.clone(),
            credentials,
            sessions: sessions.clone(),
            lifecycle,
            base_url: "http://localhost:3000".to_owned(),
        };
        Self {
            router: router(web),
            approvals,
            catalog,
            audit,
            registry,
            sessions,
            _dir: dir,
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", "localhost:3000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        self.send(Method::GET, path, headers, "").await
    }

    async fn sign_in(&self) -> Signed<'_> {
        let link = self.sessions.new_link().unwrap();
        let path = format!("/ui/open?code={}", link.code.expose());
        let opened = self.get(&path, &[("accept", "text/html")]).await;
        assert_eq!(opened.status(), StatusCode::SEE_OTHER);
        assert_eq!(opened.headers()["location"], page::HOME);
        assert_eq!(opened.headers()["cache-control"], "no-store");
        assert_eq!(opened.headers()["referrer-policy"], "no-referrer");
        let cookie = opened.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let headers = http::HeaderMap::from_iter([(http::header::COOKIE, cookie.parse().unwrap())]);
        let session = self.sessions.find(&headers).unwrap();
        Signed {
            site: self,
            csrf: session.csrf_token().to_owned(),
            cookie,
        }
    }
}

impl Signed<'_> {
    async fn get(&self, path: &str) -> Response<Body> {
        let headers = [("cookie", self.cookie.as_str()), ("accept", "text/html")];
        self.site.get(path, &headers).await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Body> {
        let mut all = vec![
            ("cookie", self.cookie.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        all.extend_from_slice(headers);
        self.site.send(Method::POST, path, &all, body).await
    }
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_page_without_a_session_says_how_to_get_one() {
    let site = Site::new().await;
    let page = site.get("/ui/servers", &[("accept", "text/html")]).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert!(text(page).await.contains("<code>mcpbridgectl ui</code>"));
    let json = site.get("/ui/servers", &[]).await;
    assert_eq!(json.status(), StatusCode::FORBIDDEN);
    assert_eq!(json.headers()["content-type"], "application/problem+json");
    assert!(text(json).await.contains("mcpbridgectl ui"));
}

#[tokio::test]
async fn a_link_opens_the_pages_once() {
    let site = Site::new().await;
    let link = site.sessions.new_link().unwrap();
    let path = format!("/ui/open?code={}", link.code.expose());
    let html = [("accept", "text/html")];
    // What only looks ahead does not use it up.
    let head = site.send(Method::HEAD, &path, &html, "").await;
    assert!(!head.headers().contains_key("set-cookie"));
    let prefetch = site.get(&path, &[("sec-purpose", "prefetch")]).await;
    assert!(!prefetch.headers().contains_key("set-cookie"));
    assert_eq!(site.get(&path, &html).await.status(), StatusCode::SEE_OTHER);
    let again = site.get(&path, &html).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    assert!(text(again).await.contains("mcpbridgectl ui"));
    let json = site.get("/ui/open?code=guess", &[]).await;
    assert_eq!(json.status(), StatusCode::FORBIDDEN);
    assert_eq!(json.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_new_session_ends_the_one_this_browser_had() {
    let site = Site::new().await;
    let first = site.sign_in().await;
    let link = site.sessions.new_link().unwrap();
    let path = format!("/ui/open?code={}", link.code.expose());
    first.get(&path).await;
    assert_eq!(
        first.get("/ui/servers").await.status(),
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_others_out() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let html = [("accept", "text/html")];
    for response in [
        signed.get("/ui/servers").await,
        site.get("/ui/servers", &html).await,
        site.get("/callback?x", &html).await,
        site.get("/nowhere", &html).await,
        site.get("/healthz", &[]).await,
        site.send(Method::POST, "/ui/sign-out", &html, "").await,
    ] {
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(headers.contains_key("permissions-policy"));
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
    }
}

#[tokio::test]
async fn assets_are_kept_for_good_and_change_their_name_instead() {
    let site = Site::new().await;
    let page = text(site.sign_in().await.get("/ui/servers").await).await;
    for kind in [".css", ".js", ".svg"] {
        let end = page.find(&format!("{kind}\"")).unwrap() + kind.len();
        let start = page[..end].rfind('"').unwrap() + 1;
        let asset = site.get(&page[start..end], &[]).await;
        assert_eq!(asset.status(), StatusCode::OK);
        let kept = asset.headers()["cache-control"].to_str().unwrap();
        assert!(kept.contains("immutable"), "{kept}");
    }
    let other = site.get("/ui/assets/app.000000000000.css", &[]).await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn pages_hold_nothing_that_their_policy_would_stop() {
    let site = Site::new().await;
    let page = text(site.sign_in().await.get("/ui/servers").await).await;
    assert!(page.contains("shop") && !page.contains("<style") && !page.contains(" style="));
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains(" onclick=") && !page.contains("javascript:"));
}

#[tokio::test]
async fn a_change_needs_the_session_its_token_and_a_browser_that_says_from_here() {
    let site = Site::new().await;
    let signed = site.sign_in().await;
    let token = format!("csrf={}", signed.csrf);
    let path = "/ui/sign-out";
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let stranger = site.send(Method::POST, path, &form, &token).await;
    assert_eq!(stranger.status(), StatusCode::FORBIDDEN);
    for (headers, body) in [
        (vec![], ""),
        (vec![], "csrf=guess"),
        (vec![("x-csrf-token", "guess")], token.as_str()),
        (vec![("origin", "http://localhost:4000")], &token),
        (vec![("origin", "null")], &token),
        (vec![("sec-fetch-site", "cross-site")], &token),
        (vec![("sec-fetch-site", "same-site")], &token),
    ] {
        let refused = signed.post(path, &headers, body).await;
        assert_eq!(
            refused.status(),
            StatusCode::FORBIDDEN,
            "{headers:?} {body}"
        );
        assert_eq!(signed.get("/ui/servers").await.status(), StatusCode::OK);
    }
    assert_eq!(
        signed.get(path).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    let ours = [
        ("origin", "http://localhost:3000"),
        ("sec-fetch-site", "same-origin"),
    ];
    let done = signed.post(path, &ours, &token).await;
    assert_eq!(done.status(), StatusCode::OK);
    assert!(
        done.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    assert_eq!(
        signed.get("/ui/servers").await.status(),
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_link_on_another_site_leads_to_the_page_by_one_of_ours() {
    let site = Site::new().await;
    let followed = [
        ("accept", "text/html"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    let page = site.get("/ui/servers?a=b%22", &followed).await;
    assert_eq!(page.status(), StatusCode::OK);
    let html = text(page).await;
    assert!(
        html.contains(r#"content="0; url=/ui/servers?a=b%22""#),
        "{html}"
    );
    let framed = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-dest", "iframe"),
    ];
    let refused = site.get("/ui/servers", &framed).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_root_is_health_for_programs_and_the_pages_for_browsers() {
    let site = Site::new().await;
    let health = site.get("/", &[("accept", "*/*")]).await;
    assert!(text(health).await.contains("mcp-oauth-bridge"));
    let browser = site.get("/", &[("accept", "text/html,*/*;q=0.8")]).await;
    assert_eq!(browser.status(), StatusCode::SEE_OTHER);
    assert_eq!(browser.headers()["location"], page::HOME);
}
