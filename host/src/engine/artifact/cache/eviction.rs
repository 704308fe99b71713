//! Keeps the cache within its bound: what nobody used for the longest time goes first.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::ARTIFACT;

/// A file of the cache.
struct Kept {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// Removes artifacts from `dir`, those that were used longest ago first, until they take `bytes` at
/// most. Each goes whole, so a crash in the middle leaves a smaller cache and nothing else.
pub(super) fn shrink(dir: &Path, bytes: u64) -> io::Result<()> {
    let mut kept = artifacts(dir)?;
    kept.sort_by_key(|artifact| artifact.used);
    let mut total: u64 = kept.iter().map(|artifact| artifact.bytes).sum();
    for artifact in kept {
        if total <= bytes {
            break;
        }
        super::remove(&artifact.path)?;
        total -= artifact.bytes;
    }
    Ok(())
}

fn artifacts(dir: &Path) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != ARTIFACT) {
            continue;
        }
        match entry.metadata() {
            Ok(found) => kept.push(Kept { path, bytes: found.len(), used: found.modified()? }),
            // Another Runtime with the same directory was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use tempfile::TempDir;
    use worker_types::ComponentDigest;

    use super::super::{super::Compatibility, Artifact, CODE_AT, ComponentCache};

    const CODE: usize = 100;
    const FILE: u64 = (CODE_AT + CODE) as u64;
    const VERSION: Compatibility = Compatibility([1; 32]);

    fn component(number: u8) -> ComponentDigest {
        ComponentDigest::from_sha256([number; 32])
    }

    fn open(dir: &TempDir, bytes: u64) -> ComponentCache {
        ComponentCache::open_within(dir.path(), 1 << 20, bytes).expect("a cache")
    }

    fn write(cache: &ComponentCache, number: u8, code: usize) {
        let artifact = Artifact { bytes: vec![number; code], code_at: 0 };
        cache.write(&component(number), VERSION, &artifact);
    }

    /// As if it had been used so many seconds after the beginning of time.
    fn used_at(cache: &ComponentCache, number: u8, seconds: u64) {
        let file = File::open(cache.path(&component(number), VERSION)).expect("it is kept");
        let at = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(at).expect("it is ours");
    }

    fn kept(cache: &ComponentCache) -> Vec<u8> {
        let is_kept = |number: &u8| cache.path(&component(*number), VERSION).exists();
        (1..=9).filter(is_kept).collect()
    }

    #[test]
    fn what_was_used_longest_ago_makes_room_for_what_is_new() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = open(&dir, 3 * FILE);
        for number in 1..=3 {
            write(&cache, number, CODE);
            used_at(&cache, number, number.into());
        }
        assert!(cache.read(&component(1), VERSION).is_some(), "it is used again");
        write(&cache, 4, CODE);
        assert_eq!(kept(&cache), [1, 3, 4]);
        used_at(&cache, 1, 1);
        write(&cache, 5, CODE + 1);
        assert_eq!(kept(&cache), [4, 5], "one byte too many");
    }

    #[test]
    fn what_is_larger_than_the_whole_cache_is_not_kept_and_costs_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = open(&dir, FILE);
        write(&cache, 1, CODE);
        write(&cache, 2, CODE + 1);
        assert_eq!(kept(&cache), [1]);
    }

    #[test]
    fn a_cache_that_may_take_less_than_it_has_is_cut_when_it_is_opened() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = open(&dir, 3 * FILE);
        for number in 1..=3 {
            write(&cache, number, CODE);
            used_at(&cache, number, number.into());
        }
        assert_eq!(kept(&open(&dir, 2 * FILE)), [2, 3]);
    }
}
