//! Pages that are sent as they were after the last build. Heads, policies and codings follow from a page's text and from what
//! is set, and lie in the last bundle. What is remembered of a page is a digest of all of it: it is what it was, or it is made
//! and looked at again.

use bundle::{Body, Digest, Encoding, Hasher, HeadParts, RouteEntry, RouteKind, VariantEntry};

use super::{Output, Previous, Published, compress};
use crate::bytes::Bytes;
use crate::cache::{Cache, CacheKey, Shelf};

/// The pages of the last build, as far as they are still sent in the same way.
pub(super) struct Again<'a> {
    last: Option<&'a Previous>,
    cache: &'a Cache,
    compress: &'a [Encoding],
    /// Of all that what is sent follows from besides the page; nothing if nothing can be remembered.
    digest: Option<CacheKey>,
}

impl<'a> Again<'a> {
    /// Those of an output. `last` is the bundle of the last build, whatever it was a build of.
    pub(super) fn new(output: &'a Output, last: Option<&'a Previous>, cache: &'a Cache) -> Self {
        Self { last, cache, compress: &output.compress, digest: digest_of(output, cache) }
    }

    /// The name of what is sent of a page; nothing for all that isn't one.
    pub(super) fn key(&self, published: &Published) -> Option<CacheKey> {
        let digest = self.digest.filter(|_| published.kind == RouteKind::Page)?;
        let Published { path, plain_path, kind, status, location, media_type, noindex, is_private, body } = published;
        let facts = format!("{:?}", (path, plain_path, kind, status, location, media_type, noindex, is_private));
        Some(CacheKey::new("route 1", &[digest.as_bytes(), facts.as_bytes(), body.digest().as_bytes()]))
    }

    /// What was sent of the page, if it would be made the same.
    pub(super) fn find(&self, key: Option<&CacheKey>, published: &Published) -> Option<RouteEntry<Bytes>> {
        // First, since only what was asked for is written.
        let known = self.cache.find_small(Shelf::Routes, key?)?;
        let last = self.last?;
        let variants = last.view.find(published.path.as_bytes())?.variants().map(|variant| {
            let head = variant.head();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
            let body = match variant.encoding() {
                Encoding::Identity => published.body.clone(),
                _ => last.file.read_held(variant.body_range()).ok()?.into(),
            };
            let head = HeadParts {
                status_line: text(head.status_line())?,
                length: text(head.length())?,
                content: text(head.content())?,
                shared: text(head.shared())?,
            };
            Some(VariantEntry { encoding: variant.encoding(), head, body })
        });
        let variants: Vec<_> = variants.collect::<Option<_>>()?;
        if known[..] != digest_variants(&variants).as_bytes()[..] {
            return None;
        }
        // They will be wanted when another page has this text, or the last bundle is gone.
        let body = published.body.digest();
        self.compress.iter().for_each(|encoding| compress::mark_page(*encoding, &body, self.cache));
        let Published { kind, status, .. } = *published;
        let [path, location] = [&published.path, &published.location].map(String::clone);
        Some(RouteEntry { path, kind, status, location, variants })
    }

    /// Remembers what is sent of a page.
    pub(super) fn keep(&self, key: Option<&CacheKey>, route: &RouteEntry<Bytes>) {
        if let Some(key) = key {
            let digest = digest_variants(&route.variants);
            self.cache.keep_small(Shelf::Routes, key, digest.as_bytes().as_slice().into());
        }
    }
}

/// The digest of heads and bodies, by ascending coding.
fn digest_variants(variants: &[VariantEntry<Bytes>]) -> Digest {
    let mut variants: Vec<_> = variants.iter().collect();
    variants.sort_by_key(|variant| variant.encoding);
    let mut hasher = Hasher::default();
    for VariantEntry { encoding, head, body } in variants {
        hasher.update(&[*encoding as u8]);
        for part in [&head.status_line, &head.length, &head.content, &head.shared] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(body.digest().as_bytes());
    }
    hasher.finish()
}

/// What heads, policies and codings of pages follow from besides the pages. With the style sheets and scripts, which pages
/// may verify.
fn digest_of(output: &Output, cache: &Cache) -> Option<CacheKey> {
    let Output { published, keeping, compress, security, headers, sheets, last_modified, .. } = output;
    let is_code =
        |one: &&Published| ["text/css", "text/javascript"].iter().any(|kind| one.media_type.starts_with(kind));
    let code: Vec<_> = published.iter().filter(is_code).map(|one| (&one.path, one.body.digest())).collect();
    let text = format!("{:?}", (keeping, compress, security, headers, sheets, last_modified, code));
    cache.program_key("routes", &[text.as_bytes()])
}
