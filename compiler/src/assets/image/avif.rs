//! The boxes of an AVIF file (ISO/IEC 14496-12 and 23008-12): its size as shown, and where metadata lies. It is never
//! decoded.

use std::ops::Range;

use super::color::Color;
use super::fields::{bytes_at, u16_be, u32_be};
use super::probe::Facts;
use super::{ImageFault, ImageSize, Kind, Motion, Orientation};

/// Pieces of items at most. Guessed: a file of tiles has some hundred, and a list of empty ones would cost nothing.
const PIECES_MAX: usize = 10_000;

/// A box: its type, and where its bytes after the header stand in the file.
struct Box {
    kind: [u8; 4],
    range: Range<usize>,
}

/// The boxes side by side in a part of the file; the last is `None` if it reaches beyond that.
fn boxes(bytes: &[u8], part: Range<usize>) -> impl Iterator<Item = Option<Box>> {
    let mut start = Some(part.start);
    std::iter::from_fn(move || {
        let next = next_box(bytes, start.filter(|start| *start < part.end)?..part.end);
        start = next.as_ref().map(|found| found.range.end);
        Some(next)
    })
}

fn next_box(bytes: &[u8], part: Range<usize>) -> Option<Box> {
    let kind = bytes_at(bytes, part.start + 4)?;
    let (header_len, len) = match u32_be(bytes, part.start)? {
        0 => (8, part.len()),
        1 => (16, usize::try_from(bytes_at(bytes, part.start + 8).map(u64::from_be_bytes)?).ok()?),
        len => (8, usize::try_from(len).ok()?),
    };
    let range = part.start + header_len..part.start.checked_add(len)?;
    (range.start <= range.end && range.end <= part.end).then_some(Box { kind, range })
}

fn find(bytes: &[u8], part: Range<usize>, kind: [u8; 4]) -> Option<Range<usize>> {
    boxes(bytes, part).flatten().find(|found| found.kind == kind).map(|found| found.range)
}

/// Whether the file's brands say AVIF, still or a sequence.
pub(super) fn is_avif(bytes: &[u8]) -> bool {
    has_brand(bytes, *b"avif") || has_brand(bytes, *b"avis")
}

fn has_brand(bytes: &[u8], brand: [u8; 4]) -> bool {
    // The major brand, its version, then the brands that it is compatible with.
    next_box(bytes, 0..bytes.len()).filter(|first| first.kind == *b"ftyp").is_some_and(|first| {
        let (brands, _) = bytes[first.range].as_chunks::<4>();
        brands.iter().enumerate().any(|(index, found)| index != 1 && *found == brand)
    })
}

/// What the boxes say about the picture.
///
/// # Errors
/// The file is cut short or says no size.
pub(super) fn read(bytes: &[u8]) -> Result<Facts, ImageFault> {
    let cut_short = || ImageFault::broken("it is cut short: the AVIF says that it is longer");
    if boxes(bytes, 0..bytes.len()).any(|found| found.is_none()) {
        return Err(cut_short());
    }
    let meta = meta(bytes).ok_or_else(cut_short)?;
    let size = shown_size(bytes, meta.clone()).ok_or_else(|| ImageFault::broken("the AVIF says no size"))?;
    let places = places(bytes, meta).ok_or_else(cut_short)?;
    if places.is_empty() || places.iter().any(|(_, range)| bytes.get(range.clone()).is_none()) {
        return Err(cut_short());
    }
    Ok(Facts {
        stored: size,
        // The size has been turned; the pixels are for the browser to turn.
        orientation: Orientation::UPRIGHT,
        motion: if has_brand(bytes, *b"avis") { Motion::Animated } else { Motion::Still },
        kind: Kind::Photograph,
        color: Color::Srgb,
        decode_bytes_per_pixel: 0,
    })
}

/// The boxes that describe the items, without the version in front of them.
fn meta(bytes: &[u8]) -> Option<Range<usize>> {
    let meta = find(bytes, 0..bytes.len(), *b"meta")?;
    (meta.len() >= 4).then_some(meta.start + 4..meta.end)
}

/// The size of the primary item after its cropping and turning, in the order of its properties.
fn shown_size(bytes: &[u8], meta: Range<usize>) -> Option<ImageSize> {
    let primary = &bytes[find(bytes, meta.clone(), *b"pitm")?];
    let primary = if *primary.first()? == 0 { u32::from(u16_be(primary, 4)?) } else { u32_be(primary, 4)? };
    let properties = find(bytes, meta, *b"iprp")?;
    let held: Vec<Box> = boxes(bytes, find(bytes, properties.clone(), *b"ipco")?).flatten().collect();
    let mut size = None;
    for index in property_indexes(&bytes[find(bytes, properties, *b"ipma")?], primary)? {
        // They are counted from one; zero stands for none.
        let Some(property) = index.checked_sub(1).and_then(|index| held.get(usize::from(index))) else { continue };
        let payload = &bytes[property.range.clone()];
        match &property.kind {
            b"ispe" => size = Some(ImageSize { width: u32_be(payload, 4)?, height: u32_be(payload, 8)? }),
            b"clap" => {
                let length = |at| u32_be(payload, at)?.checked_div(u32_be(payload, at + 4)?);
                size = Some(ImageSize { width: length(0)?, height: length(8)? });
            }
            b"irot" if payload.first()? & 1 == 1 => size = size.map(ImageSize::turned),
            _ => {}
        }
    }
    size
}

/// The indexes of an item's properties, from the box that lists them for all items.
fn property_indexes(list: &[u8], item: u32) -> Option<Vec<u16>> {
    let (has_long_items, has_long_indexes) = (*list.first()? > 0, list.get(3)? & 1 == 1);
    let mut reader = Reader { bytes: list, at: 4 };
    for _ in 0..reader.number(4)? {
        let id = reader.number(if has_long_items { 4 } else { 2 })?;
        let count = reader.number(1)?;
        let mut index = || {
            // The highest bit says whether a reader has to know the property.
            if has_long_indexes { Some(reader.number(2)? & 0x7FFF) } else { Some(reader.number(1)? & 0x7F) }
        };
        let indexes: Option<Vec<u64>> = (0..count).map(|_| index()).collect();
        let indexes = indexes?;
        if id == u64::from(item) {
            return indexes.into_iter().map(|index| u16::try_from(index).ok()).collect();
        }
    }
    None
}

/// Numbers of given lengths, one after another.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// A number of so many bytes, eight at most; none is zero.
    fn number(&mut self, len: usize) -> Option<u64> {
        let bytes = self.bytes.get(self.at..self.at + len.min(8))?;
        self.at += len;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// Where the items' bytes lie in the file: item by item, piece by piece. `None` if the list is cut short.
fn places(bytes: &[u8], meta: Range<usize>) -> Option<Vec<(u64, Range<usize>)>> {
    let list = &bytes[find(bytes, meta.clone(), *b"iloc")?];
    let inner = find(bytes, meta, *b"idat").unwrap_or(0..0);
    let version = *list.first()?;
    let lens = u16_be(list, 4)?;
    let len = |shift: u16| usize::from(lens >> shift & 0xF);
    let id_len = if version < 2 { 2 } else { 4 };
    let mut reader = Reader { bytes: list, at: 6 };
    let mut found = Vec::new();
    for _ in 0..reader.number(id_len)? {
        let id = reader.number(id_len)?;
        // The method: 0 counts from the start of the file, 1 from that of the box `idat`.
        let method = if version == 0 { 0 } else { reader.number(2)? & 0xF };
        reader.number(2)?;
        let base = reader.number(len(4))?;
        for _ in 0..reader.number(2)? {
            reader.number(if version == 0 { 0 } else { len(0) })?;
            let (offset, byte_count) = (reader.number(len(12))?, reader.number(len(8))?);
            let start = base.checked_add(offset)?.checked_add(if method == 1 { inner.start as u64 } else { 0 })?;
            let end = start.checked_add(byte_count)?;
            if found.len() == PIECES_MAX {
                return None;
            }
            if method <= 1 {
                found.push((id, usize::try_from(start).ok()?..usize::try_from(end).ok()?));
            }
        }
    }
    Some(found)
}

/// Where the bytes of EXIF and XMP lie in the file. `None` if its lists can't be read.
pub(super) fn metadata_ranges(bytes: &[u8]) -> Option<Vec<Range<usize>>> {
    let meta = meta(bytes)?;
    let list = find(bytes, meta.clone(), *b"iinf")?;
    let entries_at = list.start + if *bytes.get(list.start)? == 0 { 6 } else { 8 };
    let metadata_items: Vec<u64> = boxes(bytes, entries_at..list.end)
        .flatten()
        .filter_map(|entry| {
            let entry = &bytes[entry.range];
            let id_len = if *entry.first()? < 3 { 2 } else { 4 };
            let id = Reader { bytes: entry, at: 4 }.number(id_len)?;
            // XMP is an item of a media type; a protection index of two bytes stands before the type.
            matches!(&bytes_at::<4>(entry, 4 + id_len + 2)?, b"Exif" | b"mime").then_some(id)
        })
        .collect();
    let ranges = places(bytes, meta)?.into_iter().filter(|(id, _)| metadata_items.contains(id));
    Some(ranges.map(|(_, range)| range).collect())
}
