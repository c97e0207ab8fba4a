//! A daemon's HTTP side for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::approval::Approvals;
use crate::audit::Audit;
use crate::catalog::Catalog;
use crate::clients::Clients;
use crate::clock::{SharedClock, SystemClock};
use crate::config::{AuthMode, Config, ServerConfig};
use crate::credentials::Credentials;
use crate::lifecycle::Lifecycle;
use crate::paths::ConfigDir;
use crate::pipeline::{Parts, Pipeline};
use crate::registry::{Registry, RuleKey};
use crate::store::Store;
use crate::types::Effect;
use crate::vault::{KeyOptions, KeySource, Vault};

/// A daemon's HTTP side in front of one upstream, under the name `up`.
pub(super) struct Bridge {
    pub(super) base: String,
    pub(super) lifecycle: Lifecycle,
    pub(super) clients: Clients,
    pub(super) catalog: Catalog,
    pub(super) approvals: Approvals,
    pub(super) registry: Registry,
    pub(super) store: Store,
    dir: ConfigDir,
    pub(super) client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
    _dir: tempfile::TempDir,
}

/// Serves `router` on a port of its own and answers with its address.
pub(super) async fn serve(router: Router, lifecycle: &Lifecycle) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    lifecycle.spawn(
        "test server",
        async move { axum::serve(listener, router).await },
    );
    format!("http://{address}")
}

impl Bridge {
    pub(super) async fn before(upstream: Router) -> Self {
        Self::configured(upstream, |_, _| {}).await
    }

    pub(super) async fn configured(
        upstream: Router,
        change: impl FnOnce(&mut Config, &mut ServerConfig),
    ) -> Self {
        let lifecycle = Lifecycle::new();
        let upstream = serve(upstream, &lifecycle).await;
        Self::before_address(upstream, lifecycle, change).await
    }

    pub(super) async fn before_address(
        upstream: String,
        lifecycle: Lifecycle,
        change: impl FnOnce(&mut Config, &mut ServerConfig),
    ) -> Self {
        let mut server = ServerConfig::new(format!("{upstream}/base").parse().unwrap());
        server.auth = AuthMode::None;
        server.policy.default = Effect::Allow;
        server.policy.tools = BTreeMap::from([
            ("ask_*".parse().unwrap(), Effect::Ask),
            ("drop".parse().unwrap(), Effect::Deny),
        ]);
        let mut config = Config::default();
        change(&mut config, &mut server);
        config.servers.insert("up".parse().unwrap(), server.clone());

        let temporary = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(temporary.path());
        crate::config::write_default(&dir).unwrap();
        crate::config::upsert_server(&dir, &"up".parse().unwrap(), &server).unwrap();
        let registry = Registry::new(dir.clone(), &config);
        let options = KeyOptions {
            choice: Some(KeySource::KeyFile),
            ..KeyOptions::default()
        };
        let vault = Vault::open(&dir, &options).unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let store = Store::temporary();
        let audit = Audit::new(
            store.clone(),
            Arc::clone(&clock),
            lifecycle.clone(),
            config.audit.clone(),
        );
        let credentials = Credentials::new(
            vault.clone(),
            audit.clone(),
            crate::net::Client::new(),
            Arc::clone(&clock),
            lifecycle.clone(),
            "http://localhost/callback".to_owned(),
        );
        let snapshot = registry.snapshot();
        let servers = snapshot.iter().map(|server| (&server.name, &server.config));
        credentials.sync(servers).await;
        let required = config.require_client_token;
        let service = || (store.clone(), Arc::clone(&clock), lifecycle.clone());
        let (s, c, l) = service();
        let clients = Clients::open(s, c, l, required).await.unwrap();
        let (s, c, l) = service();
        let catalog = Catalog::open(s, c, l).await.unwrap();
        let (s, c, l) = service();
        let approvals = Approvals::open(s, c, l).await.unwrap();

        let parts = Parts {
            registry: registry.clone(),
            credentials,
            clients: clients.clone(),
            catalog: catalog.clone(),
            approvals: approvals.clone(),
            audit,
            vault,
            clock,
            lifecycle: lifecycle.clone(),
            base_url: "http://localhost:3000".to_owned(),
        };
        let pipeline = Pipeline::new(&config, parts);
        let base = serve(crate::proxy::router(pipeline), &lifecycle).await;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            base,
            lifecycle,
            clients,
            catalog,
            approvals,
            registry,
            store,
            dir,
            client,
            _dir: temporary,
        }
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client
            .request(request.body(Full::new(body.into())).unwrap())
            .await
            .unwrap()
    }

    pub(super) async fn post(&self, body: &Value) -> (StatusCode, Value) {
        let json = [("content-type", "application/json")];
        let response = self
            .send(Method::POST, "/mcp/up", &json, body.to_string())
            .await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

impl Bridge {
    /// Sets a rule for `tool`, as a person does by command.
    pub(super) async fn rule(&self, tool: &str, effect: Effect) {
        let rule = json!({ "tools": tool, "effect": effect });
        let key = RuleKey::Rule(serde_json::from_value(rule).unwrap());
        let mut change = self.registry.propose(&"up".parse().unwrap()).await.unwrap();
        change.set(key, effect);
        self.registry.apply(change).await.unwrap();
    }

    /// Lets the name stand for `upstream`, as a person does in `config.json`.
    pub(super) async fn move_to(&self, upstream: Router) {
        let name = "up".parse().unwrap();
        let base = serve(upstream, &self.lifecycle).await;
        let mut server = self.registry.get("up").unwrap().config.clone();
        server.url = format!("{base}/base").parse().unwrap();
        crate::config::upsert_server(&self.dir, &name, &server).unwrap();
        self.registry.reload().await.unwrap();
    }
}
