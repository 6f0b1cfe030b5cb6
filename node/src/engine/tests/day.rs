//! A day of two thousand alerts against a small model that is written from the specification alone: the same notifications
//! at the same times.
//!
//! Posts come at whole minutes, those of old alerts twenty seconds later.

use std::collections::{BTreeMap, BTreeSet};

use tocsin_core::alert::AlertInput;
use tocsin_core::label::Labels;
use tocsin_core::matcher::MatchOp;
use tocsin_core::silence::{RawMatcher, SilenceInput};
use tocsin_core::time;

use super::world::{Heard, Node, World, epoch, hms};
use crate::engine::ApiVersion;

const CONFIG: &str = r#"
global: {resolve_timeout: 5m}
route:
  receiver: all
  group_by: [alertname, cluster]
  group_wait: 30s
  group_interval: 10m
  repeat_interval: 4h
  routes:
  - matchers: [severity="critical"]
    receiver: pager
    group_by: [cluster]
    group_wait: 10s
    group_interval: 5m
    repeat_interval: 1h
    continue: true
  - matchers: [team="hours"]
    receiver: hours
    group_interval: 15m
    mute_time_intervals: [break]
  - matchers: [team="quiet"]
    receiver: quiet
    repeat_interval: 2h
    active_time_intervals: [open]
receivers:
- name: all
  webhook_configs: [{url: URL/all}]
- name: pager
  webhook_configs: [{url: URL/pager}]
- name: hours
  webhook_configs: [{url: URL/hours}]
- name: quiet
  webhook_configs: [{url: URL/quiet, send_resolved: false}]
inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning"]
  equal: [cluster, node]
time_intervals:
- name: break
  time_intervals:
  - times: [{start_time: "12:00", end_time: "13:30"}]
- name: open
  time_intervals:
  - times: [{start_time: "06:00", end_time: "22:00"}]
"#;

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
/// The tests begin at ten.
const START: i64 = 10 * 3600;

/// A generator of numbers that is the same everywhere: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// The number of an alert: twenty names, ten clusters, ten nodes.
type Id = u16;

const ALERTS: Id = 2000;

fn name(id: Id) -> String {
    format!("A{}", id % 20)
}

fn cluster(id: Id) -> String {
    format!("c{}", id / 20 % 10)
}

fn node(id: Id) -> String {
    format!("n{}", id / 200)
}

fn severity(id: Id) -> &'static str {
    ["critical", "warning", "warning", "info"][usize::from(id * 7 % 11 % 4)]
}

fn team(id: Id) -> &'static str {
    match id % 20 {
        0..=4 => "hours",
        5..=9 => "quiet",
        _ => "other",
    }
}

fn labels(id: Id) -> Labels {
    let pairs = [
        ("alertname", name(id)),
        ("cluster", cluster(id)),
        ("instance", id.to_string()),
        ("node", node(id)),
        ("severity", severity(id).to_owned()),
        ("team", team(id).to_owned()),
    ];
    Labels::new(pairs)
}

#[derive(Debug, Clone)]
enum Step {
    /// Posted with a start and an end, if any.
    Post { id: Id, start: Option<i64>, end: Option<i64> },
    /// What has that label is silent until then. The number is the silence's.
    Silence { number: usize, label: &'static str, value: String, end: i64 },
    /// That silence ends.
    Unsilence(usize),
}

/// All steps by their second.
fn script(seed: u64) -> BTreeMap<i64, Vec<Step>> {
    let mut dice = Dice(seed);
    let mut steps: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    for id in 0..ALERTS {
        let mut at = MINUTE * dice.below(600);
        while at < DAY {
            at = episode(id, at, &mut dice, &mut steps) + MINUTE * (1 + dice.below(700));
        }
    }
    for number in 0..120 {
        let at = MINUTE * dice.below(DAY / MINUTE);
        let id = Id::try_from(dice.below(ALERTS.into())).unwrap();
        let (label, value) = match dice.below(4) {
            0 => ("alertname", name(id)),
            1 => ("cluster", cluster(id)),
            2 => ("instance", id.to_string()),
            _ => ("node", node(id)),
        };
        let end = at + MINUTE * (3 + dice.below(120));
        steps.entry(at).or_default().push(Step::Silence { number, label, value, end });
        if dice.below(3) == 0 {
            let early = at + MINUTE * (1 + dice.below(60));
            if early < end {
                steps.entry(early).or_default().push(Step::Unsilence(number));
            }
        }
    }
    steps
}

/// One alert fires for a while; answers when that is over.
fn episode(id: Id, at: i64, dice: &mut Dice, steps: &mut BTreeMap<i64, Vec<Step>>) -> i64 {
    let mut post = |at: i64, start, end| {
        steps.entry(at).or_default().push(Step::Post { id, start, end });
    };
    let longest = if dice.below(3) == 0 { 240 } else { 25 };
    let minutes = 1 + dice.below(longest);
    let over = at + MINUTE * minutes;
    match dice.below(5) {
        // Without an end, repeated until it is over: ends by itself five minutes later.
        0 => {
            let mut now = at;
            while now < over {
                post(now, None, None);
                now += MINUTE * (1 + dice.below(4));
            }
            now + 5 * MINUTE
        }
        // As Prometheus does it: the end runs ahead, and is told in the end.
        1 | 2 => {
            let mut now = at;
            while now < over {
                post(now, Some(at), Some(now + 8 * MINUTE));
                now += MINUTE * (2 + dice.below(3));
            }
            post(over, Some(at), Some(over));
            over
        }
        // Had been firing for an hour when it came; nobody says that it is over.
        3 => {
            post(at + 20, Some(at - 3600), Some(over));
            over
        }
        // Flaps.
        _ => {
            let mut now = at;
            for _ in 0..1 + dice.below(4) {
                post(now, Some(now), Some(now + 40 * MINUTE));
                now += MINUTE * (1 + dice.below(9));
                post(now, None, Some(now));
                now += MINUTE * (1 + dice.below(9));
            }
            now
        }
    }
}

/// A route and its receiver.
struct Route {
    receiver: &'static str,
    wait: i64,
    interval: i64,
    repeat: i64,
    send_resolved: bool,
    group: fn(Id) -> String,
    /// Whether nothing is told at that second of the day.
    mute: fn(i64) -> bool,
}

fn by_name(id: Id) -> String {
    format!("{}/{}", name(id), cluster(id))
}

fn never(_: i64) -> bool {
    false
}

const ROUTES: [Route; 4] = [
    Route {
        receiver: "all",
        wait: 30,
        interval: 600,
        repeat: 4 * 3600,
        send_resolved: true,
        group: by_name,
        mute: never,
    },
    Route {
        receiver: "pager",
        wait: 10,
        interval: 300,
        repeat: 3600,
        send_resolved: true,
        group: cluster,
        mute: never,
    },
    Route {
        receiver: "hours",
        wait: 30,
        interval: 900,
        repeat: 4 * 3600,
        send_resolved: true,
        group: by_name,
        mute: |second| (12 * 3600..13 * 3600 + 1800).contains(&second),
    },
    Route {
        receiver: "quiet",
        wait: 30,
        interval: 600,
        repeat: 2 * 3600,
        send_resolved: false,
        group: by_name,
        mute: |second| !(6 * 3600..22 * 3600).contains(&second),
    },
];

/// The routes of an alert, by their numbers.
fn routes(id: Id) -> Vec<usize> {
    let mut routes = Vec::new();
    if severity(id) == "critical" {
        routes.push(1);
    }
    match team(id) {
        "hours" => routes.push(2),
        "quiet" => routes.push(3),
        _ => {}
    }
    if routes.is_empty() {
        routes.push(0);
    }
    routes
}

/// An alert as it is stored.
#[derive(Clone, Copy)]
struct Stored {
    start: i64,
    end: i64,
    timeout: bool,
}

type Key = (usize, String);

/// What the specification says, for one node.
#[derive(Default)]
struct Model {
    alerts: BTreeMap<Id, Stored>,
    groups: BTreeMap<Key, Group>,
    log: BTreeMap<Key, Entry>,
    /// Label, value, end, by number.
    silences: BTreeMap<usize, (&'static str, String, i64)>,
    heard: Vec<String>,
}

#[derive(Default)]
struct Group {
    members: BTreeSet<Id>,
    due: i64,
}

#[derive(Default)]
struct Entry {
    at: i64,
    firing: BTreeSet<Id>,
    resolved: BTreeSet<Id>,
}

impl Model {
    /// The posts of one moment are one batch: all of it is there before a timer is set.
    fn apply(&mut self, now: i64, steps: &[Step]) {
        let mut made = Vec::new();
        for step in steps {
            match step {
                Step::Post { id, start, end } => self.post(now, *id, (*start, *end), &mut made),
                Step::Silence { number, label, value, end } => {
                    self.silences.insert(*number, (label, value.clone(), *end));
                }
                Step::Unsilence(number) => {
                    if let Some(silence) = self.silences.get_mut(number) {
                        silence.2 = silence.2.min(now);
                    }
                }
            }
        }
        for (key, start) in made {
            let due = self.first_due(now, &key, start);
            if let Some(group) = self.groups.get_mut(&key) {
                group.due = due;
            }
        }
    }

    fn post(
        &mut self,
        now: i64,
        id: Id,
        (start, end): (Option<i64>, Option<i64>),
        made: &mut Vec<(Key, i64)>,
    ) {
        let timeout = end.is_none();
        let new =
            Stored { start: start.or(end).unwrap_or(now), end: end.unwrap_or(now + 300), timeout };
        let stored = self.alerts.get(&id).map_or(new, |old| merge(*old, new, now));
        self.alerts.insert(id, stored);
        for route in routes(id) {
            let key = (route, (ROUTES[route].group)(id));
            let group = self.groups.entry(key.clone()).or_default();
            if group.members.is_empty() {
                made.push((key, stored.start));
            }
            group.members.insert(id);
        }
    }

    /// A group of which the receiver still thinks that it fires goes on at its old rhythm; an alert that has been firing for
    /// longer than the wait is told at once.
    fn first_due(&self, now: i64, key: &Key, start: i64) -> i64 {
        let route = &ROUTES[key.0];
        let members = &self.groups[key].members;
        match self.entry(key, now) {
            Some(entry) if !entry.firing.is_disjoint(members) => {
                entry.at + ((now - entry.at) / route.interval + 1) * route.interval
            }
            _ if start + route.wait < now => now,
            _ => now + route.wait,
        }
    }

    /// The log's entry, as long as it is kept.
    fn entry(&self, key: &Key, now: i64) -> Option<&Entry> {
        self.log.get(key).filter(|entry| now < entry.at + 2 * ROUTES[key.0].repeat)
    }

    /// Everything that falls due until then.
    fn run(&mut self, until: i64) {
        loop {
            let next = self.groups.iter().map(|(key, group)| (group.due, key)).min();
            let Some((due, key)) = next.filter(|(due, _)| *due <= until) else { return };
            let key = key.clone();
            self.flush(&key, due);
        }
    }

    fn flush(&mut self, key: &Key, now: i64) {
        let route = &ROUTES[key.0];
        let members = self.groups[key].members.clone();
        let fires = |id: &Id| now < self.alerts[id].end;
        let muted = (route.mute)((START + now) % DAY);
        let loud = |id: &Id| !muted && !self.is_inhibited(*id, now) && !self.is_silenced(*id, now);
        let (firing, resolved): (BTreeSet<_>, BTreeSet<_>) =
            members.iter().copied().filter(loud).partition(fires);
        if !(firing.is_empty() && resolved.is_empty())
            && self.is_needed(key, now, &firing, &resolved)
        {
            let told: &BTreeSet<Id> =
                if route.send_resolved { &resolved } else { &BTreeSet::new() };
            let mut ids: Vec<_> = firing.iter().map(Id::to_string).collect();
            ids.extend(told.iter().map(|id| format!("{id}!")));
            ids.sort();
            if !ids.is_empty() {
                self.heard.push(format!("{now} /{} {}", route.receiver, ids.join(" ")));
            }
            self.log.insert(key.clone(), Entry { at: now, firing, resolved });
        }
        let left: BTreeSet<Id> =
            members.into_iter().filter(|id| now < self.alerts[id].end).collect();
        if left.is_empty() {
            self.groups.remove(key);
        } else {
            self.groups.insert(key.clone(), Group { members: left, due: now + route.interval });
        }
    }

    fn is_needed(
        &self,
        key: &Key,
        now: i64,
        firing: &BTreeSet<Id>,
        resolved: &BTreeSet<Id>,
    ) -> bool {
        let route = &ROUTES[key.0];
        let Some(entry) = self.entry(key, now) else { return !firing.is_empty() };
        if !firing.is_subset(&entry.firing) {
            return true;
        }
        if firing.is_empty() {
            return !entry.firing.is_empty();
        }
        (route.send_resolved && !resolved.is_subset(&entry.resolved))
            || entry.at < now - route.repeat
    }

    fn is_silenced(&self, id: Id, now: i64) -> bool {
        self.silences.values().any(|(label, value, end)| {
            let own = match *label {
                "alertname" => name(id),
                "cluster" => cluster(id),
                "node" => node(id),
                _ => id.to_string(),
            };
            now < *end && own == *value
        })
    }

    fn is_inhibited(&self, id: Id, now: i64) -> bool {
        let place = |id: Id| (id / 20 % 10, id / 200);
        severity(id) == "warning"
            && self.alerts.iter().any(|(source, stored)| {
                severity(*source) == "critical" && now < stored.end && place(*source) == place(id)
            })
    }
}

/// Upstream's merge, in which the new one is always the younger.
fn merge(old: Stored, new: Stored, now: i64) -> Stored {
    let inside = |at: i64| old.start < at && at < old.end;
    if !inside(new.end) && !inside(new.start) {
        return new;
    }
    let start = old.start.min(new.start);
    let keeps_end = if new.end <= now { old.end <= now } else { !old.timeout };
    let end = if keeps_end { new.end.max(old.end) } else { new.end };
    Stored { start, end, timeout: new.timeout }
}

/// The steps of one moment, posted.
async fn perform(node: &Node, steps: &[Step], silences: &mut BTreeMap<usize, Box<str>>) {
    let at = |second: i64| {
        let back = hms(0, 0, second.unsigned_abs());
        if second < 0 { time::sub(epoch(), back) } else { time::add(epoch(), back) }
    };
    let mut alerts = Vec::new();
    for step in steps {
        match step {
            Step::Post { id, start, end } => alerts.push(AlertInput {
                labels: labels(*id),
                starts_at: start.map(at),
                ends_at: end.map(at),
                ..AlertInput::default()
            }),
            Step::Silence { number, label, value, end } => {
                let (name, value) = ((*label).into(), value.as_str().into());
                let matcher = RawMatcher { name, op: MatchOp::Equal, value };
                let silence = SilenceInput {
                    matcher_sets: vec![vec![matcher]],
                    ends_at: Some(at(*end)),
                    ..SilenceInput::default()
                };
                silences.insert(*number, node.handle.set_silence(silence).await.unwrap().id);
            }
            Step::Unsilence(number) => {
                node.handle.expire_silence(&silences[number]).await.unwrap();
            }
        }
    }
    if !alerts.is_empty() {
        node.handle.post_alerts(ApiVersion::V2, alerts).await;
    }
}

/// As the model writes it.
fn line(heard: &Heard) -> String {
    let alerts = heard.body["alerts"].as_array().unwrap().iter();
    let mut ids: Vec<_> = alerts
        .map(|alert| {
            let id = alert["labels"]["instance"].as_str().unwrap();
            format!("{id}{}", if alert["status"] == "resolved" { "!" } else { "" })
        })
        .collect();
    ids.sort();
    format!("{} {} {}", heard.second, heard.path, ids.join(" "))
}

#[tokio::test(start_paused = true)]
async fn a_day_of_two_thousand_alerts_is_told_as_the_model_says() {
    let steps = script(0x5eed);
    let world = World::new().await;
    world.configure(CONFIG);
    let node = world.node().await;
    let mut model = Model::default();
    let mut silences = BTreeMap::new();
    let mut now = 0;
    for (at, steps) in steps {
        world.run(&[&node], hms(0, 0, u64::try_from(at - now).unwrap())).await;
        now = at;
        model.run(now);
        model.apply(now, &steps);
        perform(&node, &steps, &mut silences).await;
    }
    world.run(&[&node], hms(2, 0, 0)).await;
    model.run(now + 7200);
    let mut heard: Vec<_> = world.sink.take().iter().map(line).collect();
    let mut expected = model.heard;
    heard.sort();
    expected.sort();
    let more: Vec<_> = heard.iter().filter(|line| expected.binary_search(line).is_err()).collect();
    let less: Vec<_> = expected.iter().filter(|line| heard.binary_search(line).is_err()).collect();
    let (first, last) = (more.first(), less.first());
    assert!(
        heard == expected,
        "of {}: {} heard such as {first:#?}, {} not heard such as {last:#?}",
        expected.len(),
        more.len(),
        less.len()
    );
    let by = |receiver: &str| expected.iter().filter(|line| line.contains(receiver)).count();
    let told = ["/all", "/pager", "/hours", "/quiet"].map(by);
    assert!(told.iter().all(|told| 300 < *told), "{told:?} say little");
}
