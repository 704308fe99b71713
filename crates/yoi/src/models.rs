//! From the configuration to the models that answer.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use llm_engine::{
    ApiKey, CallLimits, GenaiProvider, GenaiSettings, ModelInfo, ModelProvider, Models,
    OfflineModel, ProviderKind, discovery,
};
use worker_types::ModelAlias;
use yoi_config::{Config, ModelConfig, Provider};

/// The alias that needs no table in a configuration.
pub(crate) const DEFAULT_ALIAS: &str = "default";

/// How to come from the offline model to a real one.
pub(crate) const HOW_TO_SET_A_MODEL: &str = "set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY, start Ollama, or write \
     [models.default] in yoi.toml";

/// Reads one variable of the process's environment. An unreadable one counts as absent.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The models behind `aliases`: those of the configuration, and for `default` without a table the
/// one that is found in the environment.
pub(crate) async fn models(
    config: &Config,
    aliases: &BTreeSet<ModelAlias>,
) -> anyhow::Result<Models> {
    let mut models = Models::none();
    for alias in aliases {
        let provider = provider(config, alias).await?;
        let limits = config.models.get(alias).map_or_else(CallLimits::default, limits);
        models = models.with_limits(alias.as_str(), provider, limits);
    }
    Ok(models)
}

/// Every alias that a grant may name here.
pub(crate) fn known_aliases(config: &Config) -> BTreeSet<ModelAlias> {
    config.models.keys().cloned().chain(DEFAULT_ALIAS.parse()).collect()
}

/// The model behind one alias.
pub(crate) async fn provider(
    config: &Config,
    alias: &ModelAlias,
) -> anyhow::Result<Arc<dyn ModelProvider>> {
    match config.models.get(alias) {
        Some(model) => {
            configured(model).with_context(|| format!("the model `{alias}` cannot be used"))
        }
        None => discovery::default_model(environment)
            .await
            .context("the model that the environment asks for cannot be used"),
    }
}

fn limits(model: &ModelConfig) -> CallLimits {
    let mut limits = CallLimits::default();
    if let Some(concurrent) = model.max_concurrent {
        limits.concurrent = usize::try_from(concurrent.get()).unwrap_or(usize::MAX);
    }
    if let Some(seconds) = model.timeout_s {
        limits.deadline = Duration::from_secs(seconds.get().into());
    }
    limits
}

fn configured(model: &ModelConfig) -> anyhow::Result<Arc<dyn ModelProvider>> {
    let kind = match model.provider {
        Provider::Openai => ProviderKind::OpenAi,
        Provider::OpenaiResponses => ProviderKind::OpenAiResponses,
        Provider::Anthropic => ProviderKind::Anthropic,
        Provider::Gemini => ProviderKind::Gemini,
        Provider::Ollama => ProviderKind::Ollama,
        Provider::Offline => return Ok(Arc::new(OfflineModel::new())),
    };
    let api_key = model.api_key(environment)?.and_then(ApiKey::new);
    let provider = GenaiProvider::new(GenaiSettings {
        kind,
        model: model.model.clone().unwrap_or_default(),
        base_url: model.base_url.clone(),
        api_key,
    })?;
    Ok(Arc::new(provider))
}

/// A model in a few words, for people.
pub(crate) fn describe(info: &ModelInfo) -> String {
    if is_offline(info) {
        "the offline model, which follows a few fixed rules".to_owned()
    } else {
        format!("{} {}", info.provider, info.model)
    }
}

/// Whether it is the model that is always there.
pub(crate) fn is_offline(info: &ModelInfo) -> bool {
    info.provider == Provider::Offline.name()
}
