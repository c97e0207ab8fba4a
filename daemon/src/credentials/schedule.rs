//! When to refresh, and how long to wait after a failure. Pure: times in, times out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A token this close to its end is not handed out any more: it would expire on its way. For tokens
/// that live only seconds it is a tenth of their life, or they would never be handed out.
const EXPIRY_LEEWAY: SignedDuration = SignedDuration::from_secs(2);

/// Tokens that live shorter than this are refreshed when they are asked for and not ahead of it:
/// that would ask for a token every second, all day, for nobody.
const SHORTEST_AHEAD: SignedDuration = SignedDuration::from_secs(5);

/// No sleep is longer than this. Monotonic timers stand still while a laptop sleeps, so the wall
/// clock is looked at again at least this often.
pub(super) const MAX_SLEEP: Duration = Duration::from_secs(20);

const BACKOFF_FIRST: Duration = Duration::from_secs(2);
pub(super) const BACKOFF_CAP: Duration = Duration::from_secs(300);

/// A random number in `0.0..1.0`, as a parameter so that the functions here stay pure.
pub(super) type Jitter = f64;

/// The moment to refresh a token: 65 to 75 % of its lifetime, so that many servers added together
/// do not refresh together. None for tokens that are refreshed on demand.
pub(super) fn refresh_at(
    issued: Timestamp,
    expires: Timestamp,
    jitter: Jitter,
) -> Option<Timestamp> {
    let lifetime = expires.duration_since(issued);
    if lifetime < SHORTEST_AHEAD {
        return None;
    }
    let share = 0.65 + 0.10 * jitter.clamp(0.0, 1.0);
    issued.checked_add(lifetime.mul_f64(share)).ok()
}

/// Whether the time for something has come that was to happen at `due`, at most `longest` after it
/// was planned. A clock that was set back must not stretch the wait.
pub(super) fn is_due(due: Timestamp, longest: SignedDuration, now: Timestamp) -> bool {
    let left = due.duration_since(now);
    left <= SignedDuration::ZERO || left > longest
}

/// How long to wait after the `failures`th failure in a row (1 is the first): doubling, capped,
/// and shortened at random by up to a half.
pub(super) fn backoff(failures: u32, jitter: Jitter) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let full = BACKOFF_FIRST
        .saturating_mul(1 << doublings)
        .min(BACKOFF_CAP);
    full.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0))
}

/// The moment from which a token is not handed out any more.
pub(super) fn last_use(issued: Timestamp, expires: Timestamp) -> Timestamp {
    let lifetime = expires.duration_since(issued).max(SignedDuration::ZERO);
    let leeway = EXPIRY_LEEWAY.min(lifetime / 10);
    expires.checked_sub(leeway).unwrap_or(expires)
}

/// How long to sleep towards `due` before looking at the clock again.
pub(super) fn nap(due: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = due.map_or(MAX_SLEEP, |due| {
        Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO)
    });
    left.min(MAX_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn refresh_falls_around_seventy_percent_of_the_lifetime() {
        for (jitter, expected) in [(0.0, 2340), (0.5, 2520), (1.0, 2700), (7.0, 2700)] {
            assert_eq!(
                refresh_at(at(0), at(3600), jitter),
                Some(at(expected)),
                "jitter {jitter}"
            );
        }
    }

    #[test]
    fn tokens_that_live_only_seconds_are_not_refreshed_ahead() {
        for expires in [-5, 0, 1, 4] {
            assert_eq!(refresh_at(at(0), at(expires), 0.5), None, "{expires} s");
        }
        assert!(refresh_at(at(0), at(5), 0.5).is_some());
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stretch_a_wait() {
        let longest = SignedDuration::from_secs(300);
        for (now, due) in [
            (0, false),
            (9, false),
            (10, true),
            (99, true),
            (-290, false),
            (-291, true),
        ] {
            assert_eq!(is_due(at(10), longest, at(now)), due, "{now}");
        }
    }

    #[test]
    fn backoff_doubles_and_stays_under_its_cap() {
        let waits: Vec<u64> = (1..=9).map(|n| backoff(n, 0.0).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(backoff(u32::MAX, 0.0), BACKOFF_CAP);
        assert_eq!(backoff(1, 1.0), BACKOFF_FIRST / 2);
    }

    #[test]
    fn a_sleep_never_outlasts_the_wall_clock_check() {
        assert_eq!(nap(None, at(0)), MAX_SLEEP);
        assert_eq!(nap(Some(at(3600)), at(0)), MAX_SLEEP);
        assert_eq!(nap(Some(at(3)), at(0)), Duration::from_secs(3));
        assert_eq!(nap(Some(at(-3)), at(0)), Duration::ZERO);
    }

    #[test]
    fn a_token_in_its_last_moments_is_not_handed_out() {
        assert_eq!(last_use(at(0), at(3600)), at(3598));
        assert_eq!(last_use(at(0), at(10)), at(9));
        assert!(last_use(at(0), at(1)) > at(0), "the shortest can be used");
        assert_eq!(last_use(at(0), at(-5)), at(-5));
    }
}
