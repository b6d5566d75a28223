//! Where finished HTML names URLs: the values of the attributes that hold them.

use std::collections::HashSet;
use std::ops::Range;

use super::tokens::{self, Event, Tag};
use crate::assets::{css_url, find_css_references};

/// One URL in finished HTML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HtmlUrl {
    /// The URL with its character references resolved.
    pub url: String,
    /// Where it stands, quotes not included.
    pub range: Range<usize>,
    /// What surrounds it.
    pub context: UrlContext,
}

/// What surrounds a URL, which says how another one is written in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UrlContext {
    /// It is an attribute's value, or a candidate of a `srcset`.
    Attribute,
    /// It stands in the CSS of a `style` attribute.
    StyleAttribute,
    /// It stands in a `<style>`.
    StyleElement,
}

impl UrlContext {
    /// A URL as it is written there.
    pub fn escape(self, url: &str) -> String {
        match self {
            Self::Attribute => url.replace('&', "&amp;").replace('\'', "&#39;"),
            Self::StyleAttribute => css_url(url).replace('&', "&amp;"),
            Self::StyleElement => css_url(url),
        }
    }
}

/// Attributes that hold one URL, on whatever element they are: `<use href>` leads somewhere as `<a href>` does.
const URL_ATTRIBUTES: [&[u8]; 4] = [b"href", b"poster", b"src", b"xlink:href"];

/// Whether an attribute holds one URL. A `<base>` is for what comes after it, and is left alone.
fn holds_url(element: &[u8], attribute: &[u8]) -> bool {
    let is_url = URL_ATTRIBUTES.contains(&attribute) || (element, attribute) == (b"object", b"data");
    is_url && element != b"base"
}

/// All URLs that a page names in attributes and in its own CSS, in order, each candidate of a `srcset` by itself.
pub fn find_urls(html: &str) -> Vec<HtmlUrl> {
    let mut finder = UrlFinder::default();
    tokens::read(html, |event, place| finder.handle(html, &event, &place));
    finder.urls
}

/// Collects the URLs of a page, event by event.
#[derive(Default)]
pub(super) struct UrlFinder {
    /// Those so far, in order.
    pub(super) urls: Vec<HtmlUrl>,
    /// Where the text of the `<style>` that is open begins.
    style_start: Option<usize>,
}

impl UrlFinder {
    pub(super) fn handle(&mut self, html: &str, event: &Event<'_>, place: &Range<usize>) {
        match event {
            Event::Start(tag) => {
                self.style_start = (tag.name() == b"style").then_some(place.end);
                add_urls(html, tag, &mut self.urls);
            }
            Event::End(name) if *name == b"style" => {
                if let Some(start) = self.style_start.take() {
                    self.urls.extend(urls_of_element(html, start..place.start));
                }
            }
            _ => {}
        }
    }
}

/// Everything in a page that a fragment can name: ids, and the names of old anchors.
pub fn find_ids(html: &str) -> HashSet<String> {
    let mut ids = HashSet::new();
    tokens::read(html, |event, _| {
        if let Event::Start(tag) = event {
            let names = tag
                .attributes()
                .filter(|one| one.name == b"id" || (one.name, tag.name()) == (b"name".as_slice(), b"a".as_slice()));
            ids.extend(names.map(|one| String::from_utf8_lossy(one.value).into_owned()));
        }
    });
    ids
}

/// Adds the URLs of one tag.
fn add_urls(html: &str, tag: &Tag, urls: &mut Vec<HtmlUrl>) {
    for attribute in tag.attributes() {
        if attribute.name == b"style" {
            urls.extend(urls_of_attribute(html, attribute.place));
        } else if matches!(attribute.name, b"srcset" | b"imagesrcset") {
            urls.extend(candidates(html, attribute.place));
        } else if holds_url(tag.name(), attribute.name) && !attribute.value.is_empty() {
            let url = String::from_utf8_lossy(attribute.value).into_owned();
            urls.push(HtmlUrl { url, range: attribute.place, context: UrlContext::Attribute });
        }
    }
}

/// The URLs in the CSS of a `<style>`. CSS that is nested without end names none.
fn urls_of_element(html: &str, range: Range<usize>) -> Vec<HtmlUrl> {
    let css = html.get(range.clone()).unwrap_or_default();
    let found = find_css_references(css).unwrap_or_default().into_iter().map(|one| HtmlUrl {
        url: one.url,
        range: range.start + one.range.start..range.start + one.range.end,
        context: UrlContext::StyleElement,
    });
    found.collect()
}

/// The character references that quotes and ampersands are written with in a `style` attribute.
const REFERENCES: [(&str, char); 5] =
    [("&quot;", '"'), ("&#34;", '"'), ("&apos;", '\''), ("&#39;", '\''), ("&amp;", '&')];

/// The URLs in the CSS of a `style` attribute, whose character references are resolved.
fn urls_of_attribute(html: &str, range: Range<usize>) -> Vec<HtmlUrl> {
    let written = html.get(range.clone()).unwrap_or_default();
    let mut css = String::new();
    // Where each byte of the CSS was written, and the end.
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(next) = written[at..].chars().next() {
        let reference = REFERENCES.iter().find(|(reference, _)| written[at..].starts_with(reference));
        let (len, character) = reference.map_or((next.len_utf8(), next), |(text, meant)| (text.len(), *meant));
        css.push(character);
        places.resize(css.len(), range.start + at);
        at += len;
    }
    places.push(range.end);
    let found = find_css_references(&css).unwrap_or_default().into_iter().map(|one| HtmlUrl {
        url: one.url,
        range: places[one.range.start]..places[one.range.end],
        context: UrlContext::StyleAttribute,
    });
    found.collect()
}

/// The URLs of a `srcset`: each up to a blank, or to the comma that ends its candidate.
fn candidates(html: &str, range: Range<usize>) -> Vec<HtmlUrl> {
    let mut urls = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let rest = &html[at..range.end];
        let start = at + rest.len() - rest.trim_start_matches([' ', '\n', '\t', '\r', '\u{c}', ',']).len();
        let candidate = &html[start..range.end];
        let blank = candidate.find(|c: char| c.is_ascii_whitespace()).unwrap_or(candidate.len());
        let url = candidate[..blank].trim_end_matches(',');
        if !url.is_empty() {
            let range = start..start + url.len();
            urls.push(HtmlUrl { url: url.replace("&amp;", "&"), range, context: UrlContext::Attribute });
        }
        // A URL that ends with a comma has no descriptor; otherwise one follows up to the next comma.
        let descriptor_len =
            if url.len() < blank { 0 } else { candidate[blank..].find(',').unwrap_or(candidate.len() - blank) };
        at = (start + blank + descriptor_len).max(at + 1);
        while at < range.end && !html.is_char_boundary(at) {
            at += 1;
        }
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(html: &str) -> Vec<(String, String)> {
        find_urls(html).into_iter().map(|url| (html[url.range].to_owned(), url.url)).collect()
    }

    fn same(texts: &[&str]) -> Vec<(String, String)> {
        texts.iter().map(|text| ((*text).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn urls_are_found_with_every_kind_of_quote() {
        assert_eq!(
            urls("<a href=\"/x\">é</a><A HREF='/y'><a class=b href=/z>q</a><a href = \"/w\" >"),
            same(&["/x", "/y", "/z", "/w"])
        );
        assert_eq!(urls("<a href=\"a&amp;b\">"), [("a&amp;b".to_owned(), "a&b".to_owned())]);
        assert_eq!(urls("<a href><a href=><a title=\"href=x\"><p cite=x><a href=\"\">"), []);
    }

    #[test]
    fn scripts_styles_and_comments_hold_no_urls() {
        assert_eq!(urls("<script>'<a href=\"/x\">'</script><style>/*<img src=y>*/</style><!-- <a href=z> -->"), []);
        assert_eq!(urls("<svg><use href=\"a.svg#b\"/></svg><base href=/c><object data=d>"), same(&["a.svg#b", "d"]));
        assert_eq!(urls("<script src=a.js></script><img src=b.png>"), same(&["a.js", "b.png"]));
    }

    #[test]
    fn css_in_a_page_names_urls_too() {
        assert_eq!(
            urls("<p style=\"background:url('a.png')\"><p style='x:url(&quot;b.png&quot;)'><p data-style=url(c)>"),
            same(&["a.png", "b.png"])
        );
        assert_eq!(urls("<style>é{b:url( c.png )}@import 'd.css';</style><p>url(x)"), same(&["c.png", "d.css"]));
        assert_eq!(urls("<style>a{b:url(c"), []);
        assert_eq!(UrlContext::StyleElement.escape("/it's&(x)"), "/it%27s&%28x%29");
        assert_eq!(UrlContext::StyleAttribute.escape("/it's&(x)"), "/it%27s&amp;%28x%29");
    }

    #[test]
    fn each_candidate_of_a_srcset_is_a_url() {
        assert_eq!(urls("<img srcset=\"a.jpg 1x, b.jpg 2x\">"), same(&["a.jpg", "b.jpg"]));
        assert_eq!(urls("<source srcset=\" a.jpg , b,c.jpg 100w,\n d.jpg\">"), same(&["a.jpg", "b,c.jpg", "d.jpg"]));
        assert_eq!(urls("<img srcset=\"\"><img srcset=\",, ,\">"), []);
    }
}
