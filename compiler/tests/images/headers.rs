//! What headers say, and what of them is refused before anything is decoded.

use compiler::assets::image::{ImageFormat, ImageSize, Kind, Motion, decode, probe, strip};

use crate::fixtures::*;

fn svg(attributes: &str) -> Option<(u32, u32)> {
    let text = format!("<?xml version=\"1.0\"?><!-- c --><svg xmlns=\"http://www.w3.org/2000/svg\" {attributes}/>");
    probed(ImageFormat::Svg, text.as_bytes()).size.map(|size| (size.width, size.height))
}

#[test]
fn an_svg_says_its_size_in_any_absolute_unit_or_by_its_view_box() {
    assert_eq!(svg("width=\"20\" height='30px'"), Some((20, 30)));
    assert_eq!(svg("width=\"1in\" height=\"25.4mm\""), Some((96, 96)));
    assert_eq!(svg("width=\"100%\" height=\"5em\" viewBox=\"0 0 40 10\""), Some((40, 10)));
    assert_eq!(svg("viewBox=\"0,0,40,10\""), Some((40, 10)));
    assert_eq!(svg(""), None);
    assert_eq!(svg("width=\"0\" height=\"-3\""), None);
    assert!(fault("svg", b"<html><svg/></html>").contains("no image"));
}

#[test]
fn a_file_of_another_type_than_its_name_says_names_both() {
    assert_eq!(fault("png", &gif(1, b"")), "its name says PNG, but it is GIF");
    let jpeg = file(&gradient(20, 10), ImageFormat::Jpeg, Kind::Photograph);
    assert_eq!(fault("webp", &jpeg), "its name says WebP, but it is JPEG");
    assert_eq!(fault("svg", &jpeg), "its name says SVG, but it is JPEG");
    assert_eq!(probe("jpeg", &jpeg, PIXELS_MAX).unwrap().format, ImageFormat::Jpeg);
}

#[test]
fn an_empty_file_and_every_truncation_is_a_fault() {
    let still = gradient(40, 30);
    let mut files: Vec<_> = DECODED.iter().map(|(format, kind)| (*format, file(&still, *format, *kind))).collect();
    files.push((ImageFormat::Avif, file(&still, ImageFormat::Avif, Kind::Photograph)));
    files.push((ImageFormat::Gif, gif(2, b"\x21\xfe\x03abc\0")));
    files.push((ImageFormat::WebP, animated_webp()));
    for (format, bytes) in files {
        probed(format, &bytes);
        for len in 0..bytes.len() {
            assert!(probe(format.extension(), &bytes[..len], PIXELS_MAX).is_err(), "{format:?} cut at {len}");
        }
    }
    assert_eq!(fault("svg", b""), "it is empty");
}

#[test]
fn a_jpeg_without_its_end_marker_is_a_fault_although_decoders_take_it() {
    let bytes = file(&gradient(40, 30), ImageFormat::Jpeg, Kind::Photograph);
    assert!(fault("jpg", &bytes[..bytes.len() - 2]).contains("cut short"));
}

#[test]
fn a_file_whose_pixels_are_damaged_is_a_fault_and_no_panic() {
    // Header and end are intact, so only decoding can tell; whether it does is the format's matter.
    for (format, kind) in DECODED {
        let bytes = file(&gradient(64, 64), format, kind);
        for place in (bytes.len() / 4..bytes.len() - 16).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x5A;
            let Ok(probe) = probe(format.extension(), &damaged, PIXELS_MAX) else { continue };
            let result = decode(&damaged, &probe);
            // A PNG has checksums.
            assert!(format != ImageFormat::Png || result.is_err(), "{format:?} damaged at {place}");
        }
    }
}

#[test]
fn sides_and_pixels_have_limits() {
    let png = |width: u32, height: u32| png((width, height), 8, 2, b"", b"");
    assert!(probe("png", &png(20_000, 2000), PIXELS_MAX).is_ok());
    assert!(fault("png", &png(20_001, 1)).contains("more than 20000 a side"));
    assert!(fault("png", &png(1, 20_001)).contains("more than 20000 a side"));
    assert!(fault("png", &png(20_000, 2001)).contains("more than the limit, 40000000"));
    assert!(probe("png", &png(300, 100), 30_000).is_ok());
    assert!(probe("png", &png(300, 100), 29_999).is_err());
    assert!(fault("png", &png(0, 5)).contains("no pixels"));
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    // Four billion pixels in some bytes.
    assert!(fault("png", &png((65_535, 65_535), 16, 6, b"", b"")).contains("a side"));
    let mut jpeg = file(&gradient(16, 16), ImageFormat::Jpeg, Kind::Photograph);
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC2]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    assert!(fault("jpg", &jpeg).contains("65535 × 65535"));
    let mut webp = file(&gradient(16, 16), ImageFormat::WebP, Kind::Graphic);
    webp[21..24].fill(0xFF);
    assert!(probe("webp", &webp, 100_000).is_err());
}

#[test]
fn a_header_that_lies_about_the_size_is_found_when_decoding() {
    let picture = gradient(16, 16);
    let mut jpeg = file(&picture, ImageFormat::Jpeg, Kind::Photograph);
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC2]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x10, 0, 0x10, 0]);
    let probe = probed(ImageFormat::Jpeg, &jpeg);
    assert_eq!(probe.size, Some(ImageSize { width: 4096, height: 4096 }));
    // The decoder may fill what isn't there with grey, but it must not panic or take long.
    drop(decode(&jpeg, &probe));
}

#[test]
fn what_moves_is_known_and_kept_frame_by_frame() {
    let still = gradient(16, 16);
    let png = file(&still, ImageFormat::Png, Kind::Graphic);
    let apng = with_png_chunk(&animated_png(&png, (16, 16)), b"eXIf", &exif(6, true));
    let webp = extended_animation();
    for (format, bytes) in [(ImageFormat::Png, apng), (ImageFormat::WebP, webp), (ImageFormat::Gif, gif(2, b""))] {
        let probe = probed(format, &bytes);
        assert_eq!((probe.motion, probe.can_vary(), probe.needs_rewriting()), (Motion::Animated, false, false));
        assert!(decode(&bytes, &probe).is_err(), "{format:?} is not to be flattened");
        let stripped = strip(&bytes, &probe).unwrap();
        assert_eq!(probed(format, &stripped).motion, Motion::Animated);
        assert_eq!(probed(format, &stripped).size, probe.size);
        assert!(!stripped.windows(SECRET.len()).any(|window| window == SECRET));
    }
    let one_frame = probed(ImageFormat::Gif, &gif(1, b""));
    assert_eq!((one_frame.motion, one_frame.can_vary()), (Motion::Still, false));
}

fn extended_animation() -> Vec<u8> {
    let bytes = animated_webp();
    let body = [&bytes[8..], &riff_chunk(b"EXIF", &exif(6, true))].concat();
    let mut extended = riff_chunk(b"RIFF", &body);
    // The flag that says so.
    extended[20] |= 0x08;
    extended
}

#[test]
fn an_avif_is_as_large_as_it_is_shown() {
    let plain = file(&gradient(61, 43), ImageFormat::Avif, Kind::Photograph);
    assert_eq!(probed(ImageFormat::Avif, &plain).size, Some(ImageSize { width: 61, height: 43 }));
    let size = |properties: &[(&[u8; 4], &[u8])]| {
        let size = probed(ImageFormat::Avif, &avif(properties)).size.unwrap();
        (size.width, size.height)
    };
    let ispe: (&[u8; 4], &[u8]) = (b"ispe", &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 100]);
    let clap = [200, 1, 50, 1, 0, 1, 0, 1].map(u32::to_be_bytes);
    assert_eq!(size(&[ispe]), (256, 100));
    assert_eq!(size(&[ispe, (b"irot", &[1])]), (100, 256));
    assert_eq!(size(&[ispe, (b"irot", &[2])]), (256, 100));
    assert_eq!(size(&[ispe, (b"imir", &[1])]), (256, 100));
    assert_eq!(size(&[ispe, (b"clap", clap.as_flattened())]), (200, 50));
    assert_eq!(size(&[ispe, (b"clap", clap.as_flattened()), (b"irot", &[3])]), (50, 200));
    assert!(fault("avif", &avif(&[(b"irot", &[1])])).contains("no size"));
}

/// The smallest file with these properties of its one item, whose four bytes lie in `idat`.
fn avif(properties: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let held: Vec<u8> = properties.iter().flat_map(|(kind, payload)| avif_box(kind, payload)).collect();
    let count = u8::try_from(properties.len()).unwrap();
    let indexes: Vec<u8> = (1..=count).collect();
    let list = [&[0, 0, 0, 0, 0, 0, 0, 1, 0, 7, count][..], &indexes].concat();
    let places = [1, 0, 0, 0, 0x44, 0, 0, 1, 0, 7, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4];
    let meta = [
        vec![0, 0, 0, 0],
        avif_box(b"pitm", &[0, 0, 0, 0, 0, 7]),
        avif_box(b"iloc", &places),
        avif_box(b"iprp", &[avif_box(b"ipco", &held), avif_box(b"ipma", &list)].concat()),
        avif_box(b"idat", &[1, 2, 3, 4]),
    ];
    [avif_box(b"ftyp", b"avif\0\0\0\0mif1"), avif_box(b"meta", &meta.concat())].concat()
}
