//! What any long-running service needs: YAML, web server, metrics, clock, systemd.

pub mod certificate;
pub mod clock;
pub mod duration;
pub mod metrics;
pub mod mistake;
pub mod secret;
pub mod systemd;
pub mod web;
pub mod wire;
pub mod yaml;
