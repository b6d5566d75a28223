//! `/admin` and the access log of the real binary.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use bundle::{BundleWriter, RouteKind, Settings};

use crate::limits::packed_page;
use crate::process::{GET_POST, Kilnd, Scratch, command, request};
use crate::small_site;

/// `owner:secret` and `owner:wrong`, encoded.
const RIGHT: &str = "b3duZXI6c2VjcmV0";
const WRONG: &str = "b3duZXI6d3Jvbmc=";

/// How long something may take that takes milliseconds, however busy the machine is.
const PATIENCE: Duration = Duration::from_mins(1);

fn start(name: &str, words: &[&str], has_password: bool) -> (Scratch, Kilnd) {
    let scratch = Scratch::new(name);
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    let mut command = command(&path, words);
    command.args(["--listen", "127.0.0.1:0"]);
    if has_password {
        with_password(&mut command);
    }
    (scratch, Kilnd::spawn(&mut command))
}

/// Opens `/admin` to those who know what [`RIGHT`] says.
pub(crate) fn with_password(command: &mut Command) -> &mut Command {
    command.env("ADMIN_USERNAME", "owner").env("ADMIN_PASSWORD", "secret")
}

/// A counter, of a server with a password.
pub(crate) fn metric(kilnd: &Kilnd, name: &str) -> u64 {
    let metrics = ask_with(kilnd, "GET /admin/metrics", RIGHT);
    let start = format!("kilnd_{name}_total ");
    metrics.lines().find_map(|line| line.strip_prefix(&start)).expect(&metrics).parse().unwrap()
}

fn ask(kilnd: &Kilnd, line: &str, fields: &[&str]) -> String {
    let fields = [&["Host: a"], fields, &["", ""]].concat().join("\r\n");
    request(&mut kilnd.connect(), &format!("{line} HTTP/1.1\r\n{fields}"))
}

fn ask_with(kilnd: &Kilnd, line: &str, token: &str) -> String {
    ask(kilnd, line, &[&format!("Authorization: Basic {token}")])
}

#[test]
fn admin_is_not_there_without_a_password() {
    let (_scratch, kilnd) = start("no-admin", &[], false);
    for path in ["/admin", "/admin/stats", "/%61dmin/metrics", "/admin/cache/refresh"] {
        let answer = ask_with(&kilnd, &format!("GET {path}"), RIGHT);
        assert!(answer.starts_with("HTTP/1.1 404") && answer.ends_with("no such page\n"), "{path}: {answer}");
        for method in ["POST", "PUT", "OPTIONS"] {
            let answer = ask_with(&kilnd, &format!("{method} {path}"), RIGHT);
            assert!(answer.starts_with("HTTP/1.1 404"), "{method} {path}: {answer}");
        }
    }
}

#[test]
fn admin_is_behind_its_password() {
    let (_scratch, kilnd) = start("admin", &[], true);
    for path in ["/admin", "/admin/stats", "/%61dmin/metrics", "/admin/nowhere"] {
        let answer = ask(&kilnd, &format!("GET {path}"), &[]);
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("WWW-Authenticate: Basic"), "{path}: {answer}");
    }
    assert!(ask(&kilnd, "GET /administer", &[]).starts_with("HTTP/1.1 404"), "another name");
    assert!(ask_with(&kilnd, "BREW /admin", RIGHT).starts_with("HTTP/1.1 501"), "not a method of HTTP's own");
    assert!(request(&mut kilnd.connect(), GET_POST).starts_with("HTTP/1.1 200"));
    let stats = ask_with(&kilnd, "GET /admin/stats", RIGHT);
    assert!(stats.starts_with("HTTP/1.1 200") && stats.contains("no-store"), "{stats}");
    assert!(stats.contains("{\"path\":\"/post\",\"count\":1,\"mean_ms\":"), "{stats}");
    let cache = ask_with(&kilnd, "GET /admin/cache/stats", RIGHT);
    assert!(cache.contains("\"misses\":1,\"revalidations\":0,\"revalidation_errors\":0}"), "{cache}");
    let metrics = ask_with(&kilnd, "GET /admin/metrics", RIGHT);
    assert!(metrics.contains("\nkilnd_requests_total{status=\"404\"} 1\n"), "{metrics}");
    assert!(ask_with(&kilnd, "GET /admin", RIGHT).contains("<th scope=row>/post<td>1<td>"));
    assert!(ask_with(&kilnd, "GET /admin/nowhere", RIGHT).starts_with("HTTP/1.1 404"));
    assert!(ask_with(&kilnd, "PUT /admin/stats", RIGHT).contains("Allow: GET, HEAD, OPTIONS\r\n"));
    assert!(ask_with(&kilnd, "GET /admin/cache/refresh", RIGHT).contains("Allow: POST, OPTIONS\r\n"));
}

#[test]
fn the_way_to_a_page_behind_the_password_is_not_kept_either() {
    // A cache in between that keeps it tells everybody what is there.
    let scratch = Scratch::new("own-pages");
    let mut writer = BundleWriter::new(Settings::default(), []);
    writer.add(small_site::file("/admin/notes", RouteKind::Page, "text/html; charset=utf-8", "mine", &[]));
    let path = scratch.write("a.bundle", &writer.finish().unwrap().to_vec());
    let kilnd = Kilnd::spawn(with_password(&mut command(&path, &["--listen", "127.0.0.1:0"])));
    assert!(ask_with(&kilnd, "GET /admin/notes", RIGHT).ends_with("mine"));
    let answer = ask_with(&kilnd, "GET /admin/notes/", RIGHT);
    assert!(answer.starts_with("HTTP/1.1 308") && answer.contains("Location: /admin/notes\r\n"), "{answer}");
    assert!(answer.contains("Cache-Control: private, no-store\r\n"), "{answer}");
    assert!(ask(&kilnd, "GET /admin/notes/", &[]).starts_with("HTTP/1.1 401"));
}

#[test]
fn a_refresh_loads_the_bundle_again_but_not_for_another_sites_page() {
    let (scratch, mut kilnd) = start("refresh", &[], true);
    let authorization = format!("Authorization: Basic {RIGHT}");
    let foreign = ask(&kilnd, "POST /admin/cache/refresh", &[&authorization, "Origin: http://evil.example"]);
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
    let own = ask(&kilnd, "POST /admin/cache/refresh", &[&authorization, "Origin: http://a"]);
    assert!(own.starts_with("HTTP/1.1 200"), "{own}");
    kilnd.hear("now serving");
    drop(scratch);
}

#[test]
fn ten_wrong_passwords_lock_an_address_out() {
    // Guessing must not be free.
    let (_scratch, kilnd) = start("lock-out", &[], true);
    assert!(ask(&kilnd, "GET /admin", &[]).starts_with("HTTP/1.1 401"), "none is no failure");
    for _ in 0..9 {
        assert!(ask_with(&kilnd, "GET /admin", WRONG).starts_with("HTTP/1.1 401"));
    }
    assert!(ask_with(&kilnd, "GET /admin", RIGHT).starts_with("HTTP/1.1 200"), "nine are allowed");
    assert!(ask_with(&kilnd, "GET /admin", WRONG).starts_with("HTTP/1.1 401"), "the tenth");
    assert!(ask_with(&kilnd, "GET /admin", WRONG).starts_with("HTTP/1.1 429"));
    assert!(ask_with(&kilnd, "GET /admin", RIGHT).starts_with("HTTP/1.1 429"), "the right one, too");
    assert!(request(&mut kilnd.connect(), GET_POST).starts_with("HTTP/1.1 200"), "the site goes on");
}

#[test]
fn an_ipv6_client_gets_no_more_guesses_by_its_many_addresses_and_locks_out_nobody_else() {
    let scratch = Scratch::new("lock-out-64");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    let socket = scratch.0.join("kilnd.sock");
    let listen = format!("unix:{}", socket.display());
    let words = ["--trust-proxy", "unix:", "--listen", &listen];
    let _kilnd = Kilnd::spawn(with_password(&mut command(&path, &words)));
    let ask = |client: &str, token: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let fields = format!("X-Forwarded-For: {client}\r\nAuthorization: Basic {token}\r\n\r\n");
        stream.write_all(format!("GET /admin HTTP/1.1\r\nHost: a\r\n{fields}").as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8(status.to_vec()).unwrap()
    };
    for number in 0..10 {
        assert_eq!(ask(&format!("2001:db8:1:1::{number}"), WRONG), "HTTP/1.1 401");
    }
    assert_eq!(ask("2001:db8:1:1:5::", RIGHT), "HTTP/1.1 429", "the same client");
    assert_eq!(ask("2001:db8:1:2::", RIGHT), "HTTP/1.1 200", "another one behind the same proxy");
}

#[test]
fn half_of_the_credentials_is_a_mistake() {
    let scratch = Scratch::new("half-admin");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    let output = command(&path, &[]).env("ADMIN_PASSWORD", "secret").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn each_answer_leaves_a_line_in_the_log() {
    let (_scratch, mut kilnd) = start("log", &["--access-log", "combined"], false);
    let answer = ask(&kilnd, "GET /post", &["X-Request-Id: my-id", "User-Agent: test"]);
    assert!(answer.contains("X-Request-Id: my-id\r\n"), "{answer}");
    let line = kilnd.read_line();
    assert!(
        line.starts_with("127.0.0.1 - - [")
            && line.ends_with("] \"GET /post HTTP/1.1\" 200 7 \"-\" \"test\" \"my-id\"\n"),
        "{line}"
    );
    assert!(ask(&kilnd, "nonsense", &[]).starts_with("HTTP/1.1 400"));
    assert!(kilnd.read_line().contains("] \"-\" 400 16 "));
}

#[test]
fn answers_that_are_cut_off_and_clients_that_are_turned_away_leave_a_line_too() {
    // Who looks for the cause of a broken download looks there first.
    let scratch = Scratch::new("log-cut");
    let path = scratch.write("a.bundle", &packed_page(&"x".repeat(64 << 20)));
    let words = ["--access-log", "common", "--write-timeout", "0.3", "--max-connections", "1"];
    let mut kilnd = Kilnd::start(&path, &words);
    let mut greedy = kilnd.connect();
    greedy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // A byte of its answer shows that it isn't idle.
    greedy.read_exact(&mut [0]).unwrap();
    assert!(request(&mut kilnd.connect(), "").starts_with("HTTP/1.1 503"));
    let line = kilnd.read_line();
    assert!(line.starts_with("127.0.0.1 - - [") && line.ends_with("] \"-\" 503 24\n"), "{line}");
    let line = kilnd.read_line();
    let (_, len) = line.trim_end().rsplit_once("] \"GET / HTTP/1.1\" 200 ").expect(&line);
    assert!((1..64 << 20).contains(&len.parse::<usize>().unwrap()), "{line}");
}

#[test]
fn the_last_lines_of_the_log_are_written_before_the_server_ends() {
    let (_scratch, mut kilnd) = start("log-end", &["--access-log", "json"], false);
    for _ in 0..3 {
        assert!(ask(&kilnd, "GET /post", &[]).starts_with("HTTP/1.1 200"));
    }
    kilnd.signal("-TERM");
    assert_eq!(kilnd.wait().0, Some(0));
    for _ in 0..3 {
        assert!(kilnd.read_line().starts_with("{\"time\":"));
    }
}

#[test]
fn the_log_names_the_client_behind_a_proxy_that_is_trusted() {
    let words = ["--access-log", "common", "--trust-proxy", "127.0.0.0/8"];
    let (_scratch, mut kilnd) = start("trust-proxy", &words, false);
    assert!(ask(&kilnd, "GET /post", &["X-Forwarded-For: 6.6.6.6, 192.0.2.7"]).starts_with("HTTP/1.1 200"));
    assert!(kilnd.read_line().starts_with("192.0.2.7 - - ["));
    let words = ["--access-log", "json", "--trust-proxy", "127.0.0.0/8"];
    let (_scratch, mut kilnd) = start("trust-proxy-json", &words, false);
    let fields = ["X-Forwarded-Proto: https", "X-Forwarded-Host: example.com"];
    assert!(ask(&kilnd, "GET /post", &fields).starts_with("HTTP/1.1 200"));
    let line = kilnd.read_line();
    assert!(line.contains(",\"scheme\":\"https\",\"host\":\"example.com\",\"id\":"), "{line}");
    let (_scratch, mut kilnd) = start("proxy-protocol", &["--access-log", "common", "--proxy-protocol"], false);
    let answer = request(&mut kilnd.connect(), &format!("PROXY TCP4 192.0.2.8 10.0.0.1 1 2\r\n{GET_POST}"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(kilnd.read_line().starts_with("192.0.2.8 - - ["));
    assert!(request(&mut kilnd.connect(), GET_POST).starts_with("HTTP/1.1 400"), "nobody may leave it out");
}

#[test]
fn one_listener_may_be_for_proxies_and_another_for_everybody() {
    // A load balancer's port is no place for a health check, which knows no such header.
    let scratch = Scratch::new("listen-proxy");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    let socket = scratch.0.join("proxy.sock");
    let kilnd = Kilnd::start(&path, &["--listen-proxy", &format!("unix:{}", socket.display())]);
    assert!(request(&mut kilnd.connect(), GET_POST).starts_with("HTTP/1.1 200"));
    let header = "PROXY TCP4 192.0.2.8 10.0.0.1 1 2\r\n";
    assert!(request(&mut kilnd.connect(), &format!("{header}{GET_POST}")).starts_with("HTTP/1.1 400"));
    let ask = |text: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8(status.to_vec()).unwrap()
    };
    assert_eq!(ask(&format!("{header}{GET_POST}")), "HTTP/1.1 200");
    assert_eq!(ask(GET_POST), "HTTP/1.1 400");
}

#[test]
fn an_address_with_too_many_connections_is_turned_away_and_counted_unless_it_is_a_proxys() {
    let (_scratch, kilnd) = start("by-address", &["--max-per-address", "1"], true);
    let mut busy = kilnd.connect();
    let metrics = format!("GET /admin/metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {RIGHT}\r\n\r\n");
    // The answer to the first shows that the server has read the beginning of the second, too.
    let begun = format!("{GET_POST}{}", &metrics[..10]);
    assert!(request(&mut busy, &begun).starts_with("HTTP/1.1 200"));
    assert!(ask(&kilnd, "GET /post", &[]).starts_with("HTTP/1.1 503"));
    let counted = request(&mut busy, &metrics[10..]);
    assert!(counted.contains("\nkilnd_connections_turned_away_by_address_total 1\n"), "{counted}");
    assert!(counted.contains("\nkilnd_connections_turned_away_total 0\n"), "{counted}");

    let words = ["--max-per-address", "1", "--trust-proxy", "127.0.0.0/8"];
    let (_scratch, kilnd) = start("by-proxy", &words, false);
    let mut busy = kilnd.connect();
    assert!(request(&mut busy, &format!("{GET_POST}{}", &GET_POST[..10])).starts_with("HTTP/1.1 200"));
    assert!(ask(&kilnd, "GET /post", &[]).starts_with("HTTP/1.1 200"), "a proxy speaks for everybody");
}

#[test]
fn each_limit_that_a_client_meets_is_counted() {
    // Whoever runs a server sees by these figures which of its limits is too narrow, and who attacks.
    let words = ["--max-requests", "2", "--max-head", "200", "--max-body", "3", "--header-timeout", "0.3"];
    let words = [&words[..], &["--idle-timeout", "0.3"]].concat();
    let (_scratch, kilnd) = start("counted", &words, true);
    let metrics = || ask_with(&kilnd, "GET /admin/metrics", RIGHT);
    let connect_and_send = |text: &str| {
        let mut stream = kilnd.connect();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let mut used_up = kilnd.connect();
    assert!(request(&mut used_up, GET_POST).starts_with("HTTP/1.1 200"));
    assert!(request(&mut used_up, GET_POST).contains("Connection: close\r\n"));
    assert!(ask(&kilnd, "BAD", &[]).starts_with("HTTP/1.1 400"));
    assert!(ask(&kilnd, &format!("GET /{}", "a".repeat(200)), &[]).starts_with("HTTP/1.1 431"));
    let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    assert!(request(&mut connect_and_send(body), "").starts_with("HTTP/1.1 413"));
    assert!(request(&mut connect_and_send("GET / HT"), "").starts_with("HTTP/1.1 408"));
    let mut idle = kilnd.connect();
    assert!(request(&mut idle, GET_POST).starts_with("HTTP/1.1 200"));
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    let counted = metrics();
    for name in [
        "connections_used_up",
        "bad_requests",
        "heads_too_large",
        "bodies_too_large",
        "request_timeouts",
        "idle_timeouts",
    ] {
        assert!(counted.contains(&format!("\nkilnd_{name}_total 1\n")), "{name}: {counted}");
    }
}

#[test]
fn who_makes_room_is_turned_away_or_takes_nothing_is_counted() {
    let (_scratch, kilnd) = start("places", &["--max-connections", "2"], true);
    let metrics = format!("GET /admin/metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {RIGHT}\r\n\r\n");
    // Until the server has seen that another has nothing to say any more, it may be turned away, and perhaps reset.
    let end = Instant::now() + PATIENCE;
    let begin = |text: &str| loop {
        assert!(Instant::now() < end, "it is turned away for ever");
        let (mut stream, mut status) = (kilnd.connect(), [0; 12]);
        let outcome = stream.write_all(text.as_bytes()).and_then(|()| stream.read_exact(&mut status));
        if outcome.is_ok() && &status == b"HTTP/1.1 200" {
            request(&mut stream, "");
            break stream;
        }
    };
    let has = |counted: &str, name: &str| {
        let start = format!("kilnd_{name}_total ");
        counted.lines().any(|line| line.strip_prefix(&start).is_some_and(|count| count != "0"))
    };
    let mut idle = begin(GET_POST);
    // The answer to the first shows that the server has read the beginning of the second, too.
    let mut busy = begin(&format!("{GET_POST}{}", &metrics[..10]));
    let also_busy = begin(&format!("{GET_POST}GET"));
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "it has made room");
    assert!(request(&mut kilnd.connect(), "").starts_with("HTTP/1.1 503"), "nobody is idle");
    let counted = request(&mut busy, &metrics[10..]);
    assert!(has(&counted, "connections_made_room") && has(&counted, "connections_turned_away"), "{counted}");
    drop(also_busy);

    let (_scratch, kilnd) = start("greedy", &["--write-timeout", "0.3"], true);
    let mut greedy = kilnd.connect();
    greedy.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    // Until neither side takes anything any more, or the server has ended it.
    while greedy.write_all(GET_POST.repeat(1_000).as_bytes()).is_ok() {
        assert!(Instant::now() < end, "it takes everything");
    }
    while !has(&request(&mut kilnd.connect(), &metrics), "write_timeouts") {
        assert!(Instant::now() < end, "it waits for ever");
        std::thread::yield_now();
    }
}

#[test]
fn what_becomes_of_bundles_and_of_answers_made_of_them_is_counted() {
    let scratch = Scratch::new("bundles");
    let path = scratch.write("a.bundle", &packed_page(&"x".repeat(64 << 20)));
    let kilnd = Kilnd::spawn(with_password(&mut command(&path, &["--listen", "127.0.0.1:0"])));
    let until = |name: &str| {
        let end = Instant::now() + PATIENCE;
        while metric(&kilnd, name) == 0 {
            assert!(Instant::now() < end, "{name} is never counted");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let put = |bytes: &[u8]| fs::rename(scratch.write("beside", bytes), &path).unwrap();
    put(b"no bundle");
    until("bundles_refused");
    assert_eq!(metric(&kilnd, "bundles_taken"), 0);
    let mut reader = kilnd.connect();
    reader.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    reader.read_exact(&mut [0]).unwrap();
    put(&packed_page(&"y".repeat(64 << 20)));
    until("bundles_taken");
    let mut other_reader = kilnd.connect();
    other_reader.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    other_reader.read_exact(&mut [0]).unwrap();
    // Beside the three that are kept, one more may be read from: the third of these puts the older one out of reach.
    for number in 0..3 {
        assert_eq!(metric(&kilnd, "answers_retired"), 0, "it goes on from the old one");
        put(&packed_page(&format!("number {number}")));
        assert!(ask_with(&kilnd, "POST /admin/cache/refresh", RIGHT).starts_with("HTTP/1.1 200"));
        while !ask(&kilnd, "GET /", &[]).ends_with(&format!("number {number}")) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    until("answers_retired");
    assert_eq!(metric(&kilnd, "answers_retired"), 1, "the younger one has its place");
}

#[test]
fn lines_of_the_log_that_nobody_takes_are_counted() {
    let (_scratch, kilnd) = start("log-full", &["--access-log", "combined"], true);
    let agent = format!("User-Agent: {}", "\\".repeat(30_000));
    let end = Instant::now() + PATIENCE;
    while metric(&kilnd, "log_lines_dropped") == 0 {
        assert!(Instant::now() < end, "memory takes them all");
        for _ in 0..50 {
            assert!(ask(&kilnd, "GET /post", &[&agent]).starts_with("HTTP/1.1 200"));
        }
    }
}
