//! Where the verdict differs from that of amtool 0.25, and why.

/// Who accepts the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Tocsin alone.
    OnlyOurs,
    /// amtool 0.25 alone.
    OnlyTheirs,
}

/// One difference.
#[derive(Debug)]
#[expect(dead_code, reason = "the reason is for the reader")]
pub(crate) struct Difference {
    /// The key of the cases; a star stands for any end.
    pub(crate) key: &'static str,
    /// The value, if not any.
    pub(crate) value: Option<&'static str>,
    /// Who accepts.
    pub(crate) side: Side,
    /// Why.
    pub(crate) reason: &'static str,
}

const fn ours(key: &'static str, value: Option<&'static str>, reason: &'static str) -> Difference {
    Difference { key, value, side: Side::OnlyOurs, reason }
}

const fn theirs(
    key: &'static str,
    value: Option<&'static str>,
    reason: &'static str,
) -> Difference {
    Difference { key, value, side: Side::OnlyTheirs, reason }
}

/// A key that 0.25 does not know and 0.34 does.
const fn newer(key: &'static str) -> Difference {
    ours(key, None, "a key of a version after 0.25")
}

const NAMES: &str = "label names may be any UTF-8 since 0.27";
const EMPTY: &str = "an empty entry is a mistake; upstream makes a zero value of it, or crashes";

/// All of them.
pub(crate) const DIFFERENCES: &[Difference] = &[
    newer("top.tracing"),
    newer("top.event_recorder"),
    newer("global.jira_api_url"),
    newer("global.smtp_auth_secret_file"),
    newer("global.smtp_tls_config"),
    newer("global.smtp_force_implicit_tls"),
    newer("global.slack_app_*"),
    newer("global.wechat_api_secret_file"),
    newer("global.telegram_bot_token*"),
    newer("global.rocketchat_*"),
    newer("global.mattermost_*"),
    newer("root.labels"),
    newer("route.labels"),
    newer("inhibit.name"),
    newer("receiver.labels"),
    newer("receiver.incidentio_configs"),
    newer("receiver.msteams_configs"),
    newer("receiver.msteamsv2_configs"),
    newer("receiver.jira_configs"),
    newer("receiver.rocketchat_configs"),
    newer("receiver.mattermost_configs"),
    newer("http.no_proxy"),
    newer("http.proxy_from_environment"),
    newer("http.http_headers"),
    newer("basic_auth.username_file"),
    newer("basic_auth.username_ref"),
    newer("basic_auth.password_ref"),
    newer("authorization.credentials_ref"),
    newer("oauth2.claims"),
    newer("oauth2.grant_type"),
    newer("tls.ca"),
    newer("tls.cert"),
    newer("tls.key"),
    newer("email.auth_secret_file"),
    newer("email.force_implicit_tls"),
    newer("email.threading"),
    newer("webhook.url_file"),
    newer("webhook.timeout"),
    newer("webhook.payload"),
    newer("pagerduty.timeout"),
    newer("slack.app_*"),
    newer("slack.message_text"),
    newer("slack.update_message"),
    newer("slack.timeout"),
    newer("wechat.api_secret_file"),
    newer("pushover.user_key_file"),
    newer("pushover.token_file"),
    newer("pushover.device"),
    newer("pushover.ttl"),
    newer("pushover.monospace"),
    newer("sns.use_aws_http_client"),
    newer("sigv4.external_id"),
    newer("sigv4.service_name"),
    newer("sigv4.use_fips_sts_endpoint"),
    newer("telegram.bot_token_file"),
    newer("telegram.chat_id_file"),
    newer("telegram.message_thread_id"),
    newer("discord.webhook_url_file"),
    newer("discord.content"),
    newer("discord.username"),
    newer("discord.avatar_url"),
    ours("email.subject", None, "Tocsin takes the short forms of many guides"),
    ours("email.body", None, "Tocsin takes the short forms of many guides"),
    ours("root.group_by", None, NAMES),
    ours("route.group_by", None, NAMES),
    ours("inhibit.equal", None, NAMES),
    ours("routes.dash_in_name", None, NAMES),
    ours("routes.digit_first", None, NAMES),
    ours("routes.quoted_name", None, NAMES),
    ours("routes.named_group_new", None, "Go takes this form since 1.22; amtool 0.25 is older"),
    ours("file.yaml_directive_1_2", None, "the version of YAML makes no difference to us"),
    ours("yaml.question_mark", None, "YAML 1.2 allows it in a flow"),
    theirs("yaml.directive", None, "a directive without `---`: neither version of YAML allows it"),
    theirs(
        "yaml.tab_in_folded_quotes",
        None,
        "a tab as the indentation of a quoted text's next line",
    ),
    theirs("receivers.sns_three", None, "upstream only tests that the number of targets is odd"),
    ours("oauth2.client_secret", None, "a token server may need no secret in versions after 0.25"),
    ours(
        "webhook.url",
        Some("<secret>"),
        "the address is a secret in versions after 0.25, and the placeholder passes",
    ),
    ours("webhook.url", Some("'{{ .X }}'"), "the address may be a template in versions after 0.25"),
    ours("pagerduty.details", None, "details may be of any shape in versions after 0.25"),
    theirs("tls.cert_file", None, "a certificate without key is refused by versions after 0.25"),
    theirs("tls.key_file", None, "a key without certificate is refused by versions after 0.25"),
    theirs("inhibit.equal", Some("[null]"), EMPTY),
    theirs("interval.*", Some("[null]"), EMPTY),
    theirs("pagerduty.images", Some("[null]"), EMPTY),
    theirs("pagerduty.links", Some("[null]"), EMPTY),
    theirs("slack.actions", Some("[null]"), EMPTY),
    theirs("slack.fields", Some("[null]"), EMPTY),
    theirs("top.mute_time_intervals", Some("[null]"), EMPTY),
    theirs("top.time_intervals", Some("[null]"), EMPTY),
];
