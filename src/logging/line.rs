//! The text of one log line, in logfmt or JSON. Values come from anywhere; a line stays one line. Pure.

use std::fmt::Write as _;

/// The longest value printed, in bytes: alert texts come from anywhere.
const VALUE_MAX_BYTES: usize = 1024;

/// One line under way.
pub(crate) struct Pairs {
    json: bool,
    text: String,
}

impl Pairs {
    pub(crate) fn new(json: bool) -> Self {
        let text = if json { "{".to_owned() } else { String::new() };
        Self { json, text }
    }

    pub(crate) fn add(&mut self, key: &str, value: &str) {
        let value = shortened(value);
        let first = self.text.len() == usize::from(self.json);
        if self.json {
            self.text.push_str(if first { "\"" } else { ",\"" });
            self.text.push_str(key);
            self.text.push_str("\":");
            quote(&mut self.text, value);
        } else {
            if !first {
                self.text.push(' ');
            }
            self.text.push_str(key);
            self.text.push('=');
            if value.is_empty() || value.chars().any(needs_quotes) {
                quote(&mut self.text, value);
            } else {
                self.text.push_str(value);
            }
        }
    }

    pub(crate) fn finish(mut self) -> String {
        if self.json {
            self.text.push('}');
        }
        self.text.push('\n');
        self.text
    }
}

fn shortened(value: &str) -> &str {
    if value.len() <= VALUE_MAX_BYTES {
        return value;
    }
    let mut end = VALUE_MAX_BYTES;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

fn needs_quotes(c: char) -> bool {
    matches!(c, ' ' | '=' | '"') || needs_escape(c)
}

/// Control characters, and those that reorder or hide what a terminal shows.
fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A quoted string that is both Go's and JSON's form.
fn quote(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if needs_escape(c) => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: bool, value: &str, expected: &str) {
        let mut pairs = Pairs::new(json);
        pairs.add("a", "b");
        pairs.add("k", value);
        assert_eq!(pairs.finish(), expected);
    }

    #[test]
    fn plain_values_stay_bare() {
        check(false, "127.0.0.1:9093", "a=b k=127.0.0.1:9093\n");
    }

    #[test]
    fn values_with_spaces_and_empty_ones_are_quoted() {
        check(false, "two words", "a=b k=\"two words\"\n");
        check(false, "", "a=b k=\"\"\n");
    }

    #[test]
    fn one_event_stays_one_line() {
        check(false, "x\ny\u{202e}", "a=b k=\"x\\ny\\u202e\"\n");
        check(true, "x\n\"", "{\"a\":\"b\",\"k\":\"x\\n\\\"\"}\n");
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let long = "é".repeat(VALUE_MAX_BYTES);
        assert_eq!(shortened(&long).len(), VALUE_MAX_BYTES);
    }
}
