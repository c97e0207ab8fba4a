//! Refused requests in the audit log, so many and no more: whoever can connect must not fill the disk.

use std::sync::{Mutex, PoisonError};

/// Refusals that are recorded one by one within [`WINDOW`] seconds; the others are counted.
const RECORDED: u32 = 20;
const WINDOW: i64 = 60;

#[derive(Debug, Default)]
pub(super) struct Refusals {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    window: i64,
    recorded: u32,
    unrecorded: u64,
}

impl Refusals {
    /// Counts a refusal at `now`, in seconds. If it is to be recorded: how many before it were not.
    pub(super) fn count(&self, now: i64) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let window = now.div_euclid(WINDOW);
        if state.window != window {
            (state.window, state.recorded) = (window, 0);
        }
        if state.recorded == RECORDED {
            state.unrecorded += 1;
            return None;
        }
        state.recorded += 1;
        Some(std::mem::take(&mut state.unrecorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_with_the_next_record() {
        let refusals = Refusals::default();
        let recorded = (0..1_000).filter_map(|_| refusals.count(120)).count();
        assert_eq!(recorded, RECORDED as usize);
        assert_eq!(refusals.count(180), Some(1_000 - u64::from(RECORDED)));
        assert_eq!(refusals.count(181), Some(0));
    }
}
