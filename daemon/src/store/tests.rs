use super::*;
use crate::error::{Classify, ErrorKind};

async fn with_table() -> Store {
    let store = Store::temporary();
    let made = store.write(Durability::Process, |tx| {
        tx.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    });
    made.await.unwrap();
    store
}

fn numbers_in(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    tx.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
}

async fn numbers(store: &Store) -> Vec<i64> {
    let read = store.read(|connection| {
        let mut all = connection.prepare("SELECT n FROM t ORDER BY n")?;
        all.query_map([], |row| row.get(0))?.collect()
    });
    read.await.unwrap()
}

#[tokio::test]
async fn work_that_fails_leaves_nothing_and_harms_nobody_in_its_group() {
    let store = with_table().await;
    let failing = store.write(Durability::Process, |tx| {
        tx.execute("INSERT INTO t VALUES (1)", [])?;
        tx.execute("INSERT INTO t VALUES (1)", []).map(drop)
    });
    let good = store.write(Durability::Power, |tx| {
        tx.execute("INSERT INTO t VALUES (2)", []).map(drop)
    });
    let panicking = store.write(Durability::Process, |tx| {
        tx.execute("INSERT INTO t VALUES (3)", [])?;
        if numbers_in(tx)? > 0 {
            panic!("a mistake in the work");
        }
        Ok(())
    });
    let (failed, good, panicked) = tokio::join!(failing, good, panicking);
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(panicked.is_err());
    good.unwrap();
    assert_eq!(numbers(&store).await, [2]);
}

#[tokio::test]
async fn work_is_done_although_nobody_waits() {
    let store = with_table().await;
    let abandoned = store.write(Durability::Process, |tx| {
        tx.execute("INSERT INTO t VALUES (7)", []).map(drop)
    });
    // Polled once: handed over, then dropped.
    let mut abandoned = Box::pin(abandoned);
    let _ = futures_util::poll!(abandoned.as_mut());
    drop(abandoned);
    store.write(Durability::Process, |_| Ok(())).await.unwrap();
    assert_eq!(numbers(&store).await, [7]);
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = Store::open(&path).unwrap();
    let made = store.write(Durability::Power, |tx| {
        tx.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (5)")
    });
    made.await.unwrap();
    drop(store);
    assert_eq!(numbers(&Store::open(&path).unwrap()).await, [5]);
}

#[tokio::test]
async fn readers_cannot_write() {
    let store = with_table().await;
    let written = store.read(|connection| connection.execute("INSERT INTO t VALUES (1)", []));
    assert!(written.await.is_err());
}

#[test]
fn a_file_that_is_no_database_stops_the_start_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    crate::paths::write_atomic(&path, "x".repeat(4096).as_bytes()).unwrap();
    let error = Store::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.hint().unwrap().contains("state.db.damaged"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "x".repeat(4096));
}

#[test]
fn a_newer_format_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .pragma_update(None, "user_version", 1_000)
        .unwrap();
    drop(connection);
    let error = Store::open(&path).err().unwrap();
    assert!(
        matches!(error, StoreError::Newer { found: 1_000, .. }),
        "{error}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn its_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = Store::open(&path).unwrap();
    let made = store.write(Durability::Power, |tx| {
        tx.execute_batch("CREATE TABLE t (n INTEGER)")
    });
    made.await.unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
}

/// Work that SQLite answers by dropping the whole transaction, as it does when the disk is full.
fn overflow(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let pages: i64 = tx.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    let outcome = tx.execute(
        "INSERT INTO t (n, filler) VALUES (9, zeroblob(1000000))",
        [],
    );
    tx.query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(()))?;
    outcome.map(drop)
}

#[tokio::test]
async fn a_dropped_transaction_is_told_to_those_it_hit_and_to_nobody_else() {
    let store = with_table().await;
    let widened = store.write(Durability::Process, |tx| {
        tx.execute_batch("ALTER TABLE t ADD COLUMN filler BLOB")
    });
    widened.await.unwrap();
    let insert = |n: i64| {
        store.write(Durability::Process, move |tx| {
            tx.execute("INSERT INTO t (n) VALUES (?1)", [n]).map(drop)
        })
    };
    // All of one group: the writer is busy while they are handed over.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let busy = store.write(Durability::Process, move |_| {
        let _ = wait.recv();
        Ok(())
    });
    let full = store.write(Durability::Process, overflow);
    let release = async { go.send(()).unwrap() };
    let (_, before, full, after, ()) = tokio::join!(busy, insert(1), full, insert(2), release);
    let error = full.unwrap_err();
    assert!(crate::error::chain(&error).contains("full"), "{error:?}");
    assert_eq!(before.unwrap_err().kind(), ErrorKind::Unavailable);
    after.unwrap();
    assert_eq!(numbers(&store).await, [2]);
}

#[tokio::test]
async fn a_quiet_moment_brings_everything_into_the_file() {
    let store = with_table().await;
    let log = store.inner.path.with_extension("db-wal");
    let file = store.inner.path.clone();
    let before = std::fs::metadata(&file).unwrap().len();
    let made = store.write(Durability::Process, |tx| {
        tx.execute_batch("CREATE TABLE big AS SELECT zeroblob(100000) AS filler")
    });
    made.await.unwrap();
    assert!(std::fs::metadata(&log).unwrap().len() > 100_000);
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while std::fs::metadata(&file).unwrap().len() <= before + 100_000 {
        assert!(std::time::Instant::now() < limit, "no checkpoint");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_an_error_that_says_so() {
    let store = with_table().await;
    let other = Connection::open(&store.inner.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = store.write(Durability::Process, |_| Ok(()));
    let error = waiting.await.unwrap_err();
    assert!(matches!(error, StoreError::NotCommitted(_)), "{error:?}");
    assert!(crate::error::chain(&error).contains("locked"), "{error:?}");
    other.execute_batch("ROLLBACK").unwrap();
    store.write(Durability::Process, |_| Ok(())).await.unwrap();
}
