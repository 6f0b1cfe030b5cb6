//! Time intervals: when a route is mute or active. Knows no clock and no zone database.
//!
//! Zones come through a function that the caller passes: reading the system's database is input.

mod range;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use range::{DayRange, MonthRange, TimeRange, WeekdayRange, YearRange};

/// Why a part of a time interval is refused; prints as upstream says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadInterval {
    /// An end before or at the start.
    #[error("start time cannot be equal or greater than end time")]
    TimesReversed,
    /// One of the two is missing.
    #[error("both start and end times must be provided")]
    TimeMissing,
    /// Not `HH:MM`.
    #[error("couldn't parse timestamp {0}, invalid format")]
    Time(String),
    /// Not one or two parts.
    #[error("couldn't parse range {0}, invalid format")]
    Range(String),
    /// Not an English weekday.
    #[error("{0} is not a valid weekday")]
    Weekday(String),
    /// Sunday is the first day of the week.
    #[error("start day cannot be before end day")]
    WeekdaysReversed,
    /// Not a whole number from 1 to 31 or -31 to -1.
    #[error("{0} is not a valid day of the month: out of range")]
    Day(String),
    /// Not a whole number.
    #[error("{0} is not a valid number")]
    Number(String),
    /// From the month's end to its start.
    #[error("end day must be negative if start day is negative")]
    DaySigns,
    /// In no month is the end after the start.
    #[error("end day {end} is always before start day {start}")]
    DaysReversed {
        /// As written.
        start: i32,
        /// As written.
        end: i32,
    },
    /// Neither a month's English name nor a number.
    #[error("{0} is not a valid month")]
    Month(String),
    /// The range ends before it starts.
    #[error("end month {end} is before start month {start}")]
    MonthsReversed {
        /// As written.
        start: String,
        /// As written.
        end: String,
    },
    /// The range ends before it starts.
    #[error("end year {end} is before start year {start}")]
    YearsReversed {
        /// As written.
        start: i32,
        /// As written.
        end: i32,
    },
    /// No such zone.
    #[error("unknown time zone {0}")]
    Zone(String),
}

/// An interval with a name; it holds when one of its intervals does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedInterval {
    /// Its name.
    pub name: Box<str>,
    /// Any of these.
    pub intervals: Vec<TimeInterval>,
}

impl NamedInterval {
    /// Whether the moment is inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.holding(at) != 0
    }

    /// In how many of its intervals the moment is.
    #[must_use]
    pub fn holding(&self, at: Timestamp) -> usize {
        self.intervals.iter().filter(|interval| interval.contains(at)).count()
    }
}

/// An interval: each field that is given must hold. A field given as an empty list never holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeInterval {
    /// Times of the day.
    pub times: Option<Vec<TimeRange>>,
    /// Days of the week.
    pub weekdays: Option<Vec<WeekdayRange>>,
    /// Days of the month.
    pub days_of_month: Option<Vec<DayRange>>,
    /// Months.
    pub months: Option<Vec<MonthRange>>,
    /// Years.
    pub years: Option<Vec<YearRange>>,
    /// The zone whose calendar counts; UTC when `None`.
    pub location: Option<TimeZone>,
}

impl TimeInterval {
    /// Whether the moment is inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        let zone = self.location.clone().unwrap_or(TimeZone::UTC);
        let local = at.to_zoned_datetime(zone).datetime();
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let weekday = local.weekday().to_sunday_zero_offset().unsigned_abs();
        let days = i32::from(local.days_in_month());
        any(self.times.as_ref(), |range| range.start <= minute && minute < range.end)
            && any(self.weekdays.as_ref(), |range| range.start <= weekday && weekday <= range.end)
            && any(self.days_of_month.as_ref(), |range| {
                range.contains(i32::from(local.day()), days)
            })
            && any(self.months.as_ref(), |range| range.contains(i32::from(local.month())))
            && any(self.years.as_ref(), |range| range.contains(i32::from(local.year())))
    }
}

fn any<T>(ranges: Option<&Vec<T>>, holds: impl Fn(&T) -> bool) -> bool {
    ranges.is_none_or(|ranges| ranges.iter().any(holds))
}

/// Finds a zone: empty and `UTC` are UTC, everything else is asked of `find`, which also decides what `Local` is.
/// # Errors
/// [`BadInterval::Zone`] when there is none, also when the name is written in other letter case.
pub fn zone(name: &str, find: impl Fn(&str) -> Option<TimeZone>) -> Result<TimeZone, BadInterval> {
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    let unknown = || BadInterval::Zone(name.to_owned());
    let zone = find(name).ok_or_else(unknown)?;
    let same_case = name == "Local" || zone.iana_name().is_none_or(|found| found == name);
    if same_case { Ok(zone) } else { Err(unknown()) }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use proptest::prelude::*;

    use super::*;

    /// A database of one zone that, as jiff's do, does not mind the letter case.
    fn find(name: &str) -> Option<TimeZone> {
        let known = "Europe/Berlin";
        let counts = [0_u32, 0, 0, 0, 1, 4].map(u32::to_be_bytes).concat();
        let block = [&b"TZif2"[..], &[0; 15], &counts, &[0; 6], b"UTC\0"].concat();
        let data = [&block[..], &block, b"\nCET-1CEST,M3.5.0,M10.5.0/3\n"].concat();
        name.eq_ignore_ascii_case(known).then(|| TimeZone::tzif(known, &data).unwrap())
    }

    #[track_caller]
    fn check(interval: &TimeInterval, inside: &[&str], outside: &[&str]) {
        let contains = |text: &&&str| interval.contains(text.parse().unwrap());
        assert_eq!(
            inside.iter().filter(|text| !contains(text)).collect::<Vec<_>>(),
            [] as [&&str; 0],
            "not inside"
        );
        assert_eq!(
            outside.iter().filter(contains).collect::<Vec<_>>(),
            [] as [&&str; 0],
            "not outside"
        );
    }

    /// Trap 38.
    #[test]
    fn times_have_their_start_and_not_their_end() {
        let times = Some(vec![TimeRange::parse("09:00", "17:00").unwrap()]);
        let office = TimeInterval { times, ..TimeInterval::default() };
        check(
            &office,
            &["2026-11-22T09:00:00Z", "2026-11-22T16:59:59Z"],
            &["2026-11-22T17:00:00Z", "2026-11-22T08:59:59Z"],
        );
        let times = Some(vec![TimeRange::parse("00:00", "24:00").unwrap()]);
        check(&TimeInterval { times, ..TimeInterval::default() }, &["2026-11-22T23:59:59Z"], &[]);
        check(
            &TimeInterval { times: Some(vec![]), ..TimeInterval::default() },
            &[],
            &["2026-11-22T09:00:00Z"],
        );
        check(&TimeInterval::default(), &["2026-11-22T09:00:00Z"], &[]);
    }

    #[test]
    fn zone_decides_the_calendar() {
        let weekdays = Some(vec![WeekdayRange::parse("Monday:friday").unwrap()]);
        let times = Some(vec![TimeRange::parse("00:00", "01:00").unwrap()]);
        let location = Some(zone("Europe/Berlin", find).unwrap());
        let night = TimeInterval { weekdays, times, location, ..TimeInterval::default() };
        // Sunday 23:30 UTC is Monday 00:30 in winter; in summer it is 01:30.
        check(
            &night,
            &["2026-11-22T23:30:00Z", "2026-07-05T22:30:00Z"],
            &["2026-07-05T23:30:00Z", "2026-11-20T23:30:00Z"],
        );
    }

    /// Trap 39.
    #[test]
    fn days_count_from_both_ends_of_the_month() {
        let days = |text| {
            let range = DayRange::parse(text).unwrap();
            TimeInterval { days_of_month: Some(vec![range]), ..TimeInterval::default() }
        };
        check(
            &days("-1"),
            &["2024-02-29T00:00:00Z", "2026-04-30T23:59:59Z"],
            &["2024-02-28T23:59:59Z"],
        );
        check(&days("31"), &["2026-01-31T00:00:00Z"], &["2026-04-30T00:00:00Z"]);
        check(&days("30:31"), &["2026-04-30T00:00:00Z"], &["2026-02-28T00:00:00Z"]);
        check(&days("-31:-1"), &["2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"], &[]);
        check(
            &days("-31"),
            &["2026-01-01T00:00:00Z"],
            &["2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"],
        );
        check(
            &days("1:-27"),
            &["2026-01-05T00:00:00Z", "2026-02-02T00:00:00Z"],
            &["2026-02-03T00:00:00Z"],
        );
    }

    #[test]
    fn months_and_years_have_both_their_ends() {
        let months = Some(vec![
            MonthRange::parse("November:12").unwrap(),
            MonthRange::parse("13:14").unwrap(),
        ]);
        let years = Some(vec![YearRange::parse("2026").unwrap()]);
        let interval = TimeInterval { months, years, ..TimeInterval::default() };
        check(
            &interval,
            &["2026-11-01T00:00:00Z", "2026-12-31T00:00:00Z"],
            &["2026-10-31T00:00:00Z", "2027-11-01T00:00:00Z"],
        );
    }

    #[track_caller]
    fn refused<T: fmt::Debug>(result: Result<T, BadInterval>, text: &str) {
        assert_eq!(result.unwrap_err().to_string(), text);
    }

    #[test]
    fn wrong_parts_are_refused_with_the_words_of_upstream() {
        refused(
            TimeRange::parse("17:00", "09:00"),
            "start time cannot be equal or greater than end time",
        );
        refused(
            TimeRange::parse("09:00", "09:00"),
            "start time cannot be equal or greater than end time",
        );
        refused(TimeRange::parse("09:00", ""), "both start and end times must be provided");
        for text in ["9:00", "24:01", "23:60", "0900", "09:00 ", "é:00"] {
            refused(
                TimeRange::parse(text, "24:00"),
                &format!("couldn't parse timestamp {text}, invalid format"),
            );
        }
        refused(WeekdayRange::parse("mon"), "mon is not a valid weekday");
        refused(WeekdayRange::parse("friday:monday"), "start day cannot be before end day");
        refused(WeekdayRange::parse("a:b:c"), "couldn't parse range a:b:c, invalid format");
        refused(DayRange::parse("0"), "0 is not a valid day of the month: out of range");
        refused(DayRange::parse("32"), "32 is not a valid day of the month: out of range");
        refused(DayRange::parse("-1:5"), "end day must be negative if start day is negative");
        refused(DayRange::parse("10:-19"), "end day -19 is always before start day 10");
        refused(DayRange::parse("1:-28"), "end day -28 is always before start day 1");
        refused(MonthRange::parse("jan"), "jan is not a valid month");
        refused(
            MonthRange::parse("december:january"),
            "end month january is before start month december",
        );
        refused(YearRange::parse("2021:2020"), "end year 2020 is before start year 2021");
        for name in ["Mars/Base", "utc", "europe/berlin", "Local"] {
            refused(zone(name, find), &format!("unknown time zone {name}"));
        }
        assert_eq!(zone("", |_| None), Ok(TimeZone::UTC));
        assert!(zone("Local", |_| find("Europe/Berlin")).is_ok());
    }

    #[test]
    fn ranges_print_as_in_the_configuration() {
        assert_eq!(WeekdayRange::parse("MONDAY").unwrap().to_string(), "monday");
        assert_eq!(WeekdayRange::parse("monday:friday").unwrap().to_string(), "monday:friday");
        assert_eq!(DayRange::parse("-3:-1").unwrap().to_string(), "-3:-1");
        assert_eq!(MonthRange::parse("may").unwrap().to_string(), "5");
        assert_eq!(YearRange::parse("2026:2030").unwrap().to_string(), "2026:2030");
        let range = TimeRange::parse("09:05", "24:00").unwrap();
        assert_eq!(
            (range.start_text(), range.end_text()),
            ("09:05".to_owned(), "24:00".to_owned())
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(a in "[0-9:a-zA-Zé-]{0,8}", b in "[0-9:a-zA-Zé-]{0,8}") {
            let _ = (TimeRange::parse(&a, &b), WeekdayRange::parse(&a), DayRange::parse(&a), MonthRange::parse(&a), YearRange::parse(&a));
        }

        #[test]
        fn no_text_panics(a in ".*", b in ".*") {
            let _ = (TimeRange::parse(&a, &b), WeekdayRange::parse(&a), DayRange::parse(&a), MonthRange::parse(&a), YearRange::parse(&a), zone(&a, find));
        }

        #[test]
        fn printed_ranges_are_read_back(start in -31..32_i32, end in -31..32_i32) {
            if let Ok(range) = DayRange::parse(&format!("{start}:{end}")) {
                prop_assert_eq!(DayRange::parse(&range.to_string()), Ok(range));
            }
            if let Ok(range) = MonthRange::parse(&format!("{start}:{end}")) {
                prop_assert_eq!(MonthRange::parse(&range.to_string()), Ok(range));
            }
            if let Ok(range) = YearRange::parse(&format!("{start}:{end}")) {
                prop_assert_eq!(YearRange::parse(&range.to_string()), Ok(range));
            }
        }

        #[test]
        fn printed_times_and_weekdays_are_read_back(start in 0..1440_u16, end in 0..=1440_u16, first in 0..7_usize, last in 0..7_usize) {
            let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
            let range = TimeRange::parse(&clock(start), &clock(end));
            prop_assert_eq!(range.is_ok(), start < end);
            if let Ok(range) = range {
                prop_assert_eq!((range.start_text(), range.end_text()), (clock(start), clock(end)));
            }
            let days = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
            let range = WeekdayRange::parse(&format!("{}:{}", days[first], days[last]));
            prop_assert_eq!(range.is_ok(), first <= last);
            if let Ok(range) = range {
                prop_assert_eq!(WeekdayRange::parse(&range.to_string()), Ok(range));
            }
        }
    }
}
