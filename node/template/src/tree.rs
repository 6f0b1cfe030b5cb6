//! What a parsed template is: a flat list of operations over small expression trees.
//!
//! Blocks are jumps, so that neither parsing, running nor dropping a template uses stack in
//! proportion to its nesting. `Display` gives the canonical form that error texts quote.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::value::Value;

/// A source text and the name it was parsed under.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// Name, line from 1 and column from 0 of an offset.
    pub(crate) fn place(&self, pos: usize) -> String {
        let before = self.text.get(..pos).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        format!("{}:{line}:{column}", self.name)
    }
}

/// A named template.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) name: Arc<str>,
    pub(crate) source: Arc<Source>,
    pub(crate) ops: Vec<Op>,
}

/// One step of a template. Jump targets are indexes into [`Template::ops`].
#[derive(Debug)]
pub(crate) enum Op {
    /// A part of the source.
    Text(Range<usize>),
    /// Evaluate; print unless it declares or assigns.
    Action(Pipe),
    /// Open a scope; go on, or to `otherwise`.
    If { pipe: Pipe, otherwise: usize },
    /// As `If`, with the value as dot.
    With { pipe: Pipe, otherwise: usize },
    /// Open a scope with an iteration; go on with the first element, or to `otherwise`.
    Range { pipe: Pipe, otherwise: usize },
    /// The end of a range's body, which begins at `body`: again, or close the scope and go to `end`.
    Next { body: usize, end: usize },
    /// Close scopes and jump.
    Leave { scopes: usize, to: usize },
    /// Run another template.
    Call { pos: usize, name: Arc<str>, pipe: Option<Pipe> },
}

impl Template {
    /// True when there is nothing but white space.
    pub(crate) fn is_blank(&self) -> bool {
        self.ops.iter().all(|op| match op {
            Op::Text(range) => self.source.text[range.clone()].trim().is_empty(),
            _ => false,
        })
    }
}

/// `$a, $b := cmd | cmd`.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) pos: usize,
    /// `=` instead of `:=`.
    pub(crate) assign: bool,
    pub(crate) decl: Vec<Box<str>>,
    pub(crate) cmds: Vec<Command>,
}

/// An operand, or a function or method with its arguments. Never empty.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) pos: usize,
    pub(crate) args: Vec<Node>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) pos: usize,
    pub(crate) kind: NodeKind,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Str {
        quoted: Box<str>,
        value: Value,
    },
    /// `.A.B`
    Field(Vec<Box<str>>),
    /// `$x.A.B`; the first is the variable with its `$`.
    Variable(Vec<Box<str>>),
    /// `(pipe).A.B`, or a function's result.
    Chain(Box<Node>, Vec<Box<str>>),
    Function(Box<str>),
    Pipe(Box<Pipe>),
}

/// A number literal, with every type it can stand for.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) text: Box<str>,
    pub(crate) int: Option<i64>,
    pub(crate) float: Option<f64>,
    /// Written as a float, so it is one where no type is asked for.
    pub(crate) floating: bool,
}

impl NodeKind {
    /// Whether it can be the start of a later stage of a pipeline.
    pub(crate) fn is_executable(&self) -> bool {
        !matches!(self, Self::Bool(_) | Self::Dot | Self::Nil | Self::Number(_) | Self::Str { .. })
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.decl.is_empty() {
            f.write_str(&self.decl.join(", "))?;
            f.write_str(if self.assign { " = " } else { " := " })?;
        }
        for (index, cmd) in self.cmds.iter().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{cmd}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match &arg.kind {
                NodeKind::Pipe(pipe) => write!(f, "({pipe})")?,
                _ => write!(f, "{arg}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            NodeKind::Dot => f.write_str("."),
            NodeKind::Nil => f.write_str("nil"),
            NodeKind::Bool(value) => write!(f, "{value}"),
            NodeKind::Number(number) => f.write_str(&number.text),
            NodeKind::Str { quoted, .. } => f.write_str(quoted),
            NodeKind::Field(names) => fields(f, names),
            NodeKind::Variable(names) => f.write_str(&names.join(".")),
            NodeKind::Chain(node, names) => {
                match &node.kind {
                    NodeKind::Pipe(pipe) => write!(f, "({pipe})")?,
                    _ => write!(f, "{node}")?,
                }
                fields(f, names)
            }
            NodeKind::Function(name) => f.write_str(name),
            NodeKind::Pipe(pipe) => write!(f, "{pipe}"),
        }
    }
}

fn fields(f: &mut fmt::Formatter<'_>, names: &[Box<str>]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}
