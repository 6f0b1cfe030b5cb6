//! The functions that Alertmanager adds to Go's: text, lists, JSON, times. They know nothing of alerts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::call::{Function, Functions, Type, safe};
use crate::printf;
use crate::time::{Duration, Time, parse_time};
use crate::value::{Kind, SafeKind, Value};

/// The set for one rendering: `now` and the server's zone are what `now` and `since` answer by.
#[must_use]
pub fn standard(now: Timestamp, local: &TimeZone) -> Functions {
    let mut functions = Functions::new();
    texts(&mut functions);
    lists(&mut functions);
    times(&mut functions, now, local);
    functions
}

fn text(value: &Value) -> &str {
    value.as_text().unwrap_or("")
}

fn texts(functions: &mut Functions) {
    use Type::{Text, Texts};
    let mut add = |name, function| {
        functions.insert(name, function);
    };
    add(
        "toUpper",
        Function::new(
            &[Text],
            |a| Ok(per_char(text(&a[0]), |c| c.to_uppercase().collect()).into()),
        ),
    );
    add(
        "toLower",
        Function::new(
            &[Text],
            |a| Ok(per_char(text(&a[0]), |c| c.to_lowercase().collect()).into()),
        ),
    );
    add("title", Function::new(&[Text], |a| Ok(title(text(&a[0])).into())));
    add("trimSpace", Function::new(&[Text], |a| Ok(text(&a[0]).trim().into())));
    add("join", Function::new(&[Text, Texts], |a| Ok(strings(&a[1]).join(text(&a[0])).into())));
    add(
        "match",
        Function::new(&[Text, Text], |a| {
            Ok(Value::Bool(regex(text(&a[0]))?.is_match(text(&a[1]))))
        }),
    );
    add(
        "reReplaceAll",
        Function::new(&[Text, Text, Text], |a| {
            let pattern = regex(text(&a[0]))
                .map_err(|e| format!("regexp: Compile(`{}`): {e}", text(&a[0])))?;
            Ok(pattern.replace_all(text(&a[2]), text(&a[1])).into_owned().into())
        }),
    );
    add("safeHtml", Function::new(&[Text], |a| Ok(safe(SafeKind::Html, &a[0]))));
    add("safeUrl", Function::new(&[Text], |a| Ok(safe(SafeKind::Url, &a[0]))));
    add("urlUnescape", Function::new(&[Text], |a| url_unescape(text(&a[0])).map(Value::from)));
    add("base64encode", Function::new(&[Text], |a| Ok(URL_SAFE.encode(text(&a[0])).into())));
    add("base64decode", Function::new(&[Text], |a| base64_decode(text(&a[0])).map(Value::from)));
    add(
        "toJson",
        Function::new(&[Type::Any], |a| {
            let mut out = String::new();
            write_json(&mut out, &a[0]);
            Ok(out.into())
        }),
    );
}

fn lists(functions: &mut Functions) {
    use Type::{Any, List, Text};
    let mut add = |name, function| {
        functions.insert(name, function);
    };
    add(
        "stringSlice",
        Function::variadic(&[], Text, |a| {
            Ok(Value::Texts(Arc::new(a.iter().map(|value| text(value).into()).collect())))
        }),
    );
    add("list", Function::variadic(&[], Any, |a| Ok(Value::List(Arc::new(a.to_vec())))));
    add(
        "append",
        Function::variadic(&[List], Any, |a| {
            let Value::List(list) = &a[0] else { return Err("append needs a list".to_owned()) };
            Ok(Value::List(Arc::new(list.iter().chain(&a[1..]).cloned().collect())))
        }),
    );
    add(
        "dict",
        Function::variadic(&[], Any, |a| {
            if a.len() % 2 == 1 {
                return Err("dict requires an even number of arguments".to_owned());
            }
            let mut map = BTreeMap::new();
            for pair in a.chunks(2) {
                let Value::Text(key) = &pair[0] else {
                    return Err("dict keys must be strings".to_owned());
                };
                map.insert(Arc::clone(key), pair[1].clone());
            }
            Ok(Value::Map(Arc::new(map)))
        }),
    );
}

fn times(functions: &mut Functions, now: Timestamp, local: &TimeZone) {
    use Type::{Any, Text, Time as Moment};
    let mut add = |name, function| {
        functions.insert(name, function);
    };
    let moment = |value: &Value| match value {
        Value::Time(time) => time.clone(),
        _ => Time::zero(),
    };
    add(
        "date",
        Function::new(&[Text, Moment], move |a| Ok(moment(&a[1]).format(text(&a[0])).into())),
    );
    let zone = local.clone();
    add(
        "tz",
        Function::new(&[Text, Moment], move |a| {
            let zone = match text(&a[0]) {
                "" | "UTC" => TimeZone::UTC,
                "Local" => zone.clone(),
                name => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}"))?,
            };
            Ok(Value::Time(moment(&a[1]).in_zone(zone)))
        }),
    );
    let clock = Time::new(now, local.clone());
    add(
        "now",
        Function::new(&[], {
            let clock = clock.clone();
            move |_| Ok(Value::Time(clock.clone()))
        }),
    );
    add(
        "since",
        Function::new(&[Moment], move |a| Ok(Value::Duration(clock.since(&moment(&a[0]))))),
    );
    add(
        "toDate",
        Function::new(&[Text, Text], |a| {
            Ok(Value::Time(parse_time(text(&a[0]), text(&a[1])).unwrap_or_else(|_| Time::zero())))
        }),
    );
    add(
        "mustToDate",
        Function::new(&[Text, Text], |a| parse_time(text(&a[0]), text(&a[1])).map(Value::Time)),
    );
    add("humanizeDuration", Function::new(&[Any], |a| humanize_duration(&a[0]).map(Value::from)));
}

/// One character to one character, as Go's mapping does it.
fn per_char(text: &str, map: fn(char) -> Vec<char>) -> String {
    text.chars()
        .map(|c| match map(c).as_slice() {
            [one] => *one,
            _ => c,
        })
        .collect()
}

/// Words begin with a capital and go on small; they break where neither letter, digit nor joiner stands.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    let chars: Vec<char> = text.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        let joins = matches!(c, '\'' | '.' | '\u{2019}' | ':')
            && inside
            && chars.get(i + 1).is_some_and(|next| next.is_alphanumeric());
        if c.is_alphabetic() && !inside {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            out.extend(upper.flat_map(char::to_lowercase));
            inside = true;
        } else {
            out.extend(c.to_lowercase());
            inside &= c.is_alphanumeric() || joins || *c == '_';
        }
    }
    out
}

fn strings(value: &Value) -> Vec<Arc<str>> {
    match value {
        Value::Texts(list) => list.to_vec(),
        Value::Object(object) => object.texts().unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// A pattern that is too large or wrong, told in Go's words.
fn regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|error| {
        let reason = match error {
            regex::Error::Syntax(text) => {
                let last =
                    text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
                if last.contains("unclosed group") { "missing closing )".to_owned() } else { last }
            }
            _ => "expression too large".to_owned(),
        };
        format!("error parsing regexp: {reason}: `{pattern}`")
    })
}

fn url_unescape(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'%' => {
                let pair = bytes.get(i + 1..i + 3).and_then(|pair| std::str::from_utf8(pair).ok());
                let Some(byte) = pair.and_then(|pair| {
                    pair.bytes()
                        .all(|b| b.is_ascii_hexdigit())
                        .then(|| u8::from_str_radix(pair, 16).ok())?
                }) else {
                    let bad = String::from_utf8_lossy(&bytes[i..bytes.len().min(i + 3)]);
                    return Err(format!("invalid URL escape {}", printf::quoted(&bad)));
                };
                out.push(byte);
                i += 3;
            }
            b'+' => {
                out.push(b' ');
                i += 1;
            }
            byte => {
                out.push(byte);
                i += 1;
            }
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn base64_decode(text: &str) -> Result<String, String> {
    let plain: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match URL_SAFE.decode(&plain) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol { 0: at, .. } => at,
                _ => plain.len(),
            };
            Err(format!("illegal base64 data at input byte {at}"))
        }
    }
}

/// Go's `encoding/json`.
fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Nil | Value::Location(_) => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(_) | Value::Month(_) | Value::Weekday(_) | Value::Duration(_) => {
            let _infallible = write!(out, "{}", value.as_int().unwrap_or(0));
        }
        Value::Float(f) => out.push_str(&json_float(*f)),
        Value::Text(text) | Value::Safe(_, text) => write_json_text(out, text),
        Value::Time(time) => {
            write_json_text(out, &time.format("2006-01-02T15:04:05.999999999Z07:00"));
        }
        Value::Map(_) => write_json_map(out, value),
        Value::Object(object) if object.kind() == Kind::Map => write_json_map(out, value),
        Value::Object(object) if object.kind() == Kind::Struct => {
            out.push('{');
            for (i, (_, name, field)) in object.fields().iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write_json_text(out, name);
                out.push(':');
                write_json(out, field);
            }
            out.push('}');
        }
        Value::Texts(_) | Value::List(_) | Value::Object(_) => {
            out.push('[');
            for (i, (_, element)) in value.entries().unwrap_or_default().iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write_json(out, element);
            }
            out.push(']');
        }
    }
}

fn write_json_map(out: &mut String, value: &Value) {
    out.push('{');
    for (i, (key, element)) in value.entries().unwrap_or_default().iter().enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        write_json_text(out, text(key));
        out.push(':');
        write_json(out, element);
    }
    out.push('}');
}

fn write_json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        let _infallible = match c {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\u{8}' => out.write_str("\\b"),
            '\u{c}' => out.write_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(out, "\\u{:04x}", u32::from(c)),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)),
            c => out.write_char(c),
        };
    }
    out.push('"');
}

fn json_float(value: f64) -> String {
    if !value.is_finite() {
        return "null".to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        // Go drops the zero of a two-digit negative exponent.
        return printf::float(value, 'e', None).replace("e-0", "e-");
    }
    format!("{value}")
}

fn humanize_duration(value: &Value) -> Result<String, String> {
    let seconds = match value {
        Value::Duration(Duration(n)) => nanos_to_seconds(*n),
        Value::Float(f) => *f,
        Value::Int(n) => int_to_float(*n),
        Value::Text(text) | Value::Safe(_, text) => text.parse::<f64>().map_err(|_| {
            format!("strconv.ParseFloat: parsing {}: invalid syntax", printf::quoted(text))
        })?,
        value => return Err(format!("can't convert {} to float", value.type_name())),
    };
    Ok(humanized(seconds))
}

#[expect(clippy::cast_precision_loss, reason = "people read it")]
fn nanos_to_seconds(n: i64) -> f64 {
    n as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "people read it")]
fn int_to_float(n: i64) -> f64 {
    n as f64
}

fn humanized(mut v: f64) -> String {
    let short = |v: f64| printf::float(v, 'g', Some(4));
    if !v.is_finite() {
        return short(v);
    }
    if v == 0.0 {
        return "0s".to_owned();
    }
    if v.abs() >= 1.0 {
        let sign = if v < 0.0 { "-" } else { "" };
        v = v.abs();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole seconds are wanted; the cast saturates"
        )]
        let whole = v as i64;
        let (days, hours, minutes, seconds) =
            (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
        return if days > 0 {
            format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
        } else if hours > 0 {
            format!("{sign}{hours}h {minutes}m {seconds}s")
        } else if minutes > 0 {
            format!("{sign}{minutes}m {seconds}s")
        } else {
            format!("{sign}{}s", short(v))
        };
    }
    let mut prefix = "";
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if v.abs() >= 1.0 {
            break;
        }
        prefix = next;
        v *= 1000.0;
    }
    format!("{}{prefix}s", short(v))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, arguments: &[Value], expected: &str) {
        let functions = standard(Timestamp::UNIX_EPOCH, &TimeZone::UTC);
        let result = functions[name].call(arguments);
        let text = result.map_or_else(|e| format!("{e:?}"), |value| printf::display(&value));
        assert_eq!(text, expected, "{name}");
    }

    #[test]
    fn texts_change_as_upstream_changes_them() {
        check("toUpper", &["straße".into()], "STRAßE");
        check(
            "title",
            &["hello wORLD foo-bar o'neil x_y 1st".into()],
            "Hello World Foo-Bar O'neil X_y 1St",
        );
        check("base64encode", &["flush>>".into()], "Zmx1c2g-Pg==");
        check("base64decode", &["Zmx1c2g-Pg==".into()], "flush>>");
        check("urlUnescape", &["a+b%20c".into()], "a b c");
        check("urlUnescape", &["%zz".into()], r#"Failed("invalid URL escape \"%zz\"")"#);
        check(
            "reReplaceAll",
            &["(\\w+):(\\d+)".into(), "$2-${1}x $1x".into(), "host:9100".into()],
            "9100-hostx ",
        );
    }

    #[test]
    fn durations_are_told_for_people() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (86_400.0, "1d 0h 0m 0s"),
            (3600.0, "1h 0m 0s"),
            (60.5, "1m 0s"),
            (899.99, "14m 59s"),
            (1.2341, "1.234s"),
            (12.345, "12.35s"),
            (-183_845.0, "-2d 3h 4m 5s"),
            (0.1, "100ms"),
            (0.0001, "100us"),
        ] {
            check("humanizeDuration", &[Value::Float(seconds)], expected);
        }
        check(
            "humanizeDuration",
            &["one".into()],
            r#"Failed("strconv.ParseFloat: parsing \"one\": invalid syntax")"#,
        );
    }

    #[test]
    fn json_is_gos() {
        let functions = standard(Timestamp::UNIX_EPOCH, &TimeZone::UTC);
        let dict =
            functions["dict"].call(&["b".into(), Value::Int(1), "a".into(), "<x>".into()]).unwrap();
        check("toJson", std::slice::from_ref(&dict), "{\"a\":\"\\u003cx\\u003e\",\"b\":1}");
        assert_eq!(printf::display(&dict), "map[a:<x> b:1]");
        check("toJson", &[Value::Float(1e21)], "1e+21");
        check("dict", &["a".into()], r#"Failed("dict requires an even number of arguments")"#);
    }
}
