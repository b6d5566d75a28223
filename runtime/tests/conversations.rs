//! Request bytes in, answer bytes out: the cases are the files in `conversations/`, and every one is tried whole and
//! cut in two at every byte. `UPDATE=1` writes what is answered into the files; read that diff.
//!
//! A case begins with `=== ` and the section of an RFC that it shows. Then:
//!
//! | line | means |
//! | --- | --- |
//! | `> text` | sent, with CR LF |
//! | `>> text` | sent, as it is; `\r \n \0 \\ \xHH` stand for bytes, `\{40x}` for forty times `x` |
//! | `> END` | the client sends no more |
//! | `< text` | answered, with CR LF |
//! | `<< text` | answered, as it is |
//! | `= open`, `= closed` | what becomes of the connection |
//!
//! A line `@ name` before the first case chooses another site: `trailing-slash` or `canonical-host`. The clock stands
//! still, and the numbers from which request ids are made begin with 0.
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use bundle::{BundleView, Settings};
use runtime::clock::Clock;
use runtime::connection::{Awaiting, Context, Ending, Transport, Visit, converse};
use runtime::limits::Limits;
use runtime::site::{Site, SiteHandler};

mod small_site;

#[test]
fn every_conversation_goes_as_written() {
    // These files are what the server promises to say, byte for byte.
    let mut case_count = 0;
    let mut wrong = Vec::new();
    for path in conversation_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = File::parse(&text);
        let handler = file.handler();
        let answered = file.cases.iter().map(|case| answer(&handler, case, case.sent.len())).collect::<Vec<_>>();
        case_count += answered.len();
        let updated = file.with_answers(&answered);
        if updated == text {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, updated).unwrap();
        } else {
            wrong.push(format!("{}:\n{}", path.display(), first_difference(&text, &updated)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(case_count >= CASE_COUNT_MIN, "{case_count} cases");
}

#[test]
fn a_request_is_answered_alike_however_it_is_cut() {
    // TCP cuts where it likes; an answer that depends on it is a mistake that shows once a month.
    for path in conversation_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = File::parse(&text);
        let handler = file.handler();
        for case in &file.cases {
            let whole = answer(&handler, case, case.sent.len());
            // Long ones are cut at every seventh byte: the limits' own cuts are cases of their own.
            let step = if case.sent.len() > 2_000 { 487 } else { 1 };
            for cut in (1..case.sent.len()).step_by(step) {
                assert_eq!(answer(&handler, case, cut), whole, "`{}` cut at {cut}", case.title);
            }
        }
    }
}

/// The number of cases there were when this was written, so that none is lost.
const CASE_COUNT_MIN: usize = 299;

fn conversation_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversations");
    let mut paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    paths.sort();
    paths
}

struct File<'t> {
    preamble: &'t str,
    cases: Vec<Case<'t>>,
}

struct Case<'t> {
    title: &'t str,
    /// Everything up to the first answer, as it stands in the file.
    asking: &'t str,
    sent: Vec<u8>,
    is_ended: bool,
}

impl<'t> File<'t> {
    fn parse(text: &'t str) -> Self {
        let first = text.find("=== ").expect("a file has a case");
        let starts = text.match_indices("\n=== ").map(|(start, _)| start + 1);
        let starts = std::iter::once(first).chain(starts.filter(|start| *start > first)).collect::<Vec<_>>();
        let ends = starts.iter().skip(1).copied().chain(std::iter::once(text.len()));
        let cases = starts.iter().zip(ends).map(|(start, end)| Case::parse(&text[*start..end])).collect();
        Self { preamble: &text[..first], cases }
    }

    fn handler(&self) -> SiteHandler<Vec<u8>> {
        let settings = match self.preamble.lines().find_map(|line| line.strip_prefix("@ ")) {
            Some("trailing-slash") => Settings { trailing_slash: true, ..Settings::default() },
            Some("canonical-host") => Settings { canonical_host: "example.com".to_owned(), ..Settings::default() },
            _ => Settings::default(),
        };
        SiteHandler::new(Site::new(BundleView::open(small_site::packed(settings)).unwrap()))
    }

    fn with_answers(&self, answers: &[String]) -> String {
        let cases = self.cases.iter().zip(answers).map(|(case, answer)| format!("{}{answer}", case.asking));
        format!("{}{}", self.preamble, cases.collect::<Vec<_>>().join("\n"))
    }
}

impl<'t> Case<'t> {
    fn parse(text: &'t str) -> Self {
        let title = text.lines().next().unwrap_or_default().trim_start_matches("=== ");
        assert!(title.starts_with("RFC "), "`{title}` names no RFC");
        let mut asking_len = 0;
        let mut sent = Vec::new();
        let mut is_ended = false;
        for line in text.split_inclusive('\n') {
            if line.starts_with('<') || line.starts_with('=') && !line.starts_with("===") || line == "\n" {
                break;
            }
            asking_len += line.len();
            let line = line.trim_end_matches('\n');
            if line == "> END" {
                is_ended = true;
            } else if let Some(raw) = line.strip_prefix(">> ") {
                sent.extend(unescaped(raw));
            } else if let Some(text) = line.strip_prefix('>') {
                sent.extend_from_slice(text.strip_prefix(' ').unwrap_or(text).as_bytes());
                sent.extend_from_slice(b"\r\n");
            }
        }
        Self { title, asking: &text[..asking_len], sent, is_ended }
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..start]);
        let (escape, after) = rest[start + 1..].split_at(1);
        rest = after;
        match escape {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "0" => bytes.push(0),
            "x" => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                rest = &rest[2..];
            }
            "{" => {
                let (inner, after) = rest.split_once('}').unwrap();
                let digit_count = inner.bytes().take_while(u8::is_ascii_digit).count();
                bytes.extend(unescaped(&inner[digit_count..]).repeat(inner[..digit_count].parse().unwrap()));
                rest = after;
            }
            other => bytes.extend_from_slice(other.as_bytes()),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// What is answered when the bytes come in two pieces, as it stands in a file.
fn answer(handler: &SiteHandler<Vec<u8>>, case: &Case<'_>, cut: usize) -> String {
    let (first, second) = case.sent.split_at(cut);
    let mut client = Client { pieces: vec![second, first], is_ended: case.is_ended, received: Vec::new() };
    let limits = Limits { body_bytes_max: 100, ..Limits::default() };
    let context = Context::new(limits, Clock::standing_at(784_111_777));
    let mut visit = Visit { request_number: 0, request_count: 0, worker: 0, peer: None, awaits_proxy_header: false };
    let ending = converse(&mut client, handler, &context, &mut visit);
    let mut text = String::new();
    for line in client.received.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => writeln!(text, "< {}", line.escape_ascii()).unwrap(),
            None => writeln!(text, "<< {}", line.escape_ascii()).unwrap(),
        }
    }
    let text = text.replace("\\\"", "\"").replace("\\'", "'").replace("< \n", "<\n");
    format!("{text}= {}\n", if ending == Ending::Paused { "open" } else { "closed" })
}

/// A client that sends its pieces and then waits, or sends no more.
struct Client<'c> {
    /// What is still to be sent; the last comes first.
    pieces: Vec<&'c [u8]>,
    is_ended: bool,
    received: Vec<u8>,
}

impl Transport for Client<'_> {
    fn receive(&mut self, _awaiting: Awaiting, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(piece) = self.pieces.pop() {
            let (now, later) = piece.split_at(piece.len().min(buffer.len()));
            if !later.is_empty() {
                self.pieces.push(later);
            }
            if !now.is_empty() {
                buffer[..now.len()].copy_from_slice(now);
                return Ok(now.len());
            }
        }
        if self.is_ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // Seven bytes at a time from the second piece on: an answer must come out whole however it is taken.
        let first = pieces.first().map_or(&[][..], |piece| piece);
        let taken = &first[..first.len().min(if self.received.is_empty() { 1 } else { 700 })];
        self.received.extend_from_slice(taken);
        Ok(taken.len())
    }
}

fn first_difference(expected: &str, found: &str) -> String {
    let pairs = expected.lines().zip(found.lines());
    let same_count = pairs.take_while(|(expected, found)| expected == found).count();
    let from = |text: &str| text.lines().skip(same_count.saturating_sub(6)).take(14).collect::<Vec<_>>().join("\n");
    format!("line {}, expected:\n{}\nfound:\n{}", same_count + 1, from(expected), from(found))
}
