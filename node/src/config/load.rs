//! Reads the file and puts the parts together.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tocsin_core::matcher::Mode;
use tocsin_core::route::Routes;
use tocsin_service::mistake::{Mistake, Mistakes};
use tocsin_service::yaml::{self, Section, Value};
use xxhash_rust::xxh3::Xxh3;

use super::block::{Block, Rules};
use super::warning::Warning;
use super::{
    Config, events, glob, global, inhibit, interval, md5, receiver, route, source, tracing,
};
use crate::options::Features;

/// Why outputs to Kafka, although checked, are refused where they would be used.
const NO_KAFKA: &str = "event_recorder.kafka_outputs: this program was built without a Kafka client; \
                        use webhook_outputs, file_outputs or stdout_outputs";

/// Reads and checks a file.
/// # Errors
/// All mistakes in it, or why it could not be read.
pub fn load(path: &Path, features: Features) -> Result<Config, Mistakes> {
    let File { text, name, directory } = file(path)?;
    let mut config = read(&text, &name, Rules::new(mode(features), directory, false))?;
    if !features.event_recorder {
        config.event_recorder = None;
    }
    if config.event_recorder.as_ref().is_some_and(|recorder| !recorder.kafka.is_empty()) {
        return Err(Mistake::of_file(name.as_str(), NO_KAFKA).into());
    }
    config.cfg_hash =
        meaning(&config).map_err(|message| Mistake::of_file(name.as_str(), message))?;
    Ok(config)
}

/// As [`load`], but for a caller who shows the configuration to nobody: `original` and both hashes are empty, in half the time.
/// # Errors
/// As [`load`].
pub fn load_unshown(path: &Path, features: Features) -> Result<Config, Mistakes> {
    let File { text, name, directory } = file(path)?;
    read(&text, &name, Rules::silent(mode(features), directory))
}

/// A file that was read.
pub(super) struct File {
    pub(super) text: String,
    pub(super) name: String,
    pub(super) directory: PathBuf,
}

pub(super) fn file(path: &Path) -> Result<File, Mistakes> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| Mistake::of_file("", format!("open {name}: {}", reason(&error))))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        Mistake::of_file(name.as_str(), format!("not valid UTF-8 in line {line}"))
    })?;
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(File { text, name, directory })
}

/// Checks a text; no other file is read.
/// # Errors
/// All mistakes in it.
pub fn check(text: &str, name: &str, features: Features) -> Result<Config, Mistakes> {
    let directory = Path::new(name).parent().unwrap_or(Path::new("")).to_owned();
    read(text, name, Rules::new(mode(features), directory, false))
}

/// Every key that is read as a secret where a section of `text` is read, by its path, and whether `text` gives it: for the
/// test that looks for secrets that are not hidden.
/// # Errors
/// All mistakes in it.
#[doc(hidden)]
pub fn secret_keys(text: &str) -> Result<BTreeMap<String, bool>, Mistakes> {
    let mut rules = Rules::new(Mode::Fallback, "".into(), false);
    rules.secrets = Some(RefCell::default());
    let document = yaml::parse(text, "")?;
    document.read(|root| parts(root, &rules))?;
    Ok(rules.secrets.map(RefCell::into_inner).unwrap_or_default())
}

/// Reads a text that a server has shown: its secrets are placeholders, and values that were inherited stand beside those that exclude them.
/// # Errors
/// All mistakes in it.
pub fn load_shown(text: &str, features: Features) -> Result<Config, Mistakes> {
    read(text, "", Rules::new(mode(features), "".into(), true))
}

fn mode(features: Features) -> Mode {
    match features {
        Features { classic_mode: true, .. } => Mode::Classic,
        Features { utf8_strict_mode: true, .. } => Mode::Utf8,
        _ => Mode::Fallback,
    }
}

/// As Go says it, for people and tools that search for it.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn read(text: &str, name: &str, rules: Rules) -> Result<Config, Mistakes> {
    let document = yaml::parse(text, name)?;
    if document.is_empty() {
        return Err(Mistake::of_file(name, "no route provided in config").into());
    }
    let reading = document.read(|root| parts(root, &rules))?;
    let mut config =
        reading.value.ok_or_else(|| Mistake::of_file(name, "no route provided in config"))?;
    if !rules.silent {
        config.file_hash = md5::first_48_bits(text.as_bytes());
    }
    config.warnings = rules.warnings.into_inner();
    config.warnings.extend(reading.warnings.into_iter().map(Warning::from));
    Ok(config)
}

/// `None` only together with a mistake.
fn parts(root: &Section<'_>, rules: &Rules) -> Option<Config> {
    let (global, global_shown) = global::read(root.section_or_empty("global"), rules);
    let (receivers, receivers_shown) = receiver::read_all(root, &global, rules);
    let route = match root.section("route") {
        Some(section) => Some(route::read(section, rules)),
        None if root.has("route") => None,
        None => {
            root.mistake("no routes provided");
            None
        }
    };
    let mut all = vec![("global".to_owned(), global_shown)];
    if let Some(route) = &route {
        all.push(("route".to_owned(), route.shown.clone()));
    }
    let inhibit = listed(root, &mut all, "inhibit_rules", rules, inhibit::read);
    show_list(&mut all, "receivers", receivers_shown);
    let templates = templates(root, &mut all, rules);
    let names = RefCell::default();
    let read_interval = |block: &mut Block<'_>| interval::read(block, &names);
    let mut intervals = listed(root, &mut all, "mute_time_intervals", rules, read_interval);
    intervals.extend(listed(root, &mut all, "time_intervals", rules, read_interval));
    let tracing = optional(root, &mut all, "tracing", rules, tracing::read);
    let event_recorder = optional(root, &mut all, "event_recorder", rules, events::read);
    let route = route?;
    let names = receivers.iter().map(|receiver| &*receiver.name);
    route::check_names(&route.receivers, names, "receiver");
    let names = intervals.iter().map(|interval| &*interval.name);
    route::check_names(&route.intervals, names, "time interval");
    if root.has_mistakes() {
        return None;
    }
    let routes = Routes::new(route.root).map_err(|error| root.mistake(error.to_string())).ok()?;
    Some(Config {
        original: if rules.silent { String::new() } else { Value::Map(all).to_string() },
        file_hash: 0,
        cfg_hash: 0,
        resolve_timeout: global.resolve_timeout,
        routes: Arc::new(routes),
        receivers,
        inhibit,
        intervals: intervals.into_iter().collect(),
        templates,
        tracing,
        event_recorder,
        warnings: Vec::new(),
    })
}

/// What is shown, in order.
type Shown = Vec<(String, Value)>;

fn show_list(all: &mut Shown, key: &str, shown: Vec<Value>) {
    if !shown.is_empty() {
        all.push((key.to_owned(), Value::List(shown)));
    }
}

/// The mappings of a list at the root; an empty entry reads as an empty mapping.
fn listed<T>(
    root: &Section<'_>,
    all: &mut Shown,
    key: &'static str,
    rules: &Rules,
    read: impl Fn(&mut Block<'_>) -> T,
) -> Vec<T> {
    let (mut values, mut shown) = (Vec::new(), Vec::new());
    for field in root.list(key) {
        let mut block = Block::new(field.section_or_empty(), rules);
        values.push(read(&mut block));
        shown.push(block.finish());
    }
    show_list(all, key, shown);
    values
}

fn optional<T>(
    root: &Section<'_>,
    all: &mut Shown,
    key: &'static str,
    rules: &Rules,
    read: impl Fn(&mut Block<'_>) -> T,
) -> Option<T> {
    let mut block = Block::new(root.section(key)?, rules);
    let value = read(&mut block);
    all.push((key.to_owned(), block.finish()));
    Some(value)
}

fn templates(root: &Section<'_>, all: &mut Shown, rules: &Rules) -> Vec<String> {
    let mut globs = Vec::new();
    for field in root.list("templates") {
        let Some(text) = field.text() else { continue };
        let pattern = source::rebase(&rules.directory, &text).display().to_string();
        if let Err(error) = glob::check(&pattern) {
            field.mistake(error.to_string());
        }
        globs.push(pattern);
    }
    let shown = Value::List(globs.iter().map(|text| text.as_str().into()).collect());
    all.push(("templates".to_owned(), shown));
    globs
}

/// The hash by which nodes see that they mean the same. Secrets are in no part of it: others see it.
fn meaning(config: &Config) -> Result<u64, String> {
    let mut hash = Xxh3::new();
    for line in config.original.lines() {
        let key = line.trim_start_matches([' ', '-']).split(':').next().unwrap_or("");
        if !key.ends_with("_file") {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
    }
    for path in glob::expand(&config.templates).map_err(|error| error.to_string())? {
        let text = std::fs::read(&path)
            .map_err(|error| format!("open {}: {}", path.display(), reason(&error)))?;
        hash.update(&text);
        hash.update(b"\0");
    }
    Ok(hash.digest())
}
