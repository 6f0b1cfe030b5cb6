//! Go's quoting of text, byte for byte: group keys, matcher texts and log keys depend on it.

mod printable;

use std::fmt::{self, Write};

/// Writes `text` as Go's `strconv.Quote` does: quotes around it, `\"` and `\\`, `\n` and its like, `\x`, `\u` and `\U` with
/// lower-case digits for what Go does not count as printable.
/// # Errors
/// Those of `out`.
pub fn write_quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for rune in text.chars() {
        match rune {
            '"' | '\\' => {
                out.write_char('\\')?;
                out.write_char(rune)?;
            }
            rune if is_printable(rune) => out.write_char(rune)?,
            '\x07' => out.write_str("\\a")?,
            '\x08' => out.write_str("\\b")?,
            '\x0c' => out.write_str("\\f")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\x0b' => out.write_str("\\v")?,
            rune if rune < ' ' || rune == '\x7f' => write!(out, "\\x{:02x}", u32::from(rune))?,
            rune if u32::from(rune) < 0x10000 => write!(out, "\\u{:04x}", u32::from(rune))?,
            rune => write!(out, "\\U{:08x}", u32::from(rune))?,
        }
    }
    out.write_char('"')
}

/// What [`write_quoted`] writes.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let _ = write_quoted(&mut out, text); // A String takes everything.
    out
}

/// Reads a Go string literal in double quotes, quotes included. `None` when it is not one or its value is not UTF-8.
///
/// Source: `strconv.Unquote` of Go, for `"` alone.
#[must_use]
pub fn unquoted(literal: &str) -> Option<String> {
    let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = Vec::with_capacity(rest.len());
    while let Some(rune) = rest.chars().next() {
        rest = &rest[rune.len_utf8()..];
        match rune {
            '"' | '\n' => return None,
            '\\' => rest = escape(rest, &mut out)?,
            rune => out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8(out).ok()
}

/// Reads what follows a backslash and returns what comes after it.
fn escape<'a>(text: &'a str, out: &mut Vec<u8>) -> Option<&'a str> {
    let kind = text.chars().next()?;
    let rest = &text[kind.len_utf8()..];
    let byte = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        '0'..='7' => {
            let (value, rest) = number(text, 3, 8)?;
            out.push(u8::try_from(value).ok()?);
            return Some(rest);
        }
        'x' => {
            let (value, rest) = number(rest, 2, 16)?;
            out.push(u8::try_from(value).ok()?);
            return Some(rest);
        }
        'u' | 'U' => {
            let (value, rest) = number(rest, if kind == 'u' { 4 } else { 8 }, 16)?;
            let rune = char::from_u32(value)?;
            out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(rest);
        }
        _ => return None,
    };
    out.push(byte);
    Some(rest)
}

fn number(text: &str, width: usize, radix: u32) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(width)?;
    let value = digits.chars().try_fold(0_u32, |value, digit| {
        value.checked_mul(radix)?.checked_add(digit.to_digit(radix)?)
    })?;
    Some((value, rest))
}

/// Whether Go's `strconv.IsPrint` holds.
#[must_use]
pub fn is_printable(rune: char) -> bool {
    if rune.is_ascii() {
        return matches!(rune, ' '..='~');
    }
    let rune = u32::from(rune);
    let after = printable::PRINTABLE.partition_point(|&(first, _)| first <= rune);
    after.checked_sub(1).is_some_and(|at| rune <= printable::PRINTABLE[at].1)
}

/// Whether Go's `unicode.IsSpace` holds.
#[must_use]
pub fn is_space(rune: char) -> bool {
    matches!(
        rune,
        '\t'..='\r' | ' ' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}'
            | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_quoted_as_go_does() {
        for (text, expected) in [
            ("", r#""""#),
            ("é\"\n\\", r#""é\"\n\\""#),
            ("\0\x07\x08\t\x0b\x0c\r\x1b\x7f", r#""\x00\a\b\t\v\f\r\x1b\x7f""#),
            ("\u{a0}\u{ad}\u{200b}", r#""\u00a0\u00ad\u200b""#),
            ("\u{e000}\u{feff}\u{fffd}", "\"\\ue000\\ufeff\u{fffd}\""),
            ("\u{1f642}\u{e0001}", "\"\u{1f642}\\U000e0001\""),
            ("\u{378}\u{377}", "\"\\u0378\u{377}\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn wrong_literals_are_refused() {
        for literal in [
            "",
            "\"",
            "a",
            "\"a",
            r#""\d""#,
            r#""\'""#,
            "\"a\nb\"",
            r#""\ud800""#,
            r#""\x4""#,
            r#""\400""#,
            r#""\xf0\x9f""#,
            r#""a"b""#,
            r#""\""#,
            r#""\u12""#,
            r#""\U00110000""#,
        ] {
            assert_eq!(unquoted(literal), None, "{literal}");
        }
        assert_eq!(unquoted(r#""\xf0\x9f\x99\x82\101\u00e9""#).as_deref(), Some("🙂Aé"));
    }

    proptest! {
        #[test]
        fn quoted_text_is_read_back(text in any::<String>()) {
            prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
        }

        #[test]
        fn reading_never_panics(text in "\"[\\\\xuU0-9a-f\"é]{0,12}\"?") {
            let _ = unquoted(&text);
        }
    }
}
