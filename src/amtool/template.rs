//! `amtool template render`: a text over a sample, or over data that a webhook could have received.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tocsin_node::message::{Alert, AlertStatus, Data, Kv, Templates};

use super::cli::{Kind, RenderFlags};
use super::context::Context;
use super::failure::{Failure, reason};
use super::moment::Moment;

/// Runs it.
pub(super) fn run(flags: &RenderFlags, context: &Context<'_>) -> Result<(), Failure> {
    let now = context.now();
    let data = match &flags.data {
        Some(file) => read(file)?,
        None => sample(now),
    };
    let templates = Templates::load(&flags.globs).map_err(Failure::why)?;
    let rendered = match flags.kind {
        Kind::Text => templates.text(&flags.text, &data, now),
        Kind::Html => templates.html(&flags.text, &data, now),
    };
    context.console.print(&rendered.map_err(Failure::why)?)
}

/// The body of a webhook, or a part of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Body {
    receiver: Option<String>,
    status: Option<String>,
    alerts: Option<Vec<BodyAlert>>,
    #[serde(rename = "notification_reason")]
    reason: Option<String>,
    group_labels: Option<BTreeMap<String, String>>,
    common_labels: Option<BTreeMap<String, String>>,
    common_annotations: Option<BTreeMap<String, String>>,
    route_labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "externalURL")]
    external_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BodyAlert {
    status: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    starts_at: Option<Moment>,
    ends_at: Option<Moment>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
    fingerprint: Option<String>,
}

fn read(file: &Path) -> Result<Data, Failure> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| format!("open {name}: {}", reason(&error)))?;
    let body: Body = serde_json::from_slice(&text).map_err(|error| format!("{name}: {error}"))?;
    Ok(Data {
        receiver: body.receiver.unwrap_or_default().into(),
        status: status(body.status),
        alerts: body.alerts.unwrap_or_default().into_iter().map(alert).collect(),
        reason: forever(body.reason.unwrap_or_default()),
        group_labels: kv(body.group_labels),
        common_labels: kv(body.common_labels),
        common_annotations: kv(body.common_annotations),
        route_labels: kv(body.route_labels),
        external_url: body.external_url.unwrap_or_default().into(),
        is_sample: true,
    })
}

fn alert(body: BodyAlert) -> Alert {
    Alert {
        status: status(body.status),
        labels: kv(body.labels),
        annotations: kv(body.annotations),
        starts_at: body.starts_at.map_or_else(zero_time, |moment| moment.at()),
        ends_at: body.ends_at.map(|moment| moment.at()).filter(|at| *at != zero_time()),
        generator_url: body.generator_url.unwrap_or_default(),
        fingerprint: body.fingerprint.unwrap_or_default(),
    }
}

fn kv(pairs: Option<BTreeMap<String, String>>) -> Kv {
    pairs.map(|pairs| pairs.into_iter().collect()).unwrap_or_default()
}

fn status(text: Option<String>) -> AlertStatus {
    match text.unwrap_or_default().as_str() {
        "firing" => AlertStatus::Firing,
        "resolved" => AlertStatus::Resolved,
        other => AlertStatus::Other(forever(other.to_owned())),
    }
}

/// The process ends with this one rendering.
fn forever(text: String) -> &'static str {
    text.leak()
}

/// Go's: the first moment of the year 1.
fn zero_time() -> Timestamp {
    Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::MIN)
}

/// Upstream's sample.
fn sample(now: Timestamp) -> Data {
    let ago = |minutes| now - SignedDuration::from_mins(minutes);
    let common_labels = numbered("commonlabel");
    let common_annotations = numbered("commonannotation");
    let with = |own: [(&str, &str); 3], common: &Kv| -> Kv {
        let own = own.into_iter().filter(|(name, _)| !name.is_empty());
        own.chain(common.iter()).collect()
    };
    let first = Alert {
        status: AlertStatus::Firing,
        labels: with(
            [("instance", "foo.bar:1234"), ("label1", "value1"), ("label2", "value2")],
            &common_labels,
        ),
        annotations: with(
            [("annotation1", "value1"), ("annotation2", "value2"), ("", "")],
            &common_annotations,
        ),
        starts_at: ago(5),
        ends_at: Some(now),
        generator_url: "https://generatorurl.com".to_owned(),
        fingerprint: "fingerprint1".to_owned(),
    };
    let second = Alert {
        status: AlertStatus::Resolved,
        labels: with([("baz", "qux"), ("foo", "bar"), ("", "")], &common_labels),
        annotations: with([("aaa", "bbb"), ("ccc", "ddd"), ("", "")], &common_annotations),
        starts_at: ago(10),
        fingerprint: "fingerprint2".to_owned(),
        ..first.clone()
    };
    Data {
        receiver: "receiver".into(),
        status: AlertStatus::Other("alertstatus"),
        alerts: [first, second].into(),
        reason: "",
        group_labels: numbered("grouplabel"),
        common_labels,
        common_annotations,
        route_labels: Kv::default(),
        external_url: "https://example.com".into(),
        is_sample: true,
    }
}

fn numbered(what: &str) -> Kv {
    (1..=2).map(|n| (format!("{what}key{n}"), format!("{what}value{n}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_null_fields_are_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text =
            r#"{"status":"odd","groupLabels":null,"more":1,"alerts":[{"labels":{"a":"b"}}]}"#;
        std::fs::write(file.path(), text).unwrap();
        let data = read(file.path()).unwrap();
        assert_eq!((data.status.as_str(), &*data.receiver), ("odd", ""));
        assert_eq!(data.alerts[0].labels.to_string(), "a=b");
        assert_eq!(data.alerts[0].ends_at, None);
        assert_eq!(data.alerts[0].starts_at.to_string(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn sample_holds_the_common_pairs() {
        let data = sample("2026-11-22T10:00:00Z".parse().unwrap());
        let labels = data.alerts[1].labels.to_string();
        assert_eq!(
            labels,
            "baz=qux, commonlabelkey1=commonlabelvalue1, commonlabelkey2=commonlabelvalue2, foo=bar"
        );
    }
}
