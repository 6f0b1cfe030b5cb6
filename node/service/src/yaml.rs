//! YAML with places, in the dialect of go-yaml v2 in strict mode. This file alone names the YAML crates.
//!
//! Two readers share the work. `saphyr-parser` gives events with places, of which the tree is built.
//! `serde_yaml`, whose parser is libyaml as go-yaml's is, must accept the same document: what only the
//! first one takes, upstream refuses. Only the first document of a text counts.

mod scalar;
mod section;
mod show;
mod tame;

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde::Deserialize;

pub use scalar::{Resolved, Scalar};
pub use section::{Field, Reading, Report, Section};
pub use show::Value;

use crate::mistake::{Mistake, Mistakes, Place};

/// No real file comes near; the builder and every reader may recurse this deep.
const DEPTH_MAX: usize = 128;
/// Nodes of the tree with all aliases followed; more is a bomb.
const NODES_MAX: usize = 400_000;

/// A value with its place. Copies share what is below.
#[derive(Debug, Clone)]
pub struct Node {
    place: Place,
    /// Nodes here and below, aliases followed.
    size: usize,
    kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Text, number, truth value or nothing.
    Scalar(Scalar),
    /// Values in order.
    List(Arc<[Node]>),
    /// Values by key, in the order of the file; merge keys are already followed.
    Map(Arc<[Entry]>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key, always a scalar.
    pub key: Scalar,
    /// Where the key is.
    pub place: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Where it begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it is `null`, `~` or nothing at all.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_null())
    }
}

/// The first document of a text.
#[derive(Debug, Clone)]
pub struct Document {
    report: Report,
    /// `None` when there is nothing but comments.
    root: Option<Node>,
}

impl Document {
    /// Whether there is nothing but comments, or `null`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.as_ref().is_none_or(Node::is_null)
    }

    /// The tree.
    #[must_use]
    pub fn root(&self) -> Option<&Node> {
        self.root.as_ref()
    }

    /// Reads the root mapping; an empty document reads as an empty one.
    /// # Errors
    /// All mistakes that the reader and the sections have found.
    pub fn read<T>(&self, read: impl FnOnce(&Section<'_>) -> T) -> Result<Reading<T>, Mistakes> {
        self.read_whole(|root| read(&root))
    }

    /// As [`Document::read`], for a reader that takes the root mapping as any other.
    /// # Errors
    /// All mistakes that the reader and the sections have found.
    pub fn read_whole<T>(
        &self,
        read: impl FnOnce(Section<'_>) -> T,
    ) -> Result<Reading<T>, Mistakes> {
        section::read(&self.report, self.root.as_ref(), read)
    }
}

/// Builds the tree of the first document. The file's name is only for messages.
/// # Errors
/// What is not YAML in upstream's dialect: the first such place, or all duplicate keys.
pub fn parse(text: &str, file: &str) -> Result<Document, Mistakes> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let report = Report::new(file, text);
    let built = build(&report, text);
    // A bomb must not reach the other reader.
    if let Err(stop @ (Stop::Deep(_) | Stop::Bomb(_))) = built {
        return Err(stop.mistake(&report).into());
    }
    if built.is_err() || !tame::is_tame(text) {
        judge(text).map_err(|(place, message)| report.at(place, "", message, None))?;
    }
    match built {
        Err(stop) => Err(stop.mistake(&report).into()),
        Ok((root, duplicates)) if duplicates.is_empty() => Ok(Document { report, root }),
        Ok((_, duplicates)) => Err(Mistakes::new(duplicates)),
    }
}

/// Whether the two parsers agree on a text that one alone would have read: for the fuzzer.
#[doc(hidden)]
#[must_use]
pub fn is_agreed(text: &str) -> bool {
    let report = Report::new("", text);
    !tame::is_tame(text) || (judge(text).is_ok() && build(&report, text).is_ok())
}

/// Builds the tree. A tab that libyaml takes for a blank, and the parser here does not, becomes one.
fn build(report: &Report, text: &str) -> Result<(Option<Node>, Vec<Mistake>), Stop> {
    /// Each repair reads the text again.
    const REPAIRS_MAX: usize = 1_000;
    let mut built = Builder::new(report).build(text);
    let mut repaired = String::new();
    for _ in 0..REPAIRS_MAX {
        let Err(Stop::Scan(error)) = &built else { break };
        if repaired.is_empty() {
            text.clone_into(&mut repaired);
        }
        let Some(tab) = tab_at(&repaired, place_at(*error.marker())) else { break };
        repaired.replace_range(tab..=tab, " ");
        built = Builder::new(report).build(&repaired);
    }
    built
}

/// The offset of a tab at the place or just before it.
fn tab_at(text: &str, place: Place) -> Option<usize> {
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(place.line as usize - 1).map(str::len).sum();
    let line = lines.next()?;
    let column = place.column as usize - 1;
    let offsets = [Some(column), column.checked_sub(1)];
    offsets.into_iter().flatten().find_map(|column| {
        line.char_indices()
            .nth(column)
            .filter(|(_, letter)| *letter == '\t')
            .map(|(at, _)| before + at)
    })
}

/// What libyaml says about the first document.
fn judge(text: &str) -> Result<(), (Option<Place>, String)> {
    let Some(document) = serde_yaml::Deserializer::from_str(text).next() else { return Ok(()) };
    serde::de::IgnoredAny::deserialize(document).map(drop).map_err(|error| {
        let place = error.location().map(|at| place_of(at.line(), at.column()));
        let text = error.to_string();
        // The place is told apart from the text.
        let message = text.split(" at line ").next().unwrap_or(&text);
        let message = message.strip_suffix(',').unwrap_or(message);
        (place, format!("not valid YAML: {message}"))
    })
}

fn place_of(line: usize, column: usize) -> Place {
    let number = |count: usize| u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    Place { line: number(line), column: number(column) }
}

fn place_at(marker: Marker) -> Place {
    place_of(marker.line(), marker.col() + 1)
}

/// Why the tree was not built.
enum Stop {
    Scan(ScanError),
    Deep(Place),
    Bomb(Place),
    Other(Place, String),
}

impl Stop {
    fn mistake(self, report: &Report) -> Mistake {
        let (place, message) = match self {
            Self::Scan(error) => {
                (place_at(*error.marker()), format!("not valid YAML: {}", error.info()))
            }
            Self::Deep(place) => (place, format!("nested deeper than {DEPTH_MAX} levels")),
            Self::Bomb(place) => (place, "document contains excessive aliasing".to_owned()),
            Self::Other(place, message) => (place, message),
        };
        report.at(Some(place), "", message, None)
    }
}

/// A collection that is not yet closed.
struct Open {
    anchor: usize,
    place: Place,
    size: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(Scalar, Place)>, merges: Vec<Node> },
}

struct Builder<'a> {
    report: &'a Report,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    duplicates: Vec<Mistake>,
    root: Option<Node>,
    /// Length of the text in characters.
    letters: usize,
    /// The last line has no end.
    unfinished: bool,
}

impl<'a> Builder<'a> {
    fn new(report: &'a Report) -> Self {
        Self {
            report,
            open: Vec::new(),
            anchors: HashMap::new(),
            duplicates: Vec::new(),
            root: None,
            letters: report.text().chars().count(),
            unfinished: !report.text().ends_with('\n'),
        }
    }

    fn build(mut self, text: &str) -> Result<(Option<Node>, Vec<Mistake>), Stop> {
        let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(Stop::Scan)?;
            if matches!(event, Event::DocumentEnd | Event::StreamEnd) {
                break;
            }
            self.take(event, place_at(span.start), span.end.index())?;
        }
        Ok((self.root, self.duplicates))
    }

    fn take(&mut self, event: Event<'_>, place: Place, end: usize) -> Result<(), Stop> {
        match event {
            Event::Scalar(mut text, style, anchor, tag) => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                // What libyaml does; the parser here makes up the missing end of the last line.
                if block && self.unfinished && self.letters <= end && text.ends_with('\n') {
                    text.to_mut().pop();
                }
                let plain = style == ScalarStyle::Plain;
                let scalar = Scalar::new(text, plain, tag.as_deref().map(tag_text));
                self.add(Node { place, size: 1, kind: Kind::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, place, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let content = Content::Map { entries: Vec::new(), key: None, merges: Vec::new() };
                self.begin(anchor, place, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    let message = "an anchor cannot contain itself".to_owned();
                    return Err(Stop::Other(place, message));
                };
                self.add(node, 0)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, place: Place, content: Content) -> Result<(), Stop> {
        if self.open.len() == DEPTH_MAX {
            return Err(Stop::Deep(place));
        }
        if let Some(Open { content: Content::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(Stop::Other(place, "a key must be a text".to_owned()));
        }
        self.open.push(Open { anchor, place, size: 1, content });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let mut size = open.size;
        let kind = match open.content {
            Content::List(items) => Kind::List(items.into()),
            Content::Map { entries, merges, .. } => {
                self.find_duplicates(&entries);
                let entries = self.merge(entries, &merges)?;
                size = size.max(entries.iter().map(|entry| entry.value.size).sum::<usize>() + 1);
                Kind::Map(entries.into())
            }
        };
        self.add(Node { place: open.place, size, kind }, open.anchor)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if node.size > NODES_MAX {
            return Err(Stop::Bomb(node.place));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.content {
            Content::List(items) => {
                open.size += node.size;
                items.push(node);
            }
            Content::Map { entries, key, merges } => match key.take() {
                None => {
                    let Kind::Scalar(scalar) = node.kind else {
                        return Err(Stop::Other(node.place, "a key must be a text".to_owned()));
                    };
                    *key = Some((scalar, node.place));
                }
                Some((name, _)) if name.is_merge() => merges.push(node),
                Some((name, place)) => {
                    open.size += node.size;
                    entries.push(Entry { key: name, place, value: node });
                }
            },
        }
        if open.size > NODES_MAX {
            return Err(Stop::Bomb(open.place));
        }
        Ok(())
    }

    fn find_duplicates(&mut self, entries: &[Entry]) {
        /// Up to here comparing all with all is faster than hashing.
        const FEW: usize = 12;
        let same = |(at, entry): (usize, &Entry)| {
            entries[..at].iter().any(|before| before.key.text() == entry.key.text())
        };
        if entries.len() <= FEW && !entries.iter().enumerate().any(same) {
            return;
        }
        let mut seen: HashMap<&str, Place> = HashMap::with_capacity(entries.len());
        for entry in entries {
            if let Some(first) = seen.insert(entry.key.text(), entry.place) {
                let message =
                    format!("key {:?} is already set in line {}", entry.key.text(), first.line);
                self.duplicates.push(self.report.at(Some(entry.place), "", message, None));
            }
        }
    }

    /// Adds what `<<` brings, unless the key is given; of several the first wins.
    fn merge(&self, mut entries: Vec<Entry>, merges: &[Node]) -> Result<Vec<Entry>, Stop> {
        for merge in merges {
            let single = std::slice::from_ref(merge);
            let sources = match &merge.kind {
                Kind::List(items) => items,
                Kind::Map(_) | Kind::Scalar(_) => single,
            };
            for source in sources {
                let Kind::Map(merged) = &source.kind else {
                    let message = "map merge requires map or sequence of maps as the value";
                    return Err(Stop::Other(source.place, message.to_owned()));
                };
                for entry in merged.iter() {
                    if !entries.iter().any(|own| own.key.text() == entry.key.text()) {
                        entries.push(entry.clone());
                    }
                }
                if entries.len() > NODES_MAX / 100 {
                    return Err(Stop::Bomb(source.place));
                }
            }
        }
        Ok(entries)
    }
}

fn tag_text(tag: &Tag) -> String {
    if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tree in one line, quoted texts in quotes.
    fn print(node: &Node) -> String {
        match node.kind() {
            Kind::Scalar(scalar) if scalar.is_null() => "null".to_owned(),
            Kind::Scalar(scalar) => scalar.text().to_owned(),
            Kind::List(items) => {
                format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(","))
            }
            Kind::Map(entries) => {
                let entry = |entry: &Entry| format!("{}:{}", entry.key.text(), print(&entry.value));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let document = parse(text, "t.yml").unwrap();
        assert_eq!(document.root().map(print).unwrap_or_default(), expected);
    }

    #[track_caller]
    fn check_mistake(text: &str, expected: &str) {
        let mistakes = parse(text, "t.yml").unwrap_err();
        let found: Vec<_> = mistakes.iter().map(Mistake::headline).collect();
        assert_eq!(found.join("\n"), expected);
    }

    #[test]
    fn trees_are_read_as_written() {
        check("", "");
        check("# nothing\n", "");
        check("a: 012\nb: yes\nc: 09:00\nd: 1e3", "{a:012,b:yes,c:09:00,d:1e3}");
        check("a:\nb: ~", "{a:null,b:null}");
        check("a: [monday:friday, 'x', \"y\\n\"]", "{a:[monday:friday,x,y\n]}");
        check("a: |\n  one\n  two\nb: >-\n  three\n  four", "{a:one\ntwo\n,b:three four}");
        check("\u{feff}a: b", "{a:b}");
    }

    #[test]
    fn the_first_document_counts() {
        check("a: b\n---\nc: [", "{a:b}");
        check("---\na: b\n...\n%nonsense", "{a:b}");
        check("---\n---\na: b", "null");
    }

    #[test]
    fn merge_keys_give_way_to_explicit_ones() {
        check("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", "{a:{p:1,q:2},b:{q:3,p:1}}");
        check(
            "a: &x {p: 1}\nc: &y {p: 2, r: 3}\nb: {<<: [*x, *y]}",
            "{a:{p:1},c:{p:2,r:3},b:{p:1,r:3}}",
        );
        check("b: {'<<': 1}", "{b:{<<:1}}");
        check_mistake(
            "b: {<<: 1}",
            "t.yml:1:9: map merge requires map or sequence of maps as the value",
        );
    }

    #[test]
    fn aliases_are_followed() {
        check("a: &x [1, 2]\nb: *x", "{a:[1,2],b:[1,2]}");
        check_mistake("a: &x [1, *x]", "t.yml:1:11: an anchor cannot contain itself");
        check_mistake("a: *x", "t.yml:1:4: not valid YAML: unknown anchor");
    }

    #[test]
    fn duplicate_keys_are_all_named() {
        let expected = "t.yml:2:1: key \"a\" is already set in line 1\nt.yml:3:11: key \"c\" is already set in line 3";
        check_mistake("a: 1\na: 2\nb: {c: 1, c: 2}", expected);
    }

    #[test]
    fn a_bomb_is_refused_at_once() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for at in 1..12 {
            let of = format!("*a{}, ", at - 1).repeat(10);
            text.push_str(&format!("a{at}: &a{at} [{of}]\n"));
        }
        let mistakes = parse(&text, "t.yml").unwrap_err();
        assert!(mistakes.to_string().contains("excessive aliasing"));
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse(&"[".repeat(100_000), "t.yml").is_err());
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(parse(&deep, "t.yml").is_ok());
        let block: String = (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(parse(&block, "t.yml").is_err());
    }

    #[test]
    fn places_count_from_one() {
        let document = parse("a:\n  - b: x\n    c: |\n      y\n", "t.yml").unwrap();
        let Some(Kind::Map(entries)) = document.root().map(Node::kind) else { panic!("no map") };
        assert_eq!(entries[0].place, Place { line: 1, column: 1 });
        let Kind::List(items) = entries[0].value.kind() else { panic!("no list") };
        let Kind::Map(inner) = items[0].kind() else { panic!("no map") };
        assert_eq!(inner[0].place, Place { line: 2, column: 5 });
        // A block begins with its first line.
        assert_eq!(inner[1].value.place(), Place { line: 4, column: 7 });
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-a-z0-9:{}\\[\\],&*!|>'\"%@#~<? \t\n]{0,60}") {
            let _ = parse(&text, "t.yml");
        }

        #[test]
        fn no_unicode_panics(text in any::<String>()) {
            let _ = parse(&text, "t.yml");
        }

        /// Both YAML readers see the same texts.
        #[test]
        fn readers_agree(text in "[-ab1:{}\\[\\],|>'\"# \n]{0,40}") {
            let text = format!("k: {text}");
            if let (Ok(document), Some(other)) = (parse(&text, ""), serde_yaml::Deserializer::from_str(&text).next()) {
                let other = serde_yaml::Value::deserialize(other);
                if let (Some(root), Ok(other)) = (document.root(), other) {
                    prop_assert!(same(root, &other), "{text:?}: {root:?} {other:?}");
                }
            }
        }
    }

    fn same(node: &Node, other: &serde_yaml::Value) -> bool {
        match (node.kind(), other) {
            (Kind::Scalar(scalar), serde_yaml::Value::String(text)) => scalar.text() == text,
            (Kind::Scalar(_), other) => !other.is_sequence() && !other.is_mapping(),
            (Kind::List(items), serde_yaml::Value::Sequence(others)) => {
                items.len() == others.len()
                    && items.iter().zip(others).all(|(item, other)| same(item, other))
            }
            (Kind::Map(entries), serde_yaml::Value::Mapping(others)) => {
                entries.len() == others.len()
                    && entries
                        .iter()
                        .zip(others.values())
                        .all(|(entry, other)| same(&entry.value, other))
            }
            (_, serde_yaml::Value::Tagged(tagged)) => same(node, &tagged.value),
            _ => false,
        }
    }
}
