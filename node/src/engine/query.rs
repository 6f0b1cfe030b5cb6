//! What readers ask for: alerts and groups, filtered, with their status as it is at this moment.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tocsin_core::alert::Hold;
use tocsin_core::group::Group;
use tocsin_core::label::{Fingerprint, Labels};
use tocsin_core::matcher::{MatchOp, Matcher};
use tocsin_core::regex::Regex;
use tocsin_core::route::{Route, RouteIndex, Routes};

use super::live::Live;
use super::slot::AlertRef;
use super::{Shared, look};
use crate::message::Kv;

/// Which alerts are wanted. The default wants all that fire.
#[derive(Debug, Clone)]
pub struct AlertQuery {
    /// All must pass, see [`Matcher::filters`].
    pub matchers: Vec<Matcher>,
    /// The name of a receiver of the alert.
    pub receiver: Option<Regex>,
    /// All must pass on the labels of a receiver of the alert.
    pub receiver_matchers: Vec<Matcher>,
    /// Also those that are told.
    pub active: bool,
    /// Also those that a silence matches.
    pub silenced: bool,
    /// Also those that another alert inhibits.
    pub inhibited: bool,
}

impl Default for AlertQuery {
    fn default() -> Self {
        Self {
            matchers: Vec::new(),
            receiver: None,
            receiver_matchers: Vec::new(),
            active: true,
            silenced: true,
            inhibited: true,
        }
    }
}

/// Which groups are wanted.
#[derive(Debug, Clone)]
pub struct GroupQuery {
    /// Which of their alerts; a group without any is left out.
    pub alerts: AlertQuery,
    /// Also groups that a time interval mutes.
    pub muted: bool,
}

impl Default for GroupQuery {
    fn default() -> Self {
        Self { alerts: AlertQuery::default(), muted: true }
    }
}

/// An alert with its status. It lives as long as the table is locked: copy out what takes long.
#[derive(Clone, Copy)]
pub struct AlertView<'a> {
    /// The alert.
    pub alert: AlertRef<'a>,
    /// The names of its receivers, in the order of the routes, repeated as often as routes lead there.
    pub receivers: &'a [&'a str],
    /// The active silences that match it.
    pub silenced_by: &'a [Box<str>],
    /// The alert that inhibits it.
    pub inhibited_by: Option<Fingerprint>,
}

impl AlertView<'_> {
    /// Whether it is silenced or inhibited.
    #[must_use]
    pub fn is_suppressed(&self) -> bool {
        !self.silenced_by.is_empty() || self.inhibited_by.is_some()
    }
}

/// A group.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// Its labels.
    pub labels: Arc<Labels>,
    /// The name of its receiver.
    pub receiver: Box<str>,
    /// Its route.
    pub route: RouteIndex,
    /// The labels of its route, rendered for its alerts.
    pub route_labels: Kv,
    /// The time intervals that muted it at its last flush.
    pub muted_by: Vec<String>,
    /// Its alerts, in order; read them with [`super::Handle::each_group_alert`].
    pub alerts: Vec<Fingerprint>,
    /// Its key in the notification log.
    pub key: Arc<str>,
    /// When it is looked at next.
    pub due: Option<Timestamp>,
}

/// All groups that were wanted, by labels, then by receiver.
#[derive(Debug, Clone, Default)]
pub struct GroupsView {
    /// The groups.
    pub groups: Vec<GroupView>,
    /// The names of the receivers of those groups that hold an alert, sorted, repeated as often as groups do. Empty when no
    /// route lets an alert go on to the next one: then the receiver is the group's.
    pub receivers: HashMap<Fingerprint, Vec<Box<str>>>,
}

/// One pass over alerts, with what is the same for all of them.
struct Pass<'a> {
    shared: &'a Shared,
    live: &'a Live,
    now: Timestamp,
    hold: Hold,
}

impl<'a> Pass<'a> {
    fn new(shared: &'a Shared, live: &'a Live) -> Self {
        Self { shared, live, now: shared.clock.now(), hold: shared.hold() }
    }

    fn fires(&self, alert: &AlertRef<'_>) -> bool {
        !self.hold.is_resolved(&alert.times(), self.now)
    }

    fn silenced_by(&self, alert: &AlertRef<'_>) -> Vec<Box<str>> {
        self.shared.silences.silenced_by(alert.fingerprint(), alert, self.now)
    }

    /// Whether an alert fires, passes the matchers, and has a status that is wanted.
    fn wants(&self, query: &AlertQuery, alert: &AlertRef<'_>) -> bool {
        if !self.fires(alert) || !query.matchers.iter().all(|one| one.filters(alert)) {
            return false;
        }
        if query.active && query.silenced && query.inhibited {
            return true;
        }
        let silenced = !self.silenced_by(alert).is_empty();
        let inhibited = alert.inhibited_by(self.now, &self.hold).is_some();
        let active = !silenced && !inhibited;
        (query.active || !active)
            && (query.silenced || !silenced)
            && (query.inhibited || !inhibited)
    }

    /// For each route by its number, whether its receiver is wanted; `None` when all are.
    fn wanted_routes(&self, query: &AlertQuery) -> Option<Vec<bool>> {
        if query.receiver.is_none() && query.receiver_matchers.is_empty() {
            return None;
        }
        let labels = |name: &str| {
            let known = self.live.config.receivers.iter().find(|receiver| *receiver.name == *name);
            known.map(|receiver| receiver.labels.clone()).unwrap_or_default()
        };
        let wanted = |route: &Route| {
            query.receiver.as_ref().is_none_or(|regex| regex.is_match(&route.receiver)) && {
                let labels = labels(&route.receiver);
                query.receiver_matchers.iter().all(|one| one.filters(&labels))
            }
        };
        Some(self.live.routes().iter().map(|(_, route)| wanted(route)).collect())
    }
}

fn leads_to(routes: &Routes, wanted: &[bool], alert: &AlertRef<'_>) -> bool {
    let wanted = |index: u32| wanted.get(index as usize).copied().unwrap_or(false);
    routes.matching(alert).into_iter().any(|index| wanted(index.0))
}

/// The alerts that are wanted, by fingerprint.
pub(super) fn alerts(shared: &Shared, query: &AlertQuery) -> Vec<Fingerprint> {
    let live = shared.live.load_full();
    let pass = Pass::new(shared, &live);
    let routes = pass.wanted_routes(query);
    let mut found = Vec::new();
    let equal = query.matchers.iter().filter(|one| one.op() == MatchOp::Equal);
    let equal = equal.map(|one| (one.name(), one.value())).filter(|(_, value)| !value.is_empty());
    shared.alerts.scan_having(&equal.collect::<Vec<_>>(), |alert| {
        let leads = |wanted: &Vec<bool>| leads_to(live.routes(), wanted, &alert);
        if pass.wants(query, &alert) && routes.as_ref().is_none_or(leads) {
            found.push(alert.fingerprint());
        }
    });
    found.sort_unstable();
    found
}

/// Shows alerts with their status; those that have ended meanwhile are left out.
pub(super) fn each(
    shared: &Shared,
    alerts: &[Fingerprint],
    receivers: Option<&HashMap<Fingerprint, Vec<Box<str>>>>,
    visit: &mut dyn FnMut(&AlertView<'_>),
) {
    let live = shared.live.load_full();
    let pass = Pass::new(shared, &live);
    let routes = live.routes();
    let mut names: Vec<&str> = Vec::new();
    shared.alerts.each(alerts, |alert| {
        if !pass.fires(&alert) {
            return;
        }
        names.clear();
        match receivers.and_then(|receivers| receivers.get(&alert.fingerprint())) {
            Some(known) => names.extend(known.iter().map(AsRef::as_ref)),
            None => {
                let matching = routes.matching(&alert).into_iter();
                names.extend(matching.filter_map(|index| Some(&*routes.get(index)?.receiver)));
            }
        }
        let silenced_by = pass.silenced_by(&alert);
        visit(&AlertView {
            alert,
            receivers: &names,
            silenced_by: &silenced_by,
            inhibited_by: alert.inhibited_by(pass.now, &pass.hold),
        });
    });
}

/// The groups that are wanted.
pub(super) fn groups(shared: &Shared, query: &GroupQuery) -> GroupsView {
    let live = shared.live.load_full();
    let pass = Pass::new(shared, &live);
    let wanted = pass.wanted_routes(&query.alerts);
    let is_wanted = |group: &Group| {
        wanted.as_ref().is_none_or(|wanted| wanted.get(group.route.0 as usize) == Some(&true))
    };
    let (mut groups, members) = shared.dispatch.read(|inner| {
        let mut groups = Vec::new();
        let mut members = Vec::new();
        for group in inner.groups.iter().filter(|group| is_wanted(group)) {
            let Some(route) = inner.groups.routes().get(group.route) else { continue };
            let marks = inner.marks.get(&group.id);
            groups.push(view(group, route, marks.map(|marks| marks.muted_by.clone())));
            members.push(group.members().collect::<Vec<_>>());
        }
        (groups, members)
    });
    let mut receivers: HashMap<Fingerprint, Vec<Box<str>>> = HashMap::new();
    let several = live.routes().iter().any(|(_, route)| route.continues);
    for (group, members) in groups.iter_mut().zip(members) {
        for &member in members.iter().filter(|_| several) {
            receivers.entry(member).or_default().push(group.receiver.clone());
        }
        if !query.muted && !group.muted_by.is_empty() {
            continue;
        }
        group.alerts = ordered(&pass, &query.alerts, &members);
        group.route_labels = route_labels(&pass, group, &members);
    }
    receivers.values_mut().for_each(|names| names.sort());
    groups.retain(|group| !group.alerts.is_empty());
    groups.sort_by(|a, b| a.labels.order(&b.labels).then_with(|| a.receiver.cmp(&b.receiver)));
    GroupsView { groups, receivers }
}

fn view(group: &Group, route: &Route, muted_by: Option<Vec<String>>) -> GroupView {
    GroupView {
        labels: Arc::clone(&group.labels),
        receiver: route.receiver.clone(),
        route_labels: Kv::default(),
        route: group.route,
        muted_by: muted_by.unwrap_or_default(),
        alerts: Vec::new(),
        key: Arc::clone(&group.key),
        due: group.due(),
    }
}

/// Those members that are wanted, in the order of notifications.
fn ordered(pass: &Pass<'_>, query: &AlertQuery, members: &[Fingerprint]) -> Vec<Fingerprint> {
    let mut found = Vec::new();
    pass.shared.alerts.each_ordered(members, |alert| {
        if pass.wants(query, &alert) {
            found.push(alert.fingerprint());
        }
    });
    found
}

fn route_labels(pass: &Pass<'_>, group: &GroupView, members: &[Fingerprint]) -> Kv {
    let route = pass.live.routes().get(group.route).filter(|route| !route.labels.is_empty());
    let Some(route) = route else { return Kv::default() };
    let mut alerts = Vec::with_capacity(members.len());
    pass.shared.alerts.each_ordered(members, |alert| {
        alerts.push(look::message(&alert, !pass.fires(&alert)));
    });
    pass.live.route_labels(route, &group.labels.iter().collect(), &alerts)
}
