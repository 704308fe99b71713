//! Standard streams of a guest: nothing to read, and output that goes to the Worker's logs.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};
use worker_types::LogStream;

use crate::logs::OutputCapture;

/// The most that a guest may hand over in one write: a page or two of text.
const WRITE_BYTES: usize = 64 << 10;

/// A standard stream that takes everything and keeps what the limit allows.
#[derive(Debug, Clone)]
pub(crate) struct CapturedStream {
    pub(crate) output: Arc<OutputCapture>,
    pub(crate) stream: LogStream,
}

impl IsTerminal for CapturedStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for CapturedStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // WASI 0.2 asks for `p2_stream`; only 0.3, which is not linked, comes here.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        // The default would buffer in a task of its own: here a write is a copy, and never blocks.
        Box::new(self.clone())
    }
}

#[async_trait]
impl OutputStream for CapturedStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait]
impl Pollable for CapturedStream {
    async fn ready(&mut self) {}
}
