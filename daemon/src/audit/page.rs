//! Reading the log: by pages from its end, and what was added.

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params};

use super::chain;
use crate::types::Digest;

/// Most records that are read at once.
const MAX_PAGE: usize = 1_000;
/// No further record is read when the details of those so far are longer.
const MAX_BYTES: usize = 1024 * 1024;

/// Which records are wanted; None wants all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A kind, or the first part of several: `call` stands for all of `call.*`.
    pub kind: Option<String>,
    pub server: Option<String>,
    pub tool: Option<String>,
    /// A part of the actor's words.
    pub actor: Option<String>,
    pub approval: Option<String>,
    pub since: Option<Timestamp>,
}

/// One record as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub seq: u64,
    pub at: Timestamp,
    pub kind: String,
    pub server: Option<String>,
    pub tool: Option<String>,
    pub actor: Option<String>,
    pub approval: Option<String>,
    /// A JSON object.
    pub detail: String,
    pub hash: Digest,
}

/// What came after a certain record.
#[derive(Debug, Clone)]
pub struct Added {
    /// Oldest first.
    pub records: Vec<Record>,
    /// Continue after this one: it and all before have been looked at.
    pub seen: u64,
}

/// At most `limit` records older than `before`, newest first; none only if there is none.
pub(super) fn page(
    connection: &Connection,
    filter: &Filter,
    before: Option<u64>,
    limit: usize,
) -> rusqlite::Result<Vec<Record>> {
    let until = before.map_or(i64::MAX, |seq| to_sql(seq).saturating_sub(1));
    let range = (0, until);
    let (records, _) = select(connection, filter, range, Order::NewestFirst, limit)?;
    Ok(records)
}

/// At most `limit` records newer than `after`, oldest first.
pub(super) fn added(
    connection: &Connection,
    filter: &Filter,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Added> {
    // Asked first: what is added in between is found the next time.
    let newest = chain::head(connection)?.seq;
    let range = (to_sql(after), newest);
    let (records, all) = select(connection, filter, range, Order::OldestFirst, limit)?;
    let seen = match records.last() {
        Some(last) if !all => last.seq,
        _ => after.max(newest.unsigned_abs()),
    };
    Ok(Added { records, seen })
}

enum Order {
    OldestFirst,
    NewestFirst,
}

/// The records, and whether they are all there are in the range.
fn select(
    connection: &Connection,
    filter: &Filter,
    (after, until): (i64, i64),
    order: Order,
    limit: usize,
) -> rusqlite::Result<(Vec<Record>, bool)> {
    let limit = limit.min(MAX_PAGE);
    let direction = match order {
        Order::OldestFirst => "ASC",
        Order::NewestFirst => "DESC",
    };
    // No index but the number: one would cost every append, and a scan of a million records takes
    // a fraction of a second.
    let sql = format!(
        "SELECT seq, at, kind, server, tool, actor, approval, hash, detail FROM audit \
         WHERE seq > :after AND seq <= :until \
         AND (:kind IS NULL OR kind = :kind OR substr(kind, 1, length(:kind) + 1) = :kind || '.') \
         AND (:server IS NULL OR server = :server) \
         AND (:tool IS NULL OR tool = :tool) \
         AND (:actor IS NULL OR instr(actor, :actor) > 0) \
         AND (:approval IS NULL OR approval = :approval) \
         AND (:since IS NULL OR at >= :since) \
         ORDER BY seq {direction} LIMIT :limit"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let values = named_params! {
        ":after": after,
        ":until": until,
        ":kind": filter.kind,
        ":server": filter.server,
        ":tool": filter.tool,
        ":actor": filter.actor,
        ":approval": filter.approval,
        ":since": filter.since.map(Timestamp::as_microsecond),
        ":limit": to_sql(limit as u64),
    };
    let mut records = Vec::new();
    let mut bytes = 0;
    for read in select.query_map(values, record)? {
        let record = read?;
        bytes += record.detail.len();
        records.push(record);
        if bytes > MAX_BYTES {
            return Ok((records, false));
        }
    }
    let all = records.len() < limit;
    Ok((records, all))
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let seq: i64 = row.get(0)?;
    let at = Timestamp::from_microsecond(row.get(1)?);
    Ok(Record {
        seq: seq.unsigned_abs(),
        // Only a forged record has an impossible time; the chain tells.
        at: at.unwrap_or(Timestamp::UNIX_EPOCH),
        kind: row.get(2)?,
        server: row.get(3)?,
        tool: row.get(4)?,
        actor: row.get(5)?,
        approval: row.get(6)?,
        hash: Digest::from_bytes(row.get(7)?),
        detail: row.get(8)?,
    })
}

fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
