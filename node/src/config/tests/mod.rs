//! The rows of the format's description as cases, by their section.

mod guide;
mod large;
mod rows;
mod scopes;
mod traps;
mod upstream;

use tocsin_service::mistake::Mistake;

use super::{Config, Mistakes, check, load_shown};
use crate::options::Features;

/// Reads a text without features.
fn read(text: &str) -> Result<Config, Mistakes> {
    check(text, "am.yml", Features::default())
}

/// Reads a text that must be good.
#[track_caller]
fn good(text: &str) -> Config {
    match read(text) {
        Ok(config) => config,
        Err(mistakes) => panic!("{mistakes}\n---\n{text}"),
    }
}

/// The mistakes of a text, each in one line.
#[track_caller]
fn mistakes(text: &str) -> Vec<String> {
    match read(text) {
        Ok(_) => panic!("no mistake was found in\n{text}"),
        Err(mistakes) => mistakes.iter().map(Mistake::headline).collect(),
    }
}

/// What is shown loads again and is shown the same.
#[track_caller]
fn stable(config: &Config) {
    match load_shown(&config.original, Features::default()) {
        Ok(again) => assert_eq!(again.original, config.original),
        Err(mistakes) => panic!("{mistakes}\n---\n{}", config.original),
    }
}
