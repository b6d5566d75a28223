//! `kiln export`: a bundle as a plain folder for object storage and static hosts.

use std::fs;
use std::path::{Path, PathBuf};

use bundle::{BundleView, Encoding, Route, RouteKind};

use super::{Failure, open_bundle};
use crate::site::percent_encode;

/// Fields of a head that a host sets itself, by what it stores.
const HOSTS_OWN_FIELDS: [&str; 5] = ["Accept-Ranges", "Content-Type", "ETag", "Last-Modified", "Vary"];

/// Writes every body of a bundle into a folder, compressed ones beside the others (`.gz`, `.br`), with `_headers` and
/// `_redirects` as Netlify and Cloudflare Pages read them. Returns the number of files.
///
/// # Errors
/// The bundle can't be read or is damaged, the folder is there and not empty, or a file can't be written.
pub fn export(bundle: &Path, folder: &Path) -> Result<usize, Failure> {
    let view = open_bundle(bundle)?;
    let failed = |error| Failure::Io(format!("can't write to `{}`: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(Failure::Usage(format!("`{}` is not empty; name a new folder", folder.display())));
    }
    let mut files = Vec::new();
    for route in view.routes().filter(|route| matches!(route.status(), 200 | 404)) {
        let path = file_path(&route)?;
        for variant in route.variants() {
            let suffix = match variant.encoding() {
                Encoding::Identity => "",
                Encoding::Gzip => ".gz",
                Encoding::Brotli => ".br",
                Encoding::Zstd => ".zst",
            };
            files.push((PathBuf::from(format!("{path}{suffix}")), variant.body().to_vec()));
        }
    }
    files.push(("_headers".into(), write_headers(&view).into_bytes()));
    files.push(("_redirects".into(), write_redirects(&view).into_bytes()));
    for (path, body) in &files {
        let path = folder.join(path);
        let written = fs::create_dir_all(path.parent().unwrap_or(folder)).and_then(|()| fs::write(&path, body));
        written.map_err(|error| Failure::Io(format!("can't write `{}`: {error}", path.display())))?;
    }
    Ok(files.len())
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
        RouteKind::Page => format!("{relative}.html"),
        _ => relative.to_owned(),
    })
}

fn write_headers(view: &BundleView<Vec<u8>>) -> String {
    let mut text = String::new();
    for route in view.routes().filter(|route| route.status() == 200) {
        text += &percent_encode(&String::from_utf8_lossy(route.path()));
        text.push('\n');
        for field in String::from_utf8_lossy(route.identity().head().fields()).lines() {
            if !HOSTS_OWN_FIELDS.iter().any(|own| field.split(':').next() == Some(own)) {
                text += &["  ", field, "\n"].concat();
            }
        }
    }
    text
}

fn write_redirects(view: &BundleView<Vec<u8>>) -> String {
    let redirects = view.routes().filter(|route| route.kind() == RouteKind::Redirect);
    let line = |route: Route<'_>| {
        let from = percent_encode(&String::from_utf8_lossy(route.path()));
        format!("{from} {} {}\n", String::from_utf8_lossy(route.location()), route.status())
    };
    redirects.map(line).collect()
}
