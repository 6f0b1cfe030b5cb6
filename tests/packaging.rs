//! What the packages put on a host: units that systemd takes, files that the program loads.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::tocsin::tocsin;

const UNITS: [&str; 2] = ["tocsin-node.service", "tocsin-lb.service"];

fn packaged(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(packaged(path)).expect("readable")
}

#[track_caller]
fn good(output: &Output) {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the program is installed: packaging/need, as in tests/run")
}

fn check(mode: &str, file: &Path, more: &[&str]) -> Output {
    run(tocsin().args([mode, "--config.check"]).args(more).arg("--config.file").arg(file))
}

#[test]
fn units_are_valid_and_confined() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for unit in UNITS {
        let text = read(&format!("systemd/{unit}"));
        assert!(text.contains("\nExecStart=/usr/bin/tocsin "), "{text}");
        let here = directory.path().join(unit);
        let program = env!("CARGO_BIN_EXE_tocsin");
        std::fs::write(&here, text.replace("/usr/bin/tocsin", program)).expect("writable");
        let verify = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&here));
        good(&verify);
        let said = String::from_utf8_lossy(&verify.stderr).into_owned();
        assert!(!said.contains(unit), "{said}");
        good(&run(Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=15"])
            .arg(&here)));
    }
}

#[test]
fn user_and_directories_are_made_as_declared() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let in_root = |program: &str, file: &str| {
        let mut command = Command::new(program);
        command.arg(format!("--root={}", root.path().display())).arg(packaged(file));
        command
    };
    let etc = root.path().join("etc");
    std::fs::create_dir(&etc).expect("writable");
    good(&run(&mut in_root("systemd-sysusers", "systemd/sysusers.conf")));
    let users = std::fs::read_to_string(etc.join("passwd")).expect("made");
    let user = users.lines().find(|line| line.starts_with("tocsin:")).expect("the user");
    assert!(user.ends_with(":Tocsin alerting:/var/lib/tocsin:/usr/sbin/nologin"), "{user}");
    if rustix::process::geteuid().is_root() {
        good(&run(in_root("systemd-tmpfiles", "systemd/tmpfiles.conf").arg("--create")));
        let listed = run(Command::new("stat").args(["-c", "%a"]).arg(etc.join("tocsin")));
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "750\n");
    }
}

#[test]
fn shipped_files_load() {
    good(&check("node", &packaged("etc/alertmanager.yml"), &[]));
    good(&check("lb", &packaged("examples/three-nodes-lb.yml"), &[]));
    good(&check("lb", &packaged("examples/behind-a-proxy-lb.yml"), &[]));
}

#[test]
fn shipped_balancer_file_waits_for_servers() {
    let file = packaged("etc/lb.yml");
    let bare = check("lb", &file, &[]);
    assert!(String::from_utf8_lossy(&bare.stderr).contains("no servers"), "{bare:?}");
    good(&check("lb", &file, &["--backend=203.0.113.10:9093"]));
}

/// The lines that a reader uncomments are as good as those that stand.
#[test]
fn commented_lines_load_too() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (mode, file, from) in [("node", "alertmanager.yml", "global"), ("lb", "lb.yml", "backends")]
    {
        let text = read(&format!("etc/{file}"));
        let mut open = false;
        let lines = text.lines().map(|line| {
            open = open || line.starts_with(&format!("# {from}:"));
            let code = line.trim_start().strip_prefix("# ").filter(|_| open);
            let Some(code) = code.filter(|code| !code.ends_with('.')) else {
                return format!("{line}\n");
            };
            format!("{}{code}\n", &line[..line.len() - line.trim_start().len()])
        });
        let path = directory.path().join(file);
        std::fs::write(&path, lines.collect::<String>()).expect("writable");
        good(&check(mode, &path, &[]));
    }
}

/// As the units name their files; a flag in ARGS stands above.
#[test]
fn files_may_come_from_the_environment() {
    let (node, lb) = (packaged("etc/alertmanager.yml"), packaged("examples/three-nodes-lb.yml"));
    good(&run(tocsin().args(["node", "--config.check"]).env("TOCSIN_CONFIG_FILE", &node)));
    good(&run(tocsin().args(["lb", "--config.check"]).env("TOCSIN_LB_CONFIG_FILE", &lb)));
    let over = run(tocsin()
        .args(["node", "--config.check", "--config.file=/nowhere.yml"])
        .env("TOCSIN_CONFIG_FILE", &node));
    assert!(!over.status.success(), "{over:?}");
}
