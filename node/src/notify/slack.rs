//! Slack: incoming webhooks, or an app's token.

use std::time::Duration;

use ::http::Method;
use serde::{Deserialize, Serialize};
use tocsin_core::nflog::DataValue;
use url::Url;

use crate::config::block::{Block, Form};
use crate::config::global::{Global, rebased};
use crate::config::http::{Auth, HttpConfig, Link, Source, own_authorization, of_receiver};
use super::call::Call;
use super::http::{Answer, Client, Request};
use super::{BuildError, FailureReason, Parts, ReceiverData, SendError, Sent, json, parse_url, secret, some_time, within};

/// What a Slack integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// Where to; with an app's token this is the app's address, and `http` holds the token.
    pub api_url: Source,
    pub channel: String,
    pub username: String,
    pub color: String,
    pub title: String,
    pub title_link: String,
    pub pretext: String,
    pub text: String,
    pub message_text: String,
    pub fields: Vec<Field>,
    pub short_fields: bool,
    pub footer: String,
    pub fallback: String,
    pub callback_id: String,
    pub icon_emoji: String,
    pub icon_url: String,
    pub image_url: String,
    pub thumb_url: String,
    pub link_names: bool,
    pub mrkdwn_in: Vec<String>,
    pub actions: Vec<Action>,
    pub update_message: bool,
    /// Zero: none of its own.
    pub timeout: Duration,
    pub http: HttpConfig,
}

/// A small table entry.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Field {
    pub title: String,
    pub value: String,
    /// `None`: as `short_fields` says.
    pub short: Option<bool>,
}

/// A button.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Action {
    /// `type` in the file.
    pub kind: String,
    pub text: String,
    pub url: String,
    pub style: String,
    pub name: String,
    pub value: String,
    pub confirm: Option<Confirm>,
}

/// The question before a button's deed.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Confirm {
    pub text: String,
    pub title: String,
    pub ok_text: String,
    pub dismiss_text: String,
}

/// The only address that can change a message later.
const UPDATABLE: &str = "https://slack.com/api/chat.postMessage";

/// Reads a block of `slack_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let (api_url, http) = address(block, global, http);
    let config = Config {
        api_url,
        http,
        channel: block.text("channel", ""),
        username: default(block, "username", "username"),
        color: default(block, "color", "color"),
        title: default(block, "title", "title"),
        title_link: default(block, "title_link", "titlelink"),
        pretext: default(block, "pretext", "pretext"),
        text: default(block, "text", "text"),
        message_text: block.text("message_text", ""),
        fields: block.items("fields", field),
        short_fields: block.flag("short_fields", false),
        footer: default(block, "footer", "footer"),
        fallback: default(block, "fallback", "fallback"),
        callback_id: default(block, "callback_id", "callbackid"),
        icon_emoji: default(block, "icon_emoji", "iconemoji"),
        icon_url: default(block, "icon_url", "iconurl"),
        image_url: block.text("image_url", ""),
        thumb_url: block.text("thumb_url", ""),
        link_names: block.flag("link_names", false),
        mrkdwn_in: block.texts("mrkdwn_in"),
        actions: block.items("actions", action),
        update_message: block.flag("update_message", false),
        timeout: block.timeout(),
    };
    let updatable = match &config.api_url {
        Source::Inline(url) => url.reveal() == UPDATABLE || url.is_hidden(),
        Source::File(_) | Source::None => false,
    };
    if config.update_message && !updatable {
        let message = format!("update_message needs the address {UPDATABLE}");
        block.mistake_at("update_message", message);
    }
    config
}

fn default(block: &mut Block<'_>, key: &'static str, name: &str) -> String {
    block.text(key, &format!("{{{{ template \"slack.default.{name}\" . }}}}"))
}

/// A token goes into the client and sends to the app's address; else it is a webhook's address.
fn address(block: &mut Block<'_>, global: &Global, mut http: HttpConfig) -> (Source, HttpConfig) {
    let own_url = block.own_source("api_url", "api_url_file", Form::Link);
    let own_token = block.own_source("app_token", "app_token_file", Form::Text);
    let own_token = rebased(own_token, block.rules);
    let app_url = block.own_link("app_url", global.slack_app_url.as_ref());
    let shown = block.rules.shown;
    if !own_url.is_none() && !own_token.is_none() && !shown {
        let message = "at most one of api_url/api_url_file & app_token/app_token_file must be configured";
        block.mistake_at("api_url", message);
    }
    let authorized = own_authorization(block.section());
    let token = if own_token.is_none() && !authorized && own_url.is_none() {
        global.slack_app_token.clone()
    } else {
        own_token
    };
    let url = if own_url.is_none() { global.slack_api_url.clone() } else { own_url };
    let derived = !token.is_none();
    if !derived {
        block.show_source("api_url", "api_url_file", &url);
    }
    block.show_source("app_token", "app_token_file", &token);
    if let Some(link) = &app_url {
        block.show("app_url", link.text.as_str());
    }
    if derived {
        if !matches!(http.auth, Auth::None) && !shown {
            let message = "http_config must not say who it is (authorization) when an app token is used";
            block.mistake_at("http_config", message);
        }
        http.auth = Auth::Header { scheme: "Bearer".to_owned(), credentials: token };
        let app_url = needed(block, app_url);
        return (Source::Inline(app_url.text.as_str().into()), http);
    }
    if app_url.is_none() {
        block.section().mistake("no app_url, here or as global slack_app_url");
    }
    if url.is_none() {
        block.section().mistake("no api_url and no app_token, here or as global slack_api_url or slack_app_token");
    }
    (url, http)
}

fn needed(block: &Block<'_>, link: Option<Link>) -> Link {
    link.unwrap_or_else(|| {
        block.section().mistake("no app_url, here or as global slack_app_url");
        Link::nowhere()
    })
}

pub(super) fn field(block: &mut Block<'_>) -> Field {
    Field {
        title: block.required("title"),
        value: block.required("value"),
        short: block.choice("short", None),
    }
}

fn action(block: &mut Block<'_>) -> Action {
    let kind = block.required("type");
    let text = block.required("text");
    let url = block.text("url", "");
    let style = block.text("style", "");
    let name = block.section().text_or("name", "");
    let value = block.section().text_or("value", "");
    if url.is_empty() && name.is_empty() {
        block.section().mistake("one of url & name is missing");
    }
    let linked = !url.is_empty();
    if !linked {
        block.show("name", name.as_str());
        if !value.is_empty() {
            block.show("value", value.as_str());
        }
    }
    let confirm = if linked { discard_confirm(block) } else { block.sub("confirm", confirm) };
    let (name, value) = if linked { Default::default() } else { (name, value) };
    Action { kind, text, url, style, name, value, confirm }
}

/// A link asks no question; the block is checked all the same.
fn discard_confirm(block: &Block<'_>) -> Option<Confirm> {
    let section = block.section().section("confirm")?;
    confirm(&mut Block::new(section, block.rules));
    None
}

fn confirm(block: &mut Block<'_>) -> Confirm {
    Confirm {
        text: block.required("text"),
        title: block.text("title", ""),
        ok_text: block.text("ok_text", ""),
        dismiss_text: block.text("dismiss_text", ""),
    }
}

const TITLE_MAX: usize = 1024;
const UPDATE_URL: &str = "https://slack.com/api/chat.update";
/// Names under which the notification log keeps where the message is.
const THREAD: &str = "threadTs";
const CHANNEL: &str = "channelId";

/// Sends to one channel.
pub(crate) struct Sender {
    config: Config,
    client: Client,
    update_url: Url,
}

#[derive(Serialize)]
struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ts: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_emoji: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "json::is_false")]
    link_names: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pretext: String,
    text: String,
    fallback: String,
    callback_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<ActionOut>,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    footer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mrkdwn_in: Vec<String>,
}

#[derive(Serialize)]
struct FieldOut {
    title: String,
    value: String,
    short: bool,
}

#[derive(Serialize)]
struct ActionOut {
    #[serde(rename = "type")]
    kind: String,
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    style: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<ConfirmOut>,
}

#[derive(Serialize)]
struct ConfirmOut {
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ok_text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dismiss_text: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    ok: bool,
    error: String,
    ts: String,
    channel: String,
}

impl Sender {
    /// Prepares the client.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        let update_url =
            Url::parse(UPDATE_URL).map_err(|error| BuildError::new("slack URL", error))?;
        Ok(Self { config: config.clone(), client: Client::build(&config.http, parts)?, update_url })
    }

    /// The configured bound of one attempt.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        some_time(self.config.timeout)
    }

    /// A new message, or with `update_message` a change of the one sent before.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let mut message = self.message(&call)?;
        let channel = format!("channel {:?}", message.channel);
        let mut url = parse_url(&secret(&self.config.api_url)?)?;
        let kept = |name: &str| match call.batch.receiver_data.get(name) {
            Some(DataValue::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let (thread, place) = (kept(THREAD), kept(CHANNEL));
        if self.config.update_message && !thread.is_empty() && !place.is_empty() {
            url = self.update_url.clone();
            (message.ts, message.channel) = (thread, place);
        }
        let request = Request::json(Method::POST, url, json::body(&message)?);
        let answer = within(self.timeout(), "slack", self.client.send(request))
            .await
            .map_err(|error| error.prefixed(&channel))?;
        let reply = read_reply(&answer).map_err(|error| error.prefixed(&channel))?;
        Ok(Sent { receiver_data: self.keep(&call, reply), skipped: false })
    }

    /// Where the message is, for the next notification of the group.
    fn keep(&self, call: &Call<'_>, reply: Reply) -> Option<ReceiverData> {
        if !self.config.update_message || reply.ts.is_empty() || reply.channel.is_empty() {
            return None;
        }
        let mut data = call.batch.receiver_data.clone();
        data.insert(THREAD.to_owned(), DataValue::Text(reply.ts));
        data.insert(CHANNEL.to_owned(), DataValue::Text(reply.channel));
        Some(data)
    }

    fn message(&self, call: &Call<'_>) -> Result<Message, SendError> {
        let config = &self.config;
        Ok(Message {
            channel: call.text(&config.channel)?,
            ts: String::new(),
            username: call.text(&config.username)?,
            icon_emoji: call.text(&config.icon_emoji)?,
            icon_url: call.text(&config.icon_url)?,
            link_names: config.link_names,
            text: call.text(&config.message_text)?,
            attachments: [self.attachment(call)?],
        })
    }

    fn attachment(&self, call: &Call<'_>) -> Result<Attachment, SendError> {
        let config = &self.config;
        let mrkdwn_in = if config.mrkdwn_in.is_empty() {
            ["fallback", "pretext", "text"].map(str::to_owned).to_vec()
        } else {
            config.mrkdwn_in.clone()
        };
        Ok(Attachment {
            title: call.runes("title", &config.title, TITLE_MAX)?,
            title_link: call.text(&config.title_link)?,
            pretext: call.text(&config.pretext)?,
            text: call.text(&config.text)?,
            fallback: call.text(&config.fallback)?,
            callback_id: call.text(&config.callback_id)?,
            fields: self.fields(call)?,
            actions: self.actions(call)?,
            image_url: call.text(&config.image_url)?,
            thumb_url: call.text(&config.thumb_url)?,
            footer: call.text(&config.footer)?,
            color: call.text(&config.color)?,
            mrkdwn_in,
        })
    }

    fn fields(&self, call: &Call<'_>) -> Result<Vec<FieldOut>, SendError> {
        let field = |field: &Field| {
            Ok(FieldOut {
                title: call.text(&field.title)?,
                value: call.text(&field.value)?,
                short: field.short.unwrap_or(self.config.short_fields),
            })
        };
        self.config.fields.iter().map(field).collect()
    }

    fn actions(&self, call: &Call<'_>) -> Result<Vec<ActionOut>, SendError> {
        let action = |action: &Action| {
            Ok(ActionOut {
                kind: call.text(&action.kind)?,
                text: call.text(&action.text)?,
                url: call.text(&action.url)?,
                style: call.text(&action.style)?,
                name: call.text(&action.name)?,
                value: call.text(&action.value)?,
                confirm: action.confirm.as_ref().map(|confirm| confirm_out(call, confirm)).transpose()?,
            })
        };
        self.config.actions.iter().map(action).collect()
    }
}

fn confirm_out(call: &Call<'_>, confirm: &Confirm) -> Result<ConfirmOut, SendError> {
    Ok(ConfirmOut {
        text: call.text(&confirm.text)?,
        title: call.text(&confirm.title)?,
        ok_text: call.text(&confirm.ok_text)?,
        dismiss_text: call.text(&confirm.dismiss_text)?,
    })
}

/// A success is `ok` as text from an incoming webhook, `"ok": true` from the API.
fn read_reply(answer: &Answer) -> Result<Reply, SendError> {
    answer.check(&[])?;
    let refused = |what: String| Err(SendError::refused(what, FailureReason::ClientError));
    if !answer.content_type.starts_with("application/json") {
        return match answer.text().as_str() {
            "ok" => Ok(Reply::default()),
            text => refused(format!("received an error response from Slack: {text}")),
        };
    }
    let Ok(reply) = serde_json::from_slice::<Reply>(&answer.body) else {
        let what = format!("could not decode Slack's answer {:?}", answer.text());
        return Err(SendError::unavailable(what, FailureReason::ClientError));
    };
    if reply.ok {
        return Ok(reply);
    }
    refused(format!("error response from Slack: {}", reply.error))
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use super::{Call, Sender, Source};
    use crate::notify::Settings;
    use crate::notify::testing::*;

    const CONFIG: &str = r##"slack_configs:
- api_url: URL
  channel: "#ops"
  send_resolved: true
  fields:
  - title: t
    value: "{{ .Status }}"
  actions:
  - type: button
    text: x
    url: http://y/
"##;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "ok")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/slack-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "ok")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/slack-resolved.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn these_answers_are_tried_again() {
        assert_eq!(retried(CONFIG).await, [500, 502, 503, 504]);
    }

    #[tokio::test]
    async fn a_refused_connection_hides_the_url() {
        assert_eq!(refused_connection(CONFIG).await, "retry");
    }

    const UPDATE: &str = "slack_configs:\n- api_url: https://slack.com/api/chat.postMessage\n  channel: '#ops'\n  update_message: true";

    #[tokio::test]
    async fn a_success_is_ok_in_words_or_in_json() {
        assert_eq!(
            failure(CONFIG, Reply::text(200, "no_text")).await,
            r##"final clientError: channel "#ops": received an error response from Slack: no_text"##
        );
        assert_eq!(
            failure(CONFIG, Reply::json(200, r#"{"ok":false,"error":"ratelimited"}"#)).await,
            r##"final clientError: channel "#ops": error response from Slack: ratelimited"##
        );
        assert!(failure(CONFIG, Reply::json(200, "{")).await.starts_with("retry clientError: "));
        let server = Server::start([Reply::json(200, r#"{"ok":true}"#)]).await;
        send(&server.notifier(CONFIG), &firing()).await.unwrap();
    }

    #[tokio::test]
    async fn the_second_message_updates_the_first() {
        let Settings::Slack(mut config) = settings(UPDATE) else { panic!("not slack") };
        let answer = r#"{"ok":true,"ts":"1.5","channel":"C1"}"#;
        let server = Server::start([Reply::json(200, answer)]).await;
        config.api_url = Source::Inline(server.url("/post").into());
        let parts = parts();
        let mut sender = Sender::build(&config, &parts).unwrap();
        sender.update_url = server.url("/update").parse().unwrap();
        let (context, mut batch) = (context(), firing());
        for _ in 0..2 {
            let alerts = batch.alerts.clone();
            let call = Call::new(("all", "slack"), &context, &batch, alerts, &parts);
            let sent = sender.send(call).await.unwrap();
            batch.receiver_data = sent.receiver_data.unwrap();
        }
        let seen = server.seen();
        assert_eq!((seen[0].line.as_str(), seen[1].line.as_str()), ("POST /post HTTP/1.1", "POST /update HTTP/1.1"));
        assert!(seen[0].json()["ts"].is_null(), "{seen:?}");
        assert_eq!((&seen[1].json()["ts"], &seen[1].json()["channel"]), (&"1.5".into(), &"C1".into()));
    }

    #[tokio::test]
    async fn a_broken_template_is_final() {
        let config = "slack_configs:\n- api_url: URL\n  channel: '#ops'\n  title: '{{ .Nope }}'";
        let text = failure(config, Reply::text(200, "ok")).await;
        assert!(text.starts_with("final other: template"), "{text}");
    }
}
