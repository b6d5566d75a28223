//! What answering costs without a socket: a conversation over memory. `cargo bench -p kiln-runtime`. It is timed by hand,
//! so that it needs no framework: the best of several rounds, in nanoseconds per request.
#![expect(clippy::print_stdout, reason = "a bench reports")]

use std::hint::black_box;
use std::io::{self, IoSlice};
use std::time::Instant;

use bundle::{BundleView, Settings};
use runtime::clock::Clock;
use runtime::connection::{Awaiting, Context, Transport, Visit, converse};
use runtime::limits::Limits;
use runtime::site::{Site, SiteHandler};

#[path = "../tests/small_site/mod.rs"]
mod small_site;

const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en,de;q=0.7\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nSec-Fetch-Mode: navigate\r\n";

fn main() {
    let bytes = small_site::packed(Settings::default());
    let handler = SiteHandler::new(Site::new(BundleView::open(bytes).expect("the small site is a bundle")));
    for (name, line, fields) in [
        ("a page, as wrk asks", "GET /post", ""),
        ("a page, as a browser asks", "GET /", BROWSER),
        ("not modified", "GET /post", "If-None-Match: \"4-identity\"\r\n"),
        ("not found", "GET /nowhere", ""),
        ("a part", "GET /digits", "Range: bytes=0-3\r\n"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n");
        let nanoseconds = (0..7).map(|_| measure(&handler, request.as_bytes())).fold(f64::INFINITY, f64::min);
        println!("{name}: {nanoseconds:.0} ns");
    }
}

fn measure(handler: &SiteHandler<Vec<u8>>, request: &[u8]) -> f64 {
    const REQUEST_COUNT: u32 = 20_000;
    let context = Context::new(Limits::default(), Clock::started_now());
    let mut visit = Visit { request_number: 0, request_count: 0, worker: 0, peer: None, awaits_proxy_header: false };
    let mut client = Client { request, left: REQUEST_COUNT };
    let started = Instant::now();
    converse(&mut client, handler, &context, &mut visit);
    started.elapsed().as_secs_f64() * 1e9 / f64::from(REQUEST_COUNT)
}

/// Sends one request after the other and throws the answers away.
struct Client<'c> {
    request: &'c [u8],
    left: u32,
}

impl Transport for Client<'_> {
    fn receive(&mut self, _awaiting: Awaiting, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        self.left -= 1;
        buffer[..self.request.len()].copy_from_slice(self.request);
        Ok(self.request.len())
    }

    fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(black_box(pieces).iter().map(|piece| piece.len()).sum())
    }
}
