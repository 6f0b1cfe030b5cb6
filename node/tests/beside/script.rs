//! Scripts: what is posted when, and the routes that it meets. All that a script says carries its name as a label, so that
//! many run in one pair of servers.
//!
//! Steps fall on half seconds and ticks a half second beside them, so that no order depends on a race.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// How many moments a script has.
pub(crate) const HALF_SECONDS: u64 = 36;
/// When everything has been told, in milliseconds: between two ticks.
pub(crate) const END: u64 = 27_250;

/// A generator of numbers that are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// The labels of an alert, sorted.
pub(crate) type Labels = Vec<(&'static str, String)>;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Fires since then (half seconds, may lie before the start) until then, or until nobody repeats it.
    Fire { labels: Labels, since: Option<i64>, until: Option<u64> },
    /// Is over now.
    Resolve { labels: Labels },
    /// What has that label is silent for so long, in half seconds.
    Silence { key: String, script: String, label: (&'static str, &'static str), length: u64 },
    /// The silence of that key ends.
    Unsilence { key: String },
}

/// One script.
#[derive(Debug)]
pub(crate) struct Script {
    routes: String,
    receivers: String,
    steps: Vec<(u64, Step)>,
}

impl Script {
    pub(crate) fn new(number: u64, seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..8 {
            dice.below(2);
        }
        let name = format!("s{number:02}");
        // Its first alert is old: its group is told at once, and ticks on whole seconds.
        let old = dice.one_in(6);
        let (routes, receivers) = routes(&name, &mut dice);
        let steps = steps(&name, old, &mut dice);
        Self { routes, receivers, steps }
    }

    pub(crate) fn steps_at(&self, half: u64) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |(at, _)| *at == half).map(|(_, step)| step)
    }

    /// When which alerts are posted as firing or over, in half seconds, with the end that was posted.
    pub(crate) fn posts(&self) -> impl Iterator<Item = (u64, &Labels, Option<u64>)> {
        self.steps.iter().filter_map(|(at, step)| match step {
            Step::Fire { labels, until, .. } => Some((*at, labels, *until)),
            Step::Resolve { labels } => Some((*at, labels, Some(*at))),
            Step::Silence { .. } | Step::Unsilence { .. } => None,
        })
    }
}

impl Step {
    pub(crate) fn is_alert(&self) -> bool {
        matches!(self, Self::Fire { .. } | Self::Resolve { .. })
    }

    /// The JSON of a post at that moment.
    pub(crate) fn alert(&self, half: u64, epoch: Timestamp) -> Value {
        let object = |labels: &Labels| -> Value {
            labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
        };
        let at = |half: i64| (epoch + SignedDuration::from_millis(500 * half)).to_string();
        let now = i64::try_from(half).unwrap();
        match self {
            Self::Fire { labels, since, until } => {
                let mut alert = json!({"labels": object(labels)});
                if let Some(since) = since {
                    alert["startsAt"] = json!(at(*since));
                }
                if let Some(until) = until {
                    alert["endsAt"] = json!(at(i64::try_from(*until).unwrap()));
                }
                alert
            }
            Self::Resolve { labels } => json!({"labels": object(labels), "endsAt": at(now)}),
            Self::Silence { .. } | Self::Unsilence { .. } => Value::Null,
        }
    }

    /// The JSON of a new silence.
    pub(crate) fn silence(&self, half: u64, epoch: Timestamp) -> Value {
        let Self::Silence { script, label: (name, value), length, .. } = self else {
            return Value::Null;
        };
        let at =
            |half: u64| epoch + SignedDuration::from_millis(500 * i64::try_from(half).unwrap());
        let matcher =
            |name: &str, value: &str| json!({"name": name, "value": value, "isRegex": false});
        json!({
            "matchers": [matcher("script", script), matcher(name, value)],
            "startsAt": at(half).to_string(), "endsAt": at(half + length).to_string(),
            "createdBy": "script", "comment": "generated",
        })
    }
}

/// The script in which children say that they group by nothing.
pub(crate) const EMPTY_GROUP_BY: &str = "s97";

const NAMES: [&str; 3] = ["Down", "Slow", "Full"];
const TEAMS: [&str; 2] = ["db", "web"];
const LEVELS: [&str; 3] = ["critical", "warning", "info"];

fn alert(script: &str, dice: &mut Dice) -> Labels {
    let mut labels = vec![
        ("alertname", dice.pick(&NAMES).to_owned()),
        ("node", dice.pick(&["n1", "n2"]).to_owned()),
        ("script", script.to_owned()),
        ("severity", dice.pick(&LEVELS).to_owned()),
        ("team", dice.pick(&TEAMS).to_owned()),
    ];
    // What the order of alerts looks at first.
    if dice.one_in(3) {
        labels.insert(1, ("instance", dice.pick(&["b", "a"]).to_owned()));
    }
    if dice.one_in(3) {
        let at = labels.iter().position(|(name, _)| *name > "job").unwrap();
        labels.insert(at, ("job", dice.pick(&["y", "x"]).to_owned()));
    }
    labels
}

fn steps(script: &str, old: bool, dice: &mut Dice) -> Vec<(u64, Step)> {
    let alerts: Vec<_> = (0..3 + dice.below(6)).map(|_| alert(script, dice)).collect();
    let mut steps = Vec::new();
    if old {
        let labels = alerts[0].clone();
        steps.push((0, Step::Fire { labels, since: Some(-20), until: None }));
    }
    let mut silences = 0;
    let mut at = u64::from(old);
    while at < HALF_SECONDS {
        let labels = alerts[dice.below(alerts.len())].clone();
        let step = match dice.below(16) {
            0..=7 => {
                let until = dice.one_in(3).then(|| at + 2 * (2 + dice.below(5) as u64));
                let since = dice.one_in(2).then(|| i64::try_from(at).unwrap());
                Step::Fire { labels, since, until }
            }
            8..=11 => Step::Resolve { labels },
            12..=14 => {
                silences += 1;
                let label = match dice.below(3) {
                    0 => ("alertname", dice.pick(&NAMES)),
                    1 => ("team", dice.pick(&TEAMS)),
                    _ => ("severity", dice.pick(&LEVELS)),
                };
                let length = 2 * (2 + dice.below(6) as u64);
                Step::Silence {
                    key: format!("{script}/{silences}"),
                    script: script.to_owned(),
                    label,
                    length,
                }
            }
            _ => Step::Unsilence { key: format!("{script}/{silences}") },
        };
        steps.push((at, step));
        at += 2 * (1 + dice.below(2) as u64);
    }
    steps
}

/// The routes of a script and their receivers, as YAML.
fn routes(script: &str, dice: &mut Dice) -> (String, String) {
    let (mut routes, mut receivers) = (String::new(), String::new());
    let mut receiver = |dice: &mut Dice, number: usize| {
        let name = format!("{script}-{number}");
        let _ = writeln!(receivers, "- name: {name}\n  webhook_configs:");
        for webhook in 0..1 + usize::from(dice.one_in(8)) {
            let _ = writeln!(receivers, "  - url: URL{webhook}");
            let _ = writeln!(receivers, "    send_resolved: {}", !dice.one_in(4));
            if dice.one_in(3) {
                let _ = writeln!(receivers, "    max_alerts: {}", 1 + dice.below(2));
            }
        }
        name
    };
    let name = receiver(dice, 0);
    let _ = writeln!(routes, "  - matchers: ['script=\"{script}\"']\n    receiver: {name}");
    let _ = writeln!(routes, "    group_by: {}", dice.pick(&GROUPINGS));
    let _ = writeln!(routes, "    group_wait: {}", dice.pick(&["500ms", "1s500ms", "2s500ms"]));
    let _ = writeln!(routes, "    group_interval: {}", dice.pick(&["2s", "3s"]));
    // Never a multiple of the interval: whether a repeat is due would hang on a millisecond.
    let _ = writeln!(routes, "    repeat_interval: {}", dice.pick(&["5s", "7s", "1h"]));
    let children = if script == EMPTY_GROUP_BY { 2 } else { dice.below(4) };
    if 0 < children {
        let _ = writeln!(routes, "    routes:");
    }
    for number in 1..=children {
        let matcher = match dice.below(4) {
            0 => format!("team=\"{}\"", dice.pick(&TEAMS)),
            1 => "severity=~\"crit.*|warning\"".to_owned(),
            2 => format!("severity!=\"{}\"", dice.pick(&LEVELS)),
            _ => format!("alertname=\"{}\"", dice.pick(&NAMES)),
        };
        let _ = writeln!(routes, "    - matchers: ['{matcher}']");
        if !dice.one_in(3) {
            let _ = writeln!(routes, "      receiver: {}", receiver(dice, number));
        }
        let _ = writeln!(routes, "      continue: {}", dice.one_in(2));
        if script == EMPTY_GROUP_BY {
            routes.push_str("      group_by: []\n");
        } else if dice.one_in(2) {
            let _ = writeln!(routes, "      group_by: {}", dice.pick(&GROUPINGS[1..]));
        }
        match dice.below(10) {
            0 => routes.push_str("      mute_time_intervals: [always]\n"),
            1 => routes.push_str("      mute_time_intervals: [never]\n"),
            2 => routes.push_str("      active_time_intervals: [never]\n"),
            3 => routes.push_str("      active_time_intervals: [always, never]\n"),
            _ => {}
        }
    }
    (routes, receivers)
}

const GROUPINGS: [&str; 6] =
    ["[]", "[alertname]", "[team]", "[alertname, node]", "['...']", "[alertname, absent]"];

/// The configuration of all scripts.
pub(crate) fn config(scripts: &[Script], url: &str) -> String {
    let routes: String = scripts.iter().map(|script| script.routes.as_str()).collect();
    let receivers: String = scripts.iter().map(|script| script.receivers.as_str()).collect();
    format!(
        "global: {{resolve_timeout: 5m}}
route:
  receiver: nobody
  group_wait: 1h
  routes:
{routes}
inhibit_rules:
- source_matchers: ['severity=\"critical\"']
  target_matchers: ['severity=~\"warning|info\"']
  equal: [script, node]
- source_matchers: ['alertname=\"Full\"']
  target_matchers: ['alertname=~\"Full|Slow\"', 'team=\"db\"']
  equal: [script, instance]
time_intervals:
- name: always
  time_intervals: [{{times: [{{start_time: '00:00', end_time: '24:00'}}]}}]
- name: never
  time_intervals: [{{years: ['1990']}}]
receivers:
- name: nobody
{}",
        receivers.replace("URL", url)
    )
}
