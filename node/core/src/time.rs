//! Moments as the API reads and writes them, and arithmetic that saturates. Knows no clock.

use std::time::Duration;

use jiff::Timestamp;

/// The text is none of the forms that [`parse_api_time`] or [`parse_rfc3339`] understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time such as 2006-01-02T15:04:05Z")]
pub struct BadTime {
    /// What was given.
    pub text: String,
}

/// `at` + `by`, or the last moment there is.
#[must_use]
pub fn add(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `at` - `by`, or the first moment there is.
#[must_use]
pub fn sub(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// From `earlier` to `later`; zero when they are the other way round.
#[must_use]
pub fn since(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// The first `from + k * step` (k = 1, 2, …) that is later than `now`; `from + step` when `step` is zero.
#[must_use]
pub fn next_step(from: Timestamp, step: Duration, now: Timestamp) -> Timestamp {
    let first = add(from, step);
    if step.is_zero() || now < first {
        return first;
    }
    let into = since(now, first).as_nanos() % step.as_nanos();
    let rest = step.as_nanos() - into;
    add(now, Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX)))
}

/// Reads a time of an API body. Go's zero time, which upstream takes for unset, is `Ok(None)`.
///
/// Accepted: RFC 3339 with any fraction and `Z`, `+hh:mm` or `+hhmm`; without a zone (UTC), without seconds; with a
/// space and seconds; the date alone. The empty text is 1970-01-01T00:00:00Z, as upstream has it.
/// # Errors
/// [`BadTime`] for anything else. Moments past jiff's range become the last moment there is.
pub fn parse_api_time(text: &str) -> Result<Option<Timestamp>, BadTime> {
    if text.is_empty() {
        return Ok(Some(Timestamp::UNIX_EPOCH));
    }
    let bad = || BadTime { text: text.to_owned() };
    let at = Reader { rest: text.as_bytes() }.api_time().ok_or_else(bad)?;
    Ok((at != GO_ZERO).then(|| at.timestamp()))
}

/// Reads RFC 3339 as Go's JSON decoder does: date, `T`, time, optional fraction, `Z` or `+hh:mm`. Go's zero time is `Ok(None)`.
/// # Errors
/// [`BadTime`] for anything else, also for the empty text.
pub fn parse_rfc3339(text: &str) -> Result<Option<Timestamp>, BadTime> {
    let bad = || BadTime { text: text.to_owned() };
    let at = Reader { rest: text.as_bytes() }.rfc3339().ok_or_else(bad)?;
    Ok((at != GO_ZERO).then(|| at.timestamp()))
}

/// `2006-01-02T15:04:05.000Z`: exactly three decimals, cut off, not rounded.
#[must_use]
pub fn rfc3339_millis(at: Timestamp) -> String {
    text_of(at, push_millis)
}

/// `2006-01-02T15:04:05.000000001Z`: as many decimals as needed, none when there are none.
#[must_use]
pub fn rfc3339_nanos(at: Timestamp) -> String {
    text_of(at, push_nanos)
}

/// `2006-01-02T15:04:05Z`: the fraction is cut off.
#[must_use]
pub fn rfc3339_seconds(at: Timestamp) -> String {
    text_of(at, |out, at| {
        push_civil(out, floor_seconds(at).0);
        out.push(b'Z');
    })
}

/// Appends what [`rfc3339_millis`] returns.
pub fn push_millis(out: &mut Vec<u8>, at: Timestamp) {
    let (seconds, nanos) = floor_seconds(at);
    push_civil(out, seconds);
    out.push(b'.');
    push_digits(out, nanos / 1_000_000, 3);
    out.push(b'Z');
}

/// Appends what [`rfc3339_nanos`] returns.
pub fn push_nanos(out: &mut Vec<u8>, at: Timestamp) {
    let (seconds, nanos) = floor_seconds(at);
    push_civil(out, seconds);
    if nanos != 0 {
        out.push(b'.');
        push_digits(out, nanos, 9);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

fn text_of(at: Timestamp, push: impl Fn(&mut Vec<u8>, Timestamp)) -> String {
    let mut out = Vec::with_capacity(30);
    push(&mut out, at);
    String::from_utf8(out).unwrap_or_default()
}

/// Whole seconds rounded down, and nanoseconds from 0 to 999,999,999; jiff gives both the sign of the moment.
fn floor_seconds(at: Timestamp) -> (i64, u32) {
    let (seconds, nanos) = (at.as_second(), at.subsec_nanosecond());
    match u32::try_from(nanos) {
        Ok(nanos) => (seconds, nanos),
        Err(_) => (seconds - 1, 1_000_000_000 - nanos.unsigned_abs()),
    }
}

fn push_digits(out: &mut Vec<u8>, value: u32, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10_u32.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

fn push_civil(out: &mut Vec<u8>, seconds: i64) {
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let second = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
    push_digits(out, u32::try_from(year).unwrap_or(0), 4);
    out.push(b'-');
    push_digits(out, month, 2);
    out.push(b'-');
    push_digits(out, day, 2);
    out.push(b'T');
    push_digits(out, second / 3600, 2);
    out.push(b':');
    push_digits(out, second / 60 % 60, 2);
    out.push(b':');
    push_digits(out, second % 60, 2);
}

/// Days since 1970-01-01 to year, month, day. Source: Howard Hinnant, `chrono-Compatible Low-Level Date Algorithms`.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Seconds and nanoseconds since 1970, before they are put into jiff's range.
#[derive(PartialEq, Eq)]
struct Moment {
    seconds: i64,
    nanos: i32,
}

/// 0001-01-01T00:00:00Z.
const GO_ZERO: Moment = Moment { seconds: -62_135_596_800, nanos: 0 };

impl Moment {
    fn timestamp(&self) -> Timestamp {
        let end = if self.seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::new(self.seconds, self.nanos).unwrap_or(end)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn api_time(mut self) -> Option<Moment> {
        let midnight = self.date()?;
        let Some((&mark, rest)) = self.rest.split_first() else {
            return Some(Moment { seconds: midnight, nanos: 0 });
        };
        self.rest = rest;
        match mark {
            b'T' => self.api_clock(midnight),
            b' ' => {
                let mut moment = self.minutes(midnight)?;
                self.seconds(&mut moment)?;
                self.rest.is_empty().then_some(moment)
            }
            _ => None,
        }
    }

    fn api_clock(mut self, midnight: i64) -> Option<Moment> {
        let mut moment = self.minutes(midnight)?;
        match self.rest {
            [] | [b'Z'] => return Some(moment),
            [b':', ..] => self.seconds(&mut moment)?,
            _ => return None,
        }
        if !self.rest.is_empty() {
            moment.seconds -= self.offset(true)?;
        }
        Some(moment)
    }

    fn rfc3339(mut self) -> Option<Moment> {
        let midnight = self.date()?;
        self.byte(b'T')?;
        let mut moment = self.minutes(midnight)?;
        self.seconds(&mut moment)?;
        moment.seconds -= self.offset(false)?;
        Some(moment)
    }

    /// The seconds from 1970 to the midnight that begins the date.
    fn date(&mut self) -> Option<i64> {
        let year = self.number(4)?;
        self.byte(b'-')?;
        let month = self.number(2).filter(|month| (1..=12).contains(month))?;
        self.byte(b'-')?;
        let day = self.number(2).filter(|day| (1..=days_in_month(year, month)).contains(day))?;
        Some(days_from_civil(year, month, day) * 86_400)
    }

    fn minutes(&mut self, midnight: i64) -> Option<Moment> {
        let hour = self.number(2).filter(|hour| *hour < 24)?;
        self.byte(b':')?;
        let minute = self.number(2).filter(|minute| *minute < 60)?;
        Some(Moment { seconds: midnight + hour * 3600 + minute * 60, nanos: 0 })
    }

    /// `:05` with an optional fraction, whose digits past the ninth are dropped.
    fn seconds(&mut self, moment: &mut Moment) -> Option<()> {
        self.byte(b':')?;
        moment.seconds += self.number(2).filter(|second| *second < 60)?;
        if let [b'.' | b',', digits @ ..] = self.rest {
            let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, rest) = digits.split_at(length);
            if fraction.is_empty() {
                return None;
            }
            self.rest = rest;
            let nine = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
            moment.nanos = nine.fold(0, |nanos, digit| nanos * 10 + i32::from(digit - b'0'));
        }
        Some(())
    }

    /// Seconds east of UTC, to the end of the text.
    fn offset(&mut self, colon_optional: bool) -> Option<i64> {
        let (&sign, rest) = self.rest.split_first()?;
        self.rest = rest;
        let east = match sign {
            b'Z' => return self.rest.is_empty().then_some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hour = self.number(2).filter(|hour| *hour <= 24)?;
        if !(colon_optional && self.rest.first() != Some(&b':')) {
            self.byte(b':')?;
        }
        let minute = self.number(2).filter(|minute| *minute < 60)?;
        self.rest.is_empty().then_some(east * (hour * 3600 + minute * 60))
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (first == wanted).then_some(())
    }

    fn number(&mut self, width: usize) -> Option<i64> {
        let (digits, rest) = self.rest.split_at_checked(width)?;
        self.rest = rest;
        digits.iter().try_fold(0, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, millis: &str) {
        assert_eq!(rfc3339_millis(parse_api_time(text).unwrap().unwrap()), millis, "{text}");
    }

    #[test]
    fn api_reads_every_form() {
        check("2026-11-22T19:04:49.110059136Z", "2026-11-22T19:04:49.110Z");
        check("2026-11-22T19:04:49Z", "2026-11-22T19:04:49.000Z");
        check("2026-11-22T19:04:49.5+02:00", "2026-11-22T17:04:49.500Z");
        check("2026-11-22T19:04:49-0230", "2026-11-22T21:34:49.000Z");
        check("2026-11-22T19:04:49", "2026-11-22T19:04:49.000Z");
        check("2026-11-22T19:04:49.999", "2026-11-22T19:04:49.999Z");
        check("2026-11-22T19:04Z", "2026-11-22T19:04:00.000Z");
        check("2026-11-22T19:04", "2026-11-22T19:04:00.000Z");
        check("2026-11-22 19:04:49", "2026-11-22T19:04:49.000Z");
        check("2026-11-22", "2026-11-22T00:00:00.000Z");
        check("2024-02-29T23:59:59.9999999999Z", "2024-02-29T23:59:59.999Z");
        check("0002-01-01T00:00:00Z", "0002-01-01T00:00:00.000Z");
    }

    /// Trap 8: the empty text is set, and to 1970.
    #[test]
    fn empty_text_is_1970_and_go_zero_is_unset() {
        assert_eq!(parse_api_time("").unwrap(), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(parse_api_time("0001-01-01T00:00:00Z").unwrap(), None);
        assert_eq!(parse_rfc3339("0001-01-01T00:00:00Z").unwrap(), None);
        assert!(parse_rfc3339("").is_err());
    }

    #[test]
    fn wrong_times_are_refused() {
        for text in [
            "x",
            "2026-13-01",
            "2026-02-29",
            "2026-11-22T24:00:00Z",
            "2026-11-22T19:04:60Z",
            "2026-11-22T19:04:49.Z",
            "2026-11-22T19:04:49ZZ",
            "2026-11-22T19:04:49+2",
            "2026-11-22t19:04:49Z",
            "2026-11-22 19:04",
            "2026-11-22 19:04:49Z",
            "20261122",
        ] {
            assert!(parse_api_time(text).is_err(), "{text}");
        }
        assert!(parse_rfc3339("2026-11-22T19:04:49+0200").is_err());
    }

    #[test]
    fn far_future_is_the_last_moment() {
        let far = parse_api_time("9999-12-31T23:59:59Z").unwrap().unwrap();
        assert_eq!(far, Timestamp::MAX);
        assert_eq!(add(far, Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(sub(Timestamp::MIN, Duration::from_secs(1)), Timestamp::MIN);
        assert_eq!(since(Timestamp::MIN, Timestamp::MAX), Duration::ZERO);
    }

    #[test]
    fn nanos_drop_trailing_zeros() {
        let text = |text| rfc3339_nanos(parse_rfc3339(text).unwrap().unwrap());
        assert_eq!(text("2026-11-22T19:04:49.110Z"), "2026-11-22T19:04:49.11Z");
        assert_eq!(text("2026-11-22T19:04:49.000Z"), "2026-11-22T19:04:49Z");
        assert_eq!(text("1969-12-31T23:59:59.75Z"), "1969-12-31T23:59:59.75Z");
    }

    #[test]
    fn next_step_is_the_first_later_one() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let step = Duration::from_secs(10);
        for (now, next) in [(0, 110), (100, 110), (109, 110), (110, 120), (125, 130)] {
            assert_eq!(next_step(at(100), step, at(now)), at(next), "{now}");
        }
        assert_eq!(next_step(at(100), Duration::ZERO, at(500)), at(100));
    }

    proptest! {
        #[test]
        fn printed_time_is_read_back(seconds in -62_135_596_799_i64..253_402_207_200, nanos in 0..1_000_000_000_i32) {
            let at = Timestamp::new(seconds, nanos).unwrap();
            prop_assert_eq!(parse_rfc3339(&rfc3339_nanos(at)).unwrap(), Some(at));
            prop_assert_eq!(parse_api_time(&rfc3339_nanos(at)).unwrap(), Some(at));
            prop_assert!(rfc3339_nanos(at).parse::<Timestamp>().unwrap() == at);
        }

        #[test]
        fn reading_never_panics(text in "[0-9TZ:. +-]{0,32}") {
            let _ = parse_api_time(&text);
            let _ = parse_rfc3339(&text);
        }
    }
}
