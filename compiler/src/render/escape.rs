//! Text on its way into HTML.

use std::collections::HashSet;
use std::sync::LazyLock;

/// The names of character references that HTML knows, without `&` and with their semicolon.
static REFERENCES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let names = entities::ENTITIES.iter().map(|entity| &entity.entity[1..]);
    names.filter(|name| name.ends_with(';')).collect()
});

/// A name that is longer is none of HTML's; the longest is `CounterClockwiseContourIntegral;`.
const REFERENCE_BYTES_MAX: usize = 40;

/// Appends text with `& < > " '` escaped. A character reference that is in it is left as it is.
pub(super) fn push_escaped(html: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        html.push_str(&rest[..at]);
        html.push_str(match rest.as_bytes()[at] {
            b'&' if is_reference(&rest[at + 1..]) => "&",
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        });
        rest = &rest[at + 1..];
    }
    html.push_str(rest);
}

/// Whether what follows a `&` makes it a character reference.
fn is_reference(rest: &str) -> bool {
    let window = &rest.as_bytes()[..rest.len().min(REFERENCE_BYTES_MAX)];
    let Some(end) = window.iter().position(|byte| *byte == b';') else { return false };
    let name = &rest[..end];
    let is_made_of =
        |digits: &str, is_digit: fn(&u8) -> bool| !digits.is_empty() && digits.as_bytes().iter().all(is_digit);
    match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(digits) => is_made_of(digits, u8::is_ascii_hexdigit),
            None => is_made_of(number, u8::is_ascii_digit),
        },
        None => REFERENCES.contains(&rest[..=end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut html = String::new();
        push_escaped(&mut html, text);
        html
    }

    #[test]
    fn five_characters_are_escaped_and_references_are_kept() {
        // A title with an ampersand breaks the page otherwise, or shows `&amp;amp;`.
        assert_eq!(escaped("a < b & c > \"d\" 'e'"), "a &lt; b &amp; c &gt; &quot;d&quot; &#39;e&#39;");
        assert_eq!(escaped("&amp; &#39; &#x27; &eacute; &hellip;"), "&amp; &#39; &#x27; &eacute; &hellip;");
        assert_eq!(escaped("&amp &#; &#x; &nosuch; &;"), "&amp;amp &amp;#; &amp;#x; &amp;nosuch; &amp;;");
        assert_eq!(escaped("&ñ; &"), "&amp;ñ; &amp;");
    }

    #[test]
    fn escaping_twice_changes_nothing() {
        // A value that passes through two partials must not be escaped twice.
        let once = escaped("Tom & Jerry's \"<b>\"");
        assert_eq!(escaped(&once), once);
    }
}
