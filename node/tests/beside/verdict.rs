//! Whether two servers told the same, and what is known to differ.

use std::collections::BTreeMap;
use std::time::Duration;

use tocsin_core::label;
use tocsin_node::config;
use tocsin_node::options::Features;

use super::script::{self, Script};
use super::sink::Told;

/// How far the times of the same delivery may lie apart, on a machine that lets everybody run when he wants to.
const APART: Duration = Duration::from_millis(300);

/// What differs for a reason. One that no longer differs must go from this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// 0.25 keeps a group without alerts, and its rhythm, until its next sweep, up to 30 s. Since then, and here, it is gone
    /// at once, and an alert that comes later makes a new one, which waits its `group_wait`. What it is told before that
    /// moment is alike.
    EmptyGroup,
    /// In 0.25 a child that groups by nothing, `group_by: []`, groups as its parent does. Since 0.27, and here, it means what
    /// it says.
    EmptyGroupBy,
}

impl Known {
    const ALL: [Self; 2] = [Self::EmptyGroup, Self::EmptyGroupBy];
}

/// A group of a receiver.
type Key = (String, String);

/// Panics with all differences that are not known.
pub(crate) fn compare(scripts: &[Script], told: &[Vec<Told>; 2], stalled: Duration) {
    let groups = told.each_ref().map(|told| by_group(told));
    let emptied = emptied(scripts);
    let mut known: BTreeMap<Known, usize> = BTreeMap::new();
    let mut different = Vec::new();
    let mut alike = 0;
    let mut apart = Duration::ZERO;
    let keys: std::collections::BTreeSet<_> = groups.iter().flat_map(BTreeMap::keys).collect();
    for key in keys {
        let receiver = key.0.split('/').next().unwrap_or_default().to_owned();
        let until = emptied.get(&(receiver, key.1.clone())).copied().unwrap_or(Duration::MAX);
        let empty = Vec::new();
        let [theirs, ours] =
            groups.each_ref().map(|groups| groups.get(key).unwrap_or(&empty).as_slice());
        let parts = [theirs, ours].map(|told| told.partition_point(|told| told.at < until));
        let before = [&theirs[..parts[0]], &ours[..parts[1]]];
        if key.1.contains(&format!("\"{}\"", script::EMPTY_GROUP_BY)) {
            if difference([theirs, ours], &mut Duration::default(), APART + stalled).is_some() {
                *known.entry(Known::EmptyGroupBy).or_default() += 1;
            }
            continue;
        }
        match difference(before, &mut apart, APART + stalled) {
            Some(what) => different.push(format!("{key:?}: {what}\n{}", show([theirs, ours]))),
            None => alike += parts[0],
        }
        let after = [&theirs[parts[0]..], &ours[parts[1]..]];
        if difference(after, &mut Duration::default(), APART + stalled).is_some() {
            *known.entry(Known::EmptyGroup).or_default() += 1;
        }
    }
    let all = told[1].len();
    println!(
        "{} groups, {} and {all} deliveries, {alike} of them alike and at most {apart:?} apart; known differences in {known:?} groups; the machine stalled for {stalled:?}",
        groups[1].len(),
        told[0].len(),
    );
    assert!(different.is_empty(), "{} differences:\n{}", different.len(), different.join("\n"));
    for one in Known::ALL {
        assert!(known.contains_key(&one), "{one:?} no longer differs: take it off the list");
    }
    let truncated = told[1].iter().filter(|told| told.text.contains(" +")).count();
    let resolved = told[1].iter().filter(|told| told.text.contains('!')).count();
    assert!(
        all / 2 < alike && 600 < all && 20 < truncated && 100 < resolved,
        "the scripts say too little: {alike} of {all}, {truncated} truncated, {resolved} with ends"
    );
}

fn by_group(told: &[Told]) -> BTreeMap<Key, Vec<Told>> {
    let mut groups: BTreeMap<Key, Vec<Told>> = BTreeMap::new();
    for one in told {
        groups.entry((one.receiver.clone(), one.group_key.clone())).or_default().push(one.clone());
    }
    groups
}

fn difference([a, b]: [&[Told]; 2], apart: &mut Duration, allowed: Duration) -> Option<String> {
    for (a, b) in a.iter().zip(b) {
        if a.text != b.text {
            return Some(format!("told differently at {:?}", a.at));
        }
        let between = a.at.abs_diff(b.at);
        if allowed < between {
            return Some(format!("told {between:?} apart at {:?}", a.at));
        }
        *apart = between.max(*apart);
    }
    (a.len() != b.len()).then(|| format!("{} and {} deliveries", a.len(), b.len()))
}

fn show([theirs, ours]: [&[Told]; 2]) -> String {
    let lines = |told: &[Told]| -> String {
        told.iter().map(|told| format!("    {:.2?} {}\n", told.at, told.text)).collect()
    };
    format!("  Debian's:\n{}  ours:\n{}", lines(theirs), lines(ours))
}

/// When an alert first came into each group after all the others in it had ended, if ever.
fn emptied(scripts: &[Script]) -> BTreeMap<Key, Duration> {
    let text = script::config(scripts, "http://a/");
    let config = config::check(&text, "am.yml", Features::default()).unwrap();
    let mut moments = BTreeMap::new();
    for script in scripts {
        let mut members: BTreeMap<Key, BTreeMap<&script::Labels, u64>> = BTreeMap::new();
        for (at, labels, end) in script.posts() {
            let set =
                label::Labels::new(labels.iter().map(|(name, value)| (*name, value.as_str())));
            for index in config.routes.matching(&set) {
                let route = config.routes.get(index).unwrap();
                let key = (route.receiver.to_string(), route.group_key(&route.group_labels(&set)));
                let group = members.entry(key.clone()).or_default();
                let over = group.values().all(|end| *end < at);
                if !group.is_empty() && over && end.is_none_or(|end| at < end) {
                    moments.entry(key).or_insert(Duration::from_millis(500 * at));
                }
                let end = end.unwrap_or(u64::MAX);
                // An end that was posted earlier than one that stands does not shorten it.
                let stands = group.entry(labels).or_default();
                *stands = if end == at { at } else { end };
            }
        }
    }
    moments
}
