//! What is counted: rare events for all together, answers for each worker apart, so that no two workers write one cache
//! line for a request. All of it is of fixed size, whatever is asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits::{PATH_BYTES_COUNTED_MAX, PATHS_COUNTED_MAX, STATISTICS_SHARD_COUNT_MAX};

/// Events that are rare, or ought to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A connection was accepted.
    Connection,
    /// A connection was turned away with 503: there were too many.
    TurnedAway,
    /// A connection was turned away with 503: its address had too many.
    AddressTurnedAway,
    /// An idle connection had to make room.
    MadeRoom,
    /// The system refused to accept.
    AcceptFailed,
    /// A request took too long to come.
    RequestTimeout,
    /// A connection was idle for too long.
    IdleTimeout,
    /// A client took its answer too slowly.
    WriteTimeout,
    /// A connection had had as many requests as one may have.
    RequestsUsedUp,
    /// A connection was cut because it wasn't done in time when the server stopped.
    DrainTimeout,
    /// A request was refused for what it is: 400, 417, 501, 505.
    BadRequest,
    /// A head was too long, or had too many fields: 414, 431.
    HeadTooLarge,
    /// A body was too long: 413.
    BodyTooLarge,
    /// Answering ended in a panic.
    Panic,
    /// An answer was ended because what it was made of isn't kept any more.
    Retired,
    /// A line of the access log was dropped.
    LogDropped,
    /// A bundle was taken.
    BundleTaken,
    /// A bundle was refused.
    BundleRefused,
}

impl Event {
    /// All events, in their order, with the names that metrics have for them.
    pub const ALL: [(Self, &'static str); 18] = [
        (Self::Connection, "connections"),
        (Self::TurnedAway, "connections_turned_away"),
        (Self::AddressTurnedAway, "connections_turned_away_by_address"),
        (Self::MadeRoom, "connections_made_room"),
        (Self::AcceptFailed, "accept_failures"),
        (Self::RequestTimeout, "request_timeouts"),
        (Self::IdleTimeout, "idle_timeouts"),
        (Self::WriteTimeout, "write_timeouts"),
        (Self::RequestsUsedUp, "connections_used_up"),
        (Self::DrainTimeout, "drain_timeouts"),
        (Self::BadRequest, "bad_requests"),
        (Self::HeadTooLarge, "heads_too_large"),
        (Self::BodyTooLarge, "bodies_too_large"),
        (Self::Panic, "panics"),
        (Self::Retired, "answers_retired"),
        (Self::LogDropped, "log_lines_dropped"),
        (Self::BundleTaken, "bundles_taken"),
        (Self::BundleRefused, "bundles_refused"),
    ];
}

/// Everything that a server counts.
#[derive(Debug)]
pub struct Metrics {
    events: [AtomicU64; Event::ALL.len()],
    shards: Box<[Shard]>,
}

/// One worker's statistics, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Statistics>);

/// An answer, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// The request's path; empty if there was none.
    pub path: &'a [u8],
    /// The status.
    pub status: u16,
    /// From the read that brought the request to the write that took the last of its batch's answers.
    pub duration: Duration,
}

impl Metrics {
    /// For so many workers.
    pub fn new(worker_count: usize) -> Self {
        let shard_count = worker_count.clamp(1, STATISTICS_SHARD_COUNT_MAX);
        let shards = std::iter::repeat_with(Shard::default).take(shard_count).collect();
        Self { events: std::array::from_fn(|_| AtomicU64::new(0)), shards }
    }

    /// Counts an event.
    pub fn count(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often an event was counted.
    pub fn event_count(&self, event: Event) -> u64 {
        self.events[event as usize].load(Ordering::Relaxed)
    }

    /// Counts answers, with the statistics of the worker that this number leads to. Nothing may yield within.
    pub fn count_answers<'a>(&self, worker: usize, answers: impl Iterator<Item = Counted<'a>>) {
        let mut statistics = self.shards[worker % self.shards.len()].lock();
        answers.for_each(|answer| statistics.count(answer));
    }

    /// The statistics of all workers, added up.
    pub fn statistics(&self) -> Statistics {
        let mut sum = Statistics::default();
        for shard in &self.shards {
            sum.add(&shard.lock());
        }
        sum
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Statistics> {
        // Counting doesn't panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers counted by status and by path.
#[derive(Debug, Default)]
pub struct Statistics {
    /// All answers.
    pub all: Latency,
    /// How many answers had each status, ascending.
    pub by_status: Vec<(u16, u64)>,
    paths: HashMap<Box<[u8]>, Latency>,
    /// How often paths were asked for that have no place in `paths`, by a hash: whoever comes past the least busy of
    /// those that have takes its place.
    waiting: Vec<u32>,
}

/// Slots for paths that wait for a place.
const WAITING_COUNT: usize = 1024;

impl Statistics {
    /// The busiest paths, the busiest first.
    pub fn busiest(&self) -> Vec<(&[u8], &Latency)> {
        let mut paths = self.paths.iter().map(|(path, latency)| (&**path, latency)).collect::<Vec<_>>();
        paths.sort_by_key(|(path, latency)| (std::cmp::Reverse(latency.count), *path));
        paths.truncate(PATHS_COUNTED_MAX);
        paths
    }

    /// How many answers had this status.
    pub fn status_count(&self, status: u16) -> u64 {
        self.by_status.iter().find(|(counted, _)| *counted == status).map_or(0, |(_, count)| *count)
    }

    fn count(&mut self, answer: Counted<'_>) {
        let ns = u64::try_from(answer.duration.as_nanos()).unwrap_or(u64::MAX);
        self.all.count(ns);
        self.count_status(answer.status, 1);
        // What isn't there has no end of paths, and what is redirected by a pattern may have one of any length.
        if answer.status < 400
            && answer.path.len() <= PATH_BYTES_COUNTED_MAX
            && let Some(latency) = self.place_for(answer.path)
        {
            latency.count(ns);
        }
    }

    fn count_status(&mut self, status: u16, count: u64) {
        match self.by_status.binary_search_by_key(&status, |(status, _)| *status) {
            Ok(index) => self.by_status[index].1 += count,
            Err(index) => self.by_status.insert(index, (status, count)),
        }
    }

    fn place_for(&mut self, path: &[u8]) -> Option<&mut Latency> {
        if !self.paths.contains_key(path) {
            if self.paths.len() >= PATHS_COUNTED_MAX {
                let waited_count = self.wait(path);
                let (least_busy, count) =
                    self.paths.iter().map(|(path, latency)| (path, latency.count)).min_by_key(|(_, count)| *count)?;
                if u64::from(waited_count) <= count {
                    return None;
                }
                let least_busy = least_busy.clone();
                self.paths.remove(&least_busy);
            }
            self.paths.insert(path.into(), Latency::default());
        }
        self.paths.get_mut(path)
    }

    fn wait(&mut self, path: &[u8]) -> u32 {
        self.waiting.resize(WAITING_COUNT, 0);
        let slot = path.iter().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        let waited = &mut self.waiting[slot % WAITING_COUNT];
        *waited = waited.saturating_add(1);
        *waited
    }

    fn add(&mut self, other: &Self) {
        self.all.add(&other.all);
        for (status, count) in &other.by_status {
            self.count_status(*status, *count);
        }
        for (path, latency) in &other.paths {
            self.paths.entry(path.clone()).or_default().add(latency);
        }
    }
}

/// A duration in milliseconds with four decimals. Without floating point, whose printing takes 20 KB of program.
pub(crate) fn in_ms(duration: Duration) -> String {
    let ns = duration.as_nanos();
    format!("{}.{:04}", ns / 1_000_000, ns % 1_000_000 / 100)
}

/// A duration in seconds with six decimals.
pub(crate) fn in_seconds(duration: Duration) -> String {
    format!("{}.{:06}", duration.as_secs(), duration.subsec_micros())
}

/// Steps of the histogram for each doubling of the duration: values within one step lie within 4.5 % of its middle.
const STEPS_PER_DOUBLING: u8 = 8;
/// From 1 µs to 67 s.
const STEP_COUNT: usize = 26 * STEPS_PER_DOUBLING as usize;

/// How long answers took: a count, a sum and a histogram.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Answers.
    pub count: u64,
    sum_ns: u64,
    steps: Box<[u32; STEP_COUNT]>,
}

impl Default for Latency {
    fn default() -> Self {
        Self { count: 0, sum_ns: 0, steps: Box::new([0; STEP_COUNT]) }
    }
}

impl Latency {
    /// The mean; 0 of nothing.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_ns / self.count.max(1))
    }

    /// The sum.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The duration that so many percent of the answers didn't exceed, within 5 %.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "there are few steps, and a power of two is not negative"
    )]
    pub fn percentile(&self, percent: u64) -> Duration {
        let rank = self.count.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0;
        let step = self.steps.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        let us = |step: usize| ((step as f64 + 0.5) / f64::from(STEPS_PER_DOUBLING)).exp2();
        step.map_or(Duration::ZERO, |step| Duration::from_nanos((us(step) * 1000.0) as u64))
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a logarithm of a number from 1 on is small and not negative"
    )]
    fn count(&mut self, ns: u64) {
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        let step = ((ns as f32 / 1000.0).max(1.0).log2() * f32::from(STEPS_PER_DOUBLING)) as usize;
        let count = &mut self.steps[step.min(STEP_COUNT - 1)];
        *count = count.saturating_add(1);
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        for (own, other) in self.steps.iter_mut().zip(&*other.steps) {
            *own = own.saturating_add(*other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(path: &[u8], us: u64) -> Counted<'_> {
        Counted { path, status: 200, duration: Duration::from_micros(us) }
    }

    #[test]
    fn median_and_95th_percentile_are_within_five_percent() {
        // Whoever tunes by these figures would tune the wrong thing.
        for scale in [1, 7, 130, 9_000] {
            let mut latency = Latency::default();
            (1..=1000).for_each(|us| latency.count(us * 1000 * scale));
            for (percent, expected_us) in [(50, 500), (95, 950)] {
                let ns = latency.percentile(percent).as_nanos();
                let expected_ns = u128::from(expected_us * 1000 * scale);
                assert!(ns.abs_diff(expected_ns) <= expected_ns / 20, "{percent} % at {scale}: {ns} ns");
            }
            assert_eq!(latency.mean(), Duration::from_nanos(500_500 * scale));
        }
    }

    #[test]
    fn durations_are_written_with_all_their_digits() {
        let duration = Duration::from_nanos(61_002_003_400);
        assert_eq!((&*in_ms(duration), &*in_seconds(duration)), ("61002.0034", "61.002003"));
        assert_eq!((&*in_ms(Duration::ZERO), &*in_seconds(Duration::ZERO)), ("0.0000", "0.000000"));
    }

    #[test]
    fn a_busy_path_gets_its_place_among_any_number_of_others() {
        // Statistics that grew with what is asked would be a way to take all memory.
        let metrics = Metrics::new(2);
        for number in 0..5_000_u32 {
            let other = format!("/{number}").into_bytes();
            metrics.count_answers(0, std::iter::once(counted(&other, 10)));
            metrics.count_answers(0, [counted(b"/busy", 10), counted(b"/busy", 10)].into_iter());
        }
        let endless = vec![b'/'; PATH_BYTES_COUNTED_MAX + 1];
        (0..10_000).for_each(|_| metrics.count_answers(0, std::iter::once(counted(&endless, 10))));
        let statistics = metrics.statistics();
        let busiest = statistics.busiest();
        assert_eq!(busiest.len(), PATHS_COUNTED_MAX);
        assert!(busiest.iter().all(|(path, _)| path.len() <= PATH_BYTES_COUNTED_MAX));
        assert_eq!(busiest[0].0, b"/busy");
        assert_eq!(statistics.all.count, 25_000);
        assert_eq!(statistics.status_count(200), 25_000);
    }

    #[test]
    fn events_stand_in_the_order_of_their_numbers() {
        for (index, (event, _)) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, index);
        }
    }
}
