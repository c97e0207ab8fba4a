//! One held call, for the person who decides: who asks, why, what changed, and exactly what would be
//! sent. Nothing is kept from them, and nothing in it can pass for something else.

use mcpbridge_proto::v1::remember::Remember as Asked;
use mcpbridge_proto::v1::{Approval, ApprovalCaller, Decision, Remember, ToolChange};
use serde::Deserialize;

use crate::output::json;
use crate::output::line::Line;
use crate::output::style::Style;
use crate::output::time::for_people;
use crate::view::some;

/// Where the values of facts begin.
const VALUES: usize = 14;
/// What is shown of a folded difference or definition.
const FOLDED_LINES: usize = 30;

/// How much of what is long is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Folded,
    /// Everything, the definition of the tool as well.
    Whole,
}

pub fn describe(approval: &Approval, extent: Extent) -> Vec<Line> {
    let mut lines = vec![heading(approval)];
    facts(approval, &mut lines);
    if approval.state == "outcome_unknown" {
        let warning = "whether it has run is not known; it is not sent again on its own";
        lines.push(Line::indented(2).with(warning, Style::Warning));
    }
    if let Some(earlier) = some(&approval.earlier) {
        let warning = format!(
            "the same call was made before ({earlier}) and runs still, or what became of it is not \
             known: approving this may do it twice"
        );
        lines.push(Line::indented(2).with(&warning, Style::Warning));
    }
    if let Some(change) = &approval.change {
        changed(change, extent, &mut lines);
    }
    sent(approval, extent, &mut lines);
    if extent == Extent::Whole && !approval.tool_definition.is_empty() {
        block(
            "definition of the tool",
            &approval.tool_definition,
            extent,
            &mut lines,
        );
    }
    lines
}

/// The tool, its server and the state.
pub fn heading(approval: &Approval) -> Line {
    let mut line = Line::new().with(&approval.tool, Style::Bold);
    if let Some(title) = title(approval) {
        line = line.text(" “").text(&title).text("”");
    }
    line.text(" of ")
        .with(&approval.server, Style::Bold)
        .text("  ")
        .with(
            state_in_words(&approval.state),
            state_style(&approval.state),
        )
}

pub fn state_in_words(state: &str) -> &str {
    match state {
        "executing" => "running",
        "outcome_unknown" => "outcome unknown",
        other => other,
    }
}

pub fn state_style(state: &str) -> Style {
    match state {
        "pending" | "outcome_unknown" => Style::Warning,
        "approved" | "executing" | "done" => Style::Good,
        "denied" | "failed" => Style::Bad,
        _ => Style::Plain,
    }
}

/// Who asks, in a few words; the whole is among the facts.
pub fn caller_in_words(caller: &ApprovalCaller) -> String {
    if let Some(client) = some(&caller.client) {
        return format!("client {client}");
    }
    let program = caller.exe.rsplit(['/', '\\']).next().and_then(some);
    match (program, caller.pid) {
        (Some(program), Some(pid)) => format!("{program} (pid {pid})"),
        (Some(program), None) => program.to_owned(),
        (None, _) => caller.text.clone(),
    }
}

fn facts(approval: &Approval, lines: &mut Vec<Line>) {
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            let line = Line::indented(2).with(name, Style::Faint);
            lines.push(line.column(VALUES).text(value));
        }
    };
    fact("id", &approval.id);
    if let Some(caller) = &approval.caller {
        fact("caller", &process(caller));
        if let Some(client) = some(&caller.client) {
            fact("client", &format!("{client}, by its token"));
        }
        fact("says it is", &caller.client_info);
    }
    fact("why", &approval.reason);
    fact("server", &approval.address);
    fact("asked", &for_people(approval.asked_at).unwrap_or_default());
    if matches!(approval.state.as_str(), "pending" | "approved") {
        let expires = for_people(approval.expires_at).unwrap_or_default();
        fact("expires", &expires);
        fact("waiting", &waiting(approval.waiting));
    }
    if let Some(decision) = &approval.decision {
        let verdict = if decision.approved {
            "approved"
        } else {
            "denied"
        };
        fact(verdict, &decided(decision));
        fact("reason", &decision.reason);
    }
    fact("ended", &for_people(approval.ended_at).unwrap_or_default());
    fact("outcome", &approval.outcome);
}

fn process(caller: &ApprovalCaller) -> String {
    let mut text = match some(&caller.exe) {
        Some(exe) => exe.to_owned(),
        None => caller.text.clone(),
    };
    if let (Some(_), Some(pid)) = (some(&caller.exe), caller.pid) {
        text.push_str(&format!(" (pid {pid})"));
    }
    if let Some(cwd) = some(&caller.cwd) {
        text.push_str(&format!(" in {cwd}"));
    }
    text
}

fn waiting(count: u32) -> String {
    match count {
        0 => "nobody at this moment; approved, it runs when it is called again".to_owned(),
        1 => "1 call".to_owned(),
        more => format!("{more} calls"),
    }
}

fn decided(decision: &Decision) -> String {
    let at = for_people(decision.at).unwrap_or_default();
    let mut text = format!("by {} at {at}", decision.by);
    if decision.approved {
        text.push_str(", ");
        text.push_str(&remember_in_words(decision.remember.as_ref()));
    }
    if let Some(grant) = some(&decision.grant) {
        text.push_str(&format!(", by the permission {grant}"));
    }
    text
}

/// For how many calls an approval counts.
pub fn remember_in_words(remember: Option<&Remember>) -> String {
    match remember.and_then(|remember| remember.remember.as_ref()) {
        None => "for this call".to_owned(),
        Some(Asked::ForSeconds(seconds)) => {
            let length = length_in_words(*seconds);
            format!("for {length}: all calls of this tool by this caller")
        }
        Some(Asked::Always(always)) if always.these_arguments => {
            "always, with these arguments".to_owned()
        }
        Some(Asked::Always(_)) => "always, until the tool changes".to_owned(),
    }
}

fn length_in_words(seconds: u32) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s % 3_600 == 0 => format!("{} h", s / 3_600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

fn changed(change: &ToolChange, extent: Extent, lines: &mut Vec<Line>) {
    let what = match change.severity.as_str() {
        "new" => "the tool is new; nobody has approved its definition:".to_owned(),
        severity => format!("the tool has changed since it was approved ({severity}):"),
    };
    lines.push(Line::new());
    lines.push(Line::new().with(&what, Style::Warning));
    let difference = change.diff.lines().map(|line| {
        let style = match line.as_bytes().first() {
            Some(b'+') => Style::Good,
            Some(b'-') => Style::Bad,
            _ => Style::Plain,
        };
        Line::indented(2).with(line, style)
    });
    fold(difference.collect(), extent, lines);
}

fn sent(approval: &Approval, extent: Extent, lines: &mut Vec<Line>) {
    if approval.arguments.is_empty() {
        let digest = format!("not kept; their digest is {}", approval.argument_digest);
        lines.push(Line::new());
        lines.push(Line::new().text("arguments: ").text(&digest));
        return;
    }
    if approval.asked_arguments.is_empty() {
        block("arguments", &approval.arguments, extent, lines);
    } else {
        block("arguments, as changed", &approval.arguments, extent, lines);
        block(
            "arguments, as asked for",
            &approval.asked_arguments,
            extent,
            lines,
        );
    }
}

fn block(title: &str, text: &str, extent: Extent, lines: &mut Vec<Line>) {
    lines.push(Line::new());
    lines.push(Line::new().text(title).text(":"));
    let laid_out = json::laid_out(text, extent == Extent::Folded);
    let laid_out = laid_out.iter().map(|line| Line::indented(2).text(line));
    fold(laid_out.collect(), extent, lines);
}

fn fold(mut block: Vec<Line>, extent: Extent, lines: &mut Vec<Line>) {
    let hidden = block.len().saturating_sub(FOLDED_LINES);
    if extent == Extent::Folded && hidden > 1 {
        block.truncate(FOLDED_LINES);
        let more = format!("… {hidden} more lines");
        block.push(Line::indented(2).with(&more, Style::Warning));
    }
    lines.extend(block);
}

fn title(approval: &Approval) -> Option<String> {
    #[derive(Deserialize)]
    struct Titled {
        title: Option<String>,
    }
    let definition: Titled = serde_json::from_str(&approval.tool_definition).ok()?;
    let title = definition.title?;
    (title != approval.tool).then(|| title.chars().take(100).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(approval: &Approval, extent: Extent) -> String {
        let lines = describe(approval, extent);
        let lines: Vec<_> = lines.iter().map(|line| line.painted(false)).collect();
        lines.join("\n")
    }

    fn asked() -> Approval {
        Approval {
            id: "abcdefghijkl".to_owned(),
            state: "pending".to_owned(),
            server: "stripe".to_owned(),
            tool: "pay".to_owned(),
            address: "https://mcp.stripe.com".to_owned(),
            arguments: r#"{"to":"eve","amount":1.50}"#.to_owned(),
            tool_definition: r#"{"name":"pay","title":"Pay somebody"}"#.to_owned(),
            reason: "the default of stripe is ask".to_owned(),
            caller: Some(ApprovalCaller {
                text: "node (pid 7)".to_owned(),
                pid: Some(7),
                exe: "/usr/bin/node".to_owned(),
                cwd: "/home/ada".to_owned(),
                client: "ci".to_owned(),
                client_info: "claude-code 2.1".to_owned(),
                ..ApprovalCaller::default()
            }),
            waiting: 1,
            ..Approval::default()
        }
    }

    #[test]
    fn everything_that_matters_is_shown() {
        assert_eq!(
            shown(&asked(), Extent::Folded),
            "pay “Pay somebody” of stripe  pending\n\
             \x20 id          abcdefghijkl\n\
             \x20 caller      /usr/bin/node (pid 7) in /home/ada\n\
             \x20 client      ci, by its token\n\
             \x20 says it is  claude-code 2.1\n\
             \x20 why         the default of stripe is ask\n\
             \x20 server      https://mcp.stripe.com\n\
             \x20 waiting     1 call\n\
             \n\
             arguments:\n\
             \x20 {\n\
             \x20   \"to\": \"eve\",\n\
             \x20   \"amount\": 1.50\n\
             \x20 }"
        );
    }

    #[test]
    fn nobody_can_write_on_the_screen_or_add_lines_to_it() {
        let evil = "x\x1b[2J\n  why  approved by the owner\u{202e}";
        let mut approval = asked();
        let lines = shown(&approval, Extent::Whole).lines().count();
        approval.tool = evil.to_owned();
        approval.reason = evil.to_owned();
        approval.tool_definition = serde_json::json!({ "name": "pay", "title": evil }).to_string();
        if let Some(caller) = &mut approval.caller {
            for text in [&mut caller.exe, &mut caller.cwd, &mut caller.client_info] {
                *text = evil.to_owned();
            }
        }
        approval.arguments = "{\"to\":\"\u{202e}eve\u{200b}\",\"amount\":1.50}".to_owned();
        let shown = shown(&approval, Extent::Whole);
        assert!(
            !shown.contains(['\x1b', '\u{202e}', '\u{200b}']),
            "{shown:?}"
        );
        assert_eq!(shown.lines().count(), lines, "{shown}");
        assert!(shown.contains("\"to\": \"⟨U+202E⟩eve⟨U+200B⟩\""), "{shown}");
    }

    #[test]
    fn what_is_long_is_folded_until_all_of_it_is_wanted() {
        let mut approval = asked();
        let keys: Vec<_> = (0..100).map(|n| format!("\"k{n}\":{n}")).collect();
        approval.arguments = format!("{{{}}}", keys.join(","));
        approval.change = Some(ToolChange {
            severity: "schema".to_owned(),
            diff: "- a\n".repeat(100),
        });
        let folded = shown(&approval, Extent::Folded);
        assert!(folded.contains("… 72 more lines") && folded.contains("… 70 more lines"));
        let whole = shown(&approval, Extent::Whole);
        assert!(whole.contains("\"k99\": 99") && whole.matches("- a").count() == 100);
    }

    #[test]
    fn a_decision_is_told_with_its_origin_and_its_length() {
        let mut approval = asked();
        approval.state = "done".to_owned();
        approval.decision = Some(Decision {
            approved: true,
            by: "the web page (session 4f2a)".to_owned(),
            at: 1_700_000_000,
            remember: Some(Remember {
                remember: Some(Asked::ForSeconds(600)),
            }),
            ..Decision::default()
        });
        let shown = shown(&approval, Extent::Folded);
        assert!(
            shown.contains("approved    by the web page (session 4f2a) at 2023-11-14T22:13:20Z"),
            "{shown}"
        );
        assert!(
            shown.contains("for 10 min: all calls of this tool by this caller"),
            "{shown}"
        );
    }
}
