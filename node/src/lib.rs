//! The alert node: configuration, notification, engine, API, pages.

pub mod api;
pub mod config;
pub mod engine;
pub mod message;
pub mod metrics;
pub mod notify;
pub mod options;
pub mod ui;
