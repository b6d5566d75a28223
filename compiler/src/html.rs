//! Reading finished HTML.

mod links;

use html5gum::{DefaultEmitter, Token, Tokenizer};

pub use links::{HtmlUrl, find_ids, find_urls};

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

/// The tokens of a page, with their places.
fn read_tokens(html: &str) -> impl Iterator<Item = Token<usize>> {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    // Without it text within scripts, styles and text areas would be read as tags.
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(html, emitter).map_while(Result::ok)
}

/// All headings that have an `id`, in order.
pub fn find_headings(html: &str) -> Vec<Heading> {
    let mut headings = Vec::new();
    let mut open: Option<Heading> = None;
    for token in read_tokens(html) {
        match token {
            Token::StartTag(tag) => {
                if let Some(level) = heading_level(&tag.name) {
                    let id = tag.attributes.get(b"id".as_slice());
                    open = id.map(|id| Heading {
                        level,
                        id: String::from_utf8_lossy(&id.value).into_owned(),
                        text: String::new(),
                    });
                }
            }
            Token::EndTag(tag) if heading_level(&tag.name).is_some() => headings.extend(open.take()),
            Token::String(text) => {
                if let Some(heading) = &mut open {
                    heading.text.push_str(&String::from_utf8_lossy(&text));
                }
            }
            _ => {}
        }
    }
    headings
}

/// Where a page's `<head>` ends: before `</head>`, or where the body begins; nothing if it has no `<head>`.
pub fn find_head_end(html: &str) -> Option<usize> {
    let mut is_in_head = false;
    for token in read_tokens(html) {
        match token {
            Token::StartTag(tag) if tag.name.as_slice() == b"head" => is_in_head = true,
            Token::StartTag(tag) if tag.name.as_slice() == b"body" => return is_in_head.then_some(tag.span.start),
            Token::EndTag(tag) if tag.name.as_slice() == b"head" => return is_in_head.then_some(tag.span.start),
            _ => {}
        }
    }
    None
}

fn heading_level(name: &[u8]) -> Option<u8> {
    match name {
        [b'h', digit @ b'1'..=b'6'] => Some(digit - b'0'),
        _ => None,
    }
}
