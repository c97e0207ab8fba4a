//! Calls that the daemon before this one sent and did not see end.

use rusqlite::Transaction;
use serde_json::json;

use super::{Event, Kind};

/// Records that are looked through, newest first: a start must not take long.
const LOOKED_AT: i64 = 10_000;

/// The missing ends of calls that began since the last start, oldest first.
pub(super) fn ends(tx: &Transaction<'_>) -> rusqlite::Result<Vec<Event>> {
    let mut calls = tx.prepare(
        "WITH recent AS MATERIALIZED (
             SELECT seq, kind, server, tool, actor,
                 CASE WHEN kind = ?2 AND json_valid(detail) THEN detail ->> 'call' END AS ended
             FROM audit
             WHERE seq > (SELECT head_seq FROM audit_chain) - ?1
         )
         SELECT seq, server, tool, actor FROM recent
         WHERE kind = ?3
             AND seq > (SELECT coalesce(max(seq), 0) FROM recent WHERE kind = ?4)
             AND seq NOT IN (SELECT ended FROM recent WHERE ended IS NOT NULL)
         ORDER BY seq",
    )?;
    let [finished, started, start] = [Kind::CallFinished, Kind::CallStarted, Kind::DaemonStarted];
    let asked = (
        LOOKED_AT,
        finished.as_str(),
        started.as_str(),
        start.as_str(),
    );
    let rows = calls.query_map(asked, |row| {
        let mut end = Event::new(Kind::CallFinished).detail(json!({
            "outcome": "unknown",
            "why": "the daemon ended before it recorded the end of the call",
            "call": row.get::<_, i64>(0)?,
        }));
        let server: Option<String> = row.get(1)?;
        end.server = server.and_then(|name| name.parse().ok());
        end.tool = row.get(2)?;
        end.actor = row.get(3)?;
        Ok(end)
    })?;
    rows.collect()
}
