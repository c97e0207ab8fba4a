//! What a notification says.

use crate::approval::Item;
use crate::types::ApprovalId;
use crate::types::visible::visible_line;

/// Of a tool's name and of a caller.
const NAME: usize = 80;
/// Arguments that a notification shows; desktops cut off what is longer.
const ARGUMENTS: usize = 240;

/// Plain text: nothing in it is markup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub id: ApprovalId,
    pub summary: String,
    pub body: String,
    /// Whether it can be answered here. Nobody approves what they do not see.
    pub answerable: bool,
}

impl Notice {
    pub(super) fn new(item: &Item, pin_is_set: bool) -> Self {
        let action = &item.action;
        let summary = format!("{} of {} waits", cut(&action.tool, NAME), action.server);
        let caller = &action.caller;
        let who = match (&caller.client, &caller.exe) {
            (Some(client), _) => client,
            (None, Some(exe)) => exe,
            (None, None) => &caller.text,
        };
        let arguments = cut(item.arguments(), ARGUMENTS);
        let whole = arguments == item.arguments();
        let show = format!("mcpbridgectl approvals show {}", item.id);
        let hint = if let Some(change) = &action.change {
            let what = cut(&change.severity, NAME);
            Some(format!(
                "The tool is not what was approved ({what}): {show}"
            ))
        } else if pin_is_set {
            Some(format!(
                "It needs the PIN: mcpbridgectl approve {}",
                item.id
            ))
        } else if item.earlier.is_some() {
            Some(format!("The same call was made before: {show}"))
        } else if !whole {
            Some(format!("It cannot all be shown here: {show}"))
        } else {
            None
        };
        let mut body = format!("Asked by {}\n{arguments}", cut(who, NAME));
        if let Some(hint) = &hint {
            body.push('\n');
            body.push_str(hint);
        }
        Self {
            id: item.id,
            summary,
            body,
            answerable: hint.is_none(),
        }
    }
}

/// On one line, with what would not be seen named.
fn cut(text: &str, limit: usize) -> String {
    let beginning: String = text.chars().take(limit + 1).collect();
    let shown = visible_line(&beginning);
    if shown.chars().count() <= limit {
        return shown;
    }
    let mut shown: String = shown.chars().take(limit - 1).collect();
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::approval::{Action, CallerView, ChangeView, State};
    use crate::types::Digest;

    fn item(change: impl FnOnce(&mut Action)) -> Item {
        let mut action = Action {
            caller: CallerView {
                exe: Some("/usr/bin/node".to_owned()),
                ..CallerView::default()
            },
            server: "stripe".parse().unwrap(),
            address: "https://mcp.stripe.com".to_owned(),
            tool: "pay".to_owned(),
            tool_digest: None,
            tool_definition: None,
            change: None,
            arguments: r#"{"amount":5}"#.to_owned(),
            argument_digest: Digest::of(b""),
            policy_version: Digest::of(b""),
            reason: "the default".to_owned(),
            editable: true,
            accepts_weak: false,
            keep_arguments: true,
        };
        change(&mut action);
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        Item {
            id: "abcdefghijkl".parse().unwrap(),
            action: Arc::new(action),
            state: State::Pending,
            asked_at: now,
            expires_at: now,
            patience_seconds: 900,
            decision: None,
            edited: None,
            runs: 0,
            input_run: None,
            started_at: None,
            ended_at: None,
            outcome: None,
            earlier: None,
        }
    }

    #[test]
    fn it_says_who_asks_for_what() {
        let notice = Notice::new(&item(|_| ()), false);
        assert_eq!(notice.summary, "pay of stripe waits");
        assert_eq!(notice.body, "Asked by /usr/bin/node\n{\"amount\":5}");
        assert!(notice.answerable);
    }

    #[test]
    fn what_does_not_fit_or_needs_more_is_not_answered_here() {
        let answerable = |change: fn(&mut Action), pin| {
            let notice = Notice::new(&item(change), pin);
            assert!(
                notice.answerable || notice.body.contains("abcdefghijkl"),
                "{notice:?}"
            );
            notice.answerable
        };
        assert!(answerable(|_| (), false));
        assert!(!answerable(|_| (), true));
        assert!(!answerable(
            |action| action.arguments = format!("{{\"a\":\"{}\"}}", "x".repeat(500)),
            false
        ));
        assert!(!answerable(
            |action| action.arguments = "{\"a\":\"\u{202e}\"}".to_owned(),
            false
        ));
        let changed = |action: &mut Action| {
            action.change = Some(ChangeView {
                severity: "schema".to_owned(),
                diff: String::new(),
            });
        };
        assert!(!answerable(changed, false));
        let mut again = item(|_| ());
        again.earlier = Some("bbbbbbbbbbbb".parse().unwrap());
        assert!(!Notice::new(&again, false).answerable);
    }

    #[test]
    fn text_of_others_is_short_and_on_its_own_line() {
        let notice = Notice::new(
            &item(|action| {
                action.tool = "a\nb\u{202e}\x1b".repeat(1_000);
                action.caller.exe = Some("c\nAsked by you".repeat(1_000));
                action.arguments = "\n".repeat(10_000);
            }),
            false,
        );
        assert!(notice.summary.chars().count() < 120 && !notice.summary.contains('\n'));
        assert!(!notice.summary.contains(['\u{202e}', '\x1b']));
        assert_eq!(notice.body.lines().count(), 3, "{}", notice.body);
    }
}
