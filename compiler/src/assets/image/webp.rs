//! The chunks of a WebP file (RFC 9649): its size, its metadata, its end. Pixels are `decode`'s and `encode`'s.

use super::color::{Color, Model};
use super::fields::{bytes_at, u16_le, u24_le, u32_le};
use super::probe::Facts;
use super::{ImageFault, ImageSize, Kind, Motion, Orientation, exif};

/// A chunk of a RIFF file.
pub(super) struct Chunk<'a> {
    pub(super) kind: [u8; 4],
    pub(super) payload: &'a [u8],
}

/// Bits of the extended header's first byte.
pub(super) const HAS_PROFILE: u8 = 0x20;
pub(super) const HAS_EXIF: u8 = 0x08;
pub(super) const HAS_XMP: u8 = 0x04;
const IS_ANIMATED: u8 = 0x02;

fn cut_short() -> ImageFault {
    ImageFault::broken("it is cut short: the WebP says that it is longer")
}

/// The chunks of the file, as far as its own length goes.
///
/// # Errors
/// The file ends before that.
pub(super) fn chunks(bytes: &[u8]) -> Result<Vec<Chunk<'_>>, ImageFault> {
    let len = usize::try_from(u32_le(bytes, 4).ok_or_else(cut_short)?).map_err(|_| cut_short())?;
    let body = bytes.get(12..len.saturating_add(8).max(12)).ok_or_else(cut_short)?;
    let mut found = Vec::new();
    let mut at = 0;
    // A single byte at the end is padding that doesn't count.
    while body.len() - at > 1 {
        let chunk = next_chunk(body, at).ok_or_else(cut_short)?;
        // Chunks are padded to an even length; at the end of the file some writers forget it.
        at = (at + 8 + chunk.payload.len().next_multiple_of(2)).min(body.len());
        found.push(chunk);
    }
    Ok(found)
}

fn next_chunk(body: &[u8], start: usize) -> Option<Chunk<'_>> {
    let len = usize::try_from(u32_le(body, start + 4)?).ok()?;
    let payload = body.get(start + 8..(start + 8).checked_add(len)?)?;
    Some(Chunk { kind: bytes_at(body, start)?, payload })
}

/// What the chunks say about the picture.
///
/// # Errors
/// The file is cut short or has no picture.
pub(super) fn read(bytes: &[u8]) -> Result<Facts, ImageFault> {
    let chunks = chunks(bytes)?;
    let find = |kind: &[u8; 4]| chunks.iter().find(|chunk| &chunk.kind == kind).map(|chunk| chunk.payload);
    let extended = find(b"VP8X");
    let is_animated = extended.and_then(|header| header.first()).is_some_and(|flags| flags & IS_ANIMATED != 0);
    let canvas = extended.and_then(canvas_size);
    let picture = find(b"VP8 ").and_then(lossy_size).or_else(|| find(b"VP8L").and_then(lossless_size));
    let stored = if is_animated { canvas } else { picture.filter(|size| canvas.is_none_or(|canvas| canvas == *size)) };
    Ok(Facts {
        stored: stored.ok_or_else(|| ImageFault::broken("the WebP has no picture in it"))?,
        orientation: find(b"EXIF").map_or(Orientation::UPRIGHT, exif::orientation),
        motion: if is_animated { Motion::Animated } else { Motion::Still },
        kind: if find(b"VP8L").is_some() { Kind::Graphic } else { Kind::Photograph },
        color: Color::from_icc(find(b"ICCP"), Model::Rgb),
        // The planes of a lossy picture or the words of a lossless one, then the picture.
        decode_bytes_per_pixel: 4 + 4,
    })
}

fn canvas_size(header: &[u8]) -> Option<ImageSize> {
    Some(ImageSize { width: u24_le(header, 4)? + 1, height: u24_le(header, 7)? + 1 })
}

/// From the frame header of VP8 (RFC 6386 section 9.1): 14 bits each, above them a scale that isn't used.
fn lossy_size(frame: &[u8]) -> Option<ImageSize> {
    let has_start_code = frame.get(3..6)? == [0x9D, 0x01, 0x2A];
    let side = |at| Some(u32::from(u16_le(frame, at)? & 0x3FFF));
    has_start_code.then_some(ImageSize { width: side(6)?, height: side(8)? })
}

/// From the header of a lossless picture: 14 bits each, one less than the side.
fn lossless_size(picture: &[u8]) -> Option<ImageSize> {
    let bits = u32_le(picture, 1).filter(|_| picture[0] == 0x2F)?;
    Some(ImageSize { width: (bits & 0x3FFF) + 1, height: (bits >> 14 & 0x3FFF) + 1 })
}
