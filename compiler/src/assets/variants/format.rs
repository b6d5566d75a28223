//! The formats of images.

/// What an image is encoded in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ImageFormat {
    /// Photographs.
    Jpeg,
    /// Graphics, and pictures with transparency.
    Png,
    /// Both.
    WebP,
    /// Photographs, smaller.
    Avif,
    /// Animations of old.
    Gif,
    /// Drawings.
    Svg,
}

impl ImageFormat {
    /// The format that files with this extension, in lower case, have.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "jpg" | "jpeg" => Self::Jpeg,
            "png" => Self::Png,
            "webp" => Self::WebP,
            "avif" => Self::Avif,
            "gif" => Self::Gif,
            "svg" => Self::Svg,
            _ => return None,
        })
    }

    /// What `type` says in HTML.
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
}
