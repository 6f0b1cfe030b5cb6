//! What an anchored expression comes down to: a few words, literals with wildcards between, or something to compile.

use regex::RegexBuilder;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, HirKind, Look};

use super::glob::Glob;
use super::go::NEST_LIMIT;

/// More words than this are compiled.
const MOST_WORDS: usize = 512;

pub(super) enum Shape {
    /// Sorted.
    Words(Box<[Box<str>]>),
    Glob(Glob),
    Compiled {
        regex: regex::Regex,
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
        let regex = RegexBuilder::new(pattern)
            .size_limit(size_limit_bytes)
            .nest_limit(NEST_LIMIT)
            .build()
            .ok()?;
        Some(Self::Compiled { regex, prefix: prefix(&inner) })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Words(words) => words.binary_search_by(|word| (**word).cmp(text)).is_ok(),
            Self::Glob(glob) => glob.is_match(text),
            Self::Compiled { regex, prefix } => {
                text.as_bytes().starts_with(prefix) && regex.is_match(text)
            }
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
