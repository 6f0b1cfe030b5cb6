//! Queries of addresses, and which texts of alerts may be links.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',').remove(b':');

/// A query made of pairs, with its `?`; nothing when there are none.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        out.push(if out.is_empty() { '?' } else { '&' });
        let _ = write!(out, "{name}={}", utf8_percent_encode(value, KEPT));
    }
    out
}

/// Whether a text from outside may be the target of a link: web addresses only, without a space or control character.
pub(super) fn is_web(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    (lower.starts_with("http://") || lower.starts_with("https://"))
        && !text.chars().any(|rune| rune.is_control() || rune.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        for yes in ["http://a/b", "https://x", "HTTPS://x/é"] {
            assert!(is_web(yes), "{yes}");
        }
        for no in [
            "javascript:alert(1)",
            " http://a",
            "data:text/html,x",
            "",
            "http://a b",
            "ftp://a",
            "https:/x\n",
        ] {
            assert!(!is_web(no), "{no}");
        }
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(
            query([("filter", "{a=\"b c\"}"), ("x", "&")]),
            "?filter=%7Ba%3D%22b%20c%22%7D&x=%26"
        );
        assert_eq!(query([]), "");
    }
}
