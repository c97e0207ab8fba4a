//! Watching without a terminal: a line, or a JSON object, for each change.

use mcpbridge_proto::v1::Approval;
use serde::Serialize;
use tokio::sync::mpsc;

use super::feed::Update;
use crate::commands::approvals::describe::{caller_in_words, state_in_words, state_style};
use crate::commands::approvals::list::beginning;
use crate::commands::approvals::view::ApprovalView;
use crate::context::Context;
use crate::error::Failure;
use crate::output::line::Line;
use crate::output::style::Style;
use crate::output::time::{now, rfc3339};

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventView<'a> {
    Snapshot { approvals: Vec<ApprovalView<'a>> },
    Changed { approval: Box<ApprovalView<'a>> },
    Disconnected { message: &'a str },
}

pub async fn run(context: &Context, mut feed: mpsc::Receiver<Update>) -> Result<(), Failure> {
    while let Some(update) = feed.recv().await {
        if let Update::Failed(failure) = update {
            return Err(failure);
        }
        if context.printer.is_json() {
            print_event(context, &update)?;
        } else {
            print_lines(context, &update)?;
        }
    }
    Ok(())
}

fn print_event(context: &Context, update: &Update) -> Result<(), Failure> {
    let event = match update {
        Update::Snapshot(approvals) => EventView::Snapshot {
            approvals: approvals.iter().map(ApprovalView::from).collect(),
        },
        Update::Changed(approval) => EventView::Changed {
            approval: Box::new(ApprovalView::from(&**approval)),
        },
        Update::Lost(message) => EventView::Disconnected { message },
        Update::Connected(_) | Update::Failed(_) => return Ok(()),
    };
    context.printer.event(&event)
}

fn print_lines(context: &Context, update: &Update) -> Result<(), Failure> {
    let lines = match update {
        Update::Snapshot(approvals) => approvals.iter().map(line).collect(),
        Update::Changed(approval) => vec![line(approval)],
        Update::Lost(message) => {
            context.printer.warn(&format!("{message}; trying again"));
            return Ok(());
        }
        Update::Connected(_) | Update::Failed(_) => return Ok(()),
    };
    context.printer.lines(&lines)
}

fn line(approval: &Approval) -> Line {
    let at = rfc3339(now()).unwrap_or_default();
    let caller = approval.caller.as_ref().map(caller_in_words);
    let by = match &approval.decision {
        Some(decision) => format!("decided by {}", decision.by),
        None => format!("asked by {}", caller.unwrap_or_default()),
    };
    let state = state_in_words(&approval.state);
    Line::new()
        .text(&format!("{at} {} ", approval.id))
        .with(state, state_style(&approval.state))
        .text("  ")
        .with(&approval.tool, Style::Bold)
        .text(&format!(" of {}  ", approval.server))
        .text(&beginning(&approval.arguments))
        .text("  ")
        .text(&by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_harmless_line() {
        let approval = Approval {
            id: "abcdefghijkl".to_owned(),
            state: "pending".to_owned(),
            server: "s".to_owned(),
            tool: "t\x1b]0;x\n\u{202e}".to_owned(),
            arguments: "{ \"a\": 1 }".to_owned(),
            ..Approval::default()
        };
        let line = line(&approval).painted(false);
        assert!(!line.contains(['\x1b', '\n', '\u{202e}']), "{line:?}");
        assert!(line.contains("abcdefghijkl pending  t"), "{line}");
        assert!(line.contains("of s  {\"a\":1}  asked by"), "{line}");
    }

    #[test]
    fn an_event_is_one_line_of_json_whatever_the_arguments_look_like() {
        let approval = Approval {
            arguments: "{\n\"a\":\r\n1.50}".to_owned(),
            ..Approval::default()
        };
        let event = EventView::Changed {
            approval: Box::new(ApprovalView::from(&approval)),
        };
        let json = serde_json::to_string(&event).unwrap();
        assert!(
            json.starts_with(r#"{"event":"changed","approval":{"id":"#),
            "{json}"
        );
        assert!(json.contains(r#""arguments":{"a":1.50}"#), "{json}");
        assert!(!json.contains('\n'));
    }
}
