//! Blocks of code: what stands after the fence, and how the block is written. ```` ```rust {3,5-7} ```` marks lines,
//! `linenos` numbers them.

use std::ops::RangeInclusive;

use super::highlight::{self, Lines};
use crate::cache::Cache;

/// What stands after a fence.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Info<'a> {
    /// The first word, or nothing.
    pub(super) name: &'a str,
    pub(super) lines: Lines,
}

impl<'a> Info<'a> {
    /// Reads `rust`, `rust {3,5-7}`, `rust,linenos`. Words that mean nothing here are left alone, as CommonMark has it.
    pub(super) fn parse(text: &'a str) -> Self {
        let text = text.trim();
        let end = text.find(|c: char| c.is_whitespace() || matches!(c, ',' | '{')).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let mut lines = Lines::default();
        if let Some((before, after)) = rest.split_once('{')
            && let Some((list, after)) = after.split_once('}')
        {
            lines.marked = parse_lines(list).unwrap_or_default();
            rest = if before.contains("linenos") { before } else { after };
        }
        lines.numbered = rest.split([',', ' ']).any(|word| word == "linenos");
        Self { name, lines }
    }
}

/// `3,5-7`
fn parse_lines(text: &str) -> Option<Vec<RangeInclusive<usize>>> {
    let parse_part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    let mut ranges = text.split(',').map(parse_part).collect::<Option<Vec<RangeInclusive<usize>>>>()?;
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| *range.start());
    // Those that touch become one, so that a line is looked up in ranges that lie apart.
    ranges.dedup_by(|next, range| {
        let touches = *next.start() <= range.end().saturating_add(1);
        if touches {
            *range = *range.start()..=*range.end().max(next.end());
        }
        touches
    });
    Some(ranges)
}

/// Whether it has anything that the style sheet shows.
pub(super) fn is_styled(info: &Info<'_>) -> bool {
    info.lines != Lines::default() || highlight::find_language(info.name).is_some_and(|language| language != "text")
}

/// The block as HTML. A block that is wider than the page scrolls, so the keyboard must reach it (WCAG 2.1.1).
pub(super) fn to_html(info: &Info<'_>, code: &str, is_highlighted: bool, cache: &Cache) -> String {
    let is_styled = is_highlighted && is_styled(info);
    let language = highlight::find_language(info.name).filter(|_| is_styled);
    let lines = if is_styled { &info.lines } else { &Lines::default() };
    let mut html = String::from(if is_styled { "<pre class=\"hl\" tabindex=\"0\">" } else { "<pre tabindex=\"0\">" });
    html.push_str("<code");
    if !info.name.is_empty() {
        html.push_str(" class=\"language-");
        for character in info.name.chars() {
            match character {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                _ => html.push(character),
            }
        }
        html.push('"');
    }
    html.push('>');
    html.push_str(&highlight::to_html(language, code, lines, cache));
    html.push_str("</code></pre>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (&str, Vec<usize>, bool) {
        let Info { name, lines } = Info::parse(text);
        (name, (1..=200_000).filter(|line| lines.is_marked(*line)).collect(), lines.numbered)
    }

    #[test]
    fn what_stands_after_a_fence_is_read_as_other_generators_do() {
        assert_eq!(parse("rust"), ("rust", vec![], false));
        assert_eq!(parse("rust {3,5-7}"), ("rust", vec![3, 5, 6, 7], false));
        assert_eq!(parse("rust{1} linenos"), ("rust", vec![1], true));
        assert_eq!(parse("rust,linenos"), ("rust", vec![], true));
        assert_eq!(parse("rust linenos {2}"), ("rust", vec![2], true));
        assert_eq!(parse(" c++ title=\"a\""), ("c++", vec![], false));
        assert_eq!(parse("{.class}"), ("", vec![], false));
        assert_eq!(parse("rust {2"), ("rust", vec![], false));
        assert_eq!(parse(""), ("", vec![], false));
        assert_eq!(parse("a {1-99999999999999999999}").1, Vec::<usize>::new());
        assert_eq!(parse("a {1-9999999999}").1.len(), 200_000);
        assert_eq!(parse("a {7,2-3,9-8,4,6-7}"), ("a", vec![2, 3, 4, 6, 7], false));
    }

    #[test]
    fn many_long_ranges_are_one() {
        // Each of them was a hundred thousand numbers, and a line of text cost minutes.
        let text = format!("a {{{}0-18446744073709551615}}", "1-99999,".repeat(100_000));
        assert_eq!(Info::parse(&text).lines.marked, [0..=usize::MAX]);
    }
}
