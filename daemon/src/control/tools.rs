//! Listing and calling tools from the command line: the same way a client's call goes.

use mcpbridge_proto::v1::tools_server::Tools;
use mcpbridge_proto::v1::{
    ApproveChangesRequest, ApproveChangesResponse, CallToolRequest, DefinitionChange,
    DefinitionRef, ListChangesRequest, ListChangesResponse, ListToolsRequest, ListToolsResponse,
    Tool,
};
use tonic::{Request, Response, Status};

use super::{Control, call, caller, decider, pin, status};
use crate::catalog::{Change, Subject};
use crate::pipeline::McpSession;
use crate::policy::Call;

#[tonic::async_trait]
impl Tools for Control {
    async fn list_tools(
        &self,
        request: Request<ListToolsRequest>,
    ) -> Result<Response<ListToolsResponse>, Status> {
        let caller = caller(&request);
        let server = self
            .registry
            .get(&request.into_inner().server)
            .map_err(status::of)?;
        let who = caller.clone();
        let session = McpSession::open(self.pipeline.clone(), server.name.clone(), caller)
            .await
            .map_err(status::of)?;
        let listed = session.list_tools().await;
        session.close().await;
        let tools = listed.map_err(status::of)?.into_iter().map(|tool| {
            let known = self.catalog.tool(&server.name, &tool.name);
            let call = Call {
                tool: &tool.name,
                arguments: None,
                annotations: known.as_ref().and_then(|known| known.annotations.as_ref()),
                caller: &who,
            };
            Tool {
                effect: server.policy.evaluate(&call).effect.to_string(),
                standing: known.map_or("", |known| known.standing.as_str()).to_owned(),
                name: tool.name,
                title: tool.title.unwrap_or_default(),
                description: tool.description.unwrap_or_default(),
                definition_json: tool.definition.get().to_owned(),
            }
        });
        Ok(Response::new(ListToolsResponse {
            tools: tools.collect(),
        }))
    }

    type CallToolStream = call::Events;

    async fn call_tool(
        &self,
        request: Request<CallToolRequest>,
    ) -> Result<Response<Self::CallToolStream>, Status> {
        let caller = caller(&request);
        let events = self.begin_call(caller, request.into_inner()).await?;
        Ok(Response::new(events))
    }

    async fn list_changes(
        &self,
        request: Request<ListChangesRequest>,
    ) -> Result<Response<ListChangesResponse>, Status> {
        let server = self
            .registry
            .get(&request.into_inner().server)
            .map_err(status::of)?;
        let changes = self.catalog.changes(&server.name);
        Ok(Response::new(ListChangesResponse {
            changes: changes.iter().map(view).collect(),
        }))
    }

    async fn approve_changes(
        &self,
        request: Request<ApproveChangesRequest>,
    ) -> Result<Response<ApproveChangesResponse>, Status> {
        let by = decider(&request).await;
        let request = request.into_inner();
        let server = self.registry.get(&request.server).map_err(status::of)?;
        let pin = pin(request.pin);
        let authorized = self.approvals.authorize(pin.as_ref(), &by).await;
        authorized.map_err(status::of)?;
        let mut what = Vec::with_capacity(request.definitions.len());
        for DefinitionRef { tool, digest } in request.definitions {
            let subject = match tool.as_str() {
                "" => Subject::Instructions,
                name => Subject::Tool(name.into()),
            };
            let digest = digest
                .parse()
                .map_err(|error| status::invalid("digest", &error))?;
            what.push((subject, digest));
        }
        self.catalog
            .approve(&server.name, what, &by)
            .await
            .map_err(status::of)?;
        Ok(Response::new(ApproveChangesResponse {}))
    }
}

fn view(change: &Change) -> DefinitionChange {
    let tool = match &change.subject {
        Subject::Instructions => String::new(),
        Subject::Tool(name) => name.to_string(),
    };
    DefinitionChange {
        definition: Some(DefinitionRef {
            tool,
            digest: change.digest.to_string(),
        }),
        standing: change.kind.as_str().to_owned(),
        severity: change
            .kind
            .severity()
            .map_or("", |severity| severity.as_str())
            .to_owned(),
        problem: change.kind.problem().unwrap_or_default().to_owned(),
        approved_digest: change
            .pinned
            .map(|digest| digest.to_string())
            .unwrap_or_default(),
        since: change.since.map_or(0, jiff::Timestamp::as_second),
        diff: change.diff_text(),
    }
}
