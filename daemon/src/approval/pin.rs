//! The PIN: a second thing an approval needs, which a program with the person's shell does not have.
//!
//! A try is counted on the disk before it is checked, so that ending the daemon does not win one
//! back. Whoever can write to `state.db` can remove the PIN; what it protects from is said in
//! SECURITY.md.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{OptionalExtension, Transaction, named_params};
use serde_json::json;
use tokio::sync::Mutex;

use super::error::{ApprovalError, PinError};
use crate::audit::{self, Event, Kind};
use crate::clock::SharedClock;
use crate::store::{Durability, Store, StoreError};
use crate::types::{Decider, Secret};

const ALGORITHM: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
/// OWASP's figure for this algorithm.
const ITERATIONS: u32 = 600_000;
const HASH_LEN: usize = 32;
const SALT_LEN: usize = 16;

const MIN_CHARS: usize = 4;
const MAX_CHARS: usize = 128;

/// Wrong tries before the first lock. Each one after a lock locks again, twice as long.
const FREE_TRIES: u32 = 5;
const FIRST_LOCK: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_LOCK: SignedDuration = SignedDuration::from_hours(24);

/// What may be known about the PIN.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PinState {
    pub set_at: Option<Timestamp>,
    pub wrong_tries: u32,
    /// Not tried before then.
    pub locked_until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Record {
    salt: Vec<u8>,
    iterations: NonZeroU32,
    hash: Vec<u8>,
    set_at: Timestamp,
    wrong_tries: u32,
    locked_until: Timestamp,
}

pub(super) struct Pin {
    store: Store,
    clock: SharedClock,
    /// Held while a try is checked: there is one at a time.
    record: Mutex<Option<Record>>,
    is_set: AtomicBool,
}

impl Pin {
    pub(super) async fn open(store: Store, clock: SharedClock) -> Result<Self, StoreError> {
        let record = store.read(read).await?;
        Ok(Self {
            is_set: AtomicBool::new(record.is_some()),
            record: Mutex::new(record),
            store,
            clock,
        })
    }

    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    pub(super) async fn state(&self) -> PinState {
        let now = self.clock.now();
        match &*self.record.lock().await {
            None => PinState::default(),
            Some(record) => PinState {
                set_at: Some(record.set_at),
                wrong_tries: record.wrong_tries,
                locked_until: (now < record.locked_until).then_some(record.locked_until),
            },
        }
    }

    /// Ok when no PIN is set, or `given` is it.
    pub(super) async fn check(
        &self,
        given: Option<&Secret>,
        by: &Decider,
    ) -> Result<(), ApprovalError> {
        let mut record = self.record.lock().await;
        self.check_locked(&mut record, given, by).await
    }

    pub(super) async fn set(
        &self,
        new: &Secret,
        old: Option<&Secret>,
        by: &Decider,
    ) -> Result<(), ApprovalError> {
        let length = new.expose().chars().count();
        let plain = !new.expose().chars().any(char::is_control);
        if !plain || !(MIN_CHARS..=MAX_CHARS).contains(&length) {
            let (min, max) = (MIN_CHARS, MAX_CHARS);
            return Err(PinError::Unusable { min, max }.into());
        }
        let mut record = self.record.lock().await;
        self.check_locked(&mut record, old, by).await?;
        let made = make(new.clone(), self.clock.now()).await?;
        let written = made.clone();
        let changed = record.is_some();
        let event = Event::new(Kind::PinSet)
            .actor(by)
            .detail(json!({ "changed": changed }));
        let keep = move |tx: &Transaction<'_>| {
            write(tx, &written)?;
            audit::append(tx, written.set_at, &event)
        };
        self.store.write(Durability::Power, keep).await?;
        *record = Some(made);
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) async fn clear(
        &self,
        old: Option<&Secret>,
        by: &Decider,
    ) -> Result<(), ApprovalError> {
        let mut record = self.record.lock().await;
        if record.is_none() {
            return Err(PinError::NotSet.into());
        }
        self.check_locked(&mut record, old, by).await?;
        let (now, event) = (self.clock.now(), Event::new(Kind::PinCleared).actor(by));
        let clear = move |tx: &Transaction<'_>| {
            tx.execute("DELETE FROM approval_pin", [])?;
            audit::append(tx, now, &event)
        };
        self.store.write(Durability::Power, clear).await?;
        *record = None;
        self.is_set.store(false, Ordering::Release);
        Ok(())
    }

    async fn check_locked(
        &self,
        record: &mut Option<Record>,
        given: Option<&Secret>,
        by: &Decider,
    ) -> Result<(), ApprovalError> {
        let Some(record) = record else { return Ok(()) };
        let given = given.ok_or(PinError::Required)?;
        let now = self.clock.now();
        if now < record.locked_until {
            return Err(PinError::Locked {
                until: record.locked_until,
            }
            .into());
        }
        let mut tried = record.clone();
        tried.wrong_tries = tried.wrong_tries.saturating_add(1);
        if let Some(lock) = lock_after(tried.wrong_tries) {
            tried.locked_until = now.checked_add(lock).unwrap_or(Timestamp::MAX);
        }
        self.keep_tries(&tried).await?;
        *record = tried;
        if verify(record.clone(), given.clone()).await? {
            record.wrong_tries = 0;
            record.locked_until = Timestamp::UNIX_EPOCH;
            return Ok(self.keep_tries(record).await?);
        }
        let event = Event::new(Kind::PinWrong)
            .actor(by)
            .detail(json!({ "tries": record.wrong_tries }));
        let keep = move |tx: &Transaction<'_>| audit::append(tx, now, &event);
        self.store.write(Durability::Power, keep).await?;
        if now < record.locked_until {
            let until = record.locked_until;
            return Err(PinError::Locked { until }.into());
        }
        let tries_left = FREE_TRIES.saturating_sub(record.wrong_tries);
        Err(PinError::Wrong { tries_left }.into())
    }

    async fn keep_tries(&self, record: &Record) -> Result<(), StoreError> {
        let (tries, until) = (record.wrong_tries, record.locked_until.as_millisecond());
        let keep = move |tx: &Transaction<'_>| {
            let sql = "UPDATE approval_pin SET wrong_tries = ?1, locked_until = ?2";
            tx.execute(sql, (tries, until))
        };
        self.store.write(Durability::Power, keep).await.map(drop)
    }
}

fn lock_after(wrong_tries: u32) -> Option<SignedDuration> {
    let doublings = wrong_tries.checked_sub(FREE_TRIES)?;
    let factor = 2_i32.checked_pow(doublings);
    let lock = factor.and_then(|factor| FIRST_LOCK.checked_mul(factor));
    Some(lock.map_or(LONGEST_LOCK, |lock| lock.min(LONGEST_LOCK)))
}

async fn make(pin: Secret, now: Timestamp) -> Result<Record, ApprovalError> {
    let mut salt = vec![0; SALT_LEN];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| ApprovalError::NoRandomness)?;
    let iterations = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
    let hashing = tokio::task::spawn_blocking(move || {
        let mut hash = vec![0; HASH_LEN];
        pbkdf2::derive(
            ALGORITHM,
            iterations,
            &salt,
            pin.expose().as_bytes(),
            &mut hash,
        );
        (salt, hash)
    });
    let (salt, hash) = hashing.await.map_err(|_| StoreError::Interrupted)?;
    Ok(Record {
        salt,
        iterations,
        hash,
        set_at: now,
        wrong_tries: 0,
        locked_until: Timestamp::UNIX_EPOCH,
    })
}

/// In constant time, as far as the PIN goes.
async fn verify(record: Record, given: Secret) -> Result<bool, ApprovalError> {
    let verifying = tokio::task::spawn_blocking(move || {
        let given = given.expose().as_bytes();
        pbkdf2::verify(
            ALGORITHM,
            record.iterations,
            &record.salt,
            given,
            &record.hash,
        )
        .is_ok()
    });
    let interrupted = |_| ApprovalError::Store(Arc::new(StoreError::Interrupted));
    verifying.await.map_err(interrupted)
}

fn read(connection: &rusqlite::Connection) -> rusqlite::Result<Option<Record>> {
    let sql = "SELECT salt, iterations, hash, set_at, wrong_tries, locked_until FROM approval_pin";
    let row = |row: &rusqlite::Row<'_>| {
        let at = |index| -> rusqlite::Result<Timestamp> {
            let milliseconds = row.get(index)?;
            Ok(Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX))
        };
        Ok(Record {
            salt: row.get(0)?,
            iterations: NonZeroU32::new(row.get(1)?).unwrap_or(NonZeroU32::MIN),
            hash: row.get(2)?,
            set_at: at(3)?,
            wrong_tries: row.get(4)?,
            locked_until: at(5)?,
        })
    };
    connection.query_row(sql, [], row).optional()
}

fn write(tx: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO approval_pin (one, salt, iterations, hash, set_at)
         VALUES (1, :salt, :iterations, :hash, :set_at)",
    )?
    .execute(named_params! {
        ":salt": record.salt,
        ":iterations": record.iterations.get(),
        ":hash": record.hash,
        ":set_at": record.set_at.as_millisecond(),
    })?;
    Ok(())
}
