//! Generated scripts against a small model that is written from the specification alone: the same notifications at the same
//! times.

use std::collections::{BTreeMap, BTreeSet};

use tocsin_core::alert::AlertInput;
use tocsin_core::time;

use super::world::{World, epoch, hms, input};
use crate::engine::ApiVersion;

const CONFIG: &str = r#"
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 20s
  group_interval: 60s
  repeat_interval: 10m
receivers:
- name: hook
  webhook_configs:
  - url: URL/a
inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning"]
  equal: [instance]
"#;

const WAIT: i64 = 20;
const INTERVAL: i64 = 60;
const REPEAT: i64 = 600;

/// A generator of numbers that is the same everywhere: xorshift.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// `Name/instance severity`, as [`input`] reads it.
type Name = String;

#[derive(Debug, Clone)]
enum Step {
    /// Posted as firing until that second.
    Fire(Name, i64),
    /// Posted as over.
    Resolve(Name),
    /// The alertname is silenced for that many seconds.
    Silence(String, i64),
}

fn script(seed: u64) -> Vec<(i64, Step)> {
    let mut numbers = Numbers(seed * 2 + 0x9e37_79b9);
    let mut steps = Vec::new();
    let mut second = 0;
    while second < 3600 {
        // Never on a tick: which of the two comes first would be a matter of taste.
        second += 1 + i64::try_from(numbers.below(40)).unwrap();
        let name = format!("Name{}", numbers.below(4));
        let severity = ["critical", "warning", "info"][usize::try_from(numbers.below(3)).unwrap()];
        let alert = format!("{name}/{} {severity}", numbers.below(3));
        steps.push((
            second,
            match numbers.below(12) {
                0 => Step::Silence(name, i64::try_from(numbers.below(600)).unwrap() + 5),
                1..=4 => Step::Resolve(alert),
                _ => Step::Fire(alert, second + 30 + i64::try_from(numbers.below(900)).unwrap()),
            },
        ));
    }
    steps
}

/// What the specification says, for one node, one route and one receiver. All times in seconds.
#[derive(Default)]
struct Model {
    /// Start and end of every alert that was ever posted.
    alerts: BTreeMap<Name, (i64, i64)>,
    groups: BTreeMap<String, Group>,
    log: BTreeMap<String, Entry>,
    /// Alertname, start, end.
    silences: Vec<(String, i64, i64)>,
    heard: Vec<String>,
}

#[derive(Default)]
struct Group {
    members: BTreeSet<Name>,
    due: i64,
}

#[derive(Default, Clone)]
struct Entry {
    at: i64,
    firing: BTreeSet<Name>,
    resolved: BTreeSet<Name>,
}

fn alertname(alert: &str) -> String {
    alert.split('/').next().unwrap().to_owned()
}

impl Model {
    fn apply(&mut self, now: i64, step: &Step) {
        let (alert, new) = match step {
            Step::Silence(name, length) => {
                return self.silences.push((name.clone(), now, now + length));
            }
            Step::Fire(alert, end) => (alert, (now, *end)),
            Step::Resolve(alert) => (alert, (0, now)),
        };
        let old = self.alerts.get(alert).copied();
        let merged = old.map_or(new, |old| merge(old, new, now));
        self.alerts.insert(alert.clone(), merged);
        let group = self.groups.entry(alertname(alert)).or_default();
        if group.members.is_empty() {
            // The receiver thinks that it fires, since its end was silenced: the group goes on at its old rhythm (ha.md 7).
            // An alert that had been firing for longer than the wait is told at once.
            let told = self.log.get(&alertname(alert)).filter(|entry| now < entry.at + 2 * REPEAT);
            group.due = match told.filter(|entry| entry.firing.contains(alert)) {
                Some(entry) => entry.at + ((now - entry.at) / INTERVAL + 1) * INTERVAL,
                None if merged.0 + WAIT < now => now,
                None => now + WAIT,
            };
        }
        group.members.insert(alert.clone());
    }

    /// Everything that falls due until then.
    fn run(&mut self, until: i64) {
        while let Some((due, name)) =
            self.groups.iter().map(|(name, group)| (group.due, name.clone())).min()
        {
            if until < due {
                return;
            }
            self.flush(&name, due);
        }
    }

    fn flush(&mut self, name: &str, now: i64) {
        let members = self.groups[name].members.clone();
        let fires = |alert: &Name| now < self.alerts[alert].1;
        let loud = |alert: &Name| !self.is_inhibited(alert, now) && !self.is_silenced(alert, now);
        let told: BTreeSet<Name> = members.iter().filter(|alert| loud(alert)).cloned().collect();
        let (firing, resolved): (BTreeSet<_>, BTreeSet<_>) =
            told.iter().cloned().partition(|alert| fires(alert));
        if !told.is_empty() && self.is_needed(name, now, &firing, &resolved) {
            let line = |alert: &Name| {
                let short = alert.split(' ').next().unwrap();
                format!("{short}{}", if fires(alert) { "" } else { "!" })
            };
            let mut lines: Vec<_> = told.iter().map(line).collect();
            lines.sort();
            self.heard.push(format!("{now} {}", lines.join(" ")));
            let entry = Entry { at: now, firing, resolved };
            self.log.insert(name.to_owned(), entry);
        }
        let left: BTreeSet<Name> = members.into_iter().filter(fires).collect();
        if left.is_empty() {
            self.groups.remove(name);
        } else if let Some(group) = self.groups.get_mut(name) {
            group.members = left;
            group.due = now + INTERVAL;
        }
    }

    fn is_needed(
        &self,
        name: &str,
        now: i64,
        firing: &BTreeSet<Name>,
        resolved: &BTreeSet<Name>,
    ) -> bool {
        let Some(entry) = self.log.get(name).filter(|entry| now < entry.at + 2 * REPEAT) else {
            return !firing.is_empty();
        };
        if !firing.is_subset(&entry.firing) {
            return true;
        }
        if firing.is_empty() {
            return !entry.firing.is_empty();
        }
        !resolved.is_subset(&entry.resolved) || entry.at < now - REPEAT
    }

    fn is_silenced(&self, alert: &str, now: i64) -> bool {
        let name = alertname(alert);
        self.silences
            .iter()
            .any(|(silenced, start, end)| *silenced == name && *start <= now && now < *end)
    }

    fn is_inhibited(&self, alert: &str, now: i64) -> bool {
        let instance = |alert: &str| alert.split(['/', ' ']).nth(1).unwrap().to_owned();
        alert.ends_with("warning")
            && self.alerts.iter().any(|(source, (_, end))| {
                source.ends_with("critical") && now < *end && instance(source) == instance(alert)
            })
    }
}

/// Upstream's merge, in which the new one is always the younger and no end is made up.
fn merge(old: (i64, i64), new: (i64, i64), now: i64) -> (i64, i64) {
    let inside = |at: i64| old.0 < at && at < old.1;
    if !inside(new.1) && !inside(new.0) {
        return new;
    }
    let end = if now < new.1 || old.1 <= now { new.1.max(old.1) } else { new.1 };
    (old.0.min(new.0), end)
}

async fn play(seed: u64) {
    let steps = script(seed);
    let world = World::new().await;
    world.configure(CONFIG);
    let node = world.node().await;
    let mut model = Model::default();
    let mut second = 0;
    for (at, step) in &steps {
        world.run(&[&node], hms(0, 0, u64::try_from(at - second).unwrap())).await;
        second = *at;
        model.run(second);
        model.apply(second, step);
        match step {
            Step::Fire(alert, end) => {
                let ends_at = Some(time::add(epoch(), hms(0, 0, u64::try_from(*end).unwrap())));
                let alert = AlertInput { ends_at, ..input(alert, node.handle.now()) };
                node.handle.post_alerts(ApiVersion::V2, vec![alert]).await;
            }
            Step::Resolve(alert) => node.resolve(&[alert]).await,
            Step::Silence(name, length) => {
                node.silence(name, hms(0, 0, u64::try_from(*length).unwrap())).await;
            }
        }
    }
    world.run(&[&node], hms(0, 30, 0)).await;
    model.run(second + 1800);
    let line = |heard: super::world::Heard| {
        let text = heard.text();
        let mut alerts: Vec<_> = text.split(' ').skip(1).collect();
        alerts.sort_unstable();
        format!("{} {}", heard.second, alerts.join(" "))
    };
    let mut heard: Vec<_> = world.sink.take().into_iter().map(line).collect();
    let mut expected = model.heard;
    heard.sort();
    expected.sort();
    let more: Vec<_> = heard.iter().filter(|line| !expected.contains(line)).collect();
    let less: Vec<_> = expected.iter().filter(|line| !heard.contains(line)).collect();
    assert!(heard == expected, "seed {seed}: heard {more:#?}, not heard {less:#?}");
    assert!(10 < expected.len(), "seed {seed} says little");
}

#[tokio::test(start_paused = true)]
async fn generated_scripts_are_told_as_the_model_says() {
    for seed in 1..=4 {
        play(seed).await;
    }
}
