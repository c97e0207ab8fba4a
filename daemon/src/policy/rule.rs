//! One rule, ready to be held against calls.

use std::cmp::Reverse;
use std::fmt;

use super::arguments::Arguments;
use super::facts::is_caller;
use super::fit::{Doubt, Fit};
use super::{Annotations, Call, CallerFacts};
use crate::config::{CallerRule, PolicyConfig, Predicate, RuleConfig};
use crate::types::{Effect, Pattern};

#[derive(Debug, Clone)]
pub struct Rule {
    /// Counted from 1, those by name alone first, as lists show them.
    pub number: usize,
    pub config: RuleConfig,
}

/// What makes one rule win over another; the greater one does.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    is_exact: bool,
    literal_length: usize,
    conditions: usize,
    effect: Effect,
}

/// All rules of a policy, numbered.
pub fn rules(policy: &PolicyConfig) -> impl Iterator<Item = Rule> {
    let by_name = policy.tools.iter().map(|(tools, effect)| RuleConfig {
        tools: tools.clone(),
        ..RuleConfig::new(*effect)
    });
    let all = by_name.chain(policy.rules.iter().cloned());
    all.zip(1..).map(|(config, number)| Rule { number, config })
}

impl Rule {
    pub fn effect(&self) -> Effect {
        self.config.effect
    }

    pub(super) fn pattern(&self) -> &Pattern {
        &self.config.tools
    }

    pub(super) fn rank(&self) -> Rank {
        let RuleConfig {
            tools,
            arguments,
            annotations,
            callers,
            effect,
        } = &self.config;
        Rank {
            is_exact: tools.is_exact(),
            literal_length: tools.literal_length(),
            conditions: arguments.len() + annotations.len() + usize::from(!callers.is_empty()),
            effect: *effect,
        }
    }

    /// Rules sort by this: the winner first, and the same set always in the same order.
    pub(super) fn precedence(&self) -> (Reverse<Rank>, String) {
        (Reverse(self.rank()), self.config.conditions())
    }

    pub(super) fn has_arguments(&self) -> bool {
        !self.config.arguments.is_empty()
    }

    pub(super) fn asks_for_program(&self) -> bool {
        let mut callers = self.config.callers.iter();
        callers.any(|caller| matches!(caller, CallerRule::Exe(_)))
    }

    /// The caller last: to find out about it may take long.
    pub(super) fn fit(&self, call: &Call<'_>, arguments: &Arguments<'_>, trusted: bool) -> Fit {
        let conditions = self.config.arguments.iter();
        let arguments = || {
            let fits = conditions.map(|(pointer, predicate)| arguments.fit(pointer, predicate));
            fits.min().unwrap_or(Fit::Yes)
        };
        self.fit_annotations(call.annotations, trusted)
            .and(arguments)
            .and(|| self.fit_caller(call.caller))
    }

    /// As [`Rule::fit`], with arguments of which everything is possible taken to fit.
    pub(super) fn fit_without_arguments(
        &self,
        annotations: Option<&Annotations>,
        caller: &dyn CallerFacts,
        trusted: bool,
    ) -> Fit {
        self.fit_annotations(annotations, trusted)
            .and(|| self.fit_caller(caller))
    }

    fn fit_annotations(&self, said: Option<&Annotations>, trusted: bool) -> Fit {
        let wanted = &self.config.annotations;
        if wanted.is_empty() {
            return Fit::Yes;
        }
        if !trusted {
            return Fit::Doubtful(Doubt::Untrusted);
        }
        match said {
            Some(said) => Fit::when(
                wanted
                    .iter()
                    .all(|(hint, value)| said.says(*hint) == *value),
            ),
            None => Fit::Doubtful(Doubt::Annotations),
        }
    }

    fn fit_caller(&self, caller: &dyn CallerFacts) -> Fit {
        let wanted = &self.config.callers;
        let mut best = if wanted.is_empty() { Fit::Yes } else { Fit::No };
        for one in wanted {
            best = best.max(is_caller(one, caller));
            if best == Fit::Yes {
                break;
            }
        }
        best
    }

    /// Why this rule wins over `other`, in words that follow "because it".
    pub(super) fn advantage(&self, other: &Self) -> &'static str {
        let (this, other) = (self.rank(), other.rank());
        if this.is_exact != other.is_exact {
            "names the tool exactly"
        } else if this.literal_length != other.literal_length {
            "spells out more of the tool's name"
        } else if this.conditions != other.conditions {
            "has more conditions"
        } else if this.effect != other.effect {
            "is stricter, and both are equally specific"
        } else {
            "comes first among rules that say the same"
        }
    }
}

/// Which calls it is about, in words: `pay with /amount at most 1000, called by client:ci`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.config.tools)?;
        let mut conditions: Vec<String> = Vec::new();
        for (pointer, predicate) in &self.config.arguments {
            let subject = match pointer.as_str() {
                "" => "the arguments",
                text => text,
            };
            let wanted = in_words(predicate);
            conditions.extend(wanted.into_iter().map(|words| format!("{subject} {words}")));
        }
        for (hint, value) in &self.config.annotations {
            conditions.push(format!("{hint} {value}"));
        }
        if !self.config.callers.is_empty() {
            let callers: Vec<_> = self
                .config
                .callers
                .iter()
                .map(ToString::to_string)
                .collect();
            conditions.push(format!("called by {}", callers.join(" or ")));
        }
        if conditions.is_empty() {
            return Ok(());
        }
        write!(f, " with {}", conditions.join(", "))
    }
}

fn in_words(predicate: &Predicate) -> Vec<String> {
    let Predicate {
        equals,
        glob,
        min,
        max,
    } = predicate;
    let words = [
        equals.as_ref().map(|value| format!("equal to {value}")),
        glob.as_ref().map(|pattern| format!("like {pattern}")),
        min.as_ref().map(|min| format!("at least {min}")),
        max.as_ref().map(|max| format!("at most {max}")),
    ];
    words.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_in_words_what_it_is_about() {
        let text = r#"{"default":"ask","tools":{"list_*":"allow"},"rules":[
            {"tools":"pay","arguments":{"/amount":{"min":1,"max":10},"/to":{"equals":{"a":null}}},
             "annotations":{"readOnlyHint":true},"callers":["client:ci","uid:7"],"effect":"deny"},
            {"arguments":{"":{"equals":{}}},"effect":"ask"}]}"#;
        let policy: PolicyConfig = serde_json::from_str(text).unwrap();
        let said: Vec<_> = rules(&policy)
            .map(|rule| (rule.number, rule.to_string()))
            .collect();
        let expected = [
            "list_*",
            "pay with /amount at least 1, /amount at most 10, /to equal to {\"a\":null}, \
             readOnlyHint true, called by client:ci or uid:7",
            "* with the arguments equal to {}",
        ];
        let expected = expected.map(str::to_owned);
        assert_eq!(said, (1..).zip(expected).collect::<Vec<_>>());
    }
}
