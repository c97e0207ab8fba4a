//! JSON strings, put together without reading them.

/// What is between the quotes of a JSON string.
pub(super) fn inner(quoted: &str) -> &str {
    quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(quoted)
}

/// JSON strings joined by newlines to one.
pub(super) fn join<'a>(quoted: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<&str> = quoted.into_iter().map(inner).collect();
    format!("\"{}\"", parts.join("\\n"))
}
