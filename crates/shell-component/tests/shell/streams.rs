//! Data flows as it comes, and only to who wants it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use shell_component::command::{Command, Invocation, Pending};
use tokio::sync::mpsc;

use crate::support::{Channel, Shell, Text, Untouched, check, check_input};

#[test]
fn endless_commands_end_when_nobody_reads() {
    check("yes | head -2", "y\ny\n");
    check("while :; do echo x; done | head -1", "x\n");
    check("yes | tr y n | grep n | head -c 4", "n\nn\n");
    check("cat /dev/zero | head -c 3 | wc -c", "3\n");
}

#[test]
fn a_loop_keeps_its_input_while_its_commands_have_files() {
    check("echo f > f; seq 3 | while read -r i; do cat f; done", "f\nf\nf\n");
    check("echo f > f; seq 2 | while read -r i; do echo $i $(grep -c f f); done", "1 1\n2 1\n");
    check(
        "printf 'a\\nb\\n' > f; seq 2 | while read -r i; do while read -r l; do echo $i$l; done < f; done",
        "1a\n1b\n2a\n2b\n",
    );
}

#[test]
fn commands_share_the_input_of_the_script() {
    check_input("head -1; cat", "1\n2\n3\n", "1\n2\n3\n");
    check_input("read -r a; echo \"<$a>\"; sed s/l/L/", "l1\nl2\n", "<l1>\nL2\n");
    check_input("read -n 2 a; read -d : b; echo $a-$b; cat", "xyz:w", "xy-z\nw");
    check_input("while read -r l; do echo \"<$l>\"; done", "a\nb\n", "<a>\n<b>\n");
    check_input("cat < /dev/null; true | cat; wc -l", "a\nb\n", "2\n");
    check_input("mapfile -t m; echo ${#m[@]} ${m[1]}", "a\nb\n", "2 b\n");
    check_input("cat | tr a b", "aa", "bb");
}

#[test]
fn input_is_not_read_unless_something_reads_it() {
    let ran =
        Shell::new().run_with("echo hi; cat < /dev/null; ls; printf x | cat; seq 1", Untouched);
    assert_eq!(ran.output, "hi\nx1\n");
}

#[test]
fn lines_are_answered_before_the_input_ends() {
    // The second line is sent only after the first was answered.
    let (lines, receiver) = mpsc::channel(1);
    let answered = Arc::new(AtomicUsize::new(0));
    let mut shell = Shell::new();
    shell.commands.push((
        "answer".into(),
        Arc::new(Answer { lines: lines.clone(), answered: Arc::clone(&answered) }),
    ));
    lines.blocking_send(b"first\n".to_vec()).unwrap();
    drop(lines);
    let ran = shell.run_with("while read -r l; do answer \"$l\"; done", Channel(receiver));
    assert_eq!(ran.output, "first!\nsecond!\n", "{}", ran.errors);
    assert_eq!(answered.load(Ordering::Relaxed), 2);
}

/// Answers a line, and then sends another one.
struct Answer {
    lines: mpsc::Sender<Vec<u8>>,
    answered: Arc<AtomicUsize>,
}

impl Command for Answer {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let text = format!("{}!\n", call.arguments[0]);
            call.output.write(text.as_bytes()).await?;
            let more = match self.answered.fetch_add(1, Ordering::Relaxed) {
                0 => &b"second\n"[..],
                // An empty piece is the end.
                _ => b"",
            };
            self.lines.send(more.to_vec()).await.map_err(io::Error::other)?;
            Ok(0)
        })
    }
}

#[test]
fn commands_run_at_the_same_time_in_a_pipeline() {
    let dropped = Arc::new(AtomicBool::new(false));
    let mut shell = Shell::new();
    shell.commands.push(("endless".into(), Arc::new(Endless(Arc::clone(&dropped)))));
    let ran = shell.run("endless | cat | head -1; echo ${PIPESTATUS[0]}", "");
    assert_eq!(ran.output, "x\n141\n", "{}", ran.errors);
    assert!(dropped.load(Ordering::Relaxed));
}

/// Writes, and waits in between, until it is dropped.
struct Endless(Arc<AtomicBool>);

impl Command for Endless {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        struct Dropped<'a>(&'a AtomicBool);
        impl Drop for Dropped<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        Box::pin(async move {
            let _dropped = Dropped(&self.0);
            loop {
                call.output.write(b"x\n").await?;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
    }
}

#[test]
fn substitutions_are_files_for_our_commands() {
    check("cat <(echo a) <(echo b)", "a\nb\n");
    check("wc -l < <(seq 3)", "3\n");
    check("diff <(seq 2) <(seq 2) && echo same", "same\n");
}

#[test]
fn files_are_read_as_the_command_reads() {
    check(
        "seq 3 > f; wc -l < f; tail -1 <f; d=$PWD/f; cat < \"$d\"; head -1 < none; echo $?",
        "3\n3\n1\n2\n3\n1\n",
    );
    check("seq 3 > f; while head -1; do break; done < f; (tr 1 x < f) | head -1", "1\nx\n");
    // None of it is in memory, of which there is not so much.
    check(
        "cat < /dev/zero | head -c 1; head -c 2 < /dev/zero | wc -c; :> f; wc -c < f",
        "\x002\n0\n",
    );
    let ran = Shell::new().run("wc < none", "");
    assert_eq!(ran.errors, "bash: line 1: none: No such file or directory\n");
}

#[test]
fn large_data_passes_whole() {
    let megabytes = "x".repeat(1023) + "\n";
    let ran = Shell::new()
        .run_with("cat | tr x y | grep y | wc -c", Text(megabytes.repeat(4096).into_bytes()));
    assert_eq!(ran.output, "4194304\n");
    check("head -c 3000000 /dev/zero | tr '\\0' a > f; x=$(cat f); echo ${#x}", "3000000\n");
}

#[test]
fn output_and_errors_come_in_order() {
    let mut shell = Shell::new();
    shell.merge = true;
    let ran = shell
        .run("echo a; echo b >&2; echo c; ls nope; echo d; cat none; echo e >&2; cut; echo f", "");
    let lines: Vec<_> = ran.output.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "a",
            "b",
            "c",
            "ls",
            "d",
            "cat",
            "e",
            "cut",
            "Try 'cut --help' for more information.",
            "f"
        ]
    );
}

#[test]
fn a_coprocess_answers_line_by_line() {
    check("coproc cat; echo hi >&${COPROC[1]}; read l <&${COPROC[0]}; echo got $l", "got hi\n");
}
