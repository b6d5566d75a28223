//! What the owner of a server sees: statistics, metrics, a reload by hand; behind a password, and not there at all where
//! none is set. Everything else is handed on.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use crate::access_log::write_json_string;
use crate::http::proxy::{ClientKey, client_key};
use crate::http::request::{Method, Request};
use crate::http::response::Answer;
use crate::limits::{FAILING_ADDRESSES_MAX, PASSWORD_FAILURES_MAX};
use crate::metrics::{Event, Latency, Metrics, Statistics, in_ms, in_seconds};
use crate::reload::ReloadRequest;
use crate::site::Handler;

/// A user name and a password, as they come with a request.
pub struct Credentials(Vec<u8>);

impl Credentials {
    /// For HTTP's Basic scheme (RFC 7617).
    pub fn new(username: &str, password: &str) -> Self {
        Self(format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}"))).into_bytes())
    }

    /// Takes the same time wherever the first difference is.
    fn are(&self, field: &[u8]) -> bool {
        let Some((scheme, token)) = field.split_at_checked(6) else { return false };
        let is_basic = scheme.eq_ignore_ascii_case(b"Basic ");
        let is_right: bool = self.0[6..].ct_eq(token.trim_ascii()).into();
        is_basic && is_right
    }
}

/// Answers below `/admin`, and hands everything else on.
pub struct AdminHandler<H> {
    inner: H,
    door: Option<Door>,
}

/// What is behind the password, and who tried.
struct Door {
    credentials: Credentials,
    metrics: Arc<Metrics>,
    reload: ReloadRequest,
    started_unix_seconds: u64,
    failures: Mutex<HashMap<Option<ClientKey>, Failures>>,
}

/// Wrong passwords of one client.
struct Failures {
    since: Instant,
    count: u32,
}

impl<H: Handler> AdminHandler<H> {
    /// Nothing is there below `/admin`, not even what `inner` has.
    pub fn closed(inner: H) -> Self {
        Self { inner, door: None }
    }

    /// What `inner` has below `/admin`, and the server's own pages, are behind a password.
    pub fn open(
        inner: H,
        credentials: Credentials,
        metrics: Arc<Metrics>,
        reload: ReloadRequest,
        started_unix_seconds: u64,
    ) -> Self {
        let door = Door { credentials, metrics, reload, started_unix_seconds, failures: Mutex::default() };
        Self { inner, door: Some(door) }
    }
}

impl<H: Handler> Handler for AdminHandler<H> {
    type View = H::View;

    fn view(&self) -> Self::View {
        self.inner.view()
    }

    fn renew(&self, view: &mut Self::View) {
        self.inner.renew(view);
    }

    fn answer<'v>(&self, request: &Request<'_>, view: &'v Self::View, added: &mut Vec<u8>) -> Answer<'v> {
        let path = &*request.path;
        if path != b"/admin" && !path.starts_with(b"/admin/") {
            return self.inner.answer(request, view, added);
        }
        if matches!(request.method, Method::Unknown | Method::Connect) {
            return self.inner.answer(request, view, added);
        }
        let Some(door) = &self.door else {
            // The site's page for what isn't there, whatever is wanted of it.
            return self.inner.answer_missing(request, view);
        };
        if let Err(refusal) = door.check(request) {
            return refusal;
        }
        door.answer(request).unwrap_or_else(|| self.inner.answer(request, view, added))
    }

    fn answer_missing<'v>(&self, request: &Request<'_>, view: &'v Self::View) -> Answer<'v> {
        self.inner.answer_missing(request, view)
    }

    fn place_of<'v>(&self, view: &'v Self::View, bytes: &[u8]) -> Option<(&'v File, usize)> {
        self.inner.place_of(view, bytes)
    }

    fn may_wait(&self) -> bool {
        self.inner.may_wait()
    }
}

const NO_STORE: &str =
    "Cache-Control: private, no-store\r\nX-Content-Type-Options: nosniff\r\nX-Robots-Tag: noindex\r\n";

impl Door {
    /// Whether the request may go on.
    fn check(&self, request: &Request<'_>) -> Result<(), Answer<'static>> {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |failures: &Failures| now.duration_since(failures.since) >= Duration::from_mins(1);
        let peer = request.peer.map(client_key);
        if failures.get(&peer).is_some_and(&is_over) {
            failures.remove(&peer);
        }
        if failures.get(&peer).is_some_and(|failures| failures.count >= PASSWORD_FAILURES_MAX) {
            return Err(Answer::bare(429, "Retry-After: 60\r\n"));
        }
        let unauthorized = || Answer::bare(401, "WWW-Authenticate: Basic realm=\"kilnd\", charset=\"UTF-8\"\r\n");
        let Some(field) = request.value("authorization") else { return Err(unauthorized()) };
        if self.credentials.are(field) {
            return Ok(());
        }
        if failures.len() >= FAILING_ADDRESSES_MAX && !failures.contains_key(&peer) {
            failures.retain(|_, failures| !is_over(failures));
            let oldest = failures.iter().min_by_key(|(_, failures)| failures.since).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest.filter(|_| failures.len() >= FAILING_ADDRESSES_MAX) {
                failures.remove(&oldest);
            }
        }
        failures.entry(peer).or_insert(Failures { since: now, count: 0 }).count += 1;
        Err(unauthorized())
    }

    /// The server's own pages; `None` for what the site may have.
    fn answer(&self, request: &Request<'_>) -> Option<Answer<'static>> {
        let is_reload = *request.path == b"/admin/cache/refresh"[..];
        let page: fn(&Self) -> (&'static str, Vec<u8>) = match &*request.path {
            b"/admin" => Self::page,
            b"/admin/stats" => Self::stats,
            b"/admin/cache/stats" => Self::cache_stats,
            b"/admin/metrics" => Self::prometheus,
            _ if is_reload => Self::refresh,
            _ => return None,
        };
        let allow = if is_reload { "Allow: POST, OPTIONS\r\n" } else { "Allow: GET, HEAD, OPTIONS\r\n" };
        Some(match (request.method, is_reload) {
            (Method::Options, _) => Answer::made(204, allow, ""),
            (Method::Post, true) if is_foreign(request) => Answer::bare(403, ""),
            (Method::Post, true) | (Method::Get | Method::Head, false) => {
                let (content_type, body) = page(self);
                Answer::made(200, &format!("Content-Type: {content_type}\r\n{NO_STORE}"), body)
            }
            _ => Answer::bare(405, allow),
        })
    }

    fn refresh(&self) -> (&'static str, Vec<u8>) {
        self.reload.send();
        (JSON, b"{\"status\":\"reloading\"}\n".to_vec())
    }

    fn stats(&self) -> (&'static str, Vec<u8>) {
        let statistics = self.metrics.statistics();
        let mut json =
            format!("{{\"started\":{},\"requests\":{},\"paths\":[", self.started_unix_seconds, statistics.all.count)
                .into_bytes();
        let all = std::iter::once((&b""[..], &statistics.all)).chain(statistics.busiest());
        for (index, (path, latency)) in all.enumerate() {
            json.extend_from_slice(if index == 0 { b"{\"path\":null" } else { b",{\"path\":" });
            if index > 0 {
                write_json_string(&mut json, path);
            }
            let [mean, median, p95] = figures_of(latency);
            let figures =
                format!(",\"count\":{},\"mean_ms\":{mean},\"median_ms\":{median},\"p95_ms\":{p95}}}", latency.count);
            json.extend_from_slice(figures.as_bytes());
        }
        json.extend_from_slice(b"]}\n");
        (JSON, json)
    }

    fn cache_stats(&self) -> (&'static str, Vec<u8>) {
        let CacheCounts { hits, misses, revalidations, revalidation_errors } =
            self.cache_counts(&self.metrics.statistics());
        let json = format!(
            "{{\"hits\":{hits},\"misses\":{misses},\"revalidations\":{revalidations},\
             \"revalidation_errors\":{revalidation_errors}}}\n"
        );
        (JSON, json.into_bytes())
    }

    /// Everything that is served is in memory, so what isn't there is the only miss; a bundle looked at is a revalidation.
    fn cache_counts(&self, statistics: &Statistics) -> CacheCounts {
        let (taken, refused) =
            (self.metrics.event_count(Event::BundleTaken), self.metrics.event_count(Event::BundleRefused));
        let misses = statistics.status_count(404);
        let hits = statistics.all.count - misses;
        CacheCounts { hits, misses, revalidations: taken + refused, revalidation_errors: refused }
    }

    /// The Prometheus text format.
    fn prometheus(&self) -> (&'static str, Vec<u8>) {
        let statistics = self.metrics.statistics();
        let mut text = format!(
            "# TYPE kilnd_start_time_seconds gauge\nkilnd_start_time_seconds {}\n# TYPE kilnd_requests_total counter\n",
            self.started_unix_seconds
        );
        for (status, count) in &statistics.by_status {
            writeln!(text, "kilnd_requests_total{{status=\"{status}\"}} {count}").expect("a string takes all");
        }
        let (sum, count) = (in_seconds(statistics.all.sum()), statistics.all.count);
        writeln!(text, "# TYPE kilnd_request_duration_seconds summary").expect("a string takes all");
        for percent in [50, 95] {
            let seconds = in_seconds(statistics.all.percentile(percent));
            writeln!(text, "kilnd_request_duration_seconds{{quantile=\"0.{percent}\"}} {seconds}")
                .expect("a string takes all");
        }
        writeln!(text, "kilnd_request_duration_seconds_sum {sum}\nkilnd_request_duration_seconds_count {count}")
            .expect("a string takes all");
        for (event, name) in Event::ALL {
            let count = self.metrics.event_count(event);
            writeln!(text, "# TYPE kilnd_{name}_total counter\nkilnd_{name}_total {count}")
                .expect("a string takes all");
        }
        ("text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
    }

    /// The same for a person to look at.
    fn page(&self) -> (&'static str, Vec<u8>) {
        let statistics = self.metrics.statistics();
        let CacheCounts { revalidations, revalidation_errors, .. } = self.cache_counts(&statistics);
        let mut rows = String::new();
        let all = std::iter::once((&b"all"[..], &statistics.all)).chain(statistics.busiest());
        for (path, latency) in all {
            let path = escape_html(&String::from_utf8_lossy(path));
            let ([mean, median, p95], count) = (figures_of(latency), latency.count);
            writeln!(rows, "<tr><th scope=row>{path}<td>{count}<td>{mean}<td>{median}<td>{p95}")
                .expect("a string takes all");
        }
        let page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <title>kilnd</title><style>body{{font:16px/1.5 system-ui;margin:2rem;color-scheme:light dark}}\
             table{{border-collapse:collapse}}td{{text-align:right;padding:0 1em}}th{{text-align:left;font-weight:400}}\
             </style><h1>kilnd</h1><p>Bundles looked at since the start: {revalidations}, refused: {revalidation_errors}.\
             <form method=post action=/admin/cache/refresh><button>Load the bundle again</button></form>\
             <table><caption>Answers and milliseconds</caption><tr><th scope=col>path<td>count<td>mean<td>median<td>95 %\n\
             {rows}</table>"
        );
        ("text/html; charset=utf-8", page.into_bytes())
    }
}

/// Mean, median and 95th percentile, in milliseconds.
fn figures_of(latency: &Latency) -> [String; 3] {
    [latency.mean(), latency.percentile(50), latency.percentile(95)].map(in_ms)
}

const JSON: &str = "application/json";

struct CacheCounts {
    hits: u64,
    misses: u64,
    revalidations: u64,
    revalidation_errors: u64,
}

/// Whether another site's page sent it (RFC 6454 section 7).
fn is_foreign(request: &Request<'_>) -> bool {
    let cross_site = request.value("sec-fetch-site").is_some_and(|site| site == b"cross-site" || site == b"same-site");
    let Some(origin) = request.values("origin").next() else { return cross_site };
    let host = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    cross_site
        || host.is_none()
        || !host.zip(request.host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
