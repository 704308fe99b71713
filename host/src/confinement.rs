//! The second wall: what the whole process may touch on the disk, whatever the code in it asks for.
//!
//! It is for a program that *is* a Runtime, such as `yoi up`. The library never confines the program
//! that embeds it: that program asks for it ([`AllowedPaths::confine_process`]), and hands what was
//! achieved to [`RuntimeBuilder::confinement`](crate::RuntimeBuilder::confinement) to be shown.

#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod system_paths;

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use worker_types::{Access, CapabilityStatus, Diagnostic, RootName};

/// How far this process is confined to the directories it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// How much of it the kernel enforces.
    pub enforced: Enforcement,
    /// The version of the kernel's Landlock, where there is one.
    pub landlock_abi: Option<u32>,
    /// What is missing, unless all of it is enforced: for people, and without paths.
    pub reason: Option<String>,
    /// Roots that were not there to be allowed. They stay out of reach until the process starts anew.
    #[serde(default)]
    pub absent_roots: Vec<RootName>,
}

/// How much of a [`Confinement`] the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// All that this version knows to ask for.
    Full,
    /// Nothing outside can be opened, made, removed or executed; the reason says what can be done
    /// nevertheless.
    Partial,
    /// Nothing.
    None,
}

impl Confinement {
    /// No confinement, and why.
    #[must_use]
    pub fn none(reason: impl Into<String>) -> Self {
        Self {
            enforced: Enforcement::None,
            landlock_abi: None,
            reason: Some(reason.into()),
            absent_roots: Vec::new(),
        }
    }

    /// Whether the kernel keeps this process from opening what is outside.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.enforced != Enforcement::None
    }
}

impl Confinement {
    /// What an operator should look at.
    pub(crate) fn diagnostics(&self) -> Vec<Diagnostic> {
        let diagnostic = |code: &str, message| Diagnostic { code: code.to_owned(), message };
        let incomplete = (self.enforced != Enforcement::Full)
            .then(|| diagnostic("not_confined", format!("the process of this Runtime is {self}")));
        let absent = self.absent_roots.iter().map(|root| {
            let message = format!(
                "the root `{root}` was not there when this process confined itself to what was: \
                 make it, and start the process anew"
            );
            diagnostic("root_needs_restart", message)
        });
        incomplete.into_iter().chain(absent).collect()
    }
}

/// How the process around a Runtime is confined, among what that Runtime can do.
pub(crate) fn capability(confinement: Option<&Confinement>) -> CapabilityStatus {
    let reason = match confinement {
        Some(confinement) => confinement.reason.clone(),
        None => Some("the program that this Runtime is built into says nothing of it".to_owned()),
    };
    CapabilityStatus {
        name: "confinement".to_owned(),
        available: confinement.is_some_and(Confinement::is_enforced),
        reason,
    }
}

/// In a line, for people.
impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.enforced {
            Enforcement::Full => "confined",
            Enforcement::Partial => "confined in part",
            Enforcement::None => "not confined",
        })?;
        if let Some(abi) = self.landlock_abi {
            write!(f, " (Landlock {abi})")?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// What a process may still touch once it is confined, besides what every program needs: the
/// system's libraries, its certificates, and how names are looked up, all of it to be read only.
///
/// Nothing can be executed, not even this program.
#[derive(Clone, Default)]
pub struct AllowedPaths {
    paths: Vec<(PathBuf, Access)>,
    roots: Vec<(RootName, PathBuf, Access)>,
}

impl AllowedPaths {
    /// Nothing of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A file, or a directory with all that is in it, to be read. What is not there is left out.
    #[must_use]
    pub fn read_only(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push((path.into(), Access::ReadOnly));
        self
    }

    /// A file, or a directory with all that is in it, to be read, written, made and removed. What is
    /// not there is left out, so a directory is to be made before.
    #[must_use]
    pub fn read_write(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push((path.into(), Access::ReadWrite));
        self
    }

    /// A root. One that is not there is found again in [`Confinement::absent_roots`].
    #[must_use]
    pub fn root(mut self, name: RootName, path: impl Into<PathBuf>, access: Access) -> Self {
        self.roots.push((name, path.into(), access));
        self
    }

    /// Confines this process for the rest of its life, as far as its kernel can, and then tries
    /// whether it is. It fails in no other way than by saying so in what it returns.
    ///
    /// To be called before there are threads: the kernel binds the thread that calls, and those that
    /// it starts from then on. Where there are others, nothing is enforced.
    #[must_use]
    pub fn confine_process(self) -> Confinement {
        #[cfg(target_os = "linux")]
        return landlock::confine_process(&self);
        #[cfg(not(target_os = "linux"))]
        return Confinement::none("only Linux can confine a process, and this is another system");
    }

    #[cfg(target_os = "linux")]
    fn all(&self) -> impl Iterator<Item = (&std::path::Path, Access)> {
        let roots = self.roots.iter().map(|(_, path, access)| (path.as_path(), *access));
        self.paths.iter().map(|(path, access)| (path.as_path(), *access)).chain(roots)
    }
}

/// Without the paths, which are nobody's business but the operator's.
impl fmt::Debug for AllowedPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.roots.iter().map(|(name, _, access)| (name, access));
        f.debug_struct("AllowedPaths")
            .field("paths", &self.paths.len())
            .field("roots", &names.collect::<Vec<_>>())
            .finish()
    }
}

/// Takes from this process, which compiles a hostile component, all it could do to files, to the
/// network and to other processes, as far as the kernel can: what it needs is open already.
#[cfg(target_os = "linux")]
pub(crate) use landlock::deny_everything;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_in_a_line_what_is_enforced_and_what_is_missing() {
        let full = Confinement {
            enforced: Enforcement::Full,
            landlock_abi: Some(7),
            reason: None,
            absent_roots: Vec::new(),
        };
        assert_eq!(full.to_string(), "confined (Landlock 7)");
        let none = Confinement::none("the kernel has no Landlock");
        assert_eq!(none.to_string(), "not confined: the kernel has no Landlock");
        assert!(full.is_enforced() && !none.is_enforced());
    }

    #[test]
    fn what_is_allowed_shows_no_path() {
        let allowed = AllowedPaths::new().read_write("/secret").root(
            "docs".parse().expect("a name"),
            "/hidden",
            Access::ReadOnly,
        );
        let shown = format!("{allowed:?}");
        assert!(shown.contains("docs") && !shown.contains('/'), "{shown}");
    }
}
