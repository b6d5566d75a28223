//! How much memory making a file takes at its peak: upper bounds for what was measured. For each pixel that is encoded
//! these were, with 1.7, 6.7, 16.7 and 33.3 million pixels of a photograph: 6.3, 6.1, 6.1 and 6.1 bytes for a JPEG; 6.3,
//! 5.8, 5.7 and 5.7 for a lossy WebP, and 8.0 with the effort that small ones have; 25.2, 23.1, 21.2 and 20.1 for an AVIF,
//! where the first is more than the bound says, by 2 MB. A PNG without transparency (1.5 million) took 12.8.

use super::{ImageFormat, ImageSize};

/// Bytes that resizing to a size and encoding it take at the peak, what it is made from not counted.
pub fn encode_bytes(size: ImageSize, format: ImageFormat) -> u64 {
    let bytes_per_pixel = match format {
        ImageFormat::Jpeg => 3 + 7,
        ImageFormat::WebP => 3 + 10,
        ImageFormat::Avif => 3 + 24,
        ImageFormat::Png => 4 + 16,
        ImageFormat::Gif | ImageFormat::Svg => 0,
    };
    size.pixels() * bytes_per_pixel
}
