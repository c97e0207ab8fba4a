//! Lengths of time on the command line: `30s`, `15m`, `12h`, `30d`, `4w`.

use std::time::Duration;

/// For `value_parser`. Zero is refused: nothing that is given a time lasts none.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "use a number with s, m, h, d or w behind it, such as 30d".to_owned();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_a_length_of_time() {
        for (text, seconds) in [
            ("30s", 30),
            ("15m", 900),
            ("12h", 43_200),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "30",
            "d",
            "0d",
            "-1d",
            "1 d",
            "1x",
            "1d2h",
            "99999999999999999999d",
            "9999999999999999d",
            "1ä",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
