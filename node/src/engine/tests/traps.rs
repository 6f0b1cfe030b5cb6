//! The behaviours that are got wrong most easily, by their numbers, as far as `pipeline.rs` does not show them: what is
//! posted to a whole node, and what its API answers and its receiver hears.

use jiff::Timestamp;
use serde_json::{Value, json};
use tocsin_core::alert::AlertInput;
use tocsin_core::time;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::world::{Node, World, epoch, hms, input};
use crate::engine::{ApiVersion, GroupQuery};

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

/// A node with its API on a socket.
struct Site {
    world: World,
    node: Node,
    port: u16,
    _api: AbortOnDropHandle<Result<(), crate::NodeError>>,
}

impl Site {
    async fn new(config: &str) -> Self {
        let world = World::new().await;
        world.configure(config);
        let node = world.node().await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let serve = crate::api::serve(node.handle.clone(), vec![listener], stop);
        Self { world, node, port, _api: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }

    /// Status and body.
    async fn ask(&self, method: &str, path: &str, content_type: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let length = body.len();
        let head = format!(
            "{method} /api/v2/{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
            let chunks = body.split("\r\n").skip(1).step_by(2);
            chunks.collect()
        } else {
            body.to_owned()
        };
        (head[9..12].parse().unwrap(), body.trim_end().to_owned())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.ask("GET", path, "text/plain", "").await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, body) = self.ask("POST", path, "application/json", &body.to_string()).await;
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// Posts alerts; all are good.
    async fn fire(&self, alerts: Value) {
        assert_eq!(self.post("alerts", &alerts).await.0, 200);
    }

    async fn run(&self, minutes: u64, seconds: u64) {
        self.world.run(&[&self.node], hms(0, minutes, seconds)).await;
    }

    /// How many alerts a filter shows.
    async fn shown(&self, query: &str) -> usize {
        let (status, alerts) = self.get(&format!("alerts?{query}")).await;
        assert_eq!(status, 200, "{alerts}");
        alerts.as_array().unwrap().len()
    }

    async fn group_keys(&self) -> Vec<String> {
        let view = self.node.handle.groups(&GroupQuery::default()).await;
        view.groups.iter().map(|group| group.key.to_string()).collect()
    }
}

fn silence(value: &str, starts_at: Timestamp, ends_at: Timestamp) -> Value {
    json!({
        "matchers": [{"name": "alertname", "value": value, "isRegex": false}],
        "startsAt": starts_at.to_string(), "endsAt": ends_at.to_string(), "createdBy": "me", "comment": "why",
    })
}

fn after(seconds: u64) -> Timestamp {
    time::add(epoch(), hms(0, 0, seconds))
}

#[tokio::test(start_paused = true)]
async fn trap_02_a_form_is_no_json() {
    let site = Site::new(PLAIN).await;
    let (status, body) =
        site.ask("POST", "alerts", "application/x-www-form-urlencoded", "[]").await;
    assert_eq!(status, 415);
    assert_eq!(
        body,
        r#"{"code":415,"message":"unsupported media type \"application/x-www-form-urlencoded\", only [application/json] are allowed"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn trap_04_a_word_that_is_no_boolean_is_false() {
    let site = Site::new(PLAIN).await;
    site.node.fire(&["Down/a"]).await;
    assert_eq!(site.shown("active=true").await, 1);
    assert_eq!(site.shown("active=maybe").await, 0);
}

#[tokio::test(start_paused = true)]
async fn trap_05_a_filter_has_no_braces() {
    let site = Site::new(PLAIN).await;
    let (status, body) = site.get("alerts?filter={a=%22b%22}").await;
    assert_eq!((status, body), (400, json!("unexpected open or close brace: {a=\"b\"}")));
}

#[tokio::test(start_paused = true)]
async fn trap_06_an_absent_label_is_not_unlike_empty() {
    let site = Site::new(PLAIN).await;
    site.fire(json!([{"labels": {"a": "1"}}, {"labels": {"a": "2", "foo": "x"}}])).await;
    assert_eq!(site.shown("filter=foo!=%22%22").await, 1);
    assert_eq!(site.shown("filter=foo=%22%22").await, 1);
}

#[tokio::test(start_paused = true)]
async fn trap_07_silences_are_filtered_by_the_text_of_their_matchers() {
    let site = Site::new(PLAIN).await;
    let mut body = silence("b", epoch(), after(3600));
    body["matchers"][0] = json!({"name": "a", "value": "b", "isRegex": true});
    assert_eq!(site.post("silences", &body).await.0, 200);
    assert_eq!(site.get("silences?filter=a=b").await.1, json!([]));
    let (_, found) = site.get("silences?filter=a=~%22b%22").await;
    assert_eq!(found.as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn trap_08_an_empty_start_is_the_beginning_of_time() {
    let site = Site::new(PLAIN).await;
    site.fire(json!([{"labels": {"alertname": "Down"}, "startsAt": ""}])).await;
    assert_eq!(site.get("alerts").await.1[0]["startsAt"], "1970-01-01T00:00:00.000Z");
    site.run(0, 1).await;
    assert_eq!(site.world.heard(), ["0 /a: firing Down"]);
}

#[tokio::test(start_paused = true)]
async fn trap_10_moments_are_cut_to_milliseconds_for_clients_and_whole_for_webhooks() {
    let site = Site::new(PLAIN).await;
    let at = "2026-11-24T12:00:00.123456789+02:00";
    site.fire(json!([{"labels": {"alertname": "Down"}, "startsAt": at}])).await;
    let shown = site.get("alerts").await.1[0]["startsAt"].as_str().unwrap().to_owned();
    assert!(shown.contains(":00:00.123"), "{shown}");
    assert!(!shown.contains("1234"), "{shown}");
    site.run(1, 0).await;
    let told = site.world.sink.take().remove(0).body["alerts"][0]["startsAt"].clone();
    assert!(told.as_str().unwrap().contains(":00:00.123456789"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn trap_11_an_empty_label_is_none() {
    let site = Site::new(PLAIN).await;
    site.fire(json!([{"labels": {"a": "b", "c": ""}}])).await;
    let (_, alerts) = site.get("alerts").await;
    assert_eq!(alerts[0]["fingerprint"], "d2b371819297f98a");
    assert_eq!(alerts[0]["labels"], json!({"a": "b"}));
}

fn ends(text: &str, ends_at: Option<Timestamp>) -> AlertInput {
    AlertInput { ends_at, ..input(text, epoch()) }
}

#[tokio::test(start_paused = true)]
async fn trap_12_an_earlier_end_wins_over_a_timeout_and_not_over_a_later_end() {
    let site = Site::new(PLAIN).await;
    let post = |alert| site.node.handle.post_alerts(ApiVersion::V2, vec![alert]);
    post(ends("Down/a", None)).await;
    post(ends("Up/a", Some(after(300)))).await;
    site.run(0, 10).await;
    // Both still fire, and end within what is known.
    post(ends("Down/a", Some(after(200)))).await;
    post(ends("Up/a", Some(after(200)))).await;
    let (_, alerts) = site.get("alerts?filter=alertname=Down").await;
    assert_eq!(alerts[0]["endsAt"], time::rfc3339_millis(after(200)));
    let (_, alerts) = site.get("alerts?filter=alertname=Up").await;
    assert_eq!(alerts[0]["endsAt"], time::rfc3339_millis(after(300)));
}

#[tokio::test(start_paused = true)]
async fn trap_13_a_later_end_replaces_and_brings_its_annotations() {
    let site = Site::new(PLAIN).await;
    let alert = |end, name: &str| {
        json!([{"labels": {"alertname": "Down"}, "startsAt": epoch().to_string(), "endsAt": after(end).to_string(),
                "annotations": {name: "x"}}])
    };
    site.fire(alert(300, "first")).await;
    site.run(0, 10).await;
    site.fire(alert(400, "second")).await;
    let (_, alerts) = site.get("alerts").await;
    assert_eq!(alerts[0]["annotations"], json!({"second": "x"}));
    assert_eq!(alerts[0]["endsAt"], time::rfc3339_millis(after(400)));
}

#[tokio::test(start_paused = true)]
async fn trap_14_a_repeat_without_a_start_keeps_the_oldest() {
    let site = Site::new(PLAIN).await;
    site.fire(json!([{"labels": {"alertname": "Down"}}])).await;
    site.run(1, 0).await;
    site.fire(json!([{"labels": {"alertname": "Down"}}])).await;
    let (_, alerts) = site.get("alerts").await;
    assert_eq!(alerts[0]["startsAt"], time::rfc3339_millis(epoch()));
    assert_eq!(alerts[0]["endsAt"], time::rfc3339_millis(after(360)));
}

#[tokio::test(start_paused = true)]
async fn trap_24_an_empty_group_by_is_one_group_and_an_absent_one_is_the_parents() {
    let routes = "  group_wait: 30s\n  routes:\n  - matchers: [one=\"1\"]\n    group_by: []\n  - matchers: [two=\"2\"]\n";
    let site = Site::new(&PLAIN.replace("  group_wait: 30s\n", routes)).await;
    let alert =
        |name: &str, label: &str, value: &str| json!({"labels": {"alertname": name, label: value}});
    site.fire(json!([
        alert("A", "one", "1"),
        alert("B", "one", "1"),
        alert("A", "two", "2"),
        alert("B", "two", "2")
    ]))
    .await;
    site.run(1, 0).await;
    let mut keys = site.group_keys().await;
    keys.sort();
    assert_eq!(
        keys,
        [
            "{}/{one=\"1\"}:{}",
            "{}/{two=\"2\"}:{alertname=\"A\"}",
            "{}/{two=\"2\"}:{alertname=\"B\"}"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn trap_25_the_hours_of_a_parent_are_not_its_childrens() {
    let routes = "  group_wait: 30s\n  routes:\n  - matchers: [alertname=~\"Down|Up\"]\n    mute_time_intervals: [always]\n    routes:\n    - matchers: [alertname=\"Up\"]\n";
    let site = Site::new(
        &(PLAIN.replace("  group_wait: 30s\n", routes)
            + "time_intervals:\n- name: always\n  time_intervals: [{}]\n"),
    )
    .await;
    site.node.fire(&["Down/a", "Up/a"]).await;
    site.run(10, 0).await;
    assert_eq!(site.world.heard(), ["30 /a: firing Up/a"]);
}

#[tokio::test(start_paused = true)]
async fn trap_26_labels_of_a_key_have_spaces_and_matchers_have_none() {
    let routes = "  group_wait: 30s\n  routes:\n  - matchers: [team=~\"a|b\", severity=\"critical\"]\n    group_by: [cluster, alertname]\n";
    let site = Site::new(&PLAIN.replace("  group_wait: 30s\n", routes)).await;
    let labels = json!({"alertname": "A", "cluster": "x", "severity": "critical", "team": "a"});
    site.fire(json!([{"labels": labels}])).await;
    site.run(1, 0).await;
    let key = "{}/{severity=\"critical\",team=~\"a|b\"}:{alertname=\"A\", cluster=\"x\"}";
    assert_eq!(site.world.sink.take()[0].body["groupKey"], key);
}

#[tokio::test(start_paused = true)]
async fn trap_27_a_label_that_is_absent_is_absent_from_the_group() {
    let site = Site::new(&PLAIN.replace("[alertname]", "[cluster]")).await;
    site.node.fire(&["Down/a"]).await;
    site.run(1, 0).await;
    let told = site.world.sink.take().remove(0).body;
    assert_eq!((&told["groupLabels"], &told["groupKey"]), (&json!({}), &json!("{}:{}")));
}

const BY_LEVEL: &str = "inhibit_rules:\n- source_matchers: [severity=\"critical\"]\n  target_matchers: [severity=\"warning\"]\n  equal: [cluster]\n";

#[tokio::test(start_paused = true)]
async fn trap_28_absent_on_both_sides_is_equal() {
    let site = Site::new(&format!("{PLAIN}{BY_LEVEL}")).await;
    site.node.fire(&["Down/a critical", "Slow/a warning"]).await;
    site.run(1, 0).await;
    assert_eq!(site.world.heard(), ["30 /a: firing Down/a"]);
}

#[tokio::test(start_paused = true)]
async fn trap_29_what_is_source_and_target_does_not_inhibit_its_like() {
    let both = BY_LEVEL.replace("\"critical\"", "~\".+\"").replace("\"warning\"", "~\".+\"");
    let site = Site::new(&format!("{PLAIN}{both}")).await;
    site.node.fire(&["Down/a critical", "Slow/a warning"]).await;
    site.run(1, 0).await;
    let mut heard = site.world.heard();
    heard.sort();
    assert_eq!(heard, ["30 /a: firing Down/a", "30 /a: firing Slow/a"]);
}

#[tokio::test(start_paused = true)]
async fn trap_31_an_edit_of_the_end_keeps_the_identity() {
    let site = Site::new(PLAIN).await;
    let (_, made) = site.post("silences", &silence("Down", epoch(), after(3600))).await;
    site.run(0, 10).await;
    // As clients echo it: cut to milliseconds; it is compared by whole seconds.
    let start = time::add(epoch(), std::time::Duration::from_millis(7));
    let mut edit = silence("Down", start, after(7200));
    edit["id"] = made["silenceID"].clone();
    let (status, kept) = site.post("silences", &edit).await;
    assert_eq!((status, &kept), (200, &made));
    let id = made["silenceID"].as_str().unwrap();
    assert_eq!(site.node.handle.silence(id).unwrap().ends_at, after(7200));
}

#[tokio::test(start_paused = true)]
async fn trap_32_matchers_in_another_order_are_another_silence() {
    let site = Site::new(PLAIN).await;
    let mut body = silence("Down", epoch(), after(3600));
    let other = json!({"name": "a", "value": "b", "isRegex": false});
    body["matchers"].as_array_mut().unwrap().push(other);
    let (_, made) = site.post("silences", &body).await;
    body["id"] = made["silenceID"].clone();
    body["matchers"].as_array_mut().unwrap().reverse();
    let (status, new) = site.post("silences", &body).await;
    assert_eq!(status, 200);
    assert_ne!(made, new);
    let (_, old) = site.get(&format!("silence/{}", made["silenceID"].as_str().unwrap())).await;
    assert_eq!(old["status"]["state"], "expired");
}

#[tokio::test(start_paused = true)]
async fn trap_33_an_expired_silence_comes_back_under_another_identity() {
    let site = Site::new(PLAIN).await;
    let mut body = silence("Down", epoch(), after(60));
    let (_, made) = site.post("silences", &body).await;
    site.run(2, 0).await;
    body["id"] = made["silenceID"].clone();
    body["endsAt"] = json!(after(3600).to_string());
    let (status, new) = site.post("silences", &body).await;
    assert_eq!(status, 200);
    assert_ne!(made, new);
    body["id"] = json!("00000000-0000-4000-8000-000000000000");
    assert_eq!(site.post("silences", &body).await, (404, json!("silence not found")));
}

#[tokio::test(start_paused = true)]
async fn trap_34_what_has_expired_can_be_deleted_and_what_never_was_cannot() {
    let site = Site::new(PLAIN).await;
    let (_, made) = site.post("silences", &silence("Down", epoch(), after(60))).await;
    site.run(2, 0).await;
    let delete = async |id: &str| site.ask("DELETE", &format!("silence/{id}"), "a/b", "").await;
    assert_eq!(delete(made["silenceID"].as_str().unwrap()).await.0, 200);
    let unknown = delete("00000000-0000-4000-8000-000000000000").await;
    assert_eq!(unknown, (404, String::new()));
    assert_eq!(delete("no-uuid").await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn trap_35_a_start_in_the_past_is_now_and_nothing_matches_everything() {
    let site = Site::new(PLAIN).await;
    site.run(1, 0).await;
    let (status, made) = site.post("silences", &silence("Down", epoch(), after(3600))).await;
    assert_eq!(status, 200);
    let id = made["silenceID"].as_str().unwrap();
    assert_eq!(site.node.handle.silence(id).unwrap().starts_at, after(60));
    let (status, body) = site.post("silences", &silence("", epoch(), after(3600))).await;
    let expected =
        "invalid silence: matcher set 0: at least one matcher must not match the empty string";
    assert_eq!((status, body), (400, json!(expected)));
}

/// Of three, the first in rank goes at once; the others wait their rank's time before they act, and their flush has as much
/// more time.
#[tokio::test(start_paused = true)]
async fn trap_36_who_is_not_first_waits_its_rank_and_finds_it_told() {
    let world = World::new().await;
    world.configure(PLAIN);
    let one = world.member("one", &[]).await;
    let two = world.member("two", &[&one]).await;
    let three = world.member("three", &[&one, &two]).await;
    let all = [&one, &two, &three];
    world.until(&all, |node| node.view().live == 3).await;
    let mut waits: Vec<_> = all
        .iter()
        .map(|node| {
            let cluster = &node.shared.cluster;
            let rank = cluster.rank("{}:{alertname=\"Down\"}".as_bytes());
            (rank.own, cluster.rank_wait(rank.own).as_secs())
        })
        .collect();
    waits.sort_unstable();
    assert_eq!(waits, [(0, 0), (1, 15), (2, 30)]);
    one.fire(&["Down/a"]).await;
    world.until(&all, |node| !node.shared.alerts.is_empty()).await;
    world.run(&all, hms(0, 2, 0)).await;
    assert_eq!(world.heard(), ["30 /a: firing Down/a"]);
}

/// A node of a cluster tells nothing before it is ready, and is not ready before it knows whom it is with or has waited for
/// them; alone there is nothing to wait for.
#[tokio::test(start_paused = true)]
async fn trap_37_nothing_is_told_before_the_cluster_has_settled() {
    let world = World::new().await;
    world.configure(PLAIN);
    let alone = world.node().await;
    assert!(alone.handle.cluster().ready().borrow().is_ready());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cluster = tocsin_cluster::Options {
        listen: "127.0.0.1:0".into(),
        name: "one".into(),
        peers: vec![nobody.local_addr().unwrap().to_string()],
        settle_timeout: hms(1, 0, 0),
        version: crate::VERSION.into(),
        ..tocsin_cluster::Options::default()
    };
    let settling = world.node_with(world.options(), cluster).await;
    let old = AlertInput {
        starts_at: Some(time::sub(epoch(), hms(1, 0, 0))),
        ..input("Down/a", epoch())
    };
    settling.handle.post_alerts(ApiVersion::V2, vec![old]).await;
    assert!(!settling.handle.cluster().ready().borrow().is_ready());
    assert_eq!(settling.handle.numbers().alerts, None, "no groups yet");
    assert_eq!(world.heard(), [""; 0]);
}

/// The start is inside, the end is not; an empty list of times never holds, an absent one always.
#[tokio::test(start_paused = true)]
async fn trap_38_the_end_of_an_hour_is_outside() {
    let muted = |times: &str| {
        PLAIN.replace(
            "  group_wait: 30s\n",
            "  group_wait: 30s\n  routes:\n  - matchers: [alertname=\"Down\"]\n    mute_time_intervals: [hours]\n",
        ) + &format!("time_intervals:\n- name: hours\n  time_intervals: [{{{times}}}]\n")
    };
    for (times, expected) in [
        // The ticks are at 10:00:30 and 10:05:30; those of an interval are whole minutes.
        ("times: [{start_time: '09:00', end_time: '10:05'}]", Some(330)),
        ("times: [{start_time: '10:01', end_time: '10:05'}]", Some(30)),
        ("times: []", Some(30)),
        ("", None),
    ] {
        let site = Site::new(&muted(times)).await;
        site.node.fire(&["Down/a"]).await;
        site.run(12, 0).await;
        let expected = expected.map(|second| format!("{second} /a: firing Down/a"));
        assert_eq!(site.world.heard(), Vec::from_iter(expected), "{times}");
    }
    let exact = muted("times: [{start_time: '09:00', end_time: '10:05'}]");
    let site = Site::new(&exact.replace("group_wait: 30s", "group_wait: 5m")).await;
    site.node.fire(&["Down/a"]).await;
    site.run(6, 0).await;
    assert_eq!(site.world.heard(), ["300 /a: firing Down/a"], "10:05:00 is outside");
}

/// Days that a month does not have never hold.
#[tokio::test(start_paused = true)]
async fn trap_39_days_count_from_both_ends_of_their_own_month() {
    // The tests begin on 24 November: a month of 30 days.
    for (days, muted) in [("'-7'", true), ("'24'", true), ("'31'", false), ("'-31'", false)] {
        let config = PLAIN.replace(
            "  group_wait: 30s\n",
            "  group_wait: 30s\n  routes:\n  - matchers: [alertname=\"Down\"]\n    mute_time_intervals: [days]\n",
        ) + &format!(
            "time_intervals:\n- name: days\n  time_intervals: [{{days_of_month: [{days}]}}]\n"
        );
        let site = Site::new(&config).await;
        site.node.fire(&["Down/a"]).await;
        site.run(1, 0).await;
        assert_eq!(site.world.heard().is_empty(), muted, "{days}");
    }
}
