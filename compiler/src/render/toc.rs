//! The table of contents.

use super::escape::push_escaped;
use crate::html::find_headings;

/// A list of links to the headings of `html` from the second level on; nothing if there are none.
pub(super) fn render_toc(html: &str) -> String {
    let mut toc = String::new();
    let mut open: Vec<u8> = Vec::new();
    for heading in find_headings(html).into_iter().filter(|heading| heading.level > 1) {
        while open.len() > 1 && open.last().is_some_and(|level| *level > heading.level) {
            open.pop();
            toc.push_str("</li></ul>");
        }
        match open.last() {
            None => toc.push_str("<nav class=\"toc\" aria-label=\"Table of contents\"><ul>"),
            Some(level) if *level < heading.level => toc.push_str("<ul>"),
            Some(_) => toc.push_str("</li>"),
        }
        if open.last().is_none_or(|level| *level < heading.level) {
            open.push(heading.level);
        }
        toc.push_str("<li><a href=\"#");
        push_escaped(&mut toc, &heading.id);
        toc.push_str("\">");
        push_escaped(&mut toc, heading.text.trim());
        toc.push_str("</a>");
    }
    if !open.is_empty() {
        toc.push_str(&"</li></ul>".repeat(open.len()));
        toc.push_str("</nav>");
    }
    toc
}
