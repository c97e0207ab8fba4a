//! `tools`: what a server offers, what policy says about each, and what changed since a person
//! approved it.

use clap::Args;
use mcpbridge_proto::v1::{
    ApproveChangesRequest, DefinitionChange, DefinitionRef, ListChangesRequest, ListToolsRequest,
    Tool,
};
use mcpbridge_proto::{Client, visible_line};
use serde::Serialize;

use crate::commands::status::waiting;
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::style::Style;
use crate::output::table::{Cell, Table};
use crate::output::time;
use crate::pin::PinArgs;
use crate::view::{ChangeView, ToolView, effect_in_words, some};

#[derive(Args)]
pub struct ToolsArgs {
    /// Name of the server
    name: String,
    /// Show what changed about its tools and instructions since they were approved
    #[arg(long, conflicts_with = "approve")]
    changes: bool,
    /// Rely on these tools as they are now; without TOOL it shows all changes and asks
    #[arg(long, value_name = "TOOL", num_args = 0..)]
    approve: Option<Vec<String>>,
    /// With --approve: everything that changed
    #[arg(long, requires = "approve")]
    all: bool,
    /// With --approve: the server's instructions
    #[arg(long, requires = "approve")]
    instructions: bool,
    #[command(flatten)]
    pin: PinArgs,
}

#[derive(Serialize)]
struct Approved<'a> {
    server: &'a str,
    approved: Vec<ApprovedView<'a>>,
}

#[derive(Serialize)]
struct ApprovedView<'a> {
    /// None for the instructions.
    tool: Option<&'a str>,
    digest: &'a str,
}

pub async fn run(context: &Context, args: ToolsArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    match &args.approve {
        Some(tools) => approve(context, &client, &args, tools).await,
        None if args.changes => show_changes(context, &client, &args.name).await,
        None => list(context, &client, args.name).await,
    }
}

async fn list(context: &Context, client: &Client, server: String) -> Result<(), Failure> {
    let request = ListToolsRequest {
        server: server.clone(),
    };
    let tools = client.tools().list_tools(request).await?.into_inner().tools;
    if context.printer.is_json() {
        let views: Vec<_> = tools.iter().map(ToolView::from).collect();
        return context.printer.json(&views);
    }
    if tools.is_empty() {
        context.printer.note(&format!("{server} offers no tools"));
        return Ok(());
    }
    context.printer.table(&table(&tools))?;
    let held = tools.iter().filter(|tool| is_held(tool)).count();
    if held > 0 {
        let command = context.command(&format!("tools {server} --changes"));
        let said = waiting(held);
        context
            .printer
            .note(&format!("{said}: `{command}` shows what changed"));
    }
    Ok(())
}

async fn show_changes(context: &Context, client: &Client, server: &str) -> Result<(), Failure> {
    let changes = changes(client, server).await?;
    if context.printer.is_json() {
        let views: Vec<_> = changes.iter().map(ChangeView::from).collect();
        return context.printer.json(&views);
    }
    if changes.is_empty() {
        let said = format!("nothing changed about the tools of {server}");
        context.printer.note(&said);
        return Ok(());
    }
    context.printer.data(&describe(&changes))?;
    let approve = context.command(&format!("tools {server} --approve"));
    context.printer.note(&format!(
        "{}: `{approve} TOOL` approves one, `{approve} --all` everything",
        waiting(changes.len())
    ));
    Ok(())
}

async fn approve(
    context: &Context,
    client: &Client,
    args: &ToolsArgs,
    tools: &[String],
) -> Result<(), Failure> {
    let changes = changes(client, &args.name).await?;
    let wanted = if tools.is_empty() && !args.all && !args.instructions {
        ask(context, &args.name, &changes)?
    } else {
        chosen(context, args, tools, &changes)?
    };
    let definitions: Vec<DefinitionRef> = wanted
        .iter()
        .filter_map(|change| change.definition.clone())
        .collect();
    if !definitions.is_empty() {
        let approve = async |pin| {
            let request = ApproveChangesRequest {
                server: args.name.clone(),
                definitions: definitions.clone(),
                pin,
            };
            client.tools().approve_changes(request).await
        };
        args.pin.send(context, client, approve).await?;
    }
    let said: Vec<_> = wanted.iter().map(|change| subject(change)).collect();
    let said = match said.as_slice() {
        [] => "nothing was approved".to_owned(),
        said => format!("approved {} of {}", said.join(", "), args.name),
    };
    let approved = Approved {
        server: &args.name,
        approved: definitions
            .iter()
            .map(|definition| ApprovedView {
                tool: some(&definition.tool),
                digest: &definition.digest,
            })
            .collect(),
    };
    context.printer.done(&approved, &said)
}

/// Shows everything, and takes all of it or nothing.
fn ask<'a>(
    context: &Context,
    server: &str,
    changes: &'a [DefinitionChange],
) -> Result<Vec<&'a DefinitionChange>, Failure> {
    let approvable: Vec<_> = changes
        .iter()
        .filter(|change| is_approvable(change))
        .collect();
    if approvable.is_empty() {
        return Ok(approvable);
    }
    if context.printer.can_ask() {
        context.printer.for_question(&describe(changes))?;
    }
    let question = match approvable.len() {
        1 => "approve this change?".to_owned(),
        count => format!("approve these {count} changes?"),
    };
    let answer = context
        .printer
        .confirm(&question)
        .map_err(|error| Failure::local("cannot ask", &error))?;
    match answer {
        Some(true) => Ok(approvable),
        Some(false) => Ok(Vec::new()),
        None => Err(
            Failure::usage("cannot ask what to approve without a terminal").hint(format!(
                "name the tools, or approve everything: `{}`",
                context.command(&format!("tools {server} --approve --all"))
            )),
        ),
    }
}

/// What the command names. A name for which nothing waits is a mistake.
fn chosen<'a>(
    context: &Context,
    args: &ToolsArgs,
    tools: &[String],
    changes: &'a [DefinitionChange],
) -> Result<Vec<&'a DefinitionChange>, Failure> {
    let find = |tool: &str| changes.iter().find(|change| name(change) == tool);
    for tool in tools {
        if tool.is_empty() || find(tool).is_none() {
            let message = format!("no change of the tool {tool:?} of {} waits", args.name);
            return Err(Failure::new(Exit::NotFound, message).hint(format!(
                "`{}` shows what does",
                context.command(&format!("tools {} --changes", args.name))
            )));
        }
    }
    let is_chosen = |change: &&DefinitionChange| match name(change) {
        "" => args.instructions || args.all,
        tool => tools.iter().any(|chosen| chosen == tool) || (args.all && is_approvable(change)),
    };
    Ok(changes.iter().filter(is_chosen).collect())
}

async fn changes(client: &Client, server: &str) -> Result<Vec<DefinitionChange>, Failure> {
    let request = ListChangesRequest {
        server: server.to_owned(),
    };
    Ok(client
        .tools()
        .list_changes(request)
        .await?
        .into_inner()
        .changes)
}

fn name(change: &DefinitionChange) -> &str {
    let definition = change.definition.as_ref();
    definition.map_or("", |definition| &definition.tool)
}

fn subject(change: &DefinitionChange) -> String {
    match some(name(change)) {
        Some(tool) => visible_line(tool),
        None => "the instructions".to_owned(),
    }
}

fn is_held(tool: &Tool) -> bool {
    !matches!(tool.standing.as_str(), "" | "pinned")
}

fn is_approvable(change: &DefinitionChange) -> bool {
    change.standing != "unpinnable"
}

/// Safe for a terminal, a pager behind a pipe included: the words are the server's.
fn describe(changes: &[DefinitionChange]) -> String {
    let mut said = String::new();
    for change in changes {
        let what = match change.standing.as_str() {
            "new" => "is new".to_owned(),
            "unpinnable" => format!(
                "cannot be relied on, each call of it asks: {}",
                visible_line(&change.problem)
            ),
            _ if name(change).is_empty() => "changed".to_owned(),
            _ => format!("changed ({})", visible_line(&change.severity)),
        };
        said.push_str(&format!("{} {what}", subject(change)));
        if let Some(since) = time::for_people(change.since) {
            said.push_str(&format!(", since {since}"));
        }
        said.push('\n');
        for line in change.diff.split_terminator('\n') {
            said.push_str(&format!("  {}\n", visible_line(line)));
        }
        said.push('\n');
    }
    said
}

fn table(tools: &[Tool]) -> Table<4> {
    let mut table = Table::new(["TOOL", "POLICY", "STANDING", "DESCRIPTION"]);
    for tool in tools {
        let said = if tool.description.is_empty() {
            &tool.title
        } else {
            &tool.description
        };
        let first_line = said.trim().lines().next().unwrap_or_default();
        let standing = if is_held(tool) {
            Style::Warning
        } else {
            Style::Plain
        };
        table.row([
            tool.name.as_str().into(),
            Cell::styled(effect_in_words(&tool.effect), style(&tool.effect)),
            Cell::styled(&tool.standing, standing),
            first_line.into(),
        ]);
    }
    table
}

fn style(effect: &str) -> Style {
    match effect {
        "allow" => Style::Good,
        "deny" => Style::Bad,
        _ => Style::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_of_a_description_is_listed_and_it_is_harmless() {
        let tool = Tool {
            name: "hello".to_owned(),
            description: "Greets\x1b[2J you.\n\nArgs: name".to_owned(),
            effect: "ask".to_owned(),
            standing: "new".to_owned(),
            ..Tool::default()
        };
        assert_eq!(
            table(&[tool]).render(80, false),
            "TOOL   POLICY      STANDING  DESCRIPTION\n\
             hello  always ask  new       Greets⟨U+001B⟩[2J you.\n"
        );
    }

    #[test]
    fn a_change_is_shown_without_what_would_change_the_screen() {
        let change = DefinitionChange {
            definition: Some(DefinitionRef {
                tool: "a\x1b[2J".to_owned(),
                digest: String::new(),
            }),
            standing: "changed".to_owned(),
            severity: "cosmetic".to_owned(),
            diff: "  description:\n-   a\n+   b\r\u{202e}c\u{3164}\n".to_owned(),
            ..DefinitionChange::default()
        };
        assert_eq!(
            describe(&[change]),
            "a⟨U+001B⟩[2J changed (cosmetic)\n    description:\n  -   a\n\
             \x20 +   b⟨U+000D⟩⟨U+202E⟩c⟨U+3164⟩\n\n"
        );
    }
}
