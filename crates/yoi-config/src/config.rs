//! The whole of a configuration, and how it is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de};
use worker_types::{
    Access, CommandName, ConfigDigest, Grants, HostName, Limits, ModelAlias, Preopen, ProfileName,
    Retention, RootName, RuntimeId, WorkspaceName,
};

use crate::{
    CommandConfig, ConfigError, InvalidConfig, ModelConfig, ProfileConfig, RemoteConfig,
    RootConfig, WorkspaceConfig, backend::RuntimesTable, digest, policy::PolicyTable,
    source::SourceText,
};

/// Where a Backend listens unless it is told otherwise: on this machine alone, at a port that no
/// well-known service uses and that is below those the kernel hands out by itself.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8900);

/// The longest grace of a process that is asked to end: six times what a turn may take by default. Whoever waits
/// longer means to drain it first.
pub const MAX_SHUTDOWN_GRACE_S: u64 = 3600;

/// The same for a Runtime process.
pub const DEFAULT_RUNTIME_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 38_800);

/// The longest configuration: hundreds of times what anybody writes, and little to read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A configuration. The default one is that of an empty file.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The file it was read from, if there is one.
    pub file: Option<PathBuf>,
    /// `[runtime]`.
    pub runtime: RuntimeConfig,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[roots.NAME]`.
    pub roots: BTreeMap<RootName, RootConfig>,
    /// `[models.ALIAS]`.
    pub models: BTreeMap<ModelAlias, ModelConfig>,
    /// `[profiles.NAME]`.
    pub profiles: BTreeMap<ProfileName, ProfileConfig>,
    /// `[policy.PROFILE]`: what the Backend grants to Workers of a profile.
    pub policy: BTreeMap<ProfileName, Grants>,
    /// What Workers of a profile may do with the directory of the workspace that they are created in:
    /// `workspace` below `[policy.PROFILE]`.
    pub workspace_access: BTreeMap<ProfileName, Access>,
    /// `[workspaces.NAME]`.
    pub workspaces: BTreeMap<WorkspaceName, WorkspaceConfig>,
    /// `[[runtimes.remote]]`.
    pub remotes: Vec<RemoteConfig>,
    /// `[commands.NAME]`: what all scripts find.
    pub commands: BTreeMap<CommandName, CommandConfig>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[retention]`: how long events are kept; for ever where nothing is written.
    pub retention: Retention,
    /// What tells it apart from others, if there is a file.
    pub digest: Option<ConfigDigest>,
    pub(crate) source: SourceText,
}

/// `[runtime]`: the Runtime that is built in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Its id.
    pub id: Option<RuntimeId>,
    /// Its name for eyes.
    pub display_name: Option<String>,
    /// The profile of a Worker whose creator names none.
    pub default_profile: Option<ProfileName>,
}

/// `[server]`: the process that serves: the Backend, or a Runtime by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen; absent means [`DEFAULT_LISTEN`] for a Backend, and [`DEFAULT_RUNTIME_LISTEN`] for a
    /// Runtime. Port 0 takes a free one.
    #[serde(deserialize_with = "listen_address")]
    pub listen: Option<SocketAddr>,
    /// The directory for what must survive. A relative one starts at the configuration.
    #[serde(deserialize_with = "directory")]
    pub data_dir: Option<PathBuf>,
    /// Whether the process is confined to what it needs of the disk.
    pub confine: Confine,
    /// What connections are encrypted with. Without, the process listens on addresses of its own machine only.
    pub tls: Option<TlsConfig>,
    /// What browsers and clients call the process by, besides its address: such as the name in its certificate.
    pub names: BTreeSet<HostName>,
    /// How long running turns may take to end once the process is asked to, in seconds; at most
    /// [`MAX_SHUTDOWN_GRACE_S`]. Absent means what fits the command.
    pub shutdown_grace_s: Option<u64>,
}

/// `[server.tls]`: files in PEM, which are read when the process starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificates: the server's own, then those that lead to one that clients trust. A relative path
    /// starts at the configuration.
    #[serde(deserialize_with = "path")]
    pub certificate: PathBuf,
    /// The private key of the first. A relative path starts at the configuration.
    #[serde(deserialize_with = "path")]
    pub key: PathBuf,
}

/// Whether a process that serves is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confine {
    /// As far as the kernel can, which is told.
    #[default]
    BestEffort,
    /// It starts nowhere where the kernel cannot.
    Required,
    /// It is not.
    Off,
}

impl Config {
    /// Reads the configuration `file`.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let name = file.display().to_string();
        match read_text(file) {
            Ok(text) => Self::parse(&text, file),
            Err(source) => Err(ConfigError::Read { file: name, source }),
        }
    }

    /// Reads the user's configuration, `$XDG_CONFIG_HOME/yoi/yoi.toml` or
    /// `~/.config/yoi/yoi.toml`. Where there is none, everything has its default.
    pub fn discover() -> Result<Self, ConfigError> {
        let Some(file) = Self::user_file(|name| std::env::var_os(name)) else {
            return Ok(Self::default());
        };
        match Self::load(&file) {
            Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            loaded => loaded,
        }
    }

    /// Where the user's configuration is, by the variables of `environment`; `None` where they name
    /// no home.
    pub fn user_file(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        // The XDG specification: relative paths are invalid and to be ignored.
        let directory = |name| environment(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
        directory("XDG_CONFIG_HOME")
            .or_else(|| directory("HOME").map(|home| home.join(".config")))
            .map(|base| base.join("yoi").join("yoi.toml"))
    }

    /// Reads `text` as the contents of `file`, which need not exist: its name stands in errors, and
    /// relative paths start in its directory.
    pub fn parse(text: &str, file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let file = file.as_ref();
        let source = SourceText::new(&file.display().to_string(), text);
        let table: FileTable = toml::from_str(text).map_err(|error| source.explain(&error))?;
        let FileTable {
            runtime,
            server,
            roots,
            models,
            profiles,
            policy,
            workspaces,
            runtimes,
            commands,
            limits,
            retention,
        } = table;
        let access_of = |(name, table): (&ProfileName, &PolicyTable)| {
            table.workspace.map(|access| (name.clone(), access))
        };
        let mut config = Self {
            file: Some(file.to_owned()),
            runtime,
            server,
            roots,
            models,
            profiles,
            workspace_access: policy.iter().filter_map(access_of).collect(),
            policy: policy.into_iter().map(|(name, table)| (name, table.grants())).collect(),
            workspaces,
            remotes: runtimes.remote,
            commands,
            limits,
            retention,
            digest: None,
            source,
        };
        config.check()?;
        config.models =
            config.models.into_iter().map(|(alias, model)| (alias, model.normalized())).collect();
        // Before paths are resolved: the same file in another place is the same configuration.
        config.digest = Some(digest::of(&config)?);
        let base = file.parent().unwrap_or(Path::new(""));
        if let Some(data_dir) = &mut config.server.data_dir {
            *data_dir = base.join(&data_dir);
        }
        if let Some(TlsConfig { certificate, key }) = &mut config.server.tls {
            *certificate = base.join(&certificate);
            *key = base.join(&key);
        }
        for remote in &mut config.remotes {
            let paths = [&mut remote.token_file, &mut remote.certificates];
            for path in paths.into_iter().flatten() {
                *path = base.join(&path);
            }
        }
        for root in config.roots.values_mut() {
            root.path = base.join(&root.path);
        }
        for profile in config.profiles.values_mut() {
            profile.component.relative_to(base);
            for component in profile.commands.values_mut() {
                *component = base.join(&component);
            }
        }
        for command in config.commands.values_mut() {
            command.component = base.join(&command.component);
        }
        Ok(config)
    }

    /// An error at the key that `path` leads to, for a reader who finds out later that what stands
    /// there cannot be.
    #[must_use]
    pub fn error_at(&self, path: &[&str], message: impl Into<String>) -> InvalidConfig {
        self.source.error_at(path, message.into())
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        for (alias, model) in &self.models {
            model.check().map_err(|(key, message)| {
                self.error_at(&["models", alias.as_str(), key], message)
            })?;
        }
        if self.server.shutdown_grace_s.is_some_and(|grace| grace > MAX_SHUTDOWN_GRACE_S) {
            let message = format!("expected at most {MAX_SHUTDOWN_GRACE_S} seconds");
            return Err(self.error_at(&["server", "shutdown_grace_s"], message));
        }
        self.check_roots()?;
        self.check_policy()?;
        self.check_backend()?;
        let zero = |table, key| Err(self.error_at(&[table, key], "expected at least 1"));
        if let Some(key) = zero_limit(&self.limits) {
            return zero("limits", key);
        }
        match zero_bound(&self.retention) {
            Some(key) => zero("retention", key),
            None => Ok(()),
        }
    }

    fn check_roots(&self) -> Result<(), InvalidConfig> {
        if self.roots.contains_key(&RootName::scratch()) {
            let message = "`scratch` is each Worker's own private directory: choose another name";
            return Err(self.error_at(&["roots", RootName::SCRATCH], message));
        }
        for (profile, grants) in &self.policy {
            let refused =
                |message| self.error_at(&["policy", profile.as_str(), "preopens"], message);
            for Preopen { root, path, access, .. } in &grants.preopens {
                if root.is_scratch() {
                    continue;
                }
                let Some(known) = self.roots.get(root) else {
                    let known: Vec<&str> = self.roots.keys().map(RootName::as_str).collect();
                    let known = [known.as_slice(), &[RootName::SCRATCH]].concat().join("`, `");
                    return Err(refused(format!(
                        "there is no root `{root}`, expected one of `{known}`"
                    )));
                };
                if *access > known.access {
                    return Err(refused(format!(
                        "`{path}` of root `{root}` cannot be granted {access}: the root is {}",
                        known.access
                    )));
                }
            }
            grants.validate().map_err(|error| refused(error.to_string()))?;
        }
        Ok(())
    }

    fn check_backend(&self) -> Result<(), InvalidConfig> {
        let mut ids = BTreeSet::new();
        for remote in &self.remotes {
            let refused = |key: &str, message: &str| {
                let message = format!("of `{}`, {key}: {message}", remote.id);
                Err(self.error_at(&["runtimes", "remote"], message))
            };
            if let Err((key, message)) = remote.check() {
                return refused(key, message);
            }
            if !ids.insert(&remote.id) {
                return refused("id", "expected another one: it is given twice");
            }
        }
        for (name, workspace) in &self.workspaces {
            if workspace.root.is_scratch() {
                let message = "`scratch` is each Worker's own: choose another root";
                return Err(self.error_at(&["workspaces", name.as_str(), "root"], message));
            }
        }
        Ok(())
    }

    fn check_policy(&self) -> Result<(), InvalidConfig> {
        for (profile, grants) in &self.policy {
            let granted = grants.llm.iter().flat_map(|llm| &llm.models);
            // `default` needs no table: without one it is looked for.
            for alias in granted.filter(|alias| alias.as_str() != "default") {
                if !self.models.contains_key(alias) {
                    let known: BTreeSet<&str> = self
                        .models
                        .keys()
                        .map(ModelAlias::as_str)
                        .chain(std::iter::once("default"))
                        .collect();
                    let known = known.into_iter().collect::<Vec<_>>().join("`, `");
                    return Err(self.error_at(
                        &["policy", profile.as_str(), "llm"],
                        format!("there is no model `{alias}`, expected one of `{known}`"),
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The text of a file that is no longer than a configuration is: a device has no end.
fn read_text(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    if File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)? as u64 > MAX_FILE_BYTES
    {
        let message = format!("it is longer than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct FileTable {
    runtime: RuntimeConfig,
    server: ServerConfig,
    roots: BTreeMap<RootName, RootConfig>,
    models: BTreeMap<ModelAlias, ModelConfig>,
    profiles: BTreeMap<ProfileName, ProfileConfig>,
    policy: BTreeMap<ProfileName, PolicyTable>,
    workspaces: BTreeMap<WorkspaceName, WorkspaceConfig>,
    runtimes: RuntimesTable,
    commands: BTreeMap<CommandName, CommandConfig>,
    limits: Limits,
    retention: Retention,
}

fn listen_address<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|_| {
        de::Error::custom("expected an IP address and a port, such as `127.0.0.1:8900`")
    })
}

fn directory<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    path(deserializer).map(Some)
}

pub(crate) fn path<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.starts_with('~') {
        // The shell knows `~`; a file of that name would be a surprise.
        return Err(de::Error::custom("expected a path, written out without `~`"));
    }
    Ok(text.into())
}

/// The first limit of zero: it would forbid everything, and nobody means that.
fn zero_limit(limits: &Limits) -> Option<&'static str> {
    // Taken apart, so that a limit added later is missed by the compiler and not by us.
    let &Limits {
        turn_wall_ms,
        turn_cpu_ms,
        turn_memory_bytes,
        turn_table_elements,
        turn_instances,
        host_call_bytes,
        turn_handles,
        turn_file_bytes: _,
        turn_open_files: _,
        turn_commands: _,
        turn_output_bytes: _,
        turn_log_bytes: _,
        item_bytes,
        turn_record_bytes,
        events_per_second,
        state_bytes: _,
        scratch_bytes: _,
        queue: _,
        live_turns,
        live_commands: _,
        memory_total,
        open_files: _,
        workers,
        component_bytes,
        compile_ms,
        compile_memory_bytes,
    } = limits;
    [
        (turn_wall_ms, "turn_wall_ms"),
        (turn_cpu_ms, "turn_cpu_ms"),
        (turn_memory_bytes, "turn_memory_bytes"),
        (turn_table_elements, "turn_table_elements"),
        (turn_instances, "turn_instances"),
        (host_call_bytes, "host_call_bytes"),
        (turn_handles, "turn_handles"),
        (item_bytes, "item_bytes"),
        (turn_record_bytes, "turn_record_bytes"),
        (events_per_second, "events_per_second"),
        (live_turns, "live_turns"),
        (memory_total, "memory_total"),
        (workers, "workers"),
        (component_bytes, "component_bytes"),
        (compile_ms, "compile_ms"),
        (compile_memory_bytes, "compile_memory_bytes"),
    ]
    .into_iter()
    .find_map(|(value, key)| (value == 0).then_some(key))
}

/// The first bound of zero: it would keep nothing, and nobody means that.
fn zero_bound(retention: &Retention) -> Option<&'static str> {
    let &Retention { max_age_s, max_events, max_bytes } = retention;
    [(max_age_s, "max_age_s"), (max_events, "max_events"), (max_bytes, "max_bytes")]
        .into_iter()
        .find_map(|(bound, key)| (bound == Some(0)).then_some(key))
}
