//! The standard streams of this process, as a command writes to them.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use crate::turn::TurnMeter;

/// The most that a guest may hand over in one write, as in wasmtime's own streams.
const WRITE_BYTES: usize = 64 << 10;

/// Nobody reads what the command writes. A program of the system's would be ended by a signal; this
/// ends a command the same way, whatever it would make of the error.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads what the command writes")]
pub(crate) struct ReaderGone;

/// Standard output or error. Each write goes through to the system before the command goes on, so what
/// it holds is bounded, and a slow reader makes it wait.
#[derive(Debug, Clone)]
pub(super) struct ProcessStream {
    stream: Stream,
    meter: Arc<TurnMeter>,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl ProcessStream {
    pub(super) fn stdout(meter: Arc<TurnMeter>) -> Self {
        Self { stream: Stream::Stdout, meter }
    }

    pub(super) fn stderr(meter: Arc<TurnMeter>) -> Self {
        Self { stream: Stream::Stderr, meter }
    }
}

impl Stream {
    fn write(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(bytes),
        }
    }
}

impl IsTerminal for ProcessStream {
    fn is_terminal(&self) -> bool {
        match self.stream {
            Stream::Stdout => io::IsTerminal::is_terminal(&io::stdout()),
            Stream::Stderr => io::IsTerminal::is_terminal(&io::stderr()),
        }
    }
}

impl StdoutStream for ProcessStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // WASI 0.2 asks for `p2_stream`; only 0.3, which is not linked, comes here.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl OutputStream for ProcessStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // This waits for whoever reads, on a thread that is the command's own. It computes nothing
        // meanwhile.
        self.meter.pause();
        let written = self.stream.write(&bytes);
        self.meter.resume();
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => StreamError::Trap(ReaderGone.into()),
            _ => StreamError::LastOperationFailed(error.into()),
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait]
impl Pollable for ProcessStream {
    async fn ready(&mut self) {}
}
