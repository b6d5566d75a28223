//! The links of a finished page: relative ones become absolute, and those that lead nowhere are reported at the place in
//! the sources where they were written.

use std::collections::{BTreeSet, VecDeque};

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
                Target::Broken(near) if self.is_checked => {
                    let place = self.find_place(page, &rendered.partials, &text[found.range.clone()], &found.url);
                    let message = format!("`{}` leads nowhere: the site has no such page or file", found.url);
                    let diagnostic = Diagnostic::new(Code::BrokenLink, place, message);
                    rendered.diagnostics.push(match near {
                        Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
                        None => diagnostic,
                    });
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
