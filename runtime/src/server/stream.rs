//! A connection as whoever serves it sees it. It reads only when there is something: after a read that didn't fill the
//! buffer it waits for the next event first, which saves a system call for each request.

use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use may::io::{CoIo, WaitIo};

use super::held::{Descriptor, Held, Phase};
use super::host::start_host;
use super::lounge::{Call, Lounge};
use super::{Message, Shared};
use crate::connection::{Awaiting, Context, Transport, Visit};
use crate::fetch::Fetch;
use crate::limits::{DISK_BUSY_MS, FETCH_BYTES, LINGER_MS, PAGES_AHEAD_BYTES, WRITE_BYTES_PER_SECOND_MIN};
use crate::mapped::is_in_memory;
use crate::site::Handler;

/// A connection's own events, once it has a coroutine to itself. They don't lie on that one's stack, so that they are let
/// go when it dies.
pub(super) type OwnEvents = Option<CoIo<Descriptor>>;

/// A connection that is being served: by the host of its lounge, until it has to be waited for in the middle of something,
/// and from then on by a coroutine that it has to itself.
pub(super) struct Stream<'h, H: Handler> {
    shared: &'h Arc<Shared<H>>,
    lounge: &'h Arc<Lounge>,
    number: usize,
    held: &'h Held,
    events: &'h mut OwnEvents,
    /// What it waits for; `None` while it answers.
    awaiting: Option<Awaiting>,
    /// When the first head must be whole; `None` once there was an answer.
    first_head_deadline_ms: Option<u64>,
    /// Nothing has come since it is served.
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

impl Delay {
    /// When a client that has taken so many bytes must take more: a while after it last did; and altogether it has that
    /// while, and the time that its bytes take at the least speed.
    fn deadline_ms(self, timeout_ms: u64, sent_len: u64) -> u64 {
        let total_ms = timeout_ms + sent_len.saturating_mul(1000) / WRITE_BYTES_PER_SECOND_MIN;
        (self.progress_ms + timeout_ms).min(self.since_ms + total_ms)
    }
}

impl<'h, H: Handler> Stream<'h, H> {
    pub(super) fn new(
        shared: &'h Arc<Shared<H>>,
        lounge: &'h Arc<Lounge>,
        call: &'h Call,
        visit: &Visit,
        events: &'h mut OwnEvents,
    ) -> Self {
        let Call { number, held, has_hung_up } = call;
        Self {
            shared,
            lounge,
            number: *number,
            held,
            events,
            awaiting: None,
            // The time for the first head runs from the accept.
            first_head_deadline_ms: (visit.request_count == 0).then(|| held.deadline_ms()),
            is_fresh: true,
            is_drained: false,
            has_hung_up: *has_hung_up,
            sent_len: 0,
            delay: None,
        }
    }

    /// Whether it has a coroutine to itself.
    fn has_moved_out(&self) -> bool {
        self.events.is_some()
    }

    fn context(&self) -> &Context {
        &self.shared.context
    }

    /// Takes the coroutine that serves it for itself: whoever else waits gets another host.
    fn move_out(&mut self) -> io::Result<&CoIo<Descriptor>> {
        if self.events.is_none() {
            self.lounge.dismiss(self.number, self.held);
            let events = CoIo::new(Descriptor(self.held.socket().as_raw_fd()))?;
            // It begins when this one yields for the first time.
            let host = start_host(self.shared, self.lounge)?;
            self.shared.inbox.put(Message::MovedOut { lounge: self.lounge.number, number: self.number, host });
            self.held.move_out(events.waker());
            *self.events = Some(events);
        }
        self.events.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Starts the clock of a wait, unless it is one that goes on.
    fn begin(&mut self, awaiting: Awaiting) {
        let sent_len = std::mem::take(&mut self.sent_len);
        self.delay = None;
        if self.awaiting == Some(awaiting) && awaiting != Awaiting::Request {
            return;
        }
        self.awaiting = Some(awaiting);
        let limits = &self.shared.context.limits;
        let now_ms = self.context().clock.running_ms();
        let (phase, timeout_ms) = match awaiting {
            // The door has set the deadline of a connection that is new or was idle for a while.
            Awaiting::Request if self.is_fresh => return,
            Awaiting::Request => (Phase::Idle, limits.idle_timeout_ms),
            Awaiting::Head | Awaiting::Body => (Phase::Reading, limits.header_timeout_ms),
            // What was written may still be on its way.
            Awaiting::End => {
                let sent_ms = sent_len.saturating_mul(1000) / WRITE_BYTES_PER_SECOND_MIN;
                (Phase::Ending, LINGER_MS.max(sent_ms.min(limits.write_timeout_ms)))
            }
        };
        // The time for it goes on after a proxy's header.
        let is_first_head = matches!(awaiting, Awaiting::Request | Awaiting::Head);
        let latest_ms = self.first_head_deadline_ms.filter(|_| is_first_head).unwrap_or(u64::MAX);
        self.held.enter(phase, now_ms, latest_ms.min(now_ms + timeout_ms));
    }

    /// Yields until something happens to the socket.
    fn wait(&mut self) -> io::Result<()> {
        const HUNG_UP: usize = 0x2000 | 0x10 | 0x8; // EPOLLRDHUP, EPOLLHUP, EPOLLERR
        let events = self.move_out()?.wait_io();
        self.is_drained = false;
        self.has_hung_up |= events & HUNG_UP != 0;
        Ok(())
    }

    /// Waits until the client takes more; its time runs from the last byte that it took.
    fn wait_for_room(&mut self) -> io::Result<()> {
        let now_ms = self.context().clock.running_ms();
        let delay = *self.delay.get_or_insert(Delay { since_ms: now_ms, progress_ms: now_ms });
        let deadline_ms = delay.deadline_ms(self.context().limits.write_timeout_ms, self.sent_len);
        self.held.enter(Phase::Writing, now_ms, deadline_ms);
        self.awaiting = None;
        self.wait()?;
        if self.held.is_expired() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Ends a wait: what the client sent is being answered, or it has taken a part of the answer.
    fn answering(&mut self) {
        self.awaiting = None;
        self.held.enter(Phase::Answering, self.context().clock.running_ms(), u64::MAX);
    }

    /// Has a part of a file brought into memory, and waits for that.
    fn fetch(&mut self, file: &File, offset: usize, len: usize) -> io::Result<()> {
        self.shared.fetched_ms.store(self.context().clock.running_ms(), Ordering::Relaxed);
        let waker = self.move_out()?.waker();
        let fetch = Fetch::begin(file, offset as u64, len, move || waker.wakeup())?;
        while !fetch.is_done() {
            self.wait()?;
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
            delay.progress_ms = self.shared.context.clock.running_ms();
        }
        len
    }
}

impl<H: Handler> Transport for Stream<'_, H> {
    fn receive(&mut self, awaiting: Awaiting, buffer: &mut [u8]) -> io::Result<usize> {
        self.begin(awaiting);
        loop {
            if self.is_drained {
                if awaiting == Awaiting::Request && !self.has_moved_out() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.wait()?;
            }
            match self.held.socket().read(buffer) {
                Ok(0) if self.held.is_expired() && awaiting != Awaiting::Request => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Ok(len) => {
                    self.is_fresh = false;
                    if awaiting == Awaiting::Request {
                        self.answering();
                        let epoch = self.context().epoch.load(Ordering::Acquire);
                        self.held.enter_epoch(epoch);
                    }
                    self.is_drained = len < buffer.len() && !self.has_hung_up;
                    return Ok(len);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_drained = true;
                    if awaiting == Awaiting::Request && self.held.is_to_pause() {
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
            let socket = self.held.socket();
            let sent = if let [piece] = pieces { socket.send(piece) } else { socket.send_vectored(pieces) };
            match sent {
                Ok(len) => return Ok(self.sent(len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for_room()?,
                Err(error) => return Err(error),
            }
        }
    }

    fn send_file(&mut self, file: &File, offset: usize, len: usize) -> io::Result<Option<usize>> {
        let len = len.min(FETCH_BYTES);
        self.held.enter_file(file.as_raw_fd());
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

    fn is_disk_busy(&self) -> bool {
        let fetched_ms = self.shared.fetched_ms.load(Ordering::Relaxed);
        fetched_ms > 0 && self.context().clock.running_ms() < fetched_ms + DISK_BUSY_MS
    }

    fn bring_in(&mut self, file: &File, offset: usize, len: usize) -> io::Result<()> {
        // What is read ahead comes in larger pieces than these.
        let mut probes = (offset..offset + len).step_by(PAGES_AHEAD_BYTES).chain([offset + len - 1]);
        if probes.all(|offset| is_in_memory(file, offset)) { Ok(()) } else { self.fetch(file, offset, len) }
    }

    fn expect_waits(&mut self) -> io::Result<()> {
        self.move_out().map(|_| ())
    }

    fn finish(&mut self) {
        // A connection that is gone needs no ending.
        self.held.socket().shutdown(Shutdown::Write).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_takes_a_byte_now_and_then_has_an_end_too() {
        // With every byte its time would begin anew, and a megabyte would hold a connection for a year.
        let deadline_ms = |progress_ms, sent_len| Delay { since_ms: 1_000, progress_ms }.deadline_ms(30_000, sent_len);
        assert_eq!(deadline_ms(1_000, 0), 31_000, "nothing was taken");
        assert_eq!(deadline_ms(20_000, 1 << 20), 50_000, "much was taken, and now nothing more");
        assert_eq!(deadline_ms(30_999, 30), 31_058, "a byte a second was taken");
        assert_eq!(deadline_ms(1_031_000, 512 * 1_000), 1_031_000, "less than 512 bytes a second were");
    }
}
