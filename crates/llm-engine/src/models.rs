//! Models by alias, and the contract that holds for each of them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::call::{self, Places};
use crate::{CallLimits, ModelError, ModelRequest, ModelStream};

/// Something that answers requests: a provider's API, or an imitation of one.
///
/// An implementation need not be careful: [`Model::stream`] enforces the contract of
/// [`ModelStream`] over whatever comes out of it.
#[async_trait]
pub trait ModelProvider: Send + Sync + Debug + 'static {
    /// Which provider and which of its models this is.
    fn info(&self) -> ModelInfo;

    /// Starts one call.
    ///
    /// Failures may come from here or as the first item of the stream: some providers connect
    /// only when the stream is first read.
    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError>;
}

/// Which provider and which of its models answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The provider, for example `openai` or `offline`.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
}

/// Models by alias. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Models {
    by_alias: Arc<BTreeMap<Arc<str>, Model>>,
}

impl Models {
    /// No model at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same with one more alias, whose calls may take what [`CallLimits`] are by default. It replaces an
    /// earlier one of the same name.
    #[must_use]
    pub fn with(self, alias: impl Into<String>, provider: Arc<dyn ModelProvider>) -> Self {
        self.with_limits(alias, provider, CallLimits::default())
    }

    /// The same with one more alias, whose calls may take this much.
    #[must_use]
    pub fn with_limits(
        mut self,
        alias: impl Into<String>,
        provider: Arc<dyn ModelProvider>,
        limits: CallLimits,
    ) -> Self {
        let alias: Arc<str> = alias.into().into();
        let model = Model { alias: alias.clone(), provider, limits, places: Places::new(limits) };
        Arc::make_mut(&mut self.by_alias).insert(alias, model);
        self
    }

    /// The model behind `alias`.
    pub fn get(&self, alias: &str) -> Option<Model> {
        self.by_alias.get(alias).cloned()
    }

    /// All models, in the order of their aliases.
    pub fn iter(&self) -> impl Iterator<Item = &Model> {
        self.by_alias.values()
    }
}

/// One model under its alias. Cheap to clone; clones share the places for its calls.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) alias: Arc<str>,
    pub(crate) provider: Arc<dyn ModelProvider>,
    pub(crate) limits: CallLimits,
    pub(crate) places: Places,
}

impl Model {
    /// The name it was registered under.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// Which provider and model answers.
    pub fn info(&self) -> ModelInfo {
        self.provider.info()
    }

    /// What its calls may take.
    pub fn limits(&self) -> CallLimits {
        self.limits
    }

    /// One call, which begins when the answer is first read; see [`ModelStream`] for what holds of it.
    pub fn stream(&self, request: ModelRequest) -> ModelStream {
        call::call(self, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OfflineModel;

    fn offline() -> Arc<dyn ModelProvider> {
        Arc::new(OfflineModel::instant())
    }

    #[test]
    fn models_are_listed_in_alias_order_and_replaced_by_name() {
        let models = Models::none()
            .with("second", offline())
            .with("first", offline())
            .with("second", offline());
        let aliases: Vec<&str> = models.iter().map(Model::alias).collect();
        assert_eq!(aliases, ["first", "second"]);
        assert!(models.get("third").is_none());
        assert_eq!(models.get("first").unwrap().info().provider, "offline");
    }

    #[test]
    fn adding_an_alias_leaves_earlier_clones_alone() {
        let before = Models::none().with("first", offline());
        let after = before.clone().with("second", offline());
        assert_eq!(before.iter().count(), 1);
        assert_eq!(after.iter().count(), 2);
    }
}
