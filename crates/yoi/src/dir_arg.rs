//! `--dir PATH[:GUEST][:ro|:rw]`: directories that are granted from the command line.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use worker_runtime::{Root, RuntimeBuildError};
use worker_types::{Access, GuestPath, Preopen, RootName, RootPath, RuntimeError};

use crate::exit::ExplainedError;

/// Where a directory is shown that says nothing else.
const DEFAULT_GUEST_PATH: &str = "/workspace";

/// The directories of a command line.
#[derive(Debug, Default, Args)]
pub(crate) struct DirArgs {
    /// Let it read the directory PATH, which it sees at GUEST [default: /workspace]; with `:rw`, let it
    /// write there too. May be repeated
    #[arg(long = "dir", value_name = "PATH[:GUEST][:ro|:rw]")]
    pub(crate) dirs: Vec<DirArg>,
    /// Let it write where a git directory is: it can then run programs as whoever next runs git there
    #[arg(long, requires = "dirs")]
    pub(crate) expose_git: bool,
}

/// One directory as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirArg {
    path: String,
    guest_path: GuestPath,
    access: Access,
}

impl FromStr for DirArg {
    type Err = String;

    /// Split from the right: an access, then the last `:/`. So a path may have colons, and where it
    /// has `:/` itself, a guest path after it settles what is meant.
    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, access) = match text.rsplit_once(':') {
            Some((rest, "ro")) => (rest, Access::ReadOnly),
            Some((rest, "rw")) => (rest, Access::ReadWrite),
            _ => (text, Access::ReadOnly),
        };
        let (path, guest_path) = match rest.rfind(":/") {
            Some(colon) => (&rest[..colon], &rest[colon + 1..]),
            None => (rest, DEFAULT_GUEST_PATH),
        };
        if path.is_empty() {
            return Err("it names no directory: expected PATH[:GUEST][:ro|:rw]".to_owned());
        }
        if guest_path.contains(':') {
            return Err(format!(
                "`{guest_path}`: a guest path on the command line has no `:`; an access is `ro` or `rw`"
            ));
        }
        let guest_path = guest_path.parse().map_err(|error| format!("`{guest_path}`: {error}"))?;
        Ok(Self { path: path.to_owned(), guest_path, access })
    }
}

/// Directories that were found, as roots and what is granted of them.
#[derive(Debug, Default)]
pub(crate) struct Dirs {
    pub(crate) roots: BTreeMap<RootName, Root>,
    pub(crate) preopens: Vec<Preopen>,
    /// The path as it was written, by where the guest sees it.
    written: BTreeMap<GuestPath, String>,
}

impl Dirs {
    /// Finds the directories. Those that lie in others are parts of the same root, so that a grant that
    /// says `ro` is held against those through which it could be written. No root is called what is
    /// `taken`.
    pub(crate) fn find(args: &DirArgs, taken: &BTreeSet<RootName>) -> anyhow::Result<Self> {
        let mut found = Vec::new();
        for dir in &args.dirs {
            found.push((dir, real(&dir.path)?));
        }
        let outermost: BTreeSet<&Path> = found
            .iter()
            .map(|(_, path)| {
                let above = found.iter().filter(|(_, other)| path.starts_with(other));
                let shortest =
                    above.map(|(_, other)| other.as_path()).min_by_key(|it| it.as_os_str().len());
                shortest.unwrap_or(path)
            })
            .collect();
        let mut names = (1..).map(|number| format!("dir-{number}"));
        let mut dirs = Self::default();
        for root in outermost {
            let name = names.find_map(|name| {
                name.parse::<RootName>().ok().filter(|name| !taken.contains(name))
            });
            // There is no end of names.
            let Some(name) = name else { continue };
            let mut access = Access::ReadOnly;
            for (dir, path) in &found {
                let Ok(below) = path.strip_prefix(root) else { continue };
                access = access.max(dir.access);
                dirs.grant(dir, &name, below)?;
            }
            let root = Root::new(root).access(access);
            dirs.roots.insert(name, if args.expose_git { root.expose_git() } else { root });
        }
        // Scripts begin in the first.
        dirs.preopens.sort_by_key(|preopen| {
            args.dirs.iter().position(|dir| dir.guest_path == preopen.guest_path)
        });
        Ok(dirs)
    }

    fn grant(&mut self, dir: &DirArg, root: &RootName, below: &Path) -> anyhow::Result<()> {
        let at = |problem: &str| anyhow::anyhow!("--dir {}: {problem}", dir.path);
        let below = below.to_str().ok_or_else(|| at("its name is no text"))?;
        let below: RootPath = below.parse().map_err(|error| at(&format!("{error}")))?;
        let preopen = Preopen::new(root.clone(), dir.guest_path.clone());
        self.preopens.push(preopen.path(below).access(dir.access));
        if let Some(other) = self.written.insert(dir.guest_path.clone(), dir.path.clone()) {
            anyhow::bail!(
                "--dir {other} and --dir {} are both to be seen at {}: give one another place, such as \
                 --dir {}:/other",
                dir.path,
                dir.guest_path,
                dir.path
            );
        }
        Ok(())
    }

    /// The directory of a preopen as it was written, if it was.
    pub(crate) fn written(&self, guest_path: &GuestPath) -> Option<&str> {
        self.written.get(guest_path).map(String::as_str)
    }

    /// Why the Runtime did not start, in words that name the option that is to be changed.
    pub(crate) fn explain_start(&self, error: anyhow::Error) -> anyhow::Error {
        let (root, what) = match error.downcast_ref::<RuntimeBuildError>() {
            Some(RuntimeBuildError::RootHoldsData { root }) => (root, "what yoi itself keeps"),
            Some(RuntimeBuildError::RootHoldsSetup { root }) => (root, "the configuration of yoi"),
            _ => return error,
        };
        let written = self.preopens.iter().find(|preopen| preopen.root == *root);
        match written.and_then(|preopen| self.written(&preopen.guest_path)) {
            Some(dir) => anyhow::anyhow!("--dir {dir}: {what} lies in it, or it in that"),
            None => error,
        }
    }

    /// The same error in words that name the option that is to be changed.
    pub(crate) fn explain(&self, error: RuntimeError) -> anyhow::Error {
        let message = match &error {
            RuntimeError::PreopenUnavailable { preopen, reason } => {
                self.written(preopen).map(|dir| format!("--dir {dir}: {reason}"))
            }
            RuntimeError::ExposesGitDir { preopen, reason } => self.written(preopen).map(|dir| {
                format!("--dir {dir}: {reason}: on the command line, that is --expose-git")
            }),
            _ => None,
        };
        match message {
            Some(message) => ExplainedError { message, error }.into(),
            None => error.into(),
        }
    }
}

/// Where a directory really is.
fn real(path: &str) -> anyhow::Result<PathBuf> {
    let refused = |problem: &str| {
        let hint = match path.contains(':') {
            true => " (an access is `ro` or `rw`, and a guest path begins with `/`)",
            false => "",
        };
        anyhow::anyhow!("--dir {path}: {problem}{hint}")
    };
    let real = Path::new(path).canonicalize().map_err(|error| refused(&error.to_string()))?;
    if real.is_dir() { Ok(real) } else { Err(refused("it is no directory")) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use worker_types::Grants;

    use super::*;

    fn parse(text: &str) -> Result<(String, String, Access), String> {
        let DirArg { path, guest_path, access } = text.parse()?;
        Ok((path, guest_path.to_string(), access))
    }

    #[test]
    fn a_directory_is_split_from_the_right_and_read_only_unless_it_says_otherwise() {
        use Access::{ReadOnly, ReadWrite};
        for (text, path, guest_path, access) in [
            (".", ".", "/workspace", ReadOnly),
            ("docs:ro", "docs", "/workspace", ReadOnly),
            ("docs:rw", "docs", "/workspace", ReadWrite),
            ("docs:/d", "docs", "/d", ReadOnly),
            ("/a/b:/c/d:rw", "/a/b", "/c/d", ReadWrite),
            ("a:b", "a:b", "/workspace", ReadOnly),
            ("a:/b:/c", "a:/b", "/c", ReadOnly),
            ("a:rw:ro", "a:rw", "/workspace", ReadOnly),
            ("docs:/", "docs", "/", ReadOnly),
        ] {
            assert_eq!(parse(text), Ok((path.into(), guest_path.into(), access)), "{text}");
        }
        for bad in ["", ":rw", ":/a", "a:/b/", "a:/../b:rw"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    fn find(dirs: &[String], expose_git: bool) -> anyhow::Result<Dirs> {
        let dirs = dirs.iter().map(|text| text.parse().expect(text)).collect();
        Dirs::find(&DirArgs { dirs, expose_git }, &BTreeSet::from(["dir-1".parse()?]))
    }

    #[test]
    fn directories_that_lie_in_each_other_are_one_root_and_held_against_each_other() {
        let home = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(home.path().join("a/b")).expect("directories");
        let home = home.path().display();
        let beside = find(&[format!("{home}/a/b:/b:rw"), format!("{home}/a:/a")], false);
        let beside = beside.expect("two directories");
        assert_eq!(beside.roots.len(), 1);
        assert!(beside.roots.contains_key(&"dir-2".parse().expect("a name")), "{beside:?}");
        let grants = |dirs: Dirs| Grants { preopens: dirs.preopens, ..Grants::none() };
        assert!(grants(beside).validate().is_ok(), "what is read-only is the outer one");
        let within = find(&[format!("{home}/a:/a:rw"), format!("{home}/a/b:/b")], false);
        assert!(grants(within.expect("two directories")).validate().is_err());
    }

    #[test]
    fn what_is_no_directory_is_refused_by_the_name_of_the_option() {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join("file"), "").expect("a file");
        let home = home.path().display();
        let refusal = |dir: String| find(&[dir], false).expect_err("refused").to_string();
        assert_eq!(
            refusal(format!("{home}/file")),
            format!("--dir {home}/file: it is no directory")
        );
        assert!(refusal(format!("{home}/no:rx")).contains("an access is `ro` or `rw`"));
        let twice = [format!("{home}"), format!("{home}:rw")];
        let twice = find(&twice, false).expect_err("refused").to_string();
        assert!(twice.contains("both to be seen at /workspace"), "{twice}");
    }
}
