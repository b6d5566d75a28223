//! The path at which something is published, normalised once and trusted from then on. It knows nothing of what is
//! published there.

pub use bundle::percent_decode;

/// Bytes of a path. What servers accept in a request line, with room for percent-encoding.
const PATH_BYTES_MAX: usize = 2_000;

/// A path of the site, percent-decoded: it begins with `/`, has no empty, `.` or `..` segment and, but for the root
/// itself, no slash at its end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RoutePath(String);

impl RoutePath {
    /// Reads a path as somebody wrote it, such as `path` in front matter: `/about`, `/caf%C3%A9`, `/about/`.
    ///
    /// # Errors
    /// What is wrong with it, to stand after “the path”.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with('/') {
            return Err("doesn't begin with `/`");
        }
        if text.contains(['?', '#']) {
            return Err("has a query or a fragment");
        }
        Self::from_segments(&percent_decode(text).ok_or("has a `%` that isn't followed by two hexadecimal digits")?)
    }

    /// Where a page lies whose file has this path below the folder of pages: `blog/index.html` at `/blog`, `a.md` at `/a`.
    ///
    /// # Errors
    /// What is wrong with the name, to stand after “the path”.
    pub fn of_page(content_path: &str) -> Result<Self, &'static str> {
        let stem = content_path.rsplit_once('.').map_or(content_path, |(stem, _)| stem);
        let stem = if stem == "index" { "" } else { stem.strip_suffix("/index").unwrap_or(stem) };
        Self::from_segments(stem)
    }

    /// Where any other file lies: where it stands.
    ///
    /// # Errors
    /// What is wrong with the name, to stand after “the path”.
    pub fn of_file(path: &str) -> Result<Self, &'static str> {
        Self::from_segments(path)
    }

    /// The path as text, percent-decoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `/`.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// The path as it stands in a link: percent-encoded (RFC 3986 section 3.3).
    pub fn to_url(&self) -> String {
        percent_encode(&self.0)
    }

    /// The path one segment up, or `None` at the root.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/').filter(|_| !self.is_root())?;
        Some(Self(if parent.is_empty() { "/".to_owned() } else { parent.to_owned() }))
    }

    /// The path one segment down. The segment is a slug: letters, digits and hyphens.
    pub(super) fn child(&self, slug: &str) -> Self {
        Self(if self.is_root() { format!("/{slug}") } else { format!("{}/{slug}", self.0) })
    }

    fn from_segments(text: &str) -> Result<Self, &'static str> {
        let trimmed = text.trim_matches('/');
        if trimmed.is_empty() {
            return Ok(Self("/".to_owned()));
        }
        if trimmed.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err("has an empty, `.` or `..` segment");
        }
        if trimmed.len() > PATH_BYTES_MAX {
            return Err("is too long");
        }
        if trimmed.contains(|character: char| character.is_control() || character == '\\') {
            return Err("has a control character or a backslash");
        }
        Ok(Self(format!("/{trimmed}")))
    }
}

/// Percent-encodes all bytes of a path but unreserved and sub-delimiter characters, `:`, `@` and `/` (RFC 3986 `pchar`).
pub fn percent_encode(path: &str) -> String {
    bundle::percent_encode(path.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_content_folder_has_one_clean_url() {
        let route = |path| RoutePath::of_page(path).unwrap().as_str().to_owned();
        assert_eq!(route("index.html"), "/");
        assert_eq!(route("blog/index.md"), "/blog");
        assert_eq!(route("my-post.md"), "/my-post");
        assert_eq!(route("v1.2/notes.x.html"), "/v1.2/notes.x");
        assert_eq!(route("myindex.html"), "/myindex");
    }

    #[test]
    fn a_written_path_is_normalised_or_refused() {
        let parse = |text| RoutePath::parse(text).map(|route| route.as_str().to_owned());
        assert_eq!(parse("/caf%C3%A9/").unwrap(), "/café");
        assert_eq!(parse("/"), Ok("/".to_owned()));
        assert_eq!(RoutePath::parse("/café au lait").unwrap().to_url(), "/caf%C3%A9%20au%20lait");
        for refused in ["", "a", "/a/../b", "/a//b", "/./", "/a?b", "/a#b", "/%zz", "/%ff", "/%", "/a%00", "/a\\b"] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn parents_end_at_the_root() {
        let parent = |text| RoutePath::parse(text).unwrap().parent().map(|route| route.as_str().to_owned());
        assert_eq!(parent("/a/b"), Some("/a".to_owned()));
        assert_eq!(parent("/a"), Some("/".to_owned()));
        assert_eq!(parent("/"), None);
    }
}
