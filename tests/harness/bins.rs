//! Where the binaries under test are; builds them once per process.
//!
//! Cargo builds binaries for a package's own integration tests only, so what lies in `target` from an
//! earlier build may be stale. `MCPBRIDGE_TEST_BIN_DIR` names a directory of finished binaries instead,
//! so that the same tests run against a package.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub fn mcpbridged() -> PathBuf {
    directory().join("mcpbridged")
}

pub fn mcpbridgectl() -> PathBuf {
    directory().join("mcpbridgectl")
}

pub fn demo_server() -> PathBuf {
    directory().join("mcpbridge-demo-server")
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| match std::env::var_os("MCPBRIDGE_TEST_BIN_DIR") {
        Some(given) => PathBuf::from(given),
        None => build(),
    })
}

fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--workspace", "--bins", "--locked"])
        .current_dir(root());
    // What `cargo test` tells this process about its own package would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let of_package = ["CARGO_MANIFEST_", "CARGO_PKG_"];
        if of_package
            .iter()
            .any(|start| name.to_string_lossy().starts_with(start))
        {
            cargo.env_remove(name);
        }
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.status().unwrap();
    assert!(built.success(), "the binaries under test do not build");
    // The running test is target/PROFILE/deps/e2e-HASH.
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}
