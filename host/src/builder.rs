//! Builds a Runtime from what its embedder chose.

use std::borrow::Cow;

use llm_engine::Models;
use worker_types::{ComponentRef, Grants, Limits, Profile, ProfileName, RuntimeId};

use crate::Runtime;

/// Builds a [`Runtime`].
#[derive(Debug)]
pub struct RuntimeBuilder {}

impl RuntimeBuilder {
    /// The name for eyes; without one it is the id.
    #[must_use]
    pub fn display_name(self, _name: impl Into<String>) -> Self {
        todo!()
    }
    /// Where logs are kept.
    #[must_use]
    pub fn store(self, _store: crate::Store) -> Self {
        todo!()
    }
    /// The models that can be granted.
    #[must_use]
    pub fn models(self, _models: Models) -> Self {
        todo!()
    }
    /// Components that profiles can name.
    #[must_use]
    pub fn components(
        self,
        _components: impl IntoIterator<Item = (ComponentRef, Cow<'static, [u8]>)>,
    ) -> Self {
        todo!()
    }
    /// Profiles that Workers can be made from. A later one replaces an earlier of the same name.
    #[must_use]
    pub fn profiles(self, _profiles: impl IntoIterator<Item = Profile>) -> Self {
        todo!()
    }
    /// The profile of a creation that names none.
    #[must_use]
    pub fn default_profile(self, _name: ProfileName) -> Self {
        todo!()
    }
    /// The most that any Worker may be granted; nothing, unless this says otherwise.
    #[must_use]
    pub fn ceiling(self, _ceiling: Grants) -> Self {
        todo!()
    }
    /// The bounds to enforce.
    #[must_use]
    pub fn limits(self, _limits: Limits) -> Self {
        todo!()
    }
    /// Compiles what the profiles name, and starts the Runtime.
    pub async fn build(self) -> Result<Runtime, crate::RuntimeBuildError> {
        todo!()
    }
}

impl RuntimeBuilder {
    pub(crate) fn new(_id: RuntimeId) -> Self {
        todo!()
    }
}
