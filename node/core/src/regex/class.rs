//! Character classes and escapes of Go, translated for the `regex` crate.

use std::fmt::Write;

use super::BadRegex;
use super::go::{Flags, NOTHING, escaped};
use super::names::{UnicodeClass, unicode_class};

/// The classes of `[:name:]`; the crate has the same.
const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Everything; the crate refuses a class without items.
const EVERYTHING: &str = r"[\x{0}-\x{10ffff}]";

/// Reads a class in brackets, gives its translation and what comes after it.
pub(super) fn parse_class(text: &str, flags: Flags) -> Result<(String, &str), BadRegex> {
    let mut rest = &text[1..];
    let negated = rest.starts_with('^');
    if negated {
        rest = &rest[1..];
    }
    let mut items = String::new();
    let mut first = true;
    while first || !rest.starts_with(']') {
        first = false;
        if let Some((posix, after)) = parse_posix(rest)? {
            items.push_str(&posix);
            rest = after;
        } else if let Some((class, after)) = parse_escaped_class(rest)? {
            items.push_str(&class);
            rest = after;
        } else {
            let (range, after) = parse_range(rest, text)?;
            items.push_str(&range);
            rest = after;
        }
    }
    let class = match (items.is_empty(), negated) {
        (true, true) => EVERYTHING.to_owned(),
        (true, false) => NOTHING.to_owned(),
        (false, true) => format!("[^{items}]"),
        (false, false) => format!("[{items}]"),
    };
    let class = if flags.fold_case { format!("(?i:{class})") } else { class };
    Ok((class, &rest[1..]))
}

/// `[:alpha:]` and `[:^alpha:]`.
fn parse_posix(text: &str) -> Result<Option<(String, &str)>, BadRegex> {
    let Some(end) = text.strip_prefix("[:").and_then(|inner| inner.find(":]")) else {
        return Ok(None);
    };
    let (whole, rest) = text.split_at(end + 4);
    let name = &whole[2..end + 2];
    if POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        Ok(Some((whole.to_owned(), rest)))
    } else {
        Err(BadRegex::new("invalid character class range", whole))
    }
}

/// `\d`, `\pL`, `\p{Greek}` and their like, as items of a class.
pub(super) fn parse_escaped_class(text: &str) -> Result<Option<(String, &str)>, BadRegex> {
    let perl = match text.as_bytes() {
        [b'\\', b'p' | b'P', ..] => return parse_unicode_class(text).map(Some),
        [b'\\', b'd', ..] => "0-9",
        [b'\\', b'D', ..] => "[^0-9]",
        [b'\\', b's', ..] => r"\t\n\x0C\r\x20",
        [b'\\', b'S', ..] => r"[^\t\n\x0C\r\x20]",
        [b'\\', b'w', ..] => "0-9A-Za-z_",
        [b'\\', b'W', ..] => "[^0-9A-Za-z_]",
        _ => return Ok(None),
    };
    Ok(Some((perl.to_owned(), &text[2..])))
}

fn parse_unicode_class(text: &str) -> Result<(String, &str), BadRegex> {
    let bad = |part| BadRegex::new("invalid character class range", part);
    let after = &text[2..];
    let (name, length) = if after.starts_with('{') {
        let end = after.find('}').ok_or_else(|| bad(text))?;
        (&after[1..end], end + 1)
    } else {
        let length = after.chars().next().map_or(0, char::len_utf8);
        (&after[..length], length)
    };
    let (part, rest) = text.split_at(2 + length);
    let (name, flipped) = match name.strip_prefix('^') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let negated = text.starts_with(r"\P") != flipped;
    let class = match (unicode_class(name).ok_or_else(|| bad(part))?, negated) {
        (UnicodeClass::Named(name), false) => format!("\\p{{{name}}}"),
        (UnicodeClass::Named(name), true) => format!("\\P{{{name}}}"),
        (UnicodeClass::Nothing, false) => NOTHING.to_owned(),
        (UnicodeClass::Nothing, true) => EVERYTHING.to_owned(),
    };
    Ok((class, rest))
}

/// `a` or `a-z`; `class` is the class from its bracket on, for the error.
fn parse_range<'a>(text: &'a str, class: &str) -> Result<(String, &'a str), BadRegex> {
    let (low, mut rest) = parse_char(text, class)?;
    let mut high = low;
    let is_range = rest.starts_with('-') && rest.len() >= 2 && !rest.starts_with("-]");
    if is_range {
        (high, rest) = parse_char(&rest[1..], class)?;
        if high < low {
            let part = &text[..text.len() - rest.len()];
            return Err(BadRegex::new("invalid character class range", part));
        }
    }
    let mut items = String::new();
    // No text holds a surrogate, and the crate does not know them.
    for (low, high) in [(low, high.min(0xd7ff)), (low.max(0xe000), high)] {
        if low <= high {
            let _ = write!(items, "{}-{}", escaped(low), escaped(high));
        }
    }
    Ok((items, rest))
}

fn parse_char<'a>(text: &'a str, class: &str) -> Result<(u32, &'a str), BadRegex> {
    match text.chars().next() {
        None => Err(BadRegex::new("missing closing ]", class)),
        Some('\\') => parse_escape(text),
        Some(rune) => Ok((u32::from(rune), &text[rune.len_utf8()..])),
    }
}

/// Reads an escape that stands for one rune, surrogates included, from its backslash on.
pub(super) fn parse_escape(text: &str) -> Result<(u32, &str), BadRegex> {
    let mut runes = Runes { rest: &text[1..] };
    let Some(kind) = runes.take() else {
        return Err(BadRegex::new("trailing backslash at end of expression", ""));
    };
    let value = match kind {
        '1'..='7' if !runes.rest.starts_with(|next| matches!(next, '0'..='7')) => None,
        '0'..='7' => Some(runes.octal(kind)),
        'x' => runes.hexadecimal(),
        'a' => Some(0x07),
        'f' => Some(0x0c),
        'n' => Some(0x0a),
        'r' => Some(0x0d),
        't' => Some(0x09),
        'v' => Some(0x0b),
        kind if kind.is_ascii() && !kind.is_ascii_alphanumeric() => Some(u32::from(kind)),
        _ => None,
    };
    match value {
        Some(value) => Ok((value, runes.rest)),
        None => {
            let part = &text[..text.len() - runes.rest.len()];
            Err(BadRegex::new("invalid escape sequence", part))
        }
    }
}

struct Runes<'a> {
    rest: &'a str,
}

impl Runes<'_> {
    fn take(&mut self) -> Option<char> {
        let rune = self.rest.chars().next()?;
        self.rest = &self.rest[rune.len_utf8()..];
        Some(rune)
    }

    /// Up to three digits, one of which is read.
    fn octal(&mut self, first: char) -> u32 {
        let mut value = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|rune| rune.to_digit(8)) else {
                break;
            };
            value = value * 8 + digit;
            self.take();
        }
        value
    }

    /// Two digits, or any number of them in braces; what is read on failure belongs to the error.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.take()?;
        if first != '{' {
            let second = self.take()?;
            return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let mut value = None;
        loop {
            let rune = self.take()?;
            if rune == '}' {
                return value;
            }
            let next = value.unwrap_or(0) * 16 + rune.to_digit(16)?;
            value = Some(next).filter(|next| *next <= u32::from(char::MAX));
            value?;
        }
    }
}
