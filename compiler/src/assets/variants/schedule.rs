//! The order of work that takes much memory: each job is opened once, then its parts are done, all on the threads of the
//! pool, and what is in memory at once stays under a bound. It knows nothing of images.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What a job takes. Bytes of memory, each at its peak.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_field_names, reason = "the unit stands last in every name")]
pub(crate) struct Load {
    /// While the job is being opened.
    pub(crate) opening_bytes: u64,
    /// From then until its last part is done.
    pub(crate) held_bytes: u64,
    /// More than that, for each part while it is being done. At least one.
    pub(crate) part_bytes: Vec<u64>,
}

impl Load {
    /// What the job takes at its peak if its parts are done one after the other.
    pub(crate) fn alone_bytes(&self) -> u64 {
        let part_max = self.part_bytes.iter().max().copied().unwrap_or(0);
        self.opening_bytes.max(self.held_bytes.saturating_add(part_max))
    }
}

/// The work itself. Every function is called on a thread of the pool, for one job from several threads at once.
pub(crate) trait Work: Sync {
    /// Opens a job. If it can't be, its parts aren't done.
    fn open(&self, job: usize) -> bool;
    /// Does one part of an open job.
    fn do_part(&self, job: usize, part: usize);
    /// All parts of a job are done, or it couldn't be opened.
    fn close(&self, job: usize);
}

/// Does all jobs, the largest first and within a job too. No more than `bytes_max` is taken at once, unless one job alone
/// takes more: that one waits until it is alone.
pub(crate) fn run(loads: &[Load], bytes_max: u64, work: &impl Work) {
    let mut waiting: Vec<usize> = (0..loads.len()).collect();
    waiting.sort_by_key(|job| (std::cmp::Reverse(loads[*job].alone_bytes()), *job));
    let board =
        Board { loads, bytes_max, state: Mutex::new(State { waiting, open: Vec::new() }), changed: Condvar::new() };
    // Each of them works until nothing is left. One that waits for memory blocks its thread, and what it waits for is
    // being done by another of them, never by a task that would need this thread.
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|_| board.work_until_done(work));
        }
    });
}

/// A job that is being opened, or whose parts are being done.
struct OpenJob {
    job: usize,
    is_opening: bool,
    /// Parts that nobody has begun, the largest last.
    left: Vec<usize>,
    /// Parts that are being done.
    running: Vec<usize>,
}

struct State {
    /// Jobs that nobody has begun, the largest first.
    waiting: Vec<usize>,
    open: Vec<OpenJob>,
}

enum Step {
    Open(usize),
    Part(usize, usize),
}

struct Board<'a> {
    loads: &'a [Load],
    bytes_max: u64,
    state: Mutex<State>,
    changed: Condvar,
}

impl Board<'_> {
    fn work_until_done(&self, work: &impl Work) {
        while let Some(step) = self.take_step() {
            match step {
                Step::Open(job) => {
                    if work.open(job) {
                        self.note_opened(job);
                    } else {
                        self.close(job, work);
                    }
                }
                Step::Part(job, part) => {
                    work.do_part(job, part);
                    if self.note_done(job, part) {
                        self.close(job, work);
                    }
                }
            }
        }
    }

    /// The next thing to do; nothing once all is done or in other hands for good.
    fn take_step(&self) -> Option<Step> {
        let mut state = self.lock();
        loop {
            if let Some(step) = self.find_step(&mut state) {
                return Some(step);
            }
            if state.waiting.is_empty() && state.open.iter().all(|job| job.left.is_empty() && !job.is_opening) {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What fits: parts of open jobs first, since they give memory back, then the largest waiting job.
    fn find_step(&self, state: &mut State) -> Option<Step> {
        // A job that takes more than the bound alone has raised it for as long as it is open.
        let alone = |job: usize| self.loads[job].alone_bytes();
        let bound = state.open.iter().map(|open| alone(open.job)).max().unwrap_or(0).max(self.bytes_max);
        let taken: u64 = state.open.iter().map(|open| self.taken_bytes(open)).sum();
        for open in state.open.iter_mut().filter(|open| !open.is_opening) {
            let before = self.taken_bytes(open);
            // The largest that fits: while one takes nearly all there is, smaller ones are done beside it.
            for index in (0..open.left.len()).rev() {
                let part = open.left.remove(index);
                open.running.push(part);
                // One part at a time always fits: room for it was kept when the job was opened.
                if open.running.len() == 1 || taken - before + self.taken_bytes(open) <= bound {
                    return Some(Step::Part(open.job, part));
                }
                open.running.pop();
                open.left.insert(index, part);
            }
        }
        let fits = |job: &usize| state.open.is_empty() || taken.saturating_add(alone(*job)) <= bound;
        let index = state.waiting.iter().position(fits)?;
        let job = state.waiting.remove(index);
        let mut left: Vec<usize> = (0..self.loads[job].part_bytes.len()).collect();
        left.sort_by_key(|part| (self.loads[job].part_bytes[*part], std::cmp::Reverse(*part)));
        state.open.push(OpenJob { job, is_opening: true, left, running: Vec::new() });
        Some(Step::Open(job))
    }

    /// What an open job takes now, with room for the largest part that is left.
    fn taken_bytes(&self, open: &OpenJob) -> u64 {
        let load = &self.loads[open.job];
        if open.is_opening {
            return load.alone_bytes();
        }
        let running: u64 = open.running.iter().map(|part| load.part_bytes[*part]).sum();
        let next = open.left.last().map_or(0, |part| load.part_bytes[*part]);
        load.held_bytes + running.max(next)
    }

    fn note_opened(&self, job: usize) {
        let mut state = self.lock();
        state.open.iter_mut().filter(|open| open.job == job).for_each(|open| open.is_opening = false);
        self.changed.notify_all();
    }

    /// Whether that was the job's last part.
    fn note_done(&self, job: usize, part: usize) -> bool {
        let mut state = self.lock();
        let Some(open) = state.open.iter_mut().find(|open| open.job == job) else { return false };
        open.running.retain(|running| *running != part);
        let is_last = open.running.is_empty() && open.left.is_empty();
        self.changed.notify_all();
        is_last
    }

    /// What the job held is given back before anyone counts on it.
    fn close(&self, job: usize, work: &impl Work) {
        work.close(job);
        self.lock().open.retain(|open| open.job != job);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use super::*;

    /// Counts what is taken, as the loads say it.
    struct Counted<'a> {
        loads: &'a [Load],
        taken: AtomicU64,
        peak: AtomicU64,
        parts: AtomicUsize,
        order: Mutex<Vec<usize>>,
        closed: Mutex<Vec<usize>>,
    }

    impl<'a> Counted<'a> {
        fn new(loads: &'a [Load]) -> Self {
            Self {
                loads,
                taken: AtomicU64::new(0),
                peak: AtomicU64::new(0),
                parts: AtomicUsize::new(0),
                order: Mutex::default(),
                closed: Mutex::default(),
            }
        }

        fn take(&self, bytes: u64) {
            let taken = self.taken.fetch_add(bytes, Ordering::SeqCst) + bytes;
            self.peak.fetch_max(taken, Ordering::SeqCst);
            std::thread::yield_now();
        }

        fn give(&self, bytes: u64) {
            self.taken.fetch_sub(bytes, Ordering::SeqCst);
        }
    }

    impl Work for Counted<'_> {
        fn open(&self, job: usize) -> bool {
            self.order.lock().unwrap().push(job);
            let load = &self.loads[job];
            self.take(load.opening_bytes);
            self.give(load.opening_bytes);
            // Every seventh can't be opened.
            if job % 7 == 6 {
                return false;
            }
            self.take(load.held_bytes);
            true
        }

        fn do_part(&self, job: usize, part: usize) {
            self.take(self.loads[job].part_bytes[part]);
            self.parts.fetch_add(1, Ordering::SeqCst);
            self.give(self.loads[job].part_bytes[part]);
        }

        fn close(&self, job: usize) {
            self.closed.lock().unwrap().push(job);
            if job % 7 != 6 {
                self.give(self.loads[job].held_bytes);
            }
        }
    }

    fn load(opening_bytes: u64, held_bytes: u64, part_bytes: &[u64]) -> Load {
        Load { opening_bytes, held_bytes, part_bytes: part_bytes.to_vec() }
    }

    fn counted(loads: &[Load], bytes_max: u64, thread_count: usize) -> Counted<'_> {
        let work = Counted::new(loads);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(thread_count).build().unwrap();
        pool.install(|| run(loads, bytes_max, &work));
        let mut closed = work.closed.lock().unwrap().clone();
        closed.sort_unstable();
        assert_eq!(closed, (0..loads.len()).collect::<Vec<_>>(), "each job is closed once");
        assert_eq!(work.taken.load(Ordering::SeqCst), 0);
        work
    }

    #[test]
    fn everything_is_done_once_within_the_bound_by_any_number_of_threads() {
        let loads: Vec<_> =
            (0..60).map(|number| load(10 + number % 13, 5 + number % 5, &[number % 11, 3, 9, 1])).collect();
        let expected: usize = (0..60).filter(|job| job % 7 != 6).count() * 4;
        for thread_count in [1, 2, 3, 8] {
            for bytes_max in [25, 40, 1_000] {
                let work = counted(&loads, bytes_max, thread_count);
                assert_eq!(work.parts.load(Ordering::SeqCst), expected);
                assert!(work.peak.load(Ordering::SeqCst) <= bytes_max, "{bytes_max} bytes, {thread_count} threads");
            }
        }
    }

    #[test]
    fn beside_a_part_that_takes_nearly_all_there_is_smaller_ones_are_done() {
        // Without it all threads but one wait while the widest AVIF of a photograph is made.
        let loads = [load(10, 10, &[5, 30, 80, 20])];
        let state = Mutex::new(State { waiting: vec![0], open: Vec::new() });
        let board = Board { loads: &loads, bytes_max: 100, state, changed: Condvar::new() };
        let parts_that_fit = || {
            let step = || match board.find_step(&mut board.lock())? {
                Step::Part(_, part) => Some(part),
                Step::Open(_) => None,
            };
            std::iter::from_fn(step).collect::<Vec<_>>()
        };
        assert!(matches!(board.take_step(), Some(Step::Open(0))));
        board.note_opened(0);
        assert_eq!(parts_that_fit(), [2, 0], "10 held and 80 leave 10");
        board.note_done(0, 2);
        assert_eq!(parts_that_fit(), [1, 3]);
    }

    #[test]
    fn a_job_that_takes_more_than_the_bound_is_done_alone() {
        let loads = [load(10, 10, &[5]), load(50, 40, &[100, 60, 1]), load(8, 8, &[2]), load(10, 10, &[3])];
        let work = counted(&loads, 20, 4);
        assert_eq!(work.order.lock().unwrap()[0], 1, "the largest is first");
        assert!(work.peak.load(Ordering::SeqCst) <= 140);
    }

    #[test]
    fn nothing_to_do_is_done_at_once() {
        counted(&[], 0, 2);
        counted(&[load(0, 0, &[0])], 0, 1);
    }
}
