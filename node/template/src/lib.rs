//! Go's `text/template` language, and `html/template`'s escaping by context, over values of the caller's own.
//!
//! A set of [`Templates`] is filled with named texts, then renders others over a [`Value`]. The caller gives the
//! functions, [`standard`] being those of Alertmanager; types with fields and methods are [`Object`]s. Rendering is
//! bounded in steps, depth and output, and never panics.

mod call;
mod eval;
mod funcs;
mod html;
mod lex;
mod method;
mod node;
mod parse;
mod printf;
mod time;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use call::{Body, Function, Functions, Type, html_escaped, query_escaped};
pub use funcs::standard;
pub use time::{Duration, Time, parse_time};
pub use value::{CallError, Kind, Object, SafeKind, Value};

use eval::{Budget, Output, Running, Stop};
use node::Node;
use parse::ParseError;

/// Depth of blocks and calls that any thread's stack has room for.
const DEPTH_SHALLOW: usize = 40;
/// Depth that is still rendered, on a stack of its own.
const DEPTH_MAX: usize = 2_500;
/// The size of that stack; the system provides only what is touched.
const DEEP_STACK_BYTES: usize = 1 << 29;

/// A template that cannot be parsed or rendered; the text is Go's, with name, line and column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// Named templates that see each other. Rendering is safe from many threads at once.
#[derive(Clone, Debug)]
pub struct Templates {
    named: BTreeMap<Arc<str>, Arc<Template>>,
    known: BTreeSet<&'static str>,
    builtins: Arc<Functions>,
}

/// One named template.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) source: Arc<str>,
    pub(crate) nodes: Vec<Node>,
}

impl Templates {
    /// An empty set whose texts may call `functions`, beside Go's own.
    #[must_use]
    pub fn new(functions: impl IntoIterator<Item = &'static str>) -> Self {
        let builtins = call::builtins();
        let mut known: BTreeSet<&'static str> =
            builtins.keys().copied().chain(["and", "or"]).collect();
        known.extend(functions);
        Self { named: BTreeMap::new(), known, builtins: Arc::new(builtins) }
    }

    /// Adds what `text` defines, and the text itself as `name`. The last definition of a name wins, but one of nothing
    /// than white space replaces none.
    /// # Errors
    /// [`TemplateError`] with name and line; nothing is added then.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), TemplateError> {
        let source: Arc<str> = name.into();
        for parsed in self.parse(name, text)? {
            if parsed.is_blank() && self.named.contains_key(&parsed.name) {
                continue;
            }
            let template = Template { source: Arc::clone(&source), nodes: parsed.nodes };
            self.named.insert(parsed.name, Arc::new(template));
        }
        Ok(())
    }

    /// The names defined so far.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(|name| &**name)
    }

    /// Whether `text` parses, with the functions of this set.
    /// # Errors
    /// [`TemplateError`] with the line.
    pub fn check(&self, text: &str) -> Result<(), TemplateError> {
        self.parse("", text).map(|_| ())
    }

    /// Renders `text` over `data`. What it defines is seen by itself alone.
    /// # Errors
    /// [`TemplateError`]; nothing that was produced so far is returned.
    pub fn text(
        &self,
        text: &str,
        data: &Value,
        functions: &Functions,
    ) -> Result<String, TemplateError> {
        match self.run(text, data, functions, || Output::Text(String::new()))? {
            Output::Text(text) => Ok(text),
            Output::Pieces(_) => Ok(String::new()),
        }
    }

    /// Renders `text` over `data` as HTML: every value is escaped by the context that it stands in.
    /// # Errors
    /// [`TemplateError`]; also when the text ends inside a tag, attribute or script.
    pub fn html(
        &self,
        text: &str,
        data: &Value,
        functions: &Functions,
    ) -> Result<String, TemplateError> {
        match self.run(text, data, functions, || Output::Pieces(Vec::new()))? {
            Output::Text(text) => Ok(text),
            Output::Pieces(pieces) => html::escape(pieces).map_err(TemplateError),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Template> {
        self.named.get(name).map(Arc::as_ref)
    }

    pub(crate) fn builtin(&self, name: &str) -> Option<&Function> {
        self.builtins.get(name)
    }

    fn parse(&self, name: &str, text: &str) -> Result<Vec<parse::Parsed>, TemplateError> {
        let parse =
            |depth| parse::parse(name, text, &|function| self.known.contains(function), depth);
        let parsed = match parse(DEPTH_SHALLOW) {
            Err(ParseError::Depth) => deep(|| parse(1_000)).unwrap_or(Err(ParseError::Depth)),
            parsed => parsed,
        };
        parsed.map_err(|error| {
            TemplateError(match error {
                ParseError::Wrong { line, text } => format!("template: {name}:{line}: {text}"),
                ParseError::Depth => format!("template: {name}: nested more than 1000 deep"),
            })
        })
    }

    fn run(
        &self,
        text: &str,
        data: &Value,
        functions: &Functions,
        output: impl Fn() -> Output + Sync,
    ) -> Result<Output, TemplateError> {
        let mut parsed = self.parse("", text)?;
        let Some(main) = parsed.pop() else { return Ok(output()) };
        let mut own;
        let templates = if parsed.is_empty() {
            self
        } else {
            own = self.clone();
            for template in parsed {
                let nodes = template.nodes;
                own.named.insert(template.name, Arc::new(Template { source: "".into(), nodes }));
            }
            &own
        };
        let render = |depth_max| {
            let mut out = output();
            let running = Running { source: "", name: "", nodes: &main.nodes };
            eval::run(templates, functions, &running, data, &mut out, &mut Budget::new(depth_max))
                .map(|()| out)
        };
        let rendered = match render(DEPTH_SHALLOW) {
            Err(Stop::Depth) => deep(|| render(DEPTH_MAX)).unwrap_or(Err(Stop::Depth)),
            rendered => rendered,
        };
        rendered.map_err(|stop| {
            TemplateError(match stop {
                Stop::Failed(text) => text,
                Stop::Depth => "template: exceeded maximum template depth".to_owned(),
            })
        })
    }
}

/// Does it on a stack that is deep enough; `None` when there is none to be had.
fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let builder =
            std::thread::Builder::new().name("template".to_owned()).stack_size(DEEP_STACK_BYTES);
        builder.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

#[cfg(test)]
mod tests;
