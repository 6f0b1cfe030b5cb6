//! Reading and writing JSON as Go's `encoding/json` does: the same values accepted, the same
//! complaints about others, the same escapes. Strings are borrowed from the request's text.

use std::borrow::Cow;

/// A body as text; bytes that are none become U+FFFD, as Go reads them. Good text is only looked at, eight bytes at a
/// time, which the lossy reading alone does not do.
pub(crate) fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Deeper nesting is refused; no body that means anything here needs more than 4.
const DEPTH_MAX: usize = 64;

/// Why a text is not the JSON that was expected; prints as Go does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum JsonError {
    /// The text ends within a value.
    #[error("unexpected EOF")]
    Eof,
    /// A character that may not stand where it is.
    #[error("invalid character {0} {1}")]
    Character(String, &'static str),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("exceeded max depth")]
    Depth,
    /// Right JSON of the wrong kind.
    #[error("json: cannot unmarshal {found} into {want}")]
    Kind {
        /// `string`, `number`, `object`, …
        found: &'static str,
        /// `Go struct field Alert.labels of type string`, …
        want: &'static str,
    },
    /// A string that cannot be read as what it should say.
    #[error("{0}")]
    Value(String),
}

/// A position in a JSON text.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Whether nothing but white space is left.
    pub(super) fn is_empty(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Reads an array or `null`, which is an empty one; `want` names it in the complaint.
    pub(super) fn array(
        &mut self,
        want: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        if !self.opens(b'[', want)? {
            return Ok(());
        }
        if self.peek() == Some(b']') {
            return self.close();
        }
        loop {
            item(self)?;
            match self.need()? {
                b',' => self.at += 1,
                b']' => return self.close(),
                _ => return Err(self.unexpected("after array element")),
            }
        }
    }

    /// Reads an object or `null`, which is an empty one; answers whether it was an object.
    pub(super) fn object(
        &mut self,
        want: &'static str,
        mut field: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), JsonError>,
    ) -> Result<bool, JsonError> {
        const KEY: &str = "looking for beginning of object key string";
        if !self.opens(b'{', want)? {
            return Ok(false);
        }
        if self.peek() == Some(b'}') {
            return self.close().map(|()| true);
        }
        loop {
            if self.need()? != b'"' {
                return Err(self.unexpected(KEY));
            }
            let name = self.text_literal()?;
            if self.need()? != b':' {
                return Err(self.unexpected("after object key"));
            }
            self.at += 1;
            field(self, name)?;
            match self.need()? {
                b',' => self.at += 1,
                b'}' => return self.close().map(|()| true),
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
    }

    /// Reads a string; `null` is `None`.
    pub(super) fn string(&mut self, want: &'static str) -> Result<Option<Cow<'a, str>>, JsonError> {
        match self.need()? {
            b'"' => self.text_literal().map(Some),
            b'n' => self.word("null").map(|()| None),
            _ => Err(self.wrong_kind(want)),
        }
    }

    /// Reads a boolean; `null` is `None`.
    pub(super) fn boolean(&mut self, want: &'static str) -> Result<Option<bool>, JsonError> {
        match self.need()? {
            b't' => self.word("true").map(|()| Some(true)),
            b'f' => self.word("false").map(|()| Some(false)),
            b'n' => self.word("null").map(|()| None),
            _ => Err(self.wrong_kind(want)),
        }
    }

    /// Reads `null` if it comes next; answers whether it did.
    pub(super) fn skip_null(&mut self) -> Result<bool, JsonError> {
        if self.need()? == b'n' {
            return self.word("null").map(|()| true);
        }
        Ok(false)
    }

    /// Reads any value and forgets it.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        match self.need()? {
            b'{' => self.object("", |reader, _| reader.skip()).map(|_| ()),
            b'[' => self.array("", Self::skip),
            b'"' => self.text_literal().map(|_| ()),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn opens(&mut self, bracket: u8, want: &'static str) -> Result<bool, JsonError> {
        let next = self.need()?;
        if next == b'n' {
            return self.word("null").map(|()| false);
        }
        if next != bracket {
            return Err(self.wrong_kind(want));
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(JsonError::Depth);
        }
        self.at += 1;
        Ok(true)
    }

    fn close(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    fn wrong_kind(&mut self, want: &'static str) -> JsonError {
        let found = match self.peek() {
            Some(b'{') => "object",
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "bool",
            Some(b'-' | b'0'..=b'9') => "number",
            _ => return self.unexpected("looking for beginning of value"),
        };
        JsonError::Kind { found, want }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits("in numeric literal")?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self, place: &'static str) -> Result<(), JsonError> {
        if !self.byte().ok_or(JsonError::Eof)?.is_ascii_digit() {
            return Err(self.unexpected(place));
        }
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        for (index, expected) in word.bytes().enumerate() {
            if self.byte().ok_or(JsonError::Eof)? != expected {
                return Err(self.unexpected(literal_place(word, index)));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// A string literal; the position is at its first quote.
    fn text_literal(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let start = self.at;
        self.plain()?;
        if self.byte() == Some(b'"') {
            let text = &self.text[start..self.at];
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut text = self.text[start..self.at].to_owned();
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(_) => self.escape(&mut text)?,
                None => return Err(JsonError::Eof),
            }
            let start = self.at;
            self.plain()?;
            text.push_str(&self.text[start..self.at]);
        }
    }

    /// Goes on to the next quote or backslash.
    fn plain(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < b' ';
        let length = rest.iter().position(special).ok_or(JsonError::Eof)?;
        self.at += length;
        if rest[length] < b' ' {
            return Err(self.unexpected("in string literal"));
        }
        Ok(())
    }

    fn escape(&mut self, text: &mut String) -> Result<(), JsonError> {
        self.at += 1;
        let character = match self.byte().ok_or(JsonError::Eof)? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                text.push(self.unicode()?);
                return Ok(());
            }
            plain @ (b'"' | b'\\' | b'/') => char::from(plain),
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        text.push(character);
        Ok(())
    }

    /// What follows `\u`; half of a pair alone is U+FFFD.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let after = self.at;
        if self.text[after..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = after;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.byte().ok_or(JsonError::Eof)?).to_digit(16);
            let Some(digit) = digit else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// The next byte, white space passed over.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    fn need(&mut self) -> Result<u8, JsonError> {
        self.peek().ok_or(JsonError::Eof)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn unexpected(&self, place: &'static str) -> JsonError {
        match self.byte() {
            Some(byte) => JsonError::Character(quote_byte(byte), place),
            None => JsonError::Eof,
        }
    }
}

/// Go's name for the place of a wrong letter in `true`, `false` or `null`.
fn literal_place(word: &str, index: usize) -> &'static str {
    match (word, index) {
        ("true", 1) => "in literal true (expecting 'r')",
        ("true", 2) => "in literal true (expecting 'u')",
        ("true", _) => "in literal true (expecting 'e')",
        ("false", 1) => "in literal false (expecting 'a')",
        ("false", 2) => "in literal false (expecting 'l')",
        ("false", 3) => "in literal false (expecting 's')",
        ("false", _) => "in literal false (expecting 'e')",
        (_, 1) => "in literal null (expecting 'u')",
        (_, _) => "in literal null (expecting 'l')",
    }
}

/// A byte in single quotes; Go takes it for a code point of its own.
fn quote_byte(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        7 => r"'\a'".to_owned(),
        8 => r"'\b'".to_owned(),
        11 => r"'\v'".to_owned(),
        12 => r"'\f'".to_owned(),
        0..32 | 127 => format!(r"'\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!(r"'\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

/// Reads one value from `text` by `read`. As Go does, a mistake in the JSON is told before a
/// value of the wrong kind that stands further in front, and what follows the value is ignored.
pub(super) fn read<'a, T>(
    text: &'a str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, JsonError>,
) -> Result<T, JsonError> {
    read(&mut Reader::new(text)).map_err(|error| match error {
        JsonError::Kind { .. } | JsonError::Value(_) => {
            Reader::new(text).skip().err().unwrap_or(error)
        }
        other => other,
    })
}

/// Appends `text` as a JSON string with Go's escapes, among them those of `<`, `>` and `&`.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_length(rest);
        out.extend_from_slice(&rest[..plain]);
        if plain == rest.len() {
            break;
        }
        let taken = push_escaped(out, &rest[plain..]);
        rest = &rest[plain + taken..];
    }
    out.push(b'"');
}

/// How many bytes in front stand for themselves. Sixteen at a time, in a form that compiles to
/// vector instructions: this loop sees every byte of every answer.
fn plain_length(bytes: &[u8]) -> usize {
    let mut passed = 0;
    for chunk in bytes.chunks_exact(16) {
        if chunk.iter().fold(false, |any, byte| any | is_special(*byte)) {
            break;
        }
        passed += 16;
    }
    let rest = &bytes[passed..];
    passed + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

fn is_special(byte: u8) -> bool {
    // 0xe2 may begin U+2028 or U+2029.
    (byte < 0x20)
        | (byte == b'"')
        | (byte == b'\\')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'&')
        | (byte == 0xe2)
}

/// Appends what a special byte becomes; answers how many bytes that was for.
fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    let (taken, escape): (usize, Cow<'_, str>) = match bytes {
        [b'"', ..] => (1, "\\\"".into()),
        [b'\\', ..] => (1, "\\\\".into()),
        [b'\n', ..] => (1, "\\n".into()),
        [b'\r', ..] => (1, "\\r".into()),
        [b'\t', ..] => (1, "\\t".into()),
        [0xe2, 0x80, 0xa8, ..] => (3, "\\u2028".into()),
        [0xe2, 0x80, 0xa9, ..] => (3, "\\u2029".into()),
        [0xe2, ..] => {
            out.push(0xe2);
            return 1;
        }
        [other, ..] => (1, format!("\\u{other:04x}").into()),
        [] => return 0,
    };
    out.extend_from_slice(escape.as_bytes());
    taken
}

/// `text` as a JSON string.
pub(super) fn string(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    push_string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let result = read(text, |reader| {
            let mut found = String::new();
            reader.array("LIST", |reader| {
                found += reader.string("TEXT")?.as_deref().unwrap_or("null");
                Ok(())
            })?;
            Ok(found)
        });
        assert_eq!(result.unwrap_or_else(|error| error.to_string()), expected, "{text}");
    }

    #[test]
    fn complaints_are_those_of_go() {
        check("[", "unexpected EOF");
        check("nul", "unexpected EOF");
        check("{}", "json: cannot unmarshal object into LIST");
        check("{]", "invalid character ']' looking for beginning of object key string");
        check("x", "invalid character 'x' looking for beginning of value");
        check(r#"["a",]"#, "invalid character ']' looking for beginning of value");
        check("[1]", "json: cannot unmarshal number into TEXT");
        check("[1,2}", "invalid character '}' after array element");
        check("[\"tab\t\"]", r"invalid character '\t' in string literal");
        check(r#"["\x"]"#, "invalid character 'x' in string escape code");
        check(r#"["\u12g4"]"#, r"invalid character 'g' in \u hexadecimal character escape");
        check("[tru]", "invalid character ']' in literal true (expecting 'e')");
        check("[-]", "invalid character ']' in numeric literal");
        check("[01]", "invalid character '1' after array element");
        check("[1.]", "invalid character ']' after decimal point in numeric literal");
        check("[1e]", "invalid character ']' in exponent of numeric literal");
        check(r#"[{"a" 1}]"#, "invalid character '1' after object key");
        check(r#"[{"a":1 "b":1}]"#, "invalid character '\"' after object key:value pair");
        check(&"[".repeat(100), "exceeded max depth");
    }

    #[test]
    fn what_go_accepts_is_accepted() {
        check("null", "");
        check(" [ \"a\" , null ] xx", "anull");
        check(r#"["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"]"#, "\"\\/\u{8}\u{c}\n\r\té😀");
        check(r#"["\ud800x\ud800\u0041"]"#, "\u{fffd}x\u{fffd}A");
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert_eq!(Reader::new(&"[".repeat(100_000)).skip(), Err(JsonError::Depth));
        assert_eq!(Reader::new(&"{\"a\":".repeat(100_000)).skip(), Err(JsonError::Depth));
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        assert_eq!(
            string("<a&b> \"\\\n\r\t\u{1}\u{7f}é\u{2028}\u{2029}\u{2030}"),
            "\"\\u003ca\\u0026b\\u003e \\\"\\\\\\n\\r\\t\\u0001\u{7f}é\\u2028\\u2029\u{2030}\""
        );
    }

    proptest! {
        #[test]
        fn printed_string_is_read_back(text in "\\PC*|.*") {
            let printed = string(&text);
            let read = Reader::new(&printed).string("").unwrap().unwrap();
            prop_assert_eq!(&read, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), text);
        }

        #[test]
        fn no_text_panics_and_what_passes_is_json(text in "[\\[\\]{},:\"\\\\u0-9eE.+\\-truefalsn é]{0,24}") {
            let passed = Reader::new(&text).skip().is_ok();
            let stream = serde_json::Deserializer::from_str(&text);
            let first = stream.into_iter::<serde::de::IgnoredAny>().next();
            if let Some(Ok(_)) = first {
                prop_assert!(passed, "{}", text);
            }
        }
    }
}
