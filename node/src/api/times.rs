//! Moments in JSON: every form that upstream's API reads, and the two that it prints.

use jiff::Timestamp;
use tocsin_core::time;

use super::json::JsonError;

/// A moment that could not be read, with the form tried last.
fn bad_time(text: &str, form: &str) -> JsonError {
    let quoted = super::error::go_quote(text);
    JsonError::Value(format!(
        "parsing time {quoted} as {form:?}: cannot parse {quoted} as \"2006\""
    ))
}

/// Reads a moment of API v2. The zero time is unset; the empty text is 1970, which is not.
///
/// # Errors
/// With Go's words about the form that it tries last.
pub(super) fn parse_v2(text: &str) -> Result<Option<Timestamp>, JsonError> {
    time::parse_api_time(text).map_err(|_| bad_time(text, "2006-01-02 15:04:05"))
}

/// Reads a moment of API v1: RFC 3339 alone.
///
/// # Errors
/// With Go's words.
pub(super) fn parse_v1(text: &str) -> Result<Option<Timestamp>, JsonError> {
    time::parse_rfc3339(text).map_err(|_| {
        let quoted = super::error::go_quote(&format!("\"{text}\""));
        let form = r#""\"2006-01-02T15:04:05Z07:00\"""#;
        let rest = super::error::go_quote(&format!("{text}\""));
        JsonError::Value(format!(
            "parsing time {quoted} as {form}: cannot parse {rest} as \"2006\""
        ))
    })
}

/// Appends a moment in quotes, to the millisecond, as API v2 prints it.
pub(super) fn push_millis(out: &mut Vec<u8>, at: Timestamp) {
    out.push(b'"');
    time::push_millis(out, at);
    out.push(b'"');
}

/// Appends a moment in quotes, to the nanosecond, as API v1 prints it: zeros at the end dropped.
pub(super) fn push_nanos(out: &mut Vec<u8>, at: Timestamp) {
    out.push(b'"');
    time::push_nanos(out, at);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let read = parse_v2(text).map(|at| at.map_or("unset".into(), |at| at.to_string()));
        assert_eq!(read.ok().as_deref(), expected, "{text}");
    }

    #[test]
    fn every_form_of_upstream_is_read() {
        check("2026-11-22T10:00:00Z", Some("2026-11-22T10:00:00Z"));
        check("2026-11-22T10:00:00.123456789+02:00", Some("2026-11-22T08:00:00.123456789Z"));
        check("2026-11-22T10:00:00.5-0530", Some("2026-11-22T15:30:00.5Z"));
        check("2026-11-22T10:00:00", Some("2026-11-22T10:00:00Z"));
        check("2026-11-22T10:00Z", Some("2026-11-22T10:00:00Z"));
        check("2026-11-22T10:00", Some("2026-11-22T10:00:00Z"));
        check("2026-11-22 10:00:07", Some("2026-11-22T10:00:07Z"));
        check("2024-02-29", Some("2024-02-29T00:00:00Z"));
        check("", Some("1970-01-01T00:00:00Z"));
        check("0001-01-01T00:00:00Z", Some("unset"));
        check("9999-12-31T23:59:59Z", Some("9999-12-30T22:00:00.999999999Z"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["yesterday", "2026-02-30", "2026-11-22T25:00:00Z", "2026-11-22T10:00:00.Z"] {
            check(text, None);
        }
        for text in ["2026-11-22 10:00:00Z", "2026-11-22T10:00:00Zx", "2026-1-2", "+026-11-22"] {
            check(text, None);
        }
        let complaint = "parsing time \"yesterday\" as \"2006-01-02 15:04:05\": \
            cannot parse \"yesterday\" as \"2006\"";
        assert_eq!(parse_v2("yesterday").unwrap_err().to_string(), complaint);
        assert!(parse_v1("2026-11-22").is_err());
        assert!(parse_v1("2026-11-22T10:00:00+0200").is_err());
        assert!(parse_v1("2026-11-22T10:00:00+02:00").is_ok());
    }

    proptest! {
        #[test]
        fn printed_moment_is_read_back(seconds in -62_000_000_000_i64..253_000_000_000, nanos in 0..1_000_000_000_i32) {
            let at = Timestamp::new(seconds, nanos).unwrap();
            let mut out = Vec::new();
            push_nanos(&mut out, at);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(&text, &format!("\"{at}\""));
            prop_assert_eq!(parse_v1(text.trim_matches('"')).unwrap(), Some(at));
            let mut out = Vec::new();
            push_millis(&mut out, at);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("\"{at:.3}\""));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:. +\\-]{0,30}") {
            let _ = parse_v2(&text);
        }
    }
}
