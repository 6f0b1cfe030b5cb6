//! Evaluates the expressions of a template: pipelines, chains, calls and their arguments.

use crate::builtin;
use crate::call::{Signature, Type};
use crate::eval::{At, Eval, Exec};
use crate::method::{self, Method};
use crate::time::Duration;
use crate::tree::{Command, Node, NodeKind, Pipe};
use crate::value::{CallError, Kind, Value};

impl<'t> Exec<'t> {
    /// Evaluates a pipeline and sets the variables it declares.
    pub(crate) fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Eval<Value> {
        let value = self.commands(dot, pipe, pipe.cmds.len())?.unwrap_or(Value::Nil);
        for name in &pipe.decl {
            if pipe.assign {
                self.assign(name, value.clone())?;
            } else {
                self.vars.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    /// Evaluates the first commands of a pipeline; `None` when there are none.
    pub(crate) fn commands(
        &mut self,
        dot: &Value,
        pipe: &'t Pipe,
        count: usize,
    ) -> Eval<Option<Value>> {
        self.at = At::Pipe(pipe);
        let mut last = None;
        for command in &pipe.cmds[..count] {
            last = Some(self.command(dot, command, last)?);
        }
        Ok(last)
    }

    pub(crate) fn assign(&mut self, name: &str, value: Value) -> Eval<()> {
        match self.find_var(name) {
            Some(index) => {
                self.vars[index].1 = value;
                Ok(())
            }
            None => self.fail(&format!("undefined variable: {name}")),
        }
    }

    fn find_var(&self, name: &str) -> Option<usize> {
        let base = self.frames.last().map_or(0, |frame| frame.vars);
        let found = self.vars[base..].iter().rposition(|(var, _)| *var == name)?;
        Some(base + found)
    }

    fn command(&mut self, dot: &Value, command: &'t Command, last: Option<Value>) -> Eval<Value> {
        let first = &command.args[0];
        let args = &command.args[1..];
        match &first.kind {
            NodeKind::Field(_) | NodeKind::Chain(..) | NodeKind::Variable(_) => {
                return self.chain(dot, first, args, last);
            }
            NodeKind::Function(name) => {
                return self.function(dot, first, At::Command(command), name, args, last);
            }
            NodeKind::Pipe(pipe) => {
                self.no_arguments(first, args, last.as_ref())?;
                return self.pipeline(dot, pipe);
            }
            _ => {}
        }
        self.at = At::Node(first);
        self.no_arguments(first, args, last.as_ref())?;
        match &first.kind {
            NodeKind::Dot => Ok(dot.clone()),
            NodeKind::Bool(value) => Ok(Value::Bool(*value)),
            NodeKind::Number(_) => self.constant(first),
            NodeKind::Str { value, .. } => Ok(value.clone()),
            _ => self.fail("nil is not a command"),
        }
    }

    fn no_arguments(&self, first: &Node, args: &[Node], last: Option<&Value>) -> Eval<()> {
        if args.is_empty() && last.is_none() {
            return Ok(());
        }
        self.fail(&format!("can't give argument to non-function {first}"))
    }

    /// The value of a number where no type is asked for.
    fn constant(&mut self, node: &'t Node) -> Eval<Value> {
        self.at = At::Node(node);
        let NodeKind::Number(number) = &node.kind else { return Ok(Value::Nil) };
        match (number.floating, number.int, number.float) {
            (true, _, Some(float)) => Ok(Value::Float(float)),
            (_, Some(int), _) => Ok(Value::Int(int)),
            _ => self.fail(&format!("{} overflows int", number.text)),
        }
    }

    /// `.A.B`, `$x.A.B` or `(pipe).A.B`, of which the last may take arguments.
    fn chain(
        &mut self,
        dot: &Value,
        node: &'t Node,
        args: &'t [Node],
        last: Option<Value>,
    ) -> Eval<Value> {
        self.at = At::Node(node);
        let (mut value, names) = match &node.kind {
            NodeKind::Field(names) => (dot.clone(), &names[..]),
            NodeKind::Variable(names) => {
                let Some(index) = self.find_var(&names[0]) else {
                    return self.fail(&format!("undefined variable: {}", names[0]));
                };
                (self.vars[index].1.clone(), &names[1..])
            }
            NodeKind::Chain(inner, _) if matches!(inner.kind, NodeKind::Nil) => {
                return self.fail(&format!("indirection through explicit nil in {node}"));
            }
            NodeKind::Chain(inner, names) => (self.argument(dot, Type::Any, inner)?, &names[..]),
            _ => (Value::Nil, &[][..]),
        };
        let Some((final_name, path)) = names.split_last() else {
            self.no_arguments(node, args, last.as_ref())?;
            return Ok(value);
        };
        let mut from_any = false;
        for name in path {
            let is_any = matches!(value, Value::Map(_));
            value = self.field(dot, node, name, &[], None, value, from_any)?;
            from_any = is_any;
        }
        self.field(dot, node, final_name, args, last, value, from_any)
    }

    /// One step of a chain: a method, a field or a key. `from_any` says that the step before gave
    /// `receiver` out of a map of anything, where nil is an error.
    #[expect(clippy::too_many_arguments, reason = "a step needs the whole of its surroundings")]
    fn field(
        &mut self,
        dot: &Value,
        node: &'t Node,
        name: &str,
        args: &'t [Node],
        last: Option<Value>,
        receiver: Value,
        from_any: bool,
    ) -> Eval<Value> {
        if matches!(receiver, Value::Nil) {
            if from_any {
                return self.fail(&format!("nil pointer evaluating interface {{}}.{name}"));
            }
            return Ok(Value::Nil);
        }
        if let Some(method) = method::find(&receiver, name) {
            let signature = match method {
                Method::Known(signature) => signature,
                Method::Unchecked => Signature::variadic(&[], Type::Any),
                Method::Refused(message) => {
                    let given = args.len() + usize::from(last.is_some());
                    return match given {
                        0 => self.fail(message),
                        _ => self
                            .fail(&format!("wrong number of args for {name}: want 0 got {given}")),
                    };
                }
            };
            let args = self.arguments(dot, name, signature, args, last)?;
            self.spend_step()?;
            let result = method::call(&receiver, name, &args);
            return self.answer(At::Node(node), name, result);
        }
        let has_args = !args.is_empty() || last.is_some();
        match &receiver {
            Value::Map(map) => {
                self.refuse_arguments(has_args, name, "is not a method but has arguments")?;
                return Ok(map.entries().get(name).cloned().unwrap_or(Value::Nil));
            }
            Value::Object(object) if object.kind() == Kind::Map => {
                self.refuse_arguments(has_args, name, "is not a method but has arguments")?;
                return Ok(object.field(name).unwrap_or(Value::Nil));
            }
            Value::Object(object) => {
                if let Some(value) = object.field(name) {
                    if name.starts_with(char::is_lowercase) {
                        return self.fail(&format!(
                            "{name} is an unexported field of struct type {}",
                            object.type_name()
                        ));
                    }
                    let message = "has arguments but cannot be invoked as function";
                    self.refuse_arguments(has_args, name, message)?;
                    return Ok(value);
                }
            }
            _ => {}
        }
        let type_name = if from_any { "interface {}".to_owned() } else { receiver.type_name() };
        self.fail(&format!("can't evaluate field {name} in type {type_name}"))
    }

    fn refuse_arguments(&self, has_args: bool, name: &str, message: &str) -> Eval<()> {
        if has_args { self.fail(&format!("{name} {message}")) } else { Ok(()) }
    }

    fn function(
        &mut self,
        dot: &Value,
        node: &'t Node,
        whole: At<'t>,
        name: &'t str,
        args: &'t [Node],
        last: Option<Value>,
    ) -> Eval<Value> {
        self.at = At::Node(node);
        self.spend_step()?;
        if let Some(function) = self.functions.get(name) {
            let args = self.arguments(dot, name, function.signature(), args, last)?;
            return self.answer(whole, name, function.call(&args));
        }
        let Some(function) = builtin::find(name) else {
            return self.fail(&format!("{} is not a defined function", crate::quote::go(name)));
        };
        if matches!(name, "and" | "or") {
            return self.short_circuit(dot, name, args, last);
        }
        let values = self.arguments(dot, name, function.signature, args, last)?;
        let result = match name {
            "call" => Err(builtin::not_callable(args.first(), &values)),
            _ => (function.body)(&values, self.limits.output_bytes),
        };
        self.answer(whole, name, result.map_err(CallError::Failed))
    }

    fn short_circuit(
        &mut self,
        dot: &Value,
        name: &str,
        args: &'t [Node],
        last: Option<Value>,
    ) -> Eval<Value> {
        let signature = Signature::variadic(&[Type::Any], Type::Any);
        signature
            .check_count(name, args.len(), last.is_some())
            .or_else(|message| self.fail(&message))?;
        let mut value = Value::Nil;
        for arg in args {
            value = self.argument(dot, Type::Any, arg)?;
            if value.is_true() == (name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn answer(&mut self, at: At<'t>, name: &str, result: Result<Value, CallError>) -> Eval<Value> {
        match result {
            Ok(value) => {
                self.spend_made(&value)?;
                Ok(value)
            }
            Err(CallError::Arguments(message)) => self.fail(&message),
            Err(CallError::Failed(message)) => {
                self.at = at;
                self.fail(&format!("error calling {name}: {message}"))
            }
        }
    }

    fn arguments(
        &mut self,
        dot: &Value,
        name: &str,
        signature: Signature,
        args: &'t [Node],
        last: Option<Value>,
    ) -> Eval<Vec<Value>> {
        signature
            .check_count(name, args.len(), last.is_some())
            .or_else(|message| self.fail(&message))?;
        let mut values = Vec::with_capacity(args.len() + 1);
        for (index, arg) in args.iter().enumerate() {
            values.push(self.argument(dot, signature.parameter(index), arg)?);
        }
        if let Some(last) = last {
            let param = signature.parameter(args.len());
            values.push(param.fit(last).or_else(|message| self.fail(&message))?);
        }
        Ok(values)
    }

    pub(crate) fn argument(&mut self, dot: &Value, param: Type, node: &'t Node) -> Eval<Value> {
        self.at = At::Node(node);
        let value = match &node.kind {
            NodeKind::Dot => dot.clone(),
            NodeKind::Nil => {
                let message = || format!("cannot assign nil to {}", param.type_name());
                return param.of_nil().map_or_else(|| self.fail(&message()), Ok);
            }
            NodeKind::Field(_) | NodeKind::Variable(_) | NodeKind::Chain(..) => {
                self.chain(dot, node, &[], None)?
            }
            NodeKind::Pipe(pipe) => self.pipeline(dot, pipe)?,
            NodeKind::Function(name) => {
                self.function(dot, node, At::Node(node), name, &[], None)?
            }
            NodeKind::Bool(_) | NodeKind::Number(_) | NodeKind::Str { .. } => {
                return self.literal(param, node);
            }
        };
        param.fit(value).or_else(|message| self.fail(&message))
    }

    /// A literal where a type is asked for.
    fn literal(&mut self, param: Type, node: &'t Node) -> Eval<Value> {
        let expected = match (param, &node.kind) {
            (Type::Any, NodeKind::Number(_)) => return self.constant(node),
            (Type::Any | Type::Bool, NodeKind::Bool(value)) => return Ok(Value::Bool(*value)),
            (Type::Any | Type::Text, NodeKind::Str { value, .. }) => return Ok(value.clone()),
            (Type::Int, NodeKind::Number(number)) if number.int.is_some() => {
                return Ok(Value::Int(number.int.unwrap_or_default()));
            }
            (Type::Duration, NodeKind::Number(number)) if number.int.is_some() => {
                return Ok(Value::Duration(Duration(number.int.unwrap_or_default())));
            }
            (Type::Float, NodeKind::Number(number)) if number.float.is_some() => {
                return Ok(Value::Float(number.float.unwrap_or_default()));
            }
            (Type::Bool, _) => "bool",
            (Type::Text, _) => "string",
            (Type::Int | Type::Duration, _) => "integer",
            (Type::Float, _) => "float",
            _ => {
                let type_name = param.type_name();
                return self.fail(&format!("can't handle {node} for arg of type {type_name}"));
            }
        };
        self.fail(&format!("expected {expected}; found {node}"))
    }
}
