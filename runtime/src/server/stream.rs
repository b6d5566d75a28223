//! A socket as the two who deal with it see it: the coroutine that reads and writes ([`Stream`]), and the door that
//! watches how long that takes ([`Held`]).

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use may::io::{CoIo, WaitIo, WaitIoWaker};
use socket2::Socket;

use crate::connection::{Awaiting, Context, Transport, Visit};
use crate::fetch::Fetch;
use crate::limits::{FETCH_BYTES, LINGER_MS, WRITE_BYTES_PER_SECOND_MIN};
use crate::mapped::is_in_memory;
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

/// A connection as the door and its coroutine share it.
pub(super) struct Held {
    socket: Socket,
    phase: AtomicU8,
    /// When the phase began, and when it must be over, in milliseconds of the server's clock.
    since_ms: AtomicU64,
    deadline_ms: AtomicU64,
    /// When what it answers from was served.
    epoch: AtomicU64,
    is_expired: AtomicBool,
    wants_pause: AtomicBool,
    waker: Mutex<Option<WaitIoWaker>>,
}

impl Held {
    /// For a connection that was just accepted: the time for its first head runs.
    pub(super) fn new(socket: Socket, context: &Context) -> Self {
        let now_ms = context.clock.running_ms();
        Self {
            socket,
            phase: AtomicU8::new(Phase::Idle as u8),
            since_ms: AtomicU64::new(now_ms),
            deadline_ms: AtomicU64::new(now_ms + context.limits.header_timeout_ms),
            epoch: AtomicU64::new(context.epoch.load(Ordering::Relaxed)),
            is_expired: AtomicBool::new(false),
            wants_pause: AtomicBool::new(false),
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

    /// Whether what it answers with was begun before an epoch.
    pub(super) fn is_older_than(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::Relaxed) < epoch
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
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wakeup();
        }
    }

    fn enter(&self, phase: Phase, now_ms: u64, deadline_ms: u64) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.since_ms.store(now_ms, Ordering::Relaxed);
        self.deadline_ms.store(deadline_ms, Ordering::Relaxed);
    }

    fn is_expired(&self) -> bool {
        self.is_expired.load(Ordering::Relaxed)
    }
}

/// The number of a socket that somebody else owns.
struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// The coroutine's side of a connection. Waits by yielding, and reads only when there is something: after a read that
/// didn't fill the buffer it waits for the next event first, which saves a system call for each request.
pub(super) struct Stream {
    io: CoIo<Descriptor>,
    held: Arc<Held>,
    context: Arc<Context>,
    /// What it waits for; `None` while it answers.
    awaiting: Option<Awaiting>,
    /// When the first head must be whole; `None` once there was an answer.
    first_head_deadline_ms: Option<u64>,
    /// Nothing has come since its coroutine began.
    is_fresh: bool,
    /// Nothing is there to read until the next event.
    is_drained: bool,
    /// The client has sent all that it will.
    has_hung_up: bool,
    /// Bytes written since the last read.
    sent_len: u64,
    /// Set when a write had to wait since then.
    delay: Option<Delay>,
}

/// A client that doesn't take an answer as fast as it is written.
#[derive(Clone, Copy)]
struct Delay {
    /// When a write first had to wait.
    since_ms: u64,
    /// When the client last took something.
    progress_ms: u64,
}

impl Stream {
    pub(super) fn new(held: Arc<Held>, context: Arc<Context>, visit: &Visit) -> io::Result<Self> {
        let io = CoIo::new(Descriptor(held.socket.as_raw_fd()))?;
        held.wants_pause.store(false, Ordering::Relaxed);
        *held.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(io.waker());
        // The time for the first head runs from the accept.
        let first_head_deadline_ms = (visit.request_count == 0).then(|| held.deadline_ms.load(Ordering::Relaxed));
        Ok(Self {
            io,
            held,
            context,
            awaiting: None,
            first_head_deadline_ms,
            is_fresh: true,
            is_drained: false,
            has_hung_up: false,
            sent_len: 0,
            delay: None,
        })
    }

    /// Starts the clock of a wait, unless it is one that goes on.
    fn begin(&mut self, awaiting: Awaiting) {
        (self.sent_len, self.delay) = (0, None);
        if self.awaiting == Some(awaiting) && awaiting != Awaiting::Request {
            return;
        }
        self.awaiting = Some(awaiting);
        let limits = &self.context.limits;
        let now_ms = self.context.clock.running_ms();
        let (phase, timeout_ms) = match awaiting {
            // The door has set the deadline of a connection that is new or was idle for a while.
            Awaiting::Request if self.is_fresh => return,
            Awaiting::Request => (Phase::Idle, limits.idle_timeout_ms),
            Awaiting::Head | Awaiting::Body => (Phase::Reading, limits.header_timeout_ms),
            Awaiting::End => (Phase::Ending, LINGER_MS),
        };
        let latest_ms = self.first_head_deadline_ms.filter(|_| awaiting == Awaiting::Head).unwrap_or(u64::MAX);
        self.held.enter(phase, now_ms, latest_ms.min(now_ms + timeout_ms));
    }

    /// Yields until something happens to the socket.
    fn wait(&mut self) {
        const HUNG_UP: usize = 0x2000 | 0x10 | 0x8; // EPOLLRDHUP, EPOLLHUP, EPOLLERR
        let events = self.io.wait_io();
        self.is_drained = false;
        self.has_hung_up |= events & HUNG_UP != 0;
    }

    /// Waits until the client takes more; its time runs from the last byte that it took.
    fn wait_for_room(&mut self) -> io::Result<()> {
        let now_ms = self.context.clock.running_ms();
        let delay = *self.delay.get_or_insert(Delay { since_ms: now_ms, progress_ms: now_ms });
        let timeout_ms = self.context.limits.write_timeout_ms;
        let total_ms = timeout_ms + self.sent_len * 1000 / WRITE_BYTES_PER_SECOND_MIN;
        let deadline_ms = (delay.progress_ms + timeout_ms).min(delay.since_ms + total_ms);
        self.held.enter(Phase::Writing, now_ms, deadline_ms);
        self.awaiting = None;
        self.wait();
        if self.held.is_expired() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Ends a wait: what the client sent is being answered, or it has taken a part of the answer.
    fn answering(&mut self) {
        self.awaiting = None;
        self.held.enter(Phase::Answering, self.context.clock.running_ms(), u64::MAX);
    }

    /// Has a part of a file brought into memory, and waits for that.
    fn fetch(&mut self, file: &File, offset: usize, len: usize) -> io::Result<()> {
        let waker = self.io.waker();
        let fetch = Fetch::begin(file, offset as u64, len, move || waker.wakeup())?;
        while !fetch.is_done() {
            self.wait();
        }
        Ok(())
    }

    fn sent(&mut self, len: usize) -> usize {
        if self.awaiting.is_some() || self.delay.is_some() {
            self.answering();
        }
        self.first_head_deadline_ms = None;
        self.sent_len += len as u64;
        if let Some(delay) = &mut self.delay {
            delay.progress_ms = self.context.clock.running_ms();
        }
        len
    }
}

impl Transport for Stream {
    fn receive(&mut self, awaiting: Awaiting, buffer: &mut [u8]) -> io::Result<usize> {
        self.begin(awaiting);
        loop {
            if self.is_drained {
                self.wait();
            }
            match self.held.socket().read(buffer) {
                Ok(0) if self.held.is_expired() && awaiting != Awaiting::Request => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Ok(len) => {
                    self.is_fresh = false;
                    if awaiting == Awaiting::Request {
                        self.answering();
                        let epoch = self.context.epoch.load(Ordering::Acquire);
                        self.held.epoch.store(epoch, Ordering::Relaxed);
                    }
                    self.is_drained = len < buffer.len() && !self.has_hung_up;
                    return Ok(len);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_drained = true;
                    if awaiting == Awaiting::Request && self.held.wants_pause.load(Ordering::Relaxed) {
                        return Err(error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.held.socket().write_vectored(pieces) {
                Ok(len) => return Ok(self.sent(len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for_room()?,
                Err(error) => return Err(error),
            }
        }
    }

    fn send_file(&mut self, file: &File, offset: usize, len: usize) -> io::Result<Option<usize>> {
        let len = len.min(FETCH_BYTES);
        if !is_in_memory(file, offset) || !is_in_memory(file, offset + len - 1) {
            self.fetch(file, offset, len)?;
        }
        loop {
            let Ok(mut position) = i64::try_from(offset) else { return Ok(None) };
            match nix::sys::sendfile::sendfile64(self.held.socket(), file, Some(&mut position), len) {
                Ok(len) => return Ok(Some(self.sent(len))),
                Err(nix::errno::Errno::EAGAIN) => self.wait_for_room()?,
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn finish(&mut self) {
        // A connection that is gone needs no ending.
        self.held.socket().shutdown(Shutdown::Write).ok();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        *self.held.waker.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
