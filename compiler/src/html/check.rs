//! One pass through a finished page: the URLs that it names, its ids, and what is wrong with its markup.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::links::{HtmlUrl, UrlFinder};
use super::nesting::Nesting;
use super::script::{Need, find_needs, sha256_source};
use super::tokens::{self, Event, Tag};
use crate::diagnostic::Code;

/// What was found in a page.
#[derive(Clone, Default, Debug)]
pub struct PageReading {
    /// Every URL in an attribute or in the page's own CSS, in order.
    pub urls: Vec<HtmlUrl>,
    /// What is wrong, in order.
    pub mistakes: Vec<Mistake>,
}

/// What kind of mistake it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MistakeKind {
    /// Elements stand in each other as a browser won't keep them.
    Nesting,
    /// A block stands in a paragraph.
    InParagraph,
    /// Two elements have one id.
    DuplicateId,
    /// An image has no `alt`.
    MissingAlt,
    /// A heading is more than one level below the one before.
    SkippedHeading,
    /// The policy that is made from the page won't allow it.
    Blocked,
}

impl MistakeKind {
    /// The kind of its diagnostic.
    pub fn code(self) -> Code {
        match self {
            Self::Nesting | Self::InParagraph => Code::ChangedNesting,
            Self::DuplicateId => Code::DuplicateId,
            Self::MissingAlt => Code::MissingAlt,
            Self::SkippedHeading => Code::SkippedHeading,
            Self::Blocked => Code::BlockedSource,
        }
    }
}

/// Something that is wrong in a page's markup, with its place in the page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// What kind of mistake it is.
    pub kind: MistakeKind,
    /// What to point at.
    pub range: Range<usize>,
    /// The tag that it is about, if what to point at was put together from values.
    pub element: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Another place that explains it.
    pub note: Option<(Range<usize>, String)>,
}

/// Reads a finished page.
pub fn read_page(html: &str) -> PageReading {
    let mut reader = Reader {
        html,
        nesting: Nesting::new(html),
        urls: UrlFinder::default(),
        ids: HashMap::new(),
        heading: None,
        script: None,
    };
    tokens::read(html, |event, place| reader.handle(&event, place));
    let mut mistakes = reader.nesting.finish();
    mistakes.sort_by_key(|mistake| mistake.range.start);
    PageReading { urls: reader.urls.urls, mistakes }
}

struct Reader<'h> {
    html: &'h str,
    nesting: Nesting<'h>,
    urls: UrlFinder,
    /// Ids with the places of their values.
    ids: HashMap<Cow<'h, str>, Range<usize>>,
    /// The last heading's level and tag.
    heading: Option<(u8, Range<usize>)>,
    /// Where the script that is open begins.
    script: Option<usize>,
}

impl Reader<'_> {
    fn handle(&mut self, event: &Event<'_>, place: Range<usize>) {
        self.urls.handle(self.html, event, &place);
        let is_too_much = self.nesting.is_full();
        match event {
            Event::Start(tag) if !is_too_much => {
                self.check_tag(tag, &place);
                self.check_policy(tag, &place);
                self.nesting.start(tag, &place);
            }
            Event::End(name) if !is_too_much => {
                self.end_script(place.start);
                self.nesting.end(name, &place);
            }
            Event::Text(text) if !is_too_much && !text.trim_ascii().is_empty() => {
                let text = self.html.get(place.clone()).unwrap_or_default();
                let start = place.start + text.len() - text.trim_ascii_start().len();
                self.nesting.text(&(start..start + text.trim_ascii().len()));
            }
            _ => {}
        }
    }

    fn check_tag(&mut self, tag: &Tag, place: &Range<usize>) {
        if self.nesting.is_in_template() {
            return;
        }
        self.check_id(tag, place);
        if self.nesting.is_in_foreign() {
            return;
        }
        match tag.name() {
            b"img" if tag.find(b"alt").is_none() => self.report(
                MistakeKind::MissingAlt,
                place.clone(),
                "the image has no alternative text".to_owned(),
                "say what is to be seen: `alt=\"…\"`; `alt=\"\"` if it is a decoration",
            ),
            [b'h', digit @ b'1'..=b'6'] => self.check_heading(digit - b'0', place),
            _ => {}
        }
    }

    /// Finds what a policy can't allow because nothing in the page says that it should.
    fn check_policy(&mut self, tag: &Tag, place: &Range<usize>) {
        if tag.name() == b"script" && tag.find(b"src").is_none() {
            self.script = Some(place.end);
        }
        for attribute in tag.attributes() {
            let name = String::from_utf8_lossy(attribute.name);
            let is_handler =
                name.len() > 4 && name.starts_with("on") && name.bytes().all(|byte| byte.is_ascii_lowercase());
            let value = attribute.value.trim_ascii_start();
            let is_script_url = matches!(attribute.name, b"href" | b"src" | b"action" | b"formaction")
                && value.get(..11).is_some_and(|start| start.eq_ignore_ascii_case(b"javascript:"));
            let (message, source) = match () {
                () if is_handler => {
                    let hash = sha256_source(attribute.value);
                    (
                        format!("the page's security policy blocks the handler `{name}`"),
                        format!("'unsafe-hashes' {hash}"),
                    )
                }
                () if is_script_url => {
                    let message = "the page's security policy blocks `javascript:` links".to_owned();
                    (message, "'unsafe-inline'".to_owned())
                }
                () => continue,
            };
            let help = format!(
                "listen for the event in a script of its own (`addEventListener`); or write a `csp` under `[security]` with \
                 {source} in its `script-src`"
            );
            self.report(MistakeKind::Blocked, attribute.place.clone(), message, &help);
            if let Some(mistake) = self.nesting.mistakes.last_mut() {
                mistake.element = place.clone();
            }
        }
    }

    fn end_script(&mut self, end: usize) {
        let Some(start) = self.script.take() else { return };
        for need in find_needs(self.html.get(start..end).unwrap_or_default()) {
            let Need { range, directive, source } = need;
            let range = start + range.start..start + range.end;
            let message = match source.as_str() {
                "'unsafe-eval'" => "the page's security policy blocks code that is made of text".to_owned(),
                _ => format!("the page's security policy blocks `{source}`"),
            };
            let help = format!(
                "if it is meant to, write a `csp` under `[security]`, or a `Content-Security-Policy` for this path under \
                 `[[headers]]`, with `{directive} 'self' {source}` in it"
            );
            self.report(MistakeKind::Blocked, range, message, &help);
        }
    }

    fn check_heading(&mut self, level: u8, place: &Range<usize>) {
        if let Some((before, tag)) = self.heading.replace((level, place.clone()))
            && level > before + 1
        {
            let message = format!("`<h{level}>` follows `<h{before}>`: a level is skipped");
            let help = format!("write `<h{}>`; how large it looks is for the style sheet to say", before + 1);
            self.report(MistakeKind::SkippedHeading, place.clone(), message, &help);
            if let Some(mistake) = self.nesting.mistakes.last_mut() {
                mistake.note = Some((tag, "the heading before".to_owned()));
            }
        }
    }

    fn check_id(&mut self, tag: &Tag, place: &Range<usize>) {
        let Some(attribute) = tag.find(b"id").filter(|attribute| !attribute.value.is_empty()) else { return };
        // It is as it was written, unless it has a character reference in it.
        let id = match self.html.get(attribute.place.clone()) {
            Some(text) if text.as_bytes() == attribute.value => Cow::Borrowed(text),
            _ => Cow::Owned(String::from_utf8_lossy(attribute.value).into_owned()),
        };
        match self.ids.entry(id) {
            Entry::Vacant(entry) => drop(entry.insert(attribute.place)),
            Entry::Occupied(entry) => {
                let first = entry.get().clone();
                let message = format!("the id `{}` is given twice in one page", entry.key());
                let help = "a link to it leads to the first one: give each its own id";
                self.nesting.mistakes.push(Mistake {
                    kind: MistakeKind::DuplicateId,
                    range: attribute.place,
                    element: place.clone(),
                    message,
                    help: help.to_owned(),
                    note: Some((first, "the first one".to_owned())),
                });
            }
        }
    }

    fn report(&mut self, kind: MistakeKind, range: Range<usize>, message: String, help: &str) {
        let mistake = Mistake { kind, element: range.clone(), range, message, help: help.to_owned(), note: None };
        self.nesting.mistakes.push(mistake);
    }
}
