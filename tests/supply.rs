//! What the program is made of: where libraries come from, under which licences, which are there twice, which are named and not
//! used, and where the code steps outside what the compiler checks. `deny.toml` says the same to cargo-deny.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Where unsafe code is, how often, and why nothing else does.
const UNSAFE: [(&str, usize); 2] = [
    // A descriptor that another process has passed has no owner yet either.
    ("lb/src/inherit.rs", 1),
    // A descriptor that systemd passes has no owner yet, and only this makes it a socket.
    ("node/service/src/systemd.rs", 1),
];

#[test]
fn unsafe_code_is_only_where_it_is_known() {
    let mut found = BTreeMap::new();
    for directory in ["src", "node", "lb"] {
        count_unsafe(&root().join(directory), &mut found);
    }
    let known = UNSAFE.iter().map(|(file, count)| ((*file).to_owned(), *count)).collect();
    assert_eq!(found, known);
    for (file, _) in UNSAFE {
        let text = text(file);
        assert!(text.contains("#[expect(unsafe_code, reason = "), "{file} gives no reason");
    }
    assert!(text("Cargo.toml").contains("unsafe_code = \"deny\""));
}

fn count_unsafe(directory: &Path, found: &mut BTreeMap<String, usize>) {
    for entry in std::fs::read_dir(directory).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            count_unsafe(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("readable");
            let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
            let count: usize = words.iter().map(|word| text.matches(word).count()).sum();
            if count > 0 {
                let name = path.strip_prefix(root()).expect("below").display().to_string();
                found.insert(name, count);
            }
        }
    }
}

/// Every package of a lock file: name, version, source.
fn locked(lock: &str) -> Vec<(String, String, String)> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key));
        line.map(|text| text.trim_matches('"').to_owned()).unwrap_or_default()
    };
    let text = text(lock);
    let blocks = text.split("[[package]]\n").skip(1);
    blocks.map(|b| (value(b, "name = "), value(b, "version = "), value(b, "source = "))).collect()
}

#[test]
fn libraries_come_from_the_registry_and_are_locked() {
    for lock in ["Cargo.lock", "tests/fuzz/Cargo.lock"] {
        let all = locked(lock);
        assert!(all.len() > 100, "{lock}");
        for (name, version, source) in all {
            let own = source.is_empty() && (name == "tocsin" || name.starts_with("tocsin-"));
            let registry = source == "registry+https://github.com/rust-lang/crates.io-index";
            assert!(own || registry, "{name} {version} comes from {source:?}");
        }
    }
}

/// Libraries that are there in two versions, with what keeps the old one. A new pair needs a line here.
const TWICE: [&str; 24] = [
    "asn1-rs",             // pingora-core 0.9 (x509-parser 0.16) and rcgen
    "asn1-rs-derive",      // the same
    "base64",              // reqwest and lettre do not move together
    "core-foundation",     // not on Linux
    "der-parser",          // pingora-core
    "getrandom",           // ring, uuid and ourselves
    "hashbrown",           // petgraph through pingora-core
    "heck",                // strum_macros through pingora-core
    "nom",                 // x509-parser and lettre
    "oid-registry",        // pingora-core
    "openssl-probe",       // rustls-native-certs; no OpenSSL
    "r-efi",               // not on Linux
    "rand",                // pingora-core and chitchat
    "rand_core",           // the same
    "rustls-native-certs", // pingora-rustls
    "security-framework",  // not on Linux
    "syn",                 // derive macros at build time
    "synstructure",        // the same
    "thiserror",           // pingora-core's tree
    "thiserror-impl",      // the same
    "windows-sys",         // not on Linux
    "x509-parser",         // pingora-core and rcgen
    "zstd",                // pingora-core and chitchat
    "zstd-safe",           // the same
];

#[test]
fn what_is_there_twice_is_known() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version, _) in locked("Cargo.lock") {
        versions.entry(name).or_default().insert(version);
    }
    let twice: Vec<_> = versions.iter().filter(|(_, all)| all.len() > 1).collect();
    for (name, all) in &twice {
        assert!(TWICE.contains(&name.as_str()), "{name} is there in {all:?}");
    }
}

/// The licences of the libraries that are built in.
const LICENCES: [&str; 11] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "0BSD",    // quoted_printable
    "BSL-1.0", // xxhash-rust
    "CC0-1.0", // tiny-keccak, at build time
    "Unlicense",
];

#[test]
fn licences_are_allowed() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version=1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for package in metadata["packages"].as_array().expect("a list") {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(allowed(licence), "{} is under {licence:?}", package["name"]);
    }
    let deny = text("deny.toml");
    for licence in LICENCES {
        assert!(deny.contains(&format!("\"{licence}\"")), "{licence} is not in deny.toml");
    }
}

/// Whether one can choose allowed licences: all parts of an AND, one of an OR, as `/` meant it too.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], "");
    expression.split(" AND ").all(|part| {
        part.split(" OR ").any(|choice| {
            let choice = choice.trim();
            LICENCES.contains(&choice)
        })
    })
}

#[test]
fn a_licence_must_be_chosen_from_the_list() {
    for (expression, expected) in [
        ("MIT OR Apache-2.0", true),
        ("MIT/GPL-3.0", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("Apache-2.0 AND GPL-2.0", false),
        ("MPL-2.0", false),
        ("", false),
    ] {
        assert_eq!(allowed(expression), expected, "{expression}");
    }
}

/// Libraries that a manifest names for their features alone, or that a macro's output needs.
const NAMED_ONLY: [(&str, &str); 0] = [];

#[test]
fn no_library_is_named_and_not_used() {
    let mut named = BTreeSet::new();
    for manifest in
        [".", "lb", "node", "node/cluster", "node/core", "node/service", "node/template"]
    {
        let mut code = String::new();
        for directory in ["src", "tests", "benches"] {
            // The root's tests belong to the root, not to what lies below.
            read_all(&root().join(manifest).join(directory), &mut code);
        }
        for name in dependencies(manifest) {
            let used = code.contains(&name.replace('-', "_"));
            assert!(
                used || NAMED_ONLY.contains(&(manifest, &name)),
                "{manifest} does not use {name}"
            );
            named.insert(name);
        }
    }
    for name in section(&text("Cargo.toml"), &["[workspace.dependencies]"]) {
        assert!(named.contains(&name), "nobody uses {name}");
    }
}

fn dependencies(manifest: &str) -> Vec<String> {
    let text = text(Path::new(manifest).join("Cargo.toml"));
    section(&text, &["[dependencies]", "[dev-dependencies]", "[build-dependencies]"])
}

fn section(text: &str, wanted: &[&str]) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = wanted.contains(&line);
        } else if inside
            && !line.starts_with([' ', '#'])
            && let Some((name, _)) = line.split_once(['.', ' ', '='])
        {
            names.push(name.to_owned());
        }
    }
    names
}

fn read_all(directory: &Path, code: &mut String) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&std::fs::read_to_string(&path).expect("readable"));
        }
    }
}

#[test]
fn what_the_table_of_rights_says_is_tested() {
    let mut code = String::new();
    for directory in ["node", "lb", "tests"] {
        read_all(&root().join(directory), &mut code);
    }
    let security = text("SECURITY.md");
    let rows: Vec<&str> =
        security.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |")).collect();
    assert!(rows.len() > 12, "{rows:?}");
    for row in rows {
        let test = row.trim_end_matches("` |").rsplit('`').next().unwrap_or_default();
        assert!(code.contains(&format!("fn {test}()")), "no test {test} for: {row}");
    }
}
