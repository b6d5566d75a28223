//! The last look at what is about to be written: digests in names, values of `integrity`, hashes of policies, tokens that
//! should be gone. Nothing here is the site's fault, and nothing is written if something is wrong.

use std::collections::{HashMap, HashSet};
use std::io;

use bundle::{Encoding, RouteEntry};
use rayon::prelude::*;

use super::Published;
use crate::assets::{is_integrity_of, with_digest};
use crate::bytes::{Bytes, ReadError};
use crate::html::{Event, ScriptKind, Tag, read_events, sha256_source};
use crate::markdown::has_token;

/// Everything that is wrong with the finished routes of what is published, in their order. `has_policy` says whether each
/// page's policy was made from what is in it. Those that aren't new have been looked at when they were.
///
/// # Errors
/// A body lies in a file, and can't be read any more.
pub(super) fn find_faults(
    published: &[Published],
    routes: &[RouteEntry<Bytes>],
    are_new: &[bool],
    has_policy: bool,
) -> io::Result<Vec<String>> {
    let bodies: HashMap<&str, &Bytes> =
        routes.iter().filter_map(|route| Some((route.path.as_str(), identity(route)?))).collect();
    let faults =
        published.par_iter().zip(routes).zip(are_new).filter(|(_, is_new)| **is_new).map(|((published, route), _)| {
            let mut look =
                Look { route, bodies: &bodies, policy: None, content: None, faults: Vec::new(), unread: None };
            let Some(body) = identity(route) else { return Ok(Vec::new()) };
            look.check_digest(published, body);
            if field(route, "Content-Type").is_some_and(|media_type| media_type.starts_with("text/html")) {
                let policy = field(route, "Content-Security-Policy").filter(|_| has_policy);
                look.policy = policy.map(|policy| policy.split([' ', ';']).collect());
                look.check_page(str::from_utf8(&body.read()?).unwrap_or_default());
            }
            look.unread.map_or(Ok(look.faults), |error| Err(error.into()))
        });
    Ok(faults.collect::<io::Result<Vec<_>>>()?.concat())
}

fn identity(route: &RouteEntry<Bytes>) -> Option<&Bytes> {
    let variant = route.variants.iter().find(|variant| variant.encoding == Encoding::Identity);
    variant.map(|variant| &variant.body)
}

/// The value of a field of a route's head.
fn field<'r>(route: &'r RouteEntry<Bytes>, name: &str) -> Option<&'r str> {
    let head = &route.variants.first()?.head;
    let mut lines = head.content.lines().chain(head.shared.lines());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

struct Look<'r> {
    route: &'r RouteEntry<Bytes>,
    bodies: &'r HashMap<&'r str, &'r Bytes>,
    /// The words of the page's policy.
    policy: Option<HashSet<&'r str>>,
    /// Where the inline script or style begins that is open.
    content: Option<usize>,
    faults: Vec<String>,
    /// What could not be read.
    unread: Option<ReadError>,
}

impl Look<'_> {
    fn check_digest(&mut self, published: &Published, body: &Bytes) {
        let Some(plain_path) = &published.plain_path else { return };
        let actual = with_digest(plain_path, body);
        if actual != self.route.path {
            self.report(&format!("the digest in its name is not that of its bytes, which would be `{actual}`"));
        }
    }

    fn check_page(&mut self, html: &str) {
        if has_token(html) {
            self.report("a token of the Markdown parser is left in it");
        }
        read_events(html, |event, place| match event {
            Event::Start(tag) => self.check_tag(tag, place.end),
            Event::End(_) => {
                if let Some(start) = self.content.take() {
                    self.check_hash(html.get(start..place.start).unwrap_or_default().as_bytes());
                }
            }
            _ => {}
        });
    }

    fn check_tag(&mut self, tag: &Tag, end: usize) {
        if let Some(style) = tag.find(b"style") {
            self.check_hash(style.value);
        }
        match tag.name() {
            b"style" => self.content = Some(end),
            b"script" if tag.find(b"src").is_none() => {
                self.content = ScriptKind::of(tag).has_hash().then_some(end);
            }
            _ => {}
        }
        if let Some(integrity) = tag.value(b"integrity").filter(|value| !value.trim_ascii().is_empty()) {
            let url = tag.value(b"src").or_else(|| tag.value(b"href")).unwrap_or_default();
            let path = url.split(['?', '#']).next().unwrap_or_default();
            // What lies elsewhere can't be looked at.
            let Some(body) = self.bodies.get(path) else { return };
            match body.read() {
                Ok(bytes) if is_integrity_of(integrity, &bytes) => {}
                Ok(_) => self.report(&format!("`integrity` of `{path}` is not that of its bytes")),
                Err(error) => self.unread = Some(error),
            }
        }
    }

    fn check_hash(&mut self, bytes: &[u8]) {
        let Some(policy) = &self.policy else { return };
        let hash = sha256_source(bytes);
        if !policy.contains(hash.as_str()) {
            self.report(&format!("its policy lacks {hash}, the hash of a script or style in it"));
        }
    }

    fn report(&mut self, what: &str) {
        self.faults.push(format!("`{}`: {what}", self.route.path));
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use bundle::{Body, Digest, RouteKind};
    use sha2::Sha384;

    use super::*;
    use crate::cache::Cache;
    use crate::output::Output;

    /// The routes of a page and a script, with what is published damaged before or after the heads are written.
    fn routes(html: &str, damage: impl Fn(&mut Vec<RouteEntry<Bytes>>)) -> Vec<String> {
        let script = Bytes::from(b"run()".as_slice());
        let path = format!("/static/a.{}.js", script.digest().hex(16));
        let page = html.as_bytes().into();
        let html_type = "text/html; charset=utf-8".to_owned();
        let script = Published::new(path, RouteKind::Asset, "text/javascript; charset=utf-8".to_owned(), script);
        let output = Output::of(vec![
            Published::new("/".to_owned(), RouteKind::Page, html_type, page),
            Published { plain_path: Some("/static/a.js".to_owned()), ..script },
        ]);
        let mut routes: Vec<_> =
            output.published.iter().map(|published| output.route_entry(published, &Cache::none()).unwrap()).collect();
        damage(&mut routes);
        find_faults(&output.published, &routes, &vec![true; routes.len()], true).unwrap()
    }

    fn replace(routes: &mut [RouteEntry<Bytes>], index: usize, from: &str, to: &str) {
        let body = String::from_utf8_lossy(&routes[index].variants[0].body.read().unwrap()).replace(from, to);
        routes[index].variants[0].body = body.into_bytes().into();
    }

    #[test]
    fn what_is_sound_has_no_faults() {
        let html = "<p style=\"color:red\">x<style>a{}</style><script>x()</script><script type=\"application/ld+json\">{}\
            </script><script type=\"text/template\"><b></script><script type=\"text/javascript; charset=utf-8\">a</script>\
            <script type=x/javascript>b</script><script type=foo>c</script><script type=text/jscript>d</script>\
            <script language=JavaScript1.2>e</script><script type>f</script><script type=SpeculationRules>{}</script>";
        assert_eq!(routes(html, |_| {}), Vec::<String>::new());
    }

    #[test]
    fn bytes_that_change_after_their_digest_or_hash_was_taken_are_found() {
        // A visitor would get a page without its script, and nobody would know.
        let html = "<p style=\"color:red\">x<script>x()</script>";
        let faults = routes(html, |routes| replace(routes, 0, "x()", "y()"));
        assert!(faults.len() == 1 && faults[0].starts_with("`/`: its policy lacks 'sha256-"), "{faults:?}");
        let faults = routes(html, |routes| replace(routes, 0, "red", "blue"));
        assert!(faults.len() == 1 && faults[0].starts_with("`/`: its policy lacks 'sha256-"), "{faults:?}");
        let faults = routes(html, |routes| replace(routes, 1, "run()", "walk()"));
        assert!(faults.len() == 1 && faults[0].contains("the digest in its name"), "{faults:?}");
    }

    #[test]
    fn an_integrity_that_is_not_that_of_the_file_is_found() {
        use sha2::Digest as _;
        let path = format!("/static/a.{}.js", Digest::of(b"run()").hex(16));
        let value = STANDARD.encode(Sha384::digest(b"run()"));
        let right = format!("<script src=\"{path}\" integrity=\"sha384-{value}\"></script>");
        assert_eq!(routes(&right, |_| {}), Vec::<String>::new());
        let faults = routes(&right.replace("sha384-", "sha384-A"), |_| {});
        assert_eq!(faults, [format!("`/`: `integrity` of `{path}` is not that of its bytes")]);
    }

    #[test]
    fn a_token_that_is_left_is_found() {
        assert_eq!(routes("<p>\u{FDD0}12;</p>", |_| {}), ["`/`: a token of the Markdown parser is left in it"]);
    }
}
