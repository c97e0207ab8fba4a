//! From any earlier format to the present one, forward only. A migration that was released is frozen.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// In order; the format of a file is how many of them it has seen.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/001_audit.sql"),
    include_str!("migrations/002_approvals.sql"),
    include_str!("migrations/003_catalog.sql"),
    include_str!("migrations/004_clients.sql"),
    include_str!("migrations/005_conversations.sql"),
];

/// Brings the database to the present format, each step in a transaction of its own.
pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::at(path, source);
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let found: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    if found > 0 && found < known {
        back_up(connection, path, found).map_err(failed)?;
    }
    for (number, sql) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        let step = |connection: &mut Connection| {
            let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            step.execute_batch(sql)?;
            step.pragma_update(None, "user_version", number)?;
            step.commit()
        };
        step(connection).map_err(failed)?;
    }
    Ok(())
}

/// Keeps the old format beside the file, once per format.
fn back_up(connection: &Connection, path: &Path, format: u32) -> rusqlite::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".format-{format}"));
    let copy = Path::new(&name);
    if copy.exists() {
        return Ok(());
    }
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The directory is private; this only keeps the file so when it is copied elsewhere.
        let _ = std::fs::set_permissions(copy, std::fs::Permissions::from_mode(0o600));
    }
    Ok(())
}
