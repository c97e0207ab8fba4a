//! What would become of a call that somebody thinks of. Nothing is asked, recorded or sent.

use std::collections::HashMap;

use mcpbridge_proto::v1::{TestPolicyRequest, TestPolicyResponse};
use serde_json::value::RawValue;
use tonic::Status;

use super::{Control, shown, status};
use crate::approval::Grant;
use crate::catalog::ToolEntry;
use crate::clients::cover;
use crate::config::{CallerRule, Hint, InvalidCaller};
use crate::mcp::canonical;
use crate::pipeline::is_hidden;
use crate::policy::{Annotations, Call};
use crate::registry::Server;
use crate::types::{Caller, Channel, Client, Digest, Effect, Process, Scope};

impl Control {
    pub(super) async fn try_call(
        &self,
        request: TestPolicyRequest,
    ) -> Result<TestPolicyResponse, Status> {
        let server = self.registry.get(&request.server).map_err(status::of)?;
        let arguments = match request.arguments_json.as_str() {
            "" => None,
            text => Some(object(text)?),
        };
        let caller = self.supposed(&request.caller)?;
        let known = self.catalog.tool(&server.name, &request.tool);
        let annotations = match request.annotations.is_empty() {
            true => known.as_ref().and_then(|known| known.annotations.clone()),
            false => Some(annotations(&request.annotations)?),
        };
        let grants = self.approvals.grants().await.map_err(status::of)?;
        let verdict = server.policy.evaluate(&Call {
            tool: &request.tool,
            arguments,
            annotations: annotations.as_ref(),
            caller: &caller,
        });
        let mut trial = Trial {
            server: &server,
            tool: &request.tool,
            effect: verdict.effect,
            circumstances: Vec::new(),
            grant: String::new(),
        };
        trial.consider_token(&caller);
        let text = arguments.map_or("{}", RawValue::get);
        let digest = trial.consider_arguments(text);
        if trial.effect == Effect::Deny {
            let hidden = is_hidden(&server, &caller, &request.tool, annotations.as_ref());
            trial.consider_hiding(hidden);
        } else {
            if let Some(objection) = self.catalog.objection(&server.name, &request.tool) {
                trial.effect = Effect::Ask;
                trial.circumstances.push(objection.to_string());
            }
            trial.consider_grants(&grants, known.as_deref(), digest, &caller);
        }
        Ok(TestPolicyResponse {
            effect: trial.effect.to_string(),
            explanation: verdict.explanation(),
            by_rules: verdict.effect.to_string(),
            rule: verdict.rule.map(|rule| shown(&server.name, rule)),
            standing: known.map_or("", |known| known.standing.as_str()).to_owned(),
            circumstances: trial.circumstances,
            grant: trial.grant,
        })
    }

    /// A caller of whom only this is known.
    fn supposed(&self, facts: &[String]) -> Result<Caller, Status> {
        let mut process = Process::default();
        let mut client = None;
        for fact in facts {
            let wrong = |error: InvalidCaller| status::invalid("caller", &error);
            // A path is a path here, whatever characters a pattern could not have.
            let is_new = match fact.strip_prefix("exe:").filter(|path| !path.is_empty()) {
                Some(path) => process.exe.replace(path.to_owned()).is_none(),
                None => match fact.parse().map_err(wrong)? {
                    CallerRule::Client(name) => client.replace(name).is_none(),
                    CallerRule::Uid(uid) => process.uid.replace(uid).is_none(),
                    CallerRule::Exe(_) => true,
                },
            };
            if !is_new {
                return Err(status::refuse(
                    "caller: say each of client, exe and uid at most once",
                ));
            }
        }
        let caller = Caller::new(Channel::Http, process);
        let Some(name) = client else {
            return Ok(caller);
        };
        let issued = self.clients.list();
        let issued = issued.iter().find(|issued| *issued.client.name() == name);
        // Rules may come before the token they are about.
        let client = match issued {
            Some(issued) => issued.client.clone(),
            None => Client::named(name, Scope::default()),
        };
        Ok(caller.with_client(client))
    }
}

/// The rules have spoken; what else counts.
struct Trial<'a> {
    server: &'a Server,
    tool: &'a str,
    effect: Effect,
    circumstances: Vec<String>,
    grant: String,
}

impl Trial<'_> {
    fn consider_token(&mut self, caller: &Caller) {
        if let Err(error) = cover(caller, &self.server.name, Some(self.tool)) {
            self.effect = Effect::Deny;
            self.circumstances.push(error.to_string());
        }
    }

    /// Their digest, if every reader takes them for the same.
    fn consider_arguments(&mut self, json: &str) -> Option<Digest> {
        match canonical::digest(json) {
            Ok(digest) => Some(digest),
            Err(error) => {
                self.effect = Effect::Deny;
                self.circumstances.push(format!("the arguments: {error}"));
                None
            }
        }
    }

    fn consider_hiding(&mut self, hidden: bool) {
        if hidden {
            let said = "the tool is left out of lists of tools, and calling it is answered as if it did \
                        not exist";
            self.circumstances.push(said.to_owned());
        }
    }

    fn consider_grants(
        &mut self,
        grants: &[Grant],
        known: Option<&ToolEntry>,
        arguments: Option<Digest>,
        caller: &Caller,
    ) {
        let (Some(known), Some(arguments)) = (known, arguments) else {
            return;
        };
        let address = self.server.config.url.as_str();
        let about = |grant: &&Grant| {
            let tool = (self.tool, known.definition.digest);
            grant.is_about((&self.server.name, address), tool, arguments)
        };
        let principal = caller.principal();
        let mut of_others = None;
        for grant in grants.iter().filter(about) {
            match &grant.principal {
                Some(other) if *other != principal => of_others = Some((grant, other)),
                _ if self.effect == Effect::Ask => {
                    self.effect = Effect::Allow;
                    self.grant = grant.id.to_string();
                    self.circumstances
                        .push(format!("{} approves it", described(grant)));
                    return;
                }
                _ => {}
            }
        }
        if let Some((grant, other)) = of_others.filter(|_| self.effect == Effect::Ask) {
            let said = format!("{} approves it for {other} only", described(grant));
            self.circumstances.push(said);
        }
    }
}

fn described(grant: &Grant) -> String {
    let id = grant.id;
    match grant.expires_at {
        Some(end) => format!("the grant {id}, which ends at {end:.0},"),
        None => format!("the grant {id}"),
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

fn annotations(said: &HashMap<String, bool>) -> Result<Annotations, Status> {
    for hint in said.keys() {
        hint.parse::<Hint>()
            .map_err(|error| status::invalid("annotations", &error))?;
    }
    let json = serde_json::to_string(said).unwrap_or_default();
    Annotations::parse(&json).ok_or_else(|| status::refuse("annotations: not understood"))
}
