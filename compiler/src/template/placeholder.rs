//! What stands in double braces: slots, attributes and assets, in text and in values.

use super::lexer::skip_blanks;
use super::syntax::{Asset, Kind, Name, Part, Placeholder, Target, Value};
use crate::diagnostic::{Code, Diagnostic, SourceText, Span};

/// What begins with `{{`.
pub(super) enum Braces {
    /// Text, or `{{` that was escaped.
    Text(Span),
    /// Text that was probably meant as a placeholder.
    NearMiss(Span, Diagnostic),
    Placeholder(Placeholder),
    /// One that lacks a brace at its end.
    Unclosed(Placeholder, Diagnostic),
    Asset(Asset),
    /// Nothing that can be used.
    Malformed(Diagnostic),
}

/// Finds what comes next of a kind. It remembers what it found, so that many searches cost no more than one.
pub(super) struct Finder<'a> {
    text: &'a str,
    tag_start: Found,
    tag_end: Found,
    braces: Found,
    double_quote: Found,
    single_quote: Found,
}

/// The first at or after `from` is at `at`, if there is one.
#[derive(Clone, Copy, Default)]
struct Found {
    from: usize,
    at: Option<usize>,
    is_known: bool,
}

impl Found {
    fn find(&mut self, text: &str, from: usize, search: impl Fn(&str) -> Option<usize>) -> Option<usize> {
        let from = from.min(text.len());
        let is_answered = self.is_known && self.from <= from && self.at.is_none_or(|at| from <= at);
        if !is_answered {
            *self = Self { from, at: search(&text[from..]).map(|length| from + length), is_known: true };
        }
        self.at
    }
}

impl<'a> Finder<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let found = Found::default();
        Self { text, tag_start: found, tag_end: found, braces: found, double_quote: found, single_quote: found }
    }

    /// The next `<%`.
    pub(super) fn find_tag_start(&mut self, from: usize) -> Option<usize> {
        self.tag_start.find(self.text, from, |rest| rest.find("<%"))
    }

    /// The next `%>` or `%/>`.
    pub(super) fn find_tag_end(&mut self, from: usize) -> Option<Span> {
        let is_end = |rest: &str| rest.starts_with("%>") || rest.starts_with("%/>");
        let search = |rest: &str| rest.match_indices('%').map(|(at, _)| at).find(|at| is_end(&rest[*at..]));
        let start = self.tag_end.find(self.text, from, search)?;
        let length = if self.text[start..].starts_with("%>") { 2 } else { 3 };
        Some(Span::new(start, start + length))
    }

    pub(super) fn find_char(&mut self, quote: char, from: usize) -> Option<usize> {
        match quote {
            '"' => self.double_quote.find(self.text, from, |rest| rest.find('"')),
            _ => self.single_quote.find(self.text, from, |rest| rest.find('\'')),
        }
    }

    /// The next `}}` before `end`.
    fn find_braces(&mut self, from: usize, end: usize) -> Option<usize> {
        self.braces.find(self.text, from, |rest| rest.find("}}")).filter(|at| at + 2 <= end)
    }
}

/// Reads the value of an attribute: all of `span`.
pub(super) fn read_value(
    source: &SourceText,
    finder: &mut Finder<'_>,
    kind: Kind,
    span: Span,
    diagnostics: &mut Vec<Diagnostic>,
) -> Value {
    let mut value = Value { parts: Vec::new(), span };
    let mut at = span.start;
    while at < span.end {
        let rest = &source.text[at..span.end];
        let length = rest.find("{{").unwrap_or(rest.len());
        push_text(&mut value.parts, &rest[..length]);
        at += length;
        if at == span.end {
            break;
        }
        let (braces, next) = read_braces(source, finder, kind, Span::new(at, span.end));
        match braces {
            Braces::Text(text) => push_text(&mut value.parts, &source.text[text.start..text.end]),
            Braces::NearMiss(text, diagnostic) => {
                push_text(&mut value.parts, &source.text[text.start..text.end]);
                diagnostics.push(diagnostic);
            }
            Braces::Placeholder(placeholder) => value.parts.push(Part::Placeholder(placeholder)),
            Braces::Unclosed(placeholder, diagnostic) => {
                value.parts.push(Part::Placeholder(placeholder));
                diagnostics.push(diagnostic);
            }
            Braces::Asset(asset) => value.parts.push(Part::Asset(asset)),
            Braces::Malformed(diagnostic) => diagnostics.push(diagnostic),
        }
        at = next;
    }
    value
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// Reads the `{{` at the beginning of `span`, and says where to go on.
pub(super) fn read_braces(source: &SourceText, finder: &mut Finder<'_>, kind: Kind, span: Span) -> (Braces, usize) {
    let rest = &source.text[span.start..span.end];
    let text = |length: usize| Braces::Text(Span::new(span.start, span.start + length));
    if rest.starts_with("{{{{") {
        return (text(2), span.start + 4);
    }
    if rest.starts_with("{{{") {
        return (text(3), span.start + 3);
    }
    let inner = skip_blanks(&source.text[..span.end], span.start + 2);
    if source.text[inner..span.end].starts_with('+') {
        let mut path = AssetPath { source, finder, kind, span, at: inner + 1, parts: Vec::new() };
        return match path.read() {
            Ok(path_span) => {
                let asset_span = Span::new(span.start, path.at);
                let value = Value { parts: path.parts, span: path_span };
                (Braces::Asset(Asset { path: value, span: asset_span }), asset_span.end)
            }
            Err(Mistake(diagnostic)) => (Braces::Malformed(*diagnostic), path.at),
        };
    }
    if kind != Kind::Partial {
        return (text(2), span.start + 2);
    }
    read_placeholder(source, finder, span, inner).unwrap_or_else(|| (text(2), span.start + 2))
}

/// `{{name}}`, `{{@name}}`, with or without a default; nothing if it is text.
fn read_placeholder(source: &SourceText, finder: &mut Finder<'_>, span: Span, inner: usize) -> Option<(Braces, usize)> {
    let text = &source.text[..span.end];
    let target = if text[inner..].starts_with('@') { Target::Attribute } else { Target::Slot };
    let name_start = inner + usize::from(target == Target::Attribute);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let name_end = name_start + text.as_bytes()[name_start..].iter().take_while(|byte| is_part(byte)).count();
    let name = &text[name_start..name_end];
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    let after = skip_blanks(text, name_end);
    let rest = &text[after..];
    let has_default = rest.starts_with("??");
    if !has_default && !rest.starts_with("}}") {
        // No other language has a name between two braces and one, or right before a closing tag.
        let is_near = rest.starts_with('}') || rest.starts_with("</");
        let is_name = target == Target::Attribute || is_slot_name(name);
        let span = Span::new(span.start, after + usize::from(rest.starts_with('}')));
        let name = Name { target, text: name.to_owned() };
        return (is_near && is_name).then(|| (recover(source, name, span), span.end));
    }
    if target == Target::Slot && !is_slot_name(name) {
        let near = Span::new(span.start, name_end);
        return Some((report_near_miss(source, near, name), name_end));
    }
    let name = Name { target, text: name.to_owned() };
    if !has_default {
        let whole = Span::new(span.start, after + 2);
        return Some((Braces::Placeholder(Placeholder { name, default: None, span: whole }), whole.end));
    }
    let begun = Begun { name, start: span.start, name_end, default_start: after + 2 };
    Some(begun.read_default(source, finder, span.end))
}

/// A placeholder as far as its `??`.
struct Begun {
    name: Name,
    start: usize,
    name_end: usize,
    default_start: usize,
}

impl Begun {
    fn read_default(self, source: &SourceText, finder: &mut Finder<'_>, end: usize) -> (Braces, usize) {
        let Self { ref name, start, default_start, .. } = self;
        let close = finder.find_braces(default_start, end);
        let default = &source.text[default_start..close.unwrap_or(end)];
        let inner = default.find("{{").or_else(|| default.find("<%"));
        // A brace before what can't stand in a default: the second one of the end is missing.
        let has_end = close.is_some() && inner.is_none_or(|inner| !default[..inner].contains('}'));
        let (Some(close), true) = (close, has_end) else {
            let message = format!("the placeholder `{}` is never closed", name.text);
            let place = source.place(Span::new(start, self.name_end));
            let diagnostic = Diagnostic::new(Code::MalformedTag, place, message);
            return (Braces::Malformed(diagnostic.with_help("its default ends at the next `}}`")), default_start);
        };
        if let Some(inner) = inner {
            let place = source.place(Span::new(default_start + inner, default_start + inner + 2));
            let message = "a default holds no placeholder and no tag";
            let diagnostic = Diagnostic::new(Code::MalformedTag, place, message)
                .with_help(format!("write `<% if {} %> … <% else %> … <%/ if %>`", shown(name)));
            let length = if source.text[close..].starts_with("}}}}") { 4 } else { 2 };
            return (Braces::Malformed(diagnostic), close + length);
        }
        let default = Some(default.trim_matches([' ', '\t', '\n', '\x0c']).to_owned());
        let span = Span::new(start, close + 2);
        (Braces::Placeholder(Placeholder { name: self.name, default, span }), close + 2)
    }
}

/// `{{name}` or `{{name</…`: it stands for what was meant, so that nothing else seems to be wrong.
fn recover(source: &SourceText, name: Name, span: Span) -> Braces {
    let message = format!("the placeholder `{}` doesn't end in `}}}}`", shown(&name));
    let help = format!("write `{{{{{}}}}}`, or `{{{{{{{{` for literal braces", shown(&name));
    let diagnostic = Diagnostic::new(Code::MalformedTag, source.place(span), message).with_help(help);
    Braces::Unclosed(Placeholder { name, default: None, span }, diagnostic)
}

/// A name that no slot can have.
fn report_near_miss(source: &SourceText, span: Span, name: &str) -> Braces {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let message = format!("`{name}` is no name of a slot, so this stays text");
    let place = source.place(Span::new(span.end - name.len(), span.end));
    let diagnostic = Diagnostic::new(Code::NearMissPlaceholder, place, message).with_help(format!(
        "write `{{{{{lower}}}}}` for a slot, `{{{{@{name}}}}}` for an attribute, or `{{{{{{{{` for literal braces"
    ));
    Braces::NearMiss(span, diagnostic)
}

/// As it is written: `name` or `@name`.
pub(super) fn shown(name: &Name) -> String {
    match name.target {
        Target::Slot => name.text.clone(),
        Target::Attribute => format!("@{}", name.text),
    }
}

/// `[a-z_][a-z0-9_]*`
pub(super) fn is_slot_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What is wrong with an asset's path; boxed, since it is rare and large.
struct Mistake(Box<Diagnostic>);

/// Reads what follows `{{+`.
struct AssetPath<'a, 'f> {
    source: &'a SourceText,
    finder: &'a mut Finder<'f>,
    kind: Kind,
    span: Span,
    at: usize,
    parts: Vec<Part>,
}

impl<'a> AssetPath<'a, '_> {
    /// The span of the path; `at` is behind the closing braces then, or where to go on after a mistake.
    fn read(&mut self) -> Result<Span, Mistake> {
        let start = skip_blanks(self.text(), self.at);
        self.at = start;
        let quote = self.text()[start..].chars().next().filter(|c| matches!(c, '"' | '\''));
        self.at += usize::from(quote.is_some());
        let path_start = self.at;
        self.read_parts(quote)?;
        let mut path_end = self.at;
        if quote.is_some() {
            self.at += 1;
        } else if let Some(Part::Text(last)) = self.parts.last_mut() {
            let trimmed = last.trim_end_matches([' ', '\t', '\x0c']).len();
            path_end -= last.len() - trimmed;
            last.truncate(trimmed);
        }
        self.at = skip_blanks(self.text(), self.at);
        if !self.text()[self.at..].starts_with("}}") {
            return Err(self.never_closed());
        }
        self.at += 2;
        let path_span = Span::new(path_start, path_end);
        if path_start == path_end {
            let whole = Span::new(self.span.start, self.at);
            return Err(self.mistake(whole, "`{{+ }}` names no asset", "write `{{+ /static/…}}`"));
        }
        Ok(path_span)
    }

    fn read_parts(&mut self, quote: Option<char>) -> Result<(), Mistake> {
        loop {
            let rest = &self.text()[self.at..];
            let length = rest.find(['{', '}', '\n', '?', '"', '\'']).unwrap_or(rest.len());
            push_text(&mut self.parts, &rest[..length]);
            self.at += length;
            let rest = &self.text()[self.at..];
            let here = Span::new(self.at, (self.at + 1).min(self.span.end));
            match rest.chars().next() {
                None => return Err(self.never_closed()),
                Some(c) if quote == Some(c) => return Ok(()),
                Some('"' | '\'') => {
                    push_text(&mut self.parts, &rest[..1]);
                    self.at += 1;
                }
                Some('\n') if quote.is_some() => return Err(self.never_closed()),
                Some('\n') => return Ok(()),
                Some('?') => {
                    self.at = self.finder.find_braces(self.at, self.span.end).map_or(self.at + 1, |close| close + 2);
                    return Err(self.mistake(here, "an asset's path has no query", "digested names make it needless"));
                }
                _ if rest.starts_with("}}") && quote.is_none() => return Ok(()),
                _ if rest.starts_with("{{") && self.kind == Kind::Partial => self.read_inner_placeholder()?,
                Some(_) => {
                    self.at += 1;
                    let help = "write `{{+ /static/…}}`, and in a partial `{{+ /static/{{@name}}…}}`";
                    return Err(self.mistake(here, "an asset's path holds no brace", help));
                }
            }
        }
    }

    fn read_inner_placeholder(&mut self) -> Result<(), Mistake> {
        let span = Span::new(self.at, self.span.end);
        let inner = skip_blanks(self.text(), self.at + 2);
        match read_placeholder(self.source, self.finder, span, inner) {
            Some((Braces::Placeholder(placeholder), next)) => {
                self.parts.push(Part::Placeholder(placeholder));
                self.at = next;
                Ok(())
            }
            Some((Braces::Malformed(diagnostic) | Braces::Unclosed(_, diagnostic), next)) => {
                self.at = next;
                Err(Mistake(Box::new(diagnostic)))
            }
            _ => {
                self.at += 2;
                let here = Span::new(span.start, span.start + 2);
                let help = "write `{{+ /static/…}}`, and in a partial `{{+ /static/{{@name}}…}}`";
                Err(self.mistake(here, "an asset's path holds no brace", help))
            }
        }
    }

    fn text(&self) -> &'a str {
        &self.source.text[..self.span.end]
    }

    fn never_closed(&mut self) -> Mistake {
        let here = Span::new(self.span.start, (self.span.start + 3).min(self.span.end));
        self.mistake(here, "the asset's placeholder is never closed", "it ends in `}}` on the same line")
    }

    fn mistake(&self, span: Span, message: &str, help: &str) -> Mistake {
        let diagnostic = Diagnostic::new(Code::MalformedTag, self.source.place(span), message);
        Mistake(Box::new(diagnostic.with_help(help)))
    }
}
