//! The rules that decide about tool calls.

mod trail;
mod trial;

use std::collections::BTreeMap;

use mcpbridge_proto::v1::policy_server::Policy;
use mcpbridge_proto::v1::{
    ListPoliciesRequest, ListPoliciesResponse, PolicyOptions, PolicyRule, SetPolicyOptionsRequest,
    SetPolicyOptionsResponse, SetPolicyRequest, SetPolicyResponse, TestPolicyRequest,
    TestPolicyResponse, UnsetPolicyRequest, UnsetPolicyResponse,
};
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::{Control, decider, pin as pin_of, server_name, status};
use crate::config::{CallerRule, Hint, Predicate, RuleConfig, ServerConfig};
use crate::policy::{Rule, rules};
use crate::registry::{PolicyChange, PolicyEdit, RuleKey};
use crate::types::{Decider, Effect, Pointer, ServerName};

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
        let key = key(&rule.tool, &rule.conditions_json)?;
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
        let key = key(&request.tool, &request.conditions_json)?;
        let unset = move |change: &mut PolicyChange| change.unset(&key).map_err(status::of);
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
    /// Makes a change to a server's rules. One that loosens them needs the PIN, where one is set.
    async fn change_policy(
        &self,
        name: ServerName,
        pin: String,
        by: Decider,
        edit: impl FnOnce(&mut PolicyChange) -> Result<(), Status> + Send + 'static,
    ) -> Result<(), Status> {
        let pin = pin_of(pin);
        self.finish(move |this| async move {
            let mut change = this.registry.propose(&name).await.map_err(status::of)?;
            this.record_hand_edits().await;
            edit(&mut change)?;
            if change.new == change.old {
                return Ok(());
            }
            if change.is_loosening() {
                let authorized = this.approvals.authorize(pin.as_ref(), &by).await;
                authorized.map_err(status::of)?;
            }
            let before = this.registry.get(name.as_str()).map_err(status::of)?;
            this.registry.apply(change).await.map_err(status::of)?;
            let after = this.registry.get(name.as_str()).map_err(status::of)?;
            let (before, after) = (Some(before), Some(after));
            let edit = PolicyEdit {
                name,
                before,
                after,
            };
            this.record_policy(&edit, &by).await;
            Ok(())
        })
        .await
    }
}

/// What a rule asks of a call besides its tool.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Conditions {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    arguments: BTreeMap<Pointer, Predicate>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<Hint, bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    callers: Vec<CallerRule>,
}

/// The schema writes the server's default as an empty tool.
fn key(tool: &str, conditions_json: &str) -> Result<RuleKey, Status> {
    let conditions = match conditions_json {
        "" => Conditions::default(),
        text => {
            serde_json::from_str(text).map_err(|error| status::invalid("conditions", &error))?
        }
    };
    let Conditions {
        arguments,
        annotations,
        callers,
    } = conditions;
    let has_none = arguments.is_empty() && annotations.is_empty() && callers.is_empty();
    if tool.is_empty() {
        return if has_none {
            Ok(RuleKey::Default)
        } else {
            Err(status::refuse(
                "tool: a rule with conditions needs one; use * for every tool",
            ))
        };
    }
    let tools = tool
        .parse()
        .map_err(|error| status::invalid("tool", &error))?;
    Ok(RuleKey::Rule(Box::new(RuleConfig {
        tools,
        arguments,
        annotations,
        callers,
        effect: Effect::default(),
    })))
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
        conditions_json: conditions_json(&rule.config),
    }
}

fn conditions_json(rule: &RuleConfig) -> String {
    if rule.is_bare() {
        return String::new();
    }
    let conditions = Conditions {
        arguments: rule.arguments.clone(),
        annotations: rule.annotations.clone(),
        callers: rule.callers.clone(),
    };
    serde_json::to_string(&conditions).unwrap_or_default()
}
