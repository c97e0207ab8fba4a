//! Looking for the first place where the chain is broken.

use std::fmt;

use rusqlite::types::FromSqlError;
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use super::Kind;
use super::chain::{self, Fields, Link};
use crate::types::Digest;

/// What became of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was altered, removed, inserted or moved since the records were written.
    Intact {
        records: u64,
        newest: u64,
        /// Noted elsewhere, it shows later that the log was not built anew.
        head: Digest,
    },
    Broken(Break),
}

/// The first thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// The number of the record concerned.
    pub seq: u64,
    pub fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not as it was written, or does not follow the one before.
    Altered,
    /// It is not there, nor are those up to `last`.
    Missing { last: u64 },
    /// It was put before the oldest or after the newest record.
    Added,
    /// It is the oldest that is left, and nothing says that those before were pruned.
    Beheaded,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match self.fault {
            Fault::Altered => write!(
                f,
                "record {seq} was altered or does not follow the one before it"
            ),
            Fault::Missing { last } if last == seq => write!(f, "record {seq} is missing"),
            Fault::Missing { last } => write!(f, "records {seq} to {last} are missing"),
            Fault::Added => write!(f, "record {seq} was not written by the daemon"),
            Fault::Beheaded => write!(
                f,
                "the records before {seq} were removed, and not by the setting audit.keep_days"
            ),
        }
    }
}

/// What a pruning leaves in its record, and in the chain as its new beginning.
#[derive(Serialize, Deserialize)]
pub(super) struct Pruning {
    /// The last record that was removed.
    pub(super) through: i64,
    pub(super) hash: Digest,
    pub(super) records: i64,
}

/// Reads the whole log once, a record at a time. To be called in a transaction, so that both ends and
/// the records are of one moment.
pub(super) fn verify(snapshot: &Connection) -> rusqlite::Result<Verdict> {
    let (anchor, head) = (chain::anchor(snapshot)?, chain::head(snapshot)?);
    let mut last = anchor;
    let mut pruned = None;
    let mut select = snapshot.prepare(
        "SELECT seq, at, kind, server, tool, actor, approval, hash, detail FROM audit ORDER BY seq",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        if seq <= anchor.seq || seq > head.seq {
            return Ok(broken(seq, Fault::Added));
        }
        if seq != last.seq + 1 {
            return Ok(missing(last.seq + 1, seq - 1));
        }
        let Ok(Some(hash)) = check(row, seq, &last.hash, &mut pruned) else {
            return Ok(broken(seq, Fault::Altered));
        };
        last = Link { seq, hash };
    }
    if last.seq < head.seq {
        return Ok(missing(last.seq + 1, head.seq));
    }
    if last.hash != head.hash {
        return Ok(broken(last.seq, Fault::Altered));
    }
    if anchor.seq != 0 && pruned != Some(anchor) {
        return Ok(broken(anchor.seq + 1, Fault::Beheaded));
    }
    Ok(Verdict::Intact {
        records: (head.seq - anchor.seq).unsigned_abs(),
        newest: head.seq.unsigned_abs(),
        head: Digest::from_bytes(head.hash),
    })
}

/// The hash of a record if it is the one stored; None if not. An error means a field of a wrong type.
/// `pruned` becomes the beginning that the record declares, if it does.
fn check(
    row: &Row<'_>,
    seq: i64,
    previous: &[u8; 32],
    pruned: &mut Option<Link>,
) -> Result<Option<[u8; 32]>, FromSqlError> {
    let value = |index| row.get_ref(index).map_err(|_| FromSqlError::InvalidType);
    let text = |index| value(index)?.as_str();
    let optional = |index| value(index)?.as_str_or_null();
    let fields = Fields {
        seq,
        at: value(1)?.as_i64()?,
        kind: text(2)?,
        server: optional(3)?,
        tool: optional(4)?,
        actor: optional(5)?,
        approval: optional(6)?,
        detail: text(8)?,
    };
    let hash = fields.hash(previous);
    if value(7)?.as_blob()? != hash.as_bytes() {
        return Ok(None);
    }
    if fields.kind == Kind::AuditPruned.as_str()
        && let Ok(pruning) = serde_json::from_str::<Pruning>(fields.detail)
    {
        *pruned = Some(Link {
            seq: pruning.through,
            hash: *pruning.hash.as_bytes(),
        });
    }
    Ok(Some(*hash.as_bytes()))
}

fn broken(seq: i64, fault: Fault) -> Verdict {
    let seq = u64::try_from(seq).unwrap_or_default();
    Verdict::Broken(Break { seq, fault })
}

fn missing(first: i64, last: i64) -> Verdict {
    let last = last.unsigned_abs();
    broken(first, Fault::Missing { last })
}
