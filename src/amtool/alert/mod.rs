//! `amtool alert`: what is wrong now.

pub(super) mod add;
pub(super) mod explain;
pub(super) mod query;
mod told;
