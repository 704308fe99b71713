//! Who was asked for something, and waiting for the answer.

use std::{pin::pin, time::Duration};

use runtime_client::ClientError;

use crate::{
    backend_error::{BackendError, Refusal},
    output::Output,
};

/// When a person is told that there is no answer yet: later than all that is as it should be.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who is asked: what errors call it, and whom to tell what takes long.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    words: String,
    /// Whether it said itself where it is; then who does not answer there is gone.
    is_announced: bool,
    output: Output,
}

impl Asked {
    pub(crate) fn backend(url: &str, is_announced: bool, output: Output) -> Self {
        Self { words: format!("the Backend at {url}"), is_announced, output }
    }

    pub(crate) fn runtime(url: &str, output: Output) -> Self {
        Self { words: format!("the Runtime at {url}"), is_announced: false, output }
    }

    /// Waits for an answer. Where it takes long, a person is told; a program has patience.
    pub(crate) async fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, BackendError> {
        let notice = || {
            if !self.output.is_json() {
                self.output.note(&format!("no answer from {} yet: waiting", self.words));
            }
        };
        patiently(PATIENCE, answer, notice).await.map_err(|error| self.error(error))
    }

    /// The same for what changes something: where it was sent and has no answer, it may have been done.
    pub(crate) async fn command<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, BackendError> {
        self.wait(answer).await.map_err(BackendError::in_doubt)
    }

    /// The error for people.
    pub(crate) fn error(&self, error: ClientError) -> BackendError {
        let whom = self.words.clone();
        match error {
            ClientError::Unreachable(_) if self.is_announced => BackendError::NotRunning,
            ClientError::Unreachable(source) => {
                BackendError::Unreachable { whom, source: source.into() }
            }
            ClientError::Broken(source) if source.is_timeout() => BackendError::Silent { whom },
            ClientError::Broken(source) => {
                BackendError::Broken { whom, source: Some(source.into()) }
            }
            ClientError::Silent => BackendError::Broken { whom, source: None },
            ClientError::Tls(source) => BackendError::Tls { whom, source: source.into() },
            ClientError::Refused(error) => Refusal::from(error).into(),
            ClientError::Problem { code, detail, retryable } => {
                Refusal::of_server(code, detail, retryable).into()
            }
            ClientError::Answer { what } => BackendError::Answer { whom, what },
            error => BackendError::Answer { whom, what: error.to_string() },
        }
    }
}

/// Does `work`, and calls `notice` once if that takes longer than `patience`.
async fn patiently<T>(
    patience: Duration,
    work: impl Future<Output = T>,
    notice: impl FnOnce(),
) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(patience) => notice(),
    }
    work.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_person_is_told_once_what_takes_long_and_nothing_of_the_rest() {
        let told = std::cell::Cell::new(0);
        let notice = || told.set(told.get() + 1);
        patiently(PATIENCE, std::future::ready(()), notice).await;
        assert_eq!(told.get(), 0);
        patiently(PATIENCE, tokio::time::sleep(10 * PATIENCE), notice).await;
        assert_eq!(told.get(), 1);
    }
}
