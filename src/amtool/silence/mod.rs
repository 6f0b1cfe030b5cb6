//! `amtool silence`: what nobody is to be told of.

pub(super) mod add;
pub(super) mod expire;
pub(super) mod import;
pub(super) mod query;
pub(super) mod update;

use super::failure::Failure;
use super::moment::Moment;
use super::wire::Terms;
use tocsin_service::duration::parse_duration;

/// The end of a silence that lasts as long as a Prometheus duration says.
/// # Errors
/// When it is none, or nothing.
fn end_after(start: &Moment, duration: &str) -> Result<Moment, Failure> {
    let duration = parse_duration(duration).map_err(Failure::why)?;
    if duration.is_zero() {
        return Err("silence duration must be greater than 0".into());
    }
    Ok(tocsin_core::time::add(start.at(), duration).into())
}

/// # Errors
/// When a silence would end before it starts.
fn check_order(terms: &Terms) -> Result<(), Failure> {
    if terms.ends_at.at() < terms.starts_at.at() {
        return Err("silence cannot start after it ends".into());
    }
    Ok(())
}

/// An id as a part of a path.
/// # Errors
/// When it would lead elsewhere.
fn segment(id: &str) -> Result<&str, Failure> {
    if id.is_empty() || id.contains('/') || matches!(id, "." | "..") {
        return Err(Failure::Why(format!("not a silence ID: {id:?}")));
    }
    Ok(id)
}
