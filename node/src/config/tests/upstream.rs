//! The files that upstream's own tests load, in short form and under their names (section 15).

use super::{good, read};

/// A good or bad file: what stands in `global`, and the blocks of the receiver.
#[track_caller]
fn check(name: &str, global: &str, receiver: &str, is_good: bool) {
    let text = format!(
        "global: {{{global}}}\nroute: {{receiver: r}}\nreceivers: [{{name: r, {receiver}}}]\n"
    );
    match read(&text) {
        Ok(_) => assert!(is_good, "{name} loads"),
        Err(mistakes) => assert!(!is_good, "{name}: {mistakes}"),
    }
}

#[test]
fn files_of_upstreams_tests() {
    let mail = "smtp_from: a, smtp_smarthost: 'h:25'";
    check(
        "empty-fields",
        &format!("{mail}, smtp_auth_username: '', smtp_auth_password: '', smtp_hello: ''"),
        "email_configs: [{to: t}]",
        true,
    );
    check("smtp-no-username-or-password", mail, "email_configs: [{to: t}]", true);
    check(
        "smtp-both-password-and-file",
        &format!("{mail}, smtp_auth_password: a, smtp_auth_password_file: b"),
        "email_configs: [{to: t}]",
        false,
    );
    check(
        "slack-default-api-url-file",
        "slack_api_url_file: f",
        "slack_configs: [{}, {api_url_file: g}, {api_url: 'http://h'}]",
        true,
    );
    check("slack-no-api-url-or-token", "", "slack_configs: [{}]", false);
    check(
        "slack-both-file-and-url",
        "slack_api_url_file: f, slack_api_url: 'http://h'",
        "slack_configs: [{}]",
        false,
    );
    check(
        "slack-both-file-and-token",
        "slack_api_url_file: f, slack_app_token: t",
        "slack_configs: [{}]",
        false,
    );
    check(
        "slack-both-url-and-token",
        "slack_api_url: 'http://h', slack_app_token: t",
        "slack_configs: [{}]",
        false,
    );
    check(
        "slack-update-message-and-webhook",
        "slack_api_url: 'http://h'",
        "slack_configs: [{update_message: true}]",
        false,
    );
    check(
        "opsgenie-default-apikey",
        "opsgenie_api_key: k",
        "opsgenie_configs: [{}, {api_key: l}]",
        true,
    );
    check(
        "opsgenie-default-apikey-file",
        "opsgenie_api_key_file: k",
        "opsgenie_configs: [{}, {api_key_file: l}]",
        true,
    );
    check("opsgenie-no-apikey", "", "opsgenie_configs: [{}]", false);
    check(
        "opsgenie-both-file-and-apikey",
        "opsgenie_api_key: k, opsgenie_api_key_file: l",
        "opsgenie_configs: [{}]",
        false,
    );
    check(
        "opsgenie-default-apikey-old-team",
        "opsgenie_api_key: k",
        "opsgenie_configs: [{teams: t}]",
        false,
    );
    check(
        "victorops-default-apikey",
        "victorops_api_key: k",
        "victorops_configs: [{routing_key: r}, {routing_key: r, api_key: l}]",
        true,
    );
    check(
        "victorops-default-apikey-file",
        "victorops_api_key_file: k",
        "victorops_configs: [{routing_key: r}, {routing_key: r, api_key_file: l}]",
        true,
    );
    check("victorops-no-apikey", "", "victorops_configs: [{routing_key: r}]", false);
    check(
        "victorops-both-file-and-apikey",
        "victorops_api_key: k, victorops_api_key_file: l",
        "victorops_configs: [{routing_key: r}]",
        false,
    );
    check(
        "telegram-default-bot-token",
        "telegram_bot_token: t",
        "telegram_configs: [{chat_id: 1}, {chat_id: 1, bot_token: u}]",
        true,
    );
    check(
        "telegram-default-bot-token-file",
        "telegram_bot_token_file: t",
        "telegram_configs: [{chat_id: 1}, {chat_id: 1, bot_token_file: u}]",
        true,
    );
    check("telegram-no-bot-token", "", "telegram_configs: [{chat_id: 1}]", false);
    check(
        "telegram-both-bot-token-and-file",
        "telegram_bot_token: t, telegram_bot_token_file: u",
        "telegram_configs: [{chat_id: 1}]",
        false,
    );
    check(
        "telegram-valid-receiver-both-bot-token-and-file",
        "telegram_bot_token: t, telegram_bot_token_file: u",
        "telegram_configs: [{chat_id: 1, bot_token: v}]",
        false,
    );
    check(
        "wechat-default-api-secret-file",
        "wechat_api_secret_file: f, wechat_api_corp_id: c",
        "wechat_configs: [{}, {api_secret_file: g}, {api_secret: s}]",
        true,
    );
    check("wechat-no-api-secret", "wechat_api_corp_id: c", "wechat_configs: [{}]", false);
    check(
        "wechat-both-file-and-secret",
        "wechat_api_secret: s, wechat_api_secret_file: f, wechat_api_corp_id: c",
        "wechat_configs: [{}]",
        false,
    );
    check(
        "rocketchat-default-token",
        "rocketchat_token: t, rocketchat_token_id: i",
        "rocketchat_configs: [{}, {token: u, token_id: j}]",
        true,
    );
    check(
        "rocketchat-default-token-file",
        "rocketchat_token_file: t, rocketchat_token_id_file: i",
        "rocketchat_configs: [{}, {token_file: u, token_id_file: j}]",
        true,
    );
    check("rocketchat-no-token", "rocketchat_token_id: i", "rocketchat_configs: [{}]", false);
    check(
        "rocketchat-both-token-and-tokenfile",
        "rocketchat_token: t, rocketchat_token_file: u, rocketchat_token_id: i",
        "rocketchat_configs: [{}]",
        false,
    );
    check(
        "rocketchat-both-tokenid-and-tokenidfile",
        "rocketchat_token: t, rocketchat_token_id: i, rocketchat_token_id_file: j",
        "rocketchat_configs: [{}]",
        false,
    );
    check(
        "mattermost-default-webhook-url",
        "mattermost_webhook_url: 'http://a'",
        "mattermost_configs: [{}, {webhook_url: 'http://b'}]",
        true,
    );
    check(
        "mattermost-default-webhook-url-file",
        "mattermost_webhook_url_file: f",
        "mattermost_configs: [{}, {webhook_url_file: g}]",
        true,
    );
    check("mattermost-no-webhook-url", "", "mattermost_configs: [{}]", false);
    check(
        "mattermost-both-webhook-url-and-file",
        "mattermost_webhook_url: 'http://a', mattermost_webhook_url_file: f",
        "mattermost_configs: [{}]",
        false,
    );
    check(
        "mattermost-valid-receiver-both-webhook-url-and-file",
        "mattermost_webhook_url: 'http://a', mattermost_webhook_url_file: f",
        "mattermost_configs: [{webhook_url: 'http://b'}]",
        false,
    );
    check(
        "sns-topic-arn",
        "",
        "sns_configs: [{topic_arn: t, sigv4: {region: r, access_key: a, secret_key: s}}]",
        true,
    );
    check(
        "sns-invalid",
        "",
        "sns_configs: [{sigv4: {region: r, access_key: a, secret_key: s}}]",
        false,
    );
}

#[test]
fn the_client_of_a_receiver_forgets_the_global_one() {
    let config = good(
        "global: {http_config: {follow_redirects: false}}\nroute: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{url: 'http://a', http_config: {proxy_url: 'http://p'}}, {url: 'http://a'}]}]\n",
    );
    let follows: Vec<_> = config.receivers[0]
        .integrations
        .iter()
        .map(|integration| match &integration.config {
            crate::notify::Settings::Webhook(webhook) => webhook.http.follow_redirects,
            other => panic!("{}", other.kind()),
        })
        .collect();
    assert_eq!(follows, [true, false]);
}
