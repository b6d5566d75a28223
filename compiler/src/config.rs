//! `site.toml`: every key, its default and its check. It reads text and returns values; a mistake becomes a diagnostic
//! at its place, and the key's default stands in.

mod filter;
mod glob;
mod headers;
mod images;
mod redirect;
mod toml_depth;
mod tool;

use bundle::Encoding;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Code, Diagnostic, Place, SourceText, Span, list_names, nearest};

pub use filter::Filter;
pub use glob::Glob;
pub use headers::{Budget, HeaderRule};
pub use images::{IMAGE_SIDE_MAX, Images, ModernFormat, Quality};
pub use redirect::Redirect;
pub use toml_depth::{TOO_DEEP, find_too_deep};
pub use tool::{TOOL_TIMEOUT_SECONDS, Tool};

/// The name of the file, at the site's root.
pub const FILE_NAME: &str = "site.toml";

/// A site's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Scheme and host, without a slash at the end; empty if unknown.
    pub base_url: String,
    /// The site's name.
    pub title: String,
    /// What the site is about.
    pub description: String,
    /// Who writes it.
    pub author: String,
    /// A language tag (BCP 47).
    pub language: String,
    /// How `date` reads, in `strftime` notation.
    pub date_format: String,
    /// Requests for other hosts are redirected to this one; empty: none are.
    pub canonical_host: String,
    /// `[paths]`
    pub paths: Paths,
    /// `[build]`
    pub build: Build,
    /// `[images]`
    pub images: Images,
    /// `[markdown]`
    pub markdown: Markdown,
    /// `[links]` `check_internal`
    pub check_internal_links: bool,
    /// `[security]`
    pub security: Security,
    /// `[redirects]`, in the order of the file.
    pub redirects: Vec<Redirect>,
    /// `[taxonomies]`
    pub taxonomies: Vec<Taxonomy>,
    /// `[feed]`
    pub feed: Feed,
    /// `[[tools]]`, in the order of the file.
    pub tools: Vec<Tool>,
    /// `[[headers]]`, in the order of the file.
    pub headers: Vec<HeaderRule>,
    /// `[budget]`
    pub budget: Budget,
    /// `[[filters]]`
    pub filters: Vec<Filter>,
    /// `[search]` `path`: where the search index is published; empty: there is none.
    pub search_path: String,
}

/// One way of sorting pages into terms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taxonomy {
    /// Its name in collections and below `templates/`.
    pub name: String,
    /// The field of front matter that names a page's terms; where a page has none, it is the taxonomy's own name.
    pub field: String,
    /// Where its list of terms is published.
    pub path: String,
}

impl Taxonomy {
    /// A taxonomy published at the root under its own name. Categories come from the field `category`.
    fn named(name: &str) -> Self {
        let field = if name == "categories" { "category" } else { name };
        Self { name: name.to_owned(), field: field.to_owned(), path: format!("/{name}") }
    }
}

/// What the feeds hold, and where they are published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feed {
    /// The Atom feed; empty: none.
    pub path: String,
    /// The JSON feed; empty: none.
    pub json: String,
    /// At most this many posts.
    pub limit: usize,
    /// Each term of a taxonomy has a feed too.
    pub taxonomies: bool,
}

/// Where things are, from the site's root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paths {
    /// Pages, and files published where they stand.
    pub content: String,
    /// Partials.
    pub templates: String,
    /// Files published under `/static/`.
    pub static_files: String,
    /// Style sheets compiled to `/static/css/`.
    pub styles: String,
    /// Data that pages list.
    pub data: String,
}

impl Paths {
    /// Every folder that a site is made from.
    pub fn all(&self) -> [&str; 5] {
        let Self { content, templates, static_files, styles, data } = self;
        [content, templates, static_files, styles, data]
    }

    /// Whether a path, from the site's root, leads into one of these folders.
    pub fn hold(&self, path: &str) -> bool {
        self.all().iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// How the site is built.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of `site.toml`")]
pub struct Build {
    /// Pages and style sheets lose what nobody sees and no browser needs.
    pub minify: bool,
    /// What happens to scripts.
    pub scripts: Scripts,
    /// The site's own style sheets and scripts are named with their SHA-384.
    pub integrity: bool,
    /// The codings that are made ahead of time.
    pub compress: Vec<Encoding>,
    /// Pages answer at `/post/` instead of `/post`.
    pub trailing_slash: bool,
    /// Pages dated after today are built.
    pub future: bool,
    /// Drafts are built.
    pub drafts: bool,
}

/// What happens to the scripts under `static/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scripts {
    /// They lose what no browser needs.
    Minify,
    /// They stay as they are.
    Keep,
}

/// How Markdown is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Markdown {
    /// Headings have ids.
    pub heading_anchors: bool,
    /// Quotes, dashes and ellipses become typographic ones.
    pub smart_punctuation: bool,
    /// Blocks of code have classes for what is in them.
    pub highlight: bool,
}

/// Which policy pages have (CSP).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Csp {
    /// Each has its own, made from what is in it.
    Auto,
    /// None has one.
    Off,
    /// All have this one.
    Own(String),
}

/// Fields that every page's head carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Security {
    /// `Content-Security-Policy`
    pub csp: Csp,
    /// `Strict-Transport-Security`, for two years.
    pub hsts: bool,
    /// `Referrer-Policy`; empty: none.
    pub referrer_policy: String,
    /// `X-Frame-Options`; empty: none.
    pub frame_options: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            title: String::new(),
            description: String::new(),
            author: String::new(),
            language: "en".to_owned(),
            date_format: "%b %-d, %Y".to_owned(),
            canonical_host: String::new(),
            paths: Paths {
                content: "content".to_owned(),
                templates: "templates".to_owned(),
                static_files: "static".to_owned(),
                styles: "styles".to_owned(),
                data: "data".to_owned(),
            },
            build: Build {
                minify: true,
                scripts: Scripts::Minify,
                integrity: true,
                compress: vec![Encoding::Brotli, Encoding::Gzip],
                trailing_slash: false,
                future: false,
                drafts: false,
            },
            images: Images::default(),
            markdown: Markdown { heading_anchors: true, smart_punctuation: false, highlight: true },
            check_internal_links: true,
            security: Security {
                csp: Csp::Auto,
                hsts: false,
                referrer_policy: "strict-origin-when-cross-origin".to_owned(),
                frame_options: "DENY".to_owned(),
            },
            redirects: Vec::new(),
            taxonomies: vec![Taxonomy::named("tags"), Taxonomy::named("categories")],
            feed: Feed { path: "/feed.xml".to_owned(), json: "/feed.json".to_owned(), limit: 20, taxonomies: true },
            tools: Vec::new(),
            headers: Vec::new(),
            budget: Budget::default(),
            filters: Vec::new(),
            search_path: String::new(),
        }
    }
}

impl Config {
    /// Reads the text of `site.toml`. Whatever is wrong is reported, all of it, and its default stands in.
    pub fn parse(source: &SourceText) -> (Self, Vec<Diagnostic>) {
        if let Some(span) = find_too_deep(&source.text) {
            return (Self::default(), vec![Diagnostic::new(Code::BadConfig, source.place(span), TOO_DEEP)]);
        }
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        let mut diagnostics: Vec<_> = errors.iter().map(|error| syntax_error(source, error)).collect();
        let mut config = Self::default();
        let mut top = Reader::new(source, String::new(), table.get_ref(), &mut diagnostics);
        config.read_top(&mut top);
        top.finish();
        (config, diagnostics)
    }

    /// What is lost without the address that absolute URLs begin with.
    pub fn check_base_url(&self) -> Option<Diagnostic> {
        let place = Place { path: FILE_NAME.into(), span: Span::default() };
        let message = "without `base_url` there is no feed, no sitemap and no canonical link";
        let help = "write `base_url = \"https://example.com\"`, or build with `--base-url`";
        self.base_url.is_empty().then(|| Diagnostic::new(Code::NoBaseUrl, place, message).with_help(help))
    }

    /// Sets the address that absolute URLs begin with.
    ///
    /// # Errors
    /// What an address looks like.
    pub fn set_base_url(&mut self, text: &str) -> Result<(), &'static str> {
        check_base_url(text)?;
        text.trim_end_matches('/').clone_into(&mut self.base_url);
        Ok(())
    }

    fn read_top(&mut self, top: &mut Reader<'_>) {
        for (key, field) in [
            ("title", &mut self.title),
            ("description", &mut self.description),
            ("author", &mut self.author),
            ("language", &mut self.language),
        ] {
            top.text(key, field);
        }
        top.checked_text("date_format", &mut self.date_format, check_date_format);
        top.checked_text("base_url", &mut self.base_url, check_base_url);
        self.base_url.truncate(self.base_url.trim_end_matches('/').len());
        top.checked_text("canonical_host", &mut self.canonical_host, check_host);
        top.table("paths", |paths| {
            paths.checked_text("content", &mut self.paths.content, check_folder);
            paths.checked_text("templates", &mut self.paths.templates, check_folder);
            paths.checked_text("static", &mut self.paths.static_files, check_folder);
            paths.checked_text("styles", &mut self.paths.styles, check_folder);
            paths.checked_text("data", &mut self.paths.data, check_folder);
        });
        top.table("build", |build| self.build.read(build));
        top.table("images", |images| self.images.read(images));
        top.table("markdown", |markdown| {
            markdown.flag("heading_anchors", &mut self.markdown.heading_anchors);
            markdown.flag("smart_punctuation", &mut self.markdown.smart_punctuation);
            markdown.flag("highlight", &mut self.markdown.highlight);
        });
        top.table("links", |links| links.flag("check_internal", &mut self.check_internal_links));
        top.table("security", |security| {
            security.flag("hsts", &mut self.security.hsts);
            security.checked_text("referrer_policy", &mut self.security.referrer_policy, check_field_value);
            security.checked_text("frame_options", &mut self.security.frame_options, check_field_value);
            let mut csp = String::from("auto");
            security.checked_text("csp", &mut csp, check_field_value);
            self.security.csp = match csp.as_str() {
                "auto" => Csp::Auto,
                "off" | "" => Csp::Off,
                _ => Csp::Own(csp),
            };
        });
        top.each_key("redirects", |entry| {
            Redirect::read(entry.name, entry.span, entry.value).map(|redirect| self.redirects.push(redirect))
        });
        top.each_key("taxonomies", |entry| {
            let taxonomy = entry.taxonomy()?;
            self.taxonomies.retain(|other| other.name != taxonomy.name);
            self.taxonomies.push(taxonomy);
            Ok(())
        });
        top.table("search", |search| search.checked_text("path", &mut self.search_path, check_published_path));
        top.table("feed", |feed| {
            feed.checked_text("path", &mut self.feed.path, check_published_path);
            feed.checked_text("json", &mut self.feed.json, check_published_path);
            feed.count("limit", &mut self.feed.limit);
            feed.flag("taxonomies", &mut self.feed.taxonomies);
        });
        top.each_table("tools", |reader| self.tools.extend(Tool::read(reader)));
        top.each_table("filters", |reader| self.filters.extend(Filter::read(reader)));
        headers::read(top, &mut self.headers, &mut self.budget);
    }
}

impl Build {
    fn read(&mut self, build: &mut Reader<'_>) {
        build.flag("minify", &mut self.minify);
        build.flag("trailing_slash", &mut self.trailing_slash);
        build.flag("future", &mut self.future);
        build.flag("drafts", &mut self.drafts);
        build.list("compress", &mut self.compress, |name| match name {
            "br" => Ok(Encoding::Brotli),
            "gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            _ => Err("a coding is `br`, `gzip` or `zstd`"),
        });
        build.flag("integrity", &mut self.integrity);
        let mut scripts = "minify".to_owned();
        build.checked_text("js", &mut scripts, check_scripts);
        self.scripts = if scripts == "keep" { Scripts::Keep } else { Scripts::Minify };
    }
}

/// A table of the file being read: each key that is asked for is known, the others are reported in the end.
struct Reader<'a> {
    source: &'a SourceText,
    /// The table's own name with a dot after it, or nothing for the top.
    prefix: String,
    /// Where the table begins, for what it lacks; empty for the top.
    span: std::ops::Range<usize>,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(
        source: &'a SourceText,
        prefix: String,
        table: &'a DeTable<'a>,
        diagnostics: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self { source, prefix, span: 0..0, table, known: Vec::new(), diagnostics }
    }

    /// The value of a key, if the file has one.
    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// The value of a key as `read` sees it; another type is a mistake.
    fn typed<T>(&mut self, key: &'static str, kind: &str, read: impl Fn(&'a DeValue<'a>) -> Option<T>) -> Option<T> {
        let value = self.value(key)?;
        let result = read(value.get_ref());
        if result.is_none() {
            let found = value.get_ref().type_str();
            let message = format!("`{}{key}` is {kind}, and this is {}", self.prefix, with_article(found));
            self.report(value.span(), message, None);
        }
        result
    }

    fn text(&mut self, key: &'static str, field: &mut String) {
        self.checked_text(key, field, |_| Ok(()));
    }

    fn checked_text(&mut self, key: &'static str, field: &mut String, check: fn(&str) -> Result<(), &'static str>) {
        let Some(text) = self.typed(key, "a text", DeValue::as_str) else { return };
        match check(text) {
            Ok(()) => text.clone_into(field),
            Err(help) => {
                let span = self.table.get(key).map(Spanned::span).unwrap_or_default();
                self.report(span, format!("`{}{key}` can't be `{text}`", self.prefix), Some(help));
            }
        }
    }

    fn flag(&mut self, key: &'static str, field: &mut bool) {
        if let Some(flag) = self.typed(key, "true or false", DeValue::as_bool) {
            *field = flag;
        }
    }

    fn count(&mut self, key: &'static str, field: &mut usize) {
        let read = |value: &DeValue<'_>| value.as_integer().and_then(|number| number.as_str().parse().ok());
        if let Some(count) = self.typed(key, "a whole number, 0 or more", read) {
            *field = count;
        }
    }

    /// A whole number within a range.
    fn number(&mut self, key: &'static str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let number = whole_number(value.get_ref()).filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{}{key}` is a whole number from {} to {}", self.prefix, range.start(), range.end());
            self.report(value.span(), message, None);
        }
        number
    }

    /// A list of texts, each of which `parse` turns into a value.
    fn list<T>(&mut self, key: &'static str, field: &mut Vec<T>, parse: fn(&str) -> Result<T, &'static str>) {
        let Some(items) = self.typed(key, "a list of texts", DeValue::as_array) else { return };
        field.clear();
        for item in items {
            match item.get_ref().as_str().map_or(Err("each item is a text in quotes"), parse) {
                Ok(value) => field.push(value),
                Err(help) => {
                    let text = self.source.text.get(item.span()).unwrap_or_default();
                    self.report(item.span(), format!("`{}{key}` can't hold {text}", self.prefix), Some(help));
                }
            }
        }
    }

    fn table(&mut self, key: &'static str, read: impl FnOnce(&mut Reader<'_>)) {
        let Some(table) = self.typed(key, "a table", DeValue::as_table) else { return };
        let mut reader = Reader::new(self.source, format!("{}{key}.", self.prefix), table, self.diagnostics);
        read(&mut reader);
        reader.finish();
    }

    /// Hands each table of an array of tables to `read`, in the order of the file.
    fn each_table(&mut self, key: &'static str, mut read: impl FnMut(&mut Reader<'_>)) {
        let Some(items) = self.typed(key, "an array of tables", DeValue::as_array) else { return };
        for item in items {
            let Some(table) = item.get_ref().as_table() else {
                let message = format!("`{}{key}` is an array of tables", self.prefix);
                self.report(item.span(), message, Some("each begins with its name in two pairs of square brackets"));
                continue;
            };
            let prefix = format!("{}{key}.", self.prefix);
            let mut reader = Reader::new(self.source, prefix, table, self.diagnostics);
            reader.span = item.span();
            read(&mut reader);
            reader.finish();
        }
    }

    /// Hands each key of a table with free keys to `read`, in the order of the file.
    fn each_key(&mut self, key: &'static str, mut read: impl FnMut(Entry<'_>) -> Result<(), (String, &'static str)>) {
        let Some(table) = self.typed(key, "a table", DeValue::as_table) else { return };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let span = name.span();
            let entry = Entry { name: name.get_ref(), span: Span::new(span.start, span.end), value: value.get_ref() };
            if let Err((message, help)) = read(entry) {
                self.report(value.span(), message, Some(help));
            }
        }
    }

    /// Reports the keys that nobody asked for.
    fn finish(self) {
        for name in self.table.keys().filter(|name| !self.known.contains(&&**name.get_ref())) {
            let span = name.span();
            let place = self.source.place(Span::new(span.start, span.end));
            let message = format!("there is no key `{}{}`", self.prefix, name.get_ref());
            let help = match nearest(name.get_ref(), self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys here are {}", list_names(&self.known)),
            };
            self.diagnostics.push(Diagnostic::new(Code::BadConfig, place, message).with_help(help));
        }
    }

    fn report(&mut self, span: std::ops::Range<usize>, message: String, help: Option<&str>) {
        let place = self.source.place(Span::new(span.start, span.end));
        let diagnostic = Diagnostic::new(Code::BadConfig, place, message);
        self.diagnostics.push(match help {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        });
    }
}

/// A key of a table with free keys, and its value.
struct Entry<'a> {
    name: &'a str,
    span: Span,
    value: &'a DeValue<'a>,
}

impl Entry<'_> {
    /// `tags = { path = "/tags" }`
    fn taxonomy(&self) -> Result<Taxonomy, (String, &'static str)> {
        let malformed = || (format!("`taxonomies.{}` can't be read", self.name), "write `tags = { path = \"/tags\" }`");
        let table = self.value.as_table().ok_or_else(malformed)?;
        let path = table.get("path").and_then(|path| path.get_ref().as_str());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if table.keys().any(|key| key.get_ref() != "path") || !self.name.bytes().all(is_name) {
            return Err(malformed());
        }
        if self.name.len() > PUBLISHED_PATH_BYTES_MAX {
            return Err(("the name of a taxonomy is too long".to_owned(), "some words at most"));
        }
        let mut taxonomy = Taxonomy::named(self.name);
        if let Some(path) = path {
            check_published_path(path).map_err(|help| (format!("a taxonomy can't be published at `{path}`"), help))?;
            path.clone_into(&mut taxonomy.path);
        }
        Ok(taxonomy)
    }
}

fn syntax_error(source: &SourceText, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or_default();
    Diagnostic::new(Code::BadConfig, source.place(Span::new(span.start, span.end)), error.message().to_owned())
}

fn whole_number(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

fn with_article(kind: &str) -> String {
    match kind {
        "integer" | "array" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

fn check_base_url(text: &str) -> Result<(), &'static str> {
    const HELP: &str = "a scheme and a host, such as `https://example.com`, with nothing after it";
    if text.is_empty() {
        return Ok(());
    }
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(HELP)?;
    check_authority(host.strip_suffix('/').unwrap_or(host)).then_some(()).ok_or(HELP)
}

fn check_date_format(text: &str) -> Result<(), &'static str> {
    let sample = jiff::civil::date(2000, 1, 1).at(0, 0, 0, 0);
    let formatted = jiff::fmt::strtime::format(text, sample);
    formatted.map(drop).map_err(|_| "`strftime` notation, such as `%b %-d, %Y`")
}

fn check_host(text: &str) -> Result<(), &'static str> {
    (text.is_empty() || check_authority(text)).then_some(()).ok_or("a host name, such as `example.com`")
}

fn check_scripts(text: &str) -> Result<(), &'static str> {
    matches!(text, "minify" | "keep").then_some(()).ok_or("scripts are `\"minify\"` or `\"keep\"`")
}

fn check_authority(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

/// A folder's name, not a path out of the site.
fn check_folder(text: &str) -> Result<(), &'static str> {
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains('\\');
    text.split('/')
        .all(is_plain)
        .then_some(())
        .ok_or("a folder within the site, without `..` and without `/` around it")
}

/// Bytes of a path in `site.toml` at which something is published: others are made below it, and a URL has a longest.
const PUBLISHED_PATH_BYTES_MAX: usize = 1_000;

/// A plain path from the site's root, or nothing.
fn check_published_path(text: &str) -> Result<(), &'static str> {
    let is_plain = |segment: &str| {
        let bytes = segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
        bytes && !matches!(segment, "" | "." | "..")
    };
    let is_path = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain));
    let is_short = text.len() <= PUBLISHED_PATH_BYTES_MAX;
    (text.is_empty() || (is_path && is_short)).then_some(()).ok_or("a path from the site's root, such as `/feed.xml`")
}

/// Bytes of a header's value. Guessed: clients refuse long heads.
const FIELD_VALUE_BYTES_MAX: usize = 4_096;

fn check_field_value(text: &str) -> Result<(), &'static str> {
    let is_clean = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    (is_clean && text.len() <= FIELD_VALUE_BYTES_MAX)
        .then_some(())
        .ok_or("visible ASCII characters only: it becomes the value of a header")
}
