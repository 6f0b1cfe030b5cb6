//! The classic grammar of matchers: a name, an operator, and whatever is left of the piece is the value.

use super::{BadMatcher, MatchOp, Matcher, Matchers};

/// White space of this grammar (`\s` of Go).
const SPACE: [char; 5] = ['\t', '\n', '\x0c', '\r', ' '];

/// Reads a list: one brace on either side is dropped, pieces end at commas outside quotes, a blank last piece is dropped.
pub(super) fn matchers(text: &str) -> Result<Matchers, BadMatcher> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    pieces(text).into_iter().map(matcher).collect()
}

fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b',' if !quoted => {
                pieces.push(&text[from..at]);
                from = at + 1;
            }
            b'"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    let last = &text[from..];
    if !last.trim_matches(SPACE).is_empty() {
        pieces.push(last);
    }
    pieces
}

/// Reads one piece.
pub(super) fn matcher(piece: &str) -> Result<Matcher, BadMatcher> {
    let format = || BadMatcher::Format(piece.to_owned());
    let text = piece.trim_matches(SPACE);
    let name_end = text.bytes().take_while(|byte| is_name_byte(*byte)).count();
    let (name, rest) = text.split_at(name_end);
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        return Err(format());
    }
    let rest = rest.trim_start_matches(SPACE);
    let (op, value) = [MatchOp::Regex, MatchOp::Equal, MatchOp::NotEqual, MatchOp::NotRegex]
        .into_iter()
        .find_map(|op| Some((op, rest.strip_prefix(op.as_str())?)))
        .ok_or_else(format)?;
    let value = unescaped(value.trim_start_matches(SPACE))?;
    Matcher::new(name, op, value).map_err(BadMatcher::Regex)
}

fn is_name_byte(byte: u8) -> bool {
    byte == b'_' || byte == b':' || byte.is_ascii_alphanumeric()
}

/// Takes the quotes off and the escapes `\n`, `\"`, `\\` out; other backslashes stay.
fn unescaped(written: &str) -> Result<String, BadMatcher> {
    let quote = || BadMatcher::Quote(written.to_owned());
    let (inner, mut closed) = match written.strip_prefix('"') {
        Some(inner) => (inner, false),
        None => (written, true),
    };
    let mut out = String::with_capacity(inner.len());
    let mut runes = inner.chars().peekable();
    while let Some(rune) = runes.next() {
        match rune {
            '"' if !closed && runes.peek().is_none() => closed = true,
            '"' => return Err(quote()),
            '\\' => match runes.next() {
                Some('n') => out.push('\n'),
                Some(next @ ('"' | '\\')) => out.push(next),
                Some(next) => out.extend(['\\', next]),
                None => out.push('\\'),
            },
            rune => out.push(rune),
        }
    }
    if closed { Ok(out) } else { Err(quote()) }
}
