//! The search index: a small JSON file that a page searches by itself, without a server. Each page is there with its
//! title, its summary, its headings and the words in it, each word once.

use std::collections::BTreeSet;

use rayon::prelude::*;
use serde_json::json;

use crate::cache::{Cache, Shelf};
use crate::config::Config;
use crate::feeds::MadeFile;
use crate::front_matter::Value;
use crate::html::{Event, decode, find_headings, read_events};
use crate::site::{Page, Site};
use crate::template::Node;

/// Words shorter than this say nothing. Guessed; scripts without spaces have long words.
const WORD_CHARS_MIN: usize = 3;

/// Words longer than this are no words: digests, data.
const WORD_CHARS_MAX: usize = 40;

/// The index of all pages that search engines may see too; nothing if it isn't wanted.
pub fn make_index(site: &Site, config: &Config, cache: &Cache) -> Option<MadeFile> {
    if config.search_path.is_empty() {
        return None;
    }
    let listed: Vec<_> = site.pages.iter().filter(|page| page.is_listed()).collect();
    // A page that stays the same from one edit to the next has its words looked for once.
    let entries: Vec<&str> =
        listed.par_iter().map(|page| page.search_entry.get_or_init(|| entry(page, cache)).as_str()).collect();
    let text = format!("[{}]\n", entries.join(","));
    Some(MadeFile::new(config.search_path.clone(), "application/json; charset=utf-8", text))
}

/// A page as a JSON object.
fn entry(page: &Page, cache: &Cache) -> String {
    let (headings, words) = remembered_texts(page, cache);
    let field = |name: &str| page.field(name).and_then(Value::as_text).unwrap_or_default().into_owned();
    let tags = match page.field("tags") {
        Some(Value::List(tags)) => tags.iter().filter_map(Value::as_text).collect(),
        _ => Vec::new(),
    };
    let summary = Some(field("summary")).filter(|text| !text.is_empty()).unwrap_or_else(|| field("description"));
    json!({
        "url": page.url,
        "title": page.title(),
        "summary": summary,
        "tags": tags,
        "headings": headings,
        "words": words,
    })
    .to_string()
}

/// The headings of a page, and the words in it.
type Texts = (Vec<String>, String);

/// The same as `texts`, which the cache remembers: so a page that stays as it was isn't parsed.
fn remembered_texts(page: &Page, cache: &Cache) -> Texts {
    let key = page.body.key.and_then(|body| cache.program_key("search texts", &[body.as_bytes()]));
    let Some(key) = key else { return texts(page) };
    let known = cache.find_small(Shelf::Search, &key).and_then(|known| serde_json::from_slice(&known).ok());
    known.unwrap_or_else(|| {
        let made = texts(page);
        let content = serde_json::to_vec(&made).expect("texts are JSON");
        cache.keep_small(Shelf::Search, &key, content.into());
        made
    })
}

fn texts(page: &Page) -> Texts {
    let html = own_html(page);
    let headings = find_headings(&html).into_iter().map(|heading| heading.text.trim().to_owned());
    (headings.collect(), words(&html))
}

/// What the page's own file says, its partials and layout left out.
fn own_html(page: &Page) -> String {
    let mut html = String::new();
    let template = page.body.template();
    for node in template.all_nodes() {
        match node {
            Node::Text(span) => html.push_str(template.text(*span)),
            Node::Made(span) => html.push_str(template.made(*span)),
            _ => html.push(' '),
        }
    }
    html
}

/// The words of the text between the tags, in lower case, each once, with blanks between.
fn words(html: &str) -> String {
    let mut words = BTreeSet::new();
    let mut is_hidden = false;
    read_events(html, |event, _| match event {
        Event::Start(tag) => is_hidden = matches!(tag.name(), b"script" | b"style"),
        Event::End(_) => is_hidden = false,
        Event::Text(text) if !is_hidden => {
            let text = decode(text).to_lowercase();
            let found = text.split(|c: char| !c.is_alphanumeric());
            let is_word = |word: &&str| (WORD_CHARS_MIN..=WORD_CHARS_MAX).contains(&word.chars().count());
            words.extend(found.filter(is_word).map(str::to_owned));
        }
        _ => {}
    });
    Vec::from_iter(words).join(" ")
}
