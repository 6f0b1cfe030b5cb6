//! Reading a tree by key: every mistake is kept, none stops the reader.
//!
//! A [`Section`] remembers the keys that it was asked for. When it is dropped, all others are
//! unknown keys, and those asked for are what may have been meant; there is no second list of keys.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::{Entry, Kind, Node, Resolved, Scalar};
use crate::duration::{parse_duration, parse_go_duration};
use crate::mistake::{Mistake, Mistakes, Place, nearest};
use crate::secret::{HIDDEN, Secret};

/// The text that is read, and all that was found wrong in it so far.
#[derive(Debug, Clone)]
pub struct Report {
    file: Arc<str>,
    text: Arc<str>,
    mistakes: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<Mistake>>,
}

/// What was read, and what is odd in it.
#[derive(Debug)]
pub struct Reading<T> {
    /// What was read.
    pub value: T,
    /// Odd places that are no mistakes.
    pub warnings: Vec<Mistake>,
}

impl Report {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.into(),
            text: text.into(),
            mistakes: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A mistake at a place of this text.
    pub(super) fn at(
        &self,
        place: Option<Place>,
        path: &str,
        message: String,
        hint: Option<String>,
    ) -> Mistake {
        let line = place.and_then(|place| {
            let line = self.text.lines().nth((place.line as usize).saturating_sub(1))?;
            Some(presentable(line, place))
        });
        Mistake { file: self.file.clone(), place, path: path.to_owned(), message, hint, line }
    }
}

/// The line without the values of keys that may hold secrets, and not too long.
fn presentable(line: &str, place: Place) -> String {
    const WORDS: [&str; 9] =
        ["password", "pasword", "secret", "token", "key", "credential", "url", "bearer", "header"];
    const LONGEST: usize = 160;
    let shown = match line.find(": ") {
        Some(at) if WORDS.iter().any(|word| line[..at].to_lowercase().contains(word)) => {
            let value = line[at + 2..].trim();
            let harmless = value.is_empty() || value.starts_with(['#', '|', '>', '&', '*']);
            if harmless { line.to_owned() } else { format!("{}: {HIDDEN}", &line[..at]) }
        }
        // A flow mapping may hold anything.
        _ if line.contains('{') && WORDS.iter().any(|word| line.to_lowercase().contains(word)) => {
            let kept = (place.column as usize).saturating_sub(1);
            let kept: String = line.chars().take(kept).collect();
            let risky = WORDS.iter().any(|word| kept.to_lowercase().contains(word));
            if risky { HIDDEN.to_owned() } else { format!("{kept}{HIDDEN}") }
        }
        _ => line.to_owned(),
    };
    if shown.chars().count() <= LONGEST {
        return shown;
    }
    shown.chars().take(LONGEST).chain(['…']).collect()
}

pub(super) fn read<T>(
    report: &Report,
    root: Option<&Node>,
    read: impl FnOnce(Section<'_>) -> T,
) -> Result<Reading<T>, Mistakes> {
    let report =
        Report { mistakes: RefCell::default(), warnings: RefCell::default(), ..report.clone() };
    let value = match root {
        None => read(Section::of(&report, "".into(), Place { line: 1, column: 1 }, &[])),
        Some(root) => {
            let path = Path::Done("".into());
            let field = Field { report: &report, node: root, place: root.place, path };
            read(field.section_or_empty())
        }
    };
    let mistakes = report.mistakes.into_inner();
    if mistakes.is_empty() {
        let mut warnings = report.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.place);
        Ok(Reading { value, warnings })
    } else {
        Err(Mistakes::new(mistakes))
    }
}

/// A mapping whose keys are known to the reader.
#[derive(Debug)]
pub struct Section<'a> {
    report: &'a Report,
    path: Arc<str>,
    place: Place,
    entries: &'a [Entry],
    asked: RefCell<Vec<&'static str>>,
    tolerant: Cell<bool>,
}

impl<'a> Section<'a> {
    fn of(report: &'a Report, path: Arc<str>, place: Place, entries: &'a [Entry]) -> Self {
        let (asked, tolerant) = (RefCell::default(), Cell::new(false));
        Self { report, path, place, entries, asked, tolerant }
    }

    /// The value of a key, `null` included.
    pub fn field(&self, key: &'static str) -> Option<Field<'a>> {
        {
            let mut asked = self.asked.borrow_mut();
            if !asked.contains(&key) {
                asked.push(key);
            }
        }
        let entry = self.entries.iter().find(|entry| entry.key.text() == key)?;
        Some(self.field_of(entry))
    }

    /// The value of a key, unless it is absent or `null`.
    pub fn given(&self, key: &'static str) -> Option<Field<'a>> {
        self.field(key).filter(|field| !field.is_null())
    }

    /// Whether a key is there and not `null`.
    pub fn has(&self, key: &'static str) -> bool {
        self.given(key).is_some()
    }

    fn field_of(&self, entry: &'a Entry) -> Field<'a> {
        let path = Path::Key(self.path.clone(), entry.key.text());
        Field { report: self.report, node: &entry.value, place: entry.place, path }
    }

    /// The text of a key; `null` is empty, absent (or no text) is the default.
    pub fn text_or(&self, key: &'static str, default: &str) -> String {
        self.field(key).and_then(|field| field.text()).unwrap_or_else(|| default.to_owned())
    }

    /// The truth value of a key.
    pub fn bool_or(&self, key: &'static str, default: bool) -> bool {
        self.field(key).and_then(|field| field.bool()).unwrap_or(default)
    }

    /// The whole number of a key.
    pub fn integer_or(&self, key: &'static str, default: i64) -> i64 {
        self.field(key).and_then(|field| field.integer()).unwrap_or(default)
    }

    /// The Prometheus duration of a key.
    pub fn duration_or(&self, key: &'static str, default: Duration) -> Duration {
        self.field(key).and_then(|field| field.duration()).unwrap_or(default)
    }

    /// The items of a list; none when the key is absent or `null`.
    pub fn list(&self, key: &'static str) -> Vec<Field<'a>> {
        self.field(key).map(|field| field.list()).unwrap_or_default()
    }

    /// The texts of a list.
    pub fn texts(&self, key: &'static str) -> Vec<String> {
        self.list(key).iter().filter_map(Field::text).collect()
    }

    /// The mapping of a key, unless absent or `null`.
    pub fn section(&self, key: &'static str) -> Option<Section<'a>> {
        self.field(key)?.section()
    }

    /// The mapping of a key; an empty one when it is absent, `null` or a mistake.
    pub fn section_or_empty(&self, key: &'static str) -> Section<'a> {
        match self.field(key) {
            Some(field) => field.section_or_empty(),
            None => Section::of(self.report, key.into(), self.place, &[]),
        }
    }

    /// Whether anything in the whole text was a mistake so far.
    #[must_use]
    pub fn has_mistakes(&self) -> bool {
        !self.report.mistakes.borrow().is_empty()
    }

    /// The path of keys to here; empty at the root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where it begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether no key at all is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Notes a mistake of the section as a whole.
    pub fn mistake(&self, message: impl Into<String>) {
        let mistake = self.report.at(Some(self.place), &self.path, message.into(), None);
        self.report.mistakes.borrow_mut().push(mistake);
    }

    /// Notes something odd about the section as a whole.
    pub fn warn(&self, message: impl Into<String>) {
        let warning = self.report.at(Some(self.place), &self.path, message.into(), None);
        self.report.warnings.borrow_mut().push(warning);
    }

    /// Lets unknown keys pass.
    pub fn ignore_unknown(&self) {
        self.tolerant.set(true);
    }

    /// A mistake for each key that nobody has asked for.
    fn refuse_unknown(&self) {
        let asked = self.asked.borrow();
        for entry in self.entries.iter().filter(|entry| !asked.contains(&entry.key.text())) {
            let name = entry.key.text();
            let free = asked
                .iter()
                .copied()
                .filter(|asked| !self.entries.iter().any(|entry| entry.key.text() == *asked));
            let hint = nearest(name, free).map(|name| format!("did you mean {name:?}?"));
            let path = Path::Key(self.path.clone(), name).to_text();
            let message = "unknown key".to_owned();
            let mut mistake = self.report.at(Some(entry.place), &path, message, hint);
            // What an unknown key holds may be a secret.
            if let Some(line) = mistake.line.take() {
                let kept = entry.place.column as usize - 1 + name.chars().count();
                mistake.line = Some(line.chars().take(kept).chain(":".chars()).collect());
            }
            self.report.mistakes.borrow_mut().push(mistake);
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if !self.tolerant.get() {
            self.refuse_unknown();
        }
    }
}

/// How to name a value; made into a text only when it is needed.
#[derive(Debug, Clone)]
enum Path<'a> {
    Done(Arc<str>),
    Key(Arc<str>, &'a str),
    Item(Arc<str>, usize),
}

impl Path<'_> {
    fn to_text(&self) -> String {
        match self {
            Self::Done(path) => path.to_string(),
            Self::Key(parent, key) if parent.is_empty() => (*key).to_owned(),
            Self::Key(parent, key) => format!("{parent}.{key}"),
            Self::Item(parent, at) => format!("{parent}[{at}]"),
        }
    }
}

/// A value, and how to say where it is.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    report: &'a Report,
    node: &'a Node,
    /// Of the key; of the item itself in a list.
    place: Place,
    path: Path<'a>,
}

impl<'a> Field<'a> {
    /// The value.
    #[must_use]
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// The path of keys to here.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.to_text()
    }

    /// Whether it is `null`, `~` or nothing at all.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.node.is_null()
    }

    /// Whether it is neither a list nor a mapping.
    #[must_use]
    pub fn is_scalar(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar(_))
    }

    /// Notes a mistake of this value.
    pub fn mistake(&self, message: impl Into<String>) {
        self.note(message.into(), None);
    }

    /// Notes a mistake of this value and what may help.
    pub fn mistake_with_hint(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.note(message.into(), Some(hint.into()));
    }

    /// Notes a mistake; the hint is the nearest of the names, if one is near.
    pub fn mistake_near<'n>(
        &self,
        message: impl Into<String>,
        wrong: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) {
        let hint = nearest(wrong, names).map(|name| format!("did you mean {name:?}?"));
        self.note(message.into(), hint);
    }

    /// Notes something odd that is no mistake.
    pub fn warn(&self, message: impl Into<String>) {
        let warning = self.report.at(Some(self.value_place()), &self.path(), message.into(), None);
        self.report.warnings.borrow_mut().push(warning);
    }

    fn note(&self, message: String, hint: Option<String>) {
        let mistake = self.report.at(Some(self.value_place()), &self.path(), message, hint);
        self.report.mistakes.borrow_mut().push(mistake);
    }

    /// An empty value has no place that one could see.
    fn value_place(&self) -> Place {
        if self.is_null() { self.place } else { self.node.place }
    }

    fn scalar(&self, wanted: &str) -> Option<&'a Scalar> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::List(_) => self.refuse(wanted, "a list"),
            Kind::Map(_) => self.refuse(wanted, "a mapping"),
        }
    }

    fn refuse<T>(&self, wanted: &str, found: &str) -> Option<T> {
        self.mistake(format!("must be {wanted}, not {found}"));
        None
    }

    /// Any scalar, as written; `null` is empty.
    pub fn text(&self) -> Option<String> {
        let scalar = self.scalar("a text")?;
        Some(if scalar.is_null() { String::new() } else { scalar.text().to_owned() })
    }

    /// As [`Field::text`].
    pub fn secret(&self) -> Option<Secret> {
        self.text().map(Secret::from)
    }

    /// A truth value; `null` is false.
    pub fn bool(&self) -> Option<bool> {
        match self.scalar("true or false")?.resolve() {
            Resolved::Bool(value) => Some(value),
            Resolved::Null => Some(false),
            Resolved::Text(text) if Scalar::plain(&text).is_bool() => {
                let hint = "leave the quotes out";
                self.mistake_with_hint("must be true or false, not a text", hint);
                None
            }
            Resolved::Int(_) | Resolved::Unsigned(_) | Resolved::Float(_) => {
                self.refuse("true or false", "a number")
            }
            Resolved::Text(_) => self.refuse("true or false", "a text"),
        }
    }

    /// A whole number; a fraction is cut off, `null` is 0.
    pub fn integer(&self) -> Option<i64> {
        const WANTED: &str = "a whole number";
        match self.scalar(WANTED)?.resolve() {
            Resolved::Int(value) => Some(value),
            Resolved::Null => Some(0),
            Resolved::Float(value) => truncated(value).or_else(|| self.refuse(WANTED, "this")),
            Resolved::Unsigned(_) => self.refuse(WANTED, "one this large"),
            Resolved::Bool(_) => self.refuse(WANTED, "a truth value"),
            Resolved::Text(_) => self.refuse(WANTED, "a text"),
        }
    }

    /// A whole number that is not negative; a fraction is cut off, `null` is 0.
    pub fn unsigned(&self) -> Option<u64> {
        match self.scalar("a whole number")?.resolve() {
            Resolved::Unsigned(value) => Some(value),
            _ => match u64::try_from(self.integer()?) {
                Ok(value) => Some(value),
                Err(_) => self.refuse("a whole number", "a negative one"),
            },
        }
    }

    /// A number; `null` is 0.
    pub fn float(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "as go-yaml does")]
        match self.scalar("a number")?.resolve() {
            Resolved::Float(value) => Some(value),
            Resolved::Int(value) => Some(value as f64),
            Resolved::Unsigned(value) => Some(value as f64),
            Resolved::Null => Some(0.0),
            Resolved::Bool(_) => self.refuse("a number", "a truth value"),
            Resolved::Text(_) => self.refuse("a number", "a text"),
        }
    }

    /// A Prometheus duration such as `1h30m`; `null` is 0.
    pub fn duration(&self) -> Option<Duration> {
        let scalar = self.scalar("a duration")?;
        if scalar.is_null() {
            return Some(Duration::ZERO);
        }
        match parse_duration(scalar.text()) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let hint = "write it as 30s, 5m or 1h30m; units are y, w, d, h, m, s, ms";
                self.mistake_with_hint(error.to_string(), hint);
                None
            }
        }
    }

    /// A Go duration such as `1.5h`; a bare number is nanoseconds, `null` is 0.
    pub fn go_duration(&self) -> Option<SignedDuration> {
        let scalar = self.scalar("a duration")?;
        match scalar.resolve() {
            Resolved::Int(nanos) => Some(SignedDuration::from_nanos(nanos)),
            Resolved::Null => Some(SignedDuration::ZERO),
            Resolved::Float(nanos) => truncated(nanos)
                .map(SignedDuration::from_nanos)
                .or_else(|| self.refuse("a duration", "this")),
            Resolved::Bool(_) | Resolved::Unsigned(_) | Resolved::Text(_) => {
                self.go_duration_text(scalar.text())
            }
        }
    }

    /// As [`Field::go_duration`], but a bare number other than 0 is a mistake.
    pub fn strict_go_duration(&self) -> Option<SignedDuration> {
        let scalar = self.scalar("a duration")?;
        if scalar.is_null() {
            Some(SignedDuration::ZERO)
        } else {
            self.go_duration_text(scalar.text())
        }
    }

    fn go_duration_text(&self, text: &str) -> Option<SignedDuration> {
        match parse_go_duration(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let hint = "write it as 30s, 5m or 1h30m; units are h, m, s, ms, us, ns";
                self.mistake_with_hint(error.to_string(), hint);
                None
            }
        }
    }

    /// The items; `null` has none.
    pub fn list(&self) -> Vec<Field<'a>> {
        match &self.node.kind {
            Kind::List(items) => {
                let path: Arc<str> = self.path().into();
                let item = |(at, node): (usize, &'a Node)| Field {
                    report: self.report,
                    node,
                    place: node.place,
                    path: Path::Item(path.clone(), at),
                };
                items.iter().enumerate().map(item).collect()
            }
            Kind::Scalar(scalar) if scalar.is_null() => Vec::new(),
            Kind::Scalar(_) => {
                self.mistake_with_hint("must be a list, not a single value", "write it as [value]");
                Vec::new()
            }
            Kind::Map(_) => {
                self.mistake("must be a list, not a mapping");
                Vec::new()
            }
        }
    }

    /// The entries of a mapping with keys of the user's choice; `null` has none.
    pub fn entries(&self) -> Vec<(&'a str, Field<'a>)> {
        match &self.node.kind {
            Kind::Map(entries) => {
                let path: Arc<str> = self.path().into();
                let entry = |entry: &'a Entry| {
                    let (name, path) = (entry.key.text(), path.clone());
                    let path = Path::Key(path, name);
                    let place = entry.place;
                    (name, Field { report: self.report, node: &entry.value, place, path })
                };
                entries.iter().map(entry).collect()
            }
            Kind::Scalar(scalar) if scalar.is_null() => Vec::new(),
            Kind::Scalar(_) => {
                self.mistake("must be a mapping, not a single value");
                Vec::new()
            }
            Kind::List(_) => {
                self.mistake("must be a mapping, not a list");
                Vec::new()
            }
        }
    }

    /// The mapping; `None` when it is `null` or something else, which is a mistake.
    pub fn section(&self) -> Option<Section<'a>> {
        match &self.node.kind {
            Kind::Map(entries) => {
                let path = self.path().into();
                Some(Section::of(self.report, path, self.node.place, entries))
            }
            Kind::Scalar(scalar) if scalar.is_null() => None,
            Kind::Scalar(_) => self.refuse("a mapping", "a single value"),
            Kind::List(_) => self.refuse("a mapping", "a list"),
        }
    }

    /// The mapping; `null` is an empty one, anything else a mistake and an empty one.
    pub fn section_or_empty(&self) -> Section<'a> {
        self.section().unwrap_or_else(|| {
            Section::of(self.report, self.path().into(), self.value_place(), &[])
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be in range; fractions are cut off"
)]
fn truncated(value: f64) -> Option<i64> {
    let fits = value.is_finite() && -9.2e18 < value && value < 9.2e18;
    fits.then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use crate::mistake::{Mistake, Mistakes};
    use crate::yaml::{Reading, Section, parse};

    fn read<T>(text: &str, reader: impl FnOnce(&Section<'_>) -> T) -> Result<Reading<T>, Mistakes> {
        parse(text, "t.yml")?.read(reader)
    }

    #[track_caller]
    fn check<T>(text: &str, reader: impl FnOnce(&Section<'_>) -> T, expected: &[&str]) {
        let mistakes = read(text, reader).map(|_| ()).err().unwrap_or_default();
        let found: Vec<_> = mistakes.iter().map(Mistake::headline).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let text = "rout: x\ntime: 5\nlist: one\nflag: \"yes\"\nsub:\n  naem: 1\n";
        let reader = |section: &Section<'_>| {
            section.text_or("route", "");
            section.duration_or("time", std::time::Duration::ZERO);
            section.texts("list");
            section.bool_or("flag", false);
            let sub = section.section("sub");
            sub.map(|sub| sub.text_or("name", ""))
        };
        let expected = [
            "t.yml:1:1: rout: unknown key; did you mean \"route\"?",
            "t.yml:2:7: time: not a valid duration string: \"5\"; write it as 30s, 5m or 1h30m; units are y, w, d, h, m, s, ms",
            "t.yml:3:7: list: must be a list, not a single value; write it as [value]",
            "t.yml:4:7: flag: must be true or false, not a text; leave the quotes out",
            "t.yml:6:3: sub.naem: unknown key; did you mean \"name\"?",
        ];
        check(text, reader, &expected);
    }

    #[test]
    fn null_is_the_zero_value_and_absence_the_default() {
        let reader = |section: &Section<'_>| {
            (section.text_or("a", "x"), section.text_or("b", "x"), section.bool_or("c", true))
        };
        let reading = read("a:\nc: ~", reader).unwrap();
        assert_eq!(reading.value, (String::new(), "x".to_owned(), false));
    }

    #[test]
    fn scalars_convert_as_go_yaml_does() {
        let reader = |section: &Section<'_>| {
            let text = section.text_or("t", "");
            let number = section.integer_or("i", 0);
            let go = section.field("g").and_then(|field| field.go_duration());
            (text, number, go)
        };
        let reading = read("t: 012\ni: 1.7\ng: 5", reader).unwrap();
        let nanos = jiff::SignedDuration::from_nanos(5);
        assert_eq!(reading.value, ("012".to_owned(), 1, Some(nanos)));
    }

    #[test]
    fn values_of_secret_keys_are_not_shown() {
        for text in
            ["api_tokn: hunter2", "a: {pasword: hunter2}", "x: 1\nsmtp_auth_password: [hunter2]"]
        {
            let mistakes =
                read(text, |section| section.text_or("smtp_auth_password", "")).unwrap_err();
            assert!(!mistakes.to_string().contains("hunter2"), "{mistakes}");
        }
    }
}
