//! Landlock: rules on directories that the kernel holds for a thread and all that it starts.

use std::{
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    thread,
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    PathBeneath, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags, fstat};
use worker_types::Access;

use super::{AllowedPaths, Confinement, Enforcement, system_paths};
use crate::error_chain;

/// The newest version whose rights we know, and ask for. Later ones have some that would need a rule
/// for each socket of the system's that names are looked up through.
const NEWEST: ABI = ABI::V7;

/// The oldest version that is of use. The one before forbids to move a file to another directory,
/// wherever it is, and Workers' files could not be moved.
const OLDEST: ABI = ABI::V2;

/// What can be done outside although the kernel has Landlock, by the version that ended it.
const GAPS: [(u32, &str); 3] = [
    (3, "files outside can be emptied"),
    (5, "devices outside can be asked for what only they know"),
    (6, "this user's other processes can be signalled, and their abstract sockets connected to"),
];

pub(super) fn confine_process(allowed: &AllowedPaths) -> Confinement {
    match count_threads() {
        Ok(1) => restrict_thread(allowed, NEWEST),
        Ok(_) => Confinement::none("it was asked for after the program had started its threads"),
        Err(error) => Confinement::none(format!("its threads cannot be counted: {error}")),
    }
}

fn count_threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// Confines this thread, and those that it starts from now on, with what `newest` has at most.
fn restrict_thread(allowed: &AllowedPaths, newest: ABI) -> Confinement {
    let mut confinement = match restrict(allowed, newest) {
        Ok(status) => achieved(&status, newest),
        Err(error) => unavailable(&error),
    };
    if confinement.is_enforced() {
        let is_absent = |path: &Path| open(path).is_none();
        let absent = allowed.roots.iter().filter(|(_, path, _)| is_absent(path));
        confinement.absent_roots = absent.map(|(name, ..)| name.clone()).collect();
    }
    // The kernel said so; now it is to show it.
    if confinement.is_enforced() && is_outside_open(allowed) {
        confinement.enforced = Enforcement::None;
        confinement.reason = Some("the kernel took the rules and does not enforce them".to_owned());
    }
    confinement
}

fn restrict(allowed: &AllowedPaths, newest: ABI) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(OLDEST))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))?;
    if newest >= ABI::V6 {
        rules = rules.scope(Scope::from_all(newest))?;
    }
    let mut rules = rules.create()?;
    let mut held = Vec::new();
    let mut allow = |path: &Path, access| {
        let Some(file) = open(path) else { return Ok::<_, RulesetError>(()) };
        (&mut rules).add_rule(PathBeneath::new(file.as_fd(), rights(&file, access, newest)))?;
        held.push(file);
        Ok(())
    };
    for path in system_paths::read_only() {
        allow(&path, Access::ReadOnly)?;
    }
    for path in system_paths::read_write() {
        allow(&path, Access::ReadWrite)?;
    }
    for (path, access) in allowed.all() {
        allow(path, access)?;
    }
    let status = rules.restrict_self()?;
    // A rule is on an inode, and those of `/proc` are made anew when memory is short, unless somebody
    // holds them. What confines a process for life may hold a few handles for life.
    std::mem::forget(held);
    Ok(status)
}

/// A handle that neither reads nor writes: of what is there, links followed.
fn open(path: &Path) -> Option<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// What can be done to a file and, in a directory, to files and directories. Workers make no
/// devices, sockets or pipes, and nothing is executed.
fn rights(file: &OwnedFd, access: Access, newest: ABI) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeDir
        | AccessFs::MakeReg
        | AccessFs::MakeSym
        | AccessFs::RemoveDir
        | AccessFs::RemoveFile
        | AccessFs::Refer;
    let rights = match access {
        Access::ReadOnly => read,
        Access::ReadWrite => read | write,
    };
    let is_directory =
        fstat(file).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
    let possible =
        if is_directory { AccessFs::from_all(newest) } else { AccessFs::from_file(newest) };
    rights & possible
}

fn achieved(status: &RestrictionStatus, newest: ABI) -> Confinement {
    let LandlockStatus::Available { effective_abi, kernel_abi } = status.landlock else {
        return no_landlock(status.landlock);
    };
    let effective = number(effective_abi.min(newest));
    let gaps: Vec<&str> =
        GAPS.iter().filter_map(|(ended, gap)| (effective < *ended).then_some(*gap)).collect();
    let (enforced, reason) = match status.ruleset {
        RulesetStatus::NotEnforced => {
            (Enforcement::None, Some("the kernel enforces nothing of it".to_owned()))
        }
        _ if gaps.is_empty() => (Enforcement::Full, None),
        _ => {
            let reason = format!("with this kernel's Landlock, {}", gaps.join("; "));
            (Enforcement::Partial, Some(reason))
        }
    };
    let kernel = kernel_abi.and_then(|version| u32::try_from(version).ok());
    Confinement {
        enforced,
        landlock_abi: Some(kernel.unwrap_or(effective)),
        reason,
        absent_roots: Vec::new(),
    }
}

fn number(abi: ABI) -> u32 {
    u32::try_from(abi as i32).unwrap_or(0)
}

/// Why nothing could be asked for.
fn unavailable(error: &RulesetError) -> Confinement {
    match status() {
        Some(LandlockStatus::Available { effective_abi, .. }) if effective_abi < OLDEST => {
            let reason = "this kernel's Landlock is its first version, which lets no file be moved \
                          to another directory: Linux 5.19 or newer is needed";
            let landlock_abi = Some(number(effective_abi));
            Confinement { landlock_abi, ..Confinement::none(reason) }
        }
        Some(status @ (LandlockStatus::NotEnabled | LandlockStatus::NotImplemented)) => {
            no_landlock(status)
        }
        _ => Confinement::none(error_chain(error)),
    }
}

fn no_landlock(status: LandlockStatus) -> Confinement {
    Confinement::none(match status {
        LandlockStatus::NotEnabled => {
            "the kernel has Landlock, and it is turned off: add `landlock` to the list `lsm=` of the \
             kernel's command line"
        }
        _ => {
            "the kernel has no Landlock, or the container that this runs in forbids it: Linux 5.19 \
             or newer is needed, with CONFIG_SECURITY_LANDLOCK, and a seccomp profile that allows \
             the system calls landlock_create_ruleset, landlock_add_rule and landlock_restrict_self"
        }
    })
}

/// What the kernel has. It is told to whoever restricts itself, so a thread does that, and ends.
fn status() -> Option<LandlockStatus> {
    let restricted = thread::spawn(|| {
        let rules = Ruleset::default().handle_access(AccessFs::Execute).ok()?.create().ok()?;
        Some(rules.restrict_self().ok()?.landlock)
    });
    restricted.join().ok()?
}

/// Whether something can be read that is not allowed: the top of the file system, which nobody else
/// keeps a process from reading.
fn is_outside_open(allowed: &AllowedPaths) -> bool {
    let top = Path::new("/");
    let is_allowed = allowed.all().any(|(path, _)| path.canonicalize().is_ok_and(|at| at == top));
    !is_allowed && fs::read_dir(top).is_ok()
}

/// Takes from this thread, and those that it starts, all it could do to files, to the network and to
/// other processes, as far as the kernel can.
pub(crate) fn deny_everything() -> Result<(), RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .restrict_self()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, os::unix::net::UnixDatagram, process::Command};

    use super::*;

    /// What `look` sees from a thread that is confined to `allowed`. Without Landlock it is not run.
    fn confined<T: Send + 'static>(
        allowed: AllowedPaths,
        newest: ABI,
        look: impl FnOnce(&Confinement) -> T + Send + 'static,
    ) -> Option<T> {
        let seen = thread::spawn(move || {
            let confinement = restrict_thread(&allowed, newest);
            confinement.is_enforced().then(|| look(&confinement)).ok_or(confinement)
        });
        match seen.join().expect("it looks") {
            Ok(seen) => Some(seen),
            Err(confinement) => {
                eprintln!("SKIPPED: this kernel cannot confine a process: {confinement}");
                None
            }
        }
    }

    fn is_denied<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn what_is_allowed_can_be_used_and_nothing_else_can() {
        let (inside, outside) =
            (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        let (at, secret) = (inside.path().to_owned(), outside.path().join("secret"));
        fs::write(&secret, "sesame").expect("a file outside");
        let beside = outside.path().join("new");
        confined(AllowedPaths::new().read_write(&at), NEWEST, move |confinement| {
            fs::create_dir(at.join("a")).expect("made inside");
            fs::write(at.join("a/file"), "x").expect("written inside");
            fs::rename(at.join("a/file"), at.join("moved")).expect("moved between directories");
            assert_eq!(fs::read(at.join("moved")).expect("read inside"), b"x");
            fs::remove_dir(at.join("a")).expect("removed inside");
            assert!(is_denied(fs::read(&secret)));
            assert!(is_denied(fs::read_dir(secret.parent().expect("a directory"))));
            assert!(is_denied(fs::write(&beside, "x")));
            assert!(is_denied(fs::remove_file(&secret)));
            assert!(is_denied(fs::File::options().write(true).open(&secret)));
            // A link is followed to where it leads.
            std::os::unix::fs::symlink(&secret, at.join("link")).expect("a link");
            assert!(is_denied(fs::read(at.join("link"))));
            if confinement.landlock_abi >= Some(3) {
                let emptied =
                    rustix::fs::open(&secret, OFlags::RDONLY | OFlags::TRUNC, Mode::empty());
                assert!(emptied.is_err());
            }
        });
        assert_eq!(fs::read(outside.path().join("secret")).expect("it is there"), b"sesame");
    }

    #[test]
    fn a_root_to_be_read_cannot_be_written() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("file"), "x").expect("a file");
        let at = root.path().to_owned();
        let name: worker_types::RootName = "docs".parse().expect("a name");
        let allowed = AllowedPaths::new().root(name, &at, Access::ReadOnly);
        confined(allowed, NEWEST, move |_| {
            assert_eq!(fs::read(at.join("file")).expect("read"), b"x");
            assert!(is_denied(fs::write(at.join("file"), "y")));
            assert!(is_denied(fs::write(at.join("new"), "y")));
        });
    }

    #[test]
    fn nothing_can_be_executed() {
        let program = std::env::current_exe().expect("this program");
        let allowed = AllowedPaths::new().read_write(program.parent().expect("a directory"));
        confined(allowed, NEWEST, move |_| {
            for program in [program.as_path(), Path::new("/bin/sh"), Path::new("/proc/self/exe")] {
                assert!(is_denied(Command::new(program).spawn()), "{}", program.display());
            }
        });
    }

    #[test]
    fn threads_that_are_started_later_are_confined_too() {
        let outside = tempfile::NamedTempFile::new().expect("a file");
        let path = outside.path().to_owned();
        let denied = confined(AllowedPaths::new(), NEWEST, move |_| {
            thread::spawn(move || is_denied(fs::read(path))).join().expect("it ends")
        });
        assert_ne!(denied, Some(false));
    }

    #[test]
    fn the_keys_in_the_environment_cannot_be_read_from_a_file() {
        let open = confined(AllowedPaths::new(), NEWEST, |_| {
            assert!(fs::read_dir("/proc/self/fd").expect("its own handles").count() > 0);
            assert!(!fs::read("/proc/self/mountinfo").expect("its mounts").is_empty());
            ["environ", "mem", "maps", "cmdline"]
                .into_iter()
                .filter(|file| !is_denied(fs::read(format!("/proc/self/{file}"))))
                .collect::<Vec<_>>()
        });
        assert_eq!(open.unwrap_or_default(), Vec::<&str>::new());
    }

    #[test]
    fn a_root_that_is_not_there_is_named() {
        let at = tempfile::tempdir().expect("a directory");
        let name: worker_types::RootName = "later".parse().expect("a name");
        let root = at.path().join("later");
        let allowed = AllowedPaths::new().root(name.clone(), &root, Access::ReadWrite);
        confined(allowed, NEWEST, move |confinement| {
            assert_eq!(confinement.absent_roots, [name]);
            let told = confinement.diagnostics();
            assert!(told.iter().any(|told| told.code == "root_needs_restart"), "{told:?}");
            assert!(told.iter().all(|told| !told.message.contains('/')), "{told:?}");
        });
    }

    #[test]
    fn an_older_kernel_confines_in_part_and_says_what_is_missing() {
        let outside = tempfile::NamedTempFile::new().expect("a file");
        let path = outside.path().to_owned();
        let as_debian_12 = confined(AllowedPaths::new(), OLDEST, move |confinement| {
            assert!(is_denied(fs::read(path)), "what counts is confined");
            confinement.clone()
        });
        let Some(confinement) = as_debian_12 else { return };
        assert_eq!(confinement.enforced, Enforcement::Partial);
        assert_eq!(confinement.landlock_abi, Some(2));
        let reason = confinement.reason.expect("a reason");
        assert!(reason.contains("emptied") && reason.contains("signalled"), "{reason}");
    }

    #[test]
    fn whoever_compiles_can_touch_nothing_and_reach_nobody() {
        let (_, other) = UnixDatagram::pair().expect("sockets");
        let denied = thread::spawn(move || {
            if deny_everything().is_err() || is_outside_open(&AllowedPaths::new()) {
                eprintln!("SKIPPED: this kernel cannot confine a process");
                return true;
            }
            other.send(b"x").expect_err("what is open is open, and here nobody listens any more");
            let nowhere = std::net::TcpStream::connect("127.0.0.1:9");
            ["/proc/self/exe", "/dev/null", "/etc/passwd"]
                .iter()
                .all(|path| is_denied(fs::read(path)))
                && (is_denied(nowhere) || status_abi() < 4)
        });
        assert!(denied.join().expect("it ends"));
    }

    fn status_abi() -> u32 {
        match status() {
            Some(LandlockStatus::Available { effective_abi, .. }) => number(effective_abi),
            _ => 0,
        }
    }

    #[test]
    fn a_process_with_threads_is_told_that_it_is_too_late() {
        // That of the test, beside the one that started it.
        let confinement = AllowedPaths::new().confine_process();
        assert_eq!(confinement.enforced, Enforcement::None);
        assert!(confinement.reason.is_some_and(|reason| reason.contains("threads")));
    }
}
