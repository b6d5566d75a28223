//! The sites of a server, each under its host's name, with what was served before; each can be replaced at any time.

use std::cell::OnceCell;
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
    /// Set while somebody writes over the file that is served.
    is_torn: bool,
}

impl<B> Clone for Served<B> {
    fn clone(&self) -> Self {
        Self { host: self.host.clone(), current: Arc::clone(&self.current), is_torn: self.is_torn }
    }
}

/// What a site was before.
#[derive(Debug)]
struct Earlier<S> {
    /// The number of the site in [`Catalogue::served`].
    number: usize,
    site: S,
}

/// All sites of a server at one time.
#[derive(Debug)]
struct Catalogue<B> {
    version: u64,
    served: Vec<Served<B>>,
    /// What was served before, of each site the newest first: its digested files still answer. The handler keeps it; who
    /// sends something of it takes hold of that one.
    earlier: Vec<Earlier<Weak<Site<B>>>>,
}

/// The sites as a connection sees them while it answers: with what is served, and what it sends of earlier bundles. It
/// holds on to no others, so that a long download keeps one bundle alive and not its predecessors.
#[derive(Debug)]
pub struct CatalogueView<B> {
    catalogue: Arc<Catalogue<B>>,
    /// For each of [`Catalogue::earlier`].
    held: Vec<OnceCell<Arc<Site<B>>>>,
}

impl<B: SiteBytes> CatalogueView<B> {
    fn new(catalogue: Arc<Catalogue<B>>) -> Self {
        let held = catalogue.earlier.iter().map(|_| OnceCell::new()).collect();
        Self { catalogue, held }
    }

    /// What is served for the site with this number, if there is anything whole.
    fn current(&self, number: usize) -> Option<&Site<B>> {
        self.catalogue.served.get(number).filter(|served| !served.is_torn).map(|served| &*served.current)
    }

    fn answer(&self, number: usize, request: &Request<'_>, added: &mut Vec<u8>) -> Answer<'_> {
        let Some(current) = self.current(number) else { return unavailable() };
        // Whoever loaded a page before a deployment finds all that belongs to it after it.
        if !self.held.is_empty()
            && has_digest(&request.path)
            && current.bundle.find(&request.path).is_none()
            && let Some(site) = self.earlier_with_asset(number, &request.path)
        {
            return site.answer(request, added);
        }
        current.answer(request, added)
    }

    fn earlier_with_asset(&self, number: usize, path: &[u8]) -> Option<&Site<B>> {
        let is_asset = |route: &Route<'_>| route.kind() == RouteKind::Asset;
        let mut of_site = self.catalogue.earlier.iter().zip(&self.held).filter(|(earlier, _)| earlier.number == number);
        of_site.find_map(|(earlier, held)| {
            let site = earlier.site.upgrade()?;
            site.bundle.find(path).filter(is_asset)?;
            Some(&**held.get_or_init(|| site))
        })
    }

    fn place_of(&self, bytes: &[u8]) -> Option<(&File, usize)> {
        let current = self.catalogue.served.iter().map(|served| &served.current);
        current.chain(self.held.iter().filter_map(OnceCell::get)).find_map(|site| site.place_of(bytes))
    }
}

/// While there is nothing whole to serve.
fn unavailable() -> Answer<'static> {
    Answer::bare(503, "Retry-After: 1\r\n")
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
    stock: Mutex<Stock<B>>,
    /// The catalogue's version, to be looked at without the lock.
    version: AtomicU64,
    unknown_host: UnknownHost,
    generations_kept: usize,
}

/// What a handler holds on to.
#[derive(Debug)]
struct Stock<B> {
    catalogue: Arc<Catalogue<B>>,
    /// In the order of [`Catalogue::earlier`].
    earlier: Vec<Earlier<Arc<Site<B>>>>,
    /// Every site that may still be held by somebody.
    alive: Vec<Weak<Site<B>>>,
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
            Served { host, current: Arc::new(site), is_torn: false }
        });
        let served = served.collect::<Vec<_>>();
        let alive = served.iter().map(|served| Arc::downgrade(&served.current)).collect();
        let catalogue = Arc::new(Catalogue { version: 0, served, earlier: Vec::new() });
        Self {
            stock: Mutex::new(Stock { catalogue, earlier: Vec::new(), alive }),
            version: AtomicU64::new(0),
            unknown_host,
            generations_kept,
        }
    }

    /// Puts a new bundle in the place of the site with this number. Requests under way finish on the old one.
    pub fn replace(&self, number: usize, site: Site<B>) {
        let site = Arc::new(site);
        self.change(|served, stock| {
            stock.alive.push(Arc::downgrade(&site));
            let old = std::mem::replace(&mut served[number].current, site);
            served[number].is_torn = false;
            // The same bundle once more is no generation.
            if old.bundle.digest() != served[number].current.bundle.digest() {
                stock.earlier.insert(0, Earlier { number, site: old });
                let mut kept_count = 0;
                stock.earlier.retain(|earlier| {
                    kept_count += usize::from(earlier.number == number);
                    earlier.number != number || kept_count <= self.generations_kept
                });
            }
        });
    }

    /// Answers 503 for the site with this number until it is replaced: its bytes are not what was checked.
    pub fn mark_torn(&self, number: usize) {
        self.change(|served, _| served[number].is_torn = true);
    }

    /// What is served for the site with this number, if somebody has written over its file.
    pub fn overwritten(&self, number: usize) -> Option<Arc<Site<B>>> {
        let current = self.lock().catalogue.served.get(number).map(|served| Arc::clone(&served.current));
        current.filter(|site| site.is_overwritten())
    }

    /// Lets go of earlier bundles whose files somebody has written over: their bytes are not what was checked. Returns them.
    pub fn forget_overwritten(&self) -> Vec<Arc<Site<B>>> {
        if !self.lock().earlier.iter().any(|earlier| earlier.site.is_overwritten()) {
            return Vec::new();
        }
        let mut forgotten = Vec::new();
        self.change(|_, stock| {
            let (overwritten, kept) =
                std::mem::take(&mut stock.earlier).into_iter().partition(|earlier| earlier.site.is_overwritten());
            stock.earlier = kept;
            forgotten = overwritten;
        });
        forgotten.into_iter().map(|Earlier { site, .. }| site).collect()
    }

    /// How many bundles are held, by this handler or by requests under way.
    pub fn alive_count(&self) -> usize {
        let alive = &mut self.lock().alive;
        alive.retain(|site| site.strong_count() > 0);
        alive.len()
    }

    /// How many bundles may be held: those that are served or kept, and for each site one that requests under way read.
    pub fn alive_count_max(&self) -> usize {
        self.lock().catalogue.served.len().saturating_mul(self.generations_kept.saturating_add(2))
    }

    fn change(&self, edit: impl FnOnce(&mut Vec<Served<B>>, &mut Stock<B>)) {
        let mut stock = self.lock();
        let mut served = stock.catalogue.served.clone();
        edit(&mut served, &mut stock);
        let earlier = stock.earlier.iter().map(|Earlier { number, site }| {
            let site = Arc::downgrade(site);
            Earlier { number: *number, site }
        });
        let version = stock.catalogue.version + 1;
        stock.catalogue = Arc::new(Catalogue { version, served, earlier: earlier.collect() });
        self.version.store(version, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Stock<B>> {
        // Nothing in here panics half-way through a change.
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: SiteBytes> Handler for SiteHandler<B> {
    type View = CatalogueView<B>;

    fn view(&self) -> Self::View {
        CatalogueView::new(Arc::clone(&self.lock().catalogue))
    }

    fn renew(&self, view: &mut Self::View) {
        if view.catalogue.version == self.version.load(Ordering::Acquire) {
            view.held.iter_mut().for_each(|held| drop(held.take()));
        } else {
            *view = self.view();
        }
    }

    fn answer<'v>(&self, request: &Request<'_>, view: &'v Self::View, added: &mut Vec<u8>) -> Answer<'v> {
        match self.number_of(request, view) {
            Some(number) => view.answer(number, request, added),
            None => Answer::bare(421, ""),
        }
    }

    fn answer_missing<'v>(&self, request: &Request<'_>, view: &'v Self::View) -> Answer<'v> {
        let Some(number) = self.number_of(request, view) else { return Answer::bare(421, "") };
        match view.current(number) {
            Some(site) => site.answer_missing(request),
            None => unavailable(),
        }
    }

    fn place_of<'v>(&self, view: &'v Self::View, bytes: &[u8]) -> Option<(&'v File, usize)> {
        view.place_of(bytes)
    }

    fn may_wait(&self) -> bool {
        false
    }
}

impl<B: SiteBytes> SiteHandler<B> {
    /// The number of the site that a request is for.
    fn number_of(&self, request: &Request<'_>, view: &CatalogueView<B>) -> Option<usize> {
        let served = &view.catalogue.served;
        let takes_all = self.unknown_host == UnknownHost::FirstSite;
        if served.len() == 1 && takes_all {
            return Some(0);
        }
        let name = request.host.map(host_name).unwrap_or_default();
        let named = served.iter().position(|served| served.host.as_bytes().eq_ignore_ascii_case(name));
        // A probe asks by address, and wants to know whether the server is well.
        named.or((takes_all || *request.path == b"/health"[..]).then_some(0))
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

    fn answer_missing<'v>(&self, request: &Request<'_>, view: &'v Self::View) -> Answer<'v> {
        H::answer_missing(self, request, view)
    }

    fn place_of<'v>(&self, view: &'v Self::View, bytes: &[u8]) -> Option<(&'v File, usize)> {
        H::place_of(self, view, bytes)
    }

    fn may_wait(&self) -> bool {
        H::may_wait(self)
    }
}
