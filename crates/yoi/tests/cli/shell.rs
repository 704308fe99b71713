//! `yoi shell` as people use it: scripts, files, standard input, and a session in a real terminal.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use super::{Ended, Home, send_signal, terminal::Terminal, wait};

/// A home with some files. What is compiled is shared by all tests: the shell takes seconds.
fn home() -> Home {
    compiled();
    let home = Home::with_config("[commands.tool]\ncomponent = \"tool.wasm\"\n");
    fs::write(home.path().join("config/yoi/tool.wasm"), test_guests::TOOL).expect("a command");
    fs::create_dir(home.path().join("docs")).expect("a directory");
    fs::write(home.path().join("docs/a.txt"), "alpha\nbeta\n").expect("a file");
    fs::write(home.path().join("secret.txt"), "secret").expect("a file");
    home
}

fn cache() -> &'static Path {
    Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"))
}

/// Compiles the shell, once for all tests of this build: each is a process.
pub(super) fn compiled() {
    let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache.lock");
    let lock = File::create(lock).expect("a file");
    lock.lock().expect("locked");
    let compile = with_cache(Home::new().command(&["shell", "-c", ":"])).output();
    let ended = Ended::of(compile.expect("yoi shell"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

pub(super) fn with_cache(mut command: Command) -> Command {
    command.env("XDG_CACHE_HOME", cache());
    command
}

fn command(home: &Home, arguments: &[&str]) -> Command {
    with_cache(home.command(&[&["shell"], arguments].concat()))
}

fn shell(home: &Home, arguments: &[&str]) -> Ended {
    Ended::of(command(home, arguments).output().expect("yoi shell"))
}

fn shell_with_input(home: &Home, arguments: &[&str], input: &str) -> Ended {
    let mut child = command(home, arguments).stdin(Stdio::piped()).spawn().expect("yoi shell");
    // A script that does not read it may be gone.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    Ended::of(child.wait_with_output().expect("yoi shell"))
}

#[test]
fn a_script_runs_with_its_arguments_and_its_code_is_passed_on() {
    let home = home();
    let ended =
        shell(&home, &["-c", "echo \"$0 $1 $#\"; echo err >&2; exit 7", "name", "a b", "c"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(7), "name a b 2\n"), "{ended:?}");
    assert_eq!(ended.stderr, "err\n", "nothing of ours is in its streams");
    assert_eq!(shell(&home, &["-c", "no-such-command"]).code, Some(127));
}

#[test]
fn a_script_is_read_from_a_file_or_from_standard_input() {
    let home = home();
    fs::write(home.path().join("x.sh"), "#!/bin/bash\necho \"file $0 $1\"\ncat\n").expect("a file");
    let ended = shell_with_input(&home, &["x.sh", "one"], "piped\n");
    assert_eq!(ended.stdout, "file x.sh one\npiped\n", "{ended:?}");
    let ended = shell_with_input(&home, &[], "for i in 1 2; do\necho $i\ndone\n");
    assert_eq!(ended.stdout, "1\n2\n", "{ended:?}");
    let missing = shell(&home, &["nowhere.sh"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("nowhere.sh"), "{missing:?}");
}

#[test]
fn invariant_2_a_script_sees_the_directories_it_is_given_and_nothing_else() {
    let home = home();
    let ended = shell(&home, &["--dir", "docs", "-c", "cat a.txt; pwd; echo x > a.txt"]);
    assert_eq!(ended.stdout, "alpha\nbeta\n/workspace\n", "{ended:?}");
    assert_ne!(ended.code, Some(0), "it may not be written");
    assert_eq!(
        fs::read_to_string(home.path().join("docs/a.txt")).expect("a file"),
        "alpha\nbeta\n"
    );
    let ended = shell(&home, &["--dir", "docs:/d:rw", "-c", "echo new > b.txt; cat ../secret.txt"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert_eq!(fs::read_to_string(home.path().join("docs/b.txt")).expect("a file"), "new\n");
    let ended =
        shell(&home, &["-c", "cat secret.txt /etc/passwd /proc/version; echo \"$PATH|$USER\""]);
    assert!(!ended.stdout.contains("secret") && !ended.stdout.contains("root:"), "{ended:?}");
    let host = home.path().to_string_lossy().into_owned();
    let ended = shell(&home, &["--dir", "docs", "-c", "set; env; pwd; mount; df; ls -la / /tmp"]);
    assert!(!ended.stdout.contains(&host) && !ended.stderr.contains(&host), "{ended:?}");
}

#[test]
fn its_own_directory_goes_with_it() {
    let home = home();
    let temporary = home.path().join("temporary");
    fs::create_dir(&temporary).expect("a directory");
    let script = "echo kept > $HOME/a; cat /tmp/a; mkdir -p /tmp/d/e; ln -s e /tmp/d/link";
    let output = command(&home, &["-c", script]).env("TMPDIR", &temporary).output();
    let ended = Ended::of(output.expect("yoi shell"));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "kept\n"), "{ended:?}");
    assert_eq!(fs::read_dir(&temporary).expect("a directory").count(), 0);
}

#[test]
fn a_script_that_reads_nothing_takes_nothing_of_standard_input() {
    let home = home();
    let yoi = env!("CARGO_BIN_EXE_yoi");
    let script = format!("{yoi} shell -c 'echo begun'; cat");
    let mut native = with_cache(Command::new("sh"));
    native.args(["-c", &script]).env("HOME", home.path()).current_dir(home.path());
    let mut child =
        native.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a native shell");
    child.stdin.take().expect("a pipe").write_all(b"for cat\n").expect("written");
    let output = child.wait_with_output().expect("a native shell");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "begun\nfor cat\n");
}

#[test]
fn input_and_output_flow_as_they_come() {
    let home = home();
    let script = "while read -r line; do echo \"got $line\"; done";
    let mut child =
        command(&home, &["-c", script]).stdin(Stdio::piped()).spawn().expect("yoi shell");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = child.stdout.take().expect("a pipe");
    for line in ["one", "two"] {
        writeln!(stdin, "{line}").expect("it reads");
        let expected = format!("got {line}\n");
        let mut got = vec![0; expected.len()];
        stdout.read_exact(&mut got).expect("it answers before the end of its input");
        assert_eq!(got, expected.as_bytes());
    }
    drop(stdin);
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_command_of_the_configuration_is_found_by_its_name() {
    let home = home();
    let ended = shell(&home, &["--dir", "docs", "-c", "tool read a.txt | tool cat | head -n 1"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "alpha\n"), "{ended:?}");
}

/// ripgrep as published on crates.io, built for WASI by `cargo xtask test`.
#[test]
fn ripgrep_runs_as_a_command() {
    let Some(ripgrep) = std::env::var_os("YOI_TEST_RIPGREP") else {
        panic!("run this by `cargo xtask test`, which builds ripgrep for WASI")
    };
    let home = home();
    let config = format!("[commands.rg]\ncomponent = {:?}\n", ripgrep.to_string_lossy());
    fs::write(home.path().join("config/yoi/yoi.toml"), config).expect("a configuration");
    fs::create_dir(home.path().join("docs/sub")).expect("a directory");
    fs::write(home.path().join("docs/sub/b.txt"), "beta gamma\n").expect("a file");
    let script =
        "rg -n beta | sort; cd sub; rg -c gamma b.txt; echo beta | rg -o b -; rg zzz; echo $?";
    let ended = shell(&home, &["--dir", "docs", "-c", script]);
    let expected = "a.txt:2:beta\nsub/b.txt:1:beta gamma\n1\nb\n1\n";
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), expected), "{ended:?}");
}

#[test]
fn a_limit_is_said_and_has_a_code_of_its_own() {
    let home = home();
    let config = home.path().join("config/yoi/yoi.toml");
    fs::write(&config, "[limits]\nturn_cpu_ms = 500\nturn_output_bytes = 100000\n")
        .expect("written");
    let spun = shell(&home, &["-c", "while :; do :; done"]);
    assert_eq!(spun.code, Some(137), "{spun:?}");
    assert!(spun.stderr.contains("limit of 500 ms"), "{spun:?}");
    let flooded = shell(&home, &["-c", "yes"]);
    assert_eq!(flooded.code, Some(137));
    assert!(flooded.stderr.contains("100000 bytes"), "{flooded:?}");
}

#[test]
fn a_script_begins_in_the_first_directory_that_is_named() {
    let home = home();
    for dir in ["z", "a"] {
        fs::create_dir(home.path().join(dir)).expect("a directory");
    }
    let ended = shell(&home, &["--dir", "z", "--dir", "a:/data", "-c", "pwd"]);
    assert_eq!(ended.stdout, "/workspace\n", "{ended:?}");
}

#[test]
fn a_signal_ends_it_while_its_script_is_still_written() {
    use std::os::unix::process::ExitStatusExt as _;
    let home = home();
    let mut child = command(&home, &[]).stdin(Stdio::piped()).spawn().expect("yoi shell");
    // More than a pipe holds: it reads.
    let script = "#".repeat(200_000);
    child.stdin.as_mut().expect("a pipe").write_all(script.as_bytes()).expect("written");
    send_signal(&child, "TERM");
    assert_eq!(wait(&mut child).signal(), Some(15));
}

#[test]
fn an_interrupt_ends_a_script_at_once() {
    let home = home();
    for script in ["echo begun; sleep 600", "echo begun; while :; do :; done"] {
        let mut child = command(&home, &["-c", script]).spawn().expect("yoi shell");
        let mut begun = [0; 6];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut begun).expect("it began");
        send_signal(&child, "INT");
        assert_eq!(wait(&mut child).code(), Some(130), "{script}");
    }
}

#[test]
fn a_reader_that_went_away_ends_it() {
    let home = home();
    let mut child = command(&home, &["-c", "yes"]).spawn().expect("yoi shell");
    let mut some = [0; 2];
    child.stdout.take().expect("a pipe").read_exact(&mut some).expect("some");
    assert_eq!(wait(&mut child).code(), Some(141));
}

#[test]
fn a_worker_runs_a_script_and_its_code_is_the_outcome() {
    let home = home();
    let run = |script: &str| {
        let run = home.command(&["run", "shell", "--dir", "docs:rw", script]);
        Ended::of(with_cache(run).output().expect("yoi run"))
    };
    let ended = run("cat a.txt; echo made > made; echo own > /tmp/x");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "alpha\nbeta\n"), "{ended:?}");
    assert!(ended.stderr.contains("may run scripts"), "{ended:?}");
    assert_eq!(fs::read_to_string(home.path().join("docs/made")).expect("a file"), "made\n");
    let failed = run("echo said; exit 3");
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), "said\n"), "{failed:?}");
    assert!(failed.stderr.contains("exited with code 3"), "{failed:?}");
}

#[test]
fn a_session_has_history_completion_and_ctrl_c() {
    let home = home();
    let mut terminal = Terminal::start(&command(&home, &["--dir", "docs:rw"]));
    terminal.wait_for("yoi:/workspace");
    terminal.line("x=41; echo $((x + 1))");
    terminal.wait_for("42\r\n");
    // A command, a file, and a line that goes on.
    terminal.send("cat a.t\t");
    terminal.wait_for("a.txt");
    terminal.line("");
    terminal.wait_for("alpha\r\n");
    terminal.line("for i in 7; do");
    terminal.line("echo \"in $i\"; done");
    terminal.wait_for("in 7\r\n");
    // Ctrl-C ends the command, and the session goes on.
    terminal.line("echo begun; x=99; sleep 600");
    terminal.wait_for("begun\r\n");
    terminal.send("\x03");
    terminal.wait_for("[130]");
    terminal.line("echo still $x");
    terminal.wait_for("still 41\r\n");
    // A command reads what is typed.
    terminal.line("echo asks; read -r word; echo \"read $word\"");
    terminal.wait_for("asks\r\n");
    terminal.line("typed");
    terminal.wait_for("read typed\r\n");
    // The line before.
    terminal.send("\x1b[A\x1b[A");
    terminal.wait_for("still $x");
    terminal.send("\x03");
    terminal.wait_for("[130]");
    terminal.line("exit 5");
    assert_eq!(terminal.ended(), Some(5));
    let history = home.path().join(".local/state/yoi/shell-history");
    let history = fs::read_to_string(history).expect("a history");
    assert!(history.contains("echo still $x"), "{history}");
}
