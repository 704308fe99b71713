//! Runtimes in processes of their own that share a record of what their Workers write to: killed, and
//! stopped in the middle of their lives.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;
use worker_runtime::{Root, Runtime, Store};
use worker_types::{Access, CreateWorker, Grants, Preopen, RuntimeError, WorkerId};

use crate::{files::grants, harness::*};

/// Directories that two Runtimes race for.
const RACED: usize = 60;

/// Says to this program that it is a Runtime: its id, and the directory of the test.
const ID: &str = "YOI_TEST_RUNTIME_ID";
const PLACE: &str = "YOI_TEST_RUNTIME_PLACE";

/// Begins what the Runtime says, among what the test harness does.
const MARK: &str = "@ ";

/// A Runtime in a process of its own.
struct Process {
    child: Child,
    calls: ChildStdin,
    told: BufReader<ChildStdout>,
}

impl Process {
    fn start(place: &TempDir, id: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "scope_processes::a_runtime_for_the_others", "--nocapture"])
            .env(ID, id)
            .env(PLACE, place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let calls = child.stdin.take().expect("piped");
        let told = BufReader::new(child.stdout.take().expect("piped"));
        let mut process = Self { child, calls, told };
        assert_eq!(process.answer(), "ready");
        process
    }

    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.told.read_line(&mut line).expect("it tells"), 0, "it ended");
            // The harness may have begun the line.
            if let Some((_, told)) = line.trim_end().split_once(MARK) {
                return told.to_owned();
            }
        }
    }

    fn call(&mut self, call: &str) {
        writeln!(self.calls, "{call}").expect("it listens");
    }

    fn ask(&mut self, call: &str) -> String {
        self.call(call);
        self.answer()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }

    /// Ends it as a crash does, and waits until it is gone.
    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

fn place() -> TempDir {
    let place = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(place.path().join("root/a/b")).expect("a directory");
    place
}

/// The Worker that was created.
fn created(told: &str) -> &str {
    told.strip_prefix("created ").unwrap_or_else(|| panic!("it was refused: {told}"))
}

#[test]
fn what_a_living_process_holds_is_refused_and_what_a_killed_one_held_is_free_at_once() {
    let place = place();
    let (mut one, mut two) = (Process::start(&place, "one"), Process::start(&place, "two"));
    let told = one.ask("create a");
    let held = format!("held by one {}", created(&told));
    for path in ["a", "a/b", "."] {
        assert_eq!(two.ask(&format!("create {path}")), held, "{path}");
    }
    one.kill();
    created(&two.ask("create a/b"));
    // A new life of the first one takes up what it can, and its Worker waits.
    let mut one = Process::start(&place, "one");
    let refused = one.ask(&format!("start {}", created(&told)));
    assert!(refused.starts_with("held by two "), "{refused}");
    two.kill();
    assert_eq!(one.ask(&format!("start {}", created(&told))), "done");
    let mut two = Process::start(&place, "two");
    assert_eq!(two.ask("create a/b"), held);
    one.kill();
    two.kill();
}

#[test]
fn a_process_that_was_stopped_keeps_what_it_holds() {
    let place = place();
    let (mut one, mut two) = (Process::start(&place, "one"), Process::start(&place, "two"));
    let held = format!("held by one {}", created(&one.ask("create a")));
    one.signal(Signal::STOP);
    let stopped = waitpid(Some(Pid::from_child(&one.child)), WaitOptions::UNTRACED);
    assert!(stopped.expect("waited").is_some_and(|(_, status)| status.stopped()));
    assert_eq!(two.ask("create a/b"), held);
    let mut three = Process::start(&place, "three");
    assert_eq!(three.ask("create ."), held, "also for one that begins now");
    one.signal(Signal::CONT);
    one.kill();
    created(&three.ask("create ."));
    two.kill();
    three.kill();
}

#[test]
fn of_two_processes_that_want_the_same_directory_exactly_one_gets_it() {
    let place = place();
    for n in 0..RACED {
        fs::create_dir_all(place.path().join(format!("root/{n}/below"))).expect("a directory");
    }
    let (mut one, mut two) = (Process::start(&place, "one"), Process::start(&place, "two"));
    one.call("race");
    two.call("race below");
    let (one_got, two_got) = (one.answer(), two.answer());
    assert_eq!(one_got.len(), RACED);
    for (n, got) in one_got.bytes().zip(two_got.bytes()).enumerate() {
        assert!(matches!(got, (b'1', b'0') | (b'0', b'1')), "{n}: {one_got} {two_got}");
    }
    one.kill();
    two.kill();
}

/// Not a test, but the Runtime that the tests start as a process.
#[tokio::test]
async fn a_runtime_for_the_others() {
    let (Ok(id), Some(place)) = (std::env::var(ID), std::env::var_os(PLACE)) else { return };
    let place = Path::new(&place);
    let root = Root::new(place.join("root")).access(Access::ReadWrite);
    let runtime = builder_called(&id, ["base"])
        .store(Store::sqlite(place.join(&id)).expect("a store"))
        .component_cache(place.join("components"))
        .allocations(place.join("allocations"))
        .root("root".parse().expect("a name"), root)
        .ceiling(grants(&[("root", "/root", Access::ReadWrite)]))
        .build()
        .await
        .expect("a Runtime");
    tell("ready");
    for call in io::stdin().lock().lines() {
        let call = call.expect("a call");
        let told = match call.split_once(' ').unwrap_or((&call, "")) {
            ("create", path) => show(&create(&runtime, path).await),
            ("start", id) => match runtime.start(id.parse().expect("an id")).await {
                Ok(()) => "done".to_owned(),
                Err(error) => show(&Err(error)),
            },
            ("race", below) => {
                let mut got = String::new();
                for n in 0..RACED {
                    let path = format!("{n}/{below}");
                    let created = create(&runtime, path.trim_end_matches('/')).await;
                    got.push(if created.is_ok() { '1' } else { '0' });
                }
                got
            }
            _ => panic!("there is no call `{call}`"),
        };
        tell(&told);
    }
}

async fn create(runtime: &Runtime, path: &str) -> Result<WorkerId, RuntimeError> {
    let guest_path = "/work".parse().expect("a guest path");
    let preopen = Preopen::new("root".parse().expect("a root"), guest_path);
    let preopen = preopen.path(path.parse().expect("a path")).access(Access::ReadWrite);
    let grants = Grants::none().with_preopen(preopen);
    let request = CreateWorker::profile(name("base")).grants(grants);
    Ok(runtime.create(request).await?.worker_id)
}

fn show(created: &Result<WorkerId, RuntimeError>) -> String {
    match created {
        Ok(worker) => format!("created {worker}"),
        Err(RuntimeError::ScopeConflict { holder, .. }) => {
            format!("held by {} {}", holder.runtime_id, holder.worker_id)
        }
        Err(other) => format!("refused: {other}"),
    }
}

fn tell(told: &str) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{MARK}{told}").expect("somebody listens");
    stdout.flush().expect("somebody listens");
}
