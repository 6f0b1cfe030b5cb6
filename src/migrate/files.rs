//! Files that a configuration names: those beside it come along, the others must be readable for the service.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tocsin_node::config::glob;
use tocsin_service::yaml::{self, Kind, Node};

use super::say;
use super::target::Target;

/// A file that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Where it is.
    path: PathBuf,
    /// Its path beside the configuration, when that is how it is named.
    beside: Option<PathBuf>,
}

/// The files of all `*_file` keys and of the template patterns.
pub(super) fn named_in(text: &str, config: &Path) -> Vec<Named> {
    let mut patterns = Vec::new();
    if let Ok(document) = yaml::parse(text, "") {
        document.root().into_iter().for_each(|root| walk(root, false, &mut patterns));
    }
    let directory = config.parent().unwrap_or(Path::new("/"));
    patterns.iter().flat_map(|pattern| matches(pattern, directory)).collect()
}

fn walk(node: &Node, names: bool, patterns: &mut Vec<String>) {
    match node.kind() {
        Kind::Scalar(scalar) if names && !scalar.text().is_empty() => {
            patterns.push(scalar.text().to_owned());
        }
        Kind::Scalar(_) => {}
        Kind::List(nodes) => nodes.iter().for_each(|node| walk(node, names, patterns)),
        Kind::Map(entries) => {
            for entry in entries.iter() {
                let key = entry.key.text();
                walk(&entry.value, key.ends_with("_file") || key == "templates", patterns);
            }
        }
    }
}

/// What a pattern stands for, as Alertmanager finds it; a name without a file is kept, so that it is told.
fn matches(pattern: &str, directory: &Path) -> Vec<Named> {
    let whole = directory.join(pattern);
    let relative = !Path::new(pattern).is_absolute();
    let name = |path: PathBuf| {
        let beside = relative.then(|| path.strip_prefix(directory).ok().map(Path::to_owned));
        Named { beside: beside.flatten(), path }
    };
    let found = glob::expand(&[whole.display().to_string()]).unwrap_or_default();
    if found.is_empty() && !pattern.contains(['*', '?', '[']) {
        return vec![name(whole)];
    }
    found.into_iter().map(name).collect()
}

/// Copies what is beside the configuration; of the rest it says what the service may not read.
/// # Errors
/// When a copy cannot be written.
pub(super) fn take(file: &Named, target: &Target) -> Result<(), String> {
    if let Some(beside) = &file.beside {
        let bytes = std::fs::read(&file.path)
            .map_err(|error| format!("{}: {error}", file.path.display()))?;
        let to = format!("/etc/tocsin/{}", beside.display());
        return target.write(&to, &bytes, Some(&file.path));
    }
    let path = file.path.display();
    match std::fs::metadata(&file.path) {
        Err(error) => say(&format!("  {path}: {error}")),
        Ok(facts) if facts.mode() & 0o004 == 0 && Some(facts.gid()) != target.group() => {
            say(&format!(
                "  the service cannot read {path}; mend it with: chgrp tocsin {path} && chmod g+r {path}"
            ));
        }
        Ok(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_wherever_they_are_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.tmpl"), "").unwrap();
        let text = "global: {slack_api_url_file: /secret/slack}\ntemplates: ['*.tmpl', /none/*.tmpl]\nreceivers: [{name: a, webhook_configs: [{url_file: url}]}]\n";
        let named = named_in(text, &directory.path().join("alertmanager.yml"));
        let paths: Vec<_> = named.iter().map(|file| file.path.clone()).collect();
        let here = |name: &str| directory.path().join(name);
        assert_eq!(paths, [PathBuf::from("/secret/slack"), here("a.tmpl"), here("url")]);
        assert_eq!(named[1].beside, Some(PathBuf::from("a.tmpl")));
        assert_eq!(named[0].beside, None);
    }
}
