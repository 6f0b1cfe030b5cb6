//! The functions of Alertmanager's templates that know nothing of alerts, as a registry for the
//! caller to take and extend.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::call::{Function, Functions, Type};
use crate::number;
use crate::time::{Time, parse_time};
use crate::value::{SafeKind, Value};
use crate::{json, regexp};

type Answer = Result<Value, String>;

/// No function makes a longer text.
const RESULT_MAX: usize = 16 << 20;

/// The set for one rendering: `now` and the server's zone are what `now` and `since` answer by.
/// `routeLabels` is the caller's to add.
#[must_use]
pub fn standard(now: Timestamp, local: &TimeZone) -> Functions {
    let mut functions = Functions::new();
    texts(&mut functions);
    codes(&mut functions);
    lists(&mut functions);
    times(&mut functions, now, local);
    functions
}

fn texts(functions: &mut Functions) {
    use Type::{Text, Texts};
    let mut add = |name, function| functions.insert(name, function);
    add("toUpper", Function::new(&[Text], |a| Ok(each_char(text(a, 0), upper).into())));
    add("toLower", Function::new(&[Text], |a| Ok(each_char(text(a, 0), lower).into())));
    add("title", Function::new(&[Text], |a| Ok(title(text(a, 0)).into())));
    add("trimSpace", Function::new(&[Text], |a| Ok(text(a, 0).trim().into())));
    add("join", Function::new(&[Text, Texts], join));
    add(
        "match",
        Function::new(&[Text, Text], |a| {
            let regex = regexp::compile(text(a, 0))?;
            Ok(Value::Bool(regex.is_match(text(a, 1).as_bytes())))
        }),
    );
    add("reReplaceAll", Function::new(&[Text, Text, Text], replace_all));
}

fn codes(functions: &mut Functions) {
    use Type::{Any, Text};
    let mut add = |name, function| functions.insert(name, function);
    let safe = |kind| move |a: &[Value]| Ok(Value::Safe(kind, text(a, 0).into()));
    add("safeHtml", Function::new(&[Text], safe(SafeKind::Html)));
    add("safeUrl", Function::new(&[Text], safe(SafeKind::Url)));
    add("urlUnescape", Function::new(&[Text], |a| url_unescape(text(a, 0))));
    add("base64encode", Function::new(&[Text], |a| Ok(URL_SAFE.encode(text(a, 0)).into())));
    add("base64decode", Function::new(&[Text], |a| base64_decode(text(a, 0))));
    add("toJson", Function::new(&[Any], |a| json::write(&a[0], RESULT_MAX).map(Value::from)));
}

fn lists(functions: &mut Functions) {
    use Type::{Any, List, Text};
    let mut add = |name, function| functions.insert(name, function);
    add(
        "stringSlice",
        Function::variadic(&[], Text, |a| Ok(Value::texts(a.iter().filter_map(Value::as_text)))),
    );
    add("list", Function::variadic(&[], Any, |a| Value::list(a.to_vec())));
    add(
        "append",
        Function::variadic(&[List], Any, |a| {
            let mut items = a[0].items().unwrap_or_default();
            items.extend_from_slice(&a[1..]);
            Value::list(items)
        }),
    );
    add("dict", Function::variadic(&[], Any, dict));
}

fn times(functions: &mut Functions, now: Timestamp, local: &TimeZone) {
    use Type::{Any, Text, Time as Moment};
    let mut add = |name, function| functions.insert(name, function);
    add("date", Function::new(&[Text, Moment], |a| Ok(moment(&a[1]).format(text(a, 0)).into())));
    let zone = local.clone();
    add("tz", Function::new(&[Text, Moment], move |a| in_zone(text(a, 0), &moment(&a[1]), &zone)));
    let present = Time::new(now, local.clone());
    let since = present.clone();
    add("now", Function::new(&[], move |_| Ok(Value::Time(present.clone()))));
    add(
        "since",
        Function::new(&[Moment], move |a| Ok(Value::Duration(since.since(&moment(&a[0]))))),
    );
    add(
        "toDate",
        Function::new(&[Text, Text], |a| {
            let read = parse_time(text(a, 0), text(a, 1));
            Ok(Value::Time(read.unwrap_or_else(|_| Time::zero())))
        }),
    );
    add(
        "mustToDate",
        Function::new(&[Text, Text], |a| parse_time(text(a, 0), text(a, 1)).map(Value::Time)),
    );
    add("humanizeDuration", Function::new(&[Any], |a| humanize_duration(&a[0])));
}

/// The time of an argument that its signature makes one.
fn moment(value: &Value) -> Time {
    match value {
        Value::Time(time) => time.clone(),
        _ => Time::zero(),
    }
}

/// The text of an argument that its signature makes a string.
fn text(args: &[Value], index: usize) -> &str {
    args.get(index).and_then(Value::as_text).unwrap_or_default()
}

/// One character to one character, as Go maps letters; where Unicode needs several, it stays.
fn each_char(text: &str, map: impl Fn(char) -> char) -> String {
    text.chars().map(map).collect()
}

fn upper(c: char) -> char {
    match c {
        // Simple mappings that the full ones differ from.
        'ı' => 'I',
        _ => only(c.to_uppercase(), c),
    }
}

fn lower(c: char) -> char {
    match c {
        'İ' => 'i',
        _ => only(c.to_lowercase(), c),
    }
}

fn only(mut mapped: impl Iterator<Item = char>, otherwise: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(c), None) => c,
        _ => otherwise,
    }
}

/// Every word with a capital and the rest small. A word goes on over underscores, over an
/// apostrophe, full stop or colon between letters, and over a comma or full stop between digits.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let chars: Vec<char> = text.chars().collect();
    let (mut in_word, mut has_letter) = (false, false);
    for (index, &c) in chars.iter().enumerate() {
        let next = chars.get(index + 1);
        if c.is_alphabetic() {
            match (has_letter, c) {
                (false, _) => out.push_str(&title_char(c)),
                // The small sigma at the end of a word.
                (true, 'Σ') if !next.is_some_and(|next| next.is_alphabetic()) => out.push('ς'),
                (true, _) => out.extend(c.to_lowercase()),
            }
            (in_word, has_letter) = (true, true);
            continue;
        }
        out.push(c);
        let before = index.checked_sub(1).and_then(|before| chars.get(before));
        let between =
            |is: fn(char) -> bool| before.is_some_and(|c| is(*c)) && next.is_some_and(|c| is(*c));
        in_word = c.is_numeric()
            || c == '_'
            || (in_word && is_combining(c))
            || (matches!(c, '\'' | '.' | '’' | '․') && between(char::is_alphanumeric))
            || (matches!(c, ':' | '·') && between(char::is_alphabetic))
            || (matches!(c, ',' | ';') && between(char::is_numeric));
        has_letter &= in_word;
    }
    out
}

fn is_combining(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}'
    )
}

fn title_char(c: char) -> String {
    match c {
        'ß' => "Ss".to_owned(),
        'ŉ' => "ʼN".to_owned(),
        'Ǆ' | 'ǆ' | 'ǅ' => "ǅ".to_owned(),
        'Ǉ' | 'ǉ' | 'ǈ' => "ǈ".to_owned(),
        'Ǌ' | 'ǌ' | 'ǋ' => "ǋ".to_owned(),
        'Ǳ' | 'ǳ' | 'ǲ' => "ǲ".to_owned(),
        _ => {
            let mut upper = c.to_uppercase();
            let first: String = upper.next().into_iter().collect();
            first + &upper.flat_map(char::to_lowercase).collect::<String>()
        }
    }
}

fn join(args: &[Value]) -> Answer {
    let separator = text(args, 0);
    let items = args[1].items().unwrap_or_default();
    let bytes: usize = items.iter().filter_map(Value::len).sum();
    if bytes.saturating_add(separator.len().saturating_mul(items.len())) > RESULT_MAX {
        return Err("result is too large".to_owned());
    }
    let texts: Vec<&str> = items.iter().filter_map(Value::as_text).collect();
    Ok(texts.join(separator).into())
}

fn replace_all(args: &[Value]) -> Answer {
    let (pattern, replacement, subject) = (text(args, 0), text(args, 1), text(args, 2));
    let regex = regexp::compile(pattern)
        .map_err(|message| format!("regexp: Compile({}): {message}", go_quote(pattern)))?;
    regexp::replace_all(&regex, subject, replacement, RESULT_MAX).map(Value::from)
}

/// In backquotes where they can hold it.
fn go_quote(text: &str) -> String {
    if text.contains(['`', '\n', '\r']) { crate::quote::go(text) } else { format!("`{text}`") }
}

fn url_unescape(text: &str) -> Answer {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let hex = text.get(at + 1..at + 3);
                let code = hex
                    .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                let Some(code) = code else {
                    let bad = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 3)]);
                    let quoted = crate::quote::go(&bad);
                    return Err(format!("invalid URL escape {quoted}"));
                };
                out.push(code);
                at += 2;
            }
            b'+' => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    Ok(String::from_utf8_lossy(&out).into_owned().into())
}

/// As Go's decoder: line ends do not count, left-over bits neither, and errors name the byte.
fn base64_decode(text: &str) -> Answer {
    let bad = |at: usize| Err(format!("illegal base64 data at input byte {at}"));
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut bytes =
        text.bytes().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n')).peekable();
    let (mut bits, mut count) = (0_u32, 0_usize);
    while let Some((at, byte)) = bytes.next() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            b'=' if count >= 2 => {
                if count == 2 && !matches!(bytes.next(), Some((_, b'='))) {
                    return bad(text.len());
                }
                if let Some((at, _)) = bytes.next() {
                    return bad(at);
                }
                break;
            }
            _ => return bad(at),
        };
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            out.extend_from_slice(&bits.to_be_bytes()[1..]);
            (bits, count) = (0, 0);
        } else if bytes.peek().is_none() {
            return bad(text.len() - count);
        }
    }
    match count {
        2 => out.extend_from_slice(&(bits << 12).to_be_bytes()[1..2]),
        3 => out.extend_from_slice(&(bits << 6).to_be_bytes()[1..3]),
        _ => {}
    }
    Ok(String::from_utf8_lossy(&out).into_owned().into())
}

fn dict(args: &[Value]) -> Answer {
    if !args.len().is_multiple_of(2) {
        return Err("dict requires an even number of arguments".to_owned());
    }
    let mut entries = BTreeMap::new();
    for pair in args.chunks_exact(2) {
        let Value::Text(key) = &pair[0] else {
            return Err("dict keys must be strings".to_owned());
        };
        entries.insert(Arc::clone(key), pair[1].clone());
    }
    Value::map(entries)
}

fn in_zone(name: &str, time: &Time, local: &TimeZone) -> Answer {
    let zone = match name {
        "" | "UTC" => TimeZone::UTC,
        "Local" => local.clone(),
        _ if name.contains("..") || name.starts_with('/') || name.contains('\\') => {
            return Err("time: invalid location name".to_owned());
        }
        // Go reads a file of that name, so the case of its letters counts.
        _ => TimeZone::get(name)
            .ok()
            .filter(|zone| zone.iana_name().is_none_or(|found| found == name))
            .ok_or_else(|| format!("unknown time zone {name}"))?,
    };
    Ok(Value::Time(time.in_zone(zone)))
}

/// Seconds for people: `1d 2h 3m 4s`, `1.234s`, `100ms`.
fn humanize_duration(value: &Value) -> Answer {
    #[expect(clippy::cast_precision_loss, reason = "as in Go")]
    let seconds = match value {
        Value::Float(seconds) => *seconds,
        Value::Duration(nanos) => nanos.0 as f64 / 1e9,
        Value::Text(text) => number::parse_float(text).ok_or_else(|| parse_error(text))?,
        _ => match value.plain_int() {
            Some(seconds) => seconds as f64,
            None => return Err(format!("can't convert {} to float", value.type_name())),
        },
    };
    Ok(humanize(seconds).into())
}

fn parse_error(text: &str) -> String {
    let quoted = crate::quote::go(text);
    let lower = text.trim_start_matches(['+', '-']);
    let reason = match lower.parse::<f64>() {
        Ok(number) if number.is_infinite() => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.ParseFloat: parsing {quoted}: {reason}")
}

fn humanize(seconds: f64) -> String {
    const PREFIXES: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
    let short = |value: f64| number::format_float(value, 'g', Some(4));
    if !seconds.is_finite() {
        return short(seconds);
    }
    if seconds == 0.0 {
        return "0s".to_owned();
    }
    if seconds.abs() < 1.0 {
        let mut value = seconds;
        let mut prefix = "";
        for next in PREFIXES {
            if value.abs() >= 1.0 {
                break;
            }
            prefix = next;
            value *= 1000.0;
        }
        return format!("{}{prefix}s", short(value));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let size = seconds.abs();
    if size < 60.0 {
        return format!("{}s", short(seconds));
    }
    #[expect(clippy::cast_possible_truncation, reason = "cut to what a duration could be")]
    let whole = size as i64;
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    match (days, hours) {
        (0, 0) => format!("{sign}{minutes}m {seconds}s"),
        (0, _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{humanize, title};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(title(text), expected);
    }

    #[test]
    fn titles_are_those_of_the_go_library() {
        check(
            "hello wORLD foo-bar o'neil x_y 1st ß élan a.b ǆ",
            "Hello World Foo-Bar O'neil X_y 1St Ss Élan A.b ǅ",
        );
    }

    #[track_caller]
    fn reads(seconds: f64, expected: &str) {
        assert_eq!(humanize(seconds), expected);
    }

    #[test]
    fn durations_for_people() {
        reads(0.0, "0s");
        reads(1.0, "1s");
        reads(1.2345, "1.234s");
        reads(12.345_678, "12.35s");
        reads(60.5, "1m 0s");
        reads(899.99, "14m 59s");
        reads(3600.0, "1h 0m 0s");
        reads(86_400.0, "1d 0h 0m 0s");
        reads(-183_845.0, "-2d 3h 4m 5s");
        reads(0.1, "100ms");
        reads(0.0001, "100us");
        reads(0.123_456, "123.5ms");
        reads(f64::NAN, "NaN");
        reads(f64::NEG_INFINITY, "-Inf");
    }
}
