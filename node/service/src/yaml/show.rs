//! Writing YAML as go-yaml v2 does: what `config.original` and `amtool config show` print.

use std::fmt::{self, Write};

use super::{Resolved, Scalar};

/// A tree to be written. Maps keep their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text, quoted when it would read as something else.
    Text(String),
    /// Items at the column of their key; `[]` when empty.
    List(Vec<Value>),
    /// Items in one line.
    Flow(Vec<Value>),
    /// Entries; `{}` when empty.
    Map(Vec<(String, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(items) if !items.is_empty() => list(f, items, 0)?,
            Self::Map(entries) if !entries.is_empty() => map(f, entries, 0)?,
            _ => {
                inline(f, self, 0)?;
                f.write_str("\n")?;
            }
        }
        Ok(())
    }
}

fn pad(out: &mut impl Write, indent: usize) -> fmt::Result {
    write!(out, "{:indent$}", "")
}

fn map(out: &mut impl Write, entries: &[(String, Value)], indent: usize) -> fmt::Result {
    for (at, (key, value)) in entries.iter().enumerate() {
        // The first key stands behind a dash or at the very start.
        if at > 0 {
            pad(out, indent)?;
        }
        text(out, key, indent, true)?;
        out.write_char(':')?;
        match value {
            Value::Map(entries) if !entries.is_empty() => {
                out.write_char('\n')?;
                pad(out, indent + 2)?;
                map(out, entries, indent + 2)?;
            }
            Value::List(items) if !items.is_empty() => {
                out.write_char('\n')?;
                pad(out, indent)?;
                list(out, items, indent)?;
            }
            _ => {
                out.write_char(' ')?;
                inline(out, value, indent)?;
                out.write_char('\n')?;
            }
        }
    }
    Ok(())
}

fn list(out: &mut impl Write, items: &[Value], indent: usize) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            pad(out, indent)?;
        }
        out.write_str("- ")?;
        match item {
            Value::Map(entries) if !entries.is_empty() => map(out, entries, indent + 2)?,
            Value::List(items) if !items.is_empty() => list(out, items, indent + 2)?,
            _ => {
                inline(out, item, indent)?;
                out.write_char('\n')?;
            }
        }
    }
    Ok(())
}

fn inline(out: &mut impl Write, value: &Value, indent: usize) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Float(value) => float(out, *value),
        Value::Text(value) => text(out, value, indent, false),
        Value::List(items) | Value::Flow(items) => {
            out.write_char('[')?;
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.write_str(", ")?;
                }
                match item {
                    Value::Text(value) => text(out, value, indent, true)?,
                    item => inline(out, item, indent)?,
                }
            }
            out.write_char(']')
        }
        Value::Map(_) => out.write_str("{}"),
    }
}

fn float(out: &mut impl Write, value: f64) -> fmt::Result {
    match value {
        _ if value.is_nan() => out.write_str(".nan"),
        f64::INFINITY => out.write_str(".inf"),
        f64::NEG_INFINITY => out.write_str("-.inf"),
        _ => write!(out, "{value}"),
    }
}

fn text(out: &mut impl Write, value: &str, indent: usize, flow: bool) -> fmt::Result {
    let special = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{feff}';
    if value.contains(special) || value.contains(['\u{85}', '\u{2028}', '\u{2029}']) {
        return double_quoted(out, value);
    }
    if value.contains('\n') {
        let block = !flow && !value.ends_with(' ') && !value.contains(" \n");
        let blank = value.trim_matches(['\n', ' ']).is_empty();
        return if block && !blank {
            literal(out, value, indent)
        } else {
            double_quoted(out, value)
        };
    }
    let reads_as_text =
        matches!(Scalar::new(value.into(), true, None).resolve(), Resolved::Text(_));
    if !reads_as_text || is_base_60(value) || is_timestamp(value) || matches!(value, "<<" | "=") {
        return double_quoted(out, value);
    }
    if plain_is_safe(value, flow) {
        return out.write_str(value);
    }
    write!(out, "'{}'", value.replace('\'', "''"))
}

/// A block of lines, two columns deeper than its key.
fn literal(out: &mut impl Write, value: &str, indent: usize) -> fmt::Result {
    out.write_char('|')?;
    if value.starts_with([' ', '\n']) {
        out.write_char('2')?;
    }
    let body = value.trim_end_matches('\n');
    match value.len() - body.len() {
        0 => out.write_char('-')?,
        1 => {}
        _ => out.write_char('+')?,
    }
    for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
        out.write_char('\n')?;
        if !line.is_empty() {
            pad(out, indent + 2)?;
            out.write_str(line)?;
        }
    }
    Ok(())
}

fn double_quoted(out: &mut impl Write, value: &str) -> fmt::Result {
    out.write_char('"')?;
    for letter in value.chars() {
        match letter {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{feff}' => out.write_str("\\uFEFF")?,
            '\u{2028}' => out.write_str("\\L")?,
            '\u{2029}' => out.write_str("\\P")?,
            '\u{85}' => out.write_str("\\N")?,
            letter if letter.is_control() => write!(out, "\\x{:02X}", u32::from(letter))?,
            letter => out.write_char(letter)?,
        }
    }
    out.write_char('"')
}

/// `12:30` would be a number for older readers.
fn is_base_60(value: &str) -> bool {
    let value = value.strip_prefix(['-', '+']).unwrap_or(value);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let mut parts = value.split(':');
    let first = parts.next().unwrap_or("");
    first.starts_with(|letter: char| letter.is_ascii_digit())
        && digits(first)
        && value.contains(':')
        && parts.all(|part| {
            let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
            digits(fraction)
                && matches!(whole.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9'])
        })
}

/// `2024-01-01…` would be a time for other readers.
fn is_timestamp(value: &str) -> bool {
    let bytes = value.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    digits(0..4) && bytes.get(4) == Some(&b'-') && digits(5..6)
}

/// Whether the text can stand without quotes.
/// Source: libyaml, `yaml_emitter_analyze_scalar`.
fn plain_is_safe(value: &str, flow: bool) -> bool {
    if value.starts_with(' ') || value.ends_with(' ') {
        return false;
    }
    if value.starts_with("---") || value.starts_with("...") {
        return false;
    }
    let letters: Vec<char> = value.chars().collect();
    let blank_after = |at: usize| letters.get(at + 1).is_none_or(|next| *next == ' ');
    letters.iter().enumerate().all(|(at, letter)| match letter {
        '#' => 0 < at && letters.get(at - 1) != Some(&' '),
        '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => 0 < at,
        ',' | '[' | ']' | '{' | '}' => 0 < at && !flow,
        '?' if at == 0 => !flow && !blank_after(at),
        '?' => !flow,
        ':' => !flow && !blank_after(at),
        '-' if at == 0 => !blank_after(at),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml::{Kind, Node, parse};

    fn show(key: &str, value: Value) -> String {
        Value::Map(vec![(key.to_owned(), value)]).to_string()
    }

    #[track_caller]
    fn check(value: &str, expected: &str) {
        assert_eq!(show("k", value.into()), format!("k: {expected}\n"));
    }

    #[test]
    fn texts_are_quoted_only_when_they_must() {
        check("plain", "plain");
        check("a=\"b,c\"", "a=\"b,c\"");
        check("{{ .X }}", "'{{ .X }}'");
        check("it's", "it's");
        check("'x", "'''x'");
        check("", "\"\"");
        check("yes", "\"yes\"");
        check("12", "\"12\"");
        check("09:00", "\"09:00\"");
        check("1:5", "\"1:5\"");
        check("24:00", "\"24:00\"");
        check("null", "\"null\"");
        check("a: b", "'a: b'");
        check("a #b", "'a #b'");
        check("a\tb", "\"a\\tb\"");
        check("two\nlines", "|-\n  two\n  lines");
        check("two\nlines\n", "|\n  two\n  lines");
        check("  in\nout\n\n", "|2+\n    in\n  out\n");
        check("<secret>", "<secret>");
        check("...", "'...'");
        check("-x", "-x");
        check("- x", "'- x'");
    }

    #[test]
    fn collections_are_laid_out_as_upstream_does() {
        let days = Value::Flow(vec!["monday:friday".into(), "sunday".into()]);
        let first = Value::Map(vec![
            ("continue".into(), true.into()),
            ("empty".into(), Value::List(vec![])),
        ]);
        let second = Value::Map(vec![("none".into(), Value::Map(vec![]))]);
        let route = Value::Map(vec![
            ("receiver".into(), "a".into()),
            ("routes".into(), Value::List(vec![first, second])),
            ("days".into(), days),
        ]);
        let expected = "route:\n  receiver: a\n  routes:\n  - continue: true\n    empty: []\n  - none: {}\n  \
                        days: ['monday:friday', sunday]\n";
        assert_eq!(show("route", route), expected);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_again(key in "[a-z]{1,5}", text in any::<String>()) {
            let shown = show(&key, Value::List(vec![text.as_str().into()]));
            let document = parse(&shown, "")
                .map_err(|mistakes| TestCaseError::fail(format!("{shown}: {mistakes}")))?;
            let Some(Kind::Map(entries)) = document.root().map(Node::kind) else { panic!("{shown}") };
            let Kind::List(items) = entries[0].value.kind() else { panic!("{shown}") };
            let Kind::Scalar(scalar) = items[0].kind() else { panic!("{shown}") };
            prop_assert_eq!(scalar.text(), text.as_str(), "{}", shown);
        }
    }
}
