//! What a pure function of one source file returned, kept in memory for the next build of the same process. A file that
//! has the bytes that it had is not read again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Results by the file's path. All other input of the function must be the same for the memo's whole life: another
/// configuration means another memo.
#[derive(Debug)]
pub struct FileMemo<V> {
    entries: Mutex<HashMap<Arc<str>, Entry<V>>>,
}

#[derive(Debug)]
struct Entry<V> {
    bytes: Arc<[u8]>,
    value: V,
    /// Whether it was asked for since the last sweep.
    is_used: bool,
}

impl<V> Default for FileMemo<V> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<V: Clone> FileMemo<V> {
    /// What the function returned for this file, else what `make` returns, which is kept then.
    pub fn find_or_make(&self, path: &Arc<str>, bytes: &Arc<[u8]>, make: impl FnOnce() -> V) -> V {
        if let Some(entry) = self.lock().get_mut(path)
            && (Arc::ptr_eq(&entry.bytes, bytes) || entry.bytes == *bytes)
        {
            entry.is_used = true;
            return entry.value.clone();
        }
        let value = make();
        let entry = Entry { bytes: Arc::clone(bytes), value: value.clone(), is_used: true };
        self.lock().insert(Arc::clone(path), entry);
        value
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_kept_as_long_as_the_file_has_the_same_bytes_and_is_asked_for() {
        let memo = FileMemo::default();
        let ask = |bytes: &[u8], value: u32| memo.find_or_make(&"a.md".into(), &bytes.into(), || value);
        assert_eq!(ask(b"one", 1), 1);
        assert_eq!(ask(b"one", 2), 1);
        assert_eq!(ask(b"two", 3), 3);
        memo.sweep();
        assert_eq!(ask(b"two", 4), 3);
        memo.sweep();
        memo.sweep();
        assert_eq!(ask(b"two", 5), 5);
    }
}
