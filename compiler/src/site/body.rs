//! The body of a page, parsed when somebody needs it: of a page that comes out as it did in the last build, a few facts
//! are enough, and those are remembered.

use std::sync::{Arc, OnceLock};

use bundle::{Body, Digest};

use super::list_pages;
use crate::bytes::Bytes;
use crate::cache::{Cache, CacheKey, Shelf};
use crate::config;
use crate::diagnostic::{Diagnostic, SourceText};
use crate::markdown::{self, Link, MarkdownPage};
use crate::template::{Kind, Template};
use crate::tools::filter::Filtered;

/// What the site knows of a body without its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BodyFacts {
    /// It has code that `highlight.css` shows.
    pub has_styled_code: bool,
    /// It has a list of its own that is split.
    pub has_split_list: bool,
    /// Runs of letters and digits outside tags and markup.
    pub word_count: usize,
}

/// A page's text without its front matter.
#[derive(Clone, Debug)]
pub struct PageBody {
    /// What is known of it in any case.
    pub facts: BodyFacts,
    /// The name of all that it is parsed from, if something may be remembered of it.
    pub key: Option<CacheKey>,
    parsed: OnceLock<ParsedBody>,
    /// Where it is parsed from, if it wasn't at once.
    unparsed: Option<UnparsedBody>,
}

#[derive(Clone, Debug)]
struct ParsedBody {
    template: Template,
    links: Vec<Link>,
}

#[derive(Clone, Debug)]
struct UnparsedBody {
    text: BodyText,
    reader: Arc<BodyReader>,
}

/// Where a body stands, and how it is written.
#[derive(Clone, Debug)]
pub(super) struct BodyText {
    pub(super) source: SourceText,
    /// The first byte after front matter.
    pub(super) start: usize,
    pub(super) kind: Kind,
}

/// What all bodies of a site are parsed with.
#[derive(Debug)]
pub struct BodyReader {
    settings: config::Markdown,
    filtered: Filtered,
    cache: Cache,
    /// Of all that bodies are parsed with.
    digest: Digest,
}

impl BodyReader {
    /// A reader with these settings. `filtered` stands in the place of blocks of code; the cache has the code that was
    /// highlighted before.
    pub fn new(settings: &config::Markdown, filtered: &Filtered, cache: &Cache) -> Arc<Self> {
        let (settings, filtered, cache) = (settings.clone(), filtered.clone(), cache.clone());
        let digest = Digest::of(format!("{settings:?}{filtered:?}").as_bytes());
        Arc::new(Self { settings, filtered, cache, digest })
    }

    fn parse(&self, text: &BodyText) -> (MarkdownPage, Vec<Diagnostic>) {
        let (template, mut mistakes) = Template::parse(&text.source, text.start, text.kind);
        if text.kind != Kind::MarkdownPage {
            let page = MarkdownPage { template, links: Vec::new(), has_styled_code: false, unfiltered: Vec::new() };
            return (page, mistakes);
        }
        let (page, more) = markdown::to_html(&template, &self.settings, &self.filtered, &self.cache);
        mistakes.extend(more);
        (page, mistakes)
    }

    fn key(&self, kind: Kind, file: &Bytes) -> Option<CacheKey> {
        let file = self.cache.is_of_known_program().then(|| file.digest())?;
        let kind = format!("{kind:?}");
        self.cache.program_key("body", &[self.digest.as_bytes(), kind.as_bytes(), file.as_bytes()])
    }
}

impl PageBody {
    /// The body in a file with these bytes. One in which nothing is wrong, as far as is remembered, is parsed later.
    pub(super) fn read(text: BodyText, file: &Bytes, reader: &Arc<BodyReader>) -> (Self, Vec<Diagnostic>) {
        let key = reader.key(text.kind, file);
        let known = key.and_then(|key| BodyFacts::decode(&reader.cache.find_small(Shelf::Pages, &key)?));
        if let Some(facts) = known {
            let unparsed = Some(UnparsedBody { text, reader: Arc::clone(reader) });
            return (Self { facts, key, parsed: OnceLock::new(), unparsed }, Vec::new());
        }
        let (page, mistakes) = reader.parse(&text);
        let facts = BodyFacts {
            has_styled_code: page.has_styled_code,
            has_split_list: list_pages::find_split(&page.template).is_some(),
            word_count: count_words(&text.source.text[text.start..]),
        };
        if let Some(key) = key.filter(|_| mistakes.is_empty()) {
            reader.cache.keep_small(Shelf::Pages, &key, facts.encode().into());
        }
        (Self { facts, key, ..Self::parsed(page.template, page.links) }, mistakes)
    }

    /// A body that no file holds.
    pub(super) fn made(template: Template) -> Self {
        Self::parsed(template, Vec::new())
    }

    fn parsed(template: Template, links: Vec<Link>) -> Self {
        let parsed = ParsedBody { template, links }.into();
        Self { facts: BodyFacts::default(), key: None, parsed, unparsed: None }
    }

    /// The body as a template; a Markdown page's has become HTML.
    pub fn template(&self) -> &Template {
        &self.parse().template
    }

    /// The links that Markdown wrote, in order.
    pub fn links(&self) -> &[Link] {
        &self.parse().links
    }

    fn parse(&self) -> &ParsedBody {
        self.parsed.get_or_init(|| {
            let UnparsedBody { text, reader } = self.unparsed.as_ref().expect("a body is parsed, or can be");
            let (MarkdownPage { template, links, .. }, _) = reader.parse(text);
            ParsedBody { template, links }
        })
    }
}

impl BodyFacts {
    fn encode(self) -> Vec<u8> {
        let flags = u8::from(self.has_styled_code) | u8::from(self.has_split_list) << 1;
        [&[flags][..], &(self.word_count as u64).to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (flags, word_count) = bytes.split_first()?;
        let word_count = usize::try_from(u64::from_le_bytes(word_count.try_into().ok()?)).ok()?;
        Some(Self { has_styled_code: flags & 1 != 0, has_split_list: flags & 2 != 0, word_count })
    }
}

/// Runs of letters and digits outside tags and markup.
fn count_words(text: &str) -> usize {
    let mut count = 0;
    let mut in_tag = false;
    let mut goes_on = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // A `<` that begins no tag is text, in code as in prose.
            '<' => in_tag |= characters.peek().is_some_and(|next| next.is_ascii_alphabetic() || "/!%".contains(*next)),
            '>' => in_tag = false,
            _ => {}
        }
        let is_letter = character.is_alphanumeric() || (goes_on && matches!(character, '\'' | '’' | '-'));
        count += usize::from(!in_tag && is_letter && !goes_on);
        goes_on = !in_tag && is_letter;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::count_words;

    #[test]
    fn words_are_counted_without_markup() {
        assert_eq!(
            count_words("<p class=\"a b\">Don't stop.</p>\n\n# Zwölf well-known 3 things <% img src=\"x\" %/>"),
            6
        );
        assert_eq!(count_words("If a < b then c"), 5);
        assert_eq!(count_words(""), 0);
    }
}
