//! Pictures and files made by code, and how they are compared.

use compiler::assets::image::{
    Channels, EncodeSettings, ImageFormat, ImageSize, Kind, Picture, Probe, Quality, decode, encode, probe,
};

pub(crate) const PIXELS_MAX: u64 = 40_000_000;

/// A picture whose every region is told apart: red grows to the right, green downwards, blue in squares.
pub(crate) fn gradient(width: u32, height: u32) -> Picture {
    picture(width, height, |x, y| {
        let part = |place: u32, side: u32| u8::try_from(place * 255 / side).unwrap();
        [part(x, width), part(y, height), if (x / 16 + y / 16).is_multiple_of(2) { 40 } else { 200 }]
    })
}

/// A picture of one colour.
pub(crate) fn plain(color: [u8; 3]) -> Picture {
    picture(32, 32, |_, _| color)
}

/// A picture by a function of its columns and rows.
pub(crate) fn picture(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
    let pixels: Vec<[u8; 3]> =
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
    Picture::new(ImageSize { width, height }, Channels::Rgb, pixels.into_flattened()).unwrap()
}

/// The formats that are decoded, with how well: `Graphic` is lossless but in a JPEG.
pub(crate) const DECODED: [(ImageFormat, Kind); 4] = [
    (ImageFormat::Jpeg, Kind::Photograph),
    (ImageFormat::Png, Kind::Graphic),
    (ImageFormat::WebP, Kind::Photograph),
    (ImageFormat::WebP, Kind::Graphic),
];

/// A file that shows the picture, at a high quality if it is lossy.
pub(crate) fn file(picture: &Picture, format: ImageFormat, kind: Kind) -> Vec<u8> {
    encode(picture, format, &EncodeSettings { quality: Quality::Fixed(95), kind }).unwrap()
}

pub(crate) fn probed(format: ImageFormat, bytes: &[u8]) -> Probe {
    probe(format.extension(), bytes, PIXELS_MAX).unwrap()
}

pub(crate) fn decoded(format: ImageFormat, bytes: &[u8]) -> Picture {
    decode(bytes, &probed(format, bytes)).unwrap()
}

/// Why a file can't be used.
pub(crate) fn fault(extension: &str, bytes: &[u8]) -> String {
    probe(extension, bytes, PIXELS_MAX).unwrap_err().message
}

/// The pixel at a place, its first three channels.
pub(crate) fn pixel_at(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
    let at = (y as usize * picture.size().width as usize + x as usize) * picture.channels().count();
    picture.pixels()[at..at + 3].try_into().unwrap()
}

/// Whether every channel of a colour is within so many steps of another's.
#[track_caller]
pub(crate) fn assert_near(found: [u8; 3], expected: [u8; 3], steps: u8) {
    let is_near = found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= steps);
    assert!(is_near, "{found:?} is not {expected:?}, give or take {steps}");
}

/// The mean difference of all channels of two pictures of one size.
pub(crate) fn mean_difference(one: &Picture, other: &Picture) -> f64 {
    assert_eq!((one.size(), one.channels()), (other.size(), other.channels()));
    let sum: u32 = one.pixels().iter().zip(other.pixels()).map(|(one, other)| u32::from(one.abs_diff(*other))).sum();
    f64::from(sum) / f64::from(u32::try_from(one.pixels().len()).unwrap())
}

/// EXIF data in either byte order: a camera's name, an orientation, a place on earth that must not get out.
pub(crate) fn exif(orientation: u16, is_little_endian: bool) -> Vec<u8> {
    let u16_bytes = |number: u16| if is_little_endian { number.to_le_bytes() } else { number.to_be_bytes() };
    let u32_bytes = |number: u32| if is_little_endian { number.to_le_bytes() } else { number.to_be_bytes() };
    let mut data = if is_little_endian { b"II\x2a\0".to_vec() } else { b"MM\0\x2a".to_vec() };
    data.extend(u32_bytes(8));
    data.extend(u16_bytes(2));
    let text_at = 8 + 2 + 2 * 12 + 4;
    for (tag, kind, count) in [(0x010F, 2, SECRET.len()), (0x0112, 3, 1)] {
        data.extend(u16_bytes(tag));
        data.extend(u16_bytes(kind));
        data.extend(u32_bytes(u32::try_from(count).unwrap()));
        if tag == 0x0112 {
            data.extend(u16_bytes(orientation));
            data.extend(u16_bytes(0));
        } else {
            data.extend(u32_bytes(text_at));
        }
    }
    data.extend(u32_bytes(0));
    data.extend(SECRET);
    data
}

/// What no published file may contain.
pub(crate) const SECRET: &[u8] = b"52.5163 N, 13.3777 E\0";

/// The JPEG with another segment behind its start.
pub(crate) fn with_segment(jpeg: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len() + 2).unwrap();
    [&jpeg[..2], &[0xFF, marker], &len.to_be_bytes(), payload, &jpeg[2..]].concat()
}

/// A chunk of a PNG with its length and checksum.
pub(crate) fn png_chunk(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let checked = [kind, payload].concat();
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[..], &checked, &libdeflater::crc32(&checked).to_be_bytes()].concat()
}

/// The PNG with another chunk behind its header.
pub(crate) fn with_png_chunk(png: &[u8], kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    // The signature has 8 bytes, the header's chunk 25.
    [&png[..33], &png_chunk(kind, payload), &png[33..]].concat()
}

/// A PNG put together from its header, chunks before its pixels, and its rows, each with its filter.
pub(crate) fn png(size: (u32, u32), bit_depth: u8, color_type: u8, chunks: &[u8], rows: &[u8]) -> Vec<u8> {
    let header = [&size.0.to_be_bytes()[..], &size.1.to_be_bytes(), &[bit_depth, color_type, 0, 0, 0]].concat();
    let parts = [&png_chunk(b"IHDR", &header), chunks, &png_chunk(b"IDAT", &zlib(rows)), &png_chunk(b"IEND", b"")];
    [b"\x89PNG\r\n\x1a\n", parts.concat().as_slice()].concat()
}

/// The payload of a chunk that holds a colour profile.
pub(crate) fn png_profile(icc: &[u8]) -> Vec<u8> {
    [b"a profile\0\0", zlib(icc).as_slice()].concat()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut packed = vec![0; compressor.zlib_compress_bound(bytes.len())];
    let len = compressor.zlib_compress(bytes, &mut packed).unwrap();
    packed.truncate(len);
    packed
}

/// The WebP in its extended form, with flags and chunks before and behind its picture.
pub(crate) fn extended_webp(
    webp: &[u8],
    flags: u8,
    before: &[(&[u8; 4], &[u8])],
    behind: &[(&[u8; 4], &[u8])],
) -> Vec<u8> {
    let size = probed(ImageFormat::WebP, webp).size.unwrap();
    let u24 = |number: u32| number.to_le_bytes()[..3].to_vec();
    let header = [vec![flags, 0, 0, 0], u24(size.width - 1), u24(size.height - 1)].concat();
    let mut body = [b"WEBP".to_vec(), riff_chunk(b"VP8X", &header)].concat();
    body.extend(before.iter().flat_map(|(kind, payload)| riff_chunk(kind, payload)));
    body.extend(&webp[12..]);
    body.extend(behind.iter().flat_map(|(kind, payload)| riff_chunk(kind, payload)));
    riff_chunk(b"RIFF", &body)
}

/// A chunk of a RIFF file, padded to an even length.
pub(crate) fn riff_chunk(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let padding = if payload.len() % 2 == 1 { &[0][..] } else { &[] };
    [&kind[..], &len, payload, padding].concat()
}

/// Three frames that differ, as animations of each kind.
pub(crate) fn animated_webp() -> Vec<u8> {
    let frames = [[200, 0, 0], [0, 200, 0], [0, 0, 200]].map(plain);
    let config = webp::WebPConfig::new().unwrap();
    let mut encoder = webp::AnimEncoder::new(32, 32, &config);
    for (frame, time) in frames.iter().zip([0, 100, 200]) {
        encoder.add_frame(webp::AnimFrame::from_rgb(frame.pixels(), 32, 32, time));
    }
    encoder.encode().to_vec()
}

/// A GIF of so many frames of 3 × 2 pixels, and a loop.
pub(crate) fn gif(frame_count: usize, extensions: &[u8]) -> Vec<u8> {
    let mut bytes = b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    bytes.extend(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0");
    bytes.extend(extensions);
    for _ in 0..frame_count {
        bytes.extend(b"\x21\xf9\x04\0\x0a\0\0\0,\0\0\0\0\x03\0\x02\0\0\x02\x02\x84\x51\0");
    }
    bytes.push(b';');
    bytes
}

/// The PNG as an animation that shows its picture twice.
pub(crate) fn animated_png(png: &[u8], size: (u32, u32)) -> Vec<u8> {
    let control = |sequence: u32| {
        let numbers = [sequence, size.0, size.1, 0, 0].map(u32::to_be_bytes);
        png_chunk(b"fcTL", &[numbers.as_flattened(), &[0, 1, 0, 10, 0, 0]].concat())
    };
    let data_at = png.windows(4).position(|kind| kind == b"IDAT").unwrap() - 4;
    let len = u32::from_be_bytes(png[data_at..data_at + 4].try_into().unwrap()) as usize;
    let data = &png[data_at + 8..data_at + 8 + len];
    let second = png_chunk(b"fdAT", &[&2_u32.to_be_bytes()[..], data].concat());
    let start = [png[..data_at].to_vec(), png_chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]), control(0)].concat();
    let frames = [&png[data_at..data_at + 12 + len], &control(1), &second].concat();
    [start, frames, png_chunk(b"IEND", b"")].concat()
}

/// A box of an AVIF.
pub(crate) fn avif_box(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len() + 8).unwrap().to_be_bytes();
    [&len[..], kind, payload].concat()
}
