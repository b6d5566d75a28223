//! A server of one's own on the same connections: a page, and a stream of server-sent events that it shows.
//! `cargo run --example events`, then open port 8081 of this machine in a browser.

use std::time::Duration;

use runtime::clock::Clock;
use runtime::connection::Context;
use runtime::http::request::Request;
use runtime::http::response::{Answer, BodyStream};
use runtime::limits::Limits;
use runtime::listener::{Listener, PortUse};
use runtime::server::Server;
use runtime::site::Handler;

const PAGE: &str = "<!doctype html><title>events</title><pre id=log></pre><script>\
    new EventSource('/events').onmessage = event => log.append(event.data + '\\n')</script>";

/// Its answers depend on nothing, so that its view is nothing.
struct Events;

impl Handler for Events {
    type View = ();

    fn view(&self) -> Self::View {}

    fn renew(&self, _view: &mut Self::View) {}

    fn answer<'v>(&self, request: &Request<'_>, _view: &'v Self::View, _added: &mut Vec<u8>) -> Answer<'v> {
        match &*request.path {
            b"/" => Answer::made(200, "Content-Type: text/html; charset=utf-8\r\n", PAGE),
            b"/events" => {
                let fields = "Content-Type: text/event-stream\r\nCache-Control: no-store\r\n";
                Answer::streamed(fields, Ticks { count: 0 })
            }
            _ => Answer::bare(404, ""),
        }
    }
}

struct Ticks {
    count: u64,
}

impl BodyStream for Ticks {
    fn next(&mut self) -> Option<Vec<u8>> {
        // Only this coroutine sleeps; the thread goes on with others.
        may::coroutine::sleep(Duration::from_secs(1));
        self.count += 1;
        Some(format!("data: {} seconds\n\n", self.count).into_bytes())
    }
}

fn main() -> std::io::Result<()> {
    let address = "127.0.0.1:8081".parse().expect("it is an address");
    let listener = Listener::bind(&address, PortUse::Alone)?;
    Server::new(Events, Context::new(Limits::default(), Clock::started_now()))?.run(vec![listener])
}
