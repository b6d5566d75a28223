//! What serving costs over real sockets, against a server that does nothing and `may_minihttp`: requests per second, CPU
//! time, and latency when requests come at fixed times, alone, with everything counted and logged, while a bundle of
//! 100 MB is replaced, and beside cold downloads from a bundle twice as large as the memory.
//! `cargo bench -p kiln-runtime --bench serving`.
//!
//! Machines are noisy: only what stands in one table can be compared. The client has one processor, the servers another.
#![expect(clippy::print_stdout, reason = "a bench reports")]

mod load;
mod null_server;
mod servers;
#[expect(dead_code, reason = "a part of it is enough here")]
#[path = "../../tests/small_site/mod.rs"]
mod small_site;

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bundle::{BundleWriter, RouteKind, Settings};
use load::Load;
use nix::sys::signal::Signal;
use runtime::priority;
use servers::{MemoryLimit, Process, read_answer};

const REQUEST: &[u8] = b"GET /page HTTP/1.1\r\nHost: example.com\r\n\r\n";
const MIB: usize = 1024 * 1024;
/// Servers take turns so often, each time for so long: where a machine belongs to many, most rounds pass undisturbed.
const ROUND_COUNT: usize = 25;
const ROUND_MS: u32 = 250;

fn main() -> io::Result<()> {
    let words = std::env::args().collect::<Vec<_>>();
    if let [_, command, path] = &words[..] {
        match command.as_str() {
            servers::SERVE_NOTHING => return servers::serve_nothing(Path::new(path)),
            servers::SERVE_MINIMALLY => return servers::serve_minimally(Path::new(path)),
            _ => {}
        }
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serving-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure_latency(&folder).and_then(|()| measure_cold_downloads(&folder));
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn page() -> String {
    "a page of text ".repeat(682)
}

/// A site with a page of 10 KB and so many files of 1 MiB.
fn write_bundle(path: &Path, file_count: usize, generation: char) -> io::Result<()> {
    let mut writer = BundleWriter::new(Settings::default(), []);
    let page = page();
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
    std::fs::write(bundle("body"), page())?;
    let rows = [
        ("null server", Process::null(&bundle("answer"))?),
        ("may_minihttp", Process::minihttp(&bundle("body"))?),
        ("kilnd", plain),
        ("kilnd, log and metrics on", Process::kilnd(&bundle("plain"), &["--access-log", "combined"])?),
        ("kilnd, 100 MB replaced", Process::kilnd(&bundle("large"), &[])?),
    ];
    // Each adds other fields.
    let answer_len =
        |process: &Process| read_answer(&mut TcpStream::connect(process.address)?, REQUEST).map(|a| a.len());
    let answer_lens = rows.iter().map(|(_, process)| answer_len(process)).collect::<io::Result<Vec<_>>>()?;
    let load = |process: &Process, answer_len| Load {
        address: process.address,
        request: REQUEST,
        answer_len,
        connection_count: 64,
        duration: Duration::from_millis(u64::from(ROUND_MS)),
    };
    println!("64 connections, a page of 10 KB; requests per second at most, CPU µs per request:");
    println!("lower quartiles of {ROUND_COUNT} rounds");
    let mut rounds = rows.each_ref().map(|_| Vec::new());
    for _ in 0..ROUND_COUNT {
        for (((_, process), len), rounds) in rows.iter().zip(&answer_lens).zip(&mut rounds) {
            let cpu_before = process.cpu_seconds();
            let rate = load(process, *len).saturate()?;
            rounds.push([rate, process.cpu_seconds() - cpu_before]);
        }
    }
    let mut rate_min = f64::INFINITY;
    for ((name, _), rounds) in rows.iter().zip(&rounds) {
        let [rate, _] = quartiles(rounds);
        let answer_count = rounds.iter().map(|[rate, _]| rate * f64::from(ROUND_MS) / 1e3).sum::<f64>();
        // The clock of CPU time is too coarse for a round.
        let cpu_us = rounds.iter().map(|[_, cpu_s]| cpu_s * 1e6).sum::<f64>() / answer_count;
        println!("{name:28}{rate:10.0}/s{cpu_us:10.2}");
        rate_min = rate_min.min(rate);
    }
    println!("the latency in µs, from when each answer was due, at shares of the smallest of the rates: lower");
    println!("quartiles of {ROUND_COUNT} rounds, in brackets as multiples of the null server's");
    for share in [0.5, 0.8] {
        println!("at {:.0}/s:{:>26}{:>16}{:>16}", rate_min * share, "p50", "p99", "p99.9");
        let mut rounds = rows.each_ref().map(|_| Vec::new());
        for _ in 0..ROUND_COUNT {
            for (((name, process), len), rounds) in rows.iter().zip(&answer_lens).zip(&mut rounds) {
                if name.contains("replaced") {
                    swap_files(&bundle("large"), &bundle("other"))?;
                    process.signal(Signal::SIGHUP);
                }
                let latencies = load(process, *len).ask_at_rate(rate_min * share)?;
                rounds.push([500, 990, 999].map(|rank| f64::from(latencies.per_mille(rank))));
            }
        }
        let [floor, ..] = &rounds;
        for ((name, _), own) in rows.iter().zip(&rounds) {
            let columns = quartiles(own).into_iter().zip(quartiles(floor));
            let shown = columns.map(|(us, floor_us)| format!("{:>16}", format!("{us:.0} ({:.2})", us / floor_us)));
            println!("{name:26}{}", shown.collect::<String>());
        }
    }
    Ok(())
}

/// The lower quartile of each column.
fn quartiles<const COUNT: usize>(rows: &[[f64; COUNT]]) -> [f64; COUNT] {
    std::array::from_fn(|column| {
        let mut values = rows.iter().map(|row| row[column]).collect::<Vec<_>>();
        values.sort_by(f64::total_cmp);
        values[values.len() / 4]
    })
}

/// Puts each of two files in the place of the other.
fn swap_files(one: &Path, other: &Path) -> io::Result<()> {
    let beside = one.with_extension("beside");
    std::fs::hard_link(one, &beside)?;
    std::fs::rename(other, one)?;
    std::fs::rename(&beside, other)
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
    // Or else what the client measures is how long it waits for its own processor.
    priority::run_when_idle().expect("the system lets anybody do that");
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
