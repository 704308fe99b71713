//! The lines that somebody types.

use std::{
    io::{self, BufRead as _, IsTerminal as _},
    thread,
};

use tokio::sync::mpsc;

/// Lines that are read ahead: as many as a Worker lets wait by default.
const AHEAD: usize = 32;

/// The lines of the terminal, until Ctrl-D; `None` where standard input is no terminal. They are read on a
/// thread that no end of this process waits for.
pub(super) fn typed() -> io::Result<Option<mpsc::Receiver<String>>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let (sender, lines) = mpsc::channel(AHEAD);
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match stdin.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(Some(lines))
}
