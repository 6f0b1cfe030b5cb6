//! The rules of alerting, pure: no clock, no runtime, no files.
