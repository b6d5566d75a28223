//! What an image's header says. Nothing is decoded.

use std::io::Cursor;

use html5gum::{DefaultEmitter, Tokenizer};
use image::{ImageDecoder, ImageFormat, ImageReader, metadata::Orientation};

/// Width and height in CSS pixels, as shown: after the orientation that the file asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ImageSize {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

/// Extensions of the files that are images, in lower case.
const IMAGE_EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "gif", "webp", "avif", "svg"];

/// Whether a file is an image by its extension, in lower case.
pub(crate) fn is_image(extension: &str) -> bool {
    IMAGE_EXTENSIONS.contains(&extension)
}

/// The size that an image's header tells, or `None` for an AVIF or an SVG that doesn't say.
///
/// # Errors
/// Why the header can't be read.
pub(crate) fn read_size(extension: &str, bytes: &[u8]) -> Result<Option<ImageSize>, String> {
    match extension {
        "svg" => Ok(svg_size(bytes)),
        "avif" => Ok(None),
        _ => raster_size(extension, bytes).map(Some),
    }
}

fn raster_size(extension: &str, bytes: &[u8]) -> Result<ImageSize, String> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let format = reader.format().ok_or("its first bytes are those of no image")?;
    if ImageFormat::from_extension(extension) != Some(format) {
        return Err(format!("its content is {}", format.extensions_str().first().unwrap_or(&"another format")));
    }
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    let turned = matches!(
        decoder.orientation().unwrap_or(Orientation::NoTransforms),
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    Ok(if turned { ImageSize { width: height, height: width } } else { ImageSize { width, height } })
}

/// `width` and `height` of the outermost element (CSS units at 96 dots an inch), else those of its `viewBox`.
fn svg_size(bytes: &[u8]) -> Option<ImageSize> {
    let mut tokens = Tokenizer::new_with_emitter(bytes, DefaultEmitter::default()).map_while(Result::ok);
    let root = tokens.find_map(|token| match token {
        html5gum::Token::StartTag(tag) if tag.name.as_slice() == b"svg" => Some(tag),
        _ => None,
    })?;
    // The tokenizer reads names as HTML does, in lower case.
    let attribute = |name: &[u8]| {
        let (_, value) = root.attributes.iter().find(|(key, _)| key.as_slice() == name)?;
        str::from_utf8(value).ok()
    };
    let lengths = (attribute(b"width").and_then(css_pixels), attribute(b"height").and_then(css_pixels));
    let (width, height) = match lengths {
        (Some(width), Some(height)) => (width, height),
        _ => view_box_size(attribute(b"viewbox")?)?,
    };
    Some(ImageSize { width: whole_pixels(width)?, height: whole_pixels(height)? })
}

fn view_box_size(text: &str) -> Option<(f64, f64)> {
    let numbers: Vec<f64> = text.split([' ', ',', '\t', '\n']).filter_map(|number| number.parse().ok()).collect();
    if let [_, _, width, height] = numbers[..] { Some((width, height)) } else { None }
}

/// An absolute CSS length in pixels (CSS Values 4 section 6.2); relative ones have none.
fn css_pixels(length: &str) -> Option<f64> {
    let length = length.trim();
    let digits_end =
        length.find(|character: char| character.is_ascii_alphabetic() || character == '%').unwrap_or(length.len());
    let (number, unit) = length.split_at(digits_end);
    let pixels_per_unit = match unit {
        "" | "px" => 1.0,
        "in" => 96.0,
        "cm" => 96.0 / 2.54,
        "mm" => 9.6 / 2.54,
        "pt" => 96.0 / 72.0,
        "pc" => 16.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * pixels_per_unit)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn whole_pixels(length: f64) -> Option<u32> {
    let pixels = length.round();
    (1.0..=1_000_000.0).contains(&pixels).then_some(pixels as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(attributes: &str) -> Option<(u32, u32)> {
        let text = format!("<?xml version=\"1.0\"?><!-- c --><svg xmlns=\"http://www.w3.org/2000/svg\" {attributes}/>");
        read_size("svg", text.as_bytes()).unwrap().map(|size| (size.width, size.height))
    }

    #[test]
    fn an_svg_says_its_size_in_any_absolute_unit_or_by_its_view_box() {
        assert_eq!(svg("width=\"20\" height='30px'"), Some((20, 30)));
        assert_eq!(svg("width=\"1in\" height=\"25.4mm\""), Some((96, 96)));
        assert_eq!(svg("width=\"100%\" height=\"5em\" viewBox=\"0 0 40 10\""), Some((40, 10)));
        assert_eq!(svg("viewBox=\"0,0,40,10\""), Some((40, 10)));
        assert_eq!(svg(""), None);
        assert_eq!(svg("width=\"0\" height=\"-3\""), None);
    }

    #[test]
    fn a_broken_or_misnamed_image_says_so() {
        assert!(read_size("png", b"").is_err());
        assert!(read_size("png", b"\x89PNG\r\n\x1a\n").is_err());
        let gif = b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x03\0\x02\0\0\x02\x02\x84\x51\0;";
        assert_eq!(read_size("gif", gif), Ok(Some(ImageSize { width: 3, height: 2 })));
        assert_eq!(read_size("png", gif), Err("its content is gif".to_owned()));
    }
}
