//! How much memory making a file takes at its peak. Measured with pictures of 1 to 40 million pixels.

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
