//! Making symbolic links, which `std` has no stable function for on WASI.

use std::{io, path::Path};

#[cfg(unix)]
pub(super) fn make(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// By the preopen that the link will lie in: the one with the longest path.
#[cfg(target_os = "wasi")]
pub(super) fn make(target: &Path, link: &Path) -> io::Result<()> {
    use std::io::ErrorKind;
    use wasip2::filesystem::{preopens, types::ErrorCode};

    let directories = preopens::get_directories();
    let (directory, name) = directories
        .iter()
        .filter_map(|(directory, path)| Some((directory, link.strip_prefix(path).ok()?)))
        .min_by_key(|(_, name)| name.as_os_str().len())
        .ok_or(ErrorKind::NotFound)?;
    let (Some(target), Some(name)) = (target.to_str(), name.to_str()) else {
        return Err(ErrorKind::InvalidFilename.into());
    };
    directory.symlink_at(target, name).map_err(|code| match code {
        ErrorCode::Exist => ErrorKind::AlreadyExists.into(),
        ErrorCode::NoEntry => ErrorKind::NotFound.into(),
        ErrorCode::ReadOnly => ErrorKind::ReadOnlyFilesystem.into(),
        ErrorCode::Access | ErrorCode::NotPermitted => ErrorKind::PermissionDenied.into(),
        code => io::Error::other(code.message()),
    })
}
