//! Colours stay what they look like: profiles, inks, depths, palettes.

use compiler::assets::image::{Channels, ImageFormat, Kind, decode, strip};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use moxcms::ColorProfile;
use mozjpeg::{ColorSpace, Compress};

use crate::fixtures::*;

/// Colours inside sRGB in every gamut that is tried here.
const COLORS: [[u8; 3]; 6] =
    [[128, 128, 128], [180, 120, 90], [90, 140, 110], [70, 80, 160], [255, 255, 255], [0, 0, 0]];

fn with_profile(format: ImageFormat, bytes: &[u8], icc: &[u8]) -> Vec<u8> {
    match format {
        ImageFormat::Jpeg => {
            // In two pieces, the second first: their numbers say the order.
            let (one, two) = icc.split_at(icc.len() / 2);
            let piece = |number: u8, piece: &[u8]| [b"ICC_PROFILE\0", &[number, 2][..], piece].concat();
            with_segment(&with_segment(bytes, 0xE2, &piece(1, one)), 0xE2, &piece(2, two))
        }
        ImageFormat::Png => with_png_chunk(bytes, b"iCCP", &png_profile(icc)),
        _ => extended_webp(bytes, 0x20, &[(b"ICCP", icc)], &[]),
    }
}

/// What sRGB shows a colour as, by the published matrix between the primaries and the published curves.
fn srgb_of(color: [u8; 3], curve: impl Fn(f64) -> f64, matrix: [[f64; 3]; 3]) -> [u8; 3] {
    let light = color.map(|value| curve(f64::from(value) / 255.0));
    matrix.map(|row| {
        let value: f64 = row.iter().zip(light).map(|(factor, light)| factor * light).sum();
        let value = value.clamp(0.0, 1.0);
        let shown = if value <= 0.003_130_8 { 12.92 * value } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
        let shown = (shown * 255.0).round() as u8;
        shown
    })
}

fn srgb_curve(value: f64) -> f64 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// Linear light of Display P3 in that of sRGB; both have the same white.
const FROM_P3: [[f64; 3]; 3] =
    [[1.224_940, -0.224_940, 0.0], [-0.042_057, 1.042_057, 0.0], [-0.019_638, -0.078_636, 1.098_274]];
/// Linear light of `ProPhoto` in that of sRGB, from white D50 to D65 by Bradford's method.
const FROM_PROPHOTO: [[f64; 3]; 3] =
    [[2.034_193, -0.727_420, -0.306_766], [-0.228_811, 1.231_729, -0.002_922], [-0.008_565, -0.153_273, 1.161_839]];

#[test]
fn wide_gamuts_are_converted_to_srgb() {
    let p3 = ColorProfile::new_display_p3().encode().unwrap();
    let prophoto = ColorProfile::new_pro_photo_rgb().encode().unwrap();
    for color in COLORS {
        let in_p3 = srgb_of(color, srgb_curve, FROM_P3);
        let in_prophoto = srgb_of(color, |value| value.powf(1.8), FROM_PROPHOTO);
        for (format, kind) in DECODED {
            for (icc, expected) in [(&p3, in_p3), (&prophoto, in_prophoto)] {
                let bytes = with_profile(format, &file(&plain(color), format, kind), icc);
                let probe = probed(format, &bytes);
                assert!(probe.needs_rewriting());
                assert!(strip(&bytes, &probe).is_none());
                let steps = if kind == Kind::Graphic { 2 } else { 6 };
                assert_near(pixel_at(&decode(&bytes, &probe).unwrap(), 9, 9), expected, steps);
            }
        }
    }
}

#[test]
fn the_profile_of_srgb_is_dropped_and_changes_nothing() {
    let srgb = ColorProfile::new_srgb().encode().unwrap();
    for (format, kind) in DECODED {
        let plain_file = file(&gradient(40, 30), format, kind);
        let bytes = with_profile(format, &plain_file, &srgb);
        let probe = probed(format, &bytes);
        assert!(!probe.needs_rewriting());
        let stripped = strip(&bytes, &probe).unwrap();
        assert!(stripped.len() < plain_file.len() + 40, "the profile is still there");
        assert_eq!(decoded(format, &stripped), decoded(format, &plain_file));
    }
}

#[test]
fn a_profile_that_is_broken_or_for_other_channels_is_ignored() {
    let gray = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    for icc in [&b"no profile"[..], &gray] {
        for (format, kind) in DECODED {
            let plain_file = file(&gradient(40, 30), format, kind);
            let bytes = with_profile(format, &plain_file, icc);
            assert_eq!(decoded(format, &bytes), decoded(format, &plain_file));
        }
    }
}

#[test]
fn a_gray_picture_stays_gray_and_its_profile_counts() {
    let jpeg = jpeg(ColorSpace::JCS_GRAYSCALE, None, &[100; 32 * 32]);
    assert_near(pixel_at(&decoded(ImageFormat::Jpeg, &jpeg), 5, 5), [100; 3], 2);
    // Linear light: the middle is far brighter on a screen.
    let linear = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let tagged = with_profile(ImageFormat::Jpeg, &jpeg, &linear);
    assert_near(pixel_at(&decoded(ImageFormat::Jpeg, &tagged), 5, 5), [168; 3], 2);
}

#[test]
fn a_png_says_its_colours_in_other_ways_too() {
    let plain_file = file(&plain([128, 128, 128]), ImageFormat::Png, Kind::Graphic);
    let shown = |chunks: &[(&[u8; 4], &[u8])]| {
        let tagged = chunks.iter().fold(plain_file.clone(), |png, (kind, payload)| with_png_chunk(&png, kind, payload));
        pixel_at(&decoded(ImageFormat::Png, &tagged), 5, 5)
    };
    let gamma = |number: u32| number.to_be_bytes();
    assert_eq!(shown(&[(b"gAMA", &gamma(45_455))]), [128; 3]);
    assert_near(shown(&[(b"gAMA", &gamma(100_000))]), [188; 3], 2);
    // sRGB's own mark stands above the exponent.
    assert_eq!(shown(&[(b"gAMA", &gamma(100_000)), (b"sRGB", &[0])]), [128; 3]);
    assert_eq!(shown(&[(b"gAMA", &gamma(0))]), [128; 3]);
    // Code points: Display P3, sRGB, nonsense.
    assert_eq!(shown(&[(b"cICP", &[1, 13, 0, 1])]), [128; 3]);
    assert_eq!(shown(&[(b"cICP", &[250, 250, 0, 1])]), [128; 3]);
    let red = file(&plain([180, 120, 90]), ImageFormat::Png, Kind::Graphic);
    let tagged = with_png_chunk(&red, b"cICP", &[12, 13, 0, 1]);
    let expected = srgb_of([180, 120, 90], srgb_curve, FROM_P3);
    assert_near(pixel_at(&decoded(ImageFormat::Png, &tagged), 5, 5), expected, 2);
}

/// A JPEG of 32 × 32 pixels in a colour space, stored in the same or another one.
fn jpeg(space: ColorSpace, stored: Option<ColorSpace>, pixels: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(space);
    compress.set_size(32, 32);
    if let Some(stored) = stored {
        compress.set_color_space(stored);
    }
    compress.set_quality(98.0);
    let mut started = compress.start_compress(Vec::new()).unwrap();
    started.write_scanlines(pixels).unwrap();
    started.finish().unwrap()
}

#[test]
fn inks_become_the_colours_that_browsers_show() {
    // As Adobe stores them: 255 is no ink.
    let cases = [
        ([255, 255, 255, 255], [255, 255, 255]),
        ([255, 0, 0, 255], [255, 0, 0]),
        ([0, 255, 255, 255], [0, 255, 255]),
        ([255, 255, 255, 0], [0, 0, 0]),
        ([200, 100, 50, 128], [100, 50, 25]),
    ];
    for (inks, expected) in cases {
        for stored in [ColorSpace::JCS_CMYK, ColorSpace::JCS_YCCK] {
            let bytes = jpeg(ColorSpace::JCS_CMYK, Some(stored), &inks.repeat(32 * 32));
            let probe = probed(ImageFormat::Jpeg, &bytes);
            assert!(probe.needs_rewriting(), "browsers differ over inks: none are published");
            assert_near(pixel_at(&decode(&bytes, &probe).unwrap(), 5, 5), expected, 4);
        }
    }
}

#[test]
fn inks_that_may_be_inverted_are_refused() {
    let bytes = jpeg(ColorSpace::JCS_CMYK, Some(ColorSpace::JCS_CMYK), &[255, 0, 0, 255].repeat(32 * 32));
    let mark = bytes.windows(2).position(|marker| marker == [0xFF, 0xEE]).unwrap();
    let unmarked = [&bytes[..mark], &bytes[mark + 16..]].concat();
    assert!(fault("jpg", &unmarked).contains("CMYK"));
}

#[test]
fn sixteen_bits_a_channel_keep_their_look() {
    let values: [u16; 4] = [0x00FF, 0x8080, 0xFFFF, 0x1234];
    let pixels: Vec<u8> = values.repeat(16 * 12 / 4).iter().flat_map(|value| value.to_ne_bytes()).collect();
    for (color_type, channels) in [(ExtendedColorType::L16, 1), (ExtendedColorType::Rgba16, 4)] {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes).write_image(&pixels, 16 / channels, 12, color_type).unwrap();
        let picture = decoded(ImageFormat::Png, &bytes);
        // To the nearest step, not just cut off.
        let expected: &[u8] = if channels == 1 { &[1, 1, 1, 128, 128, 128, 255, 255, 255] } else { &[1, 128, 255, 18] };
        assert_eq!(&picture.pixels()[..expected.len()], expected);
        // The original stays as deep as it was.
        assert_eq!(strip(&bytes, &probed(ImageFormat::Png, &bytes)).unwrap()[24], 16);
    }
}

#[test]
fn a_wide_gamut_of_sixteen_bits_loses_no_step_on_its_way() {
    let ramp: Vec<u8> = (0..512_u16).flat_map(|step| [step * 128; 3]).flat_map(u16::to_ne_bytes).collect();
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&ramp, 512, 1, ExtendedColorType::Rgb16).unwrap();
    let prophoto = ColorProfile::new_pro_photo_rgb().encode().unwrap();
    let picture = decoded(ImageFormat::Png, &with_png_chunk(&bytes, b"iCCP", &png_profile(&prophoto)));
    let grays: Vec<u8> = picture.pixels().iter().step_by(3).copied().collect();
    assert!(grays.is_sorted());
    let largest_step = grays.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert_eq!(largest_step, Some(1), "the ramp has bands");
}

#[test]
fn a_palette_with_transparency_keeps_its_look() {
    // Four colours of two bits, the first two of them not opaque.
    let palette = png_chunk(b"PLTE", &[250, 10, 10, 10, 250, 10, 10, 10, 250, 90, 80, 70]);
    let chunks = [palette, png_chunk(b"tRNS", &[0, 128])].concat();
    let bytes = png((4, 2), 2, 3, &chunks, &[0, 0b0001_1011, 0, 0b1110_0100]);
    let picture = decoded(ImageFormat::Png, &bytes);
    assert_eq!(picture.channels(), Channels::Rgba);
    let row = [[250, 10, 10, 0], [10, 250, 10, 128], [10, 10, 250, 255], [90, 80, 70, 255]];
    let turned = [row[3], row[2], row[1], row[0]];
    assert_eq!(picture.pixels(), [row, turned].as_flattened().as_flattened());
    let stripped = strip(&bytes, &probed(ImageFormat::Png, &bytes)).unwrap();
    assert_eq!(decoded(ImageFormat::Png, &stripped), picture);
}

#[test]
fn one_transparent_colour_keeps_its_look() {
    let bytes = png((2, 1), 8, 2, &png_chunk(b"tRNS", &[0, 9, 0, 8, 0, 7]), &[0, 9, 8, 7, 9, 8, 6]);
    let picture = decoded(ImageFormat::Png, &bytes);
    assert_eq!(picture.pixels(), [9, 8, 7, 0, 9, 8, 6, 255]);
}

#[test]
fn a_picture_without_anything_transparent_has_three_channels() {
    let bytes = png((1, 1), 8, 6, b"", &[0, 9, 8, 7, 255]);
    assert_eq!(decoded(ImageFormat::Png, &bytes).pixels(), [9, 8, 7]);
}
