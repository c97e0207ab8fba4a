//! Reading a request strictly, one object at a time, with the place of what is wrong.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;

use serde_json::value::RawValue;

use super::super::refusal::{Refusal, THREADS_UNSUPPORTED};
use crate::types::Level;

pub(super) type Result<T> = std::result::Result<T, Unmappable>;

/// A field that the other vendor has no counterpart for, or that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unmappable {
    /// Its path in the request: `tools[2].type`.
    pub param: String,
    pub message: String,
}

impl Unmappable {
    pub(super) fn new(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            param: param.into(),
            message: message.into(),
        }
    }

    /// The same, seen from outside of `place`.
    pub(super) fn inside(mut self, place: impl Display) -> Self {
        let joint = match self.param.chars().next() {
            None | Some('[') => "",
            Some(_) => ".",
        };
        self.param = format!("{place}{joint}{}", self.param);
        self
    }
}

impl From<Unmappable> for Refusal {
    fn from(unmappable: Unmappable) -> Self {
        let threads = unmappable.param == "thread";
        let refusal = Self::invalid(unmappable.param, unmappable.message);
        if threads {
            return refusal.with_code(THREADS_UNSUPPORTED);
        }
        refusal
    }
}

/// The fields of one object. A field that is null is a field that is not there.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    pub(super) fn of(raw: &'a RawValue) -> Result<Self> {
        let Some(Level::Object(members)) = Level::read(raw) else {
            return Err(Unmappable::new("", "this has to be an object"));
        };
        let mut seen = HashSet::with_capacity(members.len());
        if let Some((key, _)) = members.iter().find(|(key, _)| !seen.insert(key.as_ref())) {
            let message = format!("the key {} occurs twice; send it once", shown(key));
            return Err(Unmappable::new("", message));
        }
        Ok(Self(members))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a RawValue> {
        let member = self.0.iter().find(|(name, _)| name == key);
        member
            .map(|(_, value)| *value)
            .filter(|value| value.get() != "null")
    }

    /// The names of the fields that are there.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let there = |(_, value): &&(_, &'a RawValue)| value.get() != "null";
        self.0.iter().filter(there).map(|(name, _)| name.as_ref())
    }

    /// The decoded text of a string.
    pub(super) fn text(&self, key: &str) -> Result<Option<Cow<'a, str>>> {
        let read = |raw| match Level::read(raw) {
            Some(Level::Text(text)) => Ok(text),
            _ => Err(Unmappable::new(key, "this has to be a string")),
        };
        self.get(key).map(read).transpose()
    }

    /// A string as it is written, quotes and escapes included.
    pub(super) fn quoted(&self, key: &str) -> Result<Option<&'a str>> {
        let read = |raw: &'a RawValue| {
            string(raw).ok_or_else(|| Unmappable::new(key, "this has to be a string"))
        };
        self.get(key).map(read).transpose()
    }

    pub(super) fn object(&self, key: &str) -> Result<Option<Self>> {
        let read = |raw| Fields::of(raw).map_err(|error| error.inside(key));
        self.get(key).map(read).transpose()
    }

    pub(super) fn array(&self, key: &str) -> Result<Option<Vec<&'a RawValue>>> {
        let read = |raw| match Level::read(raw) {
            Some(Level::Array(elements)) => Ok(elements),
            _ => Err(Unmappable::new(key, "this has to be a list")),
        };
        self.get(key).map(read).transpose()
    }

    /// Has `read` take each object of a list, if there is one.
    pub(super) fn each(
        &self,
        key: &str,
        mut read: impl FnMut(Fields<'a>) -> Result<()>,
    ) -> Result<()> {
        for (at, raw) in self.array(key)?.unwrap_or_default().into_iter().enumerate() {
            let taken = Fields::of(raw).and_then(&mut read);
            taken.map_err(|error| error.inside(format!("{key}[{at}]")))?;
        }
        Ok(())
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        let read = |raw: &RawValue| match raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Unmappable::new(key, "this has to be true or false")),
        };
        self.get(key).map(read).transpose()
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<u64>> {
        let read = |raw: &RawValue| {
            let number = raw.get().parse();
            number.map_err(|_| Unmappable::new(key, "this has to be a whole number"))
        };
        self.get(key).map(read).transpose()
    }

    /// Only code at a vendor may call the tool, and there is none that could.
    pub(super) fn refuse_other_callers(&self) -> Result<()> {
        let callers = self.array("allowed_callers")?;
        let is_direct =
            |callers: &Vec<&RawValue>| callers.iter().any(|raw| raw.get() == "\"direct\"");
        if callers.as_ref().is_none_or(is_direct) {
            return Ok(());
        }
        let message =
            "models of the other vendor cannot run code that calls this tool; add \"direct\"";
        Err(Unmappable::new("allowed_callers", message))
    }

    /// `type`, or nothing.
    pub(super) fn kind(&self) -> Result<Cow<'a, str>> {
        Ok(self.text("type")?.unwrap_or_default())
    }
}

/// `value`, or the refusal of a request that lacks `key`.
pub(super) fn required<T>(value: Option<T>, key: &str) -> Result<T> {
    value.ok_or_else(|| Unmappable::new(key, format!("`{key}` is missing; it is required")))
}

/// The JSON text of a string; None for any other value.
pub(super) fn string(raw: &RawValue) -> Option<&str> {
    Some(raw.get()).filter(|text| text.starts_with('"'))
}

/// What a stranger wrote, short enough for a message.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(64).collect();
    format!("{short:?}")
}

/// Fields that are left out, each once, in the order of their appearance.
#[derive(Default)]
pub(super) struct Dropped(Vec<String>);

impl Dropped {
    const MOST: usize = 32;

    pub(super) fn add(&mut self, name: &str) {
        let is_safe =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
        let fits = name.len() <= 64 && name.chars().all(is_safe);
        let is_new = !self.0.iter().any(|known| known == name);
        if fits && is_new && self.0.len() < Self::MOST {
            self.0.push(name.to_owned());
        }
    }

    /// Every field of `fields` that is not in `known`.
    pub(super) fn add_unknown(&mut self, fields: &Fields<'_>, known: &[&str]) {
        for name in fields.names().filter(|name| !known.contains(name)) {
            self.add(name);
        }
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.0
    }
}
