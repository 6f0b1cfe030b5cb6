//! Reads times after Go's layouts.

use jiff::ZonedDateTime;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use crate::layout::{Piece, next_piece};
use crate::quote;
use crate::time::{MONTHS, WEEKDAYS};

/// What has been read of a time.
#[derive(Default)]
struct Fields {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    year_day: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    pm: Option<bool>,
    offset: Option<i32>,
    utc: bool,
    /// A name and its hours.
    zone: Option<(String, i32)>,
}

/// Why a piece was not read.
enum Miss {
    Syntax,
    /// Read, but out of its range.
    Range(&'static str),
}

/// Reads a time after a layout; a time without a zone is in UTC.
///
/// # Errors
/// Go's message, such as `parsing time "x" as "2006": cannot parse "x" as "2006"`.
pub(crate) fn parse(layout: &str, text: &str) -> Result<ZonedDateTime, String> {
    let quoted = quote::bytes(text);
    let mut fields = Fields::default();
    let (mut layout_rest, mut rest) = (layout, text);
    let cannot = |rest: &str, piece: &str| {
        format!(
            "parsing time {quoted} as {}: cannot parse {} as {}",
            quote::bytes(layout),
            quote::bytes(rest),
            quote::bytes(piece)
        )
    };
    let range = |what: &str| format!("parsing time {quoted}: {what} out of range");
    loop {
        let found = next_piece(layout_rest);
        let before = found.map_or(layout_rest, |(before, ..)| before);
        rest = skip_literal(rest, before).ok_or_else(|| cannot(rest, before))?;
        let Some((_, written, piece, after)) = found else { break };
        let hold = rest;
        layout_rest = after;
        match read_piece(&mut fields, piece, &mut rest, after) {
            Ok(()) => {}
            Err(Miss::Syntax) => return Err(cannot(hold, written)),
            Err(Miss::Range(what)) => return Err(range(what)),
        }
    }
    if !rest.is_empty() {
        return Err(format!("parsing time {quoted}: extra text: {}", quote::bytes(rest)));
    }
    fields.finish().map_err(range)
}

/// Takes a literal part of the layout off the text, where blanks match runs of blanks.
fn skip_literal<'a>(mut text: &'a str, mut literal: &str) -> Option<&'a str> {
    while let Some(c) = literal.chars().next() {
        if c == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            literal = literal.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(c)?;
            literal = &literal[c.len_utf8()..];
        }
    }
    Some(text)
}

fn read_piece(fields: &mut Fields, piece: Piece, rest: &mut &str, after: &str) -> Result<(), Miss> {
    match piece {
        Piece::LongYear => {
            if !rest.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(Miss::Syntax);
            }
            fields.year = fixed(rest, 4)?;
        }
        Piece::Year => {
            let year: i16 = fixed(rest, 2)?;
            fields.year = if year >= 69 { 1900 + year } else { 2000 + year };
        }
        Piece::LongMonth => fields.month = Some(word(rest, &MONTHS, None)? + 1),
        Piece::Month => fields.month = Some(word(rest, &MONTHS, Some(3))? + 1),
        Piece::NumMonth | Piece::ZeroMonth => {
            let month: i8 = number(rest, piece == Piece::ZeroMonth)?;
            if !(1..=12).contains(&month) {
                return Err(Miss::Range("month"));
            }
            fields.month = Some(month);
        }
        Piece::LongWeekday => drop(word(rest, &WEEKDAYS, None)?),
        Piece::Weekday => drop(word(rest, &WEEKDAYS, Some(3))?),
        Piece::Day | Piece::UnderDay | Piece::ZeroDay => {
            if piece == Piece::UnderDay {
                *rest = rest.strip_prefix(' ').unwrap_or(rest);
            }
            fields.day = Some(number(rest, piece == Piece::ZeroDay)?);
        }
        Piece::UnderYearDay | Piece::ZeroYearDay => {
            if piece == Piece::UnderYearDay {
                *rest = rest.trim_start_matches(' ');
            }
            fields.year_day = Some(year_day(rest)?);
        }
        Piece::Hour => fields.hour = within(number(rest, false)?, 23, "hour")?,
        Piece::Hour12 | Piece::ZeroHour12 => {
            fields.hour = within(number(rest, piece == Piece::ZeroHour12)?, 12, "hour")?;
        }
        Piece::Minute | Piece::ZeroMinute => {
            fields.minute = within(number(rest, piece == Piece::ZeroMinute)?, 59, "minute")?;
        }
        Piece::Second | Piece::ZeroSecond => {
            fields.second = within(number(rest, piece == Piece::ZeroSecond)?, 59, "second")?;
            free_fraction(fields, rest, after);
        }
        Piece::UpperPm => fields.pm = Some(half(rest, "AM", "PM")?),
        Piece::LowerPm => fields.pm = Some(half(rest, "am", "pm")?),
        Piece::Zone => read_zone(fields, rest)?,
        Piece::Offset { z, colon, parts } => read_offset(fields, rest, z, colon, parts)?,
        Piece::Fraction { digits, trim: false } => read_fraction(fields, rest, digits)?,
        Piece::Fraction { .. } => {
            let digits = fraction_digits(rest);
            if digits > 0 {
                read_fraction(fields, rest, digits)?;
            }
        }
    }
    Ok(())
}

fn take<'a>(rest: &mut &'a str, len: usize) -> Result<&'a str, Miss> {
    let (head, tail) = rest.split_at_checked(len).ok_or(Miss::Syntax)?;
    *rest = tail;
    Ok(head)
}

fn fixed<T: std::str::FromStr>(rest: &mut &str, len: usize) -> Result<T, Miss> {
    let digits = take(rest, len)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Miss::Syntax);
    }
    digits.parse().map_err(|_| Miss::Syntax)
}

/// One or two digits, or two when `zero`.
fn number(rest: &mut &str, zero: bool) -> Result<i8, Miss> {
    let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
    match digits {
        0 => Err(Miss::Syntax),
        1 if zero => Err(Miss::Syntax),
        _ => fixed(rest, digits),
    }
}

fn year_day(rest: &mut &str) -> Result<i16, Miss> {
    let digits = rest.bytes().take(3).take_while(u8::is_ascii_digit).count();
    fixed(rest, digits.max(1))
}

fn within(value: i8, most: i8, what: &'static str) -> Result<i8, Miss> {
    if value <= most { Ok(value) } else { Err(Miss::Range(what)) }
}

/// A name in any case, or its first letters.
fn word(rest: &mut &str, names: &[&str], letters: Option<usize>) -> Result<i8, Miss> {
    for (index, name) in names.iter().enumerate() {
        let name = &name[..letters.unwrap_or(name.len())];
        if rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)) {
            *rest = &rest[name.len()..];
            return i8::try_from(index).map_err(|_| Miss::Syntax);
        }
    }
    Err(Miss::Syntax)
}

fn half(rest: &mut &str, am: &str, pm: &str) -> Result<bool, Miss> {
    let found = take(rest, 2)?;
    if found == pm {
        Ok(true)
    } else if found == am {
        Ok(false)
    } else {
        Err(Miss::Syntax)
    }
}

/// The length of a fraction at the start, with its mark; 0 when there is none.
fn fraction_digits(rest: &str) -> usize {
    match rest.strip_prefix(['.', ',']) {
        Some(digits) => digits.bytes().take_while(u8::is_ascii_digit).count(),
        None => 0,
    }
}

/// A fraction behind the seconds counts even when the layout has none.
fn free_fraction(fields: &mut Fields, rest: &mut &str, after: &str) {
    let digits = fraction_digits(rest);
    let planned = next_piece(after).is_some_and(|(before, _, piece, _)| {
        before.is_empty() && matches!(piece, Piece::Fraction { .. })
    });
    if digits > 0 && !planned {
        // It has digits only, so it can be read.
        let _ = read_fraction(fields, rest, digits);
    }
}

fn read_fraction(fields: &mut Fields, rest: &mut &str, digits: usize) -> Result<(), Miss> {
    let text = take(rest, digits + 1)?;
    let digits = text.strip_prefix(['.', ',']).ok_or(Miss::Syntax)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Miss::Syntax);
    }
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    fields.nanos = nine.parse().map_err(|_| Miss::Syntax)?;
    Ok(())
}

/// An abbreviation such as `UTC` or `CET`; without a table of them it stands for no offset.
fn read_zone(fields: &mut Fields, rest: &mut &str) -> Result<(), Miss> {
    if let Some(after) = rest.strip_prefix("UTC") {
        *rest = after;
        fields.utc = true;
        return Ok(());
    }
    let signed = |text: &str| {
        let digits = text.bytes().skip(1).take(2).take_while(u8::is_ascii_digit).count();
        (text.starts_with(['+', '-']) && digits > 0).then_some(digits + 1)
    };
    let letters = rest.bytes().take_while(u8::is_ascii_uppercase).count();
    let (len, hours) = match letters {
        0 => (signed(rest).ok_or(Miss::Syntax)?, 0),
        1 if rest.starts_with("ChST") || rest.starts_with("MeST") => (4, 0),
        3 if rest.starts_with("GMT") => match signed(&rest[3..]) {
            Some(len) => (3 + len, rest[3..3 + len].parse().map_err(|_| Miss::Syntax)?),
            None => (3, 0),
        },
        3 => (3, 0),
        4 if rest[..4].ends_with('T') || rest.starts_with("WITA") => (4, 0),
        5 if rest[..5].ends_with('T') => (5, 0),
        _ => return Err(Miss::Syntax),
    };
    fields.zone = Some((take(rest, len)?.to_owned(), hours));
    Ok(())
}

/// A zone of a name and an offset of whole hours.
fn named_zone(name: &str, hours: i32) -> Option<TimeZone> {
    TimeZone::posix(&format!("<{name}>{}", -hours)).ok()
}

fn read_offset(
    fields: &mut Fields,
    rest: &mut &str,
    z: bool,
    colon: bool,
    parts: u8,
) -> Result<(), Miss> {
    if z && let Some(after) = rest.strip_prefix('Z') {
        *rest = after;
        fields.utc = true;
        return Ok(());
    }
    let sign = match take(rest, 1)? {
        "+" => 1,
        "-" => -1,
        _ => return Err(Miss::Syntax),
    };
    let mut seconds = 0;
    for part in 0..parts {
        if part > 0 && colon && take(rest, 1)? != ":" {
            return Err(Miss::Syntax);
        }
        let value: i32 = fixed(rest, 2)?;
        let (most, unit, what) = match part {
            0 => (24, 3600, "time zone offset hour"),
            1 => (60, 60, "time zone offset minute"),
            _ => (60, 1, "time zone offset second"),
        };
        if value > most {
            return Err(Miss::Range(what));
        }
        seconds += value * unit;
    }
    fields.offset = Some(sign * seconds);
    Ok(())
}

impl Fields {
    fn finish(self) -> Result<ZonedDateTime, &'static str> {
        let hour = match (self.pm, self.hour) {
            (Some(true), hour) if hour < 12 => hour + 12,
            (Some(false), 12) => 0,
            (_, hour) => hour,
        };
        let date = self.date()?;
        let time = Time::new(hour, self.minute, self.second, self.nanos).map_err(|_| "hour")?;
        let civil = DateTime::from_parts(date, time);
        if let (None, false, Some((name, hours))) = (self.offset, self.utc, &self.zone) {
            // As in Go the clock is that of UTC, whatever hours the name says.
            let moment = civil.to_zoned_datetime(TimeZone::UTC).map_err(|_| "year")?;
            let zone = named_zone(name, *hours).unwrap_or(TimeZone::UTC);
            return Ok(moment.with_time_zone(zone));
        }
        let zone = match self.offset {
            Some(seconds) if !self.utc && seconds != 0 => {
                TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| "time zone offset")?)
            }
            _ => TimeZone::UTC,
        };
        civil.to_zoned_datetime(zone).map_err(|_| "year")
    }

    fn date(&self) -> Result<Date, &'static str> {
        let Some(year_day) = self.year_day else {
            let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
            return Date::new(self.year, month, day).map_err(|_| "day");
        };
        let first = Date::new(self.year, 1, 1).map_err(|_| "day-of-year")?;
        if !(1..=first.days_in_year()).contains(&year_day) {
            return Err("day-of-year");
        }
        let date = first
            .checked_add(jiff::Span::new().days(i64::from(year_day) - 1))
            .map_err(|_| "day-of-year")?;
        match (self.month, self.day) {
            (Some(month), _) if month != date.month() => Err("day-of-year does not match month"),
            (_, Some(day)) if day != date.day() => Err("day-of-year does not match day"),
            _ => Ok(date),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn reads(layout: &str, text: &str, expected: &str) {
        let shown = match parse(layout, text) {
            Ok(at) => crate::time::Time::new(at.timestamp(), at.time_zone().clone()).to_string(),
            Err(message) => message,
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn times_are_read_as_in_go() {
        reads("2006-01-02", "2026-02-03", "2026-02-03 00:00:00 +0000 UTC");
        reads("15:04:05", "10:11:12.5", "0000-01-01 10:11:12.5 +0000 UTC");
        reads("Jan _2 2006 3PM", "feb  3 2026 4PM", "2026-02-03 16:00:00 +0000 UTC");
        reads("2006-01-02 -0700", "2026-02-03 +0130", "2026-02-03 00:00:00 +0130 +0130");
        reads("2006-002", "2026-032", "2026-02-01 00:00:00 +0000 UTC");
    }

    #[test]
    fn misreadings_have_go_s_messages() {
        let start = r#"parsing time "x" as "2006-01-02": cannot parse "x" as "2006""#;
        reads("2006-01-02", "x", start);
        reads("2006-01-02", "2026-13-01", r#"parsing time "2026-13-01": month out of range"#);
        reads("2006-01-02", "2026-02-30", r#"parsing time "2026-02-30": day out of range"#);
        reads("2006", "2026x", r#"parsing time "2026x": extra text: "x""#);
    }
}
