//! Scripts: real ones, in the real shell, on real directories.

use std::{
    fs::{self, File},
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use worker_runtime::{Root, Runtime, RuntimeBuilder};
use worker_types::{
    Access, Capability, ComponentDigest, CreateWorker, Cursor, EventBody, FailureKind, Grants,
    ItemBody, Limits, LiveEvent, Outcome, Profile, RuntimeError, ShellGrant, StopReason, TurnId,
    WorkerId,
};

use crate::{files::preopen, harness::*};

/// A Runtime whose Workers may run scripts in `open`, and read `closed`.
pub(crate) struct Shells {
    pub(crate) runtime: Runtime,
    pub(crate) dir: TempDir,
}

const CANCELLED: Outcome = Outcome::Cancelled { reason: StopReason::Cancel };

fn everything() -> Grants {
    everything_for(ShellGrant::default().timeout_ms)
}

/// All that there is, and scripts that take so long at most.
pub(crate) fn everything_for(timeout_ms: u64) -> Grants {
    Grants::none()
        .with_shell(ShellGrant { timeout_ms })
        .with_preopen(preopen("open", "/workspace", Access::ReadWrite))
        .with_preopen(preopen("closed", "/closed", Access::ReadOnly))
        .with_preopen(preopen("scratch", "/tmp", Access::ReadWrite))
}

fn shell_grant() -> Grants {
    Grants::none().with_shell(ShellGrant::default())
}

impl Shells {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default(), |builder| builder).await
    }

    pub(crate) async fn limited(limits: Limits) -> Self {
        Self::with(limits, |builder| builder).await
    }

    pub(crate) async fn with(
        limits: Limits,
        more: impl FnOnce(RuntimeBuilder) -> RuntimeBuilder,
    ) -> Self {
        compiled_shell().await;
        let dir = tempfile::tempdir().expect("a directory");
        for root in ["open", "closed"] {
            fs::create_dir(dir.path().join(root)).expect("a directory");
        }
        let root = |name: &str| Root::new(dir.path().join(name));
        let optional = [Capability::Shell].into();
        let builder = builder_of(["scripts"])
            .profiles([Profile { optional, ..profile("scripts") }])
            .shell(builtin_workers::SHELL_COMPONENT)
            .command("tool".parse().expect("a name"), test_guests::TOOL)
            .component_cache(shell_cache())
            .root("open".parse().expect("a name"), root("open").access(Access::ReadWrite))
            .root("closed".parse().expect("a name"), root("closed"))
            .scratch(dir.path().join("scratch"))
            .ceiling(everything())
            .limits(limits);
        let runtime = more(builder).build().await.expect("a Runtime");
        Self { runtime, dir }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) async fn worker(&self, grants: Grants) -> WorkerId {
        let request = CreateWorker::profile(name("scripts")).grants(grants);
        self.runtime.create(request).await.expect("a Worker").worker_id
    }

    /// Runs a turn of `worker`, which must complete, and returns the last thing it said.
    pub(crate) async fn ask(&self, worker: WorkerId, input: &str) -> String {
        assert_eq!(turn(&self.runtime, worker, input).await, Outcome::Completed, "{input}");
        said(&self.runtime, worker).await.pop().expect("an answer")
    }

    /// Starts a turn, and waits until it has said something.
    async fn begin(&self, worker: WorkerId, input: &str) -> TurnId {
        let mut events = self.runtime.events(worker, Cursor::START).expect("events");
        let turn_id = send(&self.runtime, worker, input).await;
        let mut started = false;
        until(&mut events, |event| {
            let LiveEvent::Durable(event) = event else { return None };
            match &event.body {
                EventBody::TurnStarted { turn_id: begun, .. } => {
                    started = *begun == turn_id;
                    None
                }
                EventBody::ItemCompleted { item, .. } => {
                    let is_said = matches!(item.body, ItemBody::AssistantMessage { .. });
                    (started && is_said).then_some(())
                }
                _ => None,
            }
        })
        .await;
        turn_id
    }

    /// The same with a Worker of its own, which is granted all that there is.
    pub(crate) async fn answer(&self, input: &str) -> String {
        let worker = self.worker(everything()).await;
        let answer = self.ask(worker, input).await;
        self.runtime.stop(worker).await.expect("stopped");
        answer
    }
}

fn exited(code: u8) -> String {
    format!("[the script exited with code {code}]")
}

#[tokio::test]
async fn a_script_writes_to_both_streams_and_ends_with_its_code() {
    let shells = Shells::new().await;
    let answer = shells.answer("run: echo out; echo err >&2; exit 3").await;
    assert_eq!(answer, format!("out\nerr\n{}", exited(3)));
    let answer = shells.answer("run: printf '%s' a | tr a b; nothing-of-that-name").await;
    assert!(answer.starts_with("b") && answer.ends_with(&exited(127)), "{answer}");
}

#[tokio::test]
async fn the_shell_is_loaded_once_a_worker_may_run_scripts() {
    compiled_shell().await;
    let cache = tempfile::tempdir().expect("a directory");
    for name in
        fs::read_dir(shell_cache()).expect("a cache").map(|file| file.expect("a file").file_name())
    {
        // Other tests write there, too.
        let _ = fs::copy(shell_cache().join(&name), cache.path().join(&name));
    }
    let digest =
        ComponentDigest::from_sha256(Sha256::digest(builtin_workers::SHELL_COMPONENT).into());
    let digest = digest.to_string().replace("sha256:", "");
    let mut artifacts =
        fs::read_dir(cache.path()).expect("a cache").map(|file| file.expect("a file"));
    let shell = artifacts.find(|file| file.file_name().to_string_lossy().starts_with(&digest));
    let shell = shell.expect("the shell");
    // The cache writes down when it used an artifact.
    let used = || shell.metadata().expect("the shell").modified().expect("a time");
    File::open(shell.path()).expect("the shell").set_modified(UNIX_EPOCH).expect("set");
    let dir = cache.path().to_owned();
    let shells = Shells::with(Limits::default(), |builder| builder.component_cache(dir)).await;
    assert_eq!(used(), UNIX_EPOCH, "nobody may run scripts yet");
    shells.worker(shell_grant()).await;
    let loaded = async {
        while used() == UNIX_EPOCH {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, loaded).await.expect("the shell is loaded");
}

#[tokio::test]
async fn a_session_keeps_what_bash_keeps_between_scripts() {
    let shells = Shells::new().await;
    let scripts = [
        "x=1; export y=2; arr=(a b c); declare -A map=([k]=v); f() { echo \"f $1\"; }; alias l=echo",
        "mkdir -p sub; cd sub; set -u; set -- p q",
        "echo $x $y ${arr[1]} ${map[k]}; f z; pwd",
    ];
    let answer = shells.answer(&format!("run: {}", scripts.join("\n---\n"))).await;
    assert_eq!(answer, format!("1 2 b v\nf z\n/workspace/sub\n{}", exited(0)));
    assert!(shells.path("open/sub").is_dir());
}

#[tokio::test]
async fn a_script_that_was_cut_off_leaves_its_session_as_it_was() {
    let shells = Shells::new().await;
    let answer = shells.answer("drop: x=1; yes").await;
    assert_eq!(answer, format!("next\n{}", exited(0)));
}

#[tokio::test]
async fn a_script_is_given_arguments_variables_a_directory_and_input() {
    let shells = Shells::new().await;
    let answer = shells.answer("env: echo \"$1 $GIVEN $PWD $HOME\"; cat").await;
    assert_eq!(answer, format!("one by the guest / /tmp\nfrom the guest\n{}", exited(0)));
    assert_eq!(shells.answer("pipe: 5000000").await, "5000000");
}

#[tokio::test]
async fn invariant_1_without_the_grant_no_script_runs() {
    let shells = Shells::new().await;
    let worker = shells.worker(Grants::none()).await;
    let outcome = turn(&shells.runtime, worker, "run: echo hi").await;
    let Outcome::Failed { kind: FailureKind::Guest, message } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(message.contains("grant"), "{message}");

    let strict = Shells::with(Limits::default(), |builder| builder.profiles([profile("scripts")]));
    let strict = strict.await;
    let request = CreateWorker::profile(name("scripts"));
    let Err(RuntimeError::MissingGrant { interface, .. }) = strict.runtime.create(request).await
    else {
        panic!("created without a grant")
    };
    assert_eq!(interface, "yoi:worker/shell@0.1.0");
}

#[tokio::test]
async fn a_timeout_is_within_the_ceiling() {
    let shells = Shells::new().await;
    let long = Grants::none().with_shell(ShellGrant { timeout_ms: 120_001 });
    let request = CreateWorker::profile(name("scripts")).grants(long);
    let refused = shells.runtime.create(request).await.expect_err("too long");
    let RuntimeError::GrantExceedsCeiling { exceeds } = refused else { panic!("{refused:?}") };
    assert!(exceeds.contains("120001 ms"), "{exceeds}");
}

#[tokio::test]
async fn invariant_2_a_script_sees_the_workers_directories_and_nothing_else() {
    let shells = Shells::new().await;
    fs::write(shells.path("closed/read.me"), "hello\n").expect("a file");
    fs::write(shells.path("outside"), "secret").expect("a file");
    let script = "echo made > made; cat /closed/read.me; echo no > /closed/read.me; \
        cat ../../outside /workspace/../../outside; ln -s ../outside link; cat link; ls /";
    let answer = shells.answer(&format!("run: {script}")).await;
    // `dev` is the shell's own. What it complains of comes behind.
    assert!(answer.starts_with("hello\nclosed\ndev\ntmp\nworkspace\n"), "{answer}");
    assert!(!answer.contains("secret"), "{answer}");
    assert_eq!(fs::read_to_string(shells.path("open/made")).expect("a file"), "made\n");
    assert_eq!(fs::read_to_string(shells.path("closed/read.me")).expect("a file"), "hello\n");

    let answer = shells.answer("run: cat /etc/passwd /proc/self/environ; ls /etc /proc").await;
    assert!(!answer.contains("root:"), "{answer}");
    let answer = shells.answer("run: exec 3<>/dev/tcp/127.0.0.1/80 && echo connected").await;
    assert!(!answer.contains("connected"), "{answer}");
}

#[tokio::test]
async fn without_a_directory_a_script_runs_in_an_empty_world() {
    let shells = Shells::new().await;
    let worker = shells.worker(shell_grant()).await;
    let answer = shells.ask(worker, "run: echo hi > /tmp/x; cat /tmp/x; pwd; seq 3 | wc -l").await;
    assert_eq!(answer, format!("hi\n/\n3\n{}", exited(0)));
}

#[tokio::test]
async fn what_a_move_between_directories_leaves_out_stays_where_it_was() {
    let shells = Shells::new().await;
    let grants = shell_grant().with_preopen(preopen("open", "/workspace", Access::ReadWrite));
    let worker = shells.worker(grants).await;
    let script = "echo new > /tmp/a; echo old > a; echo n | mv -i /tmp/a a 2>/dev/null; cat /tmp/a a; \
        echo y | mv -i /tmp/a a 2>/dev/null; cat a; ls /tmp; \
        mkdir -p /tmp/d d; echo new > /tmp/d/f; echo old > d/f; mv -n /tmp/d . 2>/dev/null; \
        mv /tmp/d . 2>/dev/null || cat /tmp/d/f d/f; rm -r d; mv /tmp/d . && cat d/f; ls /tmp";
    let answer = shells.ask(worker, &format!("run: {script}")).await;
    assert_eq!(answer, format!("new\nold\nnew\nnew\nold\nnew\n{}", exited(0)));
}

#[tokio::test]
async fn what_chmod_said_goes_with_the_name() {
    let shells = Shells::new().await;
    let script = "echo 'echo ran' > t; chmod +x t; mkdir bin; mv t bin/t; bin/t; mv bin other; other/t; \
        rm other/t; echo 'echo ran' > other/t; other/t; echo $?";
    let answer = shells.answer(&format!("run: exec 2>/dev/null; {script}")).await;
    assert_eq!(answer, format!("ran\nran\n126\n{}", exited(0)));
}

#[tokio::test]
async fn a_script_that_takes_too_long_is_ended_and_the_next_one_works() {
    let shells = Shells::new().await;
    let worker = shells.worker(shell_grant()).await;
    for script in ["sleep 60", "while true; do :; done", "yes > /dev/null", "tool spin"] {
        let answer = shells.ask(worker, &format!("timeout: 300 {script}")).await;
        assert!(answer.contains("took longer than it may"), "{script}: {answer}");
        assert_eq!(shells.ask(worker, "run: echo on").await, format!("on\n{}", exited(0)));
    }
}

#[tokio::test]
async fn invariant_8_cancel_ends_whatever_a_script_does() {
    let shells = Shells::new().await;
    let worker = shells.worker(everything()).await;
    for script in [
        "yes",
        "echo begun; while true; do :; done",
        "echo begun; sleep 600",
        "tool yes",
        "echo begun; tool spin",
        "echo begun; tool cat | tool cat | tool cat",
        "echo begun; f() { f | f & }; f; sleep 600",
    ] {
        let turn_id = shells.begin(worker, &format!("leave: {script}")).await;
        shells.runtime.cancel(worker, Some(turn_id)).await.expect("cancelled");
        assert_eq!(shells.runtime.outcome(worker, turn_id).await, Ok(CANCELLED), "{script}");
        assert_eq!(shells.ask(worker, "run: echo on").await, format!("on\n{}", exited(0)));
    }
}

#[tokio::test]
async fn invariant_9_scripts_take_from_the_turns_time_and_leave_the_guest_enough_to_tell() {
    let shells = Shells::limited(Limits { turn_cpu_ms: 1_600, ..Limits::default() }).await;
    let answer = shells.answer("run: while true; do :; done").await;
    assert!(answer.contains("computed for longer than its limit of"), "{answer}");
    let answer = shells.answer("run: tool spin").await;
    assert!(answer.contains("computed for longer than its limit of"), "{answer}");
}

#[tokio::test]
async fn invariant_9_scripts_and_commands_take_from_the_turns_memory() {
    let shells = Shells::limited(Limits { turn_memory_bytes: 96 << 20, ..Limits::default() }).await;
    let answer = shells.answer("run: tool grow 20").await;
    assert_eq!(answer, format!("20\n{}", exited(0)));
    let answer = shells.answer("run: tool grow 90; echo after $?").await;
    assert!(answer.contains("wanted more memory"), "{answer}");
    assert!(answer.contains("after 137"), "{answer}");
    let answer = shells.answer("run: x=$(yes | head -c 1G)").await;
    assert!(!answer.contains("code 0"), "{answer}");
}

#[tokio::test]
pub(crate) async fn turn_output_bytes_bounds_what_scripts_write() {
    let shells = Shells::limited(Limits { turn_output_bytes: 1 << 20, ..Limits::default() }).await;
    for script in ["yes", "tool yes"] {
        let answer = shells.answer(&format!("run: {script}")).await;
        assert!(answer.contains("more than the limit of 1048576 bytes"), "{script}: {answer}");
    }
}

#[tokio::test]
pub(crate) async fn turn_commands_and_live_commands_bound_what_runs_at_once() {
    let limits = Limits { turn_commands: 3, live_commands: 4, ..Limits::default() };
    let shells = Shells::limited(limits).await;
    let answer = shells.answer("at-once: 10").await;
    assert!(answer.starts_with("3: more than 3 scripts and commands"), "{answer}");
    let alone = Shells::limited(Limits { turn_commands: 1, ..Limits::default() }).await;
    let answer = alone.answer("run: tool cat; echo after $?").await;
    assert!(answer.contains("after 126\n"), "{answer}");
    assert!(answer.contains("tool: more than 1 scripts and commands of one turn"), "{answer}");

    let holds = shells.worker(shell_grant()).await;
    let turn_id = shells.begin(holds, "leave: echo begun; sleep 600").await;
    let other = shells.worker(shell_grant()).await;
    let other_turn = shells.begin(other, "leave: echo begun; sleep 600").await;
    let answer = shells.answer("at-once: 10").await;
    assert!(answer.starts_with("2: as many scripts and commands run"), "{answer}");
    shells.runtime.cancel(other, Some(other_turn)).await.expect("cancelled");
    shells.runtime.cancel(holds, Some(turn_id)).await.expect("cancelled");
}

#[tokio::test]
async fn whoever_has_heard_the_end_of_a_script_may_start_the_next() {
    let shells = Shells::limited(Limits { turn_commands: 1, ..Limits::default() }).await;
    let scripts = vec!["echo on"; 200].join("\n---\n");
    let worker = shells.worker(shell_grant()).await;
    shells.ask(worker, &format!("run: {scripts}")).await;
    let said = said(&shells.runtime, worker).await;
    assert_eq!(said, vec![format!("on\n{}", exited(0)); 200]);
    let shells = Shells::limited(Limits { turn_commands: 2, ..Limits::default() }).await;
    let script = "for i in 1 2 3 4 5 6 7 8 9; do tool fail 2> /dev/null; echo -n $?; done";
    assert_eq!(shells.answer(&format!("run: {script}")).await, format!("111111111{}", exited(0)));
}

#[tokio::test]
async fn sessions_of_a_turn_are_bounded() {
    let shells = Shells::new().await;
    let answer = shells.answer("sessions: 100").await;
    assert!(answer.starts_with("16: "), "{answer}");
}

#[tokio::test]
async fn commands_are_found_by_name_and_stream_in_pipelines() {
    let shells = Shells::new().await;
    fs::create_dir_all(shells.path("open/sub")).expect("a directory");
    fs::write(shells.path("open/sub/file"), "text\n").expect("a file");
    for (script, expected) in [
        ("echo hi | tool cat | tr a-z A-Z", "HI\n[the script exited with code 0]"),
        ("tool yes | head -n 2", "y\ny\n[the script exited with code 0]"),
        ("tool fail 2>/dev/null; echo $?", "1\n[the script exited with code 0]"),
        ("cd sub; tool read file; tool ls .", "text\n[\"file\"]\n[the script exited with code 0]"),
        (
            "tool ls /workspace/sub > listing; cat listing",
            "[\"file\"]\n[the script exited with code 0]",
        ),
        ("A=1 tool env | grep -o '\"A\", \"1\"'", "\"A\", \"1\"\n[the script exited with code 0]"),
        ("x=$(echo sub | xargs tool ls); echo $x", "[\"file\"]\n[the script exited with code 0]"),
        ("tool panic 2>/dev/null; echo $?", "134\n[the script exited with code 0]"),
    ] {
        assert_eq!(shells.answer(&format!("run: {script}")).await, expected, "{script}");
    }
}

#[tokio::test]
async fn a_command_that_is_none_is_refused_at_the_start() {
    for (bytes, reason) in [(&b"text"[..], "cannot be read"), (test_guests::SCRIPTS, "Worker")] {
        let built = builder_of(["scripts"])
            .command("tool".parse().expect("a name"), bytes)
            .build()
            .await
            .expect_err("no command");
        let message = worker_runtime::error_chain(&built);
        assert!(message.contains("`tool` cannot be used"), "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn a_revoked_shell_ends_the_scripts_that_run() {
    let shells = Shells::new().await;
    let worker = shells.worker(everything()).await;
    let turn_id = send(&shells.runtime, worker, "leave: yes").await;
    let grant = "shell".parse().expect("a grant");
    shells.runtime.revoke(worker, vec![grant]).await.expect("revoked");
    let ended = Outcome::Cancelled { reason: StopReason::GrantRevoked };
    assert_eq!(shells.runtime.outcome(worker, turn_id).await, Ok(ended));
    let outcome = turn(&shells.runtime, worker, "run: echo hi").await;
    let Outcome::Failed { message, .. } = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("withdrawn") || message.contains("revoked"), "{message}");
}

/// A waiting script takes no processor's time from others.
#[tokio::test]
async fn a_script_that_waits_costs_nothing() {
    let shells = Shells::new().await;
    let worker = shells.worker(shell_grant()).await;
    let answer = shells.ask(worker, "timeout: 1000 sleep 600").await;
    assert!(answer.contains("took longer"), "{answer}");
    let usage = shells.runtime.usage(worker, None, 1).await.expect("usage");
    let cpu = Duration::from_micros(usage.turns[0].receipt.cpu_us);
    assert!(cpu < Duration::from_millis(300), "a loop would have taken a second: {cpu:?}");
}
