//! The routing tree: which routes an alert takes, and what each of them waits for. Knows no receiver.

use std::sync::Arc;
use std::time::Duration;

use crate::label::{Fingerprint, Hasher, Labels, Lookup};
use crate::lens::{Conditions, Lens, Sight};
use crate::matcher::Matchers;

/// A route as it is written; what is `None` comes from the parent, on the root from upstream's defaults.
#[derive(Debug, Clone, Default)]
pub struct RouteSpec {
    /// The receiver's name.
    pub receiver: Option<String>,
    /// How alerts are put into groups.
    pub group_by: Option<GroupBy>,
    /// Root: 30 s.
    pub group_wait: Option<Duration>,
    /// Root: 5 min.
    pub group_interval: Option<Duration>,
    /// Root: 4 h.
    pub repeat_interval: Option<Duration>,
    /// All must match; sorted by [`Routes::new`].
    pub matchers: Matchers,
    /// Go on with the next sibling after this one matched.
    pub continues: bool,
    /// Names of time intervals in which the route is mute; not inherited.
    pub mute: Vec<String>,
    /// Names of the only time intervals in which it is not; not inherited.
    pub active: Vec<String>,
    /// Added to the parent's; the child wins. Values are templates.
    pub labels: Vec<(String, String)>,
    /// The children.
    pub routes: Vec<RouteSpec>,
}

/// How alerts of a route are put into groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// `...`: by all labels.
    All,
    /// By these; with none of them there is one group.
    Names(Vec<String>),
}

/// Why a tree is refused; the configuration says the same with a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRoutes {
    /// The root has no receiver.
    #[error("root route must specify a default receiver")]
    NoReceiver,
    /// The root has matchers.
    #[error("root route must not have any matchers")]
    RootMatchers,
    /// The root has mute intervals.
    #[error("root route must not have any mute time intervals")]
    RootMute,
    /// The root has active intervals.
    #[error("root route must not have any active time intervals")]
    RootActive,
    /// The root has `continue`.
    #[error("cannot have continue in root route")]
    RootContinue,
    /// A zero interval.
    #[error("group_interval cannot be zero")]
    ZeroGroupInterval,
    /// A zero interval.
    #[error("repeat_interval cannot be zero")]
    ZeroRepeatInterval,
}

/// Which route of a [`Routes`]: children have smaller numbers than their parent, the root has the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteIndex(pub u32);

/// A route with everything that it inherits.
#[derive(Debug, Clone)]
pub struct Route {
    /// The receiver's name.
    pub receiver: Box<str>,
    /// How alerts are put into groups; names are sorted.
    pub group_by: GroupBy,
    /// How long a new group waits for more alerts.
    pub group_wait: Duration,
    /// How long between two looks at a group; never zero.
    pub group_interval: Duration,
    /// When to repeat what has not changed; never zero.
    pub repeat_interval: Duration,
    /// Names of time intervals in which the route is mute.
    pub mute: Vec<String>,
    /// Names of the only time intervals in which it is not, if there are any.
    pub active: Vec<String>,
    /// Templates of the route's labels, parent's included.
    pub labels: Labels,
    /// The path of matchers, such as `{}/{severity="critical"}`: part of every group key. Two routes may share it.
    pub key: Box<str>,
    /// The path of matchers and positions, such as `{}/{severity="critical"}/0`.
    pub id: Box<str>,
    /// Sorted; all must match.
    pub matchers: Matchers,
    /// Go on with the next sibling after this one matched.
    pub continues: bool,
    /// In order.
    pub children: Vec<RouteIndex>,
}

impl Route {
    /// The labels of the alert's group in this route; those the alert lacks are absent.
    #[must_use]
    pub fn group_labels(&self, labels: &dyn Lookup) -> Labels {
        match &self.group_by {
            GroupBy::All => Labels::copy(labels),
            GroupBy::Names(names) => names
                .iter()
                .filter(|name| labels.has(name))
                .map(|name| (name.as_str(), labels.get(name)))
                .collect(),
        }
    }

    /// The fingerprint of [`Route::group_labels`], without building them.
    #[must_use]
    pub fn group_fingerprint(&self, labels: &dyn Lookup) -> Fingerprint {
        let mut hasher = Hasher::default();
        match &self.group_by {
            GroupBy::All => labels.each(&mut |name, value| hasher.pair(name, value)),
            GroupBy::Names(names) => {
                for name in names.iter().filter(|name| labels.has(name)) {
                    hasher.pair(name, labels.get(name));
                }
            }
        }
        hasher.finish()
    }

    /// The key of the group with these labels, byte for byte upstream's: `<route key>:<labels>`.
    #[must_use]
    pub fn group_key(&self, group_labels: &Labels) -> String {
        format!("{}:{group_labels}", self.key)
    }
}

/// The tree.
#[derive(Debug, Clone)]
pub struct Routes {
    routes: Vec<Arc<Route>>,
    lens: Lens,
    /// The matchers of each route.
    conditions: Vec<Conditions>,
}

impl Routes {
    /// Hands down what the children inherit, sorts matchers, gives keys, identifiers and numbers.
    /// # Errors
    /// [`BadRoutes`] when the root lacks a receiver or has what a root must not have, or when an interval is zero.
    pub fn new(root: RouteSpec) -> Result<Self, BadRoutes> {
        check_root(&root)?;
        let above = Route {
            receiver: "".into(),
            group_by: GroupBy::Names(Vec::new()),
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(5 * 60),
            repeat_interval: Duration::from_secs(4 * 3600),
            mute: Vec::new(),
            active: Vec::new(),
            labels: Labels::default(),
            key: "".into(),
            id: "".into(),
            matchers: Matchers::default(),
            continues: false,
            children: Vec::new(),
        };
        let mut routes: Vec<Route> = Vec::new();
        add(&mut routes, root, &above, None)?;
        let mut lens = Lens::default();
        let conditions = routes.iter().map(|route| lens.conditions(&route.matchers)).collect();
        let routes = routes.into_iter().map(Arc::new).collect();
        Ok(Self { routes, lens, conditions })
    }

    /// The routes that an alert with these labels takes, each with its own group, in the order of upstream.
    #[must_use]
    pub fn matching(&self, labels: &dyn Lookup) -> Vec<RouteIndex> {
        let mut found = Vec::with_capacity(1);
        self.descend(self.root(), &self.lens.look(labels), &mut found);
        found
    }

    /// The route with that number; shared, so that whoever works for it may keep it.
    #[must_use]
    pub fn get(&self, index: RouteIndex) -> Option<&Arc<Route>> {
        self.routes.get(index.0 as usize)
    }

    /// The number of the root.
    #[must_use]
    pub fn root(&self) -> RouteIndex {
        RouteIndex(u32::try_from(self.routes.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }

    /// All routes with their numbers, children before parents.
    pub fn iter(&self) -> impl Iterator<Item = (RouteIndex, &Route)> {
        (0..).map(RouteIndex).zip(self.routes.iter().map(Arc::as_ref))
    }

    fn descend(&self, index: RouteIndex, sight: &Sight, found: &mut Vec<RouteIndex>) -> bool {
        let at = index.0 as usize;
        let (Some(route), Some(conditions)) = (self.routes.get(at), self.conditions.get(at)) else {
            return false;
        };
        if !sight.holds(conditions) {
            return false;
        }
        let before = found.len();
        for &child in &route.children {
            let goes_on = self.get(child).is_some_and(|child| child.continues);
            if self.descend(child, sight, found) && !goes_on {
                break;
            }
        }
        if found.len() == before {
            found.push(index);
        }
        true
    }
}

/// Adds the children of the route, then the route itself.
fn add(
    routes: &mut Vec<Route>,
    mut spec: RouteSpec,
    parent: &Route,
    position: Option<usize>,
) -> Result<RouteIndex, BadRoutes> {
    let children = std::mem::take(&mut spec.routes);
    let mut route = inherit(spec, parent, position)?;
    for (at, child) in children.into_iter().enumerate() {
        let child = add(routes, child, &route, Some(at))?;
        route.children.push(child);
    }
    routes.push(route);
    Ok(RouteIndex(u32::try_from(routes.len() - 1).unwrap_or(u32::MAX)))
}

fn inherit(spec: RouteSpec, parent: &Route, position: Option<usize>) -> Result<Route, BadRoutes> {
    let mut matchers = spec.matchers;
    matchers.sort();
    let (key, id) = match position {
        None => (matchers.to_string(), matchers.to_string()),
        Some(at) => {
            (format!("{}/{matchers}", parent.key), format!("{}/{matchers}/{at}", parent.id))
        }
    };
    let group_interval = spec.group_interval.unwrap_or(parent.group_interval);
    let repeat_interval = spec.repeat_interval.unwrap_or(parent.repeat_interval);
    if group_interval.is_zero() {
        return Err(BadRoutes::ZeroGroupInterval);
    }
    if repeat_interval.is_zero() {
        return Err(BadRoutes::ZeroRepeatInterval);
    }
    let inherited_labels =
        parent.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Route {
        receiver: spec.receiver.map_or_else(|| parent.receiver.clone(), Into::into),
        group_by: spec.group_by.map_or_else(|| parent.group_by.clone(), sorted),
        group_wait: spec.group_wait.unwrap_or(parent.group_wait),
        group_interval,
        repeat_interval,
        mute: spec.mute,
        active: spec.active,
        labels: inherited_labels.chain(spec.labels).collect(),
        key: key.into(),
        id: id.into(),
        matchers,
        continues: spec.continues,
        children: Vec::new(),
    })
}

fn sorted(group_by: GroupBy) -> GroupBy {
    match group_by {
        GroupBy::All => GroupBy::All,
        GroupBy::Names(mut names) => {
            names.sort();
            names.dedup();
            GroupBy::Names(names)
        }
    }
}

fn check_root(root: &RouteSpec) -> Result<(), BadRoutes> {
    let mistakes = [
        (root.receiver.as_ref().is_none_or(String::is_empty), BadRoutes::NoReceiver),
        (!root.matchers.is_empty(), BadRoutes::RootMatchers),
        (!root.mute.is_empty(), BadRoutes::RootMute),
        (!root.active.is_empty(), BadRoutes::RootActive),
        (root.continues, BadRoutes::RootContinue),
    ];
    match mistakes.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, mistake)) => Err(mistake),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matcher::{Mode, parse_matchers};

    fn spec(matchers: &str, receiver: &str, routes: Vec<RouteSpec>) -> RouteSpec {
        RouteSpec {
            receiver: (!receiver.is_empty()).then(|| receiver.to_owned()),
            matchers: parse_matchers(matchers, Mode::Utf8).unwrap().value,
            routes,
            ..RouteSpec::default()
        }
    }

    fn names(names: &[&str]) -> Option<GroupBy> {
        Some(GroupBy::Names(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    fn labels(text: &str) -> Labels {
        text.split(',').filter_map(|pair| pair.split_once('=')).collect()
    }

    #[track_caller]
    fn check(routes: &Routes, alert: &str, expected: &[&str]) {
        let found = routes.matching(&labels(alert));
        let ids: Vec<&str> = found.iter().map(|index| &*routes.get(*index).unwrap().id).collect();
        assert_eq!(ids, expected, "{alert}");
    }

    fn tree() -> Routes {
        let goes_on = |spec| RouteSpec { continues: true, ..spec };
        let team = spec("team=~a|b,severity=critical", "", vec![spec("env=prod", "prod", vec![])]);
        let first = goes_on(spec("severity=critical", "pager", vec![]));
        Routes::new(spec("", "default", vec![first, team, spec("team=a", "pager", vec![])]))
            .unwrap()
    }

    /// Trap 23: the first route goes on, so the same receiver may come twice.
    #[test]
    fn deepest_routes_are_taken_and_continue_goes_on_to_siblings() {
        let routes = tree();
        let pager = r#"{}/{severity="critical"}/0"#;
        let team = r#"{}/{severity="critical",team=~"a|b"}/1"#;
        let prod = r#"{}/{severity="critical",team=~"a|b"}/1/{env="prod"}/0"#;
        check(&routes, "x=1", &["{}"]);
        check(&routes, "severity=critical", &[pager]);
        check(&routes, "severity=critical,team=b", &[pager, team]);
        check(&routes, "severity=critical,team=b,env=prod", &[pager, prod]);
        check(&routes, "team=a", &[r#"{}/{team="a"}/2"#]);
    }

    #[test]
    fn numbers_are_given_children_first() {
        let ids: Vec<_> =
            tree().iter().map(|(index, route)| (index.0, route.id.to_string())).collect();
        let texts: Vec<&str> = ids.iter().map(|id| &*id.1).collect();
        assert!(ids.iter().map(|id| id.0).eq(0..5));
        assert_eq!(texts[4], "{}");
        assert!(texts[1].ends_with("{env=\"prod\"}/0") && texts[2].ends_with("/1"));
    }

    #[test]
    fn children_inherit_what_they_do_not_say() {
        let root = RouteSpec {
            group_by: names(&["b", "a"]),
            group_wait: Some(Duration::ZERO),
            labels: vec![("team".into(), "root".into()), ("x".into(), "1".into())],
            routes: vec![RouteSpec {
                mute: vec!["night".into()],
                labels: vec![("team".into(), "child".into())],
                group_interval: Some(Duration::from_secs(7)),
                routes: vec![spec("a=1", "", vec![])],
                ..RouteSpec::default()
            }],
            ..spec("", "default", vec![])
        };
        let routes = Routes::new(root).unwrap();
        let [leaf, child, root] = [0, 1, 2].map(|at| routes.get(RouteIndex(at)).unwrap());
        for route in [leaf, child, root] {
            assert_eq!(&*route.receiver, "default");
            assert_eq!(Some(route.group_by.clone()), names(&["a", "b"]));
            assert_eq!(route.group_wait, Duration::ZERO);
            assert_eq!(route.repeat_interval, Duration::from_secs(4 * 3600));
        }
        assert_eq!(root.group_interval, Duration::from_secs(300));
        assert_eq!(leaf.group_interval, Duration::from_secs(7));
        assert_eq!(leaf.labels.to_string(), r#"{team="child", x="1"}"#);
        // Trap 25: intervals are not handed down.
        assert_eq!((child.mute.len(), leaf.mute.len()), (1, 0));
    }

    /// Trap 24.
    #[test]
    fn empty_group_by_overrides_and_wildcard_is_turned_off_by_names() {
        let child = |group_by| RouteSpec { group_by, ..spec("a=1", "", vec![]) };
        let root = RouteSpec {
            group_by: Some(GroupBy::All),
            ..spec("", "default", vec![child(None), child(names(&[])), child(names(&["a"]))])
        };
        let routes = Routes::new(root).unwrap();
        let groups =
            |at| routes.get(RouteIndex(at)).unwrap().group_labels(&labels("a=1,b=2")).to_string();
        assert_eq!([0, 1, 2].map(groups), [r#"{a="1", b="2"}"#, "{}", r#"{a="1"}"#]);
    }

    #[track_caller]
    fn group_key(matchers: &str, group_by: &[&str], alert: Labels, expected: &str) {
        let child = RouteSpec { group_by: names(group_by), ..spec(matchers, "", vec![]) };
        let routes = Routes::new(spec("", "default", vec![child])).unwrap();
        let route = routes.get(routes.matching(&alert)[0]).unwrap();
        let group_labels = route.group_labels(&alert);
        assert_eq!(route.group_key(&group_labels), expected);
        assert_eq!(route.group_fingerprint(&alert), group_labels.fingerprint());
    }

    /// Traps 26 and 27.
    #[test]
    fn group_keys_are_those_of_upstream() {
        let alert = || labels("alertname=A,cluster=x,severity=critical,team=a");
        group_key(
            "severity=critical",
            &["cluster", "alertname"],
            alert(),
            r#"{}/{severity="critical"}:{alertname="A", cluster="x"}"#,
        );
        group_key(
            "team=~a|b,severity=critical",
            &["gone"],
            alert(),
            r#"{}/{severity="critical",team=~"a|b"}:{}"#,
        );
        let odd = Labels::from([("alertname", "é\"\n\\")]);
        group_key("", &["alertname"], odd, r#"{}/{}:{alertname="é\"\n\\"}"#);
        let root = Routes::new(spec("", "default", vec![])).unwrap();
        let root = root.get(root.root()).unwrap();
        assert_eq!(root.group_key(&root.group_labels(&alert())), "{}:{}");
    }

    #[test]
    fn bad_trees_are_refused() {
        let root = || spec("", "default", vec![]);
        let error = |spec| Routes::new(spec).unwrap_err();
        assert_eq!(error(spec("", "", vec![])), BadRoutes::NoReceiver);
        assert_eq!(error(spec("a=1", "x", vec![])), BadRoutes::RootMatchers);
        assert_eq!(error(RouteSpec { mute: vec!["x".into()], ..root() }), BadRoutes::RootMute);
        assert_eq!(error(RouteSpec { active: vec!["x".into()], ..root() }), BadRoutes::RootActive);
        assert_eq!(error(RouteSpec { continues: true, ..root() }), BadRoutes::RootContinue);
        let zero = Some(Duration::ZERO);
        assert_eq!(
            error(RouteSpec { group_interval: zero, ..root() }),
            BadRoutes::ZeroGroupInterval
        );
        let child = RouteSpec { repeat_interval: zero, ..spec("a=1", "", vec![]) };
        assert_eq!(error(spec("", "default", vec![child])), BadRoutes::ZeroRepeatInterval);
    }

    fn any_tree() -> impl Strategy<Value = RouteSpec> {
        let node = (0..3_u8, 0..3_u8, any::<bool>(), any::<bool>()).prop_map(
            |(name, value, not, continues)| {
                let op = if not { "!=" } else { "=" };
                RouteSpec { continues, ..spec(&format!("l{name}{op}v{value}"), "", vec![]) }
            },
        );
        let tree = node.prop_recursive(4, 24, 6, |inner| {
            (inner.clone(), proptest::collection::vec(inner, 0..6))
                .prop_map(|(node, routes)| RouteSpec { routes, ..node })
        });
        proptest::collection::vec(tree, 0..8).prop_map(|routes| spec("", "default", routes))
    }

    /// Upstream's algorithm, word for word.
    fn plain(routes: &Routes, index: RouteIndex, labels: &Labels) -> Vec<RouteIndex> {
        let route = routes.get(index).unwrap();
        if !route.matchers.matches(labels) {
            return Vec::new();
        }
        let mut all = Vec::new();
        for &child in &route.children {
            let found = plain(routes, child, labels);
            let stop = !found.is_empty() && !routes.get(child).unwrap().continues;
            all.extend(found);
            if stop {
                break;
            }
        }
        if all.is_empty() { vec![index] } else { all }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_plain_algorithm(tree in any_tree(), values in proptest::collection::vec(0..4_u8, 3)) {
            let routes = Routes::new(tree).unwrap();
            let labels: Labels = values.iter().enumerate().map(|(name, value)| (format!("l{name}"), format!("v{value}"))).collect();
            prop_assert_eq!(routes.matching(&labels), plain(&routes, routes.root(), &labels));
        }
    }
}
