//! The last version without mistakes of each page that was asked for, as long as there is room: what is shown while a
//! page has mistakes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bundle::Body;

use super::edition::Ready;

/// Bytes of all these pages together. Guessed: thousands of pages, and little beside what the site itself takes.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Pages by their paths; those that were made longest ago are forgotten first.
#[derive(Debug, Default)]
pub(super) struct LastGood {
    by_path: HashMap<String, (u64, Arc<Ready>)>,
    /// The paths in the order in which their pages were made.
    order: BTreeMap<u64, String>,
    count: u64,
    bytes: usize,
}

impl LastGood {
    /// A page that has no mistakes now.
    pub(super) fn keep(&mut self, path: &str, page: &Arc<Ready>) {
        self.forget(path);
        self.count += 1;
        self.bytes += page.body.len();
        self.order.insert(self.count, path.to_owned());
        self.by_path.insert(path.to_owned(), (self.count, Arc::clone(page)));
        while self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.first_key_value().map(|(_, path)| path.clone()) else { break };
            self.forget(&oldest);
        }
    }

    /// A page as it was without mistakes.
    pub(super) fn find(&self, path: &str) -> Option<Arc<Ready>> {
        self.by_path.get(path).map(|(_, page)| Arc::clone(page))
    }

    fn forget(&mut self, path: &str) {
        if let Some((number, page)) = self.by_path.remove(path) {
            self.order.remove(&number);
            self.bytes -= page.body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(len: usize) -> Arc<Ready> {
        Arc::new(Ready { status: 200, head: Vec::new(), fields_start: 0, body: vec![0; len].into() })
    }

    #[test]
    fn the_pages_made_longest_ago_make_room_for_others() {
        let mut pages = LastGood::default();
        pages.keep("/a", &page(BYTES_MAX / 2));
        pages.keep("/b", &page(BYTES_MAX / 2));
        assert!(pages.find("/a").is_some() && pages.find("/b").is_some());
        pages.keep("/a", &page(BYTES_MAX / 2));
        pages.keep("/c", &page(1));
        assert!(pages.find("/a").is_some() && pages.find("/b").is_none() && pages.find("/c").is_some());
        // One that has no room is kept nowhere, and counts for nothing.
        pages.keep("/d", &page(BYTES_MAX + 1));
        assert!(pages.find("/d").is_none());
        assert_eq!((pages.bytes, pages.order.len()), (0, 0));
        pages.keep("/e", &page(BYTES_MAX));
        assert!(pages.find("/e").is_some());
    }
}
