//! What pure functions returned, kept in a folder between builds. An entry's name is the digest of everything that its
//! function read, so nothing is ever out of date, and deleting the folder changes nothing but time. It holds no paths,
//! and times only as marks for pruning: machines may share it. A damaged entry counts as absent.

mod memo;
mod pack;
mod prune;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bundle::{Body, Digest};

pub use memo::{ByAddress, FileMemo, LastMemo};
use pack::Pack;
pub use prune::{Pruned, prune};

use crate::bytes::{Bytes, ReadError};

/// Which of the files of small results one belongs to. Each is read whole when the first of its results is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shelf {
    /// Compressed pages.
    Compressed,
    /// What is a keyword in blocks of code, and what a comment.
    Highlighted,
    /// What is known of pages that come out as they did before.
    Pages,
    /// What is known of what is sent of pages, where it lies in the last bundle.
    Routes,
    /// What the search index says of pages.
    Search,
}

/// Files of compressed pages. They are the largest by far, and what becomes of one page needs one or two of them. Guessed.
const COMPRESSED_COUNT: usize = 64;
/// The files of the other shelves, in their order.
const FILE_NAMES: [&str; 4] = ["highlighted.pack", "pages.pack", "routes.pack", "search.pack"];

impl Shelf {
    /// The number of the file in which a result is.
    fn number(self, key: &CacheKey) -> usize {
        match self {
            Self::Compressed => usize::from(key.as_bytes()[0]) % COMPRESSED_COUNT,
            _ => self.only_number(),
        }
    }

    /// The number of the first of its files.
    fn only_number(self) -> usize {
        (COMPRESSED_COUNT + self as usize).saturating_sub(1)
    }
}

/// The name of a file of small results.
fn pack_name(number: usize) -> String {
    let name = number.checked_sub(COMPRESSED_COUNT).and_then(|number| FILE_NAMES.get(number));
    name.map_or_else(|| format!("compressed-{number:02}.pack"), |name| (*name).to_owned())
}

/// Where a site keeps its cache, from its root.
pub const CACHE_FOLDER: &str = ".kiln/cache";
/// Bytes before an entry's content: the digest of its key and its content.
const SEAL_BYTES: usize = 32;

/// The name of what a pure function returns: which function it is, in which version, and all that it read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CacheKey(Digest);

impl CacheKey {
    /// The key of a function's result. `function` names it with its version (`"brotli 11"`); `parts` are its inputs, in
    /// an order that the function keeps. Parts can't run into each other.
    pub fn new(function: &str, parts: &[&[u8]]) -> Self {
        let mut text = Vec::new();
        for part in std::iter::once(function.as_bytes()).chain(parts.iter().copied()) {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            // Long inputs go in by their digests, so that no key copies a photograph.
            if part.len() > 64 {
                text.extend_from_slice(Digest::of(part).as_bytes());
            } else {
                text.extend_from_slice(part);
            }
        }
        Self(Digest::of(&text))
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; Digest::BYTES] {
        self.0.as_bytes()
    }

    fn seal(&self, content: &Digest) -> Digest {
        let mut text = self.0.as_bytes().to_vec();
        text.extend_from_slice(content.as_bytes());
        Digest::of(&text)
    }
}

/// How often the cache had something and how often not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct CacheCounts {
    /// Results that were there.
    pub hits: u64,
    /// Results that had to be made.
    pub misses: u64,
    /// Entries that were there and damaged; misses too.
    pub damaged: u64,
    /// Results that could not be kept, because the disk refused.
    pub not_kept: u64,
}

/// A folder of results, or none at all: then everything is made anew. Its copies are one cache.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
    /// When results are used, so that pruning can tell.
    now: Option<SystemTime>,
    /// Which program this is, to the byte.
    program: Option<Arc<str>>,
    shared: Arc<Shared>,
}

/// What all copies of a cache have in common.
#[derive(Debug)]
struct Shared {
    packs: [Pack; COMPRESSED_COUNT + FILE_NAMES.len()],
    hits: AtomicU64,
    misses: AtomicU64,
    damaged: AtomicU64,
    not_kept: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        let [hits, misses, damaged, not_kept] = [0; 4].map(AtomicU64::new);
        Self { packs: std::array::from_fn(|_| Pack::default()), hits, misses, damaged, not_kept }
    }
}

impl Cache {
    /// The cache in a folder, which is made when the first result is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..Self::default() }
    }

    /// The same, where results that are used are marked with this time: pruning removes first what has the oldest mark.
    pub fn used_at(self, now: SystemTime) -> Self {
        Self { now: Some(now), ..self }
    }

    /// The same for a program with an identity of its own: what it says is another one for every other program.
    pub fn of_program(self, identity: Option<String>) -> Self {
        Self { program: identity.map(Into::into), ..self }
    }

    /// Whether something can be remembered that no other program may use.
    pub fn is_of_known_program(&self) -> bool {
        self.folder.is_some() && self.program.is_some()
    }

    /// The key of a result that this very program returns, and no other: what makes it is too much to have a version of
    /// its own. Nothing if it isn't known which program this is, or nothing is kept.
    pub fn program_key(&self, function: &str, parts: &[&[u8]]) -> Option<CacheKey> {
        self.folder.as_ref()?;
        let program = self.program.as_ref()?;
        Some(CacheKey::new(function, &[&[program.as_bytes()], parts].concat()))
    }

    /// A cache that remembers nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// What a function returned for these inputs, if it is remembered and whole.
    pub fn find(&self, key: &CacheKey) -> Option<Vec<u8>> {
        Some(self.find_bytes(key)?.read().ok()?.into_owned())
    }

    /// The same; what is large stays where it is kept.
    pub fn find_bytes(&self, key: &CacheKey) -> Option<Bytes> {
        let found = self.folder.as_deref().and_then(|folder| self.read_entry(&entry_path(folder, key), key));
        let counter = if found.is_some() { &self.shared.hits } else { &self.shared.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Remembers what a function returned. A disk that refuses is counted and costs time at the next build, no more.
    pub fn keep(&self, key: &CacheKey, content: &[u8]) {
        self.write(key, content);
    }

    /// The same, and gives the memory back where that is worth it: the bytes are read again when they are needed. What
    /// could not be kept stays in memory.
    pub fn keep_bytes(&self, key: &CacheKey, content: Vec<u8>) -> Bytes {
        match self.write(key, &content) {
            Some(path) => Bytes::leave(content, &path, SEAL_BYTES as u64),
            None => content.into(),
        }
    }

    /// Where the entry is now.
    fn write(&self, key: &CacheKey, content: &[u8]) -> Option<PathBuf> {
        let path = entry_path(self.folder.as_deref()?, key);
        let written = write_entry(&path, &key.seal(&Digest::of(content)), content, self.now);
        if written.is_err() {
            self.shared.not_kept.fetch_add(1, Ordering::Relaxed);
        }
        written.ok().map(|()| path)
    }

    /// What the cache remembers for these inputs, else what `make` returns, which is remembered then.
    ///
    /// # Errors
    /// What `make` says; errors are not remembered.
    pub fn find_or_make<E>(&self, key: &CacheKey, make: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        if let Some(found) = self.find(key) {
            return Ok(found);
        }
        let result = make()?;
        self.keep(key, &result);
        Ok(result)
    }

    /// The same for a small result, of which a site has thousands: those of a shelf lie together in one file, which is
    /// written by [`finish`](Self::finish).
    pub fn find_or_make_small(&self, place: Shelf, key: &CacheKey, make: impl FnOnce() -> Vec<u8>) -> Arc<[u8]> {
        self.find_small(place, key).unwrap_or_else(|| {
            let result: Arc<[u8]> = make().into();
            self.keep_small(place, key, Arc::clone(&result));
            result
        })
    }

    /// A small result that is remembered.
    pub fn find_small(&self, place: Shelf, key: &CacheKey) -> Option<Arc<[u8]>> {
        let folder = self.folder.as_ref()?;
        let number = place.number(key);
        let found = self.shared.packs[number].find(&folder.join(pack_name(number)), &key.0);
        let counter = if found.is_some() { &self.shared.hits } else { &self.shared.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Remembers a small result.
    pub fn keep_small(&self, place: Shelf, key: &CacheKey, content: Arc<[u8]>) {
        if self.folder.is_some() {
            self.shared.packs[place.number(key)].keep(&key.0, content);
        }
    }

    /// What a shelf has may be needed by work that this build didn't need: nothing there gets older by it. It is a shelf of
    /// one file.
    pub fn spare(&self, place: Shelf) {
        self.shared.packs[place.only_number()].spare();
    }

    /// Marks a small result as used that was had from elsewhere, without reading anything.
    pub fn mark_small(&self, place: Shelf, key: &CacheKey) {
        self.shared.packs[place.number(key)].mark(&key.0);
    }

    /// Writes what is kept until the end of a build. A disk that refuses is counted.
    pub fn finish(&self) {
        let Some(folder) = &self.folder else { return };
        for (number, pack) in self.shared.packs.iter().enumerate() {
            if pack.write(&folder.join(pack_name(number)), self.now).is_err() {
                self.shared.not_kept.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether an error is that one of its files can't be read: somebody pruned it after it was found or kept.
    pub fn holds(&self, error: &io::Error) -> bool {
        self.folder.as_deref().is_some_and(|folder| ReadError::is_in(error, folder))
    }

    /// How it went so far.
    pub fn counts(&self) -> CacheCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounts {
            hits: load(&self.shared.hits),
            misses: load(&self.shared.misses),
            damaged: load(&self.shared.damaged),
            not_kept: load(&self.shared.not_kept),
        }
    }

    fn read_entry(&self, path: &Path, key: &CacheKey) -> Option<Bytes> {
        let mut file = File::open(path).ok()?;
        let mut seal = [0; SEAL_BYTES];
        let content = file.read_exact(&mut seal).and_then(|()| Bytes::read_rest(&mut file, path));
        if let Some(content) = content.ok().filter(|content| key.seal(&content.digest()).as_bytes() == &seal) {
            mark(&file, self.now);
            return Some(content);
        }
        self.shared.damaged.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// A mark is renewed when it is older than this: once a day is enough to tell what is used.
const MARK_PERIOD: Duration = Duration::from_hours(24);

/// Marks an entry as used. Where that can't be done, as on a disk that is only read, nothing is lost but the order in
/// which results are pruned.
fn mark(file: &File, now: Option<SystemTime>) {
    let Some(now) = now else { return };
    let marked = file.metadata().and_then(|metadata| metadata.modified());
    if marked.is_ok_and(|marked| now.duration_since(marked).is_ok_and(|age| age > MARK_PERIOD)) {
        drop(file.set_modified(now));
    }
}

/// Two levels, so that no folder holds a hundred thousand files.
fn entry_path(folder: &Path, key: &CacheKey) -> PathBuf {
    let name = key.0.hex(64);
    folder.join(&name[..2]).join(&name[2..])
}

/// Writes beside and renames: another build never sees half an entry, whenever this one is killed. Nothing is flushed
/// to the disk: after a power cut the seal tells.
fn write_entry(path: &Path, seal: &Digest, content: &[u8], now: Option<SystemTime>) -> io::Result<()> {
    let folder = path.parent().expect("an entry's path has the cache's folder before it");
    let mut beside = path.to_owned();
    beside.set_extension(format!("{}.tmp", std::process::id()));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(seal.as_bytes())?;
        file.write_all(content)?;
        now.map_or(Ok(()), |now| file.set_modified(now))
    };
    let written = write().or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        fs::create_dir_all(folder)?;
        write()
    });
    written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| drop(fs::remove_file(&beside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kiln-cache-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        folder
    }

    #[test]
    fn a_result_is_remembered_for_its_own_inputs_only() {
        let folder = folder("remembered");
        let cache = Cache::new(folder.clone());
        let key = CacheKey::new("double 1", &[b"ab", b"c"]);
        assert_eq!(cache.find(&key), None);
        cache.keep(&key, b"result");
        assert_eq!(Cache::new(folder.clone()).find(&key), Some(b"result".to_vec()));
        for other in [CacheKey::new("double 2", &[b"ab", b"c"]), CacheKey::new("double 1", &[b"a", b"bc"])] {
            assert_eq!(cache.find(&other), None);
        }
        assert_eq!(Cache::none().find(&key), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_damage_to_an_entry_makes_it_absent() {
        // A build that was killed, or a disk that lied, must never reach a page.
        let folder = folder("damaged");
        let cache = Cache::new(folder.clone());
        let key = CacheKey::new("f 1", &[]);
        cache.keep(&key, b"content");
        let path = entry_path(&folder, &key);
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(cache.find(&key), None, "cut at {len}");
        }
        for index in 0..whole.len() {
            let mut changed = whole.clone();
            changed[index] ^= 1;
            fs::write(&path, changed).unwrap();
            assert_eq!(cache.find(&key), None, "changed at {index}");
        }
        assert_eq!(cache.counts().damaged, 2 * whole.len() as u64);
        assert_eq!(cache.find_or_make(&key, || Ok::<_, ()>(b"content".to_vec())), Ok(b"content".to_vec()));
        assert_eq!(cache.find(&key), Some(b"content".to_vec()));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_entry_under_another_name_is_damaged() {
        let folder = folder("renamed");
        let cache = Cache::new(folder.clone());
        let [one, other] = [CacheKey::new("f 1", &[b"1"]), CacheKey::new("f 1", &[b"2"])];
        cache.keep(&one, b"content");
        cache.keep(&other, b"other");
        fs::rename(entry_path(&folder, &one), entry_path(&folder, &other)).unwrap();
        assert_eq!(cache.find(&other), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_can_not_be_written_costs_only_time() {
        let cache = Cache::new("/proc/no-such-folder".into());
        let key = CacheKey::new("f 1", &[]);
        cache.keep(&key, b"content");
        assert_eq!(cache.find(&key), None);
        assert_eq!(cache.counts().not_kept, 1);
    }
}
