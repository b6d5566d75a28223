//! How deep the values of a text in TOML lie in each other: whoever reads them recurses, and the parser bounds brackets and
//! the parts of one key alone, not the one times the other.

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use crate::diagnostic::Span;

/// How deep values may lie in each other, brackets and the dots of keys counted. Guessed: nobody has ten.
const DEPTH_MAX: usize = 64;

/// What is said of a value that lies deeper.
pub const TOO_DEEP: &str = "it is nested too deep";

/// Where values first lie too deep.
pub fn find_too_deep(text: &str) -> Option<Span> {
    // The dots of the keys that lead to each open bracket, and those of the key that is read.
    let mut open: Vec<usize> = Vec::new();
    let (mut dots_open, mut dots) = (0, 0);
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                open.push(dots);
                dots_open += dots;
                dots = 0;
            }
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                dots = open.pop().unwrap_or_default();
                dots_open -= dots;
            }
            TokenKind::Dot => dots += 1,
            TokenKind::Comma | TokenKind::Newline => dots = 0,
            _ => {}
        }
        if open.len() + dots_open + dots > DEPTH_MAX {
            return Some(Span::new(token.span().start(), token.span().end()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_dots_count_together() {
        let deep = |brackets: usize, dots: usize| {
            let key = format!("a{}", ".a".repeat(dots));
            format!("x = {}1{}", format!("{{ {key} = ").repeat(brackets), " }".repeat(brackets))
        };
        for (brackets, dots, is_deep) in [(64, 0, false), (65, 0, true), (8, 7, false), (8, 8, true), (78, 79, true)] {
            assert_eq!(find_too_deep(&deep(brackets, dots)).is_some(), is_deep, "{brackets} {dots}");
        }
        let fine = "x = \"[[[[\"\nnumbers = [1.5, 2.5]\n".repeat(100);
        assert_eq!(find_too_deep(&fine), None);
    }
}
