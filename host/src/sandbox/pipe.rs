//! The standard streams of a script or command: what it writes, in pieces and in order, and what it
//! reads. Both are bounded; whoever is too fast waits.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
};
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdinStream, StdoutStream},
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
};
use worker_types::LogStream;

use super::StorePermit;
use crate::turn::TurnMeter;

/// The most bytes of one piece, and of one write, as in wasmtime's own streams.
const PIECE_BYTES: usize = 64 << 10;

/// What a piece takes beside its bytes: a writer that changes streams with every byte makes many.
const PIECE_OVERHEAD: usize = 128;

/// What a pipe holds before whoever writes waits: some pieces, so that both sides have something to do.
const PIPE_BYTES: usize = 4 * PIECE_BYTES;

/// A turn has written more output than it may.
#[derive(Debug, thiserror::Error)]
#[error("it wrote more than the limit of {limit} bytes on the output of a turn")]
pub(crate) struct OutputLimit {
    limit: u64,
}

/// What comes of something that runs: what it writes, and its end, after which nothing comes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<E> {
    Output(LogStream, Bytes),
    Ended(E),
}

#[derive(Debug)]
struct Output<E> {
    state: Mutex<OutputState<E>>,
    readable: Notify,
    writable: Notify,
}

#[derive(Debug)]
struct OutputState<E> {
    pieces: VecDeque<(LogStream, BytesMut)>,
    bytes: usize,
    end: End<E>,
    reader_gone: bool,
}

#[derive(Debug)]
enum End<E> {
    Running,
    /// What is not taken is still somebody's, and counts as what runs.
    Ended(E, StorePermit),
    Taken,
}

impl<E> Output<E> {
    fn lock(&self) -> MutexGuard<'_, OutputState<E>> {
        // Nothing panics between a lock and the end of its change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until `is_so`, which changes only before `changed` is notified.
async fn until(changed: &Notify, mut is_so: impl FnMut() -> bool) {
    loop {
        let mut notified = std::pin::pin!(changed.notified());
        notified.as_mut().enable();
        if is_so() {
            return;
        }
        notified.await;
    }
}

/// A pipe for output, which is counted in `meter` and may not be more than `limit` bytes in a turn.
pub(crate) fn output_pipe<E>(meter: Arc<TurnMeter>, limit: u64) -> (Ender<E>, PieceReader<E>) {
    let state =
        OutputState { pieces: VecDeque::new(), bytes: 0, end: End::Running, reader_gone: false };
    let output = Arc::new(Output {
        state: Mutex::new(state),
        readable: Notify::new(),
        writable: Notify::new(),
    });
    (Ender { output: Arc::clone(&output), meter, limit }, PieceReader(output))
}

/// The writing side, held by what runs. Dropped without an end, nothing more comes.
#[derive(Debug)]
pub(crate) struct Ender<E> {
    output: Arc<Output<E>>,
    meter: Arc<TurnMeter>,
    limit: u64,
}

impl<E> Ender<E> {
    /// One of the standard streams.
    pub(crate) fn stream(&self, stream: LogStream) -> PieceStream<E> {
        let (output, meter) = (Arc::clone(&self.output), Arc::clone(&self.meter));
        PieceStream { output, stream, meter, limit: self.limit }
    }

    /// Says something to a person on standard error, whether or not there is room.
    pub(crate) fn say(&self, message: &str) {
        self.output.lock().push(LogStream::Stderr, format!("{message}\n").as_bytes());
        self.output.readable.notify_waiters();
    }

    /// Nothing is written any more, and this is how it ended. The right to have had a Store is given back
    /// when somebody has heard it: until then there is what nobody has read.
    pub(crate) fn end(self, end: E, permit: StorePermit) {
        self.output.lock().end = End::Ended(end, permit);
    }
}

impl<E> Drop for Ender<E> {
    fn drop(&mut self) {
        let mut state = self.output.lock();
        if matches!(state.end, End::Running) {
            state.end = End::Taken;
        }
        drop(state);
        self.output.readable.notify_waiters();
    }
}

impl<E> OutputState<E> {
    fn push(&mut self, stream: LogStream, bytes: &[u8]) {
        self.bytes += bytes.len();
        for bytes in bytes.chunks(PIECE_BYTES) {
            match self.pieces.back_mut() {
                Some((last, piece))
                    if *last == stream && piece.len() + bytes.len() <= PIECE_BYTES =>
                {
                    piece.extend_from_slice(bytes);
                }
                _ => {
                    self.bytes += PIECE_OVERHEAD;
                    self.pieces.push_back((stream, bytes.into()));
                }
            }
        }
    }

    fn pop(&mut self) -> Option<Piece<E>> {
        if let Some((stream, bytes)) = self.pieces.pop_front() {
            self.bytes -= bytes.len() + PIECE_OVERHEAD;
            return Some(Piece::Output(stream, bytes.freeze()));
        }
        match std::mem::replace(&mut self.end, End::Taken) {
            End::Ended(end, _permit) => Some(Piece::Ended(end)),
            other => {
                self.end = other;
                None
            }
        }
    }

    fn is_readable(&self) -> bool {
        !self.pieces.is_empty() || !matches!(self.end, End::Running)
    }

    fn room(&self) -> usize {
        PIPE_BYTES.saturating_sub(self.bytes).min(PIECE_BYTES)
    }
}

/// The reading side. Once it is dropped, writing fails.
#[derive(Debug)]
pub(crate) struct PieceReader<E>(Arc<Output<E>>);

impl<E> PieceReader<E> {
    /// What is there now.
    pub(crate) fn try_next(&self) -> Option<Piece<E>> {
        let piece = self.0.lock().pop();
        self.0.writable.notify_waiters();
        piece
    }

    /// Waits for the next piece; none after the end.
    pub(crate) async fn next(&self) -> Option<Piece<E>> {
        loop {
            self.readable().await;
            // Another reader may have been faster.
            if let Some(piece) = self.try_next() {
                return Some(piece);
            }
            if matches!(self.0.lock().end, End::Taken) {
                return None;
            }
        }
    }

    /// Waits until [`Self::next`] does not.
    pub(crate) async fn readable(&self) {
        until(&self.0.readable, || self.0.lock().is_readable()).await;
    }
}

impl<E> Drop for PieceReader<E> {
    fn drop(&mut self) {
        self.0.lock().reader_gone = true;
        self.0.writable.notify_waiters();
    }
}

/// One of the standard streams, as WASI writes to it.
#[derive(Debug)]
pub(crate) struct PieceStream<E> {
    output: Arc<Output<E>>,
    stream: LogStream,
    meter: Arc<TurnMeter>,
    limit: u64,
}

impl<E> Clone for PieceStream<E> {
    fn clone(&self) -> Self {
        let (output, meter) = (Arc::clone(&self.output), Arc::clone(&self.meter));
        Self { output, stream: self.stream, meter, limit: self.limit }
    }
}

impl<E: Send + 'static> IsTerminal for PieceStream<E> {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl<E: Send + 'static> StdoutStream for PieceStream<E> {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // WASI 0.2 asks for `p2_stream`; only 0.3, which is not linked, comes here.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<E: Send + 'static> OutputStream for PieceStream<E> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.meter.count_output(bytes.len() as u64) > self.limit {
            return Err(StreamError::Trap(OutputLimit { limit: self.limit }.into()));
        }
        let mut state = self.output.lock();
        if state.reader_gone {
            return Err(StreamError::Closed);
        }
        // Both streams may have been told of the same room; beyond that, the guest did not ask.
        if state.bytes + bytes.len() > 2 * PIPE_BYTES + PIECE_OVERHEAD {
            return Err(StreamError::trap("a write of more than was allowed"));
        }
        state.push(self.stream, &bytes);
        drop(state);
        self.output.readable.notify_waiters();
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.output.lock();
        if state.reader_gone { Err(StreamError::Closed) } else { Ok(state.room()) }
    }
}

#[async_trait]
impl<E: Send + 'static> Pollable for PieceStream<E> {
    async fn ready(&mut self) {
        let has_room = || {
            let state = self.output.lock();
            state.reader_gone || state.room() > 0
        };
        until(&self.output.writable, has_room).await;
    }
}

#[derive(Debug)]
struct Input {
    state: Mutex<InputState>,
    readable: Notify,
    writable: Notify,
}

#[derive(Debug, Default)]
struct InputState {
    bytes: BytesMut,
    closed: bool,
    reader_gone: bool,
    /// Whether the reader waits for more than there is.
    wanted: bool,
}

impl Input {
    fn lock(&self) -> MutexGuard<'_, InputState> {
        // Nothing panics between a lock and the end of its change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wanted(&self) -> bool {
        let mut wanted = false;
        let is_known = || {
            let state = self.lock();
            let is_over = state.reader_gone || state.closed;
            wanted = state.wanted && !is_over;
            is_over || wanted
        };
        until(&self.writable, is_known).await;
        wanted
    }

    async fn has_room(&self) {
        let has_room = || {
            let state = self.lock();
            state.reader_gone || state.closed || state.bytes.len() < PIPE_BYTES
        };
        until(&self.writable, has_room).await;
    }
}

/// A pipe for input.
pub(crate) fn input_pipe() -> (InputWriter, InputReader) {
    let (readable, writable) = (Notify::new(), Notify::new());
    let input = Arc::new(Input { state: Mutex::default(), readable, writable });
    (InputWriter(Arc::clone(&input)), InputReader(input))
}

/// The writing side. Dropping it ends the input.
#[derive(Debug)]
pub(crate) struct InputWriter(Arc<Input>);

impl InputWriter {
    /// Takes what there is room for, and says how much; nothing once nobody will read it.
    pub(crate) fn write(&self, bytes: &[u8]) -> Option<usize> {
        let mut state = self.0.lock();
        if state.reader_gone || state.closed {
            return None;
        }
        let taken = bytes.len().min(PIPE_BYTES - state.bytes.len());
        state.bytes.extend_from_slice(&bytes[..taken]);
        state.wanted &= taken == 0;
        drop(state);
        self.0.readable.notify_waiters();
        Some(taken)
    }

    /// Waits until [`Self::write`] takes something, or nobody will read.
    pub(crate) async fn writable(&self) {
        self.0.has_room().await;
    }

    /// Waits until the reader waits for more than there is; or until nobody will read, and returns `false`.
    pub(crate) async fn wanted(&self) -> bool {
        self.0.wanted().await
    }

    /// Ready when [`Self::wanted`] does not wait.
    pub(crate) fn when_wanted(&self) -> Wanted {
        Wanted(Arc::clone(&self.0))
    }

    /// Ready when [`Self::write`] takes something, or nobody will read.
    pub(crate) fn room(&self) -> Room {
        Room(Arc::clone(&self.0))
    }

    /// There is nothing more to read.
    pub(crate) fn close(&self) {
        self.0.lock().closed = true;
        self.0.readable.notify_waiters();
        self.0.writable.notify_waiters();
    }
}

impl Drop for InputWriter {
    fn drop(&mut self) {
        self.close();
    }
}

/// That the reader waits for input, to wait for.
#[derive(Debug)]
pub(crate) struct Wanted(Arc<Input>);

#[async_trait]
impl Pollable for Wanted {
    async fn ready(&mut self) {
        self.0.wanted().await;
    }
}

/// Room in a pipe for input, to wait for.
#[derive(Debug)]
pub(crate) struct Room(Arc<Input>);

#[async_trait]
impl Pollable for Room {
    async fn ready(&mut self) {
        self.0.has_room().await;
    }
}

/// The reading side, held by what runs. Dropping it says that nobody reads any more.
#[derive(Debug)]
pub(crate) struct InputReader(Arc<Input>);

impl InputReader {
    /// Standard input, as WASI reads it.
    pub(crate) fn stream(&self) -> InputPipe {
        InputPipe(Arc::clone(&self.0))
    }
}

impl Drop for InputReader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reader_gone = true;
        state.bytes = BytesMut::new();
        drop(state);
        self.0.writable.notify_waiters();
    }
}

/// Somebody waits for input.
struct Waiting<'a>(&'a Input);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().wanted = false;
    }
}

/// Standard input of a script or command.
#[derive(Debug, Clone)]
pub(crate) struct InputPipe(Arc<Input>);

impl IsTerminal for InputPipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for InputPipe {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // WASI 0.2 asks for `p2_stream`; only 0.3, which is not linked, comes here.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl InputStream for InputPipe {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut state = self.0.lock();
        if state.bytes.is_empty() && state.closed {
            return Err(StreamError::Closed);
        }
        // Also who asks again and again instead of waiting is to get something.
        state.wanted = state.bytes.is_empty();
        let size = size.min(state.bytes.len());
        let bytes = state.bytes.copy_to_bytes(size);
        drop(state);
        self.0.writable.notify_waiters();
        Ok(bytes)
    }
}

#[async_trait]
impl Pollable for InputPipe {
    async fn ready(&mut self) {
        let has_some = || {
            let mut state = self.0.lock();
            let has_some = state.closed || !state.bytes.is_empty();
            state.wanted = !has_some;
            has_some
        };
        // Whoever gives up waiting wants nothing any more.
        let _waiting = Waiting(&self.0);
        if !has_some() {
            self.0.writable.notify_waiters();
        }
        until(&self.0.readable, has_some).await;
    }
}
