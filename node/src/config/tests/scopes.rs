//! What receivers take from `global`, and how the result is shown (sections 13.4, 14 and 15).

use super::{Config, good, load_shown, mistakes, stable};
use crate::config::http::{Auth, Source};
use crate::notify::Settings;
use crate::options::Features;

fn with(global: &str, receiver: &str) -> String {
    format!("global: {global}\nroute: {{receiver: r}}\nreceivers:\n- name: r\n  {receiver}\n")
}

fn inline(text: &str) -> Source {
    Source::Inline(text.into())
}

fn all(config: &Config) -> impl Iterator<Item = &Settings> {
    config.receivers[0].integrations.iter().map(|integration| &integration.config)
}

#[test]
fn passwords_of_mail_are_replaced_as_pairs() {
    let global = "{smtp_from: f, smtp_smarthost: 'h:25', smtp_auth_password_file: p, smtp_auth_secret_file: s, smtp_hello: ''}";
    let blocks = "email_configs: [{to: a}, {to: a, auth_password_file: q}, {to: a, auth_password: x, auth_secret: y}, {to: a, require_tls: false, hello: me}]";
    let config = good(&with(global, blocks));
    let mails: Vec<_> = all(&config)
        .map(|settings| {
            let Settings::Email(email) = settings else { panic!("no mail") };
            email
        })
        .collect();
    assert_eq!(mails[0].auth_password, Source::File("p".into()));
    assert_eq!(mails[1].auth_password, Source::File("q".into()));
    assert_eq!(mails[2].auth_password, inline("x"));
    assert_eq!(mails[2].auth_secret, inline("y"));
    assert_eq!(mails[0].hello, "");
    assert_eq!(mails[3].hello, "me");
    assert!(mails[0].require_tls && !mails[3].require_tls);
}

#[test]
fn slack_takes_a_token_or_a_webhook() {
    let global = "{slack_app_token: g, slack_api_url: 'http://app', slack_app_url: 'http://app'}";
    let blocks = "slack_configs: [{}, {app_token: l}, {app_url: 'http://mine'}, {http_config: {authorization: {credentials: c}}}, {api_url: 'http://hook'}, {api_url_file: f}]";
    let config = good(&with(global, blocks));
    let found: Vec<_> = all(&config)
        .map(|settings| {
            let Settings::Slack(slack) = settings else { panic!("no slack") };
            let token = match &slack.http.auth {
                Auth::Header { credentials, .. } => credentials.clone(),
                _ => Source::None,
            };
            (slack.api_url.clone(), token)
        })
        .collect();
    assert_eq!(
        found,
        [
            (inline("http://app"), inline("g")),
            (inline("http://app"), inline("l")),
            (inline("http://mine"), inline("g")),
            (inline("http://app"), inline("c")),
            (inline("http://hook"), Source::None),
            (Source::File("f".into()), Source::None),
        ]
    );
    stable(&config);
}

#[test]
fn the_nearest_scope_wins_as_a_pair() {
    let global = "{opsgenie_api_key: g, victorops_api_key: g, rocketchat_token_file: g, rocketchat_token_id: i, telegram_bot_token: t, mattermost_webhook_url: 'http://g'}";
    let blocks = "opsgenie_configs: [{api_key_file: l}]\n  victorops_configs: [{routing_key: r, api_key_file: l}]\n  rocketchat_configs: [{token: l}]\n  telegram_configs: [{chat_id: 1}]\n  mattermost_configs: [{}]";
    let config = good(&with(global, blocks));
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
    for settings in all(&config) {
        match settings {
            Settings::OpsGenie(opsgenie) => assert_eq!(opsgenie.api_key, Source::File("l".into())),
            Settings::VictorOps(victorops) => {
                assert_eq!(victorops.api_key, Source::File("l".into()));
            }
            Settings::RocketChat(rocketchat) => {
                assert_eq!(rocketchat.token, inline("l"));
                assert_eq!(rocketchat.token_id, inline("i"));
            }
            Settings::Telegram(telegram) => assert_eq!(telegram.bot_token, inline("t")),
            Settings::Mattermost(mattermost) => {
                assert_eq!(mattermost.webhook_url, inline("http://g"));
            }
            other => panic!("{}", other.kind()),
        }
    }
    stable(&config);
}

#[test]
fn a_default_that_was_taken_away_is_missed() {
    let text = with("{pagerduty_url: null}", "pagerduty_configs: [{routing_key: a}]");
    assert!(mistakes(&text)[0].contains("no url, here or as global pagerduty_url"));
}

#[test]
fn a_text_that_is_no_template_is_warned_of() {
    let blocks = "slack_configs: [{api_url: 'http://a', title: '{{ .X', text: '{{ nosuch }}', footer: '{{ toUpper .X }}'}]";
    let config = good(&with("{}", blocks));
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("slack_configs[0].title: nothing can be told"), "{warnings:?}");
    assert!(warnings[1].contains("slack_configs[0].text: nothing can be told"), "{warnings:?}");
}

#[test]
fn secrets_are_shown_nowhere() {
    let global = "{smtp_auth_password: hunter2, slack_api_url: 'http://hunter2', http_config: {basic_auth: {username: u, password: hunter2}}, opsgenie_api_key: hunter2}";
    let blocks = "webhook_configs: [{url: 'http://hunter2/', http_config: {proxy_url: 'http://u:hunter2@p', proxy_connect_header: {A: [hunter2]}, http_headers: {B: {secrets: [hunter2]}}, oauth2: {client_id: a, client_secret: hunter2, token_url: b, tls_config: {cert: c, key: hunter2}}}}]\n  \
                  slack_configs: [{api_url: 'http://hunter2/'}]\n  telegram_configs: [{bot_token: hunter2, chat_id: 1}]\n  opsgenie_configs: [{}]\n  \
                  sns_configs: [{topic_arn: a, sigv4: {access_key: b, secret_key: hunter2}}]\n  pushover_configs: [{user_key: hunter2, token: hunter2}]";
    let config = good(&with(global, blocks));
    assert!(!config.original.contains("hunter2"), "{}", config.original);
    assert!(!format!("{:?}", config.receivers).contains("\"hunter2"), "a secret in debug output");
    stable(&config);
}

/// What a server of version 0.25 has shown of a large file.
#[test]
fn what_upstream_shows_loads() {
    let text = include_str!("shown_by_upstream.yml");
    let config =
        load_shown(text, Features::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.receivers.len(), 3);
    stable(&config);
}

#[test]
fn what_was_derived_may_stand_beside_what_it_came_from() {
    let text = "route: {receiver: r}\nreceivers:\n- name: r\n  slack_configs: [{api_url: <secret>, app_token: <secret>, http_config: {authorization: {type: Bearer, credentials: <secret>}}}]\n  opsgenie_configs: [{api_key: <secret>, api_key_file: f}]\n";
    load_shown(text, Features::default()).unwrap();
    assert!(mistakes(text).len() > 1);
}

#[test]
fn the_shown_text_has_upstreams_shape() {
    let text = "route:\n  receiver: r\n  routes:\n  - {match_re: {a: b|c}, matchers: ['z=\"x,y\"', 'b!=\"q d\"'], group_by: ['...'], group_wait: 0s, labels: {team: '{{ .X }}'}}\nreceivers:\n- name: r\n  webhook_configs: [{url: 'http://a'}]\ninhibit_rules: [{source_match: {a: b}, equal: [c]}]\ntime_intervals: [{name: n, time_intervals: [{times: [{start_time: 09:00, end_time: '24:00'}], weekdays: [Monday:friday, sunday], days_of_month: [5, '-3:-1'], months: [may:july], location: Europe/Berlin}]}]\n";
    let config = good(text);
    let after = config.original.split("route:\n").nth(1).unwrap();
    expect_test::expect![[r#"
          receiver: r
          continue: false
          routes:
          - group_by:
            - '...'
            match_re:
              a: b|c
            matchers:
            - b!="q d"
            - z="x,y"
            continue: false
            group_wait: 0s
            labels:
              team: '{{ .X }}'
        inhibit_rules:
        - source_match:
            a: b
          equal:
          - c
        receivers:
        - name: r
          labels:
            name: r
          webhook_configs:
          - send_resolved: true
            http_config:
              follow_redirects: true
              enable_http2: true
            url: <secret>
            url_file: ""
            max_alerts: 0
            timeout: 0s
        templates: []
        time_intervals:
        - name: "n"
          time_intervals:
          - times:
            - start_time: "09:00"
              end_time: "24:00"
            weekdays: ['monday:friday', sunday]
            days_of_month: ["5", '-3:-1']
            months: ["5:7"]
            location: Europe/Berlin
    "#]]
    .assert_eq(after);
    stable(&config);
}
