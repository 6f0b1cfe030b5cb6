//! JSON as Go's encoder writes it, because sizes and recordings are compared byte for byte.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::SendError;

/// Compact JSON with `<`, `>`, `&`, U+2028 and U+2029 escaped, and one line feed at the end.
/// # Errors
/// Text for a number that JSON cannot say (infinite, not a number).
pub(crate) fn body(value: &impl Serialize) -> Result<Vec<u8>, SendError> {
    let mut bytes = Vec::with_capacity(512);
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, Go))
        .map_err(|error| SendError::unmade("encode JSON", error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// For fields that are left out unless set.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !*flag
}

struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = tail.chars();
            if let Some(special) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(special))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_line_separators_are_escaped() {
        let text = body(&["<a href=\"x&y\">\u{2028}é\n\u{1}"]).unwrap();
        let expected = concat!(r#"["\u003ca href=\"x\u0026y\"\u003e\u2028é\n\u0001"]"#, "\n");
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
