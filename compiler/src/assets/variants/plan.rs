//! Which pictures are tried for an image: nothing is decoded yet, and nothing is decided.

use crate::assets::image::{ImageFormat, ImageSize, Kind, encode_bytes, scaled, score_bytes};
use crate::config::{Images, ModernFormat, Quality};

/// Bytes that making one picture may take, with the decoded original. A guess: it leaves room for the rest of the build
/// where there are 512 MB. It is the same on every machine, since a build's result must be too.
const PICTURE_BYTES_MAX: u64 = 384 * 1024 * 1024;

/// What decides about an image's variants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Facts {
    /// The original's format.
    pub(crate) format: ImageFormat,
    /// The original's size, as shown.
    pub(crate) size: ImageSize,
    /// What it shows.
    pub(crate) kind: Kind,
}

impl Facts {
    /// The size of the widest picture in a format: the original's, or for an enormous original the largest that can be
    /// made of it in little memory. A quality that is searched for takes some more.
    fn widest_in(self, format: ImageFormat, quality: Quality) -> ImageSize {
        let width = self.size.width;
        let looking = if matches!(quality, Quality::Target(_)) { score_bytes(self.size) } else { 0 };
        let held = self.size.pixels() * held_bytes_per_pixel(self.kind) + looking;
        let pixels_max =
            PICTURE_BYTES_MAX.saturating_sub(held) / encode_bytes(ImageSize { width: 1, height: 1 }, format).max(1);
        let fits = |size: ImageSize| format.holds(size) && size.pixels() <= pixels_max;
        if fits(self.size) {
            return self.size;
        }
        // A width at a time would do as well; this takes no more than fifteen looks.
        let (mut low, mut high) = (1, width.max(1));
        while low + 1 < high {
            let middle = low.midpoint(high);
            if fits(scaled(self.size, middle)) { low = middle } else { high = middle }
        }
        scaled(self.size, low)
    }
}

/// Bytes of a pixel in memory: graphics may be transparent.
pub(crate) fn held_bytes_per_pixel(kind: Kind) -> u64 {
    if kind == Kind::Photograph { 3 } else { 4 }
}

/// A format with the sizes in which it is tried, ascending; the last is the original's, or
/// as near to it as can be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlannedSet {
    /// What is tried.
    pub(crate) format: ImageFormat,
    /// At least one.
    pub(crate) sizes: Vec<ImageSize>,
}

/// The sets that are tried: the original's own format first, then WebP, then AVIF.
pub(crate) fn plan(facts: Facts, images: &Images) -> Vec<PlannedSet> {
    let set = |format, widest: ImageSize| {
        let narrower = images.widths.iter().filter(|width| **width < widest.width);
        let mut sizes: Vec<_> = narrower.map(|width| scaled(facts.size, *width)).collect();
        sizes.push(widest);
        PlannedSet { format, sizes }
    };
    let mut sets = vec![set(facts.format, facts.size)];
    let wants = |format| images.formats.contains(&format);
    if wants(ModernFormat::WebP) && facts.format != ImageFormat::WebP {
        sets.push(set(ImageFormat::WebP, facts.widest_in(ImageFormat::WebP, images.webp_quality)));
    }
    if wants(ModernFormat::Avif) && (facts.kind == Kind::Photograph || images.png_avif) {
        sets.push(set(ImageFormat::Avif, facts.widest_in(ImageFormat::Avif, images.avif_quality)));
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(format: ImageFormat, kind: Kind, images: &Images) -> Vec<(ImageFormat, Vec<u32>)> {
        let facts = Facts { format, size: ImageSize { width: 500, height: 333 }, kind };
        let widths = |set: PlannedSet| (set.format, set.sizes.iter().map(|size| size.width).collect());
        plan(facts, images).into_iter().map(widths).collect()
    }

    #[test]
    fn only_widths_below_the_originals_are_tried() {
        let facts =
            |width| Facts { format: ImageFormat::Png, size: ImageSize { width, height: 100 }, kind: Kind::Graphic };
        let widths = |width| -> Vec<u32> {
            plan(facts(width), &Images::default())[0].sizes.iter().map(|size| size.width).collect()
        };
        assert_eq!(widths(359), [359]);
        assert_eq!(widths(360), [360]);
        assert_eq!(widths(361), [360, 361]);
        assert_eq!(widths(1601), [360, 480, 640, 728, 876, 1024, 1600, 1601]);
    }

    #[test]
    fn photographs_are_tried_in_webp_and_avif_and_graphics_in_avif_when_asked() {
        use ImageFormat::{Avif, Jpeg, Png, WebP};
        let (mut images, all) = (Images::default(), vec![360, 480, 500]);
        assert_eq!(
            planned(Jpeg, Kind::Photograph, &images),
            [(Jpeg, all.clone()), (WebP, all.clone()), (Avif, all.clone())]
        );
        assert_eq!(planned(Png, Kind::Graphic, &images), [(Png, all.clone()), (WebP, all.clone())]);
        assert_eq!(planned(WebP, Kind::Photograph, &images), [(WebP, all.clone()), (Avif, all.clone())]);
        assert_eq!(planned(WebP, Kind::Graphic, &images), [(WebP, all.clone())]);
        images.png_avif = true;
        assert_eq!(planned(Png, Kind::Graphic, &images).len(), 3);
        images.formats.clear();
        assert_eq!(planned(Jpeg, Kind::Photograph, &images), [(Jpeg, all)]);
    }

    #[test]
    fn an_enormous_original_is_not_made_anew_at_its_full_size() {
        // Encoding 40 million pixels as AVIF takes a gigabyte. What is made must not depend on the machine's memory.
        let sizes = |width, height| -> Vec<ImageSize> {
            let facts = Facts { format: ImageFormat::Jpeg, size: ImageSize { width, height }, kind: Kind::Photograph };
            plan(facts, &Images::default()).iter().map(|set| *set.sizes.last().unwrap()).collect()
        };
        let camera = ImageSize { width: 4000, height: 3000 };
        assert_eq!(sizes(4000, 3000), [camera, camera, camera]);
        let [own, webp, avif] = sizes(7728, 5152)[..] else { panic!("three formats") };
        assert_eq!(own.width, 7728);
        assert!(avif.width < webp.width && webp.width < own.width && avif.width > 3000, "{avif:?} {webp:?}");
        // Looking for a quality takes memory too.
        let target = Quality::Target(75);
        let images = Images { webp_quality: target, avif_quality: target, ..Images::default() };
        let facts = Facts { format: ImageFormat::Jpeg, size: camera, kind: Kind::Photograph };
        let widest: Vec<_> = plan(facts, &images).iter().map(|set| *set.sizes.last().unwrap()).collect();
        assert_eq!(widest[..2], [camera, camera]);
        assert!((3_300..3_700).contains(&widest[2].width), "{widest:?}");
        let wide = sizes(20_000, 100);
        assert_eq!((wide[0].width, wide[1].width), (20_000, 16_383), "a WebP has no more pixels a side");
    }
}
