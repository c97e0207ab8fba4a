//! `approvals list` and `approvals show`: what waits, and what was decided.

use clap::Args;
use mcpbridge_proto::Client;
use mcpbridge_proto::v1::{Approval, GetApprovalRequest, ListApprovalsRequest};

use super::describe::{Extent, caller_in_words, describe, state_in_words, state_style};
use super::view::ApprovalView;
use crate::context::Context;
use crate::error::Failure;
use crate::output::json;
use crate::output::style::Style;
use crate::output::table::{Cell, Table};
use crate::output::time::{brief, left};

/// Approvals of the history that are listed when nobody says how many.
const USUAL: u32 = 50;
/// Characters of arguments that a row has room for.
const ARGUMENTS: usize = 60;

#[derive(Args)]
pub struct ListArgs {
    /// Decided ones as well, newest first
    #[arg(long)]
    all: bool,
    /// Only those of this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Only those in this state, such as denied or outcome_unknown; repeat it for more
    #[arg(long, value_name = "STATE", conflicts_with = "all")]
    state: Vec<String>,
    /// At most so many [default: all that wait, 50 of the others]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Only those asked before this one
    #[arg(long, value_name = "ID")]
    before: Option<String>,
}

pub async fn list(context: &Context, args: ListArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    let only_live = !args.all && args.state.is_empty();
    let filtered = args.server.is_some();
    let approvals = fetch(&client, args, only_live).await?;
    if context.printer.is_json() {
        let views: Vec<_> = approvals.iter().map(ApprovalView::from).collect();
        return context.printer.json(&views);
    }
    if approvals.is_empty() {
        let history = context.command("approvals list --all");
        context.printer.note(&match (only_live, filtered) {
            (true, false) => {
                format!("nothing waits for a decision; `{history}` shows what was decided")
            }
            _ => "there are none".to_owned(),
        });
        return Ok(());
    }
    if !only_live {
        return context.printer.table(&history(&approvals));
    }
    context.printer.table(&live(&approvals))?;
    if approvals.iter().any(|approval| approval.state == "pending") {
        context.printer.note(&format!(
            "`{}` shows one in full; `{}` or `{}` decides",
            context.command("approvals show ID"),
            context.command("approve ID"),
            context.command("deny ID")
        ));
    }
    Ok(())
}

pub async fn show(context: &Context, id: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let reply = client
        .approvals()
        .get_approval(GetApprovalRequest { id })
        .await?;
    let approval = reply.into_inner().approval.unwrap_or_default();
    if context.printer.is_json() {
        return context.printer.json(&ApprovalView::from(&approval));
    }
    context.printer.lines(&describe(&approval, Extent::Whole))
}

async fn fetch(client: &Client, args: ListArgs, only_live: bool) -> Result<Vec<Approval>, Failure> {
    let mut request = ListApprovalsRequest {
        states: args.state,
        all: args.all,
        server: args.server.unwrap_or_default(),
        before: args.before.unwrap_or_default(),
        limit: 0,
    };
    let mut left = args
        .limit
        .unwrap_or(if only_live { u32::MAX } else { USUAL });
    let mut found: Vec<Approval> = Vec::new();
    // An answer holds as much as there is room for in it.
    while left > 0 {
        request.limit = left.min(100);
        let reply = client.approvals().list_approvals(request.clone()).await?;
        let page = reply.into_inner().approvals;
        let Some(last) = page.last() else { break };
        request.before.clone_from(&last.id);
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        found.extend(page);
    }
    Ok(found)
}

fn live(approvals: &[Approval]) -> Table<6> {
    let mut table = Table::new(["ID", "SERVER", "TOOL", "ARGUMENTS", "STATE", "EXPIRES"]);
    for approval in approvals {
        let expires = match approval.state.as_str() {
            "executing" => String::new(),
            _ => left(approval.expires_at),
        };
        table.row([
            approval.id.as_str().into(),
            Cell::styled(&approval.server, Style::Plain),
            Cell::styled(&approval.tool, Style::Bold),
            Cell::styled(&beginning(&approval.arguments), Style::Plain),
            state(approval),
            expires.as_str().into(),
        ]);
    }
    table
}

fn history(approvals: &[Approval]) -> Table<6> {
    let mut table = Table::new(["ID", "ASKED", "SERVER", "TOOL", "STATE", "DECIDED BY"]);
    for approval in approvals {
        let by = match (&approval.decision, &approval.caller) {
            (Some(decision), _) => decision.by.clone(),
            (None, Some(caller)) if approval.state == "pending" => {
                format!("(asked by {})", caller_in_words(caller))
            }
            _ => String::new(),
        };
        table.row([
            approval.id.as_str().into(),
            brief(approval.asked_at).as_str().into(),
            Cell::styled(&approval.server, Style::Plain),
            Cell::styled(&approval.tool, Style::Bold),
            state(approval),
            Cell::styled(&by, Style::Plain),
        ]);
    }
    table
}

fn state(approval: &Approval) -> Cell {
    let words = state_in_words(&approval.state);
    Cell::styled(words, state_style(&approval.state))
}

/// Of the arguments, for a row; the whole is a command away.
pub fn beginning(arguments: &str) -> String {
    let enough = arguments.char_indices().nth(ARGUMENTS * 4);
    let end = enough.map_or(arguments.len(), |(at, _)| at);
    let compact = json::compact(&arguments[..end]);
    let cut = compact.chars().count() > ARGUMENTS || end < arguments.len();
    let mut shown: String = compact.chars().take(ARGUMENTS).collect();
    if cut {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_harmless_line_and_the_id_is_whole() {
        let approval = Approval {
            id: "abcdefghijkl".to_owned(),
            state: "pending".to_owned(),
            server: "stripe".to_owned(),
            tool: "pay\u{202e}\n\x1b[2J".to_owned(),
            arguments: format!("{{ \"to\": \"{}\" }}", "x".repeat(10_000)),
            ..Approval::default()
        };
        let rendered = live(&[approval]).render(80, false);
        let row = rendered.lines().nth(1).unwrap();
        assert_eq!(rendered.lines().count(), 2, "{rendered}");
        assert!(row.starts_with("abcdefghijkl  stripe  pay"), "{row}");
        assert!(!row.contains(['\x1b', '\u{202e}']), "{row:?}");
        assert!(row.chars().count() <= 80, "{row}");
    }

    #[test]
    fn the_beginning_of_arguments_is_compact() {
        assert_eq!(beginning("{ \"a\" : [ 1 ] }"), r#"{"a":[1]}"#);
        let long = beginning(&format!("\"{}\"", "é".repeat(1_000)));
        assert_eq!(long.chars().count(), ARGUMENTS + 1);
        assert!(long.ends_with('…'));
    }
}
