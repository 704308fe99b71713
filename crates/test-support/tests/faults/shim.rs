//! Failing system calls, by a library that is loaded before the C library.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::host::{Host, program};

/// A disk that fails when it is told to.
pub(crate) struct Disk {
    directory: TempDir,
    library: PathBuf,
}

/// Something that was done to a file of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) what: String,
    pub(crate) descriptor: i32,
    pub(crate) path: PathBuf,
}

impl Disk {
    /// Compiles the library.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let library = directory.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let status = compile.arg(&library).arg(source).status().expect("a C compiler, `cc`");
        assert!(status.success(), "the library compiles");
        Self { directory, library }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn switch(&self) -> PathBuf {
        self.directory.path().join("switch")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// A host on this disk.
    pub(crate) fn start(&self) -> Host {
        self.start_with(&[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(&self, arguments: &[&str]) -> Host {
        let mut command = Command::new(program());
        command.arg("serve").arg(self.store()).args(arguments);
        command.env("LD_PRELOAD", &self.library);
        command.env("FAULT_DIRECTORY", self.store());
        command.env("FAULT_SWITCH", self.switch()).env("FAULT_LOG", self.log());
        Host::start(&mut command)
    }

    /// Lets these calls fail: words such as `sync=5`, a kind and an errno; none for a sound disk.
    /// `clock=60` steps the wall clock by so many seconds, which may be negative.
    pub(crate) fn fails(&self, faults: &str) {
        // Renamed into place: the other side never sees half of it.
        let new = self.directory.path().join("switch.new");
        fs::write(&new, faults).expect("a written file");
        fs::rename(new, self.switch()).expect("a renamed file");
    }

    /// What was done so far.
    pub(crate) fn done(&self) -> Vec<Done> {
        let log = fs::read_to_string(self.log()).expect("a log");
        let lines = log.lines().map(|line| {
            let mut words = line.splitn(3, ' ');
            let what = words.next().unwrap_or_default().to_owned();
            let descriptor = words.next().unwrap_or_default().parse().expect("a descriptor");
            let path = PathBuf::from(words.next().unwrap_or_default());
            Done { what, descriptor, path }
        });
        lines.collect()
    }

    /// How often this was done.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.done().iter().filter(|done| done.what == what).count()
    }
}
