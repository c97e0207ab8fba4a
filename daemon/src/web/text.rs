//! Texts and times of others, as they go into a page.

use jiff::Timestamp;
use maud::{Markup, Render, html};

use crate::types::visible::{Piece, code_point, pieces};

/// Longer texts are folded.
const LONG_TEXT: usize = 400;
const LONG_LINES: usize = 10;
/// What a summary shows of them.
const SUMMARY: usize = 100;

/// Text chosen by somebody else: markup is escaped, and what cannot be seen is named.
pub(super) struct Shown<'a>(pub &'a str);

impl Render for Shown<'_> {
    fn render(&self) -> Markup {
        html! {
            @for piece in pieces(self.0) {
                @match piece {
                    Piece::Plain(plain) => (plain),
                    Piece::Hidden(c) => {
                        span.hidden-character title="a character that would not be seen" { (code_point(c)) }
                    }
                }
            }
        }
    }
}

/// JSON of somebody else, to be edited: the same value, with what cannot be seen written as its escape.
pub(super) fn editable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for piece in pieces(json) {
        match piece {
            Piece::Plain(plain) => text.push_str(plain),
            // A blank between tokens.
            Piece::Hidden('\r') => text.push('\n'),
            Piece::Hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text
}

/// A moment. The script writes it in the reader's time zone.
pub(super) fn moment(at: Timestamp) -> Markup {
    let seconds = at.round(jiff::Unit::Second).unwrap_or(at);
    let text = seconds.to_string().replace('T', " ").replace('Z', " UTC");
    html! { time datetime=(seconds) { (text) } }
}

/// In UTC, `days` after the day that is named.
pub(super) fn midnight(day: &str, days: i64) -> Result<jiff::Timestamp, String> {
    let bad = |_| "a day is written like 2026-11-21".to_owned();
    let start: jiff::Timestamp = format!("{day}T00:00:00Z").parse().map_err(bad)?;
    let span = jiff::SignedDuration::from_hours(24 * days);
    start.checked_add(span).map_err(bad)
}

/// A text of others; folded when it is long.
pub(super) fn folded(text: &str) -> Markup {
    let lines = text.lines().count();
    if text.len() <= LONG_TEXT && lines <= LONG_LINES {
        return html! { bdi.text { (Shown(text)) } };
    }
    let first = beginning(text.lines().next().unwrap_or_default(), SUMMARY);
    html! {
        details.long {
            summary {
                bdi.text { (Shown(first)) "…" } " "
                span.hint { "(" (size(text.len())) @if lines > 1 { ", " (lines) " lines" } ")" }
            }
            pre { (Shown(text)) }
        }
    }
}

/// At most `limit` bytes of it.
pub(super) fn beginning(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

pub(super) fn size(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..10_000 => format!("{bytes} bytes"),
        10_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// A difference as text: `-` begins a line that is gone, `+` one that is new.
pub(super) fn diff(text: &str) -> Markup {
    html! {
        pre.diff tabindex="0" aria-label="Difference" {
            @for line in text.lines() {
                @match line.as_bytes().first() {
                    Some(b'+') => ins { (Shown(line)) },
                    Some(b'-') => del { (Shown(line)) },
                    _ => span { (Shown(line)) },
                }
                "\n"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_neither_markup_nor_invisible() {
        let shown = Shown("<b onclick='x'>&\u{202e}").render().into_string();
        assert!(
            shown.starts_with("&lt;b onclick='x'&gt;&amp;<span class=\"hidden-character\""),
            "{shown}"
        );
        assert!(shown.ends_with(">U+202E</span>"), "{shown}");
    }

    #[test]
    fn what_is_edited_is_seen_and_means_the_same() {
        let json = "{\r\n\"a\": \"\u{202e}x\u{9b}\u{e0041}\"}";
        let shown = editable(json);
        assert_eq!(shown, "{\n\n\"a\": \"\\u202ex\\u009b\\udb40\\udc41\"}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&shown), value(json));
    }

    #[test]
    fn a_moment_is_readable_without_a_script() {
        let at: Timestamp = "2026-11-21T12:00:00.75Z".parse().unwrap();
        assert_eq!(
            moment(at).into_string(),
            r#"<time datetime="2026-11-21T12:00:01Z">2026-11-21 12:00:01 UTC</time>"#
        );
    }
}
