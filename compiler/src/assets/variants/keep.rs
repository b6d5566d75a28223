//! Which of the pictures that were made are worth publishing. A browser picks a `<source>` by its type and then sees only
//! that source's widths, so a format earns its place as a whole, or not at all.

use crate::assets::image::ImageFormat;

/// One picture: how wide it is, and how large its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Measured {
    /// In pixels.
    pub(crate) width: u32,
    /// The file's bytes.
    pub(crate) len: u64,
}

/// A format with its pictures, ascending by width.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MeasuredSet {
    /// What they are encoded in.
    pub(crate) format: ImageFormat,
    /// At least one; the last is as wide as the original.
    pub(crate) pictures: Vec<Measured>,
}

/// Leaves what is worth publishing. The first set is the original's own format, which always stays; each of the others
/// has to earn its place against the one before it that did: that is what a browser would load instead.
pub(crate) fn keep(sets: Vec<MeasuredSet>) -> Vec<MeasuredSet> {
    let mut kept: Vec<MeasuredSet> = Vec::new();
    for mut set in sets {
        drop_useless_widths(&mut set.pictures);
        if kept.last().is_none_or(|replaced| pays(&set, replaced)) {
            kept.push(set);
        }
    }
    kept
}

/// Drops widths whose file isn't smaller than that of a wider one. The widest stays.
fn drop_useless_widths(pictures: &mut Vec<Measured>) {
    let mut least = u64::MAX;
    let mut index = pictures.len();
    while index > 0 {
        index -= 1;
        if pictures[index].len < least {
            least = pictures[index].len;
        } else {
            pictures.remove(index);
        }
    }
}

/// The part of what it replaces that a format must stay under, in per cent.
fn percent_max(format: ImageFormat) -> u64 {
    if format == ImageFormat::Avif { 90 } else { 95 }
}

/// Whether a format's widest picture alone, and all its widths together, are enough smaller than what a browser would
/// load without it.
fn pays(set: &MeasuredSet, replaced: &MeasuredSet) -> bool {
    let percent = percent_max(set.format);
    let is_under = |len: u64, other: u64| len.saturating_mul(100) < other.saturating_mul(percent);
    let widths = set.pictures.iter().chain(&replaced.pictures).map(|picture| picture.width);
    let widths: std::collections::BTreeSet<u32> = widths.collect();
    let together = |set: &MeasuredSet| widths.iter().map(|width| loaded_len(set, *width)).sum();
    let widest = |set: &MeasuredSet| set.pictures.last().map_or(0, |picture| picture.len);
    is_under(widest(set), widest(replaced)) && is_under(together(set), together(replaced))
}

/// What a browser loads that wants this width: the narrowest picture that is as wide.
fn loaded_len(set: &MeasuredSet, width: u32) -> u64 {
    let wide_enough = set.pictures.iter().find(|picture| picture.width >= width);
    wide_enough.or(set.pictures.last()).map_or(0, |picture| picture.len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(format: ImageFormat, pictures: &[(u32, u64)]) -> MeasuredSet {
        let pictures = pictures.iter().map(|(width, len)| Measured { width: *width, len: *len }).collect();
        MeasuredSet { format, pictures }
    }

    fn formats(sets: Vec<MeasuredSet>) -> Vec<ImageFormat> {
        keep(sets).into_iter().map(|set| set.format).collect()
    }

    fn jpeg() -> MeasuredSet {
        set(ImageFormat::Jpeg, &[(360, 100), (728, 300), (1000, 600)])
    }

    #[test]
    fn a_width_that_is_no_smaller_than_a_wider_one_is_dropped_and_never_the_widest() {
        // A framework shipped 55 KB at 728 pixels for an original of 24 KB.
        let kept = keep(vec![set(ImageFormat::Jpeg, &[(360, 24), (480, 20), (728, 55), (876, 24), (1000, 24)])]);
        assert_eq!(kept, [set(ImageFormat::Jpeg, &[(480, 20), (1000, 24)])]);
        let only = set(ImageFormat::Png, &[(40, 7)]);
        assert_eq!(keep(vec![only.clone()]), [only]);
    }

    #[test]
    fn webp_must_be_under_95_percent_together_and_at_its_widest() {
        let webp = |pictures| formats(vec![jpeg(), set(ImageFormat::WebP, pictures)]).len() == 2;
        // 950 of 1000 is 95 %, and 570 of 600.
        assert!(webp(&[(360, 95), (728, 284), (1000, 569)]));
        assert!(!webp(&[(360, 100), (728, 281), (1000, 569)]), "950 together");
        assert!(webp(&[(360, 99), (728, 281), (1000, 569)]), "949 together");
        assert!(!webp(&[(360, 10), (728, 20), (1000, 570)]), "the widest alone");
    }

    #[test]
    fn avif_must_be_under_90_percent_of_what_a_browser_would_load_without_it() {
        let webp = set(ImageFormat::WebP, &[(360, 50), (728, 150), (1000, 300)]);
        let avif = |pictures| set(ImageFormat::Avif, pictures);
        let pays = avif(&[(360, 44), (728, 130), (1000, 269)]);
        assert_eq!(formats(vec![jpeg(), webp.clone(), pays]).len(), 3);
        let is_no_better = avif(&[(360, 45), (728, 135), (1000, 270)]);
        assert_eq!(formats(vec![jpeg(), webp, is_no_better.clone()]), [ImageFormat::Jpeg, ImageFormat::WebP]);
        assert_eq!(formats(vec![jpeg(), is_no_better]), [ImageFormat::Jpeg, ImageFormat::Avif]);
    }

    #[test]
    fn a_format_is_compared_with_what_is_left_of_the_other() {
        // Where the original's 728 pixels were dropped, a browser would load its 1000.
        let own = set(ImageFormat::Png, &[(360, 10), (728, 90), (1000, 20)]);
        assert_eq!(formats(vec![own.clone(), set(ImageFormat::WebP, &[(360, 11), (728, 17), (1000, 18)])]).len(), 2);
        assert_eq!(formats(vec![own, set(ImageFormat::WebP, &[(360, 17), (728, 17), (1000, 18)])]).len(), 1);
    }

    #[test]
    fn a_picture_of_no_bytes_or_of_very_many_breaks_no_sum() {
        let huge = set(ImageFormat::Jpeg, &[(1, u64::MAX / 8), (2, u64::MAX / 4)]);
        assert_eq!(formats(vec![huge.clone(), huge]).len(), 1);
        let empty = set(ImageFormat::Jpeg, &[(1, 0)]);
        assert_eq!(formats(vec![empty.clone(), empty]).len(), 1);
    }
}
