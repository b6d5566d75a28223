//! When the sources were looked at last, if nobody watches them: which look a request starts, if any.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Looks at all sources take one part in so many of the time, at most. Guessed: a look at 10,000 files takes 40 ms.
const WHOLE_LOOK_SHARE: u32 = 50;

/// What was looked at, and when.
#[derive(Debug)]
pub(super) struct Looks {
    interval: Duration,
    /// By the path of a page or file: when it was looked at last; `None` while that is under way.
    by_path: HashMap<String, Option<Instant>>,
    whole: Instant,
    whole_took: Duration,
}

impl Looks {
    /// The sources were looked at just now.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, by_path: HashMap::new(), whole: Instant::now(), whole_took: Duration::ZERO }
    }

    /// Whether to look at a page's sources now: the last look is over, and was long enough ago.
    pub(super) fn begin(&mut self, path: &str) -> bool {
        let last = self.by_path.get(path).copied().unwrap_or(Some(self.whole));
        let is_due = last.is_some_and(|last| last.max(self.whole).elapsed() >= self.interval);
        if is_due {
            self.by_path.insert(path.to_owned(), None);
        }
        is_due
    }

    /// Whether that look is to take in all sources: a page may list others that it doesn't name.
    pub(super) fn is_whole_due(&self) -> bool {
        self.whole.elapsed() >= self.interval.max(self.whole_took * WHOLE_LOOK_SHARE)
    }

    /// A look is over that began at some time.
    pub(super) fn end(&mut self, path: Option<&str>, is_whole: bool, start: Instant) {
        let now = Instant::now();
        if is_whole {
            (self.whole, self.whole_took) = (now, now - start);
            // What is not under way says nothing any more.
            self.by_path.retain(|_, last| last.is_none());
        }
        if let Some(path) = path {
            self.by_path.insert(path.to_owned(), Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_look_at_a_time_and_none_before_the_interval_is_over() {
        let mut looks = Looks::new(Duration::ZERO);
        assert!(looks.begin("/a") && !looks.begin("/a") && looks.begin("/b"));
        assert!(looks.is_whole_due());
        looks.end(Some("/a"), false, Instant::now());
        assert!(looks.begin("/a") && !looks.begin("/b"));
        let long = Duration::from_hours(1);
        let mut looks = Looks::new(long);
        assert!(!looks.begin("/a") && !looks.is_whole_due());
        looks.interval = Duration::ZERO;
        // A look at everything that took long isn't repeated soon.
        looks.end(None, true, Instant::now().checked_sub(long).unwrap());
        assert!(!looks.is_whole_due() && looks.begin("/a"));
    }
}
