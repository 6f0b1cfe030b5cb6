//! What a notification says: the data that templates see and the templates themselves.

mod data;
mod kv;
mod object;
mod text;

pub(crate) use data::quote_regexp;
pub use data::{Alert, AlertStatus, Data, Group};
pub use kv::Kv;
pub use text::{Rendering, TemplateError, Templates};
