//! `[[headers]]`: which fields a path gets.

use crate::config::HeaderRule;

/// What the site says of a field at a path, the last rule that names it; an empty value takes the field away.
pub fn field_value<'r>(rules: &[&'r HeaderRule], name: &str) -> Option<&'r str> {
    let named = rules.iter().rev().flat_map(|rule| rule.set.iter().rev());
    named.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// What `X-Frame-Options` says, as the end of a policy.
pub fn frame_ancestors(frame_options: &str) -> &'static str {
    match () {
        () if frame_options.eq_ignore_ascii_case("DENY") => "; frame-ancestors 'none'",
        () if frame_options.eq_ignore_ascii_case("SAMEORIGIN") => "; frame-ancestors 'self'",
        () => "",
    }
}

impl HeaderRule {
    /// Whether the rule is for a path; `*` stands for any text, slashes too.
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.path.as_bytes(), path.as_bytes());
        let (mut at, mut in_path) = (0, 0);
        // Where the last `*` stands, and what it stands for so far.
        let mut star: Option<(usize, usize)> = None;
        while in_path < path.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, in_path));
                    at += 1;
                }
                Some(byte) if *byte == path[in_path] => {
                    at += 1;
                    in_path += 1;
                }
                _ => {
                    let Some((start, taken)) = star else { return false };
                    star = Some((start, taken + 1));
                    (at, in_path) = (start + 1, taken + 1);
                }
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_crosses_slashes_and_everything_else_is_itself() {
        let matches = |pattern: &str, path| HeaderRule { path: pattern.to_owned(), set: Vec::new() }.matches(path);
        for (pattern, path) in [("/*", "/"), ("/*", "/a/b"), ("/a", "/a"), ("/*.js", "/x/y.js"), ("*/b*d", "/a/b/c/d")]
        {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [("/a", "/a/"), ("/a*", "/b"), ("/*.js", "/x.css"), ("/a?", "/ab"), ("", "/")] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        // Going back to every star would take for ever.
        let path = format!("/{}", "a".repeat(2_000));
        assert!(!HeaderRule { path: "*a".repeat(100) + "b", set: Vec::new() }.matches(&path));
    }
}
