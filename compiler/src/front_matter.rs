//! What a page says about itself before its text: fields in YAML between `---`, or in TOML between `+++`. It knows the
//! fields that have a meaning and their types, and leaves all others as they are.

mod known;
mod toml_fields;
mod value;
mod yaml_fields;
mod yaml_value;

use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, SourceText, Span};

pub use value::{Field, Fields, Value};

pub(crate) use known::is_known;
pub(crate) use toml_fields::convert as convert_toml;
pub(crate) use yaml_value::read as read_yaml;

/// A page's fields, and where its text begins.
#[derive(Clone, Default, Debug)]
pub struct FrontMatter {
    /// Those that could be read, in the order of the file.
    pub fields: Fields,
    /// The first byte after front matter.
    pub body_start: usize,
}

/// Reads the front matter that a file begins with, if it does. What can't be read is reported and left out.
pub fn parse(source: &SourceText) -> (FrontMatter, Vec<Diagnostic>) {
    let text: &str = &source.text;
    let mut mistakes = Mistakes { source, diagnostics: Vec::new() };
    let fence = ["---", "+++"].into_iter().find(|fence| is_fence(first_line(text), fence));
    let Some(fence) = fence else {
        if let Some((span, mark)) = find_misplaced(text) {
            let help = format!("begin the file with a line `{mark}{mark}{mark}`, without anything before it");
            mistakes.report(Code::BadFrontMatter, span, "front matter begins on the first line", &help);
        }
        return (
            FrontMatter { fields: lost_if(!mistakes.diagnostics.is_empty()), body_start: 0 },
            mistakes.diagnostics,
        );
    };
    let start = (first_line(text).len() + 1).min(text.len());
    let Some((end, body_start)) = find_end(text, start, fence) else {
        let message = "front matter is never closed";
        mistakes.report(Code::BadFrontMatter, Span::new(0, 3), message, &format!("end it with a line `{fence}`"));
        return (FrontMatter { fields: lost_if(true), body_start: text.len() }, mistakes.diagnostics);
    };
    let span = Span::new(start, end);
    let mut fields = match fence {
        "---" => yaml_fields::read(span, &mut mistakes),
        _ => toml_fields::read(span, &mut mistakes),
    };
    known::check(&mut fields, &mut mistakes);
    (FrontMatter { fields, body_start }, mistakes.diagnostics)
}

/// No fields, since they can't be read or since there are none.
fn lost_if(is_lost: bool) -> Fields {
    let mut fields = Fields::default();
    if is_lost {
        fields.lose_something();
    }
    fields
}

/// Reads `_defaults.toml`: fields for all pages of a folder. Each knows where it stands.
pub fn parse_defaults(source: &SourceText) -> (Fields, Vec<Diagnostic>) {
    let mut mistakes = Mistakes { source, diagnostics: Vec::new() };
    let mut fields = toml_fields::read(Span::new(0, source.text.len()), &mut mistakes);
    known::check(&mut fields, &mut mistakes);
    fields.retain(|name, field| {
        field.origin = Some(Arc::clone(&source.path));
        let is_own = matches!(name, "path" | "aliases" | "canonical");
        if is_own {
            let message = format!("`{name}` can't be a default: each page has its own");
            mistakes.report(Code::BadFrontMatter, field.name_span, message, "write it into the page");
        }
        !is_own
    });
    (fields, mistakes.diagnostics)
}

/// What is wrong, with the file that it is wrong in.
struct Mistakes<'a> {
    source: &'a SourceText,
    diagnostics: Vec<Diagnostic>,
}

impl Mistakes<'_> {
    fn report(&mut self, code: Code, span: Span, message: impl Into<String>, help: &str) {
        self.diagnostics.push(Diagnostic::new(code, self.source.place(span), message).with_help(help));
    }
}

/// Where front matter begins that isn't taken for any, because something blank is before it or its fence is almost one:
/// it would be published as text, and what it says, such as `draft: true`, would count for nothing.
fn find_misplaced(text: &str) -> Option<(Span, char)> {
    let content = text.trim_ascii_start();
    let start = text.len() - content.len();
    let fence = first_line(content);
    let mark = almost_fence(fence)?;
    let after = content.get(fence.len() + 1..)?;
    let end = after.lines().position(|line| almost_fence(line) == Some(mark))?;
    let has_field = after.lines().take(end).any(is_field_like);
    has_field.then(|| (Span::new(start, start + fence.trim_ascii_end().len()), mark))
}

/// The sign of which a line has three or more, and nothing else but blanks.
fn almost_fence(line: &str) -> Option<char> {
    let line = line.trim_ascii();
    ['-', '+'].into_iter().find(|mark| line.len() >= 3 && line.chars().all(|sign| sign == *mark))
}

/// `name:` or `name =`, with a blank or nothing after the colon.
fn is_field_like(line: &str) -> bool {
    let line = line.trim_ascii_start();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let is_colon = rest.strip_prefix(':').is_some_and(|value| value.is_empty() || value.starts_with([' ', '\t']));
    rest.len() < line.len() && (is_colon || rest.trim_ascii_start().starts_with('='))
}

fn first_line(text: &str) -> &str {
    &text[..text.find('\n').unwrap_or(text.len())]
}

fn is_fence(line: &str, fence: &str) -> bool {
    line.strip_prefix(fence).is_some_and(|rest| rest.bytes().all(|byte| byte == b' ' || byte == b'\t'))
}

/// Where the fields end and where the text begins.
fn find_end(text: &str, start: usize, fence: &str) -> Option<(usize, usize)> {
    let mut at = start;
    while at < text.len() {
        let line = first_line(&text[at..]);
        let next = (at + line.len() + 1).min(text.len());
        if is_fence(line, fence) {
            return Some((at, next));
        }
        at = next;
    }
    None
}
