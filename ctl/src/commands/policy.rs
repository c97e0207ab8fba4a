//! `policy`: which tool calls run.

use clap::{Args, Subcommand};
use mcpbridge_proto::v1::{
    ListPoliciesRequest, PolicyRule, SetPolicyRequest, TestPolicyRequest, UnsetPolicyRequest,
};
use serde::Serialize;

use crate::cli::Effect;
use crate::context::Context;
use crate::error::Failure;
use crate::output::table::Table;
use crate::view::{PolicyView, some};

#[derive(Subcommand)]
pub enum PolicyCommand {
    /// List the rules of all servers, or of one
    List {
        /// Name of a server
        server: Option<String>,
    },
    /// Decide what happens to a server's calls, or to those of some of its tools
    Set(SetArgs),
    /// Take a rule back; without TOOL the server's default becomes ask
    Unset {
        /// Name of the server
        server: String,
        /// Tool name or glob, as in the rule
        tool: Option<String>,
    },
    /// Say what would happen to a call, and which rule decides
    Test {
        /// Name of the server
        server: String,
        /// Name of the tool
        tool: String,
        /// Arguments of the call, a JSON object
        arguments: Option<String>,
        /// Who would be calling: client:NAME, exe:PATH or uid:NUMBER
        #[arg(long, value_name = "CALLER")]
        caller: Vec<String>,
    },
}

#[derive(Args)]
#[command(allow_missing_positional = true)]
pub struct SetArgs {
    /// Name of the server
    server: String,
    /// Tool name or glob such as `list_*`; without it, the server's default
    tool: Option<String>,
    /// What happens to a call
    #[arg(value_enum)]
    effect: Effect,
}

#[derive(Serialize)]
struct Tested<'a> {
    server: &'a str,
    tool: &'a str,
    effect: &'a str,
    explanation: &'a str,
}

#[derive(Serialize)]
struct Unset<'a> {
    server: &'a str,
    tool: Option<&'a str>,
}

pub async fn run(context: &Context, command: PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::List { server } => list(context, server.unwrap_or_default()).await,
        PolicyCommand::Set(args) => set(context, args).await,
        PolicyCommand::Unset { server, tool } => unset(context, server, tool).await,
        PolicyCommand::Test {
            server,
            tool,
            arguments,
            caller,
        } => {
            let request = TestPolicyRequest {
                server,
                tool,
                arguments_json: arguments.unwrap_or_default(),
                caller,
            };
            test(context, request).await
        }
    }
}

async fn list(context: &Context, server: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let request = ListPoliciesRequest { server };
    let reply = client.policy().list_policies(request).await?;
    let rules = reply.into_inner().rules;
    if context.printer.is_json() {
        let views: Vec<_> = rules.iter().map(PolicyView::from).collect();
        return context.printer.json(&views);
    }
    let mut table = Table::new(["SERVER", "TOOL", "EFFECT"]);
    for rule in &rules {
        table.row([
            rule.server.as_str().into(),
            some(&rule.tool).unwrap_or("(default)").into(),
            rule.effect.as_str().into(),
        ]);
    }
    context.printer.table(&table)
}

async fn set(context: &Context, args: SetArgs) -> Result<(), Failure> {
    let rule = PolicyRule {
        server: args.server,
        tool: args.tool.unwrap_or_default(),
        effect: args.effect.as_str().to_owned(),
    };
    let client = context.connect().await?;
    let request = SetPolicyRequest {
        rule: Some(rule.clone()),
    };
    client.policy().set_policy(request).await?;
    let said = format!("{}: {}", subject(&rule.server, &rule.tool), rule.effect);
    context.printer.done(&PolicyView::from(&rule), &said)
}

async fn unset(context: &Context, server: String, tool: Option<String>) -> Result<(), Failure> {
    let client = context.connect().await?;
    let request = UnsetPolicyRequest {
        server: server.clone(),
        tool: tool.clone().unwrap_or_default(),
    };
    client.policy().unset_policy(request).await?;
    let unset = Unset {
        server: &server,
        tool: tool.as_deref(),
    };
    let said = match &tool {
        Some(tool) => format!("the rule for {tool} of {server} is gone"),
        None => format!("{}: ask", subject(&server, "")),
    };
    context.printer.done(&unset, &said)
}

async fn test(context: &Context, request: TestPolicyRequest) -> Result<(), Failure> {
    let client = context.connect().await?;
    let asked = request.clone();
    let reply = client.policy().test_policy(request).await?.into_inner();
    if context.printer.is_json() {
        return context.printer.json(&Tested {
            server: &asked.server,
            tool: &asked.tool,
            effect: &reply.effect,
            explanation: &reply.explanation,
        });
    }
    // It names the effect itself.
    context.printer.line(&reply.explanation)
}

fn subject(server: &str, tool: &str) -> String {
    match some(tool) {
        Some(tool) => format!("{tool} of {server}"),
        None => format!("all other tools of {server}"),
    }
}
