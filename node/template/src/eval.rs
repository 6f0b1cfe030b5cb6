//! Runs a template.
//!
//! Follows Go's `text/template` evaluator, error texts and their places included. Templates that
//! call each other, blocks and iterations are kept on lists, so that only parentheses use stack.

use std::sync::Arc;

use crate::TemplateError;
use crate::builtin;
use crate::call::{Functions, Type};
use crate::print;
use crate::tree::{Command, Node, NodeKind, Op, Pipe, Template};
use crate::value::{List, Value};

/// What one rendering may use up; beyond it the rendering fails.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of output, and of any single string.
    pub output_bytes: usize,
    /// Bytes of all strings and lists that functions make.
    pub made_bytes: usize,
    /// Operations and calls.
    pub steps: u64,
    /// Rounds of `range` over numbers.
    pub int_rounds: u64,
    /// Templates that call each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            output_bytes: 16 << 20,
            made_bytes: 512 << 20,
            steps: 50_000_000,
            int_rounds: 10_000_000,
            depth: 100_000,
        }
    }
}

/// Finds templates by name.
pub(crate) trait Lookup {
    fn template(&self, name: &str) -> Option<&Template>;
}

/// Where the output goes.
pub(crate) enum Sink<'t> {
    Text(String),
    /// For the HTML escaper: nothing is printed yet.
    Parts(Vec<Part<'t>>, usize),
}

/// A piece of output before HTML escaping.
#[derive(Debug)]
pub(crate) enum Part<'t> {
    Text(&'t str),
    Value(Value),
    /// A value that the template itself passes to an escaper, `html` or `urlquery`.
    Escaped(String, &'t str),
}

/// Runs `template` with `data` as dot.
pub(crate) fn run<'t>(
    template: &'t Template,
    data: &Value,
    lookup: &'t dyn Lookup,
    functions: &'t Functions,
    limits: &Limits,
    sink: Sink<'t>,
) -> Result<Sink<'t>, TemplateError> {
    let mut exec = Exec {
        lookup,
        functions,
        limits: *limits,
        sink,
        frames: Vec::new(),
        scopes: Vec::new(),
        vars: Vec::new(),
        at: At::Start,
        rounds: 0,
    };
    exec.enter(template, data.clone());
    exec.run()?;
    Ok(exec.sink)
}

pub(crate) struct Exec<'t> {
    pub(crate) lookup: &'t dyn Lookup,
    pub(crate) functions: &'t Functions,
    /// What is left.
    pub(crate) limits: Limits,
    pub(crate) sink: Sink<'t>,
    pub(crate) frames: Vec<Frame<'t>>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) vars: Vec<(&'t str, Value)>,
    /// What error messages point to.
    pub(crate) at: At<'t>,
    pub(crate) rounds: u64,
}

/// A running template.
pub(crate) struct Frame<'t> {
    pub(crate) template: &'t Template,
    pub(crate) next: usize,
    pub(crate) dot: Value,
    /// The variables below belong to its callers.
    pub(crate) vars: usize,
}

/// An open block.
pub(crate) struct Scope {
    /// How many variables there were before.
    vars: usize,
    /// Dot outside of it.
    dot: Value,
    rounds: Option<Rounds>,
}

/// The rest of an iteration.
pub(crate) struct Rounds {
    of: Sequence,
    next: usize,
    /// How many variables there were before the body.
    vars: usize,
    /// How many variables the range sets, and whether these are older ones.
    names: usize,
    assign: bool,
}

pub(crate) enum Sequence {
    List(Arc<List>),
    Entries(Vec<(Value, Value)>),
    Int(i64),
}

impl Sequence {
    fn get(&self, index: usize) -> Option<(Value, Value)> {
        match self {
            Self::List(list) => Some((index.into(), list.items().get(index)?.clone())),
            Self::Entries(entries) => entries.get(index).cloned(),
            Self::Int(end) => {
                let index = i64::try_from(index).ok()?;
                (index < *end).then_some((Value::Int(index), Value::Int(index)))
            }
        }
    }
}

/// The number that a range counts up to.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Byte(byte) => Some(i64::from(*byte)),
        _ => value.as_int(),
    }
}

/// A place in the source.
#[derive(Clone, Copy)]
pub(crate) enum At<'t> {
    Start,
    Node(&'t Node),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Action(&'t Pipe),
    Call(&'t Op),
}

impl At<'_> {
    fn pos(self) -> usize {
        match self {
            Self::Start => 0,
            Self::Node(node) => node.pos,
            Self::Pipe(pipe) | Self::Action(pipe) => pipe.pos,
            Self::Command(command) => command.pos,
            Self::Call(Op::Call { pos, .. }) => *pos,
            Self::Call(_) => 0,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Start => String::new(),
            Self::Node(node) => node.to_string(),
            Self::Pipe(pipe) => pipe.to_string(),
            Self::Command(command) => command.to_string(),
            Self::Action(pipe) => format!("{{{{{pipe}}}}}"),
            Self::Call(Op::Call { name, pipe, .. }) => match pipe {
                Some(pipe) => format!("{{{{template {} {pipe}}}}}", crate::quote::go(name)),
                None => format!("{{{{template {}}}}}", crate::quote::go(name)),
            },
            Self::Call(_) => String::new(),
        }
    }
}

pub(crate) type Eval<T> = Result<T, TemplateError>;

impl<'t> Exec<'t> {
    pub(crate) fn fail<T>(&self, message: &str) -> Eval<T> {
        let Some(frame) = self.frames.last() else {
            return Err(TemplateError(message.to_owned()));
        };
        Err(TemplateError(format!(
            "template: {}: executing {} at <{}>: {message}",
            self.place(),
            crate::quote::go(&frame.template.name),
            self.at.text(),
        )))
    }

    /// Name, line and column of what is evaluated.
    pub(crate) fn place(&self) -> String {
        let Some(frame) = self.frames.last() else { return String::new() };
        frame.template.source.place(self.at.pos())
    }

    pub(crate) fn spend_step(&mut self) -> Eval<()> {
        match self.limits.steps.checked_sub(1) {
            Some(rest) => {
                self.limits.steps = rest;
                Ok(())
            }
            None => self.fail("template takes too many steps"),
        }
    }

    /// Counts what a function made.
    pub(crate) fn spend_made(&mut self, value: &Value) -> Eval<()> {
        let bytes = match value {
            Value::Text(text) | Value::Safe(_, text) => text.len(),
            Value::List(list) => size_of_val(list.items()),
            Value::Texts(texts) => texts.len() * size_of::<Arc<str>>(),
            _ => return Ok(()),
        };
        if bytes > self.limits.output_bytes {
            return self.fail("value is too large");
        }
        match self.limits.made_bytes.checked_sub(bytes) {
            Some(rest) => {
                self.limits.made_bytes = rest;
                Ok(())
            }
            None => self.fail("template makes too much data"),
        }
    }

    fn enter(&mut self, template: &'t Template, dot: Value) {
        let vars = self.vars.len();
        self.vars.push(("$", dot.clone()));
        self.frames.push(Frame { template, next: 0, dot, vars });
    }

    fn run(&mut self) -> Eval<()> {
        while let Some(frame) = self.frames.last_mut() {
            let template = frame.template;
            let Some(op) = template.ops.get(frame.next) else {
                let vars = frame.vars;
                self.vars.truncate(vars);
                self.frames.pop();
                continue;
            };
            frame.next += 1;
            self.spend_step()?;
            self.step(template, op)?;
        }
        Ok(())
    }

    fn step(&mut self, template: &'t Template, op: &'t Op) -> Eval<()> {
        match op {
            Op::Text(range) => self.write_text(&template.source.text[range.clone()]),
            Op::Action(pipe) => self.action(pipe),
            Op::If { pipe, otherwise } => self.test(pipe, *otherwise, false),
            Op::With { pipe, otherwise } => self.test(pipe, *otherwise, true),
            Op::Range { pipe, otherwise } => self.range(pipe, *otherwise),
            Op::Next { body, end } => self.next_round(*body, *end),
            Op::Leave { scopes, to } => {
                self.leave(*scopes);
                self.jump(*to);
                Ok(())
            }
            Op::Call { name, pipe, .. } => self.call_template(op, name, pipe.as_ref()),
        }
    }

    fn jump(&mut self, to: usize) {
        if let Some(frame) = self.frames.last_mut() {
            frame.next = to;
        }
    }

    fn dot(&self) -> Value {
        self.frames.last().map(|frame| frame.dot.clone()).unwrap_or(Value::Nil)
    }

    fn set_dot(&mut self, dot: Value) {
        if let Some(frame) = self.frames.last_mut() {
            frame.dot = dot;
        }
    }

    fn leave(&mut self, scopes: usize) {
        for _ in 0..scopes {
            if let Some(scope) = self.scopes.pop() {
                self.vars.truncate(scope.vars);
                self.set_dot(scope.dot);
            }
        }
    }

    fn write_text(&mut self, text: &'t str) -> Eval<()> {
        let fits = match &mut self.sink {
            Sink::Text(out) => {
                let fits = out.len() + text.len() <= self.limits.output_bytes;
                if fits {
                    out.push_str(text);
                }
                fits
            }
            Sink::Parts(parts, bytes) => {
                *bytes += text.len();
                parts.push(Part::Text(text));
                *bytes <= self.limits.output_bytes
            }
        };
        if fits { Ok(()) } else { self.fail("output is too large") }
    }

    fn action(&mut self, pipe: &'t Pipe) -> Eval<()> {
        self.at = At::Action(pipe);
        let dot = self.dot();
        if !pipe.decl.is_empty() {
            return self.pipeline(&dot, pipe).map(drop);
        }
        if matches!(self.sink, Sink::Parts(..)) {
            return self.html_action(&dot, pipe);
        }
        let value = self.pipeline(&dot, pipe)?;
        self.at = At::Action(pipe);
        let Sink::Text(out) = &mut self.sink else { return Ok(()) };
        let room = self.limits.output_bytes.saturating_sub(out.len());
        if print::write_value(out, &value, room) {
            Ok(())
        } else {
            self.fail("output is too large")
        }
    }

    /// Passes a value on to the HTML escaper, with the escaper that the template asks for itself.
    fn html_action(&mut self, dot: &Value, pipe: &'t Pipe) -> Eval<()> {
        let last = pipe.cmds.len() - 1;
        let mut escaper = None;
        if let NodeKind::Function(name) = &pipe.cmds[last].args[0].kind
            && matches!(&**name, "html" | "urlquery")
        {
            escaper = Some(&**name);
        }
        let part = match escaper {
            None => Part::Value(self.pipeline(dot, pipe)?),
            Some(name) => {
                let value = self.commands(dot, pipe, last)?;
                let mut args = Vec::new();
                for node in &pipe.cmds[last].args[1..] {
                    args.push(self.argument(dot, Type::Any, node)?);
                }
                args.extend(value);
                let text = builtin::joined(&args, self.limits.output_bytes)
                    .or_else(|message| self.fail(&message))?;
                Part::Escaped(text, name)
            }
        };
        let size = match &part {
            Part::Value(value) => value.as_text().map_or(16, str::len),
            Part::Escaped(text, _) => text.len(),
            Part::Text(text) => text.len(),
        };
        let Sink::Parts(parts, bytes) = &mut self.sink else { return Ok(()) };
        parts.push(part);
        *bytes += size;
        if *bytes <= self.limits.output_bytes { Ok(()) } else { self.fail("output is too large") }
    }

    fn test(&mut self, pipe: &'t Pipe, otherwise: usize, with: bool) -> Eval<()> {
        let dot = self.dot();
        let vars = self.vars.len();
        let value = self.pipeline(&dot, pipe)?;
        let truth = value.is_true();
        if truth && with {
            self.set_dot(value);
        }
        self.scopes.push(Scope { vars, dot, rounds: None });
        if !truth {
            self.jump(otherwise);
        }
        Ok(())
    }

    fn range(&mut self, pipe: &'t Pipe, otherwise: usize) -> Eval<()> {
        let dot = self.dot();
        let vars = self.vars.len();
        let value = self.pipeline(&dot, pipe)?;
        let of = self.sequence(value, pipe.decl.len())?;
        let rounds = Rounds {
            of,
            next: 0,
            vars: self.vars.len(),
            names: pipe.decl.len(),
            assign: pipe.assign,
        };
        if rounds.of.get(0).is_none() {
            self.scopes.push(Scope { vars, dot, rounds: None });
            self.jump(otherwise);
            return Ok(());
        }
        self.scopes.push(Scope { vars, dot, rounds: Some(rounds) });
        self.begin_round(pipe).map(drop)
    }

    fn sequence(&mut self, value: Value, names: usize) -> Eval<Sequence> {
        Ok(match &value {
            Value::Nil => Sequence::Entries(Vec::new()),
            Value::List(list) => Sequence::List(list.clone()),
            _ => match (value.entries(), number(&value)) {
                (Some(entries), _) => Sequence::Entries(entries),
                (None, Some(_)) if names > 1 => {
                    let text = print::text(&value);
                    let message =
                        format!("can't use {text} to iterate over more than one variable");
                    return self.fail(&message);
                }
                (None, Some(end)) => Sequence::Int(end),
                (None, None) => {
                    let text = print::text(&value);
                    return self.fail(&format!("range can't iterate over {text}"));
                }
            },
        })
    }

    /// Sets dot and the variables of the next round; false when there is none.
    fn begin_round(&mut self, pipe: &'t Pipe) -> Eval<bool> {
        let Some(rounds) = self.scopes.last_mut().and_then(|scope| scope.rounds.as_mut()) else {
            return Ok(false);
        };
        let Some((key, value)) = rounds.of.get(rounds.next) else { return Ok(false) };
        rounds.next += 1;
        let (vars, names, assign) = (rounds.vars, rounds.names, rounds.assign);
        if matches!(rounds.of, Sequence::Int(_)) {
            self.rounds += 1;
            if self.rounds > self.limits.int_rounds {
                return self.fail("range over numbers takes too many rounds");
            }
        }
        self.vars.truncate(vars);
        let settings: [Option<Value>; 2] = match names {
            0 => [None, None],
            1 => [Some(value.clone()), None],
            _ => [Some(key), Some(value.clone())],
        };
        for (index, setting) in settings.into_iter().enumerate() {
            let Some(setting) = setting else { continue };
            if assign {
                self.assign(&pipe.decl[index], setting)?;
            } else if let Some(var) = (vars + index).checked_sub(names) {
                self.vars[var].1 = setting;
            }
        }
        self.set_dot(value);
        Ok(true)
    }

    fn next_round(&mut self, body: usize, end: usize) -> Eval<()> {
        let frame = self.frames.last();
        let op = frame.and_then(|frame| frame.template.ops.get(body - 1));
        let Some(Op::Range { pipe, .. }) = op else { return Ok(()) };
        if self.begin_round(pipe)? {
            self.jump(body);
        } else {
            self.leave(1);
            self.jump(end);
        }
        Ok(())
    }

    fn call_template(&mut self, op: &'t Op, name: &str, pipe: Option<&'t Pipe>) -> Eval<()> {
        self.at = At::Call(op);
        let Some(template) = self.lookup.template(name) else {
            return self.fail(&format!("template {} not defined", crate::quote::go(name)));
        };
        if self.frames.len() > self.limits.depth {
            let depth = self.limits.depth;
            return self.fail(&format!("exceeded maximum template depth ({depth})"));
        }
        let dot = match pipe {
            Some(pipe) => {
                let dot = self.dot();
                self.pipeline(&dot, pipe)?
            }
            None => Value::Nil,
        };
        self.enter(template, dot);
        Ok(())
    }
}
