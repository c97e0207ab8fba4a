//! A browser with a session of the product's pages, as far as HTTP goes.

use reqwest::{Method, RequestBuilder, Response};

use crate::client;
use crate::ctl::Ctl;

/// The session that a one-time link opens: its cookie, and the token that its pages carry.
#[derive(Debug, Clone)]
pub struct WebSession {
    http: reqwest::Client,
    base_url: String,
    pub cookie: String,
    pub csrf: String,
}

/// The address of a new one-time link, not opened yet.
pub async fn link(ctl: &Ctl) -> String {
    let shown = ctl.run(&["--json", "ui", "--no-browser"]).await.success();
    shown.json()["url"].as_str().unwrap().to_owned()
}

impl WebSession {
    /// Opens a new link.
    pub async fn open(ctl: &Ctl) -> Self {
        Self::open_link(&link(ctl).await).await
    }

    /// # Panics
    /// When `link` opens no session.
    pub async fn open_link(link: &str) -> Self {
        let http = client::http();
        let opened = http.get(link).send().await.unwrap();
        assert_eq!(opened.status().as_u16(), 303, "{opened:?}");
        let cookie = opened.headers()["set-cookie"].to_str().unwrap();
        let mut session = Self {
            http,
            base_url: url::Url::parse(link)
                .unwrap()
                .origin()
                .ascii_serialization(),
            cookie: cookie.split(';').next().unwrap().to_owned(),
            csrf: String::new(),
        };
        let home = opened.headers()["location"].to_str().unwrap();
        let page = session.get(home).await;
        session.csrf = csrf_of(&page).unwrap_or_else(|| panic!("no token in {page}"));
        session
    }

    /// A request with the session's cookie and nothing else.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base_url);
        self.http
            .request(method, url)
            .header("cookie", &self.cookie)
    }

    /// The page at `path`.
    ///
    /// # Panics
    /// Unless it is answered with 200.
    pub async fn get(&self, path: &str) -> String {
        let get = self.request(Method::GET, path);
        let answer = get.header("accept", "text/html").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.text().await.unwrap()
    }

    /// Sends a form of a page, its token included.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("csrf", &self.csrf)
            .extend_pairs(fields)
            .finish();
        let post = self.request(Method::POST, path);
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        // As browsers do, which the product may insist on.
        let post = post.header("origin", &self.base_url);
        let post = post.header("sec-fetch-site", "same-origin");
        post.body(body).send().await.unwrap()
    }
}

/// The token in the forms of `page`.
fn csrf_of(page: &str) -> Option<String> {
    let field = page.split("name=\"csrf\"").nth(1)?;
    let value = field.split("value=\"").nth(1)?;
    Some(value.split('"').next()?.to_owned())
}
