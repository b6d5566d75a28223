//! The text that the Markdown parser sees: a template's text with a token in place of each tag and placeholder. A token
//! is a character that is no character (U+FDD0), a number and a `;`. One that the text has itself becomes a token too. On the
//! way back, tokens with a `@` or a `#` say where what follows comes from.

use crate::diagnostic::Span;
use crate::template::{Block, Node, Origin, Template, margin};

const MARK: char = '\u{FDD0}';

/// Stands for nothing: it keeps a line from being read as the beginning of a block.
const NOTHING: &str = "\u{FDD0};";

/// How a text is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// With paragraphs, headings and lists.
    Document,
    /// As a piece of one line, however many it has.
    Inline,
}

/// A piece of what a text became.
#[derive(Debug)]
pub(super) enum Piece {
    /// Text, and where pieces of it come from.
    Html(String, Vec<Origin>),
    Node(Node),
}

/// A text with tokens.
pub(super) struct Text<'a> {
    pub(super) template: &'a Template,
    pub(super) shape: Shape,
    pub(super) markdown: String,
    /// What the tokens stand for, by number.
    pub(super) tokens: Vec<Option<&'a Node>>,
    /// What was written in their place.
    written: Vec<Span>,
    /// Where pieces of `markdown` come from: from the first offset on, the second one of the source.
    origins: Vec<(usize, usize)>,
    line_starts: Vec<usize>,
}

/// The columns that a document within a document is moved to the left.
pub(super) fn margin_of(template: &Template, block: Block, shape: Shape) -> usize {
    if shape == Shape::Document && block != template.root { margin(template.text(block.span)) } else { 0 }
}

impl<'a> Text<'a> {
    pub(super) fn new(template: &'a Template, block: Block, shape: Shape, margin: usize) -> Self {
        let mut text = Self {
            template,
            shape,
            markdown: String::with_capacity(block.span.end - block.span.start),
            tokens: Vec::new(),
            written: Vec::new(),
            origins: Vec::new(),
            line_starts: Vec::new(),
        };
        if shape == Shape::Inline {
            text.markdown.push_str(NOTHING);
        }
        let nodes = template.nodes(block);
        for (index, node) in nodes.iter().enumerate() {
            if let Node::Text(span) = node {
                text.push_text(*span, margin);
            } else {
                let start = start_of(template, node);
                let end = nodes.get(index + 1).map_or(block.span.end, |next| start_of(template, next));
                text.origins.push((text.markdown.len(), node.span().map_or(start, |span| span.start)));
                text.push_token(Some(node), Span::new(start, end.max(start)));
            }
        }
        text.line_starts = std::iter::once(0).chain(text.markdown.match_indices('\n').map(|(at, _)| at + 1)).collect();
        text
    }

    fn push_token(&mut self, node: Option<&'a Node>, written: Span) {
        self.markdown.push_str(&token(self.tokens.len()));
        self.tokens.push(node);
        self.written.push(written);
    }

    fn push_text(&mut self, span: Span, margin: usize) {
        let text = self.template.text(span);
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let skipped = if at > 0 { skip_columns(line, margin) } else { 0 };
            self.origins.push((self.markdown.len(), span.start + at + skipped));
            let mut rest = &line[skipped..];
            while let Some(found) = rest.find(MARK) {
                self.markdown.push_str(&rest[..found]);
                self.push_token(None, Span::default());
                rest = &rest[found + MARK.len_utf8()..];
                self.origins.push((self.markdown.len(), span.start + at + line.len() - rest.len()));
            }
            self.markdown.push_str(rest);
            at += line.len();
            if self.shape == Shape::Inline && line.ends_with('\n') {
                self.markdown.push_str(NOTHING);
            }
        }
    }

    /// The place in the source of a line and a column of the Markdown, both counted from 1, the column in bytes.
    pub(super) fn origin(&self, line: usize, column: usize) -> usize {
        let offset =
            self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or_default() + column.saturating_sub(1);
        let index = self.origins.partition_point(|(start, _)| *start <= offset);
        let Some((start, origin)) = index.checked_sub(1).map(|index| self.origins[index]) else { return 0 };
        origin + offset - start
    }

    /// The column of a line, counted from 1 in bytes, where a text stands: in the given one, or at the line's end.
    pub(super) fn column_of(&self, line: usize, column: usize, text: &str) -> Option<usize> {
        let start = *self.line_starts.get(line.checked_sub(1)?)?;
        let line = self.markdown.get(start..)?.split('\n').next()?;
        if line.get(column - 1..).is_some_and(|rest| rest.starts_with(text)) {
            return Some(column);
        }
        line.ends_with(text).then(|| line.len() - text.len() + 1)
    }

    /// What a token in code stands for: itself, as it was written.
    pub(super) fn restore(&self, text: &str) -> String {
        let mut restored = String::with_capacity(text.len());
        for part in split(text) {
            match part {
                Part::Text(text) => restored.push_str(text),
                Part::Token(number) => match self.tokens.get(number) {
                    Some(Some(_)) => {
                        restored.push_str(&self.template.text(self.written[number]).replace(MARK, ""));
                    }
                    // It stands for itself, and becomes itself with all others.
                    Some(None) => restored.push_str(&token(number)),
                    None => {}
                },
                Part::Origin(..) | Part::Nothing => {}
            }
        }
        restored
    }
}

/// Where a node begins in the source: a tag before its name.
fn start_of(template: &Template, node: &Node) -> usize {
    let start = node.span().map_or(0, |span| span.start);
    match node {
        Node::Text(_) | Node::Made(_) | Node::Placeholder(_) | Node::Asset(_) => start,
        _ => template.source.text[..start].rfind("<%").unwrap_or(start),
    }
}

/// The bytes of a token.
pub(super) fn token_len(number: usize) -> usize {
    token(number).len()
}

fn token(number: usize) -> String {
    format!("{MARK}{number};")
}

/// How text came from a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Making {
    /// It is the same text, up to the next token and not longer than the source.
    Copy,
    /// A tag that stands for all of the source.
    Tag,
}

/// Whether a text has a token in it: finished text has none. The mark alone may be the site's own.
pub(crate) fn has_token(text: &str) -> bool {
    text.split(MARK).skip(1).any(|after| {
        let rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '@' | '#'));
        rest.starts_with(';')
    })
}

/// A piece of text with tokens.
pub(super) enum Part<'a> {
    Text(&'a str),
    Token(usize),
    /// What follows was made from this, as `Making` says.
    Origin(Span, Making),
    Nothing,
}

/// The text between the tokens, and the tokens.
pub(super) fn split(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = rest.find(MARK).unwrap_or(rest.len());
        if found > 0 {
            let (before, after) = rest.split_at(found);
            rest = after;
            return Some(Part::Text(before));
        }
        let inner = &rest[MARK.len_utf8()..];
        let making = if inner.starts_with('@') { Making::Copy } else { Making::Tag };
        if let Some((span, after)) = inner.strip_prefix(['@', '#']).and_then(read_origin) {
            rest = after;
            return Some(Part::Origin(span, making));
        }
        let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
        rest = inner[digits..].strip_prefix(';').unwrap_or(&inner[digits..]);
        Some(inner[..digits].parse().map_or(Part::Nothing, Part::Token))
    })
}

/// Whether a text is what it says, without tokens.
pub(super) fn has_no_token(text: &str) -> bool {
    !text.contains(MARK)
}

/// `12-34;` and what follows it.
fn read_origin(text: &str) -> Option<(Span, &str)> {
    let (start, rest) = text.split_once('-')?;
    let (end, rest) = rest.split_once(';')?;
    Some((Span::new(start.parse().ok()?, end.parse().ok()?), rest))
}

/// Whether a text is made of tokens, and of white space between them; which.
pub(super) fn tokens_only(text: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in split(text) {
        match part {
            Part::Text(text) if text.trim_ascii().is_empty() => {}
            Part::Text(_) => return None,
            Part::Token(number) => numbers.push(number),
            Part::Origin(..) | Part::Nothing => {}
        }
    }
    Some(numbers)
}

/// The bytes of white space at the beginning of a line that fill at most so many columns.
fn skip_columns(line: &str, count: usize) -> usize {
    let mut column = 0;
    for (index, byte) in line.bytes().enumerate() {
        column += match byte {
            b' ' => 1,
            b'\t' => 4 - column % 4,
            _ => return index,
        };
        if column > count {
            return index;
        }
    }
    line.len()
}

pub(super) fn push_token_number(html: &mut impl std::fmt::Write, number: usize) -> std::fmt::Result {
    html.write_str(&token(number))
}

/// Says what the text that is written next comes from.
pub(super) fn push_origin(html: &mut impl std::fmt::Write, span: Span, making: Making) -> std::fmt::Result {
    let mark = if making == Making::Copy { '@' } else { '#' };
    write!(html, "{MARK}{mark}{}-{};", span.start, span.end)
}
