//! From the configuration to a Runtime.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use llm_engine::Models;
use sha2::{Digest as _, Sha256};
use worker_runtime::{Compiler, Confinement, Root, Runtime, RuntimeBuildError, Store};
use worker_types::{
    Access, CommandName, ComponentDigest, ComponentRef, Grants, ModelAlias, Preopen, Profile,
    ProfileName, RootName, RuntimeError, RuntimeId, ShellGrant,
};
use yoi_config::{
    CommandConfig, ComponentSource, Config, GitDirectories, ProfileConfig, RootConfig,
};
use yoi_workspace_server::{LaunchPolicy, ProfilePolicy};

#[cfg(unix)]
use crate::data_dir::allocations_dir;
use crate::{confine::Confined, dir_arg::Dirs, exit::ExplainedError, models::DEFAULT_ALIAS};

/// What a Runtime goes by that lives as long as one command: its id, and a name for eyes.
const PASSING: (&str, &str) = ("local", "This command");

/// The hidden subcommand that compiles.
pub(crate) const COMPILE: &str = "compile";

/// The profile that works on files. Where nobody wrote a policy it is granted a model and scripts; of
/// directories, what is named where it is created.
const CODER: &str = "coder";

/// The profile that is granted a model where nobody wrote a policy: to talk is all it can do.
const COMPANION: &str = "companion";

/// The profile that runs scripts.
const SHELL: &str = "shell";

/// What Workers can be made from here, and what they may do.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    config: &'a Config,
    profiles: BTreeMap<ProfileName, Profile>,
    components: Vec<(ComponentRef, Cow<'static, [u8]>)>,
    policy: BTreeMap<ProfileName, Grants>,
    roots: BTreeMap<RootName, Root>,
    scratch: Option<PathBuf>,
    store: Store,
    component_cache: Option<PathBuf>,
    confined: Option<Confined>,
    /// What Workers are granted of the workspaces that they are created in.
    workspace_preopens: Vec<Preopen>,
}

impl<'a> Setup<'a> {
    /// What `config` asks for, with the guests that ship with the product.
    pub(crate) fn new(config: &'a Config) -> anyhow::Result<Self> {
        let mut setup = Self {
            config,
            profiles: builtin_workers::profiles()
                .into_iter()
                .map(|profile| (profile.name.clone(), profile))
                .collect(),
            components: builtin_workers::components(),
            policy: BTreeMap::from([
                (CODER.parse()?, shell_grants()?.with_llm([DEFAULT_ALIAS.parse()?])),
                (COMPANION.parse()?, Grants::none().with_llm([DEFAULT_ALIAS.parse()?])),
                (SHELL.parse()?, shell_grants()?),
            ]),
            roots: config.roots.iter().map(|(name, table)| (name.clone(), root(table))).collect(),
            scratch: None,
            store: Store::memory(),
            component_cache: None,
            confined: None,
            workspace_preopens: Vec::new(),
        };
        for (name, profile) in &config.profiles {
            setup.add_profile(name, profile)?;
        }
        setup.policy.extend(config.policy.clone());
        setup.check_names()?;
        setup.workspace_preopens = setup.of_workspaces()?;
        Ok(setup)
    }

    /// The same with only the profile called `name`.
    pub(crate) fn only(mut self, name: &ProfileName) -> Result<Self, RuntimeError> {
        let Some(profile) = self.profiles.remove(name) else {
            return Err(RuntimeError::UnknownProfile {
                profile: name.clone(),
                known: self.profiles.keys().map(ToString::to_string).collect(),
            });
        };
        self.components.retain(|(reference, _)| {
            *reference == profile.component || profile.commands.values().any(|own| own == reference)
        });
        self.policy.retain(|profile, _| profile == name);
        let granted = self.grants(name).preopens;
        self.roots.retain(|root, _| granted.iter().any(|preopen| preopen.root == *root));
        self.profiles = BTreeMap::from([(name.clone(), profile)]);
        Ok(self)
    }

    /// The same with logs that are kept in `store`; without one, nothing outlives the process.
    pub(crate) fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// The same, keeping in `dir` what was compiled.
    pub(crate) fn component_cache(mut self, dir: PathBuf) -> Self {
        self.component_cache = Some(dir);
        self
    }

    /// The same in a process that is confined, or should be.
    pub(crate) fn confined(mut self, confined: Confined) -> Self {
        self.confined = Some(confined);
        self
    }

    /// The same with private directories of Workers below `dir`.
    pub(crate) fn scratch(mut self, dir: PathBuf) -> Self {
        self.scratch = Some(dir);
        self
    }

    /// The same, and Workers of `profile` are granted `dirs`, too.
    pub(crate) fn dirs(mut self, profile: &ProfileName, dirs: &Dirs) -> Self {
        self.roots.extend(dirs.roots.clone());
        let granted = self.policy.entry(profile.clone()).or_default();
        granted.preopens.extend(dirs.preopens.iter().cloned());
        self
    }

    /// The names of all roots.
    pub(crate) fn root_names(&self) -> BTreeSet<RootName> {
        self.roots.keys().cloned().collect()
    }

    /// What Workers of `profile` are granted.
    pub(crate) fn grants(&self, profile: &ProfileName) -> Grants {
        self.policy.get(profile).cloned().unwrap_or_default()
    }

    /// What Workers of each profile are granted.
    pub(crate) fn policy(&self) -> &BTreeMap<ProfileName, Grants> {
        &self.policy
    }

    /// The models that something is granted.
    pub(crate) fn granted_aliases(&self) -> BTreeSet<ModelAlias> {
        self.policy
            .values()
            .flat_map(|grants| &grants.llm)
            .flat_map(|llm| &llm.models)
            .cloned()
            .collect()
    }

    /// What a Backend grants to Workers of each profile, and in which workspaces.
    pub(crate) fn launch_policy(&self) -> LaunchPolicy {
        let access = &self.config.workspace_access;
        let of = |(name, grants): (&ProfileName, &Grants)| {
            let (grants, workspace) = (grants.clone(), access.get(name).copied());
            (name.clone(), ProfilePolicy { grants, workspace })
        };
        let workspaces = self.config.workspaces.iter();
        let workspaces = workspaces.map(|(name, table)| (name.clone(), table.root.clone()));
        LaunchPolicy::new(self.policy.iter().map(of).collect(), workspaces.collect())
    }

    /// What the policy grants of workspaces whose roots are here. Another Runtime has other roots.
    fn of_workspaces(&self) -> anyhow::Result<Vec<Preopen>> {
        let policy = self.launch_policy();
        let mut preopens = Vec::new();
        for profile in self.config.workspace_access.keys() {
            for (workspace, table) in &self.config.workspaces {
                if self.roots.contains_key(&table.root) {
                    preopens.extend(policy.launch(profile, Some(workspace))?.grants.preopens);
                }
            }
        }
        Ok(preopens)
    }

    fn ceiling(&self) -> Grants {
        let granted = self.policy.values().flat_map(|grants| &grants.preopens);
        let preopens = granted.chain(&self.workspace_preopens).cloned().collect();
        let ceiling = Grants { preopens, shell: self.shell(), ..Grants::none() };
        match self.granted_aliases() {
            aliases if aliases.is_empty() => ceiling,
            aliases => ceiling.with_llm(aliases),
        }
    }

    /// The longest timeout that something is granted.
    fn shell(&self) -> Option<ShellGrant> {
        let granted = self.policy.values().filter_map(|grants| grants.shell);
        granted.max_by_key(|shell| shell.timeout_ms)
    }

    /// Builds a Runtime that lives as long as this command.
    pub(crate) async fn build(self, models: Models) -> anyhow::Result<Runtime> {
        self.build_as(PASSING, models).await
    }

    /// Builds the Runtime, which goes by this id and name unless the configuration says otherwise. Its ceiling is what
    /// the policy grants, all of it together.
    pub(crate) async fn build_as(
        self,
        (id, name): (&str, &str),
        models: Models,
    ) -> anyhow::Result<Runtime> {
        let runtime = &self.config.runtime;
        let id: RuntimeId = match &runtime.id {
            Some(id) => id.clone(),
            None => id.parse()?,
        };
        let ceiling = self.ceiling();
        let with_shell = ceiling.shell.is_some();
        let mut builder = Runtime::builder(id)
            .display_name(runtime.display_name.as_deref().unwrap_or(name))
            .store(self.store)
            .models(models)
            .ceiling(ceiling)
            .limits(self.config.limits.clone())
            .retention(self.config.retention);
        builder = match self.confined {
            Some(Confined { compiler, confinement }) => {
                builder.compiler(compiler).confinement(confinement)
            }
            None => builder.compiler(compiler()?).confinement(Confinement::none(
                "this command runs Workers in a process that is not confined; `yoi up` confines its \
                 own",
            )),
        };
        if let Some(digest) = self.config.digest {
            builder = builder.config_digest(digest);
        }
        if with_shell {
            builder = builder.shell(builtin_workers::SHELL_COMPONENT);
            for (name, component) in commands(self.config)? {
                builder = builder.command(name, component);
            }
        }
        if let Some(dir) = self.component_cache {
            builder = builder.component_cache(dir);
        }
        if let Some(dir) = self.scratch {
            builder = builder.scratch(dir);
        }
        #[cfg(unix)]
        let is_writable = self.roots.values().any(Root::is_writable);
        for (name, root) in self.roots {
            builder = builder.root(name, root);
        }
        if let Some(file) = &self.config.file {
            builder = builder.reserve(file);
        }
        for file in component_files(self.config) {
            builder = builder.reserve(file.path);
        }
        #[cfg(unix)]
        match allocations_dir() {
            Ok(dir) => builder = builder.allocations(dir),
            // Nobody can write where another might.
            Err(_) if !is_writable => {}
            Err(error) => {
                return Err(error.context(
                    "failed to see the other Runtimes of this user, which may write to the same \
                     directories",
                ));
            }
        }
        let default_profile = match &runtime.default_profile {
            Some(name) => name.clone(),
            None => COMPANION.parse()?,
        };
        if self.profiles.contains_key(&default_profile) {
            builder = builder.default_profile(default_profile);
        }
        let built =
            builder.components(self.components).profiles(self.profiles.into_values()).build().await;
        match built {
            Ok(runtime) => Ok(runtime),
            Err(RuntimeBuildError::Profile { profile, error })
                if self.config.profiles.contains_key(&profile) =>
            {
                Err(refused_component(self.config, &profile, error).into())
            }
            Err(error) => Err(anyhow::Error::new(error).context("failed to start the Runtime")),
        }
    }

    fn add_profile(&mut self, name: &ProfileName, profile: &ProfileConfig) -> anyhow::Result<()> {
        let component = match &profile.component {
            ComponentSource::Known(reference) => reference.clone(),
            ComponentSource::File { path, .. } => {
                self.add_component(path, &["profiles", name.as_str(), "component"])?
            }
        };
        let mut commands = BTreeMap::new();
        for (command, path) in &profile.commands {
            let at = ["profiles", name.as_str(), "commands", command.as_str()];
            commands.insert(command.clone(), self.add_component(path, &at)?);
        }
        if !self.components.iter().any(|(reference, _)| *reference == component) {
            let known: Vec<String> =
                self.components.iter().map(|(reference, _)| format!("`{reference}`")).collect();
            let message =
                format!("there is no component `{component}`; there are {}", known.join(", "));
            let error = self.config.error_at(&["profiles", name.as_str(), "component"], message);
            return Err(error.into());
        }
        self.profiles.insert(
            name.clone(),
            Profile {
                name: name.clone(),
                description: profile.description.clone(),
                component,
                optional: profile.optional.clone(),
                commands,
                resume: profile.resume,
                config: profile.config.clone(),
            },
        );
        Ok(())
    }

    /// Reads the component at `path`, which stands at `key` of the configuration.
    fn add_component(&mut self, path: &Path, key: &[&str]) -> anyhow::Result<ComponentRef> {
        let bytes = read_configured(self.config, path, key)?;
        let digest = ComponentDigest::from_sha256(Sha256::digest(&bytes).into());
        let reference = ComponentRef::Digest(digest);
        self.components.push((reference.clone(), Cow::Owned(bytes)));
        Ok(reference)
    }

    fn check_names(&self) -> anyhow::Result<()> {
        let check = |name: &ProfileName, path: &[&str]| {
            if self.profiles.contains_key(name) {
                return Ok(());
            }
            let known: Vec<&str> = self.profiles.keys().map(ProfileName::as_str).collect();
            let message =
                format!("there is no profile `{name}`, expected one of `{}`", known.join("`, `"));
            Err(self.config.error_at(path, message))
        };
        for name in self.policy.keys() {
            check(name, &["policy", name.as_str()])?;
        }
        if let Some(name) = &self.config.runtime.default_profile {
            check(name, &["runtime", "default_profile"])?;
        }
        Ok(())
    }
}

/// The root that a table of the configuration means.
fn root(table: &RootConfig) -> Root {
    let root = Root::new(&table.path).access(table.access);
    match table.git {
        GitDirectories::Refused => root,
        GitDirectories::Exposed => root.expose_git(),
    }
}

/// What a Worker that runs scripts is granted where nobody wrote a policy: a place for what is its own.
fn shell_grants() -> anyhow::Result<Grants> {
    let scratch = Preopen::new(RootName::scratch(), "/tmp".parse()?).access(Access::ReadWrite);
    Ok(Grants::none().with_shell(ShellGrant::default()).with_preopen(scratch))
}

/// A component that a configuration names by its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComponentFile<'a> {
    /// What is made of it.
    pub(crate) of: ComponentUse<'a>,
    pub(crate) path: &'a Path,
}

/// What a configuration names a component for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ComponentUse<'a> {
    /// Workers of a profile.
    Profile(&'a ProfileName),
    /// A command that Workers of a profile start.
    OwnCommand(&'a ProfileName, &'a CommandName),
    /// A command that all scripts find.
    Command(&'a CommandName),
}

/// All components that `config` names by their files.
pub(crate) fn component_files(config: &Config) -> impl Iterator<Item = ComponentFile<'_>> {
    let of_profiles = config.profiles.iter().flat_map(|(name, profile)| {
        let own = match &profile.component {
            ComponentSource::File { path, .. } => {
                Some(ComponentFile { of: ComponentUse::Profile(name), path })
            }
            ComponentSource::Known(_) => None,
        };
        let commands = profile.commands.iter().map(move |(command, path)| ComponentFile {
            of: ComponentUse::OwnCommand(name, command),
            path,
        });
        own.into_iter().chain(commands)
    });
    let of_all = config.commands.iter().map(|(name, command)| ComponentFile {
        of: ComponentUse::Command(name),
        path: &command.component,
    });
    of_profiles.chain(of_all)
}

/// The commands that all scripts find.
pub(crate) fn commands(config: &Config) -> anyhow::Result<Vec<(CommandName, Vec<u8>)>> {
    let read = |(name, command): (&CommandName, &CommandConfig)| {
        let key = ["commands", name.as_str(), "component"];
        Ok((name.clone(), read_configured(config, &command.component, &key)?))
    };
    config.commands.iter().map(read).collect()
}

/// Reads the component at `path`, which stands at `key` of the configuration.
fn read_configured(config: &Config, path: &Path, key: &[&str]) -> anyhow::Result<Vec<u8>> {
    read_component(path, config.limits.component_bytes)
        .with_context(|| config.error_at(key, format!("failed to read {}", path.display())))
}

/// Reads a component: a regular file of at most `max_bytes`.
pub(crate) fn read_component(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let found = fs::metadata(path)?;
    // A device has no end, and a pipe that nobody writes to would be waited for.
    if !found.is_file() {
        return refused("it is no regular file".to_owned());
    }
    if found.len() > max_bytes {
        let bytes = found.len();
        return refused(format!("it has {bytes} bytes, more than the limit of {max_bytes}"));
    }
    let mut bytes = Vec::new();
    // Of one that grows meanwhile, the Runtime refuses the byte too much.
    File::open(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The compiler of components: this program once more, as a process that has nothing but limits.
pub(crate) fn compiler() -> anyhow::Result<Compiler> {
    let program = env::current_exe().context(
        "failed to find this program, which compiles components in a process of their own",
    )?;
    Ok(Compiler::helper(program, [COMPILE]))
}

/// Why the Runtime takes no component that the configuration names, and where it does.
fn refused_component(config: &Config, name: &ProfileName, error: RuntimeError) -> ExplainedError {
    let component = config.profiles.get(name).map(|profile| profile.component.to_string());
    let message = format!("`{}`: {error}", component.unwrap_or_default());
    let at = config.error_at(&["profiles", name.as_str(), "component"], message);
    ExplainedError { message: at.to_string(), error }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text, "yoi.toml").expect("a configuration")
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", Setup::new(&parse(text)).expect_err("no such thing"))
    }

    fn name(text: &str) -> ProfileName {
        text.parse().expect("a name")
    }

    #[test]
    fn without_a_policy_the_companion_may_talk_and_nobody_else_may_anything() {
        let config = Config::default();
        let setup = Setup::new(&config).expect("the default");
        let talk = Grants::none().with_llm(["default".parse().expect("an alias")]);
        assert_eq!(setup.grants(&name("companion")), talk);
        assert_eq!(setup.grants(&name("echo")), Grants::none());
    }

    #[test]
    fn a_policy_replaces_the_default_of_its_profile() {
        let config = parse(
            "[policy.companion]\n[policy.tutor]\nllm = [\"default\"]\n\
             [profiles.tutor]\ncomponent = \"builtin:companion\"\n",
        );
        let setup = Setup::new(&config).expect("a configuration that makes sense");
        assert_eq!(setup.grants(&name("companion")), Grants::none());
        assert!(setup.grants(&name("tutor")).llm.is_some());
        let setup = setup.only(&name("echo")).expect("a built-in profile");
        assert!(setup.granted_aliases().is_empty(), "what is not run needs no model");
    }

    #[cfg(unix)]
    #[test]
    fn a_component_is_a_regular_file_within_its_limit() {
        let dir = tempfile::tempdir().expect("a directory");
        let device = dir.path().join("device.wasm");
        std::os::unix::fs::symlink("/dev/zero", &device).expect("a link");
        let refused = read_component(&device, 8).expect_err("no file");
        assert_eq!(refused.to_string(), "it is no regular file");
        let long = dir.path().join("long.wasm");
        fs::write(&long, [0; 100]).expect("a file");
        let refused = read_component(&long, 8).expect_err("too long");
        assert_eq!(refused.to_string(), "it has 100 bytes, more than the limit of 8");
        assert_eq!(read_component(&long, 100).expect("a file").len(), 100);
    }

    #[test]
    fn names_of_nothing_are_refused_at_their_line() {
        assert_snapshot!(refusal("[policy.tutr]\n"), @"yoi.toml:1:9: policy.tutr: there is no profile `tutr`, expected one of `coder`, `companion`, `echo`, `shell`");
        assert_snapshot!(refusal("[runtime]\ndefault_profile = \"tutr\"\n"), @"yoi.toml:2:1: runtime.default_profile: there is no profile `tutr`, expected one of `coder`, `companion`, `echo`, `shell`");
        assert_snapshot!(refusal("[profiles.a]\ncomponent = \"builtin:ecko\"\n"), @"yoi.toml:2:1: profiles.a.component: there is no component `builtin:ecko`; there are `builtin:coder`, `builtin:companion`, `builtin:echo`, `builtin:shell`");
        assert_snapshot!(refusal("[profiles.a]\ncomponent = \"missing.wasm\"\n"), @"yoi.toml:2:1: profiles.a.component: failed to read missing.wasm: No such file or directory (os error 2)");
    }
}
