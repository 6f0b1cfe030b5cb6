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
        if self.name.chars().any(is_reserved) {
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
