//! `route`: the tree that decides who is told, and how alerts are put into groups.

use std::collections::HashSet;
use std::time::Duration;

use tocsin_core::matcher::{BadMatcher, MatchOp, Matcher, Matchers, NameRule, parse_matchers};
use tocsin_core::route::{GroupBy, RouteSpec};
use tocsin_service::duration::format_duration;
use tocsin_service::yaml::{Field, Section, Value};

use super::block::{Block, Rules};
use super::warning::Warning;

/// The tree, how it is shown, and the names in it that must exist elsewhere.
pub(crate) struct Tree<'a> {
    pub(crate) root: RouteSpec,
    pub(crate) shown: Value,
    pub(crate) receivers: Vec<(String, Field<'a>)>,
    pub(crate) intervals: Vec<(String, Field<'a>)>,
}

/// Names that the routes use, with the places where they do.
#[derive(Default)]
struct Names<'a> {
    receivers: Vec<(String, Field<'a>)>,
    intervals: Vec<(String, Field<'a>)>,
}

/// Reads the tree.
pub(crate) fn read<'a>(section: Section<'a>, rules: &'a Rules) -> Tree<'a> {
    let mut names = Names::default();
    let mut block = Block::new(section, rules);
    check_root(&block);
    let root = route(&mut block, &mut names);
    if !root.matchers.is_empty() {
        let hint = "put them on a route below `routes`";
        let given = ["match", "match_re", "matchers"].into_iter().find_map(|key| block.given(key));
        if let Some(field) = given {
            field.mistake_with_hint("the root route must not have any matchers", hint);
        }
    }
    let Names { receivers, intervals } = names;
    Tree { root, shown: block.finish(), receivers, intervals }
}

/// What only the root must have or must not have.
fn check_root(block: &Block<'_>) {
    if block.section().text_or("receiver", "").is_empty() {
        block.section().mistake("the root route must specify a default receiver");
    }
    for (key, what) in [("mute_time_intervals", "mute"), ("active_time_intervals", "active")] {
        if let Some(field) = block.given(key)
            && !is_empty(&field)
        {
            field.mistake(format!("the root route must not have any {what} time intervals"));
        }
    }
    if let Some(field) = block.given("continue")
        && field.bool() == Some(true)
    {
        field.mistake("continue is not allowed on the root route");
    }
}

fn is_empty(field: &Field<'_>) -> bool {
    use tocsin_service::yaml::Kind;
    match field.node().kind() {
        Kind::List(items) => items.is_empty(),
        Kind::Map(entries) => entries.is_empty(),
        Kind::Scalar(_) => false,
    }
}

fn route<'a>(block: &mut Block<'a>, names: &mut Names<'a>) -> RouteSpec {
    let receiver = block.text("receiver", "");
    if let Some(field) = block.given("receiver").filter(|_| !receiver.is_empty()) {
        names.receivers.push((receiver.clone(), field));
    }
    let group_by = group_by(block);
    let mut matchers = Matchers::default();
    equal_matchers(block, "match", &mut matchers);
    regex_matchers(block, "match_re", &mut matchers);
    list_matchers(block, "matchers", &mut matchers);
    matchers.sort();
    let mute = intervals(block, "mute_time_intervals", names);
    let active = intervals(block, "active_time_intervals", names);
    let continues = block.flag("continue", false);
    let routes = children(block, names);
    RouteSpec {
        receiver: Some(receiver).filter(|receiver| !receiver.is_empty()),
        group_by,
        matchers,
        mute,
        active,
        continues,
        routes,
        group_wait: interval(block, "group_wait", false),
        group_interval: interval(block, "group_interval", true),
        repeat_interval: interval(block, "repeat_interval", true),
        labels: labels(block),
    }
}

fn children<'a>(block: &mut Block<'a>, names: &mut Names<'a>) -> Vec<RouteSpec> {
    let (mut routes, mut shown) = (Vec::new(), Vec::new());
    for field in block.section().list("routes") {
        if field.is_null() {
            field.mistake("empty entry in routes");
            continue;
        }
        let Some(section) = field.section() else { continue };
        let mut child = Block::new(section, block.rules);
        routes.push(route(&mut child, names));
        shown.push(child.finish());
    }
    if !shown.is_empty() {
        block.show("routes", Value::List(shown));
    }
    routes
}

fn interval(block: &mut Block<'_>, key: &'static str, never_zero: bool) -> Option<Duration> {
    let field = block.given(key)?;
    let duration = field.duration()?;
    if never_zero && duration.is_zero() {
        field.mistake(format!("{key} cannot be zero"));
    }
    block.show(key, format_duration(duration));
    Some(duration)
}

fn intervals<'a>(block: &mut Block<'a>, key: &'static str, names: &mut Names<'a>) -> Vec<String> {
    let mut found = Vec::new();
    for field in block.section().list(key) {
        let Some(name) = field.text() else { continue };
        found.push(name.clone());
        names.intervals.push((name, field));
    }
    block.show_texts(key, &found);
    found
}

fn group_by(block: &mut Block<'_>) -> Option<GroupBy> {
    let field = block.given("group_by")?;
    let mut names: Vec<String> = Vec::new();
    let mut all = false;
    for item in field.list() {
        let Some(name) = item.text() else { continue };
        if name == "..." {
            all = true;
        } else if !block.rules.mode.names().allows(&name) {
            item.mistake(format!("{name:?} is not a valid label name"));
        }
        if names.contains(&name) {
            item.mistake(format!("duplicated label {name:?} in group_by"));
        }
        names.push(name);
    }
    if all && names.len() > 1 {
        field.mistake("cannot have the wildcard \"...\" and other labels at the same time");
    }
    block.show_texts("group_by", &names);
    Some(if all { GroupBy::All } else { GroupBy::Names(names) })
}

fn labels(block: &mut Block<'_>) -> Vec<(String, String)> {
    let labels = block.map("labels");
    for (name, field) in block.field("labels").map(|field| field.entries()).unwrap_or_default() {
        if !block.rules.mode.names().allows(name) {
            field.mistake(format!("{name:?} is not a valid label name"));
        }
    }
    labels
}

/// The old form of `=` matchers; names are always classic.
pub(crate) fn equal_matchers(block: &mut Block<'_>, key: &'static str, matchers: &mut Matchers) {
    for (name, field) in block.field(key).map(|field| field.entries()).unwrap_or_default() {
        check_classic(name, &field);
        let Some(value) = field.text() else { continue };
        matchers.0.push(Matcher::equal(name, value));
    }
    block.map(key);
}

/// The old form of `=~` matchers: the value that keys show is the anchored expression.
pub(crate) fn regex_matchers(block: &mut Block<'_>, key: &'static str, matchers: &mut Matchers) {
    for (name, field) in block.field(key).map(|field| field.entries()).unwrap_or_default() {
        check_classic(name, &field);
        if field.is_null() {
            field.mistake(format!("invalid regexp value for {name:?}"));
            continue;
        }
        let Some(value) = field.text() else { continue };
        match Matcher::new(name, MatchOp::Regex, format!("^(?:{value})$")) {
            Ok(matcher) => matchers.0.push(matcher),
            Err(error) => field.mistake(error.to_string()),
        }
    }
    block.map(key);
}

fn check_classic(name: &str, field: &Field<'_>) {
    if !NameRule::Classic.allows(name) {
        let hint = "use `matchers`, which allow it in quotes";
        field.mistake_with_hint(format!("invalid label name {name:?}"), hint);
    }
}

/// Matchers as texts, each with one or more.
pub(crate) fn list_matchers(block: &mut Block<'_>, key: &'static str, matchers: &mut Matchers) {
    let mut found = Matchers::default();
    for field in block.section().list(key) {
        let Some(text) = field.text() else { continue };
        match parse_matchers(&text, block.rules.mode) {
            Ok(parsed) => {
                // Upstream warns of a disagreement about nothing.
                if let Some(warning) = parsed.warning.filter(|_| !parsed.value.is_empty()) {
                    let path = field.path();
                    block.rules.warnings.borrow_mut().push(Warning::of_matchers(path, warning));
                }
                found.0.extend(parsed.value.0);
            }
            Err(error @ (BadMatcher::Regex(_) | BadMatcher::Create(_))) => {
                field.mistake(error.to_string());
            }
            Err(error) => {
                let hint = "write it as name=\"value\"; operators are =, !=, =~, !~";
                field.mistake_with_hint(error.to_string(), hint);
            }
        }
    }
    found.sort();
    let texts: Vec<String> = found.iter().map(Matcher::to_string).collect();
    block.show_texts(key, &texts);
    matchers.0.extend(found.0);
}

/// Whether all names exist; those that do not are mistakes at the places that use them.
pub(crate) fn check_names<'a>(
    used: &[(String, Field<'_>)],
    known: impl Iterator<Item = &'a str> + Clone,
    what: &str,
) {
    let set: HashSet<&str> = known.clone().collect();
    for (name, field) in used {
        if !set.contains(name.as_str()) {
            field.mistake_near(
                format!("undefined {what} {name:?} used in route"),
                name,
                known.clone(),
            );
        }
    }
}
