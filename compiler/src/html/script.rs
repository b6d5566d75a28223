//! What a script will ask for that a policy has to allow, as far as its text says it.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::tokens::Tag;

/// Something in a script that needs a source in the policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Need {
    /// Where it stands in the script.
    pub(super) range: Range<usize>,
    /// The directive.
    pub(super) directive: &'static str,
    /// What the directive lacks: an origin, or a word in quotes.
    pub(super) source: String,
}

/// What a `<script>` without `src` is to a browser (HTML, “prepare the script element”).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ScriptKind {
    /// It runs.
    Code,
    /// `importmap` and `speculationrules`: it says how others run, or what is loaded ahead.
    Rules,
    /// JSON-LD: it doesn't run, and a policy names it all the same.
    LinkedData,
    /// Data that nobody but a script reads.
    Data,
}

/// The essences of MIME types that mean JavaScript (MIME Sniffing, “JavaScript MIME type”), and no type at all.
const CODE_TYPES: [&str; 17] = [
    "",
    "application/ecmascript",
    "application/javascript",
    "application/x-ecmascript",
    "application/x-javascript",
    "text/ecmascript",
    "text/javascript",
    "text/javascript1.0",
    "text/javascript1.1",
    "text/javascript1.2",
    "text/javascript1.3",
    "text/javascript1.4",
    "text/javascript1.5",
    "text/jscript",
    "text/livescript",
    "text/x-ecmascript",
    "text/x-javascript",
];

impl ScriptKind {
    /// The kind of a `<script>`. A type with a parameter, such as `text/javascript; charset=utf-8`, is none that runs.
    pub(crate) fn of(tag: &Tag) -> Self {
        let written = tag.value(b"type").map(|kind| kind.trim_ascii().to_ascii_lowercase());
        // Without a type an old attribute says it.
        let language = tag.value(b"language").filter(|language| !language.is_empty());
        let kind = match (written, language) {
            (Some(kind), _) => kind,
            (None, Some(language)) => format!("text/{}", language.to_ascii_lowercase()),
            (None, None) => String::new(),
        };
        match kind.as_str() {
            "module" => Self::Code,
            "importmap" | "speculationrules" => Self::Rules,
            "application/ld+json" => Self::LinkedData,
            kind if CODE_TYPES.contains(&kind) => Self::Code,
            _ => Self::Data,
        }
    }

    /// Whether the page's policy has its hash.
    pub(crate) fn has_hash(self) -> bool {
        self != Self::Data
    }
}

/// The directive of a policy that holds for the URL in an attribute of an element, if something is loaded from there.
pub(crate) fn directive_of(element: &[u8], attribute: &[u8]) -> Option<&'static str> {
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

/// Calls that take a URL, with the directive that holds for it.
const CALLS: [(&str, &str); 7] = [
    ("import(", "script-src"),
    ("importScripts(", "script-src"),
    ("fetch(", "connect-src"),
    ("sendBeacon(", "connect-src"),
    ("new EventSource(", "connect-src"),
    ("new WebSocket(", "connect-src"),
    ("new Worker(", "worker-src"),
];

/// Calls that make code of text.
const EVALUATIONS: [&str; 2] = ["eval(", "new Function("];

/// What a script needs, in order.
pub(super) fn find_needs(script: &str) -> Vec<Need> {
    let mut needs = Vec::new();
    for (call, directive) in CALLS {
        for start in find_calls(script, call) {
            let argument = script[start + call.len()..].trim_ascii_start();
            let Some(quote) = argument.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) else { continue };
            let url = quoted(argument, quote);
            if let Some(source) = origin_of(url) {
                let end = script.len() - argument.len() + 1 + url.len();
                needs.push(Need { range: start..end, directive, source });
            }
        }
    }
    for keyword in ["from", "import"] {
        for start in find_calls(script, keyword) {
            let rest = script[start + keyword.len()..].trim_ascii_start();
            let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else { continue };
            let url = quoted(rest, quote);
            if let Some(source) = origin_of(url) {
                let end = script.len() - rest.len() + 1 + url.len();
                needs.push(Need { range: start..end, directive: "script-src", source });
            }
        }
    }
    for call in EVALUATIONS {
        let found = find_calls(script, call).map(|start| Need {
            range: start..start + call.len() - 1,
            directive: "script-src",
            source: "'unsafe-eval'".to_owned(),
        });
        needs.extend(found);
    }
    needs.sort_by_key(|need| need.range.start);
    needs
}

/// What a text says between its first character, a quote, and the next one like it.
fn quoted(text: &str, quote: char) -> &str {
    let window = &text[1..text.floor_char_boundary(URL_BYTES_MAX)];
    window.split(quote).next().unwrap_or_default()
}

/// The scheme and host of a URL that names them, as a policy names them; `None` for what leads to no other host, or to one
/// that a policy can't name. Without a scheme it is that of the page.
pub(crate) fn origin_of(url: &str) -> Option<String> {
    let url = url.trim_ascii();
    let (scheme, rest) = match url.strip_prefix("//") {
        Some(rest) => ("https", rest),
        None => url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "https" | "wss"))?,
    };
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    is_host.then(|| format!("{scheme}://{}", host.to_ascii_lowercase()))
}

/// How a policy names a script or a style by what it says: `'sha256-…'`.
pub(crate) fn sha256_source(bytes: &[u8]) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(bytes)))
}

/// A URL in a script is looked at up to here. Guessed.
const URL_BYTES_MAX: usize = 2_048;

/// Where a word stands that isn't the end of a longer one.
fn find_calls<'s>(script: &'s str, call: &'s str) -> impl Iterator<Item = usize> + 's {
    script.match_indices(call).map(|(start, _)| start).filter(|start| {
        let before = script[..*start].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(script: &str) -> Vec<(String, &'static str, String)> {
        let found = find_needs(script).into_iter();
        found.map(|need| (script[need.range].to_owned(), need.directive, need.source)).collect()
    }

    #[test]
    fn what_a_script_asks_other_hosts_for_is_found() {
        let script = "import x from 'https://a.example/x.js'; await import( \"https://b.example:8/y\" );\n\
            fetch(`https://c.example/${id}`); new WebSocket('wss://d.example/'); eval(text); new Function('x')";
        let expected = [
            ("from 'https://a.example/x.js", "script-src", "https://a.example"),
            ("import( \"https://b.example:8/y", "script-src", "https://b.example:8"),
            ("fetch(`https://c.example/${id}", "connect-src", "https://c.example"),
            ("new WebSocket('wss://d.example/", "connect-src", "wss://d.example"),
            ("eval", "script-src", "'unsafe-eval'"),
            ("new Function", "script-src", "'unsafe-eval'"),
        ];
        let expected = expected.map(|(text, directive, source)| (text.to_owned(), directive, source.to_owned()));
        assert_eq!(needs(script), expected);
    }

    #[test]
    fn what_stays_at_home_needs_nothing() {
        assert_eq!(needs("fetch('/x'); import('./y.js'); retrieval(1); medieval('x'); // https://a.example"), []);
    }
}
