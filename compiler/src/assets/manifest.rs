//! From the path that a page writes to the URL that a visitor asks for, for every static file and every image there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bundle::Digest;
use rayon::prelude::*;

use super::image::{ImageSize, is_image, read_size};
use crate::cache::FileMemo;
use crate::diagnostic::{Code, Diagnostic, Place, Span, nearest};
use crate::site::percent_encode;
use crate::source::SourceFile;

/// Hexadecimal digits of the BLAKE3 in a digested name: 64 bits.
const DIGEST_DIGITS: usize = 16;

/// Whether pages name static files by their digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AssetNames {
    /// `app.0123456789abcdef.css`: kept by browsers for ever.
    Digested,
    /// `app.css`.
    Plain,
}

/// One static file, or an image beside a page.
#[derive(Clone, Debug)]
pub struct Asset {
    /// The URL path under which it stays, not percent-encoded: `/static/css/app.css`.
    pub path: String,
    /// The same with the digest in its name; `None` for files beside pages.
    pub digested_path: Option<String>,
    /// The URL that pages use, percent-encoded.
    pub url: String,
    /// Whether its extension is an image's.
    pub is_image: bool,
    /// An image's size, if it is known.
    pub size: Option<ImageSize>,
    /// The file's bytes.
    pub bytes: Arc<[u8]>,
    /// Its source, from the site's root.
    pub source_path: Arc<str>,
}

/// What became of looking at one file: the asset, and what is wrong with it.
pub type ReadAsset = (Asset, Option<Diagnostic>);

/// All assets, by the path that pages write.
#[derive(Clone, Debug, Default)]
pub struct AssetManifest {
    assets: BTreeMap<String, Asset>,
}

impl AssetManifest {
    /// Digests all static files and reads the sizes of all images, in parallel.
    pub fn build(static_files: &[SourceFile], content: &[SourceFile], names: AssetNames) -> (Self, Vec<Diagnostic>) {
        Self::build_changed(static_files, content, names, &FileMemo::default())
    }

    /// The same, where a file that was looked at before is not looked at again.
    pub fn build_changed(
        static_files: &[SourceFile],
        content: &[SourceFile],
        names: AssetNames,
        memo: &FileMemo<ReadAsset>,
    ) -> (Self, Vec<Diagnostic>) {
        let remembered =
            |file: &SourceFile, make: &(dyn Fn() -> ReadAsset + Sync)| memo.find_or_make(&file.path, &file.bytes, make);
        let static_assets = static_files.par_iter().map(|file| remembered(file, &|| static_asset(file, names)));
        let images = content.par_iter().filter(|file| is_image(&file.extension()));
        let content_images = images.map(|file| remembered(file, &|| content_image(file)));
        let results: Vec<_> = static_assets.chain(content_images).collect();
        let mut manifest = Self::default();
        let mut diagnostics = Vec::new();
        for (asset, diagnostic) in results {
            diagnostics.extend(diagnostic);
            // Static files come first. A file among the pages that claims the same path is reported with the other URLs.
            manifest.assets.entry(asset.path.clone()).or_insert(asset);
        }
        (manifest, diagnostics)
    }

    /// The asset at a path such as `/static/css/app.css`.
    pub fn find(&self, path: &str) -> Option<&Asset> {
        self.assets.get(path)
    }

    /// The path that was probably meant.
    pub fn nearest(&self, path: &str) -> Option<&str> {
        nearest(path, self.assets.keys().map(String::as_str))
    }

    /// All assets, ascending by path.
    pub fn iter(&self) -> impl Iterator<Item = &Asset> {
        self.assets.values()
    }

    /// `manifest.json`: the digested name of each file under `static/`, relative to it.
    pub fn to_manifest_json(&self) -> String {
        let names: BTreeMap<_, _> = self
            .iter()
            .filter_map(|asset| Some((below_static(&asset.path)?, below_static(asset.digested_path.as_ref()?)?)))
            .collect();
        to_json(&names)
    }

    /// `assets_meta.json`: width and height of each image under `static/` that has them, relative to it.
    pub fn to_assets_meta_json(&self) -> String {
        let sizes: BTreeMap<_, _> =
            self.iter().filter_map(|asset| Some((below_static(&asset.path)?, asset.size?))).collect();
        to_json(&sizes)
    }
}

fn below_static(path: &str) -> Option<&str> {
    path.strip_prefix("/static/")
}

fn to_json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("a map of texts and numbers is JSON");
    text.push('\n');
    text
}

fn static_asset(file: &SourceFile, names: AssetNames) -> ReadAsset {
    let path = format!("/static/{}", file.name);
    let digested_path = digested_path(&path, &Digest::of(&file.bytes).hex(DIGEST_DIGITS));
    let url = percent_encode(if names == AssetNames::Digested { &digested_path } else { &path });
    with_size(Asset { digested_path: Some(digested_path), ..plain_asset(file, path, url) })
}

fn content_image(file: &SourceFile) -> ReadAsset {
    let path = format!("/{}", file.name);
    let url = percent_encode(&path);
    with_size(plain_asset(file, path, url))
}

fn plain_asset(file: &SourceFile, path: String, url: String) -> Asset {
    Asset {
        path,
        digested_path: None,
        url,
        is_image: is_image(&file.extension()),
        size: None,
        bytes: Arc::clone(&file.bytes),
        source_path: Arc::clone(&file.path),
    }
}

/// The asset with its size, or with what is wrong with the image.
fn with_size(mut asset: Asset) -> ReadAsset {
    if !asset.is_image {
        return (asset, None);
    }
    let extension = asset.path.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match read_size(&extension, &asset.bytes) {
        Ok(size) => {
            asset.size = size;
            (asset, None)
        }
        Err(reason) => {
            let place = Place { path: Arc::clone(&asset.source_path), span: Span::default() };
            let message = format!("`{}` is no image that can be read: {reason}", asset.source_path);
            (asset, Some(Diagnostic::new(Code::NoImageMetadata, place, message)))
        }
    }
}

/// The path with a digest before its last extension.
fn digested_path(path: &str, digest: &str) -> String {
    let name_start = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name_start..].rfind('.').filter(|dot| *dot > 0) {
        Some(dot) => format!("{}.{digest}{}", &path[..name_start + dot], &path[name_start + dot..]),
        None => format!("{path}.{digest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::digested_path;

    #[test]
    fn the_digest_stands_before_the_last_extension() {
        assert_eq!(digested_path("/static/a.b/app.min.js", "0f"), "/static/a.b/app.min.0f.js");
        assert_eq!(digested_path("/static/a.b/LICENSE", "0f"), "/static/a.b/LICENSE.0f");
        assert_eq!(digested_path("/static/.hidden", "0f"), "/static/.hidden.0f");
    }
}
