//! The chain: how a record is bound to all that came before it, and the one place that adds one.

use std::borrow::Cow;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value, json};

use super::Event;
use crate::types::Digest;

/// Longest name of a tool or an actor that is kept whole. Callers choose these texts.
const MAX_NAME: usize = 512;
/// Longest detail that is kept.
const MAX_DETAIL: usize = 256 * 1024;
/// Longest part that stays in a detail that is too long.
const MAX_PART: usize = 8 * 1024;

/// The fields of a record that its hash covers.
pub(super) struct Fields<'a> {
    pub(super) seq: i64,
    pub(super) at: i64,
    pub(super) kind: &'a str,
    pub(super) server: Option<&'a str>,
    pub(super) tool: Option<&'a str>,
    pub(super) actor: Option<&'a str>,
    pub(super) approval: Option<&'a str>,
    pub(super) detail: &'a str,
}

impl Fields<'_> {
    /// SHA-256 over the hash of the record before, then all fields, each after its length. One byte
    /// says which of the optional ones are there, so that an empty text differs from none.
    pub(super) fn hash(&self, previous: &[u8; 32]) -> Digest {
        let optional = [self.server, self.tool, self.actor, self.approval];
        let present = (0..).zip(optional).fold(0_u8, |bits, (index, field)| {
            bits | u8::from(field.is_some()) << index
        });
        Digest::of_parts([
            previous.as_slice(),
            &self.seq.to_be_bytes(),
            &self.at.to_be_bytes(),
            &[present],
            self.kind.as_bytes(),
            self.server.unwrap_or_default().as_bytes(),
            self.tool.unwrap_or_default().as_bytes(),
            self.actor.unwrap_or_default().as_bytes(),
            self.approval.unwrap_or_default().as_bytes(),
            self.detail.as_bytes(),
        ])
    }
}

/// One end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: i64,
    pub(super) hash: [u8; 32],
}

/// The record before the oldest that is kept; before the first one ever, all zeros.
pub(super) fn anchor(connection: &Connection) -> rusqlite::Result<Link> {
    link(
        connection,
        "SELECT anchor_seq, anchor_hash FROM audit_chain",
    )
}

/// The newest record.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<Link> {
    link(connection, "SELECT head_seq, head_hash FROM audit_chain")
}

fn link(connection: &Connection, sql: &str) -> rusqlite::Result<Link> {
    connection.prepare_cached(sql)?.query_row([], |row| {
        Ok(Link {
            seq: row.get(0)?,
            hash: row.get(1)?,
        })
    })
}

/// Adds `event` to the log within `transaction`, so that it is kept exactly if what it tells of is.
/// Returns its number.
///
/// # Errors
/// The record cannot be written; whatever it tells of must then not happen.
pub fn append(
    transaction: &Transaction<'_>,
    at: Timestamp,
    event: &Event,
) -> rusqlite::Result<u64> {
    let mut end = End::of(transaction)?;
    let seq = end.add(&Row::of(at, event))?;
    end.keep()?;
    Ok(seq)
}

/// The newest end of the chain while records are added.
pub(super) struct End<'t> {
    transaction: &'t Transaction<'t>,
    head: Link,
}

impl<'t> End<'t> {
    pub(super) fn of(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        let head = head(transaction)?;
        Ok(Self { transaction, head })
    }

    /// Returns the number of the record.
    pub(super) fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<u64> {
        let fields = row.fields(self.head.seq + 1);
        let hash = fields.hash(&self.head.hash);
        self.transaction
            .prepare_cached(
                "INSERT INTO audit (seq, at, kind, server, tool, actor, approval, hash, detail) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                fields.seq,
                fields.at,
                fields.kind,
                fields.server,
                fields.tool,
                fields.actor,
                fields.approval,
                hash.as_bytes(),
                fields.detail,
            ])?;
        self.head = Link {
            seq: fields.seq,
            hash: *hash.as_bytes(),
        };
        Ok(fields.seq.unsigned_abs())
    }

    /// To be called after the last record was added. Returns its number.
    pub(super) fn keep(self) -> rusqlite::Result<u64> {
        self.transaction
            .prepare_cached("UPDATE audit_chain SET head_seq = ?1, head_hash = ?2")?
            .execute(params![self.head.seq, self.head.hash])?;
        Ok(self.head.seq.unsigned_abs())
    }
}

/// An event as the log keeps it. Overlong names are cut, and in an overlong detail the long parts are
/// replaced by their digests: what a caller sends must not fill the disk, nor push out what the record
/// says of it.
pub(super) struct Row<'a> {
    at: Timestamp,
    event: &'a Event,
    tool: Option<Cow<'a, str>>,
    actor: Option<Cow<'a, str>>,
    detail: String,
}

impl<'a> Row<'a> {
    pub(super) fn of(at: Timestamp, event: &'a Event) -> Self {
        Self {
            at,
            event,
            tool: event.tool.as_deref().map(cut),
            actor: event.actor.as_deref().map(cut),
            detail: bounded(&event.detail),
        }
    }

    pub(super) fn fields(&self, seq: i64) -> Fields<'_> {
        let event = self.event;
        Fields {
            seq,
            at: self.at.as_microsecond(),
            kind: event.kind.as_str(),
            server: event.server.as_ref().map(|server| server.as_str()),
            tool: self.tool.as_deref(),
            actor: self.actor.as_deref(),
            approval: event.approval.as_ref().map(|approval| approval.as_str()),
            detail: &self.detail,
        }
    }
}

fn cut(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_NAME {
        return Cow::Borrowed(name);
    }
    let end = name.floor_char_boundary(MAX_NAME);
    Cow::Owned(format!("{}…", &name[..end]))
}

fn bounded(detail: &Value) -> String {
    let text = detail.to_string();
    if text.len() <= MAX_DETAIL {
        return text;
    }
    let members = detail.as_object().into_iter().flatten();
    let short: Map<String, Value> = members
        .map(|(key, value)| {
            let text = value.to_string();
            let is_long = text.len() > MAX_PART;
            let value = if is_long {
                stand_in(&text)
            } else {
                value.clone()
            };
            (key.clone(), value)
        })
        .collect();
    let shortened = Value::Object(short).to_string();
    if detail.is_object() && shortened.len() <= MAX_DETAIL {
        return shortened;
    }
    stand_in(&text).to_string()
}

fn stand_in(text: &str) -> Value {
    json!({ "too_long": text.len(), "digest": Digest::of(text.as_bytes()) })
}
