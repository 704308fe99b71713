//! Something that runs in a Store of its own, as those see it who started it.

use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::pipe::{InputWriter, Piece, PieceReader};

/// What runs, and its standard streams. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process<E> {
    output: PieceReader<E>,
    input: InputWriter,
    task: AbortOnDropHandle<()>,
    /// What it has started, which goes with its Store.
    started: TaskTracker,
}

impl<E> Process<E> {
    pub(crate) fn new(
        output: PieceReader<E>,
        input: InputWriter,
        task: AbortOnDropHandle<()>,
        started: TaskTracker,
    ) -> Self {
        Self { output, input, task, started }
    }

    /// Waits for the next piece of what comes of it; none after its end.
    pub(crate) async fn next(&self) -> Option<Piece<E>> {
        self.output.next().await
    }

    /// The next piece, if it is there.
    pub(crate) fn try_next(&self) -> Option<Piece<E>> {
        self.output.try_next()
    }

    /// Waits until [`Self::next`] does not.
    pub(crate) async fn readable(&self) {
        self.output.readable().await;
    }

    /// Its standard input.
    pub(crate) fn input(&self) -> &InputWriter {
        &self.input
    }

    /// Ends it, and what it started. When this returns, nothing of it runs.
    pub(crate) async fn end(self) {
        self.task.abort();
        // An error says that it was ended.
        let _ = self.task.await;
        self.started.close();
        self.started.wait().await;
    }
}
