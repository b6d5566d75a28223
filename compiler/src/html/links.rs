//! Where finished HTML names URLs: the values of the attributes that hold them.

use std::collections::HashSet;
use std::ops::Range;

use super::tokens::{self, Event, Tag};

/// One URL in finished HTML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HtmlUrl {
    /// The URL with its character references resolved.
    pub url: String,
    /// Where it stands, quotes not included.
    pub range: Range<usize>,
}

/// Attributes that hold one URL, on whatever element they are: `<use href>` leads somewhere as `<a href>` does.
const URL_ATTRIBUTES: [&[u8]; 4] = [b"href", b"poster", b"src", b"xlink:href"];

/// Whether an attribute holds one URL. A `<base>` is for what comes after it, and is left alone.
fn holds_url(element: &[u8], attribute: &[u8]) -> bool {
    let is_url = URL_ATTRIBUTES.contains(&attribute) || (element, attribute) == (b"object", b"data");
    is_url && element != b"base"
}

/// All URLs that a page names in attributes, in order, each candidate of a `srcset` by itself.
pub fn find_urls(html: &str) -> Vec<HtmlUrl> {
    let mut urls = Vec::new();
    tokens::read(html, |event, _| {
        if let Event::Start(tag) = event {
            add_urls(html, tag, &mut urls);
        }
    });
    urls
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
pub(super) fn add_urls(html: &str, tag: &Tag, urls: &mut Vec<HtmlUrl>) {
    for attribute in tag.attributes() {
        let is_srcset = matches!(attribute.name, b"srcset" | b"imagesrcset");
        if !is_srcset && !holds_url(tag.name(), attribute.name) {
            continue;
        }
        if is_srcset {
            urls.extend(candidates(html, attribute.place));
        } else if !attribute.value.is_empty() {
            let url = String::from_utf8_lossy(attribute.value).into_owned();
            urls.push(HtmlUrl { url, range: attribute.place });
        }
    }
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
            urls.push(HtmlUrl { url: url.replace("&amp;", "&"), range: start..start + url.len() });
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
    fn each_candidate_of_a_srcset_is_a_url() {
        assert_eq!(urls("<img srcset=\"a.jpg 1x, b.jpg 2x\">"), same(&["a.jpg", "b.jpg"]));
        assert_eq!(urls("<source srcset=\" a.jpg , b,c.jpg 100w,\n d.jpg\">"), same(&["a.jpg", "b,c.jpg", "d.jpg"]));
        assert_eq!(urls("<img srcset=\"\"><img srcset=\",, ,\">"), []);
    }
}
