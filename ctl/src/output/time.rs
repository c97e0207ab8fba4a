//! Points in time, for scripts and for people.

use jiff::Timestamp;

/// RFC 3339 in UTC; None for 0, which the control API uses for unknown.
pub fn rfc3339(seconds: i64) -> Option<String> {
    match seconds {
        0 => None,
        seconds => Timestamp::from_second(seconds).ok().map(|t| t.to_string()),
    }
}

/// Such as `2026-11-21T10:54:25Z (in 42 min)`.
pub fn for_people(seconds: i64) -> Option<String> {
    let stamp = rfc3339(seconds)?;
    Some(format!("{stamp} ({})", distance(seconds - now())))
}

/// How long it is until then, for a column.
pub fn left(seconds: i64) -> String {
    match seconds - now() {
        ..=0 => "now".to_owned(),
        left => distance(left),
    }
}

/// How long ago it was, for a column.
pub fn brief(seconds: i64) -> String {
    distance((seconds - now()).min(0))
}

#[expect(
    clippy::disallowed_methods,
    reason = "Clock belongs to the daemon; here the time is only shown"
)]
pub fn now() -> i64 {
    Timestamp::now().as_second()
}

fn distance(seconds: i64) -> String {
    let size = seconds.unsigned_abs();
    let amount = match size {
        0..120 => format!("{size} s"),
        120..7_200 => format!("{} min", size / 60),
        7_200..172_800 => format!("{} h", size / 3_600),
        _ => format!("{} days", size / 86_400),
    };
    if seconds > 0 {
        format!("in {amount}")
    } else {
        format!("{amount} ago")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_times_are_absent() {
        assert_eq!(rfc3339(0), None);
        assert_eq!(rfc3339(1_700_000_000).unwrap(), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn distances_read_well_on_both_sides_of_now() {
        assert_eq!(distance(90), "in 90 s");
        assert_eq!(distance(0), "0 s ago");
        assert_eq!(distance(2_520), "in 42 min");
        assert_eq!(distance(-10_800), "3 h ago");
        assert_eq!(distance(400_000), "in 4 days");
    }
}
