//! The standard input of a script, which all of its commands share.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bashkit::StreamData;

use crate::command::Source;

/// Read only when somebody wants it. What a command read and did not use is there for the next.
#[derive(Clone)]
pub(super) struct ScriptInput(Arc<Shared>);

struct Shared {
    source: tokio::sync::Mutex<Box<dyn Source>>,
    given_back: Mutex<Vec<u8>>,
    mark: StreamData,
}

impl ScriptInput {
    /// `mark` are bytes that nobody else knows.
    pub(super) fn new(source: Box<dyn Source>, mark: &[u8]) -> Self {
        Self(Arc::new(Shared {
            source: tokio::sync::Mutex::new(source),
            given_back: Mutex::default(),
            mark: StreamData::from(mark),
        }))
    }

    pub(super) fn mark(&self) -> &StreamData {
        &self.0.mark
    }

    pub(super) async fn read(&self) -> io::Result<Vec<u8>> {
        let mut source = self.0.source.lock().await;
        let waiting = std::mem::take(&mut *self.given_back());
        if waiting.is_empty() { source.read().await } else { Ok(waiting) }
    }

    /// All that is left.
    pub(super) async fn read_all(&self) -> io::Result<StreamData> {
        let mut all = Vec::new();
        loop {
            let chunk = self.read().await?;
            if chunk.is_empty() {
                return Ok(all.into());
            }
            all.extend_from_slice(&chunk);
        }
    }

    pub(super) fn give_back(&self, mut bytes: Vec<u8>) {
        let mut waiting = self.given_back();
        bytes.extend_from_slice(&waiting);
        *waiting = bytes;
    }

    fn given_back(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.given_back.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
