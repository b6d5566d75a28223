//! The server as a library: a handler of one's own, streams, and panics that cost one connection.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may fail anywhere, and says where")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use runtime::clock::Clock;
use runtime::connection::Context;
use runtime::http::request::Request;
use runtime::http::response::{Answer, BodyStream};
use runtime::limits::Limits;
use runtime::listener::{Address, Listener, PortUse};
use runtime::metrics::Event;
use runtime::panics;
use runtime::server::{Remote, Server};
use runtime::site::Handler;

/// What it answers may wait, or shares a coroutine with the others.
struct Odd {
    may_wait: bool,
}

static STREAMS_ALIVE: AtomicUsize = AtomicUsize::new(0);

impl Handler for Odd {
    type View = ();

    fn view(&self) -> Self::View {}

    fn renew(&self, _view: &mut Self::View) {}

    fn answer<'v>(&self, request: &Request<'_>, _view: &'v Self::View, _added: &mut Vec<u8>) -> Answer<'v> {
        match &*request.path {
            b"/panic" => panic!("as asked"),
            b"/overflow" => Answer::made(200, "", deep(1).to_string()),
            b"/narrow" => Answer::made(200, "", narrow(1).to_string()),
            b"/short" => Answer::streamed("", Stream::new(3)),
            b"/endless" => Answer::streamed("", Stream::new(usize::MAX)),
            _ => Answer::made(200, "", "well"),
        }
    }

    fn may_wait(&self) -> bool {
        self.may_wait
    }
}

/// Recurses until there is no more stack.
fn deep(level: u64) -> u64 {
    let here = std::hint::black_box([level; 32]);
    if here[31] == 0 { 0 } else { deep(here[7] + 1) + here[3] }
}

/// The same in steps so small that every word of the stack is written to.
#[inline(never)]
fn narrow(level: u64) -> u64 {
    if std::hint::black_box(level) == 0 { 0 } else { narrow(level + 1) + std::hint::black_box(3) }
}

/// What was reported last.
static REPORTED: Mutex<String> = Mutex::new(String::new());

fn last_report() -> String {
    REPORTED.lock().unwrap().clone()
}

struct Stream {
    left: usize,
}

impl Stream {
    fn new(left: usize) -> Self {
        STREAMS_ALIVE.fetch_add(1, Ordering::SeqCst);
        Self { left }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        STREAMS_ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

impl BodyStream for Stream {
    fn next(&mut self) -> Option<Vec<u8>> {
        may::coroutine::sleep(Duration::from_millis(5));
        self.left = self.left.checked_sub(1)?;
        Some(b"tick\n".to_vec())
    }
}

/// What is counted and reported is of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

struct Running {
    remote: Remote,
    address: String,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(odd: Odd) -> Self {
        Self::start_within(odd, Limits::default())
    }

    fn start_within(odd: Odd, limits: Limits) -> Self {
        let test = std::thread::current().id();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == test { eprintln!("{info}") } else { panics::remember(info) }
        }));
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), PortUse::Alone).unwrap();
        let Address::Tcp(address) = listener.address().clone() else { panic!("it is a TCP address") };
        let mut context = Context::new(limits, Clock::started_now());
        context.report = |text| text.clone_into(&mut REPORTED.lock().unwrap());
        let server = Server::new(odd, context).unwrap();
        let remote = server.remote();
        let thread = std::thread::spawn(move || server.run(vec![listener]).unwrap());
        Self { remote, address: address.to_string(), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Asks on a connection of its own, and reads until the server closes.
    fn ask(&self, path: &str, version: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Has answering run out of stack on so many connections at a time.
    fn overflow_all(&self, path: &str, count: usize) {
        let asked = (0..count).map(|number| {
            let mut stream = self.connect();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {number}\r\n\r\n").unwrap();
            stream
        });
        for (number, mut stream) in asked.collect::<Vec<_>>().into_iter().enumerate() {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains(&format!("\r\nX-Request-Id: {number}\r\n")));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.remote.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Memory of its own that the process has, in KiB.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

fn descriptor_count() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Asks for a plain answer on a connection that stays open.
fn assert_well(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"well") {
        answer.push(0);
        let last = answer.len() - 1;
        stream.read_exact(&mut answer[last..]).unwrap();
    }
}

#[test]
fn where_connections_share_a_coroutine_its_end_costs_one_of_them() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // One request would take a whole worker with it, and everybody who waits there.
    let running = Running::start(Odd { may_wait: false });
    let mut good = (0..8).map(|_| running.connect()).collect::<Vec<_>>();
    good.iter_mut().for_each(assert_well);
    for _ in 0..100 {
        assert!(running.ask("/panic", "1.1").starts_with("HTTP/1.1 500"));
    }
    good.iter_mut().for_each(assert_well);
    running.overflow_all("/overflow", 4);
    running.overflow_all("/narrow", 4);
    good.iter_mut().for_each(assert_well);
    // A stream that waits gets a coroutine to itself, and the others aren't held up by it.
    let mut stream = running.connect();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 200]).unwrap();
    good.iter_mut().for_each(assert_well);
    stream.read_exact(&mut [0; 200]).unwrap();
    assert!(running.ask("/short", "1.1").ends_with("0\r\n\r\n"));
}

#[test]
fn what_is_not_done_when_time_is_up_is_cut_off_and_counted() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let running = Running::start_within(Odd { may_wait: true }, Limits { drain_timeout_ms: 100, ..Limits::default() });
    let mut stream = running.connect();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 200]).unwrap();
    let metrics = running.remote.metrics();
    drop(running);
    assert_eq!(metrics.event_count(Event::DrainTimeout), 1);
    assert!(last_report().ends_with("cut off: 1"), "{}", last_report());
    // A reset is an end, too.
    stream.read_to_end(&mut Vec::new()).ok();
}

#[test]
fn a_handler_of_ones_own_streams_and_panics_without_harm() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let running = Running::start(Odd { may_wait: true });

    // RFC 9112 section 7.1: a body of unknown length comes in chunks, and to a 1.0 client until the end.
    let answer = running.ask("/short", "1.1");
    assert!(answer.contains("Transfer-Encoding: chunked\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n5\r\ntick\n\r\n5\r\ntick\n\r\n5\r\ntick\n\r\n0\r\n\r\n"), "{answer}");
    let answer = running.ask("/short", "1.0");
    assert!(answer.ends_with("\r\n\r\ntick\ntick\ntick\n") && !answer.contains("chunked"), "{answer}");

    // A client that goes away ends its stream: otherwise every closed tab would leave a coroutine behind.
    let mut stream = running.connect();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 200]).unwrap();
    drop(stream);
    while STREAMS_ALIVE.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }

    // A panic costs its connection only; descriptors don't pile up.
    let mut good = running.connect();
    let mut is_well = || assert_well(&mut good);
    is_well();
    let before = descriptor_count();
    for _ in 0..10_000 {
        assert!(running.ask("/panic", "1.1").starts_with("HTTP/1.1 500"));
    }
    is_well();
    assert_eq!(running.remote.metrics().event_count(Event::Panic), 10_000);

    assert!(last_report().contains(": panicked at ") && last_report().ends_with(" as asked"), "{}", last_report());
    let answer = running.ask("/panic", "1.1\r\nX-Request-Id: mine");
    assert!(answer.contains("\r\nX-Request-Id: "), "{answer}");
    assert!(last_report().starts_with("request `mine`: panicked at "), "{}", last_report());

    // So does a stack that was too small, whatever of it was written over: what the coroutine worked with is had back.
    running.overflow_all("/narrow", 500);
    running.overflow_all("/overflow", 500);
    let memory_before = memory_kib();
    for _ in 0..9 {
        running.overflow_all("/narrow", 500);
        running.overflow_all("/overflow", 500);
    }
    assert_eq!(running.remote.metrics().event_count(Event::Panic), 20_001);
    assert!(last_report().contains("`: the stack was too small"), "{}", last_report());
    let memory_after = memory_kib();
    // may's own handle of a coroutine that died stays behind, some 180 bytes; a stack or its buffers would be a hundred
    // times as much.
    assert!(memory_after < memory_before + 4_096, "{memory_before} KiB before, {memory_after} KiB after");
    is_well();
    while descriptor_count() > before {
        std::thread::sleep(Duration::from_millis(1));
    }
}
