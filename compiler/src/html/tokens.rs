//! Finished HTML as a series of events, by html5gum. It allocates for each page and not for each tag, and looks into
//! `<noscript>` as a browser without scripts does.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::Range;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

/// What a reader comes by. Names are in lower case, values have their character references resolved.
pub(crate) enum Event<'t> {
    Start(&'t Tag),
    End(&'t [u8]),
    Text(&'t [u8]),
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
        self.bytes.extend_from_slice(name);
        self.name_end = name.len();
    }

    fn push_name(&mut self, name: &[u8], place: Range<usize>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let end = self.bytes.len();
        self.attributes.push(Attribute { name: start..end, value: end..end, value_place: place.end..place.end });
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
    read_from(html, 0, &mut |event, place| handle(event, place));
}

type Handle<'h> = dyn FnMut(Event<'_>, Range<usize>) + 'h;

/// `offset` is where `html` begins in the page, which isn't 0 within `<noscript>`: that is text to html5gum.
fn read_from(html: &str, offset: usize, handle: &mut Handle<'_>) {
    let mut tag = Tag::default();
    let (mut start, mut is_open) = (0, false);
    let callback = |event: CallbackEvent<'_>, span: Span<usize>| -> Option<Infallible> {
        let place = span.start + offset..span.end + offset;
        match event {
            CallbackEvent::OpenStartTag { name } => {
                tag.open(name);
                (start, is_open) = (place.start, true);
            }
            CallbackEvent::AttributeName { name } if is_open => tag.push_name(name, place),
            CallbackEvent::AttributeValue { value } if is_open => tag.push_value(value, place),
            CallbackEvent::CloseStartTag { self_closing } => {
                is_open = false;
                tag.is_closed = self_closing;
                tag.drop_repeated();
                handle(Event::Start(&tag), start..place.end);
            }
            CallbackEvent::EndTag { name } => {
                tag.name_end = 0;
                handle(Event::End(name), place);
            }
            // Within the page only, so that the depth is bounded.
            CallbackEvent::String { .. } if offset == 0 && tag.name() == b"noscript" => {
                read_from(html.get(span.start..span.end).unwrap_or_default(), span.start, handle);
            }
            CallbackEvent::String { value } => handle(Event::Text(value), place),
            CallbackEvent::Comment { .. } => handle(Event::Comment, place),
            CallbackEvent::Doctype { .. } => handle(Event::Doctype, place),
            CallbackEvent::AttributeName { .. } | CallbackEvent::AttributeValue { .. } | CallbackEvent::Error(_) => {}
        }
        None
    };
    let mut emitter = CallbackEmitter::new(callback);
    // Without it text within scripts, styles and text areas would be read as tags.
    emitter.naively_switch_states(true);
    match Tokenizer::new_with_emitter(html, emitter).finish() {
        Ok(()) => {}
        Err(never) => match never {},
    }
}
