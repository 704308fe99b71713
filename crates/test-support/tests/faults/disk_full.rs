//! A disk without room: a small file system of our own, where this user may have one.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use test_support::serve::Told;

use crate::{
    file_limit,
    host::{Host, Story, program},
};

/// A file system of 12 MiB in a mount namespace, which lives as long as this.
struct SmallDisk {
    directory: TempDir,
    holder: Child,
    is_root: bool,
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl SmallDisk {
    /// None where this user can have no mount namespace.
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let is_root = rustix::process::geteuid().is_root();
        let mut holder = Command::new("unshare");
        holder.arg(if is_root { "-m" } else { "-rm" });
        let script = "mount -t tmpfs -o size=12m none \"$0\" && echo mounted && exec cat";
        holder.args(["sh", "-c", script]).arg(directory.path());
        let holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let disk = Self { directory, holder, is_root };
        (line == "mounted\n").then_some(disk)
    }

    /// The file system, as those outside of its namespace see it.
    fn seen_outside(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        let inside = path.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside)
    }

    fn start(&self) -> Host {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.holder.id())).arg("--mount");
        if !self.is_root {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(program()).arg("serve").arg(self.directory.path().join("store"));
        let host = Host::start(&mut command);
        assert_eq!(host.next(), Told::Opened);
        host
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.seen_outside("ballast")).expect("a file");
        let block = vec![0; 64 << 10];
        let mut size = block.len();
        while size > 0 {
            match std::io::Write::write(&mut ballast, &block[..size]) {
                Ok(written) if written == size => {}
                Ok(_) | Err(_) => size /= 2,
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.seen_outside("ballast")).expect("removed");
    }
}

#[test]
fn a_full_disk_is_refused_and_room_brings_the_store_back() {
    let Some(disk) = SmallDisk::new() else {
        return file_limit::refuses_what_does_not_fit_and_comes_back();
    };
    let mut story = Story::begin(disk.start());
    disk.fill();
    // What was written before leaves some room in its last blocks.
    story.until_refused("failing", &format!("print: {}", "x".repeat(20_000)));
    story.is_unavailable();
    let shown = story.reads();
    let error = match shown {
        Ok(workers) => {
            assert_eq!(workers.len(), 1);
            None
        }
        Err(error) => Some(error),
    };
    assert!(error.is_none_or(|error| error.is_retryable()));
    story.is_unavailable();
    disk.make_room();
    story.host.wait_until_ready();
    story.completes("after");
    story.ends(|| disk.start());
}
