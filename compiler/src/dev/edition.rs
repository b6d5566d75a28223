//! One state of the site: its plan, and the pages that somebody asked for, each made once and kept as it is sent.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bundle::{Body, BundleView, Digest, PATTERN_COUNT_MAX, RouteEntry, RouteKind, WriteError};
use runtime::http::request::Request;
use runtime::http::response::Answer;
use runtime::site::Site as Map;

use super::client::{self, About, without_script};
use super::recent::Recent;
use crate::assets::is_text_asset;
use crate::bytes::Bytes;
use crate::cache::Cache;
use crate::config;
use crate::diagnostic::{self, Diagnostic, Severity, SourceText};
use crate::html::find_urls;
use crate::output::{Output, PackError, Published};
use crate::pipeline::{Plan, publish_page};
use crate::site::{Page, Site, is_page, percent_decode};
use crate::source::{SourceFile, Sources};

/// Hexadecimal digits of what a page is recognised by.
const DIGEST_DIGITS: usize = 16;

/// An answer as it is sent.
#[derive(Debug)]
pub struct Ready {
    /// The status.
    pub status: u16,
    /// The whole head, but for what the server adds.
    pub head: Vec<u8>,
    /// Where in the head the fields begin that a part of the body has too: behind the status and the length.
    pub fields_start: usize,
    /// The body.
    pub body: Bytes,
}

impl Ready {
    /// The answer that was written for a route's only variant.
    fn of(route: &RouteEntry<Bytes>) -> Self {
        let variant = &route.variants[0];
        let head = &variant.head;
        let fields_start = head.status_line.len() + head.length.len();
        let head = [&head.status_line, &head.length, &head.content, &head.shared].map(String::as_bytes).concat();
        Self { status: route.status, head, fields_start, body: variant.body.clone() }
    }
}

/// What becomes of asking for a page.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The page, or its last version without mistakes.
    pub(super) answer: Option<Arc<Ready>>,
    /// What the version as it should be is recognised by.
    pub(super) digest: String,
    /// What keeps it from being made.
    pub(super) errors: Arc<[Diagnostic]>,
    /// The paths of the site's files that it names.
    pub(super) files: Arc<BTreeSet<String>>,
}

/// One state of the site.
pub struct Edition {
    /// Counts from 1.
    pub number: u64,
    pub(super) plan: Plan,
    /// Every route with its head and without its body: what leads where.
    map: Arc<Map<Vec<u8>>>,
    /// Everything but the pages.
    output: Output,
    /// Numbers of pages by the paths at which they are published.
    pages: Arc<HashMap<String, usize>>,
    /// Files with their heads.
    files: HashMap<String, Arc<Ready>>,
    shown: Mutex<Recent<Shown>>,
    /// From all editions.
    last_good: Arc<Mutex<Recent<Ready>>>,
    /// Pages that can't be read at all any more: their paths and their sources.
    lost: HashMap<String, Arc<str>>,
    config_text: Option<SourceText>,
    config_errors: Vec<Diagnostic>,
}

impl std::fmt::Debug for Edition {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Edition {}", self.number)
    }
}

impl Edition {
    pub(super) fn new(
        plan: Plan,
        config_text: Option<SourceText>,
        config_errors: Vec<Diagnostic>,
        before: Option<&Self>,
    ) -> Self {
        let mut output = plan.publish_all_but_pages();
        // Whoever edits a site asks for it by another name than visitors do.
        output.settings.canonical_host.clear();
        // Where pages are depends on their heads alone, and most edits change texts only.
        let same_pages = before.filter(|before| are_at_same_places(&before.plan.site, &plan.site));
        let pages = same_pages.map_or_else(|| Arc::new(number_pages(&plan.site)), |before| Arc::clone(&before.pages));
        let lost = before.map(|before| before.find_lost(&plan, &pages)).unwrap_or_default();
        let files = ready_files(&output, before);
        let map = same_pages
            .filter(|before| have_same_routes(&before.output, &output))
            .map_or_else(|| Arc::new(draw_map(&plan, &output)), |before| Arc::clone(&before.map));
        Self {
            number: before.map_or(1, |before| before.number + 1),
            plan,
            map,
            output,
            pages,
            files,
            shown: Mutex::default(),
            last_good: before.map(|before| Arc::clone(&before.last_good)).unwrap_or_default(),
            lost,
            config_text,
            config_errors,
        }
    }

    /// What there is, for a person.
    pub fn summary(&self) -> String {
        let counts = self.plan.counts();
        format!("{} pages, {} files", counts.pages, counts.files)
    }

    /// The pages that there are, by the paths at which they are published.
    pub fn page_paths(&self) -> impl Iterator<Item = &str> {
        self.pages.keys().map(String::as_str)
    }

    /// A page as a build makes it, or what keeps it from being made.
    ///
    /// # Errors
    /// The mistakes.
    pub fn page_text(&self, path: &str) -> Result<String, Vec<Diagnostic>> {
        let Some(page) = self.find_page(path) else { return Err(Vec::new()) };
        let rendered = self.plan.render(page);
        let errors = self.errors_of(page, &rendered.reports());
        if errors.is_empty() { Ok(self.without_script(&rendered.text)) } else { Err(errors) }
    }

    /// All files that aren't pages, by path.
    pub fn file_bodies(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.output
            .published
            .iter()
            .filter(|one| matches!(one.kind, RouteKind::File | RouteKind::Asset))
            .map(|one| (one.path.as_str(), &one.body))
    }

    /// A file by its path.
    pub(super) fn find_file(&self, path: &str) -> Option<&Arc<Ready>> {
        self.files.get(path)
    }

    /// A page that was asked for before.
    pub(super) fn find_shown(&self, path: &str) -> Option<Arc<Shown>> {
        self.shown().find(path)
    }

    /// A page by its path, made now if nobody asked for it before. `None`: there is none.
    pub(super) fn show(&self, path: &str) -> Option<Arc<Shown>> {
        if let Some(shown) = self.find_shown(path) {
            return Some(shown);
        }
        let shown = Arc::new(match self.find_page(path) {
            Some(page) => self.make(path, page),
            None => self.show_lost(path)?,
        });
        let len = shown.answer.as_ref().map_or(0, |answer| answer.head.len() + answer.body.len());
        self.shown().keep(path, &shown, len);
        Some(shown)
    }

    /// Whether there is or was a page at a path.
    pub(super) fn has_page(&self, path: &str) -> bool {
        self.find_page(path).is_some() || self.lost.contains_key(path)
    }

    /// The path of the page or file that answers at a percent-decoded path.
    pub(super) fn find_path(&self, path: &[u8]) -> Option<String> {
        let own = self.map.find(path).and_then(|route| String::from_utf8(route.path().to_vec()).ok());
        let is_known = |path: &&str| self.files.contains_key(*path) || self.lost.contains_key(*path);
        own.or_else(|| str::from_utf8(path).ok().filter(is_known).map(str::to_owned))
    }

    /// What the map alone answers: redirects, other spellings, methods that aren't allowed.
    pub(super) fn map_answer(&self, request: &Request<'_>, added: &mut Vec<u8>) -> Answer<'_> {
        self.map.answer(request, added)
    }

    /// The path of the page that answers at a path as a browser shows it.
    pub(super) fn page_path(&self, path: &str) -> Option<String> {
        self.find_path(percent_decode(path)?.as_bytes()).filter(|own| self.has_page(own))
    }

    /// The files that are other than they were, or came or went.
    pub(super) fn changed_files(&self, before: &Self) -> BTreeSet<String> {
        let made: BTreeSet<&str> = self.plan.made.iter().map(|file| file.path.as_str()).collect();
        let differs = |one: &Self, other: &Self| -> Vec<String> {
            let other = &other.files;
            let changed = one.files.iter().filter(|(path, file)| {
                !other.get(*path).is_some_and(|same| Arc::ptr_eq(same, file)) && !made.contains(path.as_str())
            });
            changed.map(|(path, _)| path.clone()).collect()
        };
        differs(self, before).into_iter().chain(differs(before, self)).collect()
    }

    /// The text of a source by its path.
    pub(super) fn find_text(&self, path: &str) -> Option<Arc<str>> {
        if path == config::FILE_NAME {
            return self.config_text.as_ref().map(|text| Arc::clone(&text.text));
        }
        let Sources { content, templates, static_files, styles, data, defaults, past, .. } = &self.plan.sources;
        if let Some(lock) = past.lock.as_ref().filter(|lock| &*lock.path == path) {
            return Some(Arc::clone(&lock.text));
        }
        let texts = content
            .iter()
            .filter(|file| is_page(file))
            .chain(templates.iter())
            .chain(data.iter())
            .chain(defaults.iter());
        let mut texts = texts.chain(styles.iter()).chain(static_files.iter().filter(|file| is_text_asset(file)));
        texts.find(|file| &*file.path == path).map(SourceFile::to_shown_text)
    }

    fn without_script(&self, text: &str) -> String {
        without_script(text, self.plan.config.build.minify)
    }

    /// What is wrong with `site.toml`.
    pub(super) fn config_errors(&self) -> &[Diagnostic] {
        &self.config_errors
    }

    fn shown(&self) -> MutexGuard<'_, Recent<Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_page(&self, path: &str) -> Option<&Page> {
        self.pages.get(path).and_then(|number| self.plan.site.all_pages().nth(*number))
    }

    fn make(&self, path: &str, page: &Page) -> Shown {
        let rendered = self.plan.render(page);
        let errors = self.errors_of(page, &rendered.reports());
        let digest = Digest::of(without_integrity(&self.without_script(&rendered.text)).as_bytes()).hex(DIGEST_DIGITS);
        let mark = if page.has_flag("draft") {
            "draft"
        } else if page.is_after(self.plan.options.selection.today) {
            "future"
        } else {
            ""
        };
        let files = Arc::new(self.files_of(&rendered.text));
        let mut last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = if errors.is_empty() {
            let text = client::inject(&rendered.text, About { digest: &digest, mark });
            let published = publish_page(page, text.into());
            let route = self.output.route_entry(&published, &Cache::none()).expect("a page's text is held in memory");
            let ready = Arc::new(Ready::of(&route));
            last_good.keep(path, &ready, ready.body.len());
            Some(ready)
        } else {
            last_good.find(path)
        };
        Shown { answer, digest, errors: errors.into(), files }
    }

    /// A page whose source can't be read as one any more: its last version is shown on.
    fn show_lost(&self, path: &str) -> Option<Shown> {
        let source = self.lost.get(path)?;
        let errors = self.plan.diagnostics.iter().filter(|one| is_error(one) && one.place.path == *source);
        let errors: Vec<_> = errors.cloned().collect();
        let answer = self.last_good.lock().unwrap_or_else(PoisonError::into_inner).find(path);
        Some(Shown { answer, digest: String::new(), errors: errors.into(), files: Arc::default() })
    }

    /// The mistakes that keep a page from being made: its own, those of the partials that it uses, those of `site.toml`.
    fn errors_of(&self, page: &Page, rendered: &[Diagnostic]) -> Vec<Diagnostic> {
        let mut errors: Vec<_> = rendered.iter().filter(|one| is_error(one)).cloned().collect();
        errors.extend(self.config_errors.iter().cloned());
        let mut of_site = self.plan.diagnostics.iter().filter(|one| is_error(one)).peekable();
        if of_site.peek().is_some() {
            let sources = self.sources_of(page);
            let Sources { data, defaults, .. } = &self.plan.sources;
            // Any page may list data or have defaults.
            let is_shared = |path: &Arc<str>| data.iter().chain(defaults.iter()).any(|file| file.path == *path);
            errors
                .extend(of_site.filter(|one| sources.contains(&one.place.path) || is_shared(&one.place.path)).cloned());
        }
        diagnostic::sort(&mut errors);
        errors
    }

    /// The paths of a page's own file and of all partials that it uses.
    fn sources_of(&self, page: &Page) -> BTreeSet<Arc<str>> {
        let mut sources = BTreeSet::from([Arc::clone(&page.source.path)]);
        let layout = page.layout.as_ref().map_or("base.html", |(name, _)| name.as_str());
        let mut waiting: Vec<&str> = page.body.template().references().map(|(name, _)| name).chain([layout]).collect();
        while let Some(name) = waiting.pop() {
            let Some(partial) = self.plan.templates.find(name) else { continue };
            if sources.insert(Arc::clone(&partial.source.path)) {
                waiting.extend(partial.references().map(|(name, _)| name));
            }
        }
        sources
    }

    /// The paths of the source files that a page is made from, and of those that it names.
    pub(super) fn files_behind(&self, path: &str) -> BTreeSet<Arc<str>> {
        let mut files = self.find_page(path).map(|page| self.sources_of(page)).unwrap_or_default();
        files.extend(self.lost.get(path).cloned());
        let named = self.find_shown(path).map(|shown| Arc::clone(&shown.files)).unwrap_or_default();
        files.extend(named.iter().filter_map(|path| self.source_of(path)));
        files
    }

    /// The path of the source of a file that isn't a page.
    pub(super) fn source_of(&self, path: &str) -> Option<Arc<str>> {
        let asset = self.plan.manifest.find(path).map(|asset| Arc::clone(&asset.source_path));
        asset.or_else(|| {
            let content = &self.plan.sources.content;
            let own = format!("{}{path}", self.plan.config.paths.content);
            let index = content.binary_search_by(|file| (*file.path).cmp(&own)).ok()?;
            Some(Arc::clone(&content[index].path))
        })
    }

    /// The files of the site that a page names, and those that these name by their last segment: fonts, imports.
    fn files_of(&self, html: &str) -> BTreeSet<String> {
        let path_of = |url: &str| percent_decode(url.split(['?', '#']).next().unwrap_or_default());
        // What may stand around a name in a sheet or script. The few names that have some of it are searched for.
        let is_around = |c: char| c.is_whitespace() || "\"'`()<>{}/\\,;:=?#&".contains(c);
        let name_of = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let (odd, plain): (Vec<_>, Vec<_>) = self.files.keys().partition(|path| name_of(path).contains(is_around));
        let mut by_name: HashMap<String, Vec<&String>> = HashMap::new();
        for path in plain {
            by_name.entry(name_of(path)).or_default().push(path);
        }
        let mut found = BTreeSet::new();
        let mut waiting: Vec<String> = find_urls(html).iter().filter_map(|found| path_of(&found.url)).collect();
        while let Some(path) = waiting.pop() {
            let Some(file) = self.files.get(&path) else { continue };
            if !found.insert(path.clone()) || !matches!(extension_of(&path), "css" | "js") {
                continue;
            }
            let Ok(body) = file.body.read() else { continue };
            let text = String::from_utf8_lossy(&body);
            let named = text.split(is_around).filter_map(|word| by_name.get(word)).flatten();
            let searched = odd.iter().filter(|path| text.contains(&name_of(path)));
            waiting.extend(named.chain(searched).map(|path| (*path).clone()));
        }
        found
    }

    /// Pages that the plan doesn't have because their sources can't be read, here or before.
    fn find_lost(&self, plan: &Plan, pages: &HashMap<String, usize>) -> HashMap<String, Arc<str>> {
        let broken: BTreeSet<&Arc<str>> =
            plan.diagnostics.iter().filter(|one| is_error(one)).map(|one| &one.place.path).collect();
        if broken.is_empty() {
            return HashMap::new();
        }
        let known = self.plan.site.all_pages().map(|page| (page.path(), Arc::clone(&page.source_path)));
        let lost = self.lost.iter().map(|(path, source)| (path.clone(), Arc::clone(source)));
        known.chain(lost).filter(|(path, source)| broken.contains(source) && !pages.contains_key(path)).collect()
    }
}

fn is_error(diagnostic: &Diagnostic) -> bool {
    diagnostic.severity == Severity::Error
}

/// What follows a path's last dot.
pub(super) fn extension_of(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// The text without the digests of what it names: a style sheet that changed is swapped, and the page stays.
fn without_integrity(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once(" integrity=\"sha") {
        kept.push_str(before);
        rest = after.split_once('"').map_or("", |(_, rest)| rest);
    }
    kept.push_str(rest);
    kept
}

/// The files of a site, each with its head. One that has the bytes and the fields that it had is the same. One that can't be
/// read any more is left out until it can.
fn ready_files(output: &Output, before: Option<&Edition>) -> HashMap<String, Arc<Ready>> {
    let files = output.published.iter().filter(|one| matches!(one.kind, RouteKind::File | RouteKind::Asset));
    let alike = before.filter(|before| have_same_fields(&before.output, output));
    let ready = files.map(|file| {
        let same = alike.and_then(|before| before.files.get(&file.path));
        if let Some(same) = same.filter(|same| same.body == file.body) {
            return Some((file.path.clone(), Arc::clone(same)));
        }
        let route = output.route_entry(file, &Cache::none()).ok()?;
        Some((file.path.clone(), Arc::new(Ready::of(&route))))
    });
    ready.flatten().collect()
}

/// Whether two sites have pages of the same paths in the same order.
fn are_at_same_places(before: &Arc<Site>, now: &Arc<Site>) -> bool {
    let is_same = |(a, b): (&Page, &Page)| Arc::ptr_eq(&a.head, &b.head) || (a.route == b.route && a.url == b.url);
    let has_same = |before: &Site| {
        before.all_pages().count() == now.all_pages().count() && before.all_pages().zip(now.all_pages()).all(is_same)
    };
    Arc::ptr_eq(before, now) || has_same(before)
}

/// Whether two outputs give a body the same head.
fn have_same_fields(one: &Output, other: &Output) -> bool {
    let of = |output: &Output| (output.last_modified, output.keeping);
    one.headers == other.headers && one.security == other.security && of(one) == of(other)
}

fn have_same_routes(one: &Output, other: &Output) -> bool {
    let is_same = |(a, b): (&Published, &Published)| {
        (a.kind as u8, a.status) == (b.kind as u8, b.status) && a.path == b.path && a.location == b.location
    };
    one.settings == other.settings
        && have_same_fields(one, other)
        && mapped(one).count() == mapped(other).count()
        && mapped(one).zip(mapped(other)).all(is_same)
}

/// What the map holds besides pages. Digested names come and go with each edit of their file, and have one spelling: they
/// are looked up among the files.
fn mapped(output: &Output) -> impl Iterator<Item = &Published> {
    output.published.iter().filter(|one| one.kind != RouteKind::Asset)
}

/// Numbers of pages by the paths at which they are published: the first of those that claim one.
fn number_pages(site: &Site) -> HashMap<String, usize> {
    let mut pages = HashMap::with_capacity(site.all_pages().count());
    for (number, page) in site.all_pages().enumerate() {
        pages.entry(page.path()).or_insert(number);
    }
    pages
}

/// A bundle of all routes without their bodies: the server looks up in it where a path leads.
fn draw_map(plan: &Plan, output: &Output) -> Map<Vec<u8>> {
    let pages = plan.site.all_pages().map(|page| publish_page(page, Bytes::default()));
    let others = mapped(output).map(|one| match one.kind {
        RouteKind::Redirect => one.clone(),
        _ if one.status == 410 => one.clone(),
        _ => Published { body: Bytes::default(), ..one.clone() },
    });
    let (mut taken, mut pattern_count) = (HashSet::new(), 0);
    let published = pages.chain(others).filter(|one| {
        // The check of the whole site reports the rest.
        pattern_count += usize::from(one.kind == RouteKind::Pattern);
        let has_room = one.kind != RouteKind::Pattern || pattern_count <= PATTERN_COUNT_MAX;
        has_room && taken.insert(one.path.clone())
    });
    let mut bare = Output { published: published.collect(), ..output.clone() };
    loop {
        match bare.clone().pack(None, &Cache::none()) {
            Ok(packed) => {
                let mut bytes = Cursor::new(Vec::new());
                packed.write_to(&mut bytes).expect("memory takes all, and no body lies in a file");
                let view = BundleView::open(bytes.into_inner());
                return Map::new(view.expect("what was packed a moment ago can be opened"));
            }
            // A name that can be no URL: the check of the whole site reports it.
            Err(PackError::Format(WriteError::Route { path, .. } | WriteError::DuplicatePath(path))) => {
                bare.published.retain(|one| one.path != path);
            }
            Err(error) => panic!("a bundle without bodies can be packed: {error}"),
        }
    }
}
