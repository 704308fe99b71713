//! Real providers, over the wire formats that `genai` speaks.
//!
//! `genai` builds the requests and reads the answers. What it leaves open is decided here: where
//! a key comes from (only from [`GenaiSettings`], never from the environment), what a failure
//! means, how the pieces of a tool request are put apart, and that nothing it would log about a
//! call reaches a log.

mod answer;
mod failure;
mod frames;
mod request;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use genai::adapter::AdapterKind;
use genai::resolver::{AuthData, Endpoint};
use genai::{Client, Headers, ModelIden, ServiceTarget};
use reqwest::Url;
use tracing::Dispatch;

use self::answer::Answer;
use self::failure::Failures;
use self::frames::FrameWatch;
use crate::{ApiKey, ModelError, ModelInfo, ModelProvider, ModelRequest, ModelStream};

/// How long connecting may take. A host that does not accept in this time is down; the answer
/// itself may take much longer and has its own timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The wire formats of the providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// Chat completions, as served by OpenAI and by most local servers and gateways.
    OpenAi,
    /// OpenAI's Responses API.
    OpenAiResponses,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Ollama's own chat API.
    Ollama,
}

impl ProviderKind {
    /// Every kind.
    pub const ALL: [ProviderKind; 5] = [
        ProviderKind::OpenAi,
        ProviderKind::OpenAiResponses,
        ProviderKind::Anthropic,
        ProviderKind::Gemini,
        ProviderKind::Ollama,
    ];

    /// Its name in configuration, for example `openai-responses`.
    pub fn as_str(self) -> &'static str {
        match self {
            ProviderKind::OpenAi => "openai",
            ProviderKind::OpenAiResponses => "openai-responses",
            ProviderKind::Anthropic => "anthropic",
            ProviderKind::Gemini => "gemini",
            ProviderKind::Ollama => "ollama",
        }
    }

    /// Where the provider is reached unless configured otherwise.
    pub fn default_base_url(self) -> &'static str {
        match self {
            ProviderKind::OpenAi | ProviderKind::OpenAiResponses => "https://api.openai.com/v1/",
            ProviderKind::Anthropic => "https://api.anthropic.com/v1/",
            ProviderKind::Gemini => "https://generativelanguage.googleapis.com/v1beta/",
            ProviderKind::Ollama => "http://127.0.0.1:11434/",
        }
    }

    fn adapter(self) -> AdapterKind {
        match self {
            ProviderKind::OpenAi => AdapterKind::OpenAI,
            ProviderKind::OpenAiResponses => AdapterKind::OpenAIResp,
            ProviderKind::Anthropic => AdapterKind::Anthropic,
            ProviderKind::Gemini => AdapterKind::Gemini,
            ProviderKind::Ollama => AdapterKind::Ollama,
        }
    }

    /// Where requests go, below the base URL, for the kinds that may be used without a key.
    fn keyless_path(self) -> Option<&'static str> {
        match self {
            ProviderKind::OpenAi => Some("chat/completions"),
            ProviderKind::OpenAiResponses => Some("responses"),
            ProviderKind::Anthropic | ProviderKind::Gemini | ProviderKind::Ollama => None,
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ProviderKind {
    type Err = UnknownProviderKind;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(UnknownProviderKind)
    }
}

/// A name that is no [`ProviderKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such provider; known are openai, openai-responses, anthropic, gemini and ollama")]
pub struct UnknownProviderKind;

/// Which model of which provider, and how to reach it.
#[derive(Clone, PartialEq, Eq)]
pub struct GenaiSettings {
    /// The wire format.
    pub kind: ProviderKind,
    /// The provider's name of the model. For [`ProviderKind::Anthropic`] and
    /// [`ProviderKind::Gemini`], a last part that names a reasoning effort (`-low`, `-high` and
    /// the like) is sent as that effort and not as part of the name.
    pub model: String,
    /// Where the provider is reached; absent means [`ProviderKind::default_base_url`]. A missing
    /// slash at the end is added. Refused with credentials inside.
    pub base_url: Option<String>,
    /// The key. Local servers want none, and then no authorization is sent.
    pub api_key: Option<ApiKey>,
}

/// Without the base URL: one that is refused may hold credentials.
impl fmt::Debug for GenaiSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GenaiSettings")
            .field("kind", &self.kind)
            .field("model", &self.model)
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// Why a provider could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderSetupError {
    /// The model has no name.
    #[error("the model name is empty")]
    EmptyModel,
    /// The base URL is not a URL a request can be sent to.
    #[error("the base URL is not valid: {reason}")]
    BaseUrl {
        /// What is wrong with it. The URL itself is not repeated.
        reason: &'static str,
    },
    /// The HTTP client could not be set up, most often for want of root certificates.
    #[error("the HTTP client cannot be set up: {reason}")]
    HttpClient {
        /// Why.
        reason: String,
    },
}

/// One model of a real provider.
#[derive(Clone)]
pub struct GenaiProvider {
    kind: ProviderKind,
    model: String,
    base_url: Url,
    api_key: Option<ApiKey>,
    client: Client,
}

impl GenaiProvider {
    /// Checks the settings. Connects only with the first call.
    pub fn new(settings: GenaiSettings) -> Result<Self, ProviderSetupError> {
        let GenaiSettings { kind, model, base_url, api_key } = settings;
        if model.trim().is_empty() {
            return Err(ProviderSetupError::EmptyModel);
        }
        let base_url =
            parse_base_url(kind, base_url.as_deref().unwrap_or(kind.default_base_url()))?;
        let http = http_client(&base_url)?;
        let client = Client::builder()
            .with_reqwest(http)
            .build()
            .map_err(|error| ProviderSetupError::HttpClient { reason: error.to_string() })?;
        Ok(Self { kind, model, base_url, api_key, client })
    }

    /// Where the call goes and with which key. Given whole, it keeps `genai` from looking for
    /// either by itself.
    fn target(&self) -> Result<ServiceTarget, ModelError> {
        let auth = match (&self.api_key, self.kind.keyless_path()) {
            (Some(key), _) => AuthData::from_single(key.expose()),
            // Without a key these adapters refuse the call; with a URL and headers given, they
            // send no authorization.
            (None, Some(path)) => AuthData::RequestOverride {
                url: self.endpoint(path)?.into(),
                headers: Headers::default(),
            },
            (None, None) => AuthData::from_single(String::new()),
        };
        Ok(ServiceTarget {
            endpoint: Endpoint::from_owned(self.base_url.as_str()),
            auth,
            model: ModelIden::new(self.kind.adapter(), self.model.as_str()),
        })
    }

    fn endpoint(&self, path: &str) -> Result<Url, ModelError> {
        let mut url = self.base_url.join(path).map_err(|_parse| ModelError::Invalid {
            message: "the base URL cannot be extended".to_owned(),
        })?;
        url.set_query(self.base_url.query());
        Ok(url)
    }

    fn failures(&self) -> Failures {
        Failures { host: host_of(&self.base_url), api_key: self.api_key.clone() }
    }
}

/// Without the path and query of the base URL: gateways put tokens there.
impl fmt::Debug for GenaiProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GenaiProvider")
            .field("kind", &self.kind)
            .field("model", &self.model)
            .field("host", &host_of(&self.base_url))
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ModelProvider for GenaiProvider {
    fn info(&self) -> ModelInfo {
        ModelInfo { provider: self.kind.as_str().to_owned(), model: self.model.clone() }
    }

    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        let failures = self.failures();
        let frames = Arc::new(FrameWatch::new(self.kind));
        let options = request::options(self.kind, &self.model, &request)
            .with_raw_frame_sink_arc(frames.clone());
        let chat = request::chat(self.kind, request);
        let target = self.target()?;
        let opened = quiet_future(self.client.exec_chat_stream(target, chat, Some(&options))).await;
        match opened {
            Ok(opened) => Ok(Box::pin(Answer::new(self.kind, opened.stream, frames, failures))),
            Err(error) => Err(failures.of_genai(&error)),
        }
    }
}

/// Runs `work` without anything it logs reaching a log.
///
/// `genai` logs the bodies of failed responses as errors, and providers repeat the request's
/// headers in them; its HTTP stack logs URLs.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    tracing::dispatcher::with_default(&Dispatch::none(), work)
}

async fn quiet_future<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| quietly(|| future.as_mut().poll(context))).await
}

fn parse_base_url(kind: ProviderKind, text: &str) -> Result<Url, ProviderSetupError> {
    let refuse = |reason| Err(ProviderSetupError::BaseUrl { reason });
    let Ok(mut url) = Url::parse(text.trim()) else {
        return refuse("it is not a URL");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return refuse("it must start with http:// or https:// and name a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it holds credentials; give the key separately");
    }
    if url.fragment().is_some() {
        return refuse("it holds a fragment");
    }
    if url.query().is_some() && kind.keyless_path().is_none() {
        return refuse("this provider takes no query in it");
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// The host and, where it is not the usual one, the port: all of a URL that errors may show.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("the provider");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn http_client(base_url: &Url) -> Result<reqwest::Client, ProviderSetupError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        // A redirect would carry the conversation, and for some providers the key, elsewhere.
        .redirect(reqwest::redirect::Policy::none());
    if base_url.scheme() == "http" {
        // No TLS can occur. Without this, a machine without root certificates could not even
        // talk to a server of its own.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(base_url) {
        // The proxy of the environment is for the world outside.
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| ProviderSetupError::HttpClient { reason: failure::innermost(&error) })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod test_servers;
#[cfg(test)]
mod tests;
