//! Everything that a build publishes, on its way into a bundle: type, caching, codings and the written head of each
//! route. It decides nothing about pages; it gets finished bytes.

mod compress;
mod dist;
mod head;

use std::sync::Arc;

use bundle::{
    BundleView, BundleWriter, Encoding, PackedBundle, RouteEntry, RouteKind, Settings, VariantEntry, WriteError,
};
use rayon::prelude::*;

pub use compress::compress;
pub use dist::{BUNDLE_NAME, WriteDistError, write_dist};
pub use head::{Caching, HeadFields, media_type};

use crate::cache::Cache;
use crate::config::Security;

/// One URL with its finished body.
#[derive(Clone, Debug)]
pub struct Published {
    /// The percent-decoded path; a page's ends with a slash if the site wants that.
    pub path: String,
    /// How the server treats it.
    pub kind: RouteKind,
    /// The status of its answers.
    pub status: u16,
    /// Where a redirect leads; empty for all others.
    pub location: String,
    /// `Content-Type`.
    pub media_type: String,
    /// `X-Robots-Tag: noindex`.
    pub noindex: bool,
    /// Nobody but the visitor may keep it, nor the browser for long: `Cache-Control: private, no-store`.
    pub is_private: bool,
    /// The body as it is.
    pub body: Arc<[u8]>,
}

impl Published {
    /// An answer with status 200.
    pub fn new(path: String, kind: RouteKind, media_type: String, body: Arc<[u8]>) -> Self {
        Self { path, kind, status: 200, location: String::new(), media_type, noindex: false, is_private: false, body }
    }

    /// A redirect, or with status 410 and no location the word that something is gone.
    pub fn redirect(path: String, status: u16, location: String) -> Self {
        let body = if location.is_empty() {
            "<!doctype html><title>Gone</title><p>This page is gone.</p>\n".to_owned()
        } else {
            format!("<!doctype html><title>Moved</title><p>Moved to <a href=\"{0}\">{0}</a>.</p>\n", escape(&location))
        };
        let kind = if location.is_empty() { RouteKind::Page } else { RouteKind::Redirect };
        let media_type = "text/html; charset=utf-8".to_owned();
        Self {
            path,
            kind,
            status,
            location,
            media_type,
            noindex: false,
            is_private: false,
            body: body.into_bytes().into(),
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// What clients may keep of a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeping {
    /// What its kind allows: digested files for ever.
    ByKind,
    /// Nothing: the site is being edited.
    Nothing,
}

/// Everything published, and what holds for all of it.
#[derive(Clone, Debug)]
pub struct Output {
    /// In any order.
    pub published: Vec<Published>,
    /// What clients may keep.
    pub keeping: Keeping,
    /// Codings to make beside identity.
    pub compress: Vec<Encoding>,
    /// Fields of every head.
    pub security: Security,
    /// `Last-Modified` of everything, in seconds since 1970, if the build was given a time.
    pub last_modified: Option<u64>,
    /// What the server must know.
    pub settings: Settings,
    /// Free text about the build.
    pub build_info: Vec<(String, String)>,
}

impl Output {
    /// Compresses every body and writes every head, in parallel, and lays out the bundle. Digested assets of `previous`
    /// that this build doesn't have are carried along, so that a page loaded from the old bundle finds them.
    ///
    /// # Errors
    /// A route that the format can't hold, or two for one path.
    pub fn pack<B: AsRef<[u8]>>(
        self,
        previous: Option<&BundleView<B>>,
        cache: &Cache,
    ) -> Result<PackedBundle, WriteError> {
        let routes: Vec<_> = self.published.par_iter().map(|published| self.route_entry(published, cache)).collect();
        let mut writer = BundleWriter::new(self.settings, self.build_info);
        if let Some(previous) = previous {
            let own: std::collections::HashSet<_> = routes.iter().map(|route| route.path.as_bytes()).collect();
            let assets = previous.routes().filter(|route| route.kind() == RouteKind::Asset);
            for route in assets.filter(|route| !own.contains(route.path())) {
                writer.add(kept_asset(&route));
            }
        }
        for route in routes {
            writer.add(route);
        }
        writer.finish()
    }

    /// One published URL as the bundle holds it.
    pub fn route_entry(&self, published: &Published, cache: &Cache) -> RouteEntry {
        let wanted = if head::is_compressible(&published.media_type) { &self.compress[..] } else { &[] };
        let mut bodies = vec![(Encoding::Identity, Arc::clone(&published.body))];
        bodies.extend(wanted.iter().filter_map(|encoding| {
            let body = compress(*encoding, published.kind, &published.body, cache)?;
            Some((*encoding, Arc::from(body)))
        }));
        let varies = bodies.len() > 1;
        let fields = HeadFields {
            status: published.status,
            media_type: &published.media_type,
            caching: match published.kind {
                _ if published.is_private || self.keeping == Keeping::Nothing => Caching::Never,
                RouteKind::Asset => Caching::Immutable,
                _ => Caching::Revalidate,
            },
            varies,
            noindex: published.noindex,
            last_modified: self.last_modified,
            security: &self.security,
        };
        let variants = bodies.into_iter().map(|(encoding, body)| VariantEntry {
            encoding,
            head: fields.write(encoding, &body),
            body,
        });
        RouteEntry {
            path: published.path.clone(),
            kind: published.kind,
            status: published.status,
            location: published.location.clone(),
            variants: variants.collect(),
        }
    }
}

/// A route of an older bundle, its bytes as they were.
fn kept_asset(route: &bundle::Route<'_>) -> RouteEntry {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let variants = route.variants().map(|variant| {
        let head = variant.head();
        VariantEntry {
            encoding: variant.encoding(),
            head: bundle::HeadParts {
                status_line: text(head.status_line()),
                length: text(head.length()),
                content: text(head.content()),
                shared: text(head.shared()),
            },
            body: variant.body().into(),
        }
    });
    RouteEntry {
        path: text(route.path()),
        kind: RouteKind::KeptAsset,
        status: route.status(),
        location: String::new(),
        variants: variants.collect(),
    }
}
