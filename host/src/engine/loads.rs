//! What came of loading components: each is compiled once however many want it at the same time, and
//! one that fails is not compiled anew for everybody who asks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use worker_types::ComponentDigest;

use super::{LoadComponentError, LoadedComponent};

/// How long nobody tries again after a failure that may pass, such as a compiler that was too slow
/// on a busy machine. It doubles with each failure, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A component, or why there is none: the same for all who ask.
pub(crate) type Loaded = Result<Arc<LoadedComponent>, Arc<LoadComponentError>>;

/// What is known of each component that was asked for, for as long as the engines live. There are as
/// many as profiles and Workers name.
#[derive(Debug, Default)]
pub(super) struct Loads(Mutex<HashMap<ComponentDigest, Slot>>);

/// Whoever loads the component has the lock, and the others wait for what comes of it.
type Slot = Arc<tokio::sync::Mutex<Known>>;

#[derive(Debug, Default)]
enum Known {
    #[default]
    Nothing,
    /// It is kept by those who use it.
    Loaded(Weak<LoadedComponent>),
    Failed(Failure),
}

#[derive(Debug)]
struct Failure {
    error: Arc<LoadComponentError>,
    /// How often it has failed.
    times: u32,
    at: Instant,
}

impl Loads {
    /// What came of loading the component, or else what comes of `load`. Dropping the future lets the
    /// next who waits begin anew.
    pub(super) async fn get_or_load(
        &self,
        digest: ComponentDigest,
        load: impl Future<Output = Result<LoadedComponent, LoadComponentError>>,
    ) -> Loaded {
        let slot = Arc::clone(self.lock().entry(digest).or_default());
        let mut known = slot.lock().await;
        match known.answer(Instant::now()) {
            Some(answer) => answer,
            None => {
                let loaded = load.await;
                known.note(loaded, Instant::now())
            }
        }
    }

    /// What came of loading the component, if that is known and nobody is about to find it out.
    pub(super) fn known(&self, digest: ComponentDigest) -> Option<Loaded> {
        let slot = Arc::clone(self.lock().get(&digest)?);
        let known = slot.try_lock().ok()?;
        known.answer(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ComponentDigest, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What to tell without loading.
    fn answer(&self, now: Instant) -> Option<Loaded> {
        match self {
            Self::Nothing => None,
            Self::Loaded(component) => component.upgrade().map(Ok),
            Self::Failed(failure) => {
                let again = failure.error.may_pass() && now >= failure.at + failure.pause();
                (!again).then(|| Err(Arc::clone(&failure.error)))
            }
        }
    }

    fn note(&mut self, loaded: Result<LoadedComponent, LoadComponentError>, at: Instant) -> Loaded {
        match loaded {
            Ok(component) => {
                let component = Arc::new(component);
                *self = Self::Loaded(Arc::downgrade(&component));
                Ok(component)
            }
            Err(error) => {
                let before = if let Self::Failed(failure) = self { failure.times } else { 0 };
                let error = Arc::new(error);
                let times = before.saturating_add(1);
                *self = Self::Failed(Failure { error: Arc::clone(&error), times, at });
                Err(error)
            }
        }
    }
}

impl Failure {
    fn pause(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.times.saturating_sub(1));
        FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CompileError;

    fn too_slow() -> LoadComponentError {
        LoadComponentError::Compile(CompileError::TooSlow { limit_ms: 1 })
    }

    #[test]
    fn a_failure_that_may_pass_is_tried_again_after_a_pause_that_doubles() {
        let (mut known, start) = (Known::default(), Instant::now());
        assert!(known.answer(start).is_none());
        let mut at = start;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            known.note(Err(too_slow()), at).expect_err("it failed");
            let pause = Duration::from_secs(60 * minutes);
            let early = known.answer(at + pause - Duration::from_secs(1));
            assert!(matches!(early, Some(Err(_))), "{minutes} minutes");
            at += pause;
            assert!(known.answer(at).is_none(), "{minutes} minutes");
        }
    }

    #[test]
    fn a_component_that_is_none_stays_none() {
        let (mut known, start) = (Known::default(), Instant::now());
        let refused = CompileError::Refused { reason: "malformed".to_owned() };
        let error = known.note(Err(LoadComponentError::Compile(refused)), start).err();
        let a_year_later = start + Duration::from_secs(365 * 24 * 60 * 60);
        let again = known.answer(a_year_later).expect("an answer").err();
        assert!(Arc::ptr_eq(&error.expect("it failed"), &again.expect("it failed")));
    }
}
