//! The tags of the language itself, and what each accepts.

use super::lexer::{RawTag, is_attribute_name};
use super::syntax::{Attribute, Each, If, Image, ImageOrigin, Kind, Name, Node, Part, Target, Value, find_attribute};
use crate::diagnostic::{Code, Diagnostic, SourceText, Span, list_names, nearest};

const LIVE_RELOAD: &str = "generated_livereload_script.html";
const HEAD: &str = "generated_head.html";
const BLOG_ITEMS: &str = "generated_blog_items.html";

/// The partial that shows a post in `generated_blog_items.html`.
pub const BLOG_ITEM_PARTIAL: &str = "blog_index_item.html";

/// The names that belong to the language.
pub(super) const RESERVED: [&str; 9] = ["img", "each", "if", "else", "toc", "raw", BLOG_ITEMS, HEAD, LIVE_RELOAD];

/// The attributes of `img`, in the order in which they are written, with the values that they accept if not all.
pub const IMAGE_ATTRIBUTES: [(&str, &[&str]); 11] = [
    ("src", &[]),
    ("alt", &[]),
    ("class", &[]),
    ("loading", &["lazy", "eager"]),
    ("sizes", &[]),
    ("decoding", &["async", "sync", "auto"]),
    ("title", &[]),
    ("fetchpriority", &["high", "low", "auto"]),
    ("id", &[]),
    ("style", &[]),
    ("data-*", &[]),
];

/// Whether a name belongs to the language, so that no partial can have it.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Reads a built-in tag other than `if` and `else`; nothing if it can't be used.
pub(super) fn read(
    source: &SourceText,
    kind: Kind,
    name: &str,
    raw: RawTag,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let mut reader = Reader { source, kind, is_broken: raw.is_broken, diagnostics };
    match name {
        "img" => Some(reader.read_image(raw)),
        "each" => reader.read_each(raw),
        "raw" => {
            reader.report(Code::MalformedTag, raw.name, "`raw` stands alone", "write `<% raw %> … <%/ raw %>`");
            None
        }
        _ => {
            reader.expect_nothing(name, &raw);
            Some(match name {
                "toc" => Node::Toc(raw.name),
                HEAD => Node::Head(raw.name),
                LIVE_RELOAD => Node::LiveReload(raw.name),
                _ => Node::Each(Box::new(Each::of_posts(raw.name))),
            })
        }
    }
}

/// Reads the head of an `if`. One that can't be read asks for a name that nothing has.
pub(super) fn read_if(source: &SourceText, kind: Kind, raw: &RawTag, diagnostics: &mut Vec<Diagnostic>) -> If {
    let mut reader = Reader { source, kind, is_broken: raw.is_broken, diagnostics };
    let help = "write `<% if name %>`, `<% if @name %>` or `<% if @name is=\"text\" %>`";
    let mut name = Name::slot("");
    let mut name_span = raw.name;
    match raw.words.first() {
        None => reader.report(Code::MalformedTag, raw.name, "`if` needs a name", help),
        Some(word) => {
            let text = reader.text(*word);
            name_span = *word;
            name = text.strip_prefix('@').map_or_else(|| Name::slot(text), Name::attribute);
            if !is_attribute_name(&name.text) {
                reader.report(Code::MalformedAttribute, *word, format!("`{text}` is no name"), help);
            } else if name.target == Target::Attribute && kind != Kind::Partial {
                let message = format!("`{text}` is an attribute, and a page has none");
                reader.report(Code::MalformedAttribute, *word, message, "in a page, `if` looks at front matter");
            }
        }
    }
    for word in raw.words.iter().skip(1) {
        let message = format!("`if` doesn't know `{}`", reader.text(*word));
        reader.report(Code::MalformedAttribute, *word, message, help);
    }
    for attribute in raw.attributes.iter().filter(|attribute| attribute.name != "is") {
        let message = format!("`if` has no attribute `{}`", attribute.name);
        reader.report(Code::MalformedAttribute, attribute.name_span, message, help);
    }
    let is = find_attribute(&raw.attributes, "is").map(|attribute| attribute.value.clone());
    If { name, is, name_span, then: crate::template::Block::default(), otherwise: crate::template::Block::default() }
}

struct Reader<'a> {
    source: &'a SourceText,
    kind: Kind,
    /// What is missing in a broken tag isn't worth a word.
    is_broken: bool,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn text(&self, span: Span) -> &'a str {
        &self.source.text[span.start..span.end]
    }

    fn report(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, self.source.place(span), message).with_help(help));
    }

    fn expect_nothing(&mut self, name: &str, raw: &RawTag) {
        let attributes = raw.attributes.iter().map(|attribute| attribute.name_span);
        for span in raw.words.iter().copied().chain(attributes) {
            let message = format!("`{name}` has no attributes");
            self.report(Code::MalformedAttribute, span, message, format!("write `<% {name} %/>`"));
        }
    }

    fn read_image(&mut self, raw: RawTag) -> Node {
        for word in raw.words {
            let text = self.text(word);
            let message = format!("the attribute `{text}` has no value");
            self.report(Code::MalformedAttribute, word, message, format!("write `{text}=\"…\"`"));
        }
        let mut attributes = Vec::new();
        for mut attribute in raw.attributes {
            if attribute.name == "src" {
                take_paths(&mut attribute.value);
            }
            if self.check_image_attribute(&attribute) {
                attributes.push(attribute);
            }
        }
        let missing: Vec<_> =
            ["src", "alt"].into_iter().filter(|name| find_attribute(&attributes, name).is_none()).collect();
        if !missing.is_empty() && !self.is_broken {
            let help = if missing.contains(&"alt") {
                "`alt` says what is to be seen; `alt=\"\"` marks a decoration"
            } else {
                "`src` names a file, such as `/static/img/a.jpg`"
            };
            let message = format!("`img` lacks {}", list_names(&missing));
            self.report(Code::MissingAttributes, raw.name, message, help);
        }
        // What its `src` leads to is looked at even so.
        let image = Image { attributes, origin: ImageOrigin::Tag, span: raw.name };
        Node::Image(Box::new(image))
    }

    fn check_image_attribute(&mut self, attribute: &Attribute) -> bool {
        let name = attribute.name.as_str();
        if name.starts_with("data-") && name.len() > "data-".len() {
            return true;
        }
        let Some((_, accepted)) = IMAGE_ATTRIBUTES.iter().find(|(known, _)| *known == name) else {
            let help = if name == "width" || name == "height" {
                "both are read from the file".to_owned()
            } else if let Some(near) = nearest(name, IMAGE_ATTRIBUTES.iter().map(|(known, _)| *known)) {
                format!("did you mean `{near}`?")
            } else {
                format!("it has {}", list_names(&IMAGE_ATTRIBUTES.map(|(known, _)| known)))
            };
            let message = format!("`img` has no attribute `{name}`");
            self.report(Code::MalformedAttribute, attribute.name_span, message, help);
            return false;
        };
        if let Some(text) = attribute.value.as_text()
            && !accepted.is_empty()
            && !accepted.contains(&text)
        {
            let message = format!("`{name}` can't be `{text}`");
            let help = format!("it can be {}", list_names(accepted));
            self.report(Code::MalformedAttribute, attribute.value.span, message, help);
        }
        true
    }

    fn read_each(&mut self, raw: RawTag) -> Option<Node> {
        let help = "write `<% each posts as=\"card.html\" %/>`";
        let Some(collection_span) = raw.words.first().copied() else {
            if !self.is_broken {
                self.report(Code::MalformedTag, raw.name, "`each` needs a collection", help);
            }
            return None;
        };
        for word in raw.words.iter().skip(1) {
            let message = format!("`each` has one collection, and this is another: `{}`", self.text(*word));
            self.report(Code::MalformedAttribute, *word, message, help);
        }
        let collection = self.text(collection_span);
        let mut given = raw.attributes;
        let mut take = |name: &str| {
            let index = given.iter().position(|attribute| attribute.name == name)?;
            Some(given.remove(index))
        };
        let partial = take("as");
        let of = if collection == "children" { take("of") } else { None };
        let (sort, filter, limit, paginate) = (take("sort"), take("where"), take("limit"), take("paginate"));
        let mut missing = Vec::new();
        missing.extend(partial.is_none().then_some("as"));
        missing.extend((collection == "children" && of.is_none()).then_some("of"));
        if !missing.is_empty() {
            if !self.is_broken {
                self.report(Code::MissingAttributes, raw.name, format!("`each` lacks {}", list_names(&missing)), help);
            }
            return None;
        }
        let partial = partial?;
        self.check_number(limit.as_ref());
        if !self.check_order(sort.as_ref(), filter.as_ref()) {
            return None;
        }
        self.check_paginate(paginate.as_ref());
        let Some(partial_name) = partial.value.as_text() else {
            let help = "name the partial as it is";
            let message = "a partial's name can't be put together";
            self.report(Code::MalformedAttribute, partial.value.span, message, help);
            return None;
        };
        Some(Node::Each(Box::new(Each {
            collection: collection.to_owned(),
            collection_span,
            partial: partial_name.to_owned(),
            partial_span: partial.value.span,
            of: of.map(|attribute| attribute.value),
            sort: sort.map(|attribute| attribute.value),
            filter: filter.map(|attribute| attribute.value),
            limit: limit.map(|attribute| attribute.value),
            paginate: paginate.map(|attribute| attribute.value),
            attributes: given,
        })))
    }

    /// The list of a page is split, and that of the partial which is the page of a term.
    fn check_paginate(&mut self, attribute: Option<&Attribute>) {
        self.check_number(attribute);
        let Some(attribute) = attribute else { return };
        if self.kind == Kind::Partial && !self.source.path.ends_with("/term.html") {
            let help = "put this `each` into the page";
            self.report(Code::MalformedAttribute, attribute.name_span, "only a page's own `each` can be split", help);
        }
    }

    /// Whether `sort` and `where` can be understood, as far as they are known before rendering.
    fn check_order(&mut self, sort: Option<&Attribute>, filter: Option<&Attribute>) -> bool {
        let mut is_right = true;
        for attribute in [sort, filter].into_iter().flatten() {
            is_right &= self.check_query(attribute);
        }
        is_right
    }

    fn check_number(&mut self, attribute: Option<&Attribute>) {
        if let Some(attribute) = attribute {
            self.check_query(attribute);
        }
    }

    fn check_query(&mut self, attribute: &Attribute) -> bool {
        let found = attribute.value.as_text().and_then(|text| {
            let span = attribute.value.span;
            check_query_attribute(&attribute.name, text).map(|(message, help)| (span, message, help))
        });
        let Some((span, message, help)) = found else { return true };
        self.report(Code::MalformedAttribute, span, message, help);
        false
    }
}

/// What is wrong with the text of an attribute that tells `each` which items to show, and what it should be.
pub(crate) fn check_query_attribute(name: &str, text: &str) -> Option<(String, &'static str)> {
    let (is_right, help) = match name {
        "sort" => {
            let words: Vec<_> = text.split_ascii_whitespace().collect();
            (matches!(words[..], [_] | [_, "asc" | "desc"]), "it is a field, and `desc` for the other direction")
        }
        "where" => {
            let field = text.split_once('=').map_or("", |(field, _)| field.trim_ascii());
            (!field.is_empty(), "it is a field, `=` and a text")
        }
        _ => (text.parse::<usize>().is_ok_and(|number| number > 0), "it is a number from 1 on"),
    };
    (!is_right).then(|| (format!("`{name}` can't be `{text}`"), help))
}

/// An image is named by its path, so `{{+ path}}` in its place is that path.
fn take_paths(value: &mut Value) {
    let parts = std::mem::take(&mut value.parts);
    value.parts = parts
        .into_iter()
        .flat_map(|part| match part {
            Part::Asset(asset) => asset.path.parts,
            part => vec![part],
        })
        .collect();
}

impl Each {
    fn of_posts(span: Span) -> Self {
        Self {
            collection: "posts".to_owned(),
            collection_span: span,
            partial: BLOG_ITEM_PARTIAL.to_owned(),
            partial_span: span,
            of: None::<Value>,
            sort: None,
            filter: None,
            limit: None,
            paginate: None,
            attributes: Vec::new(),
        }
    }
}
