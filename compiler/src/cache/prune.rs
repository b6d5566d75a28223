//! Bounding the folder of results: those go first that nobody used for longest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::WalkDir;

/// What a pruning found and did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// Results that are gone, and what killed builds had left of others.
    pub removed_count: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Results that are left.
    pub kept_count: u64,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// One file of the cache.
struct Entry {
    path: PathBuf,
    used: SystemTime,
    len: u64,
}

/// Removes results until no more than `bytes_max` bytes are left, and all that were last used before `used_after`. A build
/// that runs at the same time loses nothing but time.
///
/// # Errors
/// What the system said of the first file that could not be looked at or removed. A folder that isn't there is empty.
pub fn prune(folder: &Path, bytes_max: u64, used_after: Option<SystemTime>) -> io::Result<Pruned> {
    let mut pruned = Pruned::default();
    if !folder.exists() {
        return Ok(pruned);
    }
    let mut entries = read_entries(folder)?;
    // The latest first; those of one moment by name, so that the same are left every time.
    entries.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
    let mut is_full = false;
    for entry in entries {
        let is_left_over = entry.path.extension().is_some_and(|extension| extension == "tmp");
        let is_old = used_after.is_some_and(|time| entry.used < time);
        is_full |= pruned.kept_bytes + entry.len > bytes_max;
        if is_left_over || is_old || is_full {
            match fs::remove_file(&entry.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            pruned.removed_count += 1;
            pruned.removed_bytes += entry.len;
        } else {
            pruned.kept_count += 1;
            pruned.kept_bytes += entry.len;
        }
    }
    Ok(pruned)
}

fn read_entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in WalkDir::new(folder) {
        let found = found.map_err(io::Error::from)?;
        if found.file_type().is_file() {
            let metadata = found.metadata().map_err(io::Error::from)?;
            entries.push(Entry { used: metadata.modified()?, len: metadata.len(), path: found.into_path() });
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::cache::{Cache, CacheKey, Shelf};

    fn at(days: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(days * 24 * 60 * 60)
    }

    /// A cache with four results of 968 bytes and their seals, used on different days.
    fn filled(name: &str) -> (PathBuf, Vec<CacheKey>) {
        let folder = std::env::temp_dir().join(format!("kiln-prune-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        let keys: Vec<_> = (0..4_u8).map(|number| CacheKey::new("f 1", &[&[number]])).collect();
        for (days, key) in (1_000..).zip(&keys) {
            Cache::new(folder.clone()).used_at(at(days)).keep(key, &[7; 968]);
        }
        (folder, keys)
    }

    fn left(folder: &Path, keys: &[CacheKey]) -> Vec<bool> {
        keys.iter().map(|key| Cache::new(folder.to_owned()).find(key).is_some()).collect()
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let (folder, keys) = filled("oldest");
        // The oldest one is used again, much later.
        assert!(Cache::new(folder.clone()).used_at(at(2_000)).find(&keys[0]).is_some());
        let pruned = prune(&folder, 2_000, None).unwrap();
        assert_eq!(pruned, Pruned { removed_count: 2, removed_bytes: 2_000, kept_count: 2, kept_bytes: 2_000 });
        assert_eq!(left(&folder, &keys), [true, false, false, true]);
        assert_eq!(prune(&folder, 2_000, None).unwrap().removed_count, 0);
        assert_eq!(prune(&folder, 1_999, None).unwrap().removed_count, 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn small_results_that_are_used_and_stay_as_they_are_stay() {
        // A site that nobody edits for a month would lose all of them at once.
        let folder = std::env::temp_dir().join(format!("kiln-prune-pack-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        let key = CacheKey::new("f 1", &[]);
        let build = |days| {
            let cache = Cache::new(folder.clone()).used_at(at(days));
            cache.find_or_make_small(Shelf::Compressed, &key, || b"content".to_vec());
            cache.finish();
            cache.counts().hits
        };
        assert_eq!((build(1_000), build(2_000)), (0, 1));
        fs::write(folder.join("small.17.tmp"), "half").unwrap();
        let pruned = prune(&folder, u64::MAX, Some(at(1_500))).unwrap();
        assert_eq!((pruned.removed_count, pruned.kept_count), (1, 1), "the left-over");
        assert_eq!(build(2_001), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_not_used_for_long_goes_whatever_the_room() {
        let (folder, keys) = filled("unused");
        fs::write(folder.join("00.17.tmp"), "half").unwrap();
        assert_eq!(prune(&folder, u64::MAX, Some(at(1_002))).unwrap().removed_count, 3, "two, and a left-over");
        assert_eq!(left(&folder, &keys), [false, false, true, true]);
        assert_eq!(prune(&folder, 0, None).unwrap().kept_count, 0);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(prune(&folder, 0, None).unwrap(), Pruned::default(), "no folder");
    }
}
