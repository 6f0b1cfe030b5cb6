//! WeChat: messages of a corporate agent.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use url::Url;
use ::http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, FailureReason, Parts, SendError, Sent, json, secret};

/// What a WeChat integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// A template when it is inline.
    pub api_secret: Source,
    pub corp_id: String,
    pub message: String,
    /// Ends with a slash.
    pub api_url: Url,
    pub to_user: String,
    pub to_party: String,
    pub to_tag: String,
    pub agent_id: String,
    /// `text` or `markdown`.
    pub message_type: String,
    pub http: HttpConfig,
}

/// Reads a block of `wechat_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let outer = &global.wechat_api_secret;
    let api_secret = block.source("api_secret", "api_secret_file", Form::Text, outer);
    if api_secret.is_none() {
        block.section().mistake("no api_secret, here or as global wechat_api_secret");
    }
    let corp_id = block.text_or_outer("corp_id", &global.wechat_api_corp_id);
    if corp_id.is_empty() {
        block.section().mistake("no corp_id, here or as global wechat_api_corp_id");
    }
    let message = block.text("message", r#"{{ template "wechat.default.message" . }}"#);
    let api_url = block.link_with_slash("api_url", global.wechat_api_url.as_ref());
    let api_url = block.needed(api_url, "api_url", "no api_url, here or as global wechat_api_url");
    Config {
        http,
        api_secret,
        corp_id,
        message,
        api_url,
        to_user: block.text("to_user", r#"{{ template "wechat.default.to_user" . }}"#),
        to_party: block.text("to_party", r#"{{ template "wechat.default.to_party" . }}"#),
        to_tag: block.text("to_tag", r#"{{ template "wechat.default.to_tag" . }}"#),
        agent_id: block.text("agent_id", r#"{{ template "wechat.default.agent_id" . }}"#),
        message_type: block.word_or_default("message_type", "text", &["text", "markdown"]),
    }
}

const TOKEN_LIFE: Duration = Duration::from_secs(7200);
/// The service's word for "this token has expired" and "this token is not valid".
const TOKEN_GONE: [i64; 2] = [42001, 40014];

/// Sends to one company. The token lives as long as the sender.
pub(crate) struct Sender {
    config: Config,
    client: Client,
    token: Mutex<Option<(String, Timestamp)>>,
}

#[derive(Serialize)]
struct Message {
    text: Content,
    #[serde(skip_serializing_if = "String::is_empty")]
    touser: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    toparty: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    totag: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    agentid: String,
    safe: &'static str,
    msgtype: String,
    markdown: Content,
}

#[derive(Default, Serialize)]
struct Content {
    content: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    errcode: i64,
    errmsg: String,
    access_token: String,
}

impl Sender {
    /// Prepares the client.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        let client = Client::build(&config.http, parts)?;
        Ok(Self { config: config.clone(), client, token: Mutex::default() })
    }

    /// None of its own.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        None
    }

    /// One message, with a token asked for when there is none.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let message = self.message(&call)?;
        let token = self.token(&call).await?;
        let mut url = self.url("message/send");
        url.query_pairs_mut().append_pair("access_token", &token);
        let request = Request::json(Method::POST, url, json::body(&message)?);
        let answer = self.client.send(request).await?;
        if answer.status != 200 {
            let what = format!("unexpected status code {}: {}", answer.status, answer.text());
            return Err(SendError::unavailable(what, FailureReason::of_status(answer.status)));
        }
        let reply: Reply = serde_json::from_slice(&answer.body)
            .map_err(|error| SendError::network("wechat: answer is not JSON", error))?;
        match reply.errcode {
            0 => Ok(Sent::default()),
            code if TOKEN_GONE.contains(&code) => {
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(SendError::unavailable(reply.errmsg, FailureReason::Other))
            }
            _ => Err(SendError::refused(reply.errmsg, FailureReason::Other)),
        }
    }

    fn message(&self, call: &Call<'_>) -> Result<Message, SendError> {
        let config = &self.config;
        let content = Content { content: call.text(&config.message)? };
        let (text, markdown) = if config.message_type == "markdown" {
            (Content::default(), content)
        } else {
            (content, Content::default())
        };
        Ok(Message {
            text,
            markdown,
            touser: call.text(&config.to_user)?,
            toparty: call.text(&config.to_party)?,
            totag: call.text(&config.to_tag)?,
            agentid: call.text(&config.agent_id)?,
            safe: "0",
            msgtype: config.message_type.clone(),
        })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.config.api_url.clone();
        url.set_path(&format!("{}{path}", url.path()));
        url
    }

    async fn token(&self, call: &Call<'_>) -> Result<String, SendError> {
        if let Some((token, since)) = &*self.token.lock().unwrap_or_else(PoisonError::into_inner)
            && call.now < *since + TOKEN_LIFE
        {
            return Ok(token.clone());
        }
        let mut url = self.url("gettoken");
        url.query_pairs_mut()
            .append_pair("corpid", &call.text(&self.config.corp_id)?)
            .append_pair("corpsecret", &call.text(&secret(&self.config.api_secret)?)?);
        let answer = self.client.send(Request::new(Method::GET, url)).await?;
        let reply: Reply = serde_json::from_slice(&answer.body)
            .map_err(|error| SendError::unmade("wechat: token answer is not JSON", error))?;
        if reply.access_token.is_empty() {
            return Err(SendError::refused("invalid APISecret for CorpID", FailureReason::Other));
        }
        let fresh = (reply.access_token, call.now);
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Ok(fresh.0)
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = "wechat_configs:\n- api_secret: s\n  corp_id: c\n  api_url: URL\n  to_user: '@all'";
    const TOKEN: &str = r#"{"errcode":0,"access_token":"tok"}"#;

    #[tokio::test]
    async fn a_token_is_asked_for_once() {
        let server = Server::start([Reply::json(200, TOKEN), Reply::json(200, r#"{"errcode":0}"#)]).await;
        let notifier = server.notifier(CONFIG);
        send(&notifier, &firing()).await.unwrap();
        send(&notifier, &firing()).await.unwrap();
        let all: Vec<String> = server.seen().iter().map(Seen::dump).collect();
        expect_file!["golden/wechat.txt"].assert_eq(&all[..2].join("\n"));
        assert_eq!((all.len(), &all[1]), (3, &all[2]));
    }

    #[tokio::test]
    async fn an_expired_token_is_asked_for_again() {
        let gone = Reply::json(200, r#"{"errcode":42001,"errmsg":"access_token expired"}"#);
        let fine = Reply::json(200, r#"{"errcode":0}"#);
        let server =
            Server::start([Reply::json(200, TOKEN), gone, Reply::json(200, TOKEN), fine]).await;
        let notifier = server.notifier(CONFIG);
        let error = send(&notifier, &firing()).await.unwrap_err();
        assert!(error.retry(), "{error:?}");
        send(&notifier, &firing()).await.unwrap();
        assert_eq!(server.seen().len(), 4);
    }

    #[tokio::test]
    async fn other_codes_are_final_and_other_statuses_are_not() {
        let answer = async |reply: Reply| {
            let server = Server::start([Reply::json(200, TOKEN), reply]).await;
            send(&server.notifier(CONFIG), &firing()).await.unwrap_err()
        };
        let error = answer(Reply::json(200, r#"{"errcode":40001,"errmsg":"no"}"#)).await;
        assert_eq!((error.retry(), error.to_string().as_str()), (false, "no"));
        let error = answer(Reply::text(404, "gone")).await;
        assert_eq!((error.retry(), error.reason().as_str()), (true, "clientError"));
        assert!(answer(Reply::text(200, "not json")).await.retry());
    }

    #[tokio::test]
    async fn no_token_is_final() {
        let text = failure(CONFIG, Reply::json(200, r#"{"errcode":40013}"#)).await;
        assert_eq!(text, "final other: invalid APISecret for CorpID");
    }

    #[tokio::test]
    async fn a_refused_connection_hides_the_url() {
        assert_eq!(refused_connection(CONFIG).await, "retry");
    }
}
