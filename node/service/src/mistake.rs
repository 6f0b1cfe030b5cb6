//! What is wrong in a file, said so that it can be repaired: where, which key, what, and what was probably meant.

use std::fmt;
use std::sync::Arc;

/// A place in a text; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// One mistake. Prints as `file:line:column: key: message; hint`, then the offending line with a mark under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file's name as the user gave it.
    pub file: Arc<str>,
    /// Where; `None` when the file as a whole is meant.
    pub place: Option<Place>,
    /// The path of keys, such as `receivers[1].name`; may be empty.
    pub path: String,
    /// What is wrong, a fragment without full stop.
    pub message: String,
    /// What may help, such as `did you mean "receiver"?`.
    pub hint: Option<String>,
    /// The offending line; values of keys that hold secrets are left out.
    pub line: Option<String>,
}

impl Mistake {
    /// A mistake of a file as a whole.
    pub fn of_file(file: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            place: None,
            path: String::new(),
            message: message.into(),
            hint: None,
            line: None,
        }
    }

    /// Where and what in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        let mut text = String::new();
        if !self.file.is_empty() {
            text.push_str(&self.file);
            if let Some(place) = self.place {
                text.push_str(&format!(":{}:{}", place.line, place.column));
            }
            text.push_str(": ");
        }
        if !self.path.is_empty() {
            text.push_str(&self.path);
            text.push_str(": ");
        }
        text.push_str(&self.message);
        if let Some(hint) = &self.hint {
            text.push_str("; ");
            text.push_str(hint);
        }
        text
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        let (Some(line), Some(place)) = (&self.line, self.place) else { return Ok(()) };
        let number = place.line.to_string();
        let gutter = " ".repeat(number.len());
        let before = (place.column as usize).saturating_sub(1);
        // Tabs stay tabs, so that the mark stands under its place on any terminal.
        let pad: String = line
            .chars()
            .take(before)
            .map(|letter| if letter == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "\n  {number} | {line}\n  {gutter} | {pad}^")
    }
}

/// All mistakes of a file, by place. Never empty when it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Sorts them by place.
    #[must_use]
    pub fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|left, right| {
            (left.place, &left.path, &left.message).cmp(&(right.place, &right.path, &right.message))
        });
        mistakes.dedup();
        Self(mistakes)
    }

    /// The first one and the count of the others in one line: for logs and answers.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.0.as_slice() {
            [] => String::new(),
            [only] => only.headline(),
            [first, others @ ..] => {
                let plural = if others.len() == 1 { "mistake" } else { "mistakes" };
                format!("{} (and {} more {plural})", first.headline(), others.len())
            }
        }
    }

    /// The mistakes, by place.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl IntoIterator for Mistakes {
    type Item = Mistake;
    type IntoIter = std::vec::IntoIter<Mistake>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// The name that was probably meant, if one is near: one slip in three letters, letter case and `-` for `_` aside.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wrong = plain(wrong);
    // Longer texts are no slips, and the comparison is quadratic.
    if wrong.is_empty() || wrong.len() > 80 {
        return None;
    }
    let allowed = (wrong.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        .map(|name| (distance(&wrong, &plain(name)), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters must be put in, left out, replaced or swapped.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let width = right.len() + 1;
    let mut rows = vec![0; (left.len() + 1) * width];
    for row in 0..=left.len() {
        for column in 0..width {
            let best = if row == 0 || column == 0 {
                row + column
            } else {
                let same = left[row - 1] == right[column - 1];
                let mut best = rows[(row - 1) * width + column - 1] + usize::from(!same);
                best = best.min(rows[(row - 1) * width + column] + 1);
                best = best.min(rows[row * width + column - 1] + 1);
                let swapped = 1 < row
                    && 1 < column
                    && left[row - 1] == right[column - 2]
                    && left[row - 2] == right[column - 1];
                if swapped {
                    best = best.min(rows[(row - 2) * width + column - 2] + 1);
                }
                best
            };
            rows[row * width + column] = best;
        }
    }
    rows.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_the_place() {
        let mistake = Mistake {
            file: "a.yml".into(),
            place: Some(Place { line: 12, column: 5 }),
            path: "route.reciever".to_owned(),
            message: "unknown key".to_owned(),
            hint: Some("did you mean \"receiver\"?".to_owned()),
            line: Some("\t   reciever: x".to_owned()),
        };
        let expected = "a.yml:12:5: route.reciever: unknown key; did you mean \"receiver\"?\n  \
                        12 | \t   reciever: x\n     | \t   ^";
        assert_eq!(mistake.to_string(), expected);
    }

    #[test]
    fn summary_counts_the_others() {
        let mistake = |line| Mistake {
            place: Some(Place { line, column: 1 }),
            ..Mistake::of_file("a.yml", "wrong")
        };
        let three = Mistakes::new(vec![mistake(9), mistake(2), mistake(5)]);
        assert_eq!(three.summary(), "a.yml:2:1: wrong (and 2 more mistakes)");
        assert_eq!(Mistakes::from(mistake(3)).summary(), "a.yml:3:1: wrong");
    }

    #[track_caller]
    fn check(wrong: &str, expected: Option<&str>) {
        let names = ["receiver", "receivers", "route", "group_by", "http_config", "to"];
        assert_eq!(nearest(wrong, names), expected);
    }

    #[test]
    fn slips_find_the_name_that_was_meant() {
        check("reciever", Some("receiver"));
        check("recievers", Some("receivers"));
        check("Group-By", Some("group_by"));
        check("httpconfig", Some("http_config"));
        check("rotue", Some("route"));
        check("silences", None);
        check("x", None);
        check("", None);
    }
}
