//! The house still stands as ARCHITECTURE.md draws it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Which of our crates each may use.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("node/core", &[]),
    ("node/template", &[]),
    ("node/service", &[]),
    ("node/cluster", &["tocsin-service"]),
    ("node", &["tocsin-cluster", "tocsin-core", "tocsin-service", "tocsin-template"]),
    ("lb", &["tocsin-service"]),
    (".", &["tocsin-core", "tocsin-lb", "tocsin-node", "tocsin-service", "tocsin-template"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names under `[dependencies]` and `[dev-dependencies]` of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(manifest).join("Cargo.toml")).expect("readable");
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = matches!(line, "[dependencies]" | "[dev-dependencies]");
        } else if inside && let Some((name, _)) = line.split_once(['.', ' ', '=']) {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn dependencies_point_downward_only() {
    for (manifest, allowed) in ALLOWED {
        for name in dependencies(manifest).iter().filter(|name| name.starts_with("tocsin-")) {
            assert!(allowed.contains(&name.as_str()), "{manifest} must not use {name}");
        }
    }
}

#[test]
fn pure_crates_have_no_runtime() {
    for manifest in ["node/core", "node/template"] {
        for name in dependencies(manifest) {
            assert!(
                !name.starts_with("tokio") && name != "hyper",
                "{manifest} must not use {name}"
            );
        }
    }
}

#[test]
fn deprecated_yaml_crate_stays_behind_one_file() {
    let users: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|path| !path.ends_with("tests/tidy.rs"))
        .filter(|path| std::fs::read_to_string(path).expect("readable").contains("serde_yaml::"))
        .map(|path| path.strip_prefix(root()).expect("below").to_owned())
        .collect();
    assert!(
        users.iter().all(|path| path.starts_with("node/service/src/yaml.rs")
            || path.starts_with("node/service/src/yaml")),
        "{users:?}"
    );
}

#[test]
fn every_file_says_what_it_holds() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("//!"), "{} does not begin with //!", path.display());
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in ["src", "node", "lb", "tests"] {
        walk(&root().join(directory), &mut found);
    }
    found
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
