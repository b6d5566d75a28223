//! What an image's header says, whatever its format. Nothing is decoded.

use super::color::Color;
use super::{FaultKind, ImageFault, ImageFormat, ImageSize, Kind, Motion, Orientation, Probe};
use super::{avif, gif, jpeg, png, svg, webp};
use crate::config::IMAGE_SIDE_MAX;

/// What a format's own reader found.
pub(super) struct Facts {
    /// The size as stored.
    pub(super) stored: ImageSize,
    pub(super) orientation: Orientation,
    pub(super) motion: Motion,
    pub(super) kind: Kind,
    pub(super) color: Color,
    /// Memory that the decoder and its result take, for each pixel; none where nothing is ever decoded.
    pub(super) decode_bytes_per_pixel: u64,
}

/// What the header of an image tells. `extension` is that of its name, in lower case; `pixels_max` bounds width times
/// height.
///
/// # Errors
/// The file is empty, cut short, of another type than its name says, of a kind that browsers don't show, or too large.
pub fn probe(extension: &str, bytes: &[u8], pixels_max: u64) -> Result<Probe, ImageFault> {
    if bytes.is_empty() {
        return Err(ImageFault::broken("it is empty"));
    }
    let format = checked_format(extension, bytes)?;
    let facts = match format {
        ImageFormat::Jpeg => jpeg::read(bytes)?,
        ImageFormat::Png => png::read(bytes)?,
        ImageFormat::WebP => webp::read(bytes)?,
        ImageFormat::Gif => gif::read(bytes)?,
        ImageFormat::Avif => avif::read(bytes)?,
        ImageFormat::Svg => return Ok(vector(svg::size(bytes))),
    };
    check_size(facts.stored, pixels_max)?;
    // What moves is published as it is, and no browser turns it.
    let orientation = if facts.motion == Motion::Still { facts.orientation } else { Orientation::UPRIGHT };
    let size = if orientation.swaps_sides() { facts.stored.turned() } else { facts.stored };
    let turning_bytes = if orientation == Orientation::UPRIGHT { 0 } else { 4 };
    Ok(Probe {
        format,
        size: Some(size),
        orientation,
        motion: facts.motion,
        kind: facts.kind,
        decode_bytes: facts.stored.pixels() * (facts.decode_bytes_per_pixel + turning_bytes),
        color: facts.color,
    })
}

fn vector(size: Option<ImageSize>) -> Probe {
    Probe {
        format: ImageFormat::Svg,
        size,
        orientation: Orientation::UPRIGHT,
        motion: Motion::Still,
        kind: Kind::Graphic,
        decode_bytes: 0,
        color: Color::Srgb,
    }
}

/// The format of the content, if the name says the same.
fn checked_format(extension: &str, bytes: &[u8]) -> Result<ImageFormat, ImageFault> {
    let named = ImageFormat::from_extension(extension);
    let found = sniffed_format(bytes);
    match (named, found) {
        (Some(named), Some(found)) if named == found => Ok(found),
        (Some(named), Some(found)) => {
            let message = format!("its name says {}, but it is {}", named.name(), found.name());
            let help = "rename it, or save it in the format of its name";
            Err(ImageFault { kind: FaultKind::Misnamed, ..ImageFault::new(message, help) })
        }
        (Some(named), None) => Err(ImageFault::broken(format!("its name says {}, but it is no image", named.name()))),
        (None, _) => Err(ImageFault::new(format!("`.{extension}` is no image's extension"), "rename it")),
    }
}

/// The format by the first bytes.
fn sniffed_format(bytes: &[u8]) -> Option<ImageFormat> {
    if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        Some(ImageFormat::Jpeg)
    } else if bytes.starts_with(png::SIGNATURE) {
        Some(ImageFormat::Png)
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Some(ImageFormat::Gif)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some(ImageFormat::WebP)
    } else if avif::is_avif(bytes) {
        Some(ImageFormat::Avif)
    } else {
        svg::is_svg(bytes).then_some(ImageFormat::Svg)
    }
}

fn check_size(size: ImageSize, pixels_max: u64) -> Result<(), ImageFault> {
    let ImageSize { width, height } = size;
    if width == 0 || height == 0 {
        return Err(ImageFault::broken("its header says that it has no pixels"));
    }
    if width.max(height) > IMAGE_SIDE_MAX {
        let message = format!("it has {width} × {height} pixels: more than {IMAGE_SIDE_MAX} a side");
        return Err(ImageFault::new(message, "make it smaller"));
    }
    if size.pixels() > pixels_max {
        let message =
            format!("it has {width} × {height} = {} pixels: more than the limit, {pixels_max}", size.pixels());
        return Err(ImageFault::new(message, "make it smaller, or raise `max_pixels` in `[images]` of `site.toml`"));
    }
    Ok(())
}
