//! The SDK serves a crate outside of this workspace.

use std::{env, fs, path::Path, process::Command};

#[test]
fn an_authors_crate_outside_the_workspace_passes_its_test_and_builds() {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR"));
    let author = Path::new(env!("CARGO_TARGET_TMPDIR")).join("author");
    fs::create_dir_all(author.join("src")).expect("a folder for the crate");

    let manifest = fs::read_to_string(sdk.join("tests/author/Cargo.toml")).expect("the manifest");
    let at_home = r#"path = "../..""#;
    assert!(manifest.contains(at_home));
    let manifest = manifest.replace(at_home, &format!("path = {:?}", sdk.display().to_string()));
    fs::write(author.join("Cargo.toml"), manifest).expect("the manifest's copy");
    for (from, to) in [
        ("tests/author/src/lib.rs", "src/lib.rs"),
        // The versions that the workspace tested, all of them on this machine already.
        ("../Cargo.lock", "Cargo.lock"),
    ] {
        fs::copy(sdk.join(from), author.join(to)).expect("the file's copy");
    }

    cargo(&author, &["test"]);
    cargo(&author, &["build", "--release", "--target", "wasm32-wasip2"]);
    let component = author.join("target/wasm32-wasip2/release/greeter.wasm");
    let component = fs::read(component).expect("the component");
    assert_eq!(component[..8], *b"\0asm\x0d\0\x01\0", "a component, not a module");
}

#[test]
fn the_package_has_the_whole_contract() {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    let listed = String::from_utf8(output.stdout).expect("names in UTF-8");
    for file in ["wit/worker.wit", "wit/shell.wit", "wit/deps/io/poll.wit"] {
        assert!(listed.lines().any(|line| line == file), "{file} is not in the package:\n{listed}");
    }
}

fn cargo(folder: &Path, arguments: &[&str]) {
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--offline")
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "cargo {arguments:?} failed");
}
