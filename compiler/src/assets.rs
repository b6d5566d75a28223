//! Static files on their way to the visitor: public names and facts, and the variants of images. It renders nothing.

mod image;
mod manifest;
mod variants;
mod workshop;

pub use image::ImageSize;
pub use manifest::{Asset, AssetManifest, AssetNames, AssetOptions, PublishedAsset, ReadAsset};
pub use variants::{ImageFormat, ImageVariant};
pub use workshop::{ImageWork, Progress, Silent, Workshop};
