//! The coroutine that serves a worker's waiting connections, one after the other, on one stack and with one set of
//! buffers, all of which stay in the processor's caches. Where a connection has to be waited for in the middle of
//! something, it gets this coroutine to itself, and another becomes the host.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::lounge::{Call, Lounge};
use super::stream::{OwnEvents, Stream};
use super::{Death, Message, Mortal, Shared};
use crate::connection::{Context, Conversation, Ending, Visit};
use crate::estate::Estate;
use crate::metrics::Event;
use crate::site::Handler;

/// What a host works with; the door has it back if the coroutine dies.
pub(super) struct Host<H: Handler> {
    shared: Arc<Shared<H>>,
    lounge: Arc<Lounge>,
    conversation: Conversation<H::View>,
    /// Whom it serves.
    service: Option<Service>,
}

/// What there is of a connection that is being served, and doesn't lie on the coroutine's stack.
struct Service {
    call: Call,
    visit: Visit,
    events: OwnEvents,
}

/// Starts a host for a lounge.
pub(super) fn start_host<H: Handler>(shared: &Arc<Shared<H>>, lounge: &Arc<Lounge>) -> io::Result<Box<dyn Mortal>> {
    let conversation = Conversation::new(shared.handler.view());
    let host = Host { shared: Arc::clone(shared), lounge: Arc::clone(lounge), conversation, service: None };
    let inbox = Arc::clone(&shared.inbox);
    let farewell = move |message: Option<Message>| message.into_iter().for_each(|message| inbox.put(message));
    // A coroutine runs where its descriptor is watched.
    let builder = may::coroutine::Builder::new().id(lounge.worker());
    Ok(Box::new(Estate::go_with(builder, host, Host::serve, farewell)?))
}

impl<H: Handler> Host<H> {
    /// Serves whoever calls, until one of them has the coroutine to itself and is done; returns what becomes of that one.
    fn serve(&mut self) -> Option<Message> {
        loop {
            while let Some(call) = self.lounge.next_call() {
                if let Some(farewell) = self.attend(call) {
                    return Some(farewell);
                }
            }
            if self.lounge.is_closed() {
                return None;
            }
            self.lounge.wait_for_calls();
            // What is served no more is let go, even if nobody calls.
            self.conversation.renew(&self.shared.handler);
        }
    }

    fn attend(&mut self, call: Call) -> Option<Message> {
        let visit = call.held.take_visit()?;
        let Self { shared, lounge, conversation, service } = self;
        let Service { call, visit, events } = service.insert(Service { call, visit, events: None });
        let (handler, context) = (&shared.handler, &shared.context);
        let mut stream = Stream::new(shared, lounge, call, visit, events);
        let ending = catch_unwind(AssertUnwindSafe(|| conversation.hold(&mut stream, handler, context, visit)));
        if ending.is_err() {
            // A panic costs this connection and no other.
            context.tell_of_panic(conversation.request_id());
        }
        let Service { call: Call { number, held, .. }, visit, events } = service.take()?;
        let is_over = !matches!(ending, Ok(Ending::Paused));
        if is_over {
            held.close();
        } else {
            held.keep_visit(visit);
        }
        let has_moved_out = events.is_some();
        if has_moved_out {
            held.move_in();
            return Some(if is_over { Message::Left(number) } else { Message::Paused(number) });
        }
        if is_over {
            self.conversation = Conversation::new(self.shared.handler.view());
            self.lounge.forget(number);
            self.shared.inbox.put(Message::Left(number));
        }
        None
    }
}

impl<H: Handler> Mortal for Estate<Host<H>> {
    /// Ends the connection whose coroutine has died. Where nothing is on its way to the client yet, it is told.
    fn bury(&mut self) -> Option<Death> {
        let host = self.take_back()?;
        let Context { metrics, report, .. } = &*host.shared.context;
        metrics.count(Event::Panic);
        let id = host.conversation.request_id();
        report(&format!("request `{id}`: the stack was too small for the answer"));
        let Some(Service { call: Call { number, held, .. }, events, .. }) = &host.service else {
            return Some(Death { number: None, had_moved_out: false });
        };
        if !host.conversation.is_sending() {
            held.say(&format!("{INTERNAL_ERROR}X-Request-Id: {id}\r\n\r\n500 Internal Server Error\n"));
        }
        held.close();
        held.move_in();
        host.lounge.forget(*number);
        Some(Death { number: Some(*number), had_moved_out: events.is_some() })
    }
}

const INTERNAL_ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 26\r\nCache-Control: no-store\r\nConnection: close\r\n";
