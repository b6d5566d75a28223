//! The variants of the site's images: which are made, what they are called, and which are worth publishing.

mod keep;
mod make;
mod names;
mod plan;
mod schedule;

pub use make::ImageCounts;
pub(crate) use make::{MadeImage, MadePicture, make};
pub(crate) use names::{digested_path, variant_path};

use super::image::{ImageFormat, ImageSize};
use crate::bytes::Bytes;

/// A picture made of an image: narrower, or in another format, or both.
#[derive(Clone, Debug)]
pub struct ImageVariant {
    /// Its size.
    pub size: ImageSize,
    /// What it is encoded in.
    pub format: ImageFormat,
    /// The URL path under which it stays, not percent-encoded: `/static/img/a.w728.webp`.
    pub path: String,
    /// The same with the digest in its name.
    pub digested_path: String,
    /// The URL that pages use, percent-encoded.
    pub url: String,
    /// The file's bytes.
    pub bytes: Bytes,
}
