//! `yoi exec` with real commands: streams, codes, directories, and what it does not give.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Stdio},
};

use super::{Ended, Home, send_signal, wait};

/// A home with a command in it.
fn home() -> Home {
    let home = Home::new();
    fs::write(home.path().join("tool.wasm"), test_guests::TOOL).expect("a command");
    fs::create_dir(home.path().join("docs")).expect("a directory");
    fs::write(home.path().join("docs/a.txt"), "of the docs").expect("a file");
    fs::write(home.path().join("secret.txt"), "secret").expect("a file");
    home
}

fn with_module(text: &str) -> Home {
    let home = Home::new();
    let module = wat::parse_str(text).expect("valid text format");
    fs::write(home.path().join("old.wasm"), module).expect("a module");
    home
}

fn spawn(home: &Home, arguments: &[&str]) -> Child {
    home.command(arguments).stdin(Stdio::piped()).spawn().expect("yoi exec")
}

#[test]
fn a_command_gets_its_arguments_and_its_code_is_passed_on() {
    let home = home();
    // Its options are its own, also where yoi has one of that name.
    let ended = home.yoi(&["exec", "tool.wasm", "args", "--json", "-x", "--", "a b"]);
    let expected = "[\"tool.wasm\", \"args\", \"--json\", \"-x\", \"--\", \"a b\"]\n";
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), expected), "{ended:?}");
    assert_eq!(ended.stderr, "", "nothing of ours is in its streams");
    let failed = home.yoi(&["exec", "tool.wasm", "fail"]);
    assert_eq!((failed.code, failed.stderr.as_str()), (Some(1), "tool: as it was told\n"));
    assert_eq!(home.yoi(&["exec", "tool.wasm", "exit", "0"]).code, Some(0));
    // WASI 0.2 has no other code than 1 to give for most toolchains.
    assert_eq!(home.yoi(&["exec", "tool.wasm", "exit", "7"]).code, Some(1));
    assert_eq!(home.yoi(&["exec"]).code, Some(2));
}

#[test]
fn a_command_has_the_variables_that_are_named_and_no_others() {
    let home = home();
    assert_eq!(home.succeed(&["exec", "tool.wasm", "env"]), "[]\n");
    let line = ["exec", "--env", "A=b=c", "--env", "MINE", "--env", "UNSET", "tool.wasm", "env"];
    let output = home.command(&line).env("MINE", "of here").env("OTHER", "x").output();
    let ended = Ended::of(output.expect("yoi exec"));
    assert_eq!(ended.stdout, "[(\"A\", \"b=c\"), (\"MINE\", \"of here\")]\n");
}

#[test]
fn a_command_sees_the_directories_it_is_given_and_nothing_else() {
    let home = home();
    let run = |arguments: &[&str]| home.yoi(&[&["exec"], arguments].concat());
    let without = run(&["tool.wasm", "read", "secret.txt"]);
    assert_eq!(without.code, Some(1), "{without:?}");
    let listed = run(&["--dir", "docs", "tool.wasm", "ls", "/workspace"]);
    assert_eq!(listed.stdout, "[\"a.txt\"]\n", "{listed:?}");
    for outside in ["/workspace/../secret.txt", "/secret.txt", "/etc/passwd"] {
        let ended = run(&["--dir", "docs", "tool.wasm", "read", outside]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    }
    let refused = run(&["--dir", "docs:/d", "tool.wasm", "write", "/d/b.txt", "x"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(!home.path().join("docs/b.txt").exists());
    let written = run(&["--dir", "docs:/d:rw", "tool.wasm", "write", "/d/b.txt", "new"]);
    assert_eq!(written.code, Some(0), "{written:?}");
    assert_eq!(fs::read_to_string(home.path().join("docs/b.txt")).expect("a file"), "new");
}

#[test]
fn directories_that_make_no_sense_are_refused_by_the_name_of_the_option() {
    let home = home();
    fs::create_dir_all(home.path().join("repo/.git/hooks")).expect("directories");
    let refusal = |dirs: &[&str]| {
        let ended = home.yoi(&[&["exec"], dirs, &["tool.wasm", "ls", "/workspace"]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        ended.stderr
    };
    assert!(refusal(&["--dir", "nowhere"]).starts_with("yoi: --dir nowhere: "));
    let git = refusal(&["--dir", "repo:rw"]);
    assert!(git.starts_with("yoi: --dir repo: a git directory"), "{git}");
    assert!(git.contains("--expose-git"), "{git}");
    let twice = refusal(&["--dir", "docs", "--dir", "repo"]);
    assert!(twice.contains("both to be seen at /workspace"), "{twice}");
    let within = refusal(&["--dir", ".:/all:rw", "--dir", "docs", "--expose-git"]);
    assert!(within.contains("could be written through that"), "{within}");
    let exposed = ["exec", "--dir", "repo:rw", "--expose-git", "tool.wasm", "ls", "/workspace"];
    assert_eq!(home.succeed(&exposed), "[\".git\"]\n");
    let read_only = ["exec", "--dir", "repo", "tool.wasm", "ls", "/workspace"];
    assert_eq!(home.succeed(&read_only), "[\".git\"]\n");
    let usage = home.yoi(&["exec", "--dir", "docs:/a/:ro", "tool.wasm", "ls"]);
    assert_eq!(usage.code, Some(2), "{usage:?}");
}

#[test]
fn what_is_read_and_written_flows_as_it_comes() {
    let home = home();
    let mut child = spawn(&home, &["exec", "tool.wasm", "cat"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    for line in ["first\n", "second\n"] {
        stdin.write_all(line.as_bytes()).expect("it reads");
        let mut echoed = String::new();
        // It answers before it is given more.
        stdout.read_line(&mut echoed).expect("a line");
        assert_eq!(echoed, line);
    }
    drop(stdin);
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_command_waits_for_who_reads_and_ends_when_nobody_does() {
    let home = home();
    let mut child = spawn(&home, &["exec", "tool.wasm", "yes"]);
    let mut some = vec![0; 1 << 17];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut some).expect("more than a pipe holds");
    drop(stdout);
    assert_eq!(wait(&mut child).code(), Some(141));
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(said, "");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_command_that_spins_or_waits() {
    let home = home();
    for (command, signal) in [("spin", "INT"), ("spin", "TERM"), ("yes", "INT")] {
        let mut child = spawn(&home, &["exec", "tool.wasm", command]);
        let mut first = [0];
        // `yes` waits for a reader from then on, and nobody reads.
        child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("it runs");
        send_signal(&child, signal);
        assert_eq!(wait(&mut child).code(), Some(130), "{command} {signal}");
    }
    let mut child = spawn(&home, &["exec", "tool.wasm", "cat"]);
    child.stdin.as_mut().expect("a pipe").write_all(b"x\n").expect("it reads");
    let mut first = [0];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("it runs");
    send_signal(&child, "INT");
    assert_eq!(wait(&mut child).code(), Some(130), "it waits for input");
}

#[test]
fn a_trap_and_a_limit_have_a_code_and_say_why() {
    let home = home();
    let panicked = home.yoi(&["exec", "tool.wasm", "panic"]);
    assert_eq!(panicked.code, Some(134), "{panicked:?}");
    assert!(panicked.stderr.contains("as it was told"), "{panicked:?}");
    assert!(panicked.stderr.contains("yoi: tool.wasm: it trapped: "), "{panicked:?}");
    fs::write(home.path().join("small.toml"), "[limits]\nturn_cpu_ms = 100\n").expect("a file");
    let small = home.yoi(&["--config", "small.toml", "exec", "tool.wasm", "spin"]);
    assert_eq!(small.code, Some(134), "{small:?}");
    assert!(small.stderr.contains("longer than its limit of 100 ms"), "{small:?}");
    let grown = home.yoi(&["exec", "tool.wasm", "grow", "1024"]);
    assert_eq!(grown.code, Some(134), "{grown:?}");
    assert!(grown.stderr.contains("more memory than its limit of 268435456"), "{grown:?}");
}

#[test]
fn what_no_command_is_given_is_refused_by_name() {
    let home = home();
    fs::write(home.path().join("network.wasm"), test_guests::NETWORK).expect("a Worker");
    let worker = home.yoi(&["exec", "network.wasm"]);
    assert_eq!(worker.code, Some(1), "{worker:?}");
    assert!(worker.stderr.contains("it is a Worker"), "{worker:?}");
    let command = |imports: &str| {
        let text = format!(
            "(component {imports} (component $c) (instance $i (instantiate $c))
                (export \"wasi:cli/run@0.2.3\" (instance $i)))"
        );
        fs::write(home.path().join("new.wasm"), wat::parse_str(text).expect("valid")).expect("it");
        home.yoi(&["exec", "new.wasm"])
    };
    for import in
        ["wasi:sockets/tcp@0.2.3", "wasi:http/outgoing-handler@0.2.3", "yoi:worker/llm@0.1.0"]
    {
        let ended = command(&format!("(import \"{import}\" (instance))"));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains(&format!("it imports `{import}`, to ")), "{ended:?}");
    }
    for (file, words) in [
        ("/dev/zero", "no regular file"),
        (".", "no regular file"),
        ("docs/a.txt", "not WebAssembly"),
    ] {
        let ended = home.yoi(&["exec", file]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
}

#[test]
fn a_code_is_passed_on_whole_where_wasi_tells_it() {
    let component = with_module(
        r#"(component
            (import "wasi:cli/exit@0.2.12" (instance $wasi
                (export "exit-with-code" (func (param "status-code" u8)))))
            (core func $exit (canon lower (func $wasi "exit-with-code")))
            (core module $module
                (import "wasi" "exit" (func $exit (param i32)))
                (func (export "run") (result i32) (call $exit (i32.const 7)) unreachable))
            (core instance $main (instantiate $module
                (with "wasi" (instance (export "exit" (func $exit))))))
            (func $run (result (result)) (canon lift (core func $main "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.12" (instance $exported)))"#,
    );
    assert_eq!(component.yoi(&["exec", "old.wasm"]).code, Some(7));
    // WASI 0.1 is adapted to what WASI 0.2 told at first: success or none.
    let module = with_module(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const 7))))"#,
    );
    assert_eq!(module.yoi(&["exec", "old.wasm"]).code, Some(1));
}

#[test]
fn a_core_module_for_wasi_0_1_runs_and_one_for_anything_else_does_not() {
    let home = with_module(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "old\n")
            (func (export "_start")
                (i32.store (i32.const 0) (i32.const 16))
                (i32.store (i32.const 4) (i32.const 4))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (call $exit (i32.const 0))))"#,
    );
    let ended = home.yoi(&["exec", "old.wasm"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "old\n"), "{ended:?}");
    for (text, words) in [
        ("(module)", "a core module that is no command"),
        (
            "(module (import \"env\" \"system\" (func)) (func (export \"_start\")))",
            "it imports `env/system`",
        ),
        ("(module (func (export \"_start\") (drop)))", "a core module that cannot be run"),
    ] {
        let ended = with_module(text).yoi(&["exec", "old.wasm"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
}

#[test]
fn inspect_says_what_a_component_could_ask_for_without_running_it() {
    let home = home();
    let said = home.succeed(&["component", "inspect", "tool.wasm"]);
    assert!(said.starts_with("it is    a WASI command\nsize     "), "{said}");
    assert!(
        said.contains("use files in the directories that it is granted, and no others"),
        "{said}"
    );
    fs::write(home.path().join("network.wasm"), test_guests::NETWORK).expect("a Worker");
    let said = home.succeed(&["component", "inspect", "network.wasm"]);
    assert!(said.contains("never: it is refused"), "{said}");
    let json = home.succeed(&["--json", "component", "inspect", "network.wasm"]);
    let found: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(found["kind"], "worker");
    let imports = found["imports"].as_array().expect("a list");
    assert!(imports.iter().any(|import| import["takes"] == "refused"), "{found}");
    for file in ["/dev/zero", "docs", "docs/a.txt", "nowhere"] {
        let ended = home.yoi(&["component", "inspect", file]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    }
}
