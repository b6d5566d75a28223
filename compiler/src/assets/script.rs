//! Scripts on their way to a browser: they lose what no browser needs. They aren't bundled, and what they import stays
//! as it is.

use std::ops::Range;

use oxc_allocator::Allocator;
use oxc_codegen::{Codegen, CodegenOptions, CommentOptions, LegalComment};
use oxc_minifier::{Minifier, MinifierOptions};
use oxc_parser::Parser;
use oxc_span::SourceType;

use super::css::source_map_url;
use super::deep_stack::on_deep_stack;
use crate::diagnostic::{Code, Diagnostic, SourceText, Span};

/// The name of the function in the cache: what it is and in which version.
pub(super) const MINIFY: &str = "oxc 0.146.0";

/// Brackets within brackets at most, as they are counted without a look at what is text: parser and minifier recurse by
/// them. Measured: 100,000 fit into the stack, a million don't. Scripts that people or bundlers write stay below a hundred.
const BRACKET_DEPTH_MAX: usize = 20_000;

/// The comment at a script's end that names its source map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ScriptMap {
    /// The whole comment.
    pub comment: Range<usize>,
    /// The URL in it.
    pub url: Range<usize>,
}

/// The source map that a script names: `//# sourceMappingURL=app.js.map`, with nothing but comments behind it.
pub(super) fn source_map_of_script(script: &str) -> Option<ScriptMap> {
    let mut end = script.len();
    loop {
        let text = script[..end].trim_ascii_end();
        let start = text.rfind('\n').map_or(0, |index| index + 1);
        let line = text[start..].trim_ascii_start();
        let comment = line.strip_prefix("//")?;
        if let Some(url) = source_map_url(comment) {
            let url_start = text.len() - comment.len() + (url.as_ptr().addr() - comment.as_ptr().addr());
            return Some(ScriptMap {
                comment: text.len() - line.len()..text.len(),
                url: url_start..url_start + url.len(),
            });
        }
        end = start;
    }
}

/// Whether a script's name says that it is a module.
pub(super) fn is_module(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".mjs")
}

/// The script without what no browser needs.
///
/// # Errors
/// Why it is left as it is: warnings, because it may be newer than the parser.
pub(super) fn minify_script(script: &SourceText, is_module: bool) -> Result<String, Vec<Diagnostic>> {
    if is_too_deep(&script.text) {
        return Err(vec![left(script, &format!("it has more than {BRACKET_DEPTH_MAX} brackets within brackets"))]);
    }
    let made = on_deep_stack(&script.path, || minify(script, is_module));
    let text = made.unwrap_or_else(|| Err(vec![left(script, "the minifier stopped with a fault of its own")]))?;
    // What a minifier made longer was minified before.
    Ok(if text.len() < script.text.len() { text } else { script.text.to_string() })
}

/// What is said of a script that is left as it is.
pub(super) fn left(script: &SourceText, reason: &str) -> Diagnostic {
    let message = format!("the script is left as it is: {reason}");
    Diagnostic::new(Code::MalformedScript, script.place(Span::default()), message)
}

fn is_too_deep(script: &str) -> bool {
    let mut depth = 0_usize;
    script.bytes().any(|byte| {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > BRACKET_DEPTH_MAX
    })
}

fn minify(script: &SourceText, is_module: bool) -> Result<String, Vec<Diagnostic>> {
    let allocator = Allocator::default();
    let source_type = if is_module { SourceType::mjs() } else { SourceType::unambiguous() };
    let parsed = Parser::new(&allocator, &script.text, source_type).parse();
    if !parsed.diagnostics.is_empty() {
        return Err(parsed.diagnostics.iter().map(|error| mistake(script, error)).collect());
    }
    let mut program = parsed.program;
    let minified = Minifier::new(MinifierOptions::default()).minify(&allocator, &mut program);
    let comments = CommentOptions { legal: LegalComment::Inline, ..CommentOptions::disabled() };
    let options = CodegenOptions { minify: true, comments, ..CodegenOptions::default() };
    Ok(Codegen::new().with_options(options).with_scoping(minified.scoping).build(&program).code)
}

fn mistake(script: &SourceText, error: &oxc_diagnostics::OxcDiagnostic) -> Diagnostic {
    let span = error.labels.first().map_or_else(Span::default, |label| {
        let start = (label.offset() as usize).min(script.text.len());
        Span::new(start, (start + label.len() as usize).min(script.text.len()))
    });
    let message = format!("the script is left as it is: {}", error.message);
    Diagnostic::new(Code::MalformedScript, script.place(span), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minified(text: String) -> Result<String, Vec<Diagnostic>> {
        let script = SourceText { path: "static/deep.js".into(), text: text.into() };
        minify_script(&script, false)
    }

    #[test]
    fn brackets_within_brackets_have_a_bound_and_room_up_to_it() {
        // A stack that overflows ends the whole process, and the message says nothing of a script.
        let nested = |depth: usize| format!("x = {}{};\n", "[".repeat(depth), "]".repeat(depth));
        assert!(minified(nested(BRACKET_DEPTH_MAX)).is_ok());
        assert!(minified(format!("x = {}", "[".repeat(BRACKET_DEPTH_MAX))).is_err(), "they aren't closed");
        for depth in [BRACKET_DEPTH_MAX + 1, 100_000, 1_000_000] {
            let mistakes = minified(nested(depth)).unwrap_err();
            assert!(mistakes[0].message.contains("brackets within brackets"), "{mistakes:?}");
        }
    }
}
