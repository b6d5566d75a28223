//! All eight orientations, in every format that can ask for one.

use compiler::assets::image::{ImageFormat, ImageSize, Kind, Picture, strip};

use crate::fixtures::*;

/// What a camera that was held in this way stores of an upright picture: EXIF says which side of the scene its first row
/// and its first column show.
fn stored(upright: &Picture, orientation: u16) -> Picture {
    let ImageSize { width, height } = upright.size();
    let (right, bottom) = (width - 1, height - 1);
    let sides = if orientation < 5 { (width, height) } else { (height, width) };
    picture(sides.0, sides.1, |column, row| {
        let (x, y) = match orientation {
            1 => (column, row),
            2 => (right - column, row),
            3 => (right - column, bottom - row),
            4 => (column, bottom - row),
            5 => (row, column),
            6 => (right - row, column),
            7 => (right - row, bottom - column),
            _ => (row, bottom - column),
        };
        pixel_at(upright, x, y)
    })
}

/// The file with EXIF data, with or without the prefix that belongs to JPEG alone.
fn with_exif(format: ImageFormat, bytes: &[u8], exif: &[u8], has_prefix: bool) -> Vec<u8> {
    let prefixed = [if has_prefix { b"Exif\0\0" } else { &b""[..] }, exif].concat();
    match format {
        ImageFormat::Jpeg => with_segment(bytes, 0xE1, &[b"Exif\0\0", exif].concat()),
        ImageFormat::Png => with_png_chunk(bytes, b"eXIf", &prefixed),
        _ => extended_webp(bytes, 0x08, &[], &[(b"EXIF", &prefixed)]),
    }
}

#[test]
fn every_orientation_is_turned_upright() {
    // Not square, and no side a multiple of a block, so that a wrong turn can't look right.
    let upright = gradient(75, 41);
    for (format, kind) in DECODED {
        for orientation in 1..=8 {
            let plain = file(&stored(&upright, orientation), format, kind);
            for (is_little_endian, has_prefix) in [(true, false), (false, true), (true, true), (false, false)] {
                let bytes = with_exif(format, &plain, &exif(orientation, is_little_endian), has_prefix);
                let probe = probed(format, &bytes);
                assert_eq!(u16::from(probe.orientation.number()), orientation);
                assert_eq!(probe.size, Some(upright.size()));
                assert_eq!(strip(&bytes, &probe).is_none(), orientation != 1);
                let shown = decoded(format, &bytes);
                let is_lossless = kind == Kind::Graphic;
                let difference = mean_difference(&shown, &upright);
                assert!(difference <= if is_lossless { 0.0 } else { 12.0 }, "{format:?} {orientation}: {difference}");
            }
        }
    }
}

#[test]
fn an_orientation_that_makes_no_sense_counts_as_none() {
    let bytes = file(&gradient(20, 10), ImageFormat::Jpeg, Kind::Photograph);
    for number in [0, 9, 300] {
        let bytes = with_exif(ImageFormat::Jpeg, &bytes, &exif(number, true), false);
        assert_eq!(probed(ImageFormat::Jpeg, &bytes).orientation.number(), 1);
    }
    let exif = exif(6, false);
    for len in 0..exif.len() {
        // Cut short at any byte: a turn or none, and no panic.
        probed(ImageFormat::Jpeg, &with_exif(ImageFormat::Jpeg, &bytes, &exif[..len], false));
    }
}
