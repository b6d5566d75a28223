//! How much memory making a file takes at its peak: upper bounds. Measured were, for each pixel that is encoded, 7.1 bytes
//! for a JPEG and 8.0 for a lossy WebP (9.2 million pixels), and 12.8 for a PNG without transparency (1.5 million). AVIF's
//! figure is reckoned from what rav1e allocates, not measured.

use super::{ImageFormat, ImageSize};

/// Bytes that resizing to a size and encoding it take at the peak, what it is made from not counted.
pub fn encode_bytes(size: ImageSize, format: ImageFormat) -> u64 {
    let bytes_per_pixel = match format {
        ImageFormat::Jpeg => 3 + 8,
        ImageFormat::WebP => 3 + 10,
        ImageFormat::Avif => 3 + 24,
        ImageFormat::Png => 4 + 16,
        ImageFormat::Gif | ImageFormat::Svg => 0,
    };
    size.pixels() * bytes_per_pixel
}
