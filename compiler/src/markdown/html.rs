//! One Markdown text to HTML. What later stages care for is written here and nowhere else: headings, links, images and
//! code.

use std::fmt::{self, Write};

use comrak::html::{ChildRendering, Context, format_document_with_formatter, format_node_default};
use comrak::nodes::{NodeCodeBlock, NodeHeading, NodeLink, NodeValue, Sourcepos};
use comrak::options::Plugins;
use comrak::{Arena, Node as MarkdownNode, parse_document};

use super::code_block::{self, Info};
use super::highlight::suggest_language;
use super::tokens::{
    self, Making, Part, Piece, Shape, Text, push_origin, push_token_number, split, token_len, tokens_only,
};
use super::{Link, Shared};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::template::{Attribute, Image, ImageOrigin, Node, Origin, Part as ValuePart, Value};
use crate::tools::filter::FilterInput;

/// What the formatter needs and finds.
struct Writer<'a, 's, 't> {
    text: &'a Text<'t>,
    shared: &'a mut Shared<'s>,
    /// Images, numbered after the text's own tokens.
    images: Vec<Node>,
}

/// Writes the text as HTML in pieces, with its nodes between.
pub(super) fn write_html(text: &Text<'_>, shared: &mut Shared<'_>) -> Vec<Piece> {
    let arena = Arena::new();
    let options = shared.options.clone();
    let (markdown, blanks_after) = split_blanks(text);
    let root = parse_document(&arena, markdown, &options);
    restore_code(root, text);
    let writer = Writer { text, shared, images: Vec::new() };
    let mut html = String::new();
    let plugins = Plugins::default();
    let writer = format_document_with_formatter(root, &options, &mut html, &plugins, format_node, writer)
        .expect("writing to a text can't fail");
    if text.shape == Shape::Inline {
        html.truncate(html.trim_ascii_end().len());
        html.push_str(blanks_after);
    }
    cut(&html, text, writer.images)
}

/// The white space after a piece of a line belongs to it; Markdown would drop it.
fn split_blanks<'a>(text: &'a Text<'_>) -> (&'a str, &'a str) {
    if text.shape == Shape::Document {
        return (&text.markdown, "");
    }
    let trimmed = text.markdown.trim_ascii_end();
    (trimmed, &text.markdown[trimmed.len()..])
}

/// A tag in code is text: the lexer knew nearly all code, and the Markdown parser knows the rest.
fn restore_code(root: MarkdownNode<'_>, text: &Text<'_>) {
    for node in root.descendants() {
        match &mut node.data_mut().value {
            NodeValue::Code(code) => code.literal = text.restore(&code.literal),
            NodeValue::CodeBlock(code) => {
                code.literal = text.restore(&code.literal);
                code.info = text.restore(&code.info);
            }
            _ => {}
        }
    }
}

fn cut(html: &str, text: &Text<'_>, images: Vec<Node>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut images: Vec<Option<Node>> = images.into_iter().map(Some).collect();
    for part in split(html) {
        match part {
            Part::Text(text) => push_html(&mut pieces, text),
            Part::Origin(span, making) => begin_origin(&mut pieces, span, making),
            Part::Nothing => {}
            Part::Token(number) => match text.tokens.get(number) {
                Some(Some(node)) => pieces.push(Piece::Node((*node).clone())),
                Some(None) => push_html(&mut pieces, "\u{FDD0}"),
                None => {
                    let image = images.get_mut(number - text.tokens.len()).and_then(Option::take);
                    pieces.extend(image.map(Piece::Node));
                }
            },
        }
    }
    pieces
}

fn push_html(pieces: &mut Vec<Piece>, text: &str) {
    if !matches!(pieces.last(), Some(Piece::Html(..))) {
        pieces.push(Piece::Html(String::new(), Vec::new()));
    }
    if let Some(Piece::Html(before, origins)) = pieces.last_mut() {
        before.push_str(text);
        if let Some(origin) = origins.last_mut().filter(|origin| origin.made.end == usize::MAX) {
            let len = match text.find('>') {
                Some(end) if !origin.is_same => end + 1,
                _ => origin.source.end - origin.source.start,
            };
            origin.made.end = before.len().min(origin.made.start + len);
        }
    }
}

/// What comes next was made from a span of the source.
fn begin_origin(pieces: &mut Vec<Piece>, source: Span, making: Making) {
    push_html(pieces, "");
    if let Some(Piece::Html(before, origins)) = pieces.last_mut() {
        let made = Span::new(before.len(), usize::MAX);
        origins.push(Origin { made, source, is_same: making == Making::Copy });
    }
}

fn format_node(
    context: &mut Context<'_, '_, Writer<'_, '_, '_>>,
    node: MarkdownNode<'_>,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    match &node.data().value {
        NodeValue::Paragraph if !is_tight(node) && is_bare(node, context.user.text) => {
            if context.user.text.shape == Shape::Document {
                context.cr()?;
            }
            Ok(ChildRendering::HTML)
        }
        NodeValue::HtmlBlock(html) if entering => {
            context.cr()?;
            format_raw(context, &html.literal, node.data().sourcepos)?;
            context.cr()?;
            Ok(ChildRendering::HTML)
        }
        NodeValue::HtmlInline(literal) if entering => {
            format_raw(context, literal, node.data().sourcepos)?;
            Ok(ChildRendering::HTML)
        }
        NodeValue::Heading(heading) => format_heading(context, node, *heading, entering),
        NodeValue::Link(link) => format_link(context, node, link, entering),
        NodeValue::Image(link) => format_image(context, node, link, entering),
        NodeValue::CodeBlock(code) => format_code_block(context, node, code, entering),
        _ => format_node_default(context, node, entering),
    }
}

/// Whether a paragraph has no `<p>` anyway, since its list has no blank lines.
fn is_tight(paragraph: MarkdownNode<'_>) -> bool {
    let list = paragraph.parent().and_then(comrak::arena_tree::Node::parent);
    list.is_some_and(|list| matches!(&list.data().value, NodeValue::List(list) if list.tight))
}

/// Whether a paragraph has no `<p>`: it is a piece of a line, or nothing but tags.
fn is_bare(paragraph: MarkdownNode<'_>, text: &Text<'_>) -> bool {
    if text.shape == Shape::Inline {
        return paragraph.parent().is_some_and(|parent| matches!(parent.data().value, NodeValue::Document));
    }
    let mut has_tag = false;
    for child in paragraph.children() {
        match &child.data().value {
            NodeValue::SoftBreak => {}
            NodeValue::Text(content) => {
                let Some(numbers) = tokens_only(content) else { return false };
                let is_tag = |number: &usize| matches!(text.tokens.get(*number), Some(Some(node)) if !matches!(node, Node::Asset(_) | Node::Placeholder(_)));
                if !numbers.iter().all(is_tag) {
                    return false;
                }
                has_tag |= !numbers.is_empty();
            }
            _ => return false,
        }
    }
    has_tag
}

/// HTML as it was written, each line with its place.
fn format_raw(
    context: &mut Context<'_, '_, Writer<'_, '_, '_>>,
    html: &str,
    position: Sourcepos,
) -> Result<(), fmt::Error> {
    for (index, line) in html.split_inclusive('\n').enumerate() {
        let number = position.start.line + index;
        let first = if index == 0 { position.start.column } else { 1 };
        let mut column = context.user.text.column_of(number, first, line.trim_end_matches('\n'));
        for part in split(line) {
            match part {
                Part::Text(text) => {
                    if let Some(column) = column {
                        let start = context.user.text.origin(number, column);
                        push_origin(context, Span::new(start, start + text.len()), Making::Copy)?;
                    }
                    context.write_str(text)?;
                    column = column.map(|column| column + text.len());
                }
                Part::Token(token) => {
                    push_token_number(context, token)?;
                    column = column.map(|column| column + token_len(token));
                }
                Part::Origin(..) | Part::Nothing => {}
            }
        }
    }
    Ok(())
}

fn format_heading(
    context: &mut Context<'_, '_, Writer<'_, '_, '_>>,
    node: MarkdownNode<'_>,
    heading: NodeHeading,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    if !entering {
        write!(context, "</h{}>", heading.level)?;
        context.lf()?;
        return Ok(ChildRendering::HTML);
    }
    context.cr()?;
    let span = context.user.span(node.data().sourcepos);
    push_origin(context, span, Making::Tag)?;
    if context.user.shared.settings.heading_anchors {
        let text = plain_text(node);
        let name = if text.contains(char::is_alphanumeric) { text.trim() } else { "section" };
        let anchor = context.user.shared.anchors.anchorize(name);
        write!(context, "<h{} id=\"{anchor}\">", heading.level)?;
    } else {
        write!(context, "<h{}>", heading.level)?;
    }
    Ok(ChildRendering::HTML)
}

fn format_link(
    context: &mut Context<'_, '_, Writer<'_, '_, '_>>,
    node: MarkdownNode<'_>,
    link: &NodeLink,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    if !entering {
        context.write_str("</a>")?;
        return Ok(ChildRendering::HTML);
    }
    let url = text_parts(&link.url);
    let span = context.user.span(node.data().sourcepos);
    context.user.shared.links.push(Link { url, span });
    context.write_str("<a href=\"")?;
    for part in split(&link.url) {
        match part {
            Part::Text(text) => context.escape_href(text)?,
            Part::Token(number) => push_token_number(context, number)?,
            Part::Origin(..) | Part::Nothing => {}
        }
    }
    if !link.title.is_empty() {
        context.write_str("\" title=\"")?;
        context.escape(&link.title)?;
    }
    context.write_str("\">")?;
    Ok(ChildRendering::HTML)
}

/// An image becomes a node, so that it is rendered like the tag `img`.
fn format_image(
    context: &mut Context<'_, '_, Writer<'_, '_, '_>>,
    node: MarkdownNode<'_>,
    link: &NodeLink,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    if !entering {
        return Ok(ChildRendering::Skip);
    }
    let span = context.user.span(node.data().sourcepos);
    let alt = plain_text(node);
    if alt.is_empty() {
        let place = context.user.text.template.place(span);
        let diagnostic = Diagnostic::new(Code::EmptyAlt, place, "the image has no alternative text");
        let help = "say what is to be seen: `![a black cat](…)`; for a decoration, use `<% img … alt=\"\" %/>`";
        context.user.shared.diagnostics.push(diagnostic.with_help(help));
    }
    let attribute = |name: &str, value: Value| Attribute { name: name.to_owned(), name_span: span, value };
    let mut attributes =
        vec![attribute("src", context.user.value(&link.url, span)), attribute("alt", Value::text(alt, span))];
    if !link.title.is_empty() {
        attributes.push(attribute("title", context.user.value(&link.title, span)));
    }
    let number = context.user.text.tokens.len() + context.user.images.len();
    let image = Image { attributes, origin: ImageOrigin::Markdown, span };
    context.user.images.push(Node::Image(Box::new(image)));
    push_token_number(context, number)?;
    Ok(ChildRendering::Skip)
}

fn format_code_block(
    context: &mut Context<'_, '_, Writer<'_, '_, '_>>,
    node: MarkdownNode<'_>,
    code: &NodeCodeBlock,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    if !entering {
        return Ok(ChildRendering::HTML);
    }
    let info = Info::parse(&code.info);
    let writer = &mut context.user;
    if let Some(markup) = writer.filter(&info, code, node.data().sourcepos) {
        context.cr()?;
        context.write_str(markup)?;
        context.lf()?;
        return Ok(ChildRendering::HTML);
    }
    // What stands for itself in a text with tokens can't be told from a word of the code.
    let is_highlighted = writer.shared.settings.highlight && tokens::has_no_token(&code.literal);
    writer.shared.has_styled_code |= is_highlighted && code_block::is_styled(&info);
    if let Some(meant) = suggest_language(info.name).filter(|_| is_highlighted) {
        let span = writer.span_of_first_line(node.data().sourcepos);
        let message = format!("there is no highlighting for `{}`, and it is almost `{meant}`", info.name);
        let diagnostic = Diagnostic::new(Code::LikelyTypo, writer.text.template.place(span), message);
        writer.shared.diagnostics.push(diagnostic.with_help(format!("did you mean `{meant}`?")));
    }
    context.cr()?;
    context.write_str(&code_block::to_html(&info, &code.literal, is_highlighted, context.user.shared.cache))?;
    Ok(ChildRendering::HTML)
}

impl<'s> Writer<'_, 's, '_> {
    /// What a filter gave for a block of code. That it gave nothing is noted.
    fn filter(&mut self, info: &Info<'_>, code: &NodeCodeBlock, position: Sourcepos) -> Option<&'s str> {
        let filtered = self.shared.filtered;
        if !filtered.languages.contains(info.name) || !tokens::has_no_token(&code.literal) {
            return None;
        }
        let found = filtered.find(info.name, &code.literal).filter(|markup| tokens::has_no_token(markup));
        if found.is_none() {
            let place = self.text.template.place(self.span_of_first_line(position));
            let input = FilterInput { language: info.name.to_owned(), code: code.literal.clone(), place };
            self.shared.unfiltered.push(input);
        }
        found
    }

    /// The first line of a node in the source.
    fn span_of_first_line(&self, position: Sourcepos) -> Span {
        let span = self.span(position);
        let text = self.text.template.text(span);
        Span::new(span.start, span.start + text.find('\n').unwrap_or(text.len()))
    }

    /// Where a node stands in the source.
    fn span(&self, position: Sourcepos) -> Span {
        let start = self.text.origin(position.start.line, position.start.column);
        let end = self.text.origin(position.end.line, position.end.column);
        let text: &str = &self.text.template.source.text;
        let start = text.floor_char_boundary(start);
        Span::new(start, text.ceil_char_boundary((end + 1).max(start)))
    }

    /// Text with tokens as a value, in which assets are paths.
    fn value(&self, text: &str, span: Span) -> Value {
        let mut value = Value { parts: Vec::new(), span };
        for part in split(text) {
            match part {
                Part::Text(text) => value.parts.push(ValuePart::Text(text.to_owned())),
                Part::Token(number) => {
                    if let Some(Some(Node::Asset(asset))) = self.text.tokens.get(number) {
                        value.parts.extend(asset.path.parts.iter().cloned());
                    }
                }
                Part::Origin(..) | Part::Nothing => {}
            }
        }
        value
    }
}

/// The text of a node without markup and tokens.
fn plain_text(node: MarkdownNode<'_>) -> String {
    let mut text = String::new();
    for child in node.descendants() {
        match &child.data().value {
            NodeValue::Text(content) => text.push_str(&text_parts(content)),
            NodeValue::Code(code) => text.push_str(&code.literal),
            NodeValue::SoftBreak | NodeValue::LineBreak => text.push(' '),
            _ => {}
        }
    }
    text
}

fn text_parts(text: &str) -> String {
    let texts = split(text).map(|part| match part {
        Part::Text(text) => text,
        Part::Token(_) | Part::Origin(..) | Part::Nothing => "",
    });
    texts.collect()
}
