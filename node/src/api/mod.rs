//! The HTTP surface: v2, v1, operations.
