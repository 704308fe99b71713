//! What a guest reaches of the disk, by the calls of WASI itself.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;
use worker_runtime::{Root, Runtime, RuntimeBuildError};
use worker_types::{
    Access, CreateWorker, FailureKind, Grants, Limits, Outcome, Preopen, RuntimeError, WorkerId,
};

use crate::harness::*;

/// A Runtime with the roots `open` (read-write) and `closed` (read-only), and private directories.
pub(crate) struct Disk {
    pub(crate) runtime: Runtime,
    pub(crate) dir: TempDir,
}

impl Disk {
    pub(crate) async fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for root in ["open", "closed"] {
            fs::create_dir(dir.path().join(root)).expect("a directory");
        }
        let root = |name: &str| Root::new(dir.path().join(name));
        let runtime = builder_of(["base"])
            .root("open".parse().expect("a name"), root("open").access(Access::ReadWrite))
            .root("closed".parse().expect("a name"), root("closed"))
            .scratch(dir.path().join("scratch"))
            .ceiling(everything())
            .limits(limits)
            .build()
            .await
            .expect("a Runtime");
        Self { runtime, dir }
    }

    pub(crate) fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    /// A Worker with these directories.
    pub(crate) async fn worker(&self, grants: Grants) -> Result<WorkerId, RuntimeError> {
        let request = CreateWorker::profile(name("base")).grants(grants);
        Ok(self.runtime.create(request).await?.worker_id)
    }

    /// Runs a script of calls, and returns what each answered.
    pub(crate) async fn calls(&self, worker: WorkerId, script: &[&str]) -> Vec<String> {
        let command = format!("files: {}", script.join("\n"));
        assert_eq!(turn(&self.runtime, worker, &command).await, Outcome::Completed);
        let answers = said(&self.runtime, worker).await.pop().expect("an answer");
        answers.lines().map(str::to_owned).collect()
    }
}

pub(crate) fn preopen(root: &str, guest_path: &str, access: Access) -> Preopen {
    let preopen =
        Preopen::new(root.parse().expect("a root name"), guest_path.parse().expect("a guest path"));
    preopen.access(access)
}

/// The most that these tests' Runtimes can grant.
fn everything() -> Grants {
    let all = Grants::none()
        .with_preopen(preopen("open", "/open", Access::ReadWrite))
        .with_preopen(preopen("closed", "/closed", Access::ReadWrite));
    all.with_preopen(preopen("scratch", "/scratch", Access::ReadWrite))
}

pub(crate) fn grants(preopens: &[(&str, &str, Access)]) -> Grants {
    preopens.iter().fold(Grants::none(), |grants, (root, guest_path, access)| {
        grants.with_preopen(preopen(root, guest_path, *access))
    })
}

const BOTH: [(&str, &str, Access); 2] =
    [("open", "/work", Access::ReadWrite), ("closed", "/docs", Access::ReadOnly)];

#[tokio::test]
async fn invariant_1_without_a_grant_there_is_no_directory() {
    let disk = Disk::new(Limits::default()).await;
    let worker = disk.worker(Grants::none()).await.expect("a Worker");
    assert_eq!(disk.calls(worker, &["preopens"]).await, ["ok"]);
}

#[tokio::test]
async fn invariant_2_a_worker_sees_its_directories_where_they_were_granted() {
    let disk = Disk::new(Limits::default()).await;
    fs::write(disk.path("closed/read.me"), "hello").expect("a file");
    fs::create_dir_all(disk.path("open/services/api")).expect("a directory");
    let api =
        preopen("open", "/api", Access::ReadWrite).path("services/api".parse().expect("a path"));
    let worker = disk.worker(grants(&BOTH[1..]).with_preopen(api)).await.expect("a Worker");
    let script = [
        "preopens",
        "open\t/docs\tread.me\tr\tfile",
        "read\tfile",
        "open\t/api\tmade\twcx\tmade",
        "append\tmade\tone ",
        "append\tmade\ttwo",
        "read\tmade",
        "stat\t/api\tmade",
        "open\t/docs\t.\trd\tdocs",
        "list\tdocs",
    ];
    let answers = disk.calls(worker, &script).await;
    assert_eq!(answers[..3], ["ok /api /docs", "ok", "ok hello"]);
    // It was opened to be written.
    assert_eq!(answers[3..7], ["ok", "ok", "ok", "bad-descriptor"]);
    assert_eq!(answers[7], "ok DescriptorType::RegularFile 7");
    assert_eq!(answers[9], "ok 1 read.me:DescriptorType::RegularFile");
    assert_eq!(fs::read(disk.path("open/services/api/made")).expect("a file"), b"one two");
}

#[tokio::test]
async fn a_turn_says_how_much_it_wrote() {
    let disk = Disk::new(Limits::default()).await;
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    let script = ["open\t/work\tf\twc\tf", "fill\tf\t10000", "write\tf\t5\tabc", "size\tf\t10100"];
    assert_eq!(disk.calls(worker, &script).await, ["ok"; 4]);
    let log = log(&disk.runtime, worker).await;
    let receipt = log.iter().find_map(|event| match &event.body {
        worker_types::EventBody::TurnEnded { receipt, .. } => Some(receipt),
        _ => None,
    });
    assert_eq!(receipt.expect("an end").file_bytes, 10_103);
}

#[tokio::test]
async fn grants_beyond_the_roots_and_beyond_sense_are_refused() {
    let disk = Disk::new(Limits::default()).await;
    let refusal = async |preopens: &[(&str, &str, Access)]| {
        disk.worker(grants(preopens)).await.expect_err("a refusal")
    };
    let write = refusal(&[("closed", "/w", Access::ReadWrite)]).await;
    assert_eq!(write.code(), "grant_exceeds_ceiling");
    assert!(write.to_string().contains("write access to `.` of root `closed`"), "{write}");
    assert_eq!(refusal(&[("etc", "/w", Access::ReadOnly)]).await.code(), "grant_exceeds_ceiling");
    let twice = refusal(&[("closed", "/w", Access::ReadOnly), ("open", "/w", Access::ReadOnly)]);
    assert_eq!(twice.await.code(), "invalid_input");

    let missing = preopen("open", "/w", Access::ReadOnly).path("nowhere".parse().expect("a path"));
    let missing = disk.worker(Grants::none().with_preopen(missing)).await.expect_err("a refusal");
    assert_eq!(missing.code(), "preopen_unavailable");
    fs::create_dir(disk.path("open/.git")).expect("a directory");
    let exposed = refusal(&[("open", "/w", Access::ReadWrite)]).await;
    assert_eq!(exposed.code(), "exposes_git_dir");
    for error in [missing, exposed] {
        let host = disk.dir.path().display().to_string();
        assert!(!format!("{error} {error:?}").contains(&host), "{error:?}");
    }
    assert!(disk.worker(grants(&[("open", "/w", Access::ReadOnly)])).await.is_ok());
}

#[tokio::test]
async fn a_root_that_holds_the_runtimes_own_data_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let refused = builder()
        .root("all".parse().expect("a name"), Root::new(dir.path()))
        .scratch(dir.path().join("data/scratch"))
        .build()
        .await;
    assert!(matches!(refused, Err(RuntimeBuildError::RootHoldsData { .. })), "{refused:?}");
    let refused =
        builder().root("scratch".parse().expect("a name"), Root::new(dir.path())).build().await;
    assert!(matches!(refused, Err(RuntimeBuildError::RootName)), "{refused:?}");
}

#[tokio::test]
async fn a_writable_root_holds_nothing_that_decides_what_workers_may_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("yoi.toml");
    fs::write(&config, "").expect("a file");
    let build = async |access| {
        let root = Root::new(dir.path()).access(access);
        let builder = builder().root("project".parse().expect("a name"), root);
        builder.reserve(&config).build().await
    };
    let refused = build(Access::ReadWrite).await;
    assert!(matches!(refused, Err(RuntimeBuildError::RootHoldsSetup { .. })), "{refused:?}");
    build(Access::ReadOnly).await.expect("it can be looked at");
}

#[tokio::test]
async fn a_git_directory_that_is_not_exposed_any_more_is_refused_to_workers_that_had_it() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(dir.path().join("project/.git/hooks")).expect("a directory");
    let open = async |root: Root| {
        let root = root.access(Access::ReadWrite);
        builder_of(["base"])
            .root("project".parse().expect("a name"), root)
            .store(worker_runtime::Store::sqlite(dir.path().join("log")).expect("a store"))
            .ceiling(grants(&[("project", "/p", Access::ReadWrite)]))
            .build()
            .await
            .expect("a Runtime")
    };
    let root = Root::new(dir.path().join("project"));
    let runtime = open(root.clone().expose_git()).await;
    let hooks =
        preopen("project", "/hooks", Access::ReadWrite).path(".git/hooks".parse().expect("a path"));
    let request = CreateWorker::profile(name("base")).grants(Grants::none().with_preopen(hooks));
    let worker = runtime.create(request).await.expect("a Worker").worker_id;
    let make = "files: open\t/hooks\tpre-commit\twc";
    assert_eq!(turn(&runtime, worker, make).await, Outcome::Completed);
    runtime.shutdown(std::time::Duration::ZERO).await;
    drop(runtime);
    let runtime = open(root).await;
    let failed = turn(&runtime, worker, make).await;
    let Outcome::Failed { kind: FailureKind::PreopenUnavailable, message } = failed else {
        panic!("{failed:?}")
    };
    assert!(message.contains("git directory"), "{message}");
}

#[tokio::test]
async fn a_directory_that_went_away_fails_the_turn_by_name_and_the_worker_goes_on() {
    let disk = Disk::new(Limits::default()).await;
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    fs::rename(disk.path("closed"), disk.path("moved")).expect("renamed");
    fs::create_dir(disk.path("closed")).expect("another directory");
    let failed = turn(&disk.runtime, worker, "files: preopens").await;
    let Outcome::Failed { kind: FailureKind::PreopenUnavailable, message } = failed else {
        panic!("{failed:?}")
    };
    assert!(message.contains("`closed` at /docs") && message.contains("not where it was"));
    let diagnostics = disk.runtime.diagnostics();
    assert!(diagnostics.iter().any(|diagnostic| diagnostic.code == "root_unavailable"));
    fs::remove_dir(disk.path("closed")).expect("removed");
    fs::rename(disk.path("moved"), disk.path("closed")).expect("put back");
    assert_eq!(disk.calls(worker, &["preopens"]).await, ["ok /docs /work"]);
}

#[tokio::test]
async fn scratch_is_private_and_goes_with_its_worker() {
    let disk = Disk::new(Limits::default()).await;
    let scratch = grants(&[("scratch", "/tmp", Access::ReadWrite)]);
    let one = disk.worker(scratch.clone()).await.expect("a Worker");
    let two = disk.worker(scratch).await.expect("a Worker");
    let made = disk.calls(one, &["open\t/tmp\tmine\twcx", "mkdir\t/tmp\t.git"]).await;
    assert_eq!(made, ["ok"; 2]);
    assert_eq!(disk.calls(one, &["stat\t/tmp\tmine"]).await, ["ok DescriptorType::RegularFile 0"]);
    assert_eq!(disk.calls(two, &["stat\t/tmp\tmine"]).await, ["no-entry"]);
    assert!(disk.path("scratch").join(one.to_string()).is_dir());
    disk.runtime.stop(one).await.expect("stopped");
    disk.runtime.delete(one).await.expect("deleted");
    assert!(!disk.path("scratch").join(one.to_string()).exists());
    assert!(disk.path("scratch").join(two.to_string()).is_dir());
}

#[cfg(unix)]
#[tokio::test]
async fn special_files_are_refused_and_hold_nobody_up() {
    let disk = Disk::new(Limits::default()).await;
    rustix::fs::mkfifoat(rustix::fs::CWD, disk.path("open/fifo"), 0o600.into()).expect("a FIFO");
    let _socket = std::os::unix::net::UnixListener::bind(disk.path("open/socket")).expect("bound");
    std::os::unix::fs::symlink("fifo", disk.path("open/link")).expect("a link");
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    for special in ["fifo", "socket", "link", "./fifo"] {
        for flags in ["r", "w", "rw", "wc", "wt", "rd"] {
            let call = format!("open\t/work\t{special}\t{flags}");
            assert_eq!(disk.calls(worker, &[&call]).await, ["not-permitted"], "{call}");
        }
    }
    assert_eq!(disk.calls(worker, &["open\t/work\tlink\trn"]).await, ["loop"]);
    let listed = disk.calls(worker, &["open\t/work\t.\trd\tdir", "list\tdir"]).await.pop();
    let listed = listed.expect("an answer");
    for named in ["fifo:DescriptorType::Fifo", "socket:DescriptorType::Socket"] {
        assert!(listed.contains(named), "{listed}");
    }
}

#[tokio::test]
async fn a_guest_makes_no_git_directory_and_reaches_into_none_that_comes_later() {
    let disk = Disk::new(Limits::default()).await;
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    let made = disk
        .calls(worker, &["mkdir\t/work\ta", "open\t/work\tf\twc", "symlink\t/work\ta\tlink"])
        .await;
    assert_eq!(made, ["ok"; 3]);
    fs::create_dir_all(disk.path("open/a/.git/hooks")).expect("the operator's");
    fs::write(disk.path("open/a/.git/config"), "").expect("a file");
    for call in [
        "mkdir\t/work\t.git",
        "mkdir\t/work\t.GIT",
        "mkdir\t/work\ta/.git/x",
        "open\t/work\t.git\twc",
        "open\t/work\ta/.git/hooks/pre-commit\twc",
        "open\t/work\tlink/.git/config\trw",
        "open\t/work\ta/.git/config\twt",
        "rename\t/work\ta\t/work\t.git",
        "rename\t/work\ta/.git\t/work\tb",
        "rename\t/work\tf\t/work\ta/.git/config",
        "link\t/work\tf\t/work\t.git",
        "link\t/work\ta/.git/config\t/work\tmine",
        "symlink\t/work\ta\t.git",
        "symlink\t/work\ta/.git\tgit",
        "unlink\t/work\ta/.git/config",
        "rmdir\t/work\ta/.git/hooks",
        "times\t/work\ta/.git/config\t1",
    ] {
        assert_eq!(disk.calls(worker, &[call]).await, ["not-permitted"], "{call}");
    }
    // Looking is allowed, and what is reached by looking cannot be written to either.
    let script = [
        "open\t/work\ta/.git\trd\tgit",
        "open\tgit\thooks\trd\thooks",
        "open\thooks\tpre-commit\twc",
        "mkdir\tgit\tx",
        "open\tgit\tconfig\tr\tconfig",
        "write\tconfig\t0\tx",
        "size\tconfig\t9",
        "ftimes\tconfig\t9",
        "ftimes\thooks\t9",
    ];
    let answers = disk.calls(worker, &script).await;
    let refused = "not-permitted";
    assert_eq!(answers[..5], ["ok", "ok", refused, refused, "ok"]);
    assert_eq!(answers[5..], [refused; 4]);
    assert!(Path::exists(&disk.path("open/a/.git/hooks")));
}

#[tokio::test]
async fn a_link_that_is_there_leads_no_guest_into_a_git_directory_that_comes_later() {
    let disk = Disk::new(Limits::default()).await;
    // As it comes with a repository, or out of an archive.
    for (target, name) in [(".git/hooks", "hk"), (".git/config", "cf"), ("hk", "chain")] {
        symlink(target, disk.path("open").join(name)).expect("a link");
    }
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    fs::create_dir_all(disk.path("open/.git/hooks")).expect("the operator's");
    for file in ["config", "hooks/old"] {
        fs::write(disk.path("open/.git").join(file), "as it was").expect("a file");
    }
    for call in [
        "open\t/work\thk/pre-commit\twcx",
        "open\t/work\tchain/pre-commit\twc",
        "open\t/work\thk/old\trw",
        "open\t/work\thk/../config\twt",
        "open\t/work\tcf\twt",
        "open\t/work\tcf\trw",
        "mkdir\t/work\thk/x",
        "rmdir\t/work\thk/x",
        "unlink\t/work\thk/old",
        "symlink\t/work\ta\thk/x",
        "link\t/work\thk/old\t/work\tmine",
        "link-follow\t/work\tcf\t/work\tmine",
        "rename\t/work\thk/old\t/work\tmine",
        "times\t/work\tcf\t1",
    ] {
        assert_eq!(disk.calls(worker, &[call]).await, ["not-permitted"], "{call}");
    }
    let script = [
        "open\t/work\tchain\trd\thooks",
        "open\thooks\told\tr\told",
        "read\told",
        "open\thooks\tpre-commit\twc",
        "write\told\t0\tx",
        "ftimes\thooks\t9",
    ];
    let answers = disk.calls(worker, &script).await;
    let refused = "not-permitted";
    assert_eq!(answers, ["ok", "ok", "ok as it was", refused, refused, refused]);
    // The links themselves are files like others.
    assert_eq!(disk.calls(worker, &["rename\t/work\tcf\t/work\tother"]).await, ["ok"]);
    let left: Vec<_> = fs::read_dir(disk.path("open/.git/hooks")).expect("listed").collect();
    assert_eq!(left.len(), 1);
    for file in ["config", "hooks/old"] {
        let kept = fs::read_to_string(disk.path("open/.git").join(file)).expect("read");
        assert_eq!(kept, "as it was");
    }
}

#[tokio::test]
async fn a_file_gets_no_name_in_another_directory_where_it_would_outlive_a_revocation() {
    let disk = Disk::new(Limits::default()).await;
    for dir in ["open/one", "open/two"] {
        fs::create_dir(disk.path(dir)).expect("a directory");
    }
    fs::write(disk.path("open/one/file"), "").expect("a file");
    let below = |path: &str| {
        let preopen = preopen("open", &format!("/{path}"), Access::ReadWrite);
        preopen.path(path.parse().expect("a path"))
    };
    let both = Grants::none().with_preopen(below("one")).with_preopen(below("two"));
    let worker = disk.worker(both).await.expect("a Worker");
    let script = [
        "link\t/one\tfile\t/two\tfile",
        "link\t/one\tfile\t/one\tagain",
        "rename\t/one\tagain\t/two\tagain",
    ];
    assert_eq!(disk.calls(worker, &script).await, ["cross-device", "ok", "ok"]);
}

#[tokio::test]
async fn a_worker_that_starts_is_held_against_what_came_into_its_directory_meanwhile() {
    let disk = Disk::new(Limits::default()).await;
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    disk.runtime.stop(worker).await.expect("stopped");
    fs::create_dir_all(disk.path("open/a/.git")).expect("the operator's");
    let refused = disk.runtime.start(worker).await.expect_err("a git directory");
    assert_eq!(refused.code(), "exposes_git_dir");
    fs::remove_dir_all(disk.path("open/a")).expect("removed");
    disk.runtime.start(worker).await.expect("started");
}

#[tokio::test]
async fn a_path_is_of_the_directory_that_lies_deepest_around_it() {
    let disk = Disk::new(Limits::default()).await;
    fs::write(disk.path("closed/mark"), "inner").expect("a file");
    fs::create_dir(disk.path("open/out")).expect("a directory");
    fs::write(disk.path("open/out/mark"), "outer").expect("a file");
    let nested =
        grants(&[("open", "/w", Access::ReadOnly), ("closed", "/w/out", Access::ReadOnly)]);
    let worker = disk.worker(nested).await.expect("a Worker");
    let script = ["std-read\t/w/out/mark", "open\t/w\tout/mark\tr\touter", "read\touter"];
    assert_eq!(disk.calls(worker, &script).await, ["ok inner", "ok", "ok outer"]);
}

#[tokio::test]
pub(crate) async fn scratch_bytes_bounds_files_names_and_holes() {
    let limits = Limits { scratch_bytes: 100_000, ..Limits::default() };
    let disk = Disk::new(limits).await;
    let scratch = grants(&[("scratch", "/tmp", Access::ReadWrite), BOTH[0]]);
    let worker = disk.worker(scratch).await.expect("a Worker");
    let script = [
        "open\t/tmp\tf\twc\tf",
        "fill\tf\t200000",
        "size\tf\t1099511627776",
        "write\tf\t1099511627776\tx",
        "size\tf\t90000",
        "open\t/tmp\tg\twc\tg",
        "fill\tg\t8192",
        "mkdir\t/tmp\td",
        "unlink\t/tmp\tf",
        "fill\tg\t8192",
        "drop\tf",
        "fill\tg\t8192",
        "mkdir\t/tmp\td",
    ];
    let answers = disk.calls(worker, &script).await;
    let over = "quota";
    assert_eq!(answers[..5], ["ok", over, over, over, "ok"]);
    assert_eq!(answers[5..], ["ok", over, over, "ok", over, "ok", "ok", "ok"]);
    assert!(disk.path("scratch").join(worker.to_string()).join("d").is_dir());
    // A file that is only read keeps what it takes when it loses its name.
    let script = [
        "open\t/tmp\th\twc\th",
        "fill\th\t60000",
        "drop\th",
        "open\t/tmp\th\tr\tread",
        "unlink\t/tmp\th",
        "open\t/tmp\ti\twc\ti",
        "fill\ti\t60000",
        "drop\tread",
        "fill\ti\t60000",
        "unlink\t/tmp\ti",
    ];
    let answers = disk.calls(worker, &script).await;
    assert_eq!(answers[5..9], ["ok", over, "ok", "ok"]);
    // Names alone fill it, too; and it is full for the next turn as well.
    let many: Vec<String> = (0..100).map(|n| format!("symlink\t/tmp\tx\tlink-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let answers = disk.calls(worker, &many).await;
    let made = answers.iter().filter(|answer| *answer == "ok").count();
    assert!((15..25).contains(&made), "{made}");
    assert_eq!(disk.calls(worker, &["mkdir\t/tmp\tmore"]).await, [over]);
    // What moves in from elsewhere would not have been counted.
    let script =
        ["open\t/work\tbig\twc", "rename\t/work\tbig\t/tmp\tbig", "link\t/work\tbig\t/tmp\tbig"];
    assert_eq!(disk.calls(worker, &script).await, ["ok", "cross-device", "cross-device"]);
}

#[tokio::test]
pub(crate) async fn turn_file_bytes_bounds_what_a_turn_writes_to_the_operators_disk() {
    let limits = Limits { turn_file_bytes: 50_000, ..Limits::default() };
    let disk = Disk::new(limits).await;
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    let script =
        ["open\t/work\tf\twc\tf", "fill\tf\t60000", "size\tf\t1000000000000", "fill\tf\t800"];
    let answers = disk.calls(worker, &script).await;
    assert_eq!(answers, ["ok", "quota", "quota", "ok"]);
    // Names alone are bounded, too.
    let many: Vec<String> = (0..20).map(|n| format!("mkdir\t/work\tdir-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let answers = disk.calls(worker, &many).await;
    assert_eq!(answers.iter().filter(|answer| *answer == "ok").count(), 12, "{answers:?}");
    assert!(fs::metadata(disk.path("open/f")).expect("a file").len() <= 50_000);
    assert_eq!(disk.calls(worker, &["open\t/work\tf\tw\tf", "fill\tf\t40000"]).await, ["ok"; 2]);
}

#[tokio::test]
pub(crate) async fn turn_open_files_bounds_what_a_guest_holds_open() {
    let limits = Limits { turn_open_files: 10, ..Limits::default() };
    let disk = Disk::new(limits).await;
    fs::write(disk.path("closed/f"), "").expect("a file");
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    let script = ["open-many\t/docs\tf\t11", "open\t/docs\t.\trd\tdir"];
    let answers = disk.calls(worker, &script).await;
    assert_eq!(answers, ["insufficient-memory after 10", "insufficient-memory"]);
    assert_eq!(disk.calls(worker, &["open-many\t/docs\tf\t10"]).await, ["ok"]);
}

#[tokio::test]
pub(crate) async fn open_files_bounds_what_all_turns_hold_open() {
    let limits = Limits { open_files: 4, ..Limits::default() };
    let disk = Disk::new(limits).await;
    fs::write(disk.path("closed/f"), "").expect("a file");
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    let answers = disk.calls(worker, &["open-many\t/docs\tf\t9"]).await;
    // Its two directories count.
    assert_eq!(answers, ["insufficient-memory after 2"]);
}

#[tokio::test]
async fn a_large_directory_is_listed_whole_and_held_in_pieces() {
    let disk = Disk::new(Limits::default()).await;
    for n in 0..1_000 {
        fs::write(disk.path(&format!("closed/{n}")), "").expect("a file");
    }
    #[cfg(target_os = "linux")]
    {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
        let name = OsStr::from_bytes(b"\xff\xfe");
        fs::write(disk.path("closed").join(name), "").expect("a file");
    }
    let worker = disk.worker(grants(&BOTH)).await.expect("a Worker");
    let listed = disk.calls(worker, &["open\t/docs\t.\trd\td", "list\td"]).await.pop();
    let count = if cfg!(target_os = "linux") { "ok 1001 " } else { "ok 1000 " };
    assert!(listed.as_deref().is_some_and(|listed| listed.starts_with(count)), "{listed:?}");
}
