//! Translates an expression of Go into one of the `regex` crate that means the same, without flags and with few special characters.
//!
//! Source: Go, `regexp/syntax/parse.go`, `parse` with the flags `Perl`.

use super::BadRegex;
use super::class::{self, parse_class};

/// Deeper expressions are refused; Go allows 1,000, but the compiler of the crate recurses.
pub(super) const NEST_LIMIT: u32 = 250;

/// Matches nothing.
pub(super) const NOTHING: &str = r"[^\x{0}-\x{10ffff}]";

/// Translates.
/// # Errors
/// Go's.
pub(super) fn translate(whole: &str) -> Result<String, BadRegex> {
    let mut translator = Translator::new(whole);
    while !translator.rest.is_empty() {
        translator.step()?;
    }
    if translator.open.is_empty() {
        Ok(translator.out)
    } else {
        Err(BadRegex::new("missing closing )", whole))
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    lazy: bool,
}

/// What a repetition operator would apply to.
#[derive(Debug, Clone, Copy)]
struct Atom {
    /// Where it begins in the output.
    start: usize,
    /// The product of the repetitions inside.
    weight: u32,
    /// How deep it nests.
    depth: u32,
}

struct Group {
    start: usize,
    flags: Flags,
    /// Of the group around.
    weight: u32,
    depth: u32,
}

struct Translator<'a> {
    whole: &'a str,
    rest: &'a str,
    out: String,
    flags: Flags,
    open: Vec<Group>,
    atom: Option<Atom>,
    /// The greatest of the atoms of this group.
    weight: u32,
    depth: u32,
    /// The text from the repetition operator before, if that was the last token.
    last_repeat: Option<&'a str>,
}

impl<'a> Translator<'a> {
    fn new(whole: &'a str) -> Self {
        Self {
            whole,
            rest: whole,
            out: String::with_capacity(whole.len() * 2),
            flags: Flags::default(),
            open: Vec::new(),
            atom: None,
            weight: 1,
            depth: 0,
            last_repeat: None,
        }
    }

    fn step(&mut self) -> Result<(), BadRegex> {
        let last_repeat = self.last_repeat.take();
        let Some(first) = self.rest.chars().next() else { return Ok(()) };
        match first {
            '(' if self.rest.starts_with("(?") => self.perl_group()?,
            '(' => self.open_group(1)?,
            '|' => {
                self.out.push('|');
                self.atom = None;
                self.skip(1);
            }
            ')' => self.close_group()?,
            '^' => self.assertion(if self.flags.multi_line { "(?m:^)" } else { r"\A" }, 1),
            '$' => self.assertion(if self.flags.multi_line { "(?m:$)" } else { r"\z" }, 1),
            '.' => self.assertion(if self.flags.dot_newline { "(?s:.)" } else { "." }, 1),
            '[' => {
                let (class, rest) = parse_class(self.rest, self.flags)?;
                self.push(&class);
                self.rest = rest;
            }
            '*' | '+' | '?' => self.repeat(None, 1, last_repeat)?,
            '{' => match parse_repeat(self.rest) {
                Some((bounds, length)) => self.repeat(Some(bounds), length, last_repeat)?,
                None => self.literal('{', 1),
            },
            '\\' => self.backslash()?,
            rune => self.literal(rune, rune.len_utf8()),
        }
        Ok(())
    }

    fn skip(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
    }

    fn push(&mut self, atom: &str) {
        self.atom = Some(Atom { start: self.out.len(), weight: 1, depth: 1 });
        self.depth = self.depth.max(1);
        self.out.push_str(atom);
    }

    fn assertion(&mut self, atom: &str, length: usize) {
        self.push(atom);
        self.skip(length);
    }

    fn literal(&mut self, rune: char, length: usize) {
        let mut text = escaped(u32::from(rune));
        if self.flags.fold_case && (rune.is_alphabetic() || !rune.is_ascii()) {
            text = format!("(?i:{text})");
        }
        self.push(&text);
        self.skip(length);
    }

    fn open_group(&mut self, length: usize) -> Result<(), BadRegex> {
        if self.open.len() >= NEST_LIMIT as usize / 2 {
            return Err(self.too_deep());
        }
        let start = self.out.len();
        let (weight, depth) = (self.weight, self.depth);
        self.open.push(Group { start, flags: self.flags, weight, depth });
        self.out.push_str("(?:");
        self.atom = None;
        (self.weight, self.depth) = (1, 0);
        self.skip(length);
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), BadRegex> {
        let group = self.open.pop().ok_or_else(|| BadRegex::new("unexpected )", self.whole))?;
        self.out.push(')');
        self.flags = group.flags;
        let atom = Atom { start: group.start, weight: self.weight, depth: self.depth + 1 };
        self.atom = Some(atom);
        self.weight = group.weight.max(atom.weight);
        self.depth = group.depth.max(atom.depth);
        self.skip(1);
        if self.depth > NEST_LIMIT / 2 { Err(self.too_deep()) } else { Ok(()) }
    }

    fn too_deep(&self) -> BadRegex {
        BadRegex::new("expression nests too deeply", self.whole)
    }

    /// `*`, `+`, `?` or, with bounds, `{n,m}`; `length` without the `?` that makes it lazy.
    fn repeat(
        &mut self,
        bounds: Option<Bounds>,
        length: usize,
        last_repeat: Option<&'a str>,
    ) -> Result<(), BadRegex> {
        let before = self.rest;
        let (operator, rest) = before.split_at(length);
        let size = |part| BadRegex::new("invalid repeat count", part);
        if bounds.is_some_and(|bounds| !bounds.is_valid()) {
            return Err(size(operator));
        }
        let lazy = rest.starts_with('?');
        let whole_length = length + usize::from(lazy);
        self.skip(whole_length);
        if let Some(last) = last_repeat {
            let part = &last[..last.len() - self.rest.len()];
            return Err(BadRegex::new("invalid nested repetition operator", part));
        }
        let part = &before[..whole_length];
        let atom = self
            .atom
            .ok_or_else(|| BadRegex::new("missing argument to repetition operator", part))?;
        let weight = bounds.map_or(atom.weight, |bounds| bounds.weight(atom.weight));
        if bounds.is_some_and(Bounds::repeats) && weight > MOST_REPEATS {
            return Err(size(part));
        }
        self.out.insert_str(atom.start, "(?:");
        self.out.push(')');
        self.out.push_str(operator);
        if lazy != self.flags.lazy {
            self.out.push('?');
        }
        let depth = atom.depth + 1;
        self.atom = Some(Atom { start: atom.start, weight, depth });
        self.weight = self.weight.max(weight);
        self.depth = self.depth.max(depth);
        self.last_repeat = Some(before);
        if self.depth > NEST_LIMIT / 2 { Err(self.too_deep()) } else { Ok(()) }
    }

    fn backslash(&mut self) -> Result<(), BadRegex> {
        match self.rest.as_bytes().get(1) {
            Some(b'A') => self.assertion(r"\A", 2),
            Some(b'b') => self.assertion(r"(?-u:\b)", 2),
            Some(b'B') => self.assertion(r"(?-u:\B)", 2),
            Some(b'C') => return Err(BadRegex::new("invalid escape sequence", r"\C")),
            Some(b'Q') => self.quotation(),
            Some(b'z') => self.assertion(r"\z", 2),
            _ => match class::parse_escaped_class(self.rest)? {
                Some((items, rest)) => {
                    let class = format!("[{items}]");
                    let class = if self.flags.fold_case { format!("(?i:{class})") } else { class };
                    self.push(&class);
                    self.rest = rest;
                }
                None => {
                    let (rune, rest) = class::parse_escape(self.rest)?;
                    match char::from_u32(rune) {
                        Some(rune) => self.literal(rune, 0),
                        None => self.push(NOTHING),
                    }
                    self.rest = rest;
                }
            },
        }
        Ok(())
    }

    /// `\Q…\E`.
    fn quotation(&mut self) {
        self.skip(2);
        let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
        for rune in quoted.chars() {
            self.literal(rune, 0);
        }
        self.rest = rest;
    }

    /// `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn perl_group(&mut self) -> Result<(), BadRegex> {
        let text = self.rest;
        let named = match text.as_bytes() {
            [_, _, b'P', b'<', _, ..] => Some(4),
            [_, _, b'<', _, ..] => Some(3),
            _ => None,
        };
        if let Some(name_start) = named {
            return self.named_group(name_start);
        }
        let (mut flags, mut on, mut seen) = (self.flags, true, false);
        for (at, rune) in text.char_indices().skip(2) {
            match rune {
                'i' => flags.fold_case = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_newline = on,
                'U' => flags.lazy = on,
                '-' if on => {
                    on = false;
                    seen = false;
                    continue;
                }
                ':' if on || seen => {
                    self.open_group(at + 1)?;
                    self.flags = flags;
                    return Ok(());
                }
                ')' if on || seen => {
                    self.flags = flags;
                    self.skip(at + 1);
                    return Ok(());
                }
                rune => {
                    let part = &text[..at + rune.len_utf8()];
                    return Err(BadRegex::new("invalid or unsupported Perl syntax", part));
                }
            }
            seen = true;
        }
        Err(BadRegex::new("invalid or unsupported Perl syntax", text))
    }

    fn named_group(&mut self, name_start: usize) -> Result<(), BadRegex> {
        let text = self.rest;
        let bad = |part| BadRegex::new("invalid named capture", part);
        let end = text.find('>').ok_or_else(|| bad(text))?;
        let name = text.get(name_start..end).unwrap_or_default();
        let valid = !name.is_empty()
            && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
        if valid { self.open_group(end + 1) } else { Err(bad(&text[..=end])) }
    }
}

/// Go allows no more repetitions, also not as a product of nested ones.
const MOST_REPEATS: u32 = 1000;

/// The numbers of `{n}`, `{n,}`, `{n,m}`; `None` in place of a number that is far too large.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    min: Option<u32>,
    /// The outer `None` is no bound.
    max: Option<Option<u32>>,
}

impl Bounds {
    fn is_valid(self) -> bool {
        let small = |number: u32| number <= MOST_REPEATS;
        match (self.min, self.max) {
            (Some(min), None) => small(min),
            (Some(min), Some(Some(max))) => small(min) && small(max) && min <= max,
            _ => false,
        }
    }

    fn repeats(self) -> bool {
        self.min.is_some_and(|min| min >= 2) || self.max.flatten().is_some_and(|max| max >= 2)
    }

    fn weight(self, inner: u32) -> u32 {
        let times = self.max.unwrap_or(self.min).unwrap_or(0);
        if self.max == Some(Some(0)) { 1 } else { inner.saturating_mul(times.max(1)) }
    }
}

/// A repetition in braces and its length; `None` when the brace is a literal.
fn parse_repeat(text: &str) -> Option<(Bounds, usize)> {
    let inner = text.strip_prefix('{')?;
    let (min, rest) = parse_number(inner)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (max, rest) = parse_number(rest)?;
            (Some(max), rest)
        }
    };
    let rest = rest.strip_prefix('}')?;
    Some((Bounds { min, max }, text.len() - rest.len()))
}

/// A number without leading zeros; its value is `None` when it is far too large.
fn parse_number(text: &str) -> Option<(Option<u32>, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    if digits.is_empty() || (length > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().ok(), rest))
}

/// The rune in a form that is never special.
pub(super) fn escaped(rune: u32) -> String {
    match char::from_u32(rune) {
        Some(rune) if rune.is_ascii_alphanumeric() || matches!(rune, '_' | ' ') => rune.to_string(),
        _ => format!("\\x{{{rune:x}}}"),
    }
}
