//! Images as bytes: what headers say, what pixels come out, what is left of a file. Every fixture is made here.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use compiler::assets::image::{
    Channels, EncodeSettings, ImageFormat, ImageSize, Kind, Picture, Quality, decode, encode, probe, strip,
};

const PIXELS_MAX: u64 = 40_000_000;

/// A picture whose every region is told apart: red grows to the right, green downwards, blue in squares.
fn gradient(width: u32, height: u32) -> Picture {
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y, width, height))).collect();
    Picture::new(ImageSize { width, height }, Channels::Rgb, pixels).unwrap()
}

fn pixel(x: u32, y: u32, width: u32, height: u32) -> [u8; 3] {
    let part = |place: u32, side: u32| u8::try_from(place * 255 / side).unwrap();
    [part(x, width), part(y, height), if (x / 16 + y / 16).is_multiple_of(2) { 40 } else { 200 }]
}

fn file(picture: &Picture, format: ImageFormat, kind: Kind) -> Vec<u8> {
    encode(picture, format, &EncodeSettings { quality: Quality::Fixed(80), kind }).unwrap()
}

fn svg(attributes: &str) -> Option<(u32, u32)> {
    let text = format!("<?xml version=\"1.0\"?><!-- c --><svg xmlns=\"http://www.w3.org/2000/svg\" {attributes}/>");
    probe("svg", text.as_bytes(), PIXELS_MAX).unwrap().size.map(|size| (size.width, size.height))
}

#[test]
fn an_svg_says_its_size_in_any_absolute_unit_or_by_its_view_box() {
    assert_eq!(svg("width=\"20\" height='30px'"), Some((20, 30)));
    assert_eq!(svg("width=\"1in\" height=\"25.4mm\""), Some((96, 96)));
    assert_eq!(svg("width=\"100%\" height=\"5em\" viewBox=\"0 0 40 10\""), Some((40, 10)));
    assert_eq!(svg("viewBox=\"0,0,40,10\""), Some((40, 10)));
    assert_eq!(svg(""), None);
    assert_eq!(svg("width=\"0\" height=\"-3\""), None);
}

#[test]
fn a_file_of_another_type_than_its_name_says_names_both() {
    let gif = b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x03\0\x02\0\0\x02\x02\x84\x51\0;";
    assert_eq!(probe("gif", gif, PIXELS_MAX).unwrap().size, Some(ImageSize { width: 3, height: 2 }));
    assert_eq!(probe("png", gif, PIXELS_MAX).unwrap_err().message, "its name says PNG, but it is GIF");
}

#[test]
fn every_format_that_is_written_is_read_again_in_its_size() {
    let picture = gradient(61, 43);
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Avif] {
        for kind in [Kind::Photograph, Kind::Graphic] {
            let bytes = file(&picture, format, kind);
            let probe = probe(format.extension(), &bytes, PIXELS_MAX).unwrap();
            assert_eq!((probe.format, probe.size), (format, Some(picture.size())));
            assert!(!probe.needs_rewriting());
            if probe.can_vary() {
                let decoded = decode(&bytes, &probe).unwrap();
                let stripped = strip(&bytes, &probe).unwrap();
                assert_eq!(decode(&stripped, &probe).unwrap(), decoded);
                let is_lossless = format == ImageFormat::Png || (format, kind) == (ImageFormat::WebP, Kind::Graphic);
                assert!(!is_lossless || decoded == picture, "{format:?} lost something");
            }
        }
    }
}

#[test]
fn a_file_without_its_end_is_a_fault() {
    let picture = gradient(40, 30);
    for (format, kind) in [
        (ImageFormat::Jpeg, Kind::Photograph),
        (ImageFormat::Png, Kind::Graphic),
        (ImageFormat::WebP, Kind::Photograph),
        (ImageFormat::WebP, Kind::Graphic),
        (ImageFormat::Avif, Kind::Photograph),
    ] {
        let bytes = file(&picture, format, kind);
        for len in 0..bytes.len() {
            assert!(probe(format.extension(), &bytes[..len], PIXELS_MAX).is_err(), "{format:?} cut at {len}");
        }
    }
}
