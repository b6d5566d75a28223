//! HTML without what nobody sees: comments, and all white space but one blank or line end. One is kept wherever there was
//! some, because a style sheet may put any two elements on one line. What is preformatted, scripts, styles, drawings and
//! formulas stay as they are, and so do tags, but for blanks between their attributes.

use std::ops::Range;

use super::element::is_void;
use super::tokens::{self, Event, Tag};

/// Elements whose text is shown or read as it is written. `title` isn't among them: its blanks are collapsed.
const VERBATIM: [&[u8]; 11] = [
    b"iframe",
    b"listing",
    b"math",
    b"noembed",
    b"plaintext",
    b"pre",
    b"script",
    b"style",
    b"svg",
    b"textarea",
    b"xmp",
];

/// Elements that may stand before the body, where white space is never seen.
const BEFORE_BODY: [&[u8]; 10] =
    [b"base", b"head", b"html", b"link", b"meta", b"noscript", b"script", b"style", b"template", b"title"];

/// A page without what nobody sees. The same again changes nothing.
pub fn minify(html: &str) -> String {
    let mut writer = Writer {
        html,
        minified: String::with_capacity(html.len()),
        read_to: 0,
        verbatim: None,
        is_before_body: true,
        is_in_title: false,
        is_after_blank: true,
    };
    tokens::read(html, |event, place| writer.handle(&event, &place));
    writer.push_text(html.len());
    writer.minified
}

struct Writer<'h> {
    html: &'h str,
    minified: String,
    /// All before is written.
    read_to: usize,
    /// The element that is kept as it is, and how many of its name are open in each other.
    verbatim: Option<(Vec<u8>, usize)>,
    is_before_body: bool,
    is_in_title: bool,
    /// The text so far ends with white space, or there can't be any here.
    is_after_blank: bool,
}

impl Writer<'_> {
    fn handle(&mut self, event: &Event<'_>, place: &Range<usize>) {
        match event {
            Event::Start(tag) => {
                self.push_text(place.start);
                self.is_before_body &= BEFORE_BODY.contains(&tag.name());
                self.push_tag(place);
                self.begin(tag);
            }
            Event::End(name) => {
                self.push_text(place.start);
                self.push_as_is(place.end);
                self.is_in_title = false;
                if let Some((verbatim, count)) = &mut self.verbatim
                    && verbatim == name
                {
                    *count -= 1;
                    if *count == 0 {
                        self.verbatim = None;
                    }
                }
                self.is_after_blank = self.is_before_body;
            }
            Event::Comment => {
                self.push_text(place.start);
                if self.verbatim.is_some() || self.is_kept(place) {
                    self.push_as_is(place.end);
                    self.is_after_blank = self.is_before_body;
                } else {
                    self.read_to = place.end;
                }
            }
            Event::Doctype => {
                self.push_text(place.start);
                self.push_as_is(place.end);
            }
            Event::Text(_) => {}
        }
    }

    fn begin(&mut self, tag: &Tag) {
        self.is_in_title = tag.name() == b"title";
        self.is_after_blank = self.is_before_body;
        let is_drawing = matches!(tag.name(), b"svg" | b"math");
        if is_drawing && tag.is_closed {
            return;
        }
        if let Some((name, count)) = &mut self.verbatim {
            *count += usize::from(name == tag.name());
            return;
        }
        // What has no content has no end tag either.
        if is_void(tag.name()) {
            return;
        }
        let has_own_blanks = tag.find(b"style").is_some_and(|style| {
            style.value.windows(b"white-space".len()).any(|word| word.eq_ignore_ascii_case(b"white-space"))
        });
        if has_own_blanks || VERBATIM.contains(&tag.name()) {
            self.verbatim = Some((tag.name().to_vec(), 1));
        }
    }

    fn push_as_is(&mut self, end: usize) {
        self.minified.push_str(&self.html[self.read_to.min(end)..end]);
        self.read_to = end;
    }

    /// Writes the text up to `end`.
    fn push_text(&mut self, end: usize) {
        let text = &self.html[self.read_to.min(end)..end];
        if self.verbatim.is_some() || text.is_empty() {
            self.push_as_is(end);
            return;
        }
        self.read_to = end;
        let mut rest = text;
        while let Some(start) = rest.find(is_blank) {
            self.push_word(&rest[..start]);
            let run_len = rest[start..].find(|c| !is_blank(c)).unwrap_or(rest.len() - start);
            let (run, after) = rest[start..].split_at(run_len);
            if !self.is_after_blank {
                self.minified.push(if run.contains('\n') { '\n' } else { ' ' });
                self.is_after_blank = true;
            }
            rest = after;
        }
        self.push_word(rest);
    }

    fn push_word(&mut self, word: &str) {
        if !word.is_empty() {
            self.minified.push_str(word);
            self.is_after_blank = false;
            self.is_before_body &= self.is_in_title;
        }
    }

    /// Writes a start tag, with one blank between its attributes.
    fn push_tag(&mut self, place: &Range<usize>) {
        let tag = &self.html[place.clone()];
        let has_excess = tag.contains(['\n', '\t']) || tag.contains("  ") || tag.contains(" >");
        match (has_excess && self.verbatim.is_none()).then(|| minify_tag(tag)).flatten() {
            Some(tag) => {
                self.minified.push_str(&tag);
                self.read_to = place.end;
            }
            None => self.push_as_is(place.end),
        }
    }

    /// Whether a comment stays: one that asks for it (`<!--!`), and one whose sides would become a tag or a reference.
    fn is_kept(&self, place: &Range<usize>) -> bool {
        let before = &self.minified[self.minified.floor_char_boundary(self.minified.len().saturating_sub(40))..];
        let word = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '#');
        self.html[place.clone()].starts_with("<!--!") || before.ends_with('<') || word.ends_with('&')
    }
}

/// A start tag with one blank between its attributes; `None` if it is not written as tags should be.
fn minify_tag(tag: &str) -> Option<String> {
    const ODD: [char; 4] = ['"', '\'', '<', '`'];
    let mut minified = String::with_capacity(tag.len());
    let inner = tag.strip_suffix('>')?;
    let (name, mut rest) = inner.split_at(inner.find(is_blank)?);
    minified.push_str(name);
    loop {
        rest = rest.trim_start_matches(is_blank);
        if rest.is_empty() {
            break;
        }
        minified.push(' ');
        let end = rest.find(|c| is_blank(c) || c == '=').unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() || name.contains(ODD) {
            return None;
        }
        minified.push_str(name);
        rest = &rest[end..];
        let Some(value) = rest.strip_prefix('=') else { continue };
        let len = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].find(quote)? + 2,
            _ => value.find(is_blank).unwrap_or(value.len()),
        };
        let written = &value[..len];
        if len == 0 || !written.starts_with(['"', '\'']) && written.contains(ODD) {
            return None;
        }
        minified.push('=');
        minified.push_str(written);
        rest = &value[len..];
        if !rest.is_empty() && !rest.starts_with(|c| is_blank(c) || c == '/') {
            return None;
        }
    }
    minified.push('>');
    Some(minified)
}

/// What HTML calls white space.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0C')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::html::read_events;

    #[test]
    fn white_space_becomes_one_blank_or_line_end_and_is_never_lost_between_words() {
        // A style sheet may put any two elements on one line: then the space between them is seen.
        let html = "<!doctype html>\n<html>\n  <head>\n\t<title>  A \n b </title>\n<meta a>\n</head>\n <body>\n\n  <p>a  b\t\tc\n\n d \
            <b> e</b>  <i>f</i></p>\n\n  <ul>\n <li>x</li>   <li>y</li></ul>\n</body>\n</html>\n";
        let expected = "<!doctype html><html><head><title>A\nb </title><meta a></head><body>\n<p>a b c\nd <b> e</b> <i>f</i></p>\n\
            <ul>\n<li>x</li> <li>y</li></ul>\n</body>\n</html>\n";
        assert_eq!(minify(html), expected);
    }

    #[test]
    fn comments_go_unless_they_ask_to_stay() {
        assert_eq!(
            minify("<p>a<!-- x --> b <!-- y --> c<!--! kept --> <?xml?><!x></p>"),
            "<p>a b c<!--! kept --> </p>"
        );
        // Without the comment these would be a tag and a reference.
        assert_eq!(minify("<p><<!-- -->b> &am<!-- -->p; &<!-- --></p>"), "<p><<!-- -->b> &am<!-- -->p; &<!-- --></p>");
    }

    #[test]
    fn what_is_written_as_it_is_shown_stays() {
        for html in [
            "<pre>\n\n a  b <!-- x --> <b>  c</b>\n</pre>",
            "<textarea>  a\n\n<!-- b --></textarea>",
            "<script>  if (a  <  b) { }\n\n</script>",
            "<style>  a  { }  /*  x  */</style>",
            "<svg>  <text>a  b</text>\n\n<svg/>  <!-- x --></svg>",
            "<p style=\"white-space: pre\">a  b\n\n<b>  c</b></p>",
            "<svg><![CDATA[  a  > <p>  ]]></svg>",
        ] {
            assert_eq!(minify(html), html);
        }
        assert_eq!(
            minify("<img style='white-space:pre'>  <br style=white-space:pre  >\n\n<p>a  b"),
            "<img style='white-space:pre'> <br style=white-space:pre>\n<p>a b"
        );
        assert_eq!(minify("<pre> <pre>  </pre>  </pre>  <p>a  b"), "<pre> <pre>  </pre>  </pre> <p>a b");
    }

    #[test]
    fn a_tag_keeps_its_attributes_to_the_letter() {
        let tag = "<p>x<a\n  href=\"a  b\"\t title='x\n  y'  data-a=b  hidden  /></a >";
        assert_eq!(minify(tag), "<p>x<a href=\"a  b\" title='x\n  y' data-a=b hidden /></a >");
        assert_eq!(minify("<p>x<br  >"), "<p>x<br>");
        for odd in ["<p a =  b>", "<p  a\"b  c>", "<p  =a  b>", "<p a='b'c  d>"] {
            assert_eq!(minify(odd), odd);
        }
    }

    /// What a reader of a page sees, as a browser does: tags, and texts in which white space is one blank. Before the
    /// body white space is nothing.
    #[derive(Default)]
    struct Seen {
        all: Vec<String>,
        text: String,
        is_in_body: bool,
        is_in_title: bool,
    }

    impl Seen {
        fn end_text(&mut self) {
            let text = std::mem::take(&mut self.text);
            let mut collapsed = text.split(is_blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            if text.is_empty() || !self.is_in_body && collapsed.is_empty() {
                return;
            }
            if self.is_in_body && text.starts_with(is_blank) {
                collapsed.insert(0, ' ');
            }
            if text.ends_with(is_blank) && collapsed != " " {
                collapsed.push(' ');
            }
            self.is_in_body |= !self.is_in_title;
            self.all.push(collapsed);
        }

        fn tag(&mut self, shown: String) {
            self.end_text();
            self.all.push(shown);
        }
    }

    fn seen(html: &str) -> Vec<String> {
        let mut seen = Seen::default();
        read_events(html, |event, _| match event {
            Event::Start(tag) => {
                let attributes = tag.attributes().map(|one| {
                    format!(" {}={:?}", String::from_utf8_lossy(one.name), String::from_utf8_lossy(one.value))
                });
                let attributes: String = attributes.collect();
                seen.tag(format!("<{}{attributes}", String::from_utf8_lossy(tag.name())));
                // What stands in these is no text of the body.
                seen.is_in_title = matches!(tag.name(), b"script" | b"style" | b"title");
                seen.is_in_body |= !BEFORE_BODY.contains(&tag.name());
            }
            Event::End(name) => {
                seen.tag(format!("</{}", String::from_utf8_lossy(name)));
                seen.is_in_title = false;
            }
            Event::Text(value) => seen.text.push_str(value),
            Event::Comment | Event::Doctype => {}
        });
        seen.end_text();
        seen.all
    }

    /// Pieces of markup that get in each other's way.
    fn markup() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            " ",
            "\n",
            "\t ",
            "  ",
            "a",
            "b c",
            "&amp;",
            "&",
            "am",
            "p;",
            "<",
            ">",
            "<!-- x -->",
            "<!--! y -->",
            "<!--",
            "-->",
            "<p>",
            "</p>",
            "<b class=\"x  y\">",
            "</b>",
            "<a\n href=x  >",
            "<br />",
            "<pre>",
            "</pre>",
            "<script>",
            "</script>",
            "<title>",
            "</title>",
            "<head>",
            "</head>",
            "<body>",
            "<svg>",
            "</svg>",
            "<textarea>",
            "</textarea>",
            "<i style='white-space:pre'>",
            "</i>",
            "<noscript>",
            "</noscript>",
            "=",
            "\"",
            "'",
            "/",
            "é",
            "<q  a = b>",
            "<template>",
            "</template>",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn once_is_enough(html in markup()) {
            let once = minify(&html);
            prop_assert_eq!(minify(&once), once);
        }

        #[test]
        fn what_is_seen_stays(html in markup()) {
            prop_assert_eq!(seen(&minify(&html)), seen(&html));
        }
    }
}
