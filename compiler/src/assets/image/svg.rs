//! The size that an SVG says. Nothing is drawn, and the file is published as it is.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::ImageSize;

/// Whether the outermost element is `svg`.
pub(super) fn is_svg(bytes: &[u8]) -> bool {
    root(bytes).is_some()
}

/// The first element of the file if it is `svg`. The tokenizer reads names as HTML does, in lower case.
fn root(bytes: &[u8]) -> Option<StartTag<()>> {
    let mut tokens = Tokenizer::new_with_emitter(bytes, DefaultEmitter::default()).map_while(Result::ok);
    tokens.find_map(|token| match token {
        Token::StartTag(tag) => Some(tag).filter(|tag| tag.name.as_slice() == b"svg" || tag.name.ends_with(b":svg")),
        _ => None,
    })
}

/// `width` and `height` of the outermost element (CSS units at 96 dots an inch), else those of its `viewBox`.
pub(super) fn size(bytes: &[u8]) -> Option<ImageSize> {
    let root = root(bytes)?;
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
