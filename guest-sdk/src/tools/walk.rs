//! The files below a directory.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::Folder;

/// Directories within directories that are looked into. The walk recurses, and a stack has an end.
const MAX_DEPTH: usize = 200;

/// Files with patterns of what to leave out, the stronger one last.
const IGNORE_FILES: [&str; 2] = [".gitignore", ".ignore"];

/// A walk in the order of names, without `.git`, and without following links: it has an end.
#[derive(Debug)]
pub(super) struct Walk {
    /// The patterns that hold here, the strongest last. Absent where everything is asked for.
    ignores: Option<Vec<Gitignore>>,
    /// Directories that could not be looked into.
    pub(super) unread: usize,
}

/// What the walk comes by.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) is_directory: bool,
    /// Neither a directory nor a link, and not special.
    pub(super) is_file: bool,
}

impl Walk {
    /// Below `start`, with the patterns of the folder's directories above it.
    pub(super) fn new(folder: &Folder, start: &Path, include_ignored: bool) -> Self {
        let mut walk = Self { ignores: (!include_ignored).then(Vec::new), unread: 0 };
        if let Ok(below) = start.strip_prefix(folder.path()) {
            let mut directory = folder.path().to_owned();
            walk.add_ignores(&directory, &[".git/info/exclude"]);
            for part in below {
                walk.add_ignores(&directory, &IGNORE_FILES);
                directory.push(part);
            }
        }
        walk
    }

    /// Calls `found` for everything below `start` until it breaks.
    pub(super) fn below(
        &mut self,
        start: &Path,
        found: &mut dyn FnMut(Found) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.visit(start, 0, found)
    }

    fn visit(
        &mut self,
        directory: &Path,
        depth: usize,
        found: &mut dyn FnMut(Found) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(entries) = (depth < MAX_DEPTH).then(|| sorted(directory)).flatten() else {
            self.unread += 1;
            return ControlFlow::Continue(());
        };
        let outer = self.ignores.as_ref().map_or(0, Vec::len);
        self.add_ignores(directory, &IGNORE_FILES);
        for entry in entries {
            if self.is_ignored(&entry) {
                continue;
            }
            let directory = entry.is_directory.then(|| entry.path.clone());
            found(entry)?;
            if let Some(directory) = directory {
                self.visit(&directory, depth + 1, found)?;
            }
        }
        if let Some(ignores) = &mut self.ignores {
            ignores.truncate(outer);
        }
        ControlFlow::Continue(())
    }

    fn add_ignores(&mut self, directory: &Path, files: &[&str]) {
        let Some(ignores) = &mut self.ignores else { return };
        for file in files.iter().map(|file| directory.join(file)).filter(|file| file.is_file()) {
            let mut builder = GitignoreBuilder::new(directory);
            // A pattern that nobody can read leaves nothing out. The others hold.
            let _ = builder.add(file);
            ignores.extend(builder.build().ok());
        }
    }

    fn is_ignored(&self, entry: &Found) -> bool {
        let strongest = self.ignores.iter().flatten().rev().find_map(|ignore| {
            match ignore.matched(&entry.path, entry.is_directory) {
                Match::None => None,
                Match::Ignore(_) => Some(true),
                Match::Whitelist(_) => Some(false),
            }
        });
        strongest.unwrap_or(false)
    }
}

fn sorted(directory: &Path) -> Option<Vec<Found>> {
    let mut entries: Vec<Found> = fs::read_dir(directory)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name() != ".git")
        .filter_map(|entry| {
            let kind = entry.file_type().ok()?;
            Some(Found { path: entry.path(), is_directory: kind.is_dir(), is_file: kind.is_file() })
        })
        .collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Some(entries)
}
