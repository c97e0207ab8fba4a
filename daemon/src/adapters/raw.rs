//! JSON as text: what others wrote keeps its bytes.

use serde_json::value::RawValue;

/// An object, member by member.
#[derive(Debug, Clone, Default)]
pub struct Object(String);

impl Object {
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with the member `type`, as most objects of the vendors do.
    pub fn of_type(name: &str) -> Self {
        Self::new().text("type", name)
    }

    /// A member that is already JSON.
    #[must_use]
    pub fn put(mut self, key: &str, json: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&quoted(key));
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    #[must_use]
    pub fn text(self, key: &str, text: &str) -> Self {
        let json = quoted(text);
        self.put(key, &json)
    }

    /// A member that is left out where there is no value.
    #[must_use]
    pub fn put_if(self, key: &str, json: Option<impl AsRef<str>>) -> Self {
        match json {
            Some(json) => self.put(key, json.as_ref()),
            None => self,
        }
    }

    #[must_use]
    pub fn text_if(self, key: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(key, text),
            None => self,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn json(self) -> String {
        format!("{{{}}}", self.0)
    }

    pub fn done(self) -> Box<RawValue> {
        raw(self.json())
    }
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON text that this program put together.
pub fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The elements of a list; none of what is not there or no list.
pub fn elements(list: Option<&RawValue>) -> Vec<&RawValue> {
    let read = list.and_then(|list| serde_json::from_str(list.get()).ok());
    read.unwrap_or_default()
}

/// A JSON array of `elements`.
pub fn list<T: AsRef<str>>(elements: impl IntoIterator<Item = T>) -> String {
    let mut out = String::from("[");
    for element in elements {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(element.as_ref());
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_keeps_its_bytes() {
        let object = Object::of_type("a\"b")
            .put("n", "1.0")
            .put("l", &list(["{ }", "\"\\u00e9\""]));
        assert_eq!(
            object.done().get(),
            r#"{"type":"a\"b","n":1.0,"l":[{ },"\u00e9"]}"#
        );
        assert_eq!(Object::new().json(), "{}");
        assert_eq!(list([""; 0]), "[]");
    }
}
