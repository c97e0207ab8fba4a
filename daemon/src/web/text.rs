//! Texts and times of others, as they go into a page.

use jiff::Timestamp;
use maud::{Markup, Render, html};

use crate::types::visible::{Piece, code_point, pieces};

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

/// A moment. The script writes it in the reader's time zone.
pub(super) fn moment(at: Timestamp) -> Markup {
    let seconds = at.round(jiff::Unit::Second).unwrap_or(at);
    let text = seconds.to_string().replace('T', " ").replace('Z', " UTC");
    html! { time datetime=(seconds) { (text) } }
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
    fn a_moment_is_readable_without_a_script() {
        let at: Timestamp = "2026-11-21T12:00:00.75Z".parse().unwrap();
        assert_eq!(
            moment(at).into_string(),
            r#"<time datetime="2026-11-21T12:00:01Z">2026-11-21 12:00:01 UTC</time>"#
        );
    }
}
