//! The links of a finished page: relative ones become absolute, and those that lead nowhere are reported at the place in
//! the sources where they were written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Code, Diagnostic, Place, SourceText, Span, nearest};
use crate::html::{UrlContext, find_ids, find_subresources, find_urls};
use crate::site::{LeftOut, LinkTargets, Page, Target, percent_decode};
use crate::template::TemplateSet;

use super::RenderedPage;

/// What links are resolved with.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    /// Everything that they can lead to.
    pub targets: &'a LinkTargets,
    /// The partials that may have written them.
    pub templates: &'a TemplateSet,
    /// What browsers verify style sheets and scripts with, by their URLs.
    pub integrity: &'a BTreeMap<String, String>,
    /// Whether those that lead nowhere are reported.
    pub is_checked: bool,
}

impl Links<'_> {
    /// Resolves all links of a rendered page.
    pub fn resolve(&self, page: &Page, mut rendered: RenderedPage) -> RenderedPage {
        let text = std::mem::take(&mut rendered.text);
        let mut resolved = String::new();
        let mut copied_to = 0;
        let mut places = None;
        for found in std::mem::take(&mut rendered.urls) {
            if found.context == UrlContext::Attribute {
                rendered.fragments.extend(Fragment::of(&found.url));
            }
            match self.targets.resolve(&page.content_path, &found.url) {
                Target::Url(url) => {
                    resolved.push_str(&text[copied_to..found.range.start]);
                    resolved.push_str(&found.context.escape(&url));
                    copied_to = found.range.end;
                }
                Target::Broken(path) if self.is_checked => {
                    let places = places.get_or_insert_with(|| self.find_places(page, &rendered.partials));
                    let place = places.take(&found.url, page);
                    let page = page.source.place(Span::default());
                    rendered.broken_links.push(BrokenLink { url: found.url, path, place, page });
                }
                Target::Broken(_) | Target::Unchanged => {}
            }
        }
        resolved.push_str(&text[copied_to..]);
        RenderedPage { text: self.add_integrity(resolved), ..rendered }
    }

    /// The page with `integrity` on all style sheets and scripts of the site that it names by their digests. They come from
    /// the page's own origin, so they need no `crossorigin` (HTML, “CORS settings attributes”).
    fn add_integrity(&self, html: String) -> String {
        if self.integrity.is_empty() {
            return html;
        }
        let mut whole = String::new();
        let mut copied_to = 0;
        for found in find_subresources(&html) {
            let path = found.url.split(['?', '#']).next().unwrap_or_default();
            let Some(value) = self.integrity.get(path) else { continue };
            whole.push_str(&html[copied_to..found.attribute_start]);
            for part in [" integrity=\"", value, "\""] {
                whole.push_str(part);
            }
            copied_to = found.attribute_start;
        }
        if whole.is_empty() {
            return html;
        }
        whole + &html[copied_to..]
    }

    /// Reports links to parts of pages that aren't there.
    pub fn check_fragments(&self, pages: &[&Page], rendered: &[RenderedPage]) -> Vec<Diagnostic> {
        if !self.is_checked {
            return Vec::new();
        }
        let found = self.find_targets(pages, rendered);
        let targets: BTreeSet<usize> = found.iter().map(|(_, _, target)| *target).collect();
        let ids: HashMap<usize, HashSet<String>> =
            targets.into_par_iter().map(|target| (target, find_ids(&rendered[target].text))).collect();
        let broken = found.iter().filter(|(_, fragment, target)| !ids[target].contains(&fragment.name));
        let mut places_of: HashMap<usize, Places> = HashMap::new();
        let report = |(number, fragment, target): &(usize, &Fragment, usize)| {
            let page = pages[*number];
            let find = || self.find_places(page, &rendered[*number].partials);
            let place = places_of.entry(*number).or_insert_with(find).take(&fragment.url, page);
            let message = format!("`{}` leads to no part of `{}`", fragment.url, pages[*target].source.path);
            let diagnostic = Diagnostic::new(Code::BrokenFragment, place, message);
            match nearest(&fragment.name, ids[target].iter().map(String::as_str).collect::<BTreeSet<_>>()) {
                Some(near) => diagnostic.with_help(format!("did you mean `#{near}`?")),
                None => diagnostic.with_help("nothing in that page has this id"),
            }
        };
        broken.map(report).collect()
    }

    /// The parts of pages that other pages link to: the number of the page, and the name of its part.
    pub fn linked_parts(&self, pages: &[&Page], rendered: &[RenderedPage]) -> BTreeSet<(usize, String)> {
        let found = self.find_targets(pages, rendered);
        let from_others = found.into_iter().filter(|(number, _, target)| number != target);
        from_others.map(|(_, fragment, target)| (target, fragment.name.clone())).collect()
    }

    /// Every link to a part of a page of this site: the page that it stands in, the link, and the page that it leads to.
    fn find_targets<'r>(&self, pages: &[&Page], rendered: &'r [RenderedPage]) -> Vec<(usize, &'r Fragment, usize)> {
        let number_of: HashMap<&str, usize> =
            pages.iter().enumerate().map(|(number, page)| (page.url.as_str(), number)).collect();
        let find_target = |number: usize, fragment: &Fragment| {
            let page = pages[number];
            if fragment.path.is_empty() {
                return Some(number);
            }
            let url = match self.targets.resolve(&page.content_path, &fragment.path) {
                Target::Url(url) => url,
                Target::Unchanged => self.targets.find(&percent_decode(&fragment.path)?)?.to_owned(),
                Target::Broken(_) => return None,
            };
            number_of.get(url.as_str()).copied()
        };
        let all =
            rendered.iter().enumerate().flat_map(|(number, page)| page.fragments.iter().map(move |f| (number, f)));
        all.filter_map(|(number, fragment)| Some((number, fragment, find_target(number, fragment)?))).collect()
    }

    /// Where the links of a page were written: in the page itself first, then in its partials, the nearest first.
    fn find_places(&self, page: &Page, partials: &BTreeSet<String>) -> Places {
        let mut places = Places::default();
        for link in page.body.links() {
            places.add(&link.url, page.source.place(link.span));
        }
        places.add_html(&page.source, page.body.template().root.span.start);
        let mut waiting: VecDeque<&str> = partials.iter().map(String::as_str).collect();
        let mut seen: BTreeSet<&str> = waiting.iter().copied().collect();
        while let Some(name) = waiting.pop_front() {
            let Some(partial) = self.templates.find(name) else { continue };
            places.add_html(&partial.source, partial.root.span.start);
            waiting.extend(partial.references().map(|(name, _)| name).filter(|name| seen.insert(name)));
        }
        places
    }
}

/// Where URLs stand in the sources of one page, each in the order in which it was written.
#[derive(Default)]
struct Places(HashMap<String, VecDeque<Place>>);

impl Places {
    fn add(&mut self, url: &str, place: Place) {
        self.0.entry(url.to_owned()).or_default().push_back(place);
    }

    /// Adds the URLs that a source names in attributes, from an offset on.
    fn add_html(&mut self, source: &SourceText, start: usize) {
        for found in find_urls(&source.text[start..]) {
            let span = Span::new(start + found.range.start, start + found.range.end);
            self.add(&found.url, source.place(span));
        }
    }

    /// The next place of a URL; the last one again if it is asked for more often than it was written. One that was put
    /// together from values stands nowhere: the page as a whole is its place.
    fn take(&mut self, url: &str, page: &Page) -> Place {
        let Some(places) = self.0.get_mut(url) else { return page.source.place(Span::default()) };
        let last = if places.len() > 1 { places.pop_front() } else { places.front().cloned() };
        last.unwrap_or_else(|| page.source.place(Span::default()))
    }
}

/// A link that leads nowhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokenLink {
    /// As it was written.
    pub url: String,
    /// The path of the site that it means, percent-decoded.
    pub path: String,
    /// Where it was written.
    pub place: Place,
    /// The page that it ended up in.
    pub page: Place,
}

/// A link that names a part of a page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fragment {
    /// The whole URL.
    url: String,
    /// What stands before `#` and `?`; empty for the page itself.
    path: String,
    /// The id, percent-decoded.
    name: String,
}

impl Fragment {
    /// The fragment of a URL, if it has one that names an id: `#` and `#top` are the top of any page (HTML, “Scrolling to
    /// a fragment”), and `:~:` begins a directive for the browser.
    fn of(url: &str) -> Option<Self> {
        let (before, fragment) = url.trim_ascii().split_once('#')?;
        let name = percent_decode(fragment)?;
        if name.is_empty() || name.eq_ignore_ascii_case("top") || name.contains(":~:") {
            return None;
        }
        let path = before.split('?').next().unwrap_or_default().to_owned();
        Some(Self { url: url.to_owned(), path, name })
    }
}

/// Suggestions are made for this many different paths: each is compared with all of the site's. Guessed.
const SUGGESTION_COUNT_MAX: usize = 100;

/// Reports links that lead nowhere, with the path that was probably meant.
pub fn report_broken_links<'a>(
    links: impl Iterator<Item = &'a BrokenLink> + Clone,
    targets: &LinkTargets,
) -> Vec<Diagnostic> {
    let paths: BTreeSet<&str> = links.clone().map(|link| link.path.as_str()).collect();
    let paths: Vec<_> = paths.into_iter().take(SUGGESTION_COUNT_MAX).collect();
    let near: BTreeMap<&str, String> =
        paths.into_par_iter().filter_map(|path| Some((path, targets.nearest(path)?))).collect();
    let report = |link: &BrokenLink| {
        let reason = match targets.find_left_out(&link.path) {
            Some(LeftOut::Draft) => "the page is a draft, which this build leaves out",
            Some(LeftOut::Future) => "the page is dated after today, and this build leaves it out",
            None => "the site has no such page or file",
        };
        let message = format!("`{}` leads nowhere: {reason}", link.url);
        let mut diagnostic = Diagnostic::new(Code::BrokenLink, link.place.clone(), message);
        if link.place.path != link.page.path {
            diagnostic = diagnostic.with_note(link.page.clone(), "in this page");
        }
        if let Some(path) = link.url.strip_prefix("@/") {
            let url = targets.find_page_of(path);
            let shown = url.map(|url| format!("write `{url}`, or ")).unwrap_or_default();
            return diagnostic
                .with_help(format!("`@/` means nothing here: {shown}name the file as seen from this one"));
        }
        match near.get(link.path.as_str()) {
            Some(near) if !reason.starts_with("the page") => diagnostic.with_help(format!("did you mean `{near}`?")),
            _ => diagnostic,
        }
    };
    links.map(report).collect()
}
