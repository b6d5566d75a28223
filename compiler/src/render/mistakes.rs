//! What is wrong with the markup of finished pages, at the places in the sources where it was written. A mistake in a
//! partial is one mistake, on however many pages it is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::RenderedPage;
use crate::diagnostic::{Code, Diagnostic, Place, Span};
use crate::html::{Mistake, MistakeKind};
use crate::site::Page;
use crate::template::Kind;

/// Mistakes as diagnostics. `find_places` gives the places of ranges of the page, which are in order.
pub(super) fn locate(
    mistakes: Vec<Mistake>,
    page: &Page,
    find_places: impl FnOnce(&[Range<usize>]) -> Vec<Option<Place>>,
) -> Vec<Diagnostic> {
    if mistakes.is_empty() {
        return Vec::new();
    }
    let note_of = |mistake: &Mistake| mistake.note.as_ref().map(|(range, _)| range.clone());
    let all = mistakes.iter().flat_map(|mistake| {
        [Some(mistake.range.clone()), Some(mistake.element.clone()), note_of(mistake)].into_iter().flatten()
    });
    let mut ranges: Vec<_> = all.collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges.dedup();
    let places = find_places(&ranges);
    let find = |range: &Range<usize>| {
        let index = ranges.binary_search_by_key(&(range.start, range.end), |one| (one.start, one.end)).ok()?;
        places.get(index)?.clone()
    };
    let whole = page.source.place(Span::default());
    let to_diagnostic = |mistake: Mistake| {
        let place = find(&mistake.range).or_else(|| find(&mistake.element)).unwrap_or_else(|| whole.clone());
        let has_note = mistake.note.is_some();
        let note = mistake.note.and_then(|(range, label)| Some((find(&range)?, label)));
        let is_one_place = note.as_ref().is_some_and(|(other, _)| *other == place);
        // The only thing that is made of Markdown and can't hold everything is a paragraph.
        let is_in_markdown = has_note && note.is_none() && page.template.kind == Kind::MarkdownPage;
        let help = if is_in_markdown && mistake.kind == MistakeKind::InParagraph {
            "Markdown made a paragraph of what it stands in: leave a blank line before and after it".to_owned()
        } else if is_one_place && mistake.kind == MistakeKind::DuplicateId {
            "what it is written in is used more than once in the page: give the id as an attribute".to_owned()
        } else {
            mistake.help
        };
        let mut diagnostic = Diagnostic::new(mistake.kind.code(), place, mistake.message).with_help(help);
        diagnostic.notes.extend(note.filter(|_| !is_one_place));
        diagnostic
    };
    mistakes.into_iter().map(to_diagnostic).collect()
}

/// The mistakes of all pages, those that are wanted, each once. What stands in no page itself names the first page that shows it.
pub fn report_mistakes(
    pages: &[&Page],
    rendered: &[RenderedPage],
    is_wanted: impl Fn(&Diagnostic, &Page, &RenderedPage) -> bool,
) -> Vec<Diagnostic> {
    let mut found: BTreeMap<(&Place, Code, &str), (&Diagnostic, &Page, usize)> = BTreeMap::new();
    for (page, rendered) in pages.iter().zip(rendered) {
        let mut seen = BTreeSet::new();
        for mistake in rendered.mistakes.iter().filter(|mistake| is_wanted(mistake, page, rendered)) {
            let key = (&mistake.place, mistake.code, mistake.message.as_str());
            if seen.insert(key) {
                found.entry(key).or_insert((mistake, page, 0)).2 += 1;
            }
        }
    }
    let report = |(diagnostic, page, count): (&Diagnostic, &Page, usize)| {
        let diagnostic = diagnostic.clone();
        if diagnostic.place.path == page.source.path {
            return diagnostic;
        }
        let label = if count == 1 { "in this page".to_owned() } else { format!("on {count} pages, this one first") };
        diagnostic.with_note(page.source.place(Span::default()), label)
    };
    found.into_values().map(report).collect()
}
