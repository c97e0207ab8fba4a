//! Answers by their id, each with the one it continues.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::items::{self, Kind};
use super::{ConversationError, MAX_BYTES, MAX_READ, Outcome, Saved, runs};
use crate::types::Digest;

struct Answer {
    parent: Option<String>,
    deleted: bool,
    body: String,
}

pub(super) fn put(tx: &Transaction<'_>, owner: &Digest, now: i64, saved: &Saved) -> Outcome<()> {
    if let Err(refused) = check(tx, owner, saved)? {
        return Ok(Err(refused));
    }
    let conversation = conversation(tx, owner, now, saved.parent.as_deref())?;
    if let Some(body) = &saved.body {
        tx.prepare_cached(
            "INSERT INTO conversation_answers (owner, id, conversation, parent, body)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            owner.as_bytes(),
            saved.id,
            conversation,
            saved.parent,
            body
        ])?;
    }
    let left = [
        (Kind::Fragment, &saved.fragments),
        (Kind::Pin, &saved.pins),
        (Kind::Approval, &saved.open),
    ];
    for (kind, left) in left {
        for (key, body) in left {
            items::put(tx, owner, kind, key, (conversation, &saved.id), body)?;
        }
    }
    if let Some(run) = saved.run {
        runs::finish(tx, run, &saved.id, now)?;
    }
    Ok(Ok(()))
}

/// Everything that could refuse `saved` comes before the first change.
fn check(tx: &Transaction<'_>, owner: &Digest, saved: &Saved) -> Outcome<()> {
    if saved.body.is_some() && exists(tx, owner, &saved.id)? {
        return Ok(Err(ConversationError::Taken(saved.id.clone())));
    }
    let mut opened = HashSet::new();
    for (id, _) in &saved.open {
        // Were it opened again, an old answer of the client would approve the new call.
        if !opened.insert(id) || items::exists(tx, owner, Kind::Approval, id)? {
            return Ok(Err(ConversationError::Taken(id.clone())));
        }
    }
    match saved.run {
        Some(run) if !runs::is_open(tx, run)? => Ok(Err(ConversationError::RunOver)),
        _ => Ok(Ok(())),
    }
}

fn exists(tx: &Transaction<'_>, owner: &Digest, id: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM conversation_answers WHERE owner = ?1 AND id = ?2")?
        .exists(params![owner.as_bytes(), id])
}

/// That of the parent, or a new one. A parent that has gone in the meantime leaves an answer that
/// can be looked at and not continued.
fn conversation(
    tx: &Transaction<'_>,
    owner: &Digest,
    now: i64,
    parent: Option<&str>,
) -> rusqlite::Result<i64> {
    let known = tx
        .prepare_cached(
            "UPDATE conversations SET used_at = ?3 WHERE conversation =
                 (SELECT conversation FROM conversation_answers WHERE owner = ?1 AND id = ?2)
             RETURNING conversation",
        )?
        .query_row(params![owner.as_bytes(), parent, now], |row| row.get(0))
        .optional()?;
    if let Some(conversation) = known {
        return Ok(conversation);
    }
    tx.prepare_cached("INSERT INTO conversations (owner, used_at) VALUES (?1, ?2)")?
        .insert(params![owner.as_bytes(), now])
}

/// Deleted ones included.
fn get(
    connection: &Connection,
    owner: &Digest,
    since: i64,
    id: &str,
) -> rusqlite::Result<Option<Answer>> {
    connection
        .prepare_cached(
            "SELECT parent, deleted, body FROM conversation_answers a JOIN conversations c
             USING (conversation) WHERE a.owner = ?1 AND id = ?2 AND used_at >= ?3",
        )?
        .query_row(params![owner.as_bytes(), id, since], |row| {
            Ok(Answer {
                parent: row.get(0)?,
                deleted: row.get(1)?,
                body: row.get(2)?,
            })
        })
        .optional()
}

pub(super) fn find(
    connection: &Connection,
    owner: &Digest,
    since: i64,
    id: &str,
) -> rusqlite::Result<Option<String>> {
    let found = get(connection, owner, since, id)?;
    Ok(found.filter(|answer| !answer.deleted).map(|a| a.body))
}

pub(super) fn chain(
    connection: &Connection,
    owner: &Digest,
    since: i64,
    id: String,
) -> Outcome<Option<Vec<(String, String)>>> {
    let mut chain = Vec::new();
    let mut bytes = 0;
    let mut next = Some(id);
    while let Some(id) = next {
        let found = get(connection, owner, since, &id)?;
        let Some(answer) = found.filter(|answer| !chain.is_empty() || !answer.deleted) else {
            return Ok(Ok(None));
        };
        bytes += answer.body.len();
        if let Err(refused) = check_length(chain.len() + 1, bytes) {
            return Ok(Err(refused));
        }
        next = answer.parent;
        chain.push((id, answer.body));
    }
    chain.reverse();
    Ok(Ok(Some(chain)))
}

fn check_length(answers: usize, bytes: usize) -> Result<(), ConversationError> {
    let too_long = |limit, unit| Err(ConversationError::TooLong { limit, unit });
    if answers > MAX_READ {
        return too_long(MAX_READ, "answers");
    }
    if bytes > MAX_BYTES {
        return too_long(MAX_BYTES, "bytes");
    }
    Ok(())
}

pub(super) fn delete(
    tx: &Transaction<'_>,
    owner: &Digest,
    since: i64,
    id: &str,
) -> rusqlite::Result<bool> {
    if find(tx, owner, since, id)?.is_none() {
        return Ok(false);
    }
    items::delete_of(tx, owner, id)?;
    tx.prepare_cached("UPDATE conversation_answers SET deleted = 1 WHERE owner = ?1 AND id = ?2")?
        .execute(params![owner.as_bytes(), id])?;
    // Then those before it that were kept for it alone.
    let mut next = Some(id.to_owned());
    while let Some(id) = next {
        next = remove_unneeded(tx, owner, &id)?;
    }
    Ok(true)
}

/// Removes the answer if it is deleted and nothing continues it; returns its parent then.
fn remove_unneeded(
    tx: &Transaction<'_>,
    owner: &Digest,
    id: &str,
) -> rusqlite::Result<Option<String>> {
    let parent: Option<Option<String>> = tx
        .prepare_cached(
            "DELETE FROM conversation_answers WHERE owner = ?1 AND id = ?2 AND deleted = 1
             AND NOT EXISTS
                 (SELECT 1 FROM conversation_answers WHERE owner = ?1 AND parent = ?2)
             RETURNING parent",
        )?
        .query_row(params![owner.as_bytes(), id], |row| row.get(0))
        .optional()?;
    Ok(parent.flatten())
}
