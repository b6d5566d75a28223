//! The links of a finished page: relative ones become absolute, and those that lead nowhere are reported at the place in
//! the sources where they were written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rayon::prelude::*;

use crate::diagnostic::{Code, Diagnostic, Place, SourceText, Span};
use crate::html::find_urls;
use crate::site::{LinkTargets, Page, Target};
use crate::template::TemplateSet;

use super::Rendered;

/// What links are resolved with.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    /// Everything that they can lead to.
    pub targets: &'a LinkTargets,
    /// The partials that may have written them.
    pub templates: &'a TemplateSet,
    /// Whether those that lead nowhere are reported.
    pub is_checked: bool,
}

impl Links<'_> {
    /// Resolves all links of a rendered page.
    pub fn resolve(&self, page: &Page, mut rendered: Rendered) -> Rendered {
        let text = std::mem::take(&mut rendered.text);
        let mut resolved = String::new();
        let mut copied_to = 0;
        for found in find_urls(&text) {
            match self.targets.resolve(&page.content_path, &found.url) {
                Target::Url(url) => {
                    resolved.push_str(&text[copied_to..found.range.start]);
                    resolved.push_str(&url.replace('&', "&amp;"));
                    copied_to = found.range.end;
                }
                Target::Broken(path) if self.is_checked => {
                    let place = self.find_place(page, &rendered.partials, &text[found.range.clone()], &found.url);
                    rendered.broken_links.push(BrokenLink { url: found.url, path, place });
                }
                Target::Broken(_) | Target::Unchanged => {}
            }
        }
        resolved.push_str(&text[copied_to..]);
        Rendered { text: resolved, ..rendered }
    }

    /// Where a link was written: in the page, else in the nearest of its partials that has it, else unknown.
    fn find_place(&self, page: &Page, partials: &BTreeSet<String>, written: &str, url: &str) -> Place {
        if let Some(link) = page.links.iter().find(|link| link.url == url || link.url == written) {
            return page.source.place(link.span);
        }
        if let Some(span) = find_written(&page.source, written) {
            return page.source.place(span);
        }
        let mut waiting: VecDeque<&str> = partials.iter().map(String::as_str).collect();
        let mut seen: BTreeSet<&str> = waiting.iter().copied().collect();
        while let Some(name) = waiting.pop_front() {
            let Some(partial) = self.templates.find(name) else { continue };
            if let Some(span) = find_written(&partial.source, written) {
                return partial.place(span);
            }
            waiting.extend(partial.references().map(|(name, _)| name).filter(|name| seen.insert(name)));
        }
        page.source.place(Span::default())
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
        let message = format!("`{}` leads nowhere: the site has no such page or file", link.url);
        let diagnostic = Diagnostic::new(Code::BrokenLink, link.place.clone(), message);
        match near.get(link.path.as_str()) {
            Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
            None => diagnostic,
        }
    };
    links.map(report).collect()
}

/// A URL within a source, with something around it that ends a URL.
fn find_written(source: &SourceText, written: &str) -> Option<Span> {
    if written.is_empty() {
        return None;
    }
    let is_edge = |character: Option<char>| character.is_none_or(|c| c.is_whitespace() || "\"'()<>=,;".contains(c));
    source.text.match_indices(written).find_map(|(start, _)| {
        let end = start + written.len();
        let stands_alone =
            is_edge(source.text[..start].chars().next_back()) && is_edge(source.text[end..].chars().next());
        stands_alone.then(|| Span::new(start, end))
    })
}
