//! Making symbolic links, which `std` has no stable function for on WASI.

use std::{io, path::Path};

#[cfg(unix)]
pub(super) fn make(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(target_os = "wasi")]
pub(super) fn make(target: &Path, link: &Path) -> io::Result<()> {
    let (directory, name) = super::descriptor::preopen(link)?;
    // WASI makes no links with absolute targets. The same place has a relative name too, which means
    // the same to everything that sees these directories at these paths.
    let target = if target.is_absolute() { relative(target, link) } else { target.to_owned() };
    let target = target.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    directory.symlink_at(target, name).map_err(super::descriptor::error)
}

/// The way from the directory that `link` lies in.
#[cfg_attr(not(target_os = "wasi"), cfg(test))]
fn relative(target: &Path, link: &Path) -> std::path::PathBuf {
    let mut from = link.parent().unwrap_or(link).components().peekable();
    let mut to = target.components().peekable();
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    let mut way: std::path::PathBuf = from.map(|_| "..").collect();
    way.extend(to);
    if way.as_os_str().is_empty() { std::path::PathBuf::from(".") } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_targets_have_relative_names() {
        for (target, link, way) in [
            ("/w/a", "/w/b", "a"),
            ("/w/a", "/w/d/b", "../a"),
            ("/tmp/a", "/w/d/b", "../../tmp/a"),
            ("/w", "/w/b", "."),
        ] {
            assert_eq!(relative(Path::new(target), Path::new(link)), Path::new(way));
        }
    }
}
