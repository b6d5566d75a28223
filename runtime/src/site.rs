//! What a bundle answers to a request: methods, page URLs, redirects, preconditions, codings. No sockets.

mod catalogue;

use std::borrow::Cow;
use std::fs::File;
use std::time::SystemTime;

use bundle::{BundleView, LARGE_BODY_BYTES_MIN, Route, RouteKind, Variant, percent_encode};

use crate::http::conditional::{self, Validators, Verdict};
use crate::http::date::parse_date;
use crate::http::negotiate::choose_variant;
use crate::http::range::{RangeVerdict, read_range};
use crate::http::request::{Method, Request};
use crate::http::response::{Answer, Body, Start};
use crate::mapped::MappedFile;
pub use catalogue::{CatalogueView, SiteHandler, UnknownHost};

/// Answers requests. Called on a small stack: no recursion, no big locals, nothing that blocks the thread.
pub trait Handler: Send + Sync + 'static {
    /// What answers are made of. A connection holds one while it answers, so that what it sends stays there; it is
    /// renewed between answers, so that a connection that stays open sees what is new.
    type View: Send;

    /// The state of things now.
    fn view(&self) -> Self::View;

    /// Brings a view up to date. Called before every batch of requests: cheap when nothing changed.
    fn renew(&self, view: &mut Self::View);

    /// The answer to a request. Whole field lines can be added to `added`.
    fn answer<'v>(&self, request: &Request<'_>, view: &'v Self::View, added: &mut Vec<u8>) -> Answer<'v>;

    /// The answer to a request for what isn't there, whatever it asks for.
    fn answer_missing<'v>(&self, _request: &Request<'_>, _view: &'v Self::View) -> Answer<'v> {
        Answer::bare(404, "")
    }

    /// Where bytes of an answer lie in a file, if they do: they can then be waited for without holding up others.
    fn place_of<'v>(&self, _view: &'v Self::View, _bytes: &[u8]) -> Option<(&'v File, usize)> {
        None
    }

    /// Whether answering may wait for something, in the coroutine. Connections that never do so share one.
    fn may_wait(&self) -> bool {
        true
    }
}

/// Bytes of a bundle, in a file or not.
pub trait SiteBytes: AsRef<[u8]> + Send + Sync + 'static {
    /// The file that the bytes are a map of.
    fn file(&self) -> Option<&File>;

    /// Whether somebody has written over that file since it was mapped.
    fn is_overwritten(&self) -> bool;
}

impl SiteBytes for MappedFile {
    fn file(&self) -> Option<&File> {
        Some(MappedFile::file(self))
    }

    fn is_overwritten(&self) -> bool {
        MappedFile::is_overwritten(self)
    }
}

impl SiteBytes for Vec<u8> {
    fn file(&self) -> Option<&File> {
        None
    }

    fn is_overwritten(&self) -> bool {
        false
    }
}

/// One bundle, ready to answer.
#[derive(Debug)]
pub struct Site<B> {
    bundle: BundleView<B>,
    last_modified: Option<SystemTime>,
}

impl<B: SiteBytes> Site<B> {
    /// Takes a bundle that was opened.
    pub fn new(bundle: BundleView<B>) -> Self {
        let last_modified = bundle.last_modified().and_then(parse_date);
        Self { bundle, last_modified }
    }

    /// The page or file that a path names, spelled as it should be. Redirects are for [`answer`](Self::answer).
    pub fn find(&self, path: &[u8]) -> Option<Route<'_>> {
        match self.resolve(path) {
            Resolved::Route(route) if route.kind() != RouteKind::Redirect => Some(route),
            _ => None,
        }
    }

    /// The bytes of its bundle.
    pub fn bytes(&self) -> &B {
        self.bundle.bytes()
    }

    /// Whether somebody has written over its bundle's file.
    fn is_overwritten(&self) -> bool {
        self.bundle.bytes().is_overwritten()
    }

    /// Where bytes of an answer lie in the bundle's file.
    fn place_of(&self, bytes: &[u8]) -> Option<(&File, usize)> {
        let (file, all) = (self.bundle.bytes().file()?, self.bundle.bytes().as_ref());
        let offset = bytes.as_ptr().addr().checked_sub(all.as_ptr().addr())?;
        (offset.checked_add(bytes.len())? <= all.len()).then_some((file, offset))
    }

    /// The answer to a request.
    pub fn answer(&self, request: &Request<'_>, added: &mut Vec<u8>) -> Answer<'_> {
        match request.method {
            Method::Unknown => return Answer::bare(501, ""),
            Method::Connect => return Answer::bare(405, ALLOW),
            Method::Options if request.path == &b"*"[..] => return Answer::made(204, ALLOW, ""),
            _ => {}
        }
        let path = &*request.path;
        if path == b"/health" {
            return answer_health(request.method);
        }
        if let Some(canonical) = self.canonical_host_url(request) {
            write_location(&canonical, request.query, added);
            return moved(path);
        }
        let resolved = self.resolve(path);
        let is_missing = matches!(resolved, Resolved::Missing);
        match request.method {
            Method::Get | Method::Head => {}
            _ if is_missing => return self.answer_missing(request),
            Method::Options => return Answer::made(204, &allow_and_vary(&resolved), ""),
            _ => return Answer::bare(405, &allow_and_vary(&resolved)),
        }
        match resolved {
            Resolved::Route(route) => self.answer_route(&route, request, added),
            Resolved::Elsewhere(canonical) => {
                write_location(&canonical, request.query, added);
                moved(path)
            }
            Resolved::Pattern(route, location) => {
                if !location.is_empty() {
                    write_location(location.as_bytes(), request.query, added);
                }
                self.whole(route.status(), &choose_variant(&route, request.values("accept-encoding")))
            }
            Resolved::Missing => self.answer_missing(request),
        }
    }

    /// Where a request for another host name belongs. Without a scheme, so that the client keeps its own.
    fn canonical_host_url(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        let canonical = self.bundle.settings().canonical_host.as_bytes();
        // A proxy may ask for the site under a name of its own.
        let host = request.public_host()?;
        if canonical.is_empty() || host_name(host).eq_ignore_ascii_case(host_name(canonical)) {
            return None;
        }
        Some([b"//", canonical, percent_encode(&request.path).as_bytes()].concat())
    }

    /// One URL for a page: at every other one that people try there is a way to it. What is left where a page was, a
    /// redirect or the word that it is gone, answers at all the spellings that the page had.
    fn resolve(&self, path: &[u8]) -> Resolved<'_> {
        let exact = self.bundle.find(path);
        let found = exact.or_else(|| {
            let stem = page_stem(path)?;
            let with_slash = || self.bundle.find(&[stem, b"/"].concat());
            self.bundle.find(stem).or_else(with_slash).filter(has_spellings)
        });
        let Some(route) = found else {
            // The compiler may store `/post/` as it is, with no `/post`.
            return match self.bundle.find(&[path, b"/"].concat()).filter(has_spellings) {
                Some(route) if is_page(&route) => Resolved::Elsewhere(percent_encode(route.path()).into_bytes()),
                Some(route) => Resolved::Route(route),
                None => match self.bundle.find_pattern(path) {
                    Some((route, location)) => Resolved::Pattern(route, location),
                    None => Resolved::Missing,
                },
            };
        };
        if !is_page(&route) {
            return Resolved::Route(route);
        }
        let canonical = self.canonical_path(route.path());
        if canonical == path {
            Resolved::Route(route)
        } else {
            Resolved::Elsewhere(percent_encode(&canonical).into_bytes())
        }
    }

    /// The one path at which a page answers.
    fn canonical_path<'p>(&self, stored: &'p [u8]) -> Cow<'p, [u8]> {
        if !self.bundle.settings().trailing_slash || stored.ends_with(b"/") {
            return Cow::Borrowed(stored);
        }
        let is_file_like = stored.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.contains(&b'.'));
        if is_file_like { Cow::Borrowed(stored) } else { Cow::Owned([stored, b"/"].concat()) }
    }

    fn answer_route<'v>(&'v self, route: &Route<'v>, request: &Request<'_>, added: &mut Vec<u8>) -> Answer<'v> {
        if route.kind() == RouteKind::Redirect {
            write_location(route.location(), request.query, added);
        }
        let variant = choose_variant(route, request.values("accept-encoding"));
        if route.status() != 200 {
            return self.whole(route.status(), &variant);
        }
        let validators = Validators { etag: variant.etag(), last_modified: self.last_modified };
        match conditional::evaluate(request, validators) {
            Verdict::Proceed => self.whole_or_part(route, &variant, request, validators),
            Verdict::Failed => Answer::bare(412, vary(route)),
            Verdict::NotModified => not_modified(&variant, added),
        }
    }

    /// The body, or the part of it that the request asks for.
    fn whole_or_part<'v>(
        &'v self,
        route: &Route<'v>,
        variant: &Variant<'v>,
        request: &Request<'_>,
        validators: Validators<'_>,
    ) -> Answer<'v> {
        let mut whole = self.whole(200, variant);
        let range = request.value("range").filter(|_| request.method == Method::Get);
        let Some(range) = range.filter(|_| conditional::range_applies(request, validators)) else { return whole };
        let body_len = variant.body_range().len();
        match read_range(range, body_len) {
            RangeVerdict::Whole => whole,
            RangeVerdict::Unsatisfiable => {
                Answer::bare(416, &format!("Content-Range: bytes */{body_len}\r\n{}", vary(route)))
            }
            RangeVerdict::Part(part) => {
                let (first, last, part_len) = (part.start, part.end - 1, part.len());
                whole.body.narrow(part);
                let start = format!(
                    "HTTP/1.1 206 Partial Content\r\nContent-Length: {part_len}\r\n\
                     Content-Range: bytes {first}-{last}/{body_len}\r\n"
                );
                let fields = variant.head().fields();
                Answer { status: 206, start: Start::Made(start.into_bytes()), fields, body: whole.body }
            }
        }
    }

    /// An answer as it was written: head and body straight from the bundle.
    fn whole<'v>(&'v self, status: u16, variant: &Variant<'v>) -> Answer<'v> {
        let (bytes, place) = (variant.body(), variant.body_range());
        let body = match self.bundle.bytes().file() {
            Some(file) if bytes.len() as u64 >= LARGE_BODY_BYTES_MIN => {
                Body::InFile { bytes, file, offset: place.start }
            }
            _ => Body::Lying(bytes),
        };
        Answer { status, start: Start::Lying(variant.head().whole()), fields: b"", body }
    }

    /// The site's own page for what isn't there. For a digested name that isn't (yet) there, an answer that no cache
    /// keeps: it may be the next deployment's, asked for too early.
    fn answer_missing(&self, request: &Request<'_>) -> Answer<'_> {
        match self.bundle.not_found() {
            Some(route) if !has_digest(&request.path) => {
                self.whole(404, &choose_variant(&route, request.values("accept-encoding")))
            }
            Some(_) => Answer::bare(404, ""),
            None if has_digest(&request.path) => Answer::bare(404, ""),
            None => Answer::made(404, PLAIN_TO_REVALIDATE, "404 Not Found\n"),
        }
    }
}

/// What the client has is still right (RFC 9110 section 15.4.5). Nothing of the bundle's file is touched for that.
fn not_modified(variant: &Variant<'_>, added: &mut Vec<u8>) -> Answer<'static> {
    let etag = variant.etag();
    if !etag.is_empty() {
        added.extend_from_slice(b"ETag: ");
        added.extend_from_slice(etag);
        added.extend_from_slice(b"\r\n");
    }
    added.extend_from_slice(variant.repeated_fields());
    Answer { status: 304, start: Start::Fixed(b"HTTP/1.1 304 Not Modified\r\n"), fields: b"", body: Body::Empty }
}

/// What a path leads to.
enum Resolved<'v> {
    Route(Route<'v>),
    /// A page that answers at this URL path.
    Elsewhere(Vec<u8>),
    /// A pattern that takes this path, and where it leads it; nowhere if it is gone.
    Pattern(Route<'v>, String),
    Missing,
}

const PLAIN_TO_REVALIDATE: &str =
    "Content-Type: text/plain; charset=utf-8\r\nCache-Control: public, max-age=0, must-revalidate\r\n";
const PLAIN_TO_FORGET: &str =
    "Content-Type: text/plain; charset=utf-8\r\nCache-Control: private, no-store\r\nX-Robots-Tag: noindex\r\n";
const ALLOW: &str = "Allow: GET, HEAD, OPTIONS\r\n";

/// What an answer that the compiler didn't write says of negotiation (RFC 9110 section 12.5.5).
fn vary(route: &Route<'_>) -> &'static str {
    if route.variants().len() > 1 { "Vary: Accept-Encoding\r\n" } else { "" }
}

fn allow_and_vary(resolved: &Resolved<'_>) -> String {
    let vary = if let Resolved::Route(route) | Resolved::Pattern(route, _) = resolved { vary(route) } else { "" };
    format!("{ALLOW}{vary}")
}

fn answer_health(method: Method) -> Answer<'static> {
    match method {
        Method::Get | Method::Head => {
            let fields = "Content-Type: application/json\r\nCache-Control: no-store\r\n";
            Answer::made(200, fields, "{\"status\":\"ok\"}")
        }
        Method::Options => Answer::made(204, ALLOW, ""),
        _ => Answer::bare(405, ALLOW),
    }
}

/// The way from one of a page's other URLs to its own. Not kept without asking: the site may change its mind.
fn moved(from: &[u8]) -> Answer<'static> {
    // Behind the password it tells what is there.
    let fields = if from.starts_with(b"/admin/") { PLAIN_TO_FORGET } else { PLAIN_TO_REVALIDATE };
    Answer::made(308, fields, "308 Permanent Redirect\n")
}

fn is_page(route: &Route<'_>) -> bool {
    route.kind() == RouteKind::Page && route.status() == 200
}

/// Whether a route answers, in one way or another, at other spellings of its path too: a page, or what is in its place.
fn has_spellings(route: &Route<'_>) -> bool {
    is_page(route) || route.kind() == RouteKind::Redirect || route.status() == 410
}

/// The page's path that `/post/`, `/post.html` and `/post/index.html` stand for: `/post`.
fn page_stem(path: &[u8]) -> Option<&[u8]> {
    if path == b"/index.html" {
        return Some(b"/");
    }
    let suffixes = [&b"/index.html"[..], b".html", b"/"];
    let stem = suffixes.into_iter().find_map(|suffix| path.strip_suffix(suffix))?;
    (!stem.is_empty() && !stem.ends_with(b"/")).then_some(stem)
}

/// Whether a path's last segment is named after its content: `app.0123456789abcdef.css`.
fn has_digest(path: &[u8]) -> bool {
    const DIGIT_COUNT: usize = 16;
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.split(|byte| *byte == b'.').skip(1).any(|part| part.len() == DIGIT_COUNT && part.iter().all(is_digit))
}

/// A host without its port.
pub(crate) fn host_name(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host[colon..].contains(&b']') => &host[..colon],
        _ => host,
    }
}

/// A `Location` field (RFC 9110 section 10.2.2) that keeps the request's query.
fn write_location(location: &[u8], query: Option<&[u8]>, added: &mut Vec<u8>) {
    let fragment_start = location.iter().position(|byte| *byte == b'#').unwrap_or(location.len());
    let (url, fragment) = location.split_at(fragment_start);
    added.extend_from_slice(b"Location: ");
    added.extend_from_slice(url);
    if let Some(query) = query {
        added.push(if url.contains(&b'?') { b'&' } else { b'?' });
        added.extend_from_slice(query);
    }
    added.extend_from_slice(fragment);
    added.extend_from_slice(b"\r\n");
}
