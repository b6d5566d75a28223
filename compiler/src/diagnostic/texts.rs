//! The texts of the files that diagnostics name, each read through once however many diagnostics name it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::position::{Position, Positions};
use super::{Diagnostic, Place};

/// Finds a source file's text by its path.
pub type FindText<'a> = &'a dyn Fn(&str) -> Option<Arc<str>>;

/// The texts by path; files that are no texts are missing.
pub(super) struct Texts(BTreeMap<Arc<str>, Arc<str>>);

impl Texts {
    pub(super) fn new(diagnostics: &[Diagnostic], find_text: FindText<'_>) -> Self {
        let mut texts = BTreeMap::new();
        for diagnostic in diagnostics {
            for place in std::iter::once(&diagnostic.place).chain(diagnostic.notes.iter().map(|(place, _)| place)) {
                if !texts.contains_key(&place.path)
                    && let Some(text) = find_text(&place.path)
                {
                    texts.insert(Arc::clone(&place.path), text);
                }
            }
        }
        Self(texts)
    }
}

/// Where lines begin in each of the texts.
pub(super) struct Indexes<'a>(BTreeMap<&'a str, Positions<'a>>);

impl<'a> Indexes<'a> {
    pub(super) fn new(texts: &'a Texts) -> Self {
        Self(texts.0.iter().map(|(path, text)| (&**path, Positions::new(text))).collect())
    }

    /// The lines of a place's file, if it is a text.
    pub(super) fn positions(&self, place: &Place) -> Option<&Positions<'a>> {
        self.0.get(&*place.path)
    }

    /// Where a place begins. A file that has no text, such as an image, has its position 1:1.
    pub(super) fn find(&self, place: &Place) -> Position {
        self.at(place, place.span.start)
    }

    /// Where a place ends: the position after its last character.
    pub(super) fn find_end(&self, place: &Place) -> Position {
        self.at(place, place.span.end.max(place.span.start))
    }

    fn at(&self, place: &Place, offset: usize) -> Position {
        let first = Position { line: 1, column: 1 };
        self.positions(place).map_or(first, |positions| positions.find(offset))
    }
}
