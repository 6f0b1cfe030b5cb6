//! What the engine tells the event recorder: its own values in the shapes of events. Asked only while somebody reads them.

use jiff::Timestamp;
use tocsin_core::alert::Alert;
use tocsin_core::group::{Group, GroupId, Groups};
use tocsin_core::inhibit::Rule;
use tocsin_core::label::{Fingerprint, Labels, Lookup, hash_xx};
use tocsin_core::route::Route;
use tocsin_core::silence::Silence;

use super::dispatch::Known;
use super::slot::AlertRef;
use crate::events::{
    self, EventData, GroupInfo, GroupedAlert, InhibitRule, Moment, MutedAlert, Number, Recorder,
    matchers,
};
use crate::{message, notify};

/// What upstream writes where a firing alert of a notification has no end.
const NO_END: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// The process starts.
pub(super) fn startup() -> EventData {
    use std::env::consts::{ARCH, OS};
    let build_context = format!("(platform={OS}/{ARCH})");
    EventData::AlertmanagerStartupEvent { version: crate::VERSION, build_context }
}

/// A post brought an alert that was not known.
pub(super) fn created_event(fingerprint: Fingerprint, alert: &Alert, now: Timestamp) -> EventData {
    EventData::AlertCreated {
        alert: events::Alert {
            fingerprint: fingerprint.into(),
            name: alert.labels.get("alertname").into(),
            labels: alert.labels.iter().collect(),
            annotations: alert.annotations.iter().collect(),
            starts_at: Moment(alert.starts_at),
            ends_at: Moment(alert.ends_at),
            resolved: alert.ends_at <= now,
        },
    }
}

/// An alert joins a group.
pub(super) fn grouped_event(
    known: &Known<'_>,
    groups: &Groups,
    id: GroupId,
    alert: &AlertRef<'_>,
) -> EventData {
    let resolved = known.hold.is_resolved(&alert.times(), known.now);
    let group_info = groups.get(id).and_then(|group| info(known.recorder, groups, group));
    EventData::AlertGrouped {
        alert: grouped(alert, resolved),
        group_info: group_info.unwrap_or_default(),
    }
}

/// An alert that has ended leaves a group.
pub(super) fn resolved_event(
    recorder: &Recorder,
    groups: &Groups,
    group: &Group,
    alert: &AlertRef<'_>,
) -> EventData {
    EventData::AlertResolved {
        alert: grouped(alert, true),
        group_info: info(recorder, groups, group).unwrap_or_default(),
    }
}

/// A flush leaves an alert out for another one.
pub(super) fn inhibited_event(rule: &Rule, source: Fingerprint, alert: &AlertRef<'_>) -> EventData {
    let mut equal_labels = rule.equal.clone();
    equal_labels.sort();
    EventData::InhibitionMutedAlert {
        inhibit_rules: [InhibitRule {
            source_matchers: matchers(&rule.source),
            target_matchers: matchers(&rule.target),
            equal_labels,
        }],
        muted_alert: muted(alert),
        inhibiting_fingerprints: [source.into()],
    }
}

/// A flush leaves an alert out for a silence.
pub(super) fn silenced_event(silence: &Silence, alert: &AlertRef<'_>) -> EventData {
    EventData::SilenceMutedAlert { silence: silence.into(), muted_alert: muted(alert) }
}

/// An alert of a notification.
pub(super) fn told(alert: &message::Alert) -> GroupedAlert {
    let fingerprint = u64::from_str_radix(&alert.fingerprint, 16).unwrap_or_default();
    GroupedAlert {
        hash: Number(hash_xx(alert.labels.iter())),
        details: Some(events::Alert {
            fingerprint: Number(fingerprint),
            name: alert.labels.get("alertname").into(),
            labels: alert.labels.iter().collect(),
            annotations: alert.annotations.iter().collect(),
            starts_at: Moment(alert.starts_at),
            ends_at: Moment(alert.ends_at.unwrap_or(NO_END)),
            resolved: alert.ends_at.is_some(),
        }),
    }
}

/// Which group.
pub(super) fn group(
    recorder: &Recorder,
    route: &Route,
    id: GroupId,
    key: &str,
    labels: &Labels,
) -> GroupInfo {
    GroupInfo {
        group_key: key.into(),
        group_labels: labels.iter().collect(),
        group_id: notify::group_id(key),
        receiver_name: route.receiver.clone(),
        matchers: matchers(&route.matchers),
        group_uuid: recorder.group_uuid(id.0),
    }
}

fn info(recorder: &Recorder, groups: &Groups, held: &Group) -> Option<GroupInfo> {
    let route = groups.routes().get(held.route)?;
    Some(group(recorder, route, held.id, &held.key, &held.labels))
}

fn grouped(alert: &AlertRef<'_>, resolved: bool) -> GroupedAlert {
    let times = alert.times();
    GroupedAlert {
        hash: Number(alert.hash_xx()),
        details: Some(events::Alert {
            fingerprint: alert.fingerprint().into(),
            name: alert.get("alertname").into(),
            labels: alert.labels().collect(),
            annotations: alert.annotations().collect(),
            starts_at: Moment(times.starts_at),
            ends_at: Moment(times.ends_at),
            resolved,
        }),
    }
}

fn muted(alert: &AlertRef<'_>) -> MutedAlert {
    MutedAlert { labels: alert.labels().collect(), fingerprint: alert.fingerprint().into() }
}
