//! Who claims which URL. Two claims for one are a mistake that names both.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{RoutePath, Site, is_page};
use crate::config::{self, Config};
use crate::diagnostic::{Code, Diagnostic, Place, Span};
use crate::source::SourceFile;

/// Paths that the server answers itself.
pub(super) const RESERVED: [&str; 7] = [
    "/health",
    "/live-reload",
    "/admin",
    "/admin/stats",
    "/admin/cache/stats",
    "/admin/cache/refresh",
    "/admin/metrics",
];

/// Whether the server asks for its owner's password at a path.
pub fn is_behind_password(path: &[u8]) -> bool {
    path.starts_with(b"/admin/")
}

/// Reports every URL that two pages, aliases, redirects or files claim, at the second one, and the names of files that
/// can't be URLs. `asset_paths` are the static files' public paths with the file they come from, `made_paths` those of
/// the files that the compiler makes: there a site's own file goes first, but two of them are a mistake.
pub fn check_unique<'a>(
    site: &Site,
    content: &[SourceFile],
    config: &Config,
    asset_paths: impl Iterator<Item = (&'a str, &'a str)>,
    made_paths: impl Iterator<Item = &'a str>,
) -> Vec<Diagnostic> {
    let mut claims = Claims::default();
    for page in site.all_pages() {
        claims.add(page.route.as_str(), page.source.place(page.route_span), "page");
    }
    for page in &site.pages {
        for (alias, span) in &page.aliases {
            claims.add(alias.as_str(), page.source.place(*span), "alias");
        }
    }
    for redirect in config.redirects.iter().filter(|redirect| redirect.pattern.is_none()) {
        let place = Place { path: config::FILE_NAME.into(), span: redirect.span };
        match RoutePath::parse(&redirect.from) {
            Ok(route) => claims.add(route.as_str(), place, "redirect"),
            Err(reason) => claims.report(Code::BadConfig, place, format!("`{}`: the path {reason}", redirect.from)),
        }
    }
    for file in content.iter().filter(|file| !is_page(file)) {
        let place = Place { path: file.path.clone(), span: Span::default() };
        match RoutePath::of_file(&file.name) {
            Ok(route) => claims.add(route.as_str(), place, "file"),
            Err(reason) => claims.report(Code::BadPath, place, format!("the file's path {reason}")),
        }
    }
    for (path, source_path) in asset_paths {
        let place = Place { path: source_path.into(), span: Span::default() };
        match RoutePath::of_file(path) {
            Ok(_) => claims.add(path, place, "file"),
            Err(reason) => claims.report(Code::BadPath, place, format!("the file's path {reason}")),
        }
    }
    let mut made = Claims::default();
    for path in made_paths {
        made.add(path, Place { path: config::FILE_NAME.into(), span: Span::default() }, "feed or sitemap");
    }
    claims.diagnostics.append(&mut made.diagnostics);
    claims.diagnostics
}

/// Whether variants are made of a file.
fn is_image(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| matches!(&*extension, "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif"))
}

#[derive(Default)]
struct Claims {
    by_path: BTreeMap<String, Place>,
    diagnostics: Vec<Diagnostic>,
}

impl Claims {
    fn add(&mut self, path: &str, place: Place, kind: &str) {
        if RESERVED.contains(&path) {
            self.report(
                Code::DuplicateUrl,
                place,
                format!("the server answers `{path}` itself, so no {kind} can be there"),
            );
            return;
        }
        match self.by_path.entry(path.to_owned()) {
            Entry::Vacant(entry) => drop(entry.insert(place)),
            Entry::Occupied(entry) => {
                let first = entry.get();
                let message = format!("this {kind} is published at `{path}`, and so is `{}`", first.path);
                let diagnostic = Diagnostic::new(Code::DuplicateUrl, place, message);
                let note = (first.clone(), "the other one".to_owned());
                // `a.webp` beside `a.png`: the second is a variant that would be made of the first.
                let is_variant = kind == "file" && is_image(&diagnostic.place.path) && is_image(&first.path);
                let help = if is_variant {
                    "one is made of the other: take it away, or write the other's name into `exclude` under `[images]`, \
                     and nothing is made of it"
                } else {
                    "give one of them another path"
                };
                self.diagnostics.push(Diagnostic { notes: vec![note], ..diagnostic }.with_help(help));
            }
        }
    }

    fn report(&mut self, code: Code, place: Place, message: String) {
        self.diagnostics.push(Diagnostic::new(code, place, message));
    }
}
