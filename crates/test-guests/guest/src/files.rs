//! Files, by the calls of WASI itself: `std` would look at paths before the host does.
//!
//! The argument is a script of one call per line, its fields separated by tabs. A directory is a
//! preopen by its guest path, or what an earlier `open` was given a name for. Each line is answered
//! by a line: `ok`, with what the call returned, or the code of the error.
//!
//! - `preopens`, `open DIR PATH FLAGS [NAME]` (read, write, create, xclusive, truncate, directory,
//!   nofollow, each by its first letter), `open-many DIR PATH COUNT`, `drop NAME`,
//! - `mkdir DIR PATH`, `rmdir DIR PATH`, `unlink DIR PATH`, `symlink DIR TARGET PATH`,
//!   `readlink DIR PATH`, `link DIR PATH DIR PATH`, `link-follow DIR PATH DIR PATH`,
//!   `rename DIR PATH DIR PATH`,
//! - `stat DIR PATH`, `hash DIR PATH`, `times DIR PATH SECONDS`, and with an `l` before their names the
//!   same of a link itself, `list DIR`,
//! - `read NAME`, `write NAME OFFSET TEXT`, `append NAME TEXT`, `fill NAME BYTES` (one stream),
//!   `size NAME BYTES`, `ftimes NAME SECONDS`, `fstat NAME`, `sync NAME`,
//! - `std-read PATH`, which is `std`'s, and finds the directory by the path as every program does.

use worker_guest::{Failure, Turn};

use crate::Command;

pub(crate) fn run(turn: &Turn, command: Command<'_>) -> Option<Result<(), Failure>> {
    (command.name == "files").then(|| {
        turn.say(&answers(command.argument))?;
        Ok(())
    })
}

#[cfg(not(target_arch = "wasm32"))]
fn answers(_: &str) -> String {
    "only a component has files".to_owned()
}

#[cfg(target_arch = "wasm32")]
use wasi::answers;

#[cfg(target_arch = "wasm32")]
mod wasi {
    use std::collections::BTreeMap;

    use wasip2::{
        clocks::wall_clock::Datetime,
        filesystem::{
            preopens::get_directories,
            types::{
                Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
                filesystem_error_code,
            },
        },
        io::streams::{OutputStream, StreamError},
    };

    /// The most that one blocking write takes.
    const CHUNK: usize = 4_096;

    type Answer = Result<String, String>;

    pub(super) fn answers(script: &str) -> String {
        let mut files = Files {
            known: get_directories().into_iter().map(|(dir, path)| (path, dir)).collect(),
            many: Vec::new(),
        };
        let answer = |line: &str| match files.call(line) {
            Ok(told) if told.is_empty() => "ok".to_owned(),
            Ok(told) => format!("ok {told}"),
            Err(code) => code,
        };
        script.lines().map(answer).collect::<Vec<_>>().join("\n")
    }

    struct Files {
        known: BTreeMap<String, Descriptor>,
        many: Vec<Descriptor>,
    }

    fn code(code: ErrorCode) -> String {
        code.name().to_owned()
    }

    fn number(text: &str) -> Result<u64, String> {
        text.parse().map_err(|_| format!("`{text}` is no number"))
    }

    fn at(seconds: &str) -> Result<NewTimestamp, String> {
        Ok(NewTimestamp::Timestamp(Datetime { seconds: number(seconds)?, nanoseconds: 0 }))
    }

    impl Files {
        fn get(&self, name: &str) -> Result<&Descriptor, String> {
            self.known.get(name).ok_or_else(|| format!("`{name}` is not open"))
        }

        fn call(&mut self, line: &str) -> Answer {
            let follow = PathFlags::SYMLINK_FOLLOW;
            let none = PathFlags::empty();
            let fields: Vec<&str> = line.split('\t').collect();
            match *fields.as_slice() {
                ["preopens"] => {
                    let names: Vec<_> = self.known.keys().cloned().collect();
                    return Ok(names.join(" "));
                }
                ["open", dir, path, flags] => return self.open(dir, path, flags).map(|_| done()),
                ["open", dir, path, flags, name] => {
                    let opened = self.open(dir, path, flags)?;
                    self.known.insert(name.to_owned(), opened);
                    return Ok(done());
                }
                ["open-many", dir, path, count] => {
                    for opened in 0..number(count)? {
                        match self.open(dir, path, "r") {
                            Ok(file) => self.many.push(file),
                            Err(code) => return Err(format!("{code} after {opened}")),
                        }
                    }
                    return Ok(done());
                }
                ["drop", name] => {
                    drop(self.known.remove(name));
                    return Ok(done());
                }
                ["mkdir", dir, path] => self.get(dir)?.create_directory_at(path),
                ["rmdir", dir, path] => self.get(dir)?.remove_directory_at(path),
                ["unlink", dir, path] => self.get(dir)?.unlink_file_at(path),
                ["symlink", dir, target, path] => self.get(dir)?.symlink_at(target, path),
                ["readlink", dir, path] => return self.get(dir)?.readlink_at(path).map_err(code),
                ["link", from, old, to, new] => {
                    self.get(from)?.link_at(none, old, self.get(to)?, new)
                }
                ["link-follow", from, old, to, new] => {
                    self.get(from)?.link_at(follow, old, self.get(to)?, new)
                }
                ["rename", from, old, to, new] => {
                    self.get(from)?.rename_at(old, self.get(to)?, new)
                }
                ["stat", dir, path] => {
                    let stat = self.get(dir)?.stat_at(follow, path).map_err(code)?;
                    return Ok(format!("{:?} {}", stat.type_, stat.size));
                }
                ["lstat", dir, path] => {
                    let stat = self.get(dir)?.stat_at(none, path).map_err(code)?;
                    return Ok(format!("{:?} {}", stat.type_, stat.size));
                }
                [call @ ("hash" | "lhash"), dir, path] => {
                    let flags = if call == "hash" { follow } else { none };
                    self.get(dir)?.metadata_hash_at(flags, path).map(drop)
                }
                [call @ ("times" | "ltimes"), dir, path, seconds] => {
                    let (time, flags) = (at(seconds)?, if call == "times" { follow } else { none });
                    self.get(dir)?.set_times_at(flags, path, time, time)
                }
                ["list", dir] => return self.list(dir),
                ["std-read", path] => {
                    return std::fs::read_to_string(path).map_err(|error| error.to_string());
                }
                ["read", name] => return self.read(name),
                ["write", name, offset, text] => {
                    let offset = number(offset)?;
                    self.get(name)?.write(text.as_bytes(), offset).map(|_| ())
                }
                ["append", name, text] => {
                    let stream = self.get(name)?.append_via_stream().map_err(code)?;
                    return write(&stream, text.as_bytes());
                }
                ["fill", name, bytes] => {
                    let stream = self.get(name)?.write_via_stream(0).map_err(code)?;
                    let mut left = usize::try_from(number(bytes)?).map_err(|_| "too much")?;
                    while left > 0 {
                        let chunk = left.min(CHUNK);
                        write(&stream, &vec![b'x'; chunk])?;
                        left -= chunk;
                    }
                    return Ok(done());
                }
                ["size", name, bytes] => self.get(name)?.set_size(number(bytes)?),
                ["ftimes", name, seconds] => {
                    let time = at(seconds)?;
                    self.get(name)?.set_times(time, time)
                }
                ["fstat", name] => {
                    let stat = self.get(name)?.stat().map_err(code)?;
                    return Ok(format!("{:?} {}", stat.type_, stat.size));
                }
                ["sync", name] => self.get(name)?.sync(),
                _ => return Err(format!("`{line}` is no call")),
            }
            .map(|()| done())
            .map_err(code)
        }

        fn open(&self, dir: &str, path: &str, flags: &str) -> Result<Descriptor, String> {
            let (mut follow, mut open) = (PathFlags::SYMLINK_FOLLOW, OpenFlags::empty());
            let mut mode = DescriptorFlags::empty();
            for flag in flags.chars() {
                match flag {
                    'r' => mode |= DescriptorFlags::READ,
                    'w' => mode |= DescriptorFlags::WRITE,
                    'c' => open |= OpenFlags::CREATE,
                    'x' => open |= OpenFlags::EXCLUSIVE,
                    't' => open |= OpenFlags::TRUNCATE,
                    'd' => open |= OpenFlags::DIRECTORY,
                    'n' => follow = PathFlags::empty(),
                    _ => return Err(format!("`{flag}` is no flag")),
                }
            }
            self.get(dir)?.open_at(follow, path, open, mode).map_err(code)
        }

        fn list(&self, dir: &str) -> Answer {
            let entries = self.get(dir)?.read_directory().map_err(code)?;
            let (mut count, mut names) = (0, Vec::new());
            loop {
                match entries.read_directory_entry() {
                    Ok(None) => break,
                    Ok(Some(entry)) => {
                        count += 1;
                        if names.len() < 16 {
                            names.push(format!("{}:{:?}", entry.name, entry.type_));
                        }
                    }
                    Err(ErrorCode::IllegalByteSequence) => count += 1,
                    Err(error) => return Err(code(error)),
                }
            }
            names.sort();
            Ok(format!("{count} {}", names.join(" ")))
        }

        fn read(&self, name: &str) -> Answer {
            let stream = self.get(name)?.read_via_stream(0).map_err(code)?;
            let mut bytes = Vec::new();
            loop {
                match stream.blocking_read(CHUNK as u64) {
                    Ok(read) => bytes.extend(read),
                    Err(StreamError::Closed) => break,
                    Err(StreamError::LastOperationFailed(error)) => {
                        return Err(filesystem_error_code(&error).map_or("failed".into(), code));
                    }
                }
            }
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    }

    fn write(stream: &OutputStream, bytes: &[u8]) -> Answer {
        stream.blocking_write_and_flush(bytes).map(|()| done()).map_err(|error| match error {
            StreamError::Closed => "closed".to_owned(),
            StreamError::LastOperationFailed(error) => {
                filesystem_error_code(&error).map_or("failed".into(), code)
            }
        })
    }

    fn done() -> String {
        String::new()
    }
}
