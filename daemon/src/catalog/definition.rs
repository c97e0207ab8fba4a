//! One tool as its server describes it, reduced to what is pinned: name, title, description, schemas
//! and annotations. Icons, `_meta` and what later revisions add do not change what a call does.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::mcp::canonical::{CanonicalError, canonical};
use crate::mcp::edit;
use crate::policy::Annotations;
use crate::types::Digest;

/// Larger definitions are not pinned. The largest in use have some 50 KiB.
pub const MAX_DEFINITION: usize = 256 * 1024;

/// A definition that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub digest: Digest,
    /// Canonical JSON of the pinned members.
    pub json: Arc<str>,
}

/// A tool in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTool {
    pub name: Arc<str>,
    pub(super) definition: Definition,
    /// Why the definition cannot be pinned. Its text is then cut, its digest that of all of it.
    pub(super) flaw: Option<Arc<str>>,
}

/// The element of a list does not say which tool it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tool in the list has no name, or more than one")]
pub struct Nameless;

/// The members that count, in canonical order.
const PINNED: [&str; 6] = [
    "annotations",
    "description",
    "inputSchema",
    "name",
    "outputSchema",
    "title",
];

/// Their values.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input_schema: Option<&'a RawValue>,
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow, default)]
    output_schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    title: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    fn in_order(&self) -> impl Iterator<Item = (&'static str, Option<&'a RawValue>)> {
        PINNED.into_iter().zip([
            self.annotations,
            self.description,
            self.input_schema,
            Some(self.name),
            self.output_schema,
            self.title,
        ])
    }
}

impl ListedTool {
    /// Reads an element of `tools`.
    ///
    /// # Errors
    /// It cannot be told which tool this is.
    pub fn read(json: &str) -> Result<Self, Nameless> {
        let members = edit::Members::of(json).map_err(|_| Nameless)?;
        let name = members.decisive("name").ok().flatten().ok_or(Nameless)?;
        let name: Arc<str> = match serde_json::from_str::<String>(name.get()) {
            Ok(name) if !name.is_empty() => name.into(),
            _ => return Err(Nameless),
        };
        let reduced = if json.len() > MAX_DEFINITION {
            Err(format!("it is larger than {} KiB", MAX_DEFINITION / 1024))
        } else {
            let ambiguous = PINNED.map(|key| members.decisive(key).err());
            match ambiguous.into_iter().flatten().next() {
                Some(ambiguous) => Err(ambiguous.to_string()),
                None => reduce(json).map_err(|error| error.to_string()),
            }
        };
        Ok(match reduced {
            Ok(reduced) => Self {
                name,
                definition: Definition::of(&reduced),
                flaw: None,
            },
            Err(flaw) => Self {
                name,
                definition: Definition::cut(json),
                flaw: Some(flaw.into()),
            },
        })
    }

    /// The same name was listed with another definition.
    pub(super) fn contradicted_by(&mut self, other: &Self) {
        let parts = [&self.definition, &other.definition];
        self.definition.digest =
            Digest::of_parts(parts.map(|definition| definition.digest.as_bytes().as_slice()));
        self.flaw = Some("the list names it more than once, with different definitions".into());
    }

    /// What the server says about the tool's effects.
    pub fn annotations(&self) -> Option<Annotations> {
        self.definition.annotations()
    }

    /// There is no room for its text.
    pub(super) fn make_unkept(&mut self) {
        self.definition.json = "".into();
        self.flaw = Some("the definitions of this server are too large".into());
    }
}

impl Definition {
    pub(super) fn of(canonical: &str) -> Self {
        Self {
            digest: Digest::of(canonical.as_bytes()),
            json: canonical.into(),
        }
    }

    fn cut(json: &str) -> Self {
        Self {
            digest: Digest::of(json.as_bytes()),
            json: json[..json.floor_char_boundary(MAX_DEFINITION)].into(),
        }
    }

    /// What the server says about the tool's effects.
    pub(super) fn annotations(&self) -> Option<Annotations> {
        Annotations::parse(Members::read(&self.json)?.annotations?.get())
    }

    /// The members that `other` has otherwise.
    pub(super) fn members_unlike(&self, other: &Self) -> Vec<&'static str> {
        let (Some(one), Some(two)) = (Members::read(&self.json), Members::read(&other.json)) else {
            return Vec::new();
        };
        let pairs = one.in_order().zip(two.in_order());
        pairs
            .filter(|((_, a), (_, b))| a.map(RawValue::get) != b.map(RawValue::get))
            .map(|((name, _), _)| name)
            .collect()
    }

    /// For people: texts as texts, the rest as indented JSON. A definition that is no JSON stays as it
    /// is.
    pub fn readable(&self) -> String {
        let Some(members) = Members::read(&self.json) else {
            return self.json.to_string();
        };
        let mut text = String::with_capacity(self.json.len() * 2);
        for (name, value) in members.in_order() {
            let Some(value) = value else { continue };
            text.push_str(name);
            text.push(':');
            match serde_json::from_str::<String>(value.get()) {
                // Not `lines()`: a carriage return is part of what changed.
                Ok(said) => {
                    for line in said.split('\n').filter(|_| !said.is_empty()) {
                        text.push_str("\n  ");
                        text.push_str(line);
                    }
                }
                Err(_) => {
                    text.push(' ');
                    indent(value.get(), &mut text);
                }
            }
            text.push('\n');
        }
        text
    }
}

fn reduce(json: &str) -> Result<String, CanonicalError> {
    let canonical = canonical(json)?;
    let Some(members) = Members::read(&canonical) else {
        return Err(CanonicalError::NotJson("no object with a name".to_owned()));
    };
    let mut reduced = String::with_capacity(canonical.len());
    for (name, value) in members.in_order() {
        let Some(value) = value else { continue };
        reduced.push(if reduced.is_empty() { '{' } else { ',' });
        reduced.push('"');
        reduced.push_str(name);
        reduced.push_str("\":");
        reduced.push_str(value.get());
    }
    reduced.push('}');
    Ok(reduced)
}

/// Lays canonical JSON out over lines. Numbers and strings keep their spelling, so that whatever makes
/// two digests differ can be seen.
fn indent(json: &str, out: &mut String) {
    let mut depth = 0_usize;
    let (mut in_string, mut escaped) = (false, false);
    let mut characters = json.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = characters.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                match characters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(json: &str) -> ListedTool {
        ListedTool::read(json).unwrap()
    }

    #[test]
    fn what_is_pinned_decides_the_digest_and_nothing_else_does() {
        let one = listed(
            r#"{"name":"t","description":"d","inputSchema":{"type":"object","x":1.0},"icons":[]}"#,
        );
        let other = listed(
            r#"{ "inputSchema": {"x":1.0, "type":"object"}, "title": null, "_meta": {"a": 1}, "description":"\u0064", "name":"t" }"#,
        );
        assert_eq!(one, other);
        assert_eq!(
            one.definition.json.as_ref(),
            r#"{"description":"d","inputSchema":{"type":"object","x":1.0},"name":"t"}"#
        );
        for changed in [
            r#"{"name":"t","description":"d "}"#,
            r#"{"name":"t","description":"d","title":""}"#,
            r#"{"name":"t","description":"d","annotations":{"readOnlyHint":true}}"#,
            r#"{"name":"t","description":"d","outputSchema":{}}"#,
        ] {
            let plain = listed(r#"{"name":"t","description":"d"}"#);
            assert_ne!(listed(changed).definition.digest, plain.definition.digest);
        }
    }

    #[test]
    fn a_definition_that_two_readers_read_differently_is_not_pinned() {
        let twice = listed(r#"{"name":"t","description":"a","description":"b"}"#);
        assert_eq!(
            twice.flaw.as_deref(),
            Some("the key \"description\" occurs twice, or in another spelling of case")
        );
        let twice = listed(r#"{"name":"t","Description":"b"}"#);
        assert!(twice.flaw.is_some(), "some readers ignore case");
        let deeper = listed(r#"{"name":"t","inputSchema":{"a":1,"a":2}}"#);
        assert_eq!(
            deeper.flaw.as_deref(),
            Some("the key \"a\" occurs twice in one object")
        );
        let large = format!(
            r#"{{"name":"t","description":"{}"}}"#,
            "x".repeat(MAX_DEFINITION)
        );
        let large = listed(&large);
        assert_eq!(large.flaw.as_deref(), Some("it is larger than 256 KiB"));
        assert_eq!(large.definition.json.len(), MAX_DEFINITION);
    }

    #[test]
    fn a_tool_without_exactly_one_name_is_refused() {
        for bad in [
            "{}",
            r#"{"name":1}"#,
            r#"{"name":""}"#,
            r#"{"name":"a","name":"b"}"#,
            r#""a""#,
            "[]",
        ] {
            assert_eq!(ListedTool::read(bad), Err(Nameless), "{bad}");
        }
    }

    #[test]
    fn a_definition_reads_as_text() {
        let tool = listed(
            r#"{"name":"t","description":"One\nTwo","inputSchema":{"x":["a\"{",{}],"y":1e2},"title":""}"#,
        );
        assert_eq!(
            tool.definition.readable(),
            "description:\n  One\n  Two\ninputSchema: {\n  \"x\": [\n    \"a\\\"{\",\n    {}\n  ],\n  \"y\": 1e2\n}\nname:\n  t\ntitle:\n"
        );
    }
}
