//! What is written: sizes, shapes, transparency, and how good it looks.

use compiler::assets::image::{
    Channels, EncodeSettings, ImageFormat, ImageSize, Kind, Picture, Quality, Reference, Search, encode, resize,
    scaled, score,
};

use crate::fixtures::*;

const WRITTEN: [ImageFormat; 4] = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Avif];

#[test]
fn every_format_that_is_written_is_read_again_in_its_size() {
    let picture = gradient(61, 43);
    for format in WRITTEN {
        for kind in [Kind::Photograph, Kind::Graphic] {
            let bytes = file(&picture, format, kind);
            let probe = probed(format, &bytes);
            assert_eq!((probe.format, probe.size), (format, Some(picture.size())));
            assert!(!probe.needs_rewriting());
            if probe.can_vary() {
                let is_lossless = format == ImageFormat::Png || (format, kind) == (ImageFormat::WebP, Kind::Graphic);
                let difference = mean_difference(&decoded(format, &bytes), &picture);
                assert!(difference <= if is_lossless { 0.0 } else { 6.0 }, "{format:?}: {difference}");
                assert_eq!(probe.kind, if is_lossless { Kind::Graphic } else { Kind::Photograph });
            }
        }
    }
}

#[test]
fn the_same_pixels_give_the_same_bytes() {
    let picture = gradient(61, 43);
    for format in WRITTEN {
        let written = || file(&picture, format, Kind::Photograph);
        assert_eq!(written(), written(), "{format:?}");
    }
}

#[test]
fn one_pixel_is_a_picture_in_every_format() {
    let dot = picture(1, 1, |_, _| [200, 100, 50]);
    for format in WRITTEN {
        let bytes = file(&dot, format, Kind::Photograph);
        assert_eq!(probed(format, &bytes).size, Some(ImageSize { width: 1, height: 1 }));
    }
    assert!(Picture::new(ImageSize { width: 0, height: 0 }, Channels::Rgb, Vec::new()).is_none());
    assert!(Picture::new(ImageSize { width: 2, height: 1 }, Channels::Rgba, vec![0; 7]).is_none());
}

#[test]
fn a_webp_ends_at_16383_pixels_a_side() {
    let settings = EncodeSettings { quality: Quality::Fixed(80), kind: Kind::Photograph };
    let wide = |width| picture(width, 1, |_, _| [9, 9, 9]);
    assert!(encode(&wide(16_383), ImageFormat::WebP, &settings).is_ok());
    let fault = encode(&wide(16_384), ImageFormat::WebP, &settings).unwrap_err();
    assert!(fault.message.contains("more pixels than a WebP can have"));
    assert!(encode(&wide(16_384), ImageFormat::Jpeg, &settings).is_ok());
}

#[test]
fn an_avif_ends_where_the_highest_level_does() {
    let holds = |width, height| ImageFormat::Avif.holds(ImageSize { width, height });
    assert!(holds(16_384, 2176) && !holds(16_385, 1));
    assert!(holds(8192, 4352) && !holds(8193, 4352));
}

#[test]
fn what_kiln_does_not_write_is_a_fault() {
    let settings = EncodeSettings { quality: Quality::Fixed(80), kind: Kind::Graphic };
    for format in [ImageFormat::Gif, ImageFormat::Svg] {
        assert!(encode(&plain([1, 2, 3]), format, &settings).is_err());
    }
}

#[test]
fn a_smaller_picture_keeps_its_shape() {
    let size = |width, height| ImageSize { width, height };
    assert_eq!(scaled(size(1600, 1066), 728), size(728, 485));
    assert_eq!(scaled(size(20_000, 1), 360), size(360, 1));
    assert_eq!(scaled(size(1, 20_000), 1), size(1, 20_000));
    let smaller = resize(&gradient(200, 100), 50).unwrap();
    assert_eq!(smaller.size(), size(50, 25));
    // The colours stand where they stood.
    assert_near(pixel_at(&smaller, 25, 12), pixel_at(&gradient(200, 100), 102, 50), 25);
    assert_near(pixel_at(&resize(&plain([10, 200, 90]), 7).unwrap(), 3, 3), [10, 200, 90], 0);
}

#[test]
fn hidden_colours_do_not_bleed_when_a_picture_is_made_smaller() {
    // Opaque green beside transparent red: without care the edge turns brown.
    let pixels = (0..64 * 64).flat_map(|at| if at % 64 < 31 { [0, 200, 0, 255] } else { [255, 0, 0, 0] }).collect();
    let picture = Picture::new(ImageSize { width: 64, height: 64 }, Channels::Rgba, pixels).unwrap();
    let smaller = resize(&picture, 16).unwrap();
    for pixel in smaller.pixels().as_chunks::<4>().0.iter().filter(|pixel| pixel[3] > 8) {
        assert!(pixel[0] < 20, "red shows through: {pixel:?}");
    }
}

#[test]
fn transparency_is_kept_by_every_format_that_has_it() {
    let pixels = (0..64 * 64).flat_map(|at| [200, 100, 50, u8::try_from(at % 64 * 4).unwrap()]).collect();
    let picture = Picture::new(ImageSize { width: 64, height: 64 }, Channels::Rgba, pixels).unwrap();
    for (format, kind) in
        [(ImageFormat::Png, Kind::Graphic), (ImageFormat::WebP, Kind::Graphic), (ImageFormat::WebP, Kind::Photograph)]
    {
        let bytes = file(&picture, format, kind);
        let shown = decoded(format, &bytes);
        let opacities = |picture: &Picture| picture.pixels().iter().skip(3).step_by(4).copied().collect::<Vec<_>>();
        assert_eq!(opacities(&shown), opacities(&picture), "{format:?} {kind:?}");
    }
    // The second item of an AVIF with transparency holds it.
    let avif = file(&picture, ImageFormat::Avif, Kind::Graphic);
    assert!(avif.windows(4).any(|kind| kind == b"auxC"));
}

/// Something with edges, slopes and texture, which encoders have to work for.
fn scene(width: u32, height: u32) -> Picture {
    picture(width, height, |x, y| {
        let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)).wrapping_mul(3_266_489_917) >> 28;
        let disc = (i64::from(x) - i64::from(width / 2)).pow(2) + (i64::from(y) - i64::from(height / 2)).pow(2);
        let base = if disc < i64::from(height / 3).pow(2) { [130, 115, 100] } else { [90, 100, 110] };
        let shade = x * 60 / width + y * 40 / height + noise;
        base.map(|value: u32| u8::try_from((value + shade).min(255)).unwrap())
    })
}

#[test]
fn a_score_falls_with_the_quality_and_has_no_opinion_on_tiny_pictures() {
    let original = scene(128, 96);
    let at = |quality| {
        let settings = EncodeSettings { quality: Quality::Fixed(quality), kind: Kind::Photograph };
        let bytes = encode(&original, ImageFormat::Jpeg, &settings).unwrap();
        score(&original, &decoded(ImageFormat::Jpeg, &bytes)).unwrap()
    };
    assert!((score(&original, &original).unwrap() - 100.0).abs() < 0.01);
    assert!(at(95) > at(50), "{} and {}", at(95), at(50));
    assert!(score(&plain([1; 3]), &scene(33, 32)).is_none());
    assert!(score(&gradient(7, 7), &gradient(7, 7)).is_none());
}

/// Something like a photograph: shapes with soft and hard edges, and grain.
fn lively(width: u32, height: u32) -> Picture {
    let mut random = 1_u32;
    let pixels = (0..width * height).flat_map(|at| {
        let (x, y) = (at % width * 256 / width, at / width * 256 / height);
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = random >> 28;
        let edge = (x * 2 + y) / 90 % 2 * 60;
        [x / 3 + edge, y / 2 + edge, x.abs_diff(y) / 2].map(|value| u8::try_from(value + grain).unwrap())
    });
    let pixels = pixels.collect();
    Picture::new(ImageSize { width, height }, Channels::Rgb, pixels).unwrap()
}

fn linear(picture: &Picture) -> ssimulacra2::Rgb {
    let pixels = picture.pixels().as_chunks::<3>().0.iter();
    let pixels = pixels.map(|pixel| pixel.map(|value| f32::from(value) / 255.0)).collect();
    let (width, height) = (picture.size().width as usize, picture.size().height as usize);
    let (transfer, primaries) = (ssimulacra2::TransferCharacteristic::SRGB, ssimulacra2::ColorPrimaries::BT709);
    ssimulacra2::Rgb::new(pixels, width, height, transfer, primaries).unwrap()
}

#[test]
fn scores_are_those_of_ssimulacra2() {
    for (width, height) in [(640, 401), (233, 128), (128, 333)] {
        let original = lively(width, height);
        for (format, quality) in [(ImageFormat::Jpeg, 30), (ImageFormat::Jpeg, 85), (ImageFormat::WebP, 60)] {
            let settings = EncodeSettings { quality: Quality::Fixed(quality), kind: Kind::Photograph };
            let other = decoded(format, &encode(&original, format, &settings).unwrap());
            let expected = ssimulacra2::compute_frame_ssimulacra2(linear(&original), linear(&other)).unwrap();
            let found = score(&original, &other).unwrap();
            assert!((found - expected).abs() < 0.1, "{width}, {format:?} at {quality}: {found}, not {expected}");
        }
    }
}

#[test]
fn a_target_is_met_from_both_sides_at_each_width() {
    let original = lively(360, 240);
    for format in [ImageFormat::Jpeg, ImageFormat::WebP] {
        for target in [65.0, 80.0] {
            let mut search = Search::new(format, target);
            for width in [160, 240, 360] {
                let picture = resize(&original, width).unwrap();
                let reference = Reference::new(&picture).unwrap();
                let file = search.encode(&picture, Some(&reference)).unwrap();
                let found = reference.score(&decoded(format, &file)).unwrap();
                assert!((found - f64::from(target)).abs() <= 1.5, "{format:?} {width} for {target}: {found}");
            }
        }
    }
}

#[test]
fn what_the_scale_cannot_reach_is_missed_by_no_more_than_at_its_ends() {
    let original = lively(160, 120);
    let reference = Reference::new(&original).unwrap();
    for (target, quality) in [(1.0, 1), (100.0, 100)] {
        let miss_at = |quality| {
            let settings = EncodeSettings { quality, kind: Kind::Photograph };
            let file = encode(&original, ImageFormat::Jpeg, &settings).unwrap();
            (reference.score(&decoded(ImageFormat::Jpeg, &file)).unwrap() - f64::from(target)).abs()
        };
        let (found, at_end) = (miss_at(Quality::Target(target)), miss_at(Quality::Fixed(quality)));
        assert!(found <= at_end, "{target}: off by {found}, and at {quality} by {at_end}");
    }
}

#[test]
fn a_picture_too_small_for_a_score_has_a_middling_quality() {
    let original = gradient(40, 7);
    let at =
        |quality| encode(&original, ImageFormat::Jpeg, &EncodeSettings { quality, kind: Kind::Photograph }).unwrap();
    assert_eq!(at(Quality::Target(30.0)), at(Quality::Fixed(80)));
}

#[test]
fn a_higher_target_costs_more() {
    let original = scene(160, 120);
    for format in [ImageFormat::Jpeg, ImageFormat::WebP] {
        let written = [50.0, 70.0].map(|target| {
            let settings = EncodeSettings { quality: Quality::Target(target), kind: Kind::Photograph };
            let bytes = encode(&original, format, &settings).unwrap();
            assert_eq!(encode(&original, format, &settings).unwrap(), bytes);
            bytes
        });
        assert!(written[0].len() < written[1].len());
    }
}

#[test]
fn a_higher_quality_costs_more_and_looks_better_in_every_lossy_format() {
    let original = scene(128, 96);
    for format in [ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Avif] {
        let written = [30, 60, 90].map(|quality| {
            let settings = EncodeSettings { quality: Quality::Fixed(quality), kind: Kind::Photograph };
            encode(&original, format, &settings).unwrap().len()
        });
        assert!(written.is_sorted() && written[0] < written[2], "{format:?}: {written:?}");
    }
}

#[test]
fn the_versions_in_every_key_are_those_that_are_locked() {
    // Without it a new encoder would leave the files of the old one in the cache.
    let lock = include_str!("../../../Cargo.lock");
    let (versions, _) = compiler::assets::image::VERSION.rsplit_once(';').unwrap();
    for entry in versions.split(", ") {
        let (name, version) = entry.split_once(' ').unwrap();
        let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&locked), "`VERSION` says {entry}, which isn't locked");
    }
}
