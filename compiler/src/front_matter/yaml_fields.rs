//! Fields in YAML. They are split line by line, so that one that can't be read costs only itself, and a value without
//! quotes may hold `: `, as in `title: Bespoke Elixir: a story`.

use std::collections::BTreeMap;

use super::value::{Field, Fields, Value};
use super::{Mistakes, first_line, yaml_value};
use crate::diagnostic::{Code, Diagnostic, Span};

/// Reads the fields in `span`, which are whole lines.
pub(super) fn read(span: Span, mistakes: &mut Mistakes<'_>) -> Fields {
    let mut fields = Fields::default();
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    let mistakes_before = mistakes.diagnostics.len();
    let chunks = split(span, mistakes);
    if mistakes.diagnostics.len() > mistakes_before {
        fields.lose_something();
    }
    for chunk in chunks {
        if let Some(first) = seen.get(&chunk.name) {
            let message = format!("the field `{}` is given twice", chunk.name);
            let place = mistakes.source.place(chunk.name_span);
            let diagnostic = Diagnostic::new(Code::BadFrontMatter, place, message).with_help("leave one of them");
            let note = mistakes.source.place(*first);
            mistakes.diagnostics.push(diagnostic.with_note(note, "it is given here first"));
        } else {
            seen.insert(chunk.name.clone(), chunk.name_span);
            read_field(&chunk, &mut fields, mistakes);
        }
    }
    fields
}

/// A field's lines.
struct Chunk {
    name: String,
    name_span: Span,
    /// All after the colon.
    value: Span,
}

fn split(span: Span, mistakes: &mut Mistakes<'_>) -> Vec<Chunk> {
    let text: &str = &mistakes.source.text[..span.end];
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut at = span.start;
    let mut is_after_mistake = false;
    while at < span.end {
        let line = first_line(&text[at..]);
        let next = (at + line.len() + 1).min(span.end);
        if is_continuation(line) {
            match chunks.last_mut() {
                _ if is_after_mistake => {}
                Some(chunk) => chunk.value.end = next,
                None if is_blank_or_comment(line) => {}
                None => report_no_field(line, at, mistakes),
            }
        } else if let Some((name, name_length, colon)) = split_name(line) {
            let name_span = Span::new(at, at + name_length);
            chunks.push(Chunk { name, name_span, value: Span::new(at + colon + 1, next) });
            is_after_mistake = false;
        } else {
            report_no_field(line, at, mistakes);
            is_after_mistake = true;
        }
        at = next;
    }
    chunks
}

fn is_blank_or_comment(line: &str) -> bool {
    let rest = line.trim_ascii_start();
    rest.is_empty() || rest.starts_with('#')
}

/// Whether the line belongs to the field above: it is indented, an item of a list, the end of a list or map, or nothing.
fn is_continuation(line: &str) -> bool {
    is_blank_or_comment(line)
        || line.starts_with([' ', '\t', ']', '}'])
        || line.starts_with("- ")
        || line.trim_ascii_end() == "-"
}

/// A field's name, how long it is as written, and where its colon stands.
fn split_name(line: &str) -> Option<(String, usize, usize)> {
    let quote = line.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (name, length) = if let Some(quote) = quote {
        let close = line[1..].find(quote)? + 1;
        (&line[1..close], close + 1)
    } else {
        let length = line.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')))?;
        (&line[..length], length)
    };
    let colon = length + line[length..].len() - line[length..].trim_start_matches([' ', '\t']).len();
    let is_field =
        line[colon..].starts_with(':') && (line.len() == colon + 1 || line[colon + 1..].starts_with([' ', '\t']));
    (is_field && !name.is_empty()).then(|| (name.to_owned(), length, colon))
}

fn report_no_field(line: &str, at: usize, mistakes: &mut Mistakes<'_>) {
    let trimmed = line.trim_ascii();
    let start = at + line.len() - line.trim_ascii_start().len();
    let help = match trimmed.split_once(':') {
        Some((name, _))
            if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !name.is_empty() =>
        {
            format!("a blank is missing after `{name}:`")
        }
        _ => "a field is written `name: value`".to_owned(),
    };
    let span = Span::new(start, start + trimmed.len());
    mistakes.report(Code::BadFrontMatter, span, "this line is no field", &help);
}

fn read_field(chunk: &Chunk, fields: &mut Fields, mistakes: &mut Mistakes<'_>) {
    let text = &mistakes.source.text[chunk.value.start..chunk.value.end];
    let mut item_spans = Vec::new();
    let (value, span) = if let Some((start, plain)) = find_plain_line(text) {
        let start = chunk.value.start + start;
        (Value::of_plain(plain), Span::new(start, start + plain.len()))
    } else {
        let trimmed = text.trim_ascii();
        let start = chunk.value.start + text.len() - text.trim_ascii_start().len();
        let whole = mistakes.source.text.get(chunk.name_span.start..chunk.value.end).unwrap_or_default();
        match yaml_value::read(whole) {
            Ok(document) => {
                let move_span = |(from, to)| Span::new(chunk.name_span.start + from, chunk.name_span.start + to);
                item_spans = document.item_spans.into_iter().map(move_span).collect();
                let Some(Value::Map(mut map)) = document.value else { return };
                (map.pop_first().map(|(_, value)| value), Span::new(start, start + trimmed.len()))
            }
            Err(mistake) => {
                let at = (chunk.name_span.start + mistake.at).min(chunk.value.end);
                let length = mistakes.source.text[at..].chars().next().map_or(0, char::len_utf8);
                let help = "a text with special characters stands in quotes";
                let message = format!("`{}` can't be read: {}", chunk.name, mistake.message);
                mistakes.report(Code::BadFrontMatter, Span::new(at, at + length), message, help);
                fields.lose(&chunk.name);
                return;
            }
        }
    };
    if let Some(value) = value {
        fields.insert(chunk.name.clone(), Field { value, name_span: chunk.name_span, span, item_spans, origin: None });
    }
}

/// A value that stands on one line without quotes, and where it begins. Whatever is in it is text.
fn find_plain_line(text: &str) -> Option<(usize, &str)> {
    let (line, others) = text.split_once('\n').unwrap_or((text, ""));
    let start = line.len() - line.trim_ascii_start().len();
    let value = &line[start..];
    let begins_more = value.starts_with(['"', '\'', '[', '{', '|', '>', '&', '*', '!', '%', '@', '`'])
        || ["- ", "? "].iter().any(|mark| value.starts_with(mark));
    if begins_more || !others.lines().all(is_blank_or_comment) {
        return None;
    }
    let comment = if value.starts_with('#') { Some(0) } else { value.find(" #") };
    Some((start, value[..comment.unwrap_or(value.len())].trim_ascii_end()))
}
