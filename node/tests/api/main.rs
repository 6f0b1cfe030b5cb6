//! The HTTP API over real sockets: a node in this process, and Debian's `prometheus-alertmanager`
//! beside it.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the lints' exception for tests does not reach helpers of this kind of test"
)]

mod amtool;
mod beside;
mod bytes;
mod client;
mod metrics;
mod node;
mod surface;
mod tracing;
