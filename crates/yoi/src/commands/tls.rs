//! What a process that serves encrypts with: the files that the configuration names.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use http_api::ServerTls;
use yoi_config::TlsConfig;

/// What the configured files have.
pub(super) fn server_tls(files: &TlsConfig) -> anyhow::Result<ServerTls> {
    let read = |what: &str, path: &Path| {
        let read = || match fs::metadata(path)?.is_file() {
            true => fs::read(path),
            false => Err(io::Error::other("it is no regular file")),
        };
        read().map_err(|error| {
            let remedy = unread(error.kind());
            let said = format!("failed to read the {what} in {}: {remedy}", path.display());
            anyhow::Error::new(error).context(said)
        })
    };
    let certificate = read("certificate", &files.certificate)?;
    let key = read("key", &files.key)?;
    #[cfg(unix)]
    refuse_open_key(&files.key)?;
    ServerTls::from_pem(&certificate, &key).with_context(|| {
        format!("{} and {} are not used", files.certificate.display(), files.key.display())
    })
}

/// What to do about a file that cannot be read.
fn unread(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => {
            "put it there, or mend `tls` below [server]; docs/operations.md says how one is made"
        }
        io::ErrorKind::PermissionDenied => {
            "let the user of this process read it, such as with `chgrp` and `chmod g+r`, and pass through the \
             directories above it"
        }
        _ => "`tls` below [server] has to name a regular file",
    }
}

/// A key that everybody on this machine can read proves nothing.
#[cfg(unix)]
fn refuse_open_key(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    anyhow::ensure!(
        mode & 0o007 == 0,
        "everybody on this machine can read or write the key in {file}: `chmod o= {file}`",
        file = path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_tls_file_that_cannot_be_read_is_told_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let said = |path: PathBuf| {
            let files = TlsConfig { certificate: path, key: dir.path().join("key.pem") };
            format!("{:#}", server_tls(&files).expect_err("no file"))
        };
        let missing = said(dir.path().join("chain.pem"));
        assert!(
            missing.contains("certificate in") && missing.contains("put it there"),
            "{missing}"
        );
        let directory = said(dir.path().to_owned());
        assert!(directory.contains("regular file"), "{directory}");
        assert!(unread(io::ErrorKind::PermissionDenied).contains("chmod g+r"));
    }
}
