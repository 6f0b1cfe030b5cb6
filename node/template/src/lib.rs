//! Go's `text/template` language, and `html/template`'s escaping by context, over values of the caller's own.
//!
//! A set of [`Templates`] is filled with named texts, then renders others over a [`Value`]. The caller gives the
//! functions, [`standard`] being those of Alertmanager; types with fields and methods are [`Object`]s. Rendering is
//! bounded in steps, depth and output, and never panics.

mod builtin;
mod call;
mod duration;
mod eval;
mod expr;
mod format;
mod funcs;
mod html;
mod json;
mod layout;
mod lex;
mod method;
mod number;
mod parse;
mod print;
mod quote;
mod re2;
mod reading;
mod regexp;
mod time;
mod tree;
mod value;

use std::collections::{BTreeSet, HashMap};

pub use builtin::{html_escaped, query_escaped};
pub use call::{Body, Function, Functions, Signature, Type};
pub use eval::Limits;
pub use funcs::standard;
pub use time::{Duration, Time, parse_time};
pub use value::{CallError, Kind, List, Map, Object, SafeKind, Value};

use eval::{Lookup, Sink};
use tree::Template;

/// A template that cannot be parsed or rendered; the text is Go's, with name, line and column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// Named templates that see each other. Rendering is safe from many threads at once.
#[derive(Clone, Debug)]
pub struct Templates {
    named: parse::Templates,
    known: BTreeSet<&'static str>,
    limits: Limits,
}

impl Templates {
    /// An empty set whose texts may call `functions`, beside Go's own.
    #[must_use]
    pub fn new(functions: impl IntoIterator<Item = &'static str>) -> Self {
        let known = functions.into_iter().collect();
        Self { named: HashMap::new(), known, limits: Limits::default() }
    }

    /// The same set with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Adds what `text` defines, and the text itself as `name`. The last definition of a name wins, but one of nothing
    /// than white space replaces none.
    /// # Errors
    /// [`TemplateError`] with name and line; nothing is added then.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), TemplateError> {
        for (name, template) in self.parse(name, text)? {
            match self.named.get(&name) {
                Some(old) if template.is_blank() && !old.is_blank() => {}
                _ => {
                    self.named.insert(name, template);
                }
            }
        }
        Ok(())
    }

    /// The names defined so far, in no order.
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
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        self.run(text, data, functions, false)
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
        if text.is_empty() {
            return Ok(String::new());
        }
        self.run(text, data, functions, true)
    }

    fn parse(&self, name: &str, text: &str) -> Result<parse::Templates, TemplateError> {
        let is_function = |name: &str| self.known.contains(name) || builtin::find(name).is_some();
        parse::parse(name, text, &is_function).map_err(TemplateError)
    }

    fn run(
        &self,
        text: &str,
        data: &Value,
        functions: &Functions,
        html: bool,
    ) -> Result<String, TemplateError> {
        let own = self.parse("", text)?;
        let Some(main) = own.get("") else { return Ok(String::new()) };
        let scope = Scope { named: &self.named, own: &own };
        let sink = if html { Sink::Parts(Vec::new(), 0) } else { Sink::Text(String::new()) };
        if html {
            html::check(main, &scope)?;
        }
        match eval::run(main, data, &scope, functions, &self.limits, sink)? {
            Sink::Text(text) => Ok(text),
            Sink::Parts(parts, _) => html::escape(&parts, self.limits.output_bytes),
        }
    }
}

/// The templates that one rendering sees: its own win.
struct Scope<'t> {
    named: &'t parse::Templates,
    own: &'t parse::Templates,
}

impl Lookup for Scope<'_> {
    fn template(&self, name: &str) -> Option<&Template> {
        let found = match (self.own.get(name), self.named.get(name)) {
            (Some(own), Some(named)) if own.is_blank() && !named.is_blank() => Some(named),
            (own, named) => own.or(named),
        };
        found.map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests;
