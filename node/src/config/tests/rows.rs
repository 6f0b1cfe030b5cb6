//! Rules that refuse or accept, by the section of the format's description.

mod clients;
mod receivers;

use super::{Config, good, mistakes};
use crate::config::http::Source;
use crate::notify::Settings;
use crate::options::Features;

/// A good file, in which the text replaces what is at the place.
fn at(place: &str, text: &str) -> String {
    let base = "route:\n  receiver: r\nreceivers:\n- name: r\n";
    match place {
        "top" => format!("{base}{text}\n"),
        "global" => format!("global:\n  {text}\n{base}"),
        "route" => format!(
            "route:\n  receiver: r\n  routes:\n  - {text}\nreceivers:\n- name: r\ntime_intervals:\n- {{name: h, time_intervals: []}}\n"
        ),
        "root" => format!(
            "route:\n  receiver: r\n  {text}\nreceivers:\n- name: r\ntime_intervals:\n- {{name: h, time_intervals: []}}\n"
        ),
        "receivers" => format!("route:\n  receiver: r\nreceivers:\n{text}\n"),
        "http" => format!(
            "route:\n  receiver: r\nreceivers:\n- name: r\n  webhook_configs:\n  - url: http://x/\n    http_config: {text}\n"
        ),
        "interval" => format!("{base}time_intervals:\n- name: n\n  time_intervals:\n  - {text}\n"),
        "inhibit" => format!("{base}inhibit_rules:\n- {text}\n"),
        "file" => text.to_owned(),
        kind => format!("route:\n  receiver: r\nreceivers:\n- name: r\n  {kind}:\n  - {text}\n"),
    }
}

/// Checks that each text is refused, and that one of the mistakes holds these words.
#[track_caller]
fn refused(cases: &[(&str, &str, &str)]) {
    for (place, text, words) in cases {
        let found = mistakes(&at(place, text));
        assert!(found.iter().any(|line| line.contains(words)), "{place}: {text}: {found:#?}");
        assert_eq!(found.len(), 1, "{place}: {text}: {found:#?}");
    }
}

#[track_caller]
fn accepted(cases: &[(&str, &str)]) {
    for (place, text) in cases {
        good(&at(place, text));
    }
}

#[test]
fn section_1_and_4_top_level() {
    refused(&[
        ("file", "", "no route provided in config"),
        ("file", "# nothing\n", "no route provided in config"),
        ("file", "receivers: [{name: r}]\n", "no routes provided"),
        ("file", "route:\nreceivers: [{name: r}]\n", "no routes provided"),
        ("root", "continue: true", "continue is not allowed on the root route"),
        ("top", "x-mine: 1", "unknown key"),
        ("top", "recievers: []", "unknown key"),
        ("top", "templates: ['[']", "syntax error in pattern"),
        ("top", "route: {receiver: r}", "already set in line 1"),
    ]);
    accepted(&[
        ("top", "templates: [a/*.tmpl, '*/?.tmpl']"),
        ("top", "global:"),
        ("top", "inhibit_rules:\nmute_time_intervals: ~"),
        ("top", "---\n[not read"),
    ]);
}

#[test]
fn section_2_yaml() {
    refused(&[
        ("global", "smtp_hello: [a]", "must be a text, not a list"),
        ("global", "smtp_require_tls: \"true\"", "leave the quotes out"),
        ("global", "smtp_require_tls: 1", "must be true or false, not a number"),
        ("route", "matchers: foo=bar", "must be a list, not a single value"),
        (
            "webhook_configs",
            "{url: 'http://x', max_alerts: '5'}",
            "must be a whole number, not a text",
        ),
        ("webhook_configs", "{url: 'http://x', max_alerts: -1}", "not a negative one"),
        ("route", "match: {a: b, a: c}", "key \"a\" is already set"),
        ("root", "routes: [null]", "empty entry in routes"),
        ("receivers", "- name: r\n- null", "missing name in receiver"),
        ("top", "inhibit_rules: &a [*a]", "cannot contain itself"),
    ]);
    accepted(&[
        ("global", "smtp_require_tls: y"),
        ("global", "smtp_require_tls: OFF"),
        ("webhook_configs", "{url: 'http://x', max_alerts: 1.7}"),
        ("webhook_configs", "{url: 'http://x', max_alerts: 010}"),
        ("route", "match: {a: yes, b: 012, c: 1e3, d: 2024-01-01}"),
        ("interval", "times: [{start_time: 09:00, end_time: 17:00}]"),
        ("inhibit", "&x {equal: [a]}\n- {<<: *x, name: n, equal: [b]}"),
        ("top", "\n# comment\n...\n"),
    ]);
}

#[test]
fn section_3_scalars() {
    refused(&[
        ("global", "resolve_timeout: ''", "empty duration string"),
        ("global", "resolve_timeout: 5", "not a valid duration string"),
        ("global", "resolve_timeout: 1.5h", "unknown unit"),
        ("global", "resolve_timeout: 300y", "duration out of range"),
        ("webhook_configs", "{url: 'http://x', timeout: 1d}", "unknown unit \"d\""),
        ("pushover_configs", "{user_key: a, token: b, retry: 5}", "missing unit"),
        ("global", "pagerduty_url: foo", "must begin with http:// or https://"),
        ("global", "pagerduty_url: ftp://x", "must begin with http:// or https://"),
        ("global", "pagerduty_url: 'http://'", "must have a host"),
        ("global", "pagerduty_url: ''", "must begin with http:// or https://"),
        ("webhook_configs", "{url: '{{ .X'}", "invalid template syntax"),
        ("webhook_configs", "{url: 'foo'}", "must begin with http:// or https://"),
        ("global", "smtp_smarthost: localhost", "has no port"),
        ("global", "smtp_smarthost: 'localhost:'", "has an empty port"),
        ("global", "smtp_smarthost: '::1:25'", "too many colons"),
        ("route", "match_re: {a: '('}", "error parsing regexp"),
        ("route", "match_re: {a: ~}", "invalid regexp value for \"a\""),
        ("route", "match: {a-b: c}", "invalid label name \"a-b\""),
    ]);
    accepted(&[
        ("global", "resolve_timeout: 0"),
        ("global", "resolve_timeout: 1y2w3d4h5m6s7ms"),
        ("webhook_configs", "{url: 'http://x', timeout: 5}"),
        ("webhook_configs", "{url: 'http://x', timeout: 1.5h}"),
        ("webhook_configs", "{url: '{{ toUpper .X }}'}"),
        ("webhook_configs", "{url: <secret>}"),
        ("http", "{proxy_url: foo}"),
        ("global", "smtp_smarthost: ':25'"),
        ("global", "smtp_smarthost: '[::1]:smtp'"),
        ("route", "group_by: ['a-b', 'ü']"),
    ]);
}

#[test]
fn section_5_and_13_4_global() {
    let pair = "at most one of";
    refused(&[
        ("global", "{smtp_auth_password: a, smtp_auth_password_file: b}", pair),
        ("global", "{smtp_auth_secret: a, smtp_auth_secret_file: b}", pair),
        ("global", "{slack_api_url: 'http://a', slack_api_url_file: b}", pair),
        ("global", "{slack_app_token: a, slack_app_token_file: b}", pair),
        ("global", "{slack_app_token: a, slack_api_url: 'http://a'}", pair),
        ("global", "{slack_app_token: a, slack_api_url_file: b}", pair),
        ("global", "{opsgenie_api_key: a, opsgenie_api_key_file: b}", pair),
        ("global", "{wechat_api_secret: a, wechat_api_secret_file: b}", pair),
        ("global", "{victorops_api_key: a, victorops_api_key_file: b}", pair),
        ("global", "{telegram_bot_token: a, telegram_bot_token_file: b}", pair),
        ("global", "{rocketchat_token: a, rocketchat_token_file: b}", pair),
        ("global", "{rocketchat_token_id: a, rocketchat_token_id_file: b}", pair),
        ("global", "{mattermost_webhook_url: 'http://a', mattermost_webhook_url_file: b}", pair),
        ("global", "{nonsense: a}", "unknown key"),
    ]);
    accepted(&[
        ("global", "{slack_app_token: a, slack_api_url: 'http://b', slack_app_url: 'http://b'}"),
        ("global", "{pagerduty_url: null}"),
    ]);
}

#[test]
fn section_6_matchers() {
    refused(&[
        ("route", "matchers: ['']\n    match: {a.b: c}", "invalid label name"),
        ("route", "matchers: [a=b c=d, 'e']", "bad matcher format: e"),
        ("route", "matchers: ['foo=\"a\"b\"']", "unescaped double quote"),
        ("route", "matchers: ['a=b,,c=d']", "bad matcher format"),
        ("inhibit", "source_matchers: ['=x']", "bad matcher format"),
        ("inhibit", "target_matchers: ['a=~(']", "error parsing regexp: missing closing )"),
    ]);
    accepted(&[
        ("route", "matchers: ['{a=b', 'c=d}']"),
        ("route", "matchers: ['{a=b, c=~\"d.*\",}', 'a:b=c', 'ü=x', '\"a b\"=c']"),
        ("route", "matchers: ['{}', 'a=']"),
        ("inhibit", "{source_matchers: ['a!=b'], target_matchers: ['a!~\"b|c\"']}"),
    ]);
    let file = at("route", "{matchers: ['z!~x', 'a=~y', 'a!=y', a=y], match_re: {m: n}}");
    let config = good(&file);
    let (_, route) = config.routes.iter().next().expect("a route");
    assert_eq!(&*route.key, "{}/{a=\"y\",a!=\"y\",a=~\"y\",m=~\"^(?:n)$\",z!~\"x\"}");
}

#[test]
fn section_6_2_modes_of_matchers() {
    let verdicts = |matcher: &str| {
        let text = at("route", &format!("matchers: ['{matcher}']"));
        let classic = Features { classic_mode: true, ..Features::default() };
        let strict = Features { utf8_strict_mode: true, ..Features::default() };
        [Features::default(), classic, strict]
            .map(|features| crate::config::check(&text, "am.yml", features).is_ok())
    };
    assert_eq!(verdicts("a=b"), [true, true, true]);
    assert_eq!(verdicts("a="), [true, true, false]);
    assert_eq!(verdicts("ü=b"), [true, false, true]);
    assert_eq!(verdicts("a"), [false, false, false]);
}

#[test]
fn section_7_routes() {
    refused(&[
        ("file", "route: {}\nreceivers: [{name: r}]", "must specify a default receiver"),
        ("root", "match: {a: b}", "must not have any matchers"),
        ("root", "match_re: {a: b}", "must not have any matchers"),
        ("root", "matchers: ['a=b']", "must not have any matchers"),
        ("root", "mute_time_intervals: [h]", "must not have any mute time intervals"),
        ("root", "active_time_intervals: [h]", "must not have any active time intervals"),
        ("route", "receiver: nobody", "undefined receiver \"nobody\" used in route"),
        ("route", "routes: [{routes: [{receiver: s}]}]", "undefined receiver \"s\""),
        ("route", "mute_time_intervals: [x]", "undefined time interval \"x\""),
        ("route", "active_time_intervals: [x]", "undefined time interval \"x\""),
        ("route", "group_by: [a, a]", "duplicated label \"a\""),
        ("route", "group_by: ['...', a]", "cannot have the wildcard"),
        ("route", "group_by: ['']", "not a valid label name"),
        ("route", "group_interval: 0s", "group_interval cannot be zero"),
        ("route", "repeat_interval: 0", "repeat_interval cannot be zero"),
        ("route", "labels: {'': x}", "not a valid label name"),
        ("route", "matchers: ['a=~[']", "error parsing regexp"),
        ("route", "matchers: ['a']", "bad matcher format"),
    ]);
    accepted(&[
        ("route", "group_wait: 0s"),
        ("route", "group_by: []"),
        ("route", "group_by: ['...']"),
        ("route", "{mute_time_intervals: [h], active_time_intervals: [h]}"),
        ("root", "matchers: ['']"),
        ("route", "labels: {team: '{{ .X }}'}"),
    ]);
}

#[test]
fn section_8_intervals() {
    refused(&[
        ("top", "time_intervals: [{time_intervals: []}]", "missing name"),
        ("top", "time_intervals: [{name: a}]\nmute_time_intervals: [{name: a}]", "is not unique"),
        ("interval", "times: [{start_time: '9:00', end_time: '17:00'}]", "write it as HH:MM"),
        ("interval", "times: [{start_time: '09:00', end_time: '9'}]", ".end_time: "),
        ("interval", "times: [{start_time: '09:00'}]", "both start and end times"),
        ("interval", "times: [{start_time: '17:00', end_time: '09:00'}]", "start time cannot be"),
        ("interval", "weekdays: [friday:monday]", "end day is before start day"),
        ("interval", "weekdays: ['1']", "is not a valid weekday"),
        ("interval", "days_of_month: [0]", "0 is not a valid day of the month"),
        ("interval", "days_of_month: ['-1:1']", "end day must be negative"),
        ("interval", "days_of_month: ['1:-28']", "always before start day"),
        ("interval", "months: [jan]", "is not a valid month"),
        ("interval", "years: ['2024:2020']", "before start year"),
        ("interval", "location: utc", "unknown time zone utc"),
        ("interval", "location: europe/berlin", "unknown time zone"),
        ("interval", "lokation: UTC", "did you mean \"location\"?"),
    ]);
    accepted(&[
        ("interval", "{}"),
        ("interval", "times: []"),
        ("interval", "months: ['13']"),
        ("interval", "days_of_month: ['1:-27']"),
        ("interval", "location: Local"),
        ("interval", "location: ''"),
    ]);
}

#[test]
fn section_9_inhibition() {
    refused(&[
        ("inhibit", "source_match_re: {a: ~}", "invalid regexp value for \"a\""),
        ("inhibit", "target_match_re: {a: ~}", "invalid regexp value for \"a\""),
        ("inhibit", "target_match: {a.b: c}", "invalid label name"),
        ("inhibit", "equal: ['']", "invalid label name"),
        ("inhibit", "source_matchers: a=b", "must be a list"),
    ]);
    accepted(&[
        ("inhibit", "{}"),
        ("inhibit", "{name: a, equal: [b, b]}\n- {name: a}"),
        ("inhibit", "{source_match: {a: b}, source_match_re: {a: b}, source_matchers: ['a=b']}"),
    ]);
}

/// Sections 10 and 11: globs belong to the file's directory, and may match nothing.
#[test]
fn section_10_and_11_files() {
    let text = at("top", "templates: [a/*.tmpl, /b/*.tmpl, '*/c.tmpl']");
    let config = crate::config::check(&text, "/etc/am/am.yml", Features::default()).expect("good");
    assert_eq!(config.templates, ["/etc/am/a/*.tmpl", "/b/*.tmpl", "/etc/am/*/c.tmpl"]);
    let http = |config: &Config| match &config.receivers[0].integrations[0].config {
        Settings::Webhook(webhook) => webhook.http.tls.ca.clone(),
        other => panic!("{other:?}"),
    };
    for (written, expected) in [("x.pem", "/etc/am/x.pem"), ("/x.pem", "/x.pem")] {
        let keys = format!("{{tls_config: {{ca_file: {written}}}}}");
        let own = at("http", &keys);
        let inherited = format!(
            "global: {{http_config: {keys}}}\nroute: {{receiver: r}}\nreceivers: [{{name: r, webhook_configs: [{{url: 'http://a'}}]}}]\n"
        );
        for text in [own, inherited] {
            let config =
                crate::config::check(&text, "/etc/am/am.yml", Features::default()).expect("good");
            assert_eq!(http(&config), Source::File(expected.into()), "{text}");
        }
    }
}
