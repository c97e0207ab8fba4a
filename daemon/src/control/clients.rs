//! Tokens of clients.

use mcpbridge_proto::v1::clients_server::Clients;
use mcpbridge_proto::v1::{
    AddClientRequest, AddClientResponse, ClientInfo, ListClientsRequest, ListClientsResponse,
    RevokeClientRequest, RevokeClientResponse,
};
use tonic::{Request, Response, Status};

use super::{Control, decider, pin, server_name, status};
use crate::clients::Issued;
use crate::types::{ClientName, Pattern, Scope};

/// Keeps a sum of seconds inside of what a timestamp can be.
const MAX_LIFETIME: u64 = 100 * 366 * 24 * 3600;

#[tonic::async_trait]
impl Clients for Control {
    async fn add_client(
        &self,
        request: Request<AddClientRequest>,
    ) -> Result<Response<AddClientResponse>, Status> {
        let by = decider(&request).await;
        let request = request.into_inner();
        let name = client_name(&request.name)?;
        let scope = self.scope(&request)?;
        let pin = pin(request.pin);
        let authorized = self.approvals.authorize(pin.as_ref(), &by).await;
        authorized.map_err(status::of)?;
        let lifetime = request.lifetime_seconds.min(MAX_LIFETIME);
        let (token, issued) = self
            .finish(async move |this| {
                let lifetime = (lifetime > 0).then(|| lifetime.cast_signed());
                let added = this.clients.add(name, scope, lifetime, &by).await;
                added.map_err(status::of)
            })
            .await?;
        Ok(Response::new(AddClientResponse {
            client: Some(info(&issued)),
            token: token.expose().to_owned(),
        }))
    }

    async fn list_clients(
        &self,
        _request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        let clients = self.clients.list();
        Ok(Response::new(ListClientsResponse {
            clients: clients.iter().map(|issued| info(issued)).collect(),
            required: self.clients.is_required(),
        }))
    }

    async fn revoke_client(
        &self,
        request: Request<RevokeClientRequest>,
    ) -> Result<Response<RevokeClientResponse>, Status> {
        let by = decider(&request).await;
        let name = client_name(&request.into_inner().name)?;
        self.finish(async move |this| {
            let revoked = this.clients.revoke(&name, &by).await;
            revoked.map_err(status::of)
        })
        .await?;
        Ok(Response::new(RevokeClientResponse {}))
    }
}

impl Control {
    /// Servers must be there, because a name that was mistyped would lock the client out.
    fn scope(&self, request: &AddClientRequest) -> Result<Scope, Status> {
        let mut scope = Scope::default();
        for server in &request.servers {
            self.registry.get(server).map_err(status::of)?;
            scope.servers.push(server_name(server)?);
        }
        for tool in &request.tools {
            let pattern = Pattern::parse(tool).map_err(|error| status::invalid("tool", &error))?;
            scope.tools.push(pattern);
        }
        Ok(scope)
    }
}

fn client_name(text: &str) -> Result<ClientName, Status> {
    text.parse()
        .map_err(|error| status::invalid("name", &error))
}

fn info(issued: &Issued) -> ClientInfo {
    let scope = issued.client.scope();
    ClientInfo {
        name: issued.client.name().to_string(),
        servers: scope.servers.iter().map(ToString::to_string).collect(),
        tools: scope
            .tools
            .iter()
            .map(|tool| tool.as_str().to_owned())
            .collect(),
        created_at: issued.created_at,
        expires_at: issued.expires_at.unwrap_or_default(),
        last_used_at: issued.used_at().unwrap_or_default(),
    }
}
