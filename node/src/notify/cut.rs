//! Shortening texts to a receiver's limit.

/// Cuts to `max` Unicode code points; a longer text ends with `…`. Tells whether it was cut.
pub(crate) fn runes(text: &str, max: usize) -> (String, bool) {
    if text.chars().nth(max).is_none() {
        return (text.to_owned(), false);
    }
    if max <= 3 {
        return (text.chars().take(max).collect(), true);
    }
    let mut cut: String = text.chars().take(max - 1).collect();
    cut.push('…');
    (cut, true)
}

/// Cuts to `max` bytes at a character boundary; a longer text ends with `…`, which has three.
pub(crate) fn bytes(text: &str, max: usize) -> (String, bool) {
    if text.len() <= max {
        return (text.to_owned(), false);
    }
    if max < 3 {
        return (".".repeat(max), true);
    }
    (format!("{}…", prefix(text, max - 3)), true)
}

/// The longest whole-character prefix of at most `max` bytes.
pub(crate) fn prefix(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, max: usize, in_runes: &str, in_bytes: &str) {
        assert_eq!(runes(text, max).0, in_runes, "runes");
        assert_eq!(bytes(text, max).0, in_bytes, "bytes");
    }

    #[test]
    fn long_texts_end_with_an_ellipsis() {
        check("abcde", 4, "abc…", "a…");
        check("abcde", 2, "ab", "..");
        check("abcde", 3, "abc", "…");
        check("abcde", 5, "abcde", "abcde");
        check("a⌘cde", 5, "a⌘cde", "a…");
        check("世界cdef", 3, "世界c", "…");
        check("", 0, "", "");
    }
}
