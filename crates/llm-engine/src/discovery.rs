//! A model for whoever configured none: from the usual environment variables, else a local
//! Ollama, else the offline model.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::{
    ApiKey, GenaiProvider, GenaiSettings, ModelProvider, OfflineModel, ProviderKind,
    ProviderSetupError,
};

/// The OpenAI model unless `OPENAI_MODEL` names one.
pub const DEFAULT_OPENAI_MODEL: &str = "gpt-5-mini";

/// The Anthropic model unless `ANTHROPIC_MODEL` names one.
pub const DEFAULT_ANTHROPIC_MODEL: &str = "claude-sonnet-4-6";

/// The Gemini model unless `GEMINI_MODEL` names one.
pub const DEFAULT_GEMINI_MODEL: &str = "gemini-2.5-flash";

/// How long a local Ollama has to answer. One that runs answers within a few milliseconds, and
/// whoever starts us without any model waits for it every time.
const OLLAMA_PROBE_TIMEOUT: Duration = Duration::from_millis(300);

/// The longest list of models we read from whatever answers on Ollama's port.
const MAX_TAGS_BYTES: usize = 1024 * 1024;

/// The model to use when none is configured.
///
/// `lookup` reads an environment variable; it is a parameter so that the environment stays the
/// caller's choice. Fails if the environment asks for a model that cannot be set up: it is then
/// not replaced by another one in silence.
pub fn default_model(
    lookup: impl Fn(&str) -> Option<String>,
) -> impl Future<Output = Result<Arc<dyn ModelProvider>, ProviderSetupError>> + Send {
    let settings = from_environment(lookup);
    default_model_at(settings, ProviderKind::Ollama.default_base_url(), OLLAMA_PROBE_TIMEOUT)
}

/// The model that the usual environment variables ask for; absent if they ask for none.
///
/// In this order: `OPENAI_API_KEY` or `OPENAI_BASE_URL` (a local server wants no key), with
/// `OPENAI_MODEL`; `ANTHROPIC_API_KEY`, with `ANTHROPIC_MODEL`; `GEMINI_API_KEY`, with
/// `GEMINI_MODEL`. Empty variables count as absent.
pub fn from_environment(lookup: impl Fn(&str) -> Option<String>) -> Option<GenaiSettings> {
    let read = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
    let key = |name: &str| read(name).and_then(ApiKey::new);
    let model = |name: &str, default: &str| read(name).unwrap_or_else(|| default.to_owned());

    let base_url = read("OPENAI_BASE_URL");
    let openai_key = key("OPENAI_API_KEY");
    if openai_key.is_some() || base_url.is_some() {
        return Some(GenaiSettings {
            kind: ProviderKind::OpenAi,
            model: model("OPENAI_MODEL", DEFAULT_OPENAI_MODEL),
            base_url,
            api_key: openai_key,
        });
    }
    let anthropic = key("ANTHROPIC_API_KEY").map(|key| GenaiSettings {
        kind: ProviderKind::Anthropic,
        model: model("ANTHROPIC_MODEL", DEFAULT_ANTHROPIC_MODEL),
        base_url: None,
        api_key: Some(key),
    });
    anthropic.or_else(|| {
        key("GEMINI_API_KEY").map(|key| GenaiSettings {
            kind: ProviderKind::Gemini,
            model: model("GEMINI_MODEL", DEFAULT_GEMINI_MODEL),
            base_url: None,
            api_key: Some(key),
        })
    })
}

/// The first chat model of an Ollama on this machine; absent if none answers within 300 ms.
pub async fn from_local_ollama() -> Option<GenaiSettings> {
    ollama_at(ProviderKind::Ollama.default_base_url(), OLLAMA_PROBE_TIMEOUT).await
}

async fn default_model_at(
    settings: Option<GenaiSettings>,
    ollama: &str,
    timeout: Duration,
) -> Result<Arc<dyn ModelProvider>, ProviderSetupError> {
    let settings = match settings {
        Some(settings) => Some(settings),
        None => ollama_at(ollama, timeout).await,
    };
    match settings {
        Some(settings) => Ok(Arc::new(GenaiProvider::new(settings)?)),
        None => Ok(Arc::new(OfflineModel::new())),
    }
}

/// Ollama's list of models, as far as we read it.
#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

async fn ollama_at(base_url: &str, timeout: Duration) -> Option<GenaiSettings> {
    let tags = tokio::time::timeout(timeout, read_tags(base_url)).await.ok()??;
    // Models for embeddings cannot chat, and stand in the same list.
    let model = tags.models.into_iter().find(|tag| !tag.name.contains("embed"))?;
    Some(GenaiSettings {
        kind: ProviderKind::Ollama,
        model: model.name,
        base_url: Some(base_url.to_owned()),
        api_key: None,
    })
}

/// Absent for whatever is not an Ollama: that nothing answers is the usual case, no error.
async fn read_tags(base_url: &str) -> Option<Tags> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .ok()?;
    let mut response = client
        .get(format!("{base_url}api/tags"))
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .ok()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_TAGS_BYTES {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wiremock::matchers::{method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    /// Longer than the probe's own timeout: a busy machine is no missing server.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn environment(
        variables: &'static [(&'static str, &'static str)],
    ) -> impl Fn(&str) -> Option<String> {
        move |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    async fn ollama(models: serde_json::Value) -> (MockServer, String) {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path("/api/tags"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "models": models })))
            .mount(&server)
            .await;
        let base_url = format!("{}/", server.uri());
        (server, base_url)
    }

    #[test]
    fn openai_comes_first_and_reads_its_three_variables() {
        let settings = from_environment(environment(&[
            ("ANTHROPIC_API_KEY", "a"),
            ("OPENAI_API_KEY", "o"),
            ("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
            ("OPENAI_MODEL", "local"),
        ]))
        .unwrap();
        assert_eq!(settings.kind, ProviderKind::OpenAi);
        assert_eq!(settings.model, "local");
        assert_eq!(settings.base_url.as_deref(), Some("http://127.0.0.1:8000/v1"));
        assert_eq!(settings.api_key, ApiKey::new("o"));
    }

    #[test]
    fn a_base_url_alone_is_a_server_without_a_key() {
        let settings =
            from_environment(environment(&[("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")]))
                .unwrap();
        assert_eq!(settings.api_key, None);
    }

    #[test]
    fn the_other_providers_follow_and_empty_variables_count_as_absent() {
        let settings = from_environment(environment(&[
            ("OPENAI_API_KEY", " "),
            ("ANTHROPIC_API_KEY", "a"),
            ("GEMINI_API_KEY", "g"),
        ]))
        .unwrap();
        assert_eq!(settings.kind, ProviderKind::Anthropic);
        assert_eq!(settings.model, DEFAULT_ANTHROPIC_MODEL);
        let settings = from_environment(environment(&[("GEMINI_API_KEY", "g")])).unwrap();
        assert_eq!(settings.kind, ProviderKind::Gemini);
        assert_eq!(from_environment(environment(&[])), None);
    }

    #[tokio::test]
    async fn a_local_ollama_offers_its_first_chat_model() {
        let (_server, base_url) =
            ollama(json!([{"name": "nomic-embed-text:latest"}, {"name": "qwen3:8b"}])).await;
        let model = default_model_at(None, &base_url, PATIENCE).await.unwrap();
        assert_eq!(model.info().provider, "ollama");
        assert_eq!(model.info().model, "qwen3:8b");
    }

    #[tokio::test]
    async fn without_anything_the_offline_model_answers() {
        let (_server, base_url) = ollama(json!([])).await;
        let model = default_model_at(None, &base_url, PATIENCE).await.unwrap();
        assert_eq!(model.info().provider, "offline");
    }

    #[tokio::test]
    async fn a_port_that_accepts_and_says_nothing_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/", listener.local_addr().unwrap());
        assert_eq!(ollama_at(&base_url, OLLAMA_PROBE_TIMEOUT).await, None);
    }

    #[tokio::test]
    async fn a_bad_base_url_in_the_environment_is_an_error() {
        let settings = from_environment(environment(&[
            ("OPENAI_API_KEY", "o"),
            ("OPENAI_BASE_URL", "nonsense"),
        ]));
        let error = default_model_at(settings, "http://127.0.0.1:1/", PATIENCE).await.unwrap_err();
        assert!(matches!(error, ProviderSetupError::BaseUrl { .. }));
    }
}
