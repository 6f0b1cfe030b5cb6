//! `tocsin migrate`: an installed Alertmanager and HAProxy into Tocsin's files. It reads theirs and never changes them,
//! says what it did, and can be undone. It starts and stops nothing.

mod files;
mod follow;
mod found;
mod target;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use tocsin_lb::convert;
use tocsin_node::engine::counted;
use tocsin_node::options::Features;

use crate::{cli, fail};
use found::Found;
use target::Target;

/// The flags of `tocsin migrate`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Flags {
    /// Only say what would be done
    #[arg(long)]
    check: bool,
    /// Take back what the last run did
    #[arg(long)]
    undo: bool,
    /// Write the balancer's file although lines that change traffic are not in it
    #[arg(long = "accept-unsupported")]
    accept_unsupported: bool,
    /// Alertmanager's configuration file [default: where its flags or packages have it]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its storage directory [default: where its flags or packages have it]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// HAProxy's file [default: /etc/haproxy/haproxy.cfg]
    #[arg(long, value_name = "FILE")]
    haproxy: Option<PathBuf>,
    /// Look for both, and write, below this directory instead of /
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Instead, copy silences of this Alertmanager to --to as they come and go, until Ctrl-C
    #[arg(long, value_name = "URL")]
    follow: Option<String>,
    /// Where followed silences go
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9093")]
    to: String,
}

/// What came of it, for the exit code.
#[derive(Debug, Default)]
struct Outcome {
    /// Lines of a `haproxy.cfg` that change traffic were left out, and nobody accepted that.
    unsupported: bool,
    failed: bool,
}

/// Runs it: exit code 1 for a failure, 2 for lines that have no equivalent.
pub(crate) fn run(flags: &Flags) -> ExitCode {
    if let Some(old) = &flags.follow {
        return match follow::run(old, &flags.to) {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => fail(&format!("tocsin migrate: error: {text}\n")),
        };
    }
    let target = match Target::open(&flags.root, flags.check) {
        Ok(target) => target,
        Err(error) => return fail(&format!("tocsin migrate: error: {error}\n")),
    };
    if flags.undo {
        return undo(&target);
    }
    let outcome = migrate(flags, &target);
    if outcome.failed {
        ExitCode::FAILURE
    } else if outcome.unsupported {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    }
}

/// A line for the reader.
fn say(text: &str) {
    let _closed_pipe = writeln!(std::io::stdout(), "{text}");
}

fn undo(target: &Target) -> ExitCode {
    match target.undo() {
        Ok(0) => say("Nothing to undo."),
        Ok(files) => say(&format!("{files} files are as they were.")),
        Err(error) => return fail(&format!("tocsin migrate: error: {error}\n")),
    }
    ExitCode::SUCCESS
}

fn migrate(flags: &Flags, target: &Target) -> Outcome {
    let mut found = Found::look(&flags.root);
    found.config = flags.config.clone().or(found.config);
    found.state = flags.state.clone().or(found.state);
    found.haproxy = flags.haproxy.clone().or(found.haproxy);
    let mut outcome = Outcome::default();
    if found.config.is_none() && found.haproxy.is_none() {
        say(
            "No Alertmanager and no HAProxy found here; --config, --state and --haproxy name their files.",
        );
        outcome.failed = true;
        return outcome;
    }
    let steps: [(&str, Step); 4] = [
        ("Configuration", configuration),
        ("Flags", service_flags),
        ("Silences and notification log", state),
        ("Balancer", balancer),
    ];
    for (title, step) in steps {
        say(title);
        if let Err(text) = step(flags, &found, target, &mut outcome) {
            say(&format!("  error: {text}"));
            outcome.failed = true;
        }
    }
    say(&order(flags, &found));
    outcome
}

type Step = fn(&Flags, &Found, &Target, &mut Outcome) -> Result<(), String>;

/// The file with its text unchanged, and what it refers to beside it.
fn configuration(_: &Flags, found: &Found, target: &Target, _: &mut Outcome) -> Result<(), String> {
    let Some(path) = &found.config else {
        say("  no alertmanager.yml found");
        return Ok(());
    };
    let config = tocsin_node::config::load(path, Features::default())
        .map_err(|mistakes| format!("{} is refused:\n{mistakes}", path.display()))?;
    for warning in &config.warnings {
        say(&format!("  note: {warning}"));
    }
    let text = read(path)?;
    for file in files::named_in(&text, path) {
        files::take(&file, target)?;
    }
    target.write("/etc/tocsin/alertmanager.yml", text.as_bytes(), Some(path))
}

/// Alertmanager's flags as ours, which are the same but for where files are.
fn service_flags(_: &Flags, found: &Found, target: &Target, _: &mut Outcome) -> Result<(), String> {
    let mut kept = Vec::new();
    for flag in &found.flags {
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        match name {
            "--config.file" | "--storage.path" => {
                say(&format!("  {flag}: Tocsin's unit names its own"));
            }
            "--web.config.file" if !value.is_empty() => {
                let path = found.below_root(value);
                target.write("/etc/tocsin/web.yml", read(&path)?.as_bytes(), Some(&path))?;
                kept.push("--web.config.file=/etc/tocsin/web.yml".to_owned());
            }
            _ => kept.push(flag.clone()),
        }
    }
    let mut refused = Vec::new();
    kept.retain(|flag| match cli::why_refused(flag) {
        None => true,
        Some(why) => {
            refused.push(format!("  left out: {flag}: {why}"));
            false
        }
    });
    refused.iter().for_each(|line| say(line));
    if kept.is_empty() {
        say("  none to take over");
        return Ok(());
    }
    let path = target.environment_file("tocsin-node");
    let before = std::fs::read_to_string(target.below_root(&path)).unwrap_or_default();
    // A line that ends in a backslash goes on.
    let before = before.replace("\\\n", "");
    let lines = before.lines().filter(|line| !line.starts_with("ARGS="));
    let mut text: String = lines.map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("ARGS=\"{}\"\n", kept.join(" ")));
    target.write(&path, text.as_bytes(), None)
}

/// Upstream's snapshots, which a node reads when it starts.
fn state(_: &Flags, found: &Found, target: &Target, _: &mut Outcome) -> Result<(), String> {
    let Some(directory) = &found.state else {
        say("  no storage directory found");
        return Ok(());
    };
    let now = jiff::Timestamp::now();
    let unreadable = |error| format!("{}: {error}", directory.display());
    let counts = counted(directory, now).map_err(unreadable)?;
    for (name, counts) in ["silences", "nflog"].into_iter().zip(counts) {
        let Some(counts) = counts else {
            say(&format!("  no {name} in {}", directory.display()));
            continue;
        };
        let (entries, alive) = (counts.entries, counts.entries - counts.expired);
        let bytes = std::fs::read(directory.join(name)).map_err(unreadable)?;
        target.write_state(&format!("/var/lib/tocsin/{name}"), &bytes)?;
        say(&format!("  {name}: {entries} entries, {alive} not expired"));
        if !target.only_looks() {
            after(target, name, entries, now)?;
        }
    }
    say(
        "  a running Alertmanager writes them every 15 minutes and when it stops: run this again after you stopped it",
    );
    Ok(())
}

/// Counts once more, in the copy.
fn after(target: &Target, name: &str, entries: usize, now: Timestamp) -> Result<(), String> {
    let directory = target.below_root("/var/lib/tocsin");
    let [silences, log] = counted(&directory, now).map_err(|error| error.to_string())?;
    let copied = if name == "nflog" { log } else { silences };
    match copied.map(|counts| counts.entries) {
        Some(copied) if copied == entries => Ok(()),
        copied => Err(format!("{name}: {entries} entries before, {copied:?} after")),
    }
}

/// The translation of `haproxy.cfg`, with our unit's places for what HAProxy's had.
fn balancer(
    flags: &Flags,
    found: &Found,
    target: &Target,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let Some(path) = &found.haproxy else {
        say("  no haproxy.cfg found");
        return Ok(());
    };
    let converted = convert::convert(&read(path)?);
    for left in &converted.left {
        say(&format!("  {}: {left}", path.display()));
    }
    let mut yaml = String::new();
    for line in converted.yaml.lines() {
        let here = match line {
            "  daemon: true" => {
                say("  daemon: the unit keeps it in the foreground");
                continue;
            }
            _ if line.starts_with("  path: \"/") && yaml.ends_with("admin_socket:\n") => {
                say("  the admin socket is /run/tocsin-lb/lb.sock");
                "  path: \"/run/tocsin-lb/lb.sock\""
            }
            _ => line,
        };
        yaml.push_str(here);
        yaml.push('\n');
    }
    if converted.changes_traffic() && !flags.accept_unsupported {
        say(
            "  lb.yml not written: lines above change traffic; --accept-unsupported leaves them out",
        );
        outcome.unsupported = true;
        return Ok(());
    }
    tocsin_lb::config::parse(&yaml, "lb.yml").map_err(|mistakes| mistakes.to_string())?;
    target.write("/etc/tocsin/lb.yml", yaml.as_bytes(), Some(path))
}

fn read(path: &std::path::Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// What is left for the reader to do.
fn order(flags: &Flags, found: &Found) -> String {
    if flags.check {
        return "Nothing was written: --check.".to_owned();
    }
    let mut lines = vec!["Then, in this order:".to_owned()];
    if found.config.is_some() {
        lines.extend([
            "  The old and the new cluster cannot be mixed: they speak different protocols.".to_owned(),
            "  1. Start Tocsin's nodes on other hosts, or on other ports: --web.listen-address and".to_owned(),
            "     --cluster.listen-address in ARGS; then: systemctl enable --now tocsin-node".to_owned(),
            "  2. Keep silences in step: tocsin migrate --follow http://OLD:9093 --to http://NEW:9093".to_owned(),
            "  3. Point Prometheus at both, and see that alerts arrive: tocsin amtool alert".to_owned(),
            "  4. Stop the old ones; run tocsin migrate again for the last silences, and restart the nodes.".to_owned(),
        ]);
    }
    if found.haproxy.is_some() {
        lines.push(
            "  5. systemctl disable --now haproxy; systemctl enable --now tocsin-lb".to_owned(),
        );
    }
    lines.push("Back: tocsin migrate --undo. The old files are untouched.".to_owned());
    lines.join("\n")
}
