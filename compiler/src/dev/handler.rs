//! What a request is answered with. It reads what is there, and waits only for a page that nobody asked for before.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use runtime::http::range::{RangeVerdict, read_range};
use runtime::http::request::{Method, Request};
use runtime::http::response::{Answer, Body};
use runtime::site::Handler;

use super::client::{self, About};
use super::doors::Doors;
use super::edition::{Edition, Ready, Shown};
use super::live_reload::Client;
use super::studio::{Edit, Studio};
use crate::site::percent_decode;

/// Lines of every answer that is made here.
const NO_STORE: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";

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
            let Some(bytes) = self.studio.read(edition, file) else {
                let text = "503 Service Unavailable: the file was changed; ask again\n";
                return Some(Answer::made(
                    503,
                    &format!("Content-Type: text/plain; charset=utf-8\r\n{NO_STORE}"),
                    text,
                ));
            };
            return Some(whole_or_part(file, bytes, request));
        }
        match self.studio.fetch(edition, path) {
            Some(shown) => Some(made(&shown)),
            // What is gone for good has no page and no file, only a word.
            None => Some(owned(&edition.map_answer(request, added))),
        }
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
    let start = [&*answer.start, answer.fields].concat();
    let body = Body::Made(answer.body.bytes().to_vec());
    Answer { status: answer.status, start: Cow::Owned(start), fields: b"", body }
}

fn copied(ready: &Ready, bytes: Cow<'_, [u8]>) -> Answer<'static> {
    let start = Cow::Owned(ready.head.clone());
    Answer { status: ready.status, start, fields: b"", body: Body::Made(bytes.into_owned()) }
}

/// A file, or the part of it that is asked for: browsers play a film from any place only where they can ask for parts.
fn whole_or_part(file: &Ready, bytes: Cow<'_, [u8]>, request: &Request<'_>) -> Answer<'static> {
    // Nobody keeps what is sent here, so that nobody can ask for a part of what it has kept.
    let has_condition = request.values("if-range").next().is_some();
    let range =
        request.value("range").filter(|_| request.method == Method::Get && file.status == 200 && !has_condition);
    let body_len = bytes.len();
    match range.map_or(RangeVerdict::Whole, |range| read_range(range, body_len)) {
        RangeVerdict::Whole => copied(file, bytes),
        RangeVerdict::Unsatisfiable => Answer::bare(416, &format!("Content-Range: bytes */{body_len}\r\n")),
        RangeVerdict::Part(part) => {
            let start = format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {}-{}/{body_len}\r\n",
                part.len(),
                part.start,
                part.end - 1
            );
            let start = [start.as_bytes(), &file.head[file.fields_start..]].concat();
            Answer { status: 206, start: Cow::Owned(start), fields: b"", body: Body::Made(bytes[part].to_vec()) }
        }
    }
}

fn made(shown: &Shown) -> Answer<'static> {
    if let Some(ready) = &shown.answer
        && let Some(bytes) = ready.body.held()
    {
        return copied(ready, Cow::Borrowed(bytes));
    }
    // The script asks what is wrong and shows it.
    let text = "<!doctype html><html lang=en><meta charset=utf-8><title>Mistakes</title>\
                <p>This page can't be made yet: see the terminal.</p></body>";
    page(500, &client::inject(text, About { digest: "", mark: "" }))
}

fn page(status: u16, text: &str) -> Answer<'static> {
    Answer::made(status, &format!("Content-Type: text/html; charset=utf-8\r\n{NO_STORE}"), text.to_owned())
}
