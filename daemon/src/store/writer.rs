//! The thread that writes.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::{Durability, StoreError};

/// Pieces of work that share a commit at most; more would make the first one wait.
const GROUP: usize = 256;

/// Does its work within the group's transaction, and returns how to tell the outcome once the commit
/// is known.
type Work = Box<dyn FnOnce(&Transaction<'_>) -> Tell + Send>;
type Tell = Box<dyn FnOnce(Committed) + Send>;
type Committed = Result<(), ()>;

struct Order {
    durability: Durability,
    work: Work,
}

pub(super) struct Writer {
    /// Taken only when dropped.
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn spawn(connection: Connection) -> io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || serve(connection, &received))?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    pub(super) async fn write<T, W>(&self, durability: Durability, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let work: Work = Box::new(move |transaction| {
            let outcome = alone(transaction, work);
            Box::new(move |committed| {
                let outcome = match committed {
                    Ok(()) => outcome,
                    Err(()) => Err(StoreError::Interrupted),
                };
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

fn serve(mut connection: Connection, orders: &Receiver<Order>) {
    let mut synced = None;
    while let Ok(first) = orders.recv() {
        let mut group = vec![first];
        group.extend(orders.try_iter().take(GROUP - 1));
        let durability = group
            .iter()
            .map(|order| order.durability)
            .max()
            .unwrap_or(Durability::Power);
        let committed = commit(&mut connection, group, durability, &mut synced);
        if let Err(error) = committed {
            tracing::error!(%error, "state.db could not be written");
        }
    }
}

/// One transaction for all of `group`; each is told what became of it.
fn commit(
    connection: &mut Connection,
    group: Vec<Order>,
    durability: Durability,
    synced: &mut Option<Durability>,
) -> rusqlite::Result<()> {
    if *synced != Some(durability) {
        let mode = match durability {
            Durability::Process => "normal",
            Durability::Power => "full",
        };
        connection.pragma_update(None, "synchronous", mode)?;
        *synced = Some(durability);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tells: Vec<Tell> = group
        .into_iter()
        .map(|order| (order.work)(&transaction))
        .collect();
    let committed = transaction.commit();
    let outcome = committed.as_ref().map(drop).map_err(drop);
    for tell in tells {
        tell(outcome);
    }
    committed
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
    if outcome.is_err() {
        run("ROLLBACK TO work")?;
    }
    run("RELEASE work")?;
    outcome
}
