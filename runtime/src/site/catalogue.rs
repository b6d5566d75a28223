//! The sites of a server, each under its host's name, with what was served before; each can be replaced at any time.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bundle::{Route, RouteKind};

use super::{Handler, Site, SiteBytes, has_digest, host_name};
use crate::http::request::Request;
use crate::http::response::Answer;

/// One site of a server.
#[derive(Debug)]
struct Served<B> {
    /// The host name for which it answers.
    host: String,
    current: Arc<Site<B>>,
    /// What was served before, the newest first: its digested files still answer.
    earlier: Vec<Arc<Site<B>>>,
    /// Set while somebody writes over the file that is served.
    is_torn: bool,
}

impl<B> Clone for Served<B> {
    fn clone(&self) -> Self {
        let (current, earlier) = (Arc::clone(&self.current), self.earlier.clone());
        Self { host: self.host.clone(), current, earlier, is_torn: self.is_torn }
    }
}

impl<B: SiteBytes> Served<B> {
    fn place_of(&self, bytes: &[u8]) -> Option<(&File, usize)> {
        std::iter::once(&self.current).chain(&self.earlier).find_map(|site| site.place_of(bytes))
    }

    fn answer(&self, request: &Request<'_>, added: &mut Vec<u8>) -> Answer<'_> {
        if self.is_torn {
            return Answer::bare(503, "Retry-After: 1\r\n");
        }
        // Whoever loaded a page before a deployment finds all that belongs to it after it.
        let is_asset = |route: &Route<'_>| route.kind() == RouteKind::Asset;
        if !self.earlier.is_empty() && has_digest(&request.path) && self.current.bundle.find(&request.path).is_none() {
            let earlier =
                self.earlier.iter().find(|site| site.bundle.find(&request.path).is_some_and(|r| is_asset(&r)));
            if let Some(site) = earlier {
                return site.answer(request, added);
            }
        }
        self.current.answer(request, added)
    }
}

/// All sites of a server at one time. A connection holds one while it answers.
#[derive(Debug)]
pub struct Catalogue<B> {
    version: u64,
    served: Vec<Served<B>>,
}

/// What becomes of a request for a host that no site has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnknownHost {
    /// The first site answers.
    FirstSite,
    /// 421.
    Misdirected,
}

/// Serves sites, each of which can be replaced while it serves.
#[derive(Debug)]
pub struct SiteHandler<B> {
    catalogue: Mutex<Arc<Catalogue<B>>>,
    /// The catalogue's version, to be looked at without the lock.
    version: AtomicU64,
    unknown_host: UnknownHost,
    generations_kept: usize,
    /// Every site that may still be held by somebody.
    alive: Mutex<Vec<Weak<Site<B>>>>,
}

impl<B: SiteBytes> SiteHandler<B> {
    /// Serves this site for every host, and keeps nothing when it is replaced.
    pub fn new(site: Site<B>) -> Self {
        Self::with_hosts(vec![(String::new(), site)], UnknownHost::FirstSite, 0)
    }

    /// Serves each site for its host, and after a replacement the digested files of so many earlier ones.
    pub fn with_hosts(sites: Vec<(String, Site<B>)>, unknown_host: UnknownHost, generations_kept: usize) -> Self {
        let served = sites.into_iter().map(|(host, site)| {
            let host = host.to_ascii_lowercase();
            Served { host, current: Arc::new(site), earlier: Vec::new(), is_torn: false }
        });
        let served = served.collect::<Vec<_>>();
        let alive = served.iter().map(|served| Arc::downgrade(&served.current)).collect();
        Self {
            catalogue: Mutex::new(Arc::new(Catalogue { version: 0, served })),
            version: AtomicU64::new(0),
            unknown_host,
            generations_kept,
            alive: Mutex::new(alive),
        }
    }

    /// Puts a new bundle in the place of the site with this number. Requests under way finish on the old one.
    pub fn replace(&self, number: usize, site: Site<B>) {
        let site = Arc::new(site);
        self.alive().push(Arc::downgrade(&site));
        self.change(number, |served| {
            let old = std::mem::replace(&mut served.current, site);
            // The same bundle once more is no generation.
            if old.bundle.digest() != served.current.bundle.digest() {
                served.earlier.insert(0, old);
                served.earlier.truncate(self.generations_kept);
            }
            served.is_torn = false;
        });
    }

    /// Answers 503 for the site with this number until it is replaced: its bytes are not what was checked.
    pub fn mark_torn(&self, number: usize) {
        self.change(number, |served| served.is_torn = true);
    }

    /// How many bundles are held, by this handler or by requests under way.
    pub fn alive_count(&self) -> usize {
        let mut alive = self.alive();
        alive.retain(|site| site.strong_count() > 0);
        alive.len()
    }

    /// How many bundles may be held: those that are served or kept, and for each site one that requests under way read.
    pub fn alive_count_max(&self) -> usize {
        self.lock().served.len() * (self.generations_kept + 2)
    }

    fn change(&self, number: usize, edit: impl FnOnce(&mut Served<B>)) {
        let mut catalogue = self.lock();
        let mut served = catalogue.served.clone();
        edit(&mut served[number]);
        *catalogue = Arc::new(Catalogue { version: catalogue.version + 1, served });
        self.version.store(catalogue.version, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Catalogue<B>>> {
        // Nothing in here panics half-way through a change.
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> MutexGuard<'_, Vec<Weak<Site<B>>>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: SiteBytes> Handler for SiteHandler<B> {
    type View = Arc<Catalogue<B>>;

    fn view(&self) -> Self::View {
        Arc::clone(&self.lock())
    }

    fn renew(&self, view: &mut Self::View) {
        if view.version != self.version.load(Ordering::Acquire) {
            *view = self.view();
        }
    }

    fn answer<'v>(&self, request: &Request<'_>, view: &'v Self::View, added: &mut Vec<u8>) -> Answer<'v> {
        let [only] = &view.served[..] else { return self.answer_for_host(request, view, added) };
        if self.unknown_host == UnknownHost::FirstSite {
            only.answer(request, added)
        } else {
            self.answer_for_host(request, view, added)
        }
    }

    fn place_of<'v>(&self, view: &'v Self::View, bytes: &[u8]) -> Option<(&'v File, usize)> {
        view.served.iter().find_map(|served| served.place_of(bytes))
    }

    fn may_wait(&self) -> bool {
        false
    }
}

impl<B: SiteBytes> SiteHandler<B> {
    fn answer_for_host<'v>(&self, request: &Request<'_>, view: &'v Catalogue<B>, added: &mut Vec<u8>) -> Answer<'v> {
        let name = request.host.map(host_name).unwrap_or_default();
        let named = view.served.iter().find(|served| served.host.as_bytes().eq_ignore_ascii_case(name));
        // A probe asks by address, and wants to know whether the server is well.
        let is_for_all = self.unknown_host == UnknownHost::FirstSite || *request.path == b"/health"[..];
        match named.or_else(|| view.served.first().filter(|_| is_for_all)) {
            Some(served) => served.answer(request, added),
            None => Answer::bare(421, ""),
        }
    }
}

/// A handler that is shared with whoever changes it.
impl<H: Handler> Handler for Arc<H> {
    type View = H::View;

    fn view(&self) -> Self::View {
        H::view(self)
    }

    fn renew(&self, view: &mut Self::View) {
        H::renew(self, view);
    }

    fn answer<'v>(&self, request: &Request<'_>, view: &'v Self::View, added: &mut Vec<u8>) -> Answer<'v> {
        H::answer(self, request, view, added)
    }

    fn place_of<'v>(&self, view: &'v Self::View, bytes: &[u8]) -> Option<(&'v File, usize)> {
        H::place_of(self, view, bytes)
    }

    fn may_wait(&self) -> bool {
        H::may_wait(self)
    }
}
