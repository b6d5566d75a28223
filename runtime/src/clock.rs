//! Two clocks that a worker reads without asking the system: the second for `Date`, and milliseconds for deadlines.
//! Somebody has to turn them ([`Clock::turn`]); in tests they stand still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time as of its last turn.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    unix_seconds: AtomicU64,
    running_ms: AtomicU64,
}

impl Clock {
    /// A clock that shows the time now.
    pub fn started_now() -> Self {
        let clock = Self::standing_at(0);
        clock.turn();
        clock
    }

    /// A clock that shows this second since 1970 until it is turned.
    pub fn standing_at(unix_seconds: u64) -> Self {
        Self { started: Instant::now(), unix_seconds: AtomicU64::new(unix_seconds), running_ms: AtomicU64::new(0) }
    }

    /// Reads the system's clocks; returns the time until the next whole second.
    pub fn turn(&self) -> Duration {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.unix_seconds.store(since_1970.as_secs(), Ordering::Relaxed);
        let running_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.running_ms.store(running_ms, Ordering::Relaxed);
        Duration::from_nanos(1_000_000_000 - u64::from(since_1970.subsec_nanos()))
    }

    /// Seconds since 1970.
    pub fn unix_seconds(&self) -> u64 {
        self.unix_seconds.load(Ordering::Relaxed)
    }

    /// Milliseconds since the clock was made.
    pub fn running_ms(&self) -> u64 {
        self.running_ms.load(Ordering::Relaxed)
    }
}
