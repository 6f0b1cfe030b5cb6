//! Receivers and their integrations (section 13).

use super::{accepted, at, good, mistakes, refused};

#[test]
fn section_13_3_every_key() {
    accepted(&[
        (
            "discord_configs",
            "{webhook_url: 'http://a', content: b, title: c, message: d, username: e, avatar_url: f}",
        ),
        (
            "email_configs",
            "{to: a, from: b, hello: c, smarthost: 'd:1', auth_username: e, auth_password: f, auth_secret_file: g, auth_identity: h, headers: {X: y}, html: i, text: j, require_tls: no, tls_config: {}, force_implicit_tls: yes, threading: {enabled: yes, thread_by_date: none}}",
        ),
        (
            "incidentio_configs",
            "{url_file: a, alert_source_token_file: b, max_alerts: 1, timeout: 2s}",
        ),
        (
            "pagerduty_configs",
            "{service_key_file: a, url: 'http://b', client: c, client_url: d, description: e, details: {f: g}, images: [{src: h, alt: i, href: j}], links: [{href: k, text: l}], source: m, severity: n, class: o, component: p, group: q, timeout: 1s}",
        ),
        (
            "slack_configs",
            "{api_url: 'http://a', channel: b, username: c, color: d, title: e, title_link: f, pretext: g, text: h, message_text: i, fields: [{title: j, value: k, short: yes}], short_fields: yes, footer: l, fallback: m, callback_id: n, icon_emoji: o, icon_url: p, image_url: q, thumb_url: r, link_names: yes, mrkdwn_in: [text], actions: [{type: s, text: t, name: u, value: v, style: w, confirm: {text: x, title: y, ok_text: z, dismiss_text: a}}], timeout: 1s}",
        ),
        ("webhook_configs", "{url: 'http://a', max_alerts: 1, timeout: 2s, payload: {a: b}}"),
        (
            "opsgenie_configs",
            "{api_key_file: a, api_url: 'http://b', message: c, description: d, source: e, details: {f: g}, entity: h, actions: i, tags: j, note: k, priority: l, responders: [{username: m, type: user}], update_alerts: yes}",
        ),
        (
            "wechat_configs",
            "{api_secret_file: a, corp_id: b, message: c, api_url: 'http://d', to_user: e, to_party: f, to_tag: g, agent_id: h, message_type: markdown}",
        ),
        (
            "pushover_configs",
            "{user_key_file: a, token: b, title: c, message: d, url: e, url_title: f, device: g, sound: h, priority: i, retry: 1m, expire: 2m, ttl: 3m, monospace: yes}",
        ),
        (
            "victorops_configs",
            "{api_key_file: a, api_url: 'http://b', routing_key: c, message_type: d, state_message: e, entity_display_name: f, monitoring_tool: g}",
        ),
        (
            "sns_configs",
            "{api_url: a, sigv4: {region: b, access_key: c, secret_key: d, profile: e, role_arn: f, external_id: g, use_fips_sts_endpoint: no, service_name: h}, target_arn: i, subject: j, message: k, attributes: {l: m}, use_aws_http_client: no}",
        ),
        (
            "telegram_configs",
            "{api_url: 'http://a', bot_token_file: b, chat_id_file: c, message_thread_id: 1, message: d, disable_notifications: yes, parse_mode: MarkdownV2}",
        ),
        (
            "webex_configs",
            "{api_url: 'http://a', message: b, room_id: c, http_config: {bearer_token: d}}",
        ),
        ("msteams_configs", "{webhook_url_file: a, title: b, summary: c, text: d}"),
        ("msteamsv2_configs", "{webhook_url_file: a, title: b, text: c}"),
        (
            "jira_configs",
            "{api_url: 'http://a', api_type: cloud, project: b, summary: {template: c}, description: {enable_update: no}, labels: [d], priority: e, issue_type: f, reopen_transition: g, resolve_transition: h, wont_fix_resolution: i, reopen_duration: 1h}",
        ),
        (
            "rocketchat_configs",
            "{api_url: 'http://a', token_id_file: b, token_file: c, channel: d, color: e, title: f, title_link: g, text: h, emoji: i, icon_url: j, fields: [{short: yes, title: k, value: l}], short_fields: yes, image_url: m, thumb_url: n, link_names: yes}",
        ),
        (
            "mattermost_configs",
            "{webhook_url_file: a, channel: b, username: c, text: d, fallback: e, color: f, title: g, title_link: h, pretext: i, author_name: j, author_link: k, author_icon: l, thumb_url: m, footer: n, footer_icon: o, image_url: p, icon_url: q, icon_emoji: r, type: s, fields: [{title: t, value: u, short: no}]}",
        ),
    ]);
}

#[test]
fn section_13_1_receivers() {
    refused(&[
        ("receivers", "- name: r\n- name: r", "\"r\" is not unique"),
        ("receivers", "- name: r\n- {}", "missing name in receiver"),
        ("receivers", "- name: r\n  labels: {name: s}", "must be the receiver's name"),
        ("receivers", "- name: r\n  slak_configs: []", "did you mean \"slack_configs\"?"),
    ]);
    accepted(&[
        ("receivers", "- name: r\n- name: s\n  labels: {team-a: b, 'ü': c, name: s}"),
        ("receivers", "- name: r"),
    ]);
}

#[test]
fn section_13_2_which_tell_of_the_end() {
    for (block, expected) in [
        ("webhook_configs: [{url: 'http://a'}]", true),
        ("webhook_configs: [{url: 'http://a', send_resolved: no}]", false),
        ("slack_configs: [{api_url: 'http://a'}]", false),
        ("slack_configs: [{api_url: 'http://a', send_resolved: yes}]", true),
        ("email_configs: [{to: a, from: b, smarthost: 'c:1'}]", false),
        ("wechat_configs: [{api_secret: a, corp_id: b}]", false),
        ("rocketchat_configs: [{token: a, token_id: b}]", false),
        ("pagerduty_configs: [{routing_key: a}]", true),
        ("opsgenie_configs: [{api_key: a}]", true),
        ("discord_configs: [{webhook_url: 'http://a'}]", true),
        ("msteams_configs: [{webhook_url: 'http://a'}]", true),
        ("msteamsv2_configs: [{webhook_url: 'http://a'}]", true),
        ("telegram_configs: [{bot_token: a, chat_id: 1}]", true),
        ("pushover_configs: [{user_key: a, token: b}]", true),
        ("victorops_configs: [{api_key: a, routing_key: b}]", true),
        ("sns_configs: [{topic_arn: a}]", true),
        ("mattermost_configs: [{webhook_url: 'http://a'}]", true),
        ("jira_configs: [{api_url: 'http://a', project: b, issue_type: c}]", true),
        ("incidentio_configs: [{url: 'http://a', alert_source_token: b}]", true),
        ("webex_configs: [{room_id: a, http_config: {authorization: {credentials: b}}}]", true),
    ] {
        let config = good(&at("receivers", &format!("- name: r\n  {block}")));
        assert_eq!(config.receivers[0].integrations[0].send_resolved, expected, "{block}");
    }
}

#[test]
fn section_13_4_null_blocks() {
    for kind in crate::notify::KINDS {
        let found = mistakes(&at(&format!("{kind}_configs"), "null"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(&format!("missing {kind} config")), "{found:?}");
    }
}

#[test]
fn section_13_3_integrations() {
    let both = "at most one of";
    refused(&[
        ("discord_configs", "{content: a}", "one of webhook_url & webhook_url_file"),
        ("discord_configs", "{webhook_url: 'http://a', webhook_url_file: b}", both),
        ("email_configs", "{from: a, smarthost: 'b:25'}", "\"to\" is missing"),
        ("email_configs", "{to: a, smarthost: 'b:25'}", "no from"),
        ("email_configs", "{to: a, from: b}", "no smarthost"),
        (
            "email_configs",
            "{to: a, from: b, smarthost: 'c:1', headers: {x-FOO: a, X-Foo: b}}",
            "duplicate header \"X-Foo\"",
        ),
        (
            "email_configs",
            "{to: a, from: b, smarthost: 'c:1', threading: {enabled: true}}",
            "must be none or daily",
        ),
        (
            "email_configs",
            "{to: a, from: b, smarthost: 'c:1', threading: {enabled: true, thread_by_date: none}, headers: {references: x}}",
            "header References cannot be set",
        ),
        (
            "email_configs",
            "{to: a, from: b, smarthost: 'c:1', subject: d, headers: {subject: e}}",
            both,
        ),
        ("email_configs", "{to: a, from: b, smarthost: 'c:1', body: d, text: e}", both),
        ("incidentio_configs", "{alert_source_token: a}", "one of url & url_file"),
        ("incidentio_configs", "{url: 'http://a', url_file: b}", both),
        (
            "incidentio_configs",
            "{url: 'http://a', alert_source_token: a, http_config: {authorization: {credentials: b}}}",
            both,
        ),
        ("incidentio_configs", "{url: 'http://a', http_config: {}}", "one of alert_source_token"),
        ("pagerduty_configs", "{}", "is missing"),
        ("pagerduty_configs", "{routing_key: a, routing_key_file: b}", both),
        ("pagerduty_configs", "{service_key: a, service_key_file: b}", both),
        ("slack_configs", "{channel: a}", "no api_url and no app_token"),
        ("slack_configs", "{api_url: 'http://a', api_url_file: b}", both),
        ("slack_configs", "{app_token: a, app_token_file: b}", both),
        ("slack_configs", "{app_token: a, api_url: 'http://b'}", both),
        ("slack_configs", "{api_url: 'http://a', fields: [{title: b}]}", "\"value\" is missing"),
        (
            "slack_configs",
            "{api_url: 'http://a', actions: [{text: b, name: c}]}",
            "\"type\" is missing",
        ),
        (
            "slack_configs",
            "{api_url: 'http://a', actions: [{type: a, text: b}]}",
            "one of url & name is missing",
        ),
        (
            "slack_configs",
            "{api_url: 'http://a', actions: [{type: a, text: b, name: c, confirm: {title: d}}]}",
            "\"text\" is missing",
        ),
        (
            "slack_configs",
            "{api_url: 'http://a', update_message: true}",
            "update_message needs the address",
        ),
        (
            "slack_configs",
            "{app_token: a, http_config: {authorization: {credentials: b}}}",
            "must not say who it is",
        ),
        ("webhook_configs", "{}", "one of url & url_file"),
        ("webhook_configs", "{url: 'http://a', url_file: b}", both),
        ("opsgenie_configs", "{message: a}", "no api_key"),
        ("opsgenie_configs", "{api_key: a, api_key_file: b}", both),
        ("opsgenie_configs", "{api_key: a, teams: b}", "unknown key"),
        (
            "opsgenie_configs",
            "{api_key: a, responders: [{type: team}]}",
            "one of id, name & username",
        ),
        ("opsgenie_configs", "{api_key: a, responders: [{id: b, type: group}]}", "must be one of"),
        ("wechat_configs", "{corp_id: a}", "no api_secret"),
        ("wechat_configs", "{api_secret: a}", "no corp_id"),
        (
            "wechat_configs",
            "{api_secret: a, corp_id: b, message_type: html}",
            "must be one of text, markdown",
        ),
        ("pushover_configs", "{token: a}", "one of user_key & user_key_file"),
        ("pushover_configs", "{user_key: a}", "one of token & token_file"),
        ("pushover_configs", "{user_key: a, token: b, token_file: c}", both),
        ("pushover_configs", "{user_key: a, token: b, html: true, monospace: true}", both),
        ("victorops_configs", "{api_key: a}", "\"routing_key\" is missing"),
        ("victorops_configs", "{routing_key: a}", "no api_key"),
        (
            "victorops_configs",
            "{api_key: a, routing_key: b, custom_fields: {entity_id: c}}",
            "a name of the message itself",
        ),
        ("telegram_configs", "{bot_token: a, chat_id: '@b'}", "must be a whole number, not a text"),
        (
            "webex_configs",
            "{room_id: [a], http_config: {bearer_token: b}}",
            "must be a text, not a list",
        ),
        ("webhook_configs", "{url: [a]}", "must be a text, not a list"),
        ("sns_configs", "{sigv4: {}}", "exactly one of topic_arn"),
        (
            "sns_configs",
            "{topic_arn: a, phone_number: b, target_arn: c}",
            "exactly one of topic_arn",
        ),
        ("sns_configs", "{topic_arn: a, sigv4: {access_key: b}}", "access key and secret key"),
        ("sns_configs", "{topic_arn: a, sigv4: {external_id: b}}", "only be used with role_arn"),
        ("telegram_configs", "{chat_id: 1}", "no bot_token"),
        ("telegram_configs", "{bot_token: a}", "one of chat_id & chat_id_file"),
        ("telegram_configs", "{bot_token: a, chat_id: 1, chat_id_file: b}", both),
        (
            "telegram_configs",
            "{bot_token: a, chat_id: 1, parse_mode: html}",
            "did you mean \"HTML\"?",
        ),
        ("webex_configs", "{room_id: a}", "the global one does not count"),
        ("webex_configs", "{http_config: {bearer_token: a}}", "\"room_id\" is missing"),
        ("msteams_configs", "{title: a}", "one of webhook_url & webhook_url_file"),
        ("msteamsv2_configs", "{webhook_url: 'http://a', summary: b}", "unknown key"),
        ("jira_configs", "{project: a, issue_type: b}", "no api_url"),
        ("jira_configs", "{api_url: 'http://a', issue_type: b}", "\"project\" is missing"),
        ("jira_configs", "{api_url: 'http://a', project: b}", "\"issue_type\" is missing"),
        (
            "jira_configs",
            "{api_url: 'http://a', project: b, issue_type: c, api_type: server}",
            "must be one of auto, cloud, datacenter",
        ),
        ("rocketchat_configs", "{token_id: a}", "no token,"),
        ("rocketchat_configs", "{token: a}", "no token_id"),
        (
            "rocketchat_configs",
            "{token: a, token_id: b, actions: [{image_url: c}]}",
            "did you mean \"imageurl\"?",
        ),
        ("mattermost_configs", "{channel: a}", "no webhook_url"),
        (
            "mattermost_configs",
            "{webhook_url: 'http://a', fields: [{title: b}]}",
            "\"value\" is missing",
        ),
    ]);
    accepted(&[
        ("discord_configs", "{webhook_url_file: a}"),
        (
            "email_configs",
            "{to: a, from: b, smarthost: 'c:1', auth_password: d, auth_password_file: e}",
        ),
        (
            "email_configs",
            "{to: a, from: b, smarthost: 'c:1', threading: {enabled: true, thread_by_date: daily}}",
        ),
        ("incidentio_configs", "{url: 'http://a'}"),
        ("pagerduty_configs", "{routing_key: a, service_key: b, details: {a: [1, {b: c}]}}"),
        ("slack_configs", "{api_url: 'http://a', actions: [{type: a, text: b, url: c}]}"),
        (
            "slack_configs",
            "{api_url: 'https://slack.com/api/chat.postMessage', update_message: true}",
        ),
        ("slack_configs", "{app_token: a, update_message: true}"),
        ("slack_configs", "{api_url_file: a}"),
        ("webhook_configs", "{url_file: a, payload: [1, {a: b}]}"),
        (
            "opsgenie_configs",
            "{api_key: a, responders: [{id: b, type: TEAM}, {name: c, type: '{{ .X }}'}]}",
        ),
        ("wechat_configs", "{api_secret: a, corp_id: b, message_type: ''}"),
        ("pushover_configs", "{user_key: a, token_file: b, retry: 0, ttl: 5m}"),
        ("telegram_configs", "{bot_token: a, chat_id: -100123, parse_mode: ''}"),
        (
            "jira_configs",
            "{api_url: 'http://a', project: b, issue_type: c, summary: {enable_update: false}, description: x, fields: {a: {b: c}}}",
        ),
        (
            "rocketchat_configs",
            "{token: a, token_id: b, actions: [{type: button, msginchatwindow: true}]}",
        ),
        (
            "mattermost_configs",
            "{webhook_url: 'http://a', attachments: [{text: b}], props: {card: c}, priority: {priority: urgent}}",
        ),
        ("sns_configs", "{phone_number: a}"),
        ("victorops_configs", "{api_key: a, routing_key: b, custom_fields: {mine: c}}"),
        ("webex_configs", "{room_id: a, http_config: {authorization: {credentials: b}}}"),
    ]);
}
