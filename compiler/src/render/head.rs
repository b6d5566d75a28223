//! The tag `generated_head.html`: what a page's head says to search engines, feed readers and whoever shows a link to
//! it. Only what is known is said.

use std::fmt::Write as _;

use super::Renderer;
use super::escape::push_escaped;
use crate::diagnostic::{Code, Diagnostic};
use crate::front_matter::Value;
use crate::markdown::STYLE_SHEET_PATH;

impl Renderer<'_> {
    pub(super) fn render_head(&mut self) {
        let mut head = Head::default();
        self.add_links(&mut head);
        self.add_description(&mut head);
        self.markup.push_made(|html| html.push_str(head.html.trim_ascii_end()));
    }

    fn add_links(&mut self, head: &mut Head) {
        let (page, config) = (self.page, &self.site.config);
        if page.has_flag("noindex") || page.is_private() {
            head.meta("name", "robots", "noindex");
        }
        if let Some(canonical) = self.find_canonical() {
            head.link("canonical", &canonical, "");
        }
        for (relation, field) in [("prev", "previous_url"), ("next", "next_url")] {
            let url = page.part.and_then(|_| self.text(field)).filter(|url| !url.is_empty());
            if let Some(url) = url {
                head.link(relation, &url, "");
            }
        }
        let feeds = [("application/atom+xml", &config.feed.path), ("application/feed+json", &config.feed.json)];
        let has_feeds = !config.base_url.is_empty() && !self.site.index.posts.is_empty();
        for (media_type, path) in feeds.into_iter().filter(|(_, path)| has_feeds && !path.is_empty()) {
            head.link("alternate", path, media_type);
        }
        let sheet = self.manifest.find(STYLE_SHEET_PATH).filter(|_| page.body.facts.has_styled_code);
        if let Some(sheet) = sheet {
            head.link("stylesheet", &sheet.url, "");
        }
    }

    fn add_description(&mut self, head: &mut Head) {
        let (page, config) = (self.page, &self.site.config);
        let description = self.text("description").or_else(|| self.text("summary")).filter(|text| !text.is_empty());
        if let Some(description) = &description {
            head.meta("name", "description", description);
        }
        let title = page.title();
        if title.is_empty() {
            return;
        }
        head.meta("property", "og:title", &title);
        head.meta("property", "og:type", if page.is_post() { "article" } else { "website" });
        if let Some(description) = description {
            head.meta("property", "og:description", &description);
        }
        if !config.title.is_empty() {
            head.meta("property", "og:site_name", &config.title);
        }
        if let Some(url) = self.text("permalink") {
            head.meta("property", "og:url", &url);
        }
        for (name, field) in [("article:published_time", "date"), ("article:modified_time", "updated")] {
            let written = page.front_matter.get(field).and_then(|field| field.value.as_text());
            if let Some(date) = written.filter(|_| page.is_post()) {
                head.meta("property", name, &date);
            }
        }
        if let Some(image) = self.find_image_url() {
            head.meta("property", "og:image", &image);
            head.meta("name", "twitter:card", "summary_large_image");
        }
    }

    fn text(&self, field: &str) -> Option<String> {
        self.page.field(field).and_then(Value::as_text).map(std::borrow::Cow::into_owned)
    }

    /// The address that counts: the one in front matter, else the page's own. The page for what isn't found has none.
    fn find_canonical(&mut self) -> Option<String> {
        let page = self.page;
        let Some(field) = page.front_matter.get("canonical") else {
            return self.text("permalink").filter(|_| page.is_listed());
        };
        let written = field.value.as_text()?;
        if written.starts_with("https://") || written.starts_with("http://") {
            return Some(written.into_owned());
        }
        let base_url = &self.site.config.base_url;
        if written.starts_with('/') && !written.starts_with("//") {
            return (!base_url.is_empty()).then(|| format!("{base_url}{written}"));
        }
        let message = format!("`canonical` can't be `{written}`");
        let diagnostic = Diagnostic::new(Code::BadFrontMatter, field.place(&page.source.path), message);
        self.report(diagnostic.with_help("write an https URL, or a path from the site's root"));
        None
    }

    /// The page's `image` as an absolute URL: others show it.
    fn find_image_url(&mut self) -> Option<String> {
        let page = self.page;
        let field = page.front_matter.get("image")?;
        let written = field.value.as_text()?;
        if written.starts_with("https://") || written.starts_with("http://") {
            return Some(written.into_owned());
        }
        let path = self.absolute_path(&written).unwrap_or_default();
        let base_url = &self.site.config.base_url;
        if let Some(asset) = self.manifest.find(&path) {
            return (!base_url.is_empty()).then(|| format!("{base_url}{}", asset.url));
        }
        let message = format!("there is no image `{written}`");
        let mut diagnostic = Diagnostic::new(Code::UnresolvedAsset, field.place(&page.source.path), message);
        diagnostic.help = self.suggest_asset(&path);
        self.report(diagnostic);
        None
    }
}

/// Lines of a head.
#[derive(Default)]
struct Head {
    html: String,
}

impl Head {
    fn meta(&mut self, key: &str, name: &str, content: &str) {
        write!(self.html, "<meta {key}=\"{name}\" content=\"").expect("writing to a string can't fail");
        push_escaped(&mut self.html, content);
        self.html.push_str("\">\n");
    }

    fn link(&mut self, relation: &str, url: &str, media_type: &str) {
        write!(self.html, "<link rel=\"{relation}\" href=\"").expect("writing to a string can't fail");
        push_escaped(&mut self.html, url);
        if !media_type.is_empty() {
            write!(self.html, "\" type=\"{media_type}").expect("writing to a string can't fail");
        }
        self.html.push_str("\">\n");
    }
}
