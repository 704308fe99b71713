//! A Runtime in a process of its own, and the history of what it was asked.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use test_support::{
    crash::{
        checker::check,
        history::History,
        record::{FoundWorker, Record, Reply, Request},
    },
    serve::{Call, Told},
};
use worker_types::{
    IfBusy, InputAccepted, Outcome, RuntimeError, RuntimeStatus, RuntimeSummary, WorkerId,
    WorkerView,
};

/// How long something may take that takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The process.
#[derive(Debug)]
pub(crate) struct Host {
    process: Child,
    calls: Option<ChildStdin>,
    told: Receiver<Told>,
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program that is the process.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_yoi-crash"))
}

impl Host {
    /// Starts `command`, which ends as `yoi-crash serve DIRECTORY`.
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the process starts");
        let calls = process.stdin.take();
        let stdout = process.stdout.take().expect("its output");
        let (sender, told) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                let told = serde_json::from_str(&line).expect("a line that is understood");
                if sender.send(told).is_err() {
                    return;
                }
            }
        });
        Self { process, calls, told }
    }

    /// Starts a host over the store in `directory`, which opens.
    pub(crate) fn open(directory: &Path) -> Self {
        let host = Self::start(Command::new(program()).arg("serve").arg(directory));
        assert_eq!(host.next(), Told::Opened);
        host
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn next(&self) -> Told {
        self.told.recv_timeout(PATIENCE).expect("an answer in time")
    }

    pub(crate) fn call(&mut self, call: &Call) -> Told {
        let mut line = serde_json::to_vec(call).expect("a call is JSON");
        line.push(b'\n');
        let calls = self.calls.as_mut().expect("its input");
        calls.write_all(&line).expect("it listens");
        self.next()
    }

    pub(crate) fn summary(&mut self) -> RuntimeSummary {
        match self.call(&Call::Summary) {
            Told::Summary { summary } => *summary,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn view(&mut self, worker_id: WorkerId) -> WorkerView {
        match self.call(&Call::Worker { worker_id }) {
            Told::Worker { view } => *view,
            other => panic!("{other:?}"),
        }
    }

    /// All that is there, once nothing is left to do.
    pub(crate) fn shown(&mut self) -> Vec<FoundWorker> {
        let started = Instant::now();
        while self.summary().overview.running > 0 {
            assert!(started.elapsed() < PATIENCE, "everything ends in time");
        }
        match self.call(&Call::Show { at_rest: true }) {
            Told::Shown { workers } => workers,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until it takes work again.
    pub(crate) fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while self.summary().status != RuntimeStatus::Ready {
            assert!(started.elapsed() < PATIENCE, "it recovers by itself");
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!says_store_unavailable(&self.summary()));
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a pid"), signal).expect("it is signalled");
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it is killed");
        self.process.wait().expect("it ends");
    }

    pub(crate) fn shut_down(mut self) {
        let line = serde_json::to_vec(&Call::Shutdown).expect("a call is JSON");
        let mut calls = self.calls.take().expect("its input");
        calls.write_all(&[line, b"\n".to_vec()].concat()).expect("it listens");
        drop(calls);
        assert!(self.process.wait().expect("it ends").success());
    }
}

fn says_store_unavailable(summary: &RuntimeSummary) -> bool {
    summary.diagnostics.iter().any(|diagnostic| diagnostic.code == "store_unavailable")
}

/// A host with one Worker, and everything that was asked of it and answered.
pub(crate) struct Story {
    pub(crate) host: Host,
    pub(crate) worker_id: WorkerId,
    history: History,
    sent: u64,
}

impl Story {
    /// A Worker that has had an input, which is done.
    pub(crate) fn begin(host: Host) -> Self {
        let worker_id = WorkerId::generate();
        let mut story = Self { host, worker_id, history: History::default(), sent: 0 };
        story.worker_id = story.creates("worker");
        story.completes("before");
        story
    }

    pub(crate) fn ask(&mut self, request: Request) -> Reply {
        let op = self.sent;
        self.sent += 1;
        self.history.push(1, 0, Record::Sent { op, request: request.clone() });
        match self.host.call(&Call::Ask { request }) {
            Told::Reply { reply } => {
                self.history.push(1, 0, Record::Answered { op, reply: reply.clone() });
                reply
            }
            other => panic!("{other:?}"),
        }
    }

    /// One more Worker, which has no input.
    pub(crate) fn creates(&mut self, token: &str) -> WorkerId {
        let token = token.to_owned();
        match self.ask(Request::Create { token, lane: 0, resume: false, text: None, keyed: false })
        {
            Reply::Created(worker_id) => worker_id,
            other => panic!("{other:?}"),
        }
    }

    /// Gives an input, with its token as the key where it is `keyed`.
    pub(crate) fn input(&mut self, token: &str, text: &str, keyed: bool) -> Reply {
        let (worker_id, token, text) = (self.worker_id, token.to_owned(), text.to_owned());
        self.ask(Request::Input { worker_id, token, text, if_busy: IfBusy::Queue, keyed })
    }

    /// Gives an input, which is accepted and done.
    pub(crate) fn completes(&mut self, token: &str) -> InputAccepted {
        match self.input(token, "tool: 1", false) {
            Reply::Accepted(accepted) => {
                let (worker_id, turn_id) = (self.worker_id, accepted.turn_id);
                let ended = self.host.call(&Call::Outcome { worker_id, turn_id });
                assert_eq!(ended, Told::Ended { outcome: Outcome::Completed });
                accepted
            }
            other => panic!("{other:?}"),
        }
    }

    /// Gives inputs until one is refused as the store fails; says how many were accepted.
    pub(crate) fn until_refused(&mut self, name: &str, text: &str) -> u64 {
        let started = Instant::now();
        for accepted in 0.. {
            assert!(started.elapsed() < PATIENCE, "the fault shows in time");
            match self.input(&format!("{name}-{accepted}"), text, true) {
                Reply::Accepted(_) => {}
                Reply::Refused(RuntimeError::Capacity { .. }) => {}
                Reply::Refused(error) => {
                    let unavailable = matches!(error, RuntimeError::RuntimeUnavailable { .. });
                    assert!(unavailable, "{error:?}");
                    assert!(error.is_retryable());
                    return accepted;
                }
                other => panic!("{other:?}"),
            }
        }
        0
    }

    /// The store fails: every command is refused as retryable, and the Runtime says what is wrong.
    pub(crate) fn is_unavailable(&mut self) {
        let summary = self.host.summary();
        assert_eq!(summary.status, RuntimeStatus::Unavailable);
        assert!(says_store_unavailable(&summary), "{summary:?}");
        let worker_id = self.worker_id;
        for request in [
            Request::Stop { worker_id },
            Request::Create {
                token: format!("refused-{}", self.sent),
                lane: 0,
                resume: false,
                text: Some("hello".to_owned()),
                keyed: false,
            },
        ] {
            let reply = self.ask(request);
            let unavailable = |error: &RuntimeError| {
                matches!(error, RuntimeError::RuntimeUnavailable { .. }) && error.is_retryable()
            };
            assert!(matches!(&reply, Reply::Refused(error) if unavailable(error)), "{reply:?}");
        }
    }

    /// Kills the host and goes on with the one that `reopen` starts.
    pub(crate) fn restarts(self, reopen: impl FnOnce() -> Host) -> Self {
        let Self { host, worker_id, history, sent } = self;
        host.kill();
        let host = reopen();
        assert_eq!(host.next(), Told::Opened);
        Self { host, worker_id, history, sent }
    }

    /// What can be read of a store that takes nothing: the log, or a retryable refusal.
    pub(crate) fn reads(&mut self) -> Result<Vec<FoundWorker>, RuntimeError> {
        match self.host.call(&Call::Show { at_rest: false }) {
            Told::Shown { workers } => Ok(workers),
            Told::Failed { error } => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// Kills the host, opens the store again with `reopen`, and compares what is there with what
    /// was answered.
    pub(crate) fn ends(self, reopen: impl FnOnce() -> Host) {
        let Self { host, mut history, .. } = self;
        host.kill();
        history.push(2, 0, Record::Ready);
        let mut host = reopen();
        for worker in host.shown() {
            let worker = Box::new(worker);
            history.push(2, 0, Record::Found { worker });
        }
        history.push(2, 0, Record::FoundAll { at_rest: true });
        let (complaints, extent) = check(&history);
        assert!(complaints.is_empty(), "{complaints:#?}");
        assert!(extent.acknowledged >= 2, "{extent:?}");
        host.shut_down();
    }
}
