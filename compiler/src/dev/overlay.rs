//! What a browser is told about mistakes: diagnostics with their source lines, as data. Escaping is the browser's.

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
        let cut = content.char_indices().nth(LINE_CHARACTERS_MAX).map_or(content.len(), |(index, _)| index);
        let content = &content[..cut];
        let within = |at: usize| at.saturating_sub(offset).min(content.len());
        let units = |at: usize| content.get(..at).unwrap_or(content).encode_utf16().count();
        let mark = (number == line).then(|| [units(within(start)), units(within(end.max(start + 1)))]);
        lines.push(json!({ "number": number, "text": content, "mark": mark }));
        offset += whole.len();
    }
    lines
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
}
