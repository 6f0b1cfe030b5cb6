//! Reads a mapping key by key and, in the same breath, notes how the result is shown.
//!
//! Upstream shows the tree after defaults and inheritance, in a fixed order and without what is
//! empty. Keys are read here in that order, so that one list of keys serves both.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tocsin_core::matcher::Mode;
use tocsin_service::duration::{format_duration, format_go_duration};
use tocsin_service::secret::{HIDDEN, Secret};
use tocsin_service::yaml::{Field, Section, Value};
use tocsin_template::{TemplateError, Templates, standard};
use url::Url;

use super::source::{Link, Source, check_link, rebase};
use super::tree::Tree;
use super::warning::Warning;

/// What holds for the whole file, and what was odd in it.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// How matchers and label names are read.
    pub(crate) mode: Mode,
    /// Where relative paths begin that upstream resolves.
    pub(crate) directory: PathBuf,
    /// The text was shown by a server: secrets are placeholders, and what was inherited or derived stands there too.
    pub(crate) shown: bool,
    /// Nobody will see the result: nothing of it is noted down.
    pub(crate) silent: bool,
    /// Matchers that upstream's two grammars do not read alike.
    pub(crate) warnings: RefCell<Vec<Warning>>,
    /// The keys that were read as secrets, and whether they were given: only for those who look for secrets that are not hidden.
    pub(crate) secrets: Option<RefCell<BTreeMap<String, bool>>>,
    templates: OnceCell<Templates>,
}

impl Rules {
    /// Rules for one file.
    pub(crate) fn new(mode: Mode, directory: PathBuf, shown: bool) -> Self {
        Self { mode, directory, shown, ..Self::default() }
    }

    /// Rules for a file whose result is not shown.
    pub(crate) fn silent(mode: Mode, directory: PathBuf) -> Self {
        Self { silent: true, ..Self::new(mode, directory, false) }
    }

    /// Whether the text is a template that calls functions that exist.
    pub(crate) fn check_template(&self, text: &str) -> Result<(), TemplateError> {
        let templates = self.templates.get_or_init(|| {
            let functions = standard(jiff::Timestamp::UNIX_EPOCH, &jiff::tz::TimeZone::UTC);
            Templates::new(functions.keys().copied())
        });
        templates.check(text)
    }

    /// Warns of a text that looks like a template and is none: upstream finds it when it tells.
    fn warn_of_template(&self, field: &Field<'_>, text: &str) {
        if text.contains("{{")
            && let Err(error) = self.check_template(text)
        {
            field.warn(format!("nothing can be told with this template: {error}"));
        }
    }
}

/// What the value of a secret may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any text.
    Text,
    /// An address of http or https.
    Link,
}

/// A mapping that is being read, and what of it will be shown.
pub(crate) struct Block<'a> {
    section: Section<'a>,
    shown: Vec<(String, Value)>,
    /// What holds for the whole file.
    pub(crate) rules: &'a Rules,
}

impl<'a> Block<'a> {
    pub(crate) fn new(section: Section<'a>, rules: &'a Rules) -> Self {
        Self { section, shown: Vec::new(), rules }
    }

    /// The mapping itself, for what is not shown.
    pub(crate) fn section(&self) -> &Section<'a> {
        &self.section
    }

    /// Ends the reading; keys that were not asked for are mistakes now.
    pub(crate) fn finish(self) -> Value {
        Value::Map(self.shown)
    }

    /// Every reader of a secret says so.
    pub(crate) fn note_secret(&self, key: &'static str) {
        let Some(secrets) = &self.rules.secrets else { return };
        let path = self.section.path();
        // A client is read by the same lines wherever it stands, and so are the entries of a list.
        let path = path.rfind("http_config").map_or(path, |at| &path[at..]);
        let parts = path.split('.').map(|part| part.split('[').next().unwrap_or(part));
        let mut name: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        name.push(key);
        *secrets.borrow_mut().entry(name.join(".")).or_default() |= self.section.has(key);
    }

    /// Shows a value under the next key.
    pub(crate) fn show(&mut self, key: &str, value: impl Into<Value>) {
        if !self.rules.silent {
            self.shown.push((key.to_owned(), value.into()));
        }
    }

    /// What was shown last.
    pub(crate) fn last(&self) -> Option<Value> {
        self.shown.last().map(|(_, value)| value.clone())
    }

    pub(crate) fn field(&self, key: &'static str) -> Option<Field<'a>> {
        self.section.field(key)
    }

    pub(crate) fn given(&self, key: &'static str) -> Option<Field<'a>> {
        self.section.given(key)
    }

    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.section.has(key)
    }

    /// Notes a mistake at the key if it is there, else at the mapping.
    pub(crate) fn mistake_at(&self, key: &'static str, message: impl Into<String>) {
        match self.section.given(key) {
            Some(field) => field.mistake(message),
            None => self.section.mistake(message),
        }
    }

    /// A text, or the default when the key is absent.
    pub(crate) fn text(&mut self, key: &'static str, default: &str) -> String {
        let text = self.section.text_or(key, default);
        if let Some(field) = self.section.given(key) {
            self.rules.warn_of_template(&field, &text);
        }
        if !text.is_empty() {
            self.show(key, text.as_str());
        }
        text
    }

    /// A text; an empty one is taken from the outer scope.
    pub(crate) fn text_or_outer(&mut self, key: &'static str, outer: &str) -> String {
        let own = self.section.text_or(key, "");
        let text = if own.is_empty() { outer.to_owned() } else { own };
        if !text.is_empty() {
            self.show(key, text.as_str());
        }
        text
    }

    /// A text that is shown even when it is empty.
    pub(crate) fn text_always(&mut self, key: &'static str, default: &str) -> String {
        let text = self.section.text_or(key, default);
        self.show(key, text.as_str());
        text
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, key: &'static str) -> String {
        let text = self.text(key, "");
        if text.is_empty() {
            self.missing(key);
        }
        text
    }

    /// A value of a wrong type is a mistake already, and not missing.
    fn is_malformed(&self, key: &'static str) -> bool {
        self.section.field(key).is_some_and(|field| !field.is_scalar())
    }

    pub(crate) fn missing(&self, key: &'static str) {
        if self.is_malformed(key) {
            return;
        }
        self.mistake_at(key, format!("{key:?} is missing"));
    }

    /// One of a few words; the empty one must be among them to be allowed.
    pub(crate) fn word(&mut self, key: &'static str, default: &str, words: &[&str]) -> String {
        let text = self.text(key, default);
        if !words.contains(&text.as_str()) {
            let list: Vec<_> = words.iter().filter(|word| !word.is_empty()).copied().collect();
            let message = format!("must be one of {}", list.join(", "));
            match self.section.field(key) {
                Some(field) => field.mistake_near(message, &text, list),
                None => self.section.mistake(format!("{key:?} {message}")),
            }
        }
        text
    }

    /// As [`Block::word`], but the empty word is the default too.
    pub(crate) fn word_or_default(
        &mut self,
        key: &'static str,
        default: &'static str,
        words: &[&str],
    ) -> String {
        let empty = self.section.text_or(key, "").is_empty();
        if empty {
            self.show(key, default);
            return default.to_owned();
        }
        self.word(key, default, words)
    }

    /// A truth value that is shown only when true.
    pub(crate) fn bool(&mut self, key: &'static str, default: bool) -> bool {
        let value = self.section.bool_or(key, default);
        if value {
            self.show(key, value);
        }
        value
    }

    /// A truth value that is always shown.
    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let value = self.section.bool_or(key, default);
        self.show(key, value);
        value
    }

    /// A truth value that may be unset.
    pub(crate) fn choice(&mut self, key: &'static str, default: Option<bool>) -> Option<bool> {
        let value = match self.section.field(key) {
            None => default,
            Some(field) if field.is_null() => default,
            Some(field) => field.bool(),
        };
        if let Some(value) = value {
            self.show(key, value);
        }
        value
    }

    pub(crate) fn integer(&mut self, key: &'static str, default: i64) -> i64 {
        let value = self.section.integer_or(key, default);
        if value != 0 {
            self.show(key, Value::Int(value));
        }
        value
    }

    /// A whole number that is not negative and always shown.
    pub(crate) fn count(&mut self, key: &'static str) -> usize {
        let value = self.section.field(key).and_then(|field| field.unsigned()).unwrap_or(0);
        self.show(key, Value::Int(i64::try_from(value).unwrap_or(i64::MAX)));
        usize::try_from(value).unwrap_or(usize::MAX)
    }

    /// A Prometheus duration.
    pub(crate) fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        let duration = self.section.duration_or(key, default);
        if !duration.is_zero() {
            self.show(key, format_duration(duration));
        }
        duration
    }

    /// Go's duration as a bound of time: always shown, bare numbers are nanoseconds, negative is none.
    pub(crate) fn timeout(&mut self) -> Duration {
        let field = self.section.field("timeout");
        let timeout = field.and_then(|field| field.go_duration()).unwrap_or_default();
        self.show("timeout", format_go_duration(timeout));
        Duration::try_from(timeout).unwrap_or_default()
    }

    /// A secret without a twin that names a file.
    pub(crate) fn secret(&mut self, key: &'static str) -> Secret {
        self.note_secret(key);
        let secret = Secret::from(self.section.text_or(key, ""));
        if !secret.is_empty() {
            self.show(key, HIDDEN);
        }
        secret
    }

    /// A secret or the file that holds it, from the outer scope if neither is given.
    pub(crate) fn source(
        &mut self,
        key: &'static str,
        file_key: &'static str,
        form: Form,
        outer: &Source,
    ) -> Source {
        let source = self.own_source(key, file_key, form);
        let source = if source.is_none() { outer.clone() } else { source };
        self.show_source(key, file_key, &source);
        source
    }

    /// As [`Block::source`], where upstream takes the two forms apart: the outer inline value wins there over the own file, or the other way round.
    pub(crate) fn nearest_source(
        &mut self,
        key: &'static str,
        file_key: &'static str,
        outer: &Source,
    ) -> Source {
        let own = self.own_source(key, file_key, Form::Text);
        let mixed = matches!(
            (&own, outer),
            (Source::Inline(_), Source::File(_)) | (Source::File(_), Source::Inline(_))
        );
        if mixed && !self.rules.shown {
            self.section.warn(format!(
                "{key} is given here and globally, once inline and once as a file: this one is used, upstream may use the global one"
            ));
        }
        self.source(key, file_key, Form::Text, outer)
    }

    /// A secret or the file that holds it, one of them and not both.
    pub(crate) fn exactly_one(
        &mut self,
        key: &'static str,
        file_key: &'static str,
        form: Form,
    ) -> Source {
        let source = self.source(key, file_key, form, &Source::None);
        if source.is_none() {
            self.missing_both(key, file_key);
        }
        source
    }

    /// The mistake of two keys of which one is needed.
    pub(crate) fn missing_both(&self, key: &'static str, file_key: &'static str) {
        if self.is_malformed(key) || self.is_malformed(file_key) {
            return;
        }
        self.mistake_at(key, format!("one of {key} & {file_key} must be configured"));
    }

    /// The address; without one a mistake, and an address that is never used.
    pub(crate) fn needed(&self, link: Option<Link>, key: &'static str, message: &str) -> Url {
        let link = link.unwrap_or_else(|| {
            self.mistake_at(key, message);
            Link::nowhere()
        });
        link.url
    }

    pub(crate) fn show_source(&mut self, key: &str, file_key: &str, source: &Source) {
        match source {
            Source::Inline(_) => self.show(key, HIDDEN),
            Source::File(path) => self.show(file_key, path.display().to_string()),
            Source::None => {}
        }
    }

    /// As [`Block::source`], but only what stands here, and not shown.
    pub(crate) fn own_source(
        &self,
        key: &'static str,
        file_key: &'static str,
        form: Form,
    ) -> Source {
        self.note_secret(key);
        let inline = match form {
            Form::Text => self.section.text_or(key, ""),
            Form::Link => self.secret_link(key),
        };
        let file = self.section.text_or(file_key, "");
        match (inline.as_str(), file.as_str()) {
            ("", "") => Source::None,
            ("", file) => Source::File(file.into()),
            (inline, "") => Source::Inline(inline.into()),
            (inline, file) => {
                // A shown text may name both: one was inherited.
                if !self.rules.shown {
                    self.both(key, file_key);
                }
                if inline == HIDDEN {
                    Source::File(file.into())
                } else {
                    Source::Inline(inline.into())
                }
            }
        }
    }

    /// The mistake of two keys that exclude each other.
    pub(crate) fn both(&self, first: &'static str, second: &'static str) {
        let message = format!("at most one of {first} & {second} must be configured");
        self.mistake_at(second, message);
    }

    /// An address that must not be shown; the placeholder passes.
    fn secret_link(&self, key: &'static str) -> String {
        let Some(field) = self.section.given(key) else { return String::new() };
        let Some(text) = field.text() else { return String::new() };
        if text != HIDDEN
            && let Err(message) = check_link(&text)
        {
            field.mistake(message);
        }
        text
    }

    /// An address, from the outer scope if it is not given.
    pub(crate) fn link(&mut self, key: &'static str, outer: Option<&Link>) -> Option<Link> {
        let link = self.own_link(key, outer);
        self.show_link(key, link.as_ref());
        link
    }

    /// As [`Block::link`], with a slash at the end of its path.
    pub(crate) fn link_with_slash(
        &mut self,
        key: &'static str,
        outer: Option<&Link>,
    ) -> Option<Link> {
        let link = self.own_link(key, outer).map(Link::with_slash);
        self.show_link(key, link.as_ref());
        link
    }

    fn show_link(&mut self, key: &'static str, link: Option<&Link>) {
        if let Some(link) = link {
            self.show(key, link.text.as_str());
        }
    }

    pub(crate) fn own_link(&self, key: &'static str, outer: Option<&Link>) -> Option<Link> {
        let Some(field) = self.section.given(key) else { return outer.cloned() };
        let Some(text) = field.text() else { return Some(Link::nowhere()) };
        match Link::parse(&text) {
            Ok(link) => Some(link),
            Err(message) => {
                field.mistake(message);
                Some(Link::nowhere())
            }
        }
    }

    /// Texts by names of the user's choice, sorted by name.
    pub(crate) fn map(&mut self, key: &'static str) -> Vec<(String, String)> {
        let mut map: Vec<(String, String)> = Vec::new();
        for (name, field) in
            self.section.field(key).map(|field| field.entries()).unwrap_or_default()
        {
            let Some(text) = field.text() else { continue };
            self.rules.warn_of_template(&field, &text);
            map.push((name.to_owned(), text));
        }
        map.sort();
        self.show_map(key, &map);
        map
    }

    pub(crate) fn show_map(&mut self, key: &str, map: &[(String, String)]) {
        if !map.is_empty() {
            let entry = |(name, text): &(String, String)| (name.clone(), text.as_str().into());
            self.show(key, Value::Map(map.iter().map(entry).collect()));
        }
    }

    /// Values of any shape by name, sorted by name.
    pub(crate) fn trees(&mut self, key: &'static str) -> Vec<(String, Tree)> {
        let trees = self.own_trees(key);
        self.show_trees(key, &trees);
        trees
    }

    /// As [`Block::trees`], but not shown.
    pub(crate) fn own_trees(&self, key: &'static str) -> Vec<(String, Tree)> {
        let entries = self.section.field(key).map(|field| field.entries()).unwrap_or_default();
        let tree = |(name, field): &(&str, Field<'_>)| ((*name).to_owned(), Tree::of(field.node()));
        let mut trees: Vec<(String, Tree)> = entries.iter().map(tree).collect();
        trees.sort_by(|left, right| left.0.cmp(&right.0));
        trees
    }

    pub(crate) fn show_trees(&mut self, key: &str, trees: &[(String, Tree)]) {
        if !trees.is_empty() {
            let entry = |(name, tree): &(String, Tree)| (name.clone(), tree.show());
            self.show(key, Value::Map(trees.iter().map(entry).collect()));
        }
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let texts = self.section.texts(key);
        self.show_texts(key, &texts);
        texts
    }

    pub(crate) fn show_texts(&mut self, key: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.show(key, Value::List(texts.iter().map(|text| text.as_str().into()).collect()));
        }
    }

    /// A file name, resolved below the directory of the file if upstream does so.
    pub(crate) fn path(&mut self, key: &'static str, directory: Option<&PathBuf>) -> PathBuf {
        let text = self.section.text_or(key, "");
        let path = directory.map_or_else(|| text.as_str().into(), |base| rebase(base, &text));
        if !text.is_empty() {
            self.show(key, path.display().to_string());
        }
        path
    }

    /// The mappings of a list, each read by the function.
    pub(crate) fn items<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&mut Block<'a>) -> T,
    ) -> Vec<T> {
        let (mut values, mut shown) = (Vec::new(), Vec::new());
        for field in self.section.list(key) {
            if field.is_null() {
                field.mistake(format!("empty entry in {key}"));
                continue;
            }
            let Some(section) = field.section() else { continue };
            let mut block = Block::new(section, self.rules);
            values.push(read(&mut block));
            shown.push(block.finish());
        }
        if !shown.is_empty() {
            self.show(key, Value::List(shown));
        }
        values
    }

    /// The mapping of a key, read by the function, unless the key is absent or `null`.
    pub(crate) fn sub<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Block<'a>) -> T,
    ) -> Option<T> {
        let mut block = Block::new(self.section.section(key)?, self.rules);
        let value = read(&mut block);
        self.show(key, block.finish());
        Some(value)
    }
}
