//! The thirty details that are most likely to be got wrong, by their number.

use std::time::Duration;

use tocsin_core::matcher::Mode;
use tocsin_core::route::GroupBy;

use super::{Config, good, mistakes};
use crate::config::http::{Auth, Source};
use crate::notify::Settings;

fn receiver(block: &str) -> Config {
    good(&format!("route: {{receiver: r}}\nreceivers:\n- name: r\n  {block}\n"))
}

fn settings(config: &Config) -> &Settings {
    &config.receivers[0].integrations[0].config
}

fn routes(routes: &str) -> Config {
    good(&format!(
        "route:\n  receiver: r\n  group_by: [x]\n  routes:\n  {routes}\nreceivers: [{{name: r}}]\n\
         time_intervals: [{{name: h, time_intervals: [{{times: []}}, {{}}]}}]\n"
    ))
}

#[test]
fn trap_1_a_bare_timeout_is_nanoseconds() {
    let config = receiver("webhook_configs: [{url: 'http://a', timeout: 5}]");
    let Settings::Webhook(webhook) = settings(&config) else { panic!("no webhook") };
    assert_eq!(webhook.timeout, Duration::from_nanos(5));
    let block = "route: {receiver: r}\nreceivers: [{name: r, slack_configs: [{api_url: 'http://a', timeout: 1d}]}]";
    assert!(mistakes(block)[0].contains("unknown unit \"d\""));
}

#[test]
fn trap_2_times_without_quotes_are_texts() {
    let config = good(
        "route: {receiver: r}\nreceivers: [{name: r}]\ntime_intervals:\n- name: n\n  time_intervals:\n  - times:\n    - start_time: 09:00\n      end_time: 17:00\n",
    );
    let times = config.intervals.get("n").unwrap().intervals[0].times.clone().unwrap();
    assert_eq!((times[0].start, times[0].end), (9 * 60, 17 * 60));
}

#[test]
fn trap_3_null_bypasses_defaults() {
    let config = receiver("slack_configs:\n  - api_url: http://a\n    title:\n    send_resolved:");
    let Settings::Slack(slack) = settings(&config) else { panic!("no slack") };
    assert_eq!(slack.title, "");
    assert_eq!(slack.pretext, "{{ template \"slack.default.pretext\" . }}");
    let config = receiver("webhook_configs:\n  - url: http://a\n    send_resolved: ~");
    assert!(!config.receivers[0].integrations[0].send_resolved);
}

#[test]
fn trap_4_unknown_keys_fail_at_every_depth() {
    let text = "x-a: 1\nroute: {receiver: r, x-b: 1}\nreceivers: [{name: r, x-c: 1, webhook_configs: [{url: 'http://a', x-d: 1, http_config: {x-e: 1, tls_config: {x-f: 1}}}]}]\n";
    assert_eq!(mistakes(text).len(), 6);
}

#[test]
fn trap_5_only_the_first_document_counts() {
    good("route: {receiver: r}\nreceivers: [{name: r}]\n---\nnonsense: {\n");
}

#[test]
fn trap_6_any_scalar_is_a_text_as_written() {
    let config = routes("- match: {severity: yes, code: 012, at: 1e3}");
    let (_, route) = config.routes.iter().next().unwrap();
    assert_eq!(&*route.key, "{}/{at=\"1e3\",code=\"012\",severity=\"yes\"}");
}

#[test]
fn trap_7_and_8_truth_values_and_numbers_of_yaml_1_1() {
    let config =
        receiver("webhook_configs: [{url: 'http://a', send_resolved: off, max_alerts: 1.7}]");
    assert!(!config.receivers[0].integrations[0].send_resolved);
    let Settings::Webhook(webhook) = settings(&config) else { panic!("no webhook") };
    assert_eq!(webhook.max_alerts, 1);
}

#[test]
fn trap_9_a_client_of_its_own_inherits_nothing_but_for_teams() {
    let text = "global: {http_config: {follow_redirects: false, proxy_url: 'http://p/'}}\nroute: {receiver: r}\nreceivers:\n- name: r\n  \
                webhook_configs: [{url: 'http://a', http_config: {enable_http2: false}}]\n  \
                msteamsv2_configs: [{webhook_url: 'http://a', http_config: {enable_http2: false}}, {webhook_url: 'http://a', http_config: {proxy_from_environment: true}}]\n";
    let config = good(text);
    let integrations = &config.receivers[0].integrations;
    let Settings::Webhook(webhook) = &integrations[0].config else { panic!("no webhook") };
    assert!(webhook.http.follow_redirects && webhook.http.proxy.url.is_none());
    let Settings::MsTeamsV2(teams) = &integrations[1].config else { panic!("no teams") };
    assert_eq!(teams.http.proxy.url.as_ref().unwrap().as_str(), "http://p/");
    let Settings::MsTeamsV2(teams) = &integrations[2].config else { panic!("no teams") };
    assert!(teams.http.proxy.url.is_none() && teams.http.proxy.from_environment);
}

#[test]
fn trap_10_four_integrations_are_quiet_about_the_end() {
    let text = "route: {receiver: r}\nreceivers:\n- name: r\n  email_configs: [{to: a, from: b, smarthost: 'c:1'}]\n  \
                slack_configs: [{api_url: 'http://a'}]\n  wechat_configs: [{api_secret: a, corp_id: b}]\n  \
                rocketchat_configs: [{token: a, token_id: b}]\n  webhook_configs: [{url: 'http://a'}]\n  \
                pagerduty_configs: [{routing_key: a}]\n";
    let config = good(text);
    let quiet: Vec<_> = config.receivers[0]
        .integrations
        .iter()
        .filter(|it| !it.send_resolved)
        .map(|it| it.kind)
        .collect();
    assert_eq!(quiet, ["email", "wechat", "slack", "rocketchat"]);
}

#[test]
fn trap_11_and_12_keys_have_anchored_and_sorted_matchers() {
    let config =
        routes("- {match_re: {service: foo|bar}, match: {a: b}, matchers: ['c!=d', 'b=~\"x\"']}");
    let (_, route) = config.routes.iter().next().unwrap();
    assert_eq!(&*route.key, "{}/{a=\"b\",b=~\"x\",c!=\"d\",service=~\"^(?:foo|bar)$\"}");
    assert!(config.original.contains("service: foo|bar"), "{}", config.original);
}

#[test]
fn trap_13_colons_in_names() {
    routes("- matchers: ['a:b=c']");
    assert!(
        mistakes("route: {receiver: r, routes: [{match: {'a:b': c}}]}\nreceivers: [{name: r}]\n")
            [0]
        .contains("invalid label name")
    );
}

#[test]
fn trap_14_and_15_the_classic_reader_wins_and_warns() {
    let config = routes("- matchers: ['foo=']");
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    let shown = config.warnings[0].to_string();
    assert!(shown.starts_with("route.routes[0].matchers[0]: "), "{shown}");
    let features = crate::options::Features { utf8_strict_mode: true, ..Default::default() };
    let text = "route: {receiver: r, routes: [{matchers: ['foo=']}]}\nreceivers: [{name: r}]\n";
    assert!(crate::config::check(text, "", features).is_err());
    assert_eq!(Mode::default(), Mode::Fallback);
}

#[test]
fn trap_16_and_17_what_children_inherit() {
    let config = routes(
        "- {mute_time_intervals: [h], routes: [{matchers: ['a=b']}, {group_by: [], matchers: ['a=c']}, {group_by: ['...']}]}",
    );
    let routes: Vec<_> = config.routes.iter().map(|(_, route)| route).collect();
    assert!(routes[0].mute.is_empty());
    assert_eq!(routes[3].mute, ["h"]);
    assert_eq!(routes[0].group_by, GroupBy::Names(vec!["x".to_owned()]));
    assert_eq!(routes[1].group_by, GroupBy::Names(Vec::new()));
    assert_eq!(routes[2].group_by, GroupBy::All);
}

#[test]
fn trap_18_zero_is_a_wait_but_no_interval() {
    let config = routes("- group_wait: 0s");
    assert_eq!(config.routes.iter().next().unwrap().1.group_wait, Duration::ZERO);
    for key in ["group_interval", "repeat_interval"] {
        let text = format!("route: {{receiver: r, {key}: 0s}}\nreceivers: [{{name: r}}]\n");
        assert!(mistakes(&text)[0].contains(&format!("{key} cannot be zero")), "{key}");
    }
}

#[test]
fn trap_19_an_empty_list_never_holds_and_no_key_always() {
    let config = routes("- mute_time_intervals: [h]");
    let intervals = &config.intervals.get("h").unwrap().intervals;
    let now = jiff::Timestamp::UNIX_EPOCH;
    assert!(!intervals[0].contains(now) && intervals[1].contains(now));
}

#[test]
fn trap_20_months_have_no_range_and_days_no_numbers() {
    let interval = |keys: &str| {
        format!(
            "route: {{receiver: r}}\nreceivers: [{{name: r}}]\ntime_intervals: [{{name: n, time_intervals: [{{{keys}}}]}}]\n"
        )
    };
    let config = good(&interval("months: ['13']"));
    let never = &config.intervals.get("n").unwrap().intervals[0];
    assert!(!never.contains(jiff::Timestamp::UNIX_EPOCH));
    assert!(mistakes(&interval("weekdays: ['1']"))[0].contains("is not a valid weekday"));
}

#[test]
fn trap_21_zones_are_named_exactly() {
    let interval = |zone: &str| {
        format!(
            "route: {{receiver: r}}\nreceivers: [{{name: r}}]\ntime_intervals: [{{name: n, time_intervals: [{{location: {zone}}}]}}]\n"
        )
    };
    for zone in ["Local", "''", "UTC", "Europe/Berlin"] {
        good(&interval(zone));
    }
    for zone in ["utc", "europe/berlin", "Europe/berlin"] {
        assert!(mistakes(&interval(zone))[0].contains("unknown time zone"), "{zone}");
    }
}

#[test]
fn trap_22_files_of_secrets_are_relative_to_different_places() {
    let text = "global: {slack_app_token_file: t, opsgenie_api_key_file: k}\nroute: {receiver: r}\nreceivers:\n- name: r\n  \
                opsgenie_configs: [{http_config: {tls_config: {ca_file: c.pem}, authorization: {credentials_file: f}}}]\n  \
                slack_configs: [{}]\n  incidentio_configs: [{url_file: u, http_config: {authorization: {credentials_file: f}}}]\ntemplates: [a/*.tmpl]\n";
    let config = crate::config::check(text, "/etc/am/am.yml", Default::default()).unwrap();
    let file = |path: &str| Source::File(path.into());
    let [opsgenie, slack, incidentio] = &config.receivers[0].integrations[..] else {
        panic!("not three")
    };
    let Settings::OpsGenie(opsgenie) = &opsgenie.config else { panic!("no opsgenie") };
    assert_eq!(opsgenie.api_key, file("k"));
    assert_eq!(opsgenie.http.tls.ca, file("/etc/am/c.pem"));
    assert!(
        matches!(&opsgenie.http.auth, Auth::Header { credentials, .. } if *credentials == file("/etc/am/f"))
    );
    let Settings::Slack(slack) = &slack.config else { panic!("no slack") };
    assert!(
        matches!(&slack.http.auth, Auth::Header { credentials, .. } if *credentials == file("/etc/am/t"))
    );
    let Settings::IncidentIo(incidentio) = &incidentio.config else { panic!("no incidentio") };
    assert_eq!(incidentio.url, file("u"));
    assert!(
        matches!(&incidentio.http.auth, Auth::Header { credentials, .. } if *credentials == file("f"))
    );
    assert_eq!(config.templates, ["/etc/am/a/*.tmpl"]);
}

#[test]
fn trap_23_a_bearer_token_becomes_an_authorization() {
    let config = receiver("webhook_configs: [{url: 'http://a', http_config: {bearer_token: x}}]");
    let Settings::Webhook(webhook) = settings(&config) else { panic!("no webhook") };
    assert!(matches!(&webhook.http.auth, Auth::Header { scheme, .. } if scheme == "Bearer"));
    assert!(
        config
            .original
            .contains("authorization:\n        type: Bearer\n        credentials: <secret>\n")
    );
    assert!(!config.original.contains("bearer_token"));
}

#[test]
fn trap_24_webex_needs_an_authorization_of_its_own() {
    let with = |block: &str| {
        format!(
            "global: {{http_config: {{authorization: {{credentials: a}}}}}}\nroute: {{receiver: r}}\nreceivers: [{{name: r, webex_configs: [{{room_id: b{block}}}]}}]\n"
        )
    };
    assert!(mistakes(&with(""))[0].contains("the global one does not count"));
    good(&with(", http_config: {authorization: {credentials: c}}"));
}

/// A mail block with these keys beside the needed ones.
fn mail(keys: &str) -> String {
    format!(
        "route: {{receiver: r}}\nreceivers: [{{name: r, email_configs: [{{to: a, from: b, smarthost: 'c:1', {keys}}}]}}]\n"
    )
}

#[test]
fn trap_25_threads_need_to_know_how_dates_count() {
    assert!(mistakes(&mail("threading: {enabled: true}"))[0].contains("must be none or daily"));
    good(&mail("threading: {enabled: true, thread_by_date: none}"));
    good(&mail("threading: {enabled: false}"));
}

#[test]
fn trap_26_mail_headers_are_canonical_and_once() {
    let config = good(&mail("headers: {x-pRIORITY: high}"));
    let Settings::Email(email) = settings(&config) else { panic!("no email") };
    assert!(email.headers.iter().any(|(name, value)| name == "X-Priority" && value == "high"));
    let found = mistakes(&mail("headers: {x-priority: a, X-Priority: b}"));
    assert!(found[0].contains("duplicate header \"X-Priority\""), "{found:?}");
}

#[test]
fn trap_27_a_proxy_may_be_any_text_and_an_address_not() {
    let with = |key: &str| {
        format!("global: {{{key}}}\nroute: {{receiver: r}}\nreceivers: [{{name: r}}]\n")
    };
    good(&with("http_config: {proxy_url: foo}"));
    assert!(mistakes(&with("pagerduty_url: foo"))[0].contains("must begin with http"));
}

#[test]
fn trap_28_some_addresses_end_with_a_slash() {
    let config = receiver("opsgenie_configs: [{api_key: a, api_url: 'http://a/b'}]");
    let Settings::OpsGenie(opsgenie) = settings(&config) else { panic!("no opsgenie") };
    assert_eq!(opsgenie.api_url.as_str(), "http://a/b/");
}

#[test]
fn trap_29_the_name_is_a_label_of_the_receiver() {
    let config = receiver("labels: {team: a}");
    assert_eq!(config.receivers[0].labels.to_string(), "{name=\"r\", team=\"a\"}");
}

#[test]
fn trap_30_the_hash_is_of_the_text_and_the_meaning_is_not() {
    let home = tempfile::tempdir().unwrap();
    let load = |text: &str| {
        let path = home.path().join("am.yml");
        std::fs::write(&path, text).unwrap();
        crate::config::load(&path, Default::default()).unwrap()
    };
    let plain = load("route: {receiver: r}\nreceivers: [{name: r}]\n");
    let commented = load("# why\nroute: {receiver: r}\nreceivers: [{name: r}]\n");
    assert_ne!(plain.file_hash, commented.file_hash);
    assert_eq!(plain.cfg_hash, commented.cfg_hash);
    assert_eq!(plain.original, commented.original);
    let other = load("route: {receiver: r, group_wait: 1s}\nreceivers: [{name: r}]\n");
    assert_ne!(plain.cfg_hash, other.cfg_hash);
    let text = "route: {receiver: r}\nreceivers: [{name: r}]\ntemplates: ['*.tmpl']\n";
    let without = load(text);
    std::fs::write(home.path().join("a.tmpl"), "{{ define \"a\" }}{{ end }}").unwrap();
    assert_ne!(without.cfg_hash, load(text).cfg_hash);
}
