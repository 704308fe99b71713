//! Standard input of this process, read when a script asks for it and not before: a script that reads
//! nothing leaves all of it to whoever reads next, such as the prompt.

use std::{io, os::fd::OwnedFd, thread};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, read},
    pipe::{PipeFlags, pipe_with},
};
use tokio::sync::mpsc;

/// The most of one read.
const READ_BYTES: usize = 64 << 10;

/// Reads on a thread of its own, which no end of this process waits for.
#[derive(Debug)]
pub(super) struct Stdin {
    asked: std::sync::mpsc::Sender<()>,
    bytes: mpsc::Receiver<Vec<u8>>,
    /// Closed with this, which ends a wait for input.
    _alive: OwnedFd,
}

impl Stdin {
    pub(super) fn open() -> io::Result<Self> {
        let (dropped, alive) = pipe_with(PipeFlags::CLOEXEC)?;
        let (asked, asks) = std::sync::mpsc::channel();
        let (sender, bytes) = mpsc::channel(1);
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            while asks.recv().is_ok() {
                let Some(read) = read_once(&dropped) else { return };
                if sender.blocking_send(read).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { asked, bytes, _alive: alive })
    }

    /// What can be read next; nothing at the end, and where it cannot be read. What was read when the
    /// future is dropped is given to the next call.
    pub(super) async fn read(&mut self) -> Vec<u8> {
        if self.asked.send(()).is_err() {
            return Vec::new();
        }
        self.bytes.recv().await.unwrap_or_default()
    }
}

/// Waits for something to read, or until `dropped` says that nobody wants it any more.
fn read_once(dropped: &OwnedFd) -> Option<Vec<u8>> {
    let stdin = io::stdin();
    loop {
        let mut waited = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(dropped, PollFlags::IN)];
        match poll(&mut waited, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return Some(Vec::new()),
            Ok(_) => {}
        }
        if !waited[1].revents().is_empty() {
            return None;
        }
        let mut buffer = vec![0; READ_BYTES];
        match read(&stdin, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            // At its end, and where it cannot be read, there is nothing more.
            Err(_) => return Some(Vec::new()),
            Ok(bytes) => {
                buffer.truncate(bytes);
                return Some(buffer);
            }
        }
    }
}
