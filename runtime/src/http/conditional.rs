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
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    while !rest.is_empty() {
        let (is_weak, tag_and_rest) = match rest.strip_prefix(b"W/") {
            Some(tag_and_rest) => (true, tag_and_rest),
            None => (false, rest),
        };
        let Some(inner) = tag_and_rest.strip_prefix(b"\"") else { return false };
        let Some(inner_len) = inner.iter().position(|byte| *byte == b'"') else { return false };
        let is_comparable = !is_weak || comparison == Comparison::Weak;
        if is_comparable && !etag.is_empty() && &tag_and_rest[..inner_len + 2] == etag {
            return true;
        }
        rest = inner[inner_len + 1..].trim_ascii_start();
        let separators = rest.iter().take_while(|byte| matches!(byte, b',' | b' ' | b'\t')).count();
        if separators == 0 {
            return false;
        }
        rest = &rest[separators..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

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
