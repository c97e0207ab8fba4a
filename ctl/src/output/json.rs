//! JSON text laid out for reading. Only the blanks between its parts change: numbers, escapes, the
//! order of keys and keys that occur twice stay what they are.

use std::borrow::Cow;

use mcpbridge_proto::visible::{Piece, pieces};

/// A text this long is folded.
const LONG: usize = 400;
/// What is seen of it then.
const BEGINNING: usize = 160;

/// `text` without the blanks between its parts; line breaks among them.
pub fn compact(text: &str) -> String {
    parts(text).collect()
}

/// The same value, with what would not be seen in its texts written as its escape.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => escaped.push_str(plain),
            Piece::Hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    escaped
}

/// Lines of `text`, two blanks deeper for each level; long texts are folded when `folded`.
pub fn laid_out(text: &str, folded: bool) -> Vec<String> {
    let mut layout = Layout {
        lines: Vec::new(),
        line: String::new(),
        depth: 0,
    };
    let mut parts = parts(text).peekable();
    while let Some(part) = parts.next() {
        match part {
            "{" | "[" => {
                layout.line.push_str(part);
                let empty = parts.next_if(|next| matches!(*next, "}" | "]"));
                match empty {
                    Some(end) => layout.line.push_str(end),
                    None => {
                        layout.depth += 1;
                        layout.end_line();
                    }
                }
            }
            "}" | "]" => {
                layout.depth = layout.depth.saturating_sub(1);
                layout.end_line();
                layout.line.push_str(part);
            }
            "," => {
                layout.line.push_str(part);
                layout.end_line();
            }
            ":" => layout.line.push_str(": "),
            part if folded => layout.line.push_str(&fold(part)),
            part => layout.line.push_str(part),
        }
    }
    layout.lines.push(layout.line);
    layout.lines
}

struct Layout {
    lines: Vec<String>,
    line: String,
    depth: usize,
}

impl Layout {
    fn end_line(&mut self) {
        /// Deeper than this, lines would be blanks only.
        const DEEPEST: usize = 16;
        let next = "  ".repeat(self.depth.min(DEEPEST));
        self.lines.push(std::mem::replace(&mut self.line, next));
    }
}

fn fold(part: &str) -> Cow<'_, str> {
    let count = part.chars().count();
    if count <= LONG {
        return Cow::Borrowed(part);
    }
    let beginning: String = part.chars().take(BEGINNING).collect();
    let more = count - BEGINNING;
    Cow::Owned(format!("{beginning}… ({more} more characters)"))
}

/// Marks, texts and other values, in order.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let length = match rest.bytes().next()? {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            b'"' => text_length(rest),
            _ => rest
                .find(|c: char| c.is_ascii_whitespace() || "{}[],:\"".contains(c))
                .unwrap_or(rest.len())
                .max(1),
        };
        let (part, tail) = rest.split_at(length);
        rest = tail;
        Some(part)
    })
}

/// From the first quote to the one that ends it.
fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_seen_is_escaped_and_the_value_stays() {
        let text = "{\"a\u{202e}\": [\"\u{9b}31m\\u0000é\", \"\u{e0041}\"]}";
        let safe = escaped(text);
        assert_eq!(safe, r#"{"a\u202e": ["\u009b31m\u0000é", "\udb40\udc41"]}"#);
        let [before, after] = [text, &safe].map(serde_json::from_str::<serde_json::Value>);
        assert_eq!(before.unwrap(), after.unwrap());
    }

    #[test]
    fn only_blanks_change() {
        let text = "{ \"b\":1e400,\"a\" : [true, {\"x\\\" ,y\":\"\\u202e\"},[ ] ],\r\n\"b\":{}}";
        assert_eq!(
            laid_out(text, true),
            [
                "{",
                "  \"b\": 1e400,",
                "  \"a\": [",
                "    true,",
                "    {",
                "      \"x\\\" ,y\": \"\\u202e\"",
                "    },",
                "    []",
                "  ],",
                "  \"b\": {}",
                "}"
            ]
        );
        let compacted = "{\"b\":1e400,\"a\":[true,{\"x\\\" ,y\":\"\\u202e\"},[]],\"b\":{}}";
        assert_eq!(compact(text), compacted);
    }

    #[test]
    fn a_long_text_is_folded_and_says_how_much_there_is() {
        let text = format!("{{\"body\":\"{}\"}}", "ä".repeat(1_000));
        let folded = laid_out(&text, true);
        assert!(
            folded[1].ends_with("ä… (842 more characters)"),
            "{}",
            folded[1]
        );
        assert_eq!(
            laid_out(&text, false)
                .concat()
                .replace(": ", ":")
                .replace("  ", ""),
            text
        );
    }

    #[test]
    fn what_is_no_json_is_shown_all_the_same() {
        for text in ["", "{", "\"open", "\\", "}}}}", "nonsense :[", "é"] {
            assert_eq!(compact(text), text.replace(' ', ""), "{text}");
            laid_out(text, true);
        }
        let deep = "[".repeat(100_000);
        assert!(laid_out(&deep, true).concat().len() < 100_000 * 40);
    }
}
