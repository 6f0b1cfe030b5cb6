//! Query parameters, read as Go's `net/url` and upstream's framework do.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The parameters of one request, in order.
#[derive(Debug, Default)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Takes the part behind `?` apart. A pair with a wrong escape or a semicolon is dropped.
    pub(crate) fn parse(text: &'a str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        Self(pairs.filter_map(pair).collect())
    }

    /// All values of a parameter.
    pub(crate) fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// The first value of a parameter, empty when there is none: what API v1 reads.
    pub(crate) fn first(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The last value of a parameter, empty when there is none: what API v2 reads.
    pub(crate) fn last(&self, name: &str) -> &str {
        self.0.iter().rev().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A switch of API v2 that is on by default: what does not say yes says no.
    pub(crate) fn switch(&self, name: &str) -> bool {
        const YES: [&str; 10] =
            ["true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"];
        let value = self.last(name);
        value.is_empty() || YES.iter().any(|yes| value.eq_ignore_ascii_case(yes))
    }
}

fn pair(text: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Some((unescape(name, true)?, unescape(value, true)?))
}

/// Percent escapes taken out, or nothing when one is wrong. In queries `+` is a space.
pub(crate) fn unescape(text: &str, plus: bool) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    let wrong = |at: usize| {
        let digits = bytes.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let mut escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    if escapes.any(|(at, _)| wrong(at)) {
        return None;
    }
    if plus && text.contains('+') {
        let spaced = text.replace('+', " ");
        return Some(Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned()));
    }
    Some(percent_decode_str(text).decode_utf8_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_unescaped_and_wrong_ones_dropped() {
        let query = Query::parse("filter=a%3D%22b+c%22&&x=%zz&filter=d;e&filter=%C3%A9&active");
        assert_eq!(query.all("filter").collect::<Vec<_>>(), ["a=\"b c\"", "é"]);
        assert_eq!(query.last("x"), "");
        assert_eq!(query.first("filter"), "a=\"b c\"");
        assert_eq!(query.last("filter"), "é");
    }

    #[test]
    fn switch_is_on_unless_something_else_than_yes_is_said() {
        #[track_caller]
        fn check(text: &str, expected: bool) {
            assert_eq!(Query::parse(text).switch("active"), expected, "{text}");
        }
        check("", true);
        check("active=", true);
        check("active=TRUE", true);
        check("active=maybe", false);
        check("active=true&active=false", false);
        check("active=0&active=On", true);
    }
}
