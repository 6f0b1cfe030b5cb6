//! Go's layouts: times written after the pattern of `Mon Jan 2 15:04:05 MST 2006`.

use jiff::ZonedDateTime;

use crate::time::{MONTHS, WEEKDAYS, abbreviation};

/// A piece of a layout with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
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
pub(crate) fn next_piece(layout: &str) -> Option<(&str, &str, Piece, &str)> {
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

#[cfg(test)]
mod tests {
    use super::format;
    use crate::reading::parse;

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
}
