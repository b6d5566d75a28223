//! Turns a stored picture upright.

use super::{Channels, ImageSize, Orientation, Picture};

/// Pixels a side of the squares in which rows become columns, so that both stay in the cache.
const SQUARE_PIXELS: usize = 32;

/// The picture as EXIF's orientation wants it shown.
pub(super) fn turned(picture: Picture, orientation: Orientation) -> Picture {
    match picture.channels {
        Channels::Rgb => turned_pixels::<3>(picture, orientation),
        Channels::Rgba => turned_pixels::<4>(picture, orientation),
    }
}

/// The upper four orientations are the lower ones of a picture whose rows have become columns.
fn turned_pixels<const CHANNELS: usize>(picture: Picture, orientation: Orientation) -> Picture {
    let mut picture = if orientation.swaps_sides() { transposed::<CHANNELS>(&picture) } else { picture };
    let width = picture.size.width as usize;
    let (pixels, _) = picture.pixels.as_chunks_mut::<CHANNELS>();
    match orientation.number() {
        2 | 6 => pixels.chunks_exact_mut(width).for_each(<[_]>::reverse),
        3 | 7 => pixels.reverse(),
        4 | 8 => flip(pixels, width),
        _ => {}
    }
    picture
}

/// Puts the last row first.
fn flip<T>(pixels: &mut [T], width: usize) {
    let row_count = pixels.len() / width;
    let (above, below) = pixels.split_at_mut(row_count / 2 * width);
    above
        .chunks_exact_mut(width)
        .zip(below.rchunks_exact_mut(width))
        .for_each(|(one, other)| one.swap_with_slice(other));
}

fn transposed<const CHANNELS: usize>(picture: &Picture) -> Picture {
    let ImageSize { width, height } = picture.size;
    let (width, height) = (width as usize, height as usize);
    let (stored, _) = picture.pixels.as_chunks::<CHANNELS>();
    let mut pixels = vec![[0; CHANNELS]; stored.len()];
    for top in (0..height).step_by(SQUARE_PIXELS) {
        for left in (0..width).step_by(SQUARE_PIXELS) {
            for x in left..width.min(left + SQUARE_PIXELS) {
                for y in top..height.min(top + SQUARE_PIXELS) {
                    pixels[x * height + y] = stored[y * width + x];
                }
            }
        }
    }
    Picture { size: picture.size.turned(), channels: picture.channels, pixels: pixels.into_flattened() }
}
