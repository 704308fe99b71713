//! Roots that move, trees that are hostile, git directories that hide.

use std::{collections::BTreeMap, fs, io, path::Path};

use cap_std::{ambient_authority, fs::Dir};
use tempfile::TempDir;
use worker_types::{Access, Grants, Preopen, RuntimeError, WorkerId};

use super::{
    git_directory,
    preopens::{PreopenError, PreopenFault},
    scratch::Measuring,
    *,
};

fn parsed<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().unwrap_or_else(|| panic!("`{text}` is valid"))
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn make(at: &Path) {
    fs::create_dir_all(at).expect("a directory");
}

/// Roots with one, called `project`, at `path`.
fn project(path: &Path) -> Roots {
    let root = Root::new(path).access(Access::ReadWrite);
    Roots::new(BTreeMap::from([(parsed("project"), root)]), None, &[])
}

fn grants(path: &str) -> Grants {
    let preopen = Preopen::new(parsed("project"), parsed("/workspace")).path(parsed(path));
    Grants::none().with_preopen(preopen.access(Access::ReadWrite))
}

fn opened(roots: &Roots, path: &str) -> Result<Dir, PreopenFault> {
    match roots.open_preopens(WorkerId::generate(), &grants(path)) {
        Ok(mut preopens) => Ok(preopens.pop().expect("one preopen").dir),
        Err(PreopenError { fault, .. }) => Err(fault),
    }
}

#[test]
fn invariant_2_a_root_is_the_directory_it_was_and_never_another() {
    let at = directory();
    let (path, elsewhere) = (at.path().join("project"), at.path().join("elsewhere"));
    make(&path.join("inside"));
    make(&elsewhere.join("inside"));
    let roots = project(&path);
    assert!(opened(&roots, ".").is_ok());

    let moved = at.path().join("moved");
    fs::rename(&path, &moved).expect("renamed");
    assert_eq!(opened(&roots, ".").err(), Some(PreopenFault::RootMoved));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&elsewhere, &path).expect("a link");
        assert_eq!(opened(&roots, "inside").err(), Some(PreopenFault::RootMoved));
        fs::remove_file(&path).expect("removed");
    }
    make(&path.join("inside"));
    assert_eq!(opened(&roots, "inside").err(), Some(PreopenFault::RootMoved), "a new directory");
    fs::remove_dir_all(&path).expect("removed");
    assert_eq!(opened(&roots, ".").err(), Some(PreopenFault::RootMoved));
    let [status] = roots.status().collect::<Vec<_>>().try_into().expect("one root");
    assert!(!status.available && status.reason.expect("a reason").contains("not where it was"));

    fs::rename(&moved, &path).expect("put back");
    assert!(opened(&roots, "inside").is_ok());
    assert!(roots.status().all(|root| root.available));
}

#[test]
fn a_root_that_comes_later_is_opened_when_it_is_there() {
    let at = directory();
    let path = at.path().join("late");
    let roots = project(&path);
    assert_eq!(opened(&roots, ".").err(), Some(PreopenFault::NotThere));
    make(&path);
    assert!(opened(&roots, ".").is_ok());
}

#[cfg(unix)]
#[test]
fn invariant_2_no_link_leads_to_what_is_granted() {
    use std::os::unix::fs::symlink;
    let (at, outside) = (directory(), directory());
    make(&at.path().join("real/inside"));
    symlink("real", at.path().join("within")).expect("a link");
    symlink(outside.path(), at.path().join("absolute")).expect("a link");
    symlink("../..", at.path().join("real/up")).expect("a link");
    symlink("loop", at.path().join("loop")).expect("a link");
    fs::write(at.path().join("file"), "").expect("a file");
    let roots = project(at.path());
    assert!(opened(&roots, "real/inside").is_ok());
    // Not even one that stays inside: a guest may have planted it, to lead others elsewhere.
    for link in ["within", "within/inside", "absolute", "real/up", "loop", "loop/inside"] {
        assert_eq!(opened(&roots, link).err(), Some(PreopenFault::Link), "{link}");
    }
    assert_eq!(opened(&roots, "file").err(), Some(PreopenFault::NoDirectory));
    assert_eq!(opened(&roots, "missing").err(), Some(PreopenFault::NotThere));
}

#[test]
fn invariant_3_no_refusal_and_no_debug_print_names_a_host_path() {
    let at = directory();
    let roots = project(&at.path().join("secret-place"));
    let refused =
        roots.open_preopens(WorkerId::generate(), &grants("inside")).expect_err("nothing");
    let told = format!("{roots:?} {refused:?} {refused} {:?}", RuntimeError::from(refused.clone()));
    assert!(!told.contains("secret-place"), "{told}");
}

#[test]
fn a_root_that_holds_the_runtimes_own_data_overlaps_it() {
    let at = directory();
    let (root, inside) = (at.path().join("root"), at.path().join("root/data"));
    make(&inside);
    assert!(Root::new(&root).overlaps(&inside));
    assert!(Root::new(&inside).overlaps(&root));
    assert!(Root::new(&root).overlaps(&root.join("not/there/yet")));
    assert!(!Root::new(&root).overlaps(&at.path().join("rooted")));
    #[cfg(unix)]
    {
        let link = at.path().join("link");
        std::os::unix::fs::symlink(&inside, &link).expect("a link");
        assert!(Root::new(&root).overlaps(&link.join("log")));
    }
}

fn git_fault(dir: &Path) -> Option<PreopenFault> {
    let dir = Dir::open_ambient_dir(dir, ambient_authority()).expect("it opens");
    git_directory::check(&dir).err()
}

/// What `git init --bare` makes, as far as it matters.
fn make_git_directory(at: &Path) {
    make(&at.join("objects"));
    make(&at.join("refs"));
    fs::write(at.join("HEAD"), "ref: refs/heads/main\n").expect("a file");
}

#[test]
fn a_directory_that_contains_or_lies_in_a_git_directory_is_found() {
    let at = directory();
    let tree = at.path().join("tree");
    make(&tree.join("services/api/src"));
    assert_eq!(git_fault(&tree), None);

    make_git_directory(&tree.join(".git"));
    assert_eq!(git_fault(&tree), Some(PreopenFault::ExposesGit));
    assert_eq!(git_fault(&tree.join("services")), None, "beside it, nothing of it can be written");
    assert_eq!(git_fault(&tree.join(".git/objects")), Some(PreopenFault::ExposesGit));

    // A submodule has a file, a mirror has no such name, and cases are not told apart everywhere.
    fs::write(tree.join("services/api/.git"), "gitdir: elsewhere\n").expect("a file");
    assert_eq!(git_fault(&tree.join("services")), Some(PreopenFault::ExposesGit));
    assert_eq!(git_fault(&tree.join("services/api/src")), None);
    let mirror = at.path().join("mirror");
    make_git_directory(&mirror.join("deep/down/project"));
    assert_eq!(git_fault(&mirror), Some(PreopenFault::ExposesGit));
    assert_eq!(git_fault(&mirror.join("deep/down/project")), Some(PreopenFault::ExposesGit));
    assert_eq!(git_fault(&mirror.join("deep/down/project/refs")), Some(PreopenFault::ExposesGit));
    // Where the rest is elsewhere.
    let linked = at.path().join("linked");
    make(&linked.join("tree"));
    fs::write(linked.join("tree/HEAD"), "ref: refs/heads/main\n").expect("a file");
    assert_eq!(git_fault(&linked), None);
    fs::write(linked.join("tree/commondir"), "elsewhere\n").expect("a file");
    assert_eq!(git_fault(&linked), Some(PreopenFault::ExposesGit));
    let shouted = at.path().join("shouted");
    make(&shouted.join(".GIT"));
    assert_eq!(git_fault(&shouted), Some(PreopenFault::ExposesGit));
}

#[test]
fn only_a_writable_preopen_exposes_a_git_directory_and_only_until_the_root_says_so() {
    let at = directory();
    make(&at.path().join(".git"));
    let admit = |root: Root, access| {
        let roots = Roots::new(BTreeMap::from([(parsed("project"), root)]), None, &[]);
        let preopen = Preopen::new(parsed("project"), parsed("/w")).access(access);
        roots.admit(&Grants::none().with_preopen(preopen))
    };
    let root = Root::new(at.path()).access(Access::ReadWrite);
    assert!(admit(root.clone(), Access::ReadOnly).is_ok());
    assert!(admit(root.clone().expose_git(), Access::ReadWrite).is_ok());
    let refused = RuntimeError::from(admit(root, Access::ReadWrite).expect_err("exposed"));
    assert_eq!(refused.code(), "exposes_git_dir");
}

#[test]
fn a_guests_path_into_a_git_directory_is_known_by_names_and_over_links() {
    let at = directory();
    for dir in ["a", "deep/.git/hooks"] {
        make(&at.path().join(dir));
    }
    #[cfg(unix)]
    for (target, name) in [
        ("deep/.git/hooks", "hooks"),
        ("deep/.git/config", "config"),
        ("hooks", "chain"),
        ("loop", "loop"),
        ("a", "harmless"),
    ] {
        std::os::unix::fs::symlink(target, at.path().join(name)).expect("a link");
    }
    let dir = Dir::open_ambient_dir(at.path(), ambient_authority()).expect("it opens");
    for path in [".git", "a/.git", ".git/hooks/pre-commit", "a/../.GIT/x", "./.Git", ".git/"] {
        assert!(git_directory::is_reached(&dir, path, false), "{path}");
    }
    for path in
        ["git", ".gitignore", "a.git", ".github/x", "", "a/.gitmodules", "harmless/x", "loop"]
    {
        assert!(!git_directory::is_reached(&dir, path, true), "{path}");
    }
    #[cfg(unix)]
    {
        for path in ["hooks/pre-commit", "chain/x", "a/../hooks/x"] {
            assert!(git_directory::is_reached(&dir, path, false), "{path}");
        }
        for (path, follow) in
            [("config", true), ("config", false), ("hooks", true), ("hooks", false)]
        {
            assert_eq!(git_directory::is_reached(&dir, path, follow), follow, "{path}");
        }
    }
}

#[test]
fn a_root_that_is_out_of_reach_is_refused_also_when_it_is_there() {
    let at = directory();
    let root = BTreeMap::from([(parsed("project"), Root::new(at.path()))]);
    let roots = Roots::new(root, None, &[parsed("project")]);
    assert_eq!(opened(&roots, ".").err(), Some(PreopenFault::OutOfReach));
    let [status] = roots.status().collect::<Vec<_>>().try_into().expect("one root");
    assert!(status.reason.expect("a reason").contains("restart"));
}

#[test]
fn more_than_are_measured_at_once_take_their_turns() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let (measuring, at_once, most) =
        (Measuring::default(), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let _place = measuring.wait();
                most.fetch_max(at_once.fetch_add(1, SeqCst) + 1, SeqCst);
                std::thread::yield_now();
                at_once.fetch_sub(1, SeqCst);
            });
        }
    });
    assert!((1..=4).contains(&most.load(SeqCst)));
}

#[test]
fn the_ceiling_is_what_the_roots_allow() {
    let at = directory();
    let scratch = ScratchDirectories::open(&at.path().join("scratch")).expect("a directory");
    let roots = BTreeMap::from([(parsed("project"), Root::new(at.path()))]);
    let roots = Roots::new(roots, Some(scratch), &[]);
    let preopen = |root, access| Preopen::new(parsed(root), parsed("/w")).access(access);
    let asked = Grants::none()
        .with_preopen(preopen("project", Access::ReadWrite))
        .with_preopen(preopen("scratch", Access::ReadWrite))
        .with_preopen(preopen("unknown", Access::ReadOnly))
        .with_llm([parsed("default")]);
    let allowed = roots.limit(&asked);
    assert!(allowed.within(&asked).is_ok() && allowed.llm.is_some());
    let grant = |root, access| Grants::none().with_preopen(preopen(root, access));
    assert!(grant("scratch", Access::ReadWrite).within(&allowed).is_ok());
    assert!(grant("project", Access::ReadOnly).within(&allowed).is_ok());
    assert!(grant("project", Access::ReadWrite).within(&allowed).is_err());
    assert!(grant("unknown", Access::ReadOnly).within(&allowed).is_err());
}

/// Makes directories that lie in each other, deeper than a path can say.
fn make_deep(dir: &Dir, depth: usize) {
    let mut at = dir.try_clone().expect("a handle");
    for _ in 0..depth {
        at.create_dir("d").expect("a directory");
        at.write("file", "content").expect("a file");
        at = at.open_dir("d").expect("it opens");
    }
}

#[test]
fn scratch_is_removed_however_deep_and_whatever_it_links_to() {
    let (at, outside) = (directory(), directory());
    fs::write(outside.path().join("precious"), "kept").expect("a file");
    let scratch = ScratchDirectories::open(&at.path().join("scratch")).expect("a directory");
    let (worker, other) = (WorkerId::generate(), WorkerId::generate());
    let dir = scratch.of(worker).expect("made");
    scratch.of(other).expect("made").write("mine", "kept").expect("a file");
    make_deep(&dir, 2_200);
    make(&at.path().join("scratch").join(worker.to_string()).join("moved-1/moved-2/moved-1"));
    #[cfg(unix)]
    {
        let own = at.path().join("scratch").join(worker.to_string());
        std::os::unix::fs::symlink(outside.path(), own.join("link")).expect("a link");
        std::os::unix::fs::symlink("../..", own.join("up")).expect("a link");
    }
    scratch.remove(worker).expect("removed");
    assert!(!at.path().join("scratch").join(worker.to_string()).exists());
    assert_eq!(fs::read(outside.path().join("precious")).expect("it is there"), b"kept");
    assert_eq!(scratch.of(other).expect("it is there").read("mine").expect("a file"), b"kept");
    scratch.remove(worker).expect("what is not there is no error");
    let left = fs::read_dir(at.path().join("scratch/removed")).expect("it is there").count();
    assert_eq!(left, 0);
}

#[test]
fn workers_that_are_removed_at_the_same_time_do_not_stand_in_each_others_way() {
    let at = directory();
    let scratch = ScratchDirectories::open(at.path()).expect("a directory");
    let workers: Vec<WorkerId> = (0..8).map(|_| WorkerId::generate()).collect();
    for worker in &workers {
        make_deep(&scratch.of(*worker).expect("made"), 50);
    }
    std::thread::scope(|scope| {
        for worker in &workers {
            scope.spawn(|| scratch.remove(*worker).expect("removed"));
        }
    });
    let left = fs::read_dir(at.path().join("removed")).expect("it is there").count();
    assert_eq!(left, 0);
}

/// A new directory at `path` below `dir`.
fn made(dir: &Dir, path: &str) -> Dir {
    dir.create_dir(path).expect("a directory");
    dir.open_dir(path).expect("it opens")
}

#[test]
fn a_directory_too_deep_for_git_is_refused_with_what_it_is() {
    let at = directory();
    let dir = Dir::open_ambient_dir(at.path(), ambient_authority()).expect("it opens");
    make_deep(&dir, 120);
    assert_eq!(git_fault(at.path()), None);
    make_deep(&made(&dir, "d/d/d/more"), 130);
    assert_eq!(git_fault(at.path()), Some(PreopenFault::TooDeepForGit));
}

#[test]
fn a_start_removes_what_no_worker_owns() {
    let at = directory();
    let scratch = ScratchDirectories::open(at.path()).expect("a directory");
    let (kept, gone) = (WorkerId::generate(), WorkerId::generate());
    for worker in [kept, gone] {
        scratch.of(worker).expect("made").write("file", "").expect("a file");
    }
    // A removal that was interrupted.
    make(&at.path().join("removed").join(WorkerId::generate().to_string()).join("rest"));
    scratch.sweep(|worker| worker == kept).expect("swept");
    let names = |path: &Path| -> io::Result<Vec<String>> {
        let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().display().to_string()));
        names.collect()
    };
    let mut left = names(at.path()).expect("listed");
    left.sort();
    assert_eq!(left, [kept.to_string(), "removed".to_owned()]);
    assert!(names(&at.path().join("removed")).expect("listed").is_empty());
}

#[test]
fn a_tree_too_deep_to_measure_is_said_to_be_so() {
    let at = directory();
    let dir = Dir::open_ambient_dir(at.path(), ambient_authority()).expect("it opens");
    assert_eq!(Tree(&dir).bytes().expect("measured"), Some(0));
    make_deep(&dir, 100);
    let bytes = Tree(&dir).bytes().expect("measured").expect("not too deep");
    assert!(bytes >= 100 * (2 * ENTRY_BYTES + 7), "{bytes}");
    make_deep(&made(&dir, "d/d/d/d/d/d/more"), 200);
    assert_eq!(Tree(&dir).bytes().expect("measured"), None);
}
