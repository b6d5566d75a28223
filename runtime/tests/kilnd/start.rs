//! The real binary: how it starts, how it fails to, how it stops.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;

use bundle::Settings;

use crate::process::{GET_POST, Kilnd, Scratch, command, request};
use crate::small_site;

fn assert_fails(output: &Output, status: i32, culprit: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.contains(culprit) && said.lines().count() == 1, "one line that names `{culprit}`: {said}");
}

#[test]
fn a_bundle_that_cannot_be_served_is_named_with_status_1() {
    // A server that starts on a torn bundle serves torn pages.
    let scratch = Scratch::new("bad-bundle");
    let whole = small_site::packed(Settings::default());
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    let cases: [(&str, &[u8]); 4] = [
        ("truncated.bundle", &whole[..whole.len() - 1]),
        ("changed.bundle", &changed),
        ("empty.bundle", b""),
        ("text.bundle", b"hello"),
    ];
    for (name, bytes) in cases {
        let path = scratch.write(name, bytes);
        assert_fails(&command(&path, &["--listen", "127.0.0.1:0"]).output().unwrap(), 1, name);
    }
}

#[test]
fn a_bundle_that_cannot_be_read_is_named_with_status_4() {
    let scratch = Scratch::new("no-bundle");
    assert_fails(&command(&scratch.0.join("missing.bundle"), &[]).output().unwrap(), 4, "missing.bundle");
    assert_fails(&command(&scratch.0, &[]).output().unwrap(), 4, "no-bundle");
}

#[test]
fn a_port_in_use_is_named_with_status_4() {
    // With SO_REUSEPORT a second server would start silently and take half of the connections.
    let scratch = Scratch::new("port-in-use");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_fails(&command(&path, &["--listen", &address]).output().unwrap(), 4, &address);
    let first = Kilnd::spawn(&mut command(&path, &["--reuse-port", "--listen", "127.0.0.1:0"]));
    let second = Kilnd::spawn(&mut command(&path, &["--reuse-port", "--listen", &first.address]));
    assert_eq!(second.address, first.address, "who asks for it gets it");
}

#[test]
fn a_wrong_command_line_has_status_2_and_help_has_0() {
    let scratch = Scratch::new("usage");
    let path = scratch.write("a.bundle", b"");
    assert_fails(&command(&path, &["--nonsense"]).output().unwrap(), 2, "--nonsense");
    let help = command(Path::new("--help"), &[]).output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"kilnd serves"));
    let version = command(Path::new("--version"), &[]).output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    assert!(version.starts_with(concat!("kilnd ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    assert!(version.ends_with(&format!("bundle format {})\n", bundle::FORMAT_VERSION)), "{version}");
}

#[test]
fn it_serves_until_it_is_told_to_stop_and_answers_what_is_under_way() {
    // A deployment that cuts connections shows as errors at somebody's site.
    let scratch = Scratch::new("drain");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    for signal in ["-TERM", "-INT"] {
        let mut kilnd = Kilnd::start(&path, &[]);
        let (mut idle, mut busy) = (kilnd.connect(), kilnd.connect());
        assert!(request(&mut idle, GET_POST).ends_with("\r\n\r\na post\n"));
        // The answer to the first shows that the server has read the beginning of the second, too.
        let begun = format!("{GET_POST}{}", &GET_POST[..10]);
        assert!(request(&mut busy, &begun).starts_with("HTTP/1.1 200"));
        kilnd.signal(signal);
        assert_eq!(idle.read(&mut [0]).unwrap(), 0, "an idle connection is closed");
        let answer = request(&mut busy, &GET_POST[10..]);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Connection: close\r\n"), "{answer}");
        assert_eq!(busy.read(&mut [0]).unwrap(), 0, "and then the other one");
        let address = kilnd.address.clone();
        assert_eq!(kilnd.wait(), (Some(0), String::new()));
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
fn who_is_not_done_when_the_time_to_stop_is_over_is_cut_off() {
    // Otherwise one client that dawdles keeps a deployment waiting for ever, or the platform kills in the midst of it.
    let scratch = Scratch::new("drain-timeout");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    for (timeout, is_cut) in [("0.2", true), ("20", false)] {
        let mut kilnd = Kilnd::start(&path, &["--drain-timeout", timeout]);
        let mut busy = kilnd.connect();
        assert!(request(&mut busy, &format!("{GET_POST}{}", &GET_POST[..10])).starts_with("HTTP/1.1 200"));
        kilnd.signal("-TERM");
        let said = if is_cut {
            "kilnd: time is up: connections that are cut off: 1\n"
        } else {
            assert!(request(&mut busy, &GET_POST[10..]).starts_with("HTTP/1.1 200"));
            ""
        };
        assert_eq!(kilnd.wait(), (Some(0), said.to_owned()));
    }
}
