//! One node: what is told, and when.

use super::world::{World, epoch, hms, input};
use crate::engine::{AlertQuery, ApiVersion, GroupQuery};
use tocsin_core::alert::AlertInput;
use tocsin_core::time;

const PLAIN: &str = r#"
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
"#;

#[tokio::test(start_paused = true)]
async fn a_new_group_waits_for_more_alerts() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 0, 20)).await;
    node.fire(&["Down/b", "Up"]).await;
    world.run(&[&node], hms(0, 0, 9)).await;
    assert_eq!(world.heard(), [""; 0]);
    world.run(&[&node], hms(0, 0, 2)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a Down/b"]);
    world.run(&[&node], hms(0, 0, 30)).await;
    assert_eq!(world.heard(), ["50 /a: firing Up"]);
}

#[tokio::test(start_paused = true)]
async fn what_joins_later_is_told_at_the_next_interval() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    node.fire(&["Down/b"]).await;
    world.run(&[&node], hms(0, 20, 0)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a", "330 /a: firing Down/a Down/b"]);
}

/// The entry is later than its tick, and the comparison is strict.
#[tokio::test(start_paused = true)]
async fn trap_01_a_repeat_comes_one_interval_later_than_it_seems() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(8, 30, 0)).await;
    let expected = [30, 14_730, 29_430].map(|second| format!("{second} /a: firing Down/a"));
    assert_eq!(world.heard(), expected);
}

#[tokio::test(start_paused = true)]
async fn trap_21_what_has_ended_is_told_once_and_leaves() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a", "Down/b"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    node.resolve(&["Down/a"]).await;
    world.run(&[&node], hms(0, 6, 0)).await;
    node.resolve(&["Down/b"]).await;
    world.run(&[&node], hms(1, 0, 0)).await;
    assert_eq!(
        world.heard(),
        [
            "30 /a: firing Down/a Down/b",
            // Both are told, the group still fires.
            "330 /a: firing Down/a! Down/b",
            "630 /a: resolved Down/b!",
        ]
    );
    assert!(node.shared.dispatch.read(|inner| inner.groups.is_empty()));
}

/// Only the alert that makes the group counts.
#[tokio::test(start_paused = true)]
async fn trap_15_an_old_alert_makes_its_group_due_at_once() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    let old = time::sub(epoch(), hms(1, 0, 0));
    node.handle.post_alerts(ApiVersion::V2, vec![input("Down/a", old)]).await;
    world.run(&[&node], hms(0, 0, 1)).await;
    node.handle.post_alerts(ApiVersion::V2, vec![input("Down/b", old)]).await;
    world.run(&[&node], hms(0, 10, 0)).await;
    assert_eq!(world.heard(), ["0 /a: firing Down/a", "300 /a: firing Down/a Down/b"]);
}

#[tokio::test(start_paused = true)]
async fn trap_16_what_ends_under_a_silence_is_never_told() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    node.silence("Down", hms(1, 0, 0)).await;
    node.resolve(&["Down/a"]).await;
    world.run(&[&node], hms(3, 0, 0)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_silence_mutes_until_it_ends() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    let id = node.silence("Down", hms(0, 6, 0)).await;
    node.fire(&["Down/a", "Up/a"]).await;
    world.run(&[&node], hms(0, 5, 40)).await;
    assert_eq!(world.heard(), ["30 /a: firing Up/a"]);
    let mut silenced = Vec::new();
    let alerts = node.handle.find_alerts(&AlertQuery::default());
    node.handle.each_alert(&alerts, |view| silenced.extend(view.silenced_by.to_vec()));
    assert_eq!(silenced, [id]);
    let active = AlertQuery { silenced: false, ..AlertQuery::default() };
    assert_eq!(node.handle.find_alerts(&active).len(), 1);
    world.run(&[&node], hms(0, 10, 0)).await;
    assert_eq!(world.heard(), ["630 /a: firing Down/a"]);
}

#[tokio::test(start_paused = true)]
async fn trap_17_a_refusal_is_tried_again_at_the_next_interval() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    world.sink.answer([400]);
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 10, 0)).await;
    assert_eq!(world.heard(), ["330 /a: firing Down/a"]);
    let numbers = node.handle.numbers().counts.integrations;
    let numbers = &numbers[&("webhook", "hook".into())];
    assert_eq!((numbers.notifications, numbers.requests, numbers.requests_failed), (2, 2, 1));
    assert_eq!(numbers.failed.iter().sum::<u64>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_is_tried_until_it_is_up() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    world.sink.answer([503, 503, 503]);
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 4, 0)).await;
    let heard = world.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn trap_18_a_healthy_integration_is_not_told_again() {
    let world = World::new().await;
    world.configure(&format!("{PLAIN}  - url: URL/b\n"));
    let node = world.node().await;
    world.sink.answer([400]);
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 10, 0)).await;
    let heard = world.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].starts_with("30 ") && heard[1].starts_with("330 "), "{heard:?}");
    assert_ne!(heard[0][3..6], heard[1][4..7], "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn trap_19_what_fires_and_ends_between_two_looks_is_never_told() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 0, 10)).await;
    node.resolve(&["Down/a"]).await;
    world.run(&[&node], hms(0, 10, 0)).await;
    assert_eq!(world.heard(), [""; 0]);
    assert!(node.shared.dispatch.read(|inner| inner.groups.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn trap_20_without_send_resolved_a_second_firing_is_told_at_once() {
    let world = World::new().await;
    world.configure(&format!("{PLAIN}    send_resolved: false\n"));
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    node.resolve(&["Down/a"]).await;
    world.run(&[&node], hms(0, 6, 0)).await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a", "450 /a: firing Down/a"]);
}

#[tokio::test(start_paused = true)]
async fn trap_09_an_alert_that_nobody_repeats_ends_by_itself() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    let alert = AlertInput { ends_at: None, ..input("Down/a", epoch()) };
    node.handle.post_alerts(ApiVersion::V2, vec![alert]).await;
    world.run(&[&node], hms(0, 20, 0)).await;
    // It ends at 300 seconds, which the look at 330 seconds sees.
    assert_eq!(world.heard(), ["30 /a: firing Down/a", "330 /a: resolved Down/a!"]);
}

#[tokio::test(start_paused = true)]
async fn trap_23_two_routes_to_one_receiver_are_two_groups() {
    let world = World::new().await;
    world.configure(
        r#"
route:
  receiver: hook
  group_wait: 10s
  routes:
  - matchers: [severity="critical"]
    receiver: hook
    continue: true
  - matchers: [alertname="Down"]
    receiver: hook
receivers:
- name: hook
  webhook_configs:
  - url: URL/a
"#,
    );
    let node = world.node().await;
    node.fire(&["Down/a critical"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    assert_eq!(world.heard(), ["10 /a: firing Down/a", "10 /a: firing Down/a"]);
    let alerts = node.handle.find_alerts(&AlertQuery::default());
    let mut receivers = Vec::new();
    node.handle.each_alert(&alerts, |view| {
        receivers = view.receivers.iter().map(|name| (*name).to_owned()).collect();
    });
    assert_eq!(receivers, ["hook", "hook"]);
    let view = node.handle.groups(&GroupQuery::default()).await;
    assert_eq!(view.groups.len(), 2);
    assert_eq!(view.receivers[&alerts[0]].len(), 2);
}

const INHIBITED: &str = r#"
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 30s
receivers:
- name: hook
  webhook_configs:
  - url: URL/a
inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning"]
  equal: [instance]
"#;

#[tokio::test(start_paused = true)]
async fn an_inhibited_alert_is_told_when_its_source_ends() {
    let world = World::new().await;
    world.configure(INHIBITED);
    let node = world.node().await;
    node.fire(&["Down/a critical", "Slow/a warning", "Slow/b warning"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    let heard = world.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard.contains(&"30 /a: firing Slow/b".to_owned()), "{heard:?}");
    assert_eq!(node.handle.numbers().counts.suppressed, [1, 0, 0, 0]);
    let not_inhibited = AlertQuery { inhibited: false, ..AlertQuery::default() };
    assert_eq!(node.handle.find_alerts(&not_inhibited).len(), 2);
    node.resolve(&["Down/a critical"]).await;
    world.run(&[&node], hms(0, 6, 0)).await;
    let heard = world.heard();
    assert!(heard.contains(&"330 /a: firing Slow/a Slow/b".to_owned()), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn trap_30_a_silenced_source_inhibits() {
    let world = World::new().await;
    world.configure(INHIBITED);
    let node = world.node().await;
    node.silence("Down", hms(1, 0, 0)).await;
    node.fire(&["Down/a critical", "Slow/a warning"]).await;
    world.run(&[&node], hms(0, 10, 0)).await;
    assert_eq!(world.heard(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn out_of_hours_nothing_is_told_and_the_group_says_why() {
    let world = World::new().await;
    world.configure(
        r#"
route:
  receiver: hook
  group_by: [alertname]
  routes:
  - matchers: [alertname="Down"]
    group_wait: 30s
    group_interval: 5m
    mute_time_intervals: [morning]
receivers:
- name: hook
  webhook_configs:
  - url: URL/a
time_intervals:
- name: morning
  time_intervals:
  - times: [{start_time: "08:00", end_time: "10:30"}]
"#,
    );
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 29, 0)).await;
    assert_eq!(world.heard(), [""; 0]);
    let view = node.handle.groups(&GroupQuery::default()).await;
    assert_eq!(view.groups[0].muted_by, ["morning"]);
    let audible = GroupQuery { muted: false, ..GroupQuery::default() };
    assert_eq!(node.handle.groups(&audible).await.groups.len(), 0);
    world.run(&[&node], hms(0, 6, 0)).await;
    assert_eq!(world.heard(), ["1830 /a: firing Down/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_time_of_what_is_not_told_yet() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 0, 20)).await;
    node.handle.reload().await.unwrap();
    world.run(&[&node], hms(0, 0, 20)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a"]);
    node.handle.reload().await.unwrap();
    node.fire(&["Down/b"]).await;
    world.run(&[&node], hms(0, 10, 0)).await;
    let heard = world.heard();
    assert_eq!(heard, ["340 /a: firing Down/a Down/b"], "looked at once, counted on from there");
}

#[tokio::test(start_paused = true)]
async fn trap_40_a_bad_file_changes_nothing() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    let before = node.handle.config();
    world.configure("route: [");
    assert!(node.handle.reload().await.is_err());
    assert!(std::sync::Arc::ptr_eq(&before, &node.handle.config()));
    assert!(!node.handle.numbers().counts.reload.successful);
    world.run(&[&node], hms(0, 1, 0)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a"]);
    world.configure(PLAIN);
    node.handle.reload().await.unwrap();
    assert!(node.handle.numbers().counts.reload.successful);
}

#[tokio::test(start_paused = true)]
async fn a_restart_forgets_nothing() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node_on_disk("one").await;
    node.fire(&["Down/a", "Up/a"]).await;
    let id = node.silence("Up", hms(2, 0, 0)).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a"]);
    node.fire(&["Next/a"]).await;
    world.run(&[&node], hms(0, 0, 10)).await;
    node.kill().await;
    let node = world.node_on_disk("one").await;
    assert!(node.handle.silence(&id).is_some());
    assert_eq!(node.handle.find_alerts(&AlertQuery::default()).len(), 3);
    world.run(&[&node], hms(0, 10, 0)).await;
    assert_eq!(world.heard(), ["90 /a: firing Next/a"]);
    node.resolve(&["Down/a"]).await;
    node.stop().await;
    let node = world.node_on_disk("one").await;
    world.run(&[&node], hms(0, 10, 0)).await;
    let heard = world.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].ends_with("resolved Down/a!"), "{heard:?}");
}

/// Its source could not repeat it while the node was down, so it is given five minutes.
#[tokio::test(start_paused = true)]
async fn after_a_start_what_ends_by_expiry_waits_for_its_source() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node_on_disk("one").await;
    let ends = |seconds| Some(time::add(epoch(), hms(0, 0, seconds)));
    let early = AlertInput { ends_at: ends(40), ..input("Early/a", epoch()) };
    let late = AlertInput { ends_at: ends(400), ..input("Late/a", epoch()) };
    node.handle.post_alerts(ApiVersion::V2, vec![early, late]).await;
    world.run(&[&node], hms(0, 6, 0)).await;
    assert_eq!(
        world.heard(),
        ["30 /a: firing Early/a", "30 /a: firing Late/a", "330 /a: resolved Early/a!"]
    );
    let other = AlertInput { ends_at: ends(90_000), ..input("Other/a", node.handle.now()) };
    node.handle.post_alerts(ApiVersion::V2, vec![other]).await;
    node.kill().await;
    world.run(&[], hms(0, 1, 0)).await;
    let node = world.node_on_disk("one").await;
    assert_eq!(node.handle.find_alerts(&AlertQuery::default()).len(), 2, "420 s: Late is held");
    world.run(&[&node], hms(0, 20, 0)).await;
    // Held until 720; the look after that sees it.
    assert_eq!(world.heard(), ["420 /a: firing Other/a", "930 /a: resolved Late/a!"]);
}

/// Its record had expired while the node was down; the receiver still thought that it fired.
#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_was_there_to_tell_is_told_hours_later() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node_on_disk("one").await;
    let ends_at = Some(time::add(epoch(), hms(0, 10, 0)));
    let told = AlertInput { ends_at, ..input("Down/a", epoch()) };
    node.handle.post_alerts(ApiVersion::V2, vec![told]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a"]);
    // Nobody has heard of this one.
    let untold = AlertInput { ends_at, ..input("Up/a", node.handle.now()) };
    node.handle.post_alerts(ApiVersion::V2, vec![untold]).await;
    node.kill().await;
    world.run(&[], hms(3, 0, 0)).await;
    let node = world.node_on_disk("one").await;
    assert_eq!(node.shared.alerts.len(), 1, "the other one is forgotten");
    world.run(&[&node], hms(0, 20, 0)).await;
    let heard = world.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].ends_with("resolved Down/a!"), "{heard:?}");
}

/// The files that Alertmanager reads are enough for a new beginning, alerts aside.
#[tokio::test(start_paused = true)]
async fn what_alertmanager_left_is_taken_over() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a", "Up/a"]).await;
    let id = node.silence("Up", hms(2, 0, 0)).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a"]);
    node.stop().await;
    assert!(world.dir.path().join("nflog").exists());
    let node = world.node().await;
    assert_eq!(node.handle.find_silences(|_| true).len(), 1);
    assert!(node.handle.silence(&id).is_some());
    node.fire(&["Down/a", "Up/a"]).await;
    world.run(&[&node], hms(1, 0, 0)).await;
    assert_eq!(world.heard(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn trap_03_a_bad_alert_does_not_keep_the_good_ones_out() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    let posted = node.fire(&["Down/a", "", "Down/b"]).await;
    assert_eq!(posted.invalid, ["at least one label pair required"]);
    assert_eq!(node.handle.find_alerts(&AlertQuery::default()).len(), 2);
    let counts = node.handle.numbers().counts;
    assert_eq!((counts.received, counts.invalid), ([[0, 0], [3, 0]], [0, 1]));
}

#[tokio::test(start_paused = true)]
async fn the_history_says_who_was_told_what() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    world.sink.answer([503]);
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    let all = node.handle.history().all();
    let (key, history) = &all[0];
    assert_eq!(&**key, "{}:{alertname=\"Down\"}:hook/webhook/0");
    let attempts: Vec<_> = history.iter().map(|one| (one.outcome, one.firing)).collect();
    use tocsin_core::history::Outcome;
    assert_eq!(attempts, [(Outcome::Retried, 1), (Outcome::Sent, 1)]);
}

#[tokio::test(start_paused = true)]
async fn trap_22_what_fires_again_while_its_end_is_told_stays() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    node.resolve(&["Down/a"]).await;
    world.run(&[&node], hms(0, 4, 20)).await;
    world.heard();
    // The answer of 503 keeps the flush of 330 seconds busy for a while.
    world.sink.answer([503]);
    world.run(&[&node], hms(0, 0, 10)).await;
    assert!(!node.shared.tasks.is_empty(), "still under way");
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 10, 0)).await;
    // The second attempt looked again: it fires, as the receiver knows already.
    assert_eq!(world.heard(), [""; 0]);
    assert!(node.shared.dispatch.read(|inner| !inner.groups.is_empty()));
    node.resolve(&["Down/a"]).await;
    world.run(&[&node], hms(0, 6, 0)).await;
    let heard = world.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].ends_with("resolved Down/a!"), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_requests_end_and_starts_none() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node_on_disk("one").await;
    node.fire(&["Down/a"]).await;
    world.run(&[&node], hms(0, 0, 29)).await;
    node.stop().await;
    world.run(&[], hms(0, 1, 0)).await;
    assert_eq!(world.heard(), [""; 0]);
    let node = world.node_on_disk("one").await;
    world.run(&[&node], hms(0, 10, 0)).await;
    assert_eq!(world.heard(), ["89 /a: firing Down/a"], "made up at once, told once");
}

#[tokio::test(start_paused = true)]
async fn a_test_notification_reaches_the_receiver_and_leaves_no_trace() {
    let world = World::new().await;
    world.configure(&format!("{PLAIN}  - url: URL/b\n"));
    let node = world.node().await;
    world.sink.answer([400]);
    let trials = node.handle.test_receiver("hook").await.unwrap();
    let names: Vec<_> = trials.iter().map(|trial| trial.integration.as_str()).collect();
    assert_eq!(names, ["hook/webhook[0]", "hook/webhook[1]"]);
    let errors: Vec<_> = trials.iter().filter_map(|trial| trial.error.clone()).collect();
    assert!(errors.len() == 1 && errors[0].contains("400"), "{errors:?}");
    let heard = world.heard();
    assert!(heard.len() == 1 && heard[0].ends_with("firing TestNotification"), "{heard:?}");
    assert_eq!(node.handle.test_receiver("nobody").await, None);
    assert!(node.handle.log().is_empty() && node.handle.history().all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn too_many_alerts_of_one_name_are_left_out() {
    let world = World::new().await;
    world.configure(PLAIN);
    let mut options = world.options();
    options.alerts_per_alertname_limit = 2;
    let node = world.node_with(options, tocsin_cluster::Options::alone()).await;
    let posted = node.fire(&["Down/a", "Down/b", "Down/c", "Up/a"]).await;
    assert_eq!(posted.invalid, [""; 0]);
    assert_eq!(node.handle.find_alerts(&AlertQuery::default()).len(), 3);
    assert_eq!(node.handle.numbers().counts.limited[&Box::from("Down")], 1);
}

#[tokio::test(start_paused = true)]
async fn the_states_of_alerts_are_counted() {
    let world = World::new().await;
    world.configure(PLAIN);
    let node = world.node().await;
    node.silence("Up", hms(1, 0, 0)).await;
    node.fire(&["Down/a", "Up/a"]).await;
    world.run(&[&node], hms(0, 1, 0)).await;
    node.fire(&["Down/b"]).await;
    world.run(&[&node], hms(0, 0, 1)).await;
    let states = node.handle.numbers().alerts.unwrap();
    assert_eq!((states.active, states.suppressed, states.unprocessed), (1, 1, 1));
    assert_eq!(node.handle.numbers().groups, 2);
    assert_eq!(node.handle.numbers().silences, [1, 0, 0]);
}
