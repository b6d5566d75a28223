//! Small routes to make bundles of.

use std::sync::Arc;

use bundle::{BundleWriter, Encoding, HeadParts, RouteEntry, RouteKind, Settings, VariantEntry};

/// A head as the compiler would write it.
pub(crate) fn head(status: u16, body: &[u8], content: &str, etag: &str) -> HeadParts {
    let tag = if etag.is_empty() { String::new() } else { format!("ETag: \"{etag}\"\r\n") };
    HeadParts {
        status_line: format!("HTTP/1.1 {status} Reason\r\n"),
        length: format!("Content-Length: {}\r\n", body.len()),
        content: content.to_owned(),
        shared: format!("{tag}Cache-Control: public, max-age=0, must-revalidate\r\n"),
    }
}

pub(crate) fn variant(status: u16, encoding: Encoding, body: &[u8]) -> VariantEntry {
    let content = match encoding {
        Encoding::Identity => "Content-Type: text/html; charset=utf-8\r\n".to_owned(),
        _ => format!("Content-Type: text/html; charset=utf-8\r\nContent-Encoding: {}\r\n", encoding.token()),
    };
    let etag = if status == 200 { format!("{}-{}", encoding.token(), body.len()) } else { String::new() };
    VariantEntry { encoding, head: head(status, body, &content, &etag), body: Arc::from(body) }
}

pub(crate) fn route(path: &str, kind: RouteKind, status: u16, bodies: &[(Encoding, &[u8])]) -> RouteEntry {
    let variants = bodies.iter().map(|(encoding, body)| variant(status, *encoding, body)).collect();
    let location = if kind == RouteKind::Redirect { "/".to_owned() } else { String::new() };
    RouteEntry { path: path.to_owned(), kind, status, location, variants }
}

/// A page in two codings, an asset under two names, a redirect, a page for what isn't there, and a large file.
pub(crate) fn routes() -> Vec<RouteEntry> {
    let large = vec![b'x'; 70_000];
    vec![
        route("/", RouteKind::Page, 200, &[(Encoding::Gzip, b"\x1f\x8b home"), (Encoding::Identity, b"<h1>home</h1>")]),
        route("/static/a.0123456789abcdef.css", RouteKind::Asset, 200, &[(Encoding::Identity, b"a{}")]),
        route("/static/a.css", RouteKind::File, 200, &[(Encoding::Identity, b"a{}")]),
        route("/old", RouteKind::Redirect, 301, &[(Encoding::Identity, b"moved")]),
        route("/404", RouteKind::Page, 404, &[(Encoding::Identity, b"not found")]),
        route("/large.bin", RouteKind::File, 200, &[(Encoding::Identity, &large)]),
    ]
}

/// Patterns: two that begin alike, one that goes first because it begins with more, and what is gone.
pub(crate) fn patterns() -> Vec<RouteEntry> {
    let pattern = |path: &str, status, location: &str| {
        let mut entry = route(path, RouteKind::Pattern, status, &[(Encoding::Identity, b"elsewhere")]);
        location.clone_into(&mut entry.location);
        entry
    };
    vec![
        pattern("/docs/*", 301, "/manual/:splat"),
        pattern("/docs/:page", 302, "/never"),
        pattern("/docs/v1/:page", 308, "https://example.org/:page?from=:page"),
        pattern("/secret/*", 410, ""),
    ]
}

pub(crate) fn writer(routes: Vec<RouteEntry>) -> BundleWriter {
    let settings = Settings { trailing_slash: true, canonical_host: "example.com".to_owned() };
    let mut writer = BundleWriter::new(settings, [("compiler".to_owned(), "kiln 0.1.0".to_owned())]);
    for route in routes {
        writer.add(route);
    }
    writer
}
