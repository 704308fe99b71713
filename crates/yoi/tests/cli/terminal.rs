//! A terminal, and a program in it.

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::PATIENCE;

/// What a program asks a terminal for where its cursor is, and an answer.
const WHERE: &str = "\x1b[6n";
const HERE: &[u8] = b"\x1b[1;1R";

/// A program in a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What was shown and nobody has waited for.
    shown: String,
    /// All that was shown.
    all: String,
}

impl Terminal {
    pub(crate) fn start(command: &Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).expect("granted");
        unlockpt(&terminal).expect("unlocked");
        let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).expect("a size");
        let name = ptsname(&terminal, Vec::new()).expect("a name");
        let inside = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its inside");
        let stream = |inside: &OwnedFd| Stdio::from(inside.try_clone().expect("a handle"));
        // Its controlling terminal, or Ctrl-C would be nobody's.
        let mut setsid = Command::new("setsid");
        setsid.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        setsid.env_clear().current_dir(command.get_current_dir().expect("a directory"));
        let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let child = setsid
            .envs(set)
            .env("TERM", "xterm")
            .stdin(stream(&inside))
            .stdout(stream(&inside))
            .stderr(stream(&inside))
            .spawn()
            .expect("setsid of util-linux");
        let keyboard = File::from(terminal);
        let mut screen = keyboard.try_clone().expect("a handle");
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match screen.read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // It ends with an error once nobody is inside.
                    Ok(0) | Err(_) => return,
                    Ok(read) => {
                        if sender.send(buffer[..read].to_vec()).is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Self { child, keyboard, screen: receiver, shown: String::new(), all: String::new() }
    }

    /// Types.
    pub(crate) fn send(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
    }

    /// Types a line.
    pub(crate) fn line(&mut self, line: &str) {
        self.send(&format!("{line}\r"));
    }

    /// Waits until this is shown, behind what was waited for before; what was shown between, and this.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown.find(text) {
                return self.shown.drain(..at + text.len()).collect();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.screen.recv_timeout(left) else {
                panic!("no `{text}` in {:?}", self.shown)
            };
            self.show(&bytes);
        }
    }

    /// Shows what the program writes, and answers what it asks.
    fn show(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        for _ in text.matches(WHERE) {
            // Nobody asks any more where it has ended.
            let _ = self.keyboard.write_all(HERE);
        }
        self.shown.push_str(&text);
        self.all.push_str(&text);
    }

    /// All that was shown so far.
    pub(crate) fn all(&self) -> &str {
        &self.all
    }

    /// Whether it shows what is typed.
    pub(crate) fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).expect("a terminal").local_modes;
        modes.contains(LocalModes::ECHO)
    }

    /// Waits for its end; its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it goes on: {:?}", self.shown);
            // What it shows is to be taken, or it would wait.
            while let Ok(bytes) = self.screen.recv_timeout(Duration::from_millis(10)) {
                self.show(&bytes);
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
