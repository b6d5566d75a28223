//! The real server, as a browser and as a terminal see it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server that is ended with the test.
pub(crate) struct Server {
    pub(crate) process: Child,
    address: String,
    said: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(root: &Path, flags: &[&str]) -> Self {
        Self::start_in(Path::new("."), &[flags, &["--site", root.to_str().unwrap()]].concat())
    }

    pub(crate) fn start_in(folder: &Path, flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_kiln"))
            .args(["dev", "--listen", "127.0.0.1:0"])
            .args(flags)
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once("http://")?.1.split('/').next()?.to_owned())
        });
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        // A full pipe would stop it.
        std::thread::spawn(move || lines.for_each(|line| heard.lock().unwrap().push(line.unwrap())));
        Self { process, address: address.unwrap(), said }
    }

    /// What it said in the terminal since it began to serve.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// The lines about changes.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.said().into_iter().filter(|line| line.contains(" open page")).collect()
    }

    pub(crate) fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    pub(crate) fn get_with(&self, path: &str, fields: &str) -> String {
        let mut answer = String::new();
        let request = format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
        self.send(&request).read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.get_with(path, "Host: localhost\r\n")
    }

    /// The stream of events for a page, once it has begun.
    pub(crate) fn events(&self, page: &str) -> Events {
        self.events_with(&format!("?page={page}"), "")
    }

    /// The same for a query and more fields.
    pub(crate) fn events_with(&self, query: &str, fields: &str) -> Events {
        let request = format!("GET /live-reload{query} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let mut events = Events(BufReader::new(self.send(&request)));
        while !events.line().starts_with(": kiln") {}
        // A browser is known once the thread that follows the sources has taken it in; a look goes the same way.
        self.send("POST /admin/cache/refresh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .read_to_string(&mut String::new())
            .unwrap();
        events
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
        line
    }

    /// The next event.
    pub(crate) fn next(&mut self) -> serde_json::Value {
        loop {
            if let Some(event) = self.line().strip_prefix("data: ") {
                return serde_json::from_str(event).unwrap();
            }
        }
    }
}

pub(crate) fn stats(server: &Server) -> serde_json::Value {
    let answer = server.get("/admin/cache/stats");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Waits until something is so; a test that waits for long has failed.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it takes too long until {what}");
}

pub(crate) fn is_gone(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']))
}

/// A figure that the system counts for a process: how much it has read by now, or the most memory that it had.
pub(crate) fn count_of(server: &Server, file: &str, name: &str) -> u64 {
    let counts = fs::read_to_string(format!("/proc/{}/{file}", server.process.id())).unwrap();
    let value = counts.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    value.split_whitespace().next().unwrap().parse().unwrap()
}
