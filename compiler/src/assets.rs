//! Static files on their way to the visitor: compiled, minified, with the digests of what they refer to, public names and
//! facts, and the variants of images. It renders nothing.

mod apart;
mod css;
mod deep_stack;
pub mod image;
mod integrity;
mod manifest;
mod minify;
mod references;
mod script;
mod style;
mod texts;
mod variants;
mod workshop;

pub use apart::{Annex, COMMAND as APART_COMMAND, work_apart};
pub(crate) use css::{CssReferenceKind, css_url, find_css_references};
pub use image::{ImageFormat, ImageSize};
pub use integrity::find_integrity;
pub(crate) use integrity::is_integrity_of;
pub(crate) use manifest::with_digest;
pub use manifest::{Asset, AssetManifest, AssetNames, AssetOptions, PublishedAsset, ReadAsset, make_image};
pub(crate) use references::url_path;
pub use style::sheet_name;
pub use texts::is_text_asset;
pub use variants::{ImageCounts, ImageVariant};
pub use workshop::{ImageWork, Progress, Silent, Workshop};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cache::FileMemo;
use crate::config::Build;
use crate::diagnostic::{Code, Diagnostic, Place, Span};
use crate::source::SourceFile;

/// What assets are made of.
#[derive(Clone, Copy, Debug)]
pub struct AssetSources<'a> {
    /// Files published under `/static/`.
    pub static_files: &'a [SourceFile],
    /// Files among the pages.
    pub content: &'a [SourceFile],
    /// Style sheets that are compiled.
    pub styles: &'a [SourceFile],
}

/// Makes all assets of a site, as far as that is possible, and says what is wrong with them. A file that `memo` knows is
/// not looked at again.
pub fn make_assets(
    sources: AssetSources<'_>,
    build: &Build,
    options: &AssetOptions<'_>,
    workshop: &Workshop<'_>,
    memo: &FileMemo<ReadAsset>,
) -> (AssetManifest, Vec<Diagnostic>) {
    let (compiled, mut diagnostics) = style::compile_styles(sources.styles, workshop);
    let files: Vec<SourceFile> = sources.static_files.iter().cloned().chain(compiled).collect();
    diagnostics.extend(find_clashes(&files));
    diagnostics.extend(find_uncompiled(&sources));
    let (mut manifest, mistakes) = AssetManifest::build(&files, sources.content, options, workshop, memo);
    diagnostics.extend(mistakes);
    let settings = texts::TextSettings { build, names: options.names, workshop };
    diagnostics.extend(texts::finish_texts(&mut manifest, sources, settings));
    (manifest, diagnostics)
}

/// Reports files that would be published under one name: a sheet in `styles/` and one in `static/css/`.
fn find_clashes(files: &[SourceFile]) -> Vec<Diagnostic> {
    let mut first_of: BTreeMap<&str, &SourceFile> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for file in files {
        let first = first_of.entry(&file.name).or_insert(file);
        if first.path != file.path {
            let whole = |file: &SourceFile| Place { path: file.path.clone(), span: Span::default() };
            let message = format!("this sheet is published at `/static/{}`, and so is `{}`", file.name, first.path);
            let diagnostic = Diagnostic::new(Code::DuplicateUrl, whole(file), message);
            diagnostics
                .push(diagnostic.with_note(whole(first), "the other one").with_help("give one of them another name"));
        }
    }
    diagnostics
}

/// Warns of sheets that no browser reads and nothing compiles: those under `static/`, and those in the syntax of Sass that
/// goes by indentation. A folder of somebody else's sheets is one mistake.
fn find_uncompiled(sources: &AssetSources<'_>) -> Vec<Diagnostic> {
    let with_extension = |files: &[SourceFile], wanted: &[&str]| -> Vec<Arc<str>> {
        let found = files.iter().filter(|file| wanted.contains(&&*file.extension()));
        found.map(|file| Arc::clone(&file.path)).collect()
    };
    let warn = |paths: Vec<Arc<str>>, what: [&str; 2], help: &str| {
        let first = Arc::clone(paths.first()?);
        let message = match paths.len() {
            1 => format!("`{first}` {}", what[0]),
            count => format!("`{first}` and {} more {}", count - 1, what[1]),
        };
        let place = Place { path: first, span: Span::default() };
        Some(Diagnostic::new(Code::UncompiledStyle, place, message).with_help(help))
    };
    let published = with_extension(sources.static_files, &["scss", "sass"]);
    let unread = with_extension(sources.styles, &["sass", "less"]);
    let published = warn(
        published,
        ["is published as it is written", "are published as they are written"],
        "move it to `styles/`, where SCSS becomes `/static/css/NAME.css`; one that is meant to be read belongs into `content/`",
    );
    let unread = warn(
        unread,
        ["isn't compiled", "aren't compiled"],
        "only SCSS and CSS are: write it as `.scss`, or compile it with a command under `[[tools]]`",
    );
    published.into_iter().chain(unread).collect()
}
