//! `kiln urls`: what is recorded of the URLs that a site has published.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::build::{BuildArguments, Loaded, plural};
use super::{Failure, Report};
use crate::bytes::Bytes;
use crate::diagnostic::{self, Code, Diagnostic, Paint, Severity};
use crate::output::write_text;
use crate::source::{self, LOCK_NAME, Past, SKETCHES_NAME};
use crate::urls::{LiveUrl, Locked, parse_lock, read_sitemap, write_lock, write_sketches};

/// Records every URL that the site publishes now, beside those of the past. Lost ones stay, and stay errors.
///
/// # Errors
/// There is no site, or a file can't be read or written. Mistakes in the site are in the report, and nothing is recorded.
pub fn accept(arguments: &BuildArguments) -> Result<Report, Failure> {
    let loaded = Loaded::read(arguments)?;
    let built = loaded.build_in_pool(arguments)?;
    let is_in_the_way = |code: Code| code.severity() == Severity::Error && code != Code::LostUrl;
    let mut report = loaded.report(&built.diagnostics, arguments);
    if built.diagnostics.iter().any(|diagnostic| is_in_the_way(diagnostic.code)) {
        return Ok(report);
    }
    report.result = record(&arguments.site, &loaded.sources.past, &built.live)?;
    Ok(report)
}

/// Writes the two files, and says what came in.
///
/// # Errors
/// The lock has lines that can't be read, or a file can't be written.
pub(super) fn record(site: &Path, past: &Past, live: &[LiveUrl]) -> Result<String, Failure> {
    let locked = whole_lock(past, Vec::new())?;
    let (lock, sketches) = (write_lock(&locked, live), write_sketches(past, live)?);
    let (before, after) = (locked.len(), lock.lines().count());
    write_text(&site.join(SKETCHES_NAME), &sketches)?;
    write_text(&site.join(LOCK_NAME), &lock)?;
    Ok(format!("{LOCK_NAME}: {}, {} new\n", plural(after, "URL"), after.saturating_sub(before)))
}

/// The lines of a lock that can be read to its end: nothing is written over one that can't. `mistakes` are those of
/// reading the file.
fn whole_lock(past: &Past, mut mistakes: Vec<Diagnostic>) -> Result<Vec<Locked<'_>>, Failure> {
    let (locked, found) = parse_lock(past);
    mistakes.extend(found);
    if mistakes.is_empty() {
        return Ok(locked);
    }
    let find_text = |path: &str| past.lock.iter().find(|lock| &*lock.path == path).map(|lock| Arc::clone(&lock.text));
    let drawn = diagnostic::draw_human(&mistakes, &find_text, SHOWN_COUNT_MAX, Paint::Plain);
    Err(Failure::Site(format!("`{LOCK_NAME}` is left as it is, since it can't be read to its end\n\n{drawn}")))
}

/// So many lines of a lock that can't be read are shown: a conflict that nobody resolved has few. Guessed.
const SHOWN_COUNT_MAX: usize = 10;

/// Adds the URLs of an old site's sitemap. Those that are recorded already keep their sources.
///
/// # Errors
/// There is no such folder, the sitemap or what is recorded can't be read, or a file can't be written.
pub fn import(site: &Path, sitemap: &Path) -> Result<Report, Failure> {
    if !site.is_dir() {
        return Err(Failure::Usage(format!("there is no folder `{}`", site.display())));
    }
    let shown = sitemap.display();
    let text = String::from_utf8(source::read_file(sitemap)?);
    let text =
        text.map_err(|_| Failure::Site(format!("`{shown}` is not UTF-8 text; unpack it if it is compressed")))?;
    let urls = read_sitemap(&text).map_err(|(line, reason)| Failure::Site(format!("{shown}:{line}: {reason}")))?;
    let (past, mistakes) = source::read_past(site)?;
    let locked = whole_lock(&past, mistakes)?;
    let known: HashSet<&str> = locked.iter().map(|line| line.url).collect();
    let name = sitemap.file_name().unwrap_or_default().to_string_lossy();
    let new = urls.into_iter().filter(|url| !known.contains(url.as_str()));
    let new: Vec<_> = new.map(|url| LiveUrl { url, source: name.as_ref().into(), content: Bytes::default() }).collect();
    let lock = write_lock(&locked, &new);
    write_text(&site.join(LOCK_NAME), &lock)?;
    let count = plural(lock.lines().count(), "URL");
    Ok(Report::result(format!("{LOCK_NAME}: {count}, {} new; `kiln check` says which of them are lost\n", new.len())))
}
