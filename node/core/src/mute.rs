//! Why an alert or a whole group is not told now. Knows no pipeline.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::interval::NamedInterval;
use crate::route::Route;

/// Why alerts were taken out of a notification; the label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suppression {
    /// Another alert makes this one pointless.
    Inhibition,
    /// The route has active intervals and this is none of them.
    ActiveInterval,
    /// The route is mute in this interval.
    MuteInterval,
    /// A silence matches.
    Silence,
}

impl Suppression {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Inhibition, Self::ActiveInterval, Self::MuteInterval, Self::Silence];

    /// The value of the metric's label `reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inhibition => "inhibition",
            Self::ActiveInterval => "active_time_interval",
            Self::MuteInterval => "mute_time_interval",
            Self::Silence => "silence",
        }
    }
}

/// How the API calls what becomes of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertState {
    /// No flush has seen it yet.
    Unprocessed,
    /// It is told.
    Active,
    /// Inhibited, silenced or out of hours.
    Suppressed,
}

impl AlertState {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unprocessed => "unprocessed",
            Self::Active => "active",
            Self::Suppressed => "suppressed",
        }
    }
}

/// The time intervals of the configuration, by name.
#[derive(Debug, Clone, Default)]
pub struct Intervals(HashMap<Box<str>, NamedInterval>);

impl Intervals {
    /// The interval with that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&NamedInterval> {
        self.0.get(name)
    }
}

impl FromIterator<NamedInterval> for Intervals {
    fn from_iter<I: IntoIterator<Item = NamedInterval>>(intervals: I) -> Self {
        Self(intervals.into_iter().map(|interval| (interval.name.clone(), interval)).collect())
    }
}

/// A route that is not told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfHours {
    /// [`Suppression::ActiveInterval`] or [`Suppression::MuteInterval`].
    pub why: Suppression,
    /// The API's `mutedBy`: all active intervals, or the mute ones that hold now; a name is repeated for each of its intervals that holds.
    pub by: Vec<String>,
}

/// Whether the route is mute at the tick: first its active intervals are asked, then its mute ones. Unknown names hold never.
#[must_use]
pub fn out_of_hours(route: &Route, intervals: &Intervals, tick: Timestamp) -> Option<OutOfHours> {
    let holding = |name: &String| intervals.get(name).map_or(0, |interval| interval.holding(tick));
    if !route.active.is_empty() && route.active.iter().all(|name| holding(name) == 0) {
        return Some(OutOfHours { why: Suppression::ActiveInterval, by: route.active.clone() });
    }
    let by: Vec<String> = route
        .mute
        .iter()
        .flat_map(|name| std::iter::repeat_n(name.clone(), holding(name)))
        .collect();
    (!by.is_empty()).then_some(OutOfHours { why: Suppression::MuteInterval, by })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::{TimeInterval, TimeRange};
    use crate::route::{RouteSpec, Routes};

    fn hours(name: &str, ranges: &[(&str, &str)]) -> NamedInterval {
        let one = |(start, end): &(&str, &str)| TimeInterval {
            times: Some(vec![TimeRange::parse(start, end).unwrap()]),
            ..TimeInterval::default()
        };
        NamedInterval { name: name.into(), intervals: ranges.iter().map(one).collect() }
    }

    #[track_caller]
    fn check(active: &[&str], mute: &[&str], tick: &str, expected: Option<(Suppression, &[&str])>) {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let child = RouteSpec { active: names(active), mute: names(mute), ..RouteSpec::default() };
        let root =
            RouteSpec { receiver: Some("x".into()), routes: vec![child], ..RouteSpec::default() };
        let routes = Routes::new(root).unwrap();
        let route = routes.iter().next().unwrap().1;
        let intervals: Intervals = [
            hours("office", &[("09:00", "17:00")]),
            hours("twice", &[("10:00", "12:00"), ("11:00", "13:00")]),
            hours("never", &[]),
        ]
        .into_iter()
        .collect();
        let found =
            out_of_hours(route, &intervals, format!("2026-11-22T{tick}:00Z").parse().unwrap());
        assert_eq!(found, expected.map(|(why, by)| OutOfHours { why, by: names(by) }));
    }

    #[test]
    fn active_intervals_are_asked_first_and_all_named() {
        use Suppression::{ActiveInterval, MuteInterval};
        check(&[], &[], "12:00", None);
        check(&["office", "twice"], &[], "16:00", None);
        check(
            &["office", "twice"],
            &["office"],
            "18:00",
            Some((ActiveInterval, &["office", "twice"])),
        );
        check(&["office"], &["office"], "12:00", Some((MuteInterval, &["office"])));
        check(
            &[],
            &["never", "twice", "office", "unknown"],
            "11:30",
            Some((MuteInterval, &["twice", "twice", "office"])),
        );
        check(&["never"], &[], "12:00", Some((ActiveInterval, &["never"])));
        check(&[], &["office"], "17:00", None);
    }
}
