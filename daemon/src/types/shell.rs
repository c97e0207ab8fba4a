//! Text that gets pasted into a shell.

use std::borrow::Cow;

/// `text` as one word of a command line. Tool names and scopes are chosen by others, and what a hint
/// shows gets pasted into a shell.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    const MAX: usize = 128;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if !text.is_empty() && text.len() <= MAX && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let shown: String = text.chars().filter(|c| !c.is_control()).take(MAX).collect();
    Cow::Owned(format!("'{}'", shown.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_chosen_by_others_cannot_add_to_a_command() {
        assert_eq!(shell_word("repo:read"), "repo:read");
        assert_eq!(shell_word("$(rm -rf ~)"), "'$(rm -rf ~)'");
        assert_eq!(shell_word("a'; reboot #"), r"'a'\''; reboot #'");
        assert_eq!(shell_word("a\n\u{1b}[2Jb"), "'a[2Jb'");
        assert_eq!(shell_word(""), "''");
    }
}
