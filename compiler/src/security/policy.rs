//! The policy of a page (Content Security Policy, level 3), from its finished bytes: hashes of what stands in it, and the
//! other hosts that its own markup names. What it allows is what the page says, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::assets::{CssReferenceKind, find_css_references, url_path};
use crate::html::{Event, ScriptKind, Tag, directive_of, origin_of, read_events, sha256_source};
use crate::site::{is_elsewhere, percent_decode};

/// What the style sheets of a site name at other hosts, by the sheets' paths.
pub type SheetSources = BTreeMap<String, Vec<(&'static str, String)>>;

/// The policy of a page by its finished bytes.
pub fn page_policy(html: &str, sheets: &SheetSources) -> String {
    let mut reader = Reader { html, sheets, content: None, sources: BTreeMap::new() };
    reader.allow("img-src", "data:".to_owned());
    read_events(html, |event, place| match event {
        Event::Start(tag) => reader.start(tag, place.end),
        Event::End(_) => reader.end_content(place.start),
        _ => {}
    });
    reader.write()
}

/// A page with its policy in a `<meta>` before everything that it holds for. Directives that a `<meta>` can't have are left
/// out.
pub fn add_policy(html: &str, policy: &str) -> String {
    let kept: Vec<&str> = directives(policy).filter(|directive| !is_for_head_alone(directive)).collect();
    let value = kept.join("; ").replace('&', "&amp;").replace('"', "&quot;");
    // A page's encoding must be said within its first 1,024 bytes, so that stays in front.
    let (mut at, mut is_found) = (0, false);
    read_events(html, |event, place| {
        let goes_before = match event {
            Event::Start(tag) => {
                matches!(tag.name(), b"html" | b"head") || tag.name() == b"meta" && tag.find(b"charset").is_some()
            }
            Event::Doctype | Event::Comment => true,
            Event::Text(text) => text.trim_ascii().is_empty(),
            Event::End(_) => false,
        };
        is_found |= !goes_before;
        if !is_found && !matches!(event, Event::Text(_) | Event::Comment) {
            at = place.end;
        }
    });
    let meta = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{value}\">");
    [&html[..at], &meta, &html[at..]].concat()
}

/// The directives of a policy that a `<meta>` can't have, as a policy of their own for a field beside it; nothing if there
/// are none.
pub fn policy_beside_meta(policy: &str) -> Option<String> {
    let rest: Vec<&str> = directives(policy).filter(|directive| is_for_head_alone(directive)).collect();
    (!rest.is_empty()).then(|| rest.join("; "))
}

fn directives(policy: &str) -> impl Iterator<Item = &str> {
    policy.split(';').map(str::trim).filter(|directive| !directive.is_empty())
}

/// Whether browsers take no notice of a directive in a `<meta>` (CSP 3 section 3.3).
fn is_for_head_alone(directive: &str) -> bool {
    let name = directive.split_ascii_whitespace().next().unwrap_or_default();
    ["frame-ancestors", "report-uri", "report-to", "sandbox"].iter().any(|one| name.eq_ignore_ascii_case(one))
}

struct Reader<'h> {
    html: &'h str,
    sheets: &'h SheetSources,
    /// The directive for an inline script or style that is open, and where it begins.
    content: Option<(&'static str, usize)>,
    sources: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Reader<'_> {
    fn allow(&mut self, directive: &'static str, source: String) {
        self.sources.entry(directive).or_default().insert(source);
    }

    /// Allows the host of a URL, if it names one.
    fn allow_url(&mut self, directive: &'static str, url: &str) {
        if let Some(origin) = origin_of(url) {
            self.allow(directive, origin);
        } else if let Some(scheme) = ["data:", "blob:"].into_iter().find(|scheme| url.trim_ascii().starts_with(scheme))
            && !matches!(directive, "script-src" | "base-uri" | "form-action" | "object-src")
        {
            self.allow(directive, scheme.to_owned());
        } else if directive == "object-src" && !url.is_empty() {
            self.allow(directive, "'self'".to_owned());
        }
    }

    fn start(&mut self, tag: &Tag, end: usize) {
        if let Some(style) = tag.find(b"style") {
            self.allow("style-src", sha256_source(style.value));
            // Without it a hash is not for attributes (CSP 3 section 8.3).
            self.allow("style-src", "'unsafe-hashes'".to_owned());
            self.allow_sheet(&String::from_utf8_lossy(style.value));
        }
        match tag.name() {
            b"script" if tag.find(b"src").is_some() => {
                self.allow_url("script-src", tag.value(b"src").unwrap_or_default());
            }
            b"script" => self.content = ScriptKind::of(tag).has_hash().then_some(("script-src", end)),
            b"style" => self.content = Some(("style-src", end)),
            b"link" => self.start_link(tag),
            name => {
                for attribute in tag.attributes() {
                    let Some(directive) = directive_of(name, attribute.name) else { continue };
                    let value = String::from_utf8_lossy(attribute.value);
                    let urls: Vec<&str> = if attribute.name == b"srcset" {
                        value.split([',', ' ', '\n']).collect()
                    } else {
                        vec![&*value]
                    };
                    for url in urls {
                        self.allow_url(directive, url);
                    }
                }
            }
        }
    }

    fn start_link(&mut self, tag: &Tag) {
        let relations = tag.value(b"rel").unwrap_or_default().to_ascii_lowercase();
        let href = tag.value(b"href").unwrap_or_default();
        let has = |relation: &str| relations.split_ascii_whitespace().any(|one| one == relation);
        let directive = match () {
            () if has("stylesheet") => "style-src",
            () if has("icon") || has("apple-touch-icon") => "img-src",
            () if has("manifest") => "manifest-src",
            () if has("modulepreload") => "script-src",
            // A host that the page says it will load fonts from, which a foreign style sheet names where nobody sees it.
            () if has("preconnect") && tag.find(b"crossorigin").is_some() => "font-src",
            () if has("preload") => match tag.value(b"as").unwrap_or_default() {
                "script" => "script-src",
                "style" => "style-src",
                "image" => "img-src",
                "font" => "font-src",
                "audio" | "video" | "track" => "media-src",
                _ => "connect-src",
            },
            () => return,
        };
        self.allow_url(directive, href);
        for url in tag.value(b"imagesrcset").unwrap_or_default().split([',', ' ', '\n']) {
            self.allow_url("img-src", url);
        }
        self.allow_own_sheet(href);
    }

    /// Allows what one of the site's own sheets loads.
    fn allow_own_sheet(&mut self, url: &str) {
        let sheets = self.sheets;
        let sources = sheet_path("/", url).and_then(|path| sheets.get(&path));
        for (directive, source) in sources.into_iter().flatten() {
            self.allow(directive, source.clone());
        }
    }

    fn end_content(&mut self, end: usize) {
        let Some((directive, start)) = self.content.take() else { return };
        let content = self.html.get(start..end).unwrap_or_default();
        self.allow(directive, sha256_source(content.as_bytes()));
        if directive == "style-src" {
            self.allow_sheet(content);
        }
    }

    fn allow_sheet(&mut self, css: &str) {
        let SheetReading { sources, imports } = read_sheet(css);
        for (directive, source) in sources {
            self.allow(directive, source);
        }
        for url in imports {
            self.allow_own_sheet(&url);
        }
    }

    fn write(self) -> String {
        let mut policy = "default-src 'self'".to_owned();
        let mut push = |directive: &str, first: &str, sources: Option<&BTreeSet<String>>| {
            policy += &["; ", directive, " ", first].concat();
            for source in sources.into_iter().flatten().filter(|source| *source != first) {
                policy += &[" ", source].concat();
            }
        };
        push("script-src", "'self'", self.sources.get("script-src"));
        push("style-src", "'self'", self.sources.get("style-src"));
        push("img-src", "'self'", self.sources.get("img-src"));
        match self.sources.get("object-src") {
            Some(sources) => push("object-src", sources.first().map_or("'self'", String::as_str), Some(sources)),
            None => push("object-src", "'none'", None),
        }
        push("base-uri", "'self'", self.sources.get("base-uri"));
        let written = ["script-src", "style-src", "img-src", "object-src", "base-uri"];
        for (directive, sources) in self.sources.iter().filter(|(directive, _)| !written.contains(directive)) {
            push(directive, "'self'", Some(sources));
        }
        policy
    }
}

/// A style sheet as far as a policy is concerned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SheetReading {
    /// What it loads from other hosts: directives with sources.
    pub sources: Vec<(&'static str, String)>,
    /// The URLs of the sheets that it imports, as they are written.
    pub imports: Vec<String>,
}

/// Reads a style sheet. One whose brackets are nested without end names nothing.
pub fn read_sheet(css: &str) -> SheetReading {
    let (mut sources, mut imports) = (BTreeSet::new(), Vec::new());
    for reference in find_css_references(css).unwrap_or_default() {
        let directive = match reference.kind {
            CssReferenceKind::Import => "style-src",
            CssReferenceKind::Font => "font-src",
            CssReferenceKind::Url => "img-src",
            CssReferenceKind::SourceMap(_) => continue,
        };
        let url = reference.url.trim_ascii();
        if let Some(origin) = origin_of(url) {
            sources.insert((directive, origin));
        } else if url.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:")) {
            sources.insert((directive, "data:".to_owned()));
        } else if directive == "style-src" {
            imports.push(url.to_owned());
        }
    }
    SheetReading { sources: sources.into_iter().collect(), imports }
}

/// What each of a site's style sheets, by their paths, loads from other hosts, with all sheets that it imports.
pub fn find_sheet_sources(sheets: &BTreeMap<String, SheetReading>) -> SheetSources {
    let with_imports = |path: &str| {
        let mut sources = BTreeSet::new();
        let (mut waiting, mut seen) = (vec![path.to_owned()], BTreeSet::from([path.to_owned()]));
        while let Some(path) = waiting.pop() {
            let Some(sheet) = sheets.get(&path) else { continue };
            sources.extend(sheet.sources.iter().cloned());
            let imports = sheet.imports.iter().filter_map(|url| sheet_path(&path, url));
            waiting.extend(imports.filter(|path| seen.insert(path.clone())));
        }
        sources.into_iter().collect::<Vec<_>>()
    };
    let all = sheets.keys().map(|path| (path.clone(), with_imports(path)));
    all.filter(|(_, sources)| !sources.is_empty()).collect()
}

/// The path of the site that the URL of a style sheet means, seen from the file at `base`.
fn sheet_path(base: &str, url: &str) -> Option<String> {
    let url = url.trim_ascii();
    let path = url.split(['?', '#']).next().filter(|path| !path.is_empty() && !is_elsewhere(url))?;
    Some(url_path(base, &percent_decode(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
        object-src 'none'; base-uri 'self'";

    fn policy(html: &str) -> String {
        page_policy(html, &SheetSources::new())
    }

    #[test]
    fn a_page_that_names_nothing_gets_the_plain_policy() {
        assert_eq!(policy("<!doctype html><p>text <a href=\"https://example.com\">a link</a>"), BASE);
        assert_eq!(policy("<script src=/a.js></script><link rel=stylesheet href=/a.css><img src=data:,>"), BASE);
        assert_eq!(policy("<script type=\"text/template\"><b></script><!-- <script>x</script> -->"), BASE);
    }

    #[test]
    fn scripts_and_styles_in_the_page_are_named_by_their_hash() {
        // The hash is of what stands between the tags, and of an attribute's value as a browser reads it.
        let x = "'sha256-LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE='";
        assert_eq!(sha256_source(b"x"), x);
        let with = |script: &str, style: &str| {
            BASE.replace("script-src 'self'", &format!("script-src 'self'{script}"))
                .replace("style-src 'self'", &format!("style-src 'self'{style}"))
        };
        assert_eq!(policy("<script>x</script><script>x</script>"), with(&format!(" {x}"), ""));
        assert_eq!(policy("<script type=\"application/ld+json\">x</script>"), with(&format!(" {x}"), ""));
        assert_eq!(policy("<SCRIPT TYPE=Module>x</SCRIPT>"), with(&format!(" {x}"), ""));
        assert_eq!(policy("<style>x</style>"), with("", &format!(" {x}")));
        assert_eq!(policy("<p style='&#x78;'>"), with("", &format!(" {x} 'unsafe-hashes'")));
        assert_eq!(policy("<noscript><style>x</style></noscript>"), with("", &format!(" {x}")));
    }

    #[test]
    fn each_host_stands_under_its_directive() {
        let html = "<img src=https://img.example/a.png srcset='https://img2.example/b.png 2x, /c.png 1x'>\
            <script src=//js.example/x.js></script><link rel=stylesheet href=https://css.example:8080/a>\
            <iframe src=https://frame.example/></iframe><video src=https://video.example/a.mp4></video>\
            <form action=https://form.example/post></form><link rel=preload as=font href=https://font.example/a.woff2>\
            <object data=/a.pdf></object><style>@import url(\"https://import.example/a\");\
            a{background:url(https://bg.example/b.png)}@font-face{src:url('data:font/woff2;base64,x')}</style>";
        let hash = sha256_source(html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0.as_bytes());
        let expected = [
            "default-src 'self'",
            "script-src 'self' https://js.example",
            &format!("style-src 'self' {hash} https://css.example:8080 https://import.example"),
            "img-src 'self' data: https://bg.example https://img.example https://img2.example",
            "object-src 'self'",
            "base-uri 'self'",
            "font-src 'self' data: https://font.example",
            "form-action 'self' https://form.example",
            "frame-src 'self' https://frame.example",
            "media-src 'self' https://video.example",
        ];
        assert_eq!(policy(html), expected.join("; "));
    }

    #[test]
    fn a_sheets_fonts_images_and_imports_are_told_by_where_they_stand() {
        // By its extension alone a font without one would be blocked, and so would all that an imported sheet loads.
        let sheet = |css: &str| read_sheet(css);
        let css = "@font-face{src:url(https://a.example/font?x),url(\"//b.example/b.png\")}\
            a[href='https://c.example/'],b{content:\"https://d.example\"}c{background:url( https://e.example/f.woff2 )}";
        let expected = [
            ("font-src", "https://a.example".to_owned()),
            ("font-src", "https://b.example".to_owned()),
            ("img-src", "https://e.example".to_owned()),
        ];
        assert_eq!(sheet(css).sources, expected);
        let sheets = BTreeMap::from([
            ("/static/a.css".to_owned(), sheet("@import 'sub/b.css';@import url(https://f.example/x)")),
            (
                "/static/sub/b.css".to_owned(),
                sheet("@import \"/static/a.css?v=1\";@font-face{src:url(data:font/woff2,x)}"),
            ),
            ("/static/c d.css".to_owned(), sheet("@import 'sub/b.css'")),
            ("/static/none.css".to_owned(), sheet("a{}")),
        ]);
        let sources = find_sheet_sources(&sheets);
        let all = vec![("font-src", "data:".to_owned()), ("style-src", "https://f.example".to_owned())];
        let paths = ["/static/a.css", "/static/c d.css", "/static/sub/b.css"];
        assert_eq!(sources, paths.map(|path| (path.to_owned(), all.clone())).into());
        for html in ["<link rel=stylesheet href='/static/c%20d.css?x'>", "<style>@import '/static/sub/b.css'</style>"] {
            let policy = page_policy(html, &sources);
            assert!(policy.contains("https://f.example") && policy.contains("font-src 'self' data:"), "{policy}");
        }
    }

    #[test]
    fn the_fonts_of_a_foreign_sheet_are_allowed_where_the_page_connects_to_their_host() {
        let html = "<link rel=preconnect href=https://fonts.example crossorigin><link rel=stylesheet href=https://css.example/x>";
        assert!(policy(html).ends_with("; font-src 'self' https://fonts.example"), "{}", policy(html));
    }

    #[test]
    fn what_a_host_is_called_cannot_change_the_policy() {
        // A value out of a page's data must not bring in a directive of its own.
        assert_eq!(policy("<img src=\"https://a.example;script-src 'unsafe-inline'/x\">"), BASE);
        assert_eq!(policy("<img src=\"https:///x\"><img src=\"https://a b/\">"), BASE);
    }

    #[test]
    fn an_exported_page_has_its_policy_before_what_it_holds_for() {
        let add = |html: &str| add_policy(html, "default-src 'self'; frame-ancestors 'none'; img-src \"&\"");
        let meta =
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'self'; img-src &quot;&amp;&quot;\">";
        for (before, after) in [
            ("<!doctype html>\n<html lang=en><head>", "<title>x</title><meta charset=utf-8></head>"),
            ("<!doctype html><head>\n<meta charset=utf-8>", "\n<script>x</script><p>"),
            ("", "<p>x"),
            ("", "x"),
        ] {
            assert_eq!(add(&format!("{before}{after}")), format!("{before}{meta}{after}"));
        }
    }
}
