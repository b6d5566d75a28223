//! The access log: a line for each answer, to standard output. Lines are handed to a thread of their own, so that a slow
//! reader of the log holds up no request; what it can't take in time is dropped and counted.

use std::io::Write;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use crate::http::date::parts_of;
use crate::http::proxy::Scheme;
use crate::http::request::Request;
use crate::limits::LOG_LINES_WAITING_MAX;

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

/// What of a request a line tells, once the request is gone. The line is written but for its outcome.
#[derive(Debug)]
pub struct LogNote {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The status.
    pub status: u16,
    /// Bytes of the body.
    pub body_len: usize,
    /// How long it took.
    pub duration: Duration,
}

/// A log that is written somewhere else.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: LogFormat,
    lines: SyncSender<Vec<u8>>,
}

impl AccessLog {
    /// Starts writing to standard output, on a thread of its own.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(format: LogFormat) -> std::io::Result<Self> {
        let (lines, receiver) = sync_channel(LOG_LINES_WAITING_MAX);
        std::thread::Builder::new().name("access log".to_owned()).spawn(move || write_lines(&receiver))?;
        Ok(Self { format, lines })
    }

    /// Begins the line of a request; `None` stands for one that couldn't be read.
    pub fn note(&self, request: Option<&Request<'_>>, peer: Option<IpAddr>, id: &[u8], unix_seconds: u64) -> LogNote {
        let line = request.map_or(&b"-"[..], |request| request.line);
        let field = |name| request.and_then(|request| request.value(name)).unwrap_or(b"-");
        let (mut before, mut after) = (Vec::with_capacity(160), Vec::new());
        let peer = peer.map_or_else(|| "-".to_owned(), |peer| peer.to_canonical().to_string());
        if self.format == LogFormat::Json {
            let [date, time, _] = parts_of(unix_seconds);
            before.extend_from_slice(
                format!("{{\"time\":\"{date}T{time}Z\",\"peer\":\"{peer}\",\"request\":").as_bytes(),
            );
            for (name, value) in [("", line), ("referrer", field("referer")), ("user_agent", field("user-agent"))] {
                if !name.is_empty() {
                    before.extend_from_slice(format!(",\"{name}\":").as_bytes());
                }
                write_json_string(&mut before, value);
            }
            let scheme = request.and_then(|request| request.scheme).map_or("-", Scheme::name).as_bytes();
            let host = request.and_then(Request::public_host).unwrap_or(b"-");
            for (name, value) in [("scheme", scheme), ("host", host), ("id", id)] {
                before.extend_from_slice(format!(",\"{name}\":").as_bytes());
                write_json_string(&mut before, value);
            }
        } else {
            let [_, time, day] = parts_of(unix_seconds);
            before.extend_from_slice(format!("{peer} - - [{day}:{time} +0000] ").as_bytes());
            write_quoted(&mut before, line);
            if self.format == LogFormat::Combined {
                for value in [field("referer"), field("user-agent"), id] {
                    after.push(b' ');
                    write_quoted(&mut after, value);
                }
            }
        }
        LogNote { before, after }
    }

    /// Finishes a line and hands it over; `false` if it had to be dropped.
    #[must_use]
    pub fn write(&self, note: LogNote, outcome: Outcome) -> bool {
        let Outcome { status, body_len, duration } = outcome;
        let mut line = note.before;
        let rest = match self.format {
            LogFormat::Json => {
                let (ms, us) = (duration.as_millis(), duration.subsec_micros() % 1000);
                format!(",\"status\":{status},\"bytes\":{body_len},\"ms\":{ms}.{us:03}}}")
            }
            _ => format!(" {status} {body_len}"),
        };
        line.extend_from_slice(rest.as_bytes());
        line.extend_from_slice(&note.after);
        line.push(b'\n');
        self.lines.try_send(line).is_ok()
    }
}

/// Writes lines as they come, and what came meanwhile together.
fn write_lines(lines: &Receiver<Vec<u8>>) {
    let mut out = std::io::stdout().lock();
    let mut text = Vec::new();
    while let Ok(line) = lines.recv() {
        text.extend_from_slice(&line);
        loop {
            match lines.try_recv() {
                Ok(line) if text.len() < 64 * 1024 => text.extend_from_slice(&line),
                Ok(line) => {
                    text.extend_from_slice(&line);
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        // A log that can't be written is no reason to stop serving, and there is nowhere else to say so.
        out.write_all(&text).and_then(|()| out.flush()).ok();
        text.clear();
    }
}

/// A client's bytes in quotes: nothing in them can end the line or look like another one.
fn write_quoted(text: &mut Vec<u8>, value: &[u8]) {
    text.push(b'"');
    for byte in value {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            b' '..=b'~' => text.push(*byte),
            _ => text.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
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
    use crate::http::request::field_slots;

    fn line(format: LogFormat, head: &[u8]) -> String {
        let (lines, receiver) = sync_channel(1);
        let log = AccessLog { format, lines };
        let mut slots = field_slots();
        let request = Request::parse(head, &mut slots).unwrap();
        let note = log.note(Some(&request), Some(IpAddr::from([127, 0, 0, 1])), b"id-1", 784_111_777);
        let outcome = Outcome { status: 200, body_len: 5, duration: Duration::from_micros(1_500) };
        assert!(log.write(note, outcome));
        String::from_utf8(receiver.recv().unwrap()).unwrap()
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
}
