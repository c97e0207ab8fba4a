//! The HTTP plumbing the fakes share: one buffered request in, one answer out, on a loopback port.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use url::form_urlencoded;

/// Generous: the fakes are not what is under test.
const MAX_REQUEST: usize = 128 << 20;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    async fn read(request: axum::extract::Request) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            body: to_bytes(body, MAX_REQUEST).await.unwrap_or_default(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Parameters of a GET's query or a POST's form.
    pub fn params(&self) -> Vec<(String, String)> {
        let source = if self.method == Method::GET {
            self.query.as_bytes()
        } else {
            &self.body
        };
        form_urlencoded::parse(source).into_owned().collect()
    }
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(status: u16, content_type: &'static str, body: &str) -> Self {
        let mut answer = Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
        };
        answer.set_content_type(content_type);
        answer
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    pub fn set_content_type(&mut self, content_type: &'static str) {
        let value = HeaderValue::from_static(content_type);
        self.headers.insert(header::CONTENT_TYPE, value);
    }

    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .insert(name, HeaderValue::from_str(value).unwrap());
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status, self.headers, Body::from(self.body)).into_response()
    }
}

/// A listening fake; stops accepting when dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    accepting: AbortHandle,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub(crate) async fn bind(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).await.unwrap()
}

/// Serves `handler` for every method and path.
pub(crate) fn serve<S, F>(
    listener: TcpListener,
    state: Arc<S>,
    handler: impl Fn(Arc<S>, Request) -> F + Clone + Send + Sync + 'static,
) -> Listening
where
    S: Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let service = move |request: axum::extract::Request| {
        let (state, handler) = (state.clone(), handler.clone());
        async move { handler(state, Request::read(request).await).await }
    };
    let router = Router::new().fallback(service);
    let task = tokio::spawn(async move { axum::serve(listener, router).await });
    Listening {
        accepting: task.abort_handle(),
    }
}
