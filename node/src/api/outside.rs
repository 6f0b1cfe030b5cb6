//! The readers of what clients post, one after another over one text: for the fuzzer and the replay of its inputs.

use tocsin_core::label::Labels;
use tocsin_core::matcher::NameRule;

use super::{json, times, uri, v1, wire};

pub(crate) use json::text as json_text;

/// The label sets that either version of the API reads out of the text.
pub(crate) fn alerts_of(text: &str) -> Vec<Labels> {
    let mut inputs = wire::read_alerts(text).unwrap_or_default();
    for names in [NameRule::Utf8, NameRule::Classic] {
        inputs.extend(v1::read_alerts(text, names).unwrap_or_default());
    }
    inputs.into_iter().map(|input| input.labels).collect()
}

/// Reads a silence in both versions of the API.
pub(crate) fn silence_of(text: &str) {
    // Complaints are as good as silences.
    let _ = (wire::read_silence(text), json::read(text, v1::read_silence));
}

/// Reads a link, and a moment, which is the same after it was printed.
pub(crate) fn link_and_moment(text: &str) {
    let _is_link = uri::is_request_uri(text);
    if let Ok(Some(at)) = times::parse_v1(text) {
        let mut printed = Vec::new();
        times::push_nanos(&mut printed, at);
        let again = std::str::from_utf8(&printed).unwrap_or_default().trim_matches('"');
        assert_eq!(times::parse_v1(again).ok().flatten(), Some(at), "{text:?} prints as {again}");
    }
    let _ = times::parse_v2(text);
}
