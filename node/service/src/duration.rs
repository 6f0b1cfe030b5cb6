//! The two duration grammars of the product: Prometheus' in files, Go's on the command line and in a few keys.

use std::fmt::Write;
use std::time::Duration;

use jiff::SignedDuration;

/// Why a text is no duration; prints as upstream says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    /// Nothing between the quotes.
    #[error("empty duration string")]
    Empty,
    /// Not in the grammar, in the wrong order, or a unit twice.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// A unit that does not exist.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    Unit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than about 292 years.
    #[error("duration out of range")]
    Range,
    /// Go's grammar: not in it, or out of range.
    #[error("time: invalid duration {0:?}")]
    GoInvalid(String),
    /// Go's grammar: a number alone.
    #[error("time: missing unit in duration {0:?}")]
    GoMissingUnit(String),
    /// Go's grammar: a unit that does not exist.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    GoUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

const MAX_NANOS: u128 = i64::MAX as u128;

/// Units of the Prometheus grammar in the order they must have, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Parses a Prometheus duration such as `90s` or `1h30m`: units `y w d h m s ms`, each once, largest first; a bare `0` is allowed.
/// # Errors
/// [`BadDuration`] on anything else and on more than 292 years.
/// Source: prometheus/common, `model/time.go`, `ParseDuration`.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    match text {
        "" => return Err(BadDuration::Empty),
        "0" => return Ok(Duration::ZERO),
        _ => {}
    }
    let invalid = || BadDuration::Invalid(text.to_owned());
    let (mut rest, mut next_unit, mut millis) = (text, 0, 0_u128);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(|byte| !byte.is_ascii_digit()).count();
        if number.is_empty() || letters == 0 {
            return Err(invalid());
        }
        let (unit, tail) = tail.split_at(letters);
        let at = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(|| BadDuration::Unit { unit: unit.to_owned(), text: text.to_owned() })?;
        if at < next_unit {
            return Err(invalid());
        }
        let count: u64 = number.parse().map_err(|_| BadDuration::Range)?;
        millis += u128::from(count) * u128::from(UNITS[at].1);
        next_unit = at + 1;
        rest = tail;
    }
    if millis * 1_000_000 > MAX_NANOS {
        return Err(BadDuration::Range);
    }
    u64::try_from(millis).map(Duration::from_millis).map_err(|_| BadDuration::Range)
}

/// Prints as Prometheus does: `y` and `w` only when they divide exactly, then the smaller units without zero parts.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (at, (unit, size)) in UNITS.iter().enumerate() {
        let size = u128::from(*size);
        if at < 2 && !millis.is_multiple_of(size) {
            continue;
        }
        if millis / size > 0 {
            let _ = write!(text, "{}{unit}", millis / size);
            millis %= size;
        }
    }
    text
}

/// Units of Go's grammar, in nanoseconds. `µ` exists twice in Unicode.
const GO_UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses a Go duration such as `1.5h` or `-2h45m`: signed, fractions, units `ns us µs ms s m h` in any order; no days.
/// # Errors
/// [`BadDuration`] with Go's texts.
/// Source: Go, `time/format.go`, `ParseDuration`.
pub fn parse_go_duration(text: &str) -> Result<SignedDuration, BadDuration> {
    let invalid = || BadDuration::GoInvalid(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (part, tail) = go_part(rest, text)?;
        total += part;
        if total > 1 << 63 {
            return Err(invalid());
        }
        rest = tail;
    }
    let nanos = i128::try_from(total).map_err(|_| invalid())?;
    let nanos = if negative { -nanos } else { nanos };
    i64::try_from(nanos).map(SignedDuration::from_nanos).map_err(|_| invalid())
}

/// One number with its unit in nanoseconds, and what follows.
fn go_part<'a>(rest: &'a str, text: &str) -> Result<(u128, &'a str), BadDuration> {
    let invalid = || BadDuration::GoInvalid(text.to_owned());
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, mut tail) = rest.split_at(digits(rest));
    let mut fraction = "";
    if let Some(after) = tail.strip_prefix('.') {
        (fraction, tail) = after.split_at(digits(after));
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let letters =
        tail.find(|letter: char| letter == '.' || letter.is_ascii_digit()).unwrap_or(tail.len());
    if letters == 0 {
        return Err(BadDuration::GoMissingUnit(text.to_owned()));
    }
    let (unit, tail) = tail.split_at(letters);
    let Some((_, size)) = GO_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(BadDuration::GoUnit { unit: unit.to_owned(), text: text.to_owned() });
    };
    let size = u128::from(*size);
    let count: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
    let mut nanos = u128::from(count) * size;
    // Eighteen digits are more than the largest unit has.
    let (mut scale, mut value) = (1_u128, 0_u128);
    for digit in fraction.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    nanos += value * size / scale;
    Ok((nanos, tail))
}

/// Prints as Go does: `0s`, `1m0s`, `1h0m0s`, `1.5s`, `2ms`.
/// Source: Go, `time/time.go`, `Duration.String`.
#[must_use]
pub fn format_go_duration(duration: SignedDuration) -> String {
    let nanos = duration.as_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => format!("{sign}{}\u{b5}s", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `value / unit` without trailing zeros.
fn decimal(value: u128, unit: u128) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", value % unit);
    match fraction.trim_end_matches('0') {
        "" => (value / unit).to_string(),
        digits => format!("{}.{digits}", value / unit),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(u64, &str), &str>) {
        let found = parse_duration(text);
        match expected {
            Ok((millis, printed)) => {
                let found = found.unwrap();
                assert_eq!(found, Duration::from_millis(millis));
                assert_eq!(format_duration(found), printed);
            }
            Err(error) => assert_eq!(found.unwrap_err().to_string(), error),
        }
    }

    #[test]
    fn prometheus_grammar() {
        check("0", Ok((0, "0s")));
        check("0s", Ok((0, "0s")));
        check("5m", Ok((300_000, "5m")));
        check("1h30m", Ok((5_400_000, "1h30m")));
        check("324ms", Ok((324, "324ms")));
        check("12w6d", Ok((90 * 86_400_000, "90d")));
        check("14d", Ok((14 * 86_400_000, "2w")));
        check("1y", Ok((365 * 86_400_000, "1y")));
        check("4d1h3s", Ok((349_203_000, "4d1h3s")));
        check("", Err("empty duration string"));
        check("1", Err("not a valid duration string: \"1\""));
        check("-1s", Err("not a valid duration string: \"-1s\""));
        check("1s1m", Err("not a valid duration string: \"1s1m\""));
        check("1m1m", Err("not a valid duration string: \"1m1m\""));
        check("1 s", Err("unknown unit \" s\" in duration \"1 s\""));
        check("3x", Err("unknown unit \"x\" in duration \"3x\""));
        check("1.5h", Err("unknown unit \".\" in duration \"1.5h\""));
        check("294y", Err("duration out of range"));
        check("99999999999999999999d", Err("duration out of range"));
    }

    #[track_caller]
    fn check_go(text: &str, expected: Result<(i64, &str), &str>) {
        let found = parse_go_duration(text);
        match expected {
            Ok((nanos, printed)) => {
                let found = found.unwrap();
                assert_eq!(found, SignedDuration::from_nanos(nanos));
                assert_eq!(format_go_duration(found), printed);
            }
            Err(error) => assert_eq!(found.unwrap_err().to_string(), error),
        }
    }

    #[test]
    fn go_grammar() {
        check_go("0", Ok((0, "0s")));
        check_go("1.5s", Ok((1_500_000_000, "1.5s")));
        check_go("60s", Ok((60_000_000_000, "1m0s")));
        check_go("-1h", Ok((-3_600_000_000_000, "-1h0m0s")));
        check_go("+5ns", Ok((5, "5ns")));
        check_go("1us", Ok((1_000, "1\u{b5}s")));
        check_go("300ms", Ok((300_000_000, "300ms")));
        check_go(".5m", Ok((30_000_000_000, "30s")));
        check_go("2m1h", Ok((3_720_000_000_000, "1h2m0s")));
        check_go("", Err("time: invalid duration \"\""));
        check_go("-", Err("time: invalid duration \"-\""));
        check_go("5", Err("time: missing unit in duration \"5\""));
        check_go("1d", Err("time: unknown unit \"d\" in duration \"1d\""));
        check_go(".s", Err("time: invalid duration \".s\""));
        check_go("9999999h", Err("time: invalid duration \"9999999h\""));
    }

    proptest! {
        #[test]
        fn printed_durations_parse_again(millis in 0..9_000_000_000_000_u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn printed_go_durations_parse_again(nanos: i64) {
            let duration = SignedDuration::from_nanos(nanos);
            prop_assert_eq!(parse_go_duration(&format_go_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (parse_duration(&text), parse_go_duration(&text));
        }
    }
}
