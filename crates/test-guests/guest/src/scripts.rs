//! A guest that runs scripts, well or badly.
//!
//! The input is `command: argument`:
//!
//! - `run: SCRIPT`, or several of one session with lines of `---` between them: says for each what it wrote
//!   and how it ended.
//! - `survive: SCRIPT`: the script, and `echo next` in the same session; says both at once.
//! - `env: SCRIPT`, with an argument, a variable, a directory (`/`) and some input of its own.
//! - `pipe: BYTES`: a script copies so many bytes from its input to its output.
//! - `timeout: MS SCRIPT`.
//! - `drop: SCRIPT`: drops it with its first piece, and runs `echo next` in the same session.
//! - `hold: SCRIPT`: says its first piece, and waits for its end.
//! - `leave: SCRIPT`: takes one piece and nothing more, and sleeps.
//! - `at-once: N`: N sessions, each with a script that waits; says how many were started.
//! - `sessions: N`: says how many were opened.
//! - `tool: SCRIPT`: as a tool that it calls; says what the script writes as it comes, before the call ends.

use std::{thread, time::Duration};

use worker_guest::{
    Failure, Turn,
    shell::{Output, Piece, Script, Shell},
};

use crate::Command;

/// What is kept of each output.
const KEPT_BYTES: usize = 4 << 10;

/// Does what the input says.
pub fn run(turn: &Turn) -> Result<(), Failure> {
    let text = turn.text();
    let Command { name, argument } = Command::parse(&text);
    match name {
        "run" => {
            let mut shell = turn.shell()?;
            for script in argument.split("\n---\n") {
                turn.say(&told(&shell.output(script, KEPT_BYTES)?))?;
            }
        }
        "survive" => {
            let mut shell = turn.shell()?;
            let first = told(&shell.output(argument, KEPT_BYTES)?);
            let second = told(&shell.output("echo next", KEPT_BYTES)?);
            turn.say(&format!("{first}{second}"))?;
        }
        "env" => {
            let script = Script::new(argument).argument("one").variable("GIVEN", "by the guest");
            let script = script.directory("/").input("from the guest\n");
            turn.say(&told(&turn.shell()?.output(script, KEPT_BYTES)?))?;
        }
        "pipe" => {
            let bytes = Command { name, argument }.number()?;
            let script = Script::new("cat").input(vec![b'x'; bytes]);
            let mut shell = turn.shell()?;
            let copied = shell.start(script)?.map(|piece| match piece {
                Piece::Stdout(bytes) => bytes.len(),
                _ => 0,
            });
            let copied: usize = copied.sum();
            turn.say(&copied.to_string())?;
        }
        "timeout" => {
            let (time, script) = argument.split_once(' ').unwrap_or((argument, ""));
            let time = Command { name, argument: time }.number()? as u64;
            let script = Script::new(script).timeout(Duration::from_millis(time));
            turn.say(&told(&turn.shell()?.output(script, KEPT_BYTES)?))?;
        }
        "drop" => {
            let mut shell = turn.shell()?;
            drop(first_piece(&mut shell, argument)?);
            turn.say(&told(&shell.output("echo next", KEPT_BYTES)?))?;
        }
        "hold" => {
            let mut shell = turn.shell()?;
            let mut running = shell.start(argument)?;
            turn.say(&format!("{:?}", running.next()))?;
            let ending = running.last();
            turn.say(&format!("{ending:?}"))?;
        }
        "leave" => {
            let mut shell = turn.shell()?;
            let mut running = shell.start(argument)?;
            let _ = running.next();
            turn.say("left")?;
            thread::sleep(Duration::from_secs(600));
        }
        "at-once" => {
            let mut shells = shells(turn, Command { name, argument }.number()?).0;
            let mut running = Vec::new();
            let mut refused = String::new();
            for shell in &mut shells {
                match shell.start("sleep 600") {
                    Ok(script) => running.push(script),
                    Err(error) => refused = error.to_string(),
                }
            }
            turn.say(&format!("{}: {refused}", running.len()))?;
        }
        "sessions" => {
            let (shells, refused) = shells(turn, Command { name, argument }.number()?);
            turn.say(&format!("{}: {refused}", shells.len()))?;
        }
        "tool" => tool(turn, argument)?,
        _ => turn.say(&text)?,
    }
    Ok(())
}

fn tool(turn: &Turn, script: &str) -> Result<(), Failure> {
    let call = turn.begin_tool("shell", format_args!("{script:?}"))?;
    let mut message = turn.utter()?;
    let mut output = String::new();
    for piece in turn.shell()?.start(script)? {
        if let Piece::Stdout(bytes) = piece {
            let text = String::from_utf8_lossy(&bytes);
            message.delta(&text)?;
            output.push_str(&text);
        }
    }
    message.end()?;
    call.end(Ok(&output))?;
    Ok(())
}

fn told(output: &Output) -> String {
    let Output { stdout, stderr, ending } = output;
    format!("{}{}[{ending}]", stdout.text(), stderr.text())
}

/// Starts a script and waits for what it writes first.
fn first_piece<'shell>(
    shell: &'shell mut Shell,
    script: &str,
) -> Result<worker_guest::shell::Running<'shell>, Failure> {
    let mut running = shell.start(script)?;
    let _ = running.next();
    Ok(running)
}

fn shells(turn: &Turn, number: usize) -> (Vec<Shell>, String) {
    let mut opened = Vec::new();
    for _ in 0..number {
        match turn.shell() {
            Ok(shell) => opened.push(shell),
            Err(error) => return (opened, error.to_string()),
        }
    }
    (opened, String::new())
}
