//! Requests that are being answered, step by step.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{ConversationError, MAX_BYTES, Outcome};
use crate::types::Digest;

/// How long the steps of a complete run are kept, in milliseconds: clients try again within minutes.
const FINISHED_KEPT: i64 = 10 * 60 * 1000;
/// And those of one that is not, since its last step: it may be waiting for a person.
const UNFINISHED_KEPT: i64 = 24 * 60 * 60 * 1000;

/// Where all steps together are too much, no run is kept longer than this without a step.
const IDLE_KEPT: i64 = 60 * 60 * 1000;

/// A run of a request. The same request may be run several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(i64);

/// What is known of a run.
pub struct Journal {
    pub run: RunId,
    /// Their bodies, in order.
    pub steps: Vec<String>,
    /// The id of the answer, if it is complete.
    pub finished: Option<String>,
}

pub(super) fn begin(
    tx: &Transaction<'_>,
    owner: &Digest,
    key: &Digest,
    steps: &[String],
    now: i64,
) -> rusqlite::Result<RunId> {
    let run = tx
        .prepare_cached("INSERT INTO conversation_runs (owner, key, used_at) VALUES (?1, ?2, ?3)")?
        .insert(params![owner.as_bytes(), key.as_bytes(), now])?;
    for (n, body) in (0..).zip(steps) {
        insert(tx, run, n, body)?;
    }
    Ok(RunId(run))
}

fn insert(tx: &Transaction<'_>, run: i64, n: i64, body: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO conversation_steps (run, n, body) VALUES (?1, ?2, ?3)")?
        .execute(params![run, n, body])?;
    Ok(())
}

pub(super) fn is_open(tx: &Transaction<'_>, run: RunId) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM conversation_runs WHERE run = ?1 AND answer IS NULL")?
        .exists([run.0])
}

pub(super) fn step(
    tx: &Transaction<'_>,
    run: RunId,
    n: usize,
    body: &str,
    now: i64,
) -> Outcome<()> {
    let (steps, bytes): (i64, i64) = tx
        .prepare_cached(
            "SELECT count(*), ifnull(sum(bytes), 0) FROM conversation_steps WHERE run = ?1",
        )?
        .query_row([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // Two that go on with the same run would write the same step.
    if usize::try_from(steps) != Ok(n) || !is_open(tx, run)? {
        return Ok(Err(ConversationError::RunOver));
    }
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let bytes = bytes.saturating_add(body.len());
    if let Err(refused) = super::too_large("a run", bytes, MAX_BYTES) {
        return Ok(Err(refused));
    }
    insert(tx, run.0, steps, body)?;
    tx.prepare_cached("UPDATE conversation_runs SET used_at = ?2 WHERE run = ?1")?
        .execute([run.0, now])?;
    Ok(Ok(()))
}

pub(super) fn finish(
    tx: &Transaction<'_>,
    run: RunId,
    answer: &str,
    now: i64,
) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE conversation_runs SET answer = ?2, used_at = ?3 WHERE run = ?1")?
        .execute(params![run.0, answer, now])?;
    Ok(())
}

pub(super) fn journal(
    connection: &Connection,
    owner: &Digest,
    key: &Digest,
    now: i64,
) -> rusqlite::Result<Option<Journal>> {
    let newest: Option<(i64, Option<String>)> = connection
        .prepare_cached(
            "SELECT run, answer FROM conversation_runs WHERE owner = ?1 AND key = ?2
             AND used_at >= iif(answer IS NULL, ?3, ?4) ORDER BY run DESC LIMIT 1",
        )?
        .query_row(
            params![
                owner.as_bytes(),
                key.as_bytes(),
                now.saturating_sub(UNFINISHED_KEPT),
                now.saturating_sub(FINISHED_KEPT)
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((run, finished)) = newest else {
        return Ok(None);
    };
    let steps = connection
        .prepare_cached("SELECT body FROM conversation_steps WHERE run = ?1 ORDER BY n")?
        .query_map([run], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(Journal {
        run: RunId(run),
        steps,
        finished,
    }))
}

/// If all steps together have more than `room` bytes, forgets the runs that have been idle.
pub(super) fn make_room(tx: &Transaction<'_>, now: i64, room: i64) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "DELETE FROM conversation_runs WHERE used_at < ?1
         AND (SELECT sum(bytes) FROM conversation_steps) > ?2",
    )?
    .execute([now.saturating_sub(IDLE_KEPT), room])
}

/// Returns how many went, at most `limit`.
pub(super) fn sweep(tx: &Transaction<'_>, now: i64, limit: u32) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "DELETE FROM conversation_runs WHERE run IN (SELECT run FROM conversation_runs
             WHERE used_at < iif(answer IS NULL, ?1, ?2) ORDER BY run LIMIT ?3)",
    )?
    .execute(params![
        now.saturating_sub(UNFINISHED_KEPT),
        now.saturating_sub(FINISHED_KEPT),
        limit
    ])
}
