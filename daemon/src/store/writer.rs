//! The thread that writes.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use super::{Durability, StoreError};

/// Pieces of work that share a commit at most; more would make the first one wait.
const GROUP: usize = 256;
/// Without work for this long, the writer tidies up.
const QUIET: Duration = Duration::from_secs(1);

/// Does its work within the group's transaction, if there is one, and returns how to tell the outcome
/// once the commit is known.
type Work = Box<dyn FnOnce(Option<&Transaction<'_>>) -> Tell + Send>;
type Tell = Box<dyn FnOnce(&Committed) + Send>;
/// One failure is told to all of a group.
type Committed = Result<(), Arc<rusqlite::Error>>;

struct Order {
    durability: Durability,
    work: Work,
}

pub(super) struct Writer {
    /// Taken only when dropped.
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    commits: watch::Receiver<u64>,
}

impl Writer {
    pub(super) fn spawn(connection: Connection) -> io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let (committed, commits) = watch::channel(0);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || serve(connection, &received, &committed))?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
            commits,
        })
    }

    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    pub(super) async fn write<T, W>(&self, durability: Durability, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let work: Work = Box::new(move |transaction| {
            let outcome = match transaction {
                Some(transaction) => alone(transaction, work).map(Some),
                None => Ok(None),
            };
            Box::new(move |committed: &Committed| {
                // What the work itself said tells more, and it is undone either way.
                let outcome = outcome.and_then(|value| match committed {
                    Ok(()) => value.ok_or(StoreError::Interrupted),
                    Err(error) => Err(StoreError::NotCommitted(Arc::clone(error))),
                });
                // Nobody may be waiting any more.
                let _ = tell.send(outcome);
            })
        });
        let order = Order { durability, work };
        self.orders
            .as_ref()
            .and_then(|orders| orders.send(order).ok())
            .ok_or(StoreError::Interrupted)?;
        told.await.unwrap_or(Err(StoreError::Interrupted))
    }
}

impl Drop for Writer {
    /// Waits for what was handed over.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn serve(mut connection: Connection, orders: &Receiver<Order>, commits: &watch::Sender<u64>) {
    let mut synced = None;
    // Whether the log beside the file holds what the file does not.
    let mut ahead = false;
    loop {
        let patience = if ahead { QUIET } else { Duration::MAX };
        let first = match orders.recv_timeout(patience) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                check_point(&connection);
                ahead = false;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut group = VecDeque::from([first]);
        group.extend(orders.try_iter().take(GROUP - 1));
        while !group.is_empty() {
            let mut tells = Vec::with_capacity(group.len());
            let committed = commit(&mut connection, &mut group, &mut tells, &mut synced);
            let committed = committed.map_err(Arc::new);
            match &committed {
                Ok(()) => commits.send_modify(|count| *count = count.wrapping_add(1)),
                Err(error) => tracing::error!(%error, "state.db could not be written"),
            }
            ahead |= committed.is_ok();
            for tell in tells {
                tell(&committed);
            }
        }
    }
}

/// Moves what was committed into the file while nobody waits; a long burst does it by itself, in
/// the middle of a commit. It also brings to the disk what was only to survive the process.
fn check_point(connection: &Connection) {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = done {
        tracing::warn!(%error, "state.db could not be checkpointed");
    }
}

/// One transaction for all of `group`, whose outcome is for `tells`.
///
/// A full disk, among others, makes SQLite drop the whole transaction in the middle. What is then
/// left of the group stays there, for a transaction of its own.
fn commit(
    connection: &mut Connection,
    group: &mut VecDeque<Order>,
    tells: &mut Vec<Tell>,
    synced: &mut Option<Durability>,
) -> rusqlite::Result<()> {
    let transaction = match begin(connection, group, synced) {
        Ok(transaction) => transaction,
        Err(error) => {
            tells.extend(group.drain(..).map(|order| (order.work)(None)));
            return Err(error);
        }
    };
    while let Some(order) = group.pop_front() {
        tells.push((order.work)(Some(&transaction)));
        if transaction.is_autocommit() {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK);
            let what = "other work in the same transaction failed".to_owned();
            return Err(rusqlite::Error::SqliteFailure(code, Some(what)));
        }
    }
    transaction.commit()
}

/// A transaction as durable as the most demanding of `group`.
fn begin<'a>(
    connection: &'a mut Connection,
    group: &VecDeque<Order>,
    synced: &mut Option<Durability>,
) -> rusqlite::Result<Transaction<'a>> {
    let durability = group.iter().map(|order| order.durability).max();
    if *synced != durability {
        let mode = match durability {
            Some(Durability::Process) => "normal",
            Some(Durability::Power) | None => "full",
        };
        connection.pragma_update(None, "synchronous", mode)?;
        *synced = durability;
    }
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Runs `work` under a savepoint, so that its failure takes nothing else with it.
fn alone<T>(
    transaction: &Transaction<'_>,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let run = |sql| transaction.prepare_cached(sql)?.execute([]).map(drop);
    run("SAVEPOINT work")?;
    // A panic must not end the only writer; the work's state is gone with it.
    let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(transaction)));
    let outcome = match worked {
        Ok(outcome) => outcome.map_err(StoreError::from),
        Err(_) => Err(StoreError::Interrupted),
    };
    // Some failures have undone the whole transaction already.
    if outcome.is_err() && transaction.is_autocommit() {
        return outcome;
    }
    if outcome.is_err() {
        run("ROLLBACK TO work")?;
    }
    run("RELEASE work")?;
    outcome
}
