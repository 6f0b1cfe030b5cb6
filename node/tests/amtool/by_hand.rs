//! Whole files, written by hand: the dialect of YAML, and rules that need more than one key.

use crate::corpus::Case;

/// A route and a receiver, so that what is tried stands alone.
const ROUTE: &str = "route: {receiver: r}\nreceivers: [{name: r}]\n";

/// What comes after a good file.
const AFTER_ROUTE: &[(&str, &str)] = &[
    ("yaml.nothing_more", ""),
    ("yaml.second_document", "---\nnonsense: [\n"),
    ("yaml.second_document_good", "---\na: b\n"),
    ("yaml.document_end", "...\nnonsense\n"),
    ("yaml.extension_key", "x-a: b\n"),
    ("yaml.comment", "# nothing\n"),
    ("yaml.duplicate_top_key", "route: {receiver: r}\n"),
    ("yaml.null_section", "global:\n"),
    ("yaml.null_list", "inhibit_rules:\ntemplates: ~\n"),
    ("yaml.tab_indent", "global:\n\tresolve_timeout: 5m\n"),
    ("yaml.tab_after_colon", "global:\n  resolve_timeout:\t5m\n"),
    ("yaml.tab_after_colon_twice", "global:\n  smtp_hello:\ta\n  smtp_from:\t\tb\n"),
    ("yaml.tab_after_colon_and_space", "global:\n  smtp_hello: \ta\n"),
    ("yaml.tab_after_key_of_map", "global:\t\n  smtp_hello: a\n"),
    ("yaml.tab_at_end", "global:\n  smtp_hello: a\t\n"),
    ("yaml.tab_before_comment", "global:\n  smtp_hello: a\t# b\n"),
    ("yaml.tab_after_dash", "templates:\n-\ta\n"),
    ("yaml.tab_after_dash_before_map", "inhibit_rules:\n-\tequal: [a]\n"),
    ("yaml.tab_after_dash_and_space", "templates:\n- \ta\n"),
    ("yaml.tab_in_flow", "templates: [a,\tb]\n"),
    ("yaml.tab_before_flow_item", "templates: [\n\ta]\n"),
    ("yaml.tab_in_blank_line", "global:\n\t\n  smtp_hello: a\n"),
    ("yaml.tab_before_comment_line", "global:\n\t# a\n  smtp_hello: a\n"),
    ("yaml.tab_before_colon", "global:\n  smtp_hello\t: a\n"),
    ("yaml.tab_in_text", "global:\n  smtp_hello: a\tb\n"),
    ("yaml.tab_in_literal", "global:\n  smtp_hello: |\n    a\tb\n    \tc\n"),
    ("yaml.tab_in_quotes", "global:\n  smtp_hello: \"a\tb\"\n"),
    ("yaml.tab_in_folded_quotes", "global:\n  smtp_hello: \"a\n\tb\"\n"),
    ("yaml.tab_in_flow_map", "global: {smtp_hello:\ta}\n"),
    ("yaml.no_space_after_colon", "global:\n  resolve_timeout:5m\n"),
    ("yaml.unclosed_list", "templates: [a\n"),
    ("yaml.unclosed_quote", "templates: ['a]\n"),
    ("yaml.double_quote_escape", "templates: [\"a\\tb\\x41\\u00e9\"]\n"),
    ("yaml.bad_escape", "templates: [\"a\\qb\"]\n"),
    ("yaml.single_quotes_doubled", "templates: ['it''s']\n"),
    ("yaml.at_sign", "templates: [@a]\n"),
    ("yaml.backtick", "templates: [`a]\n"),
    ("yaml.percent", "templates: [%a]\n"),
    ("yaml.plain_colon_in_flow", "templates: [a:b]\n"),
    ("yaml.flow_map_without_space", "global: {resolve_timeout:5m}\n"),
    ("yaml.flow_map_quoted_without_space", "global: {\"resolve_timeout\":5m}\n"),
    ("yaml.trailing_comma", "templates: [a,]\n"),
    ("yaml.double_comma", "templates: [a,,b]\n"),
    ("yaml.multi_line_plain", "global:\n  smtp_hello: one\n    two\n"),
    ("yaml.literal", "global:\n  smtp_hello: |\n    one\n    two\n"),
    ("yaml.literal_without_end", "global:\n  smtp_hello: |\n    one"),
    ("yaml.folded_strip", "global:\n  smtp_hello: >-\n    one\n    two\n"),
    ("yaml.literal_indent", "global:\n  smtp_hello: |2\n     one\n"),
    ("yaml.complex_key", "? global\n: resolve_timeout: 5m\n"),
    ("yaml.list_as_key", "? [a]\n: b\n"),
    ("yaml.tag_str", "global: {smtp_hello: !!str 5}\n"),
    ("yaml.tag_int", "global: {smtp_hello: !!int 5}\n"),
    ("yaml.tag_bool_text", "global: {smtp_require_tls: !!bool \"true\"}\n"),
    ("yaml.tag_local", "global: {smtp_hello: !mine 5}\n"),
    ("yaml.tag_binary", "global: {smtp_hello: !!binary aGVsbG8=}\n"),
    ("yaml.anchor", "global: &g {smtp_hello: a}\n"),
    ("yaml.anchor_twice", "inhibit_rules:\n- source_match: &m {a: b}\n  target_match: *m\n"),
    ("yaml.anchor_of_scalar", "global: {smtp_hello: &h a, smtp_from: *h}\n"),
    ("yaml.unknown_anchor", "global: {smtp_hello: *h}\n"),
    ("yaml.recursive_anchor", "inhibit_rules: &a [*a]\n"),
    ("yaml.merge", "inhibit_rules:\n- &x {equal: [a]}\n- {<<: *x, source_match: {a: b}}\n"),
    (
        "yaml.merge_list",
        "inhibit_rules:\n- &x {equal: [a]}\n- &y {source_match: {a: b}}\n- {<<: [*x, *y]}\n",
    ),
    ("yaml.merge_overridden", "inhibit_rules:\n- &x {equal: [a]}\n- {<<: *x, equal: [b]}\n"),
    (
        "yaml.merge_in_map",
        "inhibit_rules:\n- source_match: &x {a: b}\n- source_match: {<<: *x, c: d}\n",
    ),
    ("yaml.merge_unknown_key", "inhibit_rules:\n- source_match: &x {a: b}\n- {<<: *x}\n"),
    ("yaml.merge_of_scalar", "inhibit_rules:\n- {<<: a}\n"),
    ("yaml.merge_quoted", "inhibit_rules:\n- {'<<': {equal: [a]}}\n"),
    ("yaml.duplicate_key", "global: {smtp_hello: a, smtp_hello: b}\n"),
    ("yaml.duplicate_key_in_map", "inhibit_rules: [{source_match: {a: b, a: c}}]\n"),
    ("yaml.bool_y", "global: {smtp_require_tls: y}\n"),
    ("yaml.bool_off", "global: {smtp_require_tls: Off}\n"),
    ("yaml.bool_mixed_case", "global: {smtp_require_tls: yEs}\n"),
    ("yaml.bool_as_text", "inhibit_rules: [{source_match: {severity: yes}}]\n"),
    ("yaml.int_key", "inhibit_rules: [{source_match: {1: a}}]\n"),
    ("yaml.bool_key", "inhibit_rules: [{source_match: {yes: a}}]\n"),
    ("yaml.null_key", "inhibit_rules: [{source_match: {~: a}}]\n"),
    ("yaml.crlf", "global:\r\n  smtp_hello: a\r\n"),
    ("yaml.dash_without_space", "templates:\n-a\n"),
    ("yaml.list_deeper", "templates:\n  - a\n  - b\n"),
    ("yaml.list_not_aligned", "templates:\n  - a\n - b\n"),
    ("yaml.map_not_aligned", "global:\n  smtp_hello: a\n   smtp_from: b\n"),
    ("yaml.nbsp", "global:\n  smtp_hello:\u{a0}a\n"),
    ("yaml.question_mark", "global: {smtp_hello: a?b}\n"),
    ("yaml.hash_in_word", "global: {smtp_hello: a#b}\n"),
    ("yaml.emoji", "global: {smtp_hello: 🙂}\n"),
    ("yaml.control_character", "global: {smtp_hello: \"a\u{1}b\"}\n"),
    ("yaml.directive", "%YAML 1.1\n"),
    ("global.unknown_and_wrong_type", "global: {nonsense: 1, resolve_timeout: [a]}\n"),
    ("global.opsgenie_both", "global: {opsgenie_api_key: a, opsgenie_api_key_file: b}\n"),
    ("global.victorops_both", "global: {victorops_api_key: a, victorops_api_key_file: b}\n"),
    ("global.slack_both", "global: {slack_api_url: 'http://a', slack_api_url_file: b}\n"),
    ("global.smtp_both", "global: {smtp_auth_password: a, smtp_auth_password_file: b}\n"),
    ("global.http_both", "global: {http_config: {bearer_token: a, bearer_token_file: b}}\n"),
    (
        "global.http_basic_and_bearer",
        "global: {http_config: {bearer_token: a, basic_auth: {username: b}}}\n",
    ),
    (
        "global.http_two_authorizations",
        "global: {http_config: {bearer_token: a, authorization: {credentials: b}}}\n",
    ),
    (
        "global.http_oauth2_and_basic",
        "global: {http_config: {oauth2: {client_id: a, client_secret: b, token_url: c}, basic_auth: {username: b}}}\n",
    ),
    (
        "global.http_basic_type",
        "global: {http_config: {authorization: {type: ' BaSic ', credentials: b}}}\n",
    ),
    (
        "global.http_password_both",
        "global: {http_config: {basic_auth: {password: a, password_file: b}}}\n",
    ),
    (
        "global.tls_both",
        "global: {http_config: {tls_config: {ca_file: a, cert_file: b, key_file: c}}}\n",
    ),
    (
        "intervals.same_name",
        "time_intervals: [{name: a, time_intervals: []}, {name: a, time_intervals: []}]\n",
    ),
    (
        "intervals.same_name_in_both_lists",
        "time_intervals: [{name: a, time_intervals: []}]\nmute_time_intervals: [{name: a, time_intervals: []}]\n",
    ),
    ("intervals.nameless", "time_intervals: [{time_intervals: []}]\n"),
    ("receivers.duplicate_top_key", "receivers: []\n"),
];

/// Values of one time interval.
const INTERVALS: &[&str] = &[
    "times: []",
    "times: [{start_time: 09:00, end_time: 17:00}]",
    "times: [{start_time: '9:00', end_time: '17:00'}]",
    "times: [{start_time: '09:00', end_time: '09:00'}]",
    "times: [{start_time: '17:00', end_time: '09:00'}]",
    "times: [{start_time: '00:00', end_time: '24:00'}]",
    "times: [{start_time: '24:00', end_time: '24:00'}]",
    "times: [{start_time: '00:00', end_time: '24:01'}]",
    "times: [{start_time: '09:60', end_time: '17:00'}]",
    "times: [{start_time: '09:00'}]",
    "times: [{end_time: '09:00'}]",
    "times: [{}]",
    "times: [{start: '09:00'}]",
    "times: [{start_time: 0900, end_time: 1700}]",
    "weekdays: [monday]",
    "weekdays: [Monday:FRIDAY]",
    "weekdays: ['monday:friday', sunday]",
    "weekdays: [friday:monday]",
    "weekdays: [saturday:sunday]",
    "weekdays: [mon]",
    "weekdays: ['1']",
    "weekdays: [1:5]",
    "weekdays: []",
    "weekdays: ['monday : friday']",
    "weekdays: ['monday:friday:sunday']",
    "weekdays: ['']",
    "days_of_month: [1, '2:5', '-3:-1']",
    "days_of_month: [1:31]",
    "days_of_month: [0]",
    "days_of_month: [32]",
    "days_of_month: [-32]",
    "days_of_month: ['-1:1']",
    "days_of_month: ['1:-28']",
    "days_of_month: ['1:-27']",
    "days_of_month: ['5:1']",
    "days_of_month: [a]",
    "days_of_month: [1.5]",
    "days_of_month: ['31:-1']",
    "days_of_month: ['10:-19']",
    "months: [january]",
    "months: ['1:3', may:august]",
    "months: ['13']",
    "months: ['0']",
    "months: ['-1']",
    "months: [jan]",
    "months: ['december:january']",
    "months: ['may:5']",
    "years: [2024]",
    "years: ['2024:2026']",
    "years: ['2026:2024']",
    "years: ['-1']",
    "years: [abc]",
    "years: ['2024:']",
    "location: Europe/Berlin",
    "location: europe/berlin",
    "location: UTC",
    "location: utc",
    "location: Local",
    "location: local",
    "location: ''",
    "location: Nowhere/City",
    "location: ../etc/passwd",
    "location: EST",
    "location: US/Pacific",
    "location: GMT+1",
    "location: Etc/GMT+1",
];

/// Routes below the root, one after another in a list.
const ROUTES: &[(&str, &str)] = &[
    ("two_levels", "- receiver: r\n    routes:\n    - receiver: r\n"),
    ("undefined_receiver", "- receiver: nobody\n"),
    ("undefined_receiver_below", "- receiver: r\n    routes:\n    - receiver: nobody\n"),
    ("undefined_interval", "- mute_time_intervals: [nobody]\n"),
    ("undefined_active_interval", "- active_time_intervals: [nobody]\n"),
    ("known_intervals", "- active_time_intervals: [h]\n    mute_time_intervals: [h]\n"),
    ("old_and_new", "- match: {a: b}\n    match_re: {c: d.*}\n    matchers: [e=f]\n"),
    ("several_in_one", "- matchers: ['a=b,c!=d,e=~\"f.*\",g!~\"h\"']\n"),
    ("braces", "- matchers: ['{a=b}']\n"),
    ("one_brace", "- matchers: ['{a=b']\n"),
    ("trailing_comma", "- matchers: ['a=b,']\n"),
    ("leading_comma", "- matchers: [',a=b']\n"),
    ("empty_value", "- matchers: ['a=']\n"),
    ("empty_quotes", "- matchers: ['a=\"\"']\n"),
    ("blanks", "- matchers: [' a = b ']\n"),
    ("colon_in_name", "- matchers: ['a:b=c']\n"),
    ("digit_first", "- matchers: ['1a=c']\n"),
    ("dash_in_name", "- matchers: ['a-b=c']\n"),
    ("quoted_name", "- matchers: ['\"a b\"=c']\n"),
    ("half_quote", "- matchers: ['a=\"b']\n"),
    ("quote_inside", "- matchers: ['a=b\"c']\n"),
    ("escape", "- matchers: ['a=\"\\d+\"']\n"),
    ("bad_regex", "- matchers: ['a=~\"[\"']\n"),
    ("look_ahead", "- matchers: ['a=~\"(?=b)\"']\n"),
    ("brace_literal", "- match_re: {a: 'b{,3}'}\n"),
    ("repeat_too_large", "- match_re: {a: 'b{1001}'}\n"),
    ("repeat_nested", "- match_re: {a: '(b{100}){11}'}\n"),
    ("quoting", "- match_re: {a: '\\Qa.b\\E'}\n"),
    ("octal", "- match_re: {a: '\\141'}\n"),
    ("possessive", "- match_re: {a: 'b++'}\n"),
    ("named_group", "- match_re: {a: '(?P<x>b)'}\n"),
    ("named_group_new", "- match_re: {a: '(?<x>b)'}\n"),
    ("unicode_class", "- match_re: {a: '\\p{Greek}'}\n"),
    ("unknown_class", "- match_re: {a: '\\p{Nope}'}\n"),
    ("back_reference", "- match_re: {a: '(b)\\1'}\n"),
    ("class_set", "- match_re: {a: '[a&&b]'}\n"),
    ("zero_wait", "- group_wait: 0s\n"),
    ("zero_interval", "- group_interval: 0s\n"),
    ("zero_repeat", "- repeat_interval: 0s\n"),
    ("group_by_all", "- group_by: ['...']\n"),
    ("group_by_all_and_more", "- group_by: ['...', a]\n"),
    ("group_by_twice", "- group_by: [a, a]\n"),
    ("group_by_nothing", "- group_by: []\n"),
];

/// Receivers, after one that is called `r`.
const RECEIVERS: &[(&str, &str)] = &[
    ("nameless", "{webhook_configs: [{url: 'http://a'}]}"),
    ("empty_name", "{name: ''}"),
    ("same_name", "{name: r}"),
    ("two_webhooks", "{name: s, webhook_configs: [{url: 'http://a'}, {url: 'http://b'}]}"),
    ("null_email", "{name: s, email_configs: [null]}"),
    ("null_webhook", "{name: s, webhook_configs: [null]}"),
    ("null_slack", "{name: s, slack_configs: [null]}"),
    ("null_opsgenie", "{name: s, opsgenie_configs: [null]}"),
    ("email_without_globals", "{name: s, email_configs: [{to: a}]}"),
    (
        "email_headers",
        "{name: s, email_configs: [{to: a, from: b, smarthost: 'c:25', headers: {x-FOO: a, X-Foo: b}}]}",
    ),
    ("slack_without_url", "{name: s, slack_configs: [{channel: a}]}"),
    ("slack_both", "{name: s, slack_configs: [{api_url: 'http://a', api_url_file: b}]}"),
    (
        "slack_action_url_and_confirm",
        "{name: s, slack_configs: [{api_url: 'http://a', actions: [{type: a, text: b, url: c, confirm: {}}]}]}",
    ),
    (
        "slack_action_nothing",
        "{name: s, slack_configs: [{api_url: 'http://a', actions: [{type: a, text: b}]}]}",
    ),
    ("opsgenie_both", "{name: s, opsgenie_configs: [{api_key: a, api_key_file: b}]}"),
    (
        "opsgenie_responder_type",
        "{name: s, opsgenie_configs: [{api_key: a, responders: [{name: a, type: Team}]}]}",
    ),
    (
        "opsgenie_responder_bad_type",
        "{name: s, opsgenie_configs: [{api_key: a, responders: [{name: a, type: group}]}]}",
    ),
    ("pagerduty_nothing", "{name: s, pagerduty_configs: [{}]}"),
    ("pagerduty_both_keys", "{name: s, pagerduty_configs: [{routing_key: a, service_key: b}]}"),
    (
        "pagerduty_key_and_file",
        "{name: s, pagerduty_configs: [{routing_key: a, routing_key_file: b}]}",
    ),
    ("pushover_nothing", "{name: s, pushover_configs: [{}]}"),
    (
        "victorops_reserved",
        "{name: s, victorops_configs: [{api_key: a, routing_key: b, custom_fields: {entity_id: c}}]}",
    ),
    (
        "victorops_custom",
        "{name: s, victorops_configs: [{api_key: a, routing_key: b, custom_fields: {mine: c}}]}",
    ),
    ("sns_nothing", "{name: s, sns_configs: [{sigv4: {}}]}"),
    ("sns_two", "{name: s, sns_configs: [{sigv4: {}, topic_arn: a, phone_number: b}]}"),
    (
        "sns_three",
        "{name: s, sns_configs: [{sigv4: {}, topic_arn: a, phone_number: b, target_arn: c}]}",
    ),
    ("telegram_nothing", "{name: s, telegram_configs: [{}]}"),
    ("telegram_text_chat", "{name: s, telegram_configs: [{bot_token: a, chat_id: '@b'}]}"),
    ("webex_without_authorization", "{name: s, webex_configs: [{room_id: a}]}"),
    ("webex_bearer", "{name: s, webex_configs: [{room_id: a, http_config: {bearer_token: b}}]}"),
    (
        "webex_basic",
        "{name: s, webex_configs: [{room_id: a, http_config: {basic_auth: {username: b}}}]}",
    ),
    ("discord_nothing", "{name: s, discord_configs: [{}]}"),
    ("wechat_type", "{name: s, wechat_configs: [{api_secret: a, corp_id: b, message_type: html}]}"),
];

/// Whole files.
const FILES: &[(&str, &str)] = &[
    ("file.empty", ""),
    ("file.comment", "# nothing\n"),
    ("file.null", "~\n"),
    ("file.list", "[]\n"),
    ("file.text", "hello\n"),
    ("file.empty_map", "{}\n"),
    ("file.no_route", "receivers: [{name: r}]\n"),
    ("file.null_route", "route:\nreceivers: [{name: r}]\n"),
    ("file.no_receivers", "route: {receiver: r}\n"),
    ("file.empty_route", "route: {}\nreceivers: [{name: r}]\n"),
    ("file.undefined_receiver", "route: {receiver: s}\nreceivers: [{name: r}]\n"),
    ("file.null_receiver", "route: {receiver: ''}\nreceivers: [null]\n"),
    ("file.root_match", "route: {receiver: r, match: {a: b}}\nreceivers: [{name: r}]\n"),
    ("file.root_match_re", "route: {receiver: r, match_re: {a: b}}\nreceivers: [{name: r}]\n"),
    ("file.root_continue", "route: {receiver: r, continue: true}\nreceivers: [{name: r}]\n"),
    (
        "file.root_mute",
        "route: {receiver: r, mute_time_intervals: [a]}\nreceivers: [{name: r}]\ntime_intervals: [{name: a, time_intervals: []}]\n",
    ),
    ("file.bom", "\u{feff}route: {receiver: r}\nreceivers: [{name: r}]\n"),
    ("file.document_start", "---\nroute: {receiver: r}\nreceivers: [{name: r}]\n"),
    ("file.yaml_directive", "%YAML 1.1\n---\nroute: {receiver: r}\nreceivers: [{name: r}]\n"),
    ("file.yaml_directive_1_2", "%YAML 1.2\n---\nroute: {receiver: r}\nreceivers: [{name: r}]\n"),
    ("file.two_starts", "---\n---\nroute: {receiver: r}\nreceivers: [{name: r}]\n"),
    ("file.tab", "route:\n\treceiver: r\n"),
    ("file.only_end", "...\n"),
    (
        "file.deep",
        "route: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{url: 'http://a', http_config: {oauth2: {client_id: a, client_secret: b, token_url: c, endpoint_params: {d: e}, scopes: [f]}}}]}]\n",
    ),
];

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |key: String, value: &str, text: String| {
        cases.push(Case { key, value: value.to_owned(), text });
    };
    for (key, after) in AFTER_ROUTE {
        add((*key).to_owned(), "", format!("{ROUTE}{after}"));
    }
    for interval in INTERVALS {
        let (key, value) = interval.split_once(": ").expect("a key and a value");
        let text =
            format!("{ROUTE}time_intervals: [{{name: n, time_intervals: [{{{interval}}}]}}]\n");
        add(format!("interval.{key}"), value, text);
    }
    for (name, route) in ROUTES {
        let text = format!(
            "route:\n  receiver: r\n  routes:\n  {route}receivers: [{{name: r}}]\ntime_intervals: [{{name: h, time_intervals: []}}]\n"
        );
        add(format!("routes.{name}"), "", text);
    }
    for (name, receiver) in RECEIVERS {
        let text = format!("route: {{receiver: r}}\nreceivers:\n- name: r\n- {receiver}\n");
        add(format!("receivers.{name}"), "", text);
    }
    for (key, text) in FILES {
        add((*key).to_owned(), "", (*text).to_owned());
    }
    cases
}
