//! Go's regular expressions on top of the `regex` crate.
//!
//! The two languages are sisters (RE2). What differs is rewritten: `\d \w \s \b` are ASCII in Go,
//! classes do not nest there, and a brace that counts nothing is a plain character. Mistakes get
//! Go's messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use regex::bytes::{Regex, RegexBuilder};

use crate::re2;

/// Compiled patterns are kept up to this number, since templates use the same few again and again.
const CACHE_MAX: usize = 256;

/// What a compiled pattern may cost in memory.
const SIZE_MAX: usize = 10 << 20;

/// Compiles a pattern, or finds it compiled.
///
/// # Errors
/// Go's message, such as ``error parsing regexp: missing closing ): `(` ``.
pub(crate) fn compile(pattern: &str) -> Result<Arc<Regex>, String> {
    static CACHE: Mutex<Option<HashMap<String, Arc<Regex>>>> = Mutex::new(None);
    let lock = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = lock().get_or_insert_default().get(pattern) {
        return Ok(found.clone());
    }
    let regex = Arc::new(compile_now(pattern)?);
    let mut cache = lock();
    let cache = cache.get_or_insert_default();
    if cache.len() >= CACHE_MAX {
        cache.clear();
    }
    cache.insert(pattern.to_owned(), regex.clone());
    Ok(regex)
}

fn compile_now(pattern: &str) -> Result<Regex, String> {
    let fail = |message: String| format!("error parsing regexp: {message}");
    let translated = re2::translate(pattern).map_err(fail)?;
    RegexBuilder::new(&translated).size_limit(SIZE_MAX).nest_limit(100).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => fail(format!("expression too large: `{pattern}`")),
            _ => fail(last_line(&error.to_string(), pattern)),
        }
    })
}

/// The crate explains a mistake in its last line; it can only be one that Go's rules allow.
fn last_line(message: &str, pattern: &str) -> String {
    let line = message.lines().last().unwrap_or(message);
    format!("{}: `{pattern}`", line.trim_start_matches("error: "))
}

/// Replaces every match; `$1`, `${1}`, `$name` and `$$` in `replacement` are expanded as in Go.
///
/// # Errors
/// When the result would be longer than `room` bytes.
pub(crate) fn replace_all(
    regex: &Regex,
    text: &str,
    replacement: &str,
    room: usize,
) -> Result<String, String> {
    let mut out = Vec::new();
    let mut done = 0;
    for groups in regex.captures_iter(text.as_bytes()) {
        let Some(whole) = groups.get(0) else { continue };
        if whole.is_empty() && !text.is_char_boundary(whole.start()) {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[done..whole.start()]);
        groups.expand(replacement.as_bytes(), &mut out);
        done = whole.end();
        if out.len() > room {
            return Err("result is too large".to_owned());
        }
    }
    out.extend_from_slice(&text.as_bytes()[done..]);
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{compile, replace_all};

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(compile(pattern).unwrap().is_match(text.as_bytes()), expected, "{pattern}");
    }

    #[test]
    fn escapes_are_ascii() {
        check(r"^\d$", "٣", false);
        check(r"^\w$", "é", false);
        check(r"^[\w]$", "_", true);
        check(r"^\D$", "٣", true);
        check(r"^[^\d]$", "٣", true);
        check(r"é\b", "é", false);
        check(r"\bfoo\b", "a foo b", true);
    }

    #[test]
    fn what_the_crate_reads_differently() {
        check(r"^[[a]$", "[", true);
        check(r"^[a&&b]$", "&", true);
        check(r"^a{,5}$", "a{,5}", true);
        check(r"^{a}$", "{a}", true);
        check(r"^\Qa.b\E.$", "a.bc", true);
        check(r"^[]a]$", "]", true);
        check(r"^[a-]$", "-", true);
        check(r"^\x41\x{42}\103$", "ABC", true);
        check(r"^[[:alpha:]]$", "é", false);
        check(r"^\pL\p{Greek}\P{Greek}$", "éαb", true);
        check(r"(?i)ABC", "abc", true);
        check(r"a b # c", "a b # c", true);
    }

    #[track_caller]
    fn refused(pattern: &str, message: &str) {
        assert_eq!(compile(pattern).unwrap_err(), format!("error parsing regexp: {message}"));
    }

    #[test]
    fn mistakes_have_go_s_messages() {
        refused("(", "missing closing ): `(`");
        refused("a)", "unexpected ): `a)`");
        refused("a**", "invalid nested repetition operator: `**`");
        refused("*a", "missing argument to repetition operator: `*`");
        refused("[z-a]", "invalid character class range: `z-a`");
        refused("[a", "missing closing ]: `[a`");
        refused("[[:foo:]]", "invalid character class range: `[:foo:]`");
        refused(r"\pX", r"invalid character class range: `\pX`");
        refused(r"\8", r"invalid escape sequence: `\8`");
        refused("x{2000}", "invalid repeat count: `{2000}`");
        refused("(?P<n", "invalid named capture: `(?P<n`");
        refused("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
        refused("\\", "trailing backslash at end of expression: ``");
    }

    #[test]
    fn groups_are_expanded_as_in_go() {
        let regex = compile(r"(\w+):(\d+)").unwrap();
        let text = replace_all(&regex, "host:9100", "$2-${1}x $1x $$ $", 100).unwrap();
        assert_eq!(text, "9100-hostx  $ $");
        let empty = compile("a*").unwrap();
        assert_eq!(replace_all(&empty, "baac", "-", 100).unwrap(), "-b-c-");
        assert!(replace_all(&empty, "baac", "--", 3).is_err());
    }

    proptest! {
        #[test]
        fn any_pattern_compiles_or_is_refused(pattern in ".{0,30}") {
            let _ = compile(&pattern);
        }

        #[test]
        fn odd_patterns_compile_or_are_refused(pattern in r"[\[\]\\(){}?*+^$|.,:<>P=iUx0-9a-f&~-]{0,20}") {
            let _ = compile(&pattern);
        }
    }
}
