//! The JSON shapes of API v2: what is posted, read into the values of the core, and the pieces of
//! which answers are written. The shapes of API v1 are in `v1.rs`.
//!
//! Names of fields are matched without regard to case and unknown ones ignored, as Go does.

use std::borrow::Cow;

use jiff::Timestamp;
use tocsin_core::{
    alert::AlertInput,
    label::Labels,
    matcher::MatchOp,
    silence::{RawMatcher, SilenceInput},
};

use super::{
    error::ApiError,
    json::{self, JsonError, Reader, push_string},
    times, uri,
};

/// Reads what API v2 gets as alerts.
///
/// # Errors
/// Upstream's complaint about the first mistake; nothing of the batch is taken then.
pub(super) fn read_alerts(text: &str) -> Result<Vec<AlertInput>, ApiError> {
    if Reader::new(text).is_empty() {
        return Err(ApiError::required("alerts"));
    }
    let mut posted = Vec::new();
    json::read(text, |reader| {
        reader.array("Go value of type models.PostableAlerts", |reader| {
            posted.push(read_alert(reader)?);
            Ok(())
        })
    })
    .map_err(|error| ApiError::parsing("alerts", &error))?;
    for (index, alert) in posted.iter().enumerate() {
        let url = &alert.input.generator_url;
        if !url.is_empty() && !uri::is_request_uri(url) {
            let quoted = super::error::go_quote(url);
            let message = format!("{index}.generatorURL in body must be of type uri: {quoted}");
            return Err(ApiError::framework(601, message));
        }
        if !alert.has_labels {
            return Err(ApiError::required(&format!("{index}.labels")));
        }
    }
    Ok(posted.into_iter().map(|alert| alert.input).collect())
}

struct PostedAlert {
    input: AlertInput,
    has_labels: bool,
}

fn read_alert(reader: &mut Reader<'_>) -> Result<PostedAlert, JsonError> {
    const TIME: [&str; 2] =
        ["Go struct field .startsAt of type string", "Go struct field .endsAt of type string"];
    let mut input = AlertInput::default();
    let mut has_labels = false;
    reader.object(ALERT_KIND, |reader, name| {
        match field(&name, &["labels", "annotations", "startsAt", "endsAt", "generatorURL"]) {
            Some("labels") => {
                let labels = read_labels(
                    reader,
                    "Go struct field Alert.labels of type models.LabelSet",
                    "Go struct field Alert.labels of type string",
                )?;
                has_labels = labels.is_some();
                input.labels = labels.unwrap_or_default();
            }
            Some("annotations") => {
                let annotations = read_labels(
                    reader,
                    "Go struct field .annotations of type models.LabelSet",
                    "Go struct field .annotations of type string",
                )?;
                input.annotations = annotations.unwrap_or_default();
            }
            Some("startsAt") => input.starts_at = read_time(reader, TIME[0])?,
            Some("endsAt") => input.ends_at = read_time(reader, TIME[1])?,
            Some(_) => {
                const WANT: &str = "Go struct field Alert.generatorURL of type string";
                let url = reader.string(WANT)?.unwrap_or_default();
                input.generator_url = url.into_owned().into();
            }
            None => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(PostedAlert { input, has_labels })
}

const ALERT_KIND: &str = "Go value of type struct { Annotations models.LabelSet \
    \"json:\\\"annotations,omitempty\\\"\"; EndsAt strfmt.DateTime \"json:\\\"endsAt,omitempty\\\"\"; \
    StartsAt strfmt.DateTime \"json:\\\"startsAt,omitempty\\\"\" }";

/// The known name that a field's name stands for.
pub(super) fn field(name: &str, known: &[&'static str]) -> Option<&'static str> {
    known.iter().copied().find(|known| name.eq_ignore_ascii_case(known))
}

/// Reads an object of texts; `null` is none, a `null` value is the empty text.
pub(super) fn read_labels(
    reader: &mut Reader<'_>,
    want_set: &'static str,
    want_value: &'static str,
) -> Result<Option<Labels>, JsonError> {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(8);
    let is_object = reader.object(want_set, |reader, name| {
        let value = reader.string(want_value)?.unwrap_or_default();
        pairs.push((name, value));
        Ok(())
    })?;
    Ok(is_object.then(|| Labels::new(pairs)))
}

fn read_time(reader: &mut Reader<'_>, want: &'static str) -> Result<Option<Timestamp>, JsonError> {
    match reader.string(want)? {
        Some(text) => times::parse_v2(&text),
        None => Ok(None),
    }
}

/// Reads what API v2 gets as a silence.
///
/// # Errors
/// Upstream's complaint about the first mistake.
pub(super) fn read_silence(text: &str) -> Result<SilenceInput, ApiError> {
    if Reader::new(text).is_empty() {
        return Err(ApiError::required("silence"));
    }
    let posted = json::read(text, read_posted_silence);
    let posted = posted.map_err(|error| ApiError::parsing("silence", &error))?;
    let missing = |name: &str| ApiError::required(name);
    let comment = posted.comment.ok_or_else(|| missing("comment"))?;
    let created_by = posted.created_by.ok_or_else(|| missing("createdBy"))?;
    let ends_at = posted.ends_at.ok_or_else(|| missing("endsAt"))?;
    let matchers = posted.matchers.ok_or_else(|| missing("matchers"))?;
    if matchers.is_empty() {
        let message = "matchers in body should have at least 1 items";
        return Err(ApiError::framework(612, message));
    }
    let matchers = matchers.into_iter().enumerate().map(|(at, matcher)| matcher.check(at));
    let matchers = matchers.collect::<Result<_, _>>()?;
    let starts_at = posted.starts_at.ok_or_else(|| missing("startsAt"))?;
    Ok(SilenceInput {
        id: posted.id.into(),
        matcher_sets: vec![matchers],
        starts_at,
        ends_at,
        created_by: created_by.into(),
        comment: comment.into(),
        annotations: posted.annotations,
    })
}

/// The outer `Option` tells whether the field was there at all, the inner one of a time whether
/// it was set.
#[derive(Default)]
struct PostedSilence {
    id: String,
    matchers: Option<Vec<PostedMatcher>>,
    starts_at: Option<Option<Timestamp>>,
    ends_at: Option<Option<Timestamp>>,
    created_by: Option<String>,
    comment: Option<String>,
    annotations: Labels,
}

fn read_posted_silence(reader: &mut Reader<'_>) -> Result<PostedSilence, JsonError> {
    const NAMES: [&str; 7] =
        ["id", "matchers", "startsAt", "endsAt", "createdBy", "comment", "annotations"];
    let mut posted = PostedSilence::default();
    reader.object(
        "Go value of type struct { ID string \"json:\\\"id,omitempty\\\"\" }",
        |reader, name| {
            match field(&name, &NAMES) {
                Some("id") => {
                    let id = reader.string("Go struct field .id of type string")?;
                    posted.id = id.unwrap_or_default().into_owned();
                }
                Some("matchers") => posted.matchers = read_matchers(reader)?,
                Some("startsAt") => {
                    posted.starts_at =
                        read_given_time(reader, "Go struct field Silence.startsAt of type string")?;
                }
                Some("endsAt") => {
                    posted.ends_at =
                        read_given_time(reader, "Go struct field Silence.endsAt of type string")?;
                }
                Some("createdBy") => {
                    let text = reader.string("Go struct field Silence.createdBy of type string")?;
                    posted.created_by = text.map(Cow::into_owned);
                }
                Some("comment") => {
                    let text = reader.string("Go struct field Silence.comment of type string")?;
                    posted.comment = text.map(Cow::into_owned);
                }
                Some(_) => {
                    let annotations = read_labels(
                        reader,
                        "Go struct field Silence.annotations of type models.LabelSet",
                        "Go struct field Silence.annotations of type string",
                    )?;
                    posted.annotations = annotations.unwrap_or_default();
                }
                None => reader.skip()?,
            }
            Ok(())
        },
    )?;
    Ok(posted)
}

fn read_given_time(
    reader: &mut Reader<'_>,
    want: &'static str,
) -> Result<Option<Option<Timestamp>>, JsonError> {
    reader.string(want)?.map(|text| times::parse_v2(&text)).transpose()
}

/// A matcher of a posted silence; `isEqual` alone may be left out.
#[derive(Default)]
struct PostedMatcher {
    name: Option<String>,
    value: Option<String>,
    is_regex: Option<bool>,
    is_equal: Option<bool>,
}

impl PostedMatcher {
    fn check(self, at: usize) -> Result<RawMatcher, ApiError> {
        let missing = |name: &str| ApiError::required(&format!("matchers.{at}.{name}"));
        let is_regex = self.is_regex.ok_or_else(|| missing("isRegex"))?;
        let name = self.name.ok_or_else(|| missing("name"))?;
        let value = self.value.ok_or_else(|| missing("value"))?;
        let op = MatchOp::from_flags(self.is_equal.unwrap_or(true), is_regex);
        Ok(RawMatcher { name: name.into(), op, value: value.into() })
    }
}

fn read_matchers(reader: &mut Reader<'_>) -> Result<Option<Vec<PostedMatcher>>, JsonError> {
    let mut matchers = Vec::new();
    if reader.skip_null()? {
        return Ok(None);
    }
    reader.array("Go struct field Silence.matchers of type models.Matchers", |reader| {
        matchers.push(read_matcher(reader)?);
        Ok(())
    })?;
    Ok(Some(matchers))
}

fn read_matcher(reader: &mut Reader<'_>) -> Result<PostedMatcher, JsonError> {
    let mut matcher = PostedMatcher::default();
    reader.object("Go struct field Silence.matchers of type models.Matcher", |reader, name| {
        match field(&name, &["name", "value", "isRegex", "isEqual"]) {
            Some("name") => {
                let text = reader.string("Go struct field Matcher.matchers.name of type string")?;
                matcher.name = text.map(Cow::into_owned);
            }
            Some("value") => {
                let text =
                    reader.string("Go struct field Matcher.matchers.value of type string")?;
                matcher.value = text.map(Cow::into_owned);
            }
            Some("isRegex") => {
                const WANT: &str = "Go struct field Matcher.matchers.isRegex of type bool";
                matcher.is_regex = reader.boolean(WANT)?;
            }
            Some(_) => {
                const WANT: &str = "Go struct field Matcher.matchers.isEqual of type bool";
                matcher.is_equal = reader.boolean(WANT)?;
            }
            None => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(matcher)
}

/// Appends an object of texts. The pairs come sorted by name.
pub(super) fn push_labels<'a>(
    out: &mut Vec<u8>,
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    out.push(b'{');
    for (index, (name, value)) in labels.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(out, name);
        out.push(b':');
        push_string(out, value);
    }
    out.push(b'}');
}

/// Appends items by `push`, in brackets, commas between.
pub(super) fn push_array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(out, item);
    }
    out.push(b']');
}

/// Appends text as it is.
pub(super) fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_alerts(text: &str, expected: Result<usize, (u16, &str)>) {
        let expected = expected.map_err(|(code, message)| ApiError::framework(code, message));
        assert_eq!(read_alerts(text).map(|alerts| alerts.len()), expected, "{text}");
    }

    /// Taken from upstream 0.25's answers.
    #[test]
    fn complaints_about_alerts_are_upstreams() {
        let parsing =
            |because: &str| format!("parsing alerts body from \"\" failed, because {because}");
        check_alerts("", Err((602, "alerts in body is required")));
        check_alerts("null", Ok(0));
        check_alerts("[]", Ok(0));
        check_alerts("[{}]", Err((602, "0.labels in body is required")));
        check_alerts(r#"[{"labels":null}]"#, Err((602, "0.labels in body is required")));
        check_alerts(r#"[{"labels":{"a":null,"b":"c"}}]xx"#, Ok(1));
        check_alerts(r#"[{"LABELS":{"a":"b"},"startsAt":null,"other":[1,{}]}]"#, Ok(1));
        check_alerts(
            r#"[{"labels":{"a":"b"},"generatorURL":"rel/path"}]"#,
            Err((601, r#"0.generatorURL in body must be of type uri: "rel/path""#)),
        );
        for (text, because) in [
            ("{}", "json: cannot unmarshal object into Go value of type models.PostableAlerts"),
            ("[", "unexpected EOF"),
            (
                r#"[{"labels":{"a":1}}]"#,
                "json: cannot unmarshal number into Go struct field Alert.labels of type string",
            ),
            (
                r#"[{"labels":{"a":"b"},"startsAt":5}]"#,
                "json: cannot unmarshal number into Go struct field .startsAt of type string",
            ),
            (
                r#"[{"labels":{"a":"b"},"annotations":[1]}]"#,
                "json: cannot unmarshal array into Go struct field .annotations of type models.LabelSet",
            ),
            (r#"[{"labels":{"a":1}},]"#, "invalid character ']' looking for beginning of value"),
        ] {
            check_alerts(text, Err((400, &parsing(because))));
        }
    }

    #[test]
    fn fields_of_an_alert_are_read() {
        let text = r#"[{"labels":{"b":"2","a":"1"},"annotations":{"x":""},
            "startsAt":"2026-11-22T10:00:00+02:00","generatorURL":"http://p/g?x=1"}]"#;
        let alerts = read_alerts(text).unwrap();
        assert_eq!(alerts[0].labels.to_string(), r#"{a="1", b="2"}"#);
        assert!(alerts[0].annotations.has("x"));
        assert_eq!(alerts[0].starts_at.unwrap().to_string(), "2026-11-22T08:00:00Z");
        assert_eq!(alerts[0].ends_at, None);
        assert_eq!(&*alerts[0].generator_url, "http://p/g?x=1");
    }

    #[track_caller]
    fn check_silence(text: &str, code: u16, message: &str) {
        assert_eq!(read_silence(text), Err(ApiError::framework(code, message)), "{text}");
    }

    #[test]
    fn complaints_about_silences_come_in_upstreams_order() {
        check_silence("", 602, "silence in body is required");
        check_silence("{}", 602, "comment in body is required");
        check_silence(r#"{"comment":""}"#, 602, "createdBy in body is required");
        check_silence(r#"{"comment":"","createdBy":""}"#, 602, "endsAt in body is required");
        let base = r#""comment":"","createdBy":"","endsAt":"2026-11-22T10:00:00Z""#;
        check_silence(&format!("{{{base}}}"), 602, "matchers in body is required");
        check_silence(
            &format!(r#"{{{base},"matchers":null}}"#),
            602,
            "matchers in body is required",
        );
        check_silence(
            &format!(r#"{{{base},"matchers":[]}}"#),
            612,
            "matchers in body should have at least 1 items",
        );
        check_silence(
            &format!(r#"{{{base},"matchers":[{{"name":"a"}}]}}"#),
            602,
            "matchers.0.isRegex in body is required",
        );
        let matcher = r#"{"name":"a","value":"b","isRegex":false}"#;
        check_silence(
            &format!(r#"{{{base},"matchers":[{matcher}]}}"#),
            602,
            "startsAt in body is required",
        );
    }

    #[test]
    fn fields_of_a_silence_are_read() {
        let text = r#"{"id":"x","comment":"c","createdBy":"me","startsAt":"0001-01-01T00:00:00Z",
            "endsAt":"2026-11-22T10:00:00Z","annotations":{"k":"v"},"matchers":[
            {"name":"a","value":"b","isRegex":true},{"name":"c","value":"","isRegex":false,"isEqual":false}]}"#;
        let silence = read_silence(text).unwrap();
        assert_eq!((&*silence.id, &*silence.comment, &*silence.created_by), ("x", "c", "me"));
        assert_eq!(silence.starts_at, None);
        assert_eq!(silence.annotations.get("k"), "v");
        let ops: Vec<MatchOp> = silence.matcher_sets[0].iter().map(|matcher| matcher.op).collect();
        assert_eq!(ops, [MatchOp::Regex, MatchOp::NotEqual]);
    }
}
