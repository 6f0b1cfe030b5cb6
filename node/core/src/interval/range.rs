//! The ranges that a time interval is made of: how they are written and what they hold.

use std::fmt;

use super::BadInterval;

/// Minutes of the day, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// Minute of the day.
    pub start: u16,
    /// Minute of the day, at most 1440.
    pub end: u16,
}

impl TimeRange {
    /// Reads `start_time` and `end_time`, each `HH:MM`; empty is missing.
    /// # Errors
    /// [`BadInterval`] for another form, a missing one, or an end that is not after the start.
    pub fn parse(start: &str, end: &str) -> Result<Self, BadInterval> {
        if start.is_empty() || end.is_empty() {
            return Err(BadInterval::TimeMissing);
        }
        let (start, end) = (minute_of_day(start)?, minute_of_day(end)?);
        if start < end { Ok(Self { start, end }) } else { Err(BadInterval::TimesReversed) }
    }

    /// `HH:MM` of the start.
    #[must_use]
    pub fn start_text(&self) -> String {
        clock_text(self.start)
    }

    /// `HH:MM` of the end.
    #[must_use]
    pub fn end_text(&self) -> String {
        clock_text(self.end)
    }
}

fn clock_text(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn minute_of_day(text: &str) -> Result<u16, BadInterval> {
    let bad = || BadInterval::Time(text.to_owned());
    let [h1 @ b'0'..=b'9', h2 @ b'0'..=b'9', b':', m1 @ b'0'..=b'9', m2 @ b'0'..=b'9'] =
        *text.as_bytes()
    else {
        return Err(bad());
    };
    let two = |tens: u8, ones: u8| u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
    let (hour, minute) = (two(h1, h2), two(m1, m2));
    let exists = (hour < 24 && minute < 60) || (hour, minute) == (24, 0);
    if exists { Ok(hour * 60 + minute) } else { Err(bad()) }
}

/// Days of the week, Sunday is 0, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a range says it all")]
pub struct WeekdayRange {
    pub start: u8,
    pub end: u8,
}

const WEEKDAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl WeekdayRange {
    /// Reads `monday` or `monday:friday`, in any letter case.
    /// # Errors
    /// [`BadInterval`] for other words, or an end before the start.
    pub fn parse(text: &str) -> Result<Self, BadInterval> {
        let (start, end) = range(text)?;
        let (start, end) = (weekday(&start)?, weekday(&end)?);
        if start <= end { Ok(Self { start, end }) } else { Err(BadInterval::WeekdaysReversed) }
    }
}

fn weekday(text: &str) -> Result<u8, BadInterval> {
    let at = WEEKDAYS.iter().position(|name| *name == text);
    at.and_then(|at| u8::try_from(at).ok()).ok_or_else(|| BadInterval::Weekday(text.to_owned()))
}

impl fmt::Display for WeekdayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |day: u8| WEEKDAYS.get(usize::from(day)).copied().unwrap_or("");
        write_range(f, &name(self.start), &name(self.end))
    }
}

/// Days of the month, both ends included; negative ones count from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a range says it all")]
pub struct DayRange {
    pub start: i32,
    pub end: i32,
}

impl DayRange {
    /// Reads `5`, `1:7` or `-3:-1`.
    /// # Errors
    /// [`BadInterval`] for other forms, days that no month has, or an end that is always before the start.
    pub fn parse(text: &str) -> Result<Self, BadInterval> {
        let (start, end) = range(text)?;
        let (start, end) = (day(&start)?, day(&end)?);
        if start < 0 && end > 0 {
            return Err(BadInterval::DaySigns);
        }
        let earliest = |day: i32| if day < 0 { 28 + day } else { day };
        if earliest(start) > earliest(end) {
            return Err(BadInterval::DaysReversed { start, end });
        }
        Ok(Self { start, end })
    }

    pub(super) fn contains(&self, day: i32, days: i32) -> bool {
        let counted = |day: i32| if day < 0 { days + day + 1 } else { day };
        let (start, end) = (counted(self.start), counted(self.end));
        start <= days && within(start.clamp(-days, days), day, end.clamp(-days, days))
    }
}

fn day(text: &str) -> Result<i32, BadInterval> {
    let day = number(text)?;
    let exists = day != 0 && (-31..=31).contains(&day);
    if exists { Ok(day) } else { Err(BadInterval::Day(text.to_owned())) }
}

impl fmt::Display for DayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_range(f, &self.start, &self.end)
    }
}

/// Months, January is 1, both ends included. Numbers past 12 are accepted and never hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a range says it all")]
pub struct MonthRange {
    pub start: i32,
    pub end: i32,
}

impl MonthRange {
    /// Reads `may`, `5` or `january:march`, in any letter case.
    /// # Errors
    /// [`BadInterval`] for other words, or an end before the start.
    pub fn parse(text: &str) -> Result<Self, BadInterval> {
        let (start_text, end_text) = range(text)?;
        let (start, end) = (month(&start_text)?, month(&end_text)?);
        if start > end {
            return Err(BadInterval::MonthsReversed { start: start_text, end: end_text });
        }
        Ok(Self { start, end })
    }

    pub(super) fn contains(&self, value: i32) -> bool {
        within(self.start, value, self.end)
    }
}

fn month(text: &str) -> Result<i32, BadInterval> {
    let named =
        MONTHS.iter().position(|name| *name == text).and_then(|at| i32::try_from(at + 1).ok());
    named.or_else(|| text.parse().ok()).ok_or_else(|| BadInterval::Month(text.to_owned()))
}

impl fmt::Display for MonthRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_range(f, &self.start, &self.end)
    }
}

/// Years, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a range says it all")]
pub struct YearRange {
    pub start: i32,
    pub end: i32,
}

impl YearRange {
    /// Reads `2026` or `2026:2030`.
    /// # Errors
    /// [`BadInterval`] for other forms, or an end before the start.
    pub fn parse(text: &str) -> Result<Self, BadInterval> {
        let (start, end) = range(text)?;
        let (start, end) = (number(&start)?, number(&end)?);
        if start > end {
            return Err(BadInterval::YearsReversed { start, end });
        }
        Ok(Self { start, end })
    }

    pub(super) fn contains(&self, value: i32) -> bool {
        within(self.start, value, self.end)
    }
}

impl fmt::Display for YearRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_range(f, &self.start, &self.end)
    }
}

/// The two ends in lower case; a single value is both.
fn range(text: &str) -> Result<(String, String), BadInterval> {
    let text = text.to_lowercase();
    let mut parts = text.split(':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(start), Some(end), None) => Ok((start.to_owned(), end.to_owned())),
        (Some(both), None, None) => Ok((both.to_owned(), both.to_owned())),
        _ => Err(BadInterval::Range(text.clone())),
    }
}

fn number(text: &str) -> Result<i32, BadInterval> {
    text.parse().map_err(|_| BadInterval::Number(text.to_owned()))
}

fn write_range<T: fmt::Display + PartialEq>(
    f: &mut fmt::Formatter<'_>,
    start: &T,
    end: &T,
) -> fmt::Result {
    if start == end { write!(f, "{start}") } else { write!(f, "{start}:{end}") }
}

fn within(start: i32, value: i32, end: i32) -> bool {
    start <= value && value <= end
}
