//! Changes to the rules of one server, in two steps: between them somebody may have to allow it.

use super::{Registry, RegistryError};
use crate::config::{self, PolicyConfig, RuleConfig, ServerConfig};
use crate::policy::is_loosening;
use crate::types::{Effect, InvalidPattern, Pattern, ServerName};

/// A change that is thought out and not made yet.
#[derive(Debug, Clone)]
pub struct PolicyChange {
    pub name: ServerName,
    pub old: ServerConfig,
    pub new: ServerConfig,
}

/// Which rule is meant.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleKey {
    /// What happens where no rule fits.
    Default,
    /// The rule about the same calls as this one; the effect does not matter.
    Rule(Box<RuleConfig>),
}

impl RuleKey {
    /// The rule for calls of `tool` under conditions as [`RuleConfig::conditions_json`] writes them;
    /// without a tool, the server's default.
    ///
    /// # Errors
    /// One of the two cannot be meant.
    pub fn read(tool: &str, conditions_json: &str) -> Result<Self, RegistryError> {
        let wrong = |field, reason| RegistryError::Rule { field, reason };
        let tools = match tool {
            "" => Ok(Pattern::any()),
            tool => tool.parse(),
        };
        let tools = tools.map_err(|error: InvalidPattern| wrong("tool", error.to_string()))?;
        let rule = RuleConfig::read(tools, conditions_json);
        let rule = rule.map_err(|error| wrong("conditions", error.to_string()))?;
        match (tool, rule.is_bare()) {
            ("", true) => Ok(Self::Default),
            ("", false) => Err(wrong(
                "tool",
                "a rule with conditions needs one; use * for every tool".to_owned(),
            )),
            _ => Ok(Self::Rule(Box::new(rule))),
        }
    }
}

impl PolicyChange {
    /// Whether some call may be treated less strictly afterwards.
    pub fn is_loosening(&self) -> bool {
        is_loosening(&self.old, &self.new)
    }

    /// Sets the effect of a rule, which is added if it is new.
    pub fn set(&mut self, key: RuleKey, effect: Effect) {
        let policy = &mut self.new.policy;
        match key {
            RuleKey::Default => policy.default = effect,
            RuleKey::Rule(rule) => {
                let present = policy
                    .rules
                    .iter_mut()
                    .find(|present| is_about(present, &rule));
                match present {
                    Some(present) => present.effect = effect,
                    None if rule.is_bare() => {
                        policy.tools.insert(rule.tools, effect);
                    }
                    None => policy.rules.push(RuleConfig { effect, ..*rule }),
                }
            }
        }
    }

    /// Drops a rule, or puts the default back to `ask`.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn unset(&mut self, key: &RuleKey) -> Result<(), RegistryError> {
        let policy = &mut self.new.policy;
        match key {
            RuleKey::Default => policy.default = Effect::default(),
            RuleKey::Rule(rule) => {
                if !remove(policy, rule) {
                    return Err(RegistryError::UnknownRule {
                        server: self.name.clone(),
                        rule: describe(rule),
                    });
                }
            }
        }
        Ok(())
    }
}

fn is_about(one: &RuleConfig, other: &RuleConfig) -> bool {
    one.conditions() == other.conditions()
}

fn remove(policy: &mut PolicyConfig, rule: &RuleConfig) -> bool {
    let before = policy.rules.len();
    policy.rules.retain(|present| !is_about(present, rule));
    let is_named = rule.is_bare() && policy.tools.remove(&rule.tools).is_some();
    is_named || policy.rules.len() < before
}

fn describe(rule: &RuleConfig) -> String {
    if rule.is_bare() {
        format!("{:?}", rule.tools.as_str())
    } else {
        format!("{:?} under these conditions", rule.tools.as_str())
    }
}

impl Registry {
    /// Begins a change of a server's rules, from what the file says now.
    pub async fn propose(&self, name: &ServerName) -> Result<PolicyChange, RegistryError> {
        self.reload().await?;
        let old = self.get(name.as_str())?.config.clone();
        Ok(PolicyChange {
            name: name.clone(),
            new: old.clone(),
            old,
        })
    }

    /// Makes a change: its rules, whether the server is trusted, and whether weak approval is accepted.
    ///
    /// # Errors
    /// The file says something else than when the change was thought out, or the new rules are not
    /// valid.
    pub async fn apply(&self, change: PolicyChange) -> Result<(), RegistryError> {
        let _writing = self.writing.lock().await;
        self.read(None).await?;
        if self.get(change.name.as_str())?.config != change.old {
            return Err(RegistryError::Crossed);
        }
        if change.new == change.old {
            return Ok(());
        }
        let name = change.name.clone();
        self.edit(&name, move |dir| {
            config::set_policy(dir, &change.name, &change.new.policy, change.new.trusted)
        })
        .await
    }
}
