//! What a request is answered with. It reads what is there, and waits only for a page that nobody asked for before.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bundle::Body as _;
use runtime::http::range::{RangeVerdict, read_range};
use runtime::http::request::{Method, Request};
use runtime::http::response::{Answer, Body, BodyStream, Start, StreamBox, reason_phrase};
use runtime::site::Handler;

use super::client::{self, About};
use super::doors::Doors;
use super::edition::{Edition, Ready, Shown};
use super::live_reload::Client;
use super::studio::{Edit, Studio};
use crate::site::percent_decode;

/// Lines of every answer that is made here.
const NO_STORE: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";

/// What of a file that lies on the disk is in memory for one answer. Guessed.
const PIECE_BYTES: usize = 1 << 20;

/// Answers from the current edition of a site.
pub(super) struct DevHandler {
    pub(super) studio: Arc<Studio>,
    pub(super) doors: Doors,
}

impl Handler for DevHandler {
    /// Answers are copies: an edition that an idle connection held on to would stay in memory.
    type View = ();

    fn view(&self) -> Self::View {}

    fn renew(&self, _view: &mut Self::View) {}

    fn answer<'v>(&self, request: &Request<'_>, _view: &'v Self::View, added: &mut Vec<u8>) -> Answer<'v> {
        if !self.doors.knows_host(request) {
            let text = "403 Forbidden: this host name is not known; `--allow-host NAME` allows one\n";
            return Answer::made(403, &format!("Content-Type: text/plain; charset=utf-8\r\n{NO_STORE}"), text);
        }
        let path = &*request.path;
        match path {
            b"/live-reload" | b"/admin/cache/stats" | b"/admin/cache/refresh" if !self.doors.is_from_here(request) => {
                Answer::bare(403, "")
            }
            b"/live-reload" => self.answer_events(request),
            b"/admin/cache/stats" => self.answer_stats(),
            b"/admin/cache/refresh" if request.method == Method::Post => {
                self.studio.look_first();
                Answer::made(200, &format!("Content-Type: application/json\r\n{NO_STORE}"), "{\"status\":\"ok\"}\n")
            }
            _ if matches!(request.method, Method::Get | Method::Head) => self.answer_path(request, added),
            _ => owned(&self.studio.current().map_answer(request, added)),
        }
    }
}

impl DevHandler {
    fn answer_path(&self, request: &Request<'_>, added: &mut Vec<u8>) -> Answer<'static> {
        let edition = self.studio.current();
        if let Some(answer) = self.find(request, &edition, added) {
            return answer;
        }
        // It may be a file that was saved a moment ago.
        self.studio.look_first();
        let edition = self.studio.current();
        self.find(request, &edition, added).unwrap_or_else(|| self.answer_missing(&edition))
    }

    /// The answer for a path that leads somewhere.
    fn find(&self, request: &Request<'_>, edition: &Arc<Edition>, added: &mut Vec<u8>) -> Option<Answer<'static>> {
        let Some(path) = edition.find_path(&request.path) else {
            let answer = edition.map_answer(request, added);
            return (answer.status != 404).then(|| owned(&answer));
        };
        self.studio.revalidate(&path);
        if let Some(file) = edition.find_file(&path) {
            return Some(self.answer_file(edition, file, request).unwrap_or_else(|| {
                let text = "503 Service Unavailable: the file was changed; ask again\n";
                Answer::made(503, &format!("Content-Type: text/plain; charset=utf-8\r\n{NO_STORE}"), text)
            }));
        }
        match self.studio.fetch(edition, path) {
            Some(shown) => Some(made(&shown)),
            // What is gone for good has no page and no file, only a word.
            None => Some(owned(&edition.map_answer(request, added))),
        }
    }

    /// A file, or the part of it that is asked for: browsers play a film from any place only where they can ask for parts.
    /// `None`: it can't be read any more.
    fn answer_file(&self, edition: &Edition, file: &Arc<Ready>, request: &Request<'_>) -> Option<Answer<'static>> {
        let body_len = file.body.len();
        let (status, part) = match wanted_range(file, request) {
            RangeVerdict::Whole => (file.status, 0..body_len),
            RangeVerdict::Part(part) => (206, part),
            RangeVerdict::Unsatisfiable => {
                return Some(Answer::bare(416, &format!("Content-Range: bytes */{body_len}\r\n")));
            }
        };
        let reader = FileReader { studio: Arc::clone(&self.studio), file: Arc::clone(file), number: edition.number };
        let piece_end = part.start + part.len().min(PIECE_BYTES);
        let (body, length) = if request.method == Method::Head {
            (Body::Empty, Some(part.len()))
        } else if file.body.held().is_some() || piece_end == part.end {
            (Body::Made(reader.read(part.clone())?), Some(part.len()))
        } else {
            let pieces = Pieces { first: Some(reader.read(part.start..piece_end)?), left: piece_end..part.end, reader };
            (Body::Streamed(StreamBox(Box::new(pieces))), None)
        };
        let length = length.map_or_else(String::new, |length| format!("Content-Length: {length}\r\n"));
        let place = match status {
            206 => format!("Content-Range: bytes {}-{}/{body_len}\r\n", part.start, part.end - 1),
            _ => String::new(),
        };
        let start = format!("HTTP/1.1 {status} {}\r\n{length}{place}", reason_phrase(status));
        let start = [start.as_bytes(), &file.head[file.fields_start..]].concat();
        Some(Answer { status, start: Start::Made(start), fields: b"", body })
    }

    fn answer_missing(&self, edition: &Arc<Edition>) -> Answer<'static> {
        if edition.has_page("/404")
            && let Some(shown) = self.studio.fetch(edition, "/404".to_owned())
        {
            return made(&shown);
        }
        let text = "<!doctype html><title>Not found</title><p>There is no page or file here.</p></body>";
        page(404, &client::inject(text, About { digest: "", mark: "" }))
    }

    fn answer_events(&self, request: &Request<'_>) -> Answer<'static> {
        if request.method != Method::Get {
            return Answer::bare(405, "Allow: GET\r\n");
        }
        let query = request.query.and_then(|query| str::from_utf8(query).ok()).unwrap_or_default();
        let parameter = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
            pair.and_then(|(_, value)| percent_decode(value))
        };
        let page = parameter("page").or_else(|| {
            let referrer = str::from_utf8(request.value("referer")?).ok()?;
            let (_, rest) = referrer.split_once("://")?;
            let path = &rest[rest.find('/')?..];
            Some(path.split(['?', '#']).next().unwrap_or(path).to_owned())
        });
        let (client, events) = Client::new(page, parameter("seen"));
        self.studio.ask(Edit::Join(client));
        Answer::streamed(&format!("Content-Type: text/event-stream\r\n{NO_STORE}"), events)
    }

    fn answer_stats(&self) -> Answer<'static> {
        let counters = &self.studio.counters;
        let [hits, misses, revalidations, errors] =
            [&counters.hits, &counters.misses, &counters.revalidations, &counters.revalidation_errors]
                .map(|counter| counter.load(Ordering::Relaxed));
        let text = format!(
            "{{\"hits\":{hits},\"misses\":{misses},\"revalidations\":{revalidations},\"revalidation_errors\":{errors}}}\n"
        );
        Answer::made(200, &format!("Content-Type: application/json\r\n{NO_STORE}"), text)
    }
}

/// The same answer, holding on to nothing.
fn owned(answer: &Answer<'_>) -> Answer<'static> {
    let start = [answer.start.bytes(), answer.fields].concat();
    let body = Body::Made(answer.body.bytes().to_vec());
    Answer { status: answer.status, start: Start::Made(start), fields: b"", body }
}

/// What of a file is asked for.
fn wanted_range(file: &Ready, request: &Request<'_>) -> RangeVerdict {
    // Nobody keeps what is sent here, so that nobody can ask for a part of what it has kept.
    let has_condition = request.values("if-range").next().is_some();
    let range =
        request.value("range").filter(|_| request.method == Method::Get && file.status == 200 && !has_condition);
    range.map_or(RangeVerdict::Whole, |range| read_range(range, file.body.len()))
}

/// Reads a file of the edition with a number.
struct FileReader {
    studio: Arc<Studio>,
    file: Arc<Ready>,
    number: u64,
}

impl FileReader {
    fn read(&self, part: Range<usize>) -> Option<Vec<u8>> {
        self.studio.read(&self.file, part, self.number)
    }
}

/// A large part of a file, read while it is sent. One that can't be read any more ends early.
struct Pieces {
    first: Option<Vec<u8>>,
    left: Range<usize>,
    reader: FileReader,
}

impl BodyStream for Pieces {
    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let Range { start, end } = self.left;
        let next = start..end.min(start + PIECE_BYTES);
        self.left.start = next.end;
        if next.is_empty() { None } else { self.reader.read(next) }
    }
}

fn made(shown: &Shown) -> Answer<'static> {
    if let Some(ready) = &shown.answer
        && let Some(bytes) = ready.body.held()
    {
        let (start, body) = (Start::Made(ready.head.clone()), Body::Made(bytes.to_vec()));
        return Answer { status: ready.status, start, fields: b"", body };
    }
    // The script asks what is wrong and shows it.
    let text = "<!doctype html><html lang=en><meta charset=utf-8><title>Mistakes</title>\
                <p>This page can't be made yet: see the terminal.</p></body>";
    page(500, &client::inject(text, About { digest: "", mark: "" }))
}

fn page(status: u16, text: &str) -> Answer<'static> {
    Answer::made(status, &format!("Content-Type: text/html; charset=utf-8\r\n{NO_STORE}"), text.to_owned())
}
