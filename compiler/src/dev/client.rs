//! The script that is put into every page in development, and how it is put there.

use std::fmt::Write as _;

/// Stands in a page's text where the script is to be.
pub(super) const MARKER: &str = "<script data-kiln></script>";

/// What runs in the browser. It is the same in every page, so that one hash allows it; what differs is in attributes.
const SCRIPT: &str = include_str!("client.js");

/// What the script is told about its page.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    /// What the page's text is recognised by.
    pub(super) digest: &'a str,
    /// `draft` or `future` for a page that visitors won't see yet.
    pub(super) mark: &'a str,
}

/// The page's text with the script where it is marked, else before `</body>`, else at the end.
pub(super) fn inject(text: &str, about: About<'_>) -> String {
    let mut script = String::with_capacity(SCRIPT.len() + 128);
    write!(script, "<script data-kiln=\"{}\" data-mark=\"{}\">{SCRIPT}</script>", about.digest, about.mark)
        .expect("writing to a string can't fail");
    let (before, after) = match text.split_once(MARKER) {
        Some(parts) => parts,
        None => text.split_at(text.rfind("</body").unwrap_or(text.len())),
    };
    [before, &script, &after.replace(MARKER, "")].concat()
}

/// The page's text as a build makes it: `is_minified` says whether white space on both sides of the mark is one piece.
pub(super) fn without_script(text: &str, is_minified: bool) -> String {
    let mut parts = text.split(MARKER);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let blanks = [whole.chars().next_back(), part.chars().next()].map(|one| one.filter(char::is_ascii_whitespace));
        let mut rest = part;
        if let ([Some(before), Some(after)], true) = (blanks, is_minified) {
            whole.pop();
            whole.push(if before == '\n' { before } else { after });
            rest = &part[after.len_utf8()..];
        }
        whole.push_str(rest);
    }
    whole
}
