//! What an anchored expression comes down to: a few words, literals with wildcards between, or something to compile.

use std::sync::OnceLock;

use regex::RegexBuilder;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::glob::Glob;
use super::go::NEST_LIMIT;

/// More words than this are compiled.
const MOST_WORDS: usize = 512;
/// What a state of the compiled expression may take, generously.
const STATE_BYTES: usize = 64;
/// States that one range of characters may need: its borders in each length of UTF-8.
const RANGE_STATES: usize = 32;

pub(super) enum Shape {
    /// Sorted.
    Words(Box<[Box<str>]>),
    Glob(Glob),
    Compiled {
        pattern: Box<str>,
        /// Made when it is first asked, unless only making it tells whether it is too large: most expressions of a
        /// configuration that is only checked are never asked.
        regex: OnceLock<Option<regex::Regex>>,
        size_limit_bytes: usize,
        /// Every match begins with these bytes.
        prefix: Box<[u8]>,
    },
}

impl Shape {
    /// `None` when it is too large.
    pub(super) fn of(pattern: &str, size_limit_bytes: usize) -> Option<Self> {
        let mut parser = regex_syntax::ParserBuilder::new().nest_limit(NEST_LIMIT).build();
        let inner = without_anchors(parser.parse(pattern).ok()?);
        if let Some(words) = words(&inner) {
            return Some(Self::Words(words));
        }
        if let Some(glob) = Glob::of(&inner) {
            return Some(Self::Glob(glob));
        }
        let regex = OnceLock::new();
        if states(&inner).saturating_mul(STATE_BYTES) > size_limit_bytes {
            let compiled = compile(pattern, size_limit_bytes)?;
            regex.get_or_init(|| Some(compiled));
        }
        let prefix = prefix(&inner);
        Some(Self::Compiled { pattern: pattern.into(), regex, size_limit_bytes, prefix })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Words(words) => words.binary_search_by(|word| (**word).cmp(text)).is_ok(),
            Self::Glob(glob) => glob.is_match(text),
            Self::Compiled { pattern, regex, size_limit_bytes, prefix } => {
                text.as_bytes().starts_with(prefix) && {
                    let regex = regex.get_or_init(|| compile(pattern, *size_limit_bytes));
                    debug_assert!(regex.is_some(), "{pattern} was thought to be small");
                    regex.as_ref().is_some_and(|regex| regex.is_match(text))
                }
            }
        }
    }
}

fn compile(pattern: &str, size_limit_bytes: usize) -> Option<regex::Regex> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(size_limit_bytes).nest_limit(NEST_LIMIT).build().ok()
}

/// More states than the compiled expression has.
fn states(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() + 1,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len().saturating_mul(RANGE_STATES),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len().saturating_mul(RANGE_STATES),
        HirKind::Repetition(repeat) => {
            let times = repeat.max.unwrap_or(repeat.min.saturating_add(1)).max(1);
            let times = usize::try_from(times).unwrap_or(usize::MAX);
            states(&repeat.sub).saturating_add(2).saturating_mul(times)
        }
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(2, |sum, part| sum.saturating_add(states(part)).saturating_add(1))
        }
    }
}

/// The expression between the anchors of a whole text.
fn without_anchors(hir: Hir) -> Hir {
    let HirKind::Concat(parts) = hir.kind() else { return hir };
    let is = |part: &Hir, look: Look| matches!(part.kind(), HirKind::Look(found) if *found == look);
    let from = parts.iter().take_while(|part| is(part, Look::Start)).count();
    let after = parts.iter().rev().take_while(|part| is(part, Look::End)).count();
    let inner = parts.get(from..parts.len() - after).unwrap_or_default();
    Hir::concat(inner.to_vec())
}

fn words(inner: &Hir) -> Option<Box<[Box<str>]>> {
    if !inner.properties().look_set().is_empty() {
        return None; // The extractor takes what looks around for nothing.
    }
    let mut extractor = Extractor::new();
    extractor.limit_total(MOST_WORDS).limit_literal_len(1024);
    let found = extractor.extract(inner);
    if !found.is_exact() {
        return None;
    }
    let words = found.literals()?.iter();
    let mut words: Vec<Box<str>> = words
        .map(|word| Some(str::from_utf8(word.as_bytes()).ok()?.into()))
        .collect::<Option<_>>()?;
    words.sort();
    words.dedup();
    Some(words.into())
}

fn prefix(inner: &Hir) -> Box<[u8]> {
    let found = Extractor::new().extract(inner);
    found.longest_common_prefix().unwrap_or_default().into()
}
