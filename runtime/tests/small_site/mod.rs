//! A small site as the compiler would pack it, for tests and examples: every kind of route, a few codings, short bodies.

use bundle::{BundleWriter, Encoding, HeadParts, RouteEntry, RouteKind, Settings, VariantEntry};

const PAGE: &str = "public, max-age=0, must-revalidate";
const ASSET: &str = "public, max-age=31536000, immutable";
const LAST_MODIFIED: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// The packed site.
pub(crate) fn packed(settings: Settings) -> Vec<u8> {
    packed_generation(settings, "a post\n", "0123456789abcdef")
}

/// The packed site with another text in its post, and another digest in its asset's name.
pub(crate) fn packed_generation(settings: Settings, post: &str, digest: &str) -> Vec<u8> {
    let mut writer = BundleWriter::new(settings, []);
    let gzip_and_brotli = [(Encoding::Gzip, "home, gzipped\n"), (Encoding::Brotli, "home, br\n")];
    writer.add(file("/", RouteKind::Page, "text/html; charset=utf-8", "the home page\n", &gzip_and_brotli));
    writer.add(file("/post", RouteKind::Page, "text/html; charset=utf-8", post, &[]));
    writer.add(file("/caf\u{e9} au lait", RouteKind::Page, "text/html; charset=utf-8", "coffee\n", &[]));
    let all_codings =
        [(Encoding::Gzip, "notes, gzipped\n"), (Encoding::Brotli, "notes, brotli\n"), (Encoding::Zstd, "zstd\n")];
    writer.add(file("/notes", RouteKind::Page, "text/html; charset=utf-8", "the notes of the site\n", &all_codings));
    writer.add(file("/style.css", RouteKind::File, "text/css; charset=utf-8", "body{}\n", &[]));
    writer.add(file("/digits", RouteKind::File, "text/plain; charset=utf-8", "0123456789", &[]));
    writer.add(file("/empty", RouteKind::File, "text/plain; charset=utf-8", "", &[]));
    let asset = format!("/static/app.{digest}.css");
    writer.add(file(&asset, RouteKind::Asset, "text/css; charset=utf-8", "p{}\n", &[]));
    for (path, status, location) in
        [("/old", 301, "/post"), ("/away", 302, "https://example.org/x?y=1"), ("/part", 308, "/post#part")]
    {
        writer.add(redirect(path, status, location));
    }
    writer.add(failure("/gone", 410, "gone\n"));
    writer.add(failure("/404", 404, "no such page\n"));
    writer.finish().expect("the small site is well formed").to_vec()
}

/// A route that answers 200.
pub(crate) fn file(
    path: &str,
    kind: RouteKind,
    content_type: &str,
    body: &str,
    others: &[(Encoding, &str)],
) -> RouteEntry {
    let policy = if kind == RouteKind::Asset { ASSET } else { PAGE };
    let vary = if others.is_empty() { "" } else { "Vary: Accept-Encoding\r\n" };
    let identity = (Encoding::Identity, body);
    let all = std::iter::once(&identity).chain(others).map(|(encoding, body)| {
        let coding = match encoding {
            Encoding::Identity => String::new(),
            encoding => format!("Content-Encoding: {}\r\n", encoding.token()),
        };
        let tag = format!("{}-{}", path.trim_start_matches('/').len(), encoding.token());
        VariantEntry {
            encoding: *encoding,
            head: HeadParts {
                status_line: "HTTP/1.1 200 OK\r\n".to_owned(),
                length: format!("Content-Length: {}\r\n", body.len()),
                content: format!("Content-Type: {content_type}\r\n{coding}Accept-Ranges: bytes\r\n"),
                shared: format!("ETag: \"{tag}\"\r\nCache-Control: {policy}\r\n{vary}{LAST_MODIFIED}"),
            },
            body: body.as_bytes().into(),
        }
    });
    RouteEntry { path: path.to_owned(), kind, status: 200, location: String::new(), variants: all.collect() }
}

fn redirect(path: &str, status: u16, location: &str) -> RouteEntry {
    let mut route = failure(path, status, "elsewhere\n");
    (route.kind, route.location) = (RouteKind::Redirect, location.to_owned());
    route
}

/// A page that answers something else.
pub(crate) fn failure(path: &str, status: u16, body: &str) -> RouteEntry {
    let phrase = match status {
        301 => "Moved Permanently",
        302 => "Found",
        308 => "Permanent Redirect",
        404 => "Not Found",
        _ => "Gone",
    };
    let head = HeadParts {
        status_line: format!("HTTP/1.1 {status} {phrase}\r\n"),
        length: format!("Content-Length: {}\r\n", body.len()),
        content: "Content-Type: text/html; charset=utf-8\r\n".to_owned(),
        shared: format!("Cache-Control: {PAGE}\r\n"),
    };
    let variant = VariantEntry { encoding: Encoding::Identity, head, body: body.as_bytes().into() };
    RouteEntry {
        path: path.to_owned(),
        kind: RouteKind::Page,
        status,
        location: String::new(),
        variants: vec![variant],
    }
}
