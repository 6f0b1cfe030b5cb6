//! The event recorder: a real file, a real webhook.

use std::path::Path;

use serde_json::Value;

use super::world::{Node, World, hms};
use crate::config;
use crate::events::EventNumbers;
use crate::options::Features;

const ROUTES: &str = r#"
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
receivers:
- name: hook
  webhook_configs:
  - url: URL/a
inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning"]
  equal: [instance]
event_recorder:
"#;

async fn node(world: &World, outputs: &str) -> Node {
    world.configure(&format!("{ROUTES}{outputs}"));
    let mut options = world.options();
    options.features.event_recorder = true;
    world.node_with(options, tocsin_cluster::Options::alone()).await
}

fn numbers(node: &Node) -> EventNumbers {
    node.handle.numbers().events.unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The name of what happened, and what it says.
fn data(event: &Value) -> (&str, &Value) {
    let (kind, data) = event["data"].as_object().unwrap().iter().next().unwrap();
    (kind.as_str(), data)
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| data(event).0).collect()
}

#[tokio::test(start_paused = true)]
async fn a_file_holds_the_life_of_an_alert() {
    let world = World::new().await;
    let node = node(&world, "  file_outputs: [{path: events.jsonl}]").await;
    let path = world.dir.path().join("events.jsonl");
    node.fire(&["Down/a critical", "Up/a warning"]).await;
    node.fire(&["Down/a critical"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    let id = node.silence("Down", hms(1, 0, 0)).await;
    world.run(&[&node], hms(0, 5, 0)).await;
    node.handle.expire_silence(&id).await.unwrap();
    node.resolve(&["Down/a critical"]).await;
    world.run(&[&node], hms(0, 5, 0)).await;
    let expected = [
        "alertmanagerStartupEvent",
        "alertCreated",
        "alertCreated",
        "alertGrouped",
        "alertGrouped",
        "inhibitionMutedAlert",
        "notification",
        "silenceCreated",
        // The second flush of both groups.
        "inhibitionMutedAlert",
        "silenceMutedAlert",
        "silenceUpdated",
        // The third: the end is told, and what was inhibited is told.
        "alertResolved",
        "notification",
        "notification",
    ];
    let mut wanted = expected.to_vec();
    wanted.sort_unstable();
    world.until(&[&node], |_| lines(&path).len() >= wanted.len()).await;
    let events = lines(&path);
    let mut found = kinds(&events);
    found.sort_unstable();
    assert_eq!(found, wanted);
    let find = |kind| events.iter().find(|event| data(event).0 == kind).unwrap();
    let created = find("alertCreated");
    assert_eq!(created["@timestamp"], "2026-11-24T10:00:00Z");
    assert!(!created["instance"].as_str().unwrap().is_empty());
    let notification = data(find("notification")).1;
    assert_eq!(notification["reason"], "NOTIFY_REASON_FIRST_NOTIFICATION");
    assert_eq!(notification["groupInfo"]["groupKey"], "{}:{alertname=\"Down\"}");
    assert_eq!(notification["repeatInterval"], "14400s");
    assert_eq!(notification["flushId"], "1");
    assert_eq!(notification["integration"], serde_json::json!({"name": "webhook"}));
    assert_eq!(notification["alerts"][0]["details"]["name"], "Down");
    assert_eq!(notification["alerts"][0]["hash"], notification["firingAlerts"][0]["hash"]);
    let inhibited = data(find("inhibitionMutedAlert")).1;
    let source = data(created).1["alert"]["fingerprint"].clone();
    assert_eq!(inhibited["inhibitingFingerprints"][0], source);
    assert_eq!(inhibited["inhibitRules"][0]["equalLabels"][0], "instance");
    let resolved = data(find("alertResolved")).1;
    assert_eq!(resolved["alert"]["details"]["resolved"], true);
    let silenced = data(find("silenceMutedAlert")).1;
    assert_eq!(silenced["silence"]["id"], *id);
    node.stop().await;
    assert_eq!(kinds(&lines(&path)).last(), Some(&"alertmanagerShutdownEvent"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_moved_away_is_made_anew() {
    let world = World::new().await;
    let node = node(&world, "  file_outputs: [{path: events.jsonl}]").await;
    let path = world.dir.path().join("events.jsonl");
    world.until(&[&node], |_| kinds(&lines(&path)) == ["alertmanagerStartupEvent"]).await;
    std::fs::rename(&path, world.dir.path().join("events.jsonl.1")).unwrap();
    let id = node.silence("Down", hms(1, 0, 0)).await;
    world.until(&[&node], |_| kinds(&lines(&path)) == ["silenceCreated"]).await;
    // A reload takes another file.
    world.configure(&format!("{ROUTES}  file_outputs: [{{path: other.jsonl}}]"));
    node.handle.reload().await.unwrap();
    node.handle.expire_silence(&id).await.unwrap();
    let other = world.dir.path().join("other.jsonl");
    world.until(&[&node], |_| kinds(&lines(&other)) == ["silenceUpdated"]).await;
    // One that cannot be opened leaves the old ones in place.
    world.configure(&format!("{ROUTES}  file_outputs: [{{path: missing/other.jsonl}}]"));
    node.handle.reload().await.unwrap();
    node.silence("Down", hms(1, 0, 0)).await;
    world.until(&[&node], |_| lines(&other).len() == 2).await;
    assert_eq!(kinds(&lines(&path)), ["silenceCreated"]);
    let name = format!("file:{}", other.display()).into();
    let numbers = numbers(&node);
    assert_eq!(numbers.recorded[&("silence_updated", std::sync::Arc::clone(&name), "success")], 1);
    let size = std::fs::metadata(&other).unwrap().len();
    let bytes = |kind| numbers.bytes[&(kind, std::sync::Arc::clone(&name))];
    assert_eq!(bytes("silence_updated") + bytes("silence_created"), size);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_takes_events_one_by_one_or_together() {
    let world = World::new().await;
    let one = "  webhook_outputs: [{url: URL/events, retry_backoff: 1ms}]";
    let node = node(&world, one).await;
    let heard = || world.sink.heard().into_iter().filter(|heard| heard.path == "/events");
    world.until(&[&node], |_| heard().count() == 1).await;
    // Refused twice, taken at the third attempt.
    world.sink.answer([500, 400]);
    node.silence("Down", hms(1, 0, 0)).await;
    world.until(&[&node], |_| heard().count() == 2).await;
    assert_eq!(data(&heard().next_back().unwrap().body).0, "silenceCreated");
    world.configure(&format!(
        "{ROUTES}  webhook_outputs: [{{url: URL/events, batch: true, batch_max_events: 3, batch_flush_interval: 1h}}]"
    ));
    node.handle.reload().await.unwrap();
    for name in ["A", "B", "C", "D"] {
        node.silence(name, hms(1, 0, 0)).await;
    }
    world.until(&[&node], |_| heard().count() == 3).await;
    assert_eq!(heard().next_back().unwrap().body.as_array().unwrap().len(), 3);
    // What waits for more is sent at the end.
    node.stop().await;
    let last = heard().next_back().unwrap().body;
    let kinds = last.as_array().map(|events| kinds(events)).unwrap_or_default();
    assert_eq!(kinds, ["silenceCreated", "alertmanagerShutdownEvent"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_webhook_cannot_take_is_dropped_and_counted() {
    let world = World::new().await;
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", deaf.local_addr().unwrap());
    let outputs = format!("  webhook_outputs: [{{url: {url}/secret, workers: 1, timeout: 1h}}]");
    let node = node(&world, &outputs).await;
    let alerts: Vec<_> = (0..1100).map(|number| format!("Down/{number}")).collect();
    let alerts: Vec<_> = alerts.iter().map(String::as_str).collect();
    node.fire(&alerts).await;
    world.until(&[&node], |node| !numbers(node).output_drops.is_empty()).await;
    world.until(&[&node], |node| numbers(node).queued == 0).await;
    // Each is created and grouped; the queue holds 1,024, and one or two are on their way.
    let name = format!("webhook:{url}");
    let drops = numbers(&node).output_drops[name.as_str()];
    assert!((2 * 1100 - 1024 - 2..=2 * 1100 - 1024 + 1).contains(&drops), "{drops}");
    drop(deaf);
}

#[tokio::test(start_paused = true)]
async fn without_the_feature_nothing_is_written() {
    let world = World::new().await;
    world.configure(&format!("{ROUTES}  file_outputs: [{{path: events.jsonl}}]"));
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    assert!(node.handle.numbers().events.is_none());
    assert!(!world.dir.path().join("events.jsonl").exists());
}

#[test]
fn kafka_is_checked_and_then_refused_where_it_would_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("am.yml");
    let text = format!("{ROUTES}  kafka_outputs: [{{brokers: [b], topic: a}}]");
    std::fs::write(&path, text.replace("URL", "http://a")).unwrap();
    let on = Features { event_recorder: true, ..Features::default() };
    let refused = config::load(&path, on).unwrap_err().to_string();
    assert!(refused.contains("built without a Kafka client"), "{refused}");
    config::load(&path, Features::default()).unwrap();
}
