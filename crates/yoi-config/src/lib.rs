//! The schema of `yoi.toml`.
//!
//! Everything in it is checked when it is read: an unknown key, a bad value or a bad name is an
//! error that names the file, the line and the key, and says what would be right. A
//! configuration holds no secret; it names the environment variables that do.
//!
//! ```
//! let config = yoi_config::Config::parse(
//!     r#"
//!     [models.default]
//!     provider = "openai"
//!     model = "gpt-5-mini"
//!     api_key_env = "OPENAI_API_KEY"
//!
//!     [policy.companion]
//!     llm = ["default"]
//!     "#,
//!     "yoi.toml",
//! )?;
//! assert_eq!(config.models.len(), 1);
//! # Ok::<(), yoi_config::ConfigError>(())
//! ```

mod backend;
mod command;
mod config;
mod digest;
mod error;
mod model;
mod policy;
mod profile;
mod root;
mod source;
#[cfg(test)]
mod tests;

pub use backend::{RemoteConfig, WorkspaceConfig};
pub use command::CommandConfig;
pub use config::{
    Config, Confine, DEFAULT_LISTEN, DEFAULT_RUNTIME_LISTEN, MAX_SHUTDOWN_GRACE_S, RuntimeConfig,
    ServerConfig, TlsConfig,
};
pub use error::{ConfigError, InvalidConfig};
pub use model::{EnvName, InvalidEnvName, MissingApiKeyError, ModelConfig, Provider};
pub use profile::{ComponentSource, ProfileConfig};
pub use root::{GitDirectories, RootConfig};
