//! The cache of compiled components: what is kept is used, and what is not ours is not.
//!
//! A Runtime whose compiler cannot work is only built from the cache, so these tests see which of
//! the two it was.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use worker_runtime::{Compiler, Runtime, RuntimeBuildError};
use worker_types::{ComponentRef, Outcome};

use crate::{components::worker_with, harness::*, malformed::helper};

/// A Runtime with one profile, `good`, whose component has a table of `elements` elements.
async fn build_with(
    compiler: Compiler,
    dir: &Path,
    elements: u64,
) -> Result<Runtime, RuntimeBuildError> {
    let good = ComponentRef::Builtin(name("good"));
    Runtime::builder("test".parse().expect("a valid id"))
        .components([(good, Cow::Owned(worker_with(1, elements)))])
        .profiles([profile("good")])
        .compiler(compiler)
        .component_cache(dir)
        .build()
        .await
}

async fn build(compiler: Compiler, dir: &Path) -> Result<Runtime, RuntimeBuildError> {
    build_with(compiler, dir, 10).await
}

async fn compiled(dir: &Path) -> Runtime {
    build(helper(), dir).await.expect("it compiles")
}

/// A Runtime that was built without compiling anything, if the cache has what it takes.
async fn cached(dir: &Path) -> Option<Runtime> {
    match build(Compiler::helper("/does/not/exist", ["compile"]), dir).await {
        Ok(runtime) => Some(runtime),
        Err(RuntimeBuildError::Compiler { .. }) => None,
        Err(other) => panic!("{other:?}"),
    }
}

async fn runs(runtime: &Runtime) {
    let id = worker(runtime, "good").await;
    assert_eq!(turn(runtime, id, "x").await, Outcome::Completed);
}

fn cache() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The artifacts in the cache.
fn artifacts(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a file").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "aot")).collect()
}

/// The one artifact in the cache.
fn artifact(dir: &Path) -> PathBuf {
    let mut found = artifacts(dir);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test]
async fn what_was_compiled_once_is_not_compiled_again() {
    let dir = cache();
    assert!(cached(dir.path()).await.is_none(), "nothing is there yet");
    runs(&compiled(dir.path()).await).await;
    runs(&cached(dir.path()).await.expect("a hit")).await;
    // What the process itself compiles is kept and found the same way.
    let dir = cache();
    build(Compiler::in_process(), dir.path()).await.expect("it compiles");
    runs(&cached(dir.path()).await.expect("a hit")).await;
}

/// Compiles, lets `tamper` do its worst to the file, and expects it not to be used, to be removed,
/// and to be compiled anew.
async fn rejected(what: &str, tamper: impl FnOnce(&mut Vec<u8>)) {
    let dir = cache();
    compiled(dir.path()).await;
    let path = artifact(dir.path());
    let mut bytes = fs::read(&path).expect("an artifact");
    tamper(&mut bytes);
    fs::write(&path, &bytes).expect("a tampered artifact");
    assert!(cached(dir.path()).await.is_none(), "{what}: it was used");
    assert!(!path.exists(), "{what}: it is still there");
    runs(&compiled(dir.path()).await).await;
    assert!(cached(dir.path()).await.is_some(), "{what}: it was not kept anew");
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_rejected() {
    // The header, the MAC, and the code.
    for at in [0, 15, 16, 47, 48, 1_000] {
        rejected(&format!("byte {at}"), |bytes| bytes[at] ^= 1).await;
    }
    rejected("the last byte", |bytes| *bytes.last_mut().expect("a byte") ^= 0x80).await;
}

#[tokio::test]
async fn a_file_that_is_cut_short_or_longer_is_rejected() {
    for length in [0, 7, 16, 47, 48, 5_000] {
        rejected(&format!("{length} bytes"), |bytes| bytes.truncate(length)).await;
    }
    rejected("one byte less", |bytes| bytes.truncate(bytes.len() - 1)).await;
    rejected("one byte more", |bytes| bytes.push(0)).await;
}

#[tokio::test]
async fn a_file_of_another_layout_is_rejected() {
    rejected("v1", |bytes| bytes[..16].copy_from_slice(b"yoi artifact v1\n")).await;
    rejected("no header", |bytes| drop(bytes.drain(..48))).await;
}

#[tokio::test]
async fn the_artifact_of_another_component_is_rejected() {
    let dir = cache();
    compiled(dir.path()).await;
    let ours = artifact(dir.path());
    build_with(helper(), dir.path(), 11).await.expect("another component");
    let mut both = artifacts(dir.path());
    both.retain(|path| *path != ours);
    fs::copy(&both[0], &ours).expect("swapped");
    assert!(cached(dir.path()).await.is_none());
}

#[tokio::test]
async fn an_artifact_under_another_key_is_rejected() {
    let dir = cache();
    compiled(dir.path()).await;
    let stranger = cache();
    compiled(stranger.path()).await;
    fs::copy(artifact(stranger.path()), artifact(dir.path())).expect("swapped");
    assert!(cached(dir.path()).await.is_none());
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_that_is_not_private_or_not_whole_is_replaced() {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    let dir = cache();
    let inner = dir.path().join("new");
    compiled(&inner).await;
    let key = inner.join("key");
    assert_eq!((mode(&inner), mode(&key)), (0o700, 0o600));
    assert_eq!(mode(&artifact(&inner)), 0o600);

    let before = fs::read(&key).expect("a key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("opened to others");
    assert!(cached(&inner).await.is_none(), "others may have forged what is there");
    let after = fs::read(&key).expect("a key");
    assert_ne!(before, after);
    assert_eq!((mode(&key), after.len()), (0o600, 32));

    compiled(&inner).await;
    fs::write(&key, "short").expect("a broken key");
    assert!(cached(&inner).await.is_none());
    assert_eq!(fs::read(&key).expect("a key").len(), 32);
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_others_can_write_to_is_not_used_and_stops_nobody() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = cache();
    compiled(dir.path()).await;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("opened to others");
    assert!(cached(dir.path()).await.is_none());
    runs(&compiled(dir.path()).await).await;

    let file = dir.path().join("file");
    fs::write(&file, "no directory").expect("a file");
    runs(&compiled(&file).await).await;
}
