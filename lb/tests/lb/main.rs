//! The balancer as its users meet it: real sockets, servers that fail in every way.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking, and real sockets need real time"
)]

mod harness;

mod admin;
mod alerts;
mod auth;
mod beside;
mod faults;
mod h2;
mod limits;
mod reload;
mod repeat;
mod smuggle;
mod stats;
mod tls;
mod traffic;
