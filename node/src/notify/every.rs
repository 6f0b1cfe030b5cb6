//! Every receiver against every kind of answer: one table, compared with `golden/every.txt`. What a request holds is in each
//! receiver's own file.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::testing::*;
use super::{Attempt, Attempts, Batch, Notifier, Outcome, SendError, Sent, deliver};

/// A receiver, how it is configured and what its service says when all is well.
struct Row {
    name: &'static str,
    /// `URL` is the server's; ends where `http_config` may follow.
    config: &'static str,
    /// Its address when that cannot be configured: it is reached through a tunnel.
    host: Option<&'static str>,
    good: &'static [fn() -> Reply],
}

fn fine() -> Reply {
    Reply::text(200, "")
}

const ONE: &[fn() -> Reply] = &[fine];

const ROWS: [Row; 19] = [
    Row { name: "webhook", config: "webhook_configs:\n- url: URL", host: None, good: ONE },
    Row {
        name: "pagerduty v2",
        config: "pagerduty_configs:\n- routing_key: k\n  url: URL",
        host: None,
        good: &[|| Reply::json(202, "{}")],
    },
    Row {
        name: "pagerduty v1",
        config: "pagerduty_configs:\n- service_key: k",
        host: Some("events.pagerduty.com"),
        good: ONE,
    },
    Row {
        name: "opsgenie",
        config: "opsgenie_configs:\n- api_key: k\n  api_url: URL/",
        host: None,
        good: &[|| Reply::json(202, "{}")],
    },
    Row {
        name: "wechat",
        config: "wechat_configs:\n- api_secret: s\n  corp_id: c\n  api_url: URL/\n  to_user: u",
        host: None,
        good: &[
            || Reply::json(200, r#"{"errcode":0,"access_token":"t"}"#),
            || Reply::json(200, r#"{"errcode":0}"#),
        ],
    },
    Row {
        name: "slack",
        config: "slack_configs:\n- api_url: URL\n  channel: c",
        host: None,
        good: &[|| Reply::text(200, "ok")],
    },
    Row {
        name: "slack update",
        config: "slack_configs:\n- api_url: https://slack.com/api/chat.postMessage\n  channel: c\n  update_message: true",
        host: Some("slack.com"),
        good: &[|| Reply::json(200, r#"{"ok":true,"ts":"1.2","channel":"C"}"#)],
    },
    Row {
        name: "victorops",
        config: "victorops_configs:\n- api_key: k\n  api_url: URL/\n  routing_key: r",
        host: None,
        good: ONE,
    },
    Row {
        name: "pushover",
        config: "pushover_configs:\n- user_key: u\n  token: t",
        host: Some("api.pushover.net"),
        good: &[|| Reply::json(200, r#"{"status":1}"#)],
    },
    Row {
        name: "sns",
        config: "sns_configs:\n- api_url: URL\n  topic_arn: arn:aws:sns:eu-west-1:1:t\n  sigv4: {region: eu-west-1, access_key: a, secret_key: s}",
        host: None,
        good: &[|| Reply::text(200, "<PublishResponse/>")],
    },
    Row {
        name: "telegram",
        config: "telegram_configs:\n- api_url: URL\n  bot_token: t\n  chat_id: 1",
        host: None,
        good: &[|| Reply::json(200, r#"{"ok":true,"result":{"message_id":1}}"#)],
    },
    Row { name: "discord", config: "discord_configs:\n- webhook_url: URL", host: None, good: ONE },
    Row {
        name: "webex",
        config: "webex_configs:\n- api_url: URL\n  room_id: r",
        host: None,
        good: ONE,
    },
    Row { name: "msteams", config: "msteams_configs:\n- webhook_url: URL", host: None, good: ONE },
    Row {
        name: "msteamsv2",
        config: "msteamsv2_configs:\n- webhook_url: URL",
        host: None,
        good: &[|| Reply::text(202, "")],
    },
    Row {
        name: "jira",
        config: "jira_configs:\n- api_url: URL/rest/api/2\n  project: P\n  issue_type: Bug",
        host: None,
        good: &[|| Reply::json(200, r#"{"issues":[]}"#), || Reply::json(201, r#"{"key":"P-1"}"#)],
    },
    Row {
        name: "incidentio",
        config: "incidentio_configs:\n- url: URL\n  alert_source_token: t",
        host: None,
        good: &[|| Reply::json(202, "{}")],
    },
    Row {
        name: "rocketchat",
        config: "rocketchat_configs:\n- api_url: URL\n  channel: c\n  token: t\n  token_id: i",
        host: None,
        good: &[|| Reply::json(200, r#"{"success":true}"#)],
    },
    Row {
        name: "mattermost",
        config: "mattermost_configs:\n- webhook_url: URL\n  channel: c",
        host: None,
        good: ONE,
    },
];

/// Where a receiver's service runs while it is tried.
struct Place {
    server: Server,
    /// Keeps the way open, and its last part of the configuration.
    tunnel: Option<Tunnel>,
    http: String,
}

impl Row {
    /// A service that gives these answers. With `strange` nobody knows its certificate.
    async fn place(&self, answers: Vec<Reply>, strange: bool) -> Place {
        let mut http = String::new();
        // A webex integration must be authorized.
        if self.name == "webex" {
            http += "    authorization: {credentials: t}\n";
        }
        let Some(name) = self.host.or(strange.then_some("127.0.0.1")) else {
            return Place { server: Server::start(answers).await, tunnel: None, http };
        };
        let authority = authority(name, false);
        let server = Server::start_tls(answers, authority.server).await;
        let mut tunnel = None;
        if self.host.is_some() {
            let way = Tunnel::start(&server).await;
            let _ = writeln!(http, "    proxy_url: {}", way.url());
            tunnel = Some(way);
        }
        if !strange {
            let ca: String = authority.ca.lines().map(|line| format!("        {line}\n")).collect();
            let _ = write!(http, "    tls_config:\n      ca: |\n{ca}");
        }
        Place { server, tunnel, http }
    }

    /// How the delivery to such a service ends, in words.
    async fn tried(&self, answers: Vec<Reply>, strange: bool, limit: Duration) -> String {
        let place = self.place(answers, strange).await;
        let http = match place.http.as_str() {
            "" => String::new(),
            lines => format!("\n  http_config:\n{lines}"),
        };
        let notifier = place.server.notifier(&format!("{}{http}", self.config));
        let mut once = Once { notifier: &notifier, error: None };
        let deadline = Instant::now() + limit;
        let outcome = deliver("x", &mut once, deadline, &CancellationToken::new()).await;
        let (last, text) = match (outcome, once.error) {
            (Outcome::Sent { .. }, _) => {
                let seen = place.server.seen();
                let lines: Vec<&str> =
                    seen.iter().filter_map(|seen| seen.line.split(' ').next()).collect();
                (format!("sent {}", lines.join(" ")), String::new())
            }
            (_, Some(error)) => error,
            (Outcome::Failed(failure), None) => {
                (format!("late {}", failure.reason.as_str()), failure.to_string())
            }
            (Outcome::Nothing, None) => ("nothing".to_owned(), String::new()),
        };
        assert!(!text.contains("SECRET") && !text.contains("http://"), "{}: {text}", self.name);
        assert!(place.tunnel.is_none_or(|tunnel| !tunnel.asked().is_empty()), "{}", self.name);
        last
    }

    fn good(&self) -> Vec<Reply> {
        self.good.iter().map(|reply| reply()).collect()
    }

    /// The good answers, the last one changed.
    fn but_last(&self, change: impl Fn(Reply) -> Reply) -> Vec<Reply> {
        let mut answers = self.good();
        let last = answers.pop().unwrap();
        answers.push(change(last));
        answers
    }

    async fn line(&self) -> String {
        const LONG: Duration = Duration::from_secs(20);
        const SHORT: Duration = Duration::from_secs(4);
        let status = |code| vec![Reply::text(code, "")];
        let moved = |code| {
            let mut answers = vec![Reply::redirect(code, "/SECRET/moved")];
            answers.extend(self.good());
            answers
        };
        let cases = [
            ("success", self.tried(self.good(), false, LONG).await),
            ("400", self.tried(status(400), false, LONG).await),
            ("401", self.tried(status(401), false, LONG).await),
            ("429", self.tried(status(429), false, LONG).await),
            ("500", self.tried(status(500), false, LONG).await),
            ("silence", self.tried(self.but_last(|_| Reply::hang()), false, SHORT).await),
            ("slow body", self.tried(self.but_last(Reply::stalled), false, SHORT).await),
            ("cut off", self.tried(self.but_last(Reply::without_end), false, LONG).await),
            ("307", self.tried(moved(307), false, LONG).await),
            ("302", self.tried(moved(302), false, LONG).await),
            ("unknown certificate", self.tried(self.good(), true, LONG).await),
        ];
        let mut text = format!("{}\n", self.name);
        for (case, result) in cases {
            let _ = writeln!(text, "  {case:20}{result}");
        }
        text
    }
}

/// One attempt, whose error is kept.
struct Once<'a> {
    notifier: &'a Notifier,
    error: Option<(String, String)>,
}

impl Attempts for Once<'_> {
    async fn next(&mut self, attempt: u32) -> Option<Batch> {
        (attempt == 1).then(firing)
    }

    async fn send(&mut self, batch: Batch) -> Result<Sent, SendError> {
        self.notifier.send(&context(), &batch).await
    }

    async fn done(&mut self, attempt: &Attempt<'_>) {
        if let Some(Err(error)) = attempt.result {
            let class = if error.retry() { "retry" } else { "final" };
            let words = format!("{class} {}", error.reason().as_str());
            self.error = Some((words, super::report(error)));
        }
    }
}

#[tokio::test]
async fn every_receiver_takes_every_answer_as_recorded() {
    let rows: Arc<[Row]> = Arc::new(ROWS);
    let tasks: Vec<_> = (0..rows.len())
        .map(|at| {
            let rows = Arc::clone(&rows);
            tokio::spawn(async move { rows[at].line().await })
        })
        .collect();
    let mut table = String::new();
    for task in tasks {
        table += &task.await.unwrap();
    }
    expect_test::expect_file!["golden/every.txt"].assert_eq(&table);
}
