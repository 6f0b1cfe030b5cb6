//! The `tocsin` binary: parses the command line, starts logs, runs one mode.

fn main() {}
