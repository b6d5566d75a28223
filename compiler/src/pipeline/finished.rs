//! Pages that come out as they did in the last build. What a page is made from besides its own file is the same for all of
//! them, and goes into one digest: settings, partials, files, and every path that a link can lead to. What it lists is
//! asked for again, and compared. What is remembered of a page is small, since its text lies in the last bundle: it is what
//! it was, or the page is made.

use std::collections::BTreeSet;

use bundle::Digest;

use super::{Plan, asset_paths};
use crate::cache::{Cache, CacheKey, Shelf};
use crate::output::Previous;
use crate::render::{Fragment, RenderedPage};
use crate::site::{Listing, Page, PageHead, Site};
use crate::source::digest_files;

/// What is remembered of a page besides the digest of its text.
type Known = (Vec<Fragment>, BTreeSet<String>, Vec<Listing>);

/// The pages of the last build, as far as they are still the same.
pub(super) struct Finished<'a> {
    site: &'a Site,
    cache: &'a Cache,
    last: Option<&'a Previous>,
    /// Of all that every page is made from; nothing if nothing can be remembered.
    digest: Option<CacheKey>,
}

impl<'a> Finished<'a> {
    /// Those of a plan. `last` is the bundle of the last build, whatever it was a build of.
    pub(super) fn new(plan: &'a Plan, cache: &'a Cache, last: Option<&'a Previous>) -> Self {
        Self { site: &plan.site, cache, last, digest: digest_of(plan, cache) }
    }

    /// The page as it was, or as `make` makes it.
    pub(super) fn find_or_make(&self, page: &Page, make: impl FnOnce() -> RenderedPage) -> RenderedPage {
        let key = self.key(page);
        if let Some(found) = key.and_then(|key| self.find(page, &key)) {
            // Its code will be highlighted again when a partial changes.
            self.cache.spare(Shelf::Highlighted);
            return found;
        }
        let mut rendered = make();
        if let Some(key) = key {
            let digest = Digest::of(rendered.text.as_bytes());
            if let Some(known) = encode(&rendered, &digest) {
                self.cache.keep_small(Shelf::Pages, &key, known.into());
            }
            rendered.digest = Some(digest);
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
        let (fragments, partials, listings): Known = serde_json::from_slice(known).ok()?;
        if !listings.iter().all(|listing| listing.is_same(self.site, page)) {
            return None;
        }
        let body = last.view.find(page.path().as_bytes())?.identity().body_range();
        let text = last.file.read_held(body).ok().and_then(|text| String::from_utf8(text).ok())?;
        let digest = Some(Digest::of(text.as_bytes())).filter(|found| found.as_bytes() == digest);
        digest.map(|_| RenderedPage { text, digest, fragments, partials, ..RenderedPage::default() })
    }
}

/// What is remembered of a page: the digest of its text, what the check of the whole site looks at, and what it lists.
/// Nothing of one that there is something to tell of, or that has more of the site in it than can be said.
fn encode(page: &RenderedPage, digest: &Digest) -> Option<Vec<u8>> {
    let RenderedPage { diagnostics, lacks, mistakes, integrities, broken_links, .. } = page;
    let is_sound = diagnostics.is_empty() && lacks.is_empty() && mistakes.is_empty() && broken_links.is_empty();
    if !is_sound || !integrities.is_empty() {
        return None;
    }
    let RenderedPage { fragments, partials, listings, .. } = page;
    let mut bytes = digest.as_bytes().to_vec();
    serde_json::to_writer(&mut bytes, &(fragments, partials, listings.all()?)).expect("texts are JSON");
    Some(bytes)
}

/// All that every page is made from.
fn digest_of(plan: &Plan, cache: &Cache) -> Option<CacheKey> {
    let Plan { sources, config, options, site, .. } = plan;
    let options = format!("{:?}", (options.asset_names, options.image_work, options.live_reload));
    let settings = format!("{config:?}\n{:?}", sources.filtered);
    let files = [&sources.templates, &sources.static_files, &sources.styles, &sources.defaults];
    let digests = files.map(|files| digest_files(files));
    let others = digest_files(&plan.other_files);
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
