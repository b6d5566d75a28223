//! The server: a thread at the door that admits connections and watches their deadlines, and a coroutine for each
//! connection that has something to say.

mod door;
mod stream;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::connection::{Context, Conversation, Ending, Visit};
use crate::estate::{Estate, keep_overflows_small};
use crate::limits::{STACK_BYTES, STACKS_KEPT_MAX};
use crate::listener::Listener;
use crate::metrics::{Event, Metrics};
use crate::site::Handler;
use door::Door;
use stream::{Held, Stream};

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
}

impl<H: Handler> Server<H> {
    /// A server that isn't running yet.
    ///
    /// # Errors
    /// What the system says when it is out of descriptors.
    pub fn new(handler: H, context: Context) -> io::Result<Self> {
        let context = Arc::new(context);
        Ok(Self { shared: Arc::new(Shared { handler, context, inbox: Arc::new(Inbox::new()?) }) })
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

    /// Begins a new epoch: answers begun from now on are made of what is served now. Returns its number.
    pub fn begin_epoch(&self) -> u64 {
        self.context.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Ends the connections whose answers were begun before an epoch.
    pub fn end_answers_before(&self, epoch: u64) {
        self.inbox.put(Message::Retire(epoch));
    }
}

/// What the door is told.
#[derive(Clone, Copy)]
enum Message {
    /// A connection is over.
    Left(usize),
    /// A connection has nothing to say for now.
    Paused(usize, Visit),
    /// Answers that were begun before this epoch are to end.
    Retire(u64),
    /// The server is to stop.
    Stop,
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

/// What a coroutine works with; the door has it back if the coroutine dies.
struct Belongings<H: Handler> {
    shared: Arc<Shared<H>>,
    held: Arc<Held>,
    visit: Visit,
    stream: Option<Stream>,
    conversation: Conversation<H::View>,
}

impl<H: Handler> Belongings<H> {
    /// Holds the conversation; returns what outlives it if it only pauses.
    fn converse(&mut self) -> Option<Visit> {
        let Self { shared, held, visit, stream, conversation } = self;
        let ending = catch_unwind(AssertUnwindSafe(|| {
            let stream = stream.insert(Stream::new(Arc::clone(held), Arc::clone(&shared.context), visit)?);
            Ok::<_, io::Error>(conversation.hold(stream, &shared.handler, &shared.context, visit))
        }));
        if let Ok(Ok(Ending::Paused)) = ending {
            return Some(*visit);
        }
        if ending.is_err() {
            // A panic costs this connection and no other.
            shared.context.tell_of_panic(conversation.request_id());
        }
        held.close();
        None
    }

    /// Ends a connection whose coroutine has died. Where nothing is on its way to the client yet, it is told.
    fn bury(&self) {
        let Context { metrics, report, .. } = &*self.shared.context;
        metrics.count(Event::Panic);
        let id = self.conversation.request_id();
        report(&format!("request `{id}`: the stack was too small for the answer"));
        if !self.conversation.is_sending() {
            self.held.say(&format!("{INTERNAL_ERROR}X-Request-Id: {id}\r\n\r\n500 Internal Server Error\n"));
        }
        self.held.close();
    }
}

const INTERNAL_ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 26\r\nCache-Control: no-store\r\nConnection: close\r\n";

/// Starts the coroutine that holds a connection's conversation; `None` if the system has no room for it.
fn start_conversation<H: Handler>(
    shared: &Arc<Shared<H>>,
    held: &Arc<Held>,
    number: usize,
    visit: Visit,
) -> Option<Estate<Belongings<H>>> {
    // A coroutine runs where its descriptor is watched.
    let builder = may::coroutine::Builder::new().id(held.descriptor_number());
    let conversation = Conversation::new(shared.handler.view());
    let inbox = Arc::clone(&shared.inbox);
    let belongings =
        Belongings { shared: Arc::clone(shared), held: Arc::clone(held), visit, stream: None, conversation };
    let farewell = move |paused| {
        inbox.put(match paused {
            Some(visit) => Message::Paused(number, visit),
            None => Message::Left(number),
        });
    };
    Estate::go_with(builder, belongings, Belongings::converse, farewell).ok()
}
