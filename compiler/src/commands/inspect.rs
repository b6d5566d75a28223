//! `kiln inspect`: what is in a bundle, as text. Opening it has verified every byte.

mod diff;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use bundle::{BundleView, Encoding, RouteKind, Variant};

use super::{Failure, open_bundle};
use crate::site::percent_decode;

/// What to tell of a bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// Its routes, a line each, and the sums.
    Routes,
    /// Only that it is whole.
    Verify,
    /// The response heads of one URL path, as the server sends them.
    Path(String),
}

/// Answers a question about a bundle.
///
/// # Errors
/// The bundle can't be read or is damaged, or it has no such path.
pub fn inspect(bundle: &Path, question: &Question) -> Result<String, Failure> {
    let view = open_bundle(bundle)?;
    match question {
        Question::Routes => Ok(describe_routes(&view)),
        Question::Verify => {
            Ok(format!("{}: whole, {} routes\nblake3 {:?}\n", bundle.display(), view.routes().len(), view.digest()))
        }
        Question::Path(path) => describe_path(&view, path),
    }
}

/// Tells what differs between two bundles, for people or as one JSON object.
///
/// # Errors
/// One of them can't be read or is damaged.
pub fn inspect_difference(old: &Path, new: &Path, is_json: bool) -> Result<String, Failure> {
    let difference = diff::Difference::between(&open_bundle(old)?, &open_bundle(new)?);
    Ok(if is_json { difference.to_json() } else { difference.to_text() })
}

fn describe_routes(view: &BundleView<Vec<u8>>) -> String {
    let mut text = String::new();
    let mut body_len_by_encoding = [0; Encoding::ALL.len()];
    for (key, value) in view.build_info() {
        line(&mut text, format_args!("{key}: {value}"));
    }
    let settings = view.settings();
    line(&mut text, format_args!("trailing_slash: {}", settings.trailing_slash));
    if !settings.canonical_host.is_empty() {
        line(&mut text, format_args!("canonical_host: {}", settings.canonical_host));
    }
    line(&mut text, format_args!("blake3: {:?}\n", view.digest()));
    // A column for each coding that the bundle has.
    let variants =
        view.routes().flat_map(|route| route.variants().map(|variant| variant.encoding()).collect::<Vec<_>>());
    let used: HashSet<_> = variants.collect();
    let columns: Vec<_> =
        Encoding::ALL.into_iter().filter(|one| *one == Encoding::Identity || used.contains(one)).collect();
    let cells = |cell: &dyn Fn(Encoding) -> String| -> String {
        columns.iter().map(|encoding| format!(" {:>10}", cell(*encoding))).collect::<Vec<_>>().concat()
    };
    line(&mut text, format_args!("status kind    {}  path", cells(&|encoding| column_name(encoding).to_owned())));
    for route in view.routes() {
        let mut lens = Encoding::ALL.map(|_| "-".to_owned());
        for variant in route.variants() {
            let len = variant.body_range().len();
            body_len_by_encoding[variant.encoding() as usize] += len;
            lens[variant.encoding() as usize] = len.to_string();
        }
        let path = String::from_utf8_lossy(route.path());
        let arrow = if route.location().is_empty() { "" } else { " → " };
        let location = String::from_utf8_lossy(route.location());
        let (status, kind) = (route.status(), kind_name(route.kind()));
        let lens = cells(&|encoding| lens[encoding as usize].clone());
        line(&mut text, format_args!("{status:<6} {kind:<8}{lens}  {path}{arrow}{location}"));
    }
    let sums = columns.iter().map(|encoding| {
        let len = body_len_by_encoding[*encoding as usize];
        if *encoding == Encoding::Identity {
            format!("{len} bytes")
        } else {
            format!("{} {len}", column_name(*encoding))
        }
    });
    let sums = sums.collect::<Vec<_>>().join(", ");
    let (count, file_len) = (view.routes().len(), view.bytes().len());
    line(&mut text, format_args!("\n{count} routes: {sums}; the bundle has {file_len} bytes"));
    text
}

fn column_name(encoding: Encoding) -> &'static str {
    if encoding == Encoding::Identity { "bytes" } else { encoding.token() }
}

fn describe_path(view: &BundleView<Vec<u8>>, path: &str) -> Result<String, Failure> {
    let decoded = percent_decode(path).unwrap_or_else(|| path.to_owned());
    let route = view.find(decoded.as_bytes()).ok_or_else(|| {
        let paths = view.routes().filter_map(|route| str::from_utf8(route.path()).ok()).collect::<Vec<_>>();
        let near = crate::diagnostic::nearest(&decoded, paths);
        let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Failure::Site(format!("the bundle has no path `{decoded}`{help}"))
    })?;
    let mut text = String::new();
    for (number, variant) in route.variants().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        text += &whole_head(&variant);
        if !route.location().is_empty() {
            line(&mut text, format_args!("Location: {}", String::from_utf8_lossy(route.location())));
        }
    }
    Ok(text)
}

fn whole_head(variant: &Variant<'_>) -> String {
    String::from_utf8_lossy(variant.head().whole()).replace("\r\n", "\n")
}

fn kind_name(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Page => "page",
        RouteKind::File => "file",
        RouteKind::Asset => "asset",
        RouteKind::Redirect => "redirect",
        RouteKind::KeptAsset => "kept",
        RouteKind::Pattern => "pattern",
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("writing to a string can't fail");
}
