//! Patterns of paths: `*` stands for anything within a folder's or a file's name, `**` for any folders, `?` for one
//! character.

/// A pattern of paths from the site's root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    segments: Vec<String>,
}

/// Segments of a pattern. Matching takes their number times that of a path's.
const SEGMENT_COUNT_MAX: usize = 64;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What a pattern looks like.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_plain = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains('\\');
        let segments: Vec<_> = text.split('/').map(str::to_owned).collect();
        let is_pattern = segments.len() <= SEGMENT_COUNT_MAX && segments.iter().all(|segment| is_plain(segment));
        is_pattern.then_some(Self { segments }).ok_or("a pattern of paths from the site's root, such as `templates/**`")
    }

    /// Whether a path, with `/` between folders, has this shape.
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        matches_all(
            &self.segments,
            &names,
            |segment| segment == "**",
            |segment, name| {
                let (pattern, name): (Vec<char>, Vec<char>) = (segment.chars().collect(), name.chars().collect());
                matches_all(&pattern, &name, |sign| *sign == '*', |sign, letter| *sign == '?' || sign == letter)
            },
        )
    }
}

/// Whether items have the shape of a pattern in which some signs stand for any number of items. It goes back to the
/// last such sign only, so that the work is at most the product of both lengths.
fn matches_all<P, T>(
    pattern: &[P],
    items: &[T],
    is_any: impl Fn(&P) -> bool,
    is_same: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut item) = (0, 0);
    let mut last_any = None;
    while item < items.len() {
        if pattern.get(at).is_some_and(&is_any) {
            last_any = Some((at, item));
            at += 1;
        } else if pattern.get(at).is_some_and(|sign| is_same(sign, &items[item])) {
            at += 1;
            item += 1;
        } else if let Some((any, taken)) = last_any {
            last_any = Some((any, taken + 1));
            at = any + 1;
            item = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_names_and_folders() {
        let matches = |pattern: &str, path: &str| Pattern::parse(pattern).map(|pattern| pattern.matches(path));
        for (pattern, path) in [
            ("templates/**", "templates/a.html"),
            ("templates/**", "templates/a/b/c.html"),
            ("**/*.html", "a.html"),
            ("**/*.html", "x/y/a.html"),
            ("styles/*.css", "styles/app.css"),
            ("a/**/b", "a/b"),
            ("a/**/b/**/c", "a/x/b/b/y/c"),
            ("?.md", "é.md"),
            ("*a*b", "xxaxxbab"),
        ] {
            assert_eq!(matches(pattern, path), Ok(true), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("styles/*.css", "styles/a/app.css"),
            ("templates/**", "content/a"),
            ("a", "ab"),
            ("*a*b", "ba"),
            ("a/*", "a"),
        ] {
            assert_eq!(matches(pattern, path), Ok(false), "{pattern} {path}");
        }
        for pattern in ["", "/a", "../a", "a//b", "a/./b", "a\\b"] {
            assert!(matches(pattern, "a").is_err(), "{pattern}");
        }
        let costly = "*a".repeat(2_000);
        assert_eq!(matches(&costly, &"a".repeat(1_999)), Ok(false));
    }
}
