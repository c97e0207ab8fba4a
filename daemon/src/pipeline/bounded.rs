//! A map that forgets its oldest entry instead of growing beyond its bound.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

pub(super) struct Bounded<K, V> {
    entries: HashMap<K, V>,
    /// In the order of their coming; may name some that are gone.
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.entries.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.entries.len() > self.limit || self.order.len() > 2 * self.limit {
            match self.order.pop_front() {
                Some(oldest) => self.entries.remove(&oldest),
                None => break,
            };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub(super) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_nothing_grows() {
        let mut map = Bounded::new(2);
        for key in 0..5 {
            map.insert(key, key);
        }
        assert_eq!(
            (map.get(&2), map.get(&3), map.get(&4)),
            (None, Some(&3), Some(&4))
        );
        for _ in 0..100 {
            map.insert(9, 9);
            map.remove(&9);
        }
        assert!(map.order.len() <= 4 && map.entries.len() <= 2);
    }
}
