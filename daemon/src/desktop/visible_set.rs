//! Which questions have a notification. Pure.

use std::collections::HashMap;

use crate::types::ApprovalId;

/// More at once hide what is under them. Others follow as these are answered.
const ROOM: usize = 5;

#[derive(Debug, Default)]
pub(super) struct VisibleSet {
    /// None when it was shown and taken away: once is enough.
    known: HashMap<ApprovalId, Option<u32>>,
}

impl VisibleSet {
    /// Forgets what does not wait any more; its notifications, to be withdrawn.
    pub(super) fn retain(&mut self, pending: &[ApprovalId]) -> Vec<u32> {
        let over = self.known.extract_if(|id, _| !pending.contains(id));
        over.filter_map(|(_, notification)| notification).collect()
    }

    /// Those of `pending`, oldest first, that are to be shown now.
    pub(super) fn due(&self, pending: &[ApprovalId]) -> Vec<ApprovalId> {
        let room = ROOM.saturating_sub(self.shown().len());
        let unknown = pending.iter().filter(|id| !self.known.contains_key(*id));
        unknown.take(room).copied().collect()
    }

    pub(super) fn add(&mut self, id: ApprovalId, notification: u32) {
        self.known.insert(id, Some(notification));
    }

    pub(super) fn closed(&mut self, notification: u32) {
        for shown in self.known.values_mut() {
            if *shown == Some(notification) {
                *shown = None;
            }
        }
    }

    /// Nothing is on the desktop any more, and not because the person took it away.
    pub(super) fn forget_shown(&mut self) {
        self.known.retain(|_, notification| notification.is_none());
    }

    pub(super) fn shown(&self) -> Vec<u32> {
        self.known.values().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u8) -> Vec<ApprovalId> {
        let letters = (b'a'..).take(count.into()).map(char::from);
        letters
            .map(|letter| letter.to_string().repeat(12).parse().unwrap())
            .collect()
    }

    #[test]
    fn a_few_are_shown_and_others_follow_as_these_are_answered() {
        let mut set = VisibleSet::default();
        let ids = ids(7);
        assert_eq!(set.due(&ids), ids[..ROOM]);
        for (notification, id) in (1..).zip(&ids[..ROOM]) {
            set.add(*id, notification);
        }
        assert_eq!(set.due(&ids), []);
        assert_eq!(set.retain(&ids[1..]), [1]);
        assert_eq!(set.due(&ids[1..]), [ids[ROOM]]);
    }

    #[test]
    fn what_the_person_took_away_does_not_come_back() {
        let mut set = VisibleSet::default();
        let ids = ids(2);
        set.add(ids[0], 1);
        set.add(ids[1], 2);
        set.closed(1);
        assert_eq!(set.due(&ids), []);
        // Another service has started: what was on the desktop is shown again.
        set.forget_shown();
        assert_eq!(set.due(&ids), [ids[1]]);
        assert!(set.retain(&[]).is_empty());
    }
}
