//! From the path that a page writes to the URL that a visitor asks for, for every static file and every image there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bundle::Body;
use rayon::prelude::*;

use super::apart::Annex;
use super::image::{FaultKind, ImageFault, ImageFormat, ImageSize, is_image};
use super::variants::{ImageCounts, ImageVariant, MadeImage, MadePicture, digested_path, make, variant_path};
use super::workshop::{ImageWork, Workshop};
use crate::bytes::Bytes;
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
    pub bytes: Bytes,
    /// Its source, from the site's root.
    pub source_path: Arc<str>,
}

/// What became of looking at one file.
#[derive(Clone, Debug)]
pub struct ReadAsset {
    /// The asset.
    pub asset: Asset,
    /// What is wrong with it.
    pub diagnostic: Option<Diagnostic>,
    /// Whether it is an image that lacks variants, since the cache didn't have them and nobody was to make them.
    pub is_waiting: bool,
}

impl Asset {
    /// Names a static file by the digest of its bytes.
    fn set_digest(&mut self, names: AssetNames) {
        let digested_path = with_digest(&self.path, &self.bytes);
        self.url = public_url(&self.path, Some(&digested_path), names);
        self.digested_path = Some(digested_path);
    }

    /// The file itself or a variant of it, under both its paths.
    fn publish<'a>(&'a self, digested_path: &'a str, plain_path: &'a str, bytes: &'a Bytes) -> [PublishedAsset<'a>; 2] {
        [(digested_path, true), (plain_path, false)].map(|(path, is_digested)| PublishedAsset {
            path,
            is_digested,
            plain_path,
            bytes,
            source_path: &self.source_path,
        })
    }
}

/// A path at which an asset is published, and what is there.
#[derive(Clone, Copy, Debug)]
pub struct PublishedAsset<'a> {
    /// Not percent-encoded.
    pub path: &'a str,
    /// Whether the path has the digest in it, so that what is there never changes.
    pub is_digested: bool,
    /// The same without the digest.
    pub plain_path: &'a str,
    /// The file's bytes.
    pub bytes: &'a Bytes,
    /// What it was made of, from the site's root.
    pub source_path: &'a str,
}

/// All assets, by the path that pages write.
#[derive(Clone, Debug, Default)]
pub struct AssetManifest {
    assets: BTreeMap<String, Asset>,
    /// From the path of a variant to the image that it was made of.
    originals: BTreeMap<String, String>,
    waiting: Vec<Arc<str>>,
    image_counts: ImageCounts,
}

impl AssetManifest {
    /// Digests all static files and makes the variants of all images, in parallel. A file that `memo` knows is not looked
    /// at again.
    pub fn build(
        static_files: &[SourceFile],
        content: &[SourceFile],
        options: &AssetOptions<'_>,
        workshop: &Workshop<'_>,
        memo: &FileMemo<ReadAsset>,
    ) -> (Self, Vec<Diagnostic>) {
        let images_beside_pages = content.iter().filter(|file| is_image(&file.extension()));
        let files: Vec<_> = static_files.iter().map(|file| (file, Folder::Static)).collect();
        let files = [files, images_beside_pages.map(|file| (file, Folder::Content)).collect()].concat();
        let remembered: Vec<Option<ReadAsset>> =
            files.par_iter().map(|(file, _)| memo.find(&file.path, &file.bytes)).collect();
        let is_new_image = |index: &usize| remembered[*index].is_none() && is_image(&files[*index].0.extension());
        let new_images: Vec<usize> = (0..files.len()).filter(is_new_image).collect();
        let image_files: Vec<_> = new_images.iter().map(|index| files[*index].0).collect();
        let (made, image_counts) = make(&image_files, options.images, options.image_work, workshop);
        let mut made: BTreeMap<usize, Result<MadeImage, ImageFault>> = new_images.into_iter().zip(made).collect();
        let made: Vec<_> = (0..files.len()).map(|index| made.remove(&index)).collect();
        let results: Vec<ReadAsset> = (files.par_iter(), remembered, made)
            .into_par_iter()
            .map(|((file, folder), remembered, made)| {
                remembered.unwrap_or_else(|| {
                    let read = read_asset(file, *folder, options.names, made);
                    // A fault of the disk may be gone at the next look.
                    if read.diagnostic.as_ref().is_none_or(|one| one.code != Code::ChangedFile) {
                        memo.keep(&file.path, &file.bytes, read.clone());
                    }
                    read
                })
            })
            .collect();
        let mut manifest = Self { image_counts, ..Self::default() };
        let mut diagnostics = Vec::new();
        for ReadAsset { asset, diagnostic, is_waiting } in results {
            diagnostics.extend(diagnostic);
            if is_waiting {
                manifest.waiting.push(Arc::clone(&asset.source_path));
            }
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
        // Files are read here and not minified: no program is run.
        let (cache, annex) = (Cache::none(), Annex::new("".as_ref()));
        let workshop = Workshop::new(&cache, &annex);
        Self::build(static_files, content, &options, &workshop, &FileMemo::default())
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

    /// The sources of images that lack variants, since the cache didn't have them and nobody was to make them.
    pub fn waiting(&self) -> &[Arc<str>] {
        &self.waiting
    }

    /// How much was made of the images, and how much was there.
    pub fn image_counts(&self) -> ImageCounts {
        self.image_counts
    }

    /// Gives an asset its finished bytes, and with them its digested name.
    pub(super) fn finish(&mut self, path: &str, bytes: Vec<u8>, names: AssetNames) {
        let bytes = Bytes::from(bytes);
        let Some(asset) = self.assets.get_mut(path).filter(|asset| asset.bytes != bytes) else { return };
        asset.bytes = bytes;
        asset.set_digest(names);
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
            let digested = asset.digested_path.iter();
            let own = digested.flat_map(move |digested| asset.publish(digested, &asset.path, &asset.bytes));
            let variants = asset.variants.iter();
            let variants =
                variants.flat_map(move |variant| asset.publish(&variant.digested_path, &variant.path, &variant.bytes));
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

/// Where an asset's source is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Folder {
    /// Published below `/static/`, under its digested name too.
    Static,
    /// Published where it stands.
    Content,
}

/// The asset of a file, with what became of it if it is an image.
fn read_asset(
    file: &SourceFile,
    folder: Folder,
    names: AssetNames,
    image: Option<Result<MadeImage, ImageFault>>,
) -> ReadAsset {
    let path = match folder {
        Folder::Static => format!("/static/{}", file.name),
        Folder::Content => format!("/{}", file.name),
    };
    let is_waiting = matches!(&image, Some(Ok(image)) if image.is_waiting);
    let (image, diagnostic) = match image.transpose() {
        Ok(image) => (image, None),
        Err(fault) => (None, Some(to_diagnostic(file, &fault))),
    };
    let bytes = image.as_ref().map_or(&file.bytes, |image| &image.original);
    let digested_path = (folder == Folder::Static).then(|| with_digest(&path, bytes));
    let variants = image.iter().flat_map(|image| variants(&path, image, names)).collect();
    let asset = Asset {
        url: public_url(&path, digested_path.as_deref(), names),
        digested_path,
        format: ImageFormat::from_extension(&file.extension()),
        size: image.as_ref().and_then(|image| image.size),
        variants,
        bytes: bytes.clone(),
        source_path: Arc::clone(&file.path),
        path,
    };
    ReadAsset { asset, diagnostic, is_waiting }
}

/// An image with its variants: those that the cache doesn't have are made now. `path` is the one that pages write.
pub fn make_image(file: &SourceFile, path: &str, options: &AssetOptions<'_>, workshop: &Workshop<'_>) -> ReadAsset {
    let folder = if below_static(path).is_some() { Folder::Static } else { Folder::Content };
    let (mut made, _) = make(&[file], options.images, ImageWork::Make, workshop);
    read_asset(file, folder, options.names, made.pop())
}

fn variants(path: &str, image: &MadeImage, names: AssetNames) -> Vec<ImageVariant> {
    let variant = |picture: &MadePicture| {
        let is_own = image.format == picture.format;
        let width = (!picture.is_full).then_some(picture.size.width);
        let path = variant_path(path, width, (!is_own).then(|| picture.format.extension()));
        let digested_path = with_digest(&path, &picture.bytes);
        ImageVariant {
            size: picture.size,
            format: picture.format,
            url: public_url(&path, Some(&digested_path), names),
            path,
            digested_path,
            bytes: picture.bytes.clone(),
        }
    };
    image.pictures.iter().map(variant).collect()
}

/// The path of a file with the digest of its bytes in it.
pub(crate) fn with_digest(path: &str, bytes: &Bytes) -> String {
    digested_path(path, &bytes.digest().hex(DIGEST_DIGITS))
}

/// The URL that pages use, percent-encoded.
fn public_url(path: &str, digested_path: Option<&str>, names: AssetNames) -> String {
    let digested_path = digested_path.filter(|_| names == AssetNames::Digested);
    percent_encode(digested_path.unwrap_or(path))
}

fn to_diagnostic(file: &SourceFile, fault: &ImageFault) -> Diagnostic {
    let place = Place { path: Arc::clone(&file.path), span: Span::default() };
    let message = format!("`{}` can't be used: {}", file.path, fault.message);
    let code = match fault.kind {
        FaultKind::Broken => Code::BrokenImage,
        FaultKind::Misnamed => Code::ImageTypeMismatch,
        FaultKind::Changed => Code::ChangedFile,
    };
    Diagnostic::new(code, place, message).with_help(fault.help)
}
