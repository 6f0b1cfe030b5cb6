//! The targets by name, for the programs that cargo-fuzz makes of them.

mod targets;

/// Does with `data` what the target of that name does.
pub fn run(name: &str, data: &[u8]) {
    for (known, target) in targets::ALL {
        if known == name {
            target(data);
        }
    }
}
