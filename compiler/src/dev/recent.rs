//! Pages by their paths, as long as there is room: those that an edition has made, and the last versions without mistakes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes of all these pages together. Guessed: thousands of pages, and little beside what the site itself takes.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What any page takes, its path and its mistakes included. Guessed.
const PAGE_BYTES_MIN: usize = 512;

/// Pages by their paths; those that were made longest ago are forgotten first.
#[derive(Debug)]
pub(super) struct Recent<P> {
    by_path: HashMap<String, Entry<P>>,
    /// The paths in the order in which their pages were made.
    order: BTreeMap<u64, String>,
    count: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<P> {
    number: u64,
    page: Arc<P>,
    len: usize,
}

impl<P> Default for Recent<P> {
    fn default() -> Self {
        Self { by_path: HashMap::new(), order: BTreeMap::new(), count: 0, bytes: 0 }
    }
}

impl<P> Recent<P> {
    /// Keeps a page that was made now and takes so many bytes.
    pub(super) fn keep(&mut self, path: &str, page: &Arc<P>, len: usize) {
        self.forget(path);
        let len = len + PAGE_BYTES_MIN;
        if len > BYTES_MAX {
            return;
        }
        self.count += 1;
        self.bytes += len;
        self.order.insert(self.count, path.to_owned());
        self.by_path.insert(path.to_owned(), Entry { number: self.count, page: Arc::clone(page), len });
        while self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.first_key_value().map(|(_, path)| path.clone()) else { break };
            self.forget(&oldest);
        }
    }

    /// The page at a path, if it is still kept.
    pub(super) fn find(&self, path: &str) -> Option<Arc<P>> {
        self.by_path.get(path).map(|entry| Arc::clone(&entry.page))
    }

    fn forget(&mut self, path: &str) {
        if let Some(Entry { number, len, .. }) = self.by_path.remove(path) {
            self.order.remove(&number);
            self.bytes -= len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_made_longest_ago_make_room_for_others() {
        const HALF: usize = BYTES_MAX / 2 - PAGE_BYTES_MIN;
        let mut pages = Recent::default();
        pages.keep("/a", &Arc::new(()), HALF);
        pages.keep("/b", &Arc::new(()), HALF);
        assert!(pages.find("/a").is_some() && pages.find("/b").is_some());
        pages.keep("/a", &Arc::new(()), HALF);
        pages.keep("/c", &Arc::new(()), 0);
        assert!(pages.find("/a").is_some() && pages.find("/b").is_none() && pages.find("/c").is_some());
        // One that has no room is kept nowhere, and takes none from others.
        pages.keep("/d", &Arc::new(()), BYTES_MAX);
        assert!(pages.find("/d").is_none() && pages.find("/a").is_some());
        pages.keep("/e", &Arc::new(()), BYTES_MAX - PAGE_BYTES_MIN);
        assert!(pages.find("/e").is_some());
        assert_eq!((pages.bytes, pages.order.len()), (BYTES_MAX, 1));
    }
}
