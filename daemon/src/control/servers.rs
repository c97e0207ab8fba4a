//! Adding, showing and removing servers.

use std::pin::Pin;

use futures_util::Stream;
use http::{HeaderName, HeaderValue};
use mcpbridge_proto::v1::servers_server::Servers;
use mcpbridge_proto::v1::{self, watch_servers_response::Change};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use url::Url;

use super::{Control, decider, pin, server_name, status};
use crate::config::{AuthMode, OAuthConfig, PolicyConfig, ServerConfig};
use crate::credentials::{Farewell, ServerSecrets};
use crate::policy::is_loosening;
use crate::registry::{Added, PolicyEdit, Server};
use crate::types::{Decider, Effect, Secret, ServerName};

/// Names a fixed header must not have: they belong to the connection or to the protocol.
const RESERVED_HEADERS: [&str; 18] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
    "accept",
    "cookie",
    "origin",
    "mcp-session-id",
    // Judged before they are forwarded; a fixed one would replace what was judged.
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
    "last-event-id",
];

/// A server somebody adds.
struct Wanted {
    name: ServerName,
    config: ServerConfig,
    /// What is not said of a server that is there already stays as it is.
    policy_is_said: bool,
    secrets: ServerSecrets,
}

#[tonic::async_trait]
impl Servers for Control {
    async fn add_server(
        &self,
        request: Request<v1::AddServerRequest>,
    ) -> Result<Response<v1::AddServerResponse>, Status> {
        let by = decider(&request).await;
        let mut request = request.into_inner();
        let name = server_name(&request.name)?;
        let pin = pin(std::mem::take(&mut request.pin));
        let policy_is_said = !request.policy.is_empty();
        let (config, secrets) = parse(request)?;
        let wanted = Wanted {
            name: name.clone(),
            config,
            policy_is_said,
            secrets,
        };
        let added = self
            .finish(move |this| async move { this.add(wanted, pin, &by).await })
            .await?;
        let server = self.registry.get(name.as_str()).map_err(status::of)?;
        Ok(Response::new(v1::AddServerResponse {
            server: Some(self.view(&server)),
            already_present: added == Added::AlreadyPresent,
        }))
    }

    async fn list_servers(
        &self,
        _request: Request<v1::ListServersRequest>,
    ) -> Result<Response<v1::ListServersResponse>, Status> {
        let snapshot = self.registry.snapshot();
        let servers = snapshot.iter().map(|server| self.view(server)).collect();
        Ok(Response::new(v1::ListServersResponse { servers }))
    }

    async fn get_server(
        &self,
        request: Request<v1::GetServerRequest>,
    ) -> Result<Response<v1::GetServerResponse>, Status> {
        let server = self
            .registry
            .get(&request.into_inner().name)
            .map_err(status::of)?;
        Ok(Response::new(v1::GetServerResponse {
            server: Some(self.view(&server)),
        }))
    }

    async fn remove_server(
        &self,
        request: Request<v1::RemoveServerRequest>,
    ) -> Result<Response<v1::RemoveServerResponse>, Status> {
        let by = decider(&request).await;
        let request = request.into_inner();
        let pin = pin(request.pin);
        let server = self.registry.get(&request.name).map_err(status::of)?;
        let name = server.name.clone();
        let farewell = self
            .finish(move |this| async move { this.remove(&name, pin, &by).await })
            .await?;
        let warnings = self.revoke(farewell).await?;
        Ok(Response::new(v1::RemoveServerResponse { warnings }))
    }

    type WatchServersStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchServersResponse, Status>> + Send>>;

    async fn watch_servers(
        &self,
        _request: Request<v1::WatchServersRequest>,
    ) -> Result<Response<Self::WatchServersStream>, Status> {
        let (sender, receiver) = mpsc::channel(16);
        self.lifecycle
            .spawn("watch-servers", self.clone().feed_watcher(sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

impl Control {
    /// Whether the server is new, and its rules loosen anything, is judged with nobody changing it
    /// meanwhile.
    async fn add(
        &self,
        wanted: Wanted,
        pin: Option<Secret>,
        by: &Decider,
    ) -> Result<Added, Status> {
        let Wanted {
            name,
            mut config,
            policy_is_said,
            secrets,
        } = wanted;
        let name = &name;
        self.registry.reload().await.map_err(status::of)?;
        match self.registry.get(name.as_str()) {
            Ok(present) => keep_unsaid(&mut config, &present.config, policy_is_said),
            Err(_) if self.is_loosened_by(&config) => {
                let authorized = self.approvals.authorize(pin.as_ref(), by).await;
                authorized.map_err(status::of)?;
            }
            Err(_) => {}
        }
        let added = self
            .registry
            .add(name, config.clone())
            .await
            .map_err(status::of)?;
        // The secrets follow the entry, not the reverse: an entry without secrets shows as logged
        // out, while secrets without an entry would stay behind unseen.
        if added == Added::New || !secrets.is_empty() {
            let stored = self.credentials.store_secrets(name, &config, secrets);
            if let Err(error) = stored.await {
                if added == Added::New {
                    let _ = self.registry.remove(name).await;
                }
                return Err(status::of(error));
            }
        }
        if added == Added::New {
            let edit = PolicyEdit {
                name: name.clone(),
                before: None,
                after: self.registry.get(name.as_str()).ok(),
            };
            self.admin.record_policy(&edit, by).await;
        }
        Ok(added)
    }

    /// Whether a new server is less strict than one of the defaults, or than one that is there already
    /// under another name: the path alone does not make it another server.
    fn is_loosened_by(&self, config: &ServerConfig) -> bool {
        let snapshot = self.registry.snapshot();
        let same = snapshot
            .iter()
            .filter(|present| present.config.url.origin() == config.url.origin());
        is_loosening(&ServerConfig::new(config.url.clone()), config)
            || same
                .into_iter()
                .any(|present| is_loosening(&present.config, config))
    }

    /// Whether a server that is removed and added again would be treated less strictly.
    fn protects(&self, server: &Server) -> bool {
        let again = ServerConfig::new(server.config.url.clone());
        let known = self.catalog.server(&server.name);
        is_loosening(&server.config, &again)
            || known.is_some_and(|known| known.tools().next().is_some())
    }

    /// Secrets first: when that fails, the entry is still there to try again with.
    async fn remove(
        &self,
        name: &ServerName,
        pin: Option<Secret>,
        by: &Decider,
    ) -> Result<Farewell, Status> {
        let before = self.registry.get(name.as_str()).ok();
        if before.as_ref().is_some_and(|server| self.protects(server)) {
            let authorized = self.approvals.authorize(pin.as_ref(), by).await;
            authorized.map_err(status::of)?;
        }
        let farewell = self.credentials.forget(name).await.map_err(status::of)?;
        if let Err(error) = self.registry.remove(name).await {
            farewell.revoke().await;
            return Err(status::of(error));
        }
        let edit = PolicyEdit {
            name: name.clone(),
            before,
            after: None,
        };
        self.admin.record_policy(&edit, by).await;
        Ok(farewell)
    }

    /// Sends all servers, then differences, until the watcher or the daemon goes.
    async fn feed_watcher(self, to: mpsc::Sender<Result<v1::WatchServersResponse, Status>>) {
        let mut registry = self.registry.subscribe();
        let mut credentials = self.credentials.changes();
        let mut catalog = self.catalog.subscribe();
        let mut sent: Vec<v1::Server> = Vec::new();
        let mut synced = false;
        loop {
            // Marks all as seen before reading, so that a change in between is not lost.
            credentials.borrow_and_update();
            catalog.borrow_and_update();
            let snapshot = registry.borrow_and_update().clone();
            let now: Vec<v1::Server> = snapshot.iter().map(|server| self.view(server)).collect();
            let mut changes: Vec<Change> = Vec::new();
            changes.extend(
                sent.iter()
                    .filter(|old| now.iter().all(|new| new.name != old.name))
                    .map(|old| Change::Removed(old.name.clone())),
            );
            changes.extend(
                now.iter()
                    .filter(|new| !sent.contains(new))
                    .cloned()
                    .map(Change::Upserted),
            );
            if !synced {
                changes.push(Change::Synced(v1::Synced {}));
                synced = true;
            }
            sent = now;
            for change in changes {
                let message = v1::WatchServersResponse {
                    change: Some(change),
                };
                if to.send(Ok(message)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = self.lifecycle.stopping() => return,
                () = to.closed() => return,
                changed = registry.changed() => if changed.is_err() { return },
                changed = credentials.changed() => if changed.is_err() { return },
                changed = catalog.changed() => if changed.is_err() { return },
            }
        }
    }
}

fn parse(request: v1::AddServerRequest) -> Result<(ServerConfig, ServerSecrets), Status> {
    let auth = match v1::AuthMode::try_from(request.auth) {
        Ok(v1::AuthMode::Static) => AuthMode::Static,
        Ok(v1::AuthMode::None) => AuthMode::None,
        _ => AuthMode::Oauth,
    };
    let default = match request.policy.as_str() {
        "" => Effect::default(),
        text => text
            .parse()
            .map_err(|error| status::invalid("policy", &error))?,
    };
    let oauth = request.oauth.unwrap_or_default();
    let mut headers = Vec::with_capacity(request.headers.len());
    for header in request.headers {
        headers.push(parse_header(header)?);
    }
    if (auth == AuthMode::Static) == headers.is_empty() {
        return Err(status::refuse(
            "headers: fixed headers and the auth mode do not go together",
        ));
    }
    let secrets = ServerSecrets {
        headers,
        client_secret: text(oauth.client_secret).map(Secret::new),
    };
    if secrets.client_secret.is_some() && oauth.client_id.is_empty() {
        return Err(status::refuse(
            "client_secret: it needs the --client-id it belongs to",
        ));
    }
    let config = ServerConfig {
        url: Url::parse(&request.url).map_err(|error| status::invalid("url", &error))?,
        auth,
        oauth: OAuthConfig {
            issuer: text(oauth.issuer),
            client_id: text(oauth.client_id),
            client_metadata_url: text(oauth.client_metadata_url),
            scopes: oauth.scopes,
            resource: match text(oauth.resource) {
                Some(resource) => resource.into(),
                None => OAuthConfig::default().resource,
            },
            redirect_uri: text(oauth.redirect_uri),
            ..OAuthConfig::default()
        },
        trusted: false,
        policy: PolicyConfig {
            default,
            ..PolicyConfig::default()
        },
        allow_private_network: request.allow_private_network,
    };
    Ok((config, secrets))
}

/// The same `add` once more is no change, whatever later commands did to policy and scopes: what it
/// does not say stays as it is.
fn keep_unsaid(wanted: &mut ServerConfig, present: &ServerConfig, policy_is_said: bool) {
    let said = wanted.policy.default;
    wanted.policy.clone_from(&present.policy);
    if policy_is_said {
        wanted.policy.default = said;
    }
    wanted.trusted = present.trusted;
    if wanted.oauth.scopes.is_empty() {
        wanted.oauth.scopes.clone_from(&present.oauth.scopes);
    }
    wanted.oauth.assume_s256 = present.oauth.assume_s256;
}

fn parse_header(header: v1::Header) -> Result<(HeaderName, Secret), Status> {
    let name = HeaderName::try_from(header.name.as_str())
        .map_err(|error| status::invalid("header name", &error))?;
    if RESERVED_HEADERS.contains(&name.as_str()) {
        return Err(status::refuse(&format!(
            "header {name}: it is set by the proxy itself"
        )));
    }
    // The error of a bad value does not repeat it.
    HeaderValue::from_str(&header.value)
        .map_err(|error| status::invalid(&format!("value of header {name}"), &error))?;
    Ok((name, Secret::new(header.value)))
}

fn text(field: String) -> Option<String> {
    (!field.is_empty()).then_some(field)
}
