//! The server: a thread at the door that admits connections and watches their deadlines; for each worker a lounge where
//! connections wait, and a coroutine that hosts it; and a coroutine for each connection that has to be waited for in the
//! middle of something.

mod door;
mod held;
mod host;
mod lounge;
mod stream;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::connection::Context;
use crate::estate::keep_overflows_small;
use crate::limits::{STACK_BYTES, STACKS_KEPT_MAX};
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::site::Handler;
use door::Door;

/// Serves whatever a [`Handler`] answers.
///
/// ```no_run
/// # fn serve<H: runtime::site::Handler>(handler: H) -> std::io::Result<()> {
/// use runtime::{clock::Clock, connection::Context, limits::Limits};
/// use runtime::{listener::{Listener, PortUse}, server::Server};
///
/// let listener = Listener::bind(&"127.0.0.1:8080".parse().expect("an address"), PortUse::Alone)?;
/// let server = Server::new(handler, Context::new(Limits::default(), Clock::started_now()))?;
/// let remote = server.remote(); // remote.stop() ends what follows, from any thread
/// server.run(vec![listener])
/// # }
/// ```
pub struct Server<H> {
    shared: Arc<Shared<H>>,
}

/// What the door and all coroutines of a server share.
struct Shared<H> {
    handler: H,
    context: Arc<Context>,
    inbox: Arc<Inbox>,
    /// When something last had to be read from a disk, by the server's clock; 0 for never.
    fetched_ms: AtomicU64,
}

impl<H: Handler> Server<H> {
    /// A server that isn't running yet.
    ///
    /// # Errors
    /// What the system says when it is out of descriptors.
    pub fn new(handler: H, context: Context) -> io::Result<Self> {
        let context = Arc::new(context);
        Ok(Self {
            shared: Arc::new(Shared {
                handler,
                context,
                inbox: Arc::new(Inbox::new()?),
                fetched_ms: AtomicU64::new(0),
            }),
        })
    }

    /// A way to reach the server while it runs.
    pub fn remote(&self) -> Remote {
        Remote { inbox: Arc::clone(&self.shared.inbox), context: Arc::clone(&self.shared.context) }
    }

    /// Serves until it is told to stop, and the requests under way are answered.
    ///
    /// # Errors
    /// What the system says when the server can't start.
    pub fn run(self, listeners: Vec<Listener>) -> io::Result<()> {
        let may = may::config();
        may.set_stack_size(STACK_BYTES / size_of::<usize>()).set_pool_capacity(STACKS_KEPT_MAX);
        // The system places the threads better than a fixed order does when other processes share the machine.
        may.set_worker_pin(false);
        // The first coroutine starts the workers, and installs what ends those that run out of stack.
        let first = may::go!(|| ());
        first.wait();
        keep_overflows_small();
        Door::new(Arc::clone(&self.shared), listeners)?.stand()
    }
}

/// Reaches a running server from any thread.
#[derive(Clone)]
pub struct Remote {
    inbox: Arc<Inbox>,
    context: Arc<Context>,
}

impl Remote {
    /// Has the server stop: it admits nobody any more, and answers what is under way.
    pub fn stop(&self) {
        self.inbox.put(Message::Stop);
    }

    /// What the server counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.context.metrics)
    }

    /// Begins a new epoch: answers begun from now on are made of what is served now.
    pub fn begin_epoch(&self) {
        self.context.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends the connections whose answers were begun in the earliest epoch in which any were, unless that is this one.
    pub fn end_oldest_answers(&self) {
        self.inbox.put(Message::RetireOldest);
    }

    /// Ends the connections whose answers, begun before now, are sent from a file; those that can't be told apart, too:
    /// small answers that a client hasn't taken yet.
    pub fn end_answers_from(&self, file: &File) {
        self.begin_epoch();
        self.inbox.put(Message::RetireFrom(file.as_raw_fd()));
    }
}

/// What the door is told.
enum Message {
    /// A connection is over.
    Left(usize),
    /// A connection that had a coroutine to itself has nothing to say for now.
    Paused(usize),
    /// A connection has taken its host for itself, and the lounge has another.
    MovedOut {
        /// The lounge.
        lounge: usize,
        /// The connection.
        number: usize,
        /// The new host.
        host: Box<dyn Mortal>,
    },
    /// The answers that were begun first are to end.
    RetireOldest,
    /// Those begun before this epoch that may be sent from this file are.
    RetireFrom(RawFd),
    /// The server is to stop.
    Stop,
}

/// What a coroutine works with, which may die.
trait Mortal: Send {
    /// If it has died, ends the connection that it served.
    fn bury(&mut self) -> Option<Death>;
}

/// Of a coroutine that ran out of stack.
#[derive(Clone, Copy)]
struct Death {
    /// The connection that it served.
    number: Option<usize>,
    /// Whether that one had it to itself.
    had_moved_out: bool,
}

/// Messages to the door, and what wakes it.
struct Inbox {
    messages: Mutex<Vec<Message>>,
    wake: EventFd,
}

impl Inbox {
    fn new() -> io::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Self { messages: Mutex::default(), wake })
    }

    fn put(&self, message: Message) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push(message);
        let was_empty = messages.len() == 1;
        drop(messages);
        if was_empty {
            // It can only fail by being full, and then the door wakes all the same.
            self.wake.write(1).ok();
        }
    }

    fn take_all(&self) -> Vec<Message> {
        // Nothing to read means that another wake-up brought us here.
        self.wake.read().ok();
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
