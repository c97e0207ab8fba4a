//! What a fake was asked, in order, for assertions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, Method};

use crate::wire::Request;

#[derive(Debug, Clone)]
pub struct Entry<E> {
    pub endpoint: E,
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    /// Query or form parameters; of repeated ones the last.
    pub params: BTreeMap<String, String>,
    pub body: bytes::Bytes,
    /// None while the request is held, and for good when its client went away.
    pub status: Option<u16>,
}

impl<E> Entry<E> {
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

type Observer<E> = dyn Fn(&Entry<E>) + Send + Sync;

pub struct Journal<E> {
    entries: Mutex<Vec<Entry<E>>>,
    observer: Mutex<Option<Arc<Observer<E>>>>,
}

impl<E> Default for Journal<E> {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            observer: Mutex::default(),
        }
    }
}

impl<E> std::fmt::Debug for Journal<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl<E: Clone + PartialEq> Journal<E> {
    pub(crate) fn open(&self, endpoint: E, request: &Request) -> usize {
        let mut entries = self.entries.lock().unwrap();
        entries.push(Entry {
            endpoint,
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.clone(),
            params: request.params().into_iter().collect(),
            body: request.body.clone(),
            status: None,
        });
        entries.len() - 1
    }

    pub(crate) fn close(&self, index: usize, status: u16) {
        let entry = {
            let mut entries = self.entries.lock().unwrap();
            entries[index].status = Some(status);
            entries[index].clone()
        };
        let observer = self.observer.lock().unwrap().clone();
        if let Some(observer) = observer {
            observer(&entry);
        }
    }

    /// Calls `observer` after each answer.
    pub fn observe(&self, observer: impl Fn(&Entry<E>) + Send + Sync + 'static) {
        *self.observer.lock().unwrap() = Some(Arc::new(observer));
    }

    pub fn entries(&self) -> Vec<Entry<E>> {
        self.entries.lock().unwrap().clone()
    }

    pub fn of(&self, endpoint: E) -> Vec<Entry<E>> {
        let mut entries = self.entries();
        entries.retain(|entry| entry.endpoint == endpoint);
        entries
    }

    pub fn count(&self, endpoint: E) -> usize {
        self.of(endpoint).len()
    }
}
