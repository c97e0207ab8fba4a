//! One line that a person types.

use crate::output::line::Line;
use crate::output::style::Style;

/// More than any reason may have; a paste goes no further.
const LIMIT: usize = 2_000;

pub struct Prompt {
    question: &'static str,
    text: String,
    hidden: bool,
}

impl Prompt {
    pub fn new(question: &'static str, text: &str) -> Self {
        Self {
            question,
            text: text.to_owned(),
            hidden: false,
        }
    }

    /// What is typed is not shown.
    pub fn hidden(question: &'static str) -> Self {
        Self {
            hidden: true,
            ..Self::new(question, "")
        }
    }

    pub fn text(&self) -> &str {
        self.text.trim()
    }

    pub fn insert(&mut self, typed: &str) {
        for c in typed.chars().filter(|c| !c.is_control()) {
            if self.text.chars().count() < LIMIT {
                self.text.push(c);
            }
        }
    }

    pub fn erase(&mut self) {
        self.text.pop();
    }

    pub fn clear(&mut self) {
        self.text.clear();
    }

    pub fn line(&self, width: usize) -> Line {
        let typed = if self.hidden {
            "•".repeat(self.text.chars().count())
        } else {
            self.text.clone()
        };
        let question = Line::new().with(self.question, Style::Bold).text(" ");
        // The end is where one types.
        let room = width.saturating_sub(question.width() + 1);
        let skipped = typed.chars().count().saturating_sub(room);
        let seen: String = typed.chars().skip(skipped).collect();
        question.text(&seen).text("_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_text_is_seen_and_a_secret_is_not() {
        let mut prompt = Prompt::new("reason:", "");
        prompt.insert("0123456789\n\x1b");
        assert_eq!(prompt.text(), "0123456789");
        assert_eq!(prompt.line(14).painted(false), "reason: 56789_");
        let mut pin = Prompt::hidden("PIN:");
        pin.insert("12345");
        pin.erase();
        assert_eq!(pin.line(80).painted(false), "PIN: ••••_");
    }

    #[test]
    fn a_paste_is_limited() {
        let mut prompt = Prompt::new("reason:", "");
        prompt.insert(&"x".repeat(1_000_000));
        assert_eq!(prompt.text().len(), LIMIT);
    }
}
