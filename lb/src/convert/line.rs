//! Lines of a `haproxy.cfg`: words, quotes, comments, times.

/// Words of a line.
pub(super) type Words = Vec<String>;

/// A line that has no equivalent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its number, from 1.
    pub number: usize,
    /// The line.
    pub line: String,
    /// Why it was left out.
    pub why: String,
    /// What it is about.
    pub kind: LeftKind,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftKind {
    /// How the process runs.
    Operation,
    /// What happens to requests.
    Traffic,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let about = match self.kind {
            LeftKind::Operation => "left out",
            LeftKind::Traffic => "left out, changes traffic",
        };
        write!(f, "line {}: {about}: {}: {}", self.number, self.why, self.line)
    }
}

/// Splits a line at blanks; quotes and backslashes keep them, `#` begins a comment.
pub(super) fn words(line: &str) -> Words {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(c) = letters.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                word.get_or_insert_default().extend(letters.next());
            }
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(q)) if c == q => quote = None,
            ('#', None) => break,
            (' ' | '\t' | '\r', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A time: HAProxy's plain numbers are milliseconds.
pub(super) fn duration(text: &str) -> Result<String, Left> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let known = matches!(unit, "" | "ms" | "s" | "m" | "h" | "d");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || !known {
        let why = format!("{text:?} is not a time");
        let kind = LeftKind::Traffic;
        return Err(Left { number: 0, line: String::new(), why, kind });
    }
    Ok(format!("{digits}{}", if unit.is_empty() { "ms" } else { unit }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_haproxys() {
        assert_eq!(words("  a \"b c\" d\\ e # f"), ["a", "b c", "d e"]);
        assert_eq!(words("x 'y \" # z'"), ["x", "y \" # z"]);
        assert!(words("# all").is_empty());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("1500").unwrap(), "1500ms");
        assert_eq!(duration("10s").unwrap(), "10s");
        assert!(duration("10us").is_err() && duration("s").is_err());
    }
}
