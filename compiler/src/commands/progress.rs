//! How far long work is, for whoever waits for it: a bar with the time left on a terminal, a line for each tenth
//! elsewhere.

use std::fmt;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use crate::assets::Progress;

/// Fewer pieces than this are done before anyone reads a line. Guessed.
const LINE_COUNT_MIN: usize = 20;

/// Tells on standard error how far the making of images is.
#[derive(Debug, Default)]
pub(super) struct ImageProgress {
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    bar: ProgressBar,
    count: usize,
    done_count: usize,
}

impl State {
    /// The line to print when nobody sees a bar, for each tenth of all pieces.
    fn line(&self) -> Option<String> {
        let tenth = |done: usize| done * 10 / self.count;
        let is_due = self.bar.is_hidden()
            && self.count >= LINE_COUNT_MIN
            && tenth(self.done_count) != tenth(self.done_count - 1);
        is_due.then(|| format!("images: {} of {} made\n", self.done_count, self.count))
    }
}

impl Progress for ImageProgress {
    fn begin(&self, count: usize, weight: u64) {
        let bar = ProgressBar::new(weight);
        // The bar takes what the words leave of a line, so that a narrow window has one line too.
        let style = ProgressStyle::with_template("images: {msg}{left} {wide_bar}");
        let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // Before something is done nobody knows.
            if state.pos() > 0 {
                write!(out, ", {:#} left", HumanDuration(state.eta())).ok();
            }
        };
        bar.set_style(style.expect("the template is well-formed").with_key("left", left));
        bar.set_message(format!("0 of {count}"));
        *lock(&self.state) = Some(State { bar, count, done_count: 0 });
    }

    fn advance(&self, weight: u64) {
        let mut guard = lock(&self.state);
        let Some(state) = guard.as_mut() else { return };
        state.done_count += 1;
        state.bar.set_message(format!("{} of {}", state.done_count, state.count));
        state.bar.inc(weight);
        if let Some(line) = state.line() {
            // Whoever closed standard error doesn't want to know.
            drop(std::io::stderr().write_all(line.as_bytes()));
        }
    }

    fn end(&self) {
        if let Some(state) = lock(&self.state).take() {
            state.bar.finish_and_clear();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_for_each_tenth_of_much_work() {
        let lines = |count: usize| {
            let due = |done_count: &usize| State { bar: ProgressBar::hidden(), count, done_count: *done_count }.line();
            (1..=count).collect::<Vec<_>>().iter().filter_map(due).collect::<Vec<_>>()
        };
        assert_eq!(lines(200).len(), 10);
        assert_eq!(lines(20).last().map(String::as_str), Some("images: 20 of 20 made\n"));
        assert!(lines(19).is_empty());
    }
}
