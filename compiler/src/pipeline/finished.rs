//! Pages that come out as they did in the last build. What a page is made from besides its own file is the same for all of
//! them, and goes into one digest: settings, partials, files, and every path that a link can lead to. A page that lists
//! others is made each time. What is remembered of a page is small, since its text lies in the last bundle: it is what it
//! was, or the page is made.

use std::collections::BTreeSet;

use bundle::Digest;

use super::{Plan, asset_paths, other_files};
use crate::cache::{Cache, CacheKey, Shelf};
use crate::output::Previous;
use crate::render::{Fragment, RenderedPage};
use crate::site::{Page, PageHead};
use crate::source::digest_files;

/// The pages of the last build, as far as they are still the same.
pub(super) struct Finished<'a> {
    cache: &'a Cache,
    last: Option<&'a Previous>,
    /// Of all that every page is made from; nothing if nothing can be remembered.
    digest: Option<CacheKey>,
}

impl<'a> Finished<'a> {
    /// Those of a plan. `last` is the bundle of the last build, whatever it was a build of.
    pub(super) fn new(plan: &Plan, cache: &'a Cache, last: Option<&'a Previous>) -> Self {
        Self { cache, last, digest: digest_of(plan, cache) }
    }

    /// The page as it was, or as `make` makes it.
    pub(super) fn find_or_make(&self, page: &Page, make: impl FnOnce() -> RenderedPage) -> RenderedPage {
        let key = self.key(page);
        if let Some(found) = key.and_then(|key| self.find(page, &key)) {
            // Its code will be highlighted again when a partial changes.
            self.cache.spare(Shelf::Highlighted);
            return found;
        }
        let rendered = make();
        if let Some(key) = key.filter(|_| is_like_any(&rendered)) {
            self.cache.keep_small(Shelf::Pages, &key, encode(&rendered).into());
        }
        rendered
    }

    /// The name of a page that is made of its own file, what all pages are made of, and the posts beside it.
    fn key(&self, page: &Page) -> Option<CacheKey> {
        let (site, body) = (self.digest?, page.body.key.filter(|_| page.part.is_none())?);
        let beside = ["previous_post_url", "previous_post_title", "next_post_url", "next_post_title"];
        let beside = format!("{:?}", beside.map(|name| page.field(name)));
        let parts = [site.as_bytes(), page.content_path.as_bytes(), body.as_bytes(), beside.as_bytes()];
        Some(CacheKey::new("finished page 1", &parts))
    }

    fn find(&self, page: &Page, key: &CacheKey) -> Option<RenderedPage> {
        let last = self.last?;
        let known = self.cache.find_small(Shelf::Pages, key)?;
        let (digest, known) = known.split_first_chunk::<{ Digest::BYTES }>()?;
        let (fragments, partials): (Vec<Fragment>, BTreeSet<String>) = serde_json::from_slice(known).ok()?;
        let body = last.view.find(page.path().as_bytes())?.identity().body_range();
        let text = last.file.read_held(body).ok().filter(|text| Digest::of(text).as_bytes() == digest)?;
        let text = String::from_utf8(text).ok()?;
        Some(RenderedPage { text, fragments, partials, ..RenderedPage::default() })
    }
}

/// Whether a page is made of what all pages are made of, and there is nothing to tell of it.
fn is_like_any(page: &RenderedPage) -> bool {
    let RenderedPage { diagnostics, mistakes, integrities, broken_links, reads_site, .. } = page;
    diagnostics.is_empty() && mistakes.is_empty() && integrities.is_empty() && broken_links.is_empty() && !reads_site
}

fn encode(page: &RenderedPage) -> Vec<u8> {
    let mut bytes = Digest::of(page.text.as_bytes()).as_bytes().to_vec();
    serde_json::to_writer(&mut bytes, &(&page.fragments, &page.partials)).expect("texts are JSON");
    bytes
}

/// All that every page is made from.
fn digest_of(plan: &Plan, cache: &Cache) -> Option<CacheKey> {
    let Plan { sources, config, options, site, .. } = plan;
    let options = format!("{:?}", (options.asset_names, options.image_work, options.live_reload));
    let settings = format!("{config:?}\n{:?}", sources.filtered);
    let files = [&sources.templates, &sources.static_files, &sources.styles, &sources.defaults];
    let digests = files.map(|files| digest_files(files));
    let others: Vec<_> = other_files(sources).cloned().collect();
    let others = digest_files(&others);
    let paths = paths_of(plan);
    let has_posts = [u8::from(!site.index.posts.is_empty())];
    let mut parts: Vec<&[u8]> = vec![options.as_bytes(), settings.as_bytes(), &paths, &has_posts, others.as_bytes()];
    parts.extend(digests.iter().map(|digest| digest.as_bytes().as_slice()));
    cache.program_key("site", &parts)
}

/// Every path that a link can lead to, and what leads there, one after the other.
fn paths_of(plan: &Plan) -> Vec<u8> {
    let Plan { site, manifest, made, .. } = plan;
    let mut paths = Vec::new();
    let mut push = |text: &str| {
        paths.extend_from_slice(&(text.len() as u64).to_le_bytes());
        paths.extend_from_slice(text.as_bytes());
    };
    let left_out = site.left_out.iter().map(|(page, reason)| (page, format!("{reason:?}")));
    for (page, state) in site.all_pages().map(|page| (page, String::new())).chain(left_out) {
        let PageHead { content_path, route, url, aliases, .. } = &*page.head;
        let count = aliases.len().to_string();
        let aliases = aliases.iter().map(|(alias, _)| alias.as_str());
        [&state, content_path, route.as_str(), url, &count].into_iter().chain(aliases).for_each(&mut push);
    }
    let published = asset_paths(manifest).map(|(path, _)| path).chain(made.iter().map(|file| file.path.as_str()));
    published.for_each(push);
    paths
}
