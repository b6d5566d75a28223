//! The elements and addresses in Markdown's HTML, `<a title="…">` and `<https://…>`: where they end, and that backticks in them
//! begin no code.

use std::ops::Range;

use super::lexer::skip_blanks;

/// Where a backtick is part of an element, if the last one before it is still open there.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// Where something began that may be one, not looked at yet.
    begun: Option<usize>,
    /// Up to here text is an attribute's value or an address.
    value_end: usize,
}

/// An element longer than this is none. Guessed; it bounds what is read again for each.
const ELEMENT_BYTES_MAX: usize = 4096;

impl Elements {
    /// A `<` stands at `at`.
    pub(super) fn note(&mut self, text: &str, at: usize) {
        if at >= self.value_end && text[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.begun = Some(at);
        }
    }

    /// Whether the backtick at `at` stands in the value of an element's attribute, or in an address.
    pub(super) fn hold(&mut self, text: &str, at: usize) -> bool {
        if let Some(start) = self.begun.take().filter(|_| at >= self.value_end) {
            let end = text.floor_char_boundary(start + ELEMENT_BYTES_MAX);
            let paragraph = &text[..end];
            let end = paragraph[start..].find("\n\n").map_or(end, |length| start + length);
            self.value_end = find_value_end(&text[..end], start, at).unwrap_or(self.value_end);
        }
        at < self.value_end
    }
}

/// The end of the value around `at` in the element or the address that begins at `start`, if that is one.
fn find_value_end(text: &str, start: usize, at: usize) -> Option<usize> {
    let scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    let here = skip_while(text, start + 1, scheme);
    if text[here..].starts_with(':') {
        let length = text[here..].find(|c: char| c.is_ascii_whitespace() || matches!(c, '<' | '>'))?;
        return text[here + length..].starts_with('>').then_some(here + length);
    }
    let mut found = None;
    find_element_end(text, start, |value| found = found.or(value.contains(&at).then_some(value.end)))?;
    found
}

/// Where the opening or closing tag of HTML ends that begins at `start` (CommonMark 0.31, section 6.6). Its values are told
/// to `note_value`.
pub(super) fn find_element_end(text: &str, start: usize, mut note_value: impl FnMut(Range<usize>)) -> Option<usize> {
    let is_closing = text[start + 1..].starts_with('/');
    let name = start + 1 + usize::from(is_closing);
    if !text[name..].starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let mut here = skip_while(text, name, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    loop {
        let next = skip_blanks(text, here);
        let rest = &text[next..];
        if rest.starts_with('>') {
            return Some(next + 1);
        }
        if rest.starts_with("/>") && !is_closing {
            return Some(next + 2);
        }
        let begins_name = rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':'));
        if next == here || !begins_name || is_closing {
            return None;
        }
        here = skip_while(text, next, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.' | b'-'));
        let equals = skip_blanks(text, here);
        if text[equals..].starts_with('=') {
            let value = skip_blanks(text, equals + 1);
            here = skip_value(text, value)?;
            note_value(value..here);
        }
    }
}

/// Behind the value that begins at `start`. What a tag in it holds is none of its own.
fn skip_value(text: &str, start: usize) -> Option<usize> {
    let Some(quote) = text[start..].chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let is_part = |byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'"' | b'\'' | b'=' | b'<' | b'>' | b'`');
        return Some(skip_while(text, start, is_part)).filter(|end| *end > start);
    };
    let mut at = start + 1;
    let mut close = at + text[at..].find(quote)?;
    while let Some(tag) = text[at..close].find("<%") {
        at = skip_tag(text, at + tag)?;
        if close < at {
            close = at + text[at..].find(quote)?;
        }
    }
    Some(close + 1)
}

/// Behind the tag of a template that begins at `start`.
fn skip_tag(text: &str, start: usize) -> Option<usize> {
    let mut signs = text[start..].match_indices('%').map(|(at, _)| start + at + 1);
    signs.find_map(|end| {
        let close = [">", "/>"].into_iter().find(|close| text[end..].starts_with(close));
        close.map(|close| end + close.len())
    })
}

fn skip_while(text: &str, start: usize, is_part: impl Fn(u8) -> bool) -> usize {
    start + text.as_bytes()[start..].iter().take_while(|byte| is_part(**byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_at_its_quote_and_at_none_in_a_tag() {
        for (text, end) in [
            ("\"a\" b", Some(3)),
            ("\"<% x.html as=\"y\" %>\" \"", Some(21)),
            ("\"<% x.html %/>\" <% y.html %>\"", Some(15)),
            ("\"<% x.html", None),
            ("\"a", None),
        ] {
            assert_eq!(skip_value(text, 0), end, "{text}");
        }
    }
}
