//! The orientation in EXIF data (Exif 2.32 section 4.6.4, tag 274). Everything else in there is dropped unread.

use super::Orientation;
use super::fields::{u16_be, u16_le, u32_be, u32_le};

/// What some writers put before the TIFF header, where only JPEG has it by specification.
const PREFIX: &[u8] = b"Exif\0\0";
/// The tag's number.
const ORIENTATION: u16 = 0x0112;
/// The types of a field that can hold it: SHORT, and LONG from writers that don't know better.
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// The orientation that EXIF data asks for; upright if it doesn't say or is damaged, as browsers see it.
pub(super) fn orientation(exif: &[u8]) -> Orientation {
    find(exif.strip_prefix(PREFIX).unwrap_or(exif)).unwrap_or(Orientation::UPRIGHT)
}

fn find(tiff: &[u8]) -> Option<Orientation> {
    type Numbers = (fn(&[u8], usize) -> Option<u16>, fn(&[u8], usize) -> Option<u32>);
    let (u16_at, u32_at): Numbers = match tiff.get(..4)? {
        b"II\x2a\0" => (u16_le, u32_le),
        b"MM\0\x2a" => (u16_be, u32_be),
        _ => return None,
    };
    let directory = usize::try_from(u32_at(tiff, 4)?).ok()?;
    let entry_count = usize::from(u16_at(tiff, directory)?);
    let entry = (0..entry_count)
        .map_while(|index| tiff.get(directory.checked_add(2 + 12 * index)?..)?.get(..12))
        .find(|entry| u16_at(entry, 0) == Some(ORIENTATION))?;
    let number = match u16_at(entry, 2)? {
        SHORT => u32::from(u16_at(entry, 8)?),
        LONG => u32_at(entry, 8)?,
        _ => return None,
    };
    u8::try_from(number).ok().filter(|number| (1..=8).contains(number)).map(Orientation)
}
