//! The binary `worker-runtime`.

use std::process::{Command, Output};

fn worker_runtime(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_worker-runtime");
    Command::new(program).args(arguments).output().expect("the binary starts")
}

fn component(name: &str, bytes: &[u8]) -> tempfile::TempPath {
    let file = tempfile::Builder::new().prefix(name).suffix(".wasm").tempfile().expect("a file");
    std::fs::write(file.path(), bytes).expect("a written file");
    file.into_temp_path()
}

#[track_caller]
fn check(arguments: &[&str], code: i32, says: &str) {
    let output = worker_runtime(arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(says), "{text}");
}

#[test]
fn check_and_run_say_what_a_component_is_and_what_it_answers() {
    let echo = component("echo", builtin_workers::ECHO);
    let companion = component("companion", builtin_workers::COMPANION);
    let hostile = component("hostile", test_guests::HOSTILE_BASE);
    let none = component("none", b"no component");
    let path = |file: &tempfile::TempPath| file.to_str().expect("UTF-8").to_owned();

    check(&["check", &path(&echo)], 0, "needs no grant");
    check(&["check", &path(&companion)], 0, "needs the grant `llm`");
    check(&["check", &path(&none)], 1, "not WebAssembly");
    check(&["check", "does/not/exist.wasm"], 1, "cannot read does/not/exist.wasm");
    check(&["run", &path(&echo), "hello"], 0, "hello\n");
    check(&["run", &path(&echo), "a\u{1b}[2Jb"], 0, "a[2Jb\n");
    check(&["run", &path(&companion), "hello"], 1, "needs the grant `llm`");
    check(&["run", &path(&hostile), "fail: no luck"], 1, "failed: no luck");
    check(&["run"], 2, "usage:");
    check(&["--version"], 0, "worker-runtime ");
}
