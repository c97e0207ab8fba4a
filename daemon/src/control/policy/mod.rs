//! The rules that decide about tool calls.

mod trial;

use mcpbridge_proto::v1::policy_server::Policy;
use mcpbridge_proto::v1::{
    ListPoliciesRequest, ListPoliciesResponse, PolicyOptions, PolicyRule, SetPolicyOptionsRequest,
    SetPolicyOptionsResponse, SetPolicyRequest, SetPolicyResponse, TestPolicyRequest,
    TestPolicyResponse, UnsetPolicyRequest, UnsetPolicyResponse,
};
use tonic::{Request, Response, Status};

use super::{Control, decider, pin as pin_of, server_name, status};
use crate::config::ServerConfig;
use crate::policy::{Rule, rules};
use crate::registry::{PolicyChange, RegistryError, RuleKey};
use crate::types::{Decider, Effect, ServerName};

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
        let mut list = ListPoliciesResponse::default();
        for server in self.registry.snapshot().iter() {
            if !only.is_empty() && server.name.as_str() != only {
                continue;
            }
            list.options.push(PolicyOptions {
                server: server.name.to_string(),
                trusted: server.config.trusted,
                accept_weak_approval: server.config.policy.accept_weak_approval,
            });
            list.rules.extend(listed(&server.name, &server.config));
        }
        Ok(Response::new(list))
    }

    async fn set_policy(
        &self,
        request: Request<SetPolicyRequest>,
    ) -> Result<Response<SetPolicyResponse>, Status> {
        let by = decider(&request).await;
        let SetPolicyRequest { rule, pin } = request.into_inner();
        let rule = rule.unwrap_or_default();
        let name = server_name(&rule.server)?;
        let effect: Effect = rule
            .effect
            .parse()
            .map_err(|error| status::invalid("effect", &error))?;
        let key = RuleKey::read(&rule.tool, &rule.conditions_json).map_err(status::of)?;
        let set = move |change: &mut PolicyChange| {
            change.set(key, effect);
            Ok(())
        };
        self.change_policy(name, pin, by, set).await?;
        Ok(Response::new(SetPolicyResponse {}))
    }

    async fn unset_policy(
        &self,
        request: Request<UnsetPolicyRequest>,
    ) -> Result<Response<UnsetPolicyResponse>, Status> {
        let by = decider(&request).await;
        let request = request.into_inner();
        let name = server_name(&request.server)?;
        let key = RuleKey::read(&request.tool, &request.conditions_json).map_err(status::of)?;
        let unset = move |change: &mut PolicyChange| change.unset(&key);
        self.change_policy(name, request.pin, by, unset).await?;
        Ok(Response::new(UnsetPolicyResponse {}))
    }

    async fn set_policy_options(
        &self,
        request: Request<SetPolicyOptionsRequest>,
    ) -> Result<Response<SetPolicyOptionsResponse>, Status> {
        let by = decider(&request).await;
        let request = request.into_inner();
        let name = server_name(&request.server)?;
        let set = move |change: &mut PolicyChange| {
            if let Some(trusted) = request.trusted {
                change.new.trusted = trusted;
            }
            if let Some(accept) = request.accept_weak_approval {
                change.new.policy.accept_weak_approval = accept;
            }
            Ok(())
        };
        self.change_policy(name, request.pin, by, set).await?;
        Ok(Response::new(SetPolicyOptionsResponse {}))
    }

    async fn test_policy(
        &self,
        request: Request<TestPolicyRequest>,
    ) -> Result<Response<TestPolicyResponse>, Status> {
        self.try_call(request.into_inner()).await.map(Response::new)
    }
}

impl Control {
    async fn change_policy(
        &self,
        name: ServerName,
        pin: String,
        by: Decider,
        edit: impl FnOnce(&mut PolicyChange) -> Result<(), RegistryError> + Send + 'static,
    ) -> Result<(), Status> {
        let pin = pin_of(pin);
        let change = self.admin.change_rules(name, pin, by, edit);
        change.await.map_err(status::of)
    }
}

fn listed(name: &ServerName, server: &ServerConfig) -> Vec<PolicyRule> {
    let default = PolicyRule {
        server: name.to_string(),
        effect: server.policy.default.to_string(),
        ..PolicyRule::default()
    };
    let rules = rules(&server.policy).map(|rule| shown(name, &rule));
    std::iter::once(default).chain(rules).collect()
}

fn shown(server: &ServerName, rule: &Rule) -> PolicyRule {
    PolicyRule {
        server: server.to_string(),
        tool: rule.config.tools.to_string(),
        effect: rule.effect().to_string(),
        number: u32::try_from(rule.number).unwrap_or(u32::MAX),
        text: rule.to_string(),
        conditions_json: rule.config.conditions_json(),
    }
}
