//! The remote Runtimes that requests to the API added: how each is reached, in a file that outlives the
//! process. Tokens are not in it, only where they are.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use runtime_client::{AuthToken, ClientOptions, RuntimeClient};
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, task};
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;
use worker_types::{RuntimeError, RuntimeId};

use crate::{Registration, RemoteRuntime, RuntimeRegistry, RuntimeSource, TokenPlace};

/// The most Runtimes that requests add: each is asked how it fares for as long as it is here.
const MOST_RUNTIMES: usize = 64;

/// The longest certificates of one: a bundle of some dozens.
const MOST_CERTIFICATE_BYTES: usize = 64 << 10;

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
    /// Certificates, as PEM, that are trusted besides those of the system: for one that made its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
}

/// The definitions, and the directory where they are kept.
#[derive(Debug)]
pub struct RemoteDefinitions {
    directory: PathBuf,
    /// Those that the configuration has, as far as requests could name their tokens.
    configured: Vec<RemoteDefinition>,
    /// One change after the other.
    kept: Mutex<Kept>,
    changes: TaskTracker,
}

/// What the file has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    runtimes: BTreeMap<RuntimeId, RemoteDefinition>,
    /// Whom each token was for last, also after its Runtime is gone: or else who may remove a Runtime could have
    /// its token sent elsewhere after that.
    tokens: Vec<TokenUse>,
}

/// Whom a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenUse {
    token: TokenPlace,
    endpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificates: Option<String>,
}

impl TokenUse {
    fn of(definition: &RemoteDefinition) -> Self {
        let RemoteDefinition { runtime_id: _, endpoint, token, certificates } = definition.clone();
        Self { token, endpoint, certificates }
    }
}

/// What is to become of the list.
enum Change {
    Add(RemoteDefinition),
    Replace(RemoteDefinition),
    /// As it is: its token may be there again.
    ReadToken(RuntimeId),
    Remove(RuntimeId),
}

impl RemoteDefinitions {
    /// Those of this data directory.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or makes no sense.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let kept = match fs::read(directory.join("remotes.json")) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            directory: directory.to_owned(),
            configured: Vec::new(),
            kept: Mutex::new(kept),
            changes: TaskTracker::new(),
        })
    }

    /// The same beside these Runtimes, which the configuration has and requests do not change: no browser has
    /// a token of theirs sent elsewhere.
    #[must_use]
    pub fn beside(mut self, configured: Vec<RemoteDefinition>) -> Self {
        self.configured = configured;
        self
    }

    /// All of them.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = &RemoteDefinition> {
        self.kept.get_mut().runtimes.values()
    }

    /// The Runtime that is described, not asked yet.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the address is none, the token is not there, or the certificates are none or longer than
    /// 64 KiB.
    pub fn connect(&self, definition: &RemoteDefinition) -> Result<RemoteRuntime, RuntimeError> {
        check_certificates(definition)?;
        let token = self.token(definition).map_err(invalid)?;
        Ok(RemoteRuntime::new(definition.runtime_id.clone(), client(definition, token)?))
    }

    /// The same of one that was added before: where its token is not there any more, the Runtime is, and is
    /// listed with the reason.
    pub(crate) fn reconnect(
        &self,
        definition: &RemoteDefinition,
    ) -> Result<RemoteRuntime, RuntimeError> {
        let id = definition.runtime_id.clone();
        match self.token(definition) {
            Ok(token) => Ok(RemoteRuntime::new(id, client(definition, token)?)),
            Err(reason) => {
                let client = client(definition, String::new())?;
                Ok(RemoteRuntime::new(id, client).without_token(reason))
            }
        }
    }

    /// Whether this token is for another Runtime: one at another address, or that proves in another way that it
    /// is there.
    pub(crate) async fn is_token_of_another(&self, definition: &RemoteDefinition) -> bool {
        let wanted = TokenUse::of(definition);
        let kept = self.kept.lock().await;
        let configured = self.configured.iter().map(TokenUse::of);
        let mut known = kept.tokens.iter().cloned().chain(configured);
        known.any(|known| known.token == wanted.token && known != wanted)
    }

    /// Adds a Runtime to the registry, and keeps how it is reached.
    ///
    /// # Errors
    ///
    /// As of [`connect`](Self::connect); `RuntimeExists`, `Capacity` where requests have added 64,
    /// `RuntimeUnavailable` where it cannot be kept.
    pub(crate) async fn add(
        self: &Arc<Self>,
        registry: &Arc<RuntimeRegistry>,
        definition: RemoteDefinition,
    ) -> Result<(), RuntimeError> {
        self.change(registry, Change::Add(definition)).await
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
        self.change(registry, Change::Replace(definition)).await
    }

    /// Looks anew for the token of a Runtime that was added: it may be there again.
    ///
    /// # Errors
    ///
    /// As of [`replace`](Self::replace).
    pub(crate) async fn read_token_again(
        self: &Arc<Self>,
        registry: &Arc<RuntimeRegistry>,
        runtime_id: &RuntimeId,
    ) -> Result<(), RuntimeError> {
        self.change(registry, Change::ReadToken(runtime_id.clone())).await
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
        self.change(registry, Change::Remove(runtime_id)).await
    }

    /// Waits for the changes that go on.
    pub(crate) async fn settled(&self) {
        self.changes.close();
        self.changes.wait().await;
    }

    /// Makes a change whole, also where nobody waits for it any more: of half a one the rest would be seen after
    /// the next start.
    async fn change(
        self: &Arc<Self>,
        registry: &Arc<RuntimeRegistry>,
        change: Change,
    ) -> Result<(), RuntimeError> {
        let (remotes, registry) = (Arc::clone(self), Arc::clone(registry));
        let made = self.changes.spawn(async move { remotes.make(&registry, change).await });
        made.await.unwrap_or_else(|_| {
            let reason = "the change was given up: the Backend is going away".to_owned();
            Err(RuntimeError::RuntimeUnavailable { reason })
        })
    }

    /// First in the file, then in the registry: what is there now and not with the next start, or the other way
    /// round, would astonish, and nobody would know why.
    async fn make(&self, registry: &RuntimeRegistry, change: Change) -> Result<(), RuntimeError> {
        let mut kept = self.kept.lock().await;
        let known = registry.lookup(change.runtime_id());
        let mut changed = kept.clone();
        let (definition, is_new) = match change {
            Change::Add(RemoteDefinition { runtime_id, .. }) if known.is_ok() => {
                return Err(RuntimeError::RuntimeExists { runtime_id });
            }
            Change::Add(_) if changed.runtimes.len() >= MOST_RUNTIMES => {
                let reason =
                    format!("requests have added {MOST_RUNTIMES} Runtimes: remove one first");
                return Err(RuntimeError::Capacity { reason });
            }
            Change::Add(definition) => (definition, true),
            Change::Replace(definition) => {
                known?.changeable()?;
                (definition, false)
            }
            Change::ReadToken(runtime_id) => {
                known?.changeable()?;
                let definition = changed.runtimes.get(&runtime_id).cloned();
                (definition.ok_or(RuntimeError::UnknownRuntime { runtime_id })?, false)
            }
            Change::Remove(runtime_id) => {
                known?.changeable()?;
                changed.runtimes.remove(&runtime_id);
                self.write(&mut kept, changed).await?;
                return registry.unregister(&runtime_id, true).await.map(drop);
            }
        };
        let runtime_id = definition.runtime_id.clone();
        let remote = RuntimeSource::remote(self.connect(&definition)?);
        let registration = Registration::new(remote).by_api();
        let token = TokenUse::of(&definition);
        changed.tokens.retain(|known| known.token != token.token);
        changed.tokens.push(token);
        changed.runtimes.insert(runtime_id.clone(), definition);
        self.write(&mut kept, changed).await?;
        if !is_new {
            registry.replace(registration);
            return Ok(());
        }
        let registered = registry.register(registration);
        if registered.is_err() {
            // Whoever else keeps the registry was faster.
            let mut before = kept.clone();
            before.runtimes.remove(&runtime_id);
            self.write(&mut kept, before).await?;
        }
        registered
    }

    async fn write(&self, kept: &mut Kept, changed: Kept) -> Result<(), RuntimeError> {
        let (directory, new) = (self.directory.clone(), changed.clone());
        let written = task::spawn_blocking(move || replace_file(&directory, &new)).await;
        if let Err(error) = written.map_err(io::Error::from).flatten() {
            tracing::error!(%error, "the list of remote Runtimes cannot be written");
            let reason =
                "the list of remote Runtimes cannot be written; the log of the Backend says why";
            return Err(RuntimeError::RuntimeUnavailable { reason: reason.to_owned() });
        }
        *kept = changed;
        Ok(())
    }

    fn token(&self, definition: &RemoteDefinition) -> Result<String, String> {
        definition.token.read(&self.directory.join("tokens"))
    }
}

impl Change {
    fn runtime_id(&self) -> &RuntimeId {
        match self {
            Self::Add(definition) | Self::Replace(definition) => &definition.runtime_id,
            Self::ReadToken(runtime_id) | Self::Remove(runtime_id) => runtime_id,
        }
    }
}

fn check_certificates(definition: &RemoteDefinition) -> Result<(), RuntimeError> {
    let Some(certificates) = &definition.certificates else { return Ok(()) };
    if certificates.len() > MOST_CERTIFICATE_BYTES {
        return Err(invalid(format!(
            "the certificates are longer than {MOST_CERTIFICATE_BYTES} bytes"
        )));
    }
    if certificates.contains("PRIVATE KEY") {
        return Err(invalid(
            "the certificates have a private key among them: take it out".to_owned(),
        ));
    }
    if certificates.trim().is_empty() {
        return Err(invalid("the certificates are empty: leave them out, or give some".to_owned()));
    }
    Ok(())
}

fn client(definition: &RemoteDefinition, token: String) -> Result<RuntimeClient, RuntimeError> {
    let certificates = definition.certificates.clone().unwrap_or_default().into_bytes();
    let options = ClientOptions { certificates, ..ClientOptions::default() };
    RuntimeClient::with_options(&definition.endpoint, AuthToken::new(token), options)
        .map_err(|error| invalid(error.to_string()))
}

/// The new file takes the place of the old one in one step, so that a crash leaves one of them.
fn replace_file(directory: &Path, kept: &Kept) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(kept)?;
    let new = directory.join("remotes.json.new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    io::Write::write_all(&mut file, &text)?;
    file.sync_all()?;
    fs::rename(&new, directory.join("remotes.json"))?;
    fs::File::open(directory)?.sync_all()
}

fn invalid(reason: String) -> RuntimeError {
    RuntimeError::InvalidInput { reason }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn definition(token: TokenPlace) -> RemoteDefinition {
        let endpoint = "http://127.0.0.1:1".to_owned();
        let runtime_id = "far".parse().expect("an id");
        RemoteDefinition { runtime_id, endpoint, token, certificates: None }
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
