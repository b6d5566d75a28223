//! What a rendered site publishes: each URL with its bytes, and what the server has to know of all.

use std::collections::HashSet;

use bundle::{RouteKind, Settings};
use rayon::prelude::*;

use super::{Plan, media_type_of};
use crate::bytes::Bytes;
use crate::config::Redirect;
use crate::output::{Output, Published, media_type};
use crate::render::RenderedPage;
use crate::security::{SheetSources, find_sheet_sources, read_sheet};
use crate::site::{Page, RoutePath};

impl Plan {
    /// Everything at its URL, the pages as they were rendered, in order.
    pub fn publish(&self, rendered: Vec<RenderedPage>) -> Output {
        let mut output = self.publish_all_but_pages();
        let pages: Vec<_> = self.site.all_pages().collect();
        output.published.par_extend(pages.into_par_iter().zip(rendered).map(|(page, rendered)| {
            let RenderedPage { text, digest, .. } = rendered;
            let body = match digest {
                Some(digest) => Bytes::of_text(text, digest),
                None => text.into(),
            };
            publish_page(page, body)
        }));
        output
    }

    /// Everything at its URL but for the pages.
    pub fn publish_all_but_pages(&self) -> Output {
        let Self { config, options, .. } = self;
        Output {
            published: self.others(),
            keeping: options.keeping,
            compress: if options.compress { config.build.compress.clone() } else { Vec::new() },
            security: config.security.clone(),
            headers: config.headers.clone(),
            sheets: self.sheet_sources(),
            last_modified: options.time,
            settings: Settings {
                trailing_slash: config.build.trailing_slash,
                canonical_host: config.canonical_host.clone(),
            },
            build_info: vec![("compiler".to_owned(), format!("kiln {}", env!("CARGO_PKG_VERSION")))],
        }
    }

    /// Redirects, files among the pages, static files under both their names, and what the compiler made where the site has
    /// nothing of its own.
    fn others(&self) -> Vec<Published> {
        let Self { other_files, config, site, manifest, made, .. } = self;
        let mut published = Vec::new();
        for page in site.index.aliased.iter().map(|number| &site.pages[*number]) {
            let aliases = page.aliases.iter();
            published.extend(
                aliases.map(|(alias, _)| Published::redirect(alias.as_str().to_owned(), 301, page.url.clone())),
            );
        }
        published.extend(config.redirects.iter().map(publish_redirect));
        for file in other_files.iter() {
            let path = format!("/{}", file.name);
            // An image's metadata is never published, wherever it lies.
            let bytes = manifest.find(&path).map_or(&file.bytes, |image| &image.bytes);
            published.push(Published::new(path, RouteKind::File, media_type(&file.extension()), bytes.clone()));
        }
        for asset in manifest.published() {
            let kind = if asset.is_digested { RouteKind::Asset } else { RouteKind::File };
            let (path, bytes) = (asset.path.to_owned(), asset.bytes.clone());
            let plain_path = asset.is_digested.then(|| asset.plain_path.to_owned());
            published.push(Published { plain_path, ..Published::new(path, kind, media_type_of(asset.path), bytes) });
        }
        let taken: HashSet<String> = published.iter().map(|one| one.path.clone()).collect();
        let missing = made.iter().filter(|file| !taken.contains(&file.path) && !site.has_page_at(&file.path));
        published.extend(missing.map(|file| {
            Published::new(file.path.clone(), RouteKind::File, file.media_type.to_owned(), file.body.clone())
        }));
        published
    }

    /// What the site's style sheets load from other hosts, by the paths under which pages name them.
    fn sheet_sources(&self) -> SheetSources {
        let sheets = self.manifest.published().filter(|asset| media_type_of(asset.path).starts_with("text/css"));
        // One that can't be read any more fails the build when it is written.
        let read = |bytes: &Bytes| read_sheet(&String::from_utf8_lossy(&bytes.read().unwrap_or_default()));
        let sheets = sheets.map(|sheet| (sheet.path.to_owned(), read(sheet.bytes)));
        find_sheet_sources(&sheets.collect())
    }
}

fn publish_redirect(redirect: &Redirect) -> Published {
    if let Some(path) = redirect.pattern_path() {
        return Published::pattern(path, redirect.status, redirect.to.clone());
    }
    let from =
        RoutePath::parse(&redirect.from).map_or_else(|_| redirect.from.clone(), |route| route.as_str().to_owned());
    Published::redirect(from, redirect.status, redirect.to.clone())
}

/// A page at its URL, with this text.
pub fn publish_page(page: &Page, body: Bytes) -> Published {
    let is_not_found_page = page.route.as_str() == "/404";
    Published {
        status: if is_not_found_page { 404 } else { 200 },
        noindex: page.has_flag("noindex") || page.is_private(),
        ..Published::new(page.path(), RouteKind::Page, "text/html; charset=utf-8".to_owned(), body)
    }
}
