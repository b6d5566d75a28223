//! Static files on their way to the visitor: public names and facts, and the variants of images. It renders nothing.

pub mod image;
mod manifest;
mod variants;
mod workshop;

pub use image::{ImageFormat, ImageSize};
pub use manifest::{Asset, AssetManifest, AssetNames, AssetOptions, PublishedAsset, ReadAsset};
pub use variants::ImageVariant;
pub use workshop::{ImageWork, Progress, Silent, Workshop};
