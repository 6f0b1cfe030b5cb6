//! The JSON of events: protobuf's JSON form, in which what is empty is left out, 64-bit integers are texts, and times have
//! no, three, six or nine decimals.
//! Source: prometheus/alertmanager, `eventrecorder.proto`.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tocsin_core::label::Fingerprint;
use tocsin_core::matcher;
use tocsin_core::nflog::Reason;
use tocsin_core::silence;
use tocsin_core::time;

/// What is written of an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    #[serde(rename = "@timestamp")]
    pub(crate) timestamp: Moment,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) instance: std::sync::Arc<str>,
    pub(crate) data: EventData,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) cluster_position: u32,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum EventData {
    /// The process starts.
    AlertmanagerStartupEvent { version: &'static str, build_context: String },
    /// It stops as it was told to.
    AlertmanagerShutdownEvent {},
    /// A post brought an alert that was not known.
    AlertCreated { alert: Alert },
    /// An alert that has ended leaves a group that was told of it.
    AlertResolved { alert: GroupedAlert, group_info: GroupInfo },
    /// An alert joins a group.
    AlertGrouped { alert: GroupedAlert, group_info: GroupInfo },
    /// An integration was told.
    Notification(Box<Notification>),
    /// A silence is new.
    SilenceCreated { silence: Silence },
    /// A silence was edited or ended.
    SilenceUpdated { silence: Silence },
    /// A flush leaves an alert out for a silence.
    SilenceMutedAlert { silence: Silence, muted_alert: MutedAlert },
    /// A flush leaves an alert out for other alerts.
    InhibitionMutedAlert {
        inhibit_rules: [InhibitRule; 1],
        muted_alert: MutedAlert,
        inhibiting_fingerprints: [Number; 1],
    },
}

impl EventData {
    /// The label of metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::AlertmanagerStartupEvent { .. } => "alertmanager_startup_event",
            Self::AlertmanagerShutdownEvent {} => "alertmanager_shutdown_event",
            Self::AlertCreated { .. } => "alert_created",
            Self::AlertResolved { .. } => "alert_resolved",
            Self::AlertGrouped { .. } => "alert_grouped",
            Self::Notification(_) => "notification",
            Self::SilenceCreated { .. } => "silence_created",
            Self::SilenceUpdated { .. } => "silence_updated",
            Self::SilenceMutedAlert { .. } => "silence_muted_alert",
            Self::InhibitionMutedAlert { .. } => "inhibition_muted_alert",
        }
    }
}

/// A set of labels or annotations, sorted by name.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct LabelSet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<LabelPair>,
}

#[derive(Debug, PartialEq, Serialize)]
struct LabelPair {
    #[serde(skip_serializing_if = "str::is_empty")]
    key: Box<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    value: Box<str>,
}

impl<'a> FromIterator<(&'a str, &'a str)> for LabelSet {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let pair = |(key, value): (&str, &str)| LabelPair { key: key.into(), value: value.into() };
        let mut labels: Vec<_> = pairs.into_iter().map(pair).collect();
        labels.sort_by(|a, b| a.key.cmp(&b.key));
        Self { labels }
    }
}

/// An alert as it was then.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alert {
    pub(crate) fingerprint: Number,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) name: Box<str>,
    pub(crate) labels: LabelSet,
    pub(crate) annotations: LabelSet,
    pub(crate) starts_at: Moment,
    pub(crate) ends_at: Moment,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) resolved: bool,
}

/// An alert of a group, or only its hash in the notification log.
#[derive(Debug, Serialize)]
pub(crate) struct GroupedAlert {
    #[serde(skip_serializing_if = "Number::is_zero")]
    pub(crate) hash: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<Alert>,
}

impl GroupedAlert {
    /// The hashes alone.
    pub(crate) fn hashes(hashes: &[u64]) -> Vec<Self> {
        hashes.iter().map(|hash| Self { hash: Number(*hash), details: None }).collect()
    }
}

/// Which group.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupInfo {
    pub(crate) group_key: Box<str>,
    pub(crate) group_labels: LabelSet,
    pub(crate) group_id: String,
    pub(crate) receiver_name: Box<str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) group_uuid: String,
}

/// What an integration was told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) alerts: Vec<GroupedAlert>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) firing_alerts: Vec<GroupedAlert>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resolved_alerts: Vec<GroupedAlert>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) muted_alerts: Vec<GroupedAlert>,
    pub(crate) group_info: GroupInfo,
    pub(crate) repeat_interval: Seconds,
    pub(crate) reason: &'static str,
    #[serde(skip_serializing_if = "Number::is_zero")]
    pub(crate) flush_id: Number,
    pub(crate) integration: Integration,
}

/// Which integration of the receiver.
#[derive(Debug, Serialize)]
pub(crate) struct Integration {
    pub(crate) name: &'static str,
    #[serde(skip_serializing_if = "Number::is_zero")]
    pub(crate) index: Number,
}

/// The word for a reason.
pub(crate) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::First => "NOTIFY_REASON_FIRST_NOTIFICATION",
        Reason::NewAlerts => "NOTIFY_REASON_NEW_ALERTS_IN_GROUP",
        Reason::SomeResolved => "NOTIFY_REASON_NEW_RESOLVED_ALERTS",
        Reason::AllResolved => "NOTIFY_REASON_ALL_ALERTS_RESOLVED",
        Reason::Repeat => "NOTIFY_REASON_REPEAT_INTERVAL_ELAPSED",
    }
}

/// A matcher, in parts and as one text.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Matcher {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: Box<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pattern: Box<str>,
    rendered: String,
}

/// Each as it is shown.
pub(crate) fn matchers(matchers: &matcher::Matchers) -> Vec<Matcher> {
    let one = |matcher: &matcher::Matcher| Matcher {
        kind: match matcher.op() {
            matcher::MatchOp::Equal => "TYPE_EQUAL",
            matcher::MatchOp::NotEqual => "TYPE_NOT_EQUAL",
            matcher::MatchOp::Regex => "TYPE_REGEXP",
            matcher::MatchOp::NotRegex => "TYPE_NOT_REGEXP",
        },
        name: matcher.name().into(),
        pattern: matcher.value().into(),
        rendered: matcher.to_string(),
    };
    matchers.iter().map(one).collect()
}

#[derive(Debug, Serialize)]
struct MatcherSet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<Matcher>,
}

/// A silence as it was then.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Silence {
    id: Box<str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<Matcher>,
    #[serde(skip_serializing_if = "is_empty")]
    annotations: LabelSet,
    starts_at: Moment,
    ends_at: Moment,
    updated_at: Moment,
    #[serde(skip_serializing_if = "str::is_empty")]
    created_by: Box<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    comment: Box<str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matcher_sets: Vec<MatcherSet>,
}

impl From<&silence::Silence> for Silence {
    fn from(silence: &silence::Silence) -> Self {
        let sets = silence.matcher_sets.iter().map(|set| MatcherSet { matchers: matchers(set) });
        let matcher_sets: Vec<_> = sets.collect();
        Self {
            id: silence.id.clone(),
            matchers: matcher_sets.first().map(|set| set.matchers.clone()).unwrap_or_default(),
            annotations: silence.annotations.iter().collect(),
            starts_at: Moment(silence.starts_at),
            ends_at: Moment(silence.ends_at),
            updated_at: Moment(silence.updated_at),
            created_by: silence.created_by.clone(),
            comment: silence.comment.clone(),
            matcher_sets,
        }
    }
}

/// An alert that is left out.
#[derive(Debug, Serialize)]
pub(crate) struct MutedAlert {
    pub(crate) labels: LabelSet,
    pub(crate) fingerprint: Number,
}

/// A rule of inhibition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InhibitRule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) source_matchers: Vec<Matcher>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) target_matchers: Vec<Matcher>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) equal_labels: Vec<Box<str>>,
}

/// A 64-bit integer, written as a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(crate) u64);

impl Number {
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl From<Fingerprint> for Number {
    fn from(fingerprint: Fingerprint) -> Self {
        Self(fingerprint.0)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A moment with as many decimals as protobuf writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = time::rfc3339_seconds(self.0);
        let nanos = self.0.subsec_nanosecond().rem_euclid(1_000_000_000).unsigned_abs();
        let seconds = whole.trim_end_matches('Z');
        serializer.collect_str(&format_args!("{seconds}{}Z", decimals(nanos)))
    }
}

/// A duration: `300s`, with decimals as protobuf writes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let decimals = decimals(self.0.subsec_nanos());
        serializer.collect_str(&format_args!("{}{decimals}s", self.0.as_secs()))
    }
}

/// None, three, six or nine digits.
fn decimals(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos.is_multiple_of(1_000_000) => format!(".{:03}", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1_000) => format!(".{:06}", nanos / 1_000),
        _ => format!(".{nanos:09}"),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_empty(set: &LabelSet) -> bool {
    set.labels.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &impl Serialize, expected: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), expected);
    }

    #[test]
    fn moments_have_as_many_decimals_as_protobuf_writes() {
        let at = |text: &str| Moment(text.parse().unwrap());
        check(&at("2026-11-24T10:00:00Z"), r#""2026-11-24T10:00:00Z""#);
        check(&at("2026-11-24T10:00:00.5Z"), r#""2026-11-24T10:00:00.500Z""#);
        check(&at("2026-11-24T10:00:00.00005Z"), r#""2026-11-24T10:00:00.000050Z""#);
        check(&at("2026-11-24T10:00:00.000000001Z"), r#""2026-11-24T10:00:00.000000001Z""#);
        check(&at("0001-01-01T00:00:00Z"), r#""0001-01-01T00:00:00Z""#);
        check(&Seconds(Duration::from_millis(1500)), r#""1.500s""#);
        check(&Seconds(Duration::from_secs(14_400)), r#""14400s""#);
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let silence = silence::Silence {
            id: "x".into(),
            matcher_sets: Vec::new(),
            receiver_matcher_sets: Vec::new(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            created_by: "".into(),
            comment: "why".into(),
            annotations: tocsin_core::label::Labels::default(),
        };
        let data = EventData::SilenceCreated { silence: (&silence).into() };
        let zero = "1970-01-01T00:00:00Z";
        check(
            &Event {
                timestamp: Moment(Timestamp::UNIX_EPOCH),
                instance: "one".into(),
                data,
                cluster_position: 0,
            },
            &format!(
                r#"{{"@timestamp":"{zero}","instance":"one","data":{{"silenceCreated":{{"silence":{{"id":"x","startsAt":"{zero}","endsAt":"{zero}","updatedAt":"{zero}","comment":"why"}}}}}}}}"#
            ),
        );
    }
}
