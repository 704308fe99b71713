//! `[models.ALIAS]`: which model stands behind an alias.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Serialize};

/// Which model stands behind an alias, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Whose API it speaks.
    pub provider: Provider,
    /// The model's name at the provider. Required, but for `offline`.
    pub model: Option<String>,
    /// Where the API is, up to and including its version, such as `http://127.0.0.1:8000/v1/`;
    /// absent means the provider's own place. It always ends in a slash.
    pub base_url: Option<String>,
    /// The environment variable that holds the key. Absent means the provider's usual one, unless
    /// `base_url` is set: a key is never sent to another place than its owner's unless somebody
    /// said so.
    pub api_key_env: Option<EnvName>,
    /// How many calls may be open at once; further ones wait. Absent means 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<NonZeroU32>,
    /// How long a call may take, in seconds, with all that it waits for. Absent means 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<NonZeroU32>,
}

impl ModelConfig {
    /// The environment variable that holds the key; `None` where no key is sent.
    #[must_use]
    pub fn key_variable(&self) -> Option<&str> {
        match (&self.api_key_env, &self.base_url) {
            (Some(name), _) => Some(name.as_str()),
            (None, Some(_)) => None,
            (None, None) => self.provider.usual_key_variable(),
        }
    }

    /// The key, looked up in `environment`; `None` where no key is sent.
    ///
    /// An empty variable counts as a missing one.
    pub fn api_key(
        &self,
        environment: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Option<String>, MissingApiKeyError> {
        let Some(variable) = self.key_variable() else { return Ok(None) };
        match environment(variable).filter(|key| !key.trim().is_empty()) {
            Some(key) => Ok(Some(key)),
            None => Err(MissingApiKeyError { variable: variable.to_owned() }),
        }
    }

    /// What is wrong between the keys: the key and the message.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.model.as_deref().is_none_or(str::is_empty) && self.provider != Provider::Offline {
            let message = format!(
                "missing key `model`: name the model that `{}` is to be asked for",
                self.provider
            );
            return Err(("model", message));
        }
        let Some(url) = &self.base_url else { return Ok(()) };
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        let message = match authority {
            None | Some("") => "expected a URL such as `http://127.0.0.1:8000/v1/`",
            Some(authority) if authority.contains('@') => {
                "a configuration holds no passwords: take the user out of the URL, and name the \
                 variable that holds the key in `api_key_env`"
            }
            Some(_) if url.contains(['?', '#']) => "expected a URL without `?` and `#`",
            Some(_) => return Ok(()),
        };
        Err(("base_url", message.to_owned()))
    }

    /// The same with a base URL that paths can be appended to.
    pub(crate) fn normalized(mut self) -> Self {
        if let Some(url) = &mut self.base_url
            && !url.ends_with('/')
        {
            url.push('/');
        }
        self
    }
}

/// Whose API a model speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// OpenAI's chat completions, and the many servers that speak the same.
    Openai,
    /// OpenAI's responses.
    OpenaiResponses,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// A local Ollama.
    Ollama,
    /// The small rule-based model that needs no network.
    Offline,
}

impl Provider {
    /// The word for it in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::OpenaiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Offline => "offline",
        }
    }

    /// The environment variable that the provider's own tools read the key from.
    #[must_use]
    pub const fn usual_key_variable(self) -> Option<&'static str> {
        match self {
            Self::Openai | Self::OpenaiResponses => Some("OPENAI_API_KEY"),
            Self::Anthropic => Some("ANTHROPIC_API_KEY"),
            Self::Gemini => Some("GEMINI_API_KEY"),
            Self::Ollama | Self::Offline => None,
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvName(String);

impl EnvName {
    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that names no environment variable. It does not repeat the text, which may be the key
/// itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of an environment variable: use letters, digits and `_`, such as \
     `OPENAI_API_KEY`, and never the key itself"
)]
pub struct InvalidEnvName;

impl FromStr for EnvName {
    type Err = InvalidEnvName;

    fn from_str(text: &str) -> Result<Self, InvalidEnvName> {
        let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if starts && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEnvName)
        }
    }
}

impl Serialize for EnvName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EnvName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The environment has no key for a model that needs one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable `{variable}`, which is to hold the model's key, is not set")]
pub struct MissingApiKeyError {
    /// The variable that is to hold it.
    pub variable: String,
}
