//! The remote Runtimes that requests to the API added: how each is reached, in a file that outlives the
//! process. Tokens are not in it, only where they are.

use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use runtime_client::{AuthToken, ClientOptions, RuntimeClient};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize, de};
use tokio::{sync::Mutex, task};
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;
use worker_types::{RuntimeError, RuntimeId};

use crate::{Registration, RemoteRuntime, RuntimeRegistry, RuntimeSource};

/// How the names of variables begin that a request may name: whoever is signed in could else send any secret
/// of the Backend's environment to any address.
const TOKEN_VARIABLES: &str = "YOI_TOKEN_";

/// The longest token that is read from a file.
const MOST_TOKEN_BYTES: u64 = 4_096;

/// A remote Runtime, as a request describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteDefinition {
    /// What it is called here.
    pub runtime_id: RuntimeId,
    /// Where it is, such as `https://host:38800`.
    pub endpoint: String,
    /// Where its token is.
    pub token: TokenPlace,
}

/// Where a token is. The token itself crosses no API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    /// In this variable of the Backend's environment; its name begins with `YOI_TOKEN_`.
    Env(String),
    /// In the file of this name in `tokens/` of the Backend's data directory; for its owner only.
    File(String),
}

impl<'de> Deserialize<'de> for TokenPlace {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenPlaceVisitor)
    }
}

/// Says what is expected and never what was found: somebody may have written the token itself.
struct TokenPlaceVisitor;

impl<'de> de::Visitor<'de> for TokenPlaceVisitor {
    type Value = TokenPlace;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`env` or `file` with a name, and never the token itself")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom(format_args!("expected {}", &self as &dyn de::Expected)))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let unexpected =
            || de::Error::custom(format_args!("expected {}", &self as &dyn de::Expected));
        let place = match map.next_entry::<String, String>()? {
            Some((key, name)) if key == "env" => TokenPlace::Env(name),
            Some((key, name)) if key == "file" => TokenPlace::File(name),
            Some(_) | None => return Err(unexpected()),
        };
        match map.next_key::<de::IgnoredAny>()? {
            None => Ok(place),
            Some(_) => Err(unexpected()),
        }
    }
}

/// The definitions, and the directory where they are kept.
#[derive(Debug)]
pub struct RemoteDefinitions {
    directory: PathBuf,
    /// One change after the other.
    definitions: Mutex<Definitions>,
    changes: TaskTracker,
}

type Definitions = BTreeMap<RuntimeId, RemoteDefinition>;

impl RemoteDefinitions {
    /// Those of this data directory.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or makes no sense.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let definitions: Vec<RemoteDefinition> = match fs::read(directory.join("remotes.json")) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let by_id = definitions.into_iter().map(|one| (one.runtime_id.clone(), one)).collect();
        let definitions = Mutex::new(by_id);
        Ok(Self { directory: directory.to_owned(), definitions, changes: TaskTracker::new() })
    }

    /// All of them.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = &RemoteDefinition> {
        self.definitions.get_mut().values()
    }

    /// The Runtime that is described, not asked yet.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the address is none, or the token is not there.
    pub fn connect(&self, definition: &RemoteDefinition) -> Result<RemoteRuntime, RuntimeError> {
        let token = self.token(&definition.token)?;
        Ok(RemoteRuntime::new(definition.runtime_id.clone(), client(definition, token)?))
    }

    /// The registration of what is described.
    ///
    /// # Errors
    ///
    /// As of [`connect`](Self::connect).
    pub fn registration(
        &self,
        definition: &RemoteDefinition,
    ) -> Result<Registration, RuntimeError> {
        Ok(Registration::new(RuntimeSource::remote(self.connect(definition)?)).by_api())
    }

    /// The same of one that was added before: where its token is not there any more, the Runtime is, and is
    /// listed with the reason.
    pub(crate) fn registration_again(
        &self,
        definition: &RemoteDefinition,
    ) -> Result<Registration, RuntimeError> {
        let source = match self.token(&definition.token) {
            Ok(_) => self.connect(definition)?,
            Err(error) => {
                let id = definition.runtime_id.clone();
                let reason = match error {
                    RuntimeError::InvalidInput { reason } => reason,
                    other => other.to_string(),
                };
                RemoteRuntime::new(id, client(definition, String::new())?).without_token(reason)
            }
        };
        Ok(Registration::new(RuntimeSource::remote(source)).by_api())
    }

    /// Whether a Runtime at another address is asked with this token.
    pub(crate) async fn is_token_of_another(&self, definition: &RemoteDefinition) -> bool {
        let RemoteDefinition { token, endpoint, .. } = definition;
        let definitions = self.definitions.lock().await;
        definitions.values().any(|known| known.token == *token && known.endpoint != *endpoint)
    }

    /// Adds a Runtime to the registry, and keeps how it is reached.
    ///
    /// # Errors
    ///
    /// As of [`connect`](Self::connect); `RuntimeExists`, `RuntimeUnavailable` where it cannot be kept.
    pub(crate) async fn add(
        self: &Arc<Self>,
        registry: &Arc<RuntimeRegistry>,
        definition: RemoteDefinition,
    ) -> Result<(), RuntimeError> {
        let (remotes, registry) = (Arc::clone(self), Arc::clone(registry));
        self.whole(async move {
            let mut definitions = remotes.definitions.lock().await;
            let runtime_id = definition.runtime_id.clone();
            registry.register(remotes.registration(&definition)?)?;
            let mut changed = definitions.clone();
            changed.insert(runtime_id.clone(), definition);
            let written = remotes.write(&mut definitions, changed).await;
            if written.is_err() {
                // What is not kept would be gone with the process, and nobody would know why.
                registry.unregister(&runtime_id, true).await?;
            }
            written
        })
        .await
    }

    /// Has a Runtime that was added reached in another way from now on.
    ///
    /// # Errors
    ///
    /// As of [`connect`](Self::connect); `UnknownRuntime`, `RuntimeInUse` where the configuration has it,
    /// `RuntimeUnavailable` where it cannot be kept.
    pub(crate) async fn replace(
        self: &Arc<Self>,
        registry: &Arc<RuntimeRegistry>,
        definition: RemoteDefinition,
    ) -> Result<(), RuntimeError> {
        let (remotes, registry) = (Arc::clone(self), Arc::clone(registry));
        self.whole(async move {
            let mut definitions = remotes.definitions.lock().await;
            registry.lookup(&definition.runtime_id)?.changeable()?;
            let registration = remotes.registration(&definition)?;
            let mut changed = definitions.clone();
            changed.insert(definition.runtime_id.clone(), definition);
            remotes.write(&mut definitions, changed).await?;
            registry.replace(registration);
            Ok(())
        })
        .await
    }

    /// Removes a Runtime that was added; nobody is asked whether it has Workers.
    ///
    /// # Errors
    ///
    /// `UnknownRuntime`, `RuntimeInUse` where the configuration has it, `RuntimeUnavailable` where it cannot be
    /// forgotten.
    pub(crate) async fn remove(
        self: &Arc<Self>,
        registry: &Arc<RuntimeRegistry>,
        runtime_id: RuntimeId,
    ) -> Result<(), RuntimeError> {
        let (remotes, registry) = (Arc::clone(self), Arc::clone(registry));
        self.whole(async move {
            let mut definitions = remotes.definitions.lock().await;
            registry.lookup(&runtime_id)?.changeable()?;
            let mut changed = definitions.clone();
            changed.remove(&runtime_id);
            // First: one that is gone here, and there again with the next start, would astonish.
            remotes.write(&mut definitions, changed).await?;
            registry.unregister(&runtime_id, true).await?;
            Ok(())
        })
        .await
    }

    /// Waits for the changes that go on.
    pub(crate) async fn settled(&self) {
        self.changes.close();
        self.changes.wait().await;
    }

    /// Makes a change whole, also where nobody waits for it any more: of half a one the rest would be seen after
    /// the next start.
    async fn whole(
        &self,
        change: impl Future<Output = Result<(), RuntimeError>> + Send + 'static,
    ) -> Result<(), RuntimeError> {
        self.changes.spawn(change).await.unwrap_or_else(|_| {
            let reason = "the change was given up: the Backend is going away".to_owned();
            Err(RuntimeError::RuntimeUnavailable { reason })
        })
    }

    async fn write(
        &self,
        definitions: &mut Definitions,
        changed: Definitions,
    ) -> Result<(), RuntimeError> {
        let kept: Vec<RemoteDefinition> = changed.values().cloned().collect();
        let directory = self.directory.clone();
        let written = task::spawn_blocking(move || replace_file(&directory, &kept)).await;
        if let Err(error) = written.map_err(io::Error::from).flatten() {
            tracing::error!(%error, "the list of remote Runtimes cannot be written");
            let reason =
                "the list of remote Runtimes cannot be written; the log of the Backend says why";
            return Err(RuntimeError::RuntimeUnavailable { reason: reason.to_owned() });
        }
        *definitions = changed;
        Ok(())
    }

    fn token(&self, place: &TokenPlace) -> Result<String, RuntimeError> {
        match place {
            TokenPlace::Env(name) if !name.starts_with(TOKEN_VARIABLES) => Err(invalid(format!(
                "the name of a variable that holds a token begins with `{TOKEN_VARIABLES}`"
            ))),
            TokenPlace::Env(name) => env::var(name).map_err(|_| {
                invalid(format!("the Backend's environment has no variable `{name}`"))
            }),
            TokenPlace::File(name) => {
                let is_bare = !name.is_empty()
                    && !name.starts_with('.')
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
                if !is_bare {
                    return Err(invalid(
                        "the name of a token's file has letters, digits, `.`, `_` and `-` only",
                    ));
                }
                read_token(&self.directory.join("tokens").join(name))
                    .map_err(|reason| invalid(format!("the token in `tokens/{name}`: {reason}")))
            }
        }
    }
}

fn client(definition: &RemoteDefinition, token: String) -> Result<RuntimeClient, RuntimeError> {
    let (token, options) = (AuthToken::new(token), ClientOptions::default());
    RuntimeClient::with_options(&definition.endpoint, token, options)
        .map_err(|error| invalid(error.to_string()))
}

/// The new file takes the place of the old one in one step, so that a crash leaves one of them.
fn replace_file(directory: &Path, kept: &[RemoteDefinition]) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(kept)?;
    let new = directory.join("remotes.json.new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    io::Write::write_all(&mut file, &text)?;
    file.sync_all()?;
    fs::rename(&new, directory.join("remotes.json"))?;
    fs::File::open(directory)?.sync_all()
}

/// What is in a token's file, if its owner alone can read it.
///
/// # Errors
///
/// What is wrong with the file, for who can mend it.
pub fn read_token(path: &Path) -> Result<String, String> {
    let file = fs::OpenOptions::new()
        .read(true)
        // Not what a link leads to, and no pipe that never ends.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
        .map_err(|error| error.kind().to_string())?;
    let metadata = file.metadata().map_err(|error| error.kind().to_string())?;
    if !metadata.is_file() || metadata.len() > MOST_TOKEN_BYTES {
        return Err("it is no file with a token".to_owned());
    }
    if metadata.mode() & 0o077 != 0 {
        return Err("others can read the file: `chmod 600` it".to_owned());
    }
    io::read_to_string(file).map_err(|error| error.kind().to_string())
}

fn invalid(reason: impl Into<String>) -> RuntimeError {
    RuntimeError::InvalidInput { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn definition(token: TokenPlace) -> RemoteDefinition {
        let endpoint = "http://127.0.0.1:1".to_owned();
        RemoteDefinition { runtime_id: "far".parse().expect("an id"), endpoint, token }
    }

    #[tokio::test]
    async fn definitions_outlive_the_process_and_hold_no_token() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("tokens")).expect("a directory");
        let token = directory.path().join("tokens/far.token");
        fs::write(&token, "sesame").expect("written");
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("set");
        let open = || RemoteDefinitions::open(directory.path()).expect("definitions");
        let registry = Arc::new(RuntimeRegistry::new());
        let far = definition(TokenPlace::File("far.token".to_owned()));
        Arc::new(open()).add(&registry, far.clone()).await.expect("kept");
        assert!(open().all().eq([&far]));
        let kept = directory.path().join("remotes.json");
        assert_eq!(fs::metadata(&kept).expect("it").mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&kept).expect("text").contains("sesame"));
        Arc::new(open()).remove(&registry, far.runtime_id).await.expect("forgotten");
        assert_eq!(open().all().count(), 0);
        fs::write(kept, "[{").expect("written");
        assert!(RemoteDefinitions::open(directory.path()).is_err());
    }

    #[tokio::test]
    async fn a_change_is_made_whole_where_nobody_waits_for_it() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("tokens")).expect("a directory");
        let token = directory.path().join("tokens/far.token");
        fs::write(&token, "sesame").expect("written");
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("set");
        let remotes = Arc::new(RemoteDefinitions::open(directory.path()).expect("definitions"));
        let registry = Arc::new(RuntimeRegistry::new());
        let far = definition(TokenPlace::File("far.token".to_owned()));
        let mut adding = Box::pin(remotes.add(&registry, far.clone()));
        assert!(futures_util::poll!(&mut adding).is_pending());
        drop(adding);
        remotes.settled().await;
        assert!(registry.lookup(&far.runtime_id).is_ok());
        let mut again = RemoteDefinitions::open(directory.path()).expect("definitions");
        assert!(again.all().eq([&far]));
    }

    #[test]
    fn a_request_names_no_other_secret_of_the_backend() {
        let directory = tempfile::tempdir().expect("a directory");
        let definitions = RemoteDefinitions::open(directory.path()).expect("definitions");
        let refused =
            |token| definitions.connect(&definition(token)).expect_err("refused").to_string();
        assert!(refused(TokenPlace::Env("PATH".to_owned())).contains("YOI_TOKEN_"));
        assert!(refused(TokenPlace::Env("YOI_TOKEN_NONE".to_owned())).contains("no variable"));
        for name in ["../backend.json", "/etc/passwd", ".hidden", "", "a/b", "a\0b"] {
            let told = refused(TokenPlace::File(name.to_owned()));
            assert!(told.contains("letters, digits"), "{name}: {told}");
        }
    }

    #[test]
    fn a_tokens_file_is_for_its_owner_only_and_no_link_or_pipe() {
        let directory = tempfile::tempdir().expect("a directory");
        let tokens = directory.path().join("tokens");
        fs::create_dir(&tokens).expect("a directory");
        let path = tokens.join("far.token");
        fs::write(&path, "sesame\n").expect("written");
        let definitions = RemoteDefinitions::open(directory.path()).expect("definitions");
        let connect =
            |name: &str| definitions.connect(&definition(TokenPlace::File(name.to_owned())));
        let chmod =
            |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        chmod(0o644);
        let told = connect("far.token").expect_err("readable").to_string();
        assert!(told.contains("chmod 600") && !told.contains("sesame"), "{told}");
        assert!(!told.contains(&directory.path().display().to_string()), "{told}");
        chmod(0o600);
        let remote = connect("far.token").expect("a Runtime");
        assert!(!format!("{remote:?}").contains("sesame"));
        std::os::unix::fs::symlink(&path, tokens.join("link")).expect("a link");
        assert!(connect("link").is_err());
        rustix::fs::mkfifoat(rustix::fs::CWD, tokens.join("pipe"), rustix::fs::Mode::RUSR)
            .expect("a pipe");
        assert!(connect("pipe").is_err());
        assert!(connect("none").is_err());
    }
}
