//! The chunks of a PNG file (PNG, third edition, section 5): its size, its metadata, its end. Pixels are `decode`'s.

use std::ops::Range;

use super::color::{Color, Model};
use super::fields::{bytes_at, u32_be};
use super::probe::Facts;
use super::{ImageFault, ImageSize, Kind, Motion, Orientation, exif};

/// The first bytes of the file.
pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Unpacked bytes of a profile at most; the largest that are used, with tables for inks, have about two million.
const PROFILE_BYTES_MAX: usize = 4 << 20;

/// A chunk.
pub(super) struct Chunk<'a> {
    pub(super) kind: [u8; 4],
    /// Where it stands in the file, with its length and checksum.
    pub(super) range: Range<usize>,
    pub(super) payload: &'a [u8],
}

/// The chunks from the first to the end's.
///
/// # Errors
/// The file ends before its last chunk.
pub(super) fn chunks(bytes: &[u8]) -> Result<Vec<Chunk<'_>>, ImageFault> {
    let mut found = Vec::new();
    let mut at = SIGNATURE.len();
    loop {
        let chunk = next_chunk(bytes, at).ok_or_else(|| ImageFault::broken("it is cut short: the PNG has no end"))?;
        at = chunk.range.end;
        let is_end = &chunk.kind == b"IEND";
        found.push(chunk);
        if is_end {
            return Ok(found);
        }
    }
}

fn next_chunk(bytes: &[u8], start: usize) -> Option<Chunk<'_>> {
    let len = usize::try_from(u32_be(bytes, start)?).ok()?;
    let end = start.checked_add(8)?.checked_add(len)?;
    // Four bytes of checksum follow; the decoder looks at them.
    let payload = bytes.get(start + 8..end).filter(|_| bytes.len() >= end + 4)?;
    Some(Chunk { kind: bytes_at(bytes, start + 4)?, range: start..end + 4, payload })
}

/// What the chunks say about the picture.
///
/// # Errors
/// The file is cut short or has no header.
pub(super) fn read(bytes: &[u8]) -> Result<Facts, ImageFault> {
    let chunks = chunks(bytes)?;
    let broken_header = || ImageFault::broken("the PNG has no header");
    let header = chunks.first().filter(|chunk| &chunk.kind == b"IHDR").ok_or_else(broken_header)?.payload;
    let (width, height) = u32_be(header, 0).zip(u32_be(header, 4)).ok_or_else(broken_header)?;
    let [bit_depth, color_type] = bytes_at(header, 8).ok_or_else(broken_header)?;
    let find = |kind: &[u8; 4]| chunks.iter().find(|chunk| &chunk.kind == kind).map(|chunk| chunk.payload);
    if find(b"IDAT").is_none() {
        return Err(ImageFault::broken("the PNG has no picture in it"));
    }
    let is_gray = matches!(color_type, 0 | 4);
    Ok(Facts {
        stored: ImageSize { width, height },
        orientation: find(b"eXIf").map_or(Orientation::UPRIGHT, exif::orientation),
        motion: if find(b"acTL").is_some() { Motion::Animated } else { Motion::Still },
        kind: Kind::Graphic,
        color: color(find, if is_gray { Model::Gray } else { Model::Rgb }),
        // As stored with four channels at most, and as a picture.
        decode_bytes_per_pixel: if bit_depth == 16 { 8 + 4 } else { 4 + 4 },
    })
}

/// Whichever comes first in the specification's order (section 4.3): cICP, iCCP, sRGB, gAMA with cHRM.
fn color<'a>(find: impl Fn(&[u8; 4]) -> Option<&'a [u8]>, model: Model) -> Color {
    let by_code_points = find(b"cICP").and_then(|cicp| match cicp {
        // PNG stores RGB in its full range only.
        [primaries, transfer, 0, 1] => Color::from_cicp(*primaries, *transfer),
        _ => None,
    });
    let by_profile = || {
        let profile = unpacked_profile(find(b"iCCP")?)?;
        Some(Color::from_icc(Some(&profile), model))
    };
    let by_gamma = || {
        if find(b"sRGB").is_some() {
            return None;
        }
        let chromaticities = find(b"cHRM").and_then(|chunk| {
            let numbers: Option<Vec<u32>> = (0..8).map(|index| u32_be(chunk, 4 * index)).collect();
            numbers?.try_into().ok()
        });
        Color::from_gamma(u32_be(find(b"gAMA")?, 0)?, chromaticities)
    };
    by_code_points.or_else(by_profile).or_else(by_gamma).unwrap_or(Color::Srgb)
}

/// The profile in an `iCCP` chunk: a name, a zero, the method zero, a zlib stream.
fn unpacked_profile(chunk: &[u8]) -> Option<Vec<u8>> {
    let name_end = chunk.iter().take(80).position(|byte| *byte == 0)?;
    let packed = chunk.get(name_end + 2..)?;
    let mut profile = vec![0; PROFILE_BYTES_MAX];
    let len = libdeflater::Decompressor::new().zlib_decompress(packed, &mut profile).ok()?;
    profile.truncate(len);
    Some(profile)
}
