//! The rules that decide about tool calls.

use std::collections::BTreeMap;
use std::error::Error;

use mcpbridge_proto::v1::policy_server::Policy;
use mcpbridge_proto::v1::{
    ListPoliciesRequest, ListPoliciesResponse, PolicyOptions, PolicyRule, SetPolicyOptionsRequest,
    SetPolicyOptionsResponse, SetPolicyRequest, SetPolicyResponse, TestPolicyRequest,
    TestPolicyResponse, UnsetPolicyRequest, UnsetPolicyResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tonic::{Request, Response, Status};

use super::{Control, decider, server_name, status};
use crate::audit::{Event, Kind};
use crate::config::{CallerRule, Hint, InvalidCaller, Predicate, RuleConfig, ServerConfig};
use crate::policy::{Call, CallerFacts, rules};
use crate::registry::{PolicyChange, RuleKey};
use crate::types::{Decider, Effect, Pointer, Secret, ServerName};

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

impl Control {
    /// Makes a change to a server's rules. One that loosens them needs the PIN, where one is set.
    async fn change_policy(
        &self,
        name: ServerName,
        pin: String,
        by: Decider,
        edit: impl FnOnce(&mut PolicyChange) -> Result<(), Status> + Send + 'static,
    ) -> Result<(), Status> {
        let pin = (!pin.is_empty()).then(|| Secret::new(pin));
        self.finish(move |this| async move {
            let mut change = this.registry.propose(&name).await.map_err(status::of)?;
            edit(&mut change)?;
            if change.new == change.old {
                return Ok(());
            }
            if change.is_loosening() {
                let authorized = this.approvals.authorize(pin.as_ref(), &by).await;
                authorized.map_err(status::of)?;
            }
            let changed = Event::new(Kind::PolicyChanged)
                .server(&name)
                .actor(&by)
                .detail(json!({ "old": recorded(&change.old), "new": recorded(&change.new) }));
            this.registry.apply(change).await.map_err(status::of)?;
            this.audit.record_afterwards(changed).await;
            Ok(())
        })
        .await
    }
}

/// As a text: a JSON tree would not keep the digits of its numbers.
fn recorded(server: &ServerConfig) -> String {
    let policy = serde_json::to_string(&server.policy).unwrap_or_default();
    format!("{{\"trusted\":{},\"policy\":{policy}}}", server.trusted)
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
    let rules = rules(&server.policy).map(|rule| PolicyRule {
        server: name.to_string(),
        tool: rule.config.tools.to_string(),
        effect: rule.effect().to_string(),
        number: u32::try_from(rule.number).unwrap_or(u32::MAX),
        text: rule.to_string(),
        conditions_json: conditions_json(rule.config),
    });
    std::iter::once(default).chain(rules).collect()
}

fn conditions_json(rule: RuleConfig) -> String {
    if rule.is_bare() {
        return String::new();
    }
    let conditions = Conditions {
        arguments: rule.arguments,
        annotations: rule.annotations,
        callers: rule.callers,
    };
    serde_json::to_string(&conditions).unwrap_or_default()
}
