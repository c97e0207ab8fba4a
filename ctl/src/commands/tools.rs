//! `tools`: what a server offers, and what policy says about each.

use mcpbridge_proto::v1::{ListToolsRequest, Tool};

use crate::context::Context;
use crate::error::Failure;
use crate::output::style::Style;
use crate::output::table::{Cell, Table};
use crate::view::ToolView;

pub async fn run(context: &Context, server: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let tools = client
        .tools()
        .list_tools(ListToolsRequest {
            server: server.clone(),
        })
        .await?
        .into_inner()
        .tools;
    if context.printer.is_json() {
        let views: Vec<_> = tools.iter().map(ToolView::from).collect();
        return context.printer.json(&views);
    }
    if tools.is_empty() {
        context.printer.note(&format!("{server} offers no tools"));
        return Ok(());
    }
    context.printer.table(&table(&tools))
}

fn table(tools: &[Tool]) -> Table<3> {
    let mut table = Table::new(["TOOL", "POLICY", "DESCRIPTION"]);
    for tool in tools {
        let said = if tool.description.is_empty() {
            &tool.title
        } else {
            &tool.description
        };
        let first_line = said.trim().lines().next().unwrap_or_default();
        table.row([
            tool.name.as_str().into(),
            Cell::styled(&tool.effect, style(&tool.effect)),
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
            ..Tool::default()
        };
        assert_eq!(
            table(&[tool]).render(80, false),
            "TOOL   POLICY  DESCRIPTION\nhello  ask     Greets\u{fffd}[2J you.\n"
        );
    }
}
