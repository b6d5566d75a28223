//! What goes into a writer comes out of a view, whatever the order in which it went in.

use std::io::{self, Cursor, Write};

use crate::sample::{patterns, route, routes, writer};
use bundle::{
    Body, BundleView, BundleWriter, Digest, Encoding, HeadParts, RouteEntry, RouteKind, Settings, VariantEntry,
    WriteError, open_front,
};
use proptest::prelude::*;

#[test]
fn every_part_of_a_route_comes_back() {
    // Without it a field could be written at one place and read at another.
    let view = BundleView::open(writer(routes()).finish().unwrap().to_vec()).unwrap();
    assert_eq!(view.routes().len(), routes().len());
    assert!(view.settings().trailing_slash);
    assert_eq!(view.settings().canonical_host, "example.com");
    assert_eq!(view.build_info(), [("compiler".to_owned(), "kiln 0.1.0".to_owned())]);

    for mut entry in routes() {
        entry.variants.sort_by_key(|variant| variant.encoding);
        let route = view.find(entry.path.as_bytes()).unwrap();
        assert_eq!((route.path(), route.kind(), route.status()), (entry.path.as_bytes(), entry.kind, entry.status));
        assert_eq!(route.location(), entry.location.as_bytes());
        assert_eq!(route.variants().len(), entry.variants.len());
        for (variant, given) in route.variants().zip(&entry.variants) {
            let (head, parts) = (variant.head(), &given.head);
            assert_eq!(variant.encoding(), given.encoding);
            assert_eq!(variant.body(), &*given.body);
            assert_eq!(&view.bytes()[variant.body_range()], &*given.body);
            assert_eq!(head.status_line(), parts.status_line.as_bytes());
            assert_eq!(head.length(), parts.length.as_bytes());
            assert_eq!(head.content(), parts.content.as_bytes());
            assert_eq!(head.shared(), parts.shared.as_bytes());
            assert_eq!(head.fields(), [parts.content.as_bytes(), parts.shared.as_bytes()].concat());
            assert_eq!(head.whole(), [head.status_line(), head.length(), head.fields()].concat());
            let etag = parts.shared.lines().next().and_then(|line| line.strip_prefix("ETag: ")).unwrap_or_default();
            assert_eq!(variant.etag(), etag.as_bytes());
            let repeated =
                parts.shared.lines().filter(|line| !line.starts_with("ETag: ")).map(|line| format!("{line}\r\n"));
            assert_eq!(variant.repeated_fields(), repeated.collect::<String>().as_bytes());
        }
        assert_eq!(route.identity().encoding(), Encoding::Identity);
    }
    assert_eq!(view.not_found().unwrap().path(), b"/404");
    assert!(view.find(b"/nowhere").is_none() && view.find(b"").is_none());
}

#[test]
fn bodies_are_aligned_shared_and_apart_by_size() {
    // Without it small bodies would be spread between large ones, and a digested file would be stored twice.
    let view = BundleView::open(writer(routes()).finish().unwrap().to_vec()).unwrap();
    let range = |path: &str| view.find(path.as_bytes()).unwrap().identity().body_range();
    assert_eq!(range("/static/a.css"), range("/static/a.0123456789abcdef.css"));
    assert!(range("/static/a.css").start < range("/").start, "assets come before pages");
    assert!(range("/old").end < range("/large.bin").start, "large bodies come last");
    assert_eq!(range("/large.bin").start % 4096, 0);
    for route in view.routes() {
        assert_eq!(route.identity().body_range().start % 64, 0);
    }
}

#[test]
fn patterns_are_tried_by_their_beginnings_and_then_as_they_were_added() {
    let both = || [routes(), patterns()].concat();
    let view = BundleView::open(writer(both()).finish().unwrap().to_vec()).unwrap();
    let order: Vec<_> = view.patterns().map(|route| String::from_utf8_lossy(route.path()).into_owned()).collect();
    assert_eq!(order, ["/docs/v1/:page", "/secret/*", "/docs/*", "/docs/:page"]);
    let find = |path: &str| view.find_pattern(path.as_bytes()).map(|(route, location)| (route.status(), location));
    assert_eq!(find("/docs/v1/a b"), Some((308, "https://example.org/a%20b?from=a%20b".to_owned())));
    assert_eq!(find("/docs/x"), Some((301, "/manual/x".to_owned())));
    assert_eq!(find("/secret/x/y"), Some((410, String::new())));
    assert_eq!(find("/nowhere"), None);
    assert!(view.find(b"/docs/*").is_none(), "a pattern is no path");
    let mut swapped = patterns();
    swapped.swap(0, 1);
    let view = BundleView::open(writer(swapped).finish().unwrap().to_vec()).unwrap();
    assert_eq!(view.find_pattern(b"/docs/x").unwrap().1, "/never");
    assert_eq!(view.find_pattern(b"/docs/x/y").unwrap().1, "/manual/x/y");
}

#[test]
fn a_thousand_patterns_are_the_most() {
    let many = |count: usize| {
        let pattern = |number: usize| {
            let mut entry = patterns().remove(0);
            entry.path = format!("/{number}/*");
            entry
        };
        writer((0..count).map(pattern).collect()).finish()
    };
    assert_eq!(BundleView::open(many(1_000).unwrap().to_vec()).unwrap().patterns().len(), 1_000);
    assert!(matches!(many(1_001).err(), Some(WriteError::TooLarge(_))));
}

#[test]
fn an_empty_site_is_a_bundle_too() {
    let view = BundleView::open(writer(Vec::new()).finish().unwrap().to_vec()).unwrap();
    assert_eq!(view.routes().len(), 0);
    assert!(view.find(b"/").is_none() && view.not_found().is_none());
}

#[test]
fn writing_to_a_stream_and_to_memory_gives_the_same_bytes() {
    let packed = writer(routes()).finish().unwrap();
    let mut streamed = Cursor::new(b"before".to_vec());
    streamed.set_position(6);
    let digest = packed.write_to(&mut streamed).unwrap();
    assert_eq!(streamed.position(), 6 + packed.len() as u64, "what follows is written behind the bundle");
    let streamed = streamed.into_inner().split_off(6);
    let front = open_front(&mut &*streamed).unwrap().unwrap();
    assert_eq!(front.digest(), digest);
    for (whole, bare) in BundleView::open(&*streamed).unwrap().routes().zip(front.routes()) {
        let [whole, bare] = [whole.identity(), bare.identity()];
        assert_eq!((whole.head().whole(), whole.body_range()), (bare.head().whole(), bare.body_range()));
    }
    assert_eq!(streamed, packed.to_vec());
    assert_eq!(streamed.len(), packed.len());
    assert_eq!(BundleView::open(streamed).unwrap().digest(), digest);
}

/// A body that lies somewhere else, and is other than it was.
#[derive(Clone)]
struct Changed(&'static [u8]);

impl Body for Changed {
    fn len(&self) -> usize {
        4
    }

    fn digest(&self) -> Digest {
        Digest::of(b"then")
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.0)
    }
}

#[test]
fn a_body_is_read_when_it_is_written_and_has_the_length_that_it_said() {
    // A bundle whose offsets are those of other bodies would send the wrong bytes for every path behind them.
    let written = |body: Changed| {
        let head = HeadParts {
            status_line: "HTTP/1.1 200 OK\r\n".to_owned(),
            length: "Content-Length: 4\r\n".to_owned(),
            ..HeadParts::default()
        };
        let variants = vec![VariantEntry { encoding: Encoding::Identity, head, body }];
        let mut writer = BundleWriter::new(Settings::default(), []);
        let (path, location) = ("/a".to_owned(), String::new());
        writer.add(RouteEntry { path, kind: RouteKind::File, status: 200, location, variants });
        let mut out = Cursor::new(Vec::new());
        writer.finish().unwrap().write_to(&mut out).map(|_| out.into_inner())
    };
    let bundle = written(Changed(b"then")).unwrap();
    assert_eq!(BundleView::open(bundle).unwrap().find(b"/a").unwrap().identity().body(), b"then");
    assert!(written(Changed(b"now")).is_err() && written(Changed(b"later")).is_err());
}

#[test]
fn one_changed_page_moves_few_bytes() {
    // Without it a deploy of a large site would send all of it again. Blocks of 512 bytes that the old bundle
    // has anywhere are not sent by rsync.
    let page = |number: usize, text: &str| {
        let body = format!("{number} {text} {}", "lorem ipsum ".repeat(100 + number % 7));
        route(&format!("/page{number:05}"), RouteKind::Page, 200, &[(Encoding::Identity, body.as_bytes())])
    };
    let site = |changed: &str| {
        let pages = (0..2000).map(|number| page(number, if number == 1000 { changed } else { "same" })).collect();
        writer(pages).finish().unwrap().to_vec()
    };
    let (old, new) = (site("before"), site("after: a few words more than there were"));
    let old_windows: std::collections::HashSet<_> = old.chunks(512).map(<[u8]>::to_vec).collect();
    let mut sent_len = 0;
    let mut at = 0;
    while at < new.len() {
        let block = &new[at..(at + 512).min(new.len())];
        let is_known = old_windows.contains(block);
        at += if is_known { block.len() } else { 1 };
        sent_len += usize::from(!is_known);
    }
    assert!(sent_len < old.len() / 50, "{sent_len} of {} bytes", old.len());
}

#[test]
fn a_million_routes_are_found() {
    let routes: Vec<RouteEntry> = (0..1_000_000)
        .map(|number| route(&format!("/r/{number}"), RouteKind::File, 200, &[(Encoding::Identity, b"x")]))
        .collect();
    let view = BundleView::open(writer(routes).finish().unwrap().to_vec()).unwrap();
    for number in (0..1_000_000).step_by(997) {
        assert!(view.find(format!("/r/{number}").as_bytes()).is_some());
    }
    assert!(view.find(b"/r/1000000").is_none());
}

#[test]
fn what_the_format_forbids_is_refused_in_writing() {
    // Without it a bundle could be written that no server opens, or one whose head can be split.
    let refused = |change: fn(&mut RouteEntry)| {
        let mut entry = routes().remove(0);
        change(&mut entry);
        let error = writer(vec![entry]).finish().err().expect("this route is not allowed");
        assert!(matches!(error, WriteError::Route { .. }), "{error}");
    };
    refused(|entry| entry.path = "no/slash".to_owned());
    refused(|entry| entry.path = "/nul\0".to_owned());
    refused(|entry| entry.path = format!("/{}", "x".repeat(8192)));
    refused(|entry| entry.status = 204);
    refused(|entry| entry.status = 301);
    refused(|entry| entry.location = "/elsewhere".to_owned());
    refused(|entry| entry.kind = RouteKind::Redirect);
    refused(|entry| entry.variants.clear());
    refused(|entry| drop(entry.variants.remove(1)));
    refused(|entry| entry.variants.push(entry.variants[0].clone()));
    refused(|entry| entry.variants[0].body = b"longer than the head says, by far".as_slice().into());
    refused(|entry| entry.variants[0].head.status_line = "HTTP/1.1 404 Not Found\r\n".to_owned());
    refused(|entry| entry.variants[0].head.status_line.push_str("X: y\r\n"));
    refused(|entry| entry.variants[0].head.content.push_str("X: y\r\n\r\n"));
    refused(|entry| entry.variants[0].head.content.push_str("X: y\n"));
    refused(|entry| entry.variants[0].head.content.push_str("X: y"));
    refused(|entry| entry.variants[0].head.content.push_str("X : y\r\n"));
    refused(|entry| entry.variants[0].head.content.push_str("no field\r\n"));
    refused(|entry| entry.variants[0].head.content.push_str("Transfer-Encoding: chunked\r\n"));
    refused(|entry| entry.variants[0].head.shared.push_str("date: today\r\n"));
    refused(|entry| entry.variants[0].head.shared += &["X: ", &"y".repeat(65_536), "\r\n"].concat());
    refused(|entry| entry.variants[0].head.shared = "ETag: weak\r\n".to_owned());
    refused(|entry| entry.variants[0].head.shared = "ETag: \"a\"b\"\r\n".to_owned());
    refused(|entry| entry.variants[0].head.status_line = ["HTTP/1.1 200 ", &"x".repeat(65_536), "\r\n"].concat());
    let refused_pattern = |change: fn(&mut RouteEntry)| {
        let mut entry = patterns().remove(0);
        change(&mut entry);
        assert!(matches!(writer(vec![entry]).finish().err(), Some(WriteError::Route { .. })));
    };
    refused_pattern(|entry| entry.path = "/no/gap".to_owned());
    refused_pattern(|entry| entry.location = "/:other".to_owned());
    refused_pattern(|entry| entry.location = "https://:splat/".to_owned());
    refused_pattern(|entry| entry.location = String::new());
    refused_pattern(|entry| entry.status = 410);
    refused_pattern(|entry| entry.status = 200);
    let blank_host = Settings { canonical_host: "a b".to_owned(), ..Settings::default() };
    assert!(matches!(BundleWriter::<Changed>::new(blank_host, []).finish().err(), Some(WriteError::Settings(_))));
    let twice = vec![routes().remove(0), routes().remove(0)];
    assert_eq!(writer(twice).finish().err(), Some(WriteError::DuplicatePath("/".to_owned())));
    let mut outside = routes().remove(3);
    outside.location = "/a b".to_owned();
    assert!(matches!(writer(vec![outside]).finish().err(), Some(WriteError::Route { .. })));
}

proptest! {
    #[test]
    fn routes_in_any_order_give_the_same_bytes(seed in any::<u64>()) {
        let mut shuffled = routes();
        let mut state = seed;
        for last in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(last, usize::try_from(state >> 33).unwrap() % (last + 1));
        }
        for entry in &mut shuffled {
            if state & 1 == 0 { entry.variants.reverse(); }
        }
        prop_assert_eq!(writer(shuffled).finish().unwrap().to_vec(), writer(routes()).finish().unwrap().to_vec());
    }

    #[test]
    fn any_set_of_paths_and_bodies_comes_back(
        site in proptest::collection::btree_map("/[a-zé/]{0,12}", proptest::collection::vec(any::<u8>(), 0..200), 0..40)
    ) {
        let entries = site.iter().map(|(path, body)| route(path, RouteKind::File, 200, &[(Encoding::Identity, body)]));
        let view = BundleView::open(writer(entries.collect()).finish().unwrap().to_vec()).unwrap();
        prop_assert_eq!(view.routes().len(), site.len());
        for (path, body) in &site {
            prop_assert_eq!(view.find(path.as_bytes()).unwrap().identity().body(), &body[..]);
        }
    }
}
