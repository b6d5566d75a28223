//! The servers that are measured, each a process of its own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::null_server;

/// The word that makes this program the null server.
pub(crate) const SERVE_NOTHING: &str = "--serve-nothing";

/// Serves a file's bytes, whatever is asked, and says where.
pub(crate) fn serve_nothing(path: &Path) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("at {}", listener.local_addr()?);
    null_server::serve(&listener, &fs::read(path)?)
}

/// The word that makes this program a server of `may_minihttp`.
pub(crate) const SERVE_MINIMALLY: &str = "--serve-minimally";

/// Serves a file as `may_minihttp`'s hello world serves its word, and says where.
pub(crate) fn serve_minimally(path: &Path) -> io::Result<()> {
    may::config().set_workers(1);
    let body: &'static str = fs::read_to_string(path)?.leak();
    // It doesn't say which port it got.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let server = may_minihttp::HttpServer(Hello { body }).start(address)?;
    println!("at {address}");
    server.wait();
    Ok(())
}

#[derive(Clone)]
struct Hello {
    body: &'static str,
}

impl may_minihttp::HttpService for Hello {
    fn call(
        &mut self,
        _: may_minihttp::Request<'_, '_, '_>,
        response: &mut may_minihttp::Response<'_>,
    ) -> io::Result<()> {
        response.body(self.body);
        Ok(())
    }
}

/// A server, killed with this value.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) fn null(answer: &Path) -> io::Result<Self> {
        Self::start(Command::new(std::env::current_exe()?).arg(SERVE_NOTHING).arg(answer).stdout(Stdio::piped()))
    }

    pub(crate) fn minihttp(body: &Path) -> io::Result<Self> {
        Self::start(Command::new(std::env::current_exe()?).arg(SERVE_MINIMALLY).arg(body).stdout(Stdio::piped()))
    }

    /// With one worker, as the null server has.
    pub(crate) fn kilnd(bundle: &Path, words: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kilnd"));
        command.arg(bundle).args(["--listen", "127.0.0.1:0", "--workers", "1"]).args(words).stdout(Stdio::null());
        if !words.is_empty() {
            command.env("ADMIN_USERNAME", "a").env("ADMIN_PASSWORD", "b");
        }
        Self::start(command.stderr(Stdio::piped()))
    }

    /// As it comes, in a control group.
    pub(crate) fn kilnd_within(limit: &MemoryLimit, bundle: &Path) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(limit.0.join("cgroup.procs"));
        command.arg(env!("CARGO_BIN_EXE_kilnd")).arg(bundle).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::null());
        Self::start(command.stderr(Stdio::piped()))
    }

    fn start(command: &mut Command) -> io::Result<Self> {
        keep_to_processor(1)?;
        let mut child = command.spawn()?;
        keep_to_processor(0)?;
        let mut said: Box<dyn Read + Send> = match (child.stdout.take(), child.stderr.take()) {
            (_, Some(stderr)) => Box::new(stderr),
            (Some(stdout), _) => Box::new(stdout),
            _ => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        let mut line = String::new();
        BufReader::new(&mut said).read_line(&mut line)?;
        // It may go on talking.
        std::thread::spawn(move || io::copy(&mut said, &mut io::sink()));
        let address = line.trim_end().rsplit(' ').next().and_then(|address| address.parse().ok());
        Ok(Self { child, address: address.ok_or_else(|| io::Error::other(line))? })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // A signal that isn't sent shows in the figures.
        nix::sys::signal::kill(Pid::from_raw(self.child.id().cast_signed()), signal).ok();
    }

    /// CPU time so far, in seconds, to the hundredth.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }
}

/// Has this thread, and what it starts, run on one processor: the client has the first and servers have the second, so
/// that the system moves nobody about between two figures.
fn keep_to_processor(number: usize) -> io::Result<()> {
    let mut processors = CpuSet::new();
    processors.set(number)?;
    // Where there is only one, all share it.
    sched_setaffinity(Pid::from_raw(0), &processors).ok();
    Ok(())
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// A control group with a limit of memory.
pub(crate) struct MemoryLimit(PathBuf);

impl MemoryLimit {
    /// `None` where the system has no control groups, or doesn't let us make one.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let files = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        files.into_iter().find_map(|(folder, file)| {
            let group = Self(Path::new(folder).join(format!("kilnd-bench-{}", std::process::id())));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join(file), bytes.to_string()).ok()?;
            Some(group)
        })
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

/// Has the system forget what it keeps of a file.
pub(crate) fn forget(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}

/// Asks, and reads one whole answer.
pub(crate) fn read_answer(stream: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..len]);
        if let Some(head_len) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..head_len]);
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
            if answer.len() >= head_len + 4 + length.unwrap_or(0) {
                return Ok(answer);
            }
        }
    }
}
