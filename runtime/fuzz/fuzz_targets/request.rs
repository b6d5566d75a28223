//! Any bytes as a head, a chunked body, a range and a proxy's header: an answer or a refusal, never a panic, and the same
//! one wherever the bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::http::framing::{BodySkip, Framing};
use runtime::http::proxy::ProxyHeader;
use runtime::http::range::read_range;
use runtime::http::request::{FieldSlots, HeadScan, Request};
use runtime::limits::Limits;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let cut = usize::from(cut).min(bytes.len());

    let limits = Limits::default();
    let whole = HeadScan::default().find_end(bytes, &limits);
    let mut scan = HeadScan::default();
    match scan.find_end(&bytes[..cut], &limits) {
        Ok(None) => assert_eq!(scan.find_end(bytes, &limits), whole),
        early => assert_eq!(early, whole),
    }
    if let Ok(Some(end)) = whole {
        let mut slots = FieldSlots::default();
        if let Ok(request) = Request::parse(&bytes[scan.head_start.min(end)..end], &mut slots) {
            assert!(!request.path.contains(&0));
        }
    }

    let skip = |pieces: [&[u8]; 2]| {
        let mut skip = BodySkip::new(Framing::Chunked, 1_000).expect("no length is given");
        let mut taken = 0;
        for piece in pieces {
            taken += skip.skip(piece)?;
        }
        Ok::<_, runtime::http::request::Refusal>((taken, skip.is_done()))
    };
    assert_eq!(skip([&bytes[..cut], &bytes[cut..]]), skip([bytes, b""]));

    let _ = read_range(bytes, cut);
    let _ = ProxyHeader::parse(bytes);
});
