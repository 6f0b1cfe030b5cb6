//! What the fuzzer began with and what it has found, again: nothing of it ends a process, and every promise of
//! `fuzz/targets.rs` holds. The fuzzer itself is behind a command of its own, see docs/testing.md.

#[path = "fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// An input that takes longer is a finding too; the fuzzer allows a second in an optimised build.
const SLOW: Duration = Duration::from_secs(10);

#[test]
fn seeds_and_findings_of_the_fuzzer_do_no_harm() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    for (name, target) in targets::ALL {
        let files = std::fs::read_dir(seeds.join(name)).expect("every target has seeds");
        let mut count = 0;
        for file in files.flatten() {
            let data = std::fs::read(file.path()).expect("readable");
            println!("{}", file.path().display());
            #[expect(clippy::disallowed_methods, reason = "a bound on real time")]
            let begun = Instant::now();
            target(&data);
            assert!(begun.elapsed() < SLOW, "{} took {:?}", file.path().display(), begun.elapsed());
            count += 1;
        }
        assert!(count > 0, "{name} has no seeds");
    }
}

#[test]
fn every_target_can_be_fuzzed() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("readable");
    let listed: BTreeSet<_> = targets::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stem =
        |path: std::path::PathBuf| path.file_stem().map(|s| s.to_string_lossy().into_owned());
    let files = std::fs::read_dir(fuzz.join("fuzz_targets")).expect("readable").flatten();
    let files: BTreeSet<_> = files.filter_map(|file| stem(file.path())).collect();
    let named =
        manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let named: BTreeSet<_> =
        named.filter(|name| *name != "tocsin-fuzz").map(str::to_owned).collect();
    assert_eq!(listed, files);
    assert_eq!(listed, named);
}
