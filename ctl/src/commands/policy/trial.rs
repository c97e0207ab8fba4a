//! `policy test`: what would become of a call.

use clap::Args;
use mcpbridge_proto::v1::{TestPolicyRequest, TestPolicyResponse};
use serde::Serialize;

use super::conditions::annotation;
use crate::context::Context;
use crate::error::Failure;
use crate::view::{PolicyView, some};

#[derive(Args)]
pub struct TestArgs {
    /// Name of the server
    server: String,
    /// Name of the tool
    tool: String,
    /// Arguments of the call, a JSON object
    arguments: Option<String>,
    /// Who would be calling: client:NAME, exe:PATH or uid:NUMBER
    #[arg(long, value_name = "CALLER")]
    caller: Vec<String>,
    /// What the server would say about the tool, such as readOnlyHint=true [default: what it says]
    #[arg(long = "annotation", value_name = "HINT=BOOL", value_parser = annotation)]
    annotations: Vec<(String, bool)>,
}

#[derive(Serialize)]
struct Tested<'a> {
    server: &'a str,
    tool: &'a str,
    /// Everything considered.
    effect: &'a str,
    explanation: &'a str,
    by_rules: &'a str,
    /// None when the server's default decides.
    rule: Option<PolicyView<'a>>,
    /// None for a tool that was never listed.
    standing: Option<&'a str>,
    circumstances: &'a [String],
    grant: Option<&'a str>,
}

pub async fn run(context: &Context, args: TestArgs) -> Result<(), Failure> {
    let request = TestPolicyRequest {
        server: args.server.clone(),
        tool: args.tool.clone(),
        arguments_json: args.arguments.unwrap_or_default(),
        caller: args.caller,
        annotations: args.annotations.into_iter().collect(),
    };
    let client = context.connect().await?;
    let reply = client.policy().test_policy(request).await?.into_inner();
    if context.printer.is_json() {
        return context.printer.json(&Tested {
            server: &args.server,
            tool: &args.tool,
            effect: &reply.effect,
            explanation: &reply.explanation,
            by_rules: &reply.by_rules,
            rule: reply.rule.as_ref().map(PolicyView::from),
            standing: some(&reply.standing),
            circumstances: &reply.circumstances,
            grant: some(&reply.grant),
        });
    }
    context.printer.data(&describe(&reply))
}

/// The rules name their effect themselves; then what else counts, and what it comes to.
fn describe(reply: &TestPolicyResponse) -> String {
    let mut text = format!("{}\n", reply.explanation);
    for circumstance in &reply.circumstances {
        text.push_str(&format!("  {circumstance}\n"));
    }
    text.push_str(match reply.effect.as_str() {
        "allow" => "the call would run\n",
        "ask" => "the call would wait for a person\n",
        _ => "the call would be refused\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_come_first_and_the_outcome_last() {
        let reply = TestPolicyResponse {
            effect: "ask".to_owned(),
            explanation: "always allow: rule 1 (x) decides".to_owned(),
            circumstances: vec!["the tool is new".to_owned()],
            ..TestPolicyResponse::default()
        };
        assert_eq!(
            describe(&reply),
            "always allow: rule 1 (x) decides\n  the tool is new\nthe call would wait for a person\n"
        );
    }
}
