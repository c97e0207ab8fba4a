//! Text of other parties, made safe for a terminal.
//!
//! A tool description may carry escape sequences that rewrite the screen, or marks that reorder it.

/// One line: line breaks become spaces, dangerous characters the replacement character.
pub fn line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if is_dangerous(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Several lines: line feeds and tabs stay.
pub fn block(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if is_dangerous(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// At most `width` characters, the last an ellipsis when something was left out.
pub fn truncate(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Zero-width characters and direction marks.
            '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{061c}'
            // Line and paragraph separators, embeddings and overrides, isolates.
            | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Invisible tag characters.
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_introducer() {
        assert_eq!(line("a\x1b[2Jb\u{9b}31mc"), "a\u{fffd}[2Jb\u{fffd}31mc");
        assert_eq!(block("a\rb\x07"), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn direction_overrides_do_not_reach_the_terminal() {
        assert_eq!(line("pay\u{202e}oge"), "pay\u{fffd}oge");
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        let text = "naïve 東京 ✓\nline two";
        assert_eq!(block(text), text);
        assert_eq!(line(text), "naïve 東京 ✓ line two");
    }

    #[test]
    fn truncated_text_has_the_asked_width() {
        assert_eq!(truncate("https://example", 9), "https://…");
        assert_eq!(truncate("short", 5), "short");
    }
}
