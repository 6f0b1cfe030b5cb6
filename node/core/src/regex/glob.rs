//! Expressions made of literal texts and `.*` or `.+`, the most common ones: matched without a compiled expression.

use regex_syntax::hir::{Dot, Hir, HirKind};

/// Literals in order, with a gap between each two; the first and the last are anchored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Glob {
    /// Without line feeds.
    first: Box<str>,
    rest: Box<[(Gap, Box<str>)]>,
}

/// What `.*` and `.+` match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    /// The fewest bytes; one rune is one byte or more.
    least: usize,
}

impl Glob {
    /// `None` when the expression has other parts.
    pub(super) fn of(hir: &Hir) -> Option<Self> {
        let parts = match hir.kind() {
            HirKind::Concat(parts) => parts.as_slice(),
            _ => std::slice::from_ref(hir),
        };
        let mut literals = vec![String::new()];
        let mut gaps = Vec::new();
        for part in parts {
            if let HirKind::Literal(literal) = part.kind() {
                literals.last_mut()?.push_str(str::from_utf8(&literal.0).ok()?);
            } else {
                gaps.push(gap(part)?);
                literals.push(String::new());
            }
        }
        if gaps.is_empty() || literals.iter().any(|literal| literal.contains('\n')) {
            return None;
        }
        let mut literals = literals.into_iter().map(String::into_boxed_str);
        Some(Self { first: literals.next()?, rest: gaps.into_iter().zip(literals).collect() })
    }

    pub(super) fn prefix(&self) -> &[u8] {
        self.first.as_bytes()
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        let Some(mut text) = text.strip_prefix(&*self.first) else { return false };
        let Some(((last_gap, last), middle)) = self.rest.split_last() else {
            return text.is_empty();
        };
        if text.contains('\n') {
            return false;
        }
        for (gap, literal) in middle {
            match find(text, *gap, literal) {
                Some(rest) => text = rest,
                None => return false,
            }
        }
        text.strip_suffix(&**last).is_some_and(|between| last_gap.least <= between.len())
    }
}

/// What comes after the first place of the literal that leaves the gap.
fn find<'a>(text: &'a str, gap: Gap, literal: &str) -> Option<&'a str> {
    let skipped = match gap.least {
        0 => 0,
        _ => text.chars().next()?.len_utf8(),
    };
    let from = text.get(skipped..)?;
    from.find(literal).and_then(|at| from.get(at + literal.len()..))
}

fn gap(part: &Hir) -> Option<Gap> {
    let HirKind::Repetition(repetition) = part.kind() else { return None };
    let any = *repetition.sub == Hir::dot(Dot::AnyCharExceptLF);
    let least = repetition.min;
    (any && repetition.max.is_none() && least <= 1).then_some(Gap { least: least as usize })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::regex::Regex;

    fn glob(pattern: &str) -> Option<Glob> {
        Glob::of(&regex_syntax::parse(pattern).unwrap())
    }

    #[test]
    fn only_literals_and_wildcards_are_globs() {
        for pattern in [".*", "a.*", ".+a", "a.*b.+c", r"host-1\..*", ".*.*"] {
            assert!(glob(pattern).is_some(), "{pattern}");
        }
        for pattern in ["a", "a.b", "(?s)a.*", "a.{2,}", "a.*?b|c", "(?i)a.*", "a.*\n", "[ab].*"] {
            assert!(glob(pattern).is_none(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn glob_agrees_with_the_compiled_expression(
            pattern in "([abé]|\\.\\*|\\.\\+){1,7}",
            texts in proptest::collection::vec("[abé\n]{0,8}", 1..20),
        ) {
            let compiled = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            let ours = Regex::anchored(&pattern).unwrap();
            for text in &texts {
                prop_assert_eq!(ours.is_match(text), compiled.is_match(text), "{} {:?}", pattern, text);
            }
        }
    }
}
