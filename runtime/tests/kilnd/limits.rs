//! The limits of the real binary, each with a time or a number small enough to reach.

use std::io::{Read, Write};
use std::net::TcpStream;

use bundle::{BundleWriter, RouteKind, Settings};

use crate::process::{GET_POST, Kilnd, Scratch, request};
use crate::small_site;

fn start(name: &str, words: &[&str]) -> (Scratch, Kilnd) {
    let scratch = Scratch::new(name);
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    let kilnd = Kilnd::start(&path, words);
    (scratch, kilnd)
}

/// A site of one page.
pub(crate) fn packed_page(body: &str) -> Vec<u8> {
    let mut writer = BundleWriter::new(Settings::default(), []);
    writer.add(small_site::file("/", RouteKind::Page, "text/html; charset=utf-8", body, &[]));
    writer.finish().unwrap().to_vec()
}

/// Everything until the server closes; a reset is an end, too.
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_closed(stream: &mut TcpStream) -> bool {
    read_to_end(stream).is_empty()
}

#[test]
fn half_a_head_gets_408_and_silence_gets_silence() {
    // RFC 9110 section 15.5.9. Without it, a client that sends a byte a minute holds a connection for ever.
    let (_scratch, kilnd) = start("header-timeout", &["--header-timeout", "0.3"]);
    let (mut half, mut silent, mut second) = (kilnd.connect(), kilnd.connect(), kilnd.connect());
    half.write_all(b"GET / HTTP/1.1\r\nHost").unwrap();
    assert!(request(&mut second, GET_POST).starts_with("HTTP/1.1 200"));
    second.write_all(b"G").unwrap();
    let answer = read_to_end(&mut half);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("Connection: close\r\n"), "{answer}");
    assert!(read_to_end(&mut second).starts_with("HTTP/1.1 408"), "the second head has a limit, too");
    assert!(is_closed(&mut silent));
}

#[test]
fn behind_a_proxys_header_the_time_for_the_first_head_runs_all_the_same() {
    // Half of such a header once kept a worker busy for ever, and with it everybody else.
    let words = ["--proxy-protocol", "--header-timeout", "0.3", "--idle-timeout", "600"];
    let (_scratch, kilnd) = start("proxy-header", &words);
    let mut halves: Vec<_> = (0..4).map(|_| kilnd.connect()).collect();
    for half in &mut halves {
        half.write_all(b"PROXY TCP4 192.0").unwrap();
    }
    let mut silent = kilnd.connect();
    let header = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    silent.write_all(header.as_bytes()).unwrap();
    for half in &mut halves {
        assert!(read_to_end(half).starts_with("HTTP/1.1 408"));
    }
    assert!(is_closed(&mut silent));
    let mut good = kilnd.connect();
    good.write_all(&header.as_bytes()[..20]).unwrap();
    assert!(request(&mut good, &format!("{}{GET_POST}", &header[20..])).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_refused_request_keeps_its_id_and_its_method() {
    // Whoever looks for it in the log finds nothing else.
    let (_scratch, kilnd) = start("refused-id", &["--max-body", "10"]);
    for (status, fields) in
        [(413, "Content-Length: 11\r\n"), (413, "Transfer-Encoding: chunked\r\n"), (417, "Expect: the unexpected\r\n")]
    {
        let mut client = kilnd.connect();
        let text = format!("HEAD /post HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n{fields}\r\nb\r\n12345678901\r\n");
        client.write_all(text.as_bytes()).unwrap();
        let answer = read_to_end(&mut client);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{fields}: {answer}");
        assert!(answer.contains("\r\nX-Request-Id: mine\r\n") && answer.ends_with("\r\n\r\n"), "{fields}: {answer}");
        assert_eq!(answer.matches("X-Request-Id").count(), 1, "{answer}");
    }
}

#[test]
fn a_head_that_trickles_in_gets_408() {
    // Time runs for the whole head: a byte now and then is no progress.
    let (_scratch, kilnd) = start("trickle", &["--header-timeout", "0.5"]);
    let mut client = kilnd.connect();
    let writer = client.try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        let mut writer = writer;
        // It ends by the server's closing, or far later than that should be.
        let bytes = std::iter::once(&b"GET / HTTP/1.1\r\nA: "[..]).chain(std::iter::repeat_n(&b"a"[..], 600));
        for bytes in bytes {
            if writer.write_all(bytes).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the server took 600 bytes, one at a time");
    });
    assert!(read_to_end(&mut client).starts_with("HTTP/1.1 408"));
    drop(client);
    trickle.join().unwrap();
}

#[test]
fn a_body_that_does_not_come_gets_408() {
    let (_scratch, kilnd) = start("body-timeout", &["--header-timeout", "0.3"]);
    let mut client = kilnd.connect();
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab").unwrap();
    assert!(read_to_end(&mut client).starts_with("HTTP/1.1 408"));
}

#[test]
fn an_idle_connection_is_closed_and_until_then_it_is_answered() {
    // The idle ones are held without a coroutine after a second; coming back must not be seen from outside.
    let (_scratch, kilnd) = start("idle-timeout", &["--idle-timeout", "3"]);
    let mut client = kilnd.connect();
    assert!(request(&mut client, GET_POST).starts_with("HTTP/1.1 200"));
    std::thread::sleep(std::time::Duration::from_millis(1_800));
    assert!(request(&mut client, GET_POST).starts_with("HTTP/1.1 200"));
    assert!(is_closed(&mut client));
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let scratch = Scratch::new("write-timeout");
    let body = "x".repeat(64 << 20);
    let path = scratch.write("a.bundle", &packed_page(&body));
    let kilnd = Kilnd::start(&path, &["--write-timeout", "0.3"]);
    let mut client = kilnd.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let answer = read_to_end(&mut client);
    assert!(answer.len() < body.len(), "{} bytes came", answer.len());
    // And one that takes everything gets everything.
    let mut client = kilnd.connect();
    let answer = request(&mut client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.ends_with(&body));
}

#[test]
fn the_last_request_of_a_connection_is_answered_with_close() {
    let (_scratch, kilnd) = start("requests", &["--max-requests", "2"]);
    let mut client = kilnd.connect();
    assert!(!request(&mut client, GET_POST).contains("Connection: close"));
    assert!(request(&mut client, GET_POST).contains("Connection: close\r\n"));
    assert!(is_closed(&mut client));
}

#[test]
fn sizes_have_flags() {
    // Each at its limit, and one past it.
    let words = ["--max-head", "150", "--max-request-line", "40", "--max-fields", "3", "--max-body", "3"];
    let (_scratch, kilnd) = start("sizes", &words);
    let ask = |text: &str| request(&mut kilnd.connect(), text)[9..12].to_owned();
    let with_fields = |fields: &str| ask(&GET_POST.replace("\r\n\r\n", &format!("\r\n{fields}\r\n")));
    assert_eq!(with_fields(&format!("A: {}\r\n", "a".repeat(114))), "200");
    assert_eq!(with_fields(&format!("A: {}\r\n", "a".repeat(115))), "431");
    assert_eq!(with_fields("A:\r\nB:\r\n"), "200");
    assert_eq!(with_fields("A:\r\nB:\r\nC:\r\n"), "431");
    let query = |len| ask(&GET_POST.replace("/post", &format!("/post?{}", "q".repeat(len))));
    assert_eq!(query(40 - "GET /post? HTTP/1.1".len()), "200");
    assert_eq!(query(41 - "GET /post? HTTP/1.1".len()), "414");
    let post = |body: &str| format!("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(ask(&post("abc")), "405");
    assert_eq!(ask(&post("abcd")), "413");
}

#[test]
fn more_fields_than_by_default_may_be_allowed() {
    let (_scratch, kilnd) = start("fields", &["--max-fields", "1000"]);
    let ask = |count: usize| {
        let text = GET_POST.replace("\r\n\r\n", &format!("\r\n{}\r\n", "A: b\r\n".repeat(count)));
        request(&mut kilnd.connect(), &text)[9..12].to_owned()
    };
    assert_eq!(ask(999), "200");
    assert_eq!(ask(1_000), "431");
}

#[test]
fn at_the_connection_limit_the_longest_idle_one_makes_room() {
    let (_scratch, kilnd) = start("connections", &["--max-connections", "2"]);
    let (mut first, mut second) = (kilnd.connect(), kilnd.connect());
    assert!(request(&mut first, GET_POST).starts_with("HTTP/1.1 200"));
    // Another tick of the server's clock, so that the first has been idle for longer.
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(request(&mut second, GET_POST).starts_with("HTTP/1.1 200"));
    let mut third = kilnd.connect();
    assert!(request(&mut third, GET_POST).starts_with("HTTP/1.1 200"));
    assert!(is_closed(&mut first));
    assert!(request(&mut second, GET_POST).starts_with("HTTP/1.1 200"));
}

#[test]
fn at_the_connection_limit_with_nobody_idle_a_new_one_gets_503() {
    for flag in ["--max-connections", "--max-per-address"] {
        let (_scratch, kilnd) = start("busy", &[flag, "1"]);
        let mut busy = kilnd.connect();
        // The answer to the first shows that the server has read the beginning of the second, too.
        let begun = format!("{GET_POST}{}", &GET_POST[..10]);
        assert!(request(&mut busy, &begun).starts_with("HTTP/1.1 200"));
        let answer = read_to_end(&mut kilnd.connect());
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("Retry-After: 1\r\n"), "{flag}: {answer}");
        assert!(request(&mut busy, &GET_POST[10..]).starts_with("HTTP/1.1 200"), "the busy one is served");
        drop(busy);
        // The server sees it go when it gets to it.
        while !request(&mut kilnd.connect(), GET_POST).starts_with("HTTP/1.1 200") {
            std::thread::yield_now();
        }
    }
}
