//! The rules that decide about tool calls.

use std::error::Error;

use mcpbridge_proto::v1::policy_server::Policy;
use mcpbridge_proto::v1::{
    ListPoliciesRequest, ListPoliciesResponse, PolicyRule, SetPolicyRequest, SetPolicyResponse,
    TestPolicyRequest, TestPolicyResponse, UnsetPolicyRequest, UnsetPolicyResponse,
};
use serde_json::value::RawValue;
use tonic::{Request, Response, Status};

use super::{Control, server_name, status};
use crate::config::{CallerRule, InvalidCaller};
use crate::policy::{Call, CallerFacts};
use crate::types::{Effect, Pattern};

#[tonic::async_trait]
impl Policy for Control {
    async fn list_policies(
        &self,
        request: Request<ListPoliciesRequest>,
    ) -> Result<Response<ListPoliciesResponse>, Status> {
        let only = request.into_inner().server;
        if !only.is_empty() {
            self.registry.get(&only).map_err(status::of)?;
        }
        let mut rules = Vec::new();
        for server in self.registry.snapshot().iter() {
            if !only.is_empty() && server.name.as_str() != only {
                continue;
            }
            let rule = |tool: &str, effect: Effect| PolicyRule {
                server: server.name.to_string(),
                tool: tool.to_owned(),
                effect: effect.to_string(),
            };
            let policy = &server.config.policy;
            rules.push(rule("", policy.default));
            rules.extend(
                policy
                    .tools
                    .iter()
                    .map(|(glob, effect)| rule(glob.as_str(), *effect)),
            );
        }
        Ok(Response::new(ListPoliciesResponse { rules }))
    }

    async fn set_policy(
        &self,
        request: Request<SetPolicyRequest>,
    ) -> Result<Response<SetPolicyResponse>, Status> {
        let rule = request.into_inner().rule.unwrap_or_default();
        let name = server_name(&rule.server)?;
        let effect = rule
            .effect
            .parse()
            .map_err(|error| status::invalid("effect", &error))?;
        let tool = pattern(&rule.tool)?;
        self.finish(move |this| async move {
            let set = this.registry.set_policy(&name, tool.as_ref(), effect);
            set.await.map_err(status::of)
        })
        .await?;
        Ok(Response::new(SetPolicyResponse {}))
    }

    async fn unset_policy(
        &self,
        request: Request<UnsetPolicyRequest>,
    ) -> Result<Response<UnsetPolicyResponse>, Status> {
        let request = request.into_inner();
        let name = server_name(&request.server)?;
        let tool = pattern(&request.tool)?;
        self.finish(move |this| async move {
            let unset = this.registry.unset_policy(&name, tool.as_ref());
            unset.await.map_err(status::of)
        })
        .await?;
        Ok(Response::new(UnsetPolicyResponse {}))
    }

    async fn test_policy(
        &self,
        request: Request<TestPolicyRequest>,
    ) -> Result<Response<TestPolicyResponse>, Status> {
        let request = request.into_inner();
        let server = self.registry.get(&request.server).map_err(status::of)?;
        let arguments = match request.arguments_json.as_str() {
            "" => None,
            text => Some(object(text)?),
        };
        let caller = Supposed::parse(&request.caller)?;
        let call = Call {
            tool: &request.tool,
            arguments,
            annotations: None,
            caller: &caller,
        };
        let verdict = server.policy.evaluate(&call);
        Ok(Response::new(TestPolicyResponse {
            effect: verdict.effect.to_string(),
            explanation: verdict.explanation(),
        }))
    }
}

/// Kept as it is written: what two readers may disagree about is a thing to test.
fn object(text: &str) -> Result<&RawValue, Status> {
    let json: &RawValue =
        serde_json::from_str(text).map_err(|error| status::invalid("arguments", &error))?;
    if json.get().starts_with('{') {
        Ok(json)
    } else {
        Err(status::refuse("arguments: a JSON object is expected"))
    }
}

/// A caller somebody asks about.
#[derive(Default)]
struct Supposed {
    client: Option<String>,
    uid: Option<u32>,
    exe: Option<String>,
}

impl Supposed {
    fn parse(facts: &[String]) -> Result<Self, Status> {
        let mut supposed = Self::default();
        for fact in facts {
            let wrong = |error: &dyn Error| status::invalid("caller", error);
            // A path is a path here, whatever characters a pattern could not have.
            let is_new = match fact.strip_prefix("exe:").filter(|path| !path.is_empty()) {
                Some(path) => supposed.exe.replace(path.to_owned()).is_none(),
                None => match fact.parse().map_err(|error: InvalidCaller| wrong(&error))? {
                    CallerRule::Client(name) => supposed.client.replace(name.to_string()).is_none(),
                    CallerRule::Uid(uid) => supposed.uid.replace(uid).is_none(),
                    CallerRule::Exe(_) => true,
                },
            };
            if !is_new {
                return Err(status::refuse(
                    "caller: say each of client, exe and uid at most once",
                ));
            }
        }
        Ok(supposed)
    }
}

impl CallerFacts for Supposed {
    fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    fn uid(&self) -> Option<u32> {
        self.uid
    }

    fn exe(&self) -> Option<&str> {
        self.exe.as_deref()
    }
}

/// The schema writes the server's default as an empty tool.
fn pattern(tool: &str) -> Result<Option<Pattern>, Status> {
    if tool.is_empty() {
        return Ok(None);
    }
    let pattern = tool
        .parse()
        .map_err(|error| status::invalid("tool", &error))?;
    Ok(Some(pattern))
}
