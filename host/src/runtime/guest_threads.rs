//! The tokio runtime that polls guests. Theirs alone: a guest that spins delays no task of the
//! embedder's.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The threads that run guests. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct GuestThreads {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl GuestThreads {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().thread_name("guests").enable_time().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for the threads is not allowed in async code, where this may be dropped.
            runtime.shutdown_background();
        }
    }
}
