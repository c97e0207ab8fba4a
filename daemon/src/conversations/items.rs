//! What is found by a key: fragments, pins, and calls that wait for an approval.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{ConversationError, MAX_BYTES, Outcome};
use crate::types::Digest;

/// How far the stored time of the last use may be behind, in milliseconds.
pub(super) const USE_STORED_EVERY: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Fragment,
    Pin,
    Approval,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fragment => "fragment",
            Self::Pin => "pin",
            Self::Approval => "approval",
        }
    }
}

pub(super) struct Item {
    pub key: String,
    pub used: bool,
    pub conversation: i64,
    pub used_at: i64,
    body: String,
}

impl Item {
    pub(super) fn into_pair(self) -> (String, String) {
        (self.key, self.body)
    }
}

/// `left_by` is the conversation and the answer.
pub(super) fn put(
    tx: &Transaction<'_>,
    owner: &Digest,
    kind: Kind,
    key: &str,
    left_by: (i64, &str),
    body: &str,
) -> rusqlite::Result<()> {
    let (conversation, answer) = left_by;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO conversation_items (owner, kind, key, conversation, answer, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        owner.as_bytes(),
        kind.as_str(),
        key,
        conversation,
        answer,
        body
    ])?;
    Ok(())
}

pub(super) fn exists(
    tx: &Transaction<'_>,
    owner: &Digest,
    kind: Kind,
    key: &str,
) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT 1 FROM conversation_items WHERE owner = ?1 AND kind = ?2 AND key = ?3",
    )?
    .exists(params![owner.as_bytes(), kind.as_str(), key])
}

pub(super) fn find(
    connection: &Connection,
    owner: &Digest,
    kind: Kind,
    since: i64,
    keys: &[String],
) -> Outcome<Vec<Item>> {
    let mut select = connection.prepare_cached(
        "SELECT used, conversation, used_at, body FROM conversation_items i JOIN conversations c
         USING (conversation) WHERE i.owner = ?1 AND kind = ?2 AND key = ?3 AND used_at >= ?4",
    )?;
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut seen = HashSet::new();
    for key in keys.iter().filter(|key| seen.insert(*key)) {
        let wanted = params![owner.as_bytes(), kind.as_str(), key, since];
        let item = select.query_row(wanted, |row| {
            Ok(Item {
                key: key.clone(),
                used: row.get(0)?,
                conversation: row.get(1)?,
                used_at: row.get(2)?,
                body: row.get(3)?,
            })
        });
        let Some(item) = item.optional()? else {
            continue;
        };
        bytes += item.body.len();
        if bytes > MAX_BYTES {
            return Ok(Err(ConversationError::TooLong {
                limit: MAX_BYTES,
                unit: "bytes",
            }));
        }
        found.push(item);
    }
    Ok(Ok(found))
}

/// Refuses unless a request may act on each of these approvals.
pub(super) fn check_open(
    tx: &Transaction<'_>,
    owner: &Digest,
    since: i64,
    ids: &[String],
) -> Outcome<()> {
    let mut select = tx.prepare_cached(
        "SELECT used, used_at < ?3 FROM conversation_items i JOIN conversations c
         USING (conversation) WHERE i.owner = ?1 AND kind = 'approval' AND key = ?2",
    )?;
    let mut seen = HashSet::new();
    for id in ids {
        let state: Option<(bool, bool)> = select
            .query_row(params![owner.as_bytes(), id, since], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let refused = match state {
            None => ConversationError::Unknown(id.clone()),
            Some((true, _)) => ConversationError::Used(id.clone()),
            Some((false, true)) => ConversationError::Expired(id.clone()),
            Some((false, false)) if seen.insert(id) => continue,
            Some((false, false)) => ConversationError::Used(id.clone()),
        };
        return Ok(Err(refused));
    }
    Ok(Ok(()))
}

pub(super) fn use_up(tx: &Transaction<'_>, owner: &Digest, ids: &[String]) -> rusqlite::Result<()> {
    let mut update = tx.prepare_cached(
        "UPDATE conversation_items SET used = 1 WHERE owner = ?1 AND kind = 'approval' AND key = ?2",
    )?;
    for id in ids {
        update.execute(params![owner.as_bytes(), id])?;
    }
    Ok(())
}

/// Those that a deleted answer left. Pins stay: they say what tools there were, nothing of what was
/// said, and the answers after it rely on them.
pub(super) fn delete_of(
    tx: &Transaction<'_>,
    owner: &Digest,
    answer: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM conversation_items WHERE kind <> 'pin' AND answer = ?2 AND conversation =
             (SELECT conversation FROM conversation_answers WHERE owner = ?1 AND id = ?2)",
    )?
    .execute(params![owner.as_bytes(), answer])?;
    Ok(())
}

pub(super) fn note_use(
    tx: &Transaction<'_>,
    conversations: &[i64],
    now: i64,
) -> rusqlite::Result<()> {
    let mut update = tx.prepare_cached(
        "UPDATE conversations SET used_at = max(used_at, ?2) WHERE conversation = ?1",
    )?;
    for conversation in conversations {
        update.execute([conversation, &now])?;
    }
    Ok(())
}
