//! Preconditions (RFC 9110 section 13): whether a client has what it asks for already, or asks for what is no more.

use std::time::SystemTime;

use super::date::parse_date;
use super::request::{Method, Request};

/// What can be said of the representation that would be sent.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// Its strong entity tag, quotes included; empty if it has none.
    pub etag: &'a [u8],
    /// When it was last changed, if that is known.
    pub last_modified: Option<SystemTime>,
}

/// What the preconditions make of a request that would be answered with 200.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Go on as if there were none.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: it isn't what the client believes it to be.
    Failed,
}

/// Evaluates the preconditions in the order of RFC 9110 section 13.2.2.
pub fn evaluate(request: &Request<'_>, validators: Validators<'_>) -> Verdict {
    let mut if_match = request.values("if-match").peekable();
    if if_match.peek().is_some() {
        // Strong comparison: a weak tag never matches (section 13.1.1).
        if !if_match.any(|list| list_has(list, validators.etag, Comparison::Strong)) {
            return Verdict::Failed;
        }
    } else if let (Some(date), Some(modified)) = (date_of(request, "if-unmodified-since"), validators.last_modified)
        && modified > date
    {
        return Verdict::Failed;
    }
    let is_read = matches!(request.method, Method::Get | Method::Head);
    let mut if_none_match = request.values("if-none-match").peekable();
    if if_none_match.peek().is_some() {
        if if_none_match.any(|list| list_has(list, validators.etag, Comparison::Weak)) {
            return if is_read { Verdict::NotModified } else { Verdict::Failed };
        }
    } else if let (Some(date), Some(modified), true) =
        (date_of(request, "if-modified-since"), validators.last_modified, is_read)
        // The exact date only: after a rollback the site is older than what the client has.
        && modified == date
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether a range may be answered with a part: `If-Range` is missing, or names just this representation (RFC 9110
/// section 13.1.5).
pub fn range_applies(request: &Request<'_>, validators: Validators<'_>) -> bool {
    let mut values = request.values("if-range");
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(tag), None) if tag.first() == Some(&b'"') => !validators.etag.is_empty() && tag == validators.etag,
        (Some(date), None) => parse_date(date).is_some_and(|date| validators.last_modified == Some(date)),
        _ => false,
    }
}

fn date_of(request: &Request<'_>, name: &'static str) -> Option<SystemTime> {
    parse_date(request.value(name)?)
}

/// How entity tags are compared (RFC 9110 section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags, or `*`, matches a strong one. A malformed list matches up to its first mistake.
fn list_has(list: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    let is_separator = |byte: &u8| matches!(byte, b',' | b' ' | b'\t');
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    loop {
        // Elements may be empty, the first too (section 5.6.1.2).
        rest = &rest[rest.iter().take_while(|byte| is_separator(byte)).count()..];
        if rest.is_empty() {
            return false;
        }
        let (is_weak, tag_and_rest) = match rest.strip_prefix(b"W/") {
            Some(tag_and_rest) => (true, tag_and_rest),
            None => (false, rest),
        };
        let Some(inner) = tag_and_rest.strip_prefix(b"\"") else { return false };
        let Some(inner_len) = memchr::memchr(b'"', inner) else { return false };
        let is_comparable = !is_weak || comparison == Comparison::Weak;
        if is_comparable && !etag.is_empty() && &tag_and_rest[..inner_len + 2] == etag {
            return true;
        }
        rest = inner[inner_len + 1..].trim_ascii_start();
        if rest.first().is_some_and(|byte| *byte != b',') {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::super::request::FieldSlots;
    use super::*;

    /// What a client sends as `If-Match` or `If-None-Match`.
    #[derive(Clone, Debug)]
    enum Tags {
        Any,
        /// For each line its tags: whether they are weak, and what is between the quotes.
        Lines(Vec<Vec<(bool, &'static str)>>),
    }

    impl Tags {
        fn strategy() -> impl Strategy<Value = Option<Self>> {
            let tag = (any::<bool>(), prop::sample::select(vec!["", "a", "b", "a,b", "W/", "*"]));
            let lines = vec(vec(tag, 0..4), 1..3).prop_map(Self::Lines);
            option::of(prop_oneof![1 => Just(Self::Any), 6 => lines])
        }

        fn write(&self, name: &str, head: &mut String) {
            let Self::Lines(lines) = self else { return write!(head, "{name}: *\r\n").unwrap() };
            for line in lines {
                let tags = line.iter().map(|(is_weak, tag)| format!("{}\"{tag}\"", if *is_weak { "W/" } else { "" }));
                write!(head, "{name}: {}\r\n", tags.collect::<Vec<_>>().join(", ")).unwrap();
            }
        }

        /// Whether one of them is the representation's, or any will do.
        fn has(&self, etag: Option<&str>, weak_too: bool) -> bool {
            let Self::Lines(lines) = self else { return true };
            lines.iter().flatten().any(|(is_weak, tag)| Some(*tag) == etag && (weak_too || !is_weak))
        }
    }

    /// Three seconds of one minute, each in the three formats of RFC 9110 section 5.6.7, and what is no date.
    const DATES: [(&str, Option<u64>); 10] = [
        ("Sun, 06 Nov 1994 08:49:36 GMT", Some(36)),
        ("Sunday, 06-Nov-94 08:49:36 GMT", Some(36)),
        ("Sun Nov  6 08:49:36 1994", Some(36)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(37)),
        ("Sun Nov  6 08:49:37 1994", Some(37)),
        ("Sun, 06 Nov 1994 08:49:38 GMT", Some(38)),
        ("Sunday, 06-Nov-94 08:49:38 GMT", Some(38)),
        ("Sun Nov  6 08:49:38 1994", Some(38)),
        ("yesterday", None),
    ];

    /// The lines of a field with a date: none, one or two of them.
    fn dates() -> impl Strategy<Value = Vec<(&'static str, Option<u64>)>> {
        prop_oneof![8 => vec(prop::sample::select(DATES.to_vec()), 0..2), 1 => vec(prop::sample::select(DATES.to_vec()), 2)]
    }

    /// The date that the lines say: a recipient ignores what is no date, and a field that is there twice.
    fn said(lines: &[(&str, Option<u64>)]) -> Option<u64> {
        if let [(_, second)] = lines { *second } else { None }
    }

    /// RFC 9110 section 13.2.2, step by step: for each condition whether it holds, if it is evaluated at all.
    fn model(
        is_read: bool,
        if_match: Option<bool>,
        if_unmodified_since: Option<bool>,
        if_none_match: Option<bool>,
        if_modified_since: Option<bool>,
    ) -> Verdict {
        let first = if_match.or(if_unmodified_since);
        if first == Some(false) {
            return Verdict::Failed;
        }
        let if_modified_since = if_modified_since.filter(|_| is_read);
        match (if_none_match, if_modified_since) {
            (Some(false), _) if is_read => Verdict::NotModified,
            (Some(false), _) => Verdict::Failed,
            (None, Some(false)) => Verdict::NotModified,
            _ => Verdict::Proceed,
        }
    }

    proptest! {
            #![proptest_config(ProptestConfig::with_cases(4_000))]

            #[test]
            fn preconditions_are_evaluated_as_the_specification_says(
                method in prop::sample::select(vec!["GET", "HEAD", "POST"]),
                etag in option::weighted(0.9, prop::sample::select(vec!["a", "b", "a,b"])),
                modified in option::weighted(0.9, 36..39_u64),
                if_match in Tags::strategy(),
                if_none_match in Tags::strategy(),
                if_modified_since in dates(),
                if_unmodified_since in dates(),
            ) {
                let mut head = format!("{method} / HTTP/1.1\r\nHost: a\r\n");
                for (tags, name) in [(&if_none_match, "If-None-Match"), (&if_match, "If-Match")] {
                    if let Some(tags) = tags {
     tags.write(name, &mut head);
    }
                }
                for (lines, name) in
                    [(&if_modified_since, "If-Modified-Since"), (&if_unmodified_since, "If-Unmodified-Since")]
                {
                    for (text, _) in lines {
     write!(head, "{name}: {text}\r\n").unwrap();
    }
                }
                head.push_str("\r\n");
                let mut slots = FieldSlots::default();
                let request = Request::parse(head.as_bytes(), &mut slots).unwrap();
                let quoted = etag.map_or(String::new(), |etag| format!("\"{etag}\""));
                let minute = parse_date(b"Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
                let last_modified = modified.map(|second| minute + std::time::Duration::from_secs(second));
                let expected = model(
                    method != "POST",
                    if_match.map(|tags| tags.has(etag, false)),
                    said(&if_unmodified_since).zip(modified).map(|(date, modified)| modified <= date),
                    if_none_match.map(|tags| !tags.has(etag, true)),
                    // Another date is another state, the earlier one too: `evaluate` says why.
                    said(&if_modified_since).zip(modified).map(|(date, modified)| modified != date),
                );
                let found = evaluate(&request, Validators { etag: quoted.as_bytes(), last_modified });
                prop_assert_eq!(found, expected, "{}", head);
            }
        }

    #[test]
    fn a_tag_is_found_in_a_list_and_nowhere_else() {
        // A tag found where it isn't is a stale page; one not found costs a page.
        let weak = |list: &[u8]| list_has(list, b"\"abc\"", Comparison::Weak);
        for list in [&b"\"abc\""[..], b"W/\"abc\"", b"\"x\", \"abc\"", b"\"a,b\",W/\"abc\" , \"y\"", b"*", b" * "] {
            assert!(weak(list), "{}", list.escape_ascii());
        }
        for list in [&b""[..], b"abc", b"\"ab\"", b"\"abc", b"\"x\"\"abc\"", b"w/\"abc\"", b"\"x\" \"", b"*, \"x\""] {
            assert!(!weak(list), "{}", list.escape_ascii());
        }
        assert!(list_has(b"\"x\", \"abc\"", b"\"abc\"", Comparison::Strong));
        assert!(!list_has(b"W/\"abc\"", b"\"abc\"", Comparison::Strong));
        assert!(!list_has(b"\"\"", b"", Comparison::Weak), "a route without a tag matches none");
    }
}
