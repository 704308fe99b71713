//! Authority as data. Absent means not granted.

mod preopen;
#[cfg(test)]
mod tests;
mod words;

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ModelAlias, RootName};

pub use preopen::{Access, GuestPath, InvalidPath, Preopen, RootPath};

/// The most directories of one Worker.
const MAX_PREOPENS: usize = 64;

/// What a Worker may do beyond computing and answering.
///
/// Grants form a lattice. [`Grants::within`] is its order: whether one set of grants asks for no more
/// than another. [`Grants::meet`] is the most that is within both. Two sets that are within each other
/// give the same authority; they may still differ in where a guest sees a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(
    feature = "openapi",
    schema(
        description = "What a Worker may do beyond computing and answering. Absent means not granted."
    )
)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Directories. In a ceiling, where a guest would see them does not matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 64))]
    pub preopens: Vec<Preopen>,
    /// Calls to models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm: Option<LlmGrant>,
    /// Scripts on the directories, run inside WebAssembly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<ShellGrant>,
}

/// Which models may be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LlmGrant {
    /// The aliases; what stands behind them is the operator's choice.
    // One that is given twice is given.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<ModelAlias>))]
    pub models: BTreeSet<ModelAlias>,
}

/// How scripts may run. They see the directories that are granted, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ShellGrant {
    /// The longest that one script may take, in milliseconds. Default: 2 minutes.
    pub timeout_ms: u64,
}

impl Default for ShellGrant {
    fn default() -> Self {
        Self { timeout_ms: 120_000 }
    }
}

/// A WIT interface that a grant links into a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Calls to models: `yoi:worker/llm`.
    Llm,
    /// Scripts: `yoi:worker/shell`.
    Shell,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [Self::Llm, Self::Shell];

    /// How many there are: the discriminants have no gaps, and this is the last.
    const COUNT: usize = Self::Shell as usize + 1;

    /// The word for it in grants, config and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Shell => "shell",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One grant of a Worker, by its name: a capability, such as `llm`, or a directory where the guest
/// sees it, such as `preopen:/workspace`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// A capability, whole.
    Capability(Capability),
    /// The directory at this guest path.
    Preopen(GuestPath),
}

/// A text that names no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseGrantError {
    /// Neither form.
    #[error("not a grant: expected {known} or `preopen:` and a guest path", known = known())]
    UnknownForm,
    /// `preopen:` and a bad path.
    #[error("not a preopen: {0}")]
    Preopen(#[from] InvalidPath),
}

fn known() -> String {
    Capability::ALL.map(|capability| format!("`{capability}`")).join(", ")
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capability(capability) => capability.fmt(f),
            Self::Preopen(guest_path) => write!(f, "preopen:{guest_path}"),
        }
    }
}

impl FromStr for Grant {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, ParseGrantError> {
        if let Some(path) = text.strip_prefix("preopen:") {
            return Ok(Self::Preopen(path.parse()?));
        }
        let capability = Capability::ALL.into_iter().find(|known| known.name() == text);
        capability.map(Self::Capability).ok_or(ParseGrantError::UnknownForm)
    }
}

impl Serialize for Grant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The first thing by which a request exceeds a ceiling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exceeds {
    /// The ceiling does not have this capability.
    #[error("`{0}` is not within the ceiling")]
    Capability(Capability),
    /// The ceiling does not have this model.
    #[error("model `{0}` is not within the ceiling")]
    Model(ModelAlias),
    /// The ceiling lets a script run for less long.
    #[error("a shell timeout of {asked_ms} ms is not within the ceiling of {ceiling_ms} ms")]
    ShellTimeout {
        /// What was asked for.
        asked_ms: u64,
        /// The most.
        ceiling_ms: u64,
    },
    /// The ceiling has nothing of this root.
    #[error("root `{0}` is not within the ceiling")]
    Root(RootName),
    /// The ceiling has other parts of this root.
    #[error("`{path}` of root `{root}` is not within the ceiling")]
    Path {
        /// The root.
        root: RootName,
        /// The directory that was asked for.
        path: RootPath,
    },
    /// The ceiling lets this directory be looked at only.
    #[error("write access to `{path}` of root `{root}` is not within the ceiling")]
    Write {
        /// The root.
        root: RootName,
        /// The directory that was asked for.
        path: RootPath,
    },
}

/// Why no guest can be given these grants, whatever the ceiling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrants {
    /// Two directories in one place.
    #[error("two preopens have the guest path {0}: give each its own")]
    SameGuestPath(GuestPath),
    /// What may be written through one preopen cannot be kept from being written by another.
    #[error(
        "the preopen at {inner} is read-only and lies in the read-write one at {outer}, so it could be \
         written through that: make both read-write, or grant directories beside each other"
    )]
    NotReadOnly {
        /// The guest path of the one that could be written nevertheless.
        inner: GuestPath,
        /// The guest path of the one through which.
        outer: GuestPath,
    },
    /// Each takes a handle in every turn.
    #[error("more than {MAX_PREOPENS} preopens: grant a directory above them")]
    TooMany,
}

impl Grants {
    /// No authority at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These grants, and calls to `models`.
    #[must_use]
    pub fn with_llm(mut self, models: impl IntoIterator<Item = ModelAlias>) -> Self {
        let granted = self.llm.get_or_insert_with(|| LlmGrant { models: BTreeSet::new() });
        granted.models.extend(models);
        self
    }

    /// These grants, and scripts on the directories.
    #[must_use]
    pub fn with_shell(mut self, shell: ShellGrant) -> Self {
        self.shell = Some(shell);
        self
    }

    /// These grants, and a directory.
    #[must_use]
    pub fn with_preopen(mut self, preopen: Preopen) -> Self {
        self.preopens.push(preopen);
        self
    }

    /// Whether `capability` is granted.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Llm => self.llm.is_some(),
            Capability::Shell => self.shell.is_some(),
        }
    }

    /// The capabilities that are granted.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(|capability| self.has(*capability))
    }

    /// The names of all that is granted.
    pub fn all(&self) -> impl Iterator<Item = Grant> {
        let preopens = self.preopens.iter().map(|preopen| preopen.guest_path.clone());
        self.capabilities().map(Grant::Capability).chain(preopens.map(Grant::Preopen))
    }

    /// These grants without one of them.
    #[must_use]
    pub fn without(mut self, grant: &Grant) -> Self {
        match grant {
            Grant::Capability(Capability::Llm) => self.llm = None,
            Grant::Capability(Capability::Shell) => self.shell = None,
            Grant::Preopen(guest_path) => {
                self.preopens.retain(|preopen| preopen.guest_path != *guest_path);
            }
        }
        self
    }

    /// These grants without those that were taken away, by the names that they had then: under another
    /// ceiling, a directory may have been seen as a part of what is granted here. Then all of that goes.
    #[must_use]
    pub fn without_revoked<'a>(self, revoked: impl IntoIterator<Item = &'a Grant>) -> Self {
        // Looked up in what was granted, and not in what is left of it: a name must not fall to the
        // directory around the one that it belonged to.
        let taken: Vec<Grant> = revoked.into_iter().map(|grant| self.granted_as(grant)).collect();
        taken.iter().fold(self, Self::without)
    }

    /// The grant here that `grant` is, or is a part of.
    fn granted_as(&self, grant: &Grant) -> Grant {
        match grant {
            Grant::Preopen(guest_path) => Grant::Preopen(self.nearest(guest_path).clone()),
            Grant::Capability(_) => grant.clone(),
        }
    }

    /// Where the directory is seen that `guest_path` is in; itself where there is none.
    fn nearest<'a>(&'a self, guest_path: &'a GuestPath) -> &'a GuestPath {
        let around = self.preopens.iter().map(|preopen| &preopen.guest_path);
        let around = around.filter(|granted| guest_path.is_within(granted));
        around.max_by_key(|granted| granted.as_str().len()).unwrap_or(guest_path)
    }

    /// What is left of these grants under `ceiling`, as one guest can be given it. Nothing is shown where
    /// another directory was: a path goes on to mean the same, and so does the name of a grant. Valid
    /// whatever the ceiling, and all of these grants where they are valid and within it.
    #[must_use]
    pub fn cut_to(&self, ceiling: &Self) -> Self {
        let Self { preopens: _, llm, shell } = self.meet(ceiling);
        let mut parts: Vec<(bool, Preopen)> = Vec::new();
        for own in &self.preopens {
            let met = own.meet_all(&ceiling.preopens).into_iter();
            let met = met.filter(|part| *self.nearest(&part.guest_path) == own.guest_path);
            parts.extend(met.map(|part| (part.guest_path != own.guest_path, part)));
        }
        // What is seen where it was seen before goes first.
        parts.sort_by_key(|(is_elsewhere, _)| *is_elsewhere);
        let mut left = Self { preopens: Vec::new(), llm, shell };
        for (_, part) in parts {
            left.preopens.push(part);
            if left.validate().is_err() {
                left.preopens.pop();
            }
        }
        left
    }

    /// Whether a guest can be given these grants at all.
    ///
    /// # Errors
    ///
    /// The first contradiction.
    pub fn validate(&self) -> Result<(), InvalidGrants> {
        let preopens = &self.preopens;
        if preopens.len() > MAX_PREOPENS {
            return Err(InvalidGrants::TooMany);
        }
        let pairs = preopens.iter().enumerate();
        for (a, b) in pairs.flat_map(|(at, a)| preopens[at + 1..].iter().map(move |b| (a, b))) {
            if a.guest_path == b.guest_path {
                return Err(InvalidGrants::SameGuestPath(a.guest_path.clone()));
            }
            for (inner, outer) in [(a, b), (b, a)] {
                if inner.is_within(outer) && inner.access < outer.access {
                    let (inner, outer) = (inner.guest_path.clone(), outer.guest_path.clone());
                    return Err(InvalidGrants::NotReadOnly { inner, outer });
                }
            }
        }
        Ok(())
    }

    /// What both these grants and `other` allow: the most that is within either. A guest sees it
    /// where these grants show it.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let llm = self.llm.as_ref().zip(other.llm.as_ref()).map(|(own, other)| LlmGrant {
            models: own.models.intersection(&other.models).cloned().collect(),
        });
        let shell = self.shell.zip(other.shell);
        let shell = shell
            .map(|(own, other)| ShellGrant { timeout_ms: own.timeout_ms.min(other.timeout_ms) });
        let preopens = self.preopens.iter().flat_map(|own| own.meet_all(&other.preopens)).collect();
        Self { preopens, llm, shell }
    }

    /// Fails with the first thing that these grants have and `ceiling` has not.
    ///
    /// # Errors
    ///
    /// That thing.
    pub fn within(&self, ceiling: &Self) -> Result<(), Exceeds> {
        // Taken apart, so that the compiler points here when a grant is added.
        let Self { preopens, llm, shell } = self;
        preopens.iter().try_for_each(|asked| preopen_within(asked, &ceiling.preopens))?;
        llm_within(llm.as_ref(), ceiling.llm.as_ref())?;
        shell_within(*shell, ceiling.shell)
    }
}

fn preopen_within(asked: &Preopen, ceiling: &[Preopen]) -> Result<(), Exceeds> {
    if ceiling.iter().any(|allowed| asked.is_within(allowed)) {
        return Ok(());
    }
    let Preopen { root, path, .. } = asked.clone();
    let looking = asked.clone().access(Access::ReadOnly);
    Err(if ceiling.iter().any(|allowed| looking.is_within(allowed)) {
        Exceeds::Write { root, path }
    } else if ceiling.iter().any(|allowed| allowed.root == root) {
        Exceeds::Path { root, path }
    } else {
        Exceeds::Root(root)
    })
}

fn llm_within(asked: Option<&LlmGrant>, ceiling: Option<&LlmGrant>) -> Result<(), Exceeds> {
    let Some(asked) = asked else { return Ok(()) };
    let Some(ceiling) = ceiling else { return Err(Exceeds::Capability(Capability::Llm)) };
    match asked.models.difference(&ceiling.models).next() {
        Some(model) => Err(Exceeds::Model(model.clone())),
        None => Ok(()),
    }
}

fn shell_within(asked: Option<ShellGrant>, ceiling: Option<ShellGrant>) -> Result<(), Exceeds> {
    let Some(asked) = asked else { return Ok(()) };
    let Some(ceiling) = ceiling else { return Err(Exceeds::Capability(Capability::Shell)) };
    let (asked_ms, ceiling_ms) = (asked.timeout_ms, ceiling.timeout_ms);
    if asked_ms <= ceiling_ms {
        Ok(())
    } else {
        Err(Exceeds::ShellTimeout { asked_ms, ceiling_ms })
    }
}
