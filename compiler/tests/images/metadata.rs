//! No URL serves an original's metadata, and no pixel changes for it.

use compiler::assets::image::{ImageFormat, Kind, strip};

use crate::fixtures::*;

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The file without metadata; it decodes to the same pixels, says the same size, and stripping it again changes nothing.
fn stripped(format: ImageFormat, bytes: &[u8]) -> Vec<u8> {
    assert!(contains(bytes, SECRET), "the fixture has nothing to strip");
    let probe = probed(format, bytes);
    let stripped = strip(bytes, &probe).unwrap();
    assert!(!contains(&stripped, SECRET), "{format:?} still says where it was taken");
    assert_eq!(probed(format, &stripped).size, probe.size);
    assert_eq!(strip(&stripped, &probed(format, &stripped)).unwrap(), stripped);
    if probe.can_vary() {
        assert_eq!(decoded(format, &stripped), decoded(format, bytes));
    }
    stripped
}

#[test]
fn a_jpeg_loses_its_place_its_thumbnail_and_all_that_follows_its_end() {
    let plain = file(&gradient(60, 40), ImageFormat::Jpeg, Kind::Photograph);
    let thumbnail = file(&gradient(8, 8), ImageFormat::Jpeg, Kind::Photograph);
    let exif = [b"Exif\0\0".to_vec(), exif(1, true), thumbnail.clone()].concat();
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0", SECRET].concat();
    let mut bytes = plain.clone();
    for (marker, payload) in [(0xE1, exif), (0xE1, xmp), (0xED, SECRET.to_vec()), (0xFE, SECRET.to_vec())] {
        bytes = with_segment(&bytes, marker, &payload);
    }
    bytes.extend([&thumbnail, SECRET].concat());
    assert_eq!(stripped(ImageFormat::Jpeg, &bytes), plain);
}

#[test]
fn the_head_of_jfif_stays_without_its_thumbnail() {
    let plain = file(&gradient(60, 40), ImageFormat::Jpeg, Kind::Photograph);
    assert_eq!(&plain[2..4], [0xFF, 0xE0], "the encoder writes the head");
    let pixels = 3 * 3 * 3;
    let head = [&plain[6..18], &[3, 3], &[7; 27][..pixels], SECRET].concat();
    let bytes = with_segment(&[&plain[..2], &plain[20..]].concat(), 0xE0, &head);
    assert_eq!(stripped(ImageFormat::Jpeg, &bytes), plain);
}

#[test]
fn a_jpeg_of_plain_red_green_and_blue_keeps_the_mark_that_says_so() {
    let mut compress = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
    compress.set_size(32, 32);
    compress.set_color_space(mozjpeg::ColorSpace::JCS_RGB);
    let mut started = compress.start_compress(Vec::new()).unwrap();
    started.write_scanlines(&[200, 100, 50].repeat(32 * 32)).unwrap();
    let bytes = with_segment(&started.finish().unwrap(), 0xFE, SECRET);
    let stripped = stripped(ImageFormat::Jpeg, &bytes);
    assert_near(pixel_at(&decoded(ImageFormat::Jpeg, &stripped), 5, 5), [200, 100, 50], 3);
}

#[test]
fn a_png_loses_its_texts() {
    let plain = file(&gradient(60, 40), ImageFormat::Png, Kind::Graphic);
    let mut bytes = plain.clone();
    for kind in [b"tEXt", b"iTXt", b"tIME", b"vpAg"] {
        bytes = with_png_chunk(&bytes, kind, SECRET);
    }
    bytes = with_png_chunk(&bytes, b"eXIf", &exif(1, false));
    bytes.extend(SECRET);
    assert_eq!(stripped(ImageFormat::Png, &bytes), plain);
}

#[test]
fn a_webp_loses_its_chunks_and_their_flags() {
    for kind in [Kind::Photograph, Kind::Graphic] {
        let plain = file(&gradient(61, 40), ImageFormat::WebP, kind);
        let behind: [(&[u8; 4], &[u8]); 3] = [(b"EXIF", &exif(1, true)), (b"XMP ", SECRET), (b"abcd", SECRET)];
        let mut bytes = extended_webp(&plain, 0x0C, &[], &behind);
        bytes.extend(SECRET);
        let stripped = stripped(ImageFormat::WebP, &bytes);
        assert_eq!(stripped[20] & 0x0C, 0);
    }
}

#[test]
fn a_gif_loses_comments_and_what_programs_left_in_it() {
    let comment = [b"\x21\xfe\x15", SECRET, b"\0"].concat();
    let xmp = [b"\x21\xff\x0bXMP DataXMP\x15", SECRET, b"\0"].concat();
    let bytes = [gif(2, &[comment, xmp].concat()), SECRET.to_vec()].concat();
    assert_eq!(stripped(ImageFormat::Gif, &bytes), gif(2, b""));
}

#[test]
fn the_metadata_of_an_avif_is_blank_and_nothing_moves() {
    let picture = gradient(61, 43);
    let pixels: Vec<_> = picture.pixels().as_chunks::<3>().0.iter().map(|rgb| ravif::RGB8::from(*rgb)).collect();
    let encoder = ravif::Encoder::new().with_speed(10).with_exif(exif(1, true));
    let bytes = encoder.encode_rgb(ravif::Img::new(&pixels, 61, 43)).unwrap().avif_file;
    let stripped = stripped(ImageFormat::Avif, &bytes);
    let changed = bytes.iter().zip(&stripped).filter(|(before, after)| before != after).count();
    assert_eq!(bytes.len(), stripped.len());
    assert!(changed > 0 && changed <= exif(1, true).len(), "{changed} bytes differ");
}

#[test]
fn an_svg_is_left_alone() {
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><title>A</title></svg>";
    assert_eq!(strip(svg, &probed(ImageFormat::Svg, svg)).unwrap(), svg);
}
