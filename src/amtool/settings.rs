//! The defaults that users keep in files: `name: value` for any flag. The first file that names a flag wins.

use std::path::{Path, PathBuf};

use clap::Command;
use tocsin_service::yaml::{self, Kind};

use super::walk::{Given, knows};

/// Adds to the flags what files say about those of the command that were not given.
/// # Errors
/// When a file is there and is not a map of texts.
pub(super) fn add_defaults(
    root: &Command,
    path: &[String],
    mut given: Vec<Given>,
) -> Result<Vec<Given>, String> {
    for file in files(std::env::var_os("HOME").as_deref().map(Path::new)) {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let name = file.display().to_string();
        let settings =
            read(&text, &name).map_err(|error| format!("could not load config file: {error}"))?;
        for setting in settings {
            let known = given.iter().any(|other| other.name == setting.name);
            if !known && knows(root, path, &setting.name) {
                given.push(setting);
            }
        }
    }
    Ok(given)
}

/// Upstream's two, then those of Debian's package.
fn files(home: Option<&Path>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (own, all) in [
        ("amtool/config.yml", "amtool/config.yml"),
        ("prometheus/amtool.yml", "prometheus/amtool.yml"),
    ] {
        files.extend(home.map(|home| home.join(".config").join(own)));
        files.push(Path::new("/etc").join(all));
    }
    files
}

fn read(text: &str, name: &str) -> Result<Vec<Given>, String> {
    let document = yaml::parse(text, name).map_err(|mistakes| mistakes.summary())?;
    let Some(root) = document.root().filter(|_| !document.is_empty()) else {
        return Ok(Vec::new());
    };
    let Kind::Map(entries) = root.kind() else {
        return Err(format!("{name}: not a map of flags and their values"));
    };
    let mut settings: Vec<Given> = Vec::new();
    for entry in entries.iter() {
        let Kind::Scalar(value) = entry.value.kind() else {
            return Err(format!(
                "{name}:{}: the value of {} is no text",
                entry.place.line,
                entry.key.text()
            ));
        };
        let name = entry.key.text().to_owned();
        settings.push(Given { name, value: value.text().to_owned() });
    }
    rename_old(&mut settings);
    Ok(settings)
}

/// `comment_required` is the old name of `require-comment`.
fn rename_old(settings: &mut Vec<Given>) {
    let renamed = settings.iter().any(|setting| setting.name == "require-comment");
    settings.retain(|setting| !(renamed && setting.name == "comment_required"));
    for setting in settings {
        if setting.name == "comment_required" {
            "require-comment".clone_into(&mut setting.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let given = read(text, "config.yml").unwrap();
        let pairs: Vec<(&str, &str)> =
            given.iter().map(|given| (&*given.name, &*given.value)).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn file_is_a_flat_map_of_texts() {
        check("", &[]);
        check("output: json\n\"author\": 'me'\n", &[("output", "json"), ("author", "me")]);
        check("comment_required: true", &[("require-comment", "true")]);
        check("comment_required: true\nrequire-comment: false", &[("require-comment", "false")]);
        assert!(read("[a]", "config.yml").unwrap_err().contains("not a map"));
        assert!(read("a: [b]", "config.yml").unwrap_err().contains("config.yml:1"));
    }

    #[test]
    fn own_files_come_before_those_of_the_machine() {
        let files = files(Some(Path::new("/home/me")));
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        assert_eq!(
            names,
            [
                "/home/me/.config/amtool/config.yml",
                "/etc/amtool/config.yml",
                "/home/me/.config/prometheus/amtool.yml",
                "/etc/prometheus/amtool.yml"
            ]
        );
    }
}
