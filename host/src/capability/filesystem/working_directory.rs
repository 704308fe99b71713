//! The working directory of a command. WASI 0.2 has none: a preopen called `.` is what programs resolve
//! relative paths in.

use std::sync::Arc;

use tokio::task::JoinError;
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::bindings::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags},
};

use super::{
    FilesystemCtx, Held,
    open::{self, How},
    quota::Account,
};

/// Why a command cannot work in a directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnterError {
    #[error("it is in none of the directories that are granted")]
    NotGranted,
    #[error("too many files are open")]
    TooManyFiles,
    #[error("it is not there, or is no directory")]
    NotThere,
    #[error("an internal error")]
    Failed(#[from] JoinError),
}

impl FilesystemCtx {
    /// Shows `directory`, which is a guest's absolute path, as `.` besides. What is there goes by the same
    /// rules, and its place in front lets absolute paths mean what they say.
    pub(crate) async fn enter(&mut self, directory: &str) -> Result<(), EnterError> {
        let found = self
            .preopens
            .iter()
            .filter_map(|(dir, guest_path, held)| Some((dir, below(directory, guest_path)?, held)));
        // The nearest: the rest of the path is the shortest.
        let nearest = found.min_by_key(|(_, path, _)| path.len());
        let (dir, path, held) = nearest.ok_or(EnterError::NotGranted)?;
        let (dir, area) = (dir.clone(), Arc::clone(&held.area));
        if path.is_empty() {
            let held = held.clone();
            self.preopens.insert(0, (dir, ".".to_owned(), held));
            return Ok(());
        }
        let how = How::new(PathFlags::SYMLINK_FOLLOW, OpenFlags::DIRECTORY, DescriptorFlags::READ);
        let how = how.map_err(|_| EnterError::NotThere)?.guarded(!area.exposes_git);
        let open = self.files.open(&area).map_err(|_| EnterError::TooManyFiles)?;
        let account = Account { written: Arc::clone(&self.written), quota: area.quota.clone() };
        let (path, mode, perms) = (path.to_owned(), dir.open_mode, dir.perms);
        let opening = move || open::open(&dir.dir, &path, how, perms, &account);
        let opened = tokio::task::spawn_blocking(opening).await?;
        let Ok((Descriptor::Dir(mut opened), in_git)) = opened else {
            return Err(EnterError::NotThere);
        };
        opened.open_mode = mode;
        self.handles.add(&opened.dir);
        let held = Held { area, in_git, _open: Some(open) };
        self.preopens.insert(0, (opened, ".".to_owned(), held));
        Ok(())
    }
}

/// What of `path` lies below `directory`, without a slash in front, if it is there or below.
fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(directory.trim_end_matches('/'))?;
    let is_below = rest.is_empty() || rest.starts_with('/');
    is_below.then(|| rest.trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn a_path_is_below_a_directory_by_whole_names() {
        assert_eq!(below("/workspace", "/workspace"), Some(""));
        assert_eq!(below("/workspace/a/b/", "/workspace"), Some("a/b"));
        assert_eq!(below("/workspace/a", "/"), Some("workspace/a"));
        assert_eq!(below("/workspaces", "/workspace"), None);
        assert_eq!(below("/", "/workspace"), None);
    }
}
