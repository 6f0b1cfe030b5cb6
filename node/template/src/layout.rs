//! Go's layouts: times written and read after the pattern of `Mon Jan 2 15:04:05 MST 2006`.

use jiff::ZonedDateTime;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use crate::quote;
use crate::time::{MONTHS, WEEKDAYS, abbreviation};

/// A piece of a layout with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
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
    UpperPm,
    LowerPm,
    Zone,
    /// A numeric offset.
    Offset {
        z: bool,
        colon: bool,
        parts: u8,
    },
    /// Digits of the fraction of a second; `trim` for the nines.
    Fraction {
        digits: usize,
        trim: bool,
    },
}

/// The text before the first piece, the piece as written and read, and the rest.
fn next_piece(layout: &str) -> Option<(&str, &str, Piece, &str)> {
    for (at, _) in layout.char_indices() {
        if let Some((len, skip, piece)) = piece_at(&layout[at..]) {
            let start = at + skip;
            return Some((
                &layout[..start],
                &layout[start..start + len],
                piece,
                &layout[start + len..],
            ));
        }
    }
    None
}

/// The piece a text begins with: its length, how much before it is literal, and what it is.
fn piece_at(text: &str) -> Option<(usize, usize, Piece)> {
    const PIECES: [(&str, Piece); 33] = [
        ("January", Piece::LongMonth),
        ("Monday", Piece::LongWeekday),
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
        ("PM", Piece::UpperPm),
        ("pm", Piece::LowerPm),
        ("-070000", Piece::Offset { z: false, colon: false, parts: 3 }),
        ("-07:00:00", Piece::Offset { z: false, colon: true, parts: 3 }),
        ("-0700", Piece::Offset { z: false, colon: false, parts: 2 }),
        ("-07:00", Piece::Offset { z: false, colon: true, parts: 2 }),
        ("-07", Piece::Offset { z: false, colon: false, parts: 1 }),
        ("Z070000", Piece::Offset { z: true, colon: false, parts: 3 }),
        ("Z07:00:00", Piece::Offset { z: true, colon: true, parts: 3 }),
        ("Z0700", Piece::Offset { z: true, colon: false, parts: 2 }),
        ("Z07:00", Piece::Offset { z: true, colon: true, parts: 2 }),
        ("Z07", Piece::Offset { z: true, colon: false, parts: 1 }),
        ("Jan", Piece::Month),
        ("Mon", Piece::Weekday),
    ];
    if text.starts_with("_2006") {
        return Some((4, 1, Piece::LongYear));
    }
    if let Some(found) = fraction_at(text) {
        return Some(found);
    }
    let (written, piece) = PIECES.iter().find(|(written, _)| text.starts_with(written))?;
    let word = matches!(piece, Piece::Month | Piece::Weekday);
    let goes_on = text[written.len()..].starts_with(|c: char| c.is_ascii_lowercase());
    (!(word && goes_on)).then_some((written.len(), 0, *piece))
}

/// `.000` or `,999`: digits that end there.
fn fraction_at(text: &str) -> Option<(usize, usize, Piece)> {
    let digits = text.strip_prefix(['.', ','])?;
    let kind = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = digits.chars().take_while(|c| *c == kind).count();
    let ends = !digits[count..].starts_with(|c: char| c.is_ascii_digit());
    let piece = Piece::Fraction { digits: count, trim: kind == '9' };
    ends.then_some((count + 1, 0, piece))
}

/// Writes a time after a layout.
pub(crate) fn format(at: &ZonedDateTime, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some((before, written, piece, after)) = next_piece(rest) {
        out.push_str(before);
        write_piece(&mut out, at, piece, written);
        rest = after;
    }
    out + rest
}

fn write_piece(out: &mut String, at: &ZonedDateTime, piece: Piece, written: &str) {
    let hour12 = match at.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let text = match piece {
        Piece::LongYear if at.year() < 0 => format!("-{:04}", -at.year()),
        Piece::LongYear => format!("{:04}", at.year()),
        Piece::Year => format!("{:02}", at.year().rem_euclid(100)),
        Piece::LongMonth => name(&MONTHS, at.month() - 1).to_owned(),
        Piece::Month => name(&MONTHS, at.month() - 1)[..3].to_owned(),
        Piece::NumMonth => at.month().to_string(),
        Piece::ZeroMonth => format!("{:02}", at.month()),
        Piece::LongWeekday => name(&WEEKDAYS, at.weekday().to_sunday_zero_offset()).to_owned(),
        Piece::Weekday => name(&WEEKDAYS, at.weekday().to_sunday_zero_offset())[..3].to_owned(),
        Piece::Day => at.day().to_string(),
        Piece::UnderDay => format!("{:>2}", at.day()),
        Piece::ZeroDay => format!("{:02}", at.day()),
        Piece::UnderYearDay => format!("{:>3}", at.day_of_year()),
        Piece::ZeroYearDay => format!("{:03}", at.day_of_year()),
        Piece::Hour => format!("{:02}", at.hour()),
        Piece::Hour12 => hour12.to_string(),
        Piece::ZeroHour12 => format!("{hour12:02}"),
        Piece::Minute => at.minute().to_string(),
        Piece::ZeroMinute => format!("{:02}", at.minute()),
        Piece::Second => at.second().to_string(),
        Piece::ZeroSecond => format!("{:02}", at.second()),
        Piece::UpperPm => if at.hour() >= 12 { "PM" } else { "AM" }.to_owned(),
        Piece::LowerPm => if at.hour() >= 12 { "pm" } else { "am" }.to_owned(),
        Piece::Zone => abbreviation(at),
        Piece::Offset { z, colon, parts } => offset(at.offset().seconds(), z, colon, parts),
        Piece::Fraction { digits, trim } => {
            fraction(at.subsec_nanosecond(), digits, trim, &written[..1])
        }
    };
    out.push_str(&text);
}

fn name(names: &[&'static str], index: i8) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or("???")
}

/// An offset such as `+0130`, of hours, minutes and seconds.
pub(crate) fn offset(seconds: i32, z: bool, colon: bool, parts: u8) -> String {
    if z && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let size = seconds.unsigned_abs();
    let colon = if colon { ":" } else { "" };
    let (hours, minutes, seconds) = (size / 3600, size / 60 % 60, size % 60);
    match parts {
        1 => format!("{sign}{hours:02}"),
        2 => format!("{sign}{hours:02}{colon}{minutes:02}"),
        _ => format!("{sign}{hours:02}{colon}{minutes:02}{colon}{seconds:02}"),
    }
}

fn fraction(nanos: i32, digits: usize, trim: bool, mark: &str) -> String {
    let text = format!("{nanos:09}");
    let mut text = text[..digits.min(9)].to_owned();
    if trim {
        text.truncate(text.trim_end_matches('0').len());
        if text.is_empty() {
            return text;
        }
    } else {
        text.extend(std::iter::repeat_n('0', digits.saturating_sub(9)));
    }
    format!("{mark}{text}")
}

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
    use super::{format, parse};

    #[track_caller]
    fn check(layout: &str, expected: &str) {
        let at = parse("2006-01-02T15:04:05Z07:00", "2026-11-04T09:08:07.193Z").unwrap();
        assert_eq!(format(&at, layout), expected);
    }

    #[test]
    fn every_piece_of_a_layout() {
        check("2006 06 _2006", "2026 26 _2026");
        check("01 1 Jan January Janx", "11 11 Nov November Janx");
        check("02 2 _2 002 __2", "04 4  4 308 308");
        check("15 03 3 PM pm 04 4 05 5", "09 09 9 AM am 08 8 07 7");
        check("Mon Monday", "Wed Wednesday");
        check("05.000 05,0000 05.999999 05.9", "07.193 07,1930 07.193 07.1");
        check("MST -0700 Z0700 Z07:00 -07:00:00 -07", "UTC +0000 Z Z +00:00:00 +00");
        check("héllo", "héllo");
    }

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
