//! The thread at the door: it accepts connections, shows them to a lounge, ends those that take too long, and keeps the
//! clock. All its bookkeeping is its own; coroutines reach it by messages.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::Socket;

use super::held::Held;
use super::host::start_host;
use super::lounge::Lounge;
use super::{Message, Mortal, Shared};
use crate::access_log::Outcome;
use crate::connection::{Context, Visit};
use crate::http::proxy::{ClientKey, client_key};
use crate::limits::{
    ACCEPT_COUNT_MAX, ACCEPT_PAUSE_MS, COROUTINE_COUNT_CALM, CROWD_CONNECTION_COUNT, IDLE_GRACE_MS, TICK_MS,
};
use crate::listener::Listener;
use crate::mapped::give_back_freed_memory;
use crate::metrics::Event;
use crate::site::Handler;

/// The bookkeeping of the thread at the door.
pub(super) struct Door<H: Handler> {
    shared: Arc<Shared<H>>,
    epoll: Epoll,
    listeners: Vec<Listener>,
    /// One for each worker, with its host.
    lounges: Vec<Hosted>,
    seats: Vec<Option<Seat>>,
    free_seats: Vec<usize>,
    /// How many connections an address has.
    address_counts: HashMap<ClientKey, usize>,
    /// Connections that have a coroutine to themselves.
    coroutine_count: usize,
    /// From which the ids of the next connection's requests are made.
    next_request_number: u64,
    swept_ms: u64,
    /// The epoch of which the hosts were told.
    epoch: u64,
    /// The most connections since memory was last given back.
    crowd_count: usize,
    /// Set while the system refuses to accept.
    accepts_again_ms: Option<u64>,
    /// Set once the server stops: when it won't wait any longer.
    stops_at_ms: Option<u64>,
}

/// A lounge and its host.
struct Hosted {
    lounge: Arc<Lounge>,
    /// `None` while the system has no room for it.
    host: Option<Box<dyn Mortal>>,
}

/// One connection.
struct Seat {
    held: Arc<Held>,
    address: Option<ClientKey>,
    /// The coroutine that it has to itself, if it has one.
    coroutine: Option<Box<dyn Mortal>>,
}

/// What an event is about; from here on, listeners are numbered.
const WAKE: u64 = 0;
const LISTENERS: u64 = 1 << 32;

impl<H: Handler> Door<H> {
    pub(super) fn new(shared: Arc<Shared<H>>, listeners: Vec<Listener>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&shared.inbox.wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let lounges = Lounge::open_all(may::config().get_workers())?;
        let door = Self {
            lounges: lounges.into_iter().map(|lounge| Hosted { lounge, host: None }).collect(),
            shared,
            epoll,
            listeners,
            seats: Vec::new(),
            free_seats: Vec::new(),
            address_counts: HashMap::new(),
            coroutine_count: 0,
            next_request_number: random_number(),
            swept_ms: 0,
            epoch: 0,
            crowd_count: 0,
            accepts_again_ms: None,
            stops_at_ms: None,
        };
        door.watch_listeners()?;
        Ok(door)
    }

    /// Stands at the door until the server has stopped.
    pub(super) fn stand(mut self) -> io::Result<()> {
        self.see_to_hosts();
        let mut events = [EpollEvent::empty(); 16];
        loop {
            let until_next_second = self.shared.context.clock.turn();
            let wait = if self.is_empty() { until_next_second } else { Duration::from_millis(TICK_MS) };
            let wait = wait.min(until_next_second) + Duration::from_millis(1);
            let timeout = EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::ZERO);
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            self.shared.context.clock.turn();
            // First who leaves, then who comes.
            for message in self.shared.inbox.take_all() {
                self.hear(message);
            }
            for event in &events[..count] {
                match event.data() {
                    WAKE => {}
                    listener => self.accept(number_of(listener - LISTENERS)),
                }
            }
            self.sweep()?;
            if let Some(stops_at_ms) = self.stops_at_ms
                && (self.is_empty() || self.now_ms() >= stops_at_ms)
            {
                self.leave();
                return Ok(());
            }
        }
    }

    /// Ends what isn't over yet.
    fn leave(&self) {
        let cut_count = self.connection_count();
        (0..cut_count).for_each(|_| self.count(Event::DrainTimeout));
        if cut_count > 0 {
            (self.shared.context.report)(&format!("time is up: connections that are cut off: {cut_count}"));
        }
        self.seats.iter().flatten().for_each(|seat| seat.held.close());
        self.lounges.iter().for_each(|Hosted { lounge, .. }| lounge.close());
    }

    fn count(&self, event: Event) {
        self.shared.context.metrics.count(event);
    }

    fn now_ms(&self) -> u64 {
        self.shared.context.clock.running_ms()
    }

    fn is_empty(&self) -> bool {
        self.connection_count() == 0
    }

    fn connection_count(&self) -> usize {
        self.seats.len() - self.free_seats.len()
    }

    fn watch_listeners(&self) -> io::Result<()> {
        for (number, listener) in (LISTENERS..).zip(&self.listeners) {
            self.epoll.add(listener.socket(), EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        }
        Ok(())
    }

    fn accept(&mut self, number: usize) {
        for _ in 0..ACCEPT_COUNT_MAX {
            let Some(listener) = self.listeners.get(number) else { return };
            match listener.socket().accept() {
                Ok((socket, peer)) => {
                    let awaits_proxy_header = listener.is_for_proxies();
                    self.admit(socket, peer.as_socket().map(|peer| peer.ip()), awaits_proxy_header);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // That client has gone already; the next may be there.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    // Out of descriptors or memory: existing connections are served, new ones wait in the kernel.
                    _ => return self.pause_accepting(),
                },
            }
        }
    }

    fn pause_accepting(&mut self) {
        self.count(Event::AcceptFailed);
        self.accepts_again_ms = Some(self.now_ms() + ACCEPT_PAUSE_MS);
        for listener in &self.listeners {
            // A listener that can't be unwatched only wakes us more often.
            self.epoll.delete(listener.socket()).ok();
        }
    }

    fn admit(&mut self, socket: Socket, peer: Option<IpAddr>, awaits_proxy_header: bool) {
        let limits = &self.shared.context.limits;
        let (connections_max, per_address_max) = (limits.connections_max, limits.connections_per_address_max);
        let address = peer.filter(|peer| !awaits_proxy_header && self.is_capped(*peer)).map(client_key);
        let address_count = address.and_then(|address| self.address_counts.get(&address).copied()).unwrap_or(0);
        let is_crowd = address.is_some() && address_count >= per_address_max;
        let is_let_in = if is_crowd {
            self.make_room(address)
        } else {
            self.connection_count() < connections_max || self.make_room(None)
        };
        if !is_let_in {
            self.count(if is_crowd { Event::AddressTurnedAway } else { Event::TurnedAway });
            self.refuse(&socket, peer);
            return;
        }
        self.count(Event::Connection);
        if let Some(address) = address {
            *self.address_counts.entry(address).or_default() += 1;
        }
        let visit = Visit {
            request_number: self.next_request_number,
            request_count: 0,
            worker: usize::try_from(socket.as_raw_fd()).unwrap_or(0),
            peer,
            awaits_proxy_header,
        };
        // Far apart, so that no two connections' requests get one number.
        self.next_request_number = self.next_request_number.wrapping_add(1 << 32);
        let number = self.free_seats.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        // One that can't be made so would hold up others.
        let is_ready = socket.set_nonblocking(true).is_ok();
        let held = Arc::new(Held::new(socket, &self.shared.context, visit));
        self.seats[number] = Some(Seat { held, address, coroutine: None });
        if is_ready {
            self.seat(number);
        } else {
            self.forget(number);
        }
    }

    /// Tells a client that there is no room. One write: a client that can't take so little gets nothing.
    fn refuse(&self, socket: &Socket, peer: Option<IpAddr>) {
        const BODY: &str = "503 Service Unavailable\n";
        const HEAD: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Length: 24\r\nCache-Control: no-store\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
        let pieces = [HEAD, BODY].map(|text| IoSlice::new(text.as_bytes()));
        let sent = socket.set_nonblocking(true).and_then(|()| socket.send_vectored(&pieces));
        // Whether the client hears it or not, the connection closes.
        let body_len = sent.map_or(0, |len| len.saturating_sub(HEAD.len()));
        let Context { access_log: Some(access_log), clock, .. } = &*self.shared.context else { return };
        let note = access_log.note(None, peer, b"-", clock.unix_seconds());
        if !access_log.write(&note, Outcome { status: 503, body_len, duration: Duration::ZERO }) {
            self.count(Event::LogDropped);
        }
    }

    /// Has a connection wait in the lounge of its worker.
    fn seat(&mut self, number: usize) {
        let Some(Some(Seat { held, .. })) = self.seats.get(number) else { return };
        if self.lounge_of(held).admit(number, held).is_err() {
            self.forget(number);
        }
    }

    fn lounge_of(&self, held: &Held) -> &Lounge {
        &self.lounges[held.descriptor_number() % self.lounges.len()].lounge
    }

    /// Whether the connections of this address are limited: not those of a proxy, which speaks for everybody.
    fn is_capped(&self, peer: IpAddr) -> bool {
        let Context { limits, trusted_proxies, .. } = &*self.shared.context;
        let is_proxy = trusted_proxies.iter().any(|range| range.contains(peer));
        let is_exempt = !limits.caps_loopback && peer.to_canonical().is_loopback();
        limits.connections_per_address_max > 0 && !is_proxy && !is_exempt
    }

    /// Ends the connection that has been idle for longest, among all or those of an address; `false` if none is idle.
    fn make_room(&mut self, address: Option<ClientKey>) -> bool {
        let now_ms = self.now_ms();
        let idle = self.seats.iter().enumerate().filter_map(|(number, seat)| {
            let seat = seat.as_ref().filter(|seat| address.is_none() || seat.address == address)?;
            Some((seat.held.idle_ms(now_ms)?, number))
        });
        let Some((_, number)) = idle.max() else { return false };
        self.count(Event::MadeRoom);
        self.end_idle(number);
        true
    }

    /// Ends a connection that is idle, as soon as whoever would serve it sees it.
    fn end_idle(&self, number: usize) {
        if let Some(Some(seat)) = self.seats.get(number) {
            seat.held.end_idle(self.now_ms());
        }
    }

    fn forget(&mut self, number: usize) {
        if let Some(seat) = self.seats[number].take() {
            self.coroutine_count -= usize::from(seat.coroutine.is_some());
            if let Some(address) = seat.address
                && let Entry::Occupied(mut count) = self.address_counts.entry(address)
            {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
            self.free_seats.push(number);
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Left(number) => self.forget(number),
            Message::Paused(number) => {
                let Some(Some(seat)) = self.seats.get_mut(number) else { return };
                seat.coroutine = None;
                self.coroutine_count -= 1;
                self.seat(number);
                if self.stops_at_ms.is_some() {
                    self.end_idle(number);
                }
            }
            Message::MovedOut { lounge, number, host } => {
                let Some(hosted) = self.lounges.get_mut(lounge) else { return };
                let coroutine = hosted.host.replace(host);
                if let Some(Some(seat)) = self.seats.get_mut(number) {
                    self.coroutine_count += 1;
                    seat.coroutine = coroutine;
                }
            }
            Message::RetireOldest => self.retire_oldest(),
            Message::RetireFrom(file) => self.retire(self.shared.context.epoch.load(Ordering::Relaxed), Some(file)),
            Message::Stop => self.begin_to_stop(),
        }
    }

    /// Ends the answers that have held on for longest to what isn't served any more.
    fn retire_oldest(&self) {
        let epoch = self.shared.context.epoch.load(Ordering::Relaxed);
        let now_ms = self.now_ms();
        let busy = self.seats.iter().flatten().filter(|seat| seat.held.idle_ms(now_ms).is_none());
        if let Some(oldest) = busy.map(|seat| seat.held.epoch()).min().filter(|oldest| *oldest < epoch) {
            self.retire(oldest + 1, None);
        }
    }

    /// Ends answers that were begun before an epoch, and may be sent from a file if one is named.
    fn retire(&self, epoch: u64, file: Option<RawFd>) {
        let now_ms = self.now_ms();
        for Seat { held, .. } in self.seats.iter().flatten() {
            let is_meant = held.epoch() < epoch && file.is_none_or(|file| held.may_send_from(file));
            if is_meant && held.idle_ms(now_ms).is_none() {
                self.count(Event::Retired);
                held.close();
            }
        }
    }

    fn begin_to_stop(&mut self) {
        if self.stops_at_ms.is_some() {
            return;
        }
        // Clients that the kernel has let in get an answer.
        for number in 0..self.listeners.len() {
            self.accept(number);
        }
        self.stops_at_ms = Some(self.now_ms() + self.shared.context.limits.drain_timeout_ms);
        self.shared.context.is_stopping.store(true, Ordering::Relaxed);
        self.listeners.clear();
        let now_ms = self.now_ms();
        for number in 0..self.seats.len() {
            let is_idle = self.seats[number].as_ref().is_some_and(|seat| seat.held.idle_ms(now_ms).is_some());
            if is_idle {
                self.end_idle(number);
            }
        }
    }

    /// Gives back what a crowd needed, once it has gone.
    fn give_back(&mut self) {
        let count = self.connection_count();
        self.crowd_count = self.crowd_count.max(count);
        if self.crowd_count < CROWD_CONNECTION_COUNT || count > self.crowd_count / 8 {
            return;
        }
        self.crowd_count = count;
        let seat_count = self.seats.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.seats.truncate(seat_count);
        self.seats.shrink_to_fit();
        self.free_seats.retain(|number| *number < seat_count);
        self.free_seats.shrink_to_fit();
        self.address_counts.shrink_to_fit();
        self.lounges.iter().for_each(|Hosted { lounge, .. }| lounge.shrink());
        give_back_freed_memory();
    }

    /// Looks at every connection's deadline, now and then.
    fn sweep(&mut self) -> io::Result<()> {
        let now_ms = self.now_ms();
        if self.accepts_again_ms.is_some_and(|at_ms| now_ms >= at_ms) {
            self.accepts_again_ms = None;
            self.watch_listeners()?;
        }
        if now_ms < self.swept_ms + TICK_MS {
            return Ok(());
        }
        self.swept_ms = now_ms;
        self.give_back();
        // What is served no more is let go by who is idle, too.
        let is_new_epoch = self.see_to_hosts();
        let is_crowd = self.coroutine_count > COROUTINE_COUNT_CALM;
        let grace_ms = if is_crowd || is_new_epoch { 0 } else { IDLE_GRACE_MS };
        for number in 0..self.seats.len() {
            let Some(Seat { held, coroutine, .. }) = &mut self.seats[number] else { continue };
            if coroutine.as_mut().is_some_and(|coroutine| coroutine.bury().is_some()) {
                self.forget(number);
            } else if held.is_overdue(now_ms) {
                if let Some(event) = held.expire() {
                    self.count(event);
                }
            } else if coroutine.is_some() && held.idle_ms(now_ms).is_some_and(|idle_ms| idle_ms >= grace_ms) {
                held.ask_for_pause();
            }
        }
        Ok(())
    }

    /// Starts the hosts that there aren't, and has the others let go of what isn't served any more; returns whether there
    /// is such.
    fn see_to_hosts(&mut self) -> bool {
        let epoch = self.shared.context.epoch.load(Ordering::Relaxed);
        let is_new = std::mem::replace(&mut self.epoch, epoch) != epoch;
        for index in 0..self.lounges.len() {
            let Hosted { lounge, host } = &mut self.lounges[index];
            let death = host.as_mut().and_then(|host| host.bury());
            // Whoever had it to itself has seen to it that there is another.
            if host.is_none() || death.is_some_and(|death| !death.had_moved_out) {
                // If the system has no room for it, it may have next time.
                *host = start_host(&self.shared, lounge).ok();
                lounge.ring();
            } else if is_new {
                lounge.ring();
            }
            if let Some(number) = death.and_then(|death| death.number) {
                self.forget(number);
            }
        }
        is_new
    }
}

fn number_of(data: u64) -> usize {
    usize::try_from(data).unwrap_or(usize::MAX)
}

/// A number that no earlier process had: the standard library seeds its hash tables from the system.
fn random_number() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
