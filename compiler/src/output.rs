//! Everything that a build publishes, on its way into a bundle: type, caching, codings and the written head of each
//! route. It decides nothing about pages; it gets finished bytes.

mod again;
mod compress;
mod dist;
mod head;
mod look;
mod weight;

use std::fmt;
use std::io;

use bundle::{
    BundleWriter, Encoding, FrontView, PackedBundle, RouteEntry, RouteKind, Settings, VariantEntry, WriteError,
};
use rayon::prelude::*;

use again::Again;
pub use compress::compress;
pub use dist::{BUNDLE_NAME, WriteDistError, write_dist, write_text};
pub use head::{Caching, HeadFields, media_type};
pub use weight::Overweight;

use crate::bytes::{Bytes, OpenFile};
use crate::cache::Cache;
use crate::config::{Csp, HeaderRule, Security};
use crate::security::{SheetSources, frame_ancestors, page_policy};
use crate::site::is_behind_password;

/// One URL with its finished body.
#[derive(Clone, Debug)]
pub struct Published {
    /// The percent-decoded path; a page's ends with a slash if the site wants that.
    pub path: String,
    /// The path without the digest that is in it, as the site writes it; nothing if there is none in it.
    pub plain_path: Option<String>,
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
    pub body: Bytes,
}

impl Published {
    /// An answer with status 200, private if it answers behind a password.
    pub fn new(path: String, kind: RouteKind, media_type: String, body: Bytes) -> Self {
        let is_private = is_behind_password(path.as_bytes());
        Self {
            path,
            plain_path: None,
            kind,
            status: 200,
            location: String::new(),
            media_type,
            noindex: is_private,
            is_private,
            body,
        }
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
        Self { status, location, ..Self::new(path, kind, media_type, body.into()) }
    }

    /// A redirect for more than one path: both path and location have gaps.
    pub fn pattern(path: String, status: u16, location: String) -> Self {
        let body: &[u8] = match status {
            410 => b"<!doctype html><title>Gone</title><p>This page is gone.</p>\n",
            _ => b"<!doctype html><title>Moved</title><p>This page has moved.</p>\n",
        };
        let media_type = "text/html; charset=utf-8".to_owned();
        Self { status, location, ..Self::new(path, RouteKind::Pattern, media_type, body.into()) }
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

/// The bundle of an earlier build, its bodies left in its file.
#[derive(Debug)]
pub struct Previous {
    /// The file that was checked, whatever lies in its place by now.
    pub file: OpenFile,
    /// All of it but the bodies.
    pub view: FrontView,
}

/// Earlier bundles that a build takes something from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bases<'a> {
    /// The one whose digested assets are carried along.
    pub previous: Option<&'a Previous>,
    /// The last build's, in which pages lie that may still be the same.
    pub last: Option<&'a Previous>,
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
    /// Fields of some paths.
    pub headers: Vec<HeaderRule>,
    /// What style sheets load from other hosts.
    pub sheets: SheetSources,
    /// `Last-Modified` of everything, in seconds since 1970, if the build was given a time.
    pub last_modified: Option<u64>,
    /// What the server must know.
    pub settings: Settings,
    /// Free text about the build.
    pub build_info: Vec<(String, String)>,
}

/// Why nothing could be packed.
#[derive(Debug)]
pub enum PackError {
    /// A file of which bytes were to be published can't be read any more, or isn't what it was.
    Read(io::Error),
    /// The format can't hold it.
    Format(WriteError),
    /// What was made doesn't fit together: a mistake in this program.
    Faults(Vec<String>),
}

impl fmt::Display for PackError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(out),
            Self::Format(error) => error.fmt(out),
            Self::Faults(faults) => {
                out.write_str("this is a fault of kiln and not of the site; nothing was written, please report it:")?;
                faults.iter().take(FAULTS_SHOWN_MAX).try_for_each(|fault| write!(out, "\n  {fault}"))?;
                if faults.len() > FAULTS_SHOWN_MAX {
                    write!(out, "\n  and {} more", faults.len() - FAULTS_SHOWN_MAX)
                } else {
                    Ok(())
                }
            }
        }
    }
}

impl std::error::Error for PackError {}

impl From<io::Error> for PackError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// One is enough to find the cause; a few show what they have in common.
const FAULTS_SHOWN_MAX: usize = 10;

impl Output {
    /// Packs everything after a last look at it: nothing is written that doesn't fit together.
    ///
    /// # Errors
    /// As `pack`; or what doesn't fit together.
    pub fn pack_checked(self, bases: Bases<'_>, cache: &Cache) -> Result<PackedBundle<Bytes>, PackError> {
        let again = Again::new(&self, bases.last, cache);
        let routes = self.published.par_iter().map(|published| {
            let key = again.key(published);
            if let Some(route) = again.find(key.as_ref(), published) {
                return Ok((route, false));
            }
            let route = self.route_entry(published, cache)?;
            again.keep(key.as_ref(), &route);
            Ok((route, true))
        });
        let (routes, are_new): (Vec<_>, Vec<_>) = routes.collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
        let is_policy = |(name, _): &(String, String)| name.eq_ignore_ascii_case("Content-Security-Policy");
        let has_own_policy = self.headers.iter().any(|rule| rule.set.iter().any(is_policy));
        let has_policy = self.security.csp == Csp::Auto && !has_own_policy;
        let faults = look::find_faults(&self.published, &routes, &are_new, has_policy)?;
        if !faults.is_empty() {
            return Err(PackError::Faults(faults));
        }
        self.lay_out(routes, bases.previous)
    }

    /// Compresses every body and writes every head, in parallel, and lays out the bundle. Digested assets of `previous`
    /// that this build doesn't have are carried along, so that a page loaded from the old bundle finds them.
    ///
    /// # Errors
    /// A route that the format can't hold, or two for one path; a body that can't be read any more.
    pub fn pack(self, previous: Option<&Previous>, cache: &Cache) -> Result<PackedBundle<Bytes>, PackError> {
        let routes = self.published.par_iter().map(|published| self.route_entry(published, cache));
        let routes = routes.collect::<io::Result<Vec<_>>>()?;
        self.lay_out(routes, previous)
    }

    fn lay_out(
        self,
        routes: Vec<RouteEntry<Bytes>>,
        previous: Option<&Previous>,
    ) -> Result<PackedBundle<Bytes>, PackError> {
        let mut writer = BundleWriter::<Bytes>::new(self.settings, self.build_info);
        if let Some(previous) = previous {
            let own: std::collections::HashSet<_> = routes.iter().map(|route| route.path.as_bytes()).collect();
            let assets = previous.view.routes().filter(|route| route.kind() == RouteKind::Asset);
            for route in assets.filter(|route| !own.contains(route.path())) {
                writer.add(kept_asset(&route, previous)?);
            }
        }
        for route in routes {
            writer.add(route);
        }
        let bundle = writer.finish().map_err(PackError::Format);
        // Nobody needs to wait until 30,000 heads are given back.
        rayon::spawn(move || drop((writer, self.published)));
        bundle
    }

    /// One published URL as the bundle holds it.
    ///
    /// # Errors
    /// Its body lies in a file, and can't be read any more.
    pub fn route_entry(&self, published: &Published, cache: &Cache) -> io::Result<RouteEntry<Bytes>> {
        let wanted = if head::is_compressible(&published.media_type) { &self.compress[..] } else { &[] };
        let mut bodies = vec![(Encoding::Identity, published.body.clone())];
        for encoding in wanted {
            let compressed = compress(*encoding, published.kind, &bodies[0].1, cache)?;
            bodies.extend(compressed.map(|body| (*encoding, body)));
        }
        let varies = bodies.len() > 1;
        let policy = self.policy(published)?;
        let plain_path = published.plain_path.as_ref().unwrap_or(&published.path);
        let rules: Vec<_> = self.headers.iter().filter(|rule| rule.matches(plain_path)).collect();
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
            policy: policy.as_deref(),
            rules: &rules,
        };
        let variants = bodies.into_iter().map(|(encoding, body)| {
            let head = fields.write(encoding, &body);
            VariantEntry { encoding, head, body }
        });
        Ok(RouteEntry {
            path: published.path.clone(),
            kind: published.kind,
            status: published.status,
            location: published.location.clone(),
            variants: variants.collect(),
        })
    }
}

impl Output {
    /// The policy of a page, with who may show it in a frame.
    fn policy(&self, published: &Published) -> io::Result<Option<String>> {
        if !published.media_type.starts_with("text/html") {
            return Ok(None);
        }
        Ok(match &self.security.csp {
            Csp::Off => None,
            Csp::Own(policy) => Some(policy.clone()),
            Csp::Auto => {
                let body = published.body.read()?;
                let policy = page_policy(str::from_utf8(&body).unwrap_or_default(), &self.sheets);
                Some(policy + frame_ancestors(&self.security.frame_options))
            }
        })
    }
}

/// A route of an older bundle, its bytes as they were.
fn kept_asset(route: &bundle::Route<'_>, previous: &Previous) -> io::Result<RouteEntry<Bytes>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let variants = route.variants().map(|variant| {
        let head = variant.head();
        Ok(VariantEntry {
            encoding: variant.encoding(),
            head: bundle::HeadParts {
                status_line: text(head.status_line()),
                length: text(head.length()),
                content: text(head.content()),
                shared: text(head.shared()),
            },
            body: previous.file.read_part(variant.body_range())?,
        })
    });
    Ok(RouteEntry {
        path: text(route.path()),
        kind: RouteKind::KeptAsset,
        status: route.status(),
        location: String::new(),
        variants: variants.collect::<io::Result<_>>()?,
    })
}

#[cfg(test)]
impl Output {
    /// These, with settings as they are without a word of the site.
    fn of(published: Vec<Published>) -> Self {
        Self {
            published,
            keeping: Keeping::ByKind,
            compress: Vec::new(),
            security: crate::config::Config::default().security,
            headers: Vec::new(),
            sheets: SheetSources::new(),
            last_modified: None,
            settings: Settings { trailing_slash: false, canonical_host: String::new() },
            build_info: Vec::new(),
        }
    }
}
