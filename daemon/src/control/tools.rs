//! Listing and calling tools from the command line: the same way a client's call goes.

use mcpbridge_proto::v1::tools_server::Tools;
use mcpbridge_proto::v1::{
    CallToolRequest, CallToolResponse, ListToolsRequest, ListToolsResponse, Tool,
};
use serde_json::value::RawValue;
use tonic::{Request, Response, Status};

use super::{Control, caller, status};
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
        let effect = |tool: &str| {
            let call = Call {
                tool,
                arguments: None,
                annotations: None,
                caller: &who,
            };
            server.policy.evaluate(&call).effect.to_string()
        };
        let mut session = McpSession::open(self.pipeline.clone(), server.name.clone(), caller)
            .await
            .map_err(status::of)?;
        let listed = session.list_tools().await;
        session.close().await;
        let tools = listed.map_err(status::of)?.into_iter().map(|tool| Tool {
            effect: effect(&tool.name),
            name: tool.name,
            title: tool.title.unwrap_or_default(),
            description: tool.description.unwrap_or_default(),
            definition_json: tool.definition.get().to_owned(),
        });
        Ok(Response::new(ListToolsResponse {
            tools: tools.collect(),
        }))
    }

    async fn call_tool(
        &self,
        request: Request<CallToolRequest>,
    ) -> Result<Response<CallToolResponse>, Status> {
        let caller = caller(&request);
        let CallToolRequest {
            server,
            tool,
            arguments_json,
        } = request.into_inner();
        let server = self.registry.get(&server).map_err(status::of)?;
        let arguments = match arguments_json.as_str() {
            "" => "{}",
            text => text,
        };
        // An object, kept as it was written: numbers and key order are the caller's.
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(arguments)
            .map_err(|error| status::invalid("arguments (a JSON object is expected)", &error))?;
        let arguments: &RawValue = serde_json::from_str(arguments)
            .map_err(|error| status::invalid("arguments", &error))?;
        let mut session = McpSession::open(self.pipeline.clone(), server.name.clone(), caller)
            .await
            .map_err(status::of)?;
        let called = session.call_tool(&tool, arguments).await;
        session.close().await;
        let result = called.map_err(status::of)?;
        Ok(Response::new(CallToolResponse {
            is_error: result.is_error,
            result_json: result.json.get().to_owned(),
        }))
    }
}
