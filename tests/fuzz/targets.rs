//! What is done with the fuzzer's bytes, one function a target. The end-to-end tests do the same with every file of `seeds/`,
//! so that what was once found stays mended.

use std::cell::RefCell;
use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tocsin_core::interval::{
    DayRange, MonthRange, NamedInterval, TimeInterval, TimeRange, WeekdayRange, YearRange,
};
use tocsin_core::matcher::{Mode, parse_matcher, parse_matchers};
use tocsin_core::regex::Regex;
use tocsin_node::message::{Alert, AlertStatus, Data, Group};
use tocsin_template::{Function, Functions, Limits, Templates, Type, Value, parse_time, standard};

#[path = "../../src/logging/line.rs"]
mod line;

/// What is done with some bytes.
pub(crate) type Target = fn(&[u8]);

/// Every target: its name, which is that of its folder in `seeds/`, and what it does.
pub(crate) const ALL: [(&str, Target); 21] = [
    ("access_line", access_line),
    ("alerts", alerts),
    ("chitchat", chitchat),
    ("config", config),
    ("duration", duration),
    ("frames", frames),
    ("haproxy", haproxy),
    ("interval", interval),
    ("lb_config", lb_config),
    ("log_line", log_line),
    ("matcher_classic", matcher_classic),
    ("matcher_utf8", matcher_utf8),
    ("regex", regex),
    ("request", request),
    ("silence", silence),
    ("smtp", smtp),
    ("stored", stored),
    ("template_eval", template_eval),
    ("template_parse", template_parse),
    ("time_layout", time_layout),
    ("yaml", yaml),
];

/// The balancer's line about a request.
fn access_line(data: &[u8]) {
    tocsin_lb::fuzz::access_line(data);
}

/// The body of a POST of alerts.
fn alerts(data: &[u8]) {
    tocsin_node::fuzz::alerts(data);
}

/// Gossip, as it comes over the bridge.
fn chitchat(data: &[u8]) {
    thread_local! {
        static GOSSIP: RefCell<Option<tocsin_node::fuzz::Gossip>> = const { RefCell::new(None) };
    }
    GOSSIP.with_borrow_mut(|gossip| {
        if gossip.is_none() {
            *gossip = tocsin_node::fuzz::Gossip::new().ok();
        }
        let Some(gossip) = gossip else { return };
        let heard = gossip.hear(data);
        assert!(heard.is_ok(), "{heard:?}");
    });
}

/// `alertmanager.yml`: what a configuration shows of itself is one.
fn config(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        tocsin_node::fuzz::config(text);
    }
}

/// Durations of both kinds, links and moments: what is printed is read as the same.
fn duration(data: &[u8]) {
    use tocsin_service::duration as of;
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(duration) = of::parse_duration(text) {
        assert_eq!(of::parse_duration(&of::format_duration(duration)).ok(), Some(duration));
    }
    if let Ok(duration) = of::parse_go_duration(text) {
        assert_eq!(of::parse_go_duration(&of::format_go_duration(duration)).ok(), Some(duration));
    }
    tocsin_node::fuzz::links_and_moments(text);
}

/// What a peer sends on a connection.
fn frames(data: &[u8]) {
    tocsin_node::fuzz::frames(data);
}

/// `haproxy.cfg`: a translation in which nothing is missing is a configuration.
fn haproxy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let converted = tocsin_lb::convert::convert(text);
    let read = tocsin_lb::config::parse(&converted.yaml, "fuzz.yml");
    if !converted.changes_traffic() {
        assert!(
            read.is_ok(),
            "{}\n{}",
            converted.yaml,
            read.err().map(|e| e.to_string()).unwrap_or_default()
        );
    }
}

/// Ranges of a time interval, asked about moments all over the years.
fn interval(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut interval = TimeInterval::default();
    for word in text.split_whitespace() {
        if let Some((start, end)) = word.split_once('+')
            && let Ok(range) = TimeRange::parse(start, end)
        {
            assert_eq!(TimeRange::parse(&range.start_text(), &range.end_text()), Ok(range));
            interval.times.get_or_insert_default().push(range);
        }
        interval.weekdays.get_or_insert_default().extend(WeekdayRange::parse(word));
        interval.days_of_month.get_or_insert_default().extend(DayRange::parse(word));
        interval.months.get_or_insert_default().extend(MonthRange::parse(word));
        interval.years.get_or_insert_default().extend(YearRange::parse(word));
    }
    interval.location = text.split_whitespace().next().and_then(|name| TimeZone::get(name).ok());
    let named = NamedInterval { name: "fuzz".into(), intervals: vec![interval] };
    for day in (-20_000..20_000).step_by(997) {
        if let Ok(at) = Timestamp::from_second(day * 86_400 + day) {
            assert_eq!(named.contains(at), named.holding(at) == 1);
        }
    }
}

/// The balancer's own file.
fn lb_config(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = tocsin_lb::config::parse(text, "fuzz.yml");
    }
}

/// A log line of a value that came from anywhere.
fn log_line(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for json in [false, true] {
        let mut pairs = line::Pairs::new(json);
        pairs.add("msg", &text);
        pairs.add("last", "end");
        let written = pairs.finish();
        let one = written.strip_suffix('\n').unwrap_or_default();
        assert!(!one.is_empty() && !one.chars().any(char::is_control), "{written:?}");
        if json {
            let read: serde_json::Value = serde_json::from_str(one).unwrap_or_default();
            let value = read["msg"].as_str().unwrap_or_default();
            assert!(text.starts_with(value) && read["last"] == "end", "{written:?}");
            assert!(value.len() >= text.len().min(1021), "{written:?}");
        }
    }
}

/// Matchers in the classic grammar.
fn matcher_classic(data: &[u8]) {
    matchers(data, Mode::Classic);
}

/// Matchers in the grammar of UTF-8.
fn matcher_utf8(data: &[u8]) {
    matchers(data, Mode::Utf8);
}

/// What one grammar reads is the same after it was printed; where both read it, the classic one wins.
fn matchers(data: &[u8], mode: Mode) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let either = parse_matchers(text, Mode::Fallback);
    let other = if mode == Mode::Classic { Mode::Utf8 } else { Mode::Classic };
    let read = parse_matchers(text, mode);
    assert_eq!(either.is_ok(), read.is_ok() || parse_matchers(text, other).is_ok());
    let Ok(read) = read else { return };
    if mode == Mode::Classic {
        assert_eq!(either.as_ref().map(|parsed| &parsed.value), Ok(&read.value));
    }
    let printed = read.value.to_string();
    let again = parse_matchers(&printed, mode).map(|parsed| parsed.value);
    assert_eq!(again, Ok(read.value.clone()), "{text:?} prints as {printed}");
    if let [matcher] = &read.value.0[..] {
        let again = parse_matcher(&matcher.to_string(), mode).map(|parsed| parsed.value);
        assert_eq!(again.as_ref(), Ok(matcher), "{text:?}");
        let _ = matcher.matches("value");
    }
}

/// An expression of RE2, matched against itself.
fn regex(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(regex) = Regex::anchored(text) else { return };
    let matches = regex.is_match(text);
    if let Some(words) = regex.words() {
        assert!(words.iter().all(|word| regex.is_match(word)), "{text:?}: {words:?}");
        assert_eq!(matches, words.iter().any(|word| **word == *text), "{text:?}: {words:?}");
    }
    if matches {
        assert!(text.as_bytes().starts_with(regex.prefix()), "{text:?}");
    }
}

/// A request at the balancer: a second parser must see in it what ours sees.
fn request(data: &[u8]) {
    let Some(seen) = tocsin_lb::fuzz::request(data) else { return };
    let mut space = [httparse::EMPTY_HEADER; 256];
    let mut other = httparse::Request::new(&mut space);
    let status = other.parse(data);
    assert!(matches!(status, Ok(httparse::Status::Complete(_))), "{status:?} of {seen:?}");
    assert_eq!(other.method, Some(seen.method.as_str()));
    assert_eq!(other.path, Some(seen.target.as_str()));
    assert_eq!(other.headers.len(), seen.fields);
}

/// The body of a POST of a silence.
fn silence(data: &[u8]) {
    tocsin_node::fuzz::silence(data);
}

/// What a mail server says.
fn smtp(data: &[u8]) {
    tocsin_node::fuzz::smtp(data);
}

/// A log segment or a snapshot, and the tables that its records go to.
fn stored(data: &[u8]) {
    tocsin_node::fuzz::stored(data);
}

/// A template over a notification, as text and as HTML.
fn template_eval(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let templates = templates();
    let dot = Value::object(notification());
    let functions = functions();
    if let Ok(text) = templates.text(text, &dot, &functions) {
        assert!(text.len() <= OUTPUT_MAX);
    }
    // The flattening and the escapers see only what the first has let through.
    let _ = templates.html(text, &dot, &functions);
}

/// A file of templates: what was added can be called, what was refused has left nothing.
fn template_parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut templates = templates().clone();
    let before = templates.names().count();
    match templates.add("fuzz.tmpl", text) {
        Ok(()) => assert!(templates.add("fuzz.tmpl", text).is_ok()),
        Err(error) => {
            assert_eq!(templates.names().count(), before);
            assert!(error.to_string().starts_with("template: fuzz.tmpl:"), "{error}");
        }
    }
}

/// A moment written in a layout and read again: first the layout's line, then a moment's.
fn time_layout(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (layout, moment) = text.split_once('\n').unwrap_or((text, "2026-11-24T12:34:56.789Z"));
    let _ = parse_time(layout, moment);
    if let Ok(at) = parse_time("2006-01-02T15:04:05Z07:00", moment) {
        let written = at.format(layout);
        let _ = parse_time(layout, &written);
    }
}

/// A text that one parser of YAML reads alone, the other reads too.
fn yaml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(tocsin_service::yaml::is_agreed(text), "{text:?}");
    }
}

const OUTPUT_MAX: usize = 1 << 20;

fn templates() -> &'static Templates {
    static TEMPLATES: OnceLock<Templates> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let limits = Limits {
            output_bytes: OUTPUT_MAX,
            made_bytes: 16 << 20,
            steps: 100_000,
            int_rounds: 100_000,
            ..Limits::default()
        };
        let mut templates = Templates::new(functions().into_keys()).with_limits(limits);
        for text in [
            r#"{{ define "list" }}{{ range . }}{{ .Labels.SortedPairs }}{{ end }}{{ end }}"#,
            r#"{{ define "again" }}{{ if . }}{{ template "again" (slice . 1) }}{{ end }}{{ end }}"#,
        ] {
            let added = templates.add("default.tmpl", text);
            assert!(added.is_ok(), "{added:?}");
        }
        templates
    })
}

fn functions() -> Functions {
    let mut functions = standard(Timestamp::UNIX_EPOCH, &TimeZone::UTC);
    functions.insert("routeLabels", Function::new(&[Type::Text], |_| Ok(Value::text("r"))));
    functions
}

fn notification() -> Data {
    let alert = |instance: &str, status| Alert {
        status,
        labels: [("alertname", "Disk<Full>"), ("instance", instance), ("job", "node")]
            .into_iter()
            .collect(),
        annotations: [("summary", "\"quoted\" & <b>bold</b>\u{202e}")].into_iter().collect(),
        starts_at: Timestamp::UNIX_EPOCH,
        ends_at: (status == AlertStatus::Resolved).then_some(Timestamp::UNIX_EPOCH),
        generator_url: "javascript:alert(1)".to_owned(),
        fingerprint: "22b692ed704ee014".to_owned(),
    };
    let group = Group {
        receiver: "team.x".to_owned(),
        labels: [("alertname", "Disk<Full>")].into_iter().collect(),
        external_url: "http://am.example:9093".to_owned(),
        ..Group::default()
    };
    let alerts = vec![alert("a:9100", AlertStatus::Firing), alert("b:9100", AlertStatus::Resolved)];
    Data::new(&group, alerts, "first notification")
}
