//! Plain columns that fit the width they are given.

use mcpbridge_proto::visible_line;

use super::style::{Style, paint};
use super::text;

const GAP: &str = "  ";
/// No column is squeezed below this.
const NARROWEST: usize = 6;

pub struct Table<const N: usize> {
    header: [&'static str; N],
    rows: Vec<[Cell; N]>,
    ends_whole: bool,
}

/// The text of a cell, made safe for a terminal.
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub fn styled(content: &str, style: Style) -> Self {
        Self {
            text: visible_line(content),
            style,
        }
    }
}

impl From<&str> for Cell {
    fn from(content: &str) -> Self {
        Self::styled(content, Style::Plain)
    }
}

impl<const N: usize> Table<N> {
    pub fn new(header: [&'static str; N]) -> Self {
        Self {
            header,
            rows: Vec::new(),
            ends_whole: false,
        }
    }

    /// Never cuts the last column, because what it holds is seen nowhere else.
    pub fn ending_whole(mut self) -> Self {
        self.ends_whole = true;
        self
    }

    pub fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// Lines of at most `width` characters, but for an end that is whole; the widest columns give way first.
    pub fn render(&self, width: usize, color: bool) -> String {
        let widths = self.widths(width);
        let mut out = String::new();
        let header = self.header.map(|title| Cell::styled(title, Style::Bold));
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
                let shown = text::truncate(&cell.text, width);
                let padding = width - shown.chars().count();
                line.push_str(&paint(&shown, cell.style, color));
                if index + 1 < N {
                    line.push_str(&" ".repeat(padding));
                    line.push_str(GAP);
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn widths(&self, width: usize) -> [usize; N] {
        let mut widths: [usize; N] = std::array::from_fn(|column| {
            self.rows
                .iter()
                .map(|row| row[column].text.chars().count())
                .chain([self.header[column].len()])
                .max()
                .unwrap_or(0)
        });
        let room = width.saturating_sub(GAP.len() * N.saturating_sub(1));
        let (fitted, end) = widths.split_at_mut(N.saturating_sub(self.ends_whole.into()));
        let room = room.saturating_sub(NARROWEST * end.len());
        while fitted.iter().sum::<usize>() > room {
            match fitted.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new(["NAME", "STATE", "URL"]);
        table.row([
            "stripe".into(),
            "active".into(),
            "https://mcp.stripe.com".into(),
        ]);
        table
    }

    #[test]
    fn short_rows_are_aligned_and_have_no_trailing_blanks() {
        assert_eq!(
            table().render(80, false),
            "NAME    STATE   URL\nstripe  active  https://mcp.stripe.com\n"
        );
    }

    #[test]
    fn long_rows_fit_the_width() {
        let mut table = table();
        let long = format!("https://example.com/{}", "x".repeat(200));
        table.row([
            "n".repeat(90).as_str().into(),
            "needs_login".into(),
            long.as_str().into(),
        ]);
        let rendered = table.render(80, false);
        for line in rendered.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(rendered.contains("needs_login"));
        assert!(rendered.contains('…'));
    }

    #[test]
    fn an_end_that_is_whole_takes_no_room_from_the_rest() {
        let mut table = Table::new(["NAME", "URL"]).ending_whole();
        let (name, url) = ("n".repeat(40), "u".repeat(90));
        table.row([name.as_str().into(), url.as_str().into()]);
        assert!(
            table
                .render(60, false)
                .ends_with(&format!("{name}  {url}\n"))
        );
        let narrow = format!("NAME          URL\n{}…  {url}\n", "n".repeat(11));
        assert_eq!(table.render(20, false), narrow);
    }

    #[test]
    fn cells_cannot_break_the_table() {
        let mut table = Table::new(["A"]);
        table.row(["x\ny\x1b[1A".into()]);
        assert_eq!(table.render(80, false), "A\nx y⟨U+001B⟩[1A\n");
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let mut table = Table::new(["A", "B"]);
        table.row([Cell::styled("on", Style::Good), "x".into()]);
        assert_eq!(
            table.render(80, true),
            "\x1b[1mA\x1b[0m   \x1b[1mB\x1b[0m\n\x1b[32mon\x1b[0m  x\n"
        );
    }
}
