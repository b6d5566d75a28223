//! Many small results in one file: ten thousand files of a few kilobytes cost more than what is in them. The file is read
//! whole when the first of them is asked for, and written anew at the end of a build that made some or dropped some.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use bundle::{Digest, Hashed};

use super::mark;

/// The first bytes, with the format's version.
const MAGIC: &[u8; 8] = b"KILNPK1\n";
/// Bytes of a digest: an entry's key, and the seal at the end.
const DIGEST_BYTES: usize = 32;
/// Bytes before an entry's content: its key, its age, its length.
const ENTRY_HEAD_BYTES: usize = DIGEST_BYTES + 1 + 4;
/// How much is written at a time.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes of what is made after the file was written that are remembered: while a site is edited, every state of a block of
/// code makes some. Guessed: thousands of blocks.
const LATER_BYTES_MAX: usize = 16 << 20;
/// Builds that an entry outlives without being asked for: those with other options in between. Guessed.
const AGE_MAX: u8 = 3;

/// Bytes of a file beyond which all that nobody asks for gets older: builds that ask for little leave what edits made behind,
/// each time. Guessed: ten times what a site of 10,000 pages has.
const SPARED_BYTES_MAX: usize = 64 << 20;

/// One file of results.
#[derive(Debug, Default)]
pub(super) struct Pack {
    held: OnceLock<Held>,
    made: Mutex<Made>,
    /// What was used without being asked for here.
    marked: Mutex<HashSet<[u8; DIGEST_BYTES]>>,
    /// Nothing gets older this time.
    is_spared: AtomicBool,
}

type Results = BTreeMap<[u8; DIGEST_BYTES], Arc<[u8]>>;

/// What was made since the file was read.
#[derive(Debug, Default)]
struct Made {
    /// All of it until the file is written.
    first: Results,
    /// Since then: as much as there is room for, and then none of it.
    later: Results,
    later_bytes: usize,
    is_written: bool,
}

impl Made {
    fn find(&self, key: &[u8; DIGEST_BYTES]) -> Option<Arc<[u8]>> {
        self.first.get(key).or_else(|| self.later.get(key)).cloned()
    }

    fn keep(&mut self, key: [u8; DIGEST_BYTES], content: Arc<[u8]>) {
        if !self.is_written {
            self.first.insert(key, content);
            return;
        }
        self.later_bytes += ENTRY_HEAD_BYTES + content.len();
        if self.later_bytes > LATER_BYTES_MAX {
            self.later.clear();
            self.later_bytes = ENTRY_HEAD_BYTES + content.len();
        }
        self.later.insert(key, content);
    }
}

/// The file as it was read.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    entries: HashMap<[u8; DIGEST_BYTES], Entry>,
}

#[derive(Debug)]
struct Entry {
    age: u8,
    content: Range<usize>,
    is_used: AtomicBool,
}

impl Pack {
    /// Reads the file, unless it has been read.
    fn load(&self, path: &Path) -> &Held {
        self.held.get_or_init(|| Held::read(path).unwrap_or_default())
    }

    /// What is kept under a key.
    pub(super) fn find(&self, path: &Path, key: &Digest) -> Option<Arc<[u8]>> {
        let held = self.load(path);
        if let Some(entry) = held.entries.get(key.as_bytes()) {
            entry.is_used.store(true, Ordering::Relaxed);
            return Some(held.bytes[entry.content.clone()].into());
        }
        self.made.lock().unwrap_or_else(PoisonError::into_inner).find(key.as_bytes())
    }

    /// Keeps something until the file is written, or for a while if it was.
    pub(super) fn keep(&self, key: &Digest, content: Arc<[u8]>) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).keep(*key.as_bytes(), content);
    }

    /// What is kept under a key was used, and had from elsewhere.
    pub(super) fn mark(&self, key: &Digest) {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner).insert(*key.as_bytes());
    }

    /// Has nothing get older this time.
    pub(super) fn spare(&self) {
        self.is_spared.store(true, Ordering::Relaxed);
    }

    /// Writes the file anew, if anything was asked for or made: what was used and what is young. `now` marks it as used.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&self, path: &Path, now: Option<SystemTime>) -> io::Result<()> {
        let Some(held) = self.held.get() else { return Ok(()) };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.is_written = true;
        let marked = self.marked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries: BTreeMap<&[u8; DIGEST_BYTES], (u8, &[u8])> = BTreeMap::new();
        let mut is_same = made.first.is_empty() && made.later.is_empty();
        let is_spared = self.is_spared.load(Ordering::Relaxed) && held.bytes.len() <= SPARED_BYTES_MAX;
        let step = u8::from(!is_spared);
        for (key, entry) in &held.entries {
            let is_used = entry.is_used.load(Ordering::Relaxed) || marked.contains(key);
            let age = if is_used { 0 } else { entry.age.saturating_add(step) };
            is_same &= age == entry.age;
            if age <= AGE_MAX {
                entries.insert(key, (age, &held.bytes[entry.content.clone()]));
            }
        }
        if is_same {
            // It was used all the same, and pruning goes by the mark of the file as a whole.
            if let Ok(file) = File::open(path) {
                mark(&file, now);
            }
            return Ok(());
        }
        entries.extend(made.first.iter().chain(&made.later).map(|(key, content)| (key, (0, &**content))));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Beside it and renamed: another build never sees half of it.
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        let write = || {
            let mut sealed = BufWriter::with_capacity(WRITE_BYTES, Hashed::new(File::create(&beside)?));
            sealed.write_all(MAGIC)?;
            for (key, (age, content)) in entries {
                let Ok(len) = u32::try_from(content.len()) else { continue };
                sealed.write_all(&[key, &[age][..], &len.to_le_bytes()].concat())?;
                sealed.write_all(content)?;
            }
            let (mut file, seal) = sealed.into_inner()?.finish();
            file.write_all(seal.as_bytes())?;
            now.map_or(Ok(()), |now| file.set_modified(now))
        };
        write().and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
            // The reason is reported; what is left over is overwritten by the next.
            fs::remove_file(&beside).ok();
        })
    }
}

impl Held {
    /// The file, if it is there and whole.
    fn read(path: &Path) -> Option<Self> {
        let mut bytes = fs::read(path).ok()?;
        let body_end = bytes.len().checked_sub(DIGEST_BYTES)?;
        if !bytes.starts_with(MAGIC) || Digest::of(&bytes[..body_end]).as_bytes() != &bytes[body_end..] {
            return None;
        }
        bytes.truncate(body_end);
        let mut entries = HashMap::new();
        let mut at = MAGIC.len();
        while at < bytes.len() {
            let (head, _) = bytes[at..].split_at_checked(ENTRY_HEAD_BYTES)?;
            let (key, rest) = head.split_first_chunk::<DIGEST_BYTES>()?;
            let (age, len) = (rest[0], u32::from_le_bytes(rest[1..].try_into().ok()?));
            let content = at + ENTRY_HEAD_BYTES..at + ENTRY_HEAD_BYTES + usize::try_from(len).ok()?;
            at = content.end;
            bytes.get(content.clone())?;
            entries.insert(*key, Entry { age, content, is_used: AtomicBool::new(false) });
        }
        Some(Self { bytes, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("kiln-pack-{name}-{}", std::process::id()));
        fs::remove_file(&path).ok();
        path
    }

    #[test]
    fn what_was_made_is_there_in_the_next_build_and_goes_when_nobody_asks_for_it() {
        let path = path("ages");
        let [one, other] = [Digest::of(b"1"), Digest::of(b"2")];
        let pack = Pack::default();
        assert_eq!(pack.find(&path, &one), None);
        pack.keep(&one, b"content".as_slice().into());
        pack.keep(&other, b"other".as_slice().into());
        pack.write(&path, None).unwrap();
        for _ in 0..=AGE_MAX {
            let pack = Pack::default();
            assert_eq!(pack.find(&path, &one).as_deref(), Some(&b"content"[..]));
            pack.write(&path, None).unwrap();
        }
        let pack = Pack::default();
        assert_eq!(pack.find(&path, &one).as_deref(), Some(&b"content"[..]));
        assert_eq!(pack.find(&path, &other), None);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn nothing_gets_older_in_a_file_that_is_spared_until_it_is_large() {
        let path = path("spared");
        let [asked, other] = [Digest::of(b"1"), Digest::of(b"2")];
        for (len, is_kept) in [(8, true), (SPARED_BYTES_MAX, false)] {
            let pack = Pack::default();
            pack.find(&path, &asked);
            pack.keep(&asked, vec![0; len].into());
            pack.keep(&other, b"other".as_slice().into());
            pack.write(&path, None).unwrap();
            for _ in 0..=AGE_MAX {
                let pack = Pack::default();
                assert!(pack.find(&path, &asked).is_some());
                pack.spare();
                pack.write(&path, None).unwrap();
            }
            assert_eq!(Pack::default().find(&path, &other).is_some(), is_kept, "{len}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_is_made_after_the_file_was_written_is_bounded() {
        // Someone who writes a page for a day saves thousands of states of it.
        let path = path("later");
        let key = |number: u32| Digest::of(&number.to_le_bytes());
        let large: Arc<[u8]> = vec![0; LATER_BYTES_MAX / 2 - ENTRY_HEAD_BYTES].into();
        let pack = Pack::default();
        let is_there = |number| pack.find(&path, &key(number)).is_some();
        assert!(!is_there(0));
        for number in 0..3 {
            pack.keep(&key(number), Arc::clone(&large));
        }
        pack.write(&path, None).unwrap();
        pack.keep(&key(3), Arc::clone(&large));
        pack.keep(&key(4), Arc::clone(&large));
        assert!((0..=4).all(is_there), "all that was written, and as much as there is room for");
        pack.keep(&key(5), b"one more".as_slice().into());
        assert_eq!([2, 3, 4, 5].map(is_there), [true, false, false, true]);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_damaged_file_counts_as_empty() {
        let path = path("damaged");
        let key = Digest::of(b"1");
        let pack = Pack::default();
        pack.find(&path, &key);
        pack.keep(&key, b"content".as_slice().into());
        pack.write(&path, None).unwrap();
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(Pack::default().find(&path, &key), None, "cut at {len}");
        }
        for index in 0..whole.len() {
            let mut changed = whole.clone();
            changed[index] ^= 1;
            fs::write(&path, changed).unwrap();
            assert_eq!(Pack::default().find(&path, &key), None, "changed at {index}");
        }
        fs::remove_file(path).unwrap();
    }
}
