//! Builds the guests, and computes the digests of their components.

use std::{error::Error, fs, path::PathBuf};

use guest_build::GuestBuild;
use sha2::{Digest, Sha256};

fn main() {
    if let Err(error) = build() {
        guest_build::report(&*error);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let guests = GuestBuild::new().library("worker-companion").library("worker-echo").run()?;
    guests.export();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    for (name, component) in guests.components() {
        fs::write(out.join(name).with_extension("sha256"), Sha256::digest(fs::read(component)?))?;
    }
    Ok(())
}
