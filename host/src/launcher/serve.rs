//! The inside of the launcher.

use std::{
    env,
    ffi::OsString,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Child, Command, ExitCode},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal},
};

use super::{
    descriptors::close_inherited,
    wire::{self, DESCRIPTORS, Packet, Program, Reply, Request},
};

/// The most programs at a time. A Runtime compiles as many components at once as it has processors;
/// more than this are asked for by whoever took it over.
const MAX_PROGRAMS: usize = 1_024;

/// What is running, whoever replaced its file meanwhile: a compile helper is of our version.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Serves the process that started this one with [`Launcher::start`](super::Launcher::start), until
/// that ends: it starts this program with the arguments `compile`, and those of a job after them, as
/// [`Compiler::launcher`](crate::Compiler::launcher) asks. The program ends with what this returns.
///
/// To be called first thing, before there are threads or open files.
#[must_use]
pub fn serve_launcher<A: Into<OsString>>(compile: impl IntoIterator<Item = A>) -> ExitCode {
    match serve(compile.into_iter().map(Into::into).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => {
            // Most likely a person tried it.
            let _ = io::Write::write_all(
                &mut io::stderr(),
                b"this is how a Runtime starts its other processes; there is nothing here for people\n",
            );
            ExitCode::FAILURE
        }
    }
}

fn serve(compile: Vec<OsString>) -> io::Result<()> {
    close_inherited()?;
    // A socket that is closed says the same, to a launcher that can read it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A directory that is in use could not be unmounted.
    env::set_current_dir("/")?;
    let stdin = io::stdin();
    let mut launcher = Serving { socket: stdin.as_fd(), compile, programs: Vec::new() };
    while launcher.step()? {}
    Ok(())
}

struct Serving<'a> {
    socket: BorrowedFd<'a>,
    compile: Vec<OsString>,
    programs: Vec<Running>,
}

/// A program that was started.
struct Running {
    process: Child,
    /// Readable once the process is dead.
    end: OwnedFd,
    /// Its socket.
    socket: OwnedFd,
    is_killed: bool,
}

impl Serving<'_> {
    /// Waits for something to happen, and deals with it; `false` once nobody is there to ask for more.
    fn step(&mut self) -> io::Result<bool> {
        // First the socket of the launcher, then two for each program.
        let mut watched = vec![PollFd::from_borrowed_fd(self.socket, PollFlags::IN)];
        for program in &self.programs {
            // The socket of one that is to die has said all it can, and would not stop saying it.
            let socket = if program.is_killed { &program.end } else { &program.socket };
            watched.push(PollFd::new(&program.end, PollFlags::IN));
            watched.push(PollFd::new(socket, PollFlags::IN));
        }
        match poll(&mut watched, None) {
            Err(Errno::INTR) => return Ok(true),
            polled => polled?,
        };
        let mut happened = watched.iter().map(|fd| !fd.revents().is_empty());
        let is_asked = happened.next().unwrap_or(false);
        let happened: Vec<bool> = happened.collect();

        let mut happened = happened.chunks_exact(2);
        self.programs.retain_mut(|program| match happened.next() {
            Some([true, _]) => !program.has_ended(),
            Some([_, true]) if !program.is_killed => {
                program.kill();
                true
            }
            _ => true,
        });
        if !is_asked {
            return Ok(true);
        }
        match wire::receive(self.socket) {
            Ok(Some(packet)) => self.serve(packet),
            Ok(None) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Does what a packet asks for, if it is one of ours. What it brought is closed otherwise, and so
    /// is the socket on which somebody waits for a reply.
    fn serve(&mut self, packet: Packet<Request>) {
        let Ok([stdin, stdout, stderr, socket]) =
            <[OwnedFd; DESCRIPTORS]>::try_from(packet.descriptors)
        else {
            return;
        };
        let Ok(Request::Start(program)) = packet.message else { return };
        let refused = |errno| {
            // Whoever asked may be gone.
            let _ = wire::send(socket.as_fd(), &Reply::Refused { errno }, &[]);
        };
        if self.programs.len() >= MAX_PROGRAMS {
            return refused(Some(Errno::AGAIN.raw_os_error()));
        }
        let Some(mut command) = self.command(program) else { return refused(None) };
        let started =
            command.env_clear().stdin(stdin).stdout(stdout).stderr(stderr).spawn().and_then(watch);
        // The command has copies of what the program got.
        drop(command);
        match started {
            Ok((process, end)) => {
                self.programs.push(Running { process, end, socket, is_killed: false });
            }
            Err(error) => refused(error.raw_os_error()),
        }
    }

    /// How a program is started; `None` where what is asked for makes no sense.
    fn command(&self, program: Program) -> Option<Command> {
        let mut command = Command::new(THIS_PROGRAM);
        if let Some(name) = env::args_os().next() {
            command.arg0(name);
        }
        match program {
            Program::Compile(job) => {
                command.args(&self.compile).args(job.launched_by(std::process::id())?);
            }
        }
        Some(command)
    }
}

/// A handle that tells when the process is dead.
fn watch(mut process: Child) -> io::Result<(Child, OwnedFd)> {
    match pidfd_open(Pid::from_child(&process), PidfdFlags::empty()) {
        Ok(end) => Ok((process, end)),
        Err(error) => {
            process.kill()?;
            process.wait()?;
            Err(error.into())
        }
    }
}

impl Running {
    fn kill(&mut self) {
        // It fails only for one that is dead, of which we hear in a moment.
        let _ = self.process.kill();
        self.is_killed = true;
    }

    /// Whether it is no more, which is told then.
    fn has_ended(&mut self) -> bool {
        match self.process.try_wait() {
            Ok(None) => false,
            Ok(Some(status)) => {
                let ended = Reply::Exited { wait_status: status.into_raw() };
                let _ = wire::send(self.socket.as_fd(), &ended, &[]);
                true
            }
            // Somebody else waited for it. The closed socket says that nothing is known.
            Err(_) => true,
        }
    }
}
