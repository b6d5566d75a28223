//! Rendered text in pieces. A slot's value is rendered once and then only referred to, however often and however deep
//! it is handed on, so that nothing is copied until all is put together.

use std::ops::Range;

use crate::diagnostic::{Place, Span};
use crate::template::Template;

/// A rendered piece.
#[derive(Clone, Copy, Debug)]
enum Piece<'a> {
    /// Text that stands in no file as it is.
    Text(&'a str),
    /// Text of a file.
    Source(&'a Template, Span),
    /// Text that Markdown made.
    Markdown(&'a Template, Span),
    /// Bytes of the text that rendering made.
    Made(usize, usize),
    /// A finished value.
    Value(ValueId),
    /// The table of contents, which is known last.
    Toc,
}

/// A finished value's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ValueId(usize);

/// A value that is being rendered, or is finished.
#[derive(Default, Debug)]
struct Value<'a> {
    pieces: Vec<Piece<'a>>,
    /// Tables of contents count as a byte each, so that they aren't taken for empty where they are handed on.
    bytes: usize,
    toc_count: usize,
    /// Something in it is neither white space nor empty.
    is_something: bool,
}

/// All rendered text of a page.
#[derive(Debug)]
pub(super) struct Markup<'a> {
    /// Text that stands in no template: escaped values, URLs, images.
    made: String,
    /// Where in `made` something begins that one place of a file stands for.
    origins: Vec<(usize, &'a Template, Span)>,
    finished: Vec<Value<'a>>,
    /// Values in one another; the last is being appended to.
    open: Vec<Value<'a>>,
    bytes_max: usize,
    is_too_large: bool,
}

impl<'a> Markup<'a> {
    /// Begins with one open value, which is the page.
    pub(super) fn new(bytes_max: usize) -> Self {
        let open = vec![Value::default()];
        Self { made: String::new(), origins: Vec::new(), finished: Vec::new(), open, bytes_max, is_too_large: false }
    }

    /// Whether a value has grown beyond what a page may have. Nothing is appended then.
    pub(super) fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    pub(super) fn open_value(&mut self) {
        self.open.push(Value::default());
    }

    pub(super) fn close_value(&mut self) -> ValueId {
        self.finished.extend(self.open.pop());
        ValueId(self.finished.len() - 1)
    }

    pub(super) fn push_text(&mut self, text: &'a str) {
        self.push(Piece::Text(text), text.len(), !text.trim_ascii().is_empty());
    }

    /// Appends text of a file.
    pub(super) fn push_source(&mut self, template: &'a Template, span: Span) {
        let text = template.text(span);
        self.push(Piece::Source(template, span), text.len(), !text.trim_ascii().is_empty());
    }

    /// Appends text that Markdown made.
    pub(super) fn push_markdown(&mut self, template: &'a Template, span: Span) {
        let text = template.made(span);
        self.push(Piece::Markdown(template, span), text.len(), !text.trim_ascii().is_empty());
    }

    /// Appends what `write` makes of a place in a file.
    pub(super) fn push_made_of(&mut self, template: &'a Template, span: Span, write: impl FnOnce(&mut String)) {
        self.origins.push((self.made.len(), template, span));
        self.push_made(write);
    }

    /// Appends what `write` makes.
    pub(super) fn push_made(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.made.len();
        write(&mut self.made);
        let made = &self.made[start..];
        let (bytes, is_something) = (made.len(), !made.trim_ascii().is_empty());
        self.push(Piece::Made(start, self.made.len()), bytes, is_something);
    }

    pub(super) fn push_value(&mut self, id: ValueId) {
        let value = &self.finished[id.0];
        let (bytes, is_something) = (value.bytes, value.is_something);
        self.push(Piece::Value(id), bytes, is_something);
    }

    pub(super) fn push_toc(&mut self) {
        self.push(Piece::Toc, 1, true);
    }

    fn push(&mut self, piece: Piece<'a>, bytes: usize, is_something: bool) {
        let Some(open) = self.open.last_mut() else { return };
        if bytes == 0 || self.is_too_large {
            return;
        }
        if open.bytes + bytes > self.bytes_max || self.made.len() > self.bytes_max {
            self.is_too_large = true;
            return;
        }
        open.bytes += bytes;
        open.toc_count += match piece {
            Piece::Toc => 1,
            Piece::Value(id) => self.finished[id.0].toc_count,
            Piece::Text(_) | Piece::Source(..) | Piece::Markdown(..) | Piece::Made(..) => 0,
        };
        open.is_something |= is_something;
        open.pieces.push(piece);
    }

    /// Whether a value has anything but white space.
    pub(super) fn is_something(&self, id: ValueId) -> bool {
        self.finished[id.0].is_something
    }

    /// Whether a value is no longer than a page may be once its tables of contents are filled in.
    pub(super) fn has_room_for(&self, id: ValueId, toc: &str) -> bool {
        let value = &self.finished[id.0];
        value.toc_count.saturating_mul(toc.len()).saturating_add(value.bytes) <= self.bytes_max
    }

    /// A value as text.
    pub(super) fn text(&self, id: ValueId, toc: &str) -> String {
        let mut text = String::with_capacity(self.finished[id.0].bytes);
        for piece in self.pieces(id) {
            text.push_str(self.piece_text(piece, toc));
        }
        text
    }

    /// Where ranges of a value's text were written: `None` where no place of a file stands for it. `ranges` is in order of
    /// the beginnings. It goes through the whole value, so all are asked for at once.
    pub(super) fn places(&self, id: ValueId, toc: &str, ranges: &[Range<usize>]) -> Vec<Option<Place>> {
        let mut places = Vec::with_capacity(ranges.len());
        let mut start = 0;
        for piece in self.pieces(id) {
            let end = start + self.piece_text(piece, toc).len();
            while let Some(range) = ranges.get(places.len()).filter(|range| range.start < end) {
                let within = range.start.saturating_sub(start)..range.end.min(end).saturating_sub(start);
                places.push(self.place(piece, within));
            }
            start = end;
        }
        places.resize(ranges.len(), None);
        places
    }

    /// The place of a range within a piece.
    fn place(&self, piece: Piece<'a>, range: Range<usize>) -> Option<Place> {
        let (template, span) = match piece {
            Piece::Source(template, span) => (template, Span::new(span.start + range.start, span.start + range.end)),
            Piece::Markdown(template, span) => {
                (template, template.origin(Span::new(span.start + range.start, span.start + range.end))?)
            }
            Piece::Made(start, _) => {
                let index = self.origins.binary_search_by_key(&start, |(start, ..)| *start).ok()?;
                let (_, template, span) = self.origins[index];
                (template, span)
            }
            Piece::Text(_) | Piece::Value(_) | Piece::Toc => return None,
        };
        Some(template.place(span))
    }

    fn piece_text<'s>(&'s self, piece: Piece<'a>, toc: &'s str) -> &'s str {
        match piece {
            Piece::Text(text) => text,
            Piece::Source(template, span) => template.text(span),
            Piece::Markdown(template, span) => template.made(span),
            Piece::Made(start, end) => &self.made[start..end],
            Piece::Toc => toc,
            Piece::Value(_) => "",
        }
    }

    /// The pieces of a value and of the values in it.
    fn pieces(&self, id: ValueId) -> impl Iterator<Item = Piece<'a>> {
        let mut open = vec![self.finished[id.0].pieces.iter()];
        std::iter::from_fn(move || {
            loop {
                match open.last_mut()?.next() {
                    None => drop(open.pop()),
                    Some(Piece::Value(inner)) => open.push(self.finished[inner.0].pieces.iter()),
                    Some(piece) => return Some(*piece),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_have_as_much_as_the_bound_and_no_more() {
        // A partial that doubles what it gets would fill the memory.
        for (count, is_too_large) in [(5, false), (6, true)] {
            let mut markup = Markup::new(10);
            for _ in 0..count {
                markup.push_text("ab");
            }
            assert_eq!(markup.is_too_large(), is_too_large);
        }
    }

    #[test]
    fn a_table_of_contents_counts_with_its_length_as_often_as_it_is_shown() {
        // It is known last, when all that shows it has been counted.
        let mut markup = Markup::new(10);
        markup.open_value();
        markup.push_toc();
        let value = markup.close_value();
        markup.push_value(value);
        markup.push_value(value);
        let page = markup.close_value();
        assert!(markup.has_room_for(page, "1234"));
        assert!(!markup.has_room_for(page, "12345"));
        assert_eq!(markup.text(page, "1234"), "12341234");
    }

    #[test]
    fn a_value_counts_wherever_it_is_shown() {
        // A value is kept once, and takes its room as often as it is shown.
        let mut markup = Markup::new(10);
        markup.open_value();
        markup.push_made(|text| text.push_str("1234"));
        let value = markup.close_value();
        markup.push_value(value);
        markup.push_value(value);
        assert!(!markup.is_too_large());
        markup.push_value(value);
        assert!(markup.is_too_large());
        let page = markup.close_value();
        assert_eq!(markup.text(page, ""), "12341234");
    }
}
