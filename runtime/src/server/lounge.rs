//! Where the connections of a worker wait that have nothing to say: a poller of its own, without a coroutine, a stack or a
//! buffer for any of them. Its [host](super::host) serves whoever calls.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use may::io::{CoIo, WaitIo};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::held::{Descriptor, Held};
use crate::limits::CALLS_AT_A_TIME_MAX;

/// The waiting connections of one worker.
pub(super) struct Lounge {
    /// Which of the lounges it is.
    pub(super) number: usize,
    /// Rings when somebody calls.
    bell: CoIo<Descriptor>,
    /// Who calls.
    epoll: Epoll,
    /// Rings the bell where nobody calls.
    cord: EventFd,
    book: Mutex<Book>,
    is_closed: AtomicBool,
}

/// Who waits, and who was heard.
struct Book {
    guests: Vec<Option<Arc<Held>>>,
    events: [EpollEvent; CALLS_AT_A_TIME_MAX],
    heard_count: usize,
    served_count: usize,
    /// Calls heard since the bell was last waited for.
    heard_unrung_count: usize,
}

/// A guest who has something to say.
pub(super) struct Call {
    pub(super) number: usize,
    pub(super) held: Arc<Held>,
    /// It has said all that it will.
    pub(super) has_hung_up: bool,
}

/// The event of the cord.
const CORD: u64 = u64::MAX;

impl Lounge {
    /// One for each worker, in their order.
    pub(super) fn open_all(worker_count: usize) -> io::Result<Vec<Arc<Self>>> {
        // A descriptor is watched by the worker that its number leads to: more are opened until each worker has one.
        let mut pollers = std::iter::repeat_with(|| None).take(worker_count).collect::<Vec<_>>();
        let mut spare = Vec::new();
        while pollers.iter().any(Option::is_none) {
            let poller = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            let worker = usize::try_from(poller.0.as_raw_fd()).unwrap_or(0) % worker_count;
            spare.extend(pollers[worker].replace(poller));
        }
        pollers
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(number, epoll)| Self::open(number, epoll).map(Arc::new))
            .collect()
    }

    fn open(number: usize, epoll: Epoll) -> io::Result<Self> {
        let cord = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        epoll.add(&cord, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, CORD))?;
        let bell = CoIo::new(Descriptor(epoll.0.as_raw_fd()))?;
        let events = [EpollEvent::empty(); CALLS_AT_A_TIME_MAX];
        let book =
            Mutex::new(Book { guests: Vec::new(), events, heard_count: 0, served_count: 0, heard_unrung_count: 0 });
        Ok(Self { number, bell, epoll, cord, book, is_closed: AtomicBool::new(false) })
    }

    /// The number that leads to its worker.
    pub(super) fn worker(&self) -> usize {
        usize::try_from(self.bell.as_raw_fd()).unwrap_or(0)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing panics half-way through a change.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a connection wait. What it said meanwhile is a call at once.
    pub(super) fn admit(&self, number: usize, held: &Arc<Held>) -> io::Result<()> {
        let guests = &mut self.book().guests;
        if guests.len() <= number {
            guests.resize(number + 1, None);
        }
        let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.epoll.add(held.socket(), EpollEvent::new(events, number as u64))?;
        guests[number] = Some(Arc::clone(held));
        Ok(())
    }

    /// Listens no more to a connection that lives on.
    pub(super) fn dismiss(&self, number: usize, held: &Held) {
        self.forget(number);
        // It was watched, so it can be unwatched.
        self.epoll.delete(held.socket()).ok();
    }

    /// Forgets a connection that is over.
    pub(super) fn forget(&self, number: usize) {
        if let Some(guest) = self.book().guests.get_mut(number) {
            *guest = None;
        }
    }

    /// Gives back the room that a crowd needed.
    pub(super) fn shrink(&self) {
        let guests = &mut self.book().guests;
        guests.truncate(guests.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
        guests.shrink_to_fit();
    }

    /// The next guest who was heard to call.
    pub(super) fn next_call(&self) -> Option<Call> {
        const HUNG_UP: EpollFlags = EpollFlags::EPOLLRDHUP.union(EpollFlags::EPOLLHUP).union(EpollFlags::EPOLLERR);
        let book = &mut *self.book();
        loop {
            let event = book.events[..book.heard_count].get(book.served_count)?;
            book.served_count += 1;
            let number = usize::try_from(event.data()).unwrap_or(usize::MAX);
            // A call of somebody who has gone is nobody's.
            if let Some(Some(held)) = book.guests.get(number) {
                let has_hung_up = event.events().intersects(HUNG_UP);
                return Some(Call { number, held: Arc::clone(held), has_hung_up });
            }
        }
    }

    /// Waits for calls, in a coroutine.
    pub(super) fn wait_for_calls(&self) {
        let mut book = self.book();
        // Who called while others were served is heard without the bell, which costs a system call more. Now and then it
        // is waited for all the same, so that connections with a coroutine have their turn.
        if book.heard_unrung_count < CALLS_AT_A_TIME_MAX && self.hear(&mut book) > 0 {
            return;
        }
        if book.heard_count == CALLS_AT_A_TIME_MAX {
            // There may be more, for which the bell won't ring again.
            self.ring();
        }
        book.heard_unrung_count = 0;
        drop(book);
        self.bell.wait_io();
        self.hear(&mut self.book());
    }

    /// Hears who calls; returns how many do.
    fn hear(&self, book: &mut Book) -> usize {
        // An interrupted call is one without calls; the bell rings again.
        book.heard_count = self.epoll.wait(&mut book.events, EpollTimeout::ZERO).unwrap_or(0);
        book.served_count = 0;
        book.heard_unrung_count += book.heard_count;
        book.heard_count
    }

    /// Has the host look around.
    pub(super) fn ring(&self) {
        // It can only fail by being full, and then the bell rings all the same.
        self.cord.write(1).ok();
    }

    /// Ends its host.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.ring();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}
