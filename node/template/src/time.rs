//! Go's times, durations and layouts. Zones are values; nobody here asks what time it is.

use std::fmt;
use std::fmt::Write as _;

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ZonedDateTime};

const MONTHS: [&str; 12] = [
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
const DAYS: [&str; 7] =
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
        let civil = self.civil();
        let mut out = String::with_capacity(layout.len() + 8);
        let mut rest = layout;
        while !rest.is_empty() {
            let (literal, piece, after) = next_piece(rest);
            out.push_str(literal);
            if let Some(piece) = piece {
                self.write_piece(&mut out, piece, &civil);
            }
            rest = after;
        }
        out
    }

    fn write_piece(&self, out: &mut String, piece: Piece<'_>, civil: &ZonedDateTime) {
        let hour12 = match civil.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let month = MONTHS[usize::try_from(civil.month() - 1).unwrap_or(0) % 12];
        let weekday = DAYS[weekday(civil)];
        let _infallible = match piece {
            Piece::LongYear => write!(out, "{:04}", civil.year()),
            Piece::Year => write!(out, "{:02}", civil.year().rem_euclid(100)),
            Piece::LongMonth => out.write_str(month),
            Piece::Month => out.write_str(&month[..3]),
            Piece::NumMonth => write!(out, "{}", civil.month()),
            Piece::ZeroMonth => write!(out, "{:02}", civil.month()),
            Piece::LongWeekday => out.write_str(weekday),
            Piece::Weekday => out.write_str(&weekday[..3]),
            Piece::Day => write!(out, "{}", civil.day()),
            Piece::UnderDay => write!(out, "{:2}", civil.day()),
            Piece::ZeroDay => write!(out, "{:02}", civil.day()),
            Piece::UnderYearDay => write!(out, "{:3}", civil.day_of_year()),
            Piece::ZeroYearDay => write!(out, "{:03}", civil.day_of_year()),
            Piece::Hour => write!(out, "{:02}", civil.hour()),
            Piece::Hour12 => write!(out, "{hour12}"),
            Piece::ZeroHour12 => write!(out, "{hour12:02}"),
            Piece::Minute => write!(out, "{}", civil.minute()),
            Piece::ZeroMinute => write!(out, "{:02}", civil.minute()),
            Piece::Second => write!(out, "{}", civil.second()),
            Piece::ZeroSecond => write!(out, "{:02}", civil.second()),
            Piece::Noon => out.write_str(if civil.hour() >= 12 { "PM" } else { "AM" }),
            Piece::SmallNoon => out.write_str(if civil.hour() >= 12 { "pm" } else { "am" }),
            Piece::Zone => out.write_str(&self.abbreviation()),
            Piece::Offset(form) => {
                form.write(out, civil.offset());
                Ok(())
            }
            Piece::Fraction { separator, digits, fixed } => {
                write_fraction(out, separator, digits.len(), fixed, civil.subsec_nanosecond());
                Ok(())
            }
        };
    }

    fn abbreviation(&self) -> String {
        let info = self.zone.to_offset_info(self.moment);
        if self.zone.iana_name().is_none() && self.zone != TimeZone::UTC {
            // A fixed offset has no name; Go then writes the offset.
            let mut text = String::new();
            OffsetForm { letter: false, colon: false, minutes: true, seconds: false }
                .write(&mut text, info.offset());
            return text;
        }
        info.abbreviation().to_owned()
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.moment == other.moment
    }
}

fn weekday(civil: &ZonedDateTime) -> usize {
    usize::try_from(civil.weekday().to_sunday_zero_offset()).unwrap_or(0) % 7
}

/// Day of the week of a moment in its zone, Sunday is 0.
pub(crate) fn weekday_number(civil: &ZonedDateTime) -> i64 {
    i64::try_from(weekday(civil)).unwrap_or(0)
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
    match usize::try_from(number).ok().and_then(|i| DAYS.get(i)) {
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
        let n = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match n {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{n}ns"),
            1_000..1_000_000 => write!(f, "{}µs", decimal(n, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", decimal(n, 1_000_000)),
            _ => {
                let (hours, minutes) = (n / 3_600_000_000_000, n / 60_000_000_000 % 60);
                let seconds = n % 60_000_000_000;
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if hours > 0 || minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                write!(f, "{}s", decimal(seconds, 1_000_000_000))
            }
        }
    }
}

/// `n / unit` exactly, without trailing zeros.
fn decimal(n: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let text = format!("{}.{:0width$}", n / unit, n % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A piece of a layout.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece<'a> {
    LongYear,
    Year,
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    Noon,
    SmallNoon,
    Zone,
    Offset(OffsetForm),
    Fraction { separator: char, digits: &'a str, fixed: bool },
}

/// How an offset is written.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OffsetForm {
    /// `Z` for UTC.
    letter: bool,
    colon: bool,
    minutes: bool,
    seconds: bool,
}

impl OffsetForm {
    fn write(self, out: &mut String, offset: Offset) {
        let seconds = offset.seconds();
        if seconds == 0 && self.letter {
            out.push('Z');
            return;
        }
        let n = seconds.unsigned_abs();
        let colon = if self.colon { ":" } else { "" };
        let _infallible = write!(out, "{}{:02}", if seconds < 0 { '-' } else { '+' }, n / 3600);
        let minutes = n / 60 % 60;
        if self.minutes {
            let _infallible = write!(out, "{colon}{minutes:02}");
        }
        if self.seconds {
            let _infallible = write!(out, "{colon}{:02}", n % 60);
        }
    }
}

fn write_fraction(out: &mut String, separator: char, digits: usize, fixed: bool, nanosecond: i32) {
    let text = format!("{nanosecond:09}");
    let text = &text[..digits.min(9)];
    let text = if fixed { text } else { text.trim_end_matches('0') };
    if !text.is_empty() {
        out.push(separator);
        out.push_str(text);
    }
}

const OFFSETS: [(&str, OffsetForm); 10] = {
    const fn form(letter: bool, colon: bool, minutes: bool, seconds: bool) -> OffsetForm {
        OffsetForm { letter, colon, minutes, seconds }
    }
    [
        ("-07:00:00", form(false, true, true, true)),
        ("-070000", form(false, false, true, true)),
        ("-07:00", form(false, true, true, false)),
        ("-0700", form(false, false, true, false)),
        ("-07", form(false, false, false, false)),
        ("Z07:00:00", form(true, true, true, true)),
        ("Z070000", form(true, false, true, true)),
        ("Z07:00", form(true, true, true, false)),
        ("Z0700", form(true, false, true, false)),
        ("Z07", form(true, false, false, false)),
    ]
};

/// Longest first where one is the beginning of another.
const PIECES: [(&str, Piece<'static>); 23] = [
    ("January", Piece::LongMonth),
    ("Jan", Piece::Month),
    ("Monday", Piece::LongWeekday),
    ("Mon", Piece::Weekday),
    ("MST", Piece::Zone),
    ("002", Piece::ZeroYearDay),
    ("01", Piece::ZeroMonth),
    ("02", Piece::ZeroDay),
    ("03", Piece::ZeroHour12),
    ("04", Piece::ZeroMinute),
    ("05", Piece::ZeroSecond),
    ("06", Piece::Year),
    ("15", Piece::Hour),
    ("1", Piece::NumMonth),
    ("2006", Piece::LongYear),
    ("2", Piece::Day),
    ("__2", Piece::UnderYearDay),
    ("_2", Piece::UnderDay),
    ("3", Piece::Hour12),
    ("4", Piece::Minute),
    ("5", Piece::Second),
    ("PM", Piece::Noon),
    ("pm", Piece::SmallNoon),
];

/// Literal text, the piece after it, and what follows that.
fn next_piece(layout: &str) -> (&str, Option<Piece<'_>>, &str) {
    for (i, _) in layout.char_indices() {
        let rest = &layout[i..];
        if let Some((piece, len)) = piece_at(rest) {
            // `_2006` is a blank-less underscore and a year.
            if let Some(after) = rest.strip_prefix("_2006") {
                return (&layout[..=i], Some(Piece::LongYear), after);
            }
            return (&layout[..i], Some(piece), &rest[len..]);
        }
    }
    (layout, None, "")
}

fn piece_at(rest: &str) -> Option<(Piece<'_>, usize)> {
    if let Some(fraction) = fraction_at(rest) {
        return Some(fraction);
    }
    if let Some((text, form)) = OFFSETS.iter().find(|(text, _)| rest.starts_with(text)) {
        return Some((Piece::Offset(*form), text.len()));
    }
    let (text, piece) = PIECES.iter().find(|(text, _)| rest.starts_with(text))?;
    // `Jan` inside a longer word with a small letter after it is no month: Go checks only for `Jan`.
    Some((*piece, text.len()))
}

/// `.000`, `,999`: after a separator only one kind of digit, and no digit after them.
fn fraction_at(rest: &str) -> Option<(Piece<'_>, usize)> {
    let separator = rest.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digit = rest[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let len = rest[1..].len() - rest[1..].trim_start_matches(digit).len();
    if rest[1 + len..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = &rest[1..=len];
    Some((Piece::Fraction { separator, digits, fixed: digit == '0' }, 1 + len))
}

/// Reads `text` by a Go layout, in UTC where the text names no zone.
/// # Errors
/// Go's text: `parsing time "x" as "2006-01-02": cannot parse "x" as "2006"`.
pub fn parse_time(layout: &str, text: &str) -> Result<Time, String> {
    let mut reading = Reading::default();
    let (mut rest_layout, mut rest) = (layout, text);
    let quoted = crate::printf::quoted;
    let wrong = |value: &str, piece: &str| {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quoted(text),
            quoted(layout),
            quoted(value),
            quoted(piece)
        )
    };
    loop {
        let (literal, piece, after) = next_piece(rest_layout);
        rest = rest.strip_prefix(literal).ok_or_else(|| wrong(rest, literal))?;
        let Some(piece) = piece else { break };
        let source = &rest_layout[literal.len()..rest_layout.len() - after.len()];
        let value = rest;
        rest = reading.read(piece, rest).ok_or_else(|| wrong(value, source))?;
        if matches!(piece, Piece::ZeroSecond | Piece::Second) && !after.starts_with(['.', ',']) {
            rest = reading.extra_fraction(rest);
        }
        rest_layout = after;
    }
    if !rest.is_empty() {
        return Err(format!("parsing time {}: extra text: {}", quoted(text), quoted(rest)));
    }
    reading.finish().ok_or_else(|| format!("parsing time {}: day out of range", quoted(text)))
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    year_day: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    offset: Option<i32>,
}

impl Reading {
    fn read<'t>(&mut self, piece: Piece<'_>, text: &'t str) -> Option<&'t str> {
        let (value, rest) = match piece {
            Piece::LongYear => number(text, 4, 4)?,
            Piece::Year | Piece::ZeroMonth | Piece::ZeroDay => number(text, 2, 2)?,
            Piece::ZeroMinute | Piece::ZeroSecond | Piece::Hour | Piece::ZeroHour12 => {
                number(text, 2, 2)?
            }
            Piece::NumMonth | Piece::Day | Piece::Hour12 | Piece::Minute | Piece::Second => {
                number(text, 1, 2)?
            }
            Piece::UnderDay => number(text.strip_prefix(' ').unwrap_or(text), 1, 2)?,
            Piece::ZeroYearDay => number(text, 3, 3)?,
            Piece::UnderYearDay => number(text.trim_start_matches(' '), 1, 3)?,
            Piece::LongMonth => name(text, &MONTHS, usize::MAX)?,
            Piece::Month => name(text, &MONTHS, 3)?,
            Piece::LongWeekday => name(text, &DAYS, usize::MAX)?,
            Piece::Weekday => name(text, &DAYS, 3)?,
            Piece::Noon | Piece::SmallNoon => return self.half_of_day(piece, text),
            Piece::Zone => return self.zone(text),
            Piece::Offset(form) => return self.offset(form, text),
            Piece::Fraction { separator, digits, fixed } => {
                return self.fraction(text, separator, digits, fixed);
            }
        };
        let small = i8::try_from(value).ok();
        match piece {
            Piece::LongYear => self.year = i16::try_from(value).ok(),
            Piece::Year => {
                self.year =
                    i16::try_from(if value >= 69 { 1900 + value } else { 2000 + value }).ok();
            }
            Piece::ZeroMonth | Piece::NumMonth => {
                self.month = Some(small.filter(|m| (1..=12).contains(m))?);
            }
            Piece::LongMonth | Piece::Month => self.month = Some(small? + 1),
            Piece::ZeroDay | Piece::Day | Piece::UnderDay => self.day = small,
            Piece::ZeroYearDay | Piece::UnderYearDay => self.year_day = i16::try_from(value).ok(),
            Piece::Hour => self.hour = small.filter(|h| *h < 24)?,
            Piece::Hour12 | Piece::ZeroHour12 => self.hour = small.filter(|h| *h <= 12)?,
            Piece::Minute | Piece::ZeroMinute => self.minute = small.filter(|m| *m < 60)?,
            Piece::Second | Piece::ZeroSecond => self.second = small.filter(|s| *s < 60)?,
            _ => {}
        }
        Some(rest)
    }

    fn half_of_day<'t>(&mut self, piece: Piece<'_>, text: &'t str) -> Option<&'t str> {
        let (morning, afternoon) = if piece == Piece::Noon { ("AM", "PM") } else { ("am", "pm") };
        self.afternoon = Some(text.starts_with(afternoon));
        text.strip_prefix(afternoon).or_else(|| text.strip_prefix(morning))
    }

    /// A name of three or four capitals counts as UTC, as far as a zone cannot be known.
    fn zone<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let len = text.len() - text.trim_start_matches(|c: char| c.is_ascii_uppercase()).len();
        (3..=5).contains(&len).then(|| {
            self.offset = Some(0);
            &text[len..]
        })
    }

    fn offset<'t>(&mut self, form: OffsetForm, text: &'t str) -> Option<&'t str> {
        if form.letter
            && let Some(rest) = text.strip_prefix('Z')
        {
            self.offset = Some(0);
            return Some(rest);
        }
        let sign = match text.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        let (hours, mut rest) = number(&text[1..], 2, 2)?;
        let mut seconds = hours * 3600;
        let parts = usize::from(form.minutes) + usize::from(form.seconds);
        for unit in [60, 1].into_iter().take(parts) {
            if form.colon {
                rest = rest.strip_prefix(':')?;
            }
            let (value, after) = number(rest, 2, 2)?;
            seconds += value * unit;
            rest = after;
        }
        self.offset = i32::try_from(seconds * sign).ok();
        Some(rest)
    }

    fn fraction<'t>(
        &mut self,
        text: &'t str,
        separator: char,
        digits: &str,
        fixed: bool,
    ) -> Option<&'t str> {
        if fixed {
            let rest = text.strip_prefix(separator)?;
            let found = rest.get(..digits.len())?;
            self.nanosecond = nanoseconds(found)?;
            return Some(&rest[digits.len()..]);
        }
        Some(self.extra_fraction(text))
    }

    fn extra_fraction<'t>(&mut self, text: &'t str) -> &'t str {
        let Some(rest) = text.strip_prefix(['.', ',']) else { return text };
        let len = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match nanoseconds(&rest[..len]) {
            Some(nanosecond) if len > 0 => {
                self.nanosecond = nanosecond;
                &rest[len..]
            }
            _ => text,
        }
    }

    fn finish(self) -> Option<Time> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let year = self.year.unwrap_or(0);
        let mut date =
            jiff::civil::Date::new(year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?;
        if let Some(day) = self.year_day {
            date = jiff::civil::Date::new(year, 1, 1).ok()?;
            date =
                date.checked_add(jiff::SignedDuration::from_hours(24 * i64::from(day - 1))).ok()?;
        }
        let zone = match self.offset {
            None | Some(0) => TimeZone::UTC,
            Some(seconds) => TimeZone::fixed(Offset::from_seconds(seconds).ok()?),
        };
        let civil = date.at(hour, self.minute, self.second, self.nanosecond);
        let moment = zone.to_timestamp(civil).ok()?;
        Some(Time { moment, zone })
    }
}

/// Digits, at least `min` and at most `max`.
fn number(text: &str, min: usize, max: usize) -> Option<(i64, &str)> {
    let len = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    (len >= min).then(|| Some((text[..len].parse().ok()?, &text[len..])))?
}

/// Which of the names stands at the start, in any case.
fn name<'t>(text: &'t str, names: &[&str], letters: usize) -> Option<(i64, &'t str)> {
    for (i, name) in names.iter().enumerate() {
        let name = &name[..letters.min(name.len())];
        if text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return Some((i64::try_from(i).ok()?, &text[name.len()..]));
        }
    }
    None
}

fn nanoseconds(digits: &str) -> Option<i32> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
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
