//! Where packages and guides put Alertmanager and HAProxy, and the flags they run with.

use std::path::{Path, PathBuf};

const CONFIGS: [&str; 2] = ["etc/prometheus/alertmanager.yml", "etc/alertmanager/alertmanager.yml"];
const STATES: [&str; 3] =
    ["var/lib/prometheus/alertmanager", "var/lib/alertmanager", "var/lib/alertmanager/data"];
/// Environment files, and the names that they give the flags.
const ENVIRONMENTS: [&str; 4] = [
    "etc/default/prometheus-alertmanager",
    "etc/default/alertmanager",
    "etc/sysconfig/alertmanager",
    "etc/sysconfig/prometheus-alertmanager",
];
const NAMES: [&str; 3] = ["ARGS", "ALERTMANAGER_OPTS", "OPTIONS"];
const UNITS: [&str; 2] = ["alertmanager.service", "prometheus-alertmanager.service"];
const UNIT_DIRECTORIES: [&str; 3] =
    ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// An existing installation.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    root: PathBuf,
    pub(super) config: Option<PathBuf>,
    pub(super) state: Option<PathBuf>,
    pub(super) haproxy: Option<PathBuf>,
    /// As the unit and its environment file give them.
    pub(super) flags: Vec<String>,
}

impl Found {
    /// Looks below a root; what the flags name goes before the usual places.
    pub(super) fn look(root: &Path) -> Self {
        let flags = flags(root);
        let named = |name: &str| {
            let flag = flags.iter().find_map(|flag| flag.strip_prefix(name)?.strip_prefix('='))?;
            flag.starts_with('/').then(|| root.join(flag.trim_start_matches('/')))
        };
        let first = |places: &[&str]| {
            places.iter().map(|place| root.join(place)).find(|place| place.exists())
        };
        let snapshots = |directory: &PathBuf| {
            ["silences", "nflog"].iter().any(|name| directory.join(name).exists())
        };
        let state = STATES.iter().map(|place| root.join(place)).find(snapshots);
        Self {
            config: named("--config.file").or_else(|| first(&CONFIGS)),
            state: named("--storage.path").or(state),
            haproxy: first(&["etc/haproxy/haproxy.cfg"]),
            flags,
            root: root.to_owned(),
        }
    }

    /// Where a path of the installation is.
    pub(super) fn below_root(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// The flags of the unit's command line, with those of the environment file in the place of its variable.
fn flags(root: &Path) -> Vec<String> {
    let environment = environment(root);
    let units = UNIT_DIRECTORIES
        .iter()
        .flat_map(|directory| UNITS.iter().map(move |unit| root.join(directory).join(unit)));
    let started = units
        .filter(|path| !path.is_symlink())
        .find_map(|path| exec_start(&std::fs::read_to_string(path).ok()?));
    let Some(words) = started else { return joined(environment) };
    let expanded = words.into_iter().skip(1).flat_map(|word| {
        let name = word.trim_start_matches('$').trim_matches(['{', '}']);
        let is_ours = word.starts_with('$') && NAMES.contains(&name);
        if is_ours { environment.clone() } else { vec![word] }
    });
    joined(expanded)
}

/// Each flag with its value as one word.
fn joined(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut flags: Vec<String> = Vec::new();
    for word in words {
        if word.starts_with("--") {
            flags.push(word);
        } else if let Some(flag) = flags.last_mut().filter(|flag| !flag.contains('=')) {
            flag.push('=');
            flag.push_str(&word);
        }
    }
    flags
}

/// The words of `ExecStart=`, continued lines joined.
fn exec_start(unit: &str) -> Option<Vec<String>> {
    let joined = unit.replace("\\\n", " ");
    let line = joined.lines().rev().find_map(|line| line.trim().strip_prefix("ExecStart="))?;
    Some(words(line.trim_start_matches(['-', '@', '+', '!'])))
}

fn environment(root: &Path) -> Vec<String> {
    let texts =
        ENVIRONMENTS.iter().filter_map(|file| std::fs::read_to_string(root.join(file)).ok());
    let values = texts.filter_map(|text| {
        let joined = text.replace("\\\n", " ");
        let value = joined.lines().rev().find_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            NAMES.contains(&name.trim()).then(|| value.trim().to_owned())
        })?;
        let inner = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote).map(str::to_owned));
        Some(words(&inner.unwrap_or(value)))
    });
    values.into_iter().next().unwrap_or_default()
}

/// Words at blanks, with quotes around what belongs together.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            None if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn guide_unit_gives_its_flags_and_places() {
        let unit = "[Service]\nExecStart=/usr/local/bin/alertmanager \\\n  --config.file=/etc/alertmanager/alertmanager.yml \\\n  --storage.path=/var/lib/alertmanager \\\n  --cluster.peer=203.0.113.10:9094 \\\n  --log.level=info\nRestart=always\n";
        let root = root(&[("etc/systemd/system/alertmanager.service", unit)]);
        let found = Found::look(root.path());
        assert_eq!(found.flags.len(), 4);
        assert_eq!(found.config, Some(root.path().join("etc/alertmanager/alertmanager.yml")));
        assert_eq!(found.state, Some(root.path().join("var/lib/alertmanager")));
    }

    #[test]
    fn debian_gives_its_flags_in_the_environment() {
        let root = root(&[
            (
                "lib/systemd/system/prometheus-alertmanager.service",
                "ExecStart=/usr/bin/prometheus-alertmanager $ARGS\n",
            ),
            (
                "etc/default/prometheus-alertmanager",
                "# ARGS=\"no\"\nARGS=\"--cluster.peer a:1 --log.level='warn'\"\n",
            ),
            ("etc/prometheus/alertmanager.yml", ""),
            ("var/lib/prometheus/alertmanager/nflog", ""),
        ]);
        let found = Found::look(root.path());
        assert_eq!(found.flags, ["--cluster.peer=a:1", "--log.level=warn"]);
        assert_eq!(found.state, Some(root.path().join("var/lib/prometheus/alertmanager")));
    }
}
