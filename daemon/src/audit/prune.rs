//! Forgetting what is older than the setting says, without breaking the chain.
//!
//! Records go from the front only. The hash of the last one that went becomes the beginning of the
//! chain, and a record of the pruning, which cannot be forged unnoticed, says the same.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::json;

use super::verify::Pruning;
use super::{Event, Kind, append};
use crate::types::Digest;

/// Records that go in one transaction; the writer serves others in between.
pub(super) const BATCH: i64 = 2_000;

/// Removes the oldest records that were made before `until`, at most [`BATCH`]. Returns how many.
pub(super) fn prune(
    transaction: &Transaction<'_>,
    now: Timestamp,
    until: Timestamp,
) -> rusqlite::Result<i64> {
    // The clock may have been set back: what counts is the first record that is young enough.
    let oldest = "SELECT seq, at, hash FROM audit ORDER BY seq LIMIT ?1";
    let last = transaction
        .prepare_cached(&format!(
            "WITH oldest AS ({oldest}) SELECT seq, hash FROM oldest \
             WHERE seq < ifnull((SELECT min(seq) FROM oldest WHERE at >= ?2), {}) \
             ORDER BY seq DESC LIMIT 1",
            i64::MAX
        ))?
        .query_row(params![BATCH, until.as_microsecond()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
        .optional()?;
    let Some((through, hash)) = last else {
        return Ok(0);
    };
    let records = transaction.execute("DELETE FROM audit WHERE seq <= ?1", [through])?;
    let records = i64::try_from(records).unwrap_or(i64::MAX);
    transaction.execute(
        "UPDATE audit_chain SET anchor_seq = ?1, anchor_hash = ?2",
        params![through, hash],
    )?;
    let pruning = Pruning {
        through,
        hash: Digest::from_bytes(hash),
        records,
    };
    let event = Event::new(Kind::AuditPruned).detail(json!(pruning));
    append(transaction, now, &event)?;
    Ok(records)
}
