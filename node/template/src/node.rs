//! A parsed template: the tree, and each node's source in Go's canonical form for error texts.

use std::fmt;
use std::sync::Arc;

use crate::value::Value;

/// Where a node begins: line from 1, column in bytes from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// One step of a template.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text(Arc<str>),
    Action(Place, Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Call(Call),
    Break,
    Continue,
}

/// A condition or collection with its two bodies.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) place: Place,
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// `{{template "name" pipe}}`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) place: Place,
    pub(crate) name: Arc<str>,
    pub(crate) pipe: Option<Pipe>,
}

/// Commands, each the last argument of the next, and the variables that get the result.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    pub(crate) variables: Vec<Arc<str>>,
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand, or a function or method with arguments.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) place: Place,
    pub(crate) words: Vec<Expr>,
}

/// One operand.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) place: Place,
    pub(crate) kind: ExprKind,
}

/// What an operand is.
#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Dot,
    Nil,
    /// A constant and its source.
    Constant(Value, Arc<str>),
    /// `.A.B`
    Field(Vec<Arc<str>>),
    /// `$x.A.B`, with the `$`.
    Variable(Arc<str>, Vec<Arc<str>>),
    Function(Arc<str>),
    Pipe(Box<Pipe>),
    /// `(pipeline).A.B`
    Chain(Box<Expr>, Vec<Arc<str>>),
}

fn dotted(f: &mut fmt::Formatter<'_>, names: &[Arc<str>]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Dot => f.write_str("."),
            ExprKind::Nil => f.write_str("nil"),
            ExprKind::Constant(_, source) => f.write_str(source),
            ExprKind::Field(names) => dotted(f, names),
            ExprKind::Variable(name, names) => {
                f.write_str(name)?;
                dotted(f, names)
            }
            ExprKind::Function(name) => f.write_str(name),
            ExprKind::Pipe(pipe) => write!(f, "({pipe})"),
            ExprKind::Chain(inner, names) => {
                write!(f, "{inner}")?;
                dotted(f, names)
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, word) in self.words.iter().enumerate() {
            write!(f, "{}{word}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.assigns { "=" } else { ":=" })?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if i == 0 { "" } else { " | " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", crate::printf::quoted(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}
