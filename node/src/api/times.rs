//! Moments in JSON: every form that upstream's API reads, and the two that it prints.

use jiff::{Timestamp, civil};

use super::json::JsonError;

/// A moment that could not be read, with the form tried last.
fn bad_time(text: &str, form: &str) -> JsonError {
    let quoted = super::error::go_quote(text);
    JsonError::Value(format!(
        "parsing time {quoted} as {form:?}: cannot parse {quoted} as \"2006\""
    ))
}

/// Reads a moment of API v2. The zero time is unset; the empty text is 1970, which is not.
///
/// # Errors
/// With Go's words about the form that it tries last.
pub(super) fn parse_v2(text: &str) -> Result<Option<Timestamp>, JsonError> {
    if text.is_empty() {
        return Ok(Some(Timestamp::UNIX_EPOCH));
    }
    let moment = moment(text).filter(|(_, form)| form.is_v2());
    moment.map(|(at, _)| set(at)).ok_or_else(|| bad_time(text, "2006-01-02 15:04:05"))
}

/// Reads a moment of API v1: RFC 3339 alone.
///
/// # Errors
/// With Go's words.
pub(super) fn parse_v1(text: &str) -> Result<Option<Timestamp>, JsonError> {
    let moment = moment(text).filter(|(_, form)| *form == Form::Full { colon: true });
    moment.map(|(at, _)| set(at)).ok_or_else(|| {
        let quoted = super::error::go_quote(&format!("\"{text}\""));
        let form = r#""\"2006-01-02T15:04:05Z07:00\"""#;
        let rest = super::error::go_quote(&format!("{text}\""));
        JsonError::Value(format!(
            "parsing time {quoted} as {form}: cannot parse {rest} as \"2006\""
        ))
    })
}

/// Go's zero time stands for unset.
fn set(at: Timestamp) -> Option<Timestamp> {
    (at.as_second() != ZERO_SECONDS).then_some(at)
}

/// 0001-01-01T00:00:00Z.
const ZERO_SECONDS: i64 = -62_135_596_800;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// To the second or finer, with an offset.
    Full { colon: bool },
    /// `2006-01-02T15:04:05`.
    NoOffset,
    /// `2006-01-02T15:04Z` and without `Z`.
    Minutes,
    /// `2006-01-02 15:04:05`.
    Spaced,
    /// `2006-01-02`.
    Date,
}

impl Form {
    fn is_v2(self) -> bool {
        match self {
            Self::Full { .. } | Self::NoOffset | Self::Minutes | Self::Spaced | Self::Date => true,
        }
    }
}

/// A cursor over ASCII digits and separators.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn number(&mut self, digits: usize) -> Option<i32> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        let mut value = 0;
        for byte in head {
            value = value * 10 + i32::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
        }
        self.0 = rest;
        Some(value)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == byte).then(|| self.0 = rest)
    }

    fn two(&mut self, max: i32) -> Option<i32> {
        self.number(2).filter(|value| *value <= max)
    }
}

fn moment(text: &str) -> Option<(Timestamp, Form)> {
    let mut scan = Scan(text.as_bytes());
    let year = scan.number(4)?;
    scan.take(b'-')?;
    let month = scan.two(12)?;
    scan.take(b'-')?;
    let day = scan.two(31)?;
    let days = days(year, month, day)?;
    let at = |seconds: i64, nanos: i32| {
        let seconds = (i64::from(days) * 86_400).saturating_add(seconds);
        Some(Timestamp::new(seconds, nanos).unwrap_or(Timestamp::MAX))
    };
    if scan.0.is_empty() {
        return Some((at(0, 0)?, Form::Date));
    }
    let spaced = scan.take(b' ').is_some();
    if !spaced {
        scan.take(b'T')?;
    }
    let hour = i64::from(scan.two(23)?);
    scan.take(b':')?;
    let minute = i64::from(scan.two(59)?);
    let to_minute = hour * 3600 + minute * 60;
    if !spaced && matches!(scan.0, b"" | b"Z") {
        return Some((at(to_minute, 0)?, Form::Minutes));
    }
    scan.take(b':')?;
    let second = to_minute + i64::from(scan.two(59)?);
    let nanos = fraction(&mut scan)?;
    let form = if spaced { Form::Spaced } else { Form::NoOffset };
    if scan.0.is_empty() {
        return Some((at(second, nanos)?, form));
    }
    let (offset, colon) = offset(&mut scan)?;
    let fits = scan.0.is_empty() && !spaced;
    fits.then_some((at(second - offset, nanos)?, Form::Full { colon }))
}

/// Nanoseconds after a dot or comma; nothing else is none of them.
fn fraction(scan: &mut Scan<'_>) -> Option<i32> {
    if !matches!(scan.0.first(), Some(b'.' | b',')) {
        return Some(0);
    }
    scan.0 = &scan.0[1..];
    let digits = scan.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let kept = digits.min(9);
    if kept == 0 {
        return None;
    }
    let value = scan.number(kept)?;
    scan.0 = &scan.0[digits - kept..];
    let scale = u32::try_from(9 - kept).ok()?;
    Some(value * 10_i32.pow(scale))
}

/// Seconds east of Greenwich, and whether the offset was `Z` or had a colon.
fn offset(scan: &mut Scan<'_>) -> Option<(i64, bool)> {
    if scan.take(b'Z').is_some() {
        return Some((0, true));
    }
    let sign = if scan.take(b'+').is_some() { 1 } else { scan.take(b'-').map(|()| -1)? };
    let hours = i64::from(scan.two(24)?);
    let colon = scan.take(b':').is_some();
    let minutes = i64::from(scan.two(60)?);
    Some((sign * (hours * 3600 + minutes * 60), colon))
}

/// Days since 1970-01-01.
fn days(year: i32, month: i32, day: i32) -> Option<i32> {
    let part = |value: i32| i8::try_from(value).ok();
    let date = civil::Date::new(i16::try_from(year).ok()?, part(month)?, part(day)?).ok()?;
    // Howard Hinnant's days_from_civil.
    let (year, month) = (i32::from(date.year()), i32::from(date.month()));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i32::from(date.day()) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Appends a moment in quotes, to the millisecond, as API v2 prints it.
pub(super) fn push_millis(out: &mut Vec<u8>, at: Timestamp) {
    let nanos = push_seconds(out, at);
    out.push(b'.');
    push_digits(out, nanos / 1_000_000, 3);
    out.extend_from_slice(b"Z\"");
}

/// Appends a moment in quotes, to the nanosecond, as API v1 prints it: zeros at the end dropped.
pub(super) fn push_nanos(out: &mut Vec<u8>, at: Timestamp) {
    let nanos = push_seconds(out, at);
    if nanos != 0 {
        out.push(b'.');
        push_digits(out, nanos, 9);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.extend_from_slice(b"Z\"");
}

/// Appends a quote and a moment to the second; answers the nanoseconds.
fn push_seconds(out: &mut Vec<u8>, at: Timestamp) -> u32 {
    let micros = at.as_nanosecond();
    let seconds = micros.div_euclid(1_000_000_000);
    let nanos = u32::try_from(micros.rem_euclid(1_000_000_000)).unwrap_or(0);
    let days = i64::try_from(seconds.div_euclid(86_400)).unwrap_or(0);
    let second = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
    // Howard Hinnant's civil_from_days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);

    let part = |value: i64| u32::try_from(value).unwrap_or(0);
    out.push(b'"');
    push_digits(out, part(year), 4);
    out.push(b'-');
    push_digits(out, part(month), 2);
    out.push(b'-');
    push_digits(out, part(day), 2);
    out.push(b'T');
    push_digits(out, second / 3600, 2);
    out.push(b':');
    push_digits(out, second / 60 % 60, 2);
    out.push(b':');
    push_digits(out, second % 60, 2);
    nanos
}

fn push_digits(out: &mut Vec<u8>, mut value: u32, width: usize) {
    let end = out.len() + width;
    out.resize(end, b'0');
    for place in out[end - width..].iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let read = parse_v2(text).map(|at| at.map_or("unset".into(), |at| at.to_string()));
        assert_eq!(read.ok().as_deref(), expected, "{text}");
    }

    #[test]
    fn every_form_of_upstream_is_read() {
        check("2026-11-22T10:00:00Z", Some("2026-11-22T10:00:00Z"));
        check("2026-11-22T10:00:00.123456789+02:00", Some("2026-11-22T08:00:00.123456789Z"));
        check("2026-11-22T10:00:00.5-0530", Some("2026-11-22T15:30:00.5Z"));
        check("2026-11-22T10:00:00", Some("2026-11-22T10:00:00Z"));
        check("2026-11-22T10:00Z", Some("2026-11-22T10:00:00Z"));
        check("2026-11-22T10:00", Some("2026-11-22T10:00:00Z"));
        check("2026-11-22 10:00:07", Some("2026-11-22T10:00:07Z"));
        check("2024-02-29", Some("2024-02-29T00:00:00Z"));
        check("", Some("1970-01-01T00:00:00Z"));
        check("0001-01-01T00:00:00Z", Some("unset"));
        check("9999-12-31T23:59:59Z", Some("9999-12-30T22:00:00.999999999Z"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["yesterday", "2026-02-30", "2026-11-22T25:00:00Z", "2026-11-22T10:00:00.Z"] {
            check(text, None);
        }
        for text in ["2026-11-22 10:00:00Z", "2026-11-22T10:00:00Zx", "2026-1-2", "+026-11-22"] {
            check(text, None);
        }
        let complaint = "parsing time \"yesterday\" as \"2006-01-02 15:04:05\": \
            cannot parse \"yesterday\" as \"2006\"";
        assert_eq!(parse_v2("yesterday").unwrap_err().to_string(), complaint);
        assert!(parse_v1("2026-11-22").is_err());
        assert!(parse_v1("2026-11-22T10:00:00+0200").is_err());
        assert!(parse_v1("2026-11-22T10:00:00+02:00").is_ok());
    }

    proptest! {
        #[test]
        fn printed_moment_is_read_back(seconds in -62_000_000_000_i64..253_000_000_000, nanos in 0..1_000_000_000_i32) {
            let at = Timestamp::new(seconds, nanos).unwrap();
            let mut out = Vec::new();
            push_nanos(&mut out, at);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(&text, &format!("\"{at}\""));
            prop_assert_eq!(parse_v1(text.trim_matches('"')).unwrap(), Some(at));
            let mut out = Vec::new();
            push_millis(&mut out, at);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("\"{at:.3}\""));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:. +\\-]{0,30}") {
            let _ = parse_v2(&text);
        }
    }
}
