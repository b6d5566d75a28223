//! Reading finished HTML.

mod check;
mod element;
mod links;
mod minify;
mod nesting;
mod script;
mod subresources;
mod tokens;

pub use check::{Mistake, MistakeKind, PageReading, WrittenIntegrity, read_page};
pub use links::{HtmlUrl, UrlContext, find_ids, find_urls};
pub use minify::minify;
pub(crate) use script::{ScriptKind, directive_of, origin_of, sha256_source};
pub use subresources::{Subresource, find_subresources};
pub(crate) use tokens::{Event, Tag, decode, read as read_events};

/// A heading that can be linked to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Its `id`.
    pub id: String,
    /// What it says, without markup; not escaped.
    pub text: String,
}

/// All headings that have an `id`, in order.
pub fn find_headings(html: &str) -> Vec<Heading> {
    let mut headings = Vec::new();
    let mut open: Option<Heading> = None;
    read_events(html, |event, _| match event {
        Event::Start(tag) => {
            if let Some(level) = heading_level(tag.name()) {
                let id = tag.find(b"id");
                open = id.map(|id| Heading {
                    level,
                    id: String::from_utf8_lossy(id.value).into_owned(),
                    text: String::new(),
                });
            }
        }
        Event::End(name) if heading_level(name).is_some() => headings.extend(open.take()),
        Event::Text(text) => {
            if let Some(heading) = &mut open {
                heading.text.push_str(&decode(text));
            }
        }
        _ => {}
    });
    headings
}

/// Where a page's `<head>` ends: before `</head>`, or where the body begins; nothing if it has no `<head>`.
pub fn find_head_end(html: &str) -> Option<usize> {
    let (mut is_in_head, mut end) = (false, None);
    read_events(html, |event, place| match event {
        _ if end.is_some() => {}
        Event::Start(tag) if tag.name() == b"head" => is_in_head = true,
        Event::Start(tag) if tag.name() == b"body" => end = Some(place.start),
        Event::End(name) if name == b"head" => end = Some(place.start),
        _ => {}
    });
    end.filter(|_| is_in_head)
}

fn heading_level(name: &[u8]) -> Option<u8> {
    match name {
        [b'h', digit @ b'1'..=b'6'] => Some(digit - b'0'),
        _ => None,
    }
}
