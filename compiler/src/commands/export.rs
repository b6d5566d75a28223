//! `kiln export`: a bundle as a plain folder for object storage and static hosts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use bundle::{Encoding, Route, RouteKind};

use super::{Failure, Report, open_bundle};
use crate::cache::Cache;
use crate::output::compress;
use crate::security::{add_policy, policy_beside_meta};
use crate::site::{is_behind_password, percent_encode};

/// Fields of a head that a host sets itself, by what it stores.
const HOSTS_OWN_FIELDS: [&str; 5] = ["Accept-Ranges", "Content-Type", "ETag", "Last-Modified", "Vary"];

/// Writes every body of a bundle into a folder, compressed ones beside the others (`.gz`, `.br`), with `_headers` and
/// `_redirects` as Netlify and Cloudflare Pages read them. The report has the number of files, and names what a plain
/// host can't do: ask for the password of pages under `/admin/`, or say that something is gone.
///
/// # Errors
/// The bundle can't be read or is damaged, the folder is there and not empty, or a file can't be written.
pub fn export(bundle: &Path, folder: &Path) -> Result<Report, Failure> {
    let view = open_bundle(bundle)?;
    let failed = |error| Failure::Io(format!("can't write to `{}`: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(Failure::Usage(format!("`{}` is not empty; name a new folder", folder.display())));
    }
    let (left_out, exported): (Vec<_>, Vec<_>) = view.routes().partition(|route| is_left_out(route));
    let patterns: Vec<_> = view.patterns().filter(|route| !is_left_out(route)).collect();
    let mut files = Vec::new();
    for route in exported.iter().filter(|route| matches!(route.status(), 200 | 404)) {
        let path = file_path(route)?;
        let url = String::from_utf8_lossy(route.path()).into_owned();
        let with_policy = page_with_policy(route);
        for variant in route.variants() {
            let suffix = match variant.encoding() {
                Encoding::Identity => "",
                Encoding::Gzip => ".gz",
                Encoding::Brotli => ".br",
                Encoding::Zstd => ".zst",
            };
            let body = match &with_policy {
                None => Some(Cow::Borrowed(variant.body())),
                Some(page) if variant.encoding() == Encoding::Identity => Some(Cow::Owned(page.clone())),
                Some(page) => compress(variant.encoding(), route.kind(), &page.as_slice().into(), &Cache::none())
                    .map_err(|error| Failure::Io(error.to_string()))?
                    .map(|compressed| Cow::Owned(compressed.held().unwrap_or_default().to_vec())),
            };
            let from = if suffix.is_empty() { format!("`{url}`") } else { format!("the compressed `{url}`") };
            files.extend(body.map(|body| Exported { path: format!("{path}{suffix}"), from, body }));
        }
    }
    for (path, text) in [("_headers", write_headers(&exported)), ("_redirects", write_redirects(&exported, &patterns))]
    {
        let from = format!("the {} for the host", &path[1..]);
        files.push(Exported { path: path.to_owned(), from, body: text.into_bytes().into() });
    }
    check_clashes(&files)?;
    for file in &files {
        let path = folder.join(&file.path);
        let written = fs::create_dir_all(path.parent().unwrap_or(folder)).and_then(|()| fs::write(&path, &file.body));
        written.map_err(|error| Failure::Io(format!("can't write `{}`: {error}", path.display())))?;
    }
    let messages = left_out.iter().map(|route| {
        let reason =
            if route.status() == 410 { "a plain host can't answer 410" } else { "a plain host asks for no password" };
        format!("warning: `{}` is left out: {reason}\n", String::from_utf8_lossy(route.path()))
    });
    let result = format!("{} files in {}\n", files.len(), folder.display());
    Ok(Report { messages: messages.collect(), ..Report::result(result) })
}

/// A file that is to be written.
struct Exported<'v> {
    /// Below the folder.
    path: String,
    /// What it comes from, for messages.
    from: String,
    /// A page with its policy in it, or as it lies in the bundle.
    body: Cow<'v, [u8]>,
}

/// The value of a line that is the field of a page's policy. `Content-Security-Policy-Report-Only` is another field.
fn policy_of(line: &str) -> Option<&str> {
    line.strip_prefix("Content-Security-Policy: ")
}

/// A page with its policy in a `<meta>`, since a plain host may take no notice of `_headers`; nothing if it has none.
fn page_with_policy(route: &Route<'_>) -> Option<Vec<u8>> {
    let head = route.identity().head();
    let fields = String::from_utf8_lossy(head.fields());
    let policy = fields.lines().find_map(policy_of)?;
    let html = str::from_utf8(route.identity().body()).ok()?;
    Some(add_policy(html, policy).into_bytes())
}

/// What a plain host would show to everybody, or can't say.
fn is_left_out(route: &Route<'_>) -> bool {
    route.status() == 410 || is_behind_password(route.path())
}

/// Finds a path that would have to be two files, or a file and a folder, before anything is written.
fn check_clashes(files: &[Exported<'_>]) -> Result<(), Failure> {
    let mut by_path: HashMap<&str, &Exported<'_>> = HashMap::new();
    for file in files {
        if let Some(first) = by_path.insert(&file.path, file) {
            let message = format!("{} and {} would both be the file `{}`", first.from, file.from, file.path);
            return Err(Failure::Site(message));
        }
    }
    for Exported { path, .. } in files {
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        if let Some(clash) = folders.into_iter().find(|folder| by_path.contains_key(folder)) {
            let message = format!("`{clash}` would have to be a file and, for `{path}`, a folder");
            return Err(Failure::Site(message));
        }
    }
    Ok(())
}

/// Where a route's body goes below the folder: `/post` as `post.html`, `/post/` as `post/index.html`, a file as it is.
fn file_path(route: &Route<'_>) -> Result<String, Failure> {
    let path = String::from_utf8_lossy(route.path()).into_owned();
    // A bundle is not trusted to name only what lies below the folder.
    if path.split('/').any(|segment| matches!(segment, "." | "..")) || path.contains(['\\', '\0']) {
        return Err(Failure::Site(format!("the bundle's path `{path}` leaves the folder")));
    }
    let relative = path.trim_start_matches('/');
    Ok(match route.kind() {
        RouteKind::Page if relative.is_empty() || relative.ends_with('/') => format!("{relative}index.html"),
        RouteKind::Page if relative.strip_suffix(".html").is_none() => format!("{relative}.html"),
        _ => relative.to_owned(),
    })
}

/// A route's path as the hosts' files have it. They take `*` for any text and `:name` for a gap, which only patterns have.
fn rule_path(route: &Route<'_>) -> String {
    let path = percent_encode(&String::from_utf8_lossy(route.path()));
    match route.kind() {
        RouteKind::Pattern => path,
        _ => path.replace('*', "%2A").replace(':', "%3A"),
    }
}

fn write_headers(routes: &[Route<'_>]) -> String {
    let mut text = String::new();
    for route in routes.iter().filter(|route| route.status() == 200) {
        text += &rule_path(route);
        text.push('\n');
        for field in String::from_utf8_lossy(route.identity().head().fields()).lines() {
            if HOSTS_OWN_FIELDS.iter().any(|own| field.split(':').next() == Some(own)) {
                continue;
            }
            match policy_of(field).filter(|_| route.kind() == RouteKind::Page) {
                None => text += &["  ", field, "\n"].concat(),
                Some(policy) => {
                    // The page itself has all that it can have of it.
                    let rest = policy_beside_meta(policy);
                    text.extend(rest.map(|rest| format!("  Content-Security-Policy: {rest}\n")));
                }
            }
        }
    }
    text
}

fn write_redirects<'r>(routes: &'r [Route<'r>], patterns: &'r [Route<'r>]) -> String {
    let redirects = routes.iter().filter(|route| route.kind() == RouteKind::Redirect);
    let redirects = redirects.chain(patterns);
    let line = |route: &Route<'_>| {
        format!("{} {} {}\n", rule_path(route), String::from_utf8_lossy(route.location()), route.status())
    };
    redirects.map(line).collect()
}
