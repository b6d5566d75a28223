//! Static files on their way to the visitor: compiled, minified, with the digests of what they refer to, public names and
//! facts. It renders nothing.

mod css;
mod deep_stack;
mod image;
mod manifest;
mod references;
mod script;
mod style;
mod texts;

pub use image::ImageSize;
pub use manifest::{Asset, AssetManifest, AssetNames, ReadAsset};
pub use texts::is_text_asset;

use std::collections::BTreeMap;

use crate::cache::{Cache, FileMemo};
use crate::config::Build;
use crate::diagnostic::{Code, Diagnostic, Place, Span};
use crate::source::{SourceFile, Sources};

/// How assets are made.
#[derive(Clone, Copy, Debug)]
pub struct AssetSettings<'a> {
    /// `[build]`
    pub build: &'a Build,
    /// Whether pages name assets by their digest.
    pub names: AssetNames,
    /// What pure functions returned in earlier builds.
    pub cache: &'a Cache,
    /// What single files became in the last build of this process.
    pub memo: &'a FileMemo<ReadAsset>,
}

/// Makes all assets of a site, as far as that is possible, and says what is wrong with them.
pub fn make_assets(sources: &Sources, settings: AssetSettings<'_>) -> (AssetManifest, Vec<Diagnostic>) {
    let AssetSettings { build, names, cache, memo } = settings;
    let (compiled, mut diagnostics) = style::compile_styles(&sources.styles, cache);
    let files: Vec<SourceFile> = sources.static_files.iter().cloned().chain(compiled).collect();
    diagnostics.extend(find_clashes(&files));
    let (mut manifest, mistakes) = AssetManifest::build_changed(&files, &sources.content, names, memo);
    diagnostics.extend(mistakes);
    diagnostics.extend(texts::finish_texts(&mut manifest, sources, texts::TextSettings { build, names, cache }));
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
