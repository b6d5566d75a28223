//! The variants of the site's images: which are made, what they are called, and which are worth publishing.

mod names;

use std::sync::Arc;

pub(crate) use names::digested_path;

use super::image::{ImageFormat, ImageSize};

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
    pub bytes: Arc<[u8]>,
}
