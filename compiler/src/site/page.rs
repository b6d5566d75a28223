//! One page of the site: its source read, its URL and its fields known, nothing rendered.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bundle::Digest;
use jiff::civil::{Date, DateTime};

use super::body::{BodyReader, BodyText, PageBody};
use super::defaults::Defaults;
use super::list_pages::Part;
use super::route::RoutePath;
use super::urls::is_behind_password;
use crate::config::Config;
use crate::diagnostic::{Code, Diagnostic, SourceText, Span};
use crate::front_matter::{self, Fields, FrontMatter, Value};
use crate::markdown;
use crate::source::SourceFile;
use crate::template::{Kind, Template};

/// Words that are read in a minute; the usual figure for prose in English.
const WORDS_PER_MINUTE: usize = 220;

/// The fields that every page offers: in `each`, they are empty where an item has none.
pub const OFFERED_FIELDS: [&str; 18] = [
    "title",
    "date",
    "date_iso",
    "date_rfc2822",
    "updated",
    "summary",
    "url",
    "permalink",
    "category",
    "reading_time",
    "word_count",
    "source_path",
    "next_post_url",
    "next_post_title",
    "previous_post_url",
    "previous_post_title",
    "description",
    "image",
];

/// What pages are read with, besides their files.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The site's settings.
    pub config: &'a Config,
    /// Front matter of folders.
    pub defaults: &'a Defaults,
    /// What their bodies are parsed with.
    pub bodies: &'a Arc<BodyReader>,
}

/// A page in its place among the others.
#[derive(Clone, Debug)]
pub struct Page {
    /// What its own file says.
    pub file: Arc<PageFile>,
    /// The post before it, if it is one.
    pub previous: Option<Arc<PageFile>>,
    /// The post after it.
    pub next: Option<Arc<PageFile>>,
}

impl Deref for Page {
    type Target = PageFile;

    fn deref(&self) -> &PageFile {
        &self.file
    }
}

/// Stands for the title of a post that has none.
static EMPTY: Value = Value::Text(String::new());

impl Page {
    /// A page without neighbours.
    pub(super) fn alone(file: Arc<PageFile>) -> Self {
        Self { file, previous: None, next: None }
    }

    /// A field by name, as templates see it.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let (neighbour, what) = match name.split_once("_post_") {
            Some(("previous", what)) => (&self.previous, what),
            Some(("next", what)) => (&self.next, what),
            _ => return self.file.field(name),
        };
        let found = neighbour.as_ref().and_then(|page| match what {
            "url" => page.field("url"),
            "title" => Some(page.field("title").filter(|title| title.as_text().is_some()).unwrap_or(&EMPTY)),
            _ => None,
        });
        found.or_else(|| self.file.field(name))
    }
}

/// What a page's path and front matter say of it. Its place among the others depends on this alone: as long as it stays
/// the same, so do they.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageHead {
    /// The path of its source from the site's root.
    pub source_path: Arc<str>,
    /// The same below the folder of pages.
    pub content_path: String,
    /// Where it is published.
    pub route: RoutePath,
    /// The same as a link: percent-encoded, with a slash at its end if the site wants that.
    pub url: String,
    /// Where in the source the URL comes from: `path` in front matter, else the beginning of the file.
    pub route_span: Span,
    /// Old paths that lead here, and where they stand in the source.
    pub aliases: Vec<(RoutePath, Span)>,
    /// When it was published, as far as it says.
    pub date: Option<DateTime>,
    /// What its front matter says.
    pub front_matter: Fields,
    /// The partial that its body is wrapped in, and where it is named; nowhere if it is a default.
    pub layout: Option<(String, Option<Span>)>,
    /// No file holds it: it is the page of a taxonomy.
    pub is_made: bool,
}

/// A page as its own file tells it, read once and not changed again.
#[derive(Clone, Debug)]
pub struct PageFile {
    /// What others see of it.
    pub head: Arc<PageHead>,
    /// The whole file.
    pub source: SourceText,
    /// What is known of it besides: `url`, `date_iso`, `reading_time` and the like. They go before front matter, since
    /// `date` and `updated` are formatted here.
    pub computed: BTreeMap<&'static str, Value>,
    /// Its text.
    pub body: PageBody,
    /// Which part of a list it shows, if its list is split.
    pub part: Option<Part>,
    /// What the search index says of it, once somebody asked.
    pub search_entry: OnceLock<String>,
    /// What lists show of it, as a digest, once somebody asked.
    pub(super) card: OnceLock<Digest>,
}

impl Deref for PageFile {
    type Target = PageHead;

    fn deref(&self) -> &PageHead {
        &self.head
    }
}

impl PageHead {
    /// Whether front matter sets a flag.
    pub fn has_flag(&self, name: &str) -> bool {
        self.front_matter.get(name).is_some_and(|field| matches!(field.value, Value::Bool(true)))
    }

    /// Whether only its owner may see it: pages under `/admin/` answer behind a password.
    pub fn is_private(&self) -> bool {
        is_behind_password(self.route.as_str().as_bytes())
    }

    /// Whether search engines and feed readers may know of it.
    pub fn is_listed(&self) -> bool {
        !self.is_private() && !self.has_flag("noindex") && self.route.as_str() != "/404"
    }

    /// Whether it is a blog post: it has a date and a summary.
    pub fn is_post(&self) -> bool {
        self.date.is_some() && self.front_matter.get("summary").is_some()
    }

    /// Whether it is dated after a day.
    pub fn is_after(&self, today: Date) -> bool {
        self.date.is_some_and(|date| date.date() > today)
    }

    /// Its place among its neighbours: `weight` in front matter. Pages without one come last.
    pub fn weight(&self) -> f64 {
        let weight = self.front_matter.get("weight").and_then(|field| field.value.as_number());
        weight.unwrap_or(f64::INFINITY)
    }

    /// The text of a field of its front matter, or nothing.
    pub fn text(&self, name: &str) -> Cow<'_, str> {
        self.front_matter.get(name).and_then(|field| field.value.as_text()).unwrap_or_default()
    }

    /// The path at which it is published, percent-decoded.
    pub fn path(&self) -> String {
        let slash = if self.url.ends_with('/') && !self.route.is_root() { "/" } else { "" };
        format!("{}{slash}", self.route.as_str())
    }
}

impl PageFile {
    /// Reads a page. What is wrong in front matter is reported, and the page goes on without it.
    ///
    /// # Errors
    /// It can't be read as a page at all, or has no URL.
    pub fn read(file: &SourceFile, reading: &Reading<'_>) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let source = file.to_text().map_err(|diagnostic| vec![diagnostic])?;
        let Reading { config, defaults, bodies } = *reading;
        let (FrontMatter { mut fields, body_start }, mut diagnostics) = front_matter::parse(&source);
        defaults.add_to(&mut fields, &file.name);
        let kind = if markdown::is_markdown(file) { Kind::MarkdownPage } else { Kind::Page };
        let text = BodyText { source: source.clone(), start: body_start, kind };
        let (body, mistakes) = PageBody::read(text, &file.bytes, bodies);
        diagnostics.extend(mistakes);
        let (route, route_span) = match find_route(file, &fields, &source) {
            Ok(found) => found,
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                return Err(diagnostics);
            }
        };
        let aliases = read_aliases(&fields, &source, &mut diagnostics);
        let date = fields.get("date").and_then(|field| field.value.as_date_time());
        let layout = fields.get("layout").and_then(|field| {
            let span = field.origin.is_none().then_some(field.span);
            Some((field.value.as_text()?.into_owned(), span))
        });
        let head = PageHead {
            source_path: Arc::clone(&source.path),
            url: page_url(&route, config.build.trailing_slash),
            content_path: file.name.to_string(),
            front_matter: fields,
            route,
            route_span,
            aliases,
            date,
            layout,
            is_made: false,
        };
        let mut page = Self {
            head: Arc::new(head),
            source,
            computed: BTreeMap::new(),
            body,
            part: None,
            search_entry: OnceLock::new(),
            card: OnceLock::new(),
        };
        page.computed = page.compute_fields(config);
        diagnostics.extend(page.find_hidden_fields());
        diagnostics.extend(find_foreign_name(file, &page));
        Ok((page, diagnostics))
    }

    /// A page that no file holds: the partial `partial`, with fields. Its name in messages is its path.
    pub(super) fn made(
        route: RoutePath,
        partial: &str,
        fields: &BTreeMap<&'static str, Value>,
        config: &Config,
    ) -> Arc<Self> {
        let source = SourceText { path: route.as_str().into(), text: format!("<% {partial} %/>").into() };
        let (template, _) = Template::parse(&source, 0, Kind::Page);
        let url = page_url(&route, config.build.trailing_slash);
        let mut computed = fields.clone();
        computed.insert("url", Value::Text(url.clone()));
        if !config.base_url.is_empty() {
            computed.insert("permalink", Value::Text(format!("{}{url}", config.base_url)));
        }
        let head = Arc::new(PageHead {
            source_path: Arc::clone(&source.path),
            content_path: route.as_str().trim_start_matches('/').to_owned(),
            url,
            route,
            route_span: Span::default(),
            aliases: Vec::new(),
            date: None,
            front_matter: Fields::default(),
            layout: None,
            is_made: true,
        });
        Arc::new(Self {
            head,
            source,
            computed,
            body: PageBody::made(template),
            part: None,
            search_entry: OnceLock::new(),
            card: OnceLock::new(),
        })
    }

    /// A field by name, as templates see it, but for those of neighbours.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.computed.get(name).or_else(|| self.front_matter.get(name).map(|field| &field.value))
    }

    /// Where the first part of its list is published: where it is itself, unless it shows a later part.
    pub fn list_route(&self) -> RoutePath {
        let is_later = self.part.is_some_and(|part| part.number > 1);
        let first = self.route.parent().and_then(|route| route.parent()).filter(|_| is_later);
        first.unwrap_or_else(|| self.route.clone())
    }

    /// Its title, or nothing.
    pub fn title(&self) -> Cow<'_, str> {
        self.field("title").and_then(Value::as_text).unwrap_or_default()
    }

    /// Warns of fields that nobody will see, since each page has its own of that name.
    fn find_hidden_fields(&self) -> Vec<Diagnostic> {
        let is_shown = |name: &&str| matches!(*name, "date" | "updated");
        let hidden = self.computed.keys().filter(|name| !is_shown(name)).filter_map(|name| {
            let field = self.front_matter.get(name).filter(|field| field.origin.is_none())?;
            let message = format!("`{name}` is made for every page, and what is written here is never shown");
            let help = match *name {
                "url" | "permalink" => "the page's own address is set with `path`; for another one, take another name",
                _ => "take another name",
            };
            Some(Diagnostic::new(Code::HiddenField, self.source.place(field.name_span), message).with_help(help))
        });
        hidden.collect()
    }

    fn compute_fields(&self, config: &Config) -> BTreeMap<&'static str, Value> {
        let text = |text: String| Value::Text(text);
        let word_count = self.body.facts.word_count;
        let mut computed = BTreeMap::from([
            ("url", text(self.url.clone())),
            ("source_path", text(self.source.path.to_string())),
            ("word_count", Value::Number(word_count.to_string())),
            ("reading_time", Value::Number(word_count.div_ceil(WORDS_PER_MINUTE).max(1).to_string())),
        ]);
        if !config.base_url.is_empty() {
            computed.insert("permalink", text(format!("{}{}", config.base_url, self.url)));
        }
        if let Some(date) = self.date {
            let local = self.front_matter.get("date").and_then(|field| field.value.as_local_date_time());
            computed.insert("date", text(format_date(local.unwrap_or(date), &config.date_format)));
            computed.insert("date_rfc2822", text(format_date(date, "%a, %d %b %Y %H:%M:%S +0000")));
            if let Some(written) = self.front_matter.get("date").and_then(|field| field.value.as_text()) {
                computed.insert("date_iso", text(written.into_owned()));
            }
        }
        if let Some(updated) = self.front_matter.get("updated").and_then(|field| field.value.as_local_date_time()) {
            computed.insert("updated", text(format_date(updated, &config.date_format)));
        }
        computed
    }
}

/// Warns of the name that other generators have for a folder's own page.
fn find_foreign_name(file: &SourceFile, page: &PageFile) -> Option<Diagnostic> {
    let (folder, name) = file.name.rsplit_once('/').map_or(("", &*file.name), |(folder, name)| (folder, name));
    let extension = name.strip_prefix("_index.")?;
    let message = format!("the page is published at `{}`", page.route.as_str());
    let help = format!("rename it to `index.{extension}`, and it is published at `/{folder}`");
    Some(Diagnostic::new(Code::ForeignSyntax, page.source.place(Span::default()), message).with_help(help))
}

/// A page's path as a link.
pub(super) fn page_url(route: &RoutePath, trailing_slash: bool) -> String {
    let slash = if trailing_slash && !route.is_root() && route.as_str() != "/404" { "/" } else { "" };
    format!("{}{slash}", route.to_url())
}

fn find_route(file: &SourceFile, fields: &Fields, source: &SourceText) -> Result<(RoutePath, Span), Diagnostic> {
    match fields.get("path") {
        None => {
            let route = RoutePath::of_page(&file.name).map_err(|reason| {
                let message = format!("the file can't be published: its path {reason}");
                Diagnostic::new(Code::BadFrontMatter, source.place(Span::default()), message)
            })?;
            Ok((route, Span::default()))
        }
        Some(field) => {
            let text = field.value.as_text().unwrap_or_default();
            let route =
                RoutePath::parse(&text).map_err(|reason| bad_path(source, "path", &text, reason, field.span))?;
            Ok((route, field.span))
        }
    }
}

fn read_aliases(fields: &Fields, source: &SourceText, diagnostics: &mut Vec<Diagnostic>) -> Vec<(RoutePath, Span)> {
    let Some(field) = fields.get("aliases") else { return Vec::new() };
    let texts: Vec<_> = match &field.value {
        Value::List(items) => items.iter().filter_map(Value::as_text).collect(),
        value => value.as_text().into_iter().collect(),
    };
    let mut aliases = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        let span = field.item_place(index, &source.path).span;
        match RoutePath::parse(&text) {
            Ok(route) => aliases.push((route, span)),
            Err(reason) => diagnostics.push(bad_path(source, "aliases", &text, reason, span)),
        }
    }
    aliases
}

fn bad_path(source: &SourceText, field: &str, text: &str, reason: &str, span: Span) -> Diagnostic {
    let message = format!("`{field}` can't be `{text}`: the path {reason}");
    Diagnostic::new(Code::BadFrontMatter, source.place(span), message)
        .with_help("write a path from the site's root, such as `/about`")
}

/// A date in `strftime` notation; what the notation can't say is left as it was written.
fn format_date(date: DateTime, format: &str) -> String {
    jiff::fmt::strtime::format(format, date).unwrap_or_else(|_| date.date().to_string())
}
