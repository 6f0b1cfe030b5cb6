//! The metrics of the node, by their upstream names.
