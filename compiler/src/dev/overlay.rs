//! What a browser is told about mistakes: diagnostics with their source lines, as data. Escaping is the browser's.

use std::ops::Range;

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, FindText, Positions};

/// Mistakes shown in a browser; the terminal has all. Guessed: a screen.
const SHOWN_COUNT_MAX: usize = 10;
/// Lines before and after the one that is wrong.
const CONTEXT_LINES: usize = 2;
/// Characters of a line that are shown. A minified file is one line.
const LINE_CHARACTERS_MAX: usize = 400;

/// The event that shows mistakes over a page. `has_page` tells whether there is a good version behind them.
pub(super) fn error_event(diagnostics: &[Diagnostic], find_text: FindText<'_>, has_page: bool) -> String {
    let (shown, more) = describe_some(diagnostics, find_text);
    json!({ "type": "error", "diagnostics": shown, "more": more, "hasPage": has_page }).to_string()
}

/// The event that tells what else is wrong with a page that is shown; no diagnostics take back what was told.
pub(super) fn notes_event(diagnostics: &[Diagnostic], find_text: FindText<'_>) -> String {
    let (shown, more) = describe_some(diagnostics, find_text);
    json!({ "type": "notes", "diagnostics": shown, "more": more }).to_string()
}

/// As many as are shown, and how many are left.
fn describe_some(diagnostics: &[Diagnostic], find_text: FindText<'_>) -> (Vec<Value>, usize) {
    let shown = diagnostics.iter().take(SHOWN_COUNT_MAX).map(|diagnostic| describe(diagnostic, find_text));
    (shown.collect(), diagnostics.len().saturating_sub(SHOWN_COUNT_MAX))
}

fn describe(diagnostic: &Diagnostic, find_text: FindText<'_>) -> Value {
    let text = find_text(&diagnostic.place.path);
    let span = diagnostic.place.span;
    let has_place = span.end > 0;
    let position = text.as_deref().filter(|_| has_place).map(|text| Positions::new(text).find(span.start));
    let source = match (&text, position) {
        (Some(text), Some(position)) => source_lines(text, position.line, span.start, span.end),
        _ => Vec::new(),
    };
    json!({
        "severity": diagnostic.severity.name(),
        "code": diagnostic.code.name(),
        "message": diagnostic.message,
        "file": &*diagnostic.place.path,
        "line": position.map_or(0, |position| position.line),
        "column": position.map_or(0, |position| position.column),
        "help": diagnostic.help,
        "source": source,
    })
}

/// The lines around a place, the one that is wrong with what is wrong in it, counted in UTF-16 as scripts count.
fn source_lines(text: &str, line: usize, start: usize, end: usize) -> Vec<Value> {
    let first = line.saturating_sub(CONTEXT_LINES).max(1);
    let mut offset: usize = text.split_inclusive('\n').take(first - 1).map(str::len).sum();
    let mut lines = Vec::new();
    for (number, whole) in (first..=line + CONTEXT_LINES).zip(text[offset..].split_inclusive('\n')) {
        let content = whole.trim_end_matches('\n');
        let is_wrong = number == line;
        let shown = find_shown(content, if is_wrong { start.saturating_sub(offset) } else { 0 });
        let [before, after] = [shown.start > 0, shown.end < content.len()].map(|is_cut| if is_cut { "…" } else { "" });
        let units = |at: usize| {
            let within = at.saturating_sub(offset).clamp(shown.start, shown.end);
            let text = content.get(shown.start..within).unwrap_or(&content[shown.clone()]);
            before.encode_utf16().chain(text.encode_utf16()).count()
        };
        let mark = is_wrong.then(|| [units(start), units(end.max(start + 1))]);
        let text = [before, &content[shown.clone()], after].concat();
        lines.push(json!({ "number": number, "text": text, "mark": mark }));
        offset += whole.len();
    }
    lines
}

/// What of a line is shown: as much as there is room for, with the place that it is shown for.
fn find_shown(content: &str, place: usize) -> Range<usize> {
    let before = content.get(..place).unwrap_or(content).chars().count();
    let skipped = if before > LINE_CHARACTERS_MAX / 2 { before - LINE_CHARACTERS_MAX / 4 } else { 0 };
    let offset = |count: usize| content.char_indices().nth(count).map_or(content.len(), |(index, _)| index);
    offset(skipped)..offset(skipped + LINE_CHARACTERS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Place, Span};

    #[test]
    fn a_mistake_has_its_lines_and_the_place_in_utf16() {
        let place = Place { path: "a.md".into(), span: Span::new(8, 12) };
        let diagnostic = Diagnostic::new(Code::MalformedTag, place, "no");
        let text = "one\n😀<% x>\nthree\nfour\nfive\n";
        let event = error_event(&[diagnostic], &|_| Some(text.into()), true);
        let event: Value = serde_json::from_str(&event).unwrap();
        let shown = &event["diagnostics"][0];
        assert_eq!((&shown["line"], &shown["column"]), (&json!(2), &json!(2)));
        let marks: Vec<_> = shown["source"].as_array().unwrap().iter().map(|line| line["mark"].clone()).collect();
        assert_eq!(marks, [json!(null), json!([2, 6]), json!(null), json!(null)]);
    }

    #[test]
    fn of_a_long_line_the_part_is_shown_that_is_wrong() {
        // A minified file is one line, and its beginning is never the mistake.
        let text = format!("{}WRONG{}", "é😀".repeat(5_000), "z".repeat(5_000));
        let start = text.find('W').unwrap();
        let lines = source_lines(&text, 1, start, start + 5);
        let shown: Vec<u16> = lines[0]["text"].as_str().unwrap().encode_utf16().collect();
        let at = |index: usize| usize::try_from(lines[0]["mark"][index].as_u64().unwrap()).unwrap();
        assert_eq!(String::from_utf16(&shown[at(0)..at(1)]).unwrap(), "WRONG");
        let shown = String::from_utf16(&shown).unwrap();
        assert!(shown.starts_with('…') && shown.ends_with("z…"), "{shown}");
        assert_eq!(shown.chars().count(), LINE_CHARACTERS_MAX + 2);
        for (len, is_cut) in [(LINE_CHARACTERS_MAX, false), (LINE_CHARACTERS_MAX + 1, true)] {
            let lines = source_lines(&"a".repeat(len), 1, 0, 1);
            assert_eq!(lines[0]["text"].as_str().unwrap().ends_with('…'), is_cut);
        }
    }
}
