//! From the path that a page writes to the URL that a visitor asks for, for every static file and every image there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bundle::Digest;
use rayon::prelude::*;

use super::image::{ImageFormat, ImageSize, is_image, probe};
use super::variants::{ImageVariant, digested_path};
use super::workshop::{ImageWork, Workshop};
use crate::cache::{Cache, FileMemo};
use crate::config::Images;
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

/// How assets are made.
#[derive(Clone, Copy, Debug)]
pub struct AssetOptions<'a> {
    /// Whether pages name assets by their digest.
    pub names: AssetNames,
    /// Which variants images have.
    pub images: &'a Images,
    /// Whether those that the cache doesn't have are made.
    pub image_work: ImageWork,
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
    /// What an image is encoded in, by its extension; `None` for all other files.
    pub format: Option<ImageFormat>,
    /// An image's size, if it is known.
    pub size: Option<ImageSize>,
    /// An image's variants, each format by itself with ascending widths. The format that browsers are to take first
    /// stands first, the original's own last.
    pub variants: Vec<ImageVariant>,
    /// The file's bytes, as they are published.
    pub bytes: Arc<[u8]>,
    /// Its source, from the site's root.
    pub source_path: Arc<str>,
}

/// What became of looking at one file: the asset, and what is wrong with it.
pub type ReadAsset = (Asset, Option<Diagnostic>);

/// A path at which an asset is published, and what is there.
#[derive(Clone, Copy, Debug)]
pub struct PublishedAsset<'a> {
    /// Not percent-encoded.
    pub path: &'a str,
    /// Whether the path has the digest in it, so that what is there never changes.
    pub is_digested: bool,
    /// The file's bytes.
    pub bytes: &'a Arc<[u8]>,
    /// What it was made of, from the site's root.
    pub source_path: &'a str,
}

/// All assets, by the path that pages write.
#[derive(Clone, Debug, Default)]
pub struct AssetManifest {
    assets: BTreeMap<String, Asset>,
    /// From the path of a variant to the image that it was made of.
    originals: BTreeMap<String, String>,
}

impl AssetManifest {
    /// Digests all static files and makes the variants of all images, in parallel. A file that `memo` knows is not looked
    /// at again.
    pub fn build(
        static_files: &[SourceFile],
        content: &[SourceFile],
        options: &AssetOptions<'_>,
        _workshop: &Workshop<'_>,
        memo: &FileMemo<ReadAsset>,
    ) -> (Self, Vec<Diagnostic>) {
        let remembered =
            |file: &SourceFile, make: &(dyn Fn() -> ReadAsset + Sync)| memo.find_or_make(&file.path, &file.bytes, make);
        let static_assets = static_files.par_iter().map(|file| remembered(file, &|| static_asset(file, options.names)));
        let images = content.par_iter().filter(|file| is_image(&file.extension()));
        let content_images = images.map(|file| remembered(file, &|| content_image(file)));
        let results: Vec<_> = static_assets.chain(content_images).collect();
        let mut manifest = Self::default();
        let mut diagnostics = Vec::new();
        for (asset, diagnostic) in results {
            diagnostics.extend(diagnostic);
            manifest.add(asset);
        }
        (manifest, diagnostics)
    }

    /// All assets as they are: images have no variants.
    pub fn of_originals(
        static_files: &[SourceFile],
        content: &[SourceFile],
        names: AssetNames,
    ) -> (Self, Vec<Diagnostic>) {
        let images = Images::default();
        let options = AssetOptions { names, images: &images, image_work: ImageWork::Remember };
        Self::build(static_files, content, &options, &Workshop::new(&Cache::none()), &FileMemo::default())
    }

    /// Adds an asset, unless there is one at its path: static files come first. A file among the pages that claims the
    /// same path is reported with the other URLs.
    fn add(&mut self, asset: Asset) {
        if self.assets.contains_key(&asset.path) {
            return;
        }
        for variant in &asset.variants {
            self.originals.insert(variant.path.clone(), asset.path.clone());
        }
        self.assets.insert(asset.path.clone(), asset);
    }

    /// The asset at a path such as `/static/css/app.css`.
    pub fn find(&self, path: &str) -> Option<&Asset> {
        self.assets.get(path)
    }

    /// The URL that pages use for the asset, or the variant of an image, at a path.
    pub fn find_url(&self, path: &str) -> Option<&str> {
        let of_variant = || {
            let original = self.find(self.originals.get(path)?)?;
            original.variants.iter().find(|variant| variant.path == path).map(|variant| variant.url.as_str())
        };
        self.find(path).map(|asset| asset.url.as_str()).or_else(of_variant)
    }

    /// The path that was probably meant.
    pub fn nearest(&self, path: &str) -> Option<&str> {
        nearest(path, self.assets.keys().map(String::as_str))
    }

    /// All assets, ascending by path.
    pub fn iter(&self) -> impl Iterator<Item = &Asset> {
        self.assets.values()
    }

    /// Every path at which something is published: digested and plain, variants too. Images beside pages are left out,
    /// since they are published with the other files there; their variants are not.
    pub fn published(&self) -> impl Iterator<Item = PublishedAsset<'_>> {
        self.iter().flat_map(|asset| {
            let of = move |path, is_digested, bytes| PublishedAsset {
                path,
                is_digested,
                bytes,
                source_path: &asset.source_path,
            };
            let digested = asset.digested_path.iter();
            let own = digested.flat_map(move |digested| {
                [of(digested.as_str(), true, &asset.bytes), of(asset.path.as_str(), false, &asset.bytes)]
            });
            let variants = asset.variants.iter().flat_map(move |variant| {
                [
                    of(variant.digested_path.as_str(), true, &variant.bytes),
                    of(variant.path.as_str(), false, &variant.bytes),
                ]
            });
            own.chain(variants)
        })
    }

    /// `manifest.json`: the digested name of each file under `static/` and of each variant, relative to it.
    pub fn to_manifest_json(&self) -> String {
        let mut names = BTreeMap::new();
        for asset in self.iter() {
            let own = asset.digested_path.iter().map(|digested| (&asset.path, digested));
            let variants = asset.variants.iter().map(|variant| (&variant.path, &variant.digested_path));
            names.extend(
                own.chain(variants).filter_map(|(path, digested)| Some((below_static(path)?, below_static(digested)?))),
            );
        }
        to_json(&names)
    }

    /// `assets_meta.json`: width and height of each image under `static/` that has them and of each variant, relative to
    /// it.
    pub fn to_assets_meta_json(&self) -> String {
        let mut sizes = BTreeMap::new();
        for asset in self.iter() {
            let own = asset.size.iter().map(|size| (&asset.path, *size));
            let variants = asset.variants.iter().map(|variant| (&variant.path, variant.size));
            sizes.extend(own.chain(variants).filter_map(|(path, size)| Some((below_static(path)?, size))));
        }
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
        format: ImageFormat::from_extension(&file.extension()),
        size: None,
        variants: Vec::new(),
        bytes: Arc::clone(&file.bytes),
        source_path: Arc::clone(&file.path),
    }
}

/// Width times height of an image at most.
const PIXELS_MAX: u64 = 40_000_000;

/// The asset with its size, or with what is wrong with the image.
fn with_size(mut asset: Asset) -> ReadAsset {
    if asset.format.is_none() {
        return (asset, None);
    }
    let extension = asset.path.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match probe(&extension, &asset.bytes, PIXELS_MAX) {
        Ok(probe) => {
            asset.size = probe.size;
            (asset, None)
        }
        Err(fault) => {
            let place = Place { path: Arc::clone(&asset.source_path), span: Span::default() };
            let message = format!("`{}` can't be used: {}", asset.source_path, fault.message);
            (asset, Some(Diagnostic::new(Code::NoImageMetadata, place, message).with_help(fault.help)))
        }
    }
}
