//! Lines with colours, whose text is safe for a terminal by construction.
//!
//! What a person decides about is shown exactly: what would not be seen, or would move what stands
//! beside it, is named and stands out.

use mcpbridge_proto::visible::{Piece, code_point, pieces};
use unicode_width::UnicodeWidthChar;

use super::style::{Style, paint};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Blanks before it.
    indent: usize,
    /// Blanks before what it is continued with, when they are more.
    hang: usize,
    spans: Vec<Span>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    text: String,
    style: Style,
}

impl Line {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn indented(indent: usize) -> Self {
        Self {
            indent,
            ..Self::default()
        }
    }

    /// More of the line; line feeds and tabs become blanks.
    #[must_use]
    pub fn with(mut self, text: &str, style: Style) -> Self {
        for piece in pieces(text) {
            match piece {
                Piece::Plain(plain) => self.push(plain.replace(['\n', '\t'], " "), style),
                Piece::Hidden(c) => self.push(format!("⟨{}⟩", code_point(c)), Style::Warning),
            }
        }
        self
    }

    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.with(text, Style::Plain)
    }

    /// Blanks up to `column`, and one at least. It is continued below what follows.
    #[must_use]
    pub fn column(mut self, column: usize) -> Self {
        let blanks = column.saturating_sub(self.width()).max(1);
        self.hang = column;
        self.push(" ".repeat(blanks), Style::Plain);
        self
    }

    pub fn width(&self) -> usize {
        let spans = self.spans.iter().map(|span| columns(&span.text));
        self.indent + spans.sum::<usize>()
    }

    /// Itself in pieces of at most `width` columns, broken at blanks where that wastes little: all of it
    /// is seen, and nothing is taken for a line of its own.
    pub fn wrapped(&self, width: usize) -> Vec<Self> {
        let [indent, hang] = [self.indent, self.hang.max(self.indent)].map(|n| n.min(width / 2));
        let full = width.saturating_sub(hang);
        let mut lines = vec![Self::indented(indent)];
        let mut room = width.saturating_sub(indent);
        for span in &self.spans {
            let mut piece = String::new();
            for word in span.text.split_inclusive(' ') {
                let length = columns(word.trim_end_matches(' '));
                let mut fits = length <= room || length > full / 2;
                for c in word.chars() {
                    let taken = c.width().unwrap_or(0);
                    let ends_line = taken > room || !fits;
                    fits = true;
                    if ends_line {
                        lines.add(&mut piece, span.style);
                        lines.push(Self::indented(hang));
                        room = full;
                        // The break is what is seen of it.
                        if c == ' ' {
                            continue;
                        }
                    }
                    room = room.saturating_sub(taken);
                    piece.push(c);
                }
            }
            lines.add(&mut piece, span.style);
        }
        lines
    }

    /// Its first `width` columns, with an ellipsis when there are more.
    #[must_use]
    pub fn cut(&self, width: usize) -> Self {
        if self.width() <= width {
            return self.clone();
        }
        let mut first = self.wrapped(width.saturating_sub(1)).swap_remove(0);
        first.push("…".to_owned(), Style::Plain);
        first
    }

    /// For the terminal.
    pub fn painted(&self, color: bool) -> String {
        let mut out = " ".repeat(self.indent);
        for span in &self.spans {
            out.push_str(&paint(&span.text, span.style, color));
        }
        out
    }

    fn push(&mut self, text: String, style: Style) {
        if !text.is_empty() {
            self.spans.push(Span { text, style });
        }
    }
}

trait Lines {
    fn add(&mut self, piece: &mut String, style: Style);
}

impl Lines for Vec<Line> {
    fn add(&mut self, piece: &mut String, style: Style) {
        if let Some(last) = self.last_mut() {
            last.push(std::mem::take(piece), style);
        }
    }
}

fn columns(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_seen_is_named_and_stands_out() {
        let line = Line::new().text("pay\u{202e}oge\x1b[2J\nx");
        assert_eq!(line.painted(false), "pay⟨U+202E⟩oge⟨U+001B⟩[2J x");
        assert!(line.painted(true).contains("\x1b[33m⟨U+202E⟩\x1b[0m"));
    }

    #[test]
    fn a_long_line_is_continued_below_its_beginning_and_nothing_is_lost() {
        let line = Line::indented(2).with("abc", Style::Bold).text("defgh");
        let wrapped: Vec<_> = line.wrapped(6).iter().map(|l| l.painted(false)).collect();
        assert_eq!(wrapped, ["  abcd", "  efgh"]);
    }

    #[test]
    fn a_line_is_broken_at_one_blank_and_long_words_anywhere() {
        let broken = |text: &str, width| {
            let lines = Line::new().text(text).wrapped(width);
            lines.iter().map(|l| l.painted(false)).collect::<Vec<_>>()
        };
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("one four", 5), ["one f", "our"]);
        assert_eq!(broken("a      b", 4), ["a   ", "  b"]);
        assert_eq!(broken("", 4), [""]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let line = Line::new().text("東京都x");
        assert_eq!(line.width(), 7);
        let wrapped: Vec<_> = line.wrapped(4).iter().map(|l| l.painted(false)).collect();
        assert_eq!(wrapped, ["東京", "都x"]);
        assert_eq!(line.cut(5).painted(false), "東京…");
    }

    #[test]
    fn columns_are_aligned() {
        let line = Line::indented(2).text("why").column(8).text("a rule");
        assert_eq!(line.painted(false), "  why   a rule");
        let long = line.text(" and more");
        let wrapped: Vec<_> = long.wrapped(16).iter().map(|l| l.painted(false)).collect();
        assert_eq!(wrapped, ["  why   a rule ", "        and more"]);
    }
}
