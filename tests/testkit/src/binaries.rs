//! Where the binaries under test lie.

use std::path::PathBuf;

/// The path of a binary that the workspace builds. Member binaries get no `CARGO_BIN_EXE_*` in another package, so
/// `cargo xtask test` builds them first and says where.
pub fn binary(name: &str) -> PathBuf {
    let dir = std::env::var_os("HIVE_BIN_DIR").unwrap_or_else(|| {
        panic!(
            "HIVE_BIN_DIR is not set: end-to-end tests drive the real binaries.\n\
             Run `cargo xtask test`, or `cargo build --workspace --bins` and then \
             `HIVE_BIN_DIR=$PWD/target/debug cargo test --test it`"
        )
    });
    let path = PathBuf::from(dir).join(name);
    assert!(path.is_file(), "there is no {}: run `cargo build --workspace --bins`", path.display());
    path
}
