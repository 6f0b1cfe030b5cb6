//! Inhibition: alerts that other alerts make pointless. Indexed, so that one look costs little with many rules and alerts.

mod source;

use jiff::Timestamp;

use crate::alert::{Hold, Times};
use crate::label::{Fingerprint, Lookup};
use crate::lens::{Conditions, Lens, Sight};
use crate::matcher::Matchers;
use source::{Place, Sources};

/// While a source fires, targets with the same values of the `equal` labels are inhibited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// For metrics and events, may be empty.
    pub name: Box<str>,
    /// What inhibits; with none every alert does.
    pub source: Matchers,
    /// What is inhibited; with none every alert is.
    pub target: Matchers,
    /// Labels that must be equal on both sides; absent equals empty.
    pub equal: Vec<Box<str>>,
}

/// The rules and the alerts that are sources of some rule.
#[derive(Debug, Default)]
pub struct Inhibitor {
    rules: Vec<Rule>,
    lens: Lens,
    sides: Vec<Sides>,
    sources: Sources,
}

/// A rule as the lens sees it.
#[derive(Debug)]
struct Sides {
    source: Conditions,
    target: Conditions,
    equal: Box<[usize]>,
}

impl Inhibitor {
    /// The rules, in order, without any source.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut lens = Lens::default();
        let sides = rules.iter().map(|rule| Sides {
            source: lens.conditions(&rule.source),
            target: lens.conditions(&rule.target),
            equal: rule.equal.iter().map(|name| lens.label(name)).collect(),
        });
        let sides: Vec<Sides> = sides.collect();
        let sources = Sources::new(sides.len());
        Self { rules, lens, sides, sources }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Tells of an alert that is new or has changed. Labels of a fingerprint never change, so a known source only takes new times.
    pub fn update(&mut self, fingerprint: Fingerprint, labels: &dyn Lookup, times: &Times) {
        if self.sources.update(fingerprint, times) || self.sides.is_empty() {
            return;
        }
        let sight = self.lens.look(labels);
        let places = self.sides.iter().enumerate().filter(|(_, sides)| sight.holds(&sides.source));
        let places: Vec<Place> = places
            .map(|(rule, sides)| Place {
                rule,
                hash: sight.hash(&sides.equal),
                values: self.values(rule, labels),
                two_sided: sight.holds(&sides.target),
            })
            .collect();
        self.sources.insert(fingerprint, times, places);
    }

    /// Tells that an alert is no more.
    pub fn remove(&mut self, fingerprint: Fingerprint) {
        self.sources.remove(fingerprint);
    }

    /// How many alerts are sources of some rule, ended ones that were not removed included.
    #[must_use]
    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// Who inhibits an alert with these labels: of the first rule that does, the firing source that ends last, of several the smallest fingerprint.
    ///
    /// A source that is also a target of the rule does not inhibit an alert that is both too.
    #[must_use]
    pub fn inhibited_by(
        &self,
        labels: &dyn Lookup,
        now: Timestamp,
        hold: &Hold,
    ) -> Option<Fingerprint> {
        self.rule_and_source(labels, now, hold).map(|(_, source)| source)
    }

    /// As [`Inhibitor::inhibited_by`], with the number of the rule.
    #[must_use]
    pub fn rule_and_source(
        &self,
        labels: &dyn Lookup,
        now: Timestamp,
        hold: &Hold,
    ) -> Option<(usize, Fingerprint)> {
        if self.sources.len() == 0 {
            return None;
        }
        let sight = self.lens.look(labels);
        let mut rules = self.sides.iter().enumerate();
        rules.find_map(|(rule, sides)| {
            Some((rule, self.by_rule(rule, sides, &sight, labels, (now, hold))?))
        })
    }

    fn by_rule(
        &self,
        rule: usize,
        sides: &Sides,
        sight: &Sight,
        labels: &dyn Lookup,
        (now, hold): (Timestamp, &Hold),
    ) -> Option<Fingerprint> {
        if !sight.holds(&sides.target) {
            return None;
        }
        let found = self.sources.with_hash(rule, sight.hash(&sides.equal));
        if found.is_empty() {
            return None;
        }
        let values = self.values(rule, labels);
        let two_sided = sight.holds(&sides.source);
        self.sources.firing(found, &values, two_sided, now, hold)
    }

    /// The values of the rule's `equal` labels as one key; no text holds the byte between them.
    fn values(&self, rule: usize, labels: &dyn Lookup) -> Box<[u8]> {
        let mut key = Vec::with_capacity(64);
        for name in self.rules.get(rule).map_or(&[][..], |rule| &rule.equal) {
            key.extend_from_slice(labels.get(name).as_bytes());
            key.push(0xff);
        }
        key.into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::alert::ColdHold;
    use crate::label::Labels;
    use crate::matcher::{Mode, parse_matchers};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn rule(source: &str, target: &str, equal: &[&str]) -> Rule {
        let matchers = |text| parse_matchers(text, Mode::Utf8).unwrap().value;
        let equal = equal.iter().map(|name| (*name).into()).collect();
        Rule { name: "".into(), source: matchers(source), target: matchers(target), equal }
    }

    fn labels(text: &str) -> Labels {
        text.split(',').filter_map(|pair| pair.split_once('=')).collect()
    }

    fn times(ends_at: i64, explicit_end: bool) -> Times {
        let (ends_at, now) = (at(ends_at), at(0));
        Times {
            starts_at: now,
            ends_at,
            updated_at: now,
            received_at: now,
            timeout: false,
            explicit_end,
        }
    }

    struct World(Inhibitor);

    impl World {
        fn new(rules: &[Rule], sources: &[(&str, i64)]) -> Self {
            let mut world = Self(Inhibitor::new(rules.to_vec()));
            sources.iter().for_each(|(source, end)| world.put(source, *end));
            world
        }

        fn put(&mut self, alert: &str, end: i64) {
            let labels = labels(alert);
            self.0.update(labels.fingerprint(), &labels, &times(end, false));
        }

        #[track_caller]
        fn check(&self, target: &str, now: i64, by: Option<&str>) {
            let by = by.map(|source| labels(source).fingerprint());
            let found = self.0.inhibited_by(&labels(target), at(now), &Hold::default());
            assert_eq!(found, by, "{target}");
        }
    }

    #[test]
    fn firing_source_with_equal_labels_inhibits() {
        let rules = [rule("severity=critical", "severity=~warning|info", &["cluster", "zone"])];
        let world = World::new(&rules, &[("severity=critical,cluster=x", 10)]);
        world.check("severity=warning,cluster=x", 9, Some("severity=critical,cluster=x"));
        world.check("severity=warning,cluster=x", 10, None);
        world.check("severity=warning,cluster=y", 0, None);
        world.check("severity=warning,cluster=x,zone=a", 0, None);
        world.check("severity=page,cluster=x", 0, None);
        world.check("severity=critical,cluster=x", 0, None);
    }

    /// Trap 28.
    #[test]
    fn label_that_both_sides_lack_is_equal() {
        let rules = [rule("a=1", "a=2", &["cluster"])];
        World::new(&rules, &[("a=1", 10)]).check("a=2", 0, Some("a=1"));
    }

    /// Trap 29.
    #[test]
    fn alerts_on_both_sides_do_not_inhibit_each_other() {
        let rules = [rule("severity=~.+", "severity=~.+", &[])];
        let world = World::new(&rules, &[("severity=a", 10), ("severity=b", 10)]);
        world.check("severity=a", 0, None);
        world.check("severity=b", 0, None);
    }

    #[test]
    fn one_sided_source_counts_beside_a_two_sided_one() {
        let rules = [rule("team=a", "severity=~low|mid", &[])];
        let both = "severity=low,team=a";
        let world = World::new(&rules, &[(both, 90), ("severity=high,team=a", 50)]);
        world.check("severity=mid,team=a", 0, Some("severity=high,team=a"));
        world.check("severity=mid", 0, Some(both));
        world.check("severity=mid", 60, Some(both));
        world.check("severity=mid,team=a", 60, None);
    }

    #[test]
    fn empty_sides_are_every_alert() {
        World::new(&[rule("{}", "b=1", &[])], &[("a=1", 10)]).check("b=1", 0, Some("a=1"));
        World::new(&[rule("a=1", "{}", &[])], &[("a=1", 10)]).check("b=1", 0, Some("a=1"));
    }

    /// Upstream forgets a second source until it is sent again.
    #[test]
    fn second_source_takes_over_when_the_first_resolves() {
        let mut world = World::new(&[rule("a=~.", "b=1", &[])], &[("a=1", 90), ("a=2", 80)]);
        world.check("b=1", 0, Some("a=1"));
        world.put("a=1", 10);
        world.check("b=1", 20, Some("a=2"));
        world.0.remove(labels("a=2").fingerprint());
        world.check("b=1", 20, None);
        world.check("b=1", 5, Some("a=1"));
        world.put("a=1", 100);
        world.check("b=1", 20, Some("a=1"));
        world.0.remove(labels("a=1").fingerprint());
        assert_eq!(world.0.source_count(), 0);
    }

    #[test]
    fn source_that_ends_last_is_named_and_of_equals_the_smallest() {
        let world =
            World::new(&[rule("a=~.", "b=1", &[])], &[("a=1", 50), ("a=2", 60), ("a=3", 60)]);
        let smaller = ["a=2", "a=3"].into_iter().min_by_key(|source| labels(source).fingerprint());
        world.check("b=1", 0, smaller);
    }

    #[test]
    fn first_rule_that_inhibits_is_taken() {
        let rules = [rule("a=1", "b=1", &[]), rule("a=2", "b=1", &[])];
        let mut world = World::new(&rules, &[("a=2", 90), ("a=1", 10)]);
        world.check("b=1", 0, Some("a=1"));
        world.put("a=1", 5);
        world.check("b=1", 6, Some("a=2"));
    }

    #[test]
    fn held_source_goes_on_inhibiting() {
        let mut inhibitor = Inhibitor::new(vec![rule("a=~.", "b=1", &[])]);
        let (expired, told) = (labels("a=1"), labels("a=2"));
        inhibitor.update(expired.fingerprint(), &expired, &times(10, false));
        inhibitor.update(told.fingerprint(), &told, &times(20, true));
        let by = |hold: &Hold| inhibitor.inhibited_by(&labels("b=1"), at(100), hold);
        let split = Hold { past_end: Duration::from_secs(91), cold: None };
        assert_eq!(by(&Hold::default()), None);
        assert_eq!(by(&split), Some(expired.fingerprint()));
        assert_eq!(by(&Hold { past_end: Duration::from_secs(90), cold: None }), None);
        let cold =
            |before| Some(ColdHold { before: at(before), ended_after: at(0), until: at(101) });
        assert_eq!(
            by(&Hold { past_end: Duration::ZERO, cold: cold(1) }),
            Some(expired.fingerprint())
        );
        assert_eq!(by(&Hold { past_end: Duration::ZERO, cold: cold(0) }), None);
    }

    fn alert() -> impl Strategy<Value = String> {
        proptest::collection::vec((0..3_u8, 0..3_u8), 1..4).prop_map(|pairs| {
            pairs
                .iter()
                .map(|(name, value)| format!("l{name}=v{value}"))
                .collect::<Vec<_>>()
                .join(",")
        })
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let side = || {
            prop_oneof![
                (0..3_u8, 0..3_u8).prop_map(|(name, value)| format!("l{name}=v{value}")),
                (0..3_u8, 0..3_u8).prop_map(|(name, value)| format!("l{name}!=v{value}")),
                (0..3_u8).prop_map(|name| format!(r#"l{name}=~"v[01].*""#)),
                (0..3_u8).prop_map(|name| format!(r#"l{name}="""#)),
            ]
        };
        let equal = proptest::collection::vec(0..3_u8, 0..3);
        (side(), side(), equal).prop_map(|(source, target, equal)| {
            let equal: Vec<String> = equal.iter().map(|name| format!("l{name}")).collect();
            rule(&source, &target, &equal.iter().map(String::as_str).collect::<Vec<_>>())
        })
    }

    proptest! {
        #[test]
        fn index_agrees_with_looking_at_every_source(
            rules in proptest::collection::vec(any_rule(), 1..4),
            changes in proptest::collection::vec((alert(), 0..50_i64), 1..12),
            target in alert(),
        ) {
            let mut inhibitor = Inhibitor::new(rules.clone());
            let mut all = std::collections::BTreeMap::new();
            for (alert, end) in &changes {
                let labels = labels(alert);
                if *end == 0 {
                    inhibitor.remove(labels.fingerprint());
                    all.remove(&labels.fingerprint());
                } else {
                    inhibitor.update(labels.fingerprint(), &labels, &times(*end, false));
                    all.insert(labels.fingerprint(), (labels, *end));
                }
            }
            let target = labels(&target);
            let expected = rules.iter().find_map(|rule| {
                let two_sided = rule.source.matches(&target);
                all.iter()
                    .filter(|_| rule.target.matches(&target))
                    .filter(|(_, (source, end))| *end > 20 && rule.source.matches(source))
                    .filter(|(_, (source, _))| rule.equal.iter().all(|name| source.get(name) == target.get(name)))
                    .filter(|(_, (source, _))| !(two_sided && rule.target.matches(source)))
                    .max_by_key(|(fingerprint, (_, end))| (*end, std::cmp::Reverse(**fingerprint)))
                    .map(|(fingerprint, _)| *fingerprint)
            });
            prop_assert_eq!(inhibitor.inhibited_by(&target, at(20), &Hold::default()), expected);
        }
    }
}
