//! Registers of one process, each as if it had one of its own; what needs processes has them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    process::{Child, Command, Stdio},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{allocation::Allocations, grants::Location};

fn directory() -> TempDir {
    let at = tempfile::tempdir().expect("a directory");
    fs::set_permissions(at.path(), fs::Permissions::from_mode(0o700)).expect("permissions");
    at
}

fn runtime(name: &str) -> RuntimeId {
    name.parse().expect("an id")
}

fn open(at: &TempDir, name: &str) -> Allocations {
    Allocations::across(runtime(name), at.path()).expect("a register")
}

fn scope(path: &str) -> Scope {
    let guest_path = "/w".parse().expect("a guest path");
    Scope { guest_path, extent: Location::new(1, path.as_bytes()).into(), shared: false }
}

fn shared(path: &str) -> Scope {
    Scope { shared: true, ..scope(path) }
}

/// Claims for a new Worker.
fn claim(of: &Allocations, scope: Scope) -> Result<WorkerId, ClaimError> {
    let worker = WorkerId::generate();
    of.claim(worker, vec![scope]).map(|()| worker)
}

fn holder(claimed: Result<WorkerId, ClaimError>) -> ScopeHolder {
    match claimed {
        Err(ClaimError::Taken { holder, .. }) => holder,
        other => panic!("it is not held: {other:?}"),
    }
}

fn locks(at: &TempDir) -> usize {
    let names = fs::read_dir(at.path()).expect("listed").map(|entry| entry.expect("an entry"));
    names.filter(|entry| LockName::of_file(&entry.file_name()).is_some()).count()
}

/// A process that has the lock of `of` open, and does nothing.
fn heir(of: &Allocations) -> Child {
    let lock = of.hold().expect("a lock").expect("a register");
    // Its input is the lock.
    let mut child = Command::new("sleep");
    child.arg("600").stdin(Stdio::from(lock)).stdout(Stdio::null()).stderr(Stdio::null());
    child.spawn().expect("a process")
}

fn end(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("gone");
}

#[test]
fn a_refusal_names_the_runtime_and_the_worker_that_hold_what_overlaps() {
    let at = directory();
    let (one, two) = (open(&at, "one"), open(&at, "two"));
    let worker_id = claim(&one, scope("/a/b")).expect("free");
    let told = ScopeHolder { runtime_id: runtime("one"), worker_id };
    for path in ["/a/b", "/a", "/", "/a/b/c/d"] {
        assert_eq!(holder(claim(&two, scope(path))), told, "{path}");
        assert_eq!(holder(claim(&two, shared(path))), told, "{path}");
    }
    for path in ["/a/bc", "/a/a", "/b", "/a/b\u{1}"] {
        claim(&two, scope(path)).expect("free");
    }
    let other = Scope { extent: Location::new(2, b"/a/b").into(), ..scope("") };
    claim(&two, other).expect("another file system");
}

#[test]
fn a_scope_is_shared_if_both_say_so() {
    let at = directory();
    let (one, two) = (open(&at, "one"), open(&at, "two"));
    let worker_id = claim(&one, shared("/a")).expect("free");
    claim(&two, shared("/a/b")).expect("shared");
    let told = ScopeHolder { runtime_id: runtime("one"), worker_id };
    assert_eq!(holder(claim(&two, scope("/a/c"))), told);
}

#[test]
fn what_is_released_is_free_for_others_and_a_claim_that_fails_holds_nothing() {
    let at = directory();
    let (one, two) = (open(&at, "one"), open(&at, "two"));
    let worker = claim(&one, scope("/a")).expect("free");
    let (b, other) =
        (Scope { guest_path: "/b".parse().expect("a path"), ..scope("/b") }, WorkerId::generate());
    assert!(two.claim(other, vec![b, scope("/a")]).is_err());
    claim(&one, scope("/b")).expect("nobody got it");
    one.release(worker, &"/w".parse().expect("a guest path"));
    one.flush();
    claim(&two, scope("/a")).expect("released");
    // Also where nothing was told between a release and a claim of the same.
    let worker = claim(&one, scope("/c")).expect("free");
    one.release_all(worker);
    one.claim(worker, vec![scope("/c")]).expect("its own");
    assert_eq!(holder(claim(&two, scope("/c"))).worker_id, worker);
}

#[test]
fn the_scopes_of_a_runtime_that_ended_are_free_and_nothing_of_it_is_left() {
    let at = directory();
    let one = open(&at, "one");
    claim(&one, scope("/a")).expect("free");
    let two = open(&at, "two");
    drop(one);
    assert_eq!(locks(&at), 1);
    claim(&two, scope("/a")).expect("free");
    drop(two);
    assert_eq!(locks(&at), 0);
}

#[test]
fn a_process_that_inherited_the_lock_holds_the_scopes_until_it_is_gone() {
    let at = directory();
    let (one, two) = (open(&at, "one"), open(&at, "two"));
    let worker_id = claim(&one, scope("/a")).expect("free");
    let child = heir(&one);
    drop(one);
    let told = ScopeHolder { runtime_id: runtime("one"), worker_id };
    assert_eq!(holder(claim(&two, scope("/a"))), told);
    let three = open(&at, "three");
    assert_eq!(holder(claim(&three, scope("/a"))), told, "a newcomer does not clear it away");
    end(child);
    claim(&two, scope("/a")).expect("free");
    assert_eq!(locks(&at), 2, "its lock went with it");
}

#[test]
fn a_lock_that_was_removed_or_replaced_by_hand_counts_as_held() {
    let at = directory();
    let (one, two) = (open(&at, "one"), open(&at, "two"));
    claim(&one, scope("/a")).expect("free");
    let path = {
        let one = one.register.as_ref().expect("a register");
        let mut connection = one.connection();
        let transaction = connection.transaction().expect("a transaction");
        let owners = owners(&transaction).expect("owners");
        let owner = owners.into_iter().find(|owner| owner.id == one.owner).expect("itself");
        owner.lock.path(at.path())
    };
    fs::remove_file(&path).expect("removed");
    holder(claim(&two, scope("/a")));
    fs::write(&path, "").expect("another file");
    holder(claim(&two, scope("/a")));
    fs::remove_file(&path).expect("removed");
    symlink("/dev/null", &path).expect("a link");
    holder(claim(&two, scope("/a")));
    drop(one);
    holder(claim(&two, scope("/a")));
    // After a start of the machine nobody lives.
    let two_ = two.register.as_ref().expect("a register");
    two_.connection()
        .execute("UPDATE owners SET boot = 'another' WHERE id <> ?1", [two_.owner])
        .expect("written");
    claim(&two, scope("/a")).expect("free");
}

#[test]
fn a_lock_that_nobody_holds_and_nothing_is_recorded_of_is_removed() {
    let at = directory();
    drop(open(&at, "one"));
    fs::write(LockName::generate().path(at.path()), "").expect("what a crash leaves");
    let one = open(&at, "one");
    assert_eq!(locks(&at), 1);
    claim(&one, scope("/a")).expect("free");
}

#[test]
fn a_record_that_was_removed_under_a_running_runtime_is_noticed_by_all() {
    let at = directory();
    let one = open(&at, "one");
    claim(&one, scope("/a")).expect("free");
    for name in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(at.path().join(format!("allocations.sqlite3{name}")));
    }
    let refused = claim(&one, scope("/b")).expect_err("nobody can tell");
    assert!(matches!(&refused, ClaimError::Unknown { reason } if reason.contains("restart")));
    let refused = Allocations::across(runtime("two"), at.path()).expect_err("the first one lives");
    assert!(matches!(refused, OpenAllocationsError::Removed { .. }), "{refused:?}");
    drop(one);
    open(&at, "two");
}

#[test]
fn a_damaged_a_foreign_and_an_exposed_record_are_refused_in_words() {
    let refused = |at: &TempDir| {
        Allocations::across(runtime("one"), at.path()).expect_err("it is not to be used")
    };
    let at = directory();
    let database = open::database(at.path());
    fs::write(&database, vec![7; 8_192]).expect("a file");
    assert!(matches!(refused(&at), OpenAllocationsError::Damaged { .. }));
    fs::write(&database, "").expect("a file");
    assert!(matches!(refused(&at), OpenAllocationsError::Damaged { .. }));
    assert_eq!(fs::read(&database).expect("a file"), b"", "it stays as it is");

    let at = directory();
    let foreign = Connection::open(open::database(at.path())).expect("a database");
    foreign.execute_batch("CREATE TABLE mine (x)").expect("a table");
    drop(foreign);
    assert!(matches!(refused(&at), OpenAllocationsError::Foreign { .. }));

    let at = directory();
    drop(open(&at, "one"));
    let newer = Connection::open(open::database(at.path())).expect("a database");
    newer.pragma_update(None, "user_version", 2).expect("written");
    drop(newer);
    assert!(matches!(refused(&at), OpenAllocationsError::Version { found: 2, .. }));
    fs::set_permissions(at.path(), fs::Permissions::from_mode(0o750)).expect("permissions");
    assert!(matches!(refused(&at), OpenAllocationsError::Exposed { .. }));
}

#[test]
fn damage_that_comes_later_makes_nothing_free() {
    let at = directory();
    let (one, two) = (open(&at, "one"), open(&at, "two"));
    claim(&one, scope("/a")).expect("free");
    let register = two.register.as_ref().expect("a register");
    let damage = |sql| register.connection().execute(sql, [register.owner]).expect("written");
    damage("UPDATE owners SET lock = '../../etc/passwd' WHERE id <> ?1");
    assert!(matches!(claim(&two, scope("/a")), Err(ClaimError::Unknown { .. })));
    damage("DELETE FROM owners WHERE id <> ?1");
    claim(&two, scope("/b")).expect("nothing else is there");
    assert!(
        matches!(claim(&one, scope("/c")), Err(ClaimError::Unknown { .. })),
        "it is not entered"
    );
}

#[test]
fn a_runtime_that_hangs_while_it_writes_makes_others_wait_and_then_say_so() {
    let at = directory();
    let (one, two) = (open(&at, "one"), open(&at, "two"));
    let (hanging, waiting) = (&one.register.as_ref(), &two.register.as_ref().expect("a register"));
    waiting.connection().busy_timeout(Duration::from_millis(1)).expect("set");
    let mut connection = hanging.expect("a register").connection();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let refused = claim(&two, scope("/a")).expect_err("it cannot be told");
    assert!(refused.to_string().contains("does not go on"), "{refused}");
    drop(transaction);
    drop(connection);
    claim(&two, scope("/a")).expect("free, and not held by who was refused");
}

#[test]
fn invariant_3_no_debug_print_names_where_the_record_is() {
    let at = directory();
    let one = open(&at, "one");
    claim(&one, scope("/secret-place")).expect("free");
    let told = format!("{one:?}");
    assert!(
        !told.contains("secret-place") && !told.contains(&*at.path().to_string_lossy()),
        "{told}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// The database finds what the table in memory finds, whose definition is tested there.
    #[test]
    fn two_runtimes_decide_as_one_does(
        steps in prop::collection::vec((any::<bool>(), "(/[ab]){0,4}", any::<bool>(), 0..4_u8), 1..24),
    ) {
        let at = directory();
        let both = [open(&at, "one"), open(&at, "two")];
        let single = Allocations::within(runtime("both"));
        let mut workers = Vec::new();
        for (first, path, is_shared, step) in steps {
            if step == 0 && let Some((of, worker)) = workers.pop() {
                let of: &Allocations = &both[usize::from(of)];
                of.release_all(worker);
                of.flush();
                single.release_all(worker);
                continue;
            }
            let (worker, scope) = (WorkerId::generate(), Scope { shared: is_shared, ..scope(&path) });
            let alone = single.claim(worker, vec![scope.clone()]);
            let together = both[usize::from(first)].claim(worker, vec![scope]);
            prop_assert_eq!(alone.is_ok(), together.is_ok());
            if together.is_ok() {
                workers.push((first, worker));
            }
        }
    }
}
