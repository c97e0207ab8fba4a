//! A request for one vendor's models, said in the other vendor's language.
//!
//! Pure functions from body to body. What changes the meaning and has no counterpart is refused with
//! the name of its field; what only tunes is left out and named in [`Translated::dropped`].
//!
//! The translation of a conversation that goes on begins with the translation it had before: every
//! message or item is made from what stands at its place and before it, never from what follows.
//! `to_messages` joins neighbours of one role, so there a last message may grow at its end while the
//! same role goes on; a turn of the other role closes it for good. Texts, tool inputs and schemas keep
//! their JSON text: they are copied, not read and written again.

mod effort;
mod fields;
mod foreign;
#[cfg(test)]
mod hostile;
mod json;
mod media;
mod models;
mod schema;
mod thinking;
mod to_messages;
mod to_responses;

use serde_json::value::RawValue;

use self::fields::{Dropped, Fields, Result};
use crate::types::Digest;
pub use fields::Unmappable;
pub use foreign::without_foreign_reasoning;
pub use thinking::{Origin, wrap};
pub use to_messages::to_messages;
pub use to_responses::to_responses;

/// A body for the other vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    pub body: String,
    /// Fields that only tune and have no counterpart, as header-safe names, each once.
    pub dropped: Vec<String>,
}

/// What `request` makes of `body`. Left out are the fields that it names, and those that are not `known`.
fn translated(
    body: &str,
    known: &[&str],
    request: impl FnOnce(&Fields<'_>, &mut Dropped) -> Result<String>,
) -> Result<Translated> {
    let raw: &RawValue = serde_json::from_str(body)
        .map_err(|_| Unmappable::new("body", "the body has to be a JSON object"))?;
    let body = Fields::of(raw).map_err(|error| error.inside("body"))?;
    let mut dropped = Dropped::default();
    let request = request(&body, &mut dropped)?;
    dropped.add_unknown(&body, known);
    Ok(Translated {
        body: request,
        dropped: dropped.into_names(),
    })
}

/// Enough of a digest to tell things apart where the vendor wants few characters.
fn half(digest: Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(32);
    text
}
