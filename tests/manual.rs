//! The manual says what the program does: its flags and keys are the program's, its examples load, its links lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::harness::tocsin::tocsin;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(docs().join(name)).unwrap_or_else(|e| panic!("docs/{name}: {e}"))
}

/// All pages of the manual by name.
fn pages() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(docs()).expect("docs is there");
    files
        .map(|file| file.expect("readable").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".md"))
        .map(|name| (name.clone(), page(&name)))
        .collect()
}

/// The flags that a role's help lists.
fn flags_of(role: &str) -> BTreeSet<String> {
    let output = tocsin().args([role, "--help"]).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let flags: BTreeSet<String> = text
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            let line =
                line.strip_prefix("-h, ").or_else(|| line.strip_prefix("-V, ")).unwrap_or(line);
            let flag: String = line
                .strip_prefix("--")?
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c))
                .collect();
            Some(flag)
        })
        .filter(|flag| flag != "help" && flag != "version")
        .collect();
    assert!(!flags.is_empty(), "{role} --help lists no flag:\n{text}");
    flags
}

/// The flags that a section of the manual has a row for.
fn flags_told(section: &str) -> BTreeSet<String> {
    let text = page("flags.md");
    let start = text.find(&format!("## {section}\n")).expect("the section is there") + 3;
    let end = text[start..].find("\n## ").map_or(text.len(), |at| start + at);
    text[start..end]
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `--")?.split_once('`')?.0.to_owned()))
        .collect()
}

#[test]
fn manual_has_every_flag_and_no_other() {
    assert_eq!(flags_told("tocsin node"), flags_of("node"));
    assert_eq!(flags_told("tocsin lb"), flags_of("lb"));
}

/// The keys that the reader of lb.yml asks for, from its source.
fn keys_read() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("lb/src/config");
    let mut keys = BTreeSet::new();
    for file in std::fs::read_dir(directory).expect("the reader is there") {
        let text = std::fs::read_to_string(file.expect("readable").path()).expect("readable");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, _) in text.match_indices('"') {
            let before = text[..at].trim_end();
            let call = before.ends_with('(')
                || before.strip_suffix(',').is_some_and(|b| {
                    let word =
                        b.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '&').next();
                    word.is_some_and(|w| b[..b.len() - w.len()].ends_with('('))
                });
            let asks = [
                "text_or(",
                "bool_or(",
                "duration_or(",
                "section(",
                "section_or_empty(",
                "list(",
                "texts(",
                "field(",
                "given(",
                "has(",
                "number(",
                "word(",
                "size(",
                "path(",
                "blocks(",
                "bytes(",
                "positive(",
                "percent(",
                "integer_or(",
            ];
            let opened = before.rfind('(').map_or("", |open| &before[..=open]);
            if call && asks.iter().any(|ask| opened.ends_with(ask)) {
                let key: String = text[at + 1..].chars().take_while(|c| *c != '"').collect();
                if !key.is_empty()
                    && key.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '2')
                {
                    keys.insert(key);
                }
            }
        }
    }
    assert!(keys.len() > 60, "the reader's keys were not found: {keys:?}");
    keys
}

#[test]
fn manual_has_every_key_of_the_balancer() {
    let text = page("lb.md");
    let told: BTreeSet<String> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter_map(|word| word.strip_suffix(':').map(str::to_owned))
        .collect();
    let missing: Vec<String> = keys_read().difference(&told).cloned().collect();
    assert!(missing.is_empty(), "docs/lb.md does not have {missing:?}");
}

/// The fenced blocks of a page, in one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(&opening)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap_or_default().to_owned() + "\n")
        .collect()
}

#[test]
fn examples_of_the_balancer_load() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut loaded = 0;
    for (name, text) in pages() {
        for block in blocks(&text, "yaml").iter().filter(|block| block.contains("backends:")) {
            let file = directory.path().join("lb.yml");
            std::fs::write(&file, block).expect("writable");
            let output = tocsin()
                .args(["lb", "--config.check", "--config.file"])
                .arg(&file)
                .output()
                .expect("the binary runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "an example of docs/{name}: {said}");
            loaded += 1;
        }
    }
    assert!(loaded >= 2, "only {loaded} examples were found");
}

/// The anchors of a page's headings, as they are made from their texts.
fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    for (name, text) in &pages {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            assert!(
                file.is_empty() || docs().join(file).exists(),
                "docs/{name} links to {link}, which is not there"
            );
            let target = if file.is_empty() { Some(text) } else { pages.get(file) };
            if let (Some(target), false) = (target, anchor.is_empty()) {
                assert!(
                    anchors(target).contains(anchor),
                    "docs/{name} links to {link}: no such heading"
                );
            }
        }
    }
    let summary = &pages["SUMMARY.md"];
    for name in pages.keys().filter(|name| *name != "SUMMARY.md") {
        assert!(summary.contains(&format!("({name})")), "SUMMARY.md does not list {name}");
    }
}
