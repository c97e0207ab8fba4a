//! Items and grants in `state.db`.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Params, Row, Transaction, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::grant::Grant;
use super::item::{Item, State};
use super::queue::{Entry, REPEATED_DENIAL, Recorded};
use crate::audit;
use crate::types::{ApprovalId, ServerName};

/// Calls of unknown outcome that are remembered across a restart.
const UNKNOWN_READ: u32 = 1_000;
/// What is over is kept so long, and so many of it.
const KEPT_DAYS: i64 = 90;
const KEPT_ITEMS: u32 = 10_000;

/// Which items of the history, newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Empty for all.
    pub states: Vec<State>,
    pub server: Option<ServerName>,
    /// Part of the tool's name.
    pub tool: Option<String>,
    /// When it was asked: from `since` on, before `until`.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Only those asked before this one.
    pub before: Option<ApprovalId>,
    pub limit: u32,
}

pub(super) fn keep(
    tx: &Transaction<'_>,
    now: Timestamp,
    journal: &[Entry],
) -> rusqlite::Result<()> {
    for entry in journal {
        match entry {
            Entry::Item(item) => keep_item(tx, now, item)?,
            Entry::Grant(grant) => {
                tx.prepare_cached("INSERT OR REPLACE INTO grants (id, record) VALUES (?1, ?2)")?
                    .execute((grant.id.as_str(), to_json(grant.as_ref())?))?;
            }
            Entry::GrantGone(id) => {
                tx.prepare_cached("DELETE FROM grants WHERE id = ?1")?
                    .execute([id.as_str()])?;
            }
            Entry::Event(event) => {
                audit::append(tx, now, event)?;
            }
        }
    }
    Ok(())
}

fn keep_item(tx: &Transaction<'_>, now: Timestamp, item: &Item) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO approvals (id, state, server, asked_at, changed_at, earlier, item)
         VALUES (:id, :state, :server, :asked_at, :now, :earlier, :item)
         ON CONFLICT (id) DO UPDATE SET state = :state, changed_at = :now, item = :item",
    )?
    .execute(named_params! {
        ":id": item.id.as_str(),
        ":state": item.state.as_str(),
        ":server": item.action.server.as_str(),
        ":asked_at": item.asked_at.as_millisecond(),
        ":now": now.as_millisecond(),
        ":earlier": item.earlier.as_ref().map(ApprovalId::as_str),
        ":item": to_json(item)?,
    })?;
    Ok(())
}

/// What the queue has to know.
pub(super) fn read(connection: &Connection, now: Timestamp) -> rusqlite::Result<Recorded> {
    let denied_since = now - REPEATED_DENIAL;
    Ok(Recorded {
        live: items(
            connection,
            "SELECT item FROM approvals WHERE state IN ('pending', 'approved', 'executing')
             ORDER BY asked_at, id",
            [],
        )?,
        denied: items(
            connection,
            "SELECT item FROM approvals WHERE state = 'denied' AND changed_at > ?1
             ORDER BY changed_at",
            [denied_since.as_millisecond()],
        )?,
        unknown: items(
            connection,
            "SELECT item FROM approvals known WHERE state = 'outcome_unknown' AND NOT EXISTS (
                 SELECT 1 FROM approvals later WHERE later.earlier = known.id
                 AND later.state IN ('executing', 'done', 'failed', 'outcome_unknown'))
             ORDER BY asked_at DESC LIMIT ?1",
            [UNKNOWN_READ],
        )?,
        grants: grants(connection)?,
    })
}

pub(super) fn grants(connection: &Connection) -> rusqlite::Result<Vec<Grant>> {
    connection
        .prepare_cached("SELECT record FROM grants")?
        .query_map([], from_json)?
        .collect()
}

pub(super) fn get(connection: &Connection, id: ApprovalId) -> rusqlite::Result<Option<Arc<Item>>> {
    let sql = "SELECT item FROM approvals WHERE id = ?1";
    Ok(items(connection, sql, [id.as_str()])?.pop().map(Arc::new))
}

/// Two ids at most that begin with `prefix`, which has nothing but characters of ids.
pub(super) fn beginning_with(
    connection: &Connection,
    prefix: &str,
) -> rusqlite::Result<Vec<ApprovalId>> {
    connection
        .prepare_cached("SELECT id FROM approvals WHERE id >= ?1 AND id < ?1 || '~' LIMIT 2")?
        .query_map([prefix], |row| {
            let id: String = row.get(0)?;
            id.parse().map_err(|error| unreadable(Box::new(error)))
        })?
        .collect()
}

pub(super) fn page(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Item>> {
    // Words of ours, nothing that was sent.
    let states: Vec<String> = filter
        .states
        .iter()
        .map(|state| format!("'{state}'"))
        .collect();
    let mut sql = "SELECT item FROM approvals WHERE (:server IS NULL OR server = :server)
         AND (:tool IS NULL OR instr(item ->> '$.action.tool', :tool) > 0)
         AND (:since IS NULL OR asked_at >= :since) AND (:until IS NULL OR asked_at < :until)
         AND (:before IS NULL OR (asked_at, id) <
             (SELECT asked_at, id FROM approvals WHERE id = :before))"
        .to_owned();
    if !states.is_empty() {
        sql.push_str(&format!(" AND state IN ({})", states.join(", ")));
    }
    sql.push_str(" ORDER BY asked_at DESC, id DESC LIMIT :limit");
    let wanted = named_params! {
        ":server": filter.server.as_ref().map(ServerName::as_str),
        ":tool": filter.tool,
        ":since": filter.since.map(Timestamp::as_millisecond),
        ":until": filter.until.map(Timestamp::as_millisecond),
        ":before": filter.before.as_ref().map(ApprovalId::as_str),
        ":limit": filter.limit,
    };
    items(connection, &sql, wanted)
}

/// Forgets what is over and old.
pub(super) fn prune(tx: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<usize> {
    let age = jiff::SignedDuration::from_hours(24 * KEPT_DAYS);
    let oldest = now.checked_sub(age).unwrap_or(Timestamp::MIN);
    tx.execute(
        "DELETE FROM approvals WHERE state NOT IN ('pending', 'approved', 'executing')
         AND (changed_at < ?1 OR id NOT IN
             (SELECT id FROM approvals ORDER BY asked_at DESC, id DESC LIMIT ?2))",
        (oldest.as_millisecond(), KEPT_ITEMS),
    )
}

fn items(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<Item>> {
    connection
        .prepare_cached(sql)?
        .query_map(parameters, from_json)?
        .collect()
}

fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>) -> rusqlite::Result<T> {
    let json = row.get_ref(0)?.as_str()?;
    serde_json::from_str(json).map_err(|error| unreadable(Box::new(error)))
}

fn unreadable(error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error)
}
