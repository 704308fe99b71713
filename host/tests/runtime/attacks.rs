//! Attacks on the file system, generated: every call with every hostile path, against a directory that
//! may be written to and one that may not. Each call is made by a guest, by WASI itself.
//!
//! What must hold does not depend on the cell: nothing outside changes, nothing of it is read, nothing
//! read-only changes, and what leads out is refused.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use worker_types::{Access, Limits, Outcome, WorkerId};

use crate::{
    files::{Disk, grants},
    harness::*,
};

/// What is outside of every root, and what a guest must never say.
const SECRET: &str = "the secret that lies outside";

/// Where the guest sees the two roots.
const PLACES: [&str; 2] = ["/open", "/closed"];

/// What a call does to the path that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It follows a link at the end.
    Follow,
    /// It works on a link itself.
    Stay,
}

/// Every call that takes a path, with the path as `{}`; what it does about links; whether it changes
/// anything.
const CALLS: [(&str, Does, bool); 29] = [
    ("open\t{at}\t{}\tr\tf", Does::Follow, false),
    ("open\t{at}\t{}\trn\tf", Does::Follow, false),
    ("open\t{at}\t{}\trd\tf", Does::Follow, false),
    ("open\t{at}\t{}\trw\tf", Does::Follow, true),
    ("open\t{at}\t{}\twc\tf", Does::Follow, true),
    ("open\t{at}\t{}\twcx\tf", Does::Follow, true),
    ("open\t{at}\t{}\twt\tf", Does::Follow, true),
    ("open\t{at}\t{}\trt\tf", Does::Follow, true),
    ("open\t{at}\t{}\twctn\tf", Does::Follow, true),
    ("mkdir\t{at}\t{}", Does::Stay, true),
    ("rmdir\t{at}\t{}", Does::Stay, true),
    ("unlink\t{at}\t{}", Does::Stay, true),
    ("symlink\t{at}\ttarget\t{}", Does::Stay, true),
    ("readlink\t{at}\t{}", Does::Stay, false),
    ("link\t{at}\t{}\t{at}\tnew-link", Does::Stay, true),
    ("link-follow\t{at}\t{}\t{at}\tnew-link", Does::Follow, true),
    ("link\t{at}\tfile\t{at}\t{}", Does::Stay, true),
    ("link\t{at}\t{}\t{other}\tnew-link", Does::Stay, true),
    ("link\t{other}\tfile\t{at}\t{}", Does::Stay, true),
    ("rename\t{at}\t{}\t{at}\tnew-name", Does::Stay, true),
    ("rename\t{at}\tspare\t{at}\t{}", Does::Stay, true),
    ("rename\t{at}\t{}\t{other}\tnew-name", Does::Stay, true),
    ("rename\t{other}\tspare\t{at}\t{}", Does::Stay, true),
    ("stat\t{at}\t{}", Does::Follow, false),
    ("lstat\t{at}\t{}", Does::Stay, false),
    ("hash\t{at}\t{}", Does::Follow, false),
    ("lhash\t{at}\t{}", Does::Stay, false),
    ("times\t{at}\t{}\t1", Does::Follow, true),
    ("ltimes\t{at}\t{}\t1", Does::Stay, true),
];

/// Paths that lead out by what they say, whatever is there.
fn out_by_name(outside: &Path) -> Vec<String> {
    let outside = outside.display();
    let ways = [
        "../outside/secret".to_owned(),
        "./../outside/secret".to_owned(),
        "dir/../../outside/secret".to_owned(),
        "dir/.//../../outside/secret".to_owned(),
        "..".to_owned(),
        "dir/../..".to_owned(),
        "../open/../outside/secret".to_owned(),
        "/".to_owned(),
        "/etc/passwd".to_owned(),
        format!("{outside}/secret"),
        "/open/file".to_owned(),
        "/proc/self/cwd/secret".to_owned(),
    ];
    with_ends(ways)
}

/// Paths that lead out over links that are there.
fn out_by_link() -> Vec<String> {
    let through = ["dir-up/secret", "dir-abs/secret", "fd/0", "to-dir-up/secret", "dir-up/new"];
    let at_the_end =
        ["up", "abs", "dir-up", "dir-abs", "environ", "root", "mem", "fd", "chain-out"];
    with_ends(through.into_iter().chain(at_the_end).map(str::to_owned))
}

/// Paths that are nonsense, and lead nowhere.
fn nonsense() -> Vec<String> {
    let long = "x".repeat(256);
    let deep = "d/".repeat(2_100);
    let ways =
        ["", "loop", "loop/x", "file/x", "a\0b", "file\0", &long, &deep, "chain/x", "\u{1}\u{7f}"];
    with_ends(ways.map(str::to_owned))
}

/// Each path as it is, with a slash at its end, and with `/.` and `//` there.
fn with_ends(paths: impl IntoIterator<Item = String>) -> Vec<String> {
    let ends = |path: String| ["", "/", "/.", "//", "/./"].map(|end| format!("{path}{end}"));
    paths.into_iter().flat_map(ends).collect()
}

/// What every root has in it when a call is made.
fn furnish(root: &Path, outside: &Path) {
    fs::create_dir_all(root.join("dir/inner")).expect("a directory");
    for file in ["file", "spare", "dir/file"] {
        fs::write(root.join(file), "harmless").expect("a file");
    }
    let link = |target: &str, name: &str| symlink(target, root.join(name)).expect("a link");
    let outside = outside.display();
    link("../outside/secret", "up");
    link(&format!("{outside}/secret"), "abs");
    link("../outside", "dir-up");
    link(&outside.to_string(), "dir-abs");
    link("dir-up", "to-dir-up");
    link("loop", "loop");
    link("/proc/self/environ", "environ");
    link("/proc/self/root", "root");
    link("/proc/self/mem", "mem");
    link("/proc/self/fd", "fd");
    link("file", "chain-0");
    for n in 1..60 {
        link(&format!("chain-{}", n - 1), &format!("chain-{n}"));
    }
    link("chain-59", "chain");
    link("up", "chain-out");
}

/// Everything about a tree that a call could change, but for the times of reading.
fn snapshot(root: &Path) -> BTreeMap<String, (u32, u64, i64, u64, Vec<u8>)> {
    let mut seen = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata().expect("it is there");
        let content = if metadata.is_dir() {
            left.extend(
                fs::read_dir(&path).expect("listed").map(|entry| entry.expect("one").path()),
            );
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).expect("a file")
        };
        let name = path.strip_prefix(root).expect("below").display().to_string();
        let (mode, links) = (metadata.mode(), metadata.nlink());
        seen.insert(name, (mode, links, metadata.mtime(), metadata.size(), content));
    }
    seen
}

/// Two furnished roots, a Worker that has both, and what is outside.
struct Field {
    disk: Disk,
    worker: WorkerId,
}

impl Field {
    async fn new() -> Self {
        let disk = Disk::new(Limits { turn_wall_ms: 60_000, ..Limits::default() }).await;
        let outside = disk.path("outside");
        fs::create_dir(&outside).expect("a directory");
        fs::write(outside.join("secret"), SECRET).expect("a file");
        for root in ["open", "closed"] {
            furnish(&disk.path(root), &outside);
        }
        let preopens =
            [("open", "/open", Access::ReadWrite), ("closed", "/closed", Access::ReadOnly)];
        let worker = disk.worker(grants(&preopens)).await.expect("a Worker");
        Self { disk, worker }
    }

    /// Puts the writable root back as it was.
    fn restore(&self) {
        let open = self.disk.path("open");
        for entry in fs::read_dir(&open).expect("listed") {
            let path = entry.expect("one").path();
            let is_dir = path.symlink_metadata().expect("it is there").is_dir();
            let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.expect("removed");
        }
        furnish(&open, &self.disk.path("outside"));
    }

    /// Makes every call with every path, and hands what each answered to `check`.
    async fn attack(&self, paths: &[String], check: impl Fn(&Attempt<'_>)) {
        let (outside, closed) = (self.disk.path("outside"), self.disk.path("closed"));
        let (before, read_only) = (snapshot(&outside), snapshot(&closed));
        for at in PLACES {
            let other = PLACES.into_iter().find(|other| *other != at).expect("the other");
            for (call, does, changes) in CALLS {
                let call = call.replace("{at}", at).replace("{other}", other);
                let after: &[&str] =
                    if call.starts_with("open") { &["read\tf", "list\tf", "drop\tf"] } else { &[] };
                let lines = |path: &String| {
                    let call = call.replace("{}", path);
                    std::iter::once(call).chain(after.iter().map(|line| (*line).to_owned()))
                };
                let script: Vec<String> = paths.iter().flat_map(lines).collect();
                let script: Vec<&str> = script.iter().map(String::as_str).collect();
                let answers = self.disk.calls(self.worker, &script).await;
                assert_eq!(answers.len(), script.len(), "{call}");
                for (line, answer) in script.iter().zip(&answers) {
                    let told = answer.contains(SECRET) || answer.contains("passwd");
                    assert!(!told, "{line:?} told a secret");
                }
                let calls = script.chunks(1 + after.len()).zip(answers.chunks(1 + after.len()));
                for (path, (line, answer)) in paths.iter().zip(calls) {
                    let attempt = Attempt { line: line[0], path, does, answer: &answer[0] };
                    let refused_here = changes && at == "/closed";
                    assert!(!refused_here || !attempt.is_ok(), "{attempt:?}");
                    check(&attempt);
                }
                assert_eq!(snapshot(&outside), before, "{call}");
                assert_eq!(snapshot(&closed), read_only, "{call}");
                self.restore();
            }
        }
    }
}

/// One call with one hostile path.
#[derive(Debug)]
struct Attempt<'a> {
    line: &'a str,
    path: &'a str,
    does: Does,
    answer: &'a str,
}

impl Attempt<'_> {
    fn is_ok(&self) -> bool {
        is_ok(self.answer)
    }

    /// Whether it is about a link itself. Who only looks may look at the link where POSIX would follow
    /// it for the slash at the end.
    fn is_at_the_link(&self) -> bool {
        let looks = self.line.starts_with("lstat") || self.line.starts_with("lhash");
        let path = if looks { self.path.trim_end_matches(['/', '.']) } else { self.path };
        self.does == Does::Stay && !path.contains('/')
    }
}

fn is_ok(answer: &str) -> bool {
    answer == "ok" || answer.starts_with("ok ")
}

#[tokio::test]
async fn invariant_2_no_call_leads_out_by_the_name_of_a_path() {
    let field = Field::new().await;
    let paths = out_by_name(&field.disk.path("outside"));
    field.attack(&paths, |attempt| assert!(!attempt.is_ok(), "{attempt:?}")).await;
}

#[tokio::test]
async fn invariant_2_no_call_leads_out_over_a_link() {
    let field = Field::new().await;
    let check = |attempt: &Attempt<'_>| {
        // To work on the link itself, or to put something in its place, is allowed.
        assert!(!attempt.is_ok() || attempt.is_at_the_link(), "{attempt:?}");
    };
    field.attack(&out_by_link(), check).await;
}

#[tokio::test]
async fn invariant_9_paths_that_make_no_sense_are_refused_and_hurt_nobody() {
    let field = Field::new().await;
    let check = |attempt: &Attempt<'_>| {
        // A loop is a link, to be worked on itself; and a name may be odd and new.
        let is_name = attempt.path.trim_end_matches(['/', '.']) == "\u{1}\u{7f}";
        let is_loop = attempt.path.starts_with("loop") && attempt.is_at_the_link();
        assert!(!attempt.is_ok() || is_loop || is_name, "{attempt:?}");
    };
    field.attack(&nonsense(), check).await;
    assert_eq!(turn(&field.disk.runtime, field.worker, "print: well").await, Outcome::Completed);
}

#[tokio::test]
async fn what_is_read_only_stays_so_for_every_call_and_every_honest_path() {
    let field = Field::new().await;
    let paths = ["file", "dir", "dir/file", "dir/inner", "up", "chain-1", ".", "new", "dir/new"];
    // That nothing changes there is checked for every call.
    field.attack(&with_ends(paths.map(str::to_owned)), |_| {}).await;
    let script = [
        "open\t/closed\tfile\tr\tf",
        "write\tf\t0\tx",
        "append\tf\tx",
        "fill\tf\t10",
        "size\tf\t0",
        "ftimes\tf\t1",
        "read\tf",
        "open\t/closed\tdir\trd\td",
        "open\td\tfile\tw",
        "mkdir\td\tnew",
        "ftimes\td\t1",
    ];
    let answers = field.disk.calls(field.worker, &script).await;
    for at in [1, 2, 3, 4, 5, 8, 9, 10] {
        assert_eq!(answers[at], "not-permitted", "{}", script[at]);
    }
    assert_eq!(answers[6], "ok harmless");
}

#[tokio::test]
async fn names_and_times_at_their_limits_do_what_they_say_or_are_refused() {
    let field = Field::new().await;
    let longest = "n".repeat(255);
    let script = [
        format!("open\t/open\t{longest}\twcx\tf"),
        format!("stat\t/open\t{longest}"),
        "mkdir\t/open\tÜ\u{202e}\u{301} ’".to_owned(),
        "times\t/open\tfile\t18446744073709551615".to_owned(),
        "times\t/open\tfile\t9223372036854775808".to_owned(),
        "times\t/open\tfile\t253402300800".to_owned(),
        "times\t/open\tfile\t0".to_owned(),
        "stat\t/open\tfile".to_owned(),
    ];
    let script: Vec<&str> = script.iter().map(String::as_str).collect();
    let answers = field.disk.calls(field.worker, &script).await;
    assert_eq!(answers[..3], ["ok", "ok DescriptorType::RegularFile 0", "ok"]);
    assert!(!is_ok(&answers[3]) && !is_ok(&answers[4]), "{answers:?}");
    assert_eq!(answers[6..], ["ok", "ok DescriptorType::RegularFile 8"]);
    // The host can still list what the guest made.
    assert!(field.disk.path("open").join(&longest).is_file());
}

#[tokio::test]
async fn a_link_that_a_guest_planted_leads_the_host_nowhere() {
    let disk = Disk::new(Limits { scratch_bytes: 1 << 20, ..Limits::default() }).await;
    let outside = disk.path("outside");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("secret"), vec![b's'; 2 << 20]).expect("a large file");
    let scratch = grants(&[("scratch", "/tmp", Access::ReadWrite)]);
    let worker = disk.worker(scratch).await.expect("a Worker");
    let script = [
        "symlink\t/tmp\t../../outside\tplanted",
        "mkdir\t/tmp\tdir",
        "symlink\t/tmp\t../../../outside/secret\tdir/planted",
        // What the link leads to is not counted: the directory is measured for this.
        "open\t/tmp\tf\twc\tf",
        "fill\tf\t1000000",
        "fill\tf\t1100000",
    ];
    let answers = disk.calls(worker, &script).await;
    assert_eq!(answers[..5], ["ok"; 5]);
    assert_eq!(answers[5], "quota");
    let before = snapshot(&outside);
    disk.runtime.stop(worker).await.expect("stopped");
    disk.runtime.delete(worker).await.expect("deleted");
    assert!(!disk.path("scratch").join(worker.to_string()).exists());
    assert_eq!(snapshot(&outside), before);
}

/// Exchanges a directory and a link to the outside a million times, while a guest works through the
/// name that is both.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn invariant_2_a_race_of_exchanges_leads_nowhere() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    const EXCHANGES: usize = 1_000_000;

    let field = Field::new().await;
    let open = field.disk.path("open");
    fs::create_dir(open.join("swap")).expect("a directory");
    fs::write(open.join("swap/secret"), "harmless").expect("a file");
    symlink("../outside", open.join("trap")).expect("a link");
    let before = snapshot(&field.disk.path("outside"));
    let done = Arc::new(AtomicBool::new(false));
    let exchanging = {
        let (swap, trap, done) = (open.join("swap"), open.join("trap"), Arc::clone(&done));
        std::thread::spawn(move || {
            for _ in 0..EXCHANGES {
                renameat_with(CWD, &swap, CWD, &trap, RenameFlags::EXCHANGE).expect("exchanged");
            }
            done.store(true, Ordering::Release);
        })
    };
    let once = [
        "open\t/open\tswap/secret\tr\tf",
        "read\tf",
        "drop\tf",
        "stat\t/open\tswap/secret",
        "open\t/open\tswap/secret\trw\tf",
        "size\tf\t3",
        "write\tf\t0\tharmless",
        "drop\tf",
        "open\t/open\tswap/made\twc",
        "times\t/open\tswap/secret\t1",
        "rename\t/open\tswap/made\t/open\tswap/moved",
        "link\t/open\tswap/secret\t/open\tswap/linked",
        "unlink\t/open\tswap/linked",
        "unlink\t/open\tswap/moved",
        "mkdir\t/open\tswap/new",
        "rmdir\t/open\tswap/new",
        "symlink\t/open\tx\tswap/sym",
        "unlink\t/open\tswap/sym",
    ];
    let script: Vec<&str> = once.iter().cycle().take(once.len() * 50).copied().collect();
    let (mut opened, mut refused) = (0, 0);
    while !done.load(Ordering::Acquire) {
        for chunk in field.disk.calls(field.worker, &script).await.chunks(once.len()) {
            assert!(chunk.iter().all(|answer| !answer.contains(SECRET)), "{chunk:?}");
            let seen = format!("ok DescriptorType::RegularFile {}", SECRET.len());
            assert_ne!(chunk[3], seen, "the file outside was looked at");
            *if is_ok(&chunk[0]) { &mut opened } else { &mut refused } += 1;
        }
    }
    exchanging.join().expect("it exchanged");
    assert_eq!(snapshot(&field.disk.path("outside")), before);
    // Both were met, or there was no race.
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}
