//! The same files before Debian's `amtool check-config` and before ours: the same verdict, but for a list of known differences.
//!
//! Needs `amtool` 0.25 (Debian: package `prometheus-alertmanager`); without it the test fails.

#[path = "amtool/by_hand.rs"]
mod by_hand;
#[path = "amtool/corpus.rs"]
mod corpus;
#[path = "amtool/differences.rs"]
mod differences;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use tocsin_node::config::check;
use tocsin_node::options::Features;

use corpus::Case;
use differences::{DIFFERENCES, Side};

/// What amtool says about each file of the directory, in order. A file that crashes it is refused.
fn amtool(directory: &Path, count: usize) -> Vec<Result<(), String>> {
    let mut verdicts = Vec::with_capacity(count);
    while verdicts.len() < count {
        let names: Vec<String> = (verdicts.len()..count).take(500).map(file_name).collect();
        let output = Command::new("amtool")
            .arg("check-config")
            .args(&names)
            .current_dir(directory)
            .output()
            .expect("amtool is needed: install Debian's prometheus-alertmanager");
        let text = String::from_utf8_lossy(&output.stdout);
        let before = verdicts.len();
        for (part, name) in text.split("Checking '").skip(1).zip(&names) {
            let (file, verdict) = part.split_once('\'').expect("a file name in quotes");
            assert_eq!(file, name, "amtool answers in order");
            verdicts.push(match verdict.trim_start() {
                good if good.starts_with("SUCCESS") => Ok(()),
                "" => Err("it crashes".to_owned()),
                bad => Err(bad.lines().take(3).collect::<Vec<_>>().join(" ")),
            });
        }
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(before < verdicts.len(), "amtool has said nothing: {error}");
    }
    verdicts
}

fn file_name(at: usize) -> String {
    format!("{at:05}.yml")
}

#[test]
fn verdicts_are_those_of_amtool() {
    let directory = tempfile::tempdir().unwrap();
    let mut cases = corpus::all();
    cases.extend(by_hand::all());
    assert!(cases.len() > 600, "{} cases", cases.len());
    for (at, case) in cases.iter().enumerate() {
        std::fs::write(directory.path().join(file_name(at)), &case.text).unwrap();
    }
    let verdicts = amtool(directory.path(), cases.len());
    let mut unknown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut used = BTreeSet::new();
    let (mut both_good, mut both_bad) = (0, 0);
    for (case, theirs) in cases.iter().zip(&verdicts) {
        let ours = check(&case.text, "am.yml", Features::default());
        let side = match (theirs, &ours) {
            (Ok(()), Ok(_)) => {
                both_good += 1;
                continue;
            }
            (Err(_), Err(_)) => {
                both_bad += 1;
                continue;
            }
            (Ok(()), Err(_)) => Side::OnlyTheirs,
            (Err(_), Ok(_)) => Side::OnlyOurs,
        };
        match known(case, side) {
            Some(at) => {
                used.insert(at);
            }
            None => {
                let theirs = theirs.as_ref().err().cloned().unwrap_or_else(|| "good".to_owned());
                let ours =
                    ours.as_ref().err().map_or_else(|| "good".to_owned(), ToString::to_string);
                let line = format!("{}\n    amtool: {theirs}\n    ours:   {ours}", case.value);
                unknown.entry(case.key.clone()).or_default().push(line);
            }
        }
    }
    assert!(both_good > 5_000 && both_bad > 15_000, "{both_good} good, {both_bad} bad for both");
    let mut report = String::new();
    for (key, lines) in &unknown {
        report.push_str(&format!("{key}\n  {}\n", lines.join("\n  ")));
    }
    assert!(unknown.is_empty(), "differences nobody has explained:\n{report}");
    for (at, difference) in DIFFERENCES.iter().enumerate() {
        assert!(used.contains(&at), "no case shows the difference any more: {difference:?}");
    }
}

/// Which of the known differences explains the case.
fn known(case: &Case, side: Side) -> Option<usize> {
    DIFFERENCES.iter().position(|difference| {
        let key = difference.key.strip_suffix('*');
        let same_key = match key {
            Some(start) => case.key.starts_with(start),
            None => case.key == difference.key,
        };
        let value = difference.value.is_none_or(|value| value == case.value);
        difference.side == side && same_key && value
    })
}
