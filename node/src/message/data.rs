//! The value that every template starts from and most payloads are made of. It knows no receiver.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::Kv;

/// Whether an alert, or a whole notification, fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertStatus {
    /// It goes on.
    Firing,
    /// It is over.
    Resolved,
    /// Neither: data that is not this server's own, rendered for a look at a template.
    Other(&'static str),
}

impl AlertStatus {
    /// `firing` or `resolved`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Other(text) => text,
        }
    }
}

/// One alert as a notification tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Decided by the caller at the time of the flush.
    pub status: AlertStatus,
    /// The alert's identity.
    pub labels: Kv,
    /// Text for people.
    pub annotations: Kv,
    /// Start as told by the sender.
    pub starts_at: Timestamp,
    /// End; `None` is Go's zero time, `0001-01-01T00:00:00Z`.
    pub ends_at: Option<Timestamp>,
    /// Link to what made the alert, or empty.
    pub generator_url: String,
    /// 16 hex digits.
    pub fingerprint: String,
}

/// What a notification says besides its alerts; the same for all attempts of a flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The receiver's name as configured.
    pub receiver: String,
    /// Labels by which the alerts were grouped.
    pub labels: Kv,
    /// Labels of the route, already rendered.
    pub route_labels: Kv,
    /// Where people find this server.
    pub external_url: String,
}

/// Dot of every notification template, upstream's `template.Data`. A copy costs no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The receiver's name with regular expression characters escaped (`team.a` → `team\.a`).
    pub receiver: Arc<str>,
    /// Firing if any alert fires.
    pub status: AlertStatus,
    /// Alerts in the order of the flush.
    pub alerts: Arc<[Alert]>,
    /// Why this is told, for instance `first notification`.
    pub reason: &'static str,
    /// Labels by which the alerts were grouped.
    pub group_labels: Kv,
    /// Labels equal in all alerts.
    pub common_labels: Kv,
    /// Annotations equal in all alerts.
    pub common_annotations: Kv,
    /// Labels of the route, already rendered.
    pub route_labels: Kv,
    /// Where people find this server.
    pub external_url: Arc<str>,
    /// No notification's: as upstream's amtool hands data over, by value and with route labels that were not rendered.
    pub is_sample: bool,
}

impl Data {
    /// Builds the data of one notification; status and common pairs come from `alerts` alone.
    #[must_use]
    pub fn new(group: &Group, alerts: Vec<Alert>, reason: &'static str) -> Self {
        Self {
            receiver: quote_regexp(&group.receiver).into(),
            status: status(&alerts),
            reason,
            group_labels: group.labels.clone().made(),
            common_labels: common(alerts.iter().map(|alert| &alert.labels)),
            common_annotations: common(alerts.iter().map(|alert| &alert.annotations)),
            route_labels: group.route_labels.clone().made(),
            external_url: group.external_url.as_str().into(),
            alerts: alerts.into(),
            is_sample: false,
        }
    }

    /// Alerts of one status, in order.
    pub fn with_status(&self, status: AlertStatus) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(move |alert| alert.status == status)
    }

    /// Whether any alert fires.
    #[must_use]
    pub fn fires(&self) -> bool {
        self.status == AlertStatus::Firing
    }
}

/// Firing if any alert fires, else resolved; also for no alerts.
fn status(alerts: &[Alert]) -> AlertStatus {
    let fires = alerts.iter().any(|alert| alert.status == AlertStatus::Firing);
    if fires { AlertStatus::Firing } else { AlertStatus::Resolved }
}

fn common<'a>(mut all: impl Iterator<Item = &'a Kv>) -> Kv {
    let Some(first) = all.next() else { return Kv::default().made() };
    let mut common = first.clone().made();
    for other in all {
        if common.is_empty() {
            break;
        }
        common.intersect(other);
    }
    common
}

/// Go's `regexp.QuoteMeta`.
pub(crate) fn quote_regexp(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// RFC 3339 with nanoseconds trimmed, as Go writes a time in JSON; `None` is Go's zero time.
#[must_use]
pub(crate) fn go_time(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| time.to_string())
}

impl Serialize for Alert {
    /// The alert of the webhook payload; PagerDuty details and template functions share the shape.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("Alert", 7)?;
        json.serialize_field("status", self.status.as_str())?;
        json.serialize_field("labels", &self.labels)?;
        json.serialize_field("annotations", &self.annotations)?;
        json.serialize_field("startsAt", &go_time(Some(self.starts_at)))?;
        json.serialize_field("endsAt", &go_time(self.ends_at))?;
        json.serialize_field("generatorURL", &self.generator_url)?;
        json.serialize_field("fingerprint", &self.fingerprint)?;
        json.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(status: AlertStatus, labels: &[(&str, &str)]) -> Alert {
        Alert {
            status,
            labels: labels.iter().copied().collect(),
            annotations: Kv::default(),
            starts_at: "2024-05-01T10:00:00.5Z".parse().unwrap(),
            ends_at: None,
            generator_url: String::new(),
            fingerprint: "22b692ed704ee014".to_owned(),
        }
    }

    #[test]
    fn one_firing_alert_makes_the_group_fire() {
        let group = Group { receiver: "team.a+b".to_owned(), ..Group::default() };
        let alerts = vec![
            alert(AlertStatus::Resolved, &[("alertname", "Down"), ("instance", "a")]),
            alert(AlertStatus::Firing, &[("alertname", "Down"), ("instance", "b")]),
        ];
        let data = Data::new(&group, alerts, "first notification");
        assert!(data.fires());
        assert_eq!(&*data.receiver, r"team\.a\+b");
        assert_eq!(data.common_labels.to_string(), "alertname=Down");
        assert_eq!(data.with_status(AlertStatus::Firing).count(), 1);
    }

    #[test]
    fn no_alerts_are_resolved_and_have_nothing_in_common() {
        let data = Data::new(&Group::default(), Vec::new(), "none");
        assert_eq!((data.fires(), data.common_labels.len()), (false, 0));
    }

    #[test]
    fn an_alert_is_written_in_upstreams_field_order() {
        let json = serde_json::to_string(&alert(AlertStatus::Firing, &[("a", "b")])).unwrap();
        let expected = concat!(
            r#"{"status":"firing","labels":{"a":"b"},"annotations":{},"#,
            r#""startsAt":"2024-05-01T10:00:00.5Z","endsAt":"0001-01-01T00:00:00Z","#,
            r#""generatorURL":"","fingerprint":"22b692ed704ee014"}"#
        );
        assert_eq!(json, expected);
    }
}
