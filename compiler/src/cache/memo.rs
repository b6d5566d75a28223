//! What pure functions returned, kept in memory for the next build of the same process: of single source files, and of
//! whole lists. What has the bytes that it had is not made again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use crate::bytes::Bytes;

/// Results by the file's path. All other input of the function must be the same for the memo's whole life: another
/// configuration means another memo.
#[derive(Debug)]
pub struct FileMemo<V> {
    entries: Mutex<HashMap<Arc<str>, Entry<V>>>,
}

#[derive(Debug)]
struct Entry<V> {
    bytes: Bytes,
    value: V,
    /// Whether it was asked for since the last sweep.
    is_used: bool,
}

impl<V> Default for FileMemo<V> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<V: Clone + Send + Sync> FileMemo<V> {
    /// What the function returned for each of these files, in their order. What isn't known is made, in parallel, and
    /// kept. Each file has a name that is its own, and its bytes.
    pub fn find_or_make_all<'f, F: Sync>(
        &self,
        files: &'f [F],
        name_and_bytes: impl Fn(&'f F) -> (Arc<str>, &'f Bytes),
        make: impl Fn(&'f F) -> V + Sync,
    ) -> Vec<V> {
        let names: Vec<_> = files.iter().map(name_and_bytes).collect();
        // One look for all: threads that take the lock in turns would wait for each other.
        let mut entries = self.lock();
        let mut values: Vec<Option<V>> = names.iter().map(|(name, bytes)| find(&mut entries, name, bytes)).collect();
        drop(entries);
        let missing: Vec<usize> = (0..files.len()).filter(|index| values[*index].is_none()).collect();
        let results: Vec<V> = missing.par_iter().map(|index| make(&files[*index])).collect();
        let mut entries = self.lock();
        for (index, value) in missing.into_iter().zip(results) {
            let (name, bytes) = &names[index];
            entries.insert(Arc::clone(name), Entry { bytes: Bytes::clone(bytes), value: value.clone(), is_used: true });
            values[index] = Some(value);
        }
        values.into_iter().flatten().collect()
    }

    /// What the function returned for this file, if it is remembered.
    pub fn find(&self, path: &Arc<str>, bytes: &Bytes) -> Option<V> {
        find(&mut self.lock(), path, bytes)
    }

    /// Remembers what the function returned for this file.
    pub fn keep(&self, path: &Arc<str>, bytes: &Bytes, value: V) {
        let entry = Entry { bytes: bytes.clone(), value, is_used: true };
        self.lock().insert(Arc::clone(path), entry);
    }

    /// Forgets what nobody asked for since the last sweep: files that are gone.
    pub fn sweep(&self) {
        self.lock().retain(|_, entry| std::mem::take(&mut entry.is_used));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Entry<V>>> {
        // An entry is put in whole or not at all.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<V: Clone>(entries: &mut HashMap<Arc<str>, Entry<V>>, path: &Arc<str>, bytes: &Bytes) -> Option<V> {
    let entry = entries.get_mut(path)?;
    if entry.bytes != *bytes {
        return None;
    }
    entry.is_used = true;
    Some(entry.value.clone())
}

/// What a function returned for its last input.
#[derive(Debug)]
pub struct LastMemo<I, V> {
    last: Mutex<Option<(I, V)>>,
}

impl<I, V> Default for LastMemo<I, V> {
    fn default() -> Self {
        Self { last: Mutex::default() }
    }
}

impl<I: PartialEq, V: Clone> LastMemo<I, V> {
    /// What the function returned if it was asked with the same input last time, else what `make` returns, which is kept
    /// then.
    pub fn find_or_make(&self, input: I, make: impl FnOnce(&I) -> V) -> V {
        // What is behind the lock is put in whole or not at all.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, value)) = &*last
            && *known == input
        {
            return value.clone();
        }
        let value = make(&input);
        *last = Some((input, value.clone()));
        value
    }
}

/// Something that is the same only as long as it is one: its content is not compared.
#[derive(Clone, Debug)]
pub struct ByAddress<T>(pub Arc<T>);

impl<T> PartialEq for ByAddress<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_kept_as_long_as_the_file_has_the_same_bytes_and_is_asked_for() {
        let memo = FileMemo::default();
        let ask = |bytes: &[u8], value: u32| {
            let bytes = Bytes::from(bytes);
            memo.find_or_make_all(&[()], |()| ("a.md".into(), &bytes), |()| value)[0]
        };
        assert_eq!(ask(b"one", 1), 1);
        assert_eq!(ask(b"one", 2), 1);
        assert_eq!(ask(b"two", 3), 3);
        memo.sweep();
        assert_eq!(ask(b"two", 4), 3);
        memo.sweep();
        memo.sweep();
        assert_eq!(ask(b"two", 5), 5);
    }

    #[test]
    fn what_is_asked_for_together_comes_in_its_order_and_only_what_is_new_is_made() {
        let memo = FileMemo::default();
        let bytes = Bytes::from(b"x".as_slice());
        let ask = |names: &[&str], value: u32| {
            memo.find_or_make_all(names, |name| (Arc::from(*name), &bytes), |name| (name.len(), value))
        };
        assert_eq!(ask(&["a", "bb"], 1), [(1, 1), (2, 1)]);
        assert_eq!(ask(&["ccc", "a", "bb", "dddd"], 2), [(3, 2), (1, 1), (2, 1), (4, 2)]);
    }

    #[test]
    fn only_the_last_input_is_remembered() {
        let memo = LastMemo::default();
        let ask = |input: u32, value: u32| memo.find_or_make(input, |_| value);
        assert_eq!((ask(1, 10), ask(1, 11), ask(2, 20), ask(1, 12)), (10, 10, 20, 12));
        let [one, other] = [Arc::new(1), Arc::new(1)];
        assert_eq!(ByAddress(Arc::clone(&one)), ByAddress(Arc::clone(&one)));
        assert_ne!(ByAddress(one), ByAddress(other));
    }
}
