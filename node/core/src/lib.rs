//! The rules of alerting, pure: no clock, no runtime, no files.
//!
//! Every function that depends on the moment is told `now`. Time zones and random identifiers come from the caller.

pub mod alert;
pub mod group;
pub mod history;
pub mod inhibit;
pub mod interval;
pub mod label;
mod lens;
pub mod matcher;
pub mod mute;
pub mod nflog;
pub mod quote;
pub mod regex;
pub mod route;
pub mod silence;
pub mod time;
