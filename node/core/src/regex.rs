//! Go's regular expressions (RE2) on top of the `regex` crate: what Go accepts is accepted, means the same, and fails with Go's words.

mod class;
mod glob;
mod go;
mod names;
mod shape;

use std::fmt;
use std::sync::Arc;

use shape::Shape;

/// What one compiled expression may take.
const SIZE_LIMIT_BYTES: usize = 1 << 20;

/// Why an expression is refused, in the words of Go's `regexp` package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {message}")]
pub struct BadRegex {
    /// What is wrong and the part of the expression, such as ``missing closing ]: `[a)$` ``.
    pub message: String,
}

impl BadRegex {
    fn new(what: &str, part: &str) -> Self {
        Self { message: format!("{what}: `{part}`") }
    }
}

/// An expression that must match a whole text, as matchers and receiver filters do: `^(?:` + text + `)$`.
///
/// Expressions that stand for a few words, such as `critical|warning`, or for literals with wildcards between, such as `web-.*`, are
/// compared as such and never compiled: that is faster, and thousands of them take little memory. Others are compiled when they are
/// first asked.
#[derive(Clone)]
pub struct Regex {
    shape: Arc<Shape>,
}

impl Regex {
    /// Reads `text`, anchored at both ends.
    /// # Errors
    /// [`BadRegex`] when Go would refuse it, or when it would take more than 1 MiB.
    pub fn anchored(text: &str) -> Result<Self, BadRegex> {
        let whole = format!("^(?:{text})$");
        let translated = go::translate(&whole)?;
        let shape = Shape::of(&translated, SIZE_LIMIT_BYTES)
            .ok_or_else(|| BadRegex::new("expression too large", &whole))?;
        Ok(Self { shape: Arc::new(shape) })
    }

    /// Whether the whole text matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.shape.is_match(text)
    }

    /// All texts that match, sorted, if the expression stands for a few words.
    #[must_use]
    pub fn words(&self) -> Option<&[Box<str>]> {
        match &*self.shape {
            Shape::Words(words) => Some(words),
            Shape::Glob(_) | Shape::Compiled { .. } => None,
        }
    }

    /// The bytes with which every matching text begins; may be none, and may end inside a rune.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        match &*self.shape {
            Shape::Words(_) => &[],
            Shape::Glob(glob) => glob.prefix(),
            Shape::Compiled { prefix, .. } => prefix,
        }
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.shape {
            Shape::Words(words) => f.debug_tuple("Regex").field(words).finish(),
            Shape::Glob(glob) => f.debug_tuple("Regex").field(glob).finish(),
            Shape::Compiled { pattern, .. } => f.debug_tuple("Regex").field(pattern).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn matches(text: &str, yes: &[&str], no: &[&str]) {
        let regex = Regex::anchored(text).unwrap();
        for value in yes {
            assert!(regex.is_match(value), "{text} {value:?}");
        }
        for value in no {
            assert!(!regex.is_match(value), "{text} {value:?}");
        }
    }

    #[test]
    fn whole_text_must_match() {
        matches("foo|bar", &["foo", "bar"], &["", "foobar", "xfoo", "foo\n"]);
        matches("a.*", &["a", "ab"], &["ba", "a\nb"]);
        matches("(?s)a.*", &["a\nb"], &[]);
        matches("a)(b", &["ab"], &["a", "b"]);
    }

    #[test]
    fn go_means_the_same_here() {
        matches(r"\d\w\s", &["5a "], &["٣a ", "5é ", "5a\u{a0}"]);
        matches(r"\Qa.b*\E+", &["a.b*", "a.b***"], &["axb*"]);
        matches(r"a{,3}", &["a{,3}"], &["aaa"]);
        matches(r"a{|{x}|}", &["a{", "{x}", "}"], &["a"]);
        matches(r"[a&&b]+", &["a&b", "&&"], &["a-b"]);
        matches(r"[+--b]+", &["+,-b"], &["."]);
        matches(r"[a[b]", &["[", "a", "b"], &["c"]);
        matches(r"[]a]|[^]a]b", &["]", "a", "xb"], &["ab"]);
        matches(r"\101\x41\x{1f642}\012", &["AA🙂\n"], &[]);
        matches(r"\pN+\PL\p{Greek}\p{^Lu}", &["5-λa"], &["aaλa"]);
        matches(r"(?i)k", &["k", "K", "\u{212a}"], &["s"]);
        matches(r"(?U)a+?|(?m:^b$)|\z", &["aa", "b", ""], &["a\nb"]);
        matches(r"a(?i)*", &["", "aaa"], &["A"]);
        matches(r"(?P<n>a)(?<m>b)", &["ab"], &[]);
        matches(r"[\x{d800}-\x{e000}]", &["\u{e000}"], &["a"]);
        matches(r"\b\w+\b", &["ab"], &["é"]);
        matches(".{1000}", &["é".repeat(1000).as_str()], &["a"]);
    }

    #[track_caller]
    fn fails(text: &str, message: &str) {
        let error = Regex::anchored(text).unwrap_err();
        assert_eq!(error.to_string(), format!("error parsing regexp: {message}"), "{text}");
    }

    /// Recorded from Go 1.26.
    #[test]
    fn errors_are_those_of_go() {
        fails("[a", "missing closing ]: `[a)$`");
        fails("[a-", "invalid character class range: `a-)`");
        fails("*", "missing argument to repetition operator: `*`");
        fails("a|+?", "missing argument to repetition operator: `+?`");
        fails("a**", "invalid nested repetition operator: `**`");
        fails("a+?*?", "invalid nested repetition operator: `+?*?`");
        fails("(", "missing closing ): `^(?:()$`");
        fails("a))", "unexpected ): `^(?:a)))$`");
        fails("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
        fails("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`");
        fails("(?P<a b>x)", "invalid named capture: `(?P<a b>`");
        fails(r"\1", r"invalid escape sequence: `\1`");
        fails(r"\C", r"invalid escape sequence: `\C`");
        fails(r"\q", r"invalid escape sequence: `\q`");
        fails(r"\x{110000}", r"invalid escape sequence: `\x{110000`");
        fails(r"a\", "missing closing ): `^(?:a\\)$`");
        fails(r"\p{foo}", r"invalid character class range: `\p{foo}`");
        fails("[[:foo:]]", "invalid character class range: `[:foo:]`");
        fails("[z-a]", "invalid character class range: `z-a`");
        fails("a{1001}", "invalid repeat count: `{1001}`");
        fails("a{2,1}?", "invalid repeat count: `{2,1}`");
        fails("(a{40}){40}?", "invalid repeat count: `{40}?`");
        fails(r"\pL{1000}", "expression too large: `^(?:\\pL{1000})$`"); // Go allows it; the limit is ours.
        assert!(Regex::anchored(&"(".repeat(5000)).is_err());
    }

    #[test]
    fn few_words_are_not_compiled() {
        let words = |text| Regex::anchored(text).unwrap().words().map(|words| words.join(" "));
        assert_eq!(words("warning|info").as_deref(), Some("info warning"));
        assert_eq!(words("^(?:foo[12]|baz)$").as_deref(), Some("baz foo1 foo2"));
        assert_eq!(words("a?").as_deref(), Some(" a"));
        assert_eq!(words("a.*"), None);
        assert_eq!(words(r"a\b"), None);
        assert_eq!(words(r"a$b"), None);
    }

    #[test]
    fn prefix_of_every_match_is_known() {
        let prefix = |text| Regex::anchored(text).unwrap().prefix().to_vec();
        assert_eq!(prefix("host-12[.].*"), b"host-12.");
        assert_eq!(prefix("(ab|ac).*"), b"a");
        assert_eq!(prefix(".*a"), b"");
        assert_eq!(prefix("(?i)ab.*"), b"");
    }

    proptest! {
        #[test]
        fn compiling_never_panics(text in r"[\[\](){}*+?|^$.\\\-&~:,0-9a-dpQExCPiUé]{0,24}") {
            let _ = Regex::anchored(&text);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..48)) {
            let _ = Regex::anchored(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn quoted_text_matches_itself_alone(text in any::<String>(), other in any::<String>()) {
            prop_assume!(!text.contains(r"\E"));
            let regex = Regex::anchored(&format!(r"\Q{text}\E")).unwrap();
            prop_assert!(regex.is_match(&text));
            prop_assert_eq!(regex.is_match(&other), text == other);
        }
    }
}
