//! Matchers of labels: what they are, when they hold, how they print. Their two grammars are in the files below.

mod classic;
mod utf8;

use std::cmp::Ordering;
use std::fmt::{self, Write};

use crate::label::Lookup;
use crate::quote::{is_space, write_quoted};
use crate::regex::{BadRegex, Regex};

/// How a matcher compares. The order is that of sorting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }

    /// From the API's two flags.
    #[must_use]
    pub fn from_flags(is_equal: bool, is_regex: bool) -> Self {
        match (is_equal, is_regex) {
            (true, false) => Self::Equal,
            (false, false) => Self::NotEqual,
            (true, true) => Self::Regex,
            (false, true) => Self::NotRegex,
        }
    }

    /// The API's `isEqual`.
    #[must_use]
    pub fn is_equal(self) -> bool {
        matches!(self, Self::Equal | Self::Regex)
    }

    /// The API's `isRegex`.
    #[must_use]
    pub fn is_regex(self) -> bool {
        matches!(self, Self::Regex | Self::NotRegex)
    }
}

/// One condition on one label. An absent label is tested as the empty text.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: Box<str>,
    op: MatchOp,
    value: Box<str>,
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher; the value of [`MatchOp::Regex`] and [`MatchOp::NotRegex`] is an expression for the whole label value.
    /// # Errors
    /// [`BadRegex`] when that expression is none.
    pub fn new(
        name: impl Into<Box<str>>,
        op: MatchOp,
        value: impl Into<Box<str>>,
    ) -> Result<Self, BadRegex> {
        let value = value.into();
        let regex = if op.is_regex() { Some(Regex::anchored(&value)?) } else { None };
        Ok(Self { name: name.into(), op, value, regex })
    }

    /// The `=` matcher, which cannot fail.
    #[must_use]
    pub fn equal(name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// The label's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator.
    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or expression as written.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The compiled expression of `=~` and `!~`.
    #[must_use]
    pub fn regex(&self) -> Option<&Regex> {
        self.regex.as_ref()
    }

    /// All label values for which the condition holds, if it is `=` or an expression that stands for a few words.
    pub(crate) fn values(&self) -> Option<impl Iterator<Item = &str>> {
        let words = match self.op {
            MatchOp::Equal => &[],
            MatchOp::Regex => self.regex.as_ref()?.words()?,
            MatchOp::NotEqual | MatchOp::NotRegex => return None,
        };
        let itself = (self.op == MatchOp::Equal).then_some(&*self.value);
        Some(words.iter().map(|word| &**word).chain(itself))
    }

    /// Whether the condition holds for this label value.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let hit = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => *self.value == *value,
        };
        hit == self.op.is_equal()
    }

    /// Whether the condition holds for the set.
    #[must_use]
    pub fn holds(&self, labels: &(impl Lookup + ?Sized)) -> bool {
        self.matches(labels.get(&self.name))
    }

    /// The API's filter rule for alerts and receivers: as [`Matcher::holds`], but an empty value asks for absence, or for presence when negated.
    #[must_use]
    pub fn filters(&self, labels: &(impl Lookup + ?Sized)) -> bool {
        let asked = self.value.is_empty() && labels.has(&self.name) != self.op.is_equal();
        asked || self.holds(labels)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Matcher {}

impl PartialOrd for Matcher {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By name, then value, then operator: the order of a route's matchers in its key.
impl Ord for Matcher {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.name, &self.value, self.op).cmp(&(&other.name, &other.value, other.op))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Upstream leaves the empty name bare, which nothing can read.
        if self.name.is_empty() || self.name.chars().any(is_reserved) {
            write_quoted(f, &self.name)?;
            f.write_str(self.op.as_str())?;
            return write_quoted(f, &self.value);
        }
        write!(f, "{}{}\"", self.name, self.op.as_str())?;
        for rune in self.value.chars() {
            match rune {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' => f.write_str("\\\"")?,
                rune => f.write_char(rune)?,
            }
        }
        f.write_char('"')
    }
}

/// Whether the rune cannot be part of an unquoted name or value.
fn is_reserved(rune: char) -> bool {
    is_space(rune) || "{}!=~,\\\"'`".contains(rune)
}

/// Matchers that must all hold. The empty list holds for everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matchers(pub Vec<Matcher>);

impl Matchers {
    /// Whether every matcher holds.
    #[must_use]
    pub fn matches(&self, labels: &(impl Lookup + ?Sized)) -> bool {
        self.0.iter().all(|matcher| matcher.holds(labels))
    }

    /// Puts the matchers into the order of keys: by name, then value, then operator.
    pub fn sort(&mut self) {
        self.0.sort();
    }

    /// The matchers.
    pub fn iter(&self) -> std::slice::Iter<'_, Matcher> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Matchers {
    type Item = &'a Matcher;
    type IntoIter = std::slice::Iter<'a, Matcher>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl FromIterator<Matcher> for Matchers {
    fn from_iter<I: IntoIterator<Item = Matcher>>(matchers: I) -> Self {
        Self(matchers.into_iter().collect())
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (at, matcher) in self.0.iter().enumerate() {
            if at != 0 {
                f.write_char(',')?;
            }
            write!(f, "{matcher}")?;
        }
        f.write_char('}')
    }
}

/// Which label names are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameRule {
    /// `[a-zA-Z_][a-zA-Z0-9_]*`
    Classic,
    /// Everything but the empty text.
    #[default]
    Utf8,
}

impl NameRule {
    /// Whether the rule allows the name.
    #[must_use]
    pub fn allows(self, name: &str) -> bool {
        let classic = || {
            name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
                && !name.as_bytes()[0].is_ascii_digit()
        };
        !name.is_empty() && (self == Self::Utf8 || classic())
    }
}

/// Which grammar reads matchers; `--enable-feature` decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Both; where they differ the classic one wins, with a [`Warning`].
    #[default]
    Fallback,
    /// The classic grammar alone (`classic-mode`).
    Classic,
    /// The UTF-8 grammar alone (`utf8-strict-mode`).
    Utf8,
}

impl Mode {
    /// The rule for label names that goes with the mode.
    #[must_use]
    pub fn names(self) -> NameRule {
        if self == Self::Classic { NameRule::Classic } else { NameRule::Utf8 }
    }
}

/// What was read, and what the log should say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The result.
    pub value: T,
    /// Only in [`Mode::Fallback`].
    pub warning: Option<Warning>,
}

/// An input that another version of the parser would read differently; for the log, at `warn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Only the classic grammar accepts it. Fields of the log: input, err, suggestion.
    Incompatible {
        /// What was read.
        input: String,
        /// What the UTF-8 grammar says.
        error: BadMatcher,
        /// The same matchers as both grammars read them.
        suggestion: String,
    },
    /// Both accept it and read different matchers. Field of the log: input.
    Disagreement {
        /// What was read.
        input: String,
    },
}

impl Warning {
    /// The fixed sentence for the log.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match self {
            Self::Incompatible { .. } => {
                "matchers are moving to a new parser for labels and matchers, and this input is incompatible: \
                 it was read by the classic parser instead; make it compatible by double-quoting the values \
                 and escaping the backslashes in them"
            }
            Self::Disagreement { .. } => "Matchers input has disagreement",
        }
    }
}

/// Why a text is no matcher; prints as upstream says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMatcher {
    /// One matcher was wanted and the text has a brace.
    #[error("unexpected open or close brace: {0}")]
    Brace(String),
    /// One matcher was wanted and there is none.
    #[error("no matchers")]
    None,
    /// One matcher was wanted and there are more.
    #[error("expected 1 matcher, found {0}")]
    Many(usize),
    /// The UTF-8 grammar does not accept the text; says where and why.
    #[error("{0}")]
    Syntax(String),
    /// The classic grammar does not accept this piece.
    #[error("bad matcher format: {0}")]
    Format(String),
    /// The classic grammar found a double quote inside the value.
    #[error("matcher value contains unescaped double quote: {0}")]
    Quote(String),
    /// The UTF-8 grammar accepts the text, but its expression is none.
    #[error("failed to create matcher: {0}")]
    Create(BadRegex),
    /// The classic grammar accepts the text, but its expression is none.
    #[error("{0}")]
    Regex(BadRegex),
}

/// Reads exactly one matcher, as in API filters and on the command line.
/// # Errors
/// [`BadMatcher`]; in [`Mode::Fallback`] when neither grammar accepts the text, then with the classic grammar's words.
pub fn parse_matcher(text: &str, mode: Mode) -> Result<Parsed<Matcher>, BadMatcher> {
    if mode != Mode::Classic && (text.starts_with('{') || text.ends_with('}')) {
        return Err(BadMatcher::Brace(text.to_owned()));
    }
    choose(text, mode, utf8::matcher, classic::matcher, Matcher::to_string)
}

/// Reads a list of matchers, with or without braces, as in the configuration file. They stay in the order of the text.
/// # Errors
/// [`BadMatcher`]; in [`Mode::Fallback`] when neither grammar accepts the text, then with the classic grammar's words.
pub fn parse_matchers(text: &str, mode: Mode) -> Result<Parsed<Matchers>, BadMatcher> {
    let suggestion =
        |matchers: &Matchers| matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(",");
    choose(text, mode, utf8::matchers, classic::matchers, suggestion)
}

fn choose<T: PartialEq>(
    text: &str,
    mode: Mode,
    utf8: impl Fn(&str) -> Result<T, BadMatcher>,
    classic: impl Fn(&str) -> Result<T, BadMatcher>,
    suggestion: impl Fn(&T) -> String,
) -> Result<Parsed<T>, BadMatcher> {
    match mode {
        Mode::Utf8 => Ok(Parsed { value: utf8(text)?, warning: None }),
        Mode::Classic => Ok(Parsed { value: classic(text)?, warning: None }),
        Mode::Fallback => match (utf8(text), classic(text)) {
            (Ok(value), Err(_)) => Ok(Parsed { value, warning: None }),
            (Ok(value), Ok(classic)) if value == classic => Ok(Parsed { value, warning: None }),
            (Ok(_), Ok(value)) => {
                let warning = Warning::Disagreement { input: text.to_owned() };
                Ok(Parsed { value, warning: Some(warning) })
            }
            (Err(error), Ok(value)) => {
                let suggestion = suggestion(&value);
                let warning = Warning::Incompatible { input: text.to_owned(), error, suggestion };
                Ok(Parsed { value, warning: Some(warning) })
            }
            (Err(_), Err(error)) => Err(error),
        },
    }
}

#[cfg(test)]
mod cases;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::label::Labels;
    use crate::quote::quoted;

    fn shown(result: &Result<Parsed<Matchers>, BadMatcher>) -> String {
        let show = |matcher: &Matcher| {
            format!("⟨{} {} {}⟩", matcher.name(), matcher.op().as_str(), quoted(matcher.value()))
        };
        match result {
            Err(error) => format!("✗ {error}"),
            Ok(parsed) if parsed.value.is_empty() => "(none)".to_owned(),
            Ok(parsed) => parsed.value.iter().map(show).collect::<Vec<_>>().join(" "),
        }
    }

    #[test]
    fn both_grammars_read_lists_as_upstream_does() {
        for (input, utf8, classic, expected) in cases::LISTS {
            assert_eq!(&shown(&parse_matchers(input, Mode::Utf8)), utf8, "UTF-8 {input:?}");
            assert_eq!(&shown(&parse_matchers(input, Mode::Classic)), classic, "classic {input:?}");
            let fallback = parse_matchers(input, Mode::Fallback);
            let taken = if *expected == Expected::Utf8 { utf8 } else { classic };
            assert_eq!(&shown(&fallback), taken, "fallback {input:?}");
            let warning = fallback.ok().and_then(|parsed| parsed.warning);
            let warned = match warning {
                Some(Warning::Incompatible { .. }) => Expected::Warn,
                Some(Warning::Disagreement { .. }) => Expected::Disagree,
                None => *expected,
            };
            assert_eq!(warned, *expected, "{input:?}");
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Expected {
        Same,
        Utf8,
        Warn,
        Disagree,
        Error,
    }

    #[test]
    fn warning_says_how_to_write_it() {
        let parsed = parse_matchers(r"foo=~\d+,bar=", Mode::Fallback).unwrap();
        let Some(Warning::Incompatible { input, error, suggestion }) = parsed.warning else {
            panic!("no warning")
        };
        assert_eq!(input, r"foo=~\d+,bar=");
        assert_eq!(error.to_string(), r"5:6: \: invalid input: expected label value");
        assert_eq!(suggestion, r#"foo=~"\\d+",bar="""#);
        assert_eq!(
            shown(&parse_matchers(&suggestion, Mode::Utf8)),
            r#"⟨foo =~ "\\d+"⟩ ⟨bar = ""⟩"#
        );
    }

    #[track_caller]
    fn one(input: &str, mode: Mode, expected: &str) {
        let result = parse_matcher(input, mode).map(|parsed| parsed.value.to_string());
        assert_eq!(result.unwrap_or_else(|error| error.to_string()), expected);
    }

    /// Trap 5.
    #[test]
    fn single_matcher_refuses_braces_and_more_than_one() {
        one("{foo=bar}", Mode::Fallback, "unexpected open or close brace: {foo=bar}");
        one("foo=bar}", Mode::Utf8, "unexpected open or close brace: foo=bar}");
        one("{foo=bar}", Mode::Classic, "bad matcher format: {foo=bar}");
        one("a=b,c=d", Mode::Utf8, "expected 1 matcher, found 2");
        one("a=b,c=d", Mode::Fallback, r#"a="b,c=d""#);
        one("", Mode::Utf8, "no matchers");
        one("", Mode::Fallback, "bad matcher format: ");
        one(r#""foo bar"=baz"#, Mode::Fallback, r#""foo bar"="baz""#);
    }

    #[test]
    fn matchers_print_as_upstream_does() {
        for (name, op, value, text) in [
            ("foo", MatchOp::Equal, r"back\slash", r#"foo="back\\slash""#),
            ("foo", MatchOp::Equal, r#"double"quote"#, r#"foo="double\"quote""#),
            ("foo", MatchOp::Equal, "new\nline", r#"foo="new\nline""#),
            ("foo", MatchOp::Equal, "tab\t", "foo=\"tab\t\""),
            ("foo!", MatchOp::NotEqual, "bar", r#""foo!"!="bar""#),
            ("foo bar", MatchOp::Regex, "baz\t", r#""foo bar"=~"baz\t""#),
            ("foo🙂", MatchOp::NotRegex, "bar", r#"foo🙂!~"bar""#),
        ] {
            assert_eq!(Matcher::new(name, op, value).unwrap().to_string(), text);
        }
        assert_eq!(Matchers::default().to_string(), "{}");
    }

    #[test]
    fn matchers_are_sorted_by_name_value_operator() {
        let mut matchers = parse_matchers("b=1,a!~2,a=~2,a!=2,a=2,a=1", Mode::Utf8).unwrap().value;
        matchers.sort();
        assert_eq!(matchers.to_string(), r#"{a="1",a="2",a!="2",a=~"2",a!~"2",b="1"}"#);
    }

    #[track_caller]
    fn check(matcher: &str, labels: Labels, holds: bool, filters: bool) {
        let matcher = parse_matcher(matcher, Mode::Utf8).unwrap().value;
        assert_eq!(matcher.holds(&labels), holds, "{matcher} {labels}");
        assert_eq!(matcher.filters(&labels), filters, "{matcher} {labels}");
    }

    #[test]
    fn absent_label_equals_empty_value() {
        let none = || Labels::from([("job", "api")]);
        check(r#"team="""#, none(), true, true);
        check("team!=x", none(), true, true);
        check(r#"team=~"x?""#, none(), true, true);
        check("team=~x", none(), false, false);
        check(r#"team!~".+""#, none(), true, true);
        check("job=api", none(), true, true);
    }

    /// Trap 6.
    #[test]
    fn filter_with_a_negated_empty_value_asks_for_presence() {
        check(r#"foo!="""#, Labels::from([("a", "b")]), false, false);
        check(r#"foo!="""#, Labels::from([("foo", "x")]), true, true);
        check(r#"foo!="""#, Labels::from([("foo", "")]), false, true);
        check(r#"foo="""#, Labels::from([("foo", "x")]), false, false);
    }

    #[test]
    fn name_rules() {
        for (name, classic, utf8) in [
            ("", false, false),
            ("a_1", true, true),
            ("1a", false, true),
            ("a:b", false, true),
            ("é", false, true),
        ] {
            assert_eq!(NameRule::Classic.allows(name), classic, "{name}");
            assert_eq!(NameRule::Utf8.allows(name), utf8, "{name}");
        }
        assert_eq!(Mode::Classic.names(), NameRule::Classic);
        assert_eq!(Mode::Fallback.names(), NameRule::Utf8);
    }

    fn any_matcher() -> impl Strategy<Value = Matcher> {
        let op = prop::sample::select(vec![
            MatchOp::Equal,
            MatchOp::NotEqual,
            MatchOp::Regex,
            MatchOp::NotRegex,
        ]);
        (any::<String>(), op, any::<String>()).prop_map(|(name, op, value)| {
            let value = if op.is_regex() { regex::escape(&value) } else { value };
            Matcher::new(name, op, value).unwrap()
        })
    }

    proptest! {
        #[test]
        fn printed_matchers_are_read_back(matchers in proptest::collection::vec(any_matcher(), 0..4)) {
            let mut matchers = Matchers(matchers);
            matchers.0.retain(|matcher| !matcher.name().is_empty());
            prop_assert_eq!(parse_matchers(&matchers.to_string(), Mode::Utf8).unwrap().value, matchers);
        }

        #[test]
        fn reading_never_panics(text in "[{}!=~,\"\\\\a-cx0-9\n '`é]{0,24}") {
            for mode in [Mode::Fallback, Mode::Classic, Mode::Utf8] {
                let _ = parse_matchers(&text, mode);
                let _ = parse_matcher(&text, mode);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = String::from_utf8_lossy(&bytes);
            for mode in [Mode::Fallback, Mode::Classic, Mode::Utf8] {
                let _ = (parse_matchers(&text, mode), parse_matcher(&text, mode));
            }
        }
    }
}
