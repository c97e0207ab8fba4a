//! Text fitted to a width.

/// At most `width` characters, the last an ellipsis when something was left out.
pub fn truncate(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Lines of at most `width` characters, broken at blanks. What stands between backticks is for copying
/// and stays whole, as does a word that is longer than a line.
pub fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    let mut column = 0;
    for (index, word) in words(text).iter().enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > width {
            wrapped.push('\n');
            column = 0;
        } else if index > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// What must not be broken.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_command = false;
    for word in text.split(' ') {
        match words.last_mut() {
            Some(command) if in_command => {
                command.push(' ');
                command.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        in_command ^= word.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_talk_is_broken_between_words_and_never_in_a_command() {
        let hint = "hint: to permit it, run `mcpbridgectl policy set s t allow`, then call again";
        assert_eq!(
            wrap(hint, 24),
            "hint: to permit it, run\n`mcpbridgectl policy set s t allow`,\nthen call again"
        );
        assert_eq!(wrap("  caused by: it", 80), "  caused by: it");
        assert_eq!(
            wrap("open https://as.example/x", 10),
            "open\nhttps://as.example/x"
        );
        assert_eq!(
            wrap("an odd ` stays one piece", 10),
            "an odd\n` stays one piece"
        );
    }

    #[test]
    fn truncated_text_has_the_asked_width() {
        assert_eq!(truncate("https://example", 9), "https://…");
        assert_eq!(truncate("short", 5), "short");
    }
}
