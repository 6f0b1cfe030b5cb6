//! Silences of an Alertmanager copied to a node while both run: new ones are made, ended ones end.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tocsin_node::config::http::HttpConfig;
use tocsin_node::notify::{reach, report};

use super::say;

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(10);

/// Copies until it is ended from outside; an outage of either side is told and outlived.
/// # Errors
/// Why it cannot begin.
pub(super) fn run(old: &str, new: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let (http, _) = reach(&HttpConfig::default()).await.map_err(|error| report(&error))?;
        let api = |base: &str| format!("{}/api/v2", base.trim_end_matches('/'));
        let mut follower = Follower { http, old: api(old), new: api(new), copies: HashMap::new() };
        follower.recognise().await?;
        say(&format!("following silences of {old} to {new}, every {PERIOD:?}; Ctrl-C ends it"));
        loop {
            if let Err(error) = follower.step().await {
                say(&format!("warning: {error}"));
            }
            tokio::time::sleep(PERIOD).await;
        }
    })
}

struct Follower {
    http: reqwest::Client,
    old: String,
    new: String,
    /// Of each old silence: its copy's id, and what was copied.
    copies: HashMap<String, (String, Value)>,
}

impl Follower {
    /// Copies of an earlier run are known by their terms, so that none is made twice.
    async fn recognise(&mut self) -> Result<(), String> {
        let there = self.silences(&self.new).await?;
        for silence in self.silences(&self.old).await? {
            let wanted = terms(&silence);
            let copy = there.iter().find(|copy| lives(copy) && terms(copy) == wanted);
            if let Some(copy) = copy {
                self.copies.insert(id(&silence), (id(copy), wanted));
            }
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), String> {
        for silence in self.silences(&self.old).await? {
            let (old, wanted) = (id(&silence), terms(&silence));
            match self.copies.get(&old) {
                None if lives(&silence) => {
                    let copy = self.post(&wanted).await?;
                    say(&format!("made {copy} for {old}"));
                    self.copies.insert(old, (copy, wanted));
                }
                Some((copy, _)) if !lives(&silence) => {
                    self.expire(copy).await?;
                    say(&format!("ended {copy} with {old}"));
                    self.copies.remove(&old);
                }
                Some((copy, before)) if *before != wanted => {
                    let mut body = wanted.clone();
                    body["id"] = copy.as_str().into();
                    let copy = self.post(&body).await?;
                    say(&format!("changed {copy} as {old}"));
                    self.copies.insert(old, (copy, wanted));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn silences(&self, api: &str) -> Result<Vec<Value>, String> {
        let answer = self.http.get(format!("{api}/silences")).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status).map_err(text)?;
        answer.json().await.map_err(text)
    }

    async fn post(&self, body: &Value) -> Result<String, String> {
        let answer = self.http.post(format!("{}/silences", self.new)).json(body).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status).map_err(text)?;
        let made: Value = answer.json().await.map_err(text)?;
        Ok(made["silenceID"].as_str().unwrap_or("").to_owned())
    }

    async fn expire(&self, id: &str) -> Result<(), String> {
        let answer = self.http.delete(format!("{}/silence/{id}", self.new)).send().await;
        // One that is gone or has ended needs no ending.
        answer.map(|_| ()).map_err(text)
    }
}

fn text(error: reqwest::Error) -> String {
    report(&error)
}

fn id(silence: &Value) -> String {
    silence["id"].as_str().unwrap_or("").to_owned()
}

fn lives(silence: &Value) -> bool {
    silence["status"]["state"] != "expired"
}

/// What its creator wrote.
fn terms(silence: &Value) -> Value {
    let keys = ["matchers", "startsAt", "endsAt", "createdBy", "comment"];
    keys.iter().map(|key| ((*key).to_owned(), silence[*key].clone())).collect()
}
