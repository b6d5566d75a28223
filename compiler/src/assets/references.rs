//! What a URL in a style sheet or a script means: a file of the site, something elsewhere, or nothing.

use std::collections::HashSet;

use super::manifest::AssetManifest;
use crate::site::{is_elsewhere, percent_decode};
use crate::source::SourceFile;

/// What a URL names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Named {
    /// An asset, and what follows its path: a query and a fragment.
    Asset { path: String, suffix: String },
    /// Another site, data, a part of the page, or a file beside a page.
    Elsewhere,
    /// The site has nothing at this path.
    Missing(String),
}

/// All files that a style sheet or a script can name.
pub(super) struct FileReferences<'a> {
    /// Digested names, which someone may have written out.
    digested: HashSet<String>,
    /// Files among the pages, by name.
    content: &'a [SourceFile],
    manifest: &'a AssetManifest,
}

impl<'a> FileReferences<'a> {
    pub(super) fn new(manifest: &'a AssetManifest, content: &'a [SourceFile]) -> Self {
        let digested = manifest.published().filter(|one| one.is_digested).map(|one| one.path.to_owned());
        Self { digested: digested.collect(), content, manifest }
    }

    /// What a URL means in the file with this path.
    pub(super) fn find(&self, base: &str, url: &str) -> Named {
        let url = url.trim_ascii();
        if url.is_empty() || url.starts_with(['#', '?']) || is_elsewhere(url) {
            return Named::Elsewhere;
        }
        let (written, suffix) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
        let Some(decoded) = percent_decode(written) else { return Named::Missing(written.to_owned()) };
        let path = url_path(base, &decoded);
        if self.manifest.find_url(&path).is_some() {
            Named::Asset { path, suffix: suffix.to_owned() }
        } else if self.digested.contains(&path) || self.is_beside_pages(&path) {
            Named::Elsewhere
        } else {
            Named::Missing(path)
        }
    }

    fn is_beside_pages(&self, path: &str) -> bool {
        let name = path.strip_prefix('/').unwrap_or(path);
        self.content.binary_search_by(|file| (*file.name).cmp(name)).is_ok()
    }

    /// The path that was probably meant.
    pub(super) fn nearest(&self, path: &str) -> Option<&str> {
        self.manifest.nearest(path)
    }
}

/// A path as seen from a file: `..` above the root stays there, as in a browser (URL Standard, "shorten a path").
pub(crate) fn url_path(base: &str, path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    if !path.starts_with('/') {
        segments.extend(base.split('/').filter(|segment| !segment.is_empty()));
        segments.pop();
    }
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_seen_from_its_file() {
        assert_eq!(url_path("/static/css/a.css", "../img/b.png"), "/static/img/b.png");
        assert_eq!(url_path("/static/css/a.css", "b.png"), "/static/css/b.png");
        assert_eq!(url_path("/static/css/a.css", "./x/../b.png"), "/static/css/b.png");
        assert_eq!(url_path("/static/css/a.css", "../../../../b.png"), "/b.png");
        assert_eq!(url_path("/static/css/a.css", "/b.png"), "/b.png");
    }

    #[test]
    fn what_is_elsewhere_is_left_alone() {
        let manifest = AssetManifest::default();
        let files = FileReferences::new(&manifest, &[]);
        for url in ["", "#a", "?x", "//cdn.example/x.png", "https://example.com/x", "data:image/png;base64,AA", " #b "]
        {
            assert_eq!(files.find("/static/a.css", url), Named::Elsewhere, "{url}");
        }
        assert_eq!(files.find("/static/a.css", "x%20y.png?v=1#z"), Named::Missing("/static/x y.png".to_owned()));
    }
}
