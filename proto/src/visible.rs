//! Characters that deceive the eye, made visible.
//!
//! Servers and clients choose names, descriptions and arguments. What a person is asked to allow must
//! look like what will be sent, so nothing in it may be invisible, move the cursor, or reorder what
//! stands beside it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A run of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Looks like what it is. Line feeds and tabs are here.
    Plain(&'a str),
    /// Would not be seen, or would change how other characters are seen.
    Hidden(char),
}

/// `text` in order, split at every hidden character.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = if is_hidden(first) {
            first.len_utf8()
        } else {
            rest.find(is_hidden).unwrap_or(rest.len())
        };
        let (head, tail) = rest.split_at(length);
        rest = tail;
        Some(if is_hidden(first) {
            Piece::Hidden(first)
        } else {
            Piece::Plain(head)
        })
    })
}

/// `text` with every hidden character written as `⟨U+202E⟩`. Line feeds and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => shown.push_str(plain),
            Piece::Hidden(c) => {
                let _ = write!(shown, "⟨{}⟩", code_point(c));
            }
        }
    }
    Cow::Owned(shown)
}

/// The same on one line: line feeds and tabs become blanks.
pub fn visible_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// `U+202E`.
pub fn code_point(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' | ' ' => false,
        // The escape character among them.
        c if c.is_control() => true,
        // Every other blank there is: some have no width, all look like the plain one.
        c if c.is_whitespace() => true,
        c => is_format(c) || is_filler(c) || is_private(c),
    }
}

/// Unicode general category Cf and its like: joiners, marks of direction, tags, selectors.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Letters and signs without a picture.
fn is_filler(c: char) -> bool {
    matches!(
        c,
        '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
    )
}

/// Characters whose picture is up to the font, and those that are none.
fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_named() {
        assert_eq!(visible("pay\u{202e}oge"), "pay⟨U+202E⟩oge");
        assert_eq!(
            visible("\u{1b}[2J\r\u{9b}31m"),
            "⟨U+001B⟩[2J⟨U+000D⟩⟨U+009B⟩31m"
        );
        assert_eq!(
            visible("a\u{200b}b\u{feff}\u{e0041}"),
            "a⟨U+200B⟩b⟨U+FEFF⟩⟨U+E0041⟩"
        );
        assert_eq!(visible("a\u{a0}b\u{3164}"), "a⟨U+00A0⟩b⟨U+3164⟩");
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        let text = "naïve 東京 ✓ 🙂 {\"a\":\t1}\nline two";
        assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
        assert_eq!(visible_line("a\nb\tc"), "a b c");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_hidden_stays(text in any::<String>()) {
            let mut back = String::new();
            for piece in pieces(&text) {
                match piece {
                    Piece::Plain(plain) => {
                        prop_assert!(!plain.is_empty() && !plain.contains(is_hidden));
                        back.push_str(plain);
                    }
                    Piece::Hidden(c) => back.push(c),
                }
            }
            prop_assert_eq!(back, text.clone());
            prop_assert!(!visible(&text).contains(is_hidden));
        }
    }
}
