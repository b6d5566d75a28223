//! What the compiler publishes for machines: the Atom feed (RFC 4287), the JSON feed (version 1.1), the sitemap
//! (sitemaps.org, version 0.9) and `robots.txt`. All of it needs the site's address; without one there is nothing.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::civil::DateTime;
use quick_xml::escape::escape;
use rayon::prelude::*;
use serde_json::json;

use crate::bytes::Bytes;
use crate::config::Config;
use crate::front_matter::Value;
use crate::html::decode;
use crate::site::{Index, PageHead};

/// A sitemap holds at most this many URLs (specified).
const SITEMAP_URL_COUNT_MAX: usize = 50_000;

/// Stands for the time of what has none.
const EPOCH: DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// One made file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MadeFile {
    /// The path at which it is published.
    pub path: String,
    /// `Content-Type`.
    pub media_type: &'static str,
    /// What it holds.
    pub body: Bytes,
}

impl MadeFile {
    /// A file of this text.
    pub fn new(path: String, media_type: &'static str, text: String) -> Self {
        Self { path, media_type, body: text.into() }
    }
}

/// Everything that the site has for machines. The same input gives the same bytes: times are those of the pages.
///
/// `made_pages` are the pages that no file holds.
pub fn make_files(index: &Index, made_pages: &[Arc<PageHead>], config: &Config) -> Vec<MadeFile> {
    if config.base_url.is_empty() {
        return Vec::new();
    }
    let mut files = make_sitemaps(index.heads.iter().chain(made_pages), config);
    let robots = format!("User-agent: *\nAllow: /\n\nSitemap: {}/sitemap.xml\n", config.base_url);
    files.push(MadeFile::new("/robots.txt".to_owned(), "text/plain; charset=utf-8", robots));
    let posts: Vec<_> = index.posts.iter().map(|number| &*index.heads[*number]).collect();
    files.extend(make_feeds(&posts, &config.title, "/", "", config));
    let made_pages: HashSet<_> = made_pages.iter().map(|page| &page.route).collect();
    if config.feed.taxonomies {
        for taxonomy in &index.taxonomies {
            for term in &taxonomy.terms {
                let posts = term.pages.iter().map(|number| &*index.heads[*number]).filter(|page| page.is_post());
                let posts: Vec<_> = posts.collect();
                if made_pages.contains(&term.route) && !posts.is_empty() {
                    let title = term.fields.get("title").and_then(Value::as_text).unwrap_or_default();
                    let title = format!("{}: {title}", config.title);
                    let path = term.route.as_str();
                    files.extend(make_feeds(&posts, &title, &term.route.to_url(), path, config));
                }
            }
        }
    }
    files
}

/// The feeds of some posts, newest first, below a folder. `home` is the page that they belong to.
fn make_feeds(posts: &[&PageHead], title: &str, home: &str, folder: &str, config: &Config) -> Vec<MadeFile> {
    let listed = posts.iter().copied().filter(|page| page.is_listed());
    let listed: Vec<_> = listed.take(config.feed.limit).collect();
    let mut files = Vec::new();
    if !config.feed.path.is_empty() {
        let path = format!("{folder}{}", config.feed.path);
        let text = atom_feed(&listed, title, home, &path, config);
        files.push(MadeFile::new(path, "application/atom+xml; charset=utf-8", text));
    }
    if !config.feed.json.is_empty() {
        let path = format!("{folder}{}", config.feed.json);
        let text = json_feed(&listed, title, home, &path, config);
        files.push(MadeFile::new(path, "application/feed+json; charset=utf-8", text));
    }
    files
}

fn atom_feed(posts: &[&PageHead], title: &str, home: &str, path: &str, config: &Config) -> String {
    let base = &config.base_url;
    let updated = posts.iter().filter_map(|post| changed(post)).max().unwrap_or(EPOCH);
    let title = title_of(title, config);
    let author = if config.author.is_empty() { title.clone() } else { plain_text(&config.author) };
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\" xml:lang=\"{}\">\n\
         <title>{}</title>\n<id>{base}{home}</id>\n<link href=\"{base}{home}\"/>\n\
         <link rel=\"self\" type=\"application/atom+xml\" href=\"{base}{}\"/>\n\
         <updated>{}</updated>\n<author><name>{}</name></author>\n",
        escape(plain_text(&config.language)),
        escape(&*title),
        escape(path),
        rfc3339(updated),
        escape(author),
    );
    if !config.description.is_empty() && folder_of(path).is_empty() {
        push(&mut xml, format_args!("<subtitle>{}</subtitle>\n", escape(plain_text(&config.description))));
    }
    for post in posts {
        let url = format!("{base}{}", post.url);
        let (published, updated) = (post.date.unwrap_or(EPOCH), changed(post).unwrap_or(EPOCH));
        let summary = text_field(post, "summary");
        push(
            &mut xml,
            format_args!(
                "<entry>\n<title>{}</title>\n<id>{url}</id>\n<link href=\"{url}\"/>\n<published>{}</published>\n\
                 <updated>{}</updated>\n",
                escape(text_field(post, "title")),
                rfc3339(published),
                rfc3339(updated),
                url = escape(&url),
            ),
        );
        if !summary.trim_ascii().is_empty() {
            push(&mut xml, format_args!("<summary>{}</summary>\n", escape(summary)));
        }
        xml.push_str("</entry>\n");
    }
    xml.push_str("</feed>\n");
    xml
}

fn json_feed(posts: &[&PageHead], title: &str, home: &str, path: &str, config: &Config) -> String {
    let base = &config.base_url;
    let items = posts.iter().map(|post| {
        let url = format!("{base}{}", post.url);
        json!({
            "id": url,
            "url": url,
            "title": text_field(post, "title"),
            "summary": text_field(post, "summary"),
            // The format asks for text; a summary is all of a post's text that is known to stand by itself.
            "content_text": text_field(post, "summary"),
            "date_published": rfc3339(post.date.unwrap_or(EPOCH)),
            "date_modified": rfc3339(changed(post).unwrap_or(EPOCH)),
        })
    });
    let items: Vec<_> = items.collect();
    let mut feed = json!({
        "version": "https://jsonfeed.org/version/1.1",
        "title": title_of(title, config),
        "home_page_url": format!("{base}{home}"),
        "feed_url": format!("{base}{path}"),
        "language": plain_text(&config.language),
        "items": items,
    });
    if !config.author.is_empty() {
        feed["authors"] = json!([{ "name": plain_text(&config.author) }]);
    }
    let mut text = serde_json::to_string_pretty(&feed).expect("a feed of texts is JSON");
    text.push('\n');
    text
}

/// One sitemap, or an index and its parts above 50,000 URLs.
fn make_sitemaps<'a>(pages: impl Iterator<Item = &'a Arc<PageHead>>, config: &Config) -> Vec<MadeFile> {
    let mut pages: Vec<_> = pages.map(|page| &**page).filter(|page| page.is_listed()).collect();
    pages.sort_by(|a, b| a.route.cmp(&b.route));
    let file = |path: String, text| MadeFile::new(path, "application/xml; charset=utf-8", text);
    if pages.len() <= SITEMAP_URL_COUNT_MAX {
        return vec![file("/sitemap.xml".to_owned(), sitemap(&pages, config))];
    }
    let mut index = sitemap_start("sitemapindex");
    let mut files = Vec::new();
    for (number, part) in (1..).zip(pages.chunks(SITEMAP_URL_COUNT_MAX)) {
        let path = format!("/sitemap-{number}.xml");
        push(&mut index, format_args!("<sitemap><loc>{}{path}</loc></sitemap>\n", escape(&*config.base_url)));
        files.push(file(path, sitemap(part, config)));
    }
    index.push_str("</sitemapindex>\n");
    files.push(file("/sitemap.xml".to_owned(), index));
    files
}

fn sitemap_start(element: &str) -> String {
    let namespace = "http://www.sitemaps.org/schemas/sitemap/0.9";
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<{element} xmlns=\"{namespace}\">\n")
}

fn sitemap(pages: &[&PageHead], config: &Config) -> String {
    let entry = |page: &&PageHead| {
        let url = format!("{}{}", config.base_url, page.url);
        let changed = changed(page).map(|date| format!("<lastmod>{}</lastmod>", date.date()));
        format!("<url><loc>{}</loc>{}</url>\n", escape(&url), changed.unwrap_or_default())
    };
    let entries: Vec<String> = pages.par_iter().map(entry).collect();
    [sitemap_start("urlset"), entries.concat(), "</urlset>\n".to_owned()].concat()
}

/// When a page was last changed, as far as it says.
fn changed(page: &PageHead) -> Option<DateTime> {
    let updated = page.front_matter.get("updated").and_then(|field| field.value.as_date_time());
    updated.max(page.date)
}

fn text_field(page: &PageHead, name: &str) -> String {
    plain_text(&page.text(name))
}

/// A feed's title, or where the site is.
fn title_of(title: &str, config: &Config) -> String {
    if title.is_empty() { config.base_url.clone() } else { plain_text(title) }
}

/// A text as a reader sees it: the character references that HTML would leave alone are resolved, and what XML
/// can't hold (XML 1.0 section 2.2) is left out.
fn plain_text(text: &str) -> String {
    let mut plain = decode(text).into_owned();
    plain.retain(|c| matches!(c, '\t' | '\n' | '\r') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')));
    plain
}

/// RFC 3339, in UTC.
fn rfc3339(date: DateTime) -> String {
    format!("{}Z", date.strftime("%Y-%m-%dT%H:%M:%S"))
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string can't fail");
}
