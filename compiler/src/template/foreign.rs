//! Tags of other generators in Markdown, which are text here: whoever moves a site leaves some of them behind.

use crate::diagnostic::{Code, Diagnostic, SourceText, Span};

/// A tag longer than this is none. Guessed; it bounds what is searched for its end.
const TAG_BYTES_MAX: usize = 400;

/// How such tags begin and end, and whether their name has brackets behind it.
const FORMS: [(&str, &str, bool); 4] =
    [("{%", "%}", false), ("{{<", ">}}", false), ("{{%", "%}}", false), ("{{", ")}}", true)];

/// A warning for the tag that begins at `at`, if one does: `{% quote() %}`, `{{< figure >}}`, `{{ figure() }}`. What only
/// ends another one isn't worth a word of its own.
pub(super) fn find_foreign_tag(source: &SourceText, at: usize) -> Option<Diagnostic> {
    let end = source.text.floor_char_boundary(at + TAG_BYTES_MAX);
    let rest = source.text[at..end].split("\n\n").next()?;
    let (begin, close, has_brackets) = FORMS.into_iter().find(|(begin, ..)| rest.starts_with(begin))?;
    let inner = rest[begin.len()..].trim_start_matches(['-', '~']).trim_ascii_start();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let name = &inner[..inner.find(|c| !is_part(c)).unwrap_or(inner.len())];
    let after = &inner[name.len()..];
    let first_line = || after.lines().next().unwrap_or_default().replace(' ', "");
    let is_closed =
        if has_brackets { after.starts_with('(') && first_line().contains(close) } else { after.contains(close) };
    if !is_closed || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.starts_with("end") {
        return None;
    }
    let span = Span::new(at, at + (rest.len() - inner.len()) + name.len());
    let stem = name.strip_suffix(".html").unwrap_or(name);
    let message = format!("`{}` begins no tag here, and stays text", &source.text[span.start..span.end]);
    let instead = match stem {
        "ref" | "relref" => "a link names the source's file: `[text](page.md)`".to_owned(),
        "highlight" => "a fenced block of code does that".to_owned(),
        _ => format!("a partial does that: `<% {stem}.html … %/>`"),
    };
    let help = format!("{instead}; what is meant as text belongs into code or into `raw`");
    Some(Diagnostic::new(Code::ForeignSyntax, source.place(span), message).with_help(help))
}
