//! Handles that a Worker's guests have, or had: a call to the system that has begun goes on when nobody
//! waits for it any more, and has its handle until it is over.

use std::{
    fmt::Debug,
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

/// How often to look whether the last call is over. Most are when this is asked first.
const PAUSE: Duration = Duration::from_millis(1);

/// Those of one Worker, while it is active. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handles(Arc<Mutex<Vec<Weak<dyn Handle>>>>);

/// What may be remembered.
trait Handle: Debug + Send + Sync {}

impl Handle for File {}

/// Something of the Worker that goes on, whether or not it has a file.
#[derive(Debug)]
pub(crate) struct Hold;

impl Handle for Hold {}

impl Handles {
    /// Remembers a handle for as long as anybody has it.
    pub(super) fn add(&self, file: &Arc<File>) {
        let file: Weak<File> = Arc::downgrade(file);
        self.push(file);
    }

    /// Counts as one until it is dropped.
    pub(crate) fn hold(&self) -> Arc<Hold> {
        let hold = Arc::new(Hold);
        let held: Weak<Hold> = Arc::downgrade(&hold);
        self.push(held);
        hold
    }

    fn push(&self, handle: Weak<dyn Handle>) {
        let mut handles = self.lock();
        if handles.len() == handles.capacity() {
            handles.retain(|handle| handle.strong_count() > 0);
        }
        handles.push(handle);
    }

    /// Waits until nobody has any of them.
    pub(crate) async fn closed(&self) {
        while !self.are_closed() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn are_closed(&self) -> bool {
        let mut handles = self.lock();
        handles.retain(|handle| handle.strong_count() > 0);
        handles.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Handle>>> {
        // Nothing panics between a lock and the end of its change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn handles_are_closed_once_the_last_call_that_has_one_is_over() {
        let handles = Handles::default();
        handles.closed().await;
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        handles.add(&file);
        let call = Arc::clone(&file);
        drop(file);
        let mut closed = pin!(handles.closed());
        assert!(futures_util::poll!(&mut closed).is_pending());
        drop(call);
        closed.await;
        for _ in 0..1_000 {
            handles.add(&Arc::new(tempfile::tempfile().expect("a file")));
        }
        assert!(handles.lock().capacity() < 100, "those that are closed are forgotten");
    }
}
