//! What the API v2 sends and takes. Fields of newer servers that are not here are passed over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tocsin_core::matcher::{MatchOp, Matcher, Matchers};
use tocsin_core::regex::BadRegex;

use super::moment::Moment;

/// Labels or annotations, sorted by name.
pub(super) type Pairs = BTreeMap<String, String>;

/// An alert of `GET /alerts`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alert {
    pub(super) labels: Pairs,
    #[serde(default)]
    pub(super) annotations: Pairs,
    pub(super) starts_at: Moment,
    pub(super) ends_at: Moment,
    #[serde(default, rename = "generatorURL")]
    pub(super) generator_url: String,
    #[serde(default)]
    pub(super) fingerprint: String,
    pub(super) status: AlertStatus,
}

/// What holds an alert back.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertStatus {
    pub(super) state: String,
    #[serde(default)]
    pub(super) silenced_by: Vec<String>,
    #[serde(default)]
    pub(super) inhibited_by: Vec<String>,
    #[serde(default)]
    pub(super) muted_by: Vec<String>,
}

/// A group of `GET /alerts/groups`.
#[derive(Debug, Deserialize)]
pub(super) struct Group {
    pub(super) labels: Pairs,
    pub(super) receiver: Receiver,
    pub(super) alerts: Vec<Alert>,
}

/// What one integration was told of one group, of `GET /history`, which is Tocsin's own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct History {
    pub(super) group_key: String,
    pub(super) receiver: String,
    pub(super) integration: String,
    pub(super) index: u32,
    pub(super) attempts: Vec<Attempt>,
}

/// One attempt to tell it.
#[derive(Debug, Deserialize)]
pub(super) struct Attempt {
    pub(super) at: Moment,
    pub(super) node: String,
    pub(super) reason: String,
    pub(super) result: String,
    pub(super) text: String,
    pub(super) firing: u32,
    pub(super) resolved: u32,
}

/// A receiver, by name.
#[derive(Debug, Deserialize)]
pub(super) struct Receiver {
    pub(super) name: String,
}

/// An alert for `POST /alerts`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostedAlert {
    pub(super) annotations: Pairs,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ends_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) starts_at: Option<Moment>,
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    pub(super) generator_url: String,
    pub(super) labels: Pairs,
}

/// A silence of `GET /silences`, in the order in which Go writes it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Silence {
    pub(super) id: String,
    pub(super) status: SilenceStatus,
    pub(super) updated_at: Moment,
    #[serde(flatten)]
    pub(super) terms: Terms,
}

/// Whether a silence is active, pending or expired.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct SilenceStatus {
    pub(super) state: String,
}

/// What the author of a silence decides.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Terms {
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub(super) annotations: Pairs,
    pub(super) comment: String,
    pub(super) created_by: String,
    pub(super) ends_at: Moment,
    pub(super) matchers: Vec<WireMatcher>,
    pub(super) starts_at: Moment,
}

/// A silence for `POST /silences`.
#[derive(Debug, Serialize)]
pub(super) struct PostedSilence<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) id: &'a str,
    #[serde(flatten)]
    pub(super) terms: &'a Terms,
}

/// The answer to it.
#[derive(Debug, Deserialize)]
pub(super) struct Stored {
    #[serde(rename = "silenceID")]
    pub(super) silence_id: String,
}

/// A matcher.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireMatcher {
    #[serde(default = "yes")]
    pub(super) is_equal: bool,
    pub(super) is_regex: bool,
    pub(super) name: String,
    pub(super) value: String,
}

fn yes() -> bool {
    true
}

impl WireMatcher {
    fn rule(&self) -> Result<Matcher, BadRegex> {
        let op = MatchOp::from_flags(self.is_equal, self.is_regex);
        Matcher::new(self.name.as_str(), op, self.value.as_str())
    }
}

impl From<&Matcher> for WireMatcher {
    fn from(matcher: &Matcher) -> Self {
        Self {
            is_equal: matcher.op().is_equal(),
            is_regex: matcher.op().is_regex(),
            name: matcher.name().to_owned(),
            value: matcher.value().to_owned(),
        }
    }
}

/// The matchers of a silence in their order.
/// # Errors
/// When an expression is none here, which no server should have accepted.
pub(super) fn rules(matchers: &[WireMatcher]) -> Result<Matchers, BadRegex> {
    matchers.iter().map(WireMatcher::rule).collect::<Result<Vec<_>, _>>().map(Matchers)
}

/// `GET /status`, as far as it is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) cluster: Cluster,
    pub(super) config: ConfigText,
    pub(super) uptime: String,
    pub(super) version_info: VersionInfo,
}

/// Which build a server is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VersionInfo {
    pub(super) branch: String,
    pub(super) build_date: String,
    pub(super) build_user: String,
    pub(super) go_version: String,
    pub(super) revision: String,
    pub(super) version: String,
}

/// The running configuration.
#[derive(Debug, Deserialize)]
pub(super) struct ConfigText {
    pub(super) original: String,
}

/// The cluster as one node sees it.
#[derive(Debug, Deserialize)]
pub(super) struct Cluster {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) peers: Vec<Peer>,
    pub(super) status: String,
}

/// A member of the cluster.
#[derive(Debug, Deserialize)]
pub(super) struct Peer {
    pub(super) address: String,
    pub(super) name: String,
}

/// JSON in one line as Go writes it: `<`, `>`, `&` and the two line separators escaped.
pub(super) fn go_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let plain = serde_json::to_string(value)?;
    let mut text = String::with_capacity(plain.len() + 1);
    // Outside of texts JSON has none of these.
    for letter in plain.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => text.push(letter),
        }
    }
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from amtool 0.25.
    #[test]
    fn silence_is_written_as_go_writes_it() {
        let text = concat!(
            r#"{"id":"75727e4f-6e0f-44ea-8759-791dc043107c","status":{"state":"active"},"#,
            r#""updatedAt":"2026-11-22T19:00:15.406Z","comment":"a \u003cb\u003e","createdBy":"alice","#,
            r#""endsAt":"2026-11-22T21:00:15.403Z","matchers":[{"isEqual":true,"isRegex":false,"#,
            r#""name":"alertname","value":"foo"}],"startsAt":"2026-11-22T19:00:15.406Z"}"#
        );
        let silence: Silence = serde_json::from_str(text).unwrap();
        assert_eq!(go_json(&silence).unwrap(), format!("{text}\n"));
    }

    /// Servers before 0.22 do not send `isEqual`.
    #[test]
    fn matcher_without_sign_is_an_equal_one() {
        let text = r#"[{"isRegex":true,"name":"a","value":"b.*"}]"#;
        let matchers: Vec<WireMatcher> = serde_json::from_str(text).unwrap();
        assert_eq!(rules(&matchers).unwrap().to_string(), r#"{a=~"b.*"}"#);
    }
}
