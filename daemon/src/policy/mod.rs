//! Which effect a server's rules have on a call: the decision point. Pure.
//!
//! The most specific rule wins: an exact name before any pattern, then the pattern with more literal
//! characters, then the rule with more conditions. Among equals the stricter effect wins, so the order
//! of rules never matters.
//!
//! Where it cannot be told whether a rule fits, both cases are judged and the stricter outcome counts:
//! doubt never loosens.

mod arguments;
mod facts;
mod fit;
mod index;
mod loosening;
mod rule;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use serde_json::value::RawValue;

use self::arguments::Arguments;
pub use self::facts::{Annotations, CallerFacts};
use self::fit::{Doubt, Fit};
use self::index::{Index, LONGEST_NAME};
pub use self::loosening::is_loosening;
pub use self::rule::{Rule, rules};
use crate::config::PolicyConfig;
use crate::types::{Digest, Effect};

/// The rules of one server, compiled. What a call costs does not grow with the number of rules that are
/// about other tools.
#[derive(Debug, Clone)]
pub struct PolicySet {
    default: Effect,
    trusted: bool,
    accepts_weak_approval: bool,
    version: Digest,
    /// In order of precedence.
    rules: Vec<Rule>,
    /// By name, positions in `rules`, ascending.
    exact: HashMap<Box<str>, Vec<usize>>,
    globs: Index,
}

/// A call, as far as rules look at it.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub tool: &'a str,
    /// `params.arguments` as they will be sent.
    pub arguments: Option<&'a RawValue>,
    /// What the server says about the tool; None when it is not known.
    pub annotations: Option<&'a Annotations>,
    pub caller: &'a dyn CallerFacts,
}

/// What the rules say about one call.
#[derive(Clone, Copy)]
pub struct Verdict<'a> {
    pub effect: Effect,
    /// The rule that decided; None for the server's default.
    pub rule: Option<&'a Rule>,
    doubt: Option<Doubt>,
    set: &'a PolicySet,
    call: Call<'a>,
}

impl PolicySet {
    /// Compiles the rules of a server that is `trusted` with what it says about its tools, or not.
    pub fn compile(policy: &PolicyConfig, trusted: bool) -> Self {
        let mut rules: Vec<_> = rules(policy).collect();
        rules.sort_by_cached_key(Rule::precedence);
        let mut exact: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (at, rule) in rules.iter().enumerate() {
            if rule.pattern().is_exact() {
                exact
                    .entry(rule.pattern().as_str().into())
                    .or_default()
                    .push(at);
            }
        }
        let globs = rules.iter().map(Rule::pattern).enumerate();
        Self {
            default: policy.default,
            trusted,
            accepts_weak_approval: policy.accept_weak_approval,
            version: version(policy, trusted, &rules),
            globs: Index::new(globs.filter(|(_, pattern)| !pattern.is_exact())),
            exact,
            rules,
        }
    }

    /// Tells this policy from others: the same rules in another order are the same policy.
    pub fn version(&self) -> Digest {
        self.version
    }

    /// Whether a person may approve through the asking client.
    pub fn accepts_weak_approval(&self) -> bool {
        self.accepts_weak_approval
    }

    pub fn evaluate<'a>(&'a self, call: &Call<'a>) -> Verdict<'a> {
        let verdict = |effect, rule, doubt| Verdict {
            effect,
            rule,
            doubt,
            set: self,
            call: *call,
        };
        if call.tool.len() > LONGEST_NAME {
            return verdict(Effect::Deny, None, None);
        }
        // The strictest of the rules that may or may not fit and would win if they did.
        let mut doubtful: Option<(&Rule, Doubt)> = None;
        let mut decided = (self.default, None);
        for (rule, fit) in self.fits(call) {
            match fit {
                Fit::No => {}
                Fit::Doubtful(doubt) => {
                    if doubtful.is_none_or(|(other, _)| other.effect() < rule.effect()) {
                        doubtful = Some((rule, doubt));
                    }
                }
                Fit::Yes => {
                    decided = (rule.effect(), Some(rule));
                    break;
                }
            }
        }
        match doubtful {
            Some((rule, doubt)) if rule.effect() > decided.0 => {
                verdict(rule.effect(), Some(rule), Some(doubt))
            }
            _ => verdict(decided.0, decided.1, None),
        }
    }

    /// Whether every call of this tool by this caller is denied, whatever its arguments.
    pub fn hides(
        &self,
        tool: &str,
        annotations: Option<&Annotations>,
        caller: &dyn CallerFacts,
    ) -> bool {
        if tool.len() > LONGEST_NAME {
            return true;
        }
        for rule in self.candidates(tool) {
            let fit = rule.fit_without_arguments(annotations, caller, self.trusted);
            let denies = rule.effect() == Effect::Deny;
            match (fit, rule.has_arguments()) {
                // Some arguments get past this one, or through it.
                (Fit::Yes, true) if !denies => return false,
                (Fit::Yes, false) => return denies,
                // In doubt the stricter outcome counts, and no outcome is stricter.
                (Fit::Doubtful(_), false) if denies => return true,
                _ => {}
            }
        }
        self.default == Effect::Deny
    }

    /// Whether some rule about this tool looks at the program that calls, so that it is worth finding out.
    pub fn asks_for_program(&self, tool: &str) -> bool {
        tool.len() <= LONGEST_NAME && self.candidates(tool).any(Rule::asks_for_program)
    }

    /// The rules about this tool, in order of precedence, and how they fit: each is asked for when
    /// those before it have not decided.
    fn fits<'a>(&'a self, call: &Call<'a>) -> impl Iterator<Item = (&'a Rule, Fit)> {
        let call = *call;
        let arguments = Arguments::new(call.arguments);
        self.candidates(call.tool)
            .map(move |rule| (rule, rule.fit(&call, &arguments, self.trusted)))
    }

    /// An exact name comes before any pattern, so patterns are looked up when no such rule decides.
    fn candidates(&self, tool: &str) -> impl Iterator<Item = &Rule> {
        let exact = self.exact.get(tool).map_or(&[][..], Vec::as_slice);
        let globs = std::iter::once_with(|| self.globs.candidates(tool)).flatten();
        let exact = exact.iter().map(|at| (*at, true));
        exact
            .chain(globs.map(|at| (at, false)))
            .filter_map(|(at, is_exact)| self.rules.get(at).map(|rule| (rule, is_exact)))
            .filter(move |(rule, is_exact)| *is_exact || rule.pattern().matches(tool))
            .map(|(rule, _)| rule)
    }
}

fn version(policy: &PolicyConfig, trusted: bool, sorted: &[Rule]) -> Digest {
    let head = format!(
        "{} {trusted} {}",
        policy.default, policy.accept_weak_approval
    );
    let rules = sorted
        .iter()
        .map(|rule| format!("{} {}", rule.effect(), rule.config.conditions()));
    let parts: Vec<_> = std::iter::once(head).chain(rules).collect();
    Digest::of_parts(parts.iter().map(String::as_bytes))
}

impl Verdict<'_> {
    /// Which rule decides, and why it wins over the next one that fits. Judges the call again.
    pub fn explanation(&self) -> String {
        let effect = self.effect.in_words();
        if self.call.tool.len() > LONGEST_NAME {
            return format!("{effect}: no tool has a name of more than {LONGEST_NAME} bytes");
        }
        let default = self.set.default.in_words();
        let Some(rule) = self.rule else {
            return format!("{effect}: no rule fits, so the server's default decides");
        };
        let number = rule.number;
        if let Some(doubt) = self.doubt {
            return format!(
                "{effect}: rule {number} ({rule}) may apply; it cannot be told, because {doubt}, \
                 and what is in doubt is not loosened"
            );
        }
        let fitting = self
            .set
            .fits(&self.call)
            .filter(|(_, fit)| *fit == Fit::Yes);
        let mut others = fitting.filter(|(other, _)| other.number != number);
        match others.next() {
            Some((other, _)) => format!(
                "{effect}: rule {number} ({rule}) decides; it wins over rule {} ({other}: {}) \
                 because it {}",
                other.number,
                other.effect().in_words(),
                rule.advantage(other),
            ),
            None => format!(
                "{effect}: rule {number} ({rule}) decides; any rule wins over the server's default \
                 ({default})"
            ),
        }
    }
}

impl fmt::Debug for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explanation())
    }
}

impl Default for PolicySet {
    fn default() -> Self {
        Self::compile(&PolicyConfig::default(), false)
    }
}
