//! The tree that a template is parsed into. It is flat: a block is a range of one vector of nodes, so that neither
//! reading nor dropping it takes a stack, however deep the tags are nested.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Place, SourceText, Span};

/// What a source file is to the language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A page of HTML: `{{name}}` is text in it.
    Page,
    /// A page of Markdown: the same, and no tag is read in its code.
    MarkdownPage,
    /// A partial: `{{name}}` is a slot, `{{@name}}` an attribute.
    Partial,
}

/// A page or a partial, parsed once.
#[derive(Clone, Debug)]
pub struct Template {
    /// The whole file.
    pub source: SourceText,
    /// What it is.
    pub kind: Kind,
    /// All of it that isn't front matter.
    pub root: Block,
    /// What its placeholders and `if`s ask for, if it is a partial.
    pub asks: Asks,
    /// The nodes of all blocks.
    pub(crate) nodes: Vec<Node>,
    /// Text that stands in no file: what Markdown became.
    pub(crate) made: String,
    /// Where pieces of that text come from, in order.
    pub(crate) origins: Vec<Origin>,
    /// All blocks but the root, in the order of their ends.
    pub(crate) blocks: Vec<Block>,
}

/// Where a piece of text that Markdown made comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Origin {
    /// The text that was made.
    pub(crate) made: Span,
    /// What it was made from.
    pub(crate) source: Span,
    /// It is the same text; if not, all of it comes from all of that.
    pub(crate) is_same: bool,
}

/// Neighbouring nodes: the content of a page, a slot, a body or a branch.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Block {
    /// The first node.
    pub(crate) first: usize,
    /// The node after the last.
    pub(crate) end: usize,
    /// What it was read from.
    pub span: Span,
}

/// One piece of a template.
#[derive(Clone, Debug)]
pub enum Node {
    /// Text of the source, emitted as it stands.
    Text(Span),
    /// Text that Markdown made, emitted as it stands.
    Made(Span),
    /// A slot or an attribute of a partial.
    Placeholder(Box<Placeholder>),
    /// `{{+ … }}`: the URL of an asset.
    Asset(Box<Asset>),
    /// A partial, rendered here.
    Tag(Box<Tag>),
    /// `<% if … %>`
    If(Box<If>),
    /// `<% each … %>`
    Each(Box<Each>),
    /// `<% img … %/>`, or an image of Markdown.
    Image(Box<Image>),
    /// `<% toc %/>`
    Toc(Span),
    /// `<% generated_head.html %/>`
    Head(Span),
    /// `<% generated_livereload_script.html %/>`
    LiveReload(Span),
}

/// Whether a name is a slot's or an attribute's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// `{{name}}`
    Slot,
    /// `{{@name}}`
    Attribute,
}

/// A name that a partial asks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name {
    /// What it names.
    pub target: Target,
    /// Without the `@`.
    pub text: String,
}

/// `{{name}}`, `{{@name ?? default}}`
#[derive(Clone, Debug)]
pub struct Placeholder {
    /// What is asked for.
    pub name: Name,
    /// Markup that stands in for it.
    pub default: Option<String>,
    /// From brace to brace.
    pub span: Span,
}

/// `{{+ /static/… }}`
#[derive(Clone, Debug)]
pub struct Asset {
    /// The path, with `#fragment` if there is one.
    pub path: Value,
    /// From brace to brace.
    pub span: Span,
}

/// What stands in an attribute or an asset's path.
#[derive(Clone, Default, Debug)]
pub struct Value {
    /// In order.
    pub parts: Vec<Part>,
    /// Without quotes.
    pub span: Span,
}

/// A piece of a value.
#[derive(Clone, Debug)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// Filled in when rendering.
    Placeholder(Placeholder),
    /// Filled in when rendering.
    Asset(Asset),
}

/// `key="value"`
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The key.
    pub name: String,
    /// Where the key stands.
    pub name_span: Span,
    /// The value.
    pub value: Value,
}

/// A tag that names a partial.
#[derive(Clone, Debug)]
pub struct Tag {
    /// The partial's path under `templates/`.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// In order; no name twice.
    pub attributes: Vec<Attribute>,
    /// What is no attribute, which is a mistake.
    pub(crate) words: Vec<Span>,
    /// What stands between the tag and its closing tag.
    pub body: Option<Body>,
    /// The name in its closing tag, where that is almost its own.
    pub(crate) closed_as: Option<Span>,
    /// A mistake in it has been reported, so that what it lacks isn't worth a word.
    pub(crate) is_broken: bool,
}

/// What a body gives.
#[derive(Clone, Debug)]
pub enum Body {
    /// The slots at the body's own level; no name twice.
    Slots(Vec<SlotFill>),
    /// No slot: the whole fills `default`.
    Whole {
        /// All of it.
        block: Block,
        /// What would be lost first without `default`.
        first_stray: Option<Span>,
    },
    /// White space and comments.
    Blank,
}

/// `<slot:name> … </slot:name>`
#[derive(Clone, Debug)]
pub struct SlotFill {
    /// The slot's name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// The closing tag, where that is almost its own.
    pub(crate) closed_as: Option<Span>,
    /// The text between.
    pub block: Block,
}

/// `<% if name is="text" %> … <% else %> … <%/ if %>`
#[derive(Clone, Debug)]
pub struct If {
    /// What is looked at.
    pub name: Name,
    /// The text that it is compared with.
    pub is: Option<Value>,
    /// Where the name stands.
    pub name_span: Span,
    /// Rendered if it holds.
    pub then: Block,
    /// Rendered if not.
    pub otherwise: Block,
}

/// `<% each collection as="partial" … %/>`
#[derive(Clone, Debug)]
pub struct Each {
    /// The collection's name, such as `posts` or `section/blog`.
    pub collection: String,
    /// Where that name stands.
    pub collection_span: Span,
    /// `as`: the partial that shows an item.
    pub partial: String,
    /// Where the partial's name stands.
    pub partial_span: Span,
    /// `of`: whose children.
    pub of: Option<Value>,
    /// `sort`, such as `date desc`.
    pub sort: Option<Value>,
    /// `where`, such as `category=Rust`.
    pub filter: Option<Value>,
    /// `limit`
    pub limit: Option<Value>,
    /// `paginate`: items on a page.
    pub paginate: Option<Value>,
    /// All others, which go to the partial.
    pub attributes: Vec<Attribute>,
}

/// Where an image was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageOrigin {
    /// `<% img … %/>`
    Tag,
    /// `![…](…)`
    Markdown,
}

/// An image of the site.
#[derive(Clone, Debug)]
pub struct Image {
    /// Known names only; `src` and `alt` are among them unless that has been reported.
    pub attributes: Vec<Attribute>,
    /// Where it was written.
    pub origin: ImageOrigin,
    /// The tag's name, or the whole of Markdown's image.
    pub span: Span,
}

/// What a partial asks for.
#[derive(Clone, Default, Debug)]
pub struct Asks {
    /// Every slot and attribute that it names anywhere.
    pub known: BTreeSet<Name>,
    /// Those that it can't do without: named outside every `if`, without a default.
    pub required: Vec<Name>,
}

impl Name {
    /// A slot's name.
    pub fn slot(text: impl Into<String>) -> Self {
        Self { target: Target::Slot, text: text.into() }
    }

    /// An attribute's name.
    pub fn attribute(text: impl Into<String>) -> Self {
        Self { target: Target::Attribute, text: text.into() }
    }
}

impl Value {
    /// Text without placeholders.
    pub fn text(text: impl Into<String>, span: Span) -> Self {
        Self { parts: vec![Part::Text(text.into())], span }
    }

    /// Its text, if it has no placeholder.
    pub fn as_text(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl Template {
    /// The nodes of one of its blocks.
    pub fn nodes(&self, block: Block) -> &[Node] {
        &self.nodes[block.first..block.end]
    }

    /// All nodes, in no order that means anything.
    pub fn all_nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The first placeholder of a name in its text.
    pub fn find_placeholder(&self, name: &Name) -> Option<Span> {
        let spans = self.nodes.iter().filter_map(|node| match node {
            Node::Placeholder(placeholder) if placeholder.name == *name => Some(placeholder.span),
            _ => None,
        });
        spans.min()
    }

    /// Where each slot is first asked for in its text.
    pub fn first_slots(&self) -> BTreeMap<&str, Span> {
        let mut spans: BTreeMap<&str, Span> = BTreeMap::new();
        for node in &self.nodes {
            if let Node::Placeholder(placeholder) = node
                && placeholder.name.target == Target::Slot
            {
                let first = spans.entry(&placeholder.name.text).or_insert(placeholder.span);
                *first = placeholder.span.min(*first);
            }
        }
        spans
    }

    /// Text of the file.
    pub fn text(&self, span: Span) -> &str {
        &self.source.text[span.start..span.end]
    }

    /// Text that Markdown made.
    pub fn made(&self, span: Span) -> &str {
        &self.made[span.start..span.end]
    }

    /// What a range of the text that Markdown made was made from.
    pub(crate) fn origin(&self, made: Span) -> Option<Span> {
        let index = self.origins.partition_point(|origin| origin.made.start <= made.start).checked_sub(1)?;
        let Origin { made: piece, source, is_same } = self.origins[index];
        if made.start >= piece.end {
            return None;
        }
        if !is_same {
            return Some(source);
        }
        let at = |offset: usize| source.start + offset.min(piece.end) - piece.start;
        Some(Span::new(at(made.start), at(made.end)))
    }

    /// A place in the file.
    pub fn place(&self, span: Span) -> Place {
        self.source.place(span)
    }
}

/// The value of an attribute in a list of them.
pub fn find_attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name == name)
}

impl Node {
    /// What a diagnostic points at; nothing for what Markdown made.
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Text(span) | Self::Toc(span) | Self::Head(span) | Self::LiveReload(span) => Some(*span),
            Self::Made(_) => None,
            Self::Placeholder(placeholder) => Some(placeholder.span),
            Self::Asset(asset) => Some(asset.span),
            Self::Tag(tag) => Some(tag.name_span),
            Self::If(branch) => Some(branch.name_span),
            Self::Each(each) => Some(each.collection_span),
            Self::Image(image) => Some(image.span),
        }
    }
}
