//! A connection as the two who deal with it see it: whoever reads and writes (a [`Stream`](super::stream::Stream)), and
//! the door that watches how long that takes.

use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use may::io::WaitIoWaker;
use socket2::Socket;

use crate::connection::{Context, Visit};
use crate::limits::LINGER_MS;
use crate::metrics::Event;

/// What a connection is doing, as far as its deadline depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing: it waits for a request, and nothing of it has come.
    Idle = 0,
    /// It makes an answer, or waits for what it is made of; no deadline.
    Answering = 4,
    /// It waits for the rest of a request.
    Reading = 1,
    /// It waits for the client to take an answer.
    Writing = 2,
    /// It waits for a refused client to end.
    Ending = 3,
}

/// In the place of a file's descriptor.
const NO_FILE: RawFd = -1;

/// A connection as the door and its coroutine share it.
pub(super) struct Held {
    socket: Socket,
    phase: AtomicU8,
    /// When the phase began, and when it must be over, in milliseconds of the server's clock.
    since_ms: AtomicU64,
    deadline_ms: AtomicU64,
    /// When what it answers from was served.
    epoch: AtomicU64,
    /// The file that it last sent from since then; [`NO_FILE`] if there is none.
    file: AtomicI32,
    is_expired: AtomicBool,
    wants_pause: AtomicBool,
    /// What outlives a pause; nobody's while somebody serves it.
    visit: Mutex<Option<Visit>>,
    /// Wakes the coroutine that it has to itself, if it has one.
    waker: Mutex<Option<WaitIoWaker>>,
}

impl Held {
    /// For a connection that was just accepted: the time for its first head runs.
    pub(super) fn new(socket: Socket, context: &Context, visit: Visit) -> Self {
        let now_ms = context.clock.running_ms();
        Self {
            socket,
            phase: AtomicU8::new(Phase::Idle as u8),
            since_ms: AtomicU64::new(now_ms),
            deadline_ms: AtomicU64::new(now_ms + context.limits.header_timeout_ms),
            epoch: AtomicU64::new(context.epoch.load(Ordering::Relaxed)),
            file: AtomicI32::new(NO_FILE),
            is_expired: AtomicBool::new(false),
            wants_pause: AtomicBool::new(false),
            visit: Mutex::new(Some(visit)),
            waker: Mutex::new(None),
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn descriptor_number(&self) -> usize {
        usize::try_from(self.socket.as_raw_fd()).unwrap_or(0)
    }

    /// How long it has been idle; `None` if it isn't.
    pub(super) fn idle_ms(&self, now_ms: u64) -> Option<u64> {
        let is_idle = self.phase.load(Ordering::Relaxed) == Phase::Idle as u8;
        is_idle.then(|| now_ms.saturating_sub(self.since_ms.load(Ordering::Relaxed)))
    }

    /// When what it answers from was served.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Whether what it does has taken too long.
    pub(super) fn is_overdue(&self, now_ms: u64) -> bool {
        now_ms >= self.deadline_ms.load(Ordering::Relaxed)
    }

    /// Ends a phase that took too long, once; returns what that is called. Where the client may still be told so, only
    /// reading ends.
    pub(super) fn expire(&self) -> Option<Event> {
        if self.is_expired.swap(true, Ordering::Relaxed) {
            // Its coroutine had a while to see it.
            self.close();
            return None;
        }
        match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Reading as u8 => {
                self.end_reading();
                Some(Event::RequestTimeout)
            }
            phase => {
                self.close();
                let is_idle = phase == Phase::Idle as u8;
                (phase != Phase::Ending as u8).then_some(if is_idle { Event::IdleTimeout } else { Event::WriteTimeout })
            }
        }
    }

    /// Lets what was received be answered, and then ends the conversation.
    pub(super) fn end_reading(&self) {
        // A connection that is gone needs no ending.
        self.socket.shutdown(Shutdown::Read).ok();
    }

    /// Ends it where it is idle; a request that comes at this moment may still be answered.
    pub(super) fn end_idle(&self, now_ms: u64) {
        // Nobody is to take it for an idle one again.
        self.enter(Phase::Ending, now_ms, now_ms + LINGER_MS);
        self.end_reading();
    }

    /// Ends the connection.
    pub(super) fn close(&self) {
        // A connection that is gone needs no ending.
        self.socket.shutdown(Shutdown::Both).ok();
    }

    /// Sends a short text; a client that can't take it gets nothing.
    pub(super) fn say(&self, text: &str) {
        // Whether the client hears it or not, the connection closes.
        self.socket.send(text.as_bytes()).ok();
    }

    /// Has an idle connection give back its coroutine.
    pub(super) fn ask_for_pause(&self) {
        self.wants_pause.store(true, Ordering::Relaxed);
        if let Some(waker) = &*lock(&self.waker) {
            waker.wakeup();
        }
    }

    /// Whether it was asked for that.
    pub(super) fn is_to_pause(&self) -> bool {
        self.wants_pause.load(Ordering::Relaxed)
    }

    /// It gets a coroutine to itself, which can be woken by this.
    pub(super) fn move_out(&self, waker: WaitIoWaker) {
        self.wants_pause.store(false, Ordering::Relaxed);
        *lock(&self.waker) = Some(waker);
    }

    /// It has none any more.
    pub(super) fn move_in(&self) {
        *lock(&self.waker) = None;
    }

    /// What is known of the visit, for whoever serves it from now on.
    pub(super) fn take_visit(&self) -> Option<Visit> {
        lock(&self.visit).take()
    }

    /// Keeps that until it is served again.
    pub(super) fn keep_visit(&self, visit: Visit) {
        *lock(&self.visit) = Some(visit);
    }

    pub(super) fn deadline_ms(&self) -> u64 {
        self.deadline_ms.load(Ordering::Relaxed)
    }

    /// From now on it is answered from what is served in this epoch.
    pub(super) fn enter_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.file.store(NO_FILE, Ordering::Relaxed);
    }

    /// It is sent from this file.
    pub(super) fn enter_file(&self, file: RawFd) {
        self.file.store(file, Ordering::Relaxed);
    }

    /// Whether it may be sent from this file.
    pub(super) fn may_send_from(&self, file: RawFd) -> bool {
        [file, NO_FILE].contains(&self.file.load(Ordering::Relaxed))
    }

    pub(super) fn enter(&self, phase: Phase, now_ms: u64, deadline_ms: u64) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.since_ms.store(now_ms, Ordering::Relaxed);
        self.deadline_ms.store(deadline_ms, Ordering::Relaxed);
    }

    pub(super) fn is_expired(&self) -> bool {
        self.is_expired.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of a socket that somebody else owns.
pub(super) struct Descriptor(pub(super) RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}
