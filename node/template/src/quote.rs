//! Go's quoting of strings and characters, both ways.

/// Whether Go prints a character as it is inside quotes (`unicode.IsPrint`).
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // The standard library keeps its table of printable characters behind `escape_debug` of a
    // string, whose first character is treated specially.
    let text: String = ['a', c].into_iter().collect();
    text.escape_debug().count() == 2
}

/// A Go string literal, as `%q` gives it.
pub(crate) fn go(text: &str) -> String {
    quote(text, '"', false)
}

/// A Go string literal of ASCII only, as `%+q` gives it.
pub(crate) fn go_ascii(text: &str) -> String {
    quote(text, '"', true)
}

/// As Go's time package quotes what it could not read: bytes that are no plain ASCII in hexadecimal.
pub(crate) fn bytes(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// A Go character literal.
pub(crate) fn go_char(c: char, ascii: bool) -> String {
    let mut buffer = [0; 4];
    quote(c.encode_utf8(&mut buffer), '\'', ascii)
}

fn quote(text: &str, mark: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for c in text.chars() {
        escape(&mut out, c, mark, ascii);
    }
    out.push(mark);
    out
}

fn escape(out: &mut String, c: char, mark: char, ascii: bool) {
    match c {
        _ if c == mark || c == '\\' => out.extend(['\\', c]),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ if is_printable(c) && (c.is_ascii() || !ascii) => out.push(c),
        ..' ' | '\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        ..='\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        _ => out.push_str(&format!("\\U{:08x}", u32::from(c))),
    }
}

/// Takes the quotes off a Go string literal, interpreted or raw; `None` when it is not one.
/// Bytes that are not UTF-8 become U+FFFD.
pub(crate) fn unquote(literal: &str) -> Option<String> {
    let mark = literal.chars().next()?;
    let inner = literal.get(1..literal.len().checked_sub(1)?)?;
    if !literal.ends_with(mark) {
        return None;
    }
    match mark {
        '`' => Some(inner.replace('\r', "")),
        '"' => unescape(inner, mark),
        _ => None,
    }
}

/// The character of a literal such as `'a'`.
pub(crate) fn unquote_char(literal: &str) -> Option<char> {
    let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    if inner.contains('\'') && inner != "\\'" {
        return None;
    }
    let text = unescape(inner, '\'')?;
    let mut chars = text.chars();
    let c = chars.next()?;
    chars.next().is_none().then_some(c)
}

fn unescape(inner: &str, mark: char) -> Option<String> {
    let mut out = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => unescape_one(&mut chars, mark, &mut out)?,
            '\n' => return None,
            _ if c == mark => return None,
            _ => push(&mut out, c),
        }
    }
    Some(match String::from_utf8(out) {
        Ok(text) => text,
        Err(bad) => String::from_utf8_lossy(bad.as_bytes()).into_owned(),
    })
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn unescape_one(chars: &mut std::str::Chars<'_>, mark: char, out: &mut Vec<u8>) -> Option<()> {
    let c = chars.next()?;
    match c {
        'x' => push_byte(out, number(chars, 0, 2, 16)?, mark)?,
        '0'..='7' => push_byte(out, number(chars, c.to_digit(8)?, 2, 8)?, mark)?,
        'u' => push(out, char::from_u32(number(chars, 0, 4, 16)?)?),
        'U' => push(out, char::from_u32(number(chars, 0, 8, 16)?)?),
        _ if c == mark => push(out, c),
        _ => push(out, simple(c)?),
    }
    Some(())
}

/// Reads `count` more digits after the value `start`.
fn number(chars: &mut std::str::Chars<'_>, start: u32, count: u32, radix: u32) -> Option<u32> {
    (0..count).try_fold(start, |value, _| {
        value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)
    })
}

/// Adds a byte of a string, or the character of that number.
fn push_byte(out: &mut Vec<u8>, value: u32, mark: char) -> Option<()> {
    let byte = u8::try_from(value).ok()?;
    if mark == '"' {
        out.push(byte);
    } else {
        push(out, char::from(byte));
    }
    Some(())
}

fn simple(c: char) -> Option<char> {
    Some(match c {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{go, unquote, unquote_char};

    #[test]
    fn quoting_is_go_s() {
        assert_eq!(go("a\"b\n\u{1}é\u{200b}"), r#""a\"b\n\x01é\u200b""#);
    }

    #[test]
    fn unquoting_undoes_it() {
        assert_eq!(unquote(r#""a\"\x41\101\u00e9\t""#).as_deref(), Some("a\"AAé\t"));
        assert_eq!(unquote("`a\\n`").as_deref(), Some("a\\n"));
        assert_eq!(unquote(r#""\z""#), None);
        assert_eq!(unquote_char(r"'\n'"), Some('\n'));
        assert_eq!(unquote_char("'ab'"), None);
        assert_eq!(unquote_char("'"), None);
    }
}
