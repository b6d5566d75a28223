//! Static files on their way to the visitor: public names and facts. It renders nothing.

mod image;
mod manifest;

pub use image::ImageSize;
pub use manifest::{Asset, AssetManifest, AssetNames, ReadAsset};
