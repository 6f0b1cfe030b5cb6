//! What any long-running service needs: YAML, web server, metrics, clock, systemd.

pub mod clock;
pub mod metrics;
pub mod systemd;
pub mod web;
pub mod wire;
