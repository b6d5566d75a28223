//! The policy of a page (Content Security Policy, level 3), from its finished bytes: hashes of what stands in it, and the
//! other hosts that its own markup names. What it allows is what the page says, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::html::{Event, Tag, origin_of, read_events, sha256_source};

/// What the style sheets of a site name at other hosts, by the sheets' paths.
pub type SheetSources = BTreeMap<String, Vec<(&'static str, String)>>;

/// The types of scripts that a browser runs, and of data that a policy counts among them.
const SCRIPT_TYPES: [&str; 9] = [
    "",
    "application/ecmascript",
    "application/javascript",
    "application/ld+json",
    "importmap",
    "module",
    "speculationrules",
    "text/ecmascript",
    "text/javascript",
];

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
            self.allow_sheet(&String::from_utf8_lossy(style.value));
        }
        match tag.name() {
            b"script" if tag.find(b"src").is_some() => {
                self.allow_url("script-src", tag.value(b"src").unwrap_or_default());
            }
            b"script" => {
                let kind = tag.value(b"type").unwrap_or_default().trim_ascii().to_ascii_lowercase();
                self.content = SCRIPT_TYPES.contains(&kind.as_str()).then_some(("script-src", end));
            }
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
        for (directive, source) in self.sheets.get(href).into_iter().flatten() {
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
        for (directive, source) in find_sheet_sources(css) {
            self.allow(directive, source);
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
        push("style-src", "'self' 'unsafe-hashes'", self.sources.get("style-src"));
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

/// Which directive holds for the URL in an attribute.
fn directive_of(element: &[u8], attribute: &[u8]) -> Option<&'static str> {
    Some(match (element, attribute) {
        (b"img" | b"input", b"src" | b"srcset")
        | (b"source", b"srcset")
        | (b"video", b"poster")
        | (b"image" | b"feimage", b"href" | b"xlink:href") => "img-src",
        (b"iframe" | b"frame", b"src") => "frame-src",
        (b"audio" | b"video" | b"source" | b"track", b"src") => "media-src",
        (b"embed", b"src") | (b"object", b"data") => "object-src",
        (b"form", b"action") | (b"button" | b"input", b"formaction") => "form-action",
        (b"base", b"href") => "base-uri",
        (b"a" | b"area", b"ping") => "connect-src",
        _ => return None,
    })
}

/// What a style sheet loads from other hosts: directives with sources.
pub fn find_sheet_sources(css: &str) -> Vec<(&'static str, String)> {
    let mut sources = BTreeSet::new();
    let starts = ["https://", "//", "data:"].into_iter().flat_map(|start| css.match_indices(start));
    for (at, start) in starts {
        // A URL stands in quotes or in `url(…)`; everything else is a comment or a longer URL's inside.
        let before = css[..at].trim_ascii_end();
        if !before.ends_with(['"', '\'', '(']) {
            continue;
        }
        let end = css[at..].find(['"', '\'', ')', ' ', '\n']).map_or(css.len(), |len| at + len);
        let url = &css[at..end];
        let before_url = before.trim_end_matches(['"', '\'', '(']).trim_ascii_end();
        let is_import = before_url.ends_with("@import")
            || before_url.strip_suffix("url").is_some_and(|rest| rest.trim_ascii_end().ends_with("@import"));
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let is_font = [".woff2", ".woff", ".ttf", ".otf", ".eot"].iter().any(|one| path.ends_with(one))
            || ["data:font/", "data:application/font", "data:application/x-font"]
                .iter()
                .any(|one| url.starts_with(one));
        let directive = if is_import {
            "style-src"
        } else if is_font {
            "font-src"
        } else {
            "img-src"
        };
        if start == "data:" {
            sources.insert((directive, "data:".to_owned()));
        } else if let Some(origin) = origin_of(url) {
            sources.insert((directive, origin));
        }
    }
    sources.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-hashes'; img-src 'self' data:; \
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
                .replace("'unsafe-hashes'", &format!("'unsafe-hashes'{style}"))
        };
        assert_eq!(policy("<script>x</script><script>x</script>"), with(&format!(" {x}"), ""));
        assert_eq!(policy("<script type=\"application/ld+json\">x</script>"), with(&format!(" {x}"), ""));
        assert_eq!(policy("<SCRIPT TYPE=Module>x</SCRIPT>"), with(&format!(" {x}"), ""));
        assert_eq!(policy("<style>x</style>"), with("", &format!(" {x}")));
        assert_eq!(policy("<p style='&#x78;'>"), with("", &format!(" {x}")));
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
            &format!("style-src 'self' 'unsafe-hashes' {hash} https://css.example:8080 https://import.example"),
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
