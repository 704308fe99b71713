//! The tokio runtime of Workers: their tasks, and their guests. A guest that spins delays no task of
//! the embedder's, and no task of a Worker.

use std::{
    io,
    num::NonZero,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Semaphore,
};
use tokio_util::sync::PollSemaphore;

/// Threads on which no guest is ever polled: tasks of Workers find one, whatever guests do.
const SPARE: usize = 2;

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct WorkerThreads {
    runtime: Option<Runtime>,
    handle: Handle,
    /// How many guests may be polled at once: as many as there are processors. An instruction that
    /// fills a memory holds its thread for as long as it takes, and there are more threads.
    polls: Arc<Semaphore>,
}

impl WorkerThreads {
    pub(crate) fn start() -> io::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let mut builder = Builder::new_multi_thread();
        let builder = builder.worker_threads(processors + SPARE).thread_name("workers");
        let runtime = builder.enable_time().build()?;
        let polls = Arc::new(Semaphore::new(processors));
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime), polls })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A way to them, which does not keep them.
    pub(crate) fn guests(&self) -> GuestThreads {
        GuestThreads { handle: self.handle.clone(), polls: Arc::clone(&self.polls) }
    }

    /// What a guest takes its turns at being polled with.
    pub(crate) fn turnstile(&self) -> Turnstile {
        self.guests().turnstile()
    }
}

/// A way to the threads. They end without regard to it.
#[derive(Debug, Clone)]
pub(crate) struct GuestThreads {
    handle: Handle,
    polls: Arc<Semaphore>,
}

impl GuestThreads {
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What a guest takes its turns at being polled with.
    pub(crate) fn turnstile(&self) -> Turnstile {
        Turnstile(PollSemaphore::new(Arc::clone(&self.polls)))
    }
}

impl Drop for WorkerThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for the threads is not allowed in async code, where this may be dropped.
            runtime.shutdown_background();
        }
    }
}

/// One guest's way to a processor.
#[derive(Debug)]
pub(crate) struct Turnstile(PollSemaphore);

impl Turnstile {
    /// Polls when a processor is free; first come, first served.
    pub(crate) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Nobody closes the semaphore; a guest would be polled all the same.
        let _permit = ready!(self.0.poll_acquire(context));
        poll(context)
    }
}
