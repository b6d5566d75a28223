//! A whole conversation over any bytes: it ends, it answers in whole answers, and the same ones wherever the bytes are cut.
#![no_main]

use std::io::{self, Read, Write};
use std::sync::LazyLock;

use bundle::{BundleView, Settings};
use libfuzzer_sys::fuzz_target;
use runtime::clock::Clock;
use runtime::connection::{Context, Visit, converse};
use runtime::limits::Limits;
use runtime::site::{Site, SiteHandler};

#[path = "../../tests/small_site/mod.rs"]
mod small_site;

static HANDLER: LazyLock<SiteHandler<Vec<u8>>> = LazyLock::new(|| {
    let bytes = small_site::packed(Settings::default());
    SiteHandler::new(Site::new(BundleView::open(bytes).expect("the small site is a bundle")))
});

struct Client<'c> {
    pieces: [&'c [u8]; 2],
    received: Vec<u8>,
}

impl Read for Client<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let index = usize::from(self.pieces[0].is_empty());
        self.pieces[index].read(buffer)
    }
}

impl Write for Client<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.received.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn answers(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut client = Client { pieces: [first, second], received: Vec::new() };
    let context = Context::new(Limits::default(), Clock::standing_at(784_111_777));
    let mut visit = Visit { request_number: 0, request_count: 0, worker: 0, peer: None, awaits_proxy_header: false };
    converse(&mut client, &*HANDLER, &context, &mut visit);
    client.received
}

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let received = answers(first, second);
    assert_eq!(received, answers(bytes, b""));
    assert!(received.is_empty() || received.starts_with(b"HTTP/1.1 "));
});
