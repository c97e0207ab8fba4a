//! `policy`: which tool calls run.

mod conditions;
mod trial;

use clap::{Args, Subcommand, ValueEnum};
use mcpbridge_proto::Client;
use mcpbridge_proto::v1::{
    ListPoliciesRequest, ListPoliciesResponse, PolicyRule, SetPolicyOptionsRequest,
    SetPolicyRequest, UnsetPolicyRequest,
};
use serde::Serialize;

use self::conditions::Conditions;
use crate::cli::Effect;
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::pin::PinArgs;
use crate::view::{PolicyView, effect_in_words, some};

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
    Unset(UnsetArgs),
    /// Let rules go by what a server says about its tools, or not
    Trust {
        /// Name of the server
        server: String,
        #[arg(value_enum, default_value = "on")]
        switch: Switch,
        #[command(flatten)]
        pin: PinArgs,
    },
    /// Accept approvals that come through the asking client, or not
    WeakApproval {
        /// Name of the server
        server: String,
        #[arg(value_enum, default_value = "on")]
        switch: Switch,
        #[command(flatten)]
        pin: PinArgs,
    },
    /// Say what would happen to a call, and which rule decides
    Test(trial::TestArgs),
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
    #[command(flatten)]
    conditions: Conditions,
    #[command(flatten)]
    pin: PinArgs,
}

#[derive(Args)]
pub struct UnsetArgs {
    /// Name of the server
    server: String,
    /// Tool name or glob, as in the rule
    tool: Option<String>,
    #[command(flatten)]
    conditions: Conditions,
    /// The rule by its number in `policy list`, instead of tool and conditions
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["tool", "arguments", "annotations", "callers"])]
    rule: Option<u32>,
    #[command(flatten)]
    pin: PinArgs,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

#[derive(Serialize)]
struct Unset<'a> {
    server: &'a str,
    tool: Option<&'a str>,
}

#[derive(Serialize)]
struct Switched<'a> {
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_weak_approval: Option<bool>,
}

pub async fn run(context: &Context, command: PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::List { server } => list(context, server.unwrap_or_default()).await,
        PolicyCommand::Set(args) => set(context, args).await,
        PolicyCommand::Unset(args) => unset(context, args).await,
        PolicyCommand::Trust {
            server,
            switch,
            pin,
        } => {
            let trusted = Some(switch == Switch::On);
            let request = SetPolicyOptionsRequest {
                server,
                trusted,
                ..SetPolicyOptionsRequest::default()
            };
            switch_option(context, request, pin).await
        }
        PolicyCommand::WeakApproval {
            server,
            switch,
            pin,
        } => {
            let accept_weak_approval = Some(switch == Switch::On);
            let request = SetPolicyOptionsRequest {
                server,
                accept_weak_approval,
                ..SetPolicyOptionsRequest::default()
            };
            switch_option(context, request, pin).await
        }
        PolicyCommand::Test(args) => trial::run(context, args).await,
    }
}

async fn list(context: &Context, server: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let list = fetch(&client, server).await?;
    if context.printer.is_json() {
        let views: Vec<_> = list.rules.iter().map(PolicyView::from).collect();
        return context.printer.json(&views);
    }
    let mut table = Table::new(["SERVER", "RULE", "TOOL", "EFFECT"]);
    for rule in &list.rules {
        let number = match rule.number {
            0 => "-".to_owned(),
            number => number.to_string(),
        };
        table.row([
            rule.server.as_str().into(),
            number.as_str().into(),
            some(&rule.text).unwrap_or("(default)").into(),
            effect_in_words(&rule.effect).into(),
        ]);
    }
    context.printer.table(&table)?;
    for options in &list.options {
        if options.trusted {
            let said = format!(
                "{} is trusted with what it says about its tools",
                options.server
            );
            context.printer.note(&said);
        }
        if options.accept_weak_approval {
            let said = format!(
                "{} accepts approvals through the asking client",
                options.server
            );
            context.printer.note(&said);
        }
    }
    Ok(())
}

async fn fetch(client: &Client, server: String) -> Result<ListPoliciesResponse, Failure> {
    let request = ListPoliciesRequest { server };
    Ok(client.policy().list_policies(request).await?.into_inner())
}

async fn set(context: &Context, args: SetArgs) -> Result<(), Failure> {
    let rule = PolicyRule {
        server: args.server,
        tool: args.tool.unwrap_or_default(),
        effect: args.effect.as_str().to_owned(),
        conditions_json: args.conditions.json().map_err(Failure::usage)?,
        ..PolicyRule::default()
    };
    let client = context.connect().await?;
    let set = async |pin| {
        let rule = Some(rule.clone());
        client
            .policy()
            .set_policy(SetPolicyRequest { rule, pin })
            .await
    };
    args.pin.send(context, &client, set).await?;
    let said = format!(
        "{}: {}",
        subject(&rule.server, &rule.tool, &rule.conditions_json),
        effect_in_words(&rule.effect)
    );
    context.printer.done(&PolicyView::from(&rule), &said)
}

async fn unset(context: &Context, args: UnsetArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    let (tool, conditions_json) = match args.rule {
        Some(number) => {
            let list = fetch(&client, args.server.clone()).await?;
            let rule = list.rules.into_iter().find(|rule| rule.number == number);
            let rule = rule.filter(|rule| rule.number > 0).ok_or_else(|| {
                let list = context.command(&format!("policy list {}", args.server));
                Failure::new(
                    Exit::NotFound,
                    format!("{} has no rule {number}", args.server),
                )
                .hint(format!("`{list}` shows them"))
            })?;
            (rule.tool, rule.conditions_json)
        }
        None => {
            let conditions = args.conditions.json().map_err(Failure::usage)?;
            (args.tool.unwrap_or_default(), conditions)
        }
    };
    let unset = async |pin| {
        let request = UnsetPolicyRequest {
            server: args.server.clone(),
            tool: tool.clone(),
            conditions_json: conditions_json.clone(),
            pin,
        };
        client.policy().unset_policy(request).await
    };
    args.pin.send(context, &client, unset).await?;
    let unset = Unset {
        server: &args.server,
        tool: some(&tool),
    };
    let subject = subject(&args.server, &tool, &conditions_json);
    let said = match some(&tool) {
        Some(_) => format!("the rule for {subject} is gone"),
        None => format!("{subject}: {}", effect_in_words("ask")),
    };
    context.printer.done(&unset, &said)
}

async fn switch_option(
    context: &Context,
    asked: SetPolicyOptionsRequest,
    pin: PinArgs,
) -> Result<(), Failure> {
    let client = context.connect().await?;
    let switch = async |pin| {
        let request = SetPolicyOptionsRequest {
            pin,
            ..asked.clone()
        };
        client.policy().set_policy_options(request).await
    };
    pin.send(context, &client, switch).await?;
    let server = &asked.server;
    let said = match (asked.trusted, asked.accept_weak_approval) {
        (Some(true), _) => format!("rules go by what {server} says about its tools"),
        (Some(false), _) => format!("rules do not believe what {server} says about its tools"),
        (None, Some(true)) => format!("{server} accepts approvals through the asking client"),
        (None, _) => format!("{server} does not accept approvals through the asking client"),
    };
    let switched = Switched {
        server,
        trusted: asked.trusted,
        accept_weak_approval: asked.accept_weak_approval,
    };
    context.printer.done(&switched, &said)
}

fn subject(server: &str, tool: &str, conditions_json: &str) -> String {
    match (some(tool), some(conditions_json)) {
        (Some(tool), Some(conditions)) => format!("{tool} of {server} with {conditions}"),
        (Some(tool), None) => format!("{tool} of {server}"),
        (None, _) => format!("all other tools of {server}"),
    }
}
