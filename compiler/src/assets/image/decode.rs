//! A file's bytes to pixels: sRGB, 8 bits a channel, upright.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageResult};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::color::{convert_8, convert_16, convert_inks};
use super::turn::turned;
use super::{Channels, ImageFault, ImageFormat, ImageSize, Picture, Probe, guarded};
use crate::config::IMAGE_SIDE_MAX;

/// The picture in a file that `probe` has looked at.
///
/// # Errors
/// The file is damaged, or it is one that can't vary: an animation, a GIF, an AVIF, an SVG.
pub fn decode(bytes: &[u8], probe: &Probe) -> Result<Picture, ImageFault> {
    if !probe.can_vary() {
        return Err(ImageFault::new("it is not to be decoded", "leave it out of what is made smaller"));
    }
    let picture = guarded("decoding", || {
        if probe.color.is_inks() {
            return picture_of_inks(bytes, probe);
        }
        if probe.format == ImageFormat::Jpeg {
            return picture_of_jpeg(bytes, probe);
        }
        let stored = Cursor::new(bytes);
        let image = match probe.format {
            ImageFormat::Png => PngDecoder::new(stored).and_then(image_of),
            _ => WebPDecoder::new(stored).and_then(image_of),
        };
        picture_of(image.map_err(|error| ImageFault::broken(error.to_string()))?, probe)
    })?;
    let picture = turned(without_idle_alpha(picture), probe.orientation);
    if Some(picture.size) == probe.size {
        Ok(picture)
    } else {
        Err(ImageFault::broken("its header says another size than its picture has"))
    }
}

/// The decoder is strict: where others fill what is missing with grey, it says so.
fn picture_of_jpeg(bytes: &[u8], probe: &Probe) -> Result<Picture, ImageFault> {
    let side_max = IMAGE_SIDE_MAX as usize;
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    let options = options.set_max_width(side_max).set_max_height(side_max);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let mut pixels = decoder.decode().map_err(|error| ImageFault::broken(error.to_string()))?;
    convert_8(&probe.color, Channels::Rgb, &mut pixels)?;
    let size = decoder.info().map(|info| ImageSize { width: info.width.into(), height: info.height.into() });
    size.and_then(|size| Picture::new(size, Channels::Rgb, pixels))
        .ok_or_else(|| ImageFault::broken("the JPEG's header and its pixels don't agree"))
}

fn image_of(decoder: impl ImageDecoder) -> ImageResult<DynamicImage> {
    DynamicImage::from_decoder(decoder)
}

fn picture_of(image: DynamicImage, probe: &Probe) -> Result<Picture, ImageFault> {
    let size = ImageSize { width: image.width(), height: image.height() };
    let channels = if image.color().has_alpha() { Channels::Rgba } else { Channels::Rgb };
    let pixels = match image {
        DynamicImage::ImageLuma16(_) | DynamicImage::ImageRgb16(_) => {
            narrowed(image.into_rgb16().into_raw(), channels, probe)?
        }
        DynamicImage::ImageLumaA16(_) | DynamicImage::ImageRgba16(_) => {
            narrowed(image.into_rgba16().into_raw(), channels, probe)?
        }
        _ => {
            let mut pixels = match channels {
                Channels::Rgb => image.into_rgb8().into_raw(),
                Channels::Rgba => image.into_rgba8().into_raw(),
            };
            convert_8(&probe.color, channels, &mut pixels)?;
            pixels
        }
    };
    Picture::new(size, channels, pixels).ok_or_else(|| ImageFault::broken("it has no pixels"))
}

/// The picture of a CMYK or YCCK file: the one kind that the decoder in Rust can't give as it is stored.
fn picture_of_inks(bytes: &[u8], probe: &Probe) -> Result<Picture, ImageFault> {
    let failed = |error: std::io::Error| ImageFault::broken(error.to_string());
    let decompress = mozjpeg::Decompress::new_mem(bytes).map_err(failed)?;
    let mut started = decompress.to_colorspace(mozjpeg::ColorSpace::JCS_CMYK).map_err(failed)?;
    let (width, height) = (started.width(), started.height());
    let inks: Vec<[u8; 4]> = started.read_scanlines().map_err(failed)?;
    started.finish().map_err(failed)?;
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    let pixels = convert_inks(&probe.color, inks.as_flattened())?;
    Picture::new(ImageSize { width: side(width), height: side(height) }, Channels::Rgb, pixels)
        .ok_or_else(|| ImageFault::broken("it has no pixels"))
}

/// 8 bits of 16, after a conversion at full precision.
fn narrowed(mut wide: Vec<u16>, channels: Channels, probe: &Probe) -> Result<Vec<u8>, ImageFault> {
    convert_16(&probe.color, channels, &mut wide)?;
    let nearest = |value: u16| u8::try_from((u32::from(value) * 255 + 32_767) / 65_535);
    Ok(wide.into_iter().map(|value| nearest(value).expect("65,535 becomes 255")).collect())
}

/// Three channels are enough where nothing is transparent.
fn without_idle_alpha(picture: Picture) -> Picture {
    let (pixels, _) = picture.pixels.as_chunks::<4>();
    if picture.channels == Channels::Rgb || pixels.iter().any(|[.., alpha]| *alpha != u8::MAX) {
        return picture;
    }
    let opaque = pixels.iter().flat_map(|[red, green, blue, _]| [*red, *green, *blue]).collect();
    Picture { channels: Channels::Rgb, pixels: opaque, ..picture }
}
