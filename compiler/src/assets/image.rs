//! Images as bytes: what a header says, pixels, smaller pictures, files made of them, files without metadata. Every
//! function is pure: bytes and settings in, bytes out. Nothing here knows names, folders, caches or pages.
//!
//! Files are read by decoders in safe Rust (but for CMYK, which libjpeg reads); C writes some. Panics of foreign code
//! become faults.

mod avif;
mod color;
mod decode;
mod encode;
mod exif;
mod fields;
mod gif;
mod hard;
mod jpeg;
mod memory;
mod png;
mod probe;
mod reconstruct;
mod resize;
mod score;
mod strip;
mod svg;
mod target;
mod turn;
mod webp;

pub use decode::decode;
pub use encode::{EncodeSettings, Quality, encode};
pub use hard::quality_of_avif;
pub use memory::encode_bytes;
pub use probe::probe;
pub use resize::{resize, scaled};
pub use score::{Reference, score, score_bytes};
pub use strip::strip;
pub use target::Search;

use color::Color;

use crate::config::IMAGE_SIDE_MAX;

/// Versions of all that makes pixels and files out of others: a part of the key of every result that is kept.
/// A test holds it to the versions that are locked; the number at its end counts changes of our own.
pub const VERSION: &str = "image 0.25.10, zune-jpeg 0.5.15, png 0.18.1, image-webp 0.2.4, moxcms 0.9.2, \
    fast_image_resize 6.1.0, mozjpeg 0.10.13, mozjpeg-sys 2.2.3, webp 0.3.1, libwebp-sys 0.9.6, ravif 0.13.0, \
    rav1e 0.8.1, oxipng 10.2.1, libdeflater 1.26.1; 4";

/// Extensions of the files that are images, in lower case.
const IMAGE_EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "gif", "webp", "avif", "svg"];

/// Whether a file is an image by its extension, in lower case.
pub(crate) fn is_image(extension: &str) -> bool {
    IMAGE_EXTENSIONS.contains(&extension)
}

/// Whether the encoders of this program were built with assembler. Without it AVIF takes about three times as long:
/// measured were 1.07 and 3.46 s for a photograph of 1.7 million pixels.
pub const fn has_assembler() -> bool {
    cfg!(feature = "asm")
}

/// Width and height in CSS pixels, as shown: after the orientation that the file asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ImageSize {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl ImageSize {
    /// How many pixels there are.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn turned(self) -> Self {
        Self { width: self.height, height: self.width }
    }
}

/// What kind of file an image is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ImageFormat {
    /// JPEG, as far as browsers show it.
    Jpeg,
    /// PNG and APNG.
    Png,
    /// WebP: lossy, lossless, or animated.
    WebP,
    /// AVIF, still or a sequence.
    Avif,
    /// GIF.
    Gif,
    /// SVG.
    Svg,
}

impl ImageFormat {
    /// The format that an extension in lower case stands for.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "png" => Some(Self::Png),
            "webp" => Some(Self::WebP),
            "avif" => Some(Self::Avif),
            "gif" => Some(Self::Gif),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }

    /// The usual extension, in lower case.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Avif => "avif",
            Self::Gif => "gif",
            Self::Svg => "svg",
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Avif => "image/avif",
            Self::Gif => "image/gif",
            Self::Svg => "image/svg+xml",
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Avif => "AVIF",
            Self::Gif => "GIF",
            Self::Svg => "SVG",
        }
    }

    /// Whether a picture of this size fits into the format. A WebP ends at 16,383 pixels a side; AV1's highest level at
    /// 16,384, and at 35,651,584 pixels altogether (AV1 annex A.3), beyond which no decoder has to go.
    pub fn holds(self, size: ImageSize) -> bool {
        let (side_max, pixels_max) = match self {
            Self::WebP => (16_383, u64::MAX),
            Self::Avif => (16_384, 35_651_584),
            _ => (IMAGE_SIDE_MAX, u64::MAX),
        };
        size.width.max(size.height) <= side_max && size.pixels() <= pixels_max
    }
}

/// What an image shows, as far as its format tells: it decides between lossy and lossless.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A photograph: JPEG, lossy WebP.
    Photograph,
    /// A drawing, a screenshot, text: PNG, lossless WebP, GIF.
    Graphic,
}

/// Whether an image moves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Motion {
    /// One picture.
    Still,
    /// Several frames; published as it is, never flattened.
    Animated,
}

/// How a stored picture has to be turned to stand upright: EXIF's tag 274, 1 to 8.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Orientation(u8);

impl Orientation {
    /// As it is stored.
    pub const UPRIGHT: Self = Self(1);

    /// EXIF's number, 1 to 8.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        self.0 >= 5
    }
}

/// What a header tells about an image. Nothing was decoded for it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The format by content, which the name agrees with.
    pub format: ImageFormat,
    /// The size as shown; `None` for an SVG that has none.
    pub size: Option<ImageSize>,
    /// How the stored picture has to be turned.
    pub orientation: Orientation,
    /// Whether it moves.
    pub motion: Motion,
    /// What it shows.
    pub kind: Kind,
    /// Bytes of memory that decoding takes at its peak, the file's own not counted.
    pub decode_bytes: u64,
    color: Color,
}

impl Probe {
    /// Whether variants can be made: the image is a still JPEG, PNG or WebP. GIF, AVIF, SVG and all that moves are
    /// published as they are, without their metadata.
    pub fn can_vary(&self) -> bool {
        self.motion == Motion::Still && matches!(self.format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)
    }

    /// Whether the original can't be published as it is, because it must be turned or its colours converted: then it is
    /// decoded and written anew.
    pub fn needs_rewriting(&self) -> bool {
        self.can_vary() && (self.orientation != Orientation::UPRIGHT || self.color != Color::Srgb)
    }
}

/// Why an image can't be used: what is wrong with the file, and what to do. The caller knows its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageFault {
    /// What is wrong, as an end of "`photo.jpg` can't be used: …".
    pub message: String,
    /// What to do.
    pub help: &'static str,
    /// What kind of fault it is.
    pub kind: FaultKind,
}

/// What is wrong with a file that should be an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// It is damaged, too large, or of a kind that browsers don't show.
    Broken,
    /// Only its name is wrong: its content has another format.
    Misnamed,
    /// It isn't what it was when it was read, or isn't there any more.
    Changed,
}

impl ImageFault {
    pub(crate) fn new(message: impl Into<String>, help: &'static str) -> Self {
        Self { message: message.into(), help, kind: FaultKind::Broken }
    }

    /// The file ends too early or contradicts itself.
    fn broken(message: impl Into<String>) -> Self {
        Self::new(message, "replace the file by an intact copy")
    }
}

/// How many bytes stand for a pixel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, and opacity that the colours aren't multiplied by.
    Rgba,
}

impl Channels {
    /// Bytes a pixel.
    pub fn count(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// Pixels in memory: 8 bits a channel, sRGB, upright, row by row without gaps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    size: ImageSize,
    channels: Channels,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture of these pixels, or `None` if there aren't as many as its size says, or none at all.
    pub fn new(size: ImageSize, channels: Channels, pixels: Vec<u8>) -> Option<Self> {
        let byte_count = size.pixels() * channels.count() as u64;
        (byte_count > 0 && byte_count == pixels.len() as u64).then_some(Self { size, channels, pixels })
    }

    /// Width and height.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// What a pixel consists of.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

/// What foreign code returns, or a fault if it panics or unwinds: one file must not end the build.
fn guarded<T>(task: &str, work: impl FnOnce() -> Result<T, ImageFault>) -> Result<T, ImageFault> {
    // Whatever the closure was building is dropped with it, so nothing half-made can be seen afterwards.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let reason = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("it panicked");
        Err(ImageFault::broken(format!("{task} failed: {reason}")))
    })
}
