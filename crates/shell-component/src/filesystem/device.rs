//! The devices below `/dev`. Standard streams are not here: they belong to each command.

use std::{
    io::{self, ErrorKind, Read, Write},
    path::Path,
    time::SystemTime,
};

use super::{Facts, Kind};

/// A file that is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// Takes everything, gives nothing.
    Null,
    /// Gives zeros without end.
    Zero,
    /// Is always full.
    Full,
    /// Gives random bytes without end.
    Random,
}

impl Device {
    /// Their names in `/dev`.
    pub const NAMES: [&str; 5] = ["full", "null", "random", "urandom", "zero"];

    pub(super) fn at(path: &Path) -> Option<Self> {
        match path.to_str()? {
            "/dev/null" => Some(Self::Null),
            "/dev/zero" => Some(Self::Zero),
            "/dev/full" => Some(Self::Full),
            "/dev/random" | "/dev/urandom" => Some(Self::Random),
            _ => None,
        }
    }

    pub(crate) fn facts(self) -> Facts {
        Facts {
            kind: Kind::Device,
            size: 0,
            mode: 0o666,
            modified: SystemTime::UNIX_EPOCH,
            created: SystemTime::UNIX_EPOCH,
        }
    }

    pub(super) fn open(self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Null => Box::new(io::empty()),
            Self::Zero | Self::Full => Box::new(io::repeat(0)),
            Self::Random => Box::new(RandomBytes),
        })
    }

    /// What a command gets that can only read whole files.
    pub(super) fn read_whole(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Null => Ok(Vec::new()),
            Self::Zero | Self::Full | Self::Random => {
                Err(io::Error::other("it has no end, and this command reads whole files"))
            }
        }
    }

    pub(super) fn create(self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Null | Self::Zero | Self::Random => Box::new(io::sink()),
            Self::Full => Box::new(FullDevice),
        })
    }
}

struct RandomBytes;

impl Read for RandomBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // More than a block at once would be more than some hosts give.
        let length = buffer.len().min(4096);
        getrandom::fill(&mut buffer[..length]).map_err(io::Error::other)?;
        Ok(length)
    }
}

struct FullDevice;

impl Write for FullDevice {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
