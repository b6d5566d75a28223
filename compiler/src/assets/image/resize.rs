//! Pictures made smaller.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::{Channels, ImageFault, ImageSize, Picture, guarded};

/// The height that belongs to a width, as near to the picture's shape as whole pixels allow; never none.
pub fn scaled(size: ImageSize, width: u32) -> ImageSize {
    let exact = u64::from(size.height) * u64::from(width);
    let height = (exact + u64::from(size.width) / 2) / u64::from(size.width.max(1));
    ImageSize { width: width.max(1), height: u32::try_from(height).unwrap_or(u32::MAX).max(1) }
}

/// The picture at another width, in its shape. Where something is transparent, hidden colours don't bleed.
///
/// # Errors
/// The resizer gives up, which it has no reason to.
pub fn resize(picture: &Picture, width: u32) -> Result<Picture, ImageFault> {
    let size = scaled(picture.size, width);
    guarded("resizing", || {
        let pixel_type = match picture.channels {
            Channels::Rgb => PixelType::U8x3,
            Channels::Rgba => PixelType::U8x4,
        };
        let failed = |error: &dyn std::fmt::Display| ImageFault::broken(format!("it can't be made smaller: {error}"));
        let source = ImageRef::new(picture.size.width, picture.size.height, &picture.pixels, pixel_type);
        let source = source.map_err(|error| failed(&error))?;
        let mut target = Image::new(size.width, size.height, pixel_type);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).use_alpha(true);
        Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(&error))?;
        Ok(Picture { size, channels: picture.channels, pixels: target.into_vec() })
    })
}
