//! A running server and its bundle's file: replaced, damaged, written over, cut short.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bundle::{BundleWriter, RouteKind, Settings};

use crate::hostile::descriptor_count;
use crate::limits::packed_page;
use crate::process::{GET_POST, Kilnd, Scratch, command, request};
use crate::small_site;

const GET_HEALTH: &str = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";

fn generation(number: u8) -> Vec<u8> {
    let digest = format!("{number:016x}");
    small_site::packed_generation(Settings::default(), &format!("post {number}\n"), &digest)
}

fn get_asset(stream: &mut TcpStream, number: u8) -> String {
    request(stream, &format!("GET /static/app.{number:016x}.css HTTP/1.1\r\nHost: a\r\n\r\n"))
}

/// A bundle with a file that takes a client a while, all of this letter.
fn with_large_file(letter: &str) -> Vec<u8> {
    let mut writer = BundleWriter::new(Settings::default(), []);
    writer.add(small_site::file("/large.txt", RouteKind::File, "text/plain", &letter.repeat(LARGE_LEN), &[]));
    writer.finish().unwrap().to_vec()
}

/// More than the system takes at once for a client that doesn't read.
const LARGE_LEN: usize = 60 << 20;

/// Asks for the large file and takes its head.
fn begin_download(kilnd: &Kilnd, host: &str) -> TcpStream {
    let mut reader = kilnd.connect();
    reader.write_all(format!("GET /large.txt HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    reader
}

/// Takes the rest of it, whole.
fn finish_download(mut reader: TcpStream, letter: u8) {
    let mut body = vec![0; LARGE_LEN];
    reader.read_exact(&mut body).unwrap();
    assert!(body.iter().all(|byte| *byte == letter), "it is of one bundle");
}

/// Puts bytes in the place of a file at once, as a deployment does.
fn rename_over(scratch: &Scratch, path: &Path, bytes: &[u8]) {
    fs::rename(scratch.write("beside", bytes), path).unwrap();
}

#[test]
fn a_new_bundle_is_swapped_in_and_the_assets_of_the_two_before_it_still_answer() {
    // A visitor who loaded a page before a deployment must find its style sheet after it, on the same connection too.
    let scratch = Scratch::new("swap");
    let path = scratch.write("a.bundle", &generation(1));
    let mut kilnd = Kilnd::start(&path, &[]);
    let mut client = kilnd.connect();
    assert!(request(&mut client, GET_POST).ends_with("post 1\n"));
    for number in 2..=4 {
        rename_over(&scratch, &path, &generation(number));
        kilnd.signal("-HUP");
        // A file may be seen on its own account and then again for the signal.
        while !request(&mut client, GET_POST).ends_with(&format!("post {number}\n")) {
            kilnd.hear("now serving");
        }
    }
    for (number, status) in [(4, 200), (3, 200), (2, 200), (1, 404)] {
        let answer = get_asset(&mut client, number);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "asset {number}: {answer}");
    }
}

#[test]
fn a_replaced_file_is_seen_without_a_signal() {
    let scratch = Scratch::new("replace");
    let path = scratch.write("a.bundle", &generation(1));
    let mut kilnd = Kilnd::start(&path, &["--keep-generations", "0"]);
    rename_over(&scratch, &path, &generation(2));
    kilnd.hear("now serving");
    let mut client = kilnd.connect();
    assert!(request(&mut client, GET_POST).ends_with("post 2\n"));
    assert!(get_asset(&mut client, 1).starts_with("HTTP/1.1 404"), "no earlier generation is kept");
}

#[test]
fn a_bad_bundle_is_refused_and_the_old_one_goes_on() {
    let scratch = Scratch::new("refuse");
    let path = scratch.write("a.bundle", &generation(1));
    let mut kilnd = Kilnd::start(&path, &[]);
    let mut bad = generation(2);
    *bad.last_mut().unwrap() ^= 1;
    rename_over(&scratch, &path, &bad);
    assert!(kilnd.hear("damaged").contains("what was served before goes on"));
    assert!(request(&mut kilnd.connect(), GET_POST).ends_with("post 1\n"));
    rename_over(&scratch, &path, &generation(3));
    kilnd.hear("now serving");
    assert!(request(&mut kilnd.connect(), GET_POST).ends_with("post 3\n"));
}

#[test]
fn a_file_written_over_in_place_is_not_served_until_it_is_whole() {
    // The map shows the new bytes under the old index: a mixture that nobody checked.
    let scratch = Scratch::new("overwrite");
    let path = scratch.write("a.bundle", &generation(1));
    let mut kilnd = Kilnd::start(&path, &[]);
    fs::write(&path, &generation(2)[..500]).unwrap();
    kilnd.hear("in place");
    let mut client = kilnd.connect();
    assert!(request(&mut client, GET_POST).starts_with("HTTP/1.1 503"));
    assert!(request(&mut client, GET_HEALTH).starts_with("HTTP/1.1 503"));
    fs::write(&path, generation(2)).unwrap();
    kilnd.hear("now serving");
    assert!(request(&mut client, GET_POST).ends_with("post 2\n"));
    assert!(request(&mut client, GET_HEALTH).starts_with("HTTP/1.1 200"));
}

#[test]
fn while_nothing_whole_is_there_the_log_does_not_say_that_the_old_one_goes_on() {
    // Whoever reads that at night goes back to bed, and the site is down.
    let scratch = Scratch::new("torn");
    let path = scratch.write("a.bundle", &generation(1));
    let mut kilnd = Kilnd::start(&path, &[]);
    let mut client = kilnd.connect();
    fs::write(&path, &generation(2)[..500]).unwrap();
    assert!(kilnd.hear("in place").contains("answering 503 until a whole bundle is there"));
    assert!(kilnd.hear("a.bundle").contains("still answering 503"), "the piece that was written is refused");
    let mut bad = generation(2);
    *bad.last_mut().unwrap() ^= 1;
    rename_over(&scratch, &path, &bad);
    assert!(kilnd.hear("damaged").contains("still answering 503"), "and so is a damaged bundle that was moved in");
    assert!(request(&mut client, GET_POST).starts_with("HTTP/1.1 503"));
    rename_over(&scratch, &path, &generation(3));
    kilnd.hear("now serving");
    assert!(request(&mut client, GET_POST).ends_with("post 3\n"));
    rename_over(&scratch, &path, &bad);
    assert!(kilnd.hear("damaged").contains("what was served before goes on"), "as ever, once one is whole");
}

#[test]
fn what_is_under_way_when_a_file_is_written_over_does_not_end_as_if_it_were_whole() {
    // Half of it would be of one bundle, and half of another.
    let scratch = Scratch::new("mixed");
    let path = scratch.write("a.bundle", &with_large_file("a"));
    let mut kilnd = Kilnd::start(&path, &[]);
    let mut other = kilnd.connect();
    assert!(request(&mut other, GET_HEALTH).starts_with("HTTP/1.1 200"));
    let descriptors = descriptor_count(&kilnd);
    let mut reader = begin_download(&kilnd, "a");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&vec![b'Z'; 1 << 20], 40 << 20).unwrap();
    kilnd.hear("in place");
    while descriptor_count(&kilnd) > descriptors {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut rest = Vec::new();
    // A reset is an end, too.
    reader.read_to_end(&mut rest).ok();
    assert!(rest.len() < LARGE_LEN && !rest.contains(&b'Z'), "{} bytes", rest.len());
}

#[test]
fn a_download_goes_on_while_its_bundle_and_the_next_two_are_replaced() {
    // Somebody fetches a film while the owner mends three misprints.
    let scratch = Scratch::new("download");
    let path = scratch.write("a.bundle", &with_large_file("a"));
    let mut kilnd = Kilnd::start(&path, &[]);
    let readers = [begin_download(&kilnd, "a"), begin_download(&kilnd, "a")];
    for letter in ["b", "c", "d"] {
        rename_over(&scratch, &path, &with_large_file(letter));
        kilnd.hear("now serving");
    }
    for reader in readers {
        finish_download(reader, b'a');
    }
}

#[test]
fn what_is_written_over_in_place_ends_no_download_from_another_site() {
    let scratch = Scratch::new("other-site");
    let one = scratch.write("1", &with_large_file("a"));
    let two = scratch.write("2", &with_large_file("b"));
    let sites = [format!("one.example={}", one.display()), format!("two.example={}", two.display())];
    let words = ["--site", &sites[0], "--site", &sites[1], "--listen", "127.0.0.1:0"];
    let mut kilnd = Kilnd::spawn(&mut command(Path::new("--reuse-port"), &words));
    let readers = [begin_download(&kilnd, "one.example"), begin_download(&kilnd, "two.example")];
    fs::write(&one, b"no bundle").unwrap();
    kilnd.hear("in place");
    let [mut torn, other] = readers;
    finish_download(other, b'b');
    let mut rest = Vec::new();
    // A reset is an end, too.
    torn.read_to_end(&mut rest).ok();
    assert!(rest.len() < LARGE_LEN, "{} bytes", rest.len());
}

#[test]
fn an_earlier_bundle_that_is_written_over_in_place_is_served_no_more() {
    // Its assets would be kept for a year, with another's bytes.
    let scratch = Scratch::new("earlier");
    for number in 1..=2 {
        scratch.write(&format!("{number}.bundle"), &generation(number));
    }
    let turn = |number: u8| {
        symlink(format!("{number}.bundle"), scratch.0.join("next")).unwrap();
        fs::rename(scratch.0.join("next"), scratch.0.join("current")).unwrap();
    };
    turn(1);
    let mut kilnd = Kilnd::start(&scratch.0.join("current"), &[]);
    turn(2);
    kilnd.hear("now serving");
    assert!(get_asset(&mut kilnd.connect(), 1).starts_with("HTTP/1.1 200"));
    scratch.write("1.bundle", &generation(3));
    kilnd.hear("an earlier bundle was written over in place");
    assert!(get_asset(&mut kilnd.connect(), 1).starts_with("HTTP/1.1 404"));
    assert!(request(&mut kilnd.connect(), GET_POST).ends_with("post 2\n"), "what is served isn't touched by that");
}

#[test]
fn a_pipe_is_no_bundle_and_nobody_waits_for_it() {
    let scratch = Scratch::new("pipe");
    let path = scratch.write("a.bundle", &generation(1));
    let pipe = scratch.0.join("pipe");
    let make_pipe = || nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    make_pipe();
    assert_eq!(command(&pipe, &["--listen", "127.0.0.1:0"]).status().unwrap().code(), Some(4));
    let mut kilnd = Kilnd::start(&path, &[]);
    fs::rename(&pipe, &path).unwrap();
    assert!(kilnd.hear("not a regular file").contains("what was served before goes on"));
    rename_over(&scratch, &path, &generation(2));
    kilnd.hear("now serving");
    assert!(request(&mut kilnd.connect(), GET_POST).ends_with("post 2\n"));
}

#[test]
fn the_last_answer_of_a_connection_arrives_whole_though_the_client_has_asked_for_more() {
    // Closing on unread bytes resets the connection, which takes back what is still on its way.
    let scratch = Scratch::new("last");
    let path = scratch.write("a.bundle", &with_large_file("a"));
    let kilnd = Kilnd::start(&path, &["--max-requests", "1"]);
    let mut reader = begin_download(&kilnd, "a");
    reader.write_all(GET_POST.as_bytes()).unwrap();
    finish_download(reader, b'a');
    let mut kilnd = Kilnd::start(&path, &[]);
    let mut reader = begin_download(&kilnd, "a");
    kilnd.signal("-TERM");
    reader.write_all(GET_POST.as_bytes()).unwrap();
    finish_download(reader, b'a');
    assert_eq!(kilnd.wait().0, Some(0));
}

#[test]
fn a_deploy_may_turn_a_link_to_a_folder() {
    // After the start only what the server needs is in reach, and a folder beside the old one is.
    let scratch = Scratch::new("link");
    for number in 1..=2 {
        fs::create_dir_all(scratch.0.join(format!("releases/{number}"))).unwrap();
        scratch.write(&format!("releases/{number}/a.bundle"), &generation(number));
    }
    let turn = |number: u8| {
        symlink(format!("releases/{number}"), scratch.0.join("next")).unwrap();
        fs::rename(scratch.0.join("next"), scratch.0.join("current")).unwrap();
    };
    turn(1);
    let mut kilnd = Kilnd::start(&scratch.0.join("current/a.bundle"), &[]);
    turn(2);
    kilnd.hear("now serving");
    assert!(request(&mut kilnd.connect(), GET_POST).ends_with("post 2\n"));
}

#[test]
fn a_bundle_put_back_with_its_old_date_is_served_again() {
    // It looks just like what was served all along, as if there were nothing to do; and the site stays down.
    let scratch = Scratch::new("put-back");
    let path = scratch.write("a.bundle", &generation(1));
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let mut kilnd = Kilnd::start(&path, &[]);
    fs::write(&path, b"nothing").unwrap();
    kilnd.hear("in place");
    fs::write(&path, generation(1)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    kilnd.hear("now serving");
    assert!(request(&mut kilnd.connect(), GET_POST).ends_with("post 1\n"));
}

#[test]
fn a_file_cut_short_costs_a_connection_and_not_the_process() {
    // Touching a map beyond the end of its file is SIGBUS; the kernel's own touch is an error.
    let scratch = Scratch::new("cut");
    let path = scratch.write("a.bundle", &generation(1));
    let mut kilnd = Kilnd::start(&path, &[]);
    let mut client = kilnd.connect();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    client.write_all(GET_POST.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    client.read_to_end(&mut answer).ok();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 503"), "{}", answer.escape_ascii());
    assert_eq!(kilnd.process.try_wait().unwrap(), None, "it lives");
    rename_over(&scratch, &path, &generation(2));
    kilnd.hear("now serving");
    assert!(request(&mut kilnd.connect(), GET_POST).ends_with("post 2\n"));
}

#[test]
fn a_site_without_a_page_for_what_is_not_there_gets_a_small_one() {
    // It may be kept as long as it is asked for again each time; under a digested name, which may be there soon, never.
    let scratch = Scratch::new("no-404");
    let kilnd = Kilnd::start(&scratch.write("a.bundle", &packed_page("home")), &[]);
    for (path, policy) in [("/no", "public, max-age=0, must-revalidate"), ("/a.0123456789abcdef.css", "no-store")] {
        let answer = request(&mut kilnd.connect(), &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("\r\n\r\n404 Not Found\n"), "{answer}");
        assert!(answer.contains(&format!("\r\nCache-Control: {policy}\r\n")), "{answer}");
    }
}

#[test]
fn a_large_file_that_is_not_in_memory_is_sent_whole_and_small_ones_meanwhile() {
    // It is read by a thread of its own, piece by piece, and its coroutine is woken for each.
    let scratch = Scratch::new("cold");
    let body = (0..400_000).map(|number| format!("{number:07}\n")).collect::<Vec<_>>().concat();
    let path = scratch.write("a.bundle", &packed_page(&body));
    let kilnd = Kilnd::start(&path, &[]);
    let file = fs::File::open(&path).unwrap();
    file.sync_all().unwrap();
    for _ in 0..3 {
        nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
        let mut clients = (0..6).map(|_| kilnd.connect()).collect::<Vec<_>>();
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        }
        assert!(request(&mut kilnd.connect(), GET_HEALTH).starts_with("HTTP/1.1 200"));
        for client in &mut clients {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            assert!(answer.ends_with(body.as_bytes()), "{} bytes", answer.len());
        }
    }
}

#[test]
fn a_file_cut_short_while_it_is_checked_does_not_end_the_process() {
    // The check reads every byte of the new file: had it read them in a map, each of these could be a SIGBUS.
    let scratch = Scratch::new("cut-in-check");
    let path = scratch.write("a.bundle", &generation(0));
    let mut kilnd = Kilnd::start(&path, &[]);
    let large = packed_page(&"a line of text\n".repeat(300_000));
    for round in 0..60_u64 {
        let new = scratch.write("beside", &large);
        let file = fs::File::options().write(true).open(&new).unwrap();
        fs::rename(&new, &path).unwrap();
        kilnd.signal("-HUP");
        // At another moment of the check each time, if only by the machine's mood.
        std::thread::sleep(Duration::from_micros(round * 100));
        file.set_len(round * 1_000).unwrap();
        assert_eq!(kilnd.process.try_wait().unwrap(), None, "it lives");
    }
    rename_over(&scratch, &path, &generation(1));
    kilnd.signal("-HUP");
    while !get_asset(&mut kilnd.connect(), 1).starts_with("HTTP/1.1 200") {
        std::thread::yield_now();
    }
    assert!(request(&mut kilnd.connect(), GET_POST).ends_with("post 1\n"));
}

#[test]
fn install_puts_a_checked_bundle_in_place_and_nothing_else() {
    let scratch = Scratch::new("install");
    let (good, bad) = (scratch.write("good", &generation(1)), scratch.write("bad", &generation(1)[1..]));
    let path = scratch.0.join("site.bundle");
    let install = |new: &Path| {
        let mut command = command(Path::new("install"), &[]);
        command.arg(new).arg(&path).output().unwrap()
    };
    assert_eq!(install(&bad).status.code(), Some(1));
    assert!(!path.exists());
    assert_eq!(install(&scratch.0.join("missing")).status.code(), Some(4));
    assert_eq!(install(&good).status.code(), Some(0));
    assert_eq!(fs::read(&path).unwrap(), generation(1));
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 3, "nothing is left beside it");
}

#[test]
fn a_probe_tells_health_by_its_exit_status_and_says_in_a_line_why_not() {
    // A container that restarts again and again for no stated reason takes somebody's evening.
    let scratch = Scratch::new("probe");
    let path = scratch.write("a.bundle", &generation(1));
    let mut kilnd = Kilnd::start(&path, &[]);
    let probe = |url: &str, status: i32, reason: &str| {
        let output = command(Path::new("probe"), &[url]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(reason) && said.lines().count() == usize::from(status != 0), "{said}");
    };
    let url = format!("http://{}", kilnd.address);
    probe(&url, 0, "");
    probe(&format!("{url}/nowhere"), 1, "/nowhere` is not healthy: it answers 404");
    probe("http://example.com", 2, "example.com");
    kilnd.signal("-TERM");
    kilnd.wait();
    probe(&url, 1, "refused");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    probe(&format!("http://{}", silent.local_addr().unwrap()), 1, "no answer within 2 s");
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", slow.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = slow.accept().unwrap();
        // Until the probe hangs up.
        while stream.write_all(b"H").is_ok() {
            std::thread::sleep(Duration::from_millis(400));
        }
    });
    probe(&url, 1, "no answer within 2 s");
}

#[test]
fn it_listens_at_several_addresses_and_takes_over_a_dead_socket() {
    let scratch = Scratch::new("unix");
    let path = scratch.write("a.bundle", &generation(1));
    let socket = scratch.0.join("kilnd.sock");
    let listen = format!("unix:{}", socket.display());
    for _ in 0..2 {
        let mut kilnd = Kilnd::start(&path, &["--listen", &listen]);
        kilnd.hear("127.0.0.1");
        let mut client = UnixStream::connect(&socket).unwrap();
        client.write_all(GET_POST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("post 1\n"));
        // Killed, it leaves the socket's file behind.
        kilnd.signal("-KILL");
        kilnd.wait();
        assert!(socket.exists());
    }
    let mut kilnd = Kilnd::start(&path, &["--listen", &listen]);
    kilnd.signal("-TERM");
    kilnd.wait();
    assert!(!socket.exists(), "told to end, it leaves nothing behind");

    // Another process may have come to the same place in the meantime.
    let mut before = Kilnd::start(&path, &["--listen", &listen]);
    fs::remove_file(&socket).unwrap();
    let _after = Kilnd::start(&path, &["--listen", &listen]);
    before.signal("-TERM");
    before.wait();
    assert!(UnixStream::connect(&socket).is_ok(), "it isn't his");
}

#[test]
fn a_file_where_a_socket_should_be_is_not_removed() {
    // Somebody has mistyped a path, and it was the one of his bundle.
    let scratch = Scratch::new("no-socket");
    let path = scratch.write("a.bundle", &generation(1));
    symlink("a.bundle", scratch.0.join("link")).unwrap();
    for name in ["a.bundle", "link"] {
        let place = scratch.0.join(name);
        let output = command(&path, &["--listen", &format!("unix:{}", place.display())]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(4) && said.contains("Address already in use"), "{said}");
    }
    assert_eq!(fs::read(&path).unwrap(), generation(1));
    assert!(scratch.0.join("link").is_symlink());
}

#[test]
fn it_listens_over_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let scratch = Scratch::new("ipv6");
    let path = scratch.write("a.bundle", &generation(1));
    let kilnd = Kilnd::spawn(&mut command(&path, &["--listen", "[::1]:0"]));
    assert!(kilnd.address.starts_with("[::1]:"), "{}", kilnd.address);
    assert!(request(&mut kilnd.connect(), GET_POST).ends_with("post 1\n"));
}

#[test]
fn several_sites_are_told_apart_by_host() {
    let scratch = Scratch::new("sites");
    let (one, two) = (scratch.write("1", &generation(1)), scratch.write("2", &generation(2)));
    let sites = [format!("one.example={}", one.display()), format!("two.example={}", two.display())];
    let words = ["--site", &sites[0], "--site", &sites[1], "--listen", "127.0.0.1:0"];
    let ask = |kilnd: &Kilnd, host: &str| {
        request(&mut kilnd.connect(), &GET_POST.replace("Host: a", &format!("Host: {host}")))
    };
    let kilnd = Kilnd::spawn(&mut command(Path::new("--reuse-port"), &words));
    for (host, post) in [("one.example", 1), ("TWO.example:80", 2), ("three.example", 1)] {
        assert!(ask(&kilnd, host).ends_with(&format!("post {post}\n")), "{host}");
    }
    let kilnd = Kilnd::spawn(&mut command(Path::new("--strict-host"), &words));
    assert!(ask(&kilnd, "one.example").ends_with("post 1\n"));
    assert!(ask(&kilnd, "three.example").starts_with("HTTP/1.1 421"));
    assert!(request(&mut kilnd.connect(), GET_HEALTH).starts_with("HTTP/1.1 200"));
}

#[test]
fn another_host_is_led_to_the_canonical_one_in_the_scheme_that_the_client_used() {
    // Behind a proxy that speaks TLS, a `Location` with http: would lead people out of it, or in a circle.
    let scratch = Scratch::new("canonical");
    let settings = Settings { canonical_host: "example.com".to_owned(), ..Settings::default() };
    let path = scratch.write("a.bundle", &small_site::packed(settings));
    let kilnd = Kilnd::start(&path, &["--trust-proxy", "127.0.0.0/8"]);
    let ask = |fields: &str| {
        let asked = format!("GET /post?q=1 HTTP/1.1\r\nHost: www.example.com\r\n{fields}\r\n");
        request(&mut kilnd.connect(), &asked)
    };
    for scheme in ["http", "https"] {
        let answer = ask(&format!("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: {scheme}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
        assert!(answer.contains("\r\nLocation: //example.com/post?q=1\r\n"), "{answer}");
    }
    // What is not there at all is not there under any name.
    let admin = "GET /admin/stats HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
    assert!(request(&mut kilnd.connect(), admin).starts_with("HTTP/1.1 404"));
    // A proxy that asks under another name than the client did: the client is where it should be.
    assert!(ask("X-Forwarded-Host: example.com\r\n").starts_with("HTTP/1.1 200"));
    let answer = ask("X-Forwarded-Host: blog.example.com\r\n");
    assert!(answer.contains("\r\nLocation: //example.com/post?q=1\r\n"), "{answer}");
}
