//! Values of any shape: what a webhook's `payload`, PagerDuty's `details` and Jira's `fields` hold.

use tocsin_service::yaml::{Kind, Node, Resolved, Scalar, Value};

/// A value of any shape; maps keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text: a template.
    Text(String),
    /// Values in order.
    List(Vec<Tree>),
    /// Values by key; a key need not be a text.
    Map(Vec<(Tree, Tree)>),
}

impl Tree {
    /// The value as the file has it.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        match node.kind() {
            Kind::Scalar(scalar) => scalar_tree(scalar),
            Kind::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Kind::Map(entries) => {
                let entry = |entry: &tocsin_service::yaml::Entry| {
                    (scalar_tree(&entry.key), Self::of(&entry.value))
                };
                Self::Map(entries.iter().map(entry).collect())
            }
        }
    }

    /// The value as it is shown, maps sorted by key.
    #[must_use]
    pub fn show(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Text(text) => Value::Text(text.clone()),
            Self::List(items) => Value::List(items.iter().map(Self::show).collect()),
            Self::Map(entries) => {
                let mut shown: Vec<_> =
                    entries.iter().map(|(key, value)| (key.key_text(), value.show())).collect();
                shown.sort_by(|left, right| left.0.cmp(&right.0));
                Value::Map(shown)
            }
        }
    }

    fn key_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            other => other.show().to_string().trim_end().to_owned(),
        }
    }
}

fn scalar_tree(scalar: &Scalar) -> Tree {
    match scalar.resolve() {
        Resolved::Null => Tree::Null,
        Resolved::Bool(value) => Tree::Bool(value),
        Resolved::Int(value) => Tree::Int(value),
        #[expect(clippy::cast_precision_loss, reason = "no number of a real file is this large")]
        Resolved::Unsigned(value) => Tree::Float(value as f64),
        Resolved::Float(value) => Tree::Float(value),
        Resolved::Text(text) => Tree::Text(text),
    }
}
