//! A map that forgets its oldest entry instead of growing beyond its bound.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

pub(super) struct Bounded<K, V> {
    entries: HashMap<K, (u64, V)>,
    /// In the order of their coming, by number; may name some that are gone.
    order: VecDeque<(u64, K)>,
    newest: u64,
    limit: usize,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            newest: 0,
            limit,
        }
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.newest += 1;
        self.order.push_back((self.newest, key.clone()));
        self.entries.insert(key, (self.newest, value));
        while self.entries.len() > self.limit || self.order.len() > 2 * self.limit {
            let Some((number, oldest)) = self.order.pop_front() else {
                break;
            };
            // One that came again is younger than this.
            if self
                .entries
                .get(&oldest)
                .is_some_and(|entry| entry.0 == number)
            {
                self.entries.remove(&oldest);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(super) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key).map(|(_, value)| value)
    }

    /// Removes all that `which` picks.
    pub(super) fn take(&mut self, which: impl Fn(&K, &V) -> bool) -> Vec<V> {
        let taken = self.entries.extract_if(|key, (_, value)| which(key, value));
        taken.map(|(_, (_, value))| value).collect()
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
        map.insert(3, 33);
        map.insert(5, 5);
        assert_eq!(
            (map.get(&3), map.get(&4)),
            (Some(&33), None),
            "it came again"
        );
        for _ in 0..100 {
            map.insert(9, 9);
            map.remove(&9);
        }
        assert!(map.order.len() <= 4 && map.entries.len() <= 2);
    }
}
