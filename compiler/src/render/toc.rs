//! The table of contents.

use super::escape::push_escaped;
use crate::html::find_headings;

/// A list of links to the headings of `html` from the second level on; nothing if there are none.
pub(super) fn render_toc(html: &str) -> String {
    let mut toc = String::new();
    // The level of the last item of each list that is open.
    let mut open: Vec<u8> = Vec::new();
    for heading in find_headings(html).into_iter().filter(|heading| heading.level > 1) {
        // A list ends where the one around it goes on. One that begins with too deep a level goes on with the right one.
        while open.len() > 1 && open[open.len() - 2] >= heading.level {
            open.pop();
            toc.push_str("</li></ul>");
        }
        match open.last_mut() {
            Some(level) if *level >= heading.level => {
                toc.push_str("</li>");
                *level = heading.level;
            }
            around => {
                let first = "<nav class=\"toc\" aria-label=\"Table of contents\"><ul>";
                toc.push_str(if around.is_some() { "<ul>" } else { first });
                open.push(heading.level);
            }
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
