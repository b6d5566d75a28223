//! Where a link leads: which of the site's URLs it names, seen from the file that it stands in.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bundle::RedirectPattern;

use super::urls::RESERVED;
use super::{Index, LeftOut, PageHead, RoutePath, Site, is_page, patterns_in_order, percent_decode, percent_encode};
use crate::config::Config;
use crate::diagnostic::nearest;
use crate::source::SourceFile;

/// Where links to pages lead.
#[derive(Debug, Default)]
pub(super) struct PagePaths {
    /// From a percent-decoded path, without a slash at its end, to the URL.
    by_path: BTreeMap<String, String>,
    /// From a file's path below the folder of pages to its URL.
    by_content_path: HashMap<String, String>,
}

impl PagePaths {
    pub(super) fn new(heads: &[Arc<PageHead>]) -> Self {
        let mut paths = Self::default();
        for head in heads {
            paths.add(head);
        }
        paths
    }

    fn add(&mut self, page: &PageHead) {
        self.by_path.insert(page.route.as_str().to_owned(), page.url.clone());
        self.add_paths(page.aliases.iter().map(|(alias, _)| alias.as_str()));
        self.by_content_path.entry(page.content_path.clone()).or_insert_with(|| page.url.clone());
    }

    /// Adds paths that are served as they are written.
    fn add_paths<'a>(&mut self, paths: impl Iterator<Item = &'a str>) {
        self.by_path.extend(paths.map(|path| (path.to_owned(), percent_encode(path))));
    }
}

/// Every path of the site that answers, and the files that links name.
#[derive(Debug, Default)]
pub struct LinkTargets {
    /// The pages that files hold.
    index: Arc<Index>,
    /// Everything else. A page's file goes before it, and before its path.
    others: PagePaths,
    /// Redirects for more than one path, in the order in which they are tried.
    patterns: Vec<RedirectPattern>,
    /// Files and paths of pages that this build leaves out, and why.
    left_out: HashMap<String, LeftOut>,
}

/// What a link turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// It stays as it was written: it leads elsewhere, or it is a path of this site.
    Unchanged,
    /// It named a file or a neighbour; this is the absolute path.
    Url(String),
    /// The site has nothing at this path.
    Broken(String),
}

impl LinkTargets {
    /// All targets of a site. `paths` are those of static files and of what the compiler makes.
    pub fn new<'a>(site: &Site, content: &[SourceFile], config: &Config, paths: impl Iterator<Item = &'a str>) -> Self {
        let mut others = PagePaths::default();
        // The later pages of a list come from the file of the first.
        for page in &site.made_pages {
            others.add(page);
        }
        for file in content.iter().filter(|file| !is_page(file)) {
            let path = format!("/{}", file.name);
            others.by_content_path.insert(file.name.to_string(), percent_encode(&path));
            others.add_paths([path.as_str()].into_iter());
        }
        let exact = config.redirects.iter().filter(|redirect| redirect.pattern.is_none());
        let redirects: Vec<_> = exact.filter_map(|redirect| RoutePath::parse(&redirect.from).ok()).collect();
        others.add_paths(redirects.iter().map(RoutePath::as_str));
        others.add_paths(paths);
        let mut left_out = HashMap::new();
        for (page, reason) in &site.left_out {
            left_out.insert(page.content_path.clone(), *reason);
            left_out.insert(page.route.as_str().to_owned(), *reason);
        }
        let patterns = patterns_in_order(config).into_iter().map(|(_, pattern)| pattern.clone()).collect();
        Self { index: Arc::clone(&site.index), others, patterns, left_out }
    }

    fn find_path(&self, path: &str) -> Option<&str> {
        let found = self.others.by_path.get(path).or_else(|| self.index.paths.by_path.get(path));
        found.map(String::as_str)
    }

    fn find_content_path(&self, path: &str) -> Option<&str> {
        let found = self.index.paths.by_content_path.get(path).or_else(|| self.others.by_content_path.get(path));
        found.map(String::as_str)
    }

    /// The URL of the page that a link of Zola names by its file.
    pub fn find_page_of(&self, link: &str) -> Option<&str> {
        let path = link.split(['?', '#']).next()?;
        self.find_content_path(path).or_else(|| self.find_content_path(&path.replace("_index.", "index.")))
    }

    /// Where a link leads that stands in the file with this path below the folder of pages.
    pub fn resolve(&self, content_path: &str, link: &str) -> Target {
        let link = link.trim_matches([' ', '\t', '\n', '\r']);
        if link.is_empty() || link.starts_with(['#', '?']) || is_elsewhere(link) {
            return Target::Unchanged;
        }
        let (path, suffix) = link.split_at(link.find(['?', '#']).unwrap_or(link.len()));
        let Some(decoded) = percent_decode(path) else { return Target::Broken(path.to_owned()) };
        if decoded.starts_with('/') {
            return if self.answers(&decoded) { Target::Unchanged } else { Target::Broken(decoded) };
        }
        let Some(joined) = path_among_pages(content_path, &decoded) else { return Target::Broken(decoded) };
        if let Some(url) = self.find_content_path(&joined) {
            return Target::Url(format!("{url}{suffix}"));
        }
        let path = format!("/{joined}");
        match self.find(&path) {
            Some(url) => Target::Url(format!("{url}{suffix}")),
            None if self.answers(&path) => Target::Url(format!("{}{suffix}", percent_encode(&path))),
            None => Target::Broken(path),
        }
    }

    /// The URL of what answers at a percent-decoded path: a page, also by its other names, a file, or the server itself.
    pub fn find(&self, path: &str) -> Option<&str> {
        let trimmed = path.trim_end_matches('/');
        let names = [Some(trimmed), trimmed.strip_suffix("/index.html"), trimmed.strip_suffix(".html")];
        names.into_iter().flatten().find_map(|name| {
            let name = if name.is_empty() { "/" } else { name };
            let own = || RESERVED.into_iter().find(|own| *own == name);
            self.find_path(name).or_else(own)
        })
    }

    /// Whether a percent-decoded path is answered with what is there, a way to it, or the word that it is gone.
    pub fn answers(&self, path: &str) -> bool {
        if self.find(path).is_some() {
            return true;
        }
        let taken = self.patterns.iter().find_map(|pattern| pattern.location(path.as_bytes()));
        taken.is_some_and(|location| {
            let path = location.split(['?', '#']).next().and_then(percent_decode);
            !location.starts_with('/') || path.is_some_and(|path| self.find(&path).is_some())
        })
    }

    /// All paths that answer, percent-decoded, but for those that patterns take.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.index.paths.by_path.keys().chain(self.others.by_path.keys()).map(String::as_str)
    }

    /// Why the page that a path of the site means is not in this build.
    pub fn find_left_out(&self, path: &str) -> Option<LeftOut> {
        self.left_out.get(path).or_else(|| self.left_out.get(path.trim_start_matches('/'))).copied()
    }

    /// The URL whose path is closest to one that isn't there.
    pub fn nearest(&self, path: &str) -> Option<String> {
        let near = nearest(path, self.paths())?;
        self.find_path(near).map(str::to_owned)
    }
}

/// Whether a URL names its scheme (RFC 3986 section 3.1: `mailto:`, `https:` and the like) or its host.
pub fn is_elsewhere(url: &str) -> bool {
    let Some((scheme, _)) = url.split_once(':') else { return url.starts_with("//") };
    let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let has_scheme =
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_scheme_byte);
    has_scheme || url.starts_with("//")
}

/// A relative path seen from a file's folder, or `None` if it leaves the folder of pages.
fn path_among_pages(content_path: &str, relative: &str) -> Option<String> {
    let mut segments: Vec<&str> = content_path.split('/').collect();
    segments.pop();
    for segment in relative.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()?),
            _ => segments.push(segment),
        }
    }
    Some(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> LinkTargets {
        let paths = ["/", "/about", "/blog", "/blog/a b", "/static/x.css"];
        let paths = paths.map(|path| (path.to_owned(), percent_encode(path)));
        let by_content_path =
            [("blog/a b.md", "/blog/a%20b"), ("about.md", "/about"), ("blog/cat.jpg", "/blog/cat.jpg")];
        let by_content_path = by_content_path.map(|(path, url)| (path.to_owned(), url.to_owned()));
        let others = PagePaths { by_path: paths.into(), by_content_path: by_content_path.into() };
        LinkTargets { others, ..LinkTargets::default() }
    }

    #[test]
    fn a_relative_link_is_seen_from_its_file() {
        let targets = targets();
        let resolve = |link| targets.resolve("blog/index.md", link);
        let url = |text: &str| Target::Url(text.to_owned());
        assert_eq!(resolve("a%20b.md#top"), url("/blog/a%20b#top"));
        assert_eq!(resolve("../about.md?x=1"), url("/about?x=1"));
        assert_eq!(resolve("../about.html"), url("/about"));
        assert_eq!(resolve("a b/"), url("/blog/a%20b"));
        assert_eq!(resolve("cat.jpg"), url("/blog/cat.jpg"));
        assert_eq!(resolve("../about"), url("/about"));
        assert_eq!(resolve(".."), url("/"));
        assert_eq!(resolve("./"), url("/blog"));
        assert_eq!(resolve("../../x.md"), Target::Broken("../../x.md".to_owned()));
        assert_eq!(resolve("../abuot"), Target::Broken("/abuot".to_owned()));
    }

    #[test]
    fn an_absolute_link_is_checked_and_an_outer_one_is_left_alone() {
        let targets = targets();
        let resolve = |link| targets.resolve("about.md", link);
        for fine in
            ["/", "/about", "/about/", "/about.html", "/blog/index.html", "/blog/a%20b#x", "/health", "#x", "", "?q"]
        {
            assert_eq!(resolve(fine), Target::Unchanged, "{fine}");
        }
        for outer in ["https://example.com/x", "mailto:a@example.com", "//example.com", "data:,", "tel:1"] {
            assert_eq!(resolve(outer), Target::Unchanged, "{outer}");
        }
        assert_eq!(resolve("/blgo"), Target::Broken("/blgo".to_owned()));
        assert_eq!(resolve("/%zz"), Target::Broken("/%zz".to_owned()));
    }
}
