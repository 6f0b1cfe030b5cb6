//! Tests that a real browser runs: a file of tests/browser, given the addresses of what was started.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Runs `tests/browser/NAME.mjs`; its own deadline ends it.
#[track_caller]
pub(crate) fn browse(name: &str, given: &Value) {
    let output =
        browser(name, given).output().expect("node runs; tests/run installs what the tests need");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{name}.mjs: {}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{said}");
}

/// The command that runs a script.
pub(crate) fn browser(name: &str, given: &Value) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/browser/{name}.mjs"));
    let mut node = Command::new("node");
    node.arg(script).arg(given.to_string()).env("BROWSER_MODULES", modules());
    node
}

/// `browser` in the target directory, where tests/run has put the modules.
fn modules() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_tocsin")).ancestors().nth(2).expect("target/debug");
    let modules = target.join("browser");
    assert!(
        modules.join("node_modules/playwright-core").is_dir(),
        "no browser modules in {}: tests/run installs them",
        modules.display()
    );
    modules
}
