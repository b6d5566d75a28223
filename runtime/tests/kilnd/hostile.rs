//! The real binary among clients that mean it no good: what they take is given back, and others don't notice.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use bundle::{BundleWriter, RouteKind, Settings};

use crate::admin::{metric, with_password};
use crate::process::{GET_POST, Kilnd, Scratch, request};
use crate::small_site;

pub(crate) fn descriptor_count(kilnd: &Kilnd) -> usize {
    fs::read_dir(format!("/proc/{}/fd", kilnd.process.id())).unwrap().count()
}

/// Maps of a bundle, the replaced ones included.
fn map_count(kilnd: &Kilnd, bundle: &Path) -> usize {
    let name = bundle.file_name().unwrap().to_str().unwrap();
    let maps = fs::read_to_string(format!("/proc/{}/maps", kilnd.process.id())).unwrap();
    // A file that was renamed over keeps the name under which it was mapped.
    maps.lines().filter(|line| line.contains(name) || line.contains("beside")).count()
}

/// Memory of the process's own, in KiB.
fn memory_kib(kilnd: &Kilnd) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", kilnd.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Processor time so far, in clock ticks.
fn ticks(kilnd: &Kilnd) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", kilnd.process.id())).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace().collect::<Vec<_>>();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn attack(kilnd: &Kilnd, number: usize) -> Option<TcpStream> {
    let mut stream = kilnd.connect();
    let noise = (0..500).map(|index: usize| index.wrapping_mul(number).wrapping_mul(2_654_435_761).to_le_bytes()[2]);
    // What is written may come too late for a connection that is closed already.
    match number % 6 {
        0 => stream.write_all(&noise.collect::<Vec<_>>()).ok()?,
        1 => stream.write_all(format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(200)).as_bytes()).ok()?,
        2 => stream.write_all(b"GET /post HTTP/1.1\r\nHost").ok()?,
        // A client that pipelines and reads nothing.
        3 => stream.write_all(GET_POST.repeat(2_000).as_bytes()).ok()?,
        4 => stream.shutdown(Shutdown::Write).ok()?,
        _ => {}
    }
    // Half of each kind hold on.
    (number / 6).is_multiple_of(2).then_some(stream)
}

#[test]
fn a_storm_of_bad_clients_leaves_good_ones_and_memory_as_they_were() {
    let scratch = Scratch::new("storm");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    let kilnd = Kilnd::start(&path, &["--header-timeout", "1", "--idle-timeout", "1", "--write-timeout", "1"]);
    let mut good = kilnd.connect();
    assert!(request(&mut good, GET_POST).ends_with("a post\n"));
    let (descriptors, memory) = (descriptor_count(&kilnd), memory_kib(&kilnd));
    let mut held = Vec::new();
    for number in 0..2_000 {
        held.extend(attack(&kilnd, number));
        assert!(request(&mut good, GET_POST).ends_with("a post\n"), "the good one, after {number} bad ones");
    }
    // Time-outs end them all, but for the good one.
    while descriptor_count(&kilnd) > descriptors {
        assert!(request(&mut good, GET_POST).ends_with("a post\n"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drop(held);
    // 6 MiB is what an idle server may take at all.
    assert!(memory_kib(&kilnd) < memory + 6_144, "{} KiB before, {} after", memory, memory_kib(&kilnd));
}

#[test]
fn swaps_with_stalled_readers_leave_maps_and_descriptors_flat() {
    // Otherwise a site that is deployed often would end its server, a map at a time.
    let scratch = Scratch::new("stalled");
    let number_line = |number: usize| format!("number {number}\n");
    let generation = |number: usize| {
        let mut writer = BundleWriter::new(Settings::default(), []);
        // Large: more than the buffers of a socket on loopback take. The others are small, so that a swap is quick.
        let count = if number.is_multiple_of(20) { 1 << 20 } else { 1 };
        let body = format!("{number:08}").repeat(count);
        writer.add(small_site::file("/large.txt", RouteKind::File, "text/plain", &body, &[]));
        writer.add(small_site::file("/number.txt", RouteKind::File, "text/plain", &number_line(number), &[]));
        writer.finish().unwrap().to_vec()
    };
    let path = scratch.write("a.bundle", &generation(1));
    let mut kilnd = Kilnd::start(&path, &[]);
    let mut good = kilnd.connect();
    let mut stalled = Vec::new();
    let mut descriptors = 0;
    for number in 1..=1_000 {
        fs::rename(scratch.write("beside", &generation(number)), &path).unwrap();
        kilnd.signal("-HUP");
        // A file may be seen on its own account and then again for the signal.
        while !request(&mut good, "GET /number.txt HTTP/1.1\r\nHost: a\r\n\r\n").ends_with(&number_line(number)) {
            kilnd.hear("now serving");
        }
        if number.is_multiple_of(20) {
            let mut reader = kilnd.connect();
            reader.write_all(b"GET /large.txt HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            reader.read_exact(&mut [0; 12]).unwrap();
            stalled.push(reader);
        }
        if number == 60 {
            descriptors = descriptor_count(&kilnd);
        }
    }
    assert_eq!(stalled.len(), 50);
    // What is over is over when the door and the coroutine have seen it.
    while map_count(&kilnd, &path) > 4 || descriptor_count(&kilnd) > descriptors {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Whoever is stalled on something that is still kept gets all of it.
    let mut rest = vec![0; 8 << 20];
    stalled.pop().unwrap().read_exact(&mut rest).unwrap();
}

#[test]
fn out_of_descriptors_it_serves_whom_it_has_and_recovers_without_spinning() {
    let scratch = Scratch::new("descriptors");
    let path = scratch.write("a.bundle", &small_site::packed(Settings::default()));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 60 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kilnd")]).arg(&path);
    command.args(["--listen", "127.0.0.1:0", "--max-connections", "1000"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let kilnd = Kilnd::spawn(with_password(&mut command));
    let mut first = kilnd.connect();
    assert!(request(&mut first, GET_POST).starts_with("HTTP/1.1 200"));
    let others = (0..100).map(|_| kilnd.connect()).collect::<Vec<_>>();
    let before = ticks(&kilnd);
    for _ in 0..20 {
        assert!(request(&mut first, GET_POST).starts_with("HTTP/1.1 200"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let used = ticks(&kilnd) - before;
    assert!(used < 30, "{used} hundredths of a second of the processor in one second");
    drop(others);
    assert!(request(&mut kilnd.connect(), GET_POST).starts_with("HTTP/1.1 200"));
    assert!(metric(&kilnd, "accept_failures") > 0);
}
