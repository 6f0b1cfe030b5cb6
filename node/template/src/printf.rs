//! Go's `fmt`: how values print, with verbs and without.

use std::fmt::Write as _;

use crate::value::{Kind, Value};

/// Widths and precisions beyond this are an error, so that a template cannot ask for gigabytes.
pub(crate) const WIDTH_MAX: usize = 10_000;

/// A width or precision that is too large.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooWide;

/// Go's `strconv.Quote`.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_quoted(&mut out, c, '"');
    }
    out.push('"');
    out
}

fn push_quoted(out: &mut String, c: char, quote: char) {
    let _infallible = match c {
        c if c == quote || c == '\\' => write!(out, "\\{c}"),
        '\u{7}' => out.write_str("\\a"),
        '\u{8}' => out.write_str("\\b"),
        '\u{c}' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\u{b}' => out.write_str("\\v"),
        c if is_print(c) => out.write_char(c),
        c if u32::from(c) < 0x20 || c == '\u{7f}' => write!(out, "\\x{:02x}", u32::from(c)),
        c if u32::from(c) < 0x1_0000 => write!(out, "\\u{:04x}", u32::from(c)),
        c => write!(out, "\\U{:08x}", u32::from(c)),
    };
}

/// Go's `unicode.IsPrint`, as near as the standard library's own escaping knows it.
fn is_print(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\u{9f}' | '\u{ad}' => false,
        c if c.is_whitespace() => false,
        c => c.escape_debug().count() == 1 || is_combining(c),
    }
}

/// Grapheme extenders are escaped by Rust and printed by Go.
fn is_combining(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x610..=0x61a | 0x64b..=0x65f
        | 0x900..=0x903 | 0x93a..=0x94f | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20f0 | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f)
}

/// What `{{value}}` writes.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        value => plain(value),
    }
}

/// Go's `Sprint`: a blank between two operands when neither is a string.
pub(crate) fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_) | Value::Safe(..));
        if i > 0 && !is_text(value) && !is_text(&values[i - 1]) {
            out.push(' ');
        }
        out.push_str(&plain(value));
    }
    out
}

/// Go's `Sprintln`.
pub(crate) fn sprintln(values: &[Value]) -> String {
    let texts: Vec<String> = values.iter().map(plain).collect();
    texts.join(" ") + "\n"
}

/// `%v`.
pub(crate) fn plain(value: &Value) -> String {
    let mut out = String::new();
    write_plain(&mut out, value, Style::Plain);
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// `%v`
    Plain,
    /// `%+v`
    Named,
    /// `%#v`
    Go,
}

fn write_plain(out: &mut String, value: &Value, style: Style) {
    if style != Style::Go
        && let Some(text) = value.stringer()
    {
        out.push_str(&text);
        return;
    }
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(n) | Value::Month(n) | Value::Weekday(n) => out.push_str(&n.to_string()),
        Value::Duration(time) => out.push_str(&time.0.to_string()),
        Value::Float(f) => out.push_str(&float(*f, 'g', None)),
        Value::Text(text) | Value::Safe(_, text) if style == Style::Go => {
            out.push_str(&quoted(text));
        }
        Value::Text(text) | Value::Safe(_, text) => out.push_str(text),
        Value::Time(time) => out.push_str(&time.to_string()),
        Value::Location(zone) => out.push_str(&crate::time::zone_name(zone)),
        Value::Map(_) => write_map(out, value, style),
        Value::Object(object) if object.kind() == Kind::Map => write_map(out, value, style),
        Value::Object(object) if object.kind() == Kind::Struct => {
            let name = object.type_name().trim_start_matches('*').to_owned();
            out.push_str(if style == Style::Go { &name } else { "" });
            out.push('{');
            for (i, (name, _, field)) in object.fields().into_iter().enumerate() {
                out.push_str(match (i, style) {
                    (0, _) => "",
                    (_, Style::Go) => ", ",
                    _ => " ",
                });
                if style != Style::Plain {
                    out.push_str(name);
                    out.push(':');
                }
                write_plain(out, &field, style);
            }
            out.push('}');
        }
        Value::Texts(_) | Value::List(_) | Value::Object(_) => {
            let (open, between, close) =
                if style == Style::Go { ("{", ", ", "}") } else { ("[", " ", "]") };
            out.push_str(&if style == Style::Go { value.type_name() } else { String::new() });
            out.push_str(open);
            for (i, (_, element)) in value.entries().unwrap_or_default().iter().enumerate() {
                out.push_str(if i == 0 { "" } else { between });
                write_plain(out, element, style);
            }
            out.push_str(close);
        }
    }
}

fn write_map(out: &mut String, value: &Value, style: Style) {
    let (open, between, close) =
        if style == Style::Go { ("{", ", ", "}") } else { ("[", " ", "]") };
    out.push_str(&if style == Style::Go { value.type_name() } else { "map".to_owned() });
    out.push_str(open);
    for (i, (key, element)) in value.entries().unwrap_or_default().iter().enumerate() {
        out.push_str(if i == 0 { "" } else { between });
        write_plain(out, key, style);
        out.push(':');
        write_plain(out, element, style);
    }
    out.push_str(close);
}

/// Go's `strconv.FormatFloat` for `e`, `f`, `g` (and `E`, `G`); without a precision the shortest that reads back.
pub(crate) fn float(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = match verb.to_ascii_lowercase() {
        'e' => exponent_form(value, precision),
        'f' => match precision {
            Some(precision) => format!("{value:.precision$}"),
            None => format!("{value}"),
        },
        _ => general_form(value, precision),
    };
    if verb.is_ascii_uppercase() { text.to_ascii_uppercase() } else { text }
}

/// Digits `d.ddd` and the exponent, which has two digits at least.
fn exponent_form(value: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{value:.precision$e}"),
        None => format!("{value:e}"),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

fn general_form(value: f64, precision: Option<usize>) -> String {
    let precision = precision.map(|p| p.max(1));
    let text = match precision {
        Some(precision) => format!("{value:.*e}", precision - 1),
        None => format!("{value:e}"),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    };
    let count =
        i64::try_from(digits.bytes().filter(u8::is_ascii_digit).count()).unwrap_or(i64::MAX);
    let mut limit = precision.and_then(|p| i64::try_from(p).ok()).unwrap_or(6);
    if precision.is_some() && limit > count && count > exponent {
        limit = count;
    }
    if precision.is_none() {
        limit = 6.max(if count > exponent { 0 } else { limit });
        limit = limit.max(6);
    }
    if exponent < -4 || exponent >= limit {
        let (sign, size) = if exponent < 0 { ('-', -exponent) } else { ('+', exponent) };
        return format!("{digits}e{sign}{size:02}");
    }
    let decimals = usize::try_from((count - 1 - exponent).max(0)).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// One directive's flags.
#[derive(Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Go's `Sprintf`.
/// # Errors
/// [`TooWide`] when a width or precision is above [`WIDTH_MAX`].
pub(crate) fn sprintf(format: &str, values: &[Value]) -> Result<String, TooWide> {
    Printer {
        chars: format.chars().peekable(),
        values,
        next: 0,
        reordered: false,
        out: String::new(),
    }
    .run()
}

struct Printer<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    values: &'a [Value],
    next: usize,
    reordered: bool,
    out: String,
}

impl Printer<'_> {
    fn run(mut self) -> Result<String, TooWide> {
        while let Some(c) = self.chars.next() {
            if c == '%' {
                self.directive()?;
            } else {
                self.out.push(c);
            }
        }
        if !self.reordered && self.next < self.values.len() {
            self.out.push_str("%!(EXTRA ");
            for (i, value) in self.values[self.next..].iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                let _infallible = match value {
                    Value::Nil => write!(self.out, "{comma}<nil>"),
                    value => write!(self.out, "{comma}{}={}", value.type_name(), plain(value)),
                };
            }
            self.out.push(')');
        }
        Ok(self.out)
    }

    fn directive(&mut self) -> Result<(), TooWide> {
        let mut flags = Flags::default();
        while let Some(c) = self.chars.peek() {
            match c {
                '+' => flags.plus = true,
                '-' => {
                    flags.minus = true;
                    flags.zero = false;
                }
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = !flags.minus,
                _ => break,
            }
            self.chars.next();
        }
        let mut good = true;
        let mut indexed = self.index(&mut good);
        if self.take('*') {
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.zero &= width >= 0;
                    flags.width = Some(bounded(width.unsigned_abs())?);
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            indexed = false;
        } else if let Some(width) = self.number()? {
            flags.width = Some(width);
            good &= !indexed;
        }
        if self.take('.') {
            good &= !indexed;
            indexed = self.index(&mut good);
            if self.take('*') {
                match self.star() {
                    Some(precision) => {
                        flags.precision = u64::try_from(precision).ok().map(bounded).transpose()?;
                    }
                    None => self.out.push_str("%!(BADPREC)"),
                }
                indexed = false;
            } else {
                flags.precision = Some(self.number()?.unwrap_or(0));
            }
        }
        if !indexed {
            self.index(&mut good);
        }
        let Some(verb) = self.chars.next() else {
            self.out.push_str("%!(NOVERB)");
            return Ok(());
        };
        if verb == '%' {
            self.out.push('%');
        } else if !good {
            let _infallible = write!(self.out, "%!{verb}(BADINDEX)");
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            let text = formatted(value, verb, flags);
            self.out.push_str(&text);
        } else {
            let _infallible = write!(self.out, "%!{verb}(MISSING)");
        }
        Ok(())
    }

    fn take(&mut self, c: char) -> bool {
        self.chars.next_if_eq(&c).is_some()
    }

    fn number(&mut self) -> Result<Option<usize>, TooWide> {
        let mut number = None;
        while let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(10)) {
            self.chars.next();
            let value = number.unwrap_or(0_u64).saturating_mul(10).saturating_add(u64::from(digit));
            number = Some(value);
        }
        number.map(bounded).transpose()
    }

    /// `[n]`: the argument to go on with.
    fn index(&mut self, good: &mut bool) -> bool {
        if !self.take('[') {
            return false;
        }
        self.reordered = true;
        let mut inside = String::new();
        loop {
            match self.chars.next() {
                Some(']') => break,
                Some(c) => inside.push(c),
                None => {
                    *good = false;
                    return false;
                }
            }
        }
        match inside.parse::<usize>() {
            Ok(index) if index >= 1 && index <= self.values.len() => self.next = index - 1,
            _ => *good = false,
        }
        true
    }

    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(n) => Some(*n),
            _ => None,
        }
    }
}

fn bounded(number: u64) -> Result<usize, TooWide> {
    usize::try_from(number).ok().filter(|n| *n <= WIDTH_MAX).ok_or(TooWide)
}

fn formatted(value: &Value, verb: char, flags: Flags) -> String {
    match verb {
        'T' => return pad(value.type_name(), flags),
        'p' => return bad_verb(value, verb),
        'v' if matches!(value, Value::Nil) => return pad("<nil>".to_owned(), flags),
        _ => {}
    }
    if matches!(value, Value::Nil) {
        return format!("%!{verb}(<nil>)");
    }
    if matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
        && !(verb == 'v' && flags.sharp)
        && let Some(text) = value.stringer()
    {
        return text_verb(&text, verb, flags).unwrap_or_else(|| bad_verb(value, verb));
    }
    let done = match value {
        Value::Bool(b) => matches!(verb, 'v' | 't').then(|| pad(b.to_string(), flags)),
        Value::Int(n) | Value::Month(n) | Value::Weekday(n) => int_verb(*n, verb, flags),
        Value::Duration(time) => int_verb(time.0, verb, flags),
        Value::Float(f) => float_verb(*f, verb, flags),
        Value::Text(text) | Value::Safe(_, text) => text_verb(text, verb, flags),
        _ if verb == 'v' => {
            let style = match flags {
                Flags { sharp: true, .. } => Style::Go,
                Flags { plus: true, .. } => Style::Named,
                _ => Style::Plain,
            };
            let mut text = String::new();
            write_plain(&mut text, value, style);
            Some(text)
        }
        _ => Some(composite(value, verb, flags)),
    };
    done.unwrap_or_else(|| bad_verb(value, verb))
}

/// Lists, maps and structs apply the verb to each element.
fn composite(value: &Value, verb: char, flags: Flags) -> String {
    let (open, close) = match value {
        Value::Map(_) => ("map[", "]"),
        Value::Object(object) if object.kind() == Kind::Map => ("map[", "]"),
        Value::Object(object) if object.kind() == Kind::Struct => ("{", "}"),
        _ => ("[", "]"),
    };
    let parts: Vec<String> = match value {
        Value::Object(object) if object.kind() == Kind::Struct => {
            object.fields().iter().map(|(_, _, field)| formatted(field, verb, flags)).collect()
        }
        _ => value
            .entries()
            .unwrap_or_default()
            .iter()
            .map(|(key, element)| match open {
                "[" => formatted(element, verb, flags),
                _ => format!("{}:{}", formatted(key, verb, flags), formatted(element, verb, flags)),
            })
            .collect(),
    };
    format!("{open}{}{close}", parts.join(" "))
}

fn bad_verb(value: &Value, verb: char) -> String {
    format!("%!{verb}({}={})", value.type_name(), plain(value))
}

fn text_verb(text: &str, verb: char, flags: Flags) -> Option<String> {
    let cut = |text: &str| match flags.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    };
    Some(match verb {
        'v' if flags.sharp => pad(quoted(text), flags),
        'v' | 's' => pad(cut(text), flags),
        'q' => {
            let text = cut(text);
            let raw =
                flags.sharp && !text.contains(|c: char| c == '`' || (c.is_control() && c != '\t'));
            pad(if raw { format!("`{text}`") } else { quoted(&text) }, flags)
        }
        'x' | 'X' => {
            let bytes = &text.as_bytes()[..flags.precision.unwrap_or(text.len()).min(text.len())];
            let prefix = if flags.sharp { if verb == 'x' { "0x" } else { "0X" } } else { "" };
            let between = if flags.space { " " } else { "" };
            let mut parts = Vec::new();
            for (i, byte) in bytes.iter().enumerate() {
                let prefix = if i == 0 || flags.space { prefix } else { "" };
                parts.push(if verb == 'x' {
                    format!("{prefix}{byte:02x}")
                } else {
                    format!("{prefix}{byte:02X}")
                });
            }
            pad(parts.join(between), flags)
        }
        _ => return None,
    })
}

fn int_verb(n: i64, verb: char, flags: Flags) -> Option<String> {
    let size = n.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), if flags.sharp { "0b" } else { "" }),
        'o' => (format!("{size:o}"), if flags.sharp && size != 0 { "0" } else { "" }),
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), if flags.sharp { "0x" } else { "" }),
        'X' => (format!("{size:X}"), if flags.sharp { "0X" } else { "" }),
        'c' => return Some(pad(character(n).to_string(), flags)),
        'q' => {
            let mut text = "'".to_owned();
            push_quoted(&mut text, character(n), '\'');
            text.push('\'');
            return Some(pad(text, flags));
        }
        'U' => {
            let shown = if flags.sharp { format!(" '{}'", character(n)) } else { String::new() };
            let width = flags.precision.unwrap_or(4).max(4);
            return Some(pad(format!("U+{size:0width$X}{shown}"), Flags { zero: false, ..flags }));
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 't' | 's' => return None,
        _ => return None,
    };
    let sign = match (n < 0, flags.plus, flags.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        _ => "",
    };
    let mut digits = digits;
    if let Some(precision) = flags.precision {
        if precision == 0 && n == 0 {
            return Some(" ".repeat(flags.width.unwrap_or(0)));
        }
        digits = format!("{digits:0>precision$}");
    } else if flags.zero
        && let Some(width) = flags.width
    {
        let room = width.saturating_sub(sign.len() + prefix.len());
        digits = format!("{digits:0>room$}");
    }
    Some(pad(format!("{sign}{prefix}{digits}"), Flags { zero: false, ..flags }))
}

fn character(n: i64) -> char {
    u32::try_from(n).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn float_verb(value: f64, verb: char, flags: Flags) -> Option<String> {
    let (form, precision) = match verb {
        'v' => ('g', flags.precision),
        'e' | 'E' => (verb, Some(flags.precision.unwrap_or(6))),
        'f' | 'F' => ('f', Some(flags.precision.unwrap_or(6))),
        'g' | 'G' => (verb, flags.precision),
        _ => return None,
    };
    let mut text = float(value, form, precision);
    let finite = value.is_finite();
    let negative = text.starts_with('-');
    let plus_infinity = text.starts_with('+') && !flags.plus;
    if plus_infinity {
        text.remove(0);
        text.insert_str(0, if flags.space { " " } else { "+" });
    } else if !negative && !text.starts_with('+') {
        text.insert_str(
            0,
            if flags.plus {
                "+"
            } else if flags.space {
                " "
            } else {
                ""
            },
        );
    }
    if flags.zero
        && finite
        && let Some(width) = flags.width
    {
        let (sign, digits) = match text.strip_prefix(['-', '+', ' ']) {
            Some(digits) => (text[..1].to_owned(), digits.to_owned()),
            None => (String::new(), text.clone()),
        };
        let room = width.saturating_sub(sign.len());
        text = format!("{sign}{digits:0>room$}");
    }
    Some(pad(text, Flags { zero: false, ..flags }))
}

fn pad(text: String, flags: Flags) -> String {
    let Some(width) = flags.width else { return text };
    let missing = width.saturating_sub(text.chars().count());
    if missing == 0 {
        text
    } else if flags.minus {
        text + &" ".repeat(missing)
    } else {
        (if flags.zero { "0" } else { " " }).repeat(missing) + &text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<Value> {
        values.iter().map(|text| Value::from(*text)).collect()
    }

    #[track_caller]
    fn check(format: &str, values: &[Value], expected: &str) {
        assert_eq!(sprintf(format, values).unwrap(), expected);
    }

    #[test]
    fn verbs_flags_and_widths_are_gos() {
        check(
            "%5.2f|%-5s|%5s|%05d|%+d",
            &[Value::Float(2.725), "ab".into(), "cd".into(), Value::Int(42), Value::Int(7)],
            " 2.73|ab   |   cd|00042|+7",
        );
        let ints = [
            Value::Int(255),
            Value::Int(65),
            Value::Int(65),
            Value::Int(8),
            Value::Int(5),
            Value::Int(255),
        ];
        check("%X %c %U %o %b %#x", &ints, "FF A U+0041 10 101 0xff");
        check("%q %x", &texts(&["b\n", "hi"]), "\"b\\n\" 6869");
        check(
            "%e %g %v %v",
            &[Value::Float(1234.5), Value::Float(1e21), Value::Float(1e6), Value::Float(0.000_001)],
            "1.234500e+03 1e+21 1e+06 1e-06",
        );
        check("%q %t", &[Value::Int(65), "x".into()], "'A' %!t(string=x)");
        check("%[2]s %[1]s", &texts(&["a", "b"]), "b a");
    }

    #[test]
    fn mistakes_are_marked_in_the_text() {
        check("%d", &texts(&["x"]), "%!d(string=x)");
        check("%s", &[Value::Int(5)], "%!s(int=5)");
        check("%s", &[], "%!s(MISSING)");
        check("a", &texts(&["b"]), "a%!(EXTRA string=b)");
        check("%z", &[Value::Int(1)], "%!z(int=1)");
        check("%", &[], "%!(NOVERB)");
        check("%[5]d", &[Value::Int(1)], "%!d(BADINDEX)");
    }

    #[test]
    fn floats_print_shortest_with_gos_limits() {
        for (value, text) in [
            (1.0, "1"),
            (1000.0, "1000"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (123_456.0, "123456"),
            (123_456_789.0, "1.23456789e+08"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5, "1.5"),
        ] {
            assert_eq!(plain(&Value::Float(value)), text);
        }
        assert_eq!(float(1.23456, 'g', Some(4)), "1.235");
        assert_eq!(float(100_000.0, 'g', Some(4)), "1e+05");
        assert_eq!(float(1000.0, 'g', Some(4)), "1000");
    }

    #[test]
    fn print_puts_blanks_between_numbers_only() {
        let values =
            [Value::Int(1), Value::Int(2), "a".into(), "b".into(), Value::Int(3), Value::Int(4)];
        assert_eq!(sprint(&values), "1 2ab3 4");
        assert_eq!(sprintln(&values[1..3]), "2 a\n");
    }

    #[test]
    fn too_wide_is_an_error() {
        assert_eq!(sprintf("%99999d", &[Value::Int(1)]), Err(TooWide));
        assert_eq!(sprintf("%*d", &[Value::Int(-20_000), Value::Int(1)]), Err(TooWide));
    }
}
