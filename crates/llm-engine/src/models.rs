//! Models by alias, and the contract that holds for each of them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::guard::GuardedStream;
use crate::{ModelError, ModelRequest, ModelStream};

/// How long a call may go without a content event before it fails as [`ModelError::Stalled`].
///
/// Two minutes: reasoning models that hide their reasoning are silent for about one.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

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
#[derive(Debug, Clone)]
pub struct Models {
    by_alias: Arc<BTreeMap<Arc<str>, Model>>,
    idle_timeout: Duration,
}

impl Models {
    /// No model at all.
    pub fn none() -> Self {
        Self { by_alias: Arc::default(), idle_timeout: DEFAULT_IDLE_TIMEOUT }
    }

    /// The same with one more alias. It replaces an earlier one of the same name.
    #[must_use]
    pub fn with(mut self, alias: impl Into<String>, provider: Arc<dyn ModelProvider>) -> Self {
        let alias: Arc<str> = alias.into().into();
        let model = Model { alias: alias.clone(), provider, idle_timeout: self.idle_timeout };
        Arc::make_mut(&mut self.by_alias).insert(alias, model);
        self
    }

    /// The same with another idle timeout, for the models already here and those added later.
    /// The default is [`DEFAULT_IDLE_TIMEOUT`].
    #[must_use]
    pub fn with_idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        for model in Arc::make_mut(&mut self.by_alias).values_mut() {
            model.idle_timeout = idle_timeout;
        }
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

impl Default for Models {
    fn default() -> Self {
        Self::none()
    }
}

/// One model under its alias. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Model {
    alias: Arc<str>,
    provider: Arc<dyn ModelProvider>,
    idle_timeout: Duration,
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

    /// Starts one call; see [`ModelStream`] for what holds of the answer.
    ///
    /// Fails as [`ModelError::Stalled`] when the provider does not even start within the idle
    /// timeout. Nothing is retried.
    pub async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        let inner = tokio::time::timeout(self.idle_timeout, self.provider.stream(request))
            .await
            .map_err(|_elapsed| ModelError::Stalled)??;
        Ok(Box::pin(GuardedStream::new(inner, self.idle_timeout)))
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

    #[test]
    fn the_idle_timeout_reaches_models_already_registered() {
        let models = Models::none()
            .with("first", offline())
            .with_idle_timeout(Duration::from_secs(7))
            .with("second", offline());
        assert!(models.iter().all(|model| model.idle_timeout == Duration::from_secs(7)));
    }
}
