//! The words of a command line, one after the other: what is a flag, what its value, what an argument.

use std::collections::VecDeque;

use super::failure::reason;

/// Files inside files are not followed further than this.
const DEPTH_MAX: usize = 8;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `--name` or `--name=value`.
    Long { name: String, value: Option<String> },
    /// `-x`, with what stands behind the letter in the same word.
    Short { letter: String, rest: String },
    /// All else.
    Argument(String),
}

/// The words that have not been read.
#[derive(Debug)]
pub(super) struct Arguments {
    words: VecDeque<(String, usize)>,
    /// After `--` all are arguments.
    plain: bool,
}

impl Arguments {
    /// All words but the program's name.
    pub(super) fn new(words: Vec<String>) -> Self {
        Self { words: words.into_iter().map(|word| (word, 0)).collect(), plain: false }
    }

    /// Takes the next word; `@file` stands for the lines of the file.
    /// # Errors
    /// When that file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Token>, String> {
        loop {
            let Some((word, depth)) = self.words.pop_front() else { return Ok(None) };
            if self.plain {
                return Ok(Some(Token::Argument(word)));
            }
            if word == "--" {
                self.plain = true;
            } else if let Some(path) = word.strip_prefix('@') {
                self.read_file(path, depth)?;
            } else {
                return Ok(Some(token(word)));
            }
        }
    }

    /// Takes the next word if it can be a flag's value.
    /// # Errors
    /// When it names a file that cannot be read.
    pub(super) fn next_value(&mut self) -> Result<Option<String>, String> {
        match self.words.front() {
            Some((word, _)) if !word.starts_with('-') => {}
            _ => return Ok(None),
        }
        match self.next()? {
            Some(Token::Argument(value)) => Ok(Some(value)),
            _ => Ok(None),
        }
    }

    /// Puts back what [`Arguments::next`] has taken off a word of joined letters.
    pub(super) fn put_back(&mut self, word: String) {
        self.words.push_front((word, 0));
    }

    fn read_file(&mut self, path: &str, depth: usize) -> Result<(), String> {
        if depth == DEPTH_MAX {
            return Err(format!("@{path}: argument files lead in a circle"));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("open {path}: {}", reason(&error)))?;
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines.rev() {
            self.words.push_front((line.to_owned(), depth + 1));
        }
        Ok(())
    }
}

fn token(word: String) -> Token {
    if let Some(flag) = word.strip_prefix("--") {
        return match flag.split_once('=') {
            Some((name, value)) => {
                Token::Long { name: name.to_owned(), value: Some(value.to_owned()) }
            }
            None => Token::Long { name: flag.to_owned(), value: None },
        };
    }
    let Some(letters) = word.strip_prefix('-') else { return Token::Argument(word) };
    let end = letters.chars().next().map_or(0, char::len_utf8);
    Token::Short { letter: letters[..end].to_owned(), rest: letters[end..].to_owned() }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn all(words: &[&str]) -> Vec<Token> {
        let mut arguments = Arguments::new(words.iter().map(|word| (*word).to_owned()).collect());
        std::iter::from_fn(|| arguments.next().unwrap()).collect()
    }

    fn argument(text: &str) -> Token {
        Token::Argument(text.to_owned())
    }

    #[test]
    fn two_dashes_end_flags() {
        let long = Token::Long { name: "a".to_owned(), value: Some("b=c".to_owned()) };
        assert_eq!(all(&["--a=b=c", "--", "--d", "@e"]), [long, argument("--d"), argument("@e")]);
    }

    #[test]
    fn lines_of_a_file_take_its_place() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "one two\n# not this\n\n-x").unwrap();
        let word = format!("@{}", file.path().display());
        let short = Token::Short { letter: "x".to_owned(), rest: String::new() };
        assert_eq!(
            all(&["a", &word, "b"]),
            [argument("a"), argument("one two"), short, argument("b")]
        );
    }

    #[test]
    fn file_that_names_itself_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let word = format!("@{}", file.path().display());
        write!(file, "{word}").unwrap();
        assert!(Arguments::new(vec![word]).next().unwrap_err().contains("circle"));
    }
}
