//! The same picture in a file without metadata: no place, no camera, no thumbnail, no comment. Coded pixels are copied as
//! they are.

use super::{ImageFormat, Motion, Probe};
use super::{avif, gif, jpeg, png, webp};

/// The file without its metadata and with pixels that decode to the same, or `None` if that isn't possible, because the
/// picture must be turned or its colours converted: then what `decode` returns is to be encoded. An SVG is left alone.
pub fn strip(bytes: &[u8], probe: &Probe) -> Option<Vec<u8>> {
    if probe.needs_rewriting() {
        return None;
    }
    match probe.format {
        ImageFormat::Jpeg => strip_jpeg(bytes),
        ImageFormat::Png => strip_png(bytes, probe.motion),
        ImageFormat::WebP => strip_webp(bytes, probe.motion),
        ImageFormat::Gif => strip_gif(bytes),
        ImageFormat::Avif => strip_avif(bytes),
        ImageFormat::Svg => Some(bytes.to_vec()),
    }
}

/// Application segments and comments go, but for what says how to read the channels: JFIF's head and Adobe's mark.
/// What follows the end of the picture goes too: previews, depth, whole films.
fn strip_jpeg(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stripped = bytes.get(..2)?.to_vec();
    for segment in jpeg::segments(bytes).ok()? {
        match segment.marker {
            // JFIF's head has 14 bytes; after them stands a thumbnail, whose sides are the last two.
            jpeg::APP0 if segment.payload.starts_with(b"JFIF\0") && segment.payload.len() >= 14 => {
                stripped.extend_from_slice(&[0xFF, jpeg::APP0, 0, 16]);
                stripped.extend_from_slice(&segment.payload[..12]);
                stripped.extend_from_slice(&[0, 0]);
            }
            jpeg::APP14 if segment.payload.starts_with(b"Adobe") => stripped.extend_from_slice(&bytes[segment.range]),
            jpeg::APP0..=jpeg::APP15 | jpeg::COMMENT => {}
            _ => stripped.extend_from_slice(&bytes[segment.range]),
        }
    }
    Some(stripped)
}

/// Only chunks that make pixels stay. Where nothing moves, the colours are sRGB, which needs no saying; an animation
/// keeps its colour chunks.
fn strip_png(bytes: &[u8], motion: Motion) -> Option<Vec<u8>> {
    let mut stripped = png::SIGNATURE.to_vec();
    for chunk in png::chunks(bytes).ok()? {
        let is_kept = match &chunk.kind {
            b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT" | b"IEND" => true,
            b"acTL" | b"fcTL" | b"fdAT" | b"cICP" | b"iCCP" | b"sRGB" | b"gAMA" | b"cHRM" => motion == Motion::Animated,
            _ => false,
        };
        if is_kept {
            stripped.extend_from_slice(&bytes[chunk.range]);
        }
    }
    Some(stripped)
}

/// EXIF, XMP and unknown chunks go, and with them their flags. An animation keeps its profile; elsewhere it is sRGB's.
fn strip_webp(bytes: &[u8], motion: Motion) -> Option<Vec<u8>> {
    let mut gone = webp::HAS_EXIF | webp::HAS_XMP;
    if motion == Motion::Still {
        gone |= webp::HAS_PROFILE;
    }
    let mut body = b"WEBP".to_vec();
    for chunk in webp::chunks(bytes).ok()? {
        let mut payload = chunk.payload.to_vec();
        match &chunk.kind {
            b"VP8X" => *payload.first_mut()? &= !gone,
            b"VP8 " | b"VP8L" | b"ALPH" => {}
            b"ANIM" | b"ANMF" | b"ICCP" if motion == Motion::Animated => {}
            _ => continue,
        }
        body.extend_from_slice(&chunk.kind);
        body.extend_from_slice(&u32::try_from(payload.len()).ok()?.to_le_bytes());
        body.extend_from_slice(&payload);
        if payload.len() % 2 == 1 {
            body.push(0);
        }
    }
    let mut stripped = b"RIFF".to_vec();
    stripped.extend_from_slice(&u32::try_from(body.len()).ok()?.to_le_bytes());
    stripped.extend_from_slice(&body);
    Some(stripped)
}

fn strip_gif(bytes: &[u8]) -> Option<Vec<u8>> {
    let (start, blocks) = gif::blocks(bytes).ok()?;
    let mut stripped = bytes.get(..start)?.to_vec();
    for block in blocks.into_iter().filter(|block| block.kind != gif::BlockKind::Metadata) {
        stripped.extend_from_slice(&bytes[block.range]);
    }
    Some(stripped)
}

/// Metadata is overwritten by zeros, so that everything else stays where the file says that it is.
fn strip_avif(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stripped = bytes.to_vec();
    for range in avif::metadata_ranges(bytes)? {
        stripped.get_mut(range)?.fill(0);
    }
    Some(stripped)
}
