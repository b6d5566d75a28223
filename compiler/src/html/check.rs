//! One pass through a finished page: the URLs that it names, its ids, and what is wrong with its markup.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::links::{HtmlUrl, UrlContext, UrlFinder};
use super::nesting::Nesting;
use super::script::{Need, ScriptKind, directive_of, find_needs, origin_of, sha256_source};
use super::tokens::{self, Event, Tag};
use crate::diagnostic::Code;

/// Bytes that a policy has for each script or style in the page: a blank, and `'sha256-…'`.
const SOURCE_BYTES: usize = 54;
/// So many scripts and styles make a policy of 8 KB, which is what many proxies and clients take of a head.
const NAMED_COUNT_MANY: usize = 8_192 / SOURCE_BYTES;
/// The most that a bundle has room for, with 2 KB for what else stands in a head.
const NAMED_COUNT_MAX: usize = (65_535 - 2_048) / SOURCE_BYTES;

/// What was found in a page.
#[derive(Clone, Default, Debug)]
pub struct PageReading {
    /// Every URL in an attribute or in the page's own CSS, in order.
    pub urls: Vec<HtmlUrl>,
    /// What is wrong, in order.
    pub mistakes: Vec<Mistake>,
    /// What the page itself says of the digests of what it loads, in order.
    pub integrities: Vec<WrittenIntegrity>,
}

/// An attribute `integrity` that a page has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrittenIntegrity {
    /// What is loaded.
    pub url: String,
    /// The attribute's value.
    pub value: String,
    /// Where the value stands.
    pub range: Range<usize>,
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
    /// The policy that is made from the page is long.
    LongPolicy,
    /// It is too long for a head.
    TooLongPolicy,
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
            Self::LongPolicy => Code::LongPolicy,
            Self::TooLongPolicy => Code::TooLongPolicy,
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
        foreign_sheets: Vec::new(),
        integrities: Vec::new(),
        named: HashSet::new(),
        named_start: None,
        many_at: None,
        names_fonts: false,
    };
    tokens::read(html, |event, place| reader.handle(&event, place));
    reader.report_foreign_sheets();
    reader.report_plain_styles();
    reader.report_long_policy();
    let mut mistakes = reader.nesting.finish();
    mistakes.sort_by_key(|mistake| mistake.range.start);
    PageReading { urls: reader.urls.urls, mistakes, integrities: reader.integrities }
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
    /// Style sheets of other hosts.
    foreign_sheets: Vec<(String, Range<usize>, Range<usize>)>,
    /// The page says which host fonts come from.
    names_fonts: bool,
    integrities: Vec<WrittenIntegrity>,
    /// Scripts and styles in the page, each of which its policy names once.
    named: HashSet<u64>,
    /// Where the one begins that is open.
    named_start: Option<usize>,
    /// The tag with which there are many.
    many_at: Option<Range<usize>>,
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
                if let Some(start) = self.named_start.take() {
                    self.add_named(self.html.get(start..place.start).unwrap_or_default().as_bytes(), &place);
                }
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
        if tag.name() == b"script" && tag.find(b"src").is_none() && ScriptKind::of(tag) == ScriptKind::Code {
            self.script = Some(place.end);
        }
        self.named_start = match tag.name() {
            b"style" => Some(place.end),
            b"script" if tag.find(b"src").is_none() && ScriptKind::of(tag).has_hash() => Some(place.end),
            _ => None,
        };
        if let Some(style) = tag.find(b"style") {
            self.add_named(style.value, place);
        }
        if let Some(integrity) = tag.find(b"integrity").filter(|one| !one.value.trim_ascii().is_empty())
            && let Some(url) = tag.value(b"src").or_else(|| tag.value(b"href"))
        {
            let value = String::from_utf8_lossy(integrity.value).into_owned();
            self.integrities.push(WrittenIntegrity { url: url.to_owned(), value, range: integrity.place });
        }
        self.check_elsewhere(tag, place);
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

    /// Finds what is loaded from elsewhere in a way that no policy allows, or that nobody can know.
    fn check_elsewhere(&mut self, tag: &Tag, place: &Range<usize>) {
        let is_link = tag.name() == b"link";
        let relations = tag.value(b"rel").filter(|_| is_link).unwrap_or_default().to_ascii_lowercase();
        let has = |relation: &str| relations.split_ascii_whitespace().any(|one| one == relation);
        let is_loaded =
            ["stylesheet", "icon", "apple-touch-icon", "manifest", "modulepreload", "preload"].into_iter().any(has);
        for attribute in tag.attributes() {
            let holds = match (tag.name(), attribute.name) {
                (b"script", b"src") => true,
                (b"link", b"href") => is_loaded,
                (element, name) => directive_of(element, name).is_some(),
            };
            let value = String::from_utf8_lossy(attribute.value);
            if holds && value.trim_ascii().get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://")) {
                let message =
                    format!("the page's security policy blocks `{}`: it is not encrypted", value.trim_ascii());
                self.report(MistakeKind::Blocked, attribute.place.clone(), message, "write `https://`");
                if let Some(mistake) = self.nesting.mistakes.last_mut() {
                    mistake.element = place.clone();
                }
            }
            if let Some(origin) = origin_of(&value).filter(|_| is_link && attribute.name == b"href") {
                let is_font = tag.value(b"as").is_some_and(|kind| kind.eq_ignore_ascii_case("font"));
                self.names_fonts |=
                    has("preconnect") && tag.find(b"crossorigin").is_some() || has("preload") && is_font;
                if has("stylesheet") {
                    self.foreign_sheets.push((origin, attribute.place.clone(), place.clone()));
                }
            }
        }
    }

    /// Counts what the page's policy has to name by its hash.
    fn add_named(&mut self, bytes: &[u8], place: &Range<usize>) {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        self.named.insert(hasher.finish());
        if self.named.len() > NAMED_COUNT_MANY && self.many_at.is_none() {
            self.many_at = Some(place.clone());
        }
    }

    fn report_long_policy(&mut self) {
        let Some(place) = self.many_at.take() else { return };
        let (count, kilobytes) = (self.named.len(), self.named.len() * SOURCE_BYTES / 1_000);
        let is_too_much = count > NAMED_COUNT_MAX;
        let kind = if is_too_much { MistakeKind::TooLongPolicy } else { MistakeKind::LongPolicy };
        let what =
            if is_too_much { "which no head of an answer has room for" } else { "and many clients refuse such heads" };
        let message = format!(
            "the page has {count} scripts and styles of its own, and its security policy names each: {kilobytes} KB, {what}"
        );
        let help = "put the styles into classes and the scripts into files; or write a `csp` under `[security]`";
        self.report(kind, place, message, help);
    }

    /// What the page's own CSS loads in a way that no policy allows.
    fn report_plain_styles(&mut self) {
        let is_plain = |url: &HtmlUrl| {
            let start = url.url.trim_ascii().get(..7);
            url.context != UrlContext::Attribute && start.is_some_and(|start| start.eq_ignore_ascii_case("http://"))
        };
        let plain: Vec<_> = self.urls.urls.iter().filter(|url| is_plain(url)).cloned().collect();
        for HtmlUrl { url, range, .. } in plain {
            let message = format!("the page's security policy blocks `{}`: it is not encrypted", url.trim_ascii());
            self.report(MistakeKind::Blocked, range, message, "write `https://`");
        }
    }

    /// What a foreign style sheet loads can't be known, and is most often a font.
    fn report_foreign_sheets(&mut self) {
        if self.names_fonts {
            return;
        }
        for (origin, range, element) in std::mem::take(&mut self.foreign_sheets) {
            let message = format!(
                "what this style sheet of `{origin}` loads can't be known, and the page's security policy blocks it"
            );
            let fonts =
                if origin == "https://fonts.googleapis.com" { "https://fonts.gstatic.com" } else { origin.as_str() };
            let help = format!(
                "name the host of its fonts: `<link rel=\"preconnect\" href=\"{fonts}\" crossorigin>`; or write a `csp` \
                 under `[security]` with `font-src 'self' {fonts}` in it"
            );
            self.report(MistakeKind::Blocked, range, message, &help);
            if let Some(mistake) = self.nesting.mistakes.last_mut() {
                mistake.element = element;
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
