//! The blocks of a GIF file (version 89a): its size, its frames, its end. It is never decoded.

use std::ops::Range;

use super::color::Color;
use super::fields::u16_le;
use super::probe::Facts;
use super::{ImageFault, ImageSize, Kind, Motion, Orientation};

/// A block after the screen's description.
pub(super) struct Block {
    pub(super) kind: BlockKind,
    /// Where it stands in the file.
    pub(super) range: Range<usize>,
}

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BlockKind {
    /// A frame.
    Frame,
    /// An extension that a viewer needs: timing, text, the number of repetitions.
    Needed,
    /// A comment, or an application's own data, such as XMP.
    Metadata,
    /// The last one.
    End,
}

const EXTENSION: u8 = 0x21;
const FRAME: u8 = 0x2C;
const TRAILER: u8 = 0x3B;

/// Where the blocks begin, and the blocks.
///
/// # Errors
/// The file ends before its last block.
pub(super) fn blocks(bytes: &[u8]) -> Result<(usize, Vec<Block>), ImageFault> {
    let cut_short = || ImageFault::broken("it is cut short: the GIF has no end");
    let start = 13 + color_table_len(*bytes.get(10).ok_or_else(cut_short)?);
    let mut found = Vec::new();
    let mut at = start;
    loop {
        let block = next_block(bytes, at).ok_or_else(cut_short)?;
        at = block.range.end;
        let is_end = block.kind == BlockKind::End;
        found.push(block);
        if is_end {
            return Ok((start, found));
        }
    }
}

/// Bytes of the table of colours that packed flags announce.
fn color_table_len(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 0x07) + 1) }
}

fn next_block(bytes: &[u8], start: usize) -> Option<Block> {
    let (kind, data_at) = match *bytes.get(start)? {
        // The flags, the colours, and a byte about the coding stand before a frame's data.
        FRAME => (BlockKind::Frame, start + 10 + color_table_len(*bytes.get(start + 9)?) + 1),
        EXTENSION => (extension_kind(bytes, start)?, start + 2),
        TRAILER => return Some(Block { kind: BlockKind::End, range: start..start + 1 }),
        _ => return None,
    };
    Some(Block { kind, range: start..data_end(bytes, data_at)? })
}

fn extension_kind(bytes: &[u8], start: usize) -> Option<BlockKind> {
    const LOOPS: [&[u8]; 2] = [b"NETSCAPE2.0", b"ANIMEXTS1.0"];
    Some(match *bytes.get(start + 1)? {
        0xFE => BlockKind::Metadata,
        0xFF if !LOOPS.contains(&bytes.get(start + 3..start + 14)?) => BlockKind::Metadata,
        _ => BlockKind::Needed,
    })
}

/// Data comes in pieces of up to 255 bytes, each after its length; an empty one is the last.
fn data_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let len = usize::from(*bytes.get(at)?);
        at += 1 + len;
        if len == 0 {
            return Some(at);
        }
    }
}

/// What the blocks say about the picture.
///
/// # Errors
/// The file is cut short or has no picture.
pub(super) fn read(bytes: &[u8]) -> Result<Facts, ImageFault> {
    let (_, blocks) = blocks(bytes)?;
    let frame_count = blocks.iter().filter(|block| block.kind == BlockKind::Frame).count();
    let size = u16_le(bytes, 6).zip(u16_le(bytes, 8)).filter(|_| frame_count > 0);
    let (width, height) = size.ok_or_else(|| ImageFault::broken("the GIF has no picture in it"))?;
    Ok(Facts {
        stored: ImageSize { width: u32::from(width), height: u32::from(height) },
        orientation: Orientation::UPRIGHT,
        motion: if frame_count > 1 { Motion::Animated } else { Motion::Still },
        kind: Kind::Graphic,
        color: Color::Srgb,
        decode_bytes_per_pixel: 0,
    })
}
