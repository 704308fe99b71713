//! Streams of files. Each has at most one call to the system under way, and all streams of a turn
//! together a few: a slow disk holds no more threads than that.

use std::{fs::File, io, mem, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi::{
    async_trait,
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
};

use super::{
    Held,
    quota::{Account, ChargeError},
};

/// The most bytes of one read or write, as in wasmtime's own streams.
const CHUNK_BYTES: usize = 64 << 10;

/// Calls to the system that wait for the disk.
#[derive(Debug, Clone)]
pub(super) struct Calls(Arc<Semaphore>);

impl Calls {
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.0).acquire_owned().await {
            Ok(permit) => permit,
            // Nobody closes the semaphore.
            Err(_) => std::future::pending().await,
        }
    }

    fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Runs `body` where it may block. It has its permit until it is done, also when nobody waits for it
/// any more.
fn start<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    body: impl FnOnce() -> T + Send + 'static,
) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::task::spawn_blocking(move || {
        let _permit = permit;
        body()
    }))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}

/// Reads a file from a position on.
#[derive(Debug)]
pub(super) struct FileReader {
    file: Arc<File>,
    position: u64,
    state: Reading,
    calls: Calls,
    _held: Held,
}

#[derive(Debug)]
enum Reading {
    Idle,
    Waiting(AbortOnDropHandle<io::Result<Bytes>>),
    Data(Bytes),
    Failed(io::Error),
    Closed,
}

impl FileReader {
    pub(super) fn new(file: Arc<File>, position: u64, calls: Calls, held: Held) -> Self {
        Self { file, position, state: Reading::Idle, calls, _held: held }
    }

    fn start(&self, permit: OwnedSemaphorePermit, size: usize) -> Reading {
        let (file, position) = (Arc::clone(&self.file), self.position);
        Reading::Waiting(start(permit, move || {
            let mut buffer = BytesMut::zeroed(size.clamp(1, CHUNK_BYTES));
            let read = read_at(&file, &mut buffer, position)?;
            Ok(kept(buffer, read))
        }))
    }

    /// Reads what is to be had at once. Returns whether something was.
    fn read_cached(&mut self, size: usize) -> bool {
        self.state = match read_cached(&self.file, size as u64, self.position) {
            Some(bytes) if bytes.is_empty() => Reading::Closed,
            Some(bytes) => Reading::Data(bytes),
            None => return false,
        };
        true
    }

    /// Waits for a call that is under way.
    async fn finish(&mut self) {
        if let Reading::Waiting(call) = &mut self.state {
            self.state = match call.await {
                Ok(Ok(bytes)) if bytes.is_empty() => Reading::Closed,
                Ok(Ok(bytes)) => Reading::Data(bytes),
                Ok(Err(error)) => Reading::Failed(error),
                Err(error) => Reading::Failed(io::Error::other(error)),
            };
        }
    }

    async fn fill(&mut self, size: usize) {
        if matches!(self.state, Reading::Idle) && !self.read_cached(size) {
            let permit = self.calls.permit().await;
            self.state = self.start(permit, size);
        }
        self.finish().await;
    }
}

#[async_trait]
impl InputStream for FileReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size > 0 && matches!(self.state, Reading::Idle) && !self.read_cached(size) {
            if let Some(permit) = self.calls.try_permit() {
                self.state = self.start(permit, size);
            }
            return Ok(Bytes::new());
        }
        match &mut self.state {
            Reading::Idle => Ok(Bytes::new()),
            Reading::Waiting(_) => Ok(Bytes::new()),
            Reading::Data(bytes) => {
                let piece = bytes.split_to(bytes.len().min(size));
                if bytes.is_empty() {
                    self.state = Reading::Idle;
                }
                self.position += piece.len() as u64;
                Ok(piece)
            }
            Reading::Failed(_) => match mem::replace(&mut self.state, Reading::Closed) {
                Reading::Failed(error) => Err(failed(error)),
                _ => Err(StreamError::Closed),
            },
            Reading::Closed => Err(StreamError::Closed),
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size > 0 {
            self.fill(size).await;
        }
        self.read(size)
    }

    async fn cancel(&mut self) {
        if let Reading::Waiting(call) = mem::replace(&mut self.state, Reading::Closed) {
            // What the system has begun, it ends.
            let _ = call.await;
        }
    }
}

#[async_trait]
impl Pollable for FileReader {
    async fn ready(&mut self) {
        self.fill(CHUNK_BYTES).await;
    }
}

/// Where a stream writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    At(u64),
    End,
}

/// Writes to a file.
#[derive(Debug)]
pub(super) struct FileWriter {
    file: Arc<File>,
    place: Place,
    state: Writing,
    calls: Calls,
    account: Account,
    _held: Held,
}

#[derive(Debug)]
enum Writing {
    Idle,
    /// Taken from the guest, and not under way yet.
    Taken(Bytes),
    Waiting(AbortOnDropHandle<Result<usize, WriteError>>),
    Failed(WriteError),
    Closed,
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Charge(#[from] ChargeError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl WriteError {
    /// As the guest can ask for its code.
    fn failed(self) -> StreamError {
        match self {
            Self::Charge(ChargeError::OverQuota(over)) => failed(over),
            Self::Charge(ChargeError::Measure(error)) | Self::Io(error) => failed(error),
        }
    }
}

impl FileWriter {
    pub(super) fn new(
        file: Arc<File>,
        place: Place,
        calls: Calls,
        (account, held): (Account, Held),
    ) -> Self {
        Self { file, place, state: Writing::Idle, calls, account, _held: held }
    }

    fn start(&self, permit: OwnedSemaphorePermit, bytes: Bytes) -> Writing {
        let (file, place) = (Arc::clone(&self.file), self.place);
        let account = self.account.clone();
        Writing::Waiting(start(permit, move || {
            let size = bytes.len() as u64;
            let growth = match place {
                Place::End => size,
                Place::At(_) if account.quota.is_none() => 0,
                Place::At(position) => {
                    position.saturating_add(size).saturating_sub(file.metadata()?.len())
                }
            };
            account.charge(size, growth)?;
            write_all(&file, &bytes, place)?;
            Ok(bytes.len())
        }))
    }

    /// Brings what was taken under way, and waits until it is done.
    async fn finish(&mut self) {
        if let Writing::Taken(bytes) = &mut self.state {
            let bytes = bytes.clone();
            let permit = self.calls.permit().await;
            self.state = self.start(permit, bytes);
        }
        if let Writing::Waiting(call) = &mut self.state {
            self.state = match call.await {
                Ok(Ok(written)) => {
                    if let Place::At(position) = &mut self.place {
                        *position += written as u64;
                    }
                    Writing::Idle
                }
                Ok(Err(error)) => Writing::Failed(error),
                Err(error) => Writing::Failed(io::Error::other(error).into()),
            };
        }
    }

    /// Says once what failed.
    fn check(&mut self) -> StreamResult<()> {
        match &self.state {
            Writing::Idle | Writing::Taken(_) | Writing::Waiting(_) => Ok(()),
            Writing::Closed => Err(StreamError::Closed),
            Writing::Failed(_) => match mem::replace(&mut self.state, Writing::Closed) {
                Writing::Failed(error) => Err(error.failed()),
                _ => Err(StreamError::Closed),
            },
        }
    }
}

#[async_trait]
impl OutputStream for FileWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        if !matches!(self.state, Writing::Idle) {
            return Err(StreamError::trap("write not permitted: check_write was not called first"));
        }
        self.state = match self.calls.try_permit() {
            Some(permit) => self.start(permit, bytes),
            None => Writing::Taken(bytes),
        };
        Ok(())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.finish().await;
        self.check()?;
        self.state = Writing::Taken(bytes);
        self.finish().await;
        self.check()
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check()?;
        Ok(if matches!(self.state, Writing::Idle) { CHUNK_BYTES } else { 0 })
    }

    async fn cancel(&mut self) {
        // The guest was told that it is written.
        self.finish().await;
        self.state = Writing::Closed;
    }
}

#[async_trait]
impl Pollable for FileWriter {
    async fn ready(&mut self) {
        self.finish().await;
    }
}

fn write_all(file: &File, mut bytes: &[u8], mut place: Place) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = match write_at(file, bytes, place) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        bytes = &bytes[written..];
        if let Place::At(position) = &mut place {
            *position += written as u64;
        }
    }
    Ok(())
}

/// Reads what the system has in memory, at once: for most reads, handing them to another thread would take
/// longer than they do. Nothing comes at the end of the file; none is to be had where it must be waited for.
pub(super) fn read_cached(file: &File, size: u64, position: u64) -> Option<Bytes> {
    let size = usize::try_from(size).unwrap_or(CHUNK_BYTES).clamp(1, CHUNK_BYTES);
    let mut buffer = BytesMut::zeroed(size);
    let read = read_cached_at(file, &mut buffer, position)?;
    Some(kept(buffer, read))
}

/// The first bytes of a buffer, without holding much more.
fn kept(mut buffer: BytesMut, read: usize) -> Bytes {
    if read < buffer.len() / 2 {
        return Bytes::copy_from_slice(&buffer[..read]);
    }
    buffer.truncate(read);
    buffer.freeze()
}

/// Reads what can be read without waiting for the disk; nothing where the system would have to wait, or
/// does not know how not to.
#[cfg(target_os = "linux")]
fn read_cached_at(file: &File, buffer: &mut [u8], position: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut buffers = [io::IoSliceMut::new(buffer)];
    preadv2(file, &mut buffers, position, ReadWriteFlags::NOWAIT).ok()
}

#[cfg(not(target_os = "linux"))]
fn read_cached_at(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    use std::os::unix::fs::FileExt as _;
    loop {
        match file.read_at(buffer, position) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(target_os = "linux")]
fn write_at(file: &File, bytes: &[u8], place: Place) -> io::Result<usize> {
    use std::os::unix::fs::FileExt as _;

    use rustix::io::{ReadWriteFlags, pwritev2};
    match place {
        Place::At(position) => file.write_at(bytes, position),
        // Of several that append, none overwrites another.
        Place::End => {
            let slices = [io::IoSlice::new(bytes)];
            Ok(pwritev2(file, &slices, 0, ReadWriteFlags::APPEND)?)
        }
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn write_at(file: &File, bytes: &[u8], place: Place) -> io::Result<usize> {
    use std::os::unix::fs::FileExt as _;
    match place {
        Place::At(position) => file.write_at(bytes, position),
        Place::End => file.write_at(bytes, file.metadata()?.len()),
    }
}
