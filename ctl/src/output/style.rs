//! The few colours that mean something.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Good,
    Warning,
    Bad,
    Hint,
    Faint,
}

pub fn paint(text: &str, style: Style, color: bool) -> String {
    let code = match style {
        Style::Plain => return text.to_owned(),
        Style::Bold => "1",
        Style::Good => "32",
        Style::Warning => "33",
        Style::Bad => "1;31",
        Style::Hint => "36",
        Style::Faint => "2",
    };
    if color {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Colour only on a terminal that can show it, and never against <https://no-color.org>.
pub fn wanted(terminal: bool) -> bool {
    let unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    terminal && unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
