//! Writing JSON out of pieces that are JSON already.

/// An object under construction. Values that nobody reads again are put in as text.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// With `type` as its first member.
    pub(super) fn of(kind: &str) -> Self {
        Self::new().text("type", kind)
    }

    /// `value` is JSON.
    pub(super) fn raw(mut self, key: &str, value: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        self.0.push_str(value);
        self
    }

    pub(super) fn raw_if(self, key: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.raw(key, value.as_ref()),
            None => self,
        }
    }

    pub(super) fn text(self, key: &str, value: &str) -> Self {
        let value = quote(value);
        self.raw(key, &value)
    }

    pub(super) fn text_if(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// `elements` are JSON.
pub(super) fn array<T: AsRef<str>>(elements: &[T]) -> String {
    let mut out = String::from("[");
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(element.as_ref());
    }
    out.push(']');
    out
}

/// `text` as a JSON string.
pub(super) fn quote(text: &str) -> String {
    // Writing a string to memory does not fail.
    serde_json::to_string(text).unwrap_or_default()
}

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
