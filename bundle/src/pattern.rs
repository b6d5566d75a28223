//! Redirects for more than one path: which paths a pattern takes, and where it leads each of them. Read once and
//! checked; a match then takes time in proportion to the path and makes nothing but the location.

use crate::percent::{percent_encode, percent_encode_value};

/// What a pattern can carry over. Guessed: nobody has a URL of nine parts to keep.
const GAP_COUNT_MAX: usize = 8;
/// The name of what `*` carries over.
const REST: &str = "splat";

/// A path with gaps, such as `/blog/:year/:slug` or `/docs/v1/*`, and a location that they are filled into, such as
/// `/:slug` or `/docs/:splat`. The grammar stands in the crate's documentation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedirectPattern {
    steps: Vec<Step>,
    /// Whether what is left of a path after all steps is carried over too.
    has_rest: bool,
    /// Empty for what is gone.
    pieces: Vec<Piece>,
    literal_prefix_len: usize,
}

/// One segment of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Literal(Box<[u8]>),
    /// Any segment that isn't empty.
    Gap,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Literal(Box<str>),
    /// What a gap took, as it stands in a path.
    InPath(usize),
    /// What a gap took, as it stands in a query or a fragment.
    AfterPath(usize),
}

impl RedirectPattern {
    /// Reads a percent-decoded path with gaps, and a location: a URL reference that may name them, or nothing.
    ///
    /// # Errors
    /// What is wrong with them, to stand after a colon.
    pub fn parse(path: &str, location: &str) -> Result<Self, &'static str> {
        let segments = path.strip_prefix('/').ok_or("a pattern begins with `/`")?;
        let (segments, has_rest) = match segments.strip_suffix('*') {
            Some("") => (None, true),
            Some(before) => (Some(before.strip_suffix('/').ok_or("`*` is a whole segment, the last one")?), true),
            None => (Some(segments), false),
        };
        let mut steps = Vec::new();
        let mut names = Vec::new();
        let mut literal_prefix_len = None;
        let mut len = 1;
        for segment in segments.into_iter().flat_map(|segments| segments.split('/')) {
            if let Some(name) = segment.strip_prefix(':') {
                if name_len(name) != name.len() || name.is_empty() {
                    return Err(
                        "what follows `:` is a name of letters, digits and `_`, which doesn't begin with a digit",
                    );
                }
                if names.contains(&name) || (has_rest && name == REST) {
                    return Err("a name is given twice");
                }
                names.push(name);
                literal_prefix_len.get_or_insert(len);
                steps.push(Step::Gap);
            } else if matches!(segment, "" | "." | "..") || segment.contains(['*', '\0']) {
                return Err("it has an empty, `.` or `..` segment, or a `*` that isn't the whole of the last segment");
            } else {
                steps.push(Step::Literal(segment.as_bytes().into()));
            }
            len += segment.len() + 1;
        }
        names.extend(has_rest.then_some(REST));
        if names.is_empty() || names.len() > GAP_COUNT_MAX {
            return Err("a pattern has one gap at least, and eight at most");
        }
        let pieces = parse_location(location, &names)?;
        Ok(Self { steps, has_rest, pieces, literal_prefix_len: literal_prefix_len.unwrap_or(len) })
    }

    /// Bytes of the path before its first gap: patterns with more of them go first.
    pub fn literal_prefix_len(&self) -> usize {
        self.literal_prefix_len
    }

    /// Where a percent-decoded path is led: a URL reference of visible ASCII, nothing for what is gone, or `None` if the
    /// pattern doesn't take it. Never leaves the host unless the location does so before its first gap.
    pub fn location(&self, path: &[u8]) -> Option<String> {
        let taken = self.take(path)?;
        let mut location = String::new();
        for piece in &self.pieces {
            match piece {
                // What a gap left empty leaves no empty segment, and above all no `//` at the beginning.
                Piece::Literal(text) if location.ends_with('/') && text.starts_with('/') => location += &text[1..],
                Piece::Literal(text) => location += text,
                Piece::InPath(gap) => location += &percent_encode(taken[*gap]),
                Piece::AfterPath(gap) => location += &percent_encode_value(taken[*gap]),
            }
        }
        let ends_with_nothing = matches!(self.pieces.last(), Some(Piece::InPath(gap)) if taken[*gap].is_empty());
        if ends_with_nothing && location.len() > 1 && location.ends_with('/') {
            location.pop();
        }
        Some(location)
    }

    /// What each gap takes of a path, the rest last.
    fn take<'p>(&self, path: &'p [u8]) -> Option<[&'p [u8]; GAP_COUNT_MAX]> {
        let mut taken = [&[][..]; GAP_COUNT_MAX];
        let mut taken_count = 0;
        let mut rest = Some(path.strip_prefix(b"/")?);
        rest = rest.map(|rest| rest.strip_suffix(b"/").unwrap_or(rest)).filter(|rest| !rest.is_empty());
        for step in &self.steps {
            let (segment, after) = split_segment(rest?);
            rest = after;
            match step {
                Step::Literal(literal) if **literal == *segment => {}
                Step::Gap if is_plain(segment) => {
                    taken[taken_count] = segment;
                    taken_count += 1;
                }
                _ => return None,
            }
        }
        match rest {
            None => Some(taken),
            Some(rest) if self.has_rest && rest.split(|byte| *byte == b'/').all(is_plain) => {
                taken[taken_count] = rest;
                Some(taken)
            }
            Some(_) => None,
        }
    }
}

/// A segment that names something: browsers resolve dots, and an empty one would change what the location means.
fn is_plain(segment: &[u8]) -> bool {
    !matches!(segment, b"" | b"." | b"..")
}

/// The first segment, and what comes after its slash.
fn split_segment(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    }
}

/// Bytes at the beginning of a text that make a name.
fn name_len(text: &str) -> usize {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    if !text.bytes().next().is_some_and(is_first) {
        return 0;
    }
    text.bytes().take_while(|byte| is_first(*byte) || byte.is_ascii_digit()).count()
}

fn parse_location(location: &str, names: &[&str]) -> Result<Vec<Piece>, &'static str> {
    let mut pieces = Vec::new();
    if location.is_empty() {
        return Ok(pieces);
    }
    let is_path = location.starts_with('/') && !location.starts_with("//");
    let host_start = ["https://", "http://"].into_iter().find_map(|scheme| location.strip_prefix(scheme));
    if !is_path && host_start.is_none_or(str::is_empty) || !location.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the location is neither a path of the site nor an http or https URL");
    }
    // A host that a request could finish would lead anywhere.
    let fixed_len = host_start
        .map_or(1, |host| location.len() - host.len() + host.find(['/', '?', '#']).map_or(host.len(), |end| end + 1));
    let query_start = location.find(['?', '#']).unwrap_or(location.len());
    let mut literal_start = 0;
    for (colon, _) in location.match_indices(':') {
        let name = &location[colon + 1..][..name_len(&location[colon + 1..])];
        if name.is_empty() {
            continue;
        }
        let gap = names.iter().position(|known| *known == name).ok_or("the location names what the path hasn't")?;
        if colon < fixed_len {
            return Err("the location's host can't be carried over");
        }
        if literal_start < colon {
            pieces.push(Piece::Literal(location[literal_start..colon].into()));
        }
        pieces.push(if colon < query_start { Piece::InPath(gap) } else { Piece::AfterPath(gap) });
        literal_start = colon + 1 + name.len();
    }
    if literal_start < location.len() {
        pieces.push(Piece::Literal(location[literal_start..].into()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(path: &str, location: &str, asked: &str) -> Option<String> {
        RedirectPattern::parse(path, location).unwrap().location(asked.as_bytes())
    }

    #[test]
    fn gaps_take_segments_and_the_rest() {
        let blog = |asked| led("/blog/:year/:slug", "/:slug?from=:year#:slug", asked);
        assert_eq!(blog("/blog/2020/a b&c"), Some("/a%20b&c?from=2020#a%20b%26c".to_owned()));
        assert_eq!(blog("/blog/2020/x/"), Some("/x?from=2020#x".to_owned()));
        for other in ["/blog/2020", "/blog/2020/x/y", "/blog//x", "/blog/../x", "/Blog/1/x", "/", "blog/1/x"] {
            assert_eq!(blog(other), None, "{other}");
        }
        let docs = |asked| led("/docs/v1/*", "/docs/:splat", asked);
        assert_eq!(docs("/docs/v1/a/b"), Some("/docs/a/b".to_owned()));
        assert_eq!(docs("/docs/v1/"), Some("/docs".to_owned()));
        assert_eq!(docs("/docs/v1"), Some("/docs".to_owned()));
        for other in ["/docs/v12", "/docs/v1/../x", "/docs/v1//x", "/docs/v1/a/./b", "/docs"] {
            assert_eq!(docs(other), None, "{other}");
        }
        assert_eq!(led("/gone/*", "", "/gone/x"), Some(String::new()));
        assert_eq!(led("/*", "/:splat/x", "/"), Some("/x".to_owned()));
    }

    #[test]
    fn nothing_that_is_asked_for_leaves_the_host() {
        // Without it any site with a pattern would lend its name to a phisher's link.
        for (path, location) in
            [("/go/*", "/:splat"), ("/go/*", "/:splat/x"), ("/:a/:b", "/:a:b"), ("/:a/*", "/:splat/:a")]
        {
            for asked in
                ["/go//evil.com", "/go/", "/go/\\evil.com", "/go/\t/evil", "/go/%2Fevil", "//evil.com", "/go/a\r\nb"]
            {
                let location = led(path, location, asked).unwrap_or_default();
                assert!(!location.starts_with("//") && !location.contains('\\'), "{location}");
                assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = "/:a/:b/:c/:d/:e/:f/:g/:h/:i";
        for path in
            ["", "x", "/", "/a", "/:", "/:1", "/:a-b", "/:a/:a", "/:splat/*", "/a*", "/*/a", "/a//:b", "/../:a", long]
        {
            assert!(RedirectPattern::parse(path, "/x").is_err(), "{path}");
        }
        for location in [
            "//x",
            "x",
            "/:c",
            "https://:a/x",
            "https://x.com:a/",
            "https://",
            "http://x:a",
            "/é",
            "ftp://x/:a",
            "/:a b",
        ] {
            assert!(RedirectPattern::parse("/:a/:b", location).is_err(), "{location}");
        }
        for location in ["/", "/:a", "https://x.com/:a", "https://x.com:80/:b", "https://x.com?q=:a", "/a:/:b:/:1"] {
            assert!(RedirectPattern::parse("/:a/:b", location).is_ok(), "{location}");
        }
        assert!(RedirectPattern::parse("/:a/:b/:c/:d/:e/:f/:g/:h", "/:h").is_ok(), "eight gaps");
    }

    #[test]
    fn the_literal_part_before_the_first_gap_is_counted() {
        let len = |path| RedirectPattern::parse(path, "/x").unwrap().literal_prefix_len();
        assert_eq!([len("/*"), len("/:a"), len("/ab/*"), len("/ab/:c"), len("/ab/c/:d")], [1, 1, 4, 4, 6]);
    }
}
