//! `amtool config`: what a server has been told to do.

pub(super) mod routes;
pub(super) mod show;
