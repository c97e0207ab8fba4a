//! What is committed about live items, for everybody to see at once and without waiting.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{broadcast, watch};

use super::item::Item;
use crate::types::ApprovalId;

/// Changes that a slow subscriber may be behind before it has to read everything again.
const CHANGES: usize = 256;

pub(super) struct Board {
    posted: Mutex<Posted>,
    changes: broadcast::Sender<ApprovalId>,
    /// When the next item expires.
    deadline: watch::Sender<Option<Timestamp>>,
    last_holder: AtomicU64,
}

#[derive(Default)]
struct Posted {
    live: HashMap<ApprovalId, Arc<Live>>,
    /// What ended with the latest commit. A call that joined such an item in that very commit learns of
    /// the end here, or it would wait for one that is over.
    ended: HashMap<ApprovalId, Arc<Item>>,
}

/// One item, and the calls that wait for it.
pub(super) struct Live {
    pub(super) item: watch::Sender<Arc<Item>>,
    /// In the order of their coming.
    pub(super) holders: watch::Sender<BTreeSet<u64>>,
}

impl Live {
    fn new(item: Arc<Item>) -> Arc<Self> {
        Arc::new(Self {
            item: watch::Sender::new(item),
            holders: watch::Sender::new(BTreeSet::new()),
        })
    }
}

impl Board {
    pub(super) fn new() -> Self {
        Self {
            posted: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES),
            deadline: watch::Sender::new(None),
            last_holder: AtomicU64::new(0),
        }
    }

    pub(super) fn publish(&self, items: impl IntoIterator<Item = Arc<Item>>) {
        let mut posted = self.lock();
        let Posted { live, ended } = &mut *posted;
        ended.clear();
        for item in items {
            let id = item.id;
            if item.state.is_live() {
                live.entry(id)
                    .or_insert_with(|| Live::new(Arc::clone(&item)))
                    .item
                    .send_replace(item);
            } else {
                if let Some(over) = live.remove(&id) {
                    over.item.send_replace(Arc::clone(&item));
                }
                ended.insert(id, item);
            }
            self.changed(id);
        }
        let next = live
            .values()
            .map(|live| live.item.borrow())
            .filter(|item| item.state.is_open())
            .map(|item| item.expires_at)
            .min();
        self.deadline.send_if_modified(|deadline| {
            let modified = *deadline != next;
            *deadline = next;
            modified
        });
    }

    pub(super) fn get(&self, id: ApprovalId) -> Option<Arc<Live>> {
        self.lock().live.get(&id).cloned()
    }

    /// Enters a waiting call at `item`, as it was when the call joined it in the latest commit.
    pub(super) fn enter(&self, item: &Arc<Item>) -> (Arc<Live>, u64) {
        let posted = self.lock();
        let live = posted.live.get(&item.id).cloned().unwrap_or_else(|| {
            let over = posted.ended.get(&item.id).unwrap_or(item);
            Live::new(Arc::clone(over))
        });
        drop(posted);
        let number = self.last_holder.fetch_add(1, Ordering::Relaxed) + 1;
        live.holders.send_modify(|holders| {
            holders.insert(number);
        });
        self.changed(item.id);
        (live, number)
    }

    pub(super) fn leave(&self, live: &Live, number: u64) {
        live.holders.send_modify(|holders| {
            holders.remove(&number);
        });
        let id = live.item.borrow().id;
        self.changed(id);
    }

    /// Oldest first.
    pub(super) fn items(&self) -> Vec<Arc<Item>> {
        let mut items: Vec<_> = self
            .lock()
            .live
            .values()
            .map(|live| Arc::clone(&live.item.borrow()))
            .collect();
        items.sort_by_key(|item| (item.asked_at, item.id));
        items
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<ApprovalId> {
        self.changes.subscribe()
    }

    pub(super) fn deadline(&self) -> watch::Receiver<Option<Timestamp>> {
        self.deadline.subscribe()
    }

    fn changed(&self, id: ApprovalId) {
        // Nobody may be looking.
        let _ = self.changes.send(id);
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
