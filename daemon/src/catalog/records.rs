//! The catalog's tables.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::definition::{Definition, ListedTool};
use super::entry::{Instructions, ServerTools, ToolEntry};
use crate::types::{Digest, ServerName};

type Servers = HashMap<ServerName, Arc<ServerTools>>;

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Servers> {
    let mut servers = HashMap::new();
    let mut rows = connection.prepare(
        "SELECT server, url, opened_at, complete, announces, instructions_pinned, instructions_seen
         FROM catalog_servers",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let pinned: Option<String> = row.get(5)?;
        let seen: Option<String> = row.get(6)?;
        let server = ServerTools {
            opened_at: row.get::<_, Option<i64>>(2)?.map(time),
            complete: row.get(3)?,
            announces: row.get(4)?,
            instructions: pinned.zip(seen).map(|(pinned, seen)| Instructions {
                pinned: pinned.into(),
                seen: seen.into(),
            }),
            ..ServerTools::at(&row.get::<_, String>(1)?)
        };
        // A name that is no name any more belongs to no server.
        if let Ok(name) = row.get::<_, String>(0)?.parse::<ServerName>() {
            servers.insert(name, server);
        }
    }
    let mut rows = connection
        .prepare("SELECT server, tool, pinned, seen, digest, flaw, seen_at FROM catalog_tools")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let Some(server) = servers.get_mut(name.as_str()) else {
            continue;
        };
        let tool = ListedTool {
            name: row.get::<_, String>(1)?.into(),
            definition: Definition {
                digest: Digest::from_bytes(row.get(4)?),
                json: row.get::<_, String>(3)?.into(),
            },
            flaw: row.get::<_, Option<String>>(5)?.map(Into::into),
        };
        let pinned = row.get::<_, Option<String>>(2)?;
        let pinned = pinned.map(|json| Definition::of(&json));
        let entry = ToolEntry::new(&tool, pinned, time(row.get(6)?));
        server.tools.insert(tool.name, Arc::new(entry));
    }
    let shared = servers.into_iter();
    Ok(shared
        .map(|(name, tools)| (name, Arc::new(tools)))
        .collect())
}

/// Everything about `server` but its tools.
pub(super) fn put_server(
    tx: &Transaction<'_>,
    name: &ServerName,
    server: &ServerTools,
) -> rusqlite::Result<()> {
    let present: Option<String> = tx
        .prepare_cached("SELECT url FROM catalog_servers WHERE server = ?1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()?;
    if present.is_some_and(|url| url != *server.url) {
        remove(tx, name)?;
    }
    let instructions = server.instructions.as_ref();
    tx.prepare_cached(
        "INSERT INTO catalog_servers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (server) DO UPDATE SET
             opened_at = excluded.opened_at, complete = excluded.complete, announces = excluded.announces,
             instructions_pinned = excluded.instructions_pinned, instructions_seen = excluded.instructions_seen",
    )?
    .execute(params![
        name.as_str(),
        &*server.url,
        server.opened_at.map(Timestamp::as_millisecond),
        server.complete,
        server.announces,
        instructions.map(|texts| &*texts.pinned),
        instructions.map(|texts| &*texts.seen),
    ])
    .map(drop)
}

pub(super) fn put_tool(
    tx: &Transaction<'_>,
    server: &ServerName,
    tool: &str,
    entry: &ToolEntry,
) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO catalog_tools VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            server.as_str(),
            tool,
            entry.pinned().map(|pinned| &*pinned.json),
            &*entry.definition.json,
            entry.definition.digest.as_bytes(),
            entry.flaw().map(|why| &**why),
            entry.seen_at.as_millisecond(),
        ])
        .map(drop)
}

pub(super) fn remove(tx: &Transaction<'_>, server: &ServerName) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM catalog_servers WHERE server = ?1")?
        .execute([server.as_str()])
        .map(drop)
}

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}
