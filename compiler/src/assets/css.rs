//! Where CSS names other files. One pass over its tokens (CSS Syntax 3 section 4) that keeps a stack of brackets and no
//! tree, so that nothing recurses and every byte that isn't a reference can stay as it is.

use std::ops::Range;

use crate::site::percent_encode;

/// Brackets within brackets. Parsers of CSS recurse, and a page's worth of `(` would end the process. A guess: style
/// sheets of large frameworks stay below 12.
pub(crate) const CSS_DEPTH_MAX: usize = 64;

/// One place where CSS names another file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CssReference {
    /// What for.
    pub kind: CssReferenceKind,
    /// The URL, its escapes resolved.
    pub url: String,
    /// Where it stands, without quotes and brackets.
    pub range: Range<usize>,
}

/// What CSS names another file for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum CssReferenceKind {
    /// `@import`
    Import,
    /// A font: it stands in `@font-face`.
    Font,
    /// An image and the like.
    Url,
    /// The comment `sourceMappingURL`, which is this range.
    SourceMap(Range<usize>),
}

/// Brackets are nested too deeply, at this offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooDeep(pub usize);

/// All references of a style sheet, or of a `style` attribute, in order.
pub(crate) fn find_css_references(css: &str) -> Result<Vec<CssReference>, TooDeep> {
    let mut scanner = Scanner { css, at: 0, open: Vec::new(), prelude: Prelude::Other, found: Vec::new() };
    while let Some(byte) = scanner.peek(0) {
        scanner.take_token(byte)?;
    }
    Ok(scanner.found)
}

/// A URL as it can stand in `url(…)` and between either quotes.
pub(crate) fn css_url(url: &str) -> String {
    let mut safe = String::with_capacity(url.len());
    for character in url.chars() {
        match character {
            '\'' => safe.push_str("%27"),
            '(' => safe.push_str("%28"),
            ')' => safe.push_str("%29"),
            '"' | '\\' | ' ' | '<' => safe.push_str(&percent_encode(&character.to_string())),
            _ => safe.push(character),
        }
    }
    safe
}

/// An open bracket, and what strings directly within it are.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Open {
    closed_by: u8,
    holds_urls: bool,
    /// It is the block of a `@font-face`.
    is_font: bool,
}

/// The at-rule whose prelude is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prelude {
    /// `@import`, its URL still to come.
    Import,
    /// `@namespace`: its URL is a name, nothing is fetched.
    Namespace,
    /// `@font-face`, its block still to come.
    FontFace,
    Other,
}

struct Scanner<'a> {
    css: &'a str,
    at: usize,
    open: Vec<Open>,
    prelude: Prelude,
    found: Vec<CssReference>,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.css.as_bytes().get(self.at + ahead).copied()
    }

    fn take_token(&mut self, byte: u8) -> Result<(), TooDeep> {
        match byte {
            b'/' if self.peek(1) == Some(b'*') => self.take_comment(),
            b'"' | b'\'' => self.take_string(byte),
            b'@' => {
                self.at += 1;
                let name = self.take_name();
                if name.eq_ignore_ascii_case("import") {
                    self.prelude = Prelude::Import;
                } else if name.eq_ignore_ascii_case("namespace") {
                    self.prelude = Prelude::Namespace;
                } else if name.eq_ignore_ascii_case("font-face") {
                    self.prelude = Prelude::FontFace;
                }
            }
            b'#' => {
                self.at += 1;
                self.take_name();
            }
            b'(' => self.open(b')', false)?,
            b'[' => self.open(b']', false)?,
            b'{' => {
                let is_font = std::mem::replace(&mut self.prelude, Prelude::Other) == Prelude::FontFace;
                self.open(b'}', false)?;
                if let Some(block) = self.open.last_mut() {
                    block.is_font = is_font;
                }
            }
            b')' | b']' | b'}' => {
                if self.open.last().is_some_and(|open| open.closed_by == byte) {
                    self.open.pop();
                }
                self.at += 1;
            }
            b';' => {
                self.prelude = Prelude::Other;
                self.at += 1;
            }
            _ if is_name_byte(byte) || byte == b'\\' => self.take_word()?,
            _ => self.at += 1,
        }
        Ok(())
    }

    fn open(&mut self, closed_by: u8, holds_urls: bool) -> Result<(), TooDeep> {
        if self.open.len() >= CSS_DEPTH_MAX {
            return Err(TooDeep(self.at));
        }
        self.open.push(Open { closed_by, holds_urls, is_font: false });
        self.at += 1;
        Ok(())
    }

    /// A word, a number with its unit, or a function with its bracket.
    fn take_word(&mut self) -> Result<(), TooDeep> {
        let name = self.take_name().to_ascii_lowercase();
        if self.peek(0) != Some(b'(') {
            return Ok(());
        }
        if name == "url" && self.take_unquoted_url() {
            return Ok(());
        }
        // `image-set("a.png" 1x, url(b.png) 2x)`; a `type("image/png")` within it is a function of its own.
        let holds_urls = matches!(&*name, "url" | "src" | "image-set" | "-webkit-image-set");
        self.open(b')', holds_urls)
    }

    fn take_name(&mut self) -> &str {
        let start = self.at;
        while let Some(byte) = self.peek(0) {
            if byte == b'\\' {
                self.at += 2;
                while self.at < self.css.len() && !self.css.is_char_boundary(self.at) {
                    self.at += 1;
                }
            } else if is_name_byte(byte) {
                self.at += 1;
            } else {
                break;
            }
        }
        self.at = self.at.min(self.css.len());
        &self.css[start..self.at]
    }

    fn take_comment(&mut self) {
        let start = self.at;
        let text = &self.css[start + 2..];
        let len = text.find("*/").unwrap_or(text.len());
        self.at = (start + 2 + len + 2).min(self.css.len());
        let Some(url) = source_map_url(&text[..len]) else { return };
        let url_start = start + 2 + (url.as_ptr().addr() - text.as_ptr().addr());
        let (url, range) = (url.to_owned(), url_start..url_start + url.len());
        self.found.push(CssReference { kind: CssReferenceKind::SourceMap(start..self.at), url, range });
    }

    fn take_string(&mut self, quote: u8) {
        self.at += 1;
        let start = self.at;
        while let Some(byte) = self.peek(0).filter(|byte| *byte != quote && *byte != b'\n') {
            self.at += if byte == b'\\' { 2 } else { 1 };
        }
        let end = self.at.min(self.css.len());
        self.at = (end + 1).min(self.css.len());
        while !self.css.is_char_boundary(self.at) {
            self.at += 1;
        }
        if self.prelude == Prelude::Import || self.open.last().is_some_and(|open| open.holds_urls) {
            self.add(start..end);
        }
    }

    /// `url(` and what stands there without quotes, with the bracket; `false` if it has quotes.
    fn take_unquoted_url(&mut self) -> bool {
        let text = &self.css[self.at + 1..];
        let start = self.at + 1 + text.len() - text.trim_ascii_start().len();
        if matches!(self.css.as_bytes().get(start), Some(b'"' | b'\'')) {
            return false;
        }
        self.at = start;
        while let Some(byte) = self.peek(0).filter(|byte| *byte != b')') {
            self.at += if byte == b'\\' { 2 } else { 1 };
        }
        let end = self.at.min(self.css.len());
        self.at = (end + 1).min(self.css.len());
        while !self.css.is_char_boundary(self.at) {
            self.at += 1;
        }
        let len = self.css.get(start..end).map_or(0, |url| url.trim_ascii_end().len());
        self.add(start..start + len);
        true
    }

    fn add(&mut self, range: Range<usize>) {
        let kind = match std::mem::replace(&mut self.prelude, Prelude::Other) {
            Prelude::Import => CssReferenceKind::Import,
            Prelude::Namespace => return,
            Prelude::Other | Prelude::FontFace if self.open.iter().any(|open| open.is_font) => CssReferenceKind::Font,
            Prelude::Other | Prelude::FontFace => CssReferenceKind::Url,
        };
        // A range that ends within a character is the end of a sheet that breaks off after a backslash.
        let Some(text) = self.css.get(range.clone()) else { return };
        self.found.push(CssReference { kind, url: unescape(text), range });
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || !byte.is_ascii()
}

/// The URL in the comment of a source map: `# sourceMappingURL=app.css.map`.
pub(super) fn source_map_url(comment: &str) -> Option<&str> {
    let rest = comment.strip_prefix(['#', '@'])?.trim_ascii_start().strip_prefix("sourceMappingURL=")?.trim_ascii();
    (!rest.is_empty() && !rest.contains(|c: char| c.is_ascii_whitespace() || c == '"' || c == '\'')).then_some(rest)
}

/// The text with its escapes resolved (CSS Syntax 3 section 4.3.7).
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(index) = rest.find('\\') {
        plain.push_str(&rest[..index]);
        rest = &rest[index + 1..];
        let digits = rest.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        if digits > 0 {
            let number = u32::from_str_radix(&rest[..digits], 16).unwrap_or(0);
            plain.push(char::from_u32(number).filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER));
            rest = &rest[digits..];
            rest = rest.strip_prefix([' ', '\n', '\t', '\r', '\u{c}']).unwrap_or(rest);
        } else if let Some(character) = rest.chars().next() {
            // A line that is continued leaves nothing behind.
            if character != '\n' {
                plain.push(character);
            }
            rest = &rest[character.len_utf8()..];
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(css: &str) -> Vec<(String, String)> {
        let found = find_css_references(css).unwrap();
        found.into_iter().map(|one| (css[one.range].to_owned(), one.url)).collect()
    }

    fn same(texts: &[&str]) -> Vec<(String, String)> {
        texts.iter().map(|text| ((*text).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn every_way_to_name_a_file_is_found() {
        assert_eq!(
            urls("a{background:url(a.png),URL( 'b.png' ),url(\"c.png\" ),url( d.png )}"),
            same(&["a.png", "b.png", "c.png", "d.png"])
        );
        assert_eq!(
            urls("@import 'a.css';@IMPORT url(b.css) layer(x) supports(src: url(c));@import url('d.css') print;"),
            same(&["a.css", "b.css", "c", "d.css"])
        );
        assert_eq!(
            urls("a{background:image-set('a.png' 1x, \"b.png\" type(\"image/png\") 2x, url(c.png));src:src('f')}"),
            same(&["a.png", "b.png", "c.png", "f"])
        );
        assert_eq!(urls("/*# sourceMappingURL=a.css.map */"), same(&["a.css.map"]));
        assert_eq!(urls("a{b:url(a\\20 b\\).png)}"), [("a\\20 b\\).png".to_owned(), "a b).png".to_owned())]);
    }

    #[test]
    fn what_only_looks_like_a_file_is_left_alone() {
        for css in [
            "a{content:'url(x)'}/* url(y) */",
            "@namespace url(x);@charset 'utf-8';",
            "@font-face{src:local('x') format('woff2')}",
            "a[href='x.css']{}.my-url (x){}.curl(x){}",
            "/* see sourceMappingURL=x */",
            "a{b:type('x')}",
        ] {
            assert_eq!(urls(css), [], "{css}");
        }
    }

    #[test]
    fn an_import_is_told_from_an_image() {
        use CssReferenceKind::{Font, Import, Url};
        let kinds = |css| find_css_references(css).unwrap().into_iter().map(|one| one.kind).collect::<Vec<_>>();
        assert_eq!(kinds("@import 'a';b{c:url(d)}"), [Import, Url]);
        assert_eq!(
            kinds("@font-face{src:url(a),url(b.png)}@FONT-FACE { x: url('c') }d{e:url(f.woff2)}"),
            [Font, Font, Font, Url]
        );
        assert_eq!(kinds("@font-face;a{b:url(c)}@font-face"), [Url]);
    }

    #[test]
    fn every_truncation_is_read_without_a_fault() {
        let css = "@import 'é\\é.css';a{b:url( é\\29 \\é )}/*# sourceMappingURL=é */@\\é x#\\é c\\é(\"\\é";
        for len in (0..css.len()).filter(|len| css.is_char_boundary(*len)) {
            for one in find_css_references(&css[..len]).unwrap() {
                assert!(css.get(one.range).is_some(), "{len}");
            }
        }
    }

    #[test]
    fn brackets_are_nested_up_to_a_limit() {
        for bracket in ["(", "[", "{", "a("] {
            let deep = bracket.repeat(CSS_DEPTH_MAX);
            assert!(find_css_references(&deep).is_ok());
            assert!(find_css_references(&(deep + bracket)).is_err());
        }
    }

    #[test]
    fn a_url_can_stand_between_any_quotes() {
        assert_eq!(css_url("/static/it's (1)%20.png?a=\"b\""), "/static/it%27s%20%281%29%20.png?a=%22b%22");
    }
}
