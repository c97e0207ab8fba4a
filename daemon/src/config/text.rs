//! Changes to a JSON text that leave everything else as it was written: order, spacing, digits.
//!
//! Works on texts that are known to be valid JSON without repeated keys. What is not touched is copied
//! byte for byte; what is new is written in the style of its neighbours.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::types::{Exact, Level};

/// The text with `new` at `path`. Objects on the way are made where they are missing.
///
/// `old` is what the value there means, written as `new` is: only where the two differ is the text
/// changed, so that a default that was spelled out stays, and one that was left out stays out. Without
/// it the text means what it says.
pub(super) fn set(
    text: &str,
    path: &[&str],
    old: Option<&RawValue>,
    new: &RawValue,
) -> Option<String> {
    let root: &RawValue = serde_json::from_str(text).ok()?;
    let root_at = Span::of(text, root)?;
    let unit = indentation(text);
    let place = Place {
        text,
        unit,
        raw: root,
    };
    let edited = put(&place, path, old, new)?;
    Some(root_at.replace(text, &edited))
}

/// The text without the member at `path`, or None when there is none.
pub(super) fn remove(text: &str, path: &[&str]) -> Option<String> {
    let root: &RawValue = serde_json::from_str(text).ok()?;
    let (last, parents) = path.split_last()?;
    let mut raw = root;
    for key in parents {
        raw = member(raw, key)?;
    }
    member(raw, last)?;
    let unit = indentation(text);
    let container = Container::read(&Place { text, unit, raw })?;
    let kept = container
        .items
        .iter()
        .filter(|item| item.key() != Some(last));
    let kept = kept.map(|item| Slot::Kept(item, item.value_text().to_owned()));
    Some(Span::of(text, raw)?.replace(text, &container.write(kept.collect())))
}

fn put(place: &Place<'_>, path: &[&str], old: Option<&RawValue>, new: &RawValue) -> Option<String> {
    let Some((key, rest)) = path.split_first() else {
        return merge(place, old.unwrap_or(place.raw), new);
    };
    let container = Container::read(place)?;
    let mut slots = Vec::new();
    let mut is_present = false;
    for item in &container.items {
        let text = if item.key() == Some(key) {
            is_present = true;
            put(&place.at(item.raw), rest, old, new)?
        } else {
            item.value_text().to_owned()
        };
        slots.push(Slot::Kept(item, text));
    }
    if !is_present {
        let nested = rest
            .iter()
            .rev()
            .try_fold(new.get().to_owned(), |inside, key| {
                Some(format!("{{{}:{inside}}}", quoted(key)))
            });
        slots.push(Slot::New(Some((*key).to_owned()), nested?));
    }
    Some(container.write(slots))
}

/// The text of `place`, which means `old`, changed as little as it takes to mean `new`.
fn merge(place: &Place<'_>, old: &RawValue, new: &RawValue) -> Option<String> {
    if Exact::parse(old.get()).ok()? == Exact::parse(new.get()).ok()? {
        return Some(place.raw.get().to_owned());
    }
    let Some(container) = Container::read(place) else {
        return Some(pretty(new, &place.line_indent(), place.unit));
    };
    match (Level::read(old), Level::read(new)?) {
        (Some(Level::Object(before)), Level::Object(after)) if container.is_object => {
            let mut slots = Vec::new();
            for item in &container.items {
                let key = item.key()?;
                let (before, after) = (value_of(&before, key), value_of(&after, key));
                match (before, after) {
                    // Left out on purpose, as it says nothing.
                    (None, None) => slots.push(Slot::Kept(item, item.value_text().to_owned())),
                    (Some(_), None) => {}
                    (before, Some(after)) => {
                        let text = merge(&place.at(item.raw), before.unwrap_or(item.raw), after)?;
                        slots.push(Slot::Kept(item, text));
                    }
                }
            }
            for (key, value) in &after {
                let is_said = container.items.iter().any(|item| item.key() == Some(key));
                let is_understood = value_of(&before, key).is_some_and(|old| is_same(old, value));
                if !is_said && !is_understood {
                    slots.push(Slot::New(Some(key.to_string()), value.get().to_owned()));
                }
            }
            Some(container.write(slots))
        }
        (Some(Level::Array(before)), Level::Array(after)) if !container.is_object => {
            Some(container.write(container.align(place, &before, &after)?))
        }
        _ => Some(pretty(new, &place.line_indent(), place.unit)),
    }
}

fn value_of<'a>(members: &[(Cow<'_, str>, &'a RawValue)], key: &str) -> Option<&'a RawValue> {
    let found = members.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| *value)
}

fn is_same(one: &RawValue, other: &RawValue) -> bool {
    Exact::parse(one.get()).is_ok_and(|one| Exact::parse(other.get()) == Ok(one))
}

/// A value within the text.
struct Place<'a> {
    text: &'a str,
    /// One step of indentation.
    unit: &'a str,
    raw: &'a RawValue,
}

/// An object or an array, taken apart.
struct Container<'a> {
    is_object: bool,
    items: Vec<Item<'a>>,
    /// Between the last item and the closing bracket.
    tail: &'a str,
    indent: String,
    unit: &'a str,
}

/// A member or an element.
struct Item<'a> {
    /// The white space in front of it.
    lead: &'a str,
    key: Option<Cow<'a, str>>,
    /// From the key to the value.
    label: &'a str,
    raw: &'a RawValue,
    /// The white space behind it, in front of the comma.
    trail: &'a str,
}

enum Slot<'i, 'a> {
    /// With the text of its value.
    Kept(&'i Item<'a>, String),
    /// A key, for members, and compact JSON.
    New(Option<String>, String),
}

impl<'a> Place<'a> {
    fn at(&self, raw: &'a RawValue) -> Self {
        Self { raw, ..*self }
    }

    /// The white space that begins the line on which the value begins.
    fn line_indent(&self) -> String {
        let start = Span::of(self.text, self.raw).map_or(0, |span| span.start);
        let line = self.text.get(..start).unwrap_or_default();
        let line = line.rsplit('\n').next().unwrap_or_default();
        line.chars()
            .take_while(|c| matches!(c, ' ' | '\t'))
            .collect()
    }
}

impl<'a> Container<'a> {
    fn read(place: &Place<'a>) -> Option<Self> {
        let (is_object, values) = match Level::read(place.raw)? {
            Level::Object(members) => {
                let keyed = members.into_iter().map(|(key, raw)| (Some(key), raw));
                (true, keyed.collect::<Vec<_>>())
            }
            Level::Array(elements) => {
                (false, elements.into_iter().map(|raw| (None, raw)).collect())
            }
            _ => return None,
        };
        let span = Span::of(place.text, place.raw)?;
        let mut items: Vec<Item<'a>> = Vec::with_capacity(values.len());
        let mut end = span.start + 1;
        for (key, raw) in values {
            let value = Span::of(place.text, raw)?;
            let (trail, rest) = split_space(place.text.get(end..value.start)?);
            let rest = rest.strip_prefix(',').unwrap_or(rest);
            let (lead, label) = split_space(rest);
            // In front of the first item there is no comma, and one white space.
            let (trail, lead) = if items.is_empty() {
                ("", trail)
            } else {
                (trail, lead)
            };
            if let Some(previous) = items.last_mut() {
                previous.trail = trail;
            }
            items.push(Item {
                lead,
                key,
                label,
                raw,
                trail: "",
            });
            end = value.end;
        }
        Some(Self {
            is_object,
            items,
            tail: place.text.get(end..span.end - 1)?,
            indent: place.line_indent(),
            unit: place.unit,
        })
    }

    /// Keeps the elements at both ends that stay as they are; between them, old ones become new ones.
    fn align<'i>(
        &'i self,
        place: &Place<'a>,
        old: &[&RawValue],
        new: &[&RawValue],
    ) -> Option<Vec<Slot<'i, 'a>>> {
        let shorter = old.len().min(new.len());
        let same = |(one, other): &(&&RawValue, &&RawValue)| is_same(one, other);
        let front = old.iter().zip(new).take_while(same).count();
        let back = old.iter().rev().zip(new.iter().rev());
        let back = back.take(shorter - front).take_while(same).count();
        let mut slots = Vec::new();
        let as_it_is = |item: &'i Item<'a>| Slot::Kept(item, item.value_text().to_owned());
        slots.extend(self.items.iter().take(front).map(as_it_is));
        let changed = self.items.iter().zip(old).skip(front);
        let mut changed = changed.take(old.len() - back - front);
        for raw in new.get(front..new.len() - back)? {
            slots.push(match changed.next() {
                Some((item, old)) => Slot::Kept(item, merge(&place.at(item.raw), old, raw)?),
                None => Slot::New(None, raw.get().to_owned()),
            });
        }
        slots.extend(self.items.iter().skip(old.len() - back).map(as_it_is));
        Some(slots)
    }

    fn write(&self, slots: Vec<Slot<'_, 'a>>) -> String {
        let (open, close) = if self.is_object {
            ('{', '}')
        } else {
            ('[', ']')
        };
        if slots.is_empty() {
            return format!("{open}{close}");
        }
        let lines = format!("\n{}{}", self.indent, self.unit);
        let first = self.items.first().map_or(&*lines, |item| item.lead);
        let next = match self.items.get(1) {
            Some(item) => item.lead,
            None if first.contains('\n') => first,
            None => " ",
        };
        let mut text = String::from(open);
        let mut trail = "";
        for (at, slot) in slots.iter().enumerate() {
            if at > 0 {
                text.push_str(trail);
                text.push(',');
            }
            let usual = if at == 0 { first } else { next };
            match slot {
                Slot::Kept(item, value) => {
                    let is_first = self
                        .items
                        .first()
                        .is_some_and(|first| std::ptr::eq(first, *item));
                    text.push_str(if is_first == (at == 0) {
                        item.lead
                    } else {
                        usual
                    });
                    text.push_str(item.label);
                    text.push_str(value);
                    trail = item.trail;
                }
                Slot::New(key, value) => {
                    text.push_str(usual);
                    if let Some(key) = key {
                        text.push_str(&quoted(key));
                        text.push_str(": ");
                    }
                    text.push_str(&self.styled(value, usual));
                    trail = "";
                }
            }
        }
        match self.items.is_empty() {
            true => text.push_str(&format!("\n{}", self.indent)),
            false => text.push_str(self.tail),
        }
        text.push(close);
        text
    }

    /// New values go over several lines where their neighbours have lines of their own.
    fn styled(&self, json: &str, lead: &str) -> String {
        let Ok(raw) = serde_json::from_str(json) else {
            return json.to_owned();
        };
        match lead.rsplit_once('\n') {
            Some((_, indent)) => pretty(raw, indent, self.unit),
            None => on_one_line(raw),
        }
    }
}

impl<'a> Item<'a> {
    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn value_text(&self) -> &'a str {
        self.raw.get()
    }
}

struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// Where a value read from `text` stands in it.
    fn of(text: &str, raw: &RawValue) -> Option<Self> {
        let raw = raw.get();
        let start = raw.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let end = start + raw.len();
        (text.get(start..end)? == raw).then_some(Self { start, end })
    }

    fn replace(&self, text: &str, with: &str) -> String {
        let (before, after) = (text.get(..self.start), text.get(self.end..));
        [before.unwrap_or_default(), with, after.unwrap_or_default()].concat()
    }
}

fn member<'a>(raw: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    match Level::read(raw)? {
        Level::Object(members) => value_of(&members, key),
        _ => None,
    }
}

fn split_space(text: &str) -> (&str, &str) {
    let rest = text.trim_start_matches([' ', '\t', '\n', '\r']);
    text.split_at(text.len() - rest.len())
}

/// The white space in front of the first member, if that is indented; else two spaces.
fn indentation(text: &str) -> &str {
    let inside = text.trim_start().strip_prefix('{').unwrap_or_default();
    let (space, _) = split_space(inside);
    match space.rsplit_once('\n') {
        Some((_, unit)) if !unit.is_empty() => unit,
        _ => "  ",
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn pretty(raw: &RawValue, indent: &str, unit: &str) -> String {
    let inside = format!("{indent}{unit}");
    let lines = |open: &str, items: Vec<String>, close: &str| {
        let lead = format!("\n{inside}");
        let separator = format!(",{lead}");
        format!("{open}{lead}{}\n{indent}{close}", items.join(&separator))
    };
    match Level::read(raw) {
        Some(Level::Object(members)) if !members.is_empty() => {
            let items = members
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), pretty(value, &inside, unit)));
            lines("{", items.collect(), "}")
        }
        Some(Level::Array(elements)) if !elements.is_empty() => {
            let items = elements.iter().map(|value| pretty(value, &inside, unit));
            lines("[", items.collect(), "]")
        }
        _ => raw.get().to_owned(),
    }
}

fn on_one_line(raw: &RawValue) -> String {
    match Level::read(raw) {
        Some(Level::Object(members)) if !members.is_empty() => {
            let items = members
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), on_one_line(value)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        Some(Level::Array(elements)) => {
            let items: Vec<_> = elements.iter().map(|value| on_one_line(value)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => raw.get().to_owned(),
    }
}
