//! The access log: a line for each answer, to standard output. Lines wait in memory for a thread of their own, so that a
//! slow reader of the log holds up no request; what it can't take in time is dropped and counted.

use std::io::Write;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::date::parts_of;
use crate::http::proxy::Scheme;
use crate::http::request::Request;
use crate::limits::{LOG_BYTES_KEPT, LOG_BYTES_WAITING_MAX, LOG_END_MS, LOG_PAUSE_MS};

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// The Common Log Format.
    Common,
    /// The same with referrer, user agent and request id.
    Combined,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "common" => Ok(Self::Common),
            "combined" => Ok(Self::Combined),
            "json" => Ok(Self::Json),
            _ => Err("it is `common`, `combined` or `json`"),
        }
    }
}

/// What of a request a line tells, once the request is gone: the line but for its outcome.
#[derive(Debug)]
pub struct LogNote {
    text: Vec<u8>,
    /// Where the outcome belongs.
    outcome_at: usize,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The status.
    pub status: u16,
    /// Bytes of the body that left; a streamed one counts with its chunks' sizes.
    pub body_len: usize,
    /// How long it took.
    pub duration: Duration,
}

/// A log that is written somewhere else.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: LogFormat,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Rings when there is something to write where nothing was, and at the end.
    bell: Condvar,
    /// Rings when all is written.
    end: Condvar,
    stamp: Mutex<Stamp>,
}

/// What is to be written.
#[derive(Debug, Default)]
struct Waiting {
    text: Vec<u8>,
    is_last: bool,
    is_written: bool,
}

/// A second as lines have it: many have the same one.
#[derive(Debug, Default)]
struct Stamp {
    unix_seconds: u64,
    parts: [String; 3],
}

impl AccessLog {
    /// Starts writing to standard output, on a thread of its own.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(format: LogFormat) -> std::io::Result<Self> {
        let log = Self { format, shared: Arc::default() };
        let shared = Arc::clone(&log.shared);
        std::thread::Builder::new().name("access log".to_owned()).spawn(move || shared.write_all())?;
        Ok(log)
    }

    /// Has written what waits, and waits for it as long as is bearable. Nothing is logged after it.
    pub fn finish(&self) {
        let mut waiting = self.shared.waiting();
        waiting.is_last = true;
        self.shared.bell.notify_one();
        let patience = Duration::from_millis(LOG_END_MS);
        // A poisoned lock or a reader that takes nothing: the end comes all the same.
        self.shared.end.wait_timeout_while(waiting, patience, |waiting| !waiting.is_written).ok();
    }

    /// Begins the line of a request; `None` stands for one that couldn't be read.
    pub fn note(&self, request: Option<&Request<'_>>, peer: Option<IpAddr>, id: &[u8], unix_seconds: u64) -> LogNote {
        let line = request.map_or(&b"-"[..], |request| request.line);
        let field = |name| request.and_then(|request| request.value(name)).unwrap_or(b"-");
        let (referrer, agent) = (field("referer"), field("user-agent"));
        let mut text = Vec::with_capacity(256 + line.len() + referrer.len() + agent.len());
        if self.format == LogFormat::Json {
            let [date, time, _] = &self.shared.stamp_at(unix_seconds).parts;
            push(&mut text, format_args!("{{\"time\":\"{date}T{time}Z\",\"peer\":\""));
            push_peer(&mut text, peer);
            text.extend_from_slice(b"\",\"request\":");
            write_json_string(&mut text, line);
            let scheme = request.and_then(|request| request.scheme).map_or("-", Scheme::name).as_bytes();
            let host = request.and_then(Request::public_host).unwrap_or(b"-");
            let fields =
                [("referrer", referrer), ("user_agent", agent), ("scheme", scheme), ("host", host), ("id", id)];
            for (name, value) in fields {
                push(&mut text, format_args!(",\"{name}\":"));
                write_json_string(&mut text, value);
            }
            return LogNote { outcome_at: text.len(), text };
        }
        push_peer(&mut text, peer);
        {
            let [_, time, day] = &self.shared.stamp_at(unix_seconds).parts;
            push(&mut text, format_args!(" - - [{day}:{time} +0000] "));
        }
        write_quoted(&mut text, line);
        let outcome_at = text.len();
        if self.format == LogFormat::Combined {
            for value in [referrer, agent, id] {
                text.push(b' ');
                write_quoted(&mut text, value);
            }
        }
        LogNote { text, outcome_at }
    }

    /// Finishes a line and hands it over; `false` if it had to be dropped.
    #[must_use]
    pub fn write(&self, note: &LogNote, outcome: Outcome) -> bool {
        let Outcome { status, body_len, duration } = outcome;
        let (before, after) = note.text.split_at(note.outcome_at);
        let mut waiting = self.shared.waiting();
        let text = &mut waiting.text;
        if text.len() + note.text.len() > LOG_BYTES_WAITING_MAX {
            return false;
        }
        let is_first = text.is_empty();
        text.extend_from_slice(before);
        if self.format == LogFormat::Json {
            let (ms, us) = (duration.as_millis(), duration.subsec_micros() % 1000);
            push(text, format_args!(",\"status\":{status},\"bytes\":{body_len},\"ms\":{ms}.{us:03}}}"));
        } else {
            push(text, format_args!(" {status} {body_len}"));
        }
        text.extend_from_slice(after);
        text.push(b'\n');
        drop(waiting);
        if is_first {
            self.shared.bell.notify_one();
        }
        true
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stamp_at(&self, unix_seconds: u64) -> MutexGuard<'_, Stamp> {
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.unix_seconds != unix_seconds || stamp.parts[0].is_empty() {
            *stamp = Stamp { unix_seconds, parts: parts_of(unix_seconds) };
        }
        stamp
    }

    /// Writes what waits, again and again. After the first line of a batch there is a pause: waking up for each line costs
    /// more than the answer that it tells of.
    fn write_all(&self) {
        let mut out = std::io::stdout().lock();
        let mut text = Vec::new();
        loop {
            let mut waiting = self.waiting();
            while waiting.text.is_empty() && !waiting.is_last {
                waiting = self.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            if !waiting.is_last {
                drop(waiting);
                std::thread::sleep(Duration::from_millis(LOG_PAUSE_MS));
                waiting = self.waiting();
            }
            if waiting.text.is_empty() {
                waiting.is_written = true;
                self.end.notify_all();
                return;
            }
            std::mem::swap(&mut waiting.text, &mut text);
            drop(waiting);
            // A log that can't be written is no reason to stop serving, and there is nowhere else to say so.
            out.write_all(&text).and_then(|()| out.flush()).ok();
            text.clear();
            text.shrink_to(LOG_BYTES_KEPT);
        }
    }
}

fn push(text: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to memory can't fail");
}

fn push_peer(text: &mut Vec<u8>, peer: Option<IpAddr>) {
    match peer {
        Some(peer) => push(text, format_args!("{}", peer.to_canonical())),
        None => text.push(b'-'),
    }
}

/// A client's bytes in quotes: nothing in them can end the line or look like another one.
fn write_quoted(text: &mut Vec<u8>, value: &[u8]) {
    text.push(b'"');
    let mut rest = value;
    while let Some(at) = rest.iter().position(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\')) {
        let byte = rest[at];
        text.extend_from_slice(&rest[..at]);
        match byte {
            b'"' | b'\\' => text.extend([b'\\', byte]),
            _ => push(text, format_args!("\\x{byte:02x}")),
        }
        rest = &rest[at + 1..];
    }
    text.extend_from_slice(rest);
    text.push(b'"');
}

/// Bytes as a JSON string (RFC 8259 section 7); what isn't UTF-8 is replaced.
pub(crate) fn write_json_string(text: &mut Vec<u8>, value: &[u8]) {
    text.push(b'"');
    for letter in String::from_utf8_lossy(value).chars() {
        match letter {
            '"' | '\\' => text.extend_from_slice(format!("\\{letter}").as_bytes()),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                text.extend_from_slice(format!("\\u{:04x}", u32::from(letter)).as_bytes());
            }
            _ => text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::FieldSlots;

    fn line(format: LogFormat, head: &[u8]) -> String {
        let log = AccessLog { format, shared: Arc::default() };
        let mut slots = FieldSlots::default();
        let request = Request::parse(head, &mut slots).unwrap();
        let note = log.note(Some(&request), Some(IpAddr::from([127, 0, 0, 1])), b"id-1", 784_111_777);
        let outcome = Outcome { status: 200, body_len: 5, duration: Duration::from_micros(1_500) };
        assert!(log.write(&note, outcome));
        String::from_utf8(log.shared.waiting().text.clone()).unwrap()
    }

    #[test]
    fn a_line_tells_what_was_asked_and_answered_and_nothing_can_break_it() {
        // A log line that a client can forge is worth nothing on the day that it is needed.
        let head = b"GET /a\"b HTTP/1.1\r\nHost: a\r\nReferer: x\\y\r\nUser-Agent: caf\xe9\"\t1\r\n\r\n";
        assert_eq!(
            line(LogFormat::Common, head),
            "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a\\\"b HTTP/1.1\" 200 5\n"
        );
        assert_eq!(
            line(LogFormat::Combined, head),
            "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a\\\"b HTTP/1.1\" 200 5 \"x\\\\y\" \
             \"caf\\xe9\\\"\\x091\" \"id-1\"\n"
        );
        assert_eq!(
            line(LogFormat::Json, head),
            "{\"time\":\"1994-11-06T08:49:37Z\",\"peer\":\"127.0.0.1\",\"request\":\"GET /a\\\"b HTTP/1.1\",\
             \"referrer\":\"x\\\\y\",\"user_agent\":\"caf\u{fffd}\\\"\\u00091\",\"scheme\":\"-\",\"host\":\"a\",\"id\":\"id-1\",\
             \"status\":200,\"bytes\":5,\"ms\":1.500}\n"
        );
    }

    #[test]
    fn what_nobody_takes_is_dropped_beyond_a_bound_and_the_end_is_not_waited_for() {
        // A log's reader that hangs would take all memory, or keep the server from ending.
        let log = AccessLog { format: LogFormat::Common, shared: Arc::default() };
        let note = log.note(None, None, b"", 784_111_777);
        let outcome = Outcome { status: 400, body_len: 0, duration: Duration::ZERO };
        let written = std::iter::repeat_with(|| log.write(&note, outcome)).take_while(|is_written| *is_written).count();
        let line = "- - - [06/Nov/1994:08:49:37 +0000] \"-\" 400 0\n";
        assert_eq!(log.shared.waiting().text, line.repeat(written).as_bytes());
        assert_eq!(written, (LOG_BYTES_WAITING_MAX - note.text.len()) / line.len() + 1);
        log.finish();
        let waiting = log.shared.waiting();
        assert!(waiting.is_last && !waiting.is_written);
    }
}
