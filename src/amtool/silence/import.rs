//! `amtool silence import`: posts the silences of a JSON array, a few at a time.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use tokio::task::JoinSet;

use crate::amtool::cli::SilenceImportFlags;
use crate::amtool::client::Client;
use crate::amtool::context::Context;
use crate::amtool::failure::{Failure, reason};
use crate::amtool::wire::{PostedSilence, Stored, Terms};

/// A silence of the file; what the server alone decides is passed over.
#[derive(Debug, Deserialize)]
struct Kept {
    #[serde(default)]
    id: String,
    #[serde(flatten)]
    terms: Terms,
}

/// Runs it; a silence that fails does not keep the others.
pub(in crate::amtool) async fn run(
    flags: &SilenceImportFlags,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let text = read(flags.file.as_deref())?;
    let client = context.client().await?;
    // Nothing is posted of a file that is no array; of one that ends early, what was read.
    let (silences, broken) = elements(&text);
    let (mut posting, mut waiting) = (JoinSet::new(), silences.iter());
    let (mut ids, mut failed) = (Vec::new(), 0);
    loop {
        while posting.len() < flags.worker
            && let Some(text) = waiting.next()
        {
            posting.spawn(post((*text).to_owned(), flags.force, client.clone()));
        }
        match posting.join_next().await {
            None => break,
            Some(Ok(Ok(id))) => ids.push(id),
            Some(Ok(Err(Failure::Why(why)))) => {
                failed += 1;
                context.console.tell(&why);
            }
            Some(Ok(Err(Failure::Told)) | Err(_)) => failed += 1,
        }
    }
    context.console.print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>())?;
    match broken {
        Some(why) => {
            Err(Failure::Why(format!("couldn't unmarshal input data, is it JSON?: {why}")))
        }
        None if failed > 0 => Err(Failure::Why(format!(
            "couldn't import {failed} out of {} silences",
            silences.len()
        ))),
        None => Ok(()),
    }
}

fn read(file: Option<&Path>) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file {
        Some(file) => std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
        None => std::io::stdin().read_to_string(&mut text),
    };
    let name = file.map_or_else(|| "standard input".to_owned(), |file| file.display().to_string());
    read.map_err(|error| format!("read {name}: {}", reason(&error)))?;
    Ok(text)
}

/// The elements of a JSON array as far as they can be told apart, and what keeps from reading on.
fn elements(text: &str) -> (Vec<&str>, Option<String>) {
    let mut found = Vec::new();
    let Some(mut rest) = text.trim_start().strip_prefix('[') else {
        return (found, Some("not an array of silences".to_owned()));
    };
    loop {
        rest = rest.trim_start();
        if rest.starts_with(']') {
            return (found, None);
        }
        let mut values =
            serde_json::Deserializer::from_str(rest).into_iter::<&serde_json::value::RawValue>();
        match values.next() {
            Some(Ok(value)) => found.push(value.get()),
            Some(Err(error)) => return (found, Some(error.to_string())),
            None => return (found, Some("the array is not closed".to_owned())),
        }
        rest = rest[values.byte_offset()..].trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with(']') => {}
            None => return (found, Some("expected a comma or the end of the array".to_owned())),
        }
    }
}

/// Posts one and tells its id; with an id that the server does not know it is a new one.
async fn post(text: String, force: bool, client: Client) -> Result<String, Failure> {
    let failure =
        |id: &str, why: String| Failure::Why(format!("Error adding silence id='{id}': {why}"));
    let Kept { id, terms } =
        serde_json::from_str(&text).map_err(|error| failure("", error.to_string()))?;
    let path = format!("/silence/{id}");
    let known = !force && !id.is_empty() && client.get(&path, &[]).await.is_ok();
    let posted = PostedSilence { id: if known { &id } else { "" }, terms: &terms };
    let stored = client.post("/silences", &posted).await;
    let stored = stored.and_then(|answer| client.parse::<Stored>("/silences", &answer));
    match stored {
        Ok(stored) => Ok(stored.silence_id),
        Err(Failure::Why(why)) => Err(failure(&id, why)),
        Err(Failure::Told) => Err(Failure::Told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str], good: bool) {
        let (found, broken) = elements(text);
        assert_eq!((found.as_slice(), broken.is_none()), (expected, good), "{text}: {broken:?}");
    }

    #[test]
    fn what_stands_before_a_break_is_still_found() {
        check("[]", &[], true);
        check(" [ {\"a\": [1]} , {} ] ", &["{\"a\": [1]}", "{}"], true);
        check("[{}, {", &["{}"], false);
        check("[{} {}]", &["{}"], false);
        check("[{},", &["{}"], false);
        check("{}", &[], false);
        check("", &[], false);
        check("nonsense", &[], false);
    }
}
