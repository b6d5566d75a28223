//! Markdown pages: the texts of a parsed template become HTML, and its tags stay where they were. Each body, slot and
//! branch is a Markdown text of its own. Headings get their ids here, images become nodes, and every link is known with
//! its place in the source.

mod code_block;
mod highlight;
mod html;
mod tokens;

use std::collections::BTreeMap;

use comrak::{Anchorizer, Options};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, Span};
use crate::front_matter::{self, Fields, FrontMatter};
use crate::source::SourceFile;
use crate::template::{Block, Body, Kind, Node, Origin, Template};
use crate::tools::filter::{FilterInput, Filtered};

pub use highlight::{STYLE_SHEET, STYLE_SHEET_PATH};
use html::write_html;
pub(crate) use tokens::has_token;
use tokens::{Piece, Shape, Text, margin_of};

/// A link that Markdown wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its destination as text, placeholders left out.
    pub url: String,
    /// Where it stands in the source.
    pub span: Span,
}

/// A Markdown page as a template of HTML.
#[derive(Clone, Debug)]
pub struct MarkdownPage {
    /// The page, rendered like any other.
    pub template: Template,
    /// All links in it, in order.
    pub links: Vec<Link>,
    /// It has code that the style sheet shows.
    pub has_styled_code: bool,
    /// Blocks of code that a filter is for and that it gave nothing for.
    pub unfiltered: Vec<FilterInput>,
}

/// What all texts of a page have in common.
struct Shared<'a> {
    template: &'a Template,
    options: Options<'static>,
    settings: &'a config::Markdown,
    anchors: Anchorizer,
    links: Vec<Link>,
    has_styled_code: bool,
    filtered: &'a Filtered,
    cache: &'a Cache,
    unfiltered: Vec<FilterInput>,
    diagnostics: Vec<Diagnostic>,
}

/// Turns the texts of a Markdown page into HTML. The cache has the code that was highlighted before.
pub fn to_html<'a>(
    template: &'a Template,
    settings: &'a config::Markdown,
    filtered: &'a Filtered,
    cache: &'a Cache,
) -> (MarkdownPage, Vec<Diagnostic>) {
    let mut shared = Shared {
        template,
        options: comrak_options(settings),
        settings,
        anchors: Anchorizer::new(),
        links: Vec::new(),
        has_styled_code: false,
        filtered,
        cache,
        unfiltered: Vec::new(),
        diagnostics: Vec::new(),
    };
    // Ids are given in the order of the source, and blocks end in another.
    let mut blocks: Vec<(Block, Shape)> =
        template.blocks.iter().map(|block| (*block, shape_of(template, *block))).collect();
    blocks.push((template.root, Shape::Document));
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|index| (blocks[*index].0.span.start, std::cmp::Reverse(blocks[*index].0.span.end)));
    let mut written: Vec<Vec<Piece>> = blocks.iter().map(|_| Vec::new()).collect();
    for index in order {
        let (block, shape) = blocks[index];
        written[index] = convert(block, shape, &mut shared);
    }
    let mut assembly = Assembly::default();
    for ((block, _), pieces) in blocks.iter().zip(written) {
        assembly.push_block(*block, pieces);
    }
    let Assembly { nodes, made, origins, blocks: by_span } = assembly;
    let made = Template {
        source: template.source.clone(),
        kind: template.kind,
        root: by_span[&key(template.root)],
        asks: template.asks.clone(),
        blocks: by_span.into_values().collect(),
        nodes,
        made,
        origins,
    };
    let Shared { links, has_styled_code, unfiltered, diagnostics, .. } = shared;
    (MarkdownPage { template: made, links, has_styled_code, unfiltered }, diagnostics)
}

/// The blocks of code in Markdown files that a filter is for, in pages that are published: those of which `is_published`
/// says so by their names and front matter.
pub fn find_filter_inputs(
    files: &[SourceFile],
    config: &Config,
    cache: &Cache,
    is_published: impl Fn(&str, Fields) -> bool + Sync,
) -> Vec<FilterInput> {
    let filtered = Filtered::none(&config.filters);
    let find = |file: &SourceFile| {
        let has_language = |text: &str| filtered.languages.iter().any(|language| text.contains(&**language));
        let source = file.to_text().ok().filter(|source| has_language(&source.text));
        source.map_or_else(Vec::new, |source| {
            let (FrontMatter { fields, body_start }, _) = front_matter::parse(&source);
            if !is_published(&file.name, fields) {
                return Vec::new();
            }
            let (template, _) = Template::parse(&source, body_start, Kind::MarkdownPage);
            to_html(&template, &config.markdown, &filtered, cache).0.unfiltered
        })
    };
    let markdown = files.par_iter().filter(|file| is_markdown(file));
    if filtered.languages.is_empty() { Vec::new() } else { markdown.flat_map_iter(find).collect() }
}

/// Whether a page is written in Markdown.
pub fn is_markdown(file: &SourceFile) -> bool {
    matches!(&*file.extension(), "md" | "markdown")
}

/// A text that begins with a line end is a document of its own, any other is a piece of a line.
fn shape_of(template: &Template, block: Block) -> Shape {
    let text = template.text(block.span);
    if text.trim_start_matches([' ', '\t']).starts_with('\n') { Shape::Document } else { Shape::Inline }
}

fn convert(block: Block, shape: Shape, shared: &mut Shared<'_>) -> Vec<Piece> {
    let template = shared.template;
    let nodes = template.nodes(block);
    let is_blank = |node: &Node| matches!(node, Node::Text(span) if template.text(*span).trim_ascii().is_empty());
    if nodes.iter().all(is_blank) {
        return nodes.iter().cloned().map(Piece::Node).collect();
    }
    let margin = margin_of(template, block, shape);
    let text = Text::new(template, block, shape, margin);
    write_html(&text, shared)
}

fn comrak_options(settings: &config::Markdown) -> Options<'static> {
    let mut options = Options::default();
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.alerts = true;
    options.parse.smart = settings.smart_punctuation;
    options.render.r#unsafe = true;
    options
}

/// The nodes of the new template.
#[derive(Default)]
struct Assembly {
    nodes: Vec<Node>,
    made: String,
    origins: Vec<Origin>,
    /// The new blocks by what they were read from.
    blocks: BTreeMap<(usize, usize), Block>,
}

fn key(block: Block) -> (usize, usize) {
    (block.span.start, block.span.end)
}

impl Assembly {
    /// Adds a block. Those that stand in it have been added before.
    fn push_block(&mut self, block: Block, pieces: Vec<Piece>) {
        let first = self.nodes.len();
        for piece in pieces {
            match piece {
                Piece::Html(text, origins) => {
                    let start = self.made.len();
                    self.made.push_str(&text);
                    let moved = |span: Span| Span::new(start + span.start, start + span.end);
                    self.origins.extend(origins.iter().map(|one| Origin { made: moved(one.made), ..*one }));
                    self.nodes.push(Node::Made(Span::new(start, self.made.len())));
                }
                Piece::Node(mut node) => {
                    self.move_blocks(&mut node);
                    self.nodes.push(node);
                }
            }
        }
        let moved = Block { first, end: self.nodes.len(), span: block.span };
        self.blocks.insert(key(block), moved);
    }

    fn move_blocks(&self, node: &mut Node) {
        let moved = |block: &mut Block| {
            if let Some(new) = self.blocks.get(&key(*block)) {
                *block = *new;
            }
        };
        match node {
            Node::If(branch) => {
                moved(&mut branch.then);
                moved(&mut branch.otherwise);
            }
            Node::Tag(tag) => match &mut tag.body {
                Some(Body::Slots(slots)) => slots.iter_mut().for_each(|slot| moved(&mut slot.block)),
                Some(Body::Whole { block, .. }) => moved(block),
                Some(Body::Blank) | None => {}
            },
            _ => {}
        }
    }
}
