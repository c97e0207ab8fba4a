//! The table `clients` of the store.

use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Issued;
use crate::types::{Client, ClientName, Digest, Scope};

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<(Digest, Issued)>> {
    let mut rows = connection.prepare(
        "SELECT name, token, servers, tools, created_at, expires_at, used_at FROM clients",
    )?;
    rows.query_map([], read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Digest, Issued)> {
    let name: String = row.get(0)?;
    let name = name.parse().map_err(|error| unreadable(0, error))?;
    let scope = Scope {
        servers: list(row, 2)?,
        tools: list(row, 3)?,
    };
    let token = Digest::from_bytes(row.get(1)?);
    let issued = Issued::new(
        Client::issued(name, scope, token),
        row.get(4)?,
        row.get(5)?,
        row.get::<_, Option<i64>>(6)?,
    );
    Ok((token, issued))
}

fn list<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<T>> {
    let json: String = row.get(column)?;
    serde_json::from_str(&json).map_err(|error| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

pub(super) fn insert(
    tx: &Transaction<'_>,
    token: &Digest,
    issued: &Issued,
) -> rusqlite::Result<()> {
    let scope = issued.client.scope();
    tx.execute(
        "INSERT INTO clients (name, token, servers, tools, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            issued.client.name().as_str(),
            token.as_bytes(),
            json(&scope.servers)?,
            json(&scope.tools)?,
            issued.created_at,
            issued.expires_at,
        ],
    )?;
    Ok(())
}

fn json<T: Serialize>(list: &[T]) -> rusqlite::Result<String> {
    serde_json::to_string(list)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn delete(tx: &Transaction<'_>, name: &ClientName) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM clients WHERE name = ?1", [name.as_str()])?;
    Ok(())
}

pub(super) fn used(tx: &Transaction<'_>, name: &ClientName, at: i64) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE clients SET used_at = ?2 WHERE name = ?1",
        params![name.as_str(), at],
    )?;
    Ok(())
}
