//! Go text/template and HTML escaping over a trait of values.
