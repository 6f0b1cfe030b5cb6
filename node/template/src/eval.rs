//! Runs a parsed template over a value. Bounded in steps, depth and output; every failure says where.

use std::sync::Arc;

use crate::Templates;
use crate::call::{Function, Functions};
use crate::method;
use crate::node::{Branch, Call, Command, Expr, ExprKind, Node, Pipe, Place};
use crate::value::{CallError, Kind, Value};

/// Largest output of one rendering, in bytes.
const OUTPUT_MAX_BYTES: usize = 16 << 20;
/// Most steps of ranges in one rendering.
const STEPS_MAX: u64 = 10_000_000;

/// Why a rendering ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(String),
    /// Deeper than the stack at hand allows.
    Depth,
}

type Result<T> = std::result::Result<T, Stop>;

/// A part of the output of which the HTML context decides how it is written.
#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    Value(Value, Option<Arc<str>>),
}

/// Where output goes: one text, or pieces for the HTML escaper.
#[derive(Debug)]
pub(crate) enum Output {
    Text(String),
    Pieces(Vec<Piece>),
}

impl Output {
    fn text(&mut self, text: &str) {
        match self {
            Self::Text(out) => out.push_str(text),
            Self::Pieces(pieces) => match pieces.last_mut() {
                Some(Piece::Text(last)) => last.push_str(text),
                _ => pieces.push(Piece::Text(text.to_owned())),
            },
        }
    }
}

/// One named template as the evaluator sees it.
pub(crate) struct Running<'a> {
    /// The name of the text that it was parsed from, for error texts.
    pub(crate) source: &'a str,
    pub(crate) name: &'a str,
    pub(crate) nodes: &'a [Node],
}

/// How a body ended.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

pub(crate) struct Evaluator<'a> {
    templates: &'a Templates,
    functions: &'a Functions,
    running: &'a Running<'a>,
    variables: Vec<(Arc<str>, Value)>,
    output: &'a mut Output,
    budget: &'a mut Budget,
    depth: usize,
}

/// What is left for one rendering.
pub(crate) struct Budget {
    bytes: usize,
    steps: u64,
    depth_max: usize,
}

impl Budget {
    pub(crate) fn new(depth_max: usize) -> Self {
        Self { bytes: OUTPUT_MAX_BYTES, steps: STEPS_MAX, depth_max }
    }
}

/// Runs `running` with `dot`.
pub(crate) fn run<'a>(
    templates: &'a Templates,
    functions: &'a Functions,
    running: &'a Running<'a>,
    dot: &Value,
    output: &'a mut Output,
    budget: &'a mut Budget,
) -> Result<()> {
    let variables = vec![("$".into(), dot.clone())];
    let mut evaluator =
        Evaluator { templates, functions, running, variables, output, budget, depth: 0 };
    evaluator.walk(dot, running.nodes).map(|_| ())
}

impl Evaluator<'_> {
    fn fail<T>(&self, place: Place, node: &dyn std::fmt::Display, text: &str) -> Result<T> {
        let source = node.to_string();
        let short: String = source.chars().take(20).collect();
        let dots = if source.len() > 20 { "..." } else { "" };
        Err(Stop::Failed(format!(
            "template: {}:{}:{}: executing {} at <{short}{dots}>: {text}",
            self.running.source,
            place.line,
            place.column,
            crate::printf::quoted(self.running.name),
        )))
    }

    fn walk(&mut self, dot: &Value, nodes: &[Node]) -> Result<Flow> {
        if self.depth >= self.budget.depth_max {
            return Err(Stop::Depth);
        }
        self.depth += 1;
        let flow = self.walk_on(dot, nodes);
        self.depth -= 1;
        flow
    }

    fn walk_on(&mut self, dot: &Value, nodes: &[Node]) -> Result<Flow> {
        for node in nodes {
            match node {
                Node::Text(text) => self.write(Place::default(), &"", text)?,
                Node::Action(place, pipe) => self.action(dot, *place, pipe)?,
                Node::If(branch) => match self.choose(dot, branch, false)? {
                    Flow::On => {}
                    flow => return Ok(flow),
                },
                Node::With(branch) => match self.choose(dot, branch, true)? {
                    Flow::On => {}
                    flow => return Ok(flow),
                },
                Node::Range(branch) => match self.range(dot, branch)? {
                    Flow::On => {}
                    flow => return Ok(flow),
                },
                Node::Call(call) => self.call_template(dot, call)?,
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::On)
    }

    fn write(&mut self, place: Place, node: &dyn std::fmt::Display, text: &str) -> Result<()> {
        let Some(left) = self.budget.bytes.checked_sub(text.len()) else {
            return self.fail(place, node, "output is larger than 16 MiB");
        };
        self.budget.bytes = left;
        self.output.text(text);
        Ok(())
    }

    /// Prints a value, unless variables took it.
    fn action(&mut self, dot: &Value, place: Place, pipe: &Pipe) -> Result<()> {
        let escaper = if matches!(self.output, Output::Pieces(_)) {
            self.escaper(place, pipe)?
        } else {
            None
        };
        let commands = if escaper.is_some() {
            &pipe.commands[..pipe.commands.len() - 1]
        } else {
            &pipe.commands
        };
        let value = self.commands(dot, commands)?;
        if !pipe.variables.is_empty() {
            self.bind(pipe, &value);
            return Ok(());
        }
        if matches!(self.output, Output::Text(_)) {
            let text = crate::printf::display(&value);
            return self.write(place, pipe, &text);
        }
        let size = value.as_text().map_or_else(|| crate::printf::plain(&value).len(), str::len);
        let Some(left) = self.budget.bytes.checked_sub(size) else {
            return self.fail(place, pipe, "output is larger than 16 MiB");
        };
        self.budget.bytes = left;
        if let Output::Pieces(pieces) = self.output {
            pieces.push(Piece::Value(value, escaper));
        }
        Ok(())
    }

    /// In HTML `html` and `urlquery` may only end a pipeline, and then stand in for the escaper.
    fn escaper(&self, place: Place, pipe: &Pipe) -> Result<Option<Arc<str>>> {
        let predefined = |command: &Command| match &command.words[0].kind {
            ExprKind::Function(name) if matches!(&**name, "html" | "urlquery") => {
                Some(Arc::clone(name))
            }
            _ => None,
        };
        let last = pipe.commands.len() - 1;
        for command in &pipe.commands[..last] {
            if let Some(name) = predefined(command) {
                let text = format!("predefined escaper {name:?} disallowed in template");
                return self.fail(place, pipe, &text);
            }
        }
        Ok(predefined(&pipe.commands[last])
            .filter(|_| last > 0 && pipe.commands[last].words.len() == 1))
    }

    fn choose(&mut self, dot: &Value, branch: &Branch, rebinds: bool) -> Result<Flow> {
        let outer = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let flow = if value.is_true() {
            self.walk(if rebinds { &value } else { dot }, &branch.body)
        } else {
            self.walk(dot, &branch.otherwise)
        };
        self.variables.truncate(outer);
        flow
    }

    fn range(&mut self, dot: &Value, branch: &Branch) -> Result<Flow> {
        let outer = self.variables.len();
        let value = self.commands(dot, &branch.pipe.commands)?;
        let flow = self.range_over(dot, branch, &value);
        self.variables.truncate(outer);
        flow
    }

    fn range_over(&mut self, dot: &Value, branch: &Branch, value: &Value) -> Result<Flow> {
        let mut any = false;
        if let Value::Int(n) = value {
            if branch.pipe.variables.len() > 1 {
                let text = format!("can't use {n} to iterate over more than one variable");
                return self.fail(branch.place, &branch.pipe, &text);
            }
            let mut i = 0;
            while i < *n {
                any = true;
                if self.turn(branch, &Value::Int(i), &Value::Int(i))? == Flow::Break {
                    break;
                }
                i += 1;
            }
        } else if matches!(value, Value::Nil) {
            // A nil map or slice is an empty one.
        } else if let Some(entries) = value.entries() {
            for (key, element) in &entries {
                any = true;
                if self.turn(branch, key, element)? == Flow::Break {
                    break;
                }
            }
        } else {
            let text = format!("range can't iterate over {}", crate::printf::plain(value));
            let word = &branch.pipe.commands[0].words[0];
            return self.fail(word.place, word, &text);
        }
        if any {
            return Ok(Flow::On);
        }
        self.walk(dot, &branch.otherwise)
    }

    /// One round of a range.
    fn turn(&mut self, branch: &Branch, key: &Value, element: &Value) -> Result<Flow> {
        let Some(left) = self.budget.steps.checked_sub(1) else {
            return self.fail(branch.place, &branch.pipe, "range takes more than 10000000 steps");
        };
        self.budget.steps = left;
        let outer = self.variables.len();
        let values = match branch.pipe.variables.len() {
            0 => Vec::new(),
            1 => vec![element],
            _ => vec![key, element],
        };
        for (name, value) in branch.pipe.variables.iter().zip(values) {
            if branch.pipe.assigns {
                self.assign(name, value.clone());
            } else {
                self.variables.push((Arc::clone(name), value.clone()));
            }
        }
        let flow = self.walk(element, &branch.body);
        self.variables.truncate(outer);
        flow
    }

    fn call_template(&mut self, dot: &Value, call: &Call) -> Result<()> {
        let Some(template) = self.templates.find(&call.name) else {
            let text = format!("template {} not defined", crate::printf::quoted(&call.name));
            return self.fail(call.place, call, &text);
        };
        if self.depth >= self.budget.depth_max {
            return Err(Stop::Depth);
        }
        let dot = match &call.pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Nil,
        };
        let running =
            Running { source: &template.source, name: &call.name, nodes: &template.nodes };
        let variables = vec![("$".into(), dot.clone())];
        let mut inner = Evaluator {
            templates: self.templates,
            functions: self.functions,
            running: &running,
            variables,
            output: self.output,
            budget: self.budget,
            depth: self.depth,
        };
        inner.walk(&dot, &template.nodes).map(|_| ())
    }

    fn assign(&mut self, name: &str, value: Value) {
        if let Some((_, slot)) = self.variables.iter_mut().rev().find(|(known, _)| &**known == name)
        {
            *slot = value;
        }
    }

    fn bind(&mut self, pipe: &Pipe, value: &Value) {
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone());
            } else {
                self.variables.push((Arc::clone(name), value.clone()));
            }
        }
    }

    fn pipe(&mut self, dot: &Value, pipe: &Pipe) -> Result<Value> {
        if self.depth >= self.budget.depth_max {
            return Err(Stop::Depth);
        }
        self.depth += 1;
        let value = self.commands(dot, &pipe.commands);
        self.depth -= 1;
        let value = value?;
        self.bind(pipe, &value);
        Ok(value)
    }

    fn commands(&mut self, dot: &Value, commands: &[Command]) -> Result<Value> {
        let mut last = None;
        for command in commands {
            last = Some(self.command(dot, command, last)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn command(&mut self, dot: &Value, command: &Command, last: Option<Value>) -> Result<Value> {
        let first = &command.words[0];
        let has_arguments = command.words.len() > 1 || last.is_some();
        match &first.kind {
            ExprKind::Function(name) => self.function(dot, command, name, last),
            ExprKind::Field(names) => self.chain(dot, first, dot.clone(), names, command, last),
            ExprKind::Variable(name, names) if !names.is_empty() => {
                let value = self.variable(name);
                self.chain(dot, first, value, names, command, last)
            }
            ExprKind::Chain(inner, names) => {
                let value = self.operand(dot, inner)?;
                self.chain(dot, first, value, names, command, last)
            }
            ExprKind::Nil if !has_arguments => {
                self.fail(first.place, first, "nil is not a command")
            }
            _ if has_arguments => {
                let text = format!("can't give argument to non-function {first}");
                self.fail(first.place, first, &text)
            }
            _ => self.operand(dot, first),
        }
    }

    fn variable(&self, name: &str) -> Value {
        let found = self.variables.iter().rev().find(|(known, _)| &**known == name);
        found.map_or(Value::Nil, |(_, value)| value.clone())
    }

    /// An operand as an argument or a value of its own.
    fn operand(&mut self, dot: &Value, expr: &Expr) -> Result<Value> {
        match &expr.kind {
            ExprKind::Dot => Ok(dot.clone()),
            ExprKind::Nil => Ok(Value::Nil),
            ExprKind::Constant(value, _) => Ok(value.clone()),
            ExprKind::Variable(name, names) if names.is_empty() => Ok(self.variable(name)),
            ExprKind::Pipe(pipe) => self.pipe(dot, pipe),
            _ => {
                let command = Command { place: expr.place, words: vec![expr.clone()] };
                self.command(dot, &command, None)
            }
        }
    }

    fn arguments(
        &mut self,
        dot: &Value,
        command: &Command,
        last: Option<Value>,
    ) -> Result<Vec<Value>> {
        let mut values = Vec::with_capacity(command.words.len());
        for word in &command.words[1..] {
            values.push(self.operand(dot, word)?);
        }
        values.extend(last);
        Ok(values)
    }

    fn function(
        &mut self,
        dot: &Value,
        command: &Command,
        name: &str,
        last: Option<Value>,
    ) -> Result<Value> {
        let first = &command.words[0];
        if matches!(name, "and" | "or") {
            return self.short_circuit(dot, command, name == "or", last);
        }
        let Some(function) = self.functions.get(name).or_else(|| self.templates.builtin(name))
        else {
            return self.fail(first.place, first, &format!("{name:?} is not a defined function"));
        };
        let count = command.words.len() - 1 + usize::from(last.is_some());
        if let Err(CallError::Arguments(text) | CallError::Failed(text)) =
            function.check_count(name, count)
        {
            return self.fail(first.place, first, &text);
        }
        let function = function.clone();
        let mut values = Vec::with_capacity(count);
        for (i, word) in command.words[1..].iter().enumerate() {
            let value = self.operand(dot, word)?;
            self.check_argument(&function, i, &value, word, true)?;
            values.push(value);
        }
        if let Some(value) = last {
            self.check_argument(&function, values.len(), &value, first, false)?;
            values.push(value);
        }
        match function.call(&values) {
            Ok(value) => Ok(value),
            Err(CallError::Failed(text) | CallError::Arguments(text)) => {
                self.fail(command.place, command, &format!("error calling {name}: {text}"))
            }
        }
    }

    fn check_argument(
        &self,
        function: &Function,
        i: usize,
        value: &Value,
        word: &Expr,
        written: bool,
    ) -> Result<()> {
        let Some(parameter) = function.parameter(i) else { return Ok(()) };
        let literal = match &word.kind {
            ExprKind::Constant(_, source) if written => Some(&**source),
            _ => None,
        };
        match Function::check_type(parameter, value, literal) {
            Ok(()) => Ok(()),
            Err(CallError::Arguments(text) | CallError::Failed(text)) => {
                self.fail(word.place, word, &text)
            }
        }
    }

    /// `and` stops at the first false, `or` at the first true argument, and gives it.
    fn short_circuit(
        &mut self,
        dot: &Value,
        command: &Command,
        stops_at: bool,
        last: Option<Value>,
    ) -> Result<Value> {
        let name = if stops_at { "or" } else { "and" };
        let first = &command.words[0];
        let mut value = None;
        for word in &command.words[1..] {
            let next = self.operand(dot, word)?;
            if next.is_true() == stops_at {
                return Ok(next);
            }
            value = Some(next);
        }
        match last.or(value) {
            Some(value) => Ok(value),
            None => {
                let text = format!("wrong number of args for {name}: want at least 1 got 0");
                self.fail(first.place, first, &text)
            }
        }
    }

    /// `.A.B` on a value; the last name may be a method that takes the command's arguments.
    fn chain(
        &mut self,
        dot: &Value,
        first: &Expr,
        mut value: Value,
        names: &[Arc<str>],
        command: &Command,
        last: Option<Value>,
    ) -> Result<Value> {
        let Some((end, inner)) = names.split_last() else { return Ok(value) };
        for name in inner {
            value = self.field(first, &value, name)?;
        }
        let has_arguments = command.words.len() > 1 || last.is_some();
        if !has_arguments {
            return self.field(first, &value, end);
        }
        if method::has(&value, end) {
            let arguments = self.arguments(dot, command, last)?;
            return self.method(first, command, &value, end, &arguments);
        }
        let text = match &value {
            Value::Map(_) => format!("{end} is not a method but has arguments"),
            Value::Object(object) if object.kind() == Kind::Map => {
                format!("{end} is not a method but has arguments")
            }
            Value::Object(object) if object.field(end).is_some() => {
                format!("{end} has arguments but cannot be invoked as function")
            }
            Value::Nil => format!("nil data; no entry for key {end:?}"),
            value => format!("can't evaluate field {end} in type {}", value.type_name()),
        };
        self.fail(first.place, first, &text)
    }

    fn method(
        &self,
        first: &Expr,
        command: &Command,
        value: &Value,
        name: &str,
        arguments: &[Value],
    ) -> Result<Value> {
        match method::call(value, name, arguments) {
            Some(Ok(value)) => Ok(value),
            Some(Err(CallError::Arguments(text))) => self.fail(first.place, first, &text),
            Some(Err(CallError::Failed(text))) => {
                self.fail(command.place, command, &format!("error calling {name}: {text}"))
            }
            None => self.fail(
                first.place,
                first,
                &format!("can't evaluate field {name} in type {}", value.type_name()),
            ),
        }
    }

    /// One step of a chain without arguments: a method, a field or a key.
    fn field(&self, first: &Expr, value: &Value, name: &str) -> Result<Value> {
        if method::has(value, name) {
            let command = Command { place: first.place, words: vec![first.clone()] };
            return self.method(first, &command, value, name, &[]);
        }
        match value {
            // With option missingkey=zero nothing has every field.
            Value::Nil => Ok(Value::Nil),
            Value::Map(map) => Ok(map.get(name).cloned().unwrap_or(Value::Nil)),
            Value::Object(object) => match object.field(name) {
                Some(value) => Ok(value),
                None if object.kind() == Kind::Map => Ok(Value::Nil),
                None => {
                    let text =
                        format!("can't evaluate field {name} in type {}", object.type_name());
                    self.fail(first.place, first, &text)
                }
            },
            value => {
                let text = format!("can't evaluate field {name} in type {}", value.type_name());
                self.fail(first.place, first, &text)
            }
        }
    }
}
