//! Functions that templates call: signatures and the check of arguments.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::value::{CallError, Value};

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Anything: `interface {}`.
    Any,
    /// `string`
    Text,
    /// An integer: `int`.
    Int,
    /// `float64`
    Float,
    /// `bool`
    Bool,
    /// `[]string`, or a type made of it.
    Texts,
    /// `[]interface {}`
    List,
    /// `time.Time`
    Time,
    /// `time.Duration`
    Duration,
    /// `*time.Location`
    Location,
}

/// What a function does: checked arguments to a value, or Go's text of the failure.
pub type Body = Arc<dyn Fn(&[Value]) -> Result<Value, String> + Send + Sync>;

/// A function with its signature.
#[derive(Clone)]
pub struct Function {
    signature: Signature,
    body: Body,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("signature", &self.signature).finish_non_exhaustive()
    }
}

impl Function {
    /// A function of exactly these parameters.
    pub fn new(
        parameters: &'static [Type],
        body: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        Self { signature: Signature::fixed(parameters), body: Arc::new(body) }
    }

    /// A function of these parameters and any number of further arguments of one type.
    pub fn variadic(
        parameters: &'static [Type],
        rest: Type,
        body: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        Self { signature: Signature::variadic(parameters, rest), body: Arc::new(body) }
    }

    pub(crate) fn signature(&self) -> Signature {
        self.signature
    }

    pub(crate) fn call(&self, arguments: &[Value]) -> Result<Value, CallError> {
        (self.body)(arguments).map_err(CallError::Failed)
    }
}

/// Functions by name. They win over the language's own of the same name.
pub type Functions = BTreeMap<&'static str, Function>;

/// The parameters of a function or method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The parameters that must be given.
    pub parameters: &'static [Type],
    /// The type of any number of further arguments.
    pub rest: Option<Type>,
}

impl Signature {
    /// A signature of exactly these parameters.
    #[must_use]
    pub const fn fixed(parameters: &'static [Type]) -> Self {
        Self { parameters, rest: None }
    }

    /// A signature of these parameters and any number of `rest`.
    #[must_use]
    pub const fn variadic(parameters: &'static [Type], rest: Type) -> Self {
        Self { parameters, rest: Some(rest) }
    }

    /// The type of the argument at `index`.
    pub(crate) fn parameter(&self, index: usize) -> Type {
        self.parameters.get(index).copied().or(self.rest).unwrap_or(Type::Any)
    }

    /// Checks the number of arguments: `written` in the command, and one more when `piped`.
    pub(crate) fn check_count(
        &self,
        name: &str,
        written: usize,
        piped: bool,
    ) -> Result<(), String> {
        let given = written + usize::from(piped);
        let wanted = self.parameters.len();
        if self.rest.is_some() && given < wanted {
            return Err(format!(
                "wrong number of args for {name}: want at least {wanted} got {written}"
            ));
        }
        if self.rest.is_none() && given != wanted {
            return Err(format!("wrong number of args for {name}: want {wanted} got {given}"));
        }
        Ok(())
    }
}

impl Type {
    /// The Go name of the type.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Bool => "bool",
            Self::Texts => "[]string",
            Self::List => "[]interface {}",
            Self::Time => "time.Time",
            Self::Duration => "time.Duration",
            Self::Location => "*time.Location",
        }
    }

    /// What nil becomes where this type is asked for.
    pub(crate) fn of_nil(self) -> Option<Value> {
        match self {
            Self::Any => Some(Value::Nil),
            Self::Texts => Some(Value::texts(Vec::<Arc<str>>::new())),
            Self::Location => Some(Value::Nil),
            Self::List => Value::list(Vec::new()).ok(),
            _ => None,
        }
    }

    /// Checks a value against the type, as Go's assignability has it.
    pub(crate) fn fit(self, value: Value) -> Result<Value, String> {
        let fits = match (&value, self) {
            (Value::Nil, _) => {
                let message = || format!("invalid value; expected {}", self.type_name());
                return self.of_nil().ok_or_else(message);
            }
            (_, Self::Any)
            | (Value::Text(_), Self::Text)
            | (Value::Int(_), Self::Int)
            | (Value::Float(_), Self::Float)
            | (Value::Bool(_), Self::Bool)
            | (Value::Time(_), Self::Time)
            | (Value::Duration(_), Self::Duration)
            | (Value::Location(_), Self::Location) => true,
            (Value::Texts(_), Self::Texts) | (Value::List(_), Self::List) => true,
            (Value::Object(object), Self::Texts) => object.texts().is_some(),
            _ => false,
        };
        if fits {
            return Ok(value);
        }
        let (expected, got) = (self.type_name(), value.type_name());
        Err(format!("wrong type for value; expected {expected}; got {got}"))
    }
}
