//! Go's times, durations and layouts. Zones are values; nobody here asks what time it is.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use crate::{layout, reading};

pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(crate) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Seconds from 1970 to Go's zero time, `0001-01-01T00:00:00Z`.
const ZERO_SECOND: i64 = -62_135_596_800;

/// A moment, seen from a zone.
#[derive(Clone, Debug)]
pub struct Time {
    moment: Timestamp,
    zone: TimeZone,
}

/// Nanoseconds, as Go's `time.Duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub i64);

impl Time {
    /// A moment in a zone.
    #[must_use]
    pub fn new(moment: Timestamp, zone: TimeZone) -> Self {
        Self { moment, zone }
    }

    /// Go's zero time, for what is unset.
    #[must_use]
    pub fn zero() -> Self {
        Self {
            moment: Timestamp::from_second(ZERO_SECOND).unwrap_or_default(),
            zone: TimeZone::UTC,
        }
    }

    /// Whether it is Go's zero time.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.moment.as_second() == ZERO_SECOND && self.moment.subsec_nanosecond() == 0
    }

    /// The moment.
    #[must_use]
    pub fn moment(&self) -> Timestamp {
        self.moment
    }

    /// The zone it is seen from.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The same moment in another zone.
    #[must_use]
    pub fn in_zone(&self, zone: TimeZone) -> Self {
        Self { moment: self.moment, zone }
    }

    /// The calendar view.
    #[must_use]
    pub fn civil(&self) -> ZonedDateTime {
        self.moment.to_zoned_datetime(self.zone.clone())
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn nanoseconds(&self) -> i128 {
        self.moment.as_nanosecond()
    }

    /// Later by `by`; at the ends of time it stays there.
    #[must_use]
    pub fn plus(&self, by: Duration) -> Self {
        self.at_nanoseconds(self.nanoseconds() + i128::from(by.0))
    }

    /// The same zone at another moment; beyond the ends of time the moment stays.
    #[must_use]
    pub fn at_nanoseconds(&self, nanoseconds: i128) -> Self {
        let moment = Timestamp::from_nanosecond(nanoseconds).unwrap_or(self.moment);
        Self { moment, zone: self.zone.clone() }
    }

    /// The time between, held within what a duration can say.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let between = self.nanoseconds() - earlier.nanoseconds();
        let held = between.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Duration(i64::try_from(held).unwrap_or_default())
    }

    /// Writes it by a Go layout.
    #[must_use]
    pub fn format(&self, layout: &str) -> String {
        layout::format(&self.civil(), layout)
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.moment == other.moment
    }
}

/// Day of the week of a moment in its zone, Sunday is 0.
pub(crate) fn weekday_number(civil: &ZonedDateTime) -> i64 {
    i64::from(civil.weekday().to_sunday_zero_offset())
}

/// Go's name of a month, from 1.
pub(crate) fn month_name(number: i64) -> String {
    match usize::try_from(number - 1).ok().and_then(|i| MONTHS.get(i)) {
        Some(name) => (*name).to_owned(),
        None => format!("%!Month({number})"),
    }
}

/// Go's name of a weekday, Sunday is 0.
pub(crate) fn weekday_name(number: i64) -> String {
    match usize::try_from(number).ok().and_then(|i| WEEKDAYS.get(i)) {
        Some(name) => (*name).to_owned(),
        None => format!("%!Weekday({number})"),
    }
}

/// Go's name of a zone.
pub(crate) fn zone_name(zone: &TimeZone) -> String {
    if *zone == TimeZone::UTC {
        "UTC".to_owned()
    } else {
        zone.iana_name().unwrap_or("Local").to_owned()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

impl fmt::Display for Duration {
    /// `1h2m3s`, `1.5s`, `100ms`, `1µs`, `0s`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::duration::display(self.0))
    }
}

/// The abbreviation of a time's zone; its offset where it has none.
pub(crate) fn abbreviation(at: &ZonedDateTime) -> String {
    let zone = at.time_zone();
    if *zone != TimeZone::UTC && *zone == TimeZone::fixed(at.offset()) {
        return layout::offset(at.offset().seconds(), false, false, 2);
    }
    zone.to_offset_info(at.timestamp()).abbreviation().to_owned()
}

/// Reads `text` by a Go layout, in UTC where the text names no zone.
/// # Errors
/// Go's text: `parsing time "x" as "2006-01-02": cannot parse "x" as "2006"`.
pub fn parse_time(layout: &str, text: &str) -> Result<Time, String> {
    let civil = reading::parse(layout, text)?;
    Ok(Time { moment: civil.timestamp(), zone: civil.time_zone().clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        Time::new(text.parse().unwrap(), TimeZone::UTC)
    }

    #[track_caller]
    fn check(layout: &str, expected: &str) {
        assert_eq!(time("2026-11-02T15:04:05.120Z").format(layout), expected, "{layout}");
    }

    #[test]
    fn layouts_write_as_go_does() {
        check("2006-01-02 15:04:05.999999999 -0700 MST", "2026-11-02 15:04:05.12 +0000 UTC");
        check("Mon Jan _2 03:04:05PM 06", "Mon Nov  2 03:04:05PM 26");
        check("Monday, January 2", "Monday, November 2");
        check("15h04 .000 ,00", "15h04 .120 ,12");
        check("Z07:00 Z0700 -07", "Z Z +00");
        check("002 __2 _2006", "306 306 _2026");
        check("3:4:5 pm", "3:4:5 pm");
    }

    #[test]
    fn times_print_with_offset_and_zone() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(
            time("2026-11-22T10:00:00.123456789Z").in_zone(berlin).to_string(),
            "2026-11-22 11:00:00.123456789 +0100 CET"
        );
        assert_eq!(Time::zero().to_string(), "0001-01-01 00:00:00 +0000 UTC");
        assert!(Time::zero().is_zero());
    }

    #[test]
    fn durations_print_as_go_does() {
        for (n, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (100_000_000, "100ms"),
            (1_500_000_000, "1.5s"),
            (1_800_000_000_000, "30m0s"),
            (3_723_000_000_000, "1h2m3s"),
            (-60_000_000_000, "-1m0s"),
        ] {
            assert_eq!(Duration(n).to_string(), text);
        }
    }

    #[test]
    fn texts_are_read_by_layout() {
        let read = |layout: &str, text: &str| parse_time(layout, text).map(|t| t.to_string());
        assert_eq!(read("2006-01-02", "2026-11-22").unwrap(), "2026-11-22 00:00:00 +0000 UTC");
        assert_eq!(
            read("2006-01-02T15:04:05Z07:00", "2026-11-22T10:00:00.5+01:00").unwrap(),
            "2026-11-22 10:00:00.5 +0100 +0100"
        );
        assert_eq!(
            read("2006-01-02", "x").unwrap_err(),
            r#"parsing time "x" as "2006-01-02": cannot parse "x" as "2006""#
        );
        assert_eq!(
            read("2006", "2026 x").unwrap_err(),
            r#"parsing time "2026 x": extra text: " x""#
        );
    }
}
