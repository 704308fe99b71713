//! Shells that are programs.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::Answer;
use crate::run::{Outcome, Shell, TIMEOUT};

/// A shell that is a program, started once for each script.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments before the script. In those that contain it, `{}` is the case's directory.
    pub arguments: Vec<String>,
    /// Whether it sees nothing of our environment but what every case has.
    pub clean_environment: bool,
    /// Where it sees the case's directory, if elsewhere.
    pub sees: Option<String>,
}

/// The environment of every case, with its directory as the home.
#[must_use]
pub fn clean_environment(directory: &Path) -> Vec<(&'static str, OsString)> {
    vec![
        ("HOME", directory.into()),
        ("LC_ALL", "C.UTF-8".into()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
        ("TZ", "UTC".into()),
    ]
}

impl Shell for Program {
    fn run(&self, script: &str, directory: &Path) -> io::Result<Outcome> {
        let mut command = Command::new(&self.path);
        for argument in &self.arguments {
            command.arg(argument.replace("{}", &directory.to_string_lossy()));
        }
        command.arg(script).current_dir(directory);
        if self.clean_environment {
            command.env_clear().envs(clean_environment(directory));
        }
        ended_in_time(&mut command)
    }

    fn sees(&self) -> Option<&str> {
        self.sees.as_deref()
    }
}

/// Runs a command until its end, and the end of everything that holds its output.
fn ended_in_time(command: &mut Command) -> io::Result<Outcome> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A group of its own, to end what it leaves running.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut child = command.spawn()?;
    let group = child.id();
    let output = child.stdout.take();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = Vec::new();
        let read = output.map_or(Ok(0), |mut output| output.read_to_end(&mut stdout));
        let status = child.wait();
        // Nobody listens after the timeout.
        let _ = sender.send(read.and(status).map(|status| Answer { stdout, code: code(status) }));
    });
    match receiver.recv_timeout(TIMEOUT) {
        Ok(answer) => answer.map(Outcome::Ended),
        Err(_) => {
            end_group(group)?;
            Ok(Outcome::TimedOut)
        }
    }
}

/// Ends a command and everything that it started.
fn end_group(group: u32) -> io::Result<()> {
    Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status().map(drop)
}

fn code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_code_are_those_of_the_program() {
        let shell = Program {
            path: "sh".into(),
            arguments: vec!["-c".into()],
            clean_environment: true,
            sees: None,
        };
        let outcome = shell.run("pwd; echo $LC_ALL; exit 3", Path::new("/")).unwrap();
        let stdout = b"/\nC.UTF-8\n".to_vec();
        assert_eq!(outcome, Outcome::Ended(Answer { stdout, code: 3 }));
    }

    #[test]
    fn a_signal_is_a_code_above_128() {
        let shell = Program {
            path: "sh".into(),
            arguments: vec!["-c".into()],
            clean_environment: true,
            sees: None,
        };
        let outcome = shell.run("kill -TERM $$", Path::new("/")).unwrap();
        assert_eq!(outcome, Outcome::Ended(Answer { stdout: Vec::new(), code: 143 }));
    }
}
