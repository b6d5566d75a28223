//! Source code with classes on what a reader looks for: keywords, names, text, comments. The grammars are those of
//! tree-sitter; how they look is said in `highlight.css` alone.

use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, LazyLock};

use arborium::{GrammarStore, Highlighter};

use crate::cache::{Cache, CacheKey, Shelf};
use crate::diagnostic::is_slip;

/// Where the style sheet is published, unless the site has a file of its own there.
pub const STYLE_SHEET_PATH: &str = "/static/css/highlight.css";

/// Both themes. Each colour stands on its background with a contrast of 4.5 or more (WCAG 2.2, 1.4.3).
pub const STYLE_SHEET: &str = include_str!("highlight.css");

/// Longer code is left plain. Guessed: nobody reads so much in a page, and it would cost seconds.
const CODE_BYTES_MAX: usize = 256 * 1024;

/// Names what is kept of code that was highlighted: the version of the grammars, and ours of what is made of their words.
const VERSION: &str = "highlight 1, arborium 2.18.2";

/// Grammars are put together when the first code in their language is met: each takes up to 40 ms.
static GRAMMARS: LazyLock<Arc<GrammarStore>> = LazyLock::new(|| Arc::new(GrammarStore::new()));

/// Languages that have a grammar, by the names that are usual after a fence.
const LANGUAGES: [&str; 32] = [
    "bash",
    "c",
    "c-sharp",
    "cpp",
    "css",
    "diff",
    "dockerfile",
    "elixir",
    "go",
    "html",
    "ini",
    "java",
    "javascript",
    "json",
    "kotlin",
    "lua",
    "make",
    "markdown",
    "nix",
    "php",
    "python",
    "ruby",
    "rust",
    "scss",
    "sql",
    "swift",
    "toml",
    "typescript",
    "xml",
    "yaml",
    "zig",
    "text",
];

/// Other names of the same.
const ALIASES: [(&str, &str); 38] = [
    ("c#", "c-sharp"),
    ("c++", "cpp"),
    ("cc", "cpp"),
    ("cs", "c-sharp"),
    ("csharp", "c-sharp"),
    ("docker", "dockerfile"),
    ("ex", "elixir"),
    ("exs", "elixir"),
    ("golang", "go"),
    ("h", "c"),
    ("hpp", "cpp"),
    ("htm", "html"),
    ("js", "javascript"),
    ("json5", "json"),
    ("jsonc", "json"),
    ("jsonl", "json"),
    ("jsx", "javascript"),
    ("kt", "kotlin"),
    ("luau", "lua"),
    ("makefile", "make"),
    ("md", "markdown"),
    ("mjs", "javascript"),
    ("patch", "diff"),
    ("py", "python"),
    ("rb", "ruby"),
    ("rs", "rust"),
    ("sass", "scss"),
    ("sh", "bash"),
    ("shell", "bash"),
    ("svg", "xml"),
    ("ts", "typescript"),
    ("tsx", "typescript"),
    ("txt", "text"),
    ("plain", "text"),
    ("plaintext", "text"),
    ("xhtml", "html"),
    ("yml", "yaml"),
    ("zsh", "bash"),
];

/// Languages without a grammar here whose names are nearly those of others.
const OTHERS: [&str; 6] = ["cmake", "fsharp", "gmake", "nmake", "qmake", "scilab"];

/// The lines of a block that stand out, and whether lines are numbered.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Lines {
    pub(super) marked: Vec<RangeInclusive<usize>>,
    pub(super) numbered: bool,
}

impl Lines {
    pub(super) fn is_marked(&self, line: usize) -> bool {
        let after = self.marked.partition_point(|range| *range.start() <= line);
        self.marked[..after].last().is_some_and(|range| range.contains(&line))
    }

    fn are_plain(&self) -> bool {
        self.marked.is_empty() && !self.numbered
    }
}

/// The language's name as the grammars have it; nothing if there is none.
pub(super) fn find_language(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, language)| *language);
    alias.or_else(|| LANGUAGES.into_iter().find(|language| *language == name))
}

/// The language that was probably meant by a name that isn't known. Short names are too much alike.
pub(super) fn suggest_language(name: &str) -> Option<&'static str> {
    if find_language(name).is_some() || OTHERS.contains(&name) {
        return None;
    }
    let names = LANGUAGES.into_iter().chain(ALIASES.into_iter().map(|(alias, _)| alias));
    names.filter(|known| known.len() >= 4 && *known != "text").find(|known| is_slip(name, known))
}

/// The code as HTML. A language without a grammar gives plain text, its lines marked all the same.
pub(super) fn to_html(language: Option<&str>, code: &str, lines: &Lines, cache: &Cache) -> String {
    let kinds = language.map(|language| remembered_kinds(language, code, cache)).unwrap_or_default();
    let mut html = String::with_capacity(code.len() * 3);
    if lines.are_plain() {
        push_code(&mut html, code, &kinds, 0..code.len());
        return html;
    }
    let mut at = 0;
    for (number, line) in (1..).zip(code.split_inclusive('\n')) {
        let tag = if lines.is_marked(number) { "mark" } else { "span" };
        let class = if lines.numbered { " class=\"l\"" } else { "" };
        let is_bare = tag == "span" && class.is_empty();
        if !is_bare {
            html.extend(["<", tag, class, ">"]);
        }
        push_code(&mut html, code, &kinds, at..at + line.len());
        if !is_bare {
            html.extend(["</", tag, ">"]);
        }
        at += line.len();
    }
    html
}

/// The same as `find_kinds`, which the cache remembers as runs: parsing code is a third of what a page costs.
fn remembered_kinds(language: &str, code: &str, cache: &Cache) -> Vec<u8> {
    let key = CacheKey::new(VERSION, &[language.as_bytes(), code.as_bytes()]);
    let runs = cache.find_or_make_small(Shelf::Highlighted, &key, || to_runs(&find_kinds(language, code)));
    from_runs(&runs).collect()
}

/// Bytes as pairs: how often one comes, at most 255 times, and which.
fn to_runs(kinds: &[u8]) -> Vec<u8> {
    let same = kinds.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(usize::from(u8::MAX)));
    same.flat_map(|run| [u8::try_from(run.len()).unwrap_or(u8::MAX), run[0]]).collect()
}

fn from_runs(runs: &[u8]) -> impl Iterator<Item = u8> {
    runs.as_chunks::<2>().0.iter().flat_map(|[count, kind]| std::iter::repeat_n(*kind, usize::from(*count)))
}

/// The class of each byte of the code, 0 for none; nothing if it can't be told.
fn find_kinds(language: &str, code: &str) -> Vec<u8> {
    if code.len() > CODE_BYTES_MAX || language == "text" {
        return Vec::new();
    }
    if language == "diff" {
        return find_changes(code);
    }
    let found = Highlighter::with_store(Arc::clone(&GRAMMARS)).highlight_spans(language, code);
    let Ok(mut spans) = found else { return Vec::new() };
    // The outer before the inner, and of the same range the better before the worse: the last word counts.
    spans.sort_by_key(|span| {
        let is_something = class_of(&span.capture).is_some_and(|class| class != 0);
        (span.start, std::cmp::Reverse(span.end), is_something, span.pattern_index)
    });
    let mut kinds = vec![0; code.len()];
    for span in spans {
        if let (Some(class), Some(range)) = (class_of(&span.capture), kinds.get_mut(bytes_of(&span))) {
            range.fill(class);
        }
    }
    kinds
}

/// What a diff adds, takes away, and where: its lines say so themselves.
fn find_changes(code: &str) -> Vec<u8> {
    let lines = code.split_inclusive('\n').map(|line| {
        let class = match line.as_bytes() {
            [b'+', ..] => b'i',
            [b'-', ..] => b'd',
            [b'@', b'@', ..] => b'k',
            _ => 0,
        };
        (class, line.len())
    });
    lines.flat_map(|(class, len)| std::iter::repeat_n(class, len)).collect()
}

fn bytes_of(span: &arborium::advanced::Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

/// The class of what a grammar calls so; 0 for what looks like any text, nothing for what says nothing of its look.
fn class_of(capture: &str) -> Option<u8> {
    let mut words = capture.split('.');
    let class = match (words.next()?, words.next().unwrap_or_default()) {
        ("attribute" | "property" | "field" | "label", _) | ("tag", "attribute") => b'p',
        ("boolean" | "number" | "float" | "constant" | "escape", _) | ("string", "escape") => b'n',
        ("comment", _) => b'c',
        ("function" | "method" | "macro", _) => b'f',
        ("keyword" | "tag" | "conditional" | "repeat" | "include", _) | ("markup", "heading") | ("text", "title") => {
            b'k'
        }
        ("string" | "character", _) | ("text", "literal" | "uri") | ("markup", "raw" | "link") => b's',
        ("type" | "constructor", _) => b't',
        ("variable" | "parameter" | "punctuation" | "operator" | "module" | "namespace", _) => 0,
        _ => return None,
    };
    Some(class)
}

/// Appends a range of the code, neighbours of one class in one element, white space between them included.
fn push_code(html: &mut String, code: &str, kinds: &[u8], range: Range<usize>) {
    let mut open = 0;
    let mut start = range.start;
    let mut end = start;
    for (offset, character) in code[range.clone()].char_indices() {
        let at = range.start + offset;
        let kind = kinds.get(at).copied().unwrap_or_default();
        if character.is_ascii_whitespace() {
            continue;
        }
        if kind != open {
            // White space at the end of an element stands outside it.
            push_element(html, &code[start..end], open);
            push_element(html, &code[end..at], 0);
            (start, open) = (at, kind);
        }
        end = at + character.len_utf8();
    }
    push_element(html, &code[start..end], open);
    push_element(html, &code[end..range.end], 0);
}

fn push_element(html: &mut String, text: &str, class: u8) {
    if text.is_empty() {
        return;
    }
    if class != 0 {
        html.push_str("<span class=\"");
        html.push(char::from(class));
        html.push_str("\">");
    }
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            _ => html.push(character),
        }
    }
    if class != 0 {
        html.push_str("</span>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of `#rrggbb` (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    /// The two colours of each `property:light-dark(…)`.
    fn pairs(property: &str) -> Vec<[&'static str; 2]> {
        let values = STYLE_SHEET.split(property).skip(1).filter_map(|rest| rest.strip_prefix("light-dark("));
        values.map(|rest| rest.split(')').next().unwrap().split_once(',').unwrap().into()).collect()
    }

    #[test]
    fn every_colour_can_be_read_in_both_themes() {
        // Axe and half of all readers would complain.
        let backgrounds = pairs("background:");
        let colours: Vec<_> = pairs("{color:").into_iter().chain(pairs(";color:")).collect();
        assert!(backgrounds.len() >= 2 && colours.len() >= 8, "{backgrounds:?} {colours:?}");
        for theme in 0..2 {
            for background in &backgrounds {
                for colour in &colours {
                    let (a, b) = (luminance(background[theme].trim()), luminance(colour[theme].trim()));
                    let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                    assert!(contrast >= 4.5, "{colour:?} on {background:?}: {contrast:.2}");
                }
            }
        }
    }

    #[test]
    fn every_language_has_a_grammar_that_works() {
        // A grammar whose queries don't fit it would leave all its code plain, silently.
        for language in LANGUAGES.into_iter().filter(|language| !["diff", "text"].contains(language)) {
            let spans = Highlighter::with_store(Arc::clone(&GRAMMARS)).highlight_spans(language, "# a = \"b\"\n");
            assert!(spans.is_ok(), "{language}: {spans:?}");
        }
        for (alias, language) in ALIASES {
            assert!(LANGUAGES.contains(&language), "{alias}");
        }
    }

    #[test]
    fn what_is_remembered_of_code_is_what_was_found() {
        let code = "fn main() {\n    // ".to_owned() + &"long ".repeat(400) + "\n    let a = \"ü\";\n}\n";
        for language in ["rust", "diff", "text"] {
            let kinds = find_kinds(language, &code);
            assert!(from_runs(&to_runs(&kinds)).eq(kinds.iter().copied()), "{language}");
            assert_eq!(kinds.len(), if language == "text" { 0 } else { code.len() });
        }
        let lock = include_str!("../../../Cargo.lock");
        let (_, version) = VERSION.rsplit_once(", ").unwrap();
        // The grammars, too, are packages of that version.
        let packages = lock.split("[[package]]\n").filter(|package| package.starts_with("name = \"arborium"));
        let is_of_it =
            |package: &str| package.contains(&format!("\nversion = \"{}\"\n", version.trim_start_matches("arborium ")));
        assert!(packages.clone().count() > 30, "the grammars have other names");
        for package in packages {
            assert!(is_of_it(package), "`VERSION` says {version}: {package}");
        }
    }

    #[test]
    fn a_slip_in_a_language_is_recognised_and_another_language_is_not() {
        assert_eq!(suggest_language("pyton"), Some("python"));
        assert_eq!(suggest_language("javscript"), Some("javascript"));
        for other in ["cmake", "fsharp", "hcl", "vue", "perl", "awk", "console", "mermaid", "scala", "r", "less", "tex"]
        {
            assert_eq!(suggest_language(other), None, "{other}");
        }
    }
}
