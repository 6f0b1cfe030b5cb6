//! End-to-end tests: real processes of the built binary, real sockets, Debian's Prometheus and a real SMTP server.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it changed, and what its processes said when it fails"
)]

mod amtool;
mod bad_input;
mod clients;
mod demo;
mod flags_and_reload;
mod fuzz_seeds;
mod guide;
mod harness;
mod lb_handover;
mod manual;
mod migrate;
mod monitoring;
mod node_death;
mod packaging;
mod promises;
mod secrets;
mod setup;
mod supply;
mod tidy;
mod told_once;
mod ui;
