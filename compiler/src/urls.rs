//! `urls.lock`: every URL that was ever published, with the source that answered it. A URL that answers no more is an
//! error, with the page that is likely to have taken its place.

mod sketch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

pub use sketch::Sketch;

use crate::bytes::{Bytes, ReadError};
use crate::config::{self, Config};
use crate::diagnostic::{Code, Diagnostic, SourceText, Span, nearest};
use crate::site::{LeftOut, LinkTargets, percent_decode, percent_encode};
use crate::source::Past;

/// A URL that this build publishes: a page's, a file's, or a part of a page that another page links to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveUrl {
    /// Percent-encoded, perhaps with a fragment.
    pub url: String,
    /// The file that answers it.
    pub source: Arc<str>,
    /// What that file says, for comparing.
    pub content: Bytes,
}

/// Finds the parts of the page at a URL, if a page answers there.
pub type FindIds<'a> = &'a dyn Fn(&str) -> Option<HashSet<String>>;

/// A line of `urls.lock`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Locked<'a> {
    /// The URL as it was published, percent-encoded, perhaps with a fragment.
    pub url: &'a str,
    /// The file that answered it.
    pub source: &'a str,
    /// Where the URL stands in the file.
    span: Span,
}

/// The lines of the lock, and what is wrong with those that are none: URL, blank, source. No lock has no lines.
pub fn parse_lock(past: &Past) -> (Vec<Locked<'_>>, Vec<Diagnostic>) {
    let (mut lines, mut diagnostics) = (Vec::new(), Vec::new());
    let Some(lock) = &past.lock else { return (lines, diagnostics) };
    let mut start = 0;
    for line in lock.text.split_inclusive('\n') {
        let span = Span::new(start, start + line.trim_end().len());
        start += line.len();
        match line.trim_end().split_once(' ') {
            Some((url, source)) if url.starts_with('/') && !source.trim().is_empty() => {
                lines.push(Locked { url, source: source.trim(), span: Span::new(span.start, span.start + url.len()) });
            }
            None if line.trim().is_empty() => {}
            _ => diagnostics.push(
                Diagnostic::new(Code::BadLock, lock.place(span), "this is no URL, a blank and a source file")
                    .with_help("a line is `/about content/about.md`; `kiln urls accept` writes the file"),
            ),
        }
    }
    (lines, diagnostics)
}

/// Reports every locked URL that answers no more. `ids` finds the parts of the page at a URL.
pub fn check(
    past: &Past,
    live: &[LiveUrl],
    targets: &LinkTargets,
    config: &Config,
    ids: FindIds<'_>,
) -> Vec<Diagnostic> {
    let Some(lock) = &past.lock else { return Vec::new() };
    let (locked, mut diagnostics) = parse_lock(past);
    let mut ids_of: HashMap<&str, Option<HashSet<String>>> = HashMap::new();
    let mut lost = Vec::new();
    for line in &locked {
        let (page, fragment) = line.url.split_once('#').map_or((line.url, None), |(page, name)| (page, Some(name)));
        let path = percent_decode(page).unwrap_or_else(|| page.to_owned());
        let Some(fragment) = fragment else {
            // Without an address there is no feed and no sitemap, and a build at home may do without one.
            let may_miss = config.base_url.is_empty() && line.source == config::FILE_NAME;
            if !targets.answers(&path) && !may_miss {
                lost.push((line, path));
            }
            continue;
        };
        // The parts of a page that is lost or elsewhere go with it.
        let Some(ids) = ids_of.entry(page).or_insert_with(|| ids(page)) else { continue };
        let name = percent_decode(fragment).unwrap_or_else(|| fragment.to_owned());
        if !ids.contains(&name) {
            diagnostics.push(report_fragment(lock, line, &name, ids));
        }
    }
    let urls: HashSet<&str> = locked.iter().map(|line| line.url).collect();
    let successors = Successors::new(past, live, &urls, !lost.is_empty());
    let reports = lost.par_iter().enumerate().map(|(number, (line, path))| {
        let successor = if number < SUGGESTION_COUNT_MAX { successors.find(line.url, path) } else { None };
        report_lost(lock, line, targets.find_left_out(path), successor)
    });
    diagnostics.extend(reports.collect::<Vec<_>>());
    diagnostics
}

/// Suggestions are made for this many lost URLs: each is compared with all that there are. Guessed.
const SUGGESTION_COUNT_MAX: usize = 1_000;

fn report_lost(lock: &SourceText, line: &Locked<'_>, left_out: Option<LeftOut>, successor: Option<&str>) -> Diagnostic {
    let Locked { url, source, span } = line;
    let reason = match left_out {
        Some(LeftOut::Draft) => "; it is a draft now",
        Some(LeftOut::Future) => "; it is dated after today now",
        None => "",
    };
    let message = format!("`{url}`, from `{source}`, was published and is lost: nothing answers it any more{reason}");
    let gone = format!("`\"{url}\" = {{ status = 410 }}`");
    let help = match successor {
        Some(new) => format!(
            "probably it is `{new}` now: write `\"{url}\" = \"{new}\"` below [redirects], or {gone} if it is gone for good"
        ),
        None => format!("lead it elsewhere below [redirects], or write {gone} if it is gone for good"),
    };
    Diagnostic::new(Code::LostUrl, lock.place(*span), message).with_help(help)
}

fn report_fragment(lock: &SourceText, line: &Locked<'_>, name: &str, ids: &HashSet<String>) -> Diagnostic {
    let message =
        format!("`{}` was linked to and is lost: nothing in `{}` has this id any more", line.url, line.source);
    let diagnostic = Diagnostic::new(Code::LostUrl, lock.place(line.span), message);
    match nearest(name, ids.iter().map(String::as_str).collect::<BTreeSet<_>>()) {
        Some(near) => diagnostic
            .with_help(format!("is it `#{near}` now? keep the old id beside the new one: `<a id=\"{name}\"></a>`")),
        None => diagnostic.with_help(format!("keep the id where its text has gone: `<a id=\"{name}\"></a>`")),
    }
}

/// Which URL has taken a lost one's place.
struct Successors<'a> {
    old: HashMap<&'a str, Sketch>,
    new: Vec<(&'a LiveUrl, Sketch, bool)>,
}

impl<'a> Successors<'a> {
    fn new(past: &'a Past, live: &'a [LiveUrl], locked: &HashSet<&str>, is_needed: bool) -> Self {
        if !is_needed {
            return Self { old: HashMap::new(), new: Vec::new() };
        }
        let old = past.sketches.iter().flat_map(|sketches| sketches.text.lines());
        let old =
            old.filter_map(|line| line.split_once(' ')).filter_map(|(url, text)| Some((url, Sketch::parse(text)?)));
        let pages = live.par_iter().filter(|one| !one.url.contains('#'));
        // What can't be read any more is nothing that a lost one could be now.
        let new = pages.filter_map(|one| Some((one, sketch(one).ok()?, !locked.contains(one.url.as_str()))));
        Self { old: old.collect(), new: new.collect() }
    }

    /// By content, if it is known what the lost one said; else by the name that it had.
    fn find(&self, url: &str, path: &str) -> Option<&'a str> {
        if let Some(old) = self.old.get(url) {
            let alike = self.new.iter().map(|(one, sketch, is_new)| (old.common_count(sketch), *is_new, one));
            let likeliest = alike.filter(|(count, ..)| *count >= Sketch::ALIKE_COUNT_MIN);
            // Of several that are equally alike a new one, and then the one that comes first by its URL.
            let likeliest = likeliest.max_by(|a, b| (a.0, a.1, &b.2.url).cmp(&(b.0, b.1, &a.2.url)));
            if let Some((_, _, one)) = likeliest {
                return Some(&one.url);
            }
        }
        let name = |url: &str| url.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let own_name = name(url);
        let new = || self.new.iter().filter(|(.., is_new)| *is_new).map(|(one, ..)| one.url.as_str());
        let same_name = || new().find(|other| !own_name.is_empty() && name(other) == own_name);
        same_name()
            .or_else(|| nearest(path, new()))
            .or_else(|| nearest(path, self.new.iter().map(|(one, ..)| one.url.as_str())))
    }
}

/// The new text of `urls.lock`: what was in it, with the sources that answer now, and every live URL. What it is given are
/// read lines, so that a line that can't be read is never left out in silence.
pub fn write_lock(locked: &[Locked<'_>], live: &[LiveUrl]) -> String {
    let mut lines: BTreeMap<&str, &str> = locked.iter().map(|line| (line.url, line.source)).collect();
    lines.extend(live.iter().map(|one| (one.url.as_str(), &*one.source)));
    lines.iter().map(|(url, source)| [url, " ", source, "\n"].concat()).collect()
}

/// The new text of `urls.sketches`: a line for each URL of which it is known what it said.
///
/// # Errors
/// A file that isn't what it was when the site was built.
pub fn write_sketches(past: &Past, live: &[LiveUrl]) -> Result<String, ReadError> {
    let mut lines = BTreeMap::new();
    let old = past.sketches.iter().flat_map(|sketches| sketches.text.lines()).filter_map(|line| line.split_once(' '));
    lines.extend(old.map(|(url, sketch)| (url, sketch.to_owned())));
    let pages: Vec<_> = live.par_iter().filter(|one| !one.url.contains('#')).collect();
    let sketches = pages.par_iter().map(|one| Ok((one.url.as_str(), sketch(one)?.to_string())));
    lines.extend(sketches.collect::<Result<Vec<_>, ReadError>>()?);
    Ok(lines.iter().map(|(url, sketch)| [url, " ", sketch.as_str(), "\n"].concat()).collect())
}

fn sketch(one: &LiveUrl) -> Result<Sketch, ReadError> {
    Ok(Sketch::of(&one.content.read()?))
}

/// The paths that a sitemap names (sitemaps.org), as URLs of this site, or the number of the line that is wrong and why.
///
/// # Errors
/// The first address that can't be read, or that there is none.
pub fn read_sitemap(text: &str) -> Result<BTreeSet<String>, (usize, &'static str)> {
    let line_of = |at: usize| text[..at].matches('\n').count() + 1;
    if let Some(at) = text.find("<sitemapindex") {
        return Err((line_of(at), "this is a list of sitemaps: import each of them"));
    }
    let mut urls = BTreeSet::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("<loc>").map(|found| at + found + "<loc>".len()) {
        let end = text[start..]
            .find("</loc>")
            .map(|found| start + found)
            .ok_or((line_of(start), "`<loc>` is never closed"))?;
        let address = text[start..end].trim().trim_start_matches("<![CDATA[").trim_end_matches("]]>").trim();
        urls.insert(path_of(&address.replace("&amp;", "&")).ok_or((line_of(start), "this is no http or https URL"))?);
        at = end;
    }
    if urls.is_empty() { Err((1, "there is no `<loc>` in it")) } else { Ok(urls) }
}

/// The path of an absolute URL, percent-encoded in the way of this site.
fn path_of(address: &str) -> Option<String> {
    let after_scheme = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    let path = after_scheme.find('/').map_or("/", |slash| &after_scheme[slash..]);
    let path = percent_decode(path.split(['?', '#']).next()?)?;
    let is_whole = !after_scheme.starts_with('/') && !path.contains(|c: char| c.is_control());
    is_whole.then(|| percent_encode(&path))
}
