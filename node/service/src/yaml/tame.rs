//! Whether a text is so plain that two parsers of YAML cannot disagree about it: then one of them is enough. Line by line,
//! without a tree; what is in doubt is not tame.

/// Longer lines, and deeper trees, are looked at by both parsers.
const LINE_MAX: usize = 1_000;
const DEPTH_MAX: usize = 60;

/// Mappings and lists in block style, one key or item a line, with values that fit into it, texts in lines, and comments.
pub(super) fn is_tame(text: &str) -> bool {
    let mut lines = Lines { open: Vec::new(), after: After::Key };
    let tame = text.split_terminator('\n').all(|line| lines.take(line));
    tame && !lines.open.is_empty() && text.ends_with('\n')
}

/// A collection that is open, with its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    List(usize),
    Map(usize),
}

impl Open {
    fn column(self) -> usize {
        match self {
            Self::List(column) | Self::Map(column) => column,
        }
    }
}

/// What a line leaves to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Nothing: it is complete.
    Whole,
    /// A key that has no value yet, or the beginning.
    Key,
    /// A text in lines, deeper than `above`, whose first line tells how deep.
    Block { above: usize, indent: Option<usize> },
}

struct Lines {
    open: Vec<Open>,
    after: After,
}

impl Lines {
    /// Whether the line goes on tamely.
    fn take(&mut self, line: &str) -> bool {
        if line.len() > LINE_MAX || line.ends_with(' ') || !line.chars().all(is_harmless) {
            return false;
        }
        let content = line.trim_start_matches(' ');
        let column = line.len() - content.len();
        if content.is_empty() {
            return true;
        }
        if let After::Block { above, indent } = self.after
            && above < column
        {
            self.after = After::Block { above, indent: indent.or(Some(column)) };
            return indent.is_none_or(|indent| indent <= column);
        }
        if content.starts_with('#') {
            // Where a text in lines may still begin, a comment is in doubt.
            return !matches!(self.after, After::Block { .. });
        }
        self.item(content, column).is_some()
    }

    /// One key or item.
    fn item(&mut self, mut content: &str, mut column: usize) -> Option<()> {
        let deep = self.open.len();
        let kept = self.open.iter().take_while(|open| open.column() <= column).count();
        self.open.truncate(kept);
        // Only the innermost key can still get its value.
        let mut may_nest = self.after == After::Key && kept == deep;
        while let Some(rest) = content.strip_prefix("- ") {
            self.enter(Open::List(column), may_nest)?;
            (content, column, may_nest) = (rest, column + 2, true);
        }
        let value = match key(content) {
            Some((_, value)) => {
                self.enter(Open::Map(column), may_nest)?;
                value
            }
            // Only an item of a list may be a value alone.
            None if matches!(self.open.last(), Some(Open::List(at)) if at + 2 == column && may_nest) =>
            {
                column -= 2;
                content
            }
            None => return None,
        };
        self.after = match value {
            "" => After::Key,
            "|" | "|-" | "|+" | ">" | ">-" | ">+" => After::Block { above: column, indent: None },
            value if is_value(value) => After::Whole,
            _ => return None,
        };
        Some(())
    }

    /// Goes on in a collection at this column, or opens it where a value is missing.
    fn enter(&mut self, wanted: Open, may_nest: bool) -> Option<()> {
        let column = wanted.column();
        if let (Open::Map(_), [.., Open::Map(map), Open::List(list)]) = (wanted, &self.open[..])
            && map == list
            && *list == column
        {
            // The list was the value of the key before.
            self.open.pop();
        }
        match self.open.last() {
            Some(last) if *last == wanted => Some(()),
            Some(Open::Map(map)) if may_nest && wanted == Open::List(*map) => self.push(wanted),
            Some(last) if may_nest && last.column() < column => self.push(wanted),
            None if may_nest && column == 0 => self.push(wanted),
            _ => None,
        }
    }

    fn push(&mut self, open: Open) -> Option<()> {
        self.open.push(open);
        (self.open.len() < DEPTH_MAX).then_some(())
    }
}

/// Characters that no parser treats in a way of its own.
fn is_harmless(letter: char) -> bool {
    matches!(letter, ' '..='~') || (!letter.is_ascii() && letter.is_alphanumeric())
}

/// A plain key, and the value behind it, which may be missing.
fn key(content: &str) -> Option<(&str, &str)> {
    let (name, rest) = content.split_once(':')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(plain) {
        return None;
    }
    if rest.is_empty() {
        return Some((name, ""));
    }
    let value = rest.strip_prefix(' ')?;
    (!value.starts_with(' ')).then_some((name, value))
}

/// A value that begins and ends in its line.
fn is_value(value: &str) -> bool {
    let inside = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    match value.as_bytes().first() {
        Some(b'\'') => inside('\'').is_some_and(|text| !text.contains('\'')),
        Some(b'"') => inside('"').is_some_and(|text| !text.contains(['"', '\\'])),
        Some(b'[') => {
            value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(is_flow)
        }
        Some(first) if first.is_ascii_alphanumeric() || matches!(first, b'_' | b'/') => {
            !value.contains(" #") && !value.contains(": ") && !value.ends_with(':')
        }
        _ => false,
    }
}

/// Words and quoted texts between commas.
fn is_flow(list: &str) -> bool {
    let word = |word: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let quoted = matches!(word.as_bytes(), [b'\'' | b'"', ..]) && is_value(word);
        (quoted && !word.contains(',')) || (!word.is_empty() && word.bytes().all(plain))
    };
    list.is_empty() || list.split(", ").all(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(is_tame(text), expected, "{text}");
        if expected {
            super::super::judge(text).unwrap();
        }
    }

    #[test]
    fn ordinary_files_are_tame() {
        check(
            "a: 1\nb:\n- c: x=~\"y[0-9]{2}\"\n  d:\n    e: http://h:1/\n- 'f'\ng: [a, 'b', \"c\"]\n",
            true,
        );
        check("a:\n  - b\n  - c: |\n      x\n        y: {{\n\n      z\n    d: 2\n# end\n", true);
        check("a:\n# comment\n  b:\n  c: \"d\"\n\ne: []\n", true);
        check("- a\n- b: c\n  d:\n  - e\n  f: g\n", true);
        check("a:\nb:\n", true);
    }

    #[test]
    fn what_is_in_doubt_is_not() {
        for text in [
            "",
            "a: b",
            "a: &x b\n",
            "a: *x\n",
            "a: !!str b\n",
            "a:\tb\n",
            "a: b # c\n",
            "? a\n",
            "%YAML\na: b\n",
            "---\na: b\n",
            "a: b\n  c\n",
            "a: b\n  c: d\n",
            "a:\n    b: c\n  d: e\n",
            "a: {b: c}\n",
            "a: 'it''s'\n",
            "a: \"b\\n\"\n",
            "a: b: c\n",
            "a:  b\n",
            "a\n",
            "a: |2\n    b\n",
            "a: |\n    b\n  c\n",
            " a: b\n",
            "a: [b,\nc]\n",
            "a: \u{a0}\n",
            "a: -\n",
            "- - - a\n b: c\n",
            "a:\n- b\n c: d\n",
            "a:\n    - b:\n   - c\n",
            "a:\n  b:\n- c\n",
            "a: b \n",
            "a: |\n# c\n  d\n",
        ] {
            check(text, false);
        }
    }

    proptest! {
        #[test]
        fn both_parsers_take_what_is_tame(
            lines in proptest::collection::vec(
                ("( {0,6})(- ){0,2}", "(a|b|c1): ?|", "(|x|'y z'|\"w\"|[|][+-]?|>|[a, 'b']|k=\"v\"|h:1|# c|é)"),
                0..12,
            )
        ) {
            let text: String =
                lines.iter().map(|(indent, key, value)| format!("{indent}{key}{value}\n")).collect();
            if is_tame(&text) {
                prop_assert!(super::super::judge(&text).is_ok(), "{}", text);
            }
        }
    }
}
