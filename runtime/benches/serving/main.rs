//! What serving costs over real sockets, against a server that does nothing: requests per second, CPU time, and latency
//! when requests come at fixed times, alone, with everything counted and logged, while a bundle of 100 MB is replaced,
//! and beside cold downloads from a bundle twice as large as the memory. `cargo bench -p kiln-runtime --bench serving`.
//!
//! Machines are noisy: only what stands in one table can be compared. Client and server share the processors.
#![expect(clippy::print_stdout, reason = "a bench reports")]

mod load;
mod null_server;
mod servers;
#[expect(dead_code, reason = "a part of it is enough here")]
#[path = "../../tests/small_site/mod.rs"]
mod small_site;

use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bundle::{BundleWriter, RouteKind, Settings};
use load::Load;
use servers::{MemoryLimit, Process, read_answer};

const REQUEST: &[u8] = b"GET /page HTTP/1.1\r\nHost: example.com\r\n\r\n";
const MIB: usize = 1024 * 1024;

fn main() -> io::Result<()> {
    let words = std::env::args().collect::<Vec<_>>();
    if let [_, command, path] = &words[..]
        && command == servers::SERVE_NOTHING
    {
        return servers::serve_nothing(Path::new(path));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serving-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure_latency(&folder).and_then(|()| measure_cold_downloads(&folder));
    std::fs::remove_dir_all(&folder)?;
    outcome
}

/// A site with a page of 10 KB and so many files of 1 MiB.
fn write_bundle(path: &Path, file_count: usize, generation: char) -> io::Result<()> {
    let mut writer = BundleWriter::new(Settings::default(), []);
    let page = "a page of text ".repeat(682);
    writer.add(small_site::file("/page", RouteKind::Page, "text/html; charset=utf-8", &page, &[]));
    for number in 0..file_count {
        let line = format!("{generation} {number:13}\n");
        let body = line.repeat(MIB / line.len());
        writer.add(small_site::file(&format!("/file{number}"), RouteKind::File, "text/plain", &body, &[]));
    }
    let packed = writer.finish().map_err(io::Error::other)?;
    let mut file = std::fs::File::create(path)?;
    packed.write_to(&mut file)?;
    file.sync_all()
}

fn measure_latency(folder: &Path) -> io::Result<()> {
    let bundle = |name: &str| folder.join(name);
    write_bundle(&bundle("plain"), 1, 'a')?;
    write_bundle(&bundle("large"), 100, 'a')?;
    write_bundle(&bundle("other"), 100, 'b')?;
    let plain = Process::kilnd(&bundle("plain"), &[])?;
    let answer = read_answer(&mut TcpStream::connect(plain.address)?, REQUEST)?;
    std::fs::write(bundle("answer"), &answer)?;
    let rows = [
        ("null server", Process::null(&bundle("answer"))?),
        ("kilnd", plain),
        ("kilnd, log and metrics on", Process::kilnd(&bundle("plain"), &["--access-log", "combined"])?),
        ("kilnd, 100 MB replaced", Process::kilnd(&bundle("large"), &[])?),
    ];
    let load = |process: &Process, ms| Load {
        address: process.address,
        request: REQUEST,
        answer_len: answer.len(),
        connection_count: 64,
        duration: Duration::from_millis(ms),
    };
    println!(
        "64 connections, a page of 10 KB; requests per second at most, CPU µs per request; then the latency in µs of"
    );
    println!("the answers, from when each was due, at 50 % and at 80 % of the smallest of the rates");
    let mut rate_min = f64::INFINITY;
    for (name, process) in &rows {
        load(process, 300).saturate()?;
        let cpu_before = process.cpu_seconds();
        let rate = load(process, 1_500).saturate()?;
        let cpu_us = (process.cpu_seconds() - cpu_before) * 1e6 / (rate * 1.5);
        println!("{name:28}{rate:10.0}/s{cpu_us:10.2}");
        rate_min = rate_min.min(rate);
    }
    for share in [0.5, 0.8] {
        println!("at {:.0}/s:{:>29}{:>10}{:>10}{:>10}", rate_min * share, "p50", "p99", "p99.9", "worst");
        for (name, process) in &rows {
            let is_over = AtomicBool::new(false);
            let latencies = std::thread::scope(|scope| {
                if name.contains("replaced") {
                    let (is_over, path, names) = (&is_over, bundle("large"), [bundle("other"), bundle("large")]);
                    scope.spawn(move || replace_again_and_again(process, &path, names, is_over));
                }
                let latencies = load(process, 4_000).ask_at_rate(rate_min * share);
                is_over.store(true, Ordering::Relaxed);
                latencies
            })?;
            let [p50, p99, p999, worst] = [500, 990, 999, 1000].map(|rank| latencies.per_mille(rank));
            println!("{name:30}{p50:>10}{p99:>10}{p999:>10}{worst:>10}");
        }
    }
    Ok(())
}

/// Puts one bundle after the other in the place of what is served, once a second.
fn replace_again_and_again(process: &Process, path: &Path, names: [PathBuf; 2], is_over: &AtomicBool) {
    // Hard links: what is renamed away can come again.
    let copies = names.map(|name| (name.clone(), name.with_extension("copy")));
    for (name, copy) in &copies {
        std::fs::hard_link(name, copy).ok();
    }
    let beside = path.with_extension("beside");
    for (_, copy) in copies.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let replaced = std::fs::hard_link(copy, &beside).and_then(|()| std::fs::rename(&beside, path));
        if replaced.is_ok() {
            process.signal("-HUP");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    for (_, copy) in &copies {
        std::fs::remove_file(copy).ok();
    }
}

/// Small pages while large files are read that aren't in memory, and don't fit there.
fn measure_cold_downloads(folder: &Path) -> io::Result<()> {
    const FILE_COUNT: usize = 128;
    let path = folder.join("cold");
    write_bundle(&path, FILE_COUNT, 'a')?;
    let Some(limit) = MemoryLimit::new(FILE_COUNT / 2 * MIB) else {
        println!("no control group can be made here: nothing is said of a bundle that doesn't fit in memory");
        return Ok(());
    };
    servers::forget(&path)?;
    let process = Process::kilnd_within(&limit, &path)?;
    let answer_len = read_answer(&mut TcpStream::connect(process.address)?, REQUEST)?.len();
    let load = Load {
        address: process.address,
        request: REQUEST,
        answer_len,
        connection_count: 16,
        duration: Duration::from_secs(8),
    };
    println!("a bundle of {FILE_COUNT} MB in {} MB of memory, 200 small pages a second, in µs:", FILE_COUNT / 2);
    for download_count in [0, 1, 4, 16] {
        let (is_over, address) = (AtomicBool::new(false), process.address);
        let (latencies, read_count) = std::thread::scope(|scope| {
            let is_over = &is_over;
            let readers = (0..download_count)
                .map(|first| scope.spawn(move || download_again_and_again(address, first * 29, FILE_COUNT, is_over)));
            let readers = readers.collect::<Vec<_>>();
            let latencies = load.ask_at_rate(200.0);
            is_over.store(true, Ordering::Relaxed);
            let read = readers.into_iter().map(|reader| reader.join().map_or(0, |count| count.unwrap_or(0)));
            (latencies, read.sum::<usize>())
        });
        let latencies = latencies?;
        let [p50, p99, p999, worst] = [500, 990, 999, 1000].map(|rank| latencies.per_mille(rank));
        println!(
            "  {download_count:2} downloads ({:4} MB/s): p50 {p50}, p99 {p99}, p99.9 {p999}, worst {worst}",
            read_count / 8
        );
    }
    Ok(())
}

fn download_again_and_again(
    address: std::net::SocketAddr,
    first: usize,
    file_count: usize,
    is_over: &AtomicBool,
) -> io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        // Far from each other, so that no reading ahead brings the next.
        let request = format!("GET /file{} HTTP/1.1\r\nHost: a\r\n\r\n", (first + count * 37) % file_count);
        read_answer(&mut stream, request.as_bytes())?;
        count += 1;
    }
    Ok(count)
}
