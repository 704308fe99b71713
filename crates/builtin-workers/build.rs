//! Builds the guests, and computes the digests of the components that are Workers.

use std::{error::Error, fs, path::PathBuf};

use guest_build::GuestBuild;
use sha2::{Digest, Sha256};

/// The shell is an interpreter of ten megabytes: a profile of its own compiles it in minutes less.
const SHELL_PROFILE: &str = "guest-shell";

fn main() {
    if let Err(error) = build() {
        guest_build::report(&*error);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let with_shell = std::env::var_os("CARGO_FEATURE_SHELL").is_some();
    let mut workers = GuestBuild::new().library("worker-companion").library("worker-echo");
    if std::env::var_os("CARGO_FEATURE_CODER").is_some() {
        workers = workers.library("worker-coder");
    }
    if with_shell {
        workers = workers.library("worker-shell");
        GuestBuild::new().profile(SHELL_PROFILE).library("shell-component").run()?.export();
    }
    let workers = workers.run()?;
    workers.export();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    for (name, component) in workers.components() {
        fs::write(out.join(name).with_extension("sha256"), Sha256::digest(fs::read(component)?))?;
    }
    Ok(())
}
