//! The last look at what is about to be written: digests in names, values of `integrity`, hashes of policies, tokens that
//! should be gone. Nothing here is the site's fault, and nothing is written if something is wrong.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bundle::{Digest, Encoding, RouteEntry, RouteKind};
use rayon::prelude::*;
use sha2::{Sha256, Sha384, Sha512};

use super::split_digest;
use crate::html::{Event, Tag, read_events, sha256_source};
use crate::markdown::has_token;

/// Everything that is wrong with finished routes, in their order. `has_policy` says whether each page's policy was made
/// from what is in it.
pub(super) fn find_faults(routes: &[RouteEntry], has_policy: bool) -> Vec<String> {
    let bodies: HashMap<&str, &[u8]> = routes.iter().map(|route| (route.path.as_str(), identity(route))).collect();
    let faults = routes.par_iter().flat_map_iter(|route| {
        let mut look = Look { route, bodies: &bodies, policy: None, content: None, faults: Vec::new() };
        look.check_digest();
        let policy = field(route, "Content-Security-Policy").filter(|_| has_policy);
        if let Ok(html) = str::from_utf8(identity(route))
            && field(route, "Content-Type").is_some_and(|media_type| media_type.starts_with("text/html"))
        {
            look.policy = policy;
            look.check_page(html);
        }
        look.faults
    });
    faults.collect()
}

fn identity(route: &RouteEntry) -> &[u8] {
    let variant = route.variants.iter().find(|variant| variant.encoding == Encoding::Identity);
    variant.map_or(&[], |variant| &variant.body)
}

/// The value of a field of a route's head.
fn field<'r>(route: &'r RouteEntry, name: &str) -> Option<&'r str> {
    let head = &route.variants.first()?.head;
    let mut lines = head.content.lines().chain(head.shared.lines());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

struct Look<'r> {
    route: &'r RouteEntry,
    bodies: &'r HashMap<&'r str, &'r [u8]>,
    policy: Option<&'r str>,
    /// Where the inline script or style begins that is open.
    content: Option<usize>,
    faults: Vec<String>,
}

impl Look<'_> {
    fn check_digest(&mut self) {
        let Some((_, digest, _)) = split_digest(&self.route.path).filter(|_| self.route.kind == RouteKind::Asset)
        else {
            return;
        };
        let actual = Digest::of(identity(self.route)).hex(digest.len());
        if actual != digest {
            self.report(&format!("the digest in its name is not that of its bytes, `{actual}`"));
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
        let is_script = tag.name() == b"script" && tag.find(b"src").is_none();
        // Data that no browser runs needs no hash.
        let is_run = !tag.value(b"type").is_some_and(|kind| kind.contains('/') && !kind.contains("javascript"));
        if tag.name() == b"style" || is_script && is_run {
            self.content = Some(end);
        }
        if let Some(integrity) = tag.value(b"integrity").filter(|value| !value.trim_ascii().is_empty()) {
            let url = tag.value(b"src").or_else(|| tag.value(b"href")).unwrap_or_default();
            let path = url.split(['?', '#']).next().unwrap_or_default();
            // What lies elsewhere can't be looked at.
            let Some(body) = self.bodies.get(path) else { return };
            if !integrity.split_ascii_whitespace().any(|one| is_integrity_of(one, body)) {
                self.report(&format!("`integrity` of `{path}` is not that of its bytes (a page that writes it itself had better leave it to kiln)"));
            }
        }
    }

    fn check_hash(&mut self, bytes: &[u8]) {
        let Some(policy) = self.policy else { return };
        let hash = sha256_source(bytes);
        if !policy.contains(&hash) {
            self.report(&format!("its policy lacks {hash}, the hash of a script or style in it"));
        }
    }

    fn report(&mut self, what: &str) {
        self.faults.push(format!("`{}`: {what}", self.route.path));
    }
}

/// Whether `sha384-…` is the digest of bytes.
fn is_integrity_of(integrity: &str, bytes: &[u8]) -> bool {
    use sha2::Digest as _;
    let actual = match integrity.split_once('-') {
        Some(("sha256", _)) => STANDARD.encode(Sha256::digest(bytes)),
        Some(("sha384", _)) => STANDARD.encode(Sha384::digest(bytes)),
        Some(("sha512", _)) => STANDARD.encode(Sha512::digest(bytes)),
        _ => return false,
    };
    integrity.split_once('-').is_some_and(|(_, value)| value == actual)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cache::Cache;
    use crate::output::{Output, Published};

    /// The routes of a page and a script, with what is published damaged before or after the heads are written.
    fn routes(html: &str, damage: impl Fn(&mut Vec<RouteEntry>)) -> Vec<String> {
        let script: Arc<[u8]> = b"run()".as_slice().into();
        let path = format!("/static/a.{}.js", Digest::of(&script).hex(16));
        let page = html.as_bytes().into();
        let html_type = "text/html; charset=utf-8".to_owned();
        let output = Output::of(vec![
            Published::new("/".to_owned(), RouteKind::Page, html_type, page),
            Published::new(path, RouteKind::Asset, "text/javascript; charset=utf-8".to_owned(), script),
        ]);
        let mut routes: Vec<_> =
            output.published.iter().map(|published| output.route_entry(published, &Cache::none())).collect();
        damage(&mut routes);
        find_faults(&routes, true)
    }

    fn replace(routes: &mut [RouteEntry], index: usize, from: &str, to: &str) {
        let body = String::from_utf8_lossy(&routes[index].variants[0].body).replace(from, to);
        routes[index].variants[0].body = body.into_bytes().into();
    }

    #[test]
    fn what_is_sound_has_no_faults() {
        let html = "<p style=\"color:red\">x<style>a{}</style><script>x()</script><script type=\"application/ld+json\">{}\
            </script><script type=\"text/template\"><b></script>";
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
        assert_eq!(
            faults,
            [format!(
                "`/`: `integrity` of `{path}` is not that of its bytes (a page that writes it itself had better leave it to kiln)"
            )]
        );
    }

    #[test]
    fn a_token_that_is_left_is_found() {
        assert_eq!(routes("<p>\u{FDD0}12;</p>", |_| {}), ["`/`: a token of the Markdown parser is left in it"]);
    }
}
