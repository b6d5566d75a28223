//! Finished HTML as a series of events (HTML standard, section 13.2.5, “Tokenization”): each page is read several times, so
//! text is jumped over, and memory is taken for a page and not for a tag. It looks into `<noscript>` as a browser
//! without scripts does, and takes what stands in a drawing for markup, as browsers do there.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use html5gum::{Token, Tokenizer};
use memchr::{memchr, memchr2, memmem};

/// What a reader comes by. Names are in lower case, values have their character references resolved; text is as it was
/// written.
pub(crate) enum Event<'t> {
    Start(&'t Tag),
    End(&'t [u8]),
    Text(&'t str),
    Comment,
    Doctype,
}

/// A start tag.
#[derive(Default)]
pub(crate) struct Tag {
    /// Names and values, one after another.
    bytes: Vec<u8>,
    name_end: usize,
    attributes: Vec<Attribute>,
    /// It ends with `/>`.
    pub(crate) is_closed: bool,
}

struct Attribute {
    name: Range<usize>,
    value: Range<usize>,
    value_place: Range<usize>,
}

/// An attribute of a start tag, the first of its name.
pub(crate) struct AttributeView<'t> {
    pub(crate) name: &'t [u8],
    pub(crate) value: &'t [u8],
    /// Where the value stands, without quotes; empty after the name if there is none.
    pub(crate) place: Range<usize>,
}

impl Tag {
    pub(crate) fn name(&self) -> &[u8] {
        &self.bytes[..self.name_end]
    }

    pub(crate) fn attributes(&self) -> impl Iterator<Item = AttributeView<'_>> {
        self.attributes.iter().map(|one| AttributeView {
            name: &self.bytes[one.name.clone()],
            value: &self.bytes[one.value.clone()],
            place: one.value_place.clone(),
        })
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<AttributeView<'_>> {
        self.attributes().find(|one| one.name == name)
    }

    /// The value of an attribute as text.
    pub(crate) fn value(&self, name: &[u8]) -> Option<&str> {
        str::from_utf8(self.find(name)?.value).ok()
    }

    fn open(&mut self, name: &[u8]) {
        self.bytes.clear();
        self.attributes.clear();
        self.is_closed = false;
        self.bytes.extend(name.iter().map(u8::to_ascii_lowercase));
        self.name_end = name.len();
    }

    fn push_name(&mut self, name: &[u8], end: usize) {
        let start = self.bytes.len();
        self.bytes.extend(name.iter().map(u8::to_ascii_lowercase));
        let name = start..self.bytes.len();
        self.attributes.push(Attribute { value: name.end..name.end, name, value_place: end..end });
    }

    fn push_value(&mut self, value: &[u8], place: Range<usize>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        if let Some(attribute) = self.attributes.last_mut() {
            attribute.value = start..self.bytes.len();
            attribute.value_place = place;
        }
    }

    /// HTML knows the first of two attributes with one name.
    fn drop_repeated(&mut self) {
        let bytes = &self.bytes;
        if self.attributes.len() > COMPARED_COUNT_MAX {
            let mut seen = HashSet::new();
            self.attributes.retain(|one| seen.insert(&bytes[one.name.clone()]));
            return;
        }
        let mut index = 1;
        while index < self.attributes.len() {
            let name = &bytes[self.attributes[index].name.clone()];
            if self.attributes[..index].iter().any(|one| &bytes[one.name.clone()] == name) {
                self.attributes.remove(index);
            } else {
                index += 1;
            }
        }
    }
}

/// Up to so many attributes are compared with each other; more are put into a set. Guessed.
const COMPARED_COUNT_MAX: usize = 16;

/// Reads HTML from its beginning to its end and hands each event to `handle`, with its place.
pub(crate) fn read(html: &str, mut handle: impl FnMut(Event<'_>, Range<usize>)) {
    let mut tag = Tag::default();
    let mut drawings = Drawings::default();
    let (mut at, mut text_start) = (0, 0);
    while let Some(found) = memchr(b'<', &html.as_bytes()[at..]) {
        let start = at + found;
        let Some((markup, end)) = read_markup(html, start, &mut tag, drawings.is_in()) else {
            // It begins nothing, so it is text.
            at = start + 1;
            continue;
        };
        if text_start < start {
            handle(Event::Text(&html[text_start..start]), text_start..start);
        }
        (at, text_start) = (end, end);
        match markup {
            Markup::Start => {
                tag.drop_repeated();
                handle(Event::Start(&tag), start..end);
                if drawings.start(&tag) {
                    continue;
                }
                at = find_text_end(html, tag.name(), end).unwrap_or(end);
            }
            Markup::End => {
                handle(Event::End(tag.name()), start..end);
                drawings.end(tag.name());
            }
            Markup::Comment => handle(Event::Comment, start..end),
            Markup::Doctype => handle(Event::Doctype, start..end),
            Markup::Text(text) if !text.is_empty() => handle(Event::Text(&html[text.clone()]), text),
            Markup::Text(_) | Markup::Nothing => {}
        }
    }
    if text_start < html.len() {
        handle(Event::Text(&html[text_start..]), text_start..html.len());
    }
}

/// Text with its character references resolved.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if memchr(b'&', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let escaped = text.replace('<', "&lt;");
    let mut decoded = String::with_capacity(text.len());
    for token in Tokenizer::new(&escaped).map_while(Result::ok) {
        if let Token::String(piece) = token {
            decoded.push_str(&String::from_utf8_lossy(&piece));
        }
    }
    Cow::Owned(decoded)
}

/// What stands at a `<`.
enum Markup {
    /// A start tag, which has been read.
    Start,
    /// An end tag, whose name has been read.
    End,
    Comment,
    Doctype,
    /// Text in a drawing that is marked as such.
    Text(Range<usize>),
    /// Something that browsers pass over: `</>`, or a tag without an end.
    Nothing,
}

/// The markup that begins at `start`, and where it ends. `None`: none does.
fn read_markup(html: &str, start: usize, tag: &mut Tag, is_in_drawing: bool) -> Option<(Markup, usize)> {
    let bytes = html.as_bytes();
    let rest = &bytes[start + 1..];
    match rest {
        [first, ..] if first.is_ascii_alphabetic() => {
            Some(read_tag(html, start + 1, tag).map_or((Markup::Nothing, html.len()), |end| (Markup::Start, end)))
        }
        [b'/', first, ..] if first.is_ascii_alphabetic() => {
            Some(read_tag(html, start + 2, tag).map_or((Markup::Nothing, html.len()), |end| (Markup::End, end)))
        }
        [b'/', b'>', ..] => Some((Markup::Nothing, start + 3)),
        [b'!', b'-', b'-', ..] => Some((Markup::Comment, comment_end(bytes, start + 4))),
        [b'!', word @ ..] if word.get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"doctype")) => {
            Some((Markup::Doctype, behind(bytes, start, b'>')))
        }
        [b'!', word @ ..] if is_in_drawing && word.starts_with(b"[CDATA[") => {
            let text = start + 9;
            let end = memmem::find(&bytes[text..], b"]]>").map(|len| text + len);
            let text = text..end.unwrap_or(html.len());
            Some((Markup::Text(text), end.map_or(html.len(), |end| end + 3)))
        }
        // Browsers take what is none of these for a comment.
        [b'!' | b'?', ..] | [b'/', _, ..] => Some((Markup::Comment, behind(bytes, start, b'>'))),
        _ => None,
    }
}

/// The offset behind the next such byte, or the end.
fn behind(bytes: &[u8], start: usize, byte: u8) -> usize {
    memchr(byte, &bytes[start..]).map_or(bytes.len(), |len| start + len + 1)
}

/// Where a comment ends whose text begins at `start`: behind `-->` or `--!>`; at once at `>` and `->`.
fn comment_end(bytes: &[u8], start: usize) -> usize {
    let text = &bytes[start..];
    if text.starts_with(b">") {
        return start + 1;
    }
    if text.starts_with(b"->") {
        return start + 2;
    }
    let mut at = start;
    while let Some(len) = memmem::find(&bytes[at..], b"--") {
        let dashes = at + len;
        match &bytes[dashes + 2..] {
            [b'>', ..] => return dashes + 3,
            [b'!', b'>', ..] => return dashes + 4,
            _ => at = dashes + 1,
        }
    }
    bytes.len()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

/// Reads a tag whose name begins at `start`. Returns where it ends; `None` if the page ends before.
fn read_tag(html: &str, start: usize, tag: &mut Tag) -> Option<usize> {
    let bytes = html.as_bytes();
    let end_of =
        |from: usize, is_end: fn(u8) -> bool| bytes[from..].iter().position(|byte| is_end(*byte)).map(|len| from + len);
    let mut at = end_of(start, |byte| is_blank(byte) || matches!(byte, b'/' | b'>'))?;
    tag.open(&bytes[start..at]);
    loop {
        at = end_of(at, |byte| !is_blank(byte))?;
        match bytes[at] {
            b'>' => return Some(at + 1),
            b'/' => {
                tag.is_closed = *bytes.get(at + 1)? == b'>';
                at += 1;
                continue;
            }
            _ => {}
        }
        // A `=` where a name should begin is its first letter.
        let name_end = end_of(at + 1, |byte| is_blank(byte) || matches!(byte, b'/' | b'>' | b'='));
        let name_end = name_end?;
        tag.push_name(&bytes[at..name_end], name_end);
        at = end_of(name_end, |byte| !is_blank(byte))?;
        if bytes[at] != b'=' {
            continue;
        }
        at = end_of(at + 1, |byte| !is_blank(byte))?;
        let (place, quote) = match bytes[at] {
            b'>' => return Some(at + 1),
            quote @ (b'"' | b'\'') => (at + 1..at + 1 + memchr(quote, &bytes[at + 1..])?, Some(quote)),
            _ => (at..end_of(at, |byte| is_blank(byte) || byte == b'>')?, None),
        };
        at = place.end + usize::from(quote.is_some());
        let value = &html[place.clone()];
        match memchr(b'&', value.as_bytes()) {
            None => tag.push_value(value.as_bytes(), place),
            Some(_) => tag.push_value(&decode_value(value, quote), place),
        }
    }
}

/// An attribute's value with its character references resolved, which in a value end otherwise than in text.
fn decode_value(value: &str, quote: Option<u8>) -> Vec<u8> {
    let quote = quote.map_or("", |quote| if quote == b'"' { "\"" } else { "'" });
    let tag = format!("<a b={quote}{value}{quote}>");
    let value_of = |token| match token {
        Token::StartTag(tag) => tag.attributes.into_values().next().map(|value| value.value.0),
        // What is wrong with the tag comes before it.
        _ => None,
    };
    Tokenizer::new(&tag).map_while(Result::ok).find_map(value_of).unwrap_or_default()
}

/// Where the text of an element ends that holds nothing but text, and `None` for all others. Without an end tag all that
/// follows is its text.
fn find_text_end(html: &str, name: &[u8], start: usize) -> Option<usize> {
    let bytes = html.as_bytes();
    let end = match name {
        b"title" | b"textarea" | b"style" | b"xmp" | b"iframe" | b"noembed" | b"noframes" => {
            let mut ends = memmem::find_iter(&bytes[start..], b"</").map(|at| start + at);
            ends.find(|at| begins_word(&bytes[at + 2..], name))
        }
        b"script" => script_end(bytes, start),
        b"plaintext" => None,
        _ => return None,
    };
    Some(end.unwrap_or(html.len()))
}

/// Whether a tag's name stands there, and ends there.
fn begins_word(bytes: &[u8], name: &[u8]) -> bool {
    let is_name = bytes.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name));
    is_name && bytes.get(name.len()).is_some_and(|next| is_blank(*next) || matches!(next, b'/' | b'>'))
}

/// Where a script's text ends. Within `<!--` and `-->` another `<script>` has an end tag of its own.
fn script_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut is_escaped, mut is_nested) = (false, false);
    let mut at = start;
    while let Some(len) = memchr2(b'<', b'-', &bytes[at..]) {
        at += len;
        let rest = &bytes[at..];
        if is_escaped && rest.starts_with(b"-->") {
            (is_escaped, is_nested) = (false, false);
        } else if rest.starts_with(b"</") && begins_word(&rest[2..], b"script") {
            if !is_nested {
                return Some(at);
            }
            is_nested = false;
        } else if is_escaped && !is_nested && rest.starts_with(b"<") && begins_word(&rest[1..], b"script") {
            is_nested = true;
        } else if !is_escaped && rest.starts_with(b"<!--") {
            is_escaped = true;
            // Its dashes may be those of the end: `<!-->`.
            at += 1;
        }
        at += 1;
    }
    None
}

/// The drawings and formulas (`<svg>`, `<math>`) that are open: within them titles, styles and scripts hold markup. What
/// stands in their `<foreignObject>` is HTML again.
#[derive(Default)]
struct Drawings(Vec<Drawing>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawing {
    Svg,
    Math,
    Html,
}

impl Drawings {
    fn is_in(&self) -> bool {
        self.0.last().is_some_and(|last| *last != Drawing::Html)
    }

    fn of(&self, name: &[u8]) -> Option<Drawing> {
        match name {
            b"svg" => Some(Drawing::Svg),
            b"math" => Some(Drawing::Math),
            b"foreignobject" if !self.0.is_empty() => Some(Drawing::Html),
            _ => None,
        }
    }

    /// Returns whether the tag stands in a drawing.
    fn start(&mut self, tag: &Tag) -> bool {
        let is_in = self.is_in();
        if let Some(drawing) = self.of(tag.name()).filter(|_| !tag.is_closed) {
            self.0.push(drawing);
        }
        is_in
    }

    fn end(&mut self, name: &[u8]) {
        let Some(drawing) = self.of(name) else { return };
        if let Some(index) = self.0.iter().rposition(|one| *one == drawing) {
            self.0.truncate(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use html5gum::Span;
    use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
    use proptest::prelude::*;

    use super::*;

    /// What was read, in words. The text between two tags is one.
    #[derive(Default)]
    struct Seen {
        lines: Vec<String>,
        text: String,
    }

    impl Seen {
        fn end_text(&mut self) {
            if !self.text.is_empty() {
                self.lines.push(format!("text {:?}", std::mem::take(&mut self.text)));
            }
        }

        fn add(&mut self, line: &str, place: &Range<usize>) {
            self.end_text();
            self.lines.push(format!("{line} {place:?}"));
        }

        fn finish(mut self) -> Vec<String> {
            self.end_text();
            self.lines
        }
    }

    fn describe(tag: &Tag) -> String {
        let text = String::from_utf8_lossy;
        let describe_attribute = |one: AttributeView<'_>| {
            // Where an empty value stands is nowhere told by the other.
            let place = (!one.value.is_empty()).then_some(one.place);
            format!("{}={:?} at {place:?}", text(one.name), text(one.value))
        };
        let name = format!("<{} {}", text(tag.name()), tag.is_closed);
        std::iter::once(name).chain(tag.attributes().map(describe_attribute)).collect::<Vec<_>>().join(" ")
    }

    fn ours(html: &str) -> Vec<String> {
        let mut seen = Seen::default();
        let mut is_raw = false;
        read(html, |event, place| match event {
            Event::Start(tag) => {
                is_raw = matches!(tag.name(), b"script" | b"style" | b"iframe" | b"xmp" | b"noembed" | b"plaintext");
                seen.add(&describe(tag), &place);
            }
            Event::End(name) => {
                is_raw = false;
                seen.add(&format!("</{}", String::from_utf8_lossy(name)), &place);
            }
            Event::Text(text) if is_raw => seen.text.push_str(text),
            Event::Text(text) => seen.text.push_str(&decode(text)),
            Event::Comment => seen.add("comment", &place),
            Event::Doctype => seen.add("doctype", &place),
        });
        seen.finish()
    }

    /// The same by a tokenizer that passes the browsers' own tests.
    fn theirs(html: &str) -> Vec<String> {
        let mut seen = Seen::default();
        let (mut tag, mut start) = (Tag::default(), 0);
        let callback = |event: CallbackEvent<'_>, span: Span<usize>| -> Option<Infallible> {
            let place = span.start..span.end;
            match event {
                CallbackEvent::OpenStartTag { name } => {
                    tag.open(name);
                    start = place.start;
                }
                CallbackEvent::AttributeName { name } => tag.push_name(name, place.end),
                CallbackEvent::AttributeValue { value } => tag.push_value(value, place),
                CallbackEvent::CloseStartTag { self_closing } => {
                    tag.is_closed = self_closing;
                    tag.drop_repeated();
                    seen.add(&describe(&tag), &(start..place.end));
                }
                CallbackEvent::EndTag { name } => seen.add(&format!("</{}", String::from_utf8_lossy(name)), &place),
                CallbackEvent::String { value } => seen.text.push_str(&String::from_utf8_lossy(value)),
                CallbackEvent::Comment { .. } => seen.add("comment", &place),
                CallbackEvent::Doctype { .. } => seen.add("doctype", &place),
                CallbackEvent::Error(_) => {}
            }
            None
        };
        let mut emitter = CallbackEmitter::new(callback);
        emitter.naively_switch_states(true);
        Tokenizer::new_with_emitter(html, emitter).finish().unwrap();
        seen.finish()
    }

    /// Pieces of which pages, and broken pages, are put together. Drawings and `<noscript>` are read otherwise.
    const PIECES: [&str; 56] = [
        "<",
        ">",
        "</",
        "/>",
        "<!",
        "<?",
        "!",
        "-",
        "--",
        "-->",
        "--!>",
        "<!--",
        "<!-->",
        "<!doctype html>",
        "=",
        "\"",
        "'",
        " ",
        "\n",
        "/",
        "a",
        "é",
        "&",
        "&amp;",
        "&lt",
        "&notit;",
        "&#60;",
        "<p>",
        "<p ",
        "<P A=b>",
        "</p>",
        "</p x=y>",
        "<a href=\"x\">",
        "<a b='c' B=d>",
        "<a b = c/>",
        "<br/>",
        "<a =b>",
        "<a b=>",
        "<a b=\"c\"d>",
        "<title>",
        "</title>",
        "</titlex>",
        "<textarea>",
        "</TEXTAREA >",
        "<script>",
        "</script>",
        "<script ",
        "</script/",
        "<style>",
        "</style>",
        "<xmp>",
        "</xmp>",
        "<plaintext>",
        "<![CDATA[",
        "]]>",
        "x",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        /// A page that is read otherwise than browsers do is checked, minified and allowed otherwise than it is shown.
        #[test]
        fn pages_are_read_as_the_standard_says(indices in proptest::collection::vec(0..PIECES.len(), 0..24)) {
            let html: String = indices.into_iter().map(|index| PIECES[index]).collect();
            prop_assert_eq!(ours(&html), theirs(&html), "{:?}", html);
        }
    }

    #[test]
    fn within_a_drawing_titles_styles_and_scripts_hold_markup() {
        let lines = ours(
            "<svg><title/><style>a<b/></style><![CDATA[<i>]]><foreignObject><title>a<b></title></foreignObject>x</svg><title><p>",
        );
        let expected = [
            "<svg false 0..5",
            "<title true 5..13",
            "<style false 13..20",
            "text \"a\"",
            "<b true 21..25",
            "</style 25..33",
        ];
        assert_eq!(lines[..6], expected);
        assert_eq!(lines[6], "text \"<i>\"");
        assert_eq!(lines[9], "text \"a<b>\"");
        assert_eq!(lines[lines.len() - 1], "text \"<p>\"");
    }
}
