//! A page's template and its partials to text. The tags that are being rendered stand on a vector, so that their depth
//! costs no stack; a body is rendered before the partial that it is passed to.

mod call;
mod each;
mod escape;
mod head;
mod image;
mod lack;
mod links;
mod markup;
mod mistakes;
mod picture;
mod scope;
mod toc;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use crate::assets::AssetManifest;
use crate::diagnostic::{Code, Diagnostic, Place, Span};
use crate::front_matter::Value as FieldValue;
use crate::html::{HtmlUrl, WrittenIntegrity, find_urls, read_page};
use crate::site::{Item, Page, Site};
use crate::template::{Asset, Block, If, Kind, Node, Part, Placeholder, Template, TemplateSet, Value};

pub use lack::{Lack, report_lacks};
pub use links::{BrokenLink, Fragment, Links, report_broken_links};
pub use mistakes::report_mistakes;

use escape::push_escaped;
use markup::{Markup, ValueId};
use picture::{Preload, add_preload};
use scope::{Caller, Found, Scope};

/// The most that a page may have. A guess, well above any page that a browser shows.
const PAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The most nodes, slots and items that a page may render; each leaves at most one piece of text. Partials that name
/// others twice, 40 deep, would never end. A guess: a hundred for each of 100,000 items, which takes a second or two.
const PAGE_NODES_MAX: usize = 10_000_000;

/// The most that all attributes and the like of a page may come to, as often as they are put together. Guessed.
const VALUE_BYTES_MAX: usize = PAGE_BYTES_MAX;

/// The partial that wraps Markdown pages which name no layout.
const DEFAULT_LAYOUT: &str = "base.html";

/// What a page became.
#[derive(Clone, Default, Debug)]
pub struct RenderedPage {
    /// The page's text, complete unless there are errors.
    pub text: String,
    /// What is wrong with the page, and with the partials as far as it uses them.
    pub diagnostics: Vec<Diagnostic>,
    /// The slots that nothing fills.
    pub lacks: Vec<Lack>,
    /// What is wrong with its markup.
    pub mistakes: Vec<Diagnostic>,
    /// Every URL in an attribute, until links are resolved.
    pub urls: Vec<HtmlUrl>,
    /// What it says itself of the digests of what it loads.
    pub integrities: Vec<Integrity>,
    /// Links to parts of pages.
    pub fragments: Vec<Fragment>,
    /// Links that lead nowhere, once they are resolved.
    pub broken_links: Vec<BrokenLink>,
    /// The partials that the page itself names, its layout included.
    pub partials: BTreeSet<String>,
}

impl RenderedPage {
    /// All that keeps it from being made, as far as the page by itself shows it.
    pub fn reports(&self) -> Vec<Diagnostic> {
        self.diagnostics.iter().cloned().chain(self.lacks.iter().map(Lack::to_diagnostic)).collect()
    }
}

/// An attribute `integrity` that a page or one of its partials has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Integrity {
    /// What is loaded.
    pub url: String,
    /// The attribute's value.
    pub value: String,
    /// Where it was written.
    pub place: Place,
}

impl Integrity {
    /// Those of a page, in order; one that was put together from values has the page for its place.
    fn locate(
        written: Vec<WrittenIntegrity>,
        page: &Page,
        find_places: impl Fn(&[Range<usize>]) -> Vec<Option<Place>>,
    ) -> Vec<Self> {
        let ranges: Vec<_> = written.iter().map(|one| one.range.clone()).collect();
        let places = if ranges.is_empty() { Vec::new() } else { find_places(&ranges) };
        let located = written.into_iter().zip(places).map(|(WrittenIntegrity { url, value, .. }, place)| {
            let place = place.unwrap_or_else(|| page.source.place(Span::default()));
            Self { url, value, place }
        });
        located.collect()
    }
}

/// What pages are made of besides their own text.
#[derive(Clone, Copy, Debug)]
pub struct Materials<'a> {
    /// The pages that they list.
    pub site: &'a Site,
    /// The partials that they use.
    pub templates: &'a TemplateSet,
    /// The files that they name.
    pub manifest: &'a AssetManifest,
    /// Markup for the tag `generated_livereload_script.html`: nothing in what is published.
    pub live_reload: &'a str,
}

/// Renders one page.
pub fn render_page(page: &Page, materials: &Materials<'_>) -> RenderedPage {
    let Materials { site, templates, manifest, live_reload } = *materials;
    let mut result = RenderedPage { diagnostics: templates.check(&page.template), ..RenderedPage::default() };
    result.partials = page.template.references().map(|(name, _)| name.to_owned()).collect();
    let mut renderer = Renderer {
        page,
        site,
        templates,
        manifest,
        live_reload,
        markup: Markup::new(PAGE_BYTES_MAX),
        tasks: Vec::new(),
        node_count: 0,
        value_bytes: 0,
        uses_toc: false,
        preloads: Vec::new(),
        seen: BTreeSet::new(),
        diagnostics: Vec::new(),
        lacks: Vec::new(),
    };
    let scope = Rc::new(Scope::of_page());
    renderer.push_block(&page.template, page.template.root, &scope);
    renderer.run();
    let body = renderer.markup.close_value();
    let mut whole = body;
    if let Some((name, span)) = find_layout(page, templates) {
        result.partials.insert(name.to_owned());
        whole = renderer.render_layout(name, span, body);
    }
    let toc = if renderer.uses_toc { toc::render_toc(&renderer.markup.text(body, "")) } else { String::new() };
    let has_room = renderer.markup.has_room_for(whole, &toc);
    if let Some(excess) = renderer.find_excess().or((!has_room).then_some(Excess::Bytes)) {
        renderer.diagnostics.push(excess.to_diagnostic(page.template.place(Span::default())));
    } else {
        result.text = renderer.markup.text(whole, &toc);
        let reading = read_page(&result.text);
        let find_places = |ranges: &[Range<usize>]| renderer.markup.places(whole, &toc, ranges);
        result.integrities = Integrity::locate(reading.integrities, page, find_places);
        result.mistakes = mistakes::locate(reading.mistakes, page, find_places);
        result.urls = reading.urls;
        if !renderer.preloads.is_empty() {
            result.text = add_preload(result.text, &renderer.preloads);
            result.urls = find_urls(&result.text);
        }
    }
    result.diagnostics.append(&mut renderer.diagnostics);
    result.lacks = renderer.lacks;
    result
}

/// What a page has more of than it may.
#[derive(Clone, Copy)]
enum Excess {
    /// What it renders to.
    Bytes,
    /// What it renders.
    Nodes,
    /// What its partials hand each other in attributes.
    Values,
}

impl Excess {
    fn to_diagnostic(self, place: Place) -> Diagnostic {
        let (message, help) = match self {
            Self::Bytes => (
                format!("the page renders to more than {} MB", PAGE_BYTES_MAX / 1024 / 1024),
                "a partial or a collection is repeated too often",
            ),
            Self::Nodes => (
                format!("the page renders more than {PAGE_NODES_MAX} texts, tags and items"),
                "a partial or a collection is repeated too often",
            ),
            Self::Values => (
                format!("the attributes in the page come to more than {} MB", VALUE_BYTES_MAX / 1024 / 1024),
                "a partial hands on a value again and again, and longer each time",
            ),
        };
        Diagnostic::new(Code::PageTooLarge, place, message).with_help(help)
    }
}

/// The partial that wraps a page, and where the page names it.
fn find_layout<'a>(page: &'a Page, templates: &TemplateSet) -> Option<(&'a str, Span)> {
    if let Some((name, span)) = &page.layout
        && !name.trim_ascii().is_empty()
    {
        return Some((name, span.unwrap_or_default()));
    }
    let has_default = page.template.kind == Kind::MarkdownPage && templates.find(DEFAULT_LAYOUT).is_some();
    has_default.then_some((DEFAULT_LAYOUT, Span::default()))
}

/// What is to be done, the last first.
enum Task<'a> {
    /// Nodes that are left.
    Nodes { template: &'a Template, nodes: std::slice::Iter<'a, Node>, scope: Rc<Scope<'a>> },
    /// A tag whose slots are being rendered.
    Call(Box<Call<'a>>),
    /// A partial's end.
    End { scope: Rc<Scope<'a>> },
    /// A collection whose items are being rendered.
    Items(Box<Items<'a>>),
}

/// A tag on its way to its partial.
struct Call<'a> {
    partial: &'a Template,
    caller: Caller<'a>,
    outer: Rc<Scope<'a>>,
    attributes: Rc<BTreeMap<&'a str, Rc<str>>>,
    /// The names and blocks of the body's slots.
    fills: Vec<(&'a str, Block)>,
    slots: BTreeMap<&'a str, ValueId>,
}

/// An `each` on its way through its items.
struct Items<'a> {
    partial: &'a Template,
    caller: Caller<'a>,
    attributes: Rc<BTreeMap<&'a str, Rc<str>>>,
    left: std::vec::IntoIter<Item<'a>>,
    /// Items that have been begun.
    begun_count: usize,
    /// Those of them that lack slots, and which.
    lacking: Vec<(Item<'a>, Vec<String>)>,
}

struct Renderer<'a> {
    page: &'a Page,
    site: &'a Site,
    templates: &'a TemplateSet,
    manifest: &'a AssetManifest,
    live_reload: &'a str,
    markup: Markup<'a>,
    tasks: Vec<Task<'a>>,
    node_count: usize,
    /// The bytes of all values that have been put together.
    value_bytes: usize,
    uses_toc: bool,
    /// Hints for images that are to be loaded first.
    preloads: Vec<Preload>,
    /// What has been reported: a partial that is used a thousand times is wrong once.
    seen: BTreeSet<(Code, Place, String)>,
    diagnostics: Vec<Diagnostic>,
    lacks: Vec<Lack>,
}

impl<'a> Renderer<'a> {
    fn run(&mut self) {
        loop {
            if self.find_excess().is_some() {
                self.tasks.clear();
            }
            let Some(task) = self.tasks.last_mut() else { return };
            match task {
                Task::Nodes { template, nodes, scope } => {
                    if let Some(node) = nodes.next() {
                        let (template, scope) = (*template, Rc::clone(scope));
                        self.node_count += 1;
                        self.render_node(template, node, &scope);
                    } else {
                        self.tasks.pop();
                    }
                }
                Task::Call(_) => self.continue_call(),
                Task::Items(_) => self.continue_items(),
                Task::End { .. } => {
                    if let Some(Task::End { scope }) = self.tasks.pop() {
                        self.report_missing(&scope);
                    }
                }
            }
        }
    }

    fn find_excess(&self) -> Option<Excess> {
        if self.markup.is_too_large() {
            return Some(Excess::Bytes);
        }
        if self.node_count > PAGE_NODES_MAX {
            return Some(Excess::Nodes);
        }
        (self.value_bytes > VALUE_BYTES_MAX).then_some(Excess::Values)
    }

    fn push_block(&mut self, template: &'a Template, block: Block, scope: &Rc<Scope<'a>>) {
        let nodes = template.nodes(block).iter();
        self.tasks.push(Task::Nodes { template, nodes, scope: Rc::clone(scope) });
    }

    fn push_partial(&mut self, partial: &'a Template, scope: Scope<'a>) {
        let scope = Rc::new(scope);
        self.tasks.push(Task::End { scope: Rc::clone(&scope) });
        self.push_block(partial, partial.root, &scope);
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        let key = (diagnostic.code, diagnostic.place.clone(), diagnostic.message.clone());
        if self.seen.insert(key) {
            self.diagnostics.push(diagnostic);
        }
    }

    fn render_node(&mut self, template: &'a Template, node: &'a Node, scope: &Rc<Scope<'a>>) {
        match node {
            Node::Text(span) => self.markup.push_source(template, *span),
            Node::Made(span) => self.markup.push_markdown(template, *span),
            Node::Placeholder(placeholder) => self.render_placeholder(template, placeholder, scope),
            Node::Asset(asset) => {
                if let Some(url) = self.resolve_asset(template, asset, scope) {
                    self.markup.push_made(|html| push_escaped(html, &url));
                }
            }
            Node::Tag(tag) => self.begin_call(template, tag, scope),
            Node::If(branch) => self.render_if(template, branch, scope),
            Node::Each(each) => self.begin_items(template, each, scope),
            Node::Image(image) => self.render_image(template, image, scope),
            Node::Toc(_) => {
                self.uses_toc = true;
                self.markup.push_toc();
            }
            Node::Head(_) => self.render_head(),
            Node::LiveReload(_) => self.markup.push_text(self.live_reload),
        }
    }

    fn render_placeholder(&mut self, template: &'a Template, placeholder: &'a Placeholder, scope: &Rc<Scope<'a>>) {
        match scope.find(&placeholder.name, self.page) {
            Found::Markup(id) => self.markup.push_value(id),
            Found::Text(text) => self.markup.push_made(|html| push_escaped(html, &text)),
            Found::Field(value) => match value.as_text() {
                Some(text) => self.markup.push_made(|html| push_escaped(html, &text)),
                None => self.report_list(template, placeholder, value),
            },
            Found::Empty => {}
            Found::Nothing => match &placeholder.default {
                Some(default) => self.markup.push_text(default),
                None => scope.miss(&placeholder.name),
            },
        }
    }

    fn report_list(&mut self, template: &'a Template, placeholder: &Placeholder, value: &FieldValue) {
        let name = &placeholder.name.text;
        let what = if matches!(value, FieldValue::List(_)) { "list" } else { "map" };
        let message = format!("`{name}` is a {what}, and a placeholder shows one text");
        let help = format!("show its items with `<% each page.{name} as=\"….html\" %/>`");
        let diagnostic = Diagnostic::new(Code::ListInPlaceholder, template.place(placeholder.span), message);
        self.report(diagnostic.with_help(help));
    }

    /// The text of a value, its placeholders filled in and nothing escaped; cut short once the page has too much.
    fn evaluate(&mut self, template: &'a Template, value: &'a Value, scope: &Rc<Scope<'a>>) -> Rc<str> {
        if let Some(text) = value.as_text() {
            self.value_bytes += text.len();
            return if self.value_bytes > VALUE_BYTES_MAX { "".into() } else { text.into() };
        }
        if let [Part::Placeholder(placeholder)] = &value.parts[..]
            && let Found::Text(text) = scope.find(&placeholder.name, self.page)
        {
            return text;
        }
        let mut text = String::new();
        for part in &value.parts {
            if self.value_bytes > VALUE_BYTES_MAX {
                break;
            }
            let length_before = text.len();
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Placeholder(placeholder) => self.push_value_text(&mut text, template, placeholder, scope),
                Part::Asset(asset) => text.push_str(&self.resolve_asset(template, asset, scope).unwrap_or_default()),
            }
            self.value_bytes += text.len() - length_before;
        }
        text.into()
    }

    fn push_value_text(
        &mut self,
        text: &mut String,
        template: &'a Template,
        placeholder: &'a Placeholder,
        scope: &Rc<Scope<'a>>,
    ) {
        match scope.find(&placeholder.name, self.page) {
            Found::Markup(id) => text.push_str(&self.markup.text(id, "")),
            Found::Text(found) => text.push_str(&found),
            Found::Field(value) => match value.as_text() {
                Some(found) => text.push_str(&found),
                None => self.report_list(template, placeholder, value),
            },
            Found::Empty => {}
            Found::Nothing => match &placeholder.default {
                Some(default) => text.push_str(default),
                None => scope.miss(&placeholder.name),
            },
        }
    }

    fn resolve_asset(&mut self, template: &'a Template, asset: &'a Asset, scope: &Rc<Scope<'a>>) -> Option<String> {
        let missed_before = scope.missing_count();
        let written = self.evaluate(template, &asset.path, scope);
        if scope.missing_count() > missed_before {
            return None;
        }
        let (path, fragment) = written.split_at(written.find('#').unwrap_or(written.len()));
        if let Some(url) = self.manifest.find_url(path) {
            return Some(format!("{url}{fragment}"));
        }
        let message = format!("there is no asset `{path}`");
        let mut diagnostic = Diagnostic::new(Code::UnresolvedAsset, template.place(asset.path.span), message);
        diagnostic.help = self.suggest_asset(path);
        self.report(diagnostic);
        None
    }

    fn suggest_asset(&self, path: &str) -> Option<String> {
        let under_static = format!("/static/{}", path.trim_start_matches('/'));
        if self.manifest.find(&under_static).is_some() {
            return Some(format!("did you mean `{under_static}`?"));
        }
        self.manifest.nearest(path).map(|near| format!("did you mean `{near}`?"))
    }

    fn render_if(&mut self, template: &'a Template, branch: &'a If, scope: &Rc<Scope<'a>>) {
        let found = scope.find(&branch.name, self.page);
        let holds = match &branch.is {
            None => match &found {
                Found::Markup(id) => self.markup.is_something(*id),
                Found::Text(text) => !text.trim_ascii().is_empty(),
                Found::Field(value) => value.is_something(),
                Found::Empty | Found::Nothing => false,
            },
            Some(is) => {
                let wanted = self.evaluate(template, is, scope);
                match &found {
                    Found::Markup(id) => self.markup.text(*id, "") == *wanted,
                    Found::Text(text) => *text == wanted,
                    Found::Field(value) => value.as_text().is_some_and(|text| *text == *wanted),
                    Found::Empty => wanted.is_empty(),
                    Found::Nothing => false,
                }
            }
        };
        self.push_block(template, if holds { branch.then } else { branch.otherwise }, scope);
    }
}
