//! Template text to tokens: tags with their attributes, placeholders, slots, and the text between. Comments, `raw` and
//! escapes are gone after it. It knows nothing of what stands in what.

use std::collections::{BTreeSet, VecDeque};

use super::code::CodeFinder;
use super::foreign::find_foreign_tag;
use super::placeholder::{Braces, Finder, read_braces, read_value};
use super::syntax::{Asset, Attribute, Kind, Placeholder, Value};
use crate::diagnostic::{Code, Diagnostic, SourceText, Span};

/// A piece of a template's text.
#[derive(Debug)]
pub(super) enum Token {
    Text(Span),
    Placeholder(Placeholder),
    Asset(Asset),
    Open(RawTag),
    Close(Closing),
    Slot(SlotTag),
}

/// `<% name word key="value" %>`
#[derive(Debug)]
pub(super) struct RawTag {
    pub(super) name: Span,
    pub(super) span: Span,
    /// What is no attribute, such as the collection of an `each`.
    pub(super) words: Vec<Span>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) ending: Ending,
    /// It has been reported, so that what is missing in it isn't worth a word.
    pub(super) is_broken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// `%>`
    Open,
    /// `%/>`
    SelfClosing,
}

/// `<%/ name %>`
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) name: Span,
    pub(super) span: Span,
    /// It has been reported.
    pub(super) is_broken: bool,
}

/// `<slot:name>` or `</slot:name>`. Whether it is more than text depends on where it stands.
#[derive(Debug)]
pub(super) struct SlotTag {
    pub(super) is_closing: bool,
    pub(super) name: Span,
    pub(super) span: Span,
    pub(super) form: SlotForm,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SlotForm {
    /// Nothing but blanks stands between the name and the `>`.
    Whole,
    /// Something else does, but it begins or ends a slot.
    Odd,
    /// It begins and ends nothing: `<slot:name/>`, or there is no `>`.
    Lone,
}

pub(super) struct Lexer<'a> {
    source: &'a SourceText,
    text: &'a str,
    kind: Kind,
    at: usize,
    /// The code of a Markdown page.
    code: Option<CodeFinder<'a>>,
    line_begins: bool,
    ready: VecDeque<Token>,
    finder: Finder<'a>,
    /// Known once a search for `<%/ raw %>` failed.
    has_no_raw_close: bool,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a SourceText, start: usize, kind: Kind) -> Self {
        let text: &str = match kind {
            // A line end ends the last line of a partial, and isn't part of what is inserted.
            Kind::Partial => source.text.strip_suffix('\n').unwrap_or(&source.text),
            Kind::Page | Kind::MarkdownPage => &source.text,
        };
        Self {
            source,
            text,
            kind,
            at: start,
            code: (kind == Kind::MarkdownPage).then(|| CodeFinder::new(text, start)),
            line_begins: true,
            ready: VecDeque::new(),
            finder: Finder::new(text),
            has_no_raw_close: false,
            diagnostics: Vec::new(),
        }
    }

    /// What has just been read opened a text of its own.
    pub(super) fn enter(&mut self) {
        if let Some(code) = &mut self.code {
            code.enter(self.at);
        }
    }

    /// What has just been read closed it.
    pub(super) fn leave(&mut self) {
        if let Some(code) = &mut self.code {
            code.leave();
        }
    }

    /// The end of the text.
    pub(super) fn end(&self) -> usize {
        self.text.len()
    }

    /// Where the next token begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn next_token(&mut self) -> Option<Token> {
        loop {
            if let Some(token) = self.ready.pop_front() {
                return Some(token);
            }
            if self.at >= self.text.len() {
                return None;
            }
            let start = self.at;
            self.skip_text();
            self.push_text(start, self.at);
            if self.at < self.text.len() {
                self.read_special();
            }
        }
    }

    /// Goes on to the next `<%`, slot or `{{` that isn't in code.
    fn skip_text(&mut self) {
        loop {
            while std::mem::take(&mut self.line_begins)
                && let Some(code) = &mut self.code
                && let Some(code_end) = code.begin_line(self.at)
            {
                self.at = code_end;
                self.line_begins = true;
            }
            let rest = &self.text.as_bytes()[self.at..];
            let is_markdown = self.code.is_some();
            let is_special = |byte: &u8| matches!(byte, b'<' | b'{') || is_markdown && matches!(byte, b'\n' | b'`');
            let Some(length) = rest.iter().position(is_special) else {
                self.at = self.text.len();
                return;
            };
            self.at += length;
            let rest = &rest[length..];
            match &mut self.code {
                Some(_) if rest[0] == b'\n' => {
                    self.at += 1;
                    self.line_begins = true;
                    if self.at == self.text.len() {
                        return;
                    }
                }
                Some(code) if rest[0] == b'`' => self.at = code.read_backticks(self.at),
                _ if SPECIALS.iter().any(|special| rest.starts_with(special.as_bytes())) => return,
                Some(code) if rest[0] == b'<' => {
                    code.note_element(self.at);
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    fn read_special(&mut self) {
        let rest = &self.text[self.at..];
        if self.code.is_some() && rest.starts_with('{') {
            self.diagnostics.extend(find_foreign_tag(self.source, self.at));
        }
        if rest.starts_with("{{") {
            self.read_braces();
        } else if rest.starts_with("{%") {
            self.push_text(self.at, self.at + 2);
            self.at += 2;
        } else if rest.starts_with("<%%") {
            self.push_text(self.at, self.at + 2);
            self.at += 3;
        } else if rest.starts_with("<%#") || self.find_raw_open(self.at).is_some() {
            self.read_marks();
        } else if rest.starts_with("<%") {
            self.read_tag();
        } else {
            self.read_slot();
        }
    }

    fn push_text(&mut self, start: usize, end: usize) {
        if start < end {
            self.ready.push_back(Token::Text(Span::new(start, end)));
        }
    }

    fn report(&mut self, code: Code, span: Span, message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::new(code, self.source.place(span), message);
        self.diagnostics.push(diagnostic.with_help(help));
    }

    fn read_braces(&mut self) {
        let end = self.text.len();
        let (braces, next) = read_braces(self.source, &mut self.finder, self.kind, Span::new(self.at, end));
        match braces {
            Braces::Text(span) => self.push_text(span.start, span.end),
            Braces::NearMiss(span, diagnostic) => {
                self.push_text(span.start, span.end);
                self.diagnostics.push(diagnostic);
            }
            Braces::Placeholder(placeholder) => self.ready.push_back(Token::Placeholder(placeholder)),
            Braces::Unclosed(placeholder, diagnostic) => {
                self.ready.push_back(Token::Placeholder(placeholder));
                self.diagnostics.push(diagnostic);
            }
            Braces::Asset(asset) => self.ready.push_back(Token::Asset(asset)),
            Braces::Malformed(diagnostic) => self.diagnostics.push(diagnostic),
        }
        self.at = next;
    }

    fn read_slot(&mut self) {
        let start = self.at;
        let is_closing = self.text[start..].starts_with("</");
        let name_start = start + if is_closing { "</slot:".len() } else { "<slot:".len() };
        let is_name_end = |c: char| is_blank_char(c) || matches!(c, '<' | '>' | '/' | '"' | '\'' | '=');
        let name_end = self.text[name_start..].find(is_name_end).map_or(self.text.len(), |length| name_start + length);
        let after = skip_blanks(self.text, name_end);
        let rest = &self.text[after..];
        let (form, end) = match rest.find(['>', '<', '\n']) {
            Some(0) if rest.starts_with('>') => (SlotForm::Whole, after + 1),
            Some(length) if rest[length..].starts_with('>') && rest[..length].ends_with('/') => {
                (SlotForm::Lone, after + length + 1)
            }
            Some(length) if rest[length..].starts_with('>') => (SlotForm::Odd, after + length + 1),
            _ => (SlotForm::Lone, name_end),
        };
        let (name, span) = (Span::new(name_start, name_end), Span::new(start, end));
        self.ready.push_back(Token::Slot(SlotTag { is_closing, name, span, form }));
        self.at = end;
    }
}

const SPECIALS: [&str; 5] = ["<%", "{{", "<slot:", "</slot:", "{%"];

/// What HTML calls white space.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

fn is_blank_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_blank)
}

/// The end of the blanks that begin at `at`.
pub(super) fn skip_blanks(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|byte| is_blank(**byte)).count()
}

fn skip_blanks_of_line(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|byte| is_blank(**byte) && **byte != b'\n').count()
}

/// Comments and `raw`: a line that holds nothing else leaves no empty line.
impl Lexer<'_> {
    /// Reads comments and `raw`s that stand side by side. The blanks around them are held back until it is known
    /// whether anything else stands on the line.
    fn read_marks(&mut self) {
        let (line_start, mut held) = self.take_blanks_before();
        let mut is_alone = line_start;
        loop {
            match self.find_raw_open(self.at) {
                Some(open_end) => self.read_raw(open_end, &mut held, &mut is_alone),
                None if self.text[self.at..].starts_with("<%#") => self.read_comment(),
                None => break,
            }
            let after = skip_blanks_of_line(self.text, self.at);
            let is_line_end = after == self.text.len() || self.text.as_bytes()[after] == b'\n';
            if is_alone && is_line_end {
                self.at = (after + 1).min(self.text.len());
                self.line_begins = true;
                return;
            }
            if !self.text[after..].starts_with("<%#") && self.find_raw_open(after).is_none() {
                break;
            }
            held.push(Span::new(self.at, after));
            self.at = after;
        }
        for blanks in held {
            self.push_text(blanks.start, blanks.end);
        }
    }

    /// Whether only blanks stand before the next token on its line; they are taken out of the text before.
    fn take_blanks_before(&mut self) -> (bool, Vec<Span>) {
        let before = self.text[..self.at].trim_end_matches([' ', '\t', '\x0c']);
        if !(before.is_empty() || before.ends_with('\n')) {
            return (false, Vec::new());
        }
        let start = before.len();
        match self.ready.back_mut() {
            Some(Token::Text(span)) if span.end == self.at && span.start <= start => span.end = start,
            _ => {}
        }
        if matches!(self.ready.back(), Some(Token::Text(span)) if span.start == span.end) {
            self.ready.pop_back();
        }
        (true, vec![Span::new(start, self.at)])
    }

    fn read_comment(&mut self) {
        if let Some(end) = self.finder.find_tag_end(self.at + 3) {
            self.at = end.end;
        } else {
            let span = Span::new(self.at, self.at + 3);
            self.report(Code::UnclosedTag, span, "the comment is never closed", "close it with `%>`");
            self.at = self.text.len();
        }
    }

    /// Where the `<% raw %>` ends that begins here.
    fn find_raw_open(&self, at: usize) -> Option<usize> {
        let name = skip_blanks(self.text, at + self.text[at..].strip_prefix("<%").map(|_| 2)?);
        let after = skip_blanks(self.text, name + self.text[name..].strip_prefix("raw").map(|_| 3)?);
        self.text[after..].starts_with("%>").then_some(after + 2)
    }

    /// Where the next `<%/ raw %>` begins and ends.
    fn find_raw_close(&mut self, from: usize) -> Option<Span> {
        let mut at = if self.has_no_raw_close { self.text.len() } else { from };
        while let Some(start) = self.finder.find_tag_start(at) {
            let slash = skip_blanks(self.text, start + 2);
            let name = skip_blanks(self.text, slash + 1.min(self.text.len() - slash));
            if self.text[slash..].starts_with('/') && self.text[name..].starts_with("raw") {
                let after = skip_blanks(self.text, name + 3);
                if self.text[after..].starts_with("%>") {
                    return Some(Span::new(start, after + 2));
                }
            }
            at = start + 2;
        }
        self.has_no_raw_close = true;
        None
    }

    fn read_raw(&mut self, open_end: usize, held: &mut Vec<Span>, is_alone: &mut bool) {
        let Some(close) = self.find_raw_close(open_end) else {
            let span = Span::new(self.at, open_end);
            self.report(Code::UnclosedTag, span, "`raw` is never closed", "close it with `<%/ raw %>`");
            self.at = open_end;
            return;
        };
        let content = &self.text[open_end..close.start];
        let is_blank_line = content.bytes().all(|byte| is_blank(byte) && byte != b'\n');
        self.at = close.end;
        if is_blank_line {
            held.push(Span::new(open_end, close.start));
            return;
        }
        let mut start = open_end;
        let first_line_end = skip_blanks_of_line(self.text, open_end);
        if *is_alone && self.text.as_bytes()[first_line_end] == b'\n' {
            held.clear();
            start = first_line_end + 1;
        }
        for blanks in held.drain(..) {
            self.push_text(blanks.start, blanks.end);
        }
        let trimmed = self.text[start..close.start].trim_end_matches([' ', '\t', '\x0c']);
        *is_alone = trimmed.is_empty() && start > open_end || trimmed.ends_with('\n');
        let end = if *is_alone { start + trimmed.len() } else { close.start };
        self.push_text(start, end);
        held.push(Span::new(end, close.start));
    }
}

/// Tags.
impl Lexer<'_> {
    fn read_tag(&mut self) {
        let start = self.at;
        let name_start = skip_blanks(self.text, start + 2);
        if self.text[name_start..].starts_with('/') {
            return self.read_closing(start, name_start + 1);
        }
        let mut name = self.read_word(name_start);
        let has_slash = name.end > name.start + 1 && self.text[..name.end].ends_with('/');
        name.end -= usize::from(has_slash);
        let mut tag = RawTag {
            name,
            span: Span::new(start, name.end),
            words: Vec::new(),
            attributes: Vec::new(),
            ending: Ending::SelfClosing,
            is_broken: false,
        };
        let name_text = &self.text[name.start..name.end];
        if name_text.is_empty() {
            let help = "write `<% name.html %/>` for a tag, `<%%` for a literal `<%`";
            self.report(Code::MalformedTag, Span::new(start, start + 2), "a tag needs a name", help);
            self.skip_tag(name.end, &mut tag);
            return;
        }
        let mut at = name.end;
        if has_slash {
            let message = format!("`{name_text}/` is no name of a partial");
            self.report(Code::MalformedTag, Span::new(at, at + 1), message, "a self-closing tag ends in `%/>`");
            tag.is_broken = true;
            at += 1;
        }
        self.read_attributes(&mut tag, at);
        self.ready.push_back(Token::Open(tag));
    }

    fn read_closing(&mut self, start: usize, slash_end: usize) {
        let name = self.read_word(skip_blanks(self.text, slash_end));
        let name_text = &self.text[name.start..name.end];
        let after = skip_blanks(self.text, name.end);
        if name_text.is_empty() || name_text.starts_with('/') {
            let help = "a closing tag is written `<%/ name.html %>`";
            self.report(Code::MalformedTag, Span::new(start, name.end), "the closing tag has no name", help);
            self.skip_closing(after);
            return;
        }
        let mut end = after + 2;
        let mut is_broken = false;
        if !self.text[after..].starts_with("%>") {
            if self.finder.find_tag_end(after).is_none() {
                let message = format!("the closing tag `{name_text}` has no `%>`");
                let place = self.source.place(Span::new(start, name.end));
                self.diagnostics.push(Diagnostic::new(Code::UnclosedTag, place, message));
            } else {
                let length = self.text[after..].chars().next().map_or(0, char::len_utf8);
                let message = format!("something stands after the name of the closing tag `{name_text}`");
                let help = format!("write `<%/ {name_text} %>`");
                self.report(Code::MalformedTag, Span::new(after, after + length), message, &help);
            }
            self.skip_closing(after);
            end = self.at;
            is_broken = true;
        }
        self.at = end;
        self.ready.push_back(Token::Close(Closing { name, span: Span::new(start, end), is_broken }));
    }

    fn skip_closing(&mut self, from: usize) {
        let end = self.finder.find_tag_end(from).map_or(self.text.len(), |end| end.end);
        let next = self.finder.find_tag_start(from).unwrap_or(self.text.len());
        self.at = end.min(next);
    }

    /// Up to a blank, a quote, `=`, `<`, `>`, a backtick or the tag's end.
    fn read_word(&self, start: usize) -> Span {
        let bytes = self.text.as_bytes();
        let mut end = start;
        while end < bytes.len()
            && !is_blank(bytes[end])
            && !matches!(bytes[end], b'"' | b'\'' | b'=' | b'<' | b'>' | b'`')
        {
            if find_ending(&bytes[end..]).is_some() {
                break;
            }
            end += 1;
        }
        Span::new(start, end)
    }

    fn read_attributes(&mut self, tag: &mut RawTag, start: usize) {
        let mut seen = BTreeSet::new();
        let mut at = start;
        loop {
            let word_start = skip_blanks(self.text, at);
            if let Some((ending, length)) = find_ending(&self.text.as_bytes()[word_start..]) {
                tag.ending = ending;
                tag.span.end = word_start + length;
                self.at = tag.span.end;
                return;
            }
            if word_start == at {
                return self.report_attribute(at, "a blank is missing before this", tag);
            }
            let word = self.read_word(word_start);
            if word.start == word.end || self.text[word.start..word.end] == *"/" {
                let is_slash = self.text[word_start..].starts_with('/');
                let message = if is_slash { "`/` is no attribute" } else { "an attribute has no name here" };
                return self.report_attribute(word_start, message, tag);
            }
            let equals = skip_blanks(self.text, word.end);
            if !self.text[equals..].starts_with('=') {
                tag.words.push(word);
                at = word.end;
                continue;
            }
            let Some((value, end)) = self.read_attribute_value(word, skip_blanks(self.text, equals + 1), tag) else {
                return;
            };
            at = end;
            let name = &self.text[word.start..word.end];
            if !is_attribute_name(name) {
                let help = "letters, digits, `_` and `-` make a name, a letter or `_` begins it";
                let message = format!("`{name}` is no name of an attribute");
                self.report(Code::MalformedAttribute, word, message, help);
                tag.is_broken = true;
            } else if seen.insert(name) {
                tag.attributes.push(Attribute { name: name.to_owned(), name_span: word, value });
            } else {
                let message = format!("the attribute `{name}` is given twice");
                self.report(Code::DuplicateAttribute, word, message, "leave one of them");
            }
        }
    }

    /// The value that begins at `start`, and where to go on; nothing if the tag can't be read further.
    fn read_attribute_value(&mut self, key: Span, start: usize, tag: &mut RawTag) -> Option<(Value, usize)> {
        let name = &self.text[key.start..key.end];
        let quote = self.text[start..].chars().next().filter(|c| matches!(c, '"' | '\''));
        let (span, end) = if let Some(quote) = quote {
            let Some(close) = self.finder.find_char(quote, start + 1) else {
                self.report_open_quote(Span::new(start, start + 1), tag);
                return None;
            };
            (Span::new(start + 1, close), close + 1)
        } else {
            let word = self.read_word(start);
            if word.start == word.end {
                let next = self.text[start..].chars().next().filter(|c| matches!(c, '=' | '<' | '>' | '`'));
                let (at, message) = match next {
                    Some(c) => (Span::new(start, start + 1), needs_quotes(c, name)),
                    None => (key, format!("`{name}=` has no value")),
                };
                let help = format!("write `{name}=\"…\"`; `{name}=\"\"` is empty");
                self.report(Code::MalformedAttribute, at, message, &help);
                self.skip_tag(start, tag);
                return None;
            }
            let next = self.text[word.end..].chars().next();
            if let Some(c) = next.filter(|c| matches!(c, '"' | '\'' | '=' | '<' | '>' | '`')) {
                let message = needs_quotes(c, name);
                let help = format!("write `{name}=\"…\"`");
                self.report(Code::MalformedAttribute, Span::new(word.end, word.end + 1), message, &help);
                self.skip_tag(word.end, tag);
                return None;
            }
            (word, word.end)
        };
        let value = read_value(self.source, &mut self.finder, self.kind, span, &mut self.diagnostics);
        Some((value, end))
    }

    /// Reports what stands at `at` instead of an attribute, or what is likelier: a quote before it that was never closed.
    fn report_attribute(&mut self, at: usize, message: &str, tag: &mut RawTag) {
        let is_suspect = |attribute: &&Attribute| {
            let value = &self.text[attribute.value.span.start..attribute.value.span.end];
            value.contains("%>") || value.contains("%/>")
        };
        if let Some(attribute) = tag.attributes.iter().find(is_suspect) {
            let start = attribute.value.span.start;
            return self.report_open_quote(Span::new(start - 1, start), tag);
        }
        let name = &self.text[tag.name.start..tag.name.end];
        let next = self.text[at..].chars().next();
        if matches!(next, None | Some('<')) || self.finder.find_tag_end(at).is_none() {
            let message = format!("the tag `{name}` has no `%>`");
            let help = "a tag ends in `%/>`, or in `%>` if a body follows";
            self.report(Code::UnclosedTag, Span::new(tag.span.start, tag.name.end), message, help);
            tag.is_broken = true;
            tag.span.end = at;
            self.at = at;
        } else {
            let help = match next {
                Some('/' | '>') => "a self-closing tag ends in `%/>`",
                _ => "an attribute is written `key=\"value\"`",
            };
            let length = next.map_or(0, char::len_utf8);
            self.report(Code::MalformedAttribute, Span::new(at, at + length), message, help);
            self.skip_tag(at, tag);
            if next == Some('/') {
                tag.ending = Ending::SelfClosing;
            }
        }
    }

    fn report_open_quote(&mut self, quote: Span, tag: &mut RawTag) {
        let help = "close it before the tag's end; a value may hold `%>`, so the tag went on";
        self.report(Code::MalformedAttribute, quote, "the quote is never closed", help);
        self.skip_tag(quote.end, tag);
    }

    /// Goes on behind the end of a broken tag, or where the next one begins.
    fn skip_tag(&mut self, from: usize, tag: &mut RawTag) {
        tag.is_broken = true;
        let next = self.finder.find_tag_start(from).unwrap_or(self.text.len());
        match self.finder.find_tag_end(from) {
            Some(end) if end.start < next => {
                let ending = find_ending(&self.text.as_bytes()[end.start..]);
                tag.ending = ending.map_or(Ending::SelfClosing, |(ending, _)| ending);
                self.at = end.end;
            }
            _ => self.at = next,
        }
        tag.span.end = self.at;
    }
}

fn needs_quotes(c: char, name: &str) -> String {
    let culprit = if c == '`' { "a backtick".to_owned() } else { format!("`{c}`") };
    format!("{culprit} needs quotes around the value of `{name}`")
}

fn find_ending(rest: &[u8]) -> Option<(Ending, usize)> {
    if rest.starts_with(b"%>") {
        Some((Ending::Open, 2))
    } else if rest.starts_with(b"%/>") {
        Some((Ending::SelfClosing, 3))
    } else {
        None
    }
}

/// Whether an attribute or a field can be called so, and `if` can ask for it.
pub(super) fn is_attribute_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
