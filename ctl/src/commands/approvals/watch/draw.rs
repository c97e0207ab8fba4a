//! The screen as lines.

use std::collections::HashSet;

use mcpbridge_proto::v1::Approval;
use mcpbridge_proto::visible_line;

use super::model::{Mode, Model};
use crate::commands::approvals::describe::{
    Extent, caller_in_words, describe, state_in_words, state_style,
};
use crate::output::json;
use crate::output::line::Line;
use crate::output::style::Style;
use crate::output::text;
use crate::output::time::left;

const KEYS: &str = "a approve  d deny  A always  t for a while  e edit  i all  ? help  q quit";

/// Rows for a word to the person.
const NOTE_LINES: usize = 3;

const HELP: &str = "\
a          approve this call, once
A          approve the tool for always: with any arguments, or with these
t          approve the tool for this caller for a while
d          deny it, with a reason that the model reads
e          edit the arguments, look at them again, then approve

j k ↑ ↓    another call
space b    further down, and up again
i          show everything: long texts, the tool's definition
q Ctrl-C   end; calls go on waiting

The first answer counts, wherever it is given: here, by another command, on
the page, or in the client. What is decided stays on the screen until you
move on. A call that nobody decides about expires, which is a denial.";

/// Exactly `height` lines of at most `width` columns.
pub fn frame(model: &mut Model, width: usize, height: usize) -> Vec<Line> {
    let mut lines = vec![head(model, width)];
    let foot = foot(model, width);
    let body = height.saturating_sub(1 + foot.len());
    if matches!(model.mode, Mode::Help) {
        lines.push(Line::new());
        lines.extend(
            HELP.lines()
                .map(|line| Line::indented(2).text(line).cut(width)),
        );
    } else if model.items.is_empty() {
        lines.push(Line::new());
        lines.extend(nothing(width));
    } else {
        let rows = model.items.len().min((body / 3).max(1));
        lines.extend(list(model, rows, width));
        details(model, body.saturating_sub(rows), width, &mut lines);
    }
    lines.truncate(1 + body);
    lines.resize(1 + body, Line::new());
    lines.extend(foot);
    lines.truncate(height);
    lines
}

fn head(model: &Model, width: usize) -> Line {
    let line = Line::new().with("approvals", Style::Bold).text("  ");
    let line = match model.pending() {
        0 => line.text("nothing waits"),
        1 => line.with("1 call waits", Style::Warning),
        count => line.with(&format!("{count} calls wait"), Style::Warning),
    };
    if model.connected {
        return line.cut(width);
    }
    let lost = "the daemon cannot be reached; trying again";
    line.text("  ").with(lost, Style::Bad).cut(width)
}

fn nothing(width: usize) -> Vec<Line> {
    let said = "No call waits for a decision. One that policy does not decide appears here as soon \
                as a client makes it; `mcpbridgectl policy list` shows what policy decides.";
    text::wrap(said, width.saturating_sub(4))
        .lines()
        .map(|line| Line::indented(2).text(line))
        .collect()
}

/// `rows` of the items, with the selected one among them.
fn list(model: &Model, rows: usize, width: usize) -> Vec<Line> {
    let first = (model.selected + 1).saturating_sub(rows);
    let shown = model.items.iter().enumerate().skip(first).take(rows);
    shown
        .map(|(at, item)| row(item, at == model.selected, width))
        .collect()
}

fn row(item: &Approval, selected: bool, width: usize) -> Line {
    let (mark, style) = match selected {
        true => ("› ", Style::Bold),
        false => ("  ", Style::Plain),
    };
    let caller = item.caller.as_ref().map(caller_in_words);
    let (end, end_style) = match item.state.as_str() {
        "pending" => (left(item.expires_at), Style::Plain),
        state => (state_in_words(state).to_owned(), state_style(state)),
    };
    let end_at = width.saturating_sub(end.chars().count());
    let half = width / 2 - width / 10;
    Line::new()
        .text(mark)
        .with(&item.tool, style)
        .text(" of ")
        .with(&item.server, style)
        .cut(half)
        .column(half + 1)
        .text(&caller.unwrap_or_default())
        .cut(end_at.saturating_sub(2))
        .column(end_at)
        .with(&end, end_style)
}

fn details(model: &mut Model, height: usize, width: usize, lines: &mut Vec<Line>) {
    let Some(item) = model.current() else { return };
    let mut all = match &model.mode {
        Mode::Edited(arguments) => edited(item, arguments),
        _ => describe(item, model.extent),
    };
    if model.extent == Extent::Folded && !matches!(model.mode, Mode::Edited(_)) {
        // The list shows it.
        all.remove(0);
    }
    let all: Vec<Line> = all.iter().flat_map(|line| line.wrapped(width)).collect();
    let room = height.saturating_sub(1);
    model.scroll = model.scroll.min(all.len().saturating_sub(room));
    let end = (model.scroll + room).min(all.len());
    let mut rule = String::new();
    if room < all.len() {
        let (first, count) = (model.scroll + 1, all.len());
        rule = format!("── lines {first} to {end} of {count}");
        rule.push_str(if end < count { ", space goes on " } else { " " });
    }
    let rest = width.saturating_sub(rule.chars().count());
    rule.push_str(&"─".repeat(rest));
    lines.push(Line::new().with(&rule, Style::Faint).cut(width));
    lines.extend(all.into_iter().skip(model.scroll).take(room));
}

fn edited(item: &Approval, arguments: &str) -> Vec<Line> {
    let mut lines = vec![
        Line::new()
            .text("arguments of ")
            .with(&item.tool, Style::Bold)
            .text(", as you changed them:"),
    ];
    let new = json::laid_out(arguments, false);
    let old: HashSet<String> = json::laid_out(&item.arguments, false).into_iter().collect();
    lines.extend(new.iter().map(|line| {
        let style = match old.contains(line) {
            true => Style::Plain,
            false => Style::Good,
        };
        Line::indented(2).with(line, style)
    }));
    lines
}

/// A word to the person, then what can be typed.
fn foot(model: &Model, width: usize) -> Vec<Line> {
    let mut lines = match &model.note {
        Some((said, style)) => text::wrap(&visible_line(said), width)
            .lines()
            .flat_map(|line| Line::new().with(line, *style).wrapped(width))
            .collect(),
        None => vec![Line::new()],
    };
    lines.truncate(NOTE_LINES);
    let typed = match &model.mode {
        Mode::Reason(prompt) | Mode::Length(prompt) | Mode::Pin(prompt, _) => prompt.line(width),
        Mode::Always => keys("for always: a any arguments  t these arguments only  Esc not at all"),
        Mode::Edited(_) => keys("y approve and send these  n leave them as asked for"),
        Mode::Help => keys("any key goes back"),
        Mode::Browse => keys(KEYS),
    };
    lines.push(typed.cut(width));
    lines
}

fn keys(text: &str) -> Line {
    Line::new().with(text, Style::Faint)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use mcpbridge_proto::v1::ApprovalCaller;

    use super::*;

    fn item(tool: &str) -> Approval {
        Approval {
            id: "abcdefghijkl".to_owned(),
            state: "pending".to_owned(),
            server: "stripe".to_owned(),
            tool: tool.to_owned(),
            reason: "the default of stripe is ask".to_owned(),
            arguments: r#"{"amount":1.50}"#.to_owned(),
            caller: Some(ApprovalCaller {
                text: "node (pid 7)".to_owned(),
                ..ApprovalCaller::default()
            }),
            expires_at: crate::output::time::now() + 130,
            waiting: 1,
            ..Approval::default()
        }
    }

    fn drawn(model: &mut Model, width: usize, height: usize) -> Vec<String> {
        let lines = frame(model, width, height);
        assert_eq!(lines.len(), height);
        for line in &lines {
            assert!(
                line.width() <= width,
                "{} of {width}: {line:?}",
                line.width()
            );
        }
        lines.iter().map(|line| line.painted(false)).collect()
    }

    fn model(items: Vec<Approval>) -> Model {
        let mut model = Model::new();
        model.reset(items, Instant::now());
        model
    }

    #[test]
    fn the_list_the_details_and_the_keys_are_on_one_screen() {
        let screen = drawn(&mut model(vec![item("pay")]), 80, 24);
        assert_eq!(screen[0], "approvals  1 call waits");
        assert!(screen[1].starts_with("› pay of stripe"), "{}", screen[1]);
        assert!(screen[1].ends_with("in 2 min"), "{}", screen[1]);
        assert!(screen[1].contains("node (pid 7)"), "{}", screen[1]);
        let text = screen.join("\n");
        assert!(
            text.contains("  why         the default of stripe is ask"),
            "{text}"
        );
        assert!(text.contains("    \"amount\": 1.50"), "{text}");
        assert_eq!(screen[23], KEYS);
    }

    #[test]
    fn the_keys_fit_a_terminal_of_80_columns() {
        assert!(KEYS.len() <= 80);
        assert!(HELP.lines().all(|line| line.chars().count() <= 78));
    }

    #[test]
    fn no_size_of_the_terminal_and_no_text_breaks_the_screen() {
        let hostile = format!("東\x1b[2J\n\u{202e}{}", "y\u{301}".repeat(300));
        let mut items: Vec<_> = (0..50).map(|n| item(&format!("{n}{hostile}"))).collect();
        items[0].arguments = format!("{{\"{hostile}\":[\"{}\"]}}", "z".repeat(5_000));
        for (width, height) in [(80, 24), (20, 8), (1, 1), (5, 3), (0, 0), (300, 100)] {
            let mut model = model(items.clone());
            model.extent = Extent::Whole;
            let text = drawn(&mut model, width.max(30), height).concat();
            assert!(!text.contains(['\x1b', '\n', '\u{202e}']), "{text:?}");
            frame(&mut model, width, height);
        }
    }

    #[test]
    fn scrolling_ends_at_the_end() {
        let mut long = item("pay");
        let keys: Vec<_> = (0..200).map(|n| format!("\"k{n}\":{n}")).collect();
        long.arguments = format!("{{{}}}", keys.join(","));
        let mut model = model(vec![long]);
        model.extent = Extent::Whole;
        model.scroll = 1_000_000;
        let screen = drawn(&mut model, 80, 24).join("\n");
        assert!(screen.contains("\"k199\": 199"), "{screen}");
        assert!(
            screen.contains("── lines 19") && !screen.contains("space goes on"),
            "{screen}"
        );
    }

    #[test]
    fn a_loss_of_the_daemon_is_seen() {
        let mut model = model(Vec::new());
        model.connected = false;
        let screen = drawn(&mut model, 80, 24);
        assert!(screen[0].contains("cannot be reached"));
        assert!(screen.join("\n").contains("No call waits for a decision."));
    }
}
