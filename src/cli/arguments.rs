//! Words before flags: `@file` is replaced by the file's lines, `--no-x` by `--x=false`.

use std::ffi::OsString;

use super::Refusal;
use super::node::BOOLEANS;

/// Files inside files are not followed further than this.
const DEPTH_MAX: usize = 8;

/// The command line with every `@file` expanded and every `--no-` form normal.
/// # Errors
/// [`Refusal::Wrong`] when a file cannot be read.
pub(super) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>, Refusal> {
    let mut read = Vec::new();
    for (i, word) in words.into_iter().enumerate() {
        if i == 0 { read.push(word) } else { add(word, 0, &mut read)? }
    }
    Ok(read)
}

fn add(word: OsString, depth: usize, read: &mut Vec<OsString>) -> Result<(), Refusal> {
    let Some(text) = word.to_str() else {
        read.push(word);
        return Ok(());
    };
    if let Some(path) = text.strip_prefix('@') {
        if depth == DEPTH_MAX {
            return Err(Refusal::Wrong(format!(
                "tocsin: error: {text}: argument files lead in a circle\n"
            )));
        }
        let lines = std::fs::read_to_string(path)
            .map_err(|error| Refusal::Wrong(format!("tocsin: error: {path}: {error}\n")))?;
        for line in lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            add(line.into(), depth + 1, read)?;
        }
        return Ok(());
    }
    if text == "--help-long" {
        read.push("--help".into());
        return Ok(());
    }
    let negated = text.strip_prefix("--no-").filter(|name| BOOLEANS.contains(name));
    read.push(match negated {
        Some(name) => format!("--{name}=false").into(),
        None => word,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn file_of_arguments_is_read_line_by_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "--cluster.peer=a b:1\n# not this\n\n--no-log.silences").unwrap();
        let words = ["alertmanager".into(), OsString::from(format!("@{}", file.path().display()))];
        assert_eq!(
            read(words).unwrap(),
            ["alertmanager", "--cluster.peer=a b:1", "--log.silences=false"]
        );
    }

    #[test]
    fn file_that_names_itself_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let word = OsString::from(format!("@{}", file.path().display()));
        writeln!(file, "{}", word.to_str().unwrap()).unwrap();
        assert!(read(["alertmanager".into(), word]).is_err());
    }
}
