//! What WASI offers.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{self, Read as _},
    time::{Instant, SystemTime},
};

use worker_guest::{Failure, Turn};

use crate::Command;

pub(crate) fn run(turn: &Turn, command: Command<'_>) -> Option<Result<(), Failure>> {
    Some(match command.name {
        "print" => print(&mut io::stdout(), format!("{}\n", command.argument).as_bytes()),
        "stdout" => flood(&mut io::stdout(), command),
        "stderr" => flood(&mut io::stderr(), command),
        "stdin" => stdin(turn),
        "random" => random(turn, command),
        "env" => environment(turn),
        "fs" => files(turn),
        "clock" => clock(turn),
        _ => return None,
    })
}

/// Prints so many bytes, in lines of at most 80.
fn flood(stream: &mut impl io::Write, command: Command<'_>) -> Result<(), Failure> {
    let line = [[b'x'; 79].as_slice(), b"\n"].concat();
    let count = command.number()?;
    for _ in 0..count / line.len() {
        stream.write_all(&line)?;
    }
    print(stream, &line[..count % line.len()])
}

fn print(stream: &mut impl io::Write, bytes: &[u8]) -> Result<(), Failure> {
    stream.write_all(bytes)?;
    stream.flush()?;
    Ok(())
}

fn stdin(turn: &Turn) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    turn.say(&format!("read {} bytes", bytes.len()))?;
    Ok(())
}

/// Asks the host for so many random bytes in one call; std would ask for a few at a time.
fn random(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let count = command.number()?;
    #[cfg(target_arch = "wasm32")]
    let bytes = wasip2::random::random::get_random_bytes(count as u64);
    #[cfg(not(target_arch = "wasm32"))]
    let bytes = vec![0_u8; count];
    turn.say(&format!("got {} bytes", bytes.len()))?;
    Ok(())
}

fn environment(turn: &Turn) -> Result<(), Failure> {
    let mut text = format!("arguments: {:?}", env::args().collect::<Vec<_>>());
    for (name, value) in env::vars() {
        write!(text, "\n{name}={value}")?;
    }
    turn.say(&text)?;
    Ok(())
}

fn files(turn: &Turn) -> Result<(), Failure> {
    let outcome = |result: io::Result<String>| result.unwrap_or_else(|error| format!("{error}"));
    let root = fs::read_dir("/").map(|entries| format!("{} entries", entries.count()));
    let passwd = fs::read_to_string("/etc/passwd").map(|text| format!("{} bytes", text.len()));
    let written = fs::write("/escaped", "x").map(|()| "written".to_owned());
    turn.say(&format!(
        "read_dir /: {}\nread /etc/passwd: {}\nwrite /escaped: {}",
        outcome(root),
        outcome(passwd),
        outcome(written)
    ))?;
    Ok(())
}

fn clock(turn: &Turn) -> Result<(), Failure> {
    let start = Instant::now();
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    turn.say(&format!("{seconds} s since 1970, {} ns passed", start.elapsed().as_nanos()))?;
    Ok(())
}
