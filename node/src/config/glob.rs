//! File names by shell patterns, as Go's `filepath.Glob` finds them: `*`, `?`, `[…]` and backslash, in any part of the path; no `**`.

use std::path::{Path, PathBuf};

/// A pattern with a bracket that is not closed, or a backslash at its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern {0:?}")]
pub struct BadPattern(pub String);

/// Whether the pattern is one.
/// # Errors
/// [`BadPattern`].
pub fn check(pattern: &str) -> Result<(), BadPattern> {
    let letters: Vec<char> = pattern.chars().collect();
    match matches(&letters, &[]) {
        Ok(_) if parts_are_good(&letters) => Ok(()),
        _ => Err(BadPattern(pattern.to_owned())),
    }
}

/// The files of all patterns: patterns in their order, the files of each sorted. No file is no error.
/// # Errors
/// [`BadPattern`] for the first one.
pub fn expand(patterns: &[String]) -> Result<Vec<PathBuf>, BadPattern> {
    let mut files = Vec::new();
    for pattern in patterns {
        check(pattern)?;
        let mut found = find(Path::new(pattern));
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

fn find(pattern: &Path) -> Vec<PathBuf> {
    if !is_pattern(&pattern.to_string_lossy()) {
        return if pattern.symlink_metadata().is_ok() {
            vec![pattern.to_owned()]
        } else {
            Vec::new()
        };
    }
    let Some(name) = pattern.file_name() else { return Vec::new() };
    let name: Vec<char> = name.to_string_lossy().chars().collect();
    let parent = pattern.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    for directory in find_directories(parent) {
        let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
        // What cannot be listed holds no match, as in Go.
        let Ok(entries) = std::fs::read_dir(listed) else { continue };
        for entry in entries.flatten() {
            let file = entry.file_name();
            let letters: Vec<char> = file.to_string_lossy().chars().collect();
            if matches(&name, &letters) == Ok(true) {
                found.push(directory.join(file));
            }
        }
    }
    found
}

fn find_directories(parent: &Path) -> Vec<PathBuf> {
    if is_pattern(&parent.to_string_lossy()) { find(parent) } else { vec![parent.to_owned()] }
}

/// Goes over the whole pattern, whatever the name.
fn parts_are_good(pattern: &[char]) -> bool {
    let mut at = 0;
    while let Some(letter) = pattern.get(at) {
        match letter {
            '\\' if at + 1 == pattern.len() => return false,
            '\\' => at += 2,
            '[' => match class(&pattern[at..], 'x') {
                Ok((_, length)) => at += length,
                Err(Malformed) => return false,
            },
            _ => at += 1,
        }
    }
    true
}

#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// Whether the name matches; a star matches everything but a slash.
fn matches(pattern: &[char], name: &[char]) -> Result<bool, Malformed> {
    // Where to go on when the last star must take one letter more.
    let mut retry: Option<(usize, usize)> = None;
    let (mut at, mut of) = (0, 0);
    loop {
        let step = match (pattern.get(at), name.get(of)) {
            (None, None) => return Ok(true),
            (Some('*'), _) => {
                retry = Some((at + 1, of));
                at += 1;
                continue;
            }
            (Some('?'), Some(letter)) if *letter != '/' => Some(1),
            (Some('['), Some(letter)) => {
                let (hit, length) = class(&pattern[at..], *letter)?;
                hit.then_some(length)
            }
            (Some('\\'), letter) => match pattern.get(at + 1) {
                None => return Err(Malformed),
                Some(wanted) => (Some(wanted) == letter).then_some(2),
            },
            (Some(wanted), Some(letter)) if wanted == letter => Some(1),
            _ => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                at += length;
                of += 1;
            }
            (None, Some((after, taken)))
                if name.get(taken).is_some_and(|letter| *letter != '/') =>
            {
                retry = Some((after, taken + 1));
                (at, of) = (after, taken + 1);
            }
            (None, _) => return Ok(false),
        }
    }
}

/// A class at the start of the pattern: whether it holds the letter, and its length.
fn class(pattern: &[char], letter: char) -> Result<(bool, usize), Malformed> {
    let negated = pattern.get(1) == Some(&'^');
    let mut at = if negated { 2 } else { 1 };
    let (mut hit, mut ranges) = (false, 0);
    loop {
        if pattern.get(at) == Some(&']') && ranges > 0 {
            return Ok((hit != negated, at + 1));
        }
        let (low, after) = class_letter(pattern, at)?;
        let (high, after) = if pattern.get(after) == Some(&'-') {
            class_letter(pattern, after + 1)?
        } else {
            (low, after)
        };
        hit |= low <= letter && letter <= high;
        at = after;
        ranges += 1;
    }
}

fn class_letter(pattern: &[char], at: usize) -> Result<(char, usize), Malformed> {
    match pattern.get(at) {
        None | Some('-' | ']') => Err(Malformed),
        Some('\\') => match pattern.get(at + 1) {
            Some(letter) if at + 2 < pattern.len() => Ok((*letter, at + 2)),
            _ => Err(Malformed),
        },
        Some(letter) if at + 1 < pattern.len() => Ok((*letter, at + 1)),
        Some(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_match(pattern: &str, name: &str, expected: Option<bool>) {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        let found = match check(pattern) {
            Ok(()) => matches(&letters(pattern), &letters(name)).ok(),
            Err(_) => None,
        };
        assert_eq!(found, expected, "{pattern} {name}");
    }

    /// The cases of Go's own test of `filepath.Match`.
    #[test]
    fn patterns_match_as_in_go() {
        check_match("abc", "abc", Some(true));
        check_match("*", "abc", Some(true));
        check_match("*c", "abc", Some(true));
        check_match("a*", "ab/c", Some(false));
        check_match("a*b*c*d*e*/f", "axbxcxdxexxx/f", Some(true));
        check_match("a*b?c*x", "abxbbxdbxebxczzx", Some(true));
        check_match("ab[c]", "abc", Some(true));
        check_match("ab[e-g]", "abc", Some(false));
        check_match("ab[^c]", "abc", Some(false));
        check_match("a\\*b", "a*b", Some(true));
        check_match("a\\*b", "ab", Some(false));
        check_match("a?b", "a☺b", Some(true));
        check_match("[a-ζ]*", "α", Some(true));
        check_match("a?b", "a/b", Some(false));
        check_match("[\\]a]", "]", Some(true));
        check_match("[]a]", "]", None);
        check_match("[-]", "-", None);
        check_match("[x-]", "x", None);
        check_match("[a-b-c]", "a", None);
        check_match("[", "a", None);
        check_match("[^bc", "a", None);
        check_match("a[", "ab", None);
        check_match("\\", "a", None);
    }

    #[test]
    fn files_are_found_in_any_part_of_the_path() {
        let home = tempfile::tempdir().unwrap();
        for name in ["b/two.tmpl", "a/one.tmpl", "a/other.txt"] {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let pattern = |end: &str| format!("{}/{end}", home.path().display());
        let found = |end: &str| {
            let files = expand(&[pattern(end)]).unwrap();
            let name =
                |path: &PathBuf| path.strip_prefix(home.path()).unwrap().display().to_string();
            files.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(found("*/*.tmpl"), ["a/one.tmpl", "b/two.tmpl"]);
        assert_eq!(found("a/o*"), ["a/one.tmpl", "a/other.txt"]);
        assert_eq!(found("b/two.tmpl"), ["b/two.tmpl"]);
        assert_eq!(found("c/*"), Vec::<String>::new());
        assert!(expand(&[pattern("[")]).is_err());
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[a*?\\[\\]^\\\\/-]{0,12}", name in "[a/-]{0,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            let _ = (check(&pattern), matches(&letters(&pattern), &letters(&name)));
        }
    }
}
