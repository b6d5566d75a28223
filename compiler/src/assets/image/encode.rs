//! Pixels to a file's bytes. Every encoder runs on one thread, so that the same pixels give the same bytes anywhere.

use mozjpeg::{ColorSpace, Compress, qtable};
use oxipng::{BitDepth, ColorType, RawImage};
use ravif::{Encoder, Img, MatrixCoefficients, PixelRange};
use webp::WebPConfig;

use super::score::Reference;
use super::target::Search;
use super::{Channels, ImageFault, ImageFormat, ImageSize, Kind, Picture, guarded};

/// How good a lossy file has to be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Quality {
    /// A place on the encoder's own scale, 1 to 100.
    Fixed(u8),
    /// The place on that scale whose result has this SSIMULACRA2 score, 1 to 100 (100 is no difference at all), within 1.5.
    Target(f32),
}

/// What an encoder is told.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EncodeSettings {
    /// How good a lossy file has to be. Lossless ones ignore it.
    pub quality: Quality,
    /// What the image shows: graphics become lossless WebP.
    pub kind: Kind,
}

/// The effort of the AVIF encoder, 1 (slow) to 10: specified by the design of the image road.
pub(super) const AVIF_SPEED: u8 = 8;
/// Its effort for large pictures, which take most of the time. Measured with 6 photographs at their full size: 0.30 of the
/// time, 2 % more bytes, and a score that is lower by 1.2.
pub(super) const AVIF_SPEED_LARGE: u8 = 9;
/// The effort of the lossy WebP encoder, 0 to 6 (slow): specified by the design of the image road.
const WEBP_METHOD: i32 = 4;
/// Its effort for pictures that are larger than those that most visitors load. Measured with 20 photographs: 0.41 of the
/// time, 3 % more bytes, and a score that is lower by 0.4.
const WEBP_METHOD_LARGE: i32 = 2;
/// Pixels of a picture that counts as large. Guessed: those of a photograph about 1,250 wide.
const LARGE_PIXELS_MIN: u64 = 1_200_000;
/// How much the edges of blocks are spared by the filter of a lossy WebP, 0 (its default) to 7. Measured: 0.2 more of the
/// score for the same bytes.
const WEBP_FILTER_SHARPNESS: i32 = 1;
/// The effort of the PNG optimizer, 0 to 6 (slow): specified by the design of the image road.
const PNG_LEVEL: u8 = 1;

/// A file of this format that shows the picture.
///
/// # Errors
/// The format can't be written (GIF, SVG), can't hold so many pixels, or its encoder fails.
pub fn encode(picture: &Picture, format: ImageFormat, settings: &EncodeSettings) -> Result<Vec<u8>, ImageFault> {
    if !format.holds(picture.size) {
        let message = format!("it has more pixels than a {} can have", format.name());
        return Err(ImageFault::new(message, "make it smaller"));
    }
    let is_lossless = format == ImageFormat::Png || (format == ImageFormat::WebP && settings.kind == Kind::Graphic);
    match settings.quality {
        Quality::Target(score) if !is_lossless => {
            Search::new(format, score).encode(picture, Reference::new(picture).as_ref())
        }
        Quality::Target(_) => encode_at(picture, format, None),
        Quality::Fixed(_) if is_lossless => encode_at(picture, format, None),
        Quality::Fixed(quality) => encode_at(picture, format, Some(quality)),
    }
}

/// A file at a place on the encoder's scale, or a lossless one.
pub(super) fn encode_at(picture: &Picture, format: ImageFormat, quality: Option<u8>) -> Result<Vec<u8>, ImageFault> {
    let quality = quality.map(|quality| f32::from(quality.clamp(1, 100)));
    guarded("encoding", || match (format, quality) {
        (ImageFormat::Jpeg, quality) => encode_jpeg(picture, quality.unwrap_or(100.0)),
        (ImageFormat::WebP, quality) => encode_webp(picture, quality),
        (ImageFormat::Avif, quality) => encode_avif(picture, quality.unwrap_or(100.0), avif_speed(picture.size)),
        (ImageFormat::Png, _) => encode_png(picture),
        (ImageFormat::Gif | ImageFormat::Svg, _) => Err(failed(format, &"Kiln writes none")),
    })
}

/// Whether a picture is larger than those that most visitors load: lossy ones are made with less effort then.
pub(super) fn is_large(size: ImageSize) -> bool {
    size.pixels() >= LARGE_PIXELS_MIN
}

/// The effort of the AVIF encoder for a picture.
pub(super) fn avif_speed(size: ImageSize) -> u8 {
    if is_large(size) { AVIF_SPEED_LARGE } else { AVIF_SPEED }
}

fn failed(format: ImageFormat, error: &dyn std::fmt::Display) -> ImageFault {
    ImageFault::broken(format!("no {} can be made of it: {error}", format.name()))
}

/// Transparency is lost: a JPEG has none. Variants of a JPEG never had any.
fn encode_jpeg(picture: &Picture, quality: f32) -> Result<Vec<u8>, ImageFault> {
    let space = match picture.channels {
        Channels::Rgb => ColorSpace::JCS_RGB,
        Channels::Rgba => ColorSpace::JCS_EXT_RGBX,
    };
    let mut compress = Compress::new(space);
    // Without trellis quantisation, which takes five times as long. Measured with 20 photographs: the same score then takes
    // 5 % more bytes, which are still a quarter less than those of `vips`. This comes first: it takes all else back.
    compress.set_fastest_defaults();
    compress.set_size(picture.size.width as usize, picture.size.height as usize);
    // The table that mozjpeg takes by itself.
    let table = qtable::NRobidoux.scaled(quality, quality);
    compress.set_luma_qtable(&table);
    compress.set_chroma_qtable(&table);
    compress.set_progressive_mode();
    let mut started = compress.start_compress(Vec::new()).map_err(|error| failed(ImageFormat::Jpeg, &error))?;
    started.write_scanlines(&picture.pixels).map_err(|error| failed(ImageFormat::Jpeg, &error))?;
    started.finish().map_err(|error| failed(ImageFormat::Jpeg, &error))
}

/// Lossy at a quality, or lossless without one.
fn encode_webp(picture: &Picture, quality: Option<f32>) -> Result<Vec<u8>, ImageFault> {
    let encoder = match picture.channels {
        Channels::Rgb => webp::Encoder::from_rgb(&picture.pixels, picture.size.width, picture.size.height),
        Channels::Rgba => webp::Encoder::from_rgba(&picture.pixels, picture.size.width, picture.size.height),
    };
    let mut config = WebPConfig::new().map_err(|()| failed(ImageFormat::WebP, &"libwebp has another version"))?;
    if let Some(quality) = quality {
        config.quality = quality;
        config.method = if is_large(picture.size) { WEBP_METHOD_LARGE } else { WEBP_METHOD };
        config.filter_sharpness = WEBP_FILTER_SHARPNESS;
    } else {
        config.lossless = 1;
        config.quality = 75.0;
    }
    let file = encoder.encode_advanced(&config).map_err(|error| failed(ImageFormat::WebP, &format!("{error:?}")))?;
    Ok(file.to_vec())
}

pub(super) fn encode_avif(picture: &Picture, quality: f32, speed: u8) -> Result<Vec<u8>, ImageFault> {
    let encoder = Encoder::new()
        .with_quality(quality)
        .with_alpha_quality(quality)
        .with_speed(speed)
        .with_bit_depth(ravif::BitDepth::Eight)
        .with_num_threads(Some(1));
    let (width, height) = (picture.size.width as usize, picture.size.height as usize);
    let result = match picture.channels {
        Channels::Rgb => {
            // Handed over pixel by pixel: a copy in another type would double what a large picture takes.
            let planes = picture.pixels.as_chunks::<3>().0.iter().map(|pixel| light_and_differences(*pixel));
            let none: Option<[u8; 0]> = None;
            encoder.encode_raw_planes_8_bit(width, height, planes, none, PixelRange::Full, MatrixCoefficients::BT601)
        }
        Channels::Rgba => {
            let pixels: Vec<ravif::RGBA8> = picture.pixels.as_chunks::<4>().0.iter().map(|p| (*p).into()).collect();
            encoder.encode_rgba(Img::new(&pixels, width, height))
        }
    };
    Ok(result.map_err(|error| failed(ImageFormat::Avif, &error))?.avif_file)
}

/// The light of a pixel, and how far its blue and its red are from it (ITU-R BT.601), in their full range.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
pub(super) fn light_and_differences(pixel: [u8; 3]) -> [u8; 3] {
    let [red, green, blue] = pixel.map(f32::from);
    let light = 0.114_f32.mul_add(blue, 0.299_f32.mul_add(red, 0.587 * green));
    let of_blue = (blue - light).mul_add(0.5 / (1.0 - 0.114), 128.0);
    let of_red = (red - light).mul_add(0.5 / (1.0 - 0.299), 128.0);
    [light, of_blue, of_red].map(|value| value.round() as u8)
}

fn encode_png(picture: &Picture) -> Result<Vec<u8>, ImageFault> {
    let color_type = match picture.channels {
        Channels::Rgb => ColorType::RGB { transparent_color: None },
        Channels::Rgba => ColorType::RGBA,
    };
    let image =
        RawImage::new(picture.size.width, picture.size.height, color_type, BitDepth::Eight, picture.pixels.clone());
    let options = oxipng::Options::from_preset(PNG_LEVEL);
    let file = image.and_then(|image| image.create_optimized_png(&options));
    file.map_err(|error| failed(ImageFormat::Png, &error))
}
