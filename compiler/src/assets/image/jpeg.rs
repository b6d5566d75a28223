//! The segments of a JPEG file (ITU-T T.81 annex B): its size, its metadata, its end. Pixels are `decode`'s.

use std::ops::Range;

use super::color::{Color, Model};
use super::fields::u16_be;
use super::probe::Facts;
use super::{ImageFault, ImageSize, Kind, Motion, Orientation, exif};

/// A marker with what belongs to it.
pub(super) struct Segment<'a> {
    /// The byte after `0xFF`.
    pub(super) marker: u8,
    /// Where it stands in the file, its marker included, and for a scan the coded data behind it.
    pub(super) range: Range<usize>,
    /// Its bytes after the length field.
    pub(super) payload: &'a [u8],
}

pub(super) const END_OF_IMAGE: u8 = 0xD9;
pub(super) const START_OF_SCAN: u8 = 0xDA;
pub(super) const COMMENT: u8 = 0xFE;
pub(super) const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
pub(super) const APP14: u8 = 0xEE;
pub(super) const APP15: u8 = 0xEF;
const ICC_MARK: &[u8] = b"ICC_PROFILE\0";

/// The segments from the start of the image to its end marker.
///
/// # Errors
/// The file ends before its end marker, or something stands where a marker should.
pub(super) fn segments(bytes: &[u8]) -> Result<Vec<Segment<'_>>, ImageFault> {
    let mut found = Vec::new();
    // The start of the image, two bytes, was what told the format.
    let mut at = 2;
    loop {
        let segment = next_segment(bytes, at)?;
        at = segment.range.end;
        let is_end = segment.marker == END_OF_IMAGE;
        found.push(segment);
        if is_end {
            return Ok(found);
        }
    }
}

fn cut_short() -> ImageFault {
    ImageFault::broken("it is cut short: a JPEG ends with a marker, and this one doesn't")
}

fn next_segment(bytes: &[u8], start: usize) -> Result<Segment<'_>, ImageFault> {
    if *bytes.get(start).ok_or_else(cut_short)? != 0xFF {
        return Err(ImageFault::broken(format!("there is no marker at byte {start} of the JPEG, where one has to be")));
    }
    // Any number of 0xFF may stand before a marker (B.1.1.2).
    let marker_at = (start..bytes.len()).find(|at| bytes[*at] != 0xFF).ok_or_else(cut_short)?;
    let marker = bytes[marker_at];
    // These have no length: the end, restarts, and TEM.
    if matches!(marker, END_OF_IMAGE | 0x01 | 0xD0..=0xD7) {
        return Ok(Segment { marker, range: start..marker_at + 1, payload: &[] });
    }
    let len = usize::from(u16_be(bytes, marker_at + 1).ok_or_else(cut_short)?);
    let payload_end = marker_at + 1 + len;
    let payload = match bytes.get(marker_at + 3..payload_end.max(marker_at + 3)) {
        Some(payload) if len >= 2 => payload,
        Some(_) => return Err(ImageFault::broken("a segment of the JPEG has an impossible length")),
        None => return Err(cut_short()),
    };
    let end = if marker == START_OF_SCAN { scan_end(bytes, payload_end).ok_or_else(cut_short)? } else { payload_end };
    Ok(Segment { marker, range: start..end, payload })
}

/// Where the next marker after coded data stands: one that is neither a stuffed zero nor a restart.
fn scan_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xFF)?;
        match bytes.get(at + 1)? {
            0x00 | 0xD0..=0xD7 => at += 2,
            0xFF => at += 1,
            _ => return Some(at),
        }
    }
}

/// What the segments say about the picture.
///
/// # Errors
/// The file is cut short, or of a kind that browsers don't show.
pub(super) fn read(bytes: &[u8]) -> Result<Facts, ImageFault> {
    let segments = segments(bytes)?;
    let frame = segments.iter().find(|segment| is_frame(segment.marker));
    let frame = frame.ok_or_else(|| ImageFault::broken("the JPEG has no frame header"))?;
    if !matches!(frame.marker, 0xC0..=0xC2) {
        return Err(ImageFault::new(
            "it is a JPEG of a kind that browsers don't show (lossless, hierarchical or arithmetic coding)",
            "save it as a baseline or progressive JPEG",
        ));
    }
    if !segments.iter().any(|segment| segment.marker == START_OF_SCAN) {
        return Err(ImageFault::broken("the JPEG has no picture in it"));
    }
    let numbers = (frame.payload.first(), u16_be(frame.payload, 1), u16_be(frame.payload, 3), frame.payload.get(5));
    let (Some(precision), Some(height), Some(width), Some(&components)) = numbers else {
        return Err(ImageFault::broken("the JPEG's frame header is too short"));
    };
    if *precision != 8 {
        let message = format!("it is a JPEG of {precision} bits a channel, which browsers don't show");
        return Err(ImageFault::new(message, "save it with 8 bits a channel"));
    }
    let exif = segments.iter().find(|segment| segment.marker == APP1 && segment.payload.starts_with(b"Exif\0"));
    Ok(Facts {
        stored: ImageSize { width: u32::from(width), height: u32::from(height) },
        orientation: exif.map_or(Orientation::UPRIGHT, |segment| exif::orientation(segment.payload)),
        motion: Motion::Still,
        kind: Kind::Photograph,
        color: color(&segments, components)?,
        decode_bytes_per_pixel: decode_bytes_per_pixel(frame.marker, components),
    })
}

/// The pixels, and for a progressive file (0xC2) the coefficients of every channel, two bytes each.
fn decode_bytes_per_pixel(frame_marker: u8, components: u8) -> u64 {
    let components = u64::from(components);
    components.max(3) + if frame_marker == 0xC2 { 2 * components } else { 0 }
}

fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

fn color(segments: &[Segment<'_>], components: u8) -> Result<Color, ImageFault> {
    let profile = icc_profile(segments);
    match components {
        1 => Ok(Color::from_icc(profile.as_deref(), Model::Gray)),
        3 => Ok(Color::from_icc(profile.as_deref(), Model::Rgb)),
        // Adobe stores inks inverted, and its marker is the only sign of it.
        4 if segments.iter().any(|segment| segment.marker == APP14 && segment.payload.starts_with(b"Adobe")) => {
            Ok(Color::from_icc(profile.as_deref(), Model::Cmyk))
        }
        4 => Err(ImageFault::new(
            "it is a CMYK JPEG that doesn't say whether its inks are inverted, so its colours can't be known",
            "save it as RGB",
        )),
        _ => Err(ImageFault::new(
            format!("it is a JPEG of {components} channels, which browsers don't show"),
            "save it as RGB",
        )),
    }
}

/// The profile, put together from its pieces in their order (ICC.1:2022 annex B.4).
fn icc_profile(segments: &[Segment<'_>]) -> Option<Vec<u8>> {
    let mut pieces: Vec<(u8, &[u8])> = segments
        .iter()
        .filter(|segment| segment.marker == APP2)
        .filter_map(|segment| match segment.payload.strip_prefix(ICC_MARK)? {
            [number, _, piece @ ..] => Some((*number, piece)),
            _ => None,
        })
        .collect();
    pieces.sort_by_key(|(number, _)| *number);
    let profile: Vec<u8> = pieces.into_iter().flat_map(|(_, piece)| piece).copied().collect();
    (!profile.is_empty()).then_some(profile)
}
