//! The launcher, as a real process: what it starts, what it refuses, and how it ends.

use std::{
    collections::BTreeSet,
    fs,
    io::{IoSlice, Read as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use worker_runtime::{Compiler, Launcher, RuntimeBuildError, error_chain};
use worker_types::Limits;

use crate::{
    components::worker_with,
    malformed::{bomb, build, computed_ticks, find, wait_until},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runtime-helper");

fn launcher() -> Launcher {
    Launcher::start(PROGRAM, ["launcher"]).expect("it starts")
}

pub(crate) fn compiler() -> Compiler {
    Compiler::launcher(launcher())
}

/// Whether there is such a process, and it is not merely waiting to be waited for.
fn lives(process: u32) -> bool {
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// What a process has open, as its number and what it is.
fn open_files(process: &Path) -> BTreeSet<(u32, String)> {
    let files = fs::read_dir(process.join("fd")).expect("what it has open");
    let file = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let target = fs::read_link(entry.path()).ok()?.display().to_string();
        Some((number, target.split(':').next()?.to_owned()))
    };
    files.flatten().filter_map(file).collect()
}

/// Limits whose amount of memory no other helper has, and that amount.
fn marked(number: u64) -> (Limits, String) {
    let compile_memory_bytes = (5 << 30) + number;
    (Limits { compile_memory_bytes, ..Limits::default() }, compile_memory_bytes.to_string())
}

#[tokio::test]
async fn a_compile_helper_has_three_pipes_its_limits_and_nothing_else() {
    let open = tempfile::NamedTempFile::new().expect("a file that stays open here");
    // As a shell hands one on that was told to.
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).expect("it is inherited");
    let launcher = launcher();
    let (limits, mark) = marked(1);
    let computes = || find(&mark).is_some_and(|process| computed_ticks(&process) >= 1);
    tokio::select! {
        built = build(bomb(), Compiler::launcher(launcher.clone()), limits) => panic!("{built:?}"),
        () = wait_until(computes) => {}
    }
    let helper = find(&mark).expect("it compiles until it is killed");
    let pipes = (0..3).map(|number| (number, "pipe".to_owned())).collect();
    assert_eq!(open_files(&helper), pipes);
    assert_eq!(fs::read(helper.join("environ")).expect("its environment"), b"");
    let own = open_files(&PathBuf::from(format!("/proc/{}", launcher.process_id())));
    let inherited = own.iter().any(|(_, file)| file.starts_with("/tmp"));
    assert!(!inherited, "the launcher has {own:?}");
}

#[tokio::test]
async fn a_launcher_ends_with_its_handle_and_so_does_what_it_started() {
    let launcher = launcher();
    let process = launcher.process_id();
    let (limits, mark) = marked(2);
    let mut building = Box::pin(build(bomb(), Compiler::launcher(launcher.clone()), limits));
    let computes = || find(&mark).is_some_and(|process| computed_ticks(&process) >= 1);
    tokio::select! {
        built = &mut building => panic!("{built:?}"),
        () = wait_until(computes) => {}
    }
    drop(launcher);
    assert!(lives(process), "the compiler has a handle");
    drop(building);
    wait_until(|| !lives(process) && find(&mark).is_none()).await;
}

#[tokio::test]
async fn a_launcher_that_was_killed_takes_its_helpers_along_and_is_missed_in_words() {
    let launcher = launcher();
    let compiler = Compiler::launcher(launcher.clone());
    let (limits, mark) = marked(3);
    let process = launcher.process_id();
    let kill = async {
        wait_until(|| find(&mark).is_some_and(|process| computed_ticks(&process) >= 1)).await;
        kill(process);
    };
    let (built, ()) = tokio::join!(build(bomb(), compiler.clone(), limits), kill);
    let Err(error @ RuntimeBuildError::Compiler { .. }) = built else { panic!("{built:?}") };
    assert!(error_chain(&error).contains("launcher"), "{}", error_chain(&error));
    wait_until(|| find(&mark).is_none()).await;
    let refused = compiler.check(&Limits::default()).await.expect_err("there is no launcher");
    assert!(refused.to_string().contains("start this program anew"), "{refused}");
    assert!(!refused.is_of_component());
}

#[tokio::test]
async fn a_program_that_is_no_launcher_is_found_out() {
    let none = Launcher::start("/bin/true", ["x"]).expect("it starts");
    let compiler = Compiler::launcher(none);
    compiler.check(&Limits::default()).await.expect_err("nobody compiles");
    Launcher::start("/does/not/exist", ["x"]).expect_err("there is no program");
}

fn kill(process: u32) {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    let process = process.expect("a process");
    rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("killed");
}

/// A launcher whose socket we have, as somebody who took over its Runtime process would.
struct Taken {
    socket: OwnedFd,
    process: Child,
}

impl Taken {
    fn start() -> Self {
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .expect("sockets");
        let process = Command::new(PROGRAM)
            .arg("launcher")
            .stdin(Stdio::from(theirs))
            .spawn()
            .expect("it starts");
        Self { socket, process }
    }

    /// Sends `message` with three pipes and a socket, and returns what comes back on the socket.
    fn ask(&self, message: &[u8]) -> String {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let (input, _writer) = std::io::pipe().expect("a pipe");
        let null = fs::File::options().write(true).open("/dev/null").expect("nothing");
        self.send(message, &[input.as_fd(), null.as_fd(), null.as_fd(), theirs.as_fd()]);
        drop(theirs);
        read(ours)
    }

    fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
        sendmsg(&self.socket, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL)
            .expect("sent");
    }

    /// How many processes it has started that still are.
    fn children(&self) -> usize {
        let id = self.process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        children.expect("its children").split_whitespace().count()
    }
}

fn read(mut socket: UnixStream) -> String {
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let mut reply = String::new();
    socket.read_to_string(&mut reply).expect("a reply, or the end");
    reply
}

impl Drop for Taken {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const JOB: &str =
    r#"{"start":{"compile":{"memory_bytes":1,"cpu_seconds":1,"compatibility":"00"}}}"#;

#[test]
fn nothing_but_a_compile_helper_can_be_asked_for() {
    let taken = Taken::start();
    let forged = [
        r#"{"start":{"program":"/bin/sh"}}"#,
        r#"{"start":{"compile":{"memory_bytes":1,"cpu_seconds":1,"compatibility":"--help"}}}"#,
        r#"{"start":{"compile":{"memory_bytes":1,"cpu_seconds":1,"compatibility":"00 /bin/sh"}}}"#,
        r#"{"start":{"compile":{"memory_bytes":1,"cpu_seconds":1,"compatibility":"00","program":"/bin/sh"}}}"#,
        r#"{"start":{"compile":{"memory_bytes":"1","cpu_seconds":1,"compatibility":"00"}}}"#,
        r#"{"stop":7}"#,
        "null",
        "\0\u{1}\u{2}",
        "{",
    ];
    for forged in forged {
        let reply = taken.ask(forged.as_bytes());
        assert!(!reply.contains("exited"), "{forged} was started: {reply}");
        assert_eq!(taken.children(), 0, "{forged}");
    }
    // It goes on, and what it started is our helper, which says that its line makes no sense.
    let reply = taken.ask(JOB.as_bytes());
    assert!(reply.contains("exited"), "{reply}");
}

#[test]
fn a_message_that_is_too_long_or_has_the_wrong_descriptors_is_refused() {
    let taken = Taken::start();
    let long = format!("{JOB}{}", " ".repeat(1 << 16));
    assert_eq!(taken.ask(long.as_bytes()), "");

    let null = fs::File::open("/dev/null").expect("nothing");
    for count in [1, 3, 5, 64] {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let mut descriptors = vec![null.as_fd(); count - 1];
        descriptors.push(theirs.as_fd());
        taken.send(JOB.as_bytes(), &descriptors);
        drop(theirs);
        assert_eq!(read(ours), "", "{count}");
    }
    assert_eq!(taken.children(), 0);
    let reply = taken.ask(JOB.as_bytes());
    assert!(reply.contains("exited"), "{reply}");
}

#[test]
fn files_in_the_place_of_sockets_disturb_nobody() {
    let taken = Taken::start();
    let null = fs::File::open("/dev/null").expect("nothing");
    let directory = fs::File::open("/").expect("a directory");
    taken.send(JOB.as_bytes(), &[directory.as_fd(), null.as_fd(), null.as_fd(), null.as_fd()]);
    let reply = taken.ask(JOB.as_bytes());
    assert!(reply.contains("exited"), "{reply}");
}

#[tokio::test]
async fn a_component_compiles_through_the_launcher() {
    build(worker_with(1, 10), compiler(), Limits::default()).await.expect("a good component");
}
