//! The definition, in its own words: every rule judged alone, every doubt taken both ways.

use super::random::{Asked, calls, servers};
use super::*;

impl Asked {
    /// The strictest outcome over every way to settle what is in doubt.
    fn by_definition(&self, server: &ServerConfig) -> Effect {
        let someone = self.someone();
        let call = Call {
            tool: &self.tool,
            arguments: Some(json(self.arguments)),
            annotations: self.annotations.as_ref(),
            caller: &someone,
        };
        let arguments = Arguments::new(call.arguments);
        let mut fitting = Vec::new();
        let mut doubtful = Vec::new();
        for rule in rules(&server.policy) {
            if !rule.pattern().matches(&self.tool) {
                continue;
            }
            match rule.fit(&call, &arguments, server.trusted) {
                Fit::Yes => fitting.push(rule),
                Fit::Doubtful(_) => doubtful.push(rule),
                Fit::No => {}
            }
        }
        (0..1_u32 << doubtful.len())
            .map(|settled| {
                let chosen = doubtful.iter().enumerate();
                chosen
                    .filter(|(at, _)| settled & (1 << at) != 0)
                    .map(|(_, rule)| rule)
                    .chain(&fitting)
                    .max_by_key(|rule| rule.rank())
                    .map_or(server.policy.default, Rule::effect)
            })
            .max()
            .unwrap()
    }
}

proptest! {
    #[test]
    fn the_most_specific_then_strictest_rule_decides(server in servers(), asked in calls()) {
        let set = PolicySet::compile(&server.policy, server.trusted);
        prop_assert_eq!(asked.evaluate(&set), asked.by_definition(&server));
    }

    #[test]
    fn every_call_of_a_hidden_tool_is_denied(server in servers(), asked in calls()) {
        let set = PolicySet::compile(&server.policy, server.trusted);
        if set.hides(&asked.tool, asked.annotations.as_ref(), &asked.someone()) {
            prop_assert_eq!(asked.evaluate(&set), Effect::Deny);
        }
    }
}
