//! How long a silence lasts, as people say it: `2h`, `1h 30m`, `1.5 hours`, `until 18:00`, `tomorrow 9:00`, `monday`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use tocsin_core::time::add;

/// When a day begins that is named without a time.
const MORNING: i8 = 9;
/// Ten years; longer is a slip of the hand.
const SPAN_MAX: Duration = Duration::from_secs(3653 * 86_400);

/// The end of something that begins at `start`, as said at `now` in `zone`. `None` when it is not understood.
pub(super) fn end(
    text: &str,
    start: Timestamp,
    now: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    let text = text.trim().to_lowercase();
    let text = text.strip_prefix("until ").or_else(|| text.strip_prefix("for ")).unwrap_or(&text);
    if text.is_empty() {
        return None;
    }
    match span(text) {
        Some(span) => Some(add(start, span)),
        None => moment(text, start.max(now), zone),
    }
}

/// Numbers with units, in any order; none twice is not asked.
pub(super) fn span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits =
            rest.find(|rune: char| !rune.is_ascii_digit() && rune != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|rune: char| !rune.is_ascii_alphabetic()).unwrap_or(rest.len());
        seconds += number * unit(&rest[..letters])?;
        rest = rest[letters..].trim_start_matches([' ', ',']);
    }
    let span = Duration::try_from_secs_f64(seconds).ok()?;
    (span <= SPAN_MAX).then_some(span)
}

fn unit(word: &str) -> Option<f64> {
    Some(match word {
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "wk" | "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

/// The first such moment after `after`.
fn moment(text: &str, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let here = zone.to_datetime(after);
    let (day, time) = match text.split_once(' ') {
        Some((day, time)) => (day, clock(time.trim_start_matches("at "))?),
        None => match clock(text).filter(|_| text.contains(':')) {
            Some(time) => ("", time),
            None => (text, Time::constant(MORNING, 0, 0, 0)),
        },
    };
    let at = |day: Date| zone.to_timestamp(day.to_datetime(time)).ok();
    let (today, tomorrow) = (here.date(), here.date().tomorrow().ok()?);
    match day {
        "" | "today" => match at(today)? {
            found if found > after => Some(found),
            _ if day == "today" => None,
            _ => at(tomorrow),
        },
        "tomorrow" => at(tomorrow),
        name => at(today.nth_weekday(1, weekday(name)?).ok()?),
    }
}

fn weekday(name: &str) -> Option<Weekday> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let all = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
    let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let found = names.iter().position(|full| name.len() >= 3 && full.starts_with(name))?;
    all.get(found).copied()
}

/// `9`, `9:30`, `09:30`.
fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':').unwrap_or((text, "0"));
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Tuesday.
    const NOW: &str = "2026-11-24T14:00:00Z";

    #[track_caller]
    fn check(text: &str, zone: &str, expected: Option<&str>) {
        let now = NOW.parse().unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(end(text, now, now, &zone), expected, "{text}");
    }

    #[test]
    fn spans_begin_at_the_start() {
        for (text, expected) in [
            ("2h", "2026-11-24T16:00:00Z"),
            ("1h 30m", "2026-11-24T15:30:00Z"),
            ("1.5 hours", "2026-11-24T15:30:00Z"),
            ("for 2 days, 1 hour", "2026-11-26T15:00:00Z"),
            ("1w", "2026-12-01T14:00:00Z"),
        ] {
            check(text, "UTC", Some(expected));
        }
    }

    #[test]
    fn days_are_those_of_the_readers_zone() {
        check("tomorrow", "UTC", Some("2026-11-25T09:00:00Z"));
        check("until tomorrow 9:00", "Europe/Berlin", Some("2026-11-25T08:00:00Z"));
        check("18:00", "UTC", Some("2026-11-24T18:00:00Z"));
        check("until 12:00", "UTC", Some("2026-11-25T12:00:00Z"));
        check("monday", "UTC", Some("2026-11-30T09:00:00Z"));
        check("tue 14", "UTC", Some("2026-12-01T14:00:00Z"));
    }

    #[test]
    fn other_words_are_not_understood() {
        for text in
            ["", "soon", "2", "h", "2x", "today 9:00", "25:00", "-1h", "1e9h", "99999w", "é"]
        {
            check(text, "UTC", None);
        }
    }
}
