//! The search for the quality at which a picture looks as good as asked for. It is cheap because it seldom has to search:
//! pictures of one image are made from the narrowest to the widest, what was found for two of them tells what to try
//! for the next, and one look at that is mostly enough.
//!
//! All constants come from 20 photographs at 8 widths as JPEG and WebP, each at 9 qualities: the first try of a picture
//! that has two narrower ones missed by 1.1 points on average at the widths from 640 to 1024, and by 1.7 above.

use super::encode::{encode_at, is_large};
use super::reconstruct::reconstruct;
use super::score::Reference;
use super::{ImageFault, ImageFormat, ImageSize, Picture, decode, guarded, probe};

/// For pictures with so few pixels that they have no score: the default of all formats.
const QUALITY_OF_THE_TINY: u8 = 80;
/// A score is good that misses by no more than this. What is promised is 1.5, and a step of a scale is up to 0.8.
const MISS_GOOD: f64 = 1.2;
/// After a look at a large picture that misses by no more than this, what a step of the scale does is known well enough to
/// go without another.
const MISS_SURE: f64 = 2.2;
/// Pixels of a picture that counts as large: of smaller ones looks are cheap, and nothing is left to chance. Guessed.
const LARGE_PIXELS_MIN: u64 = 1_000_000;
/// Looks at most at one picture. The slowest of the 296 searches took four.
const LOOKS_MAX: usize = 6;
/// How much of the way from the last quality but one to the last goes on, and how many times as far.
const TREND: f64 = 0.6;
const TREND_STEPS_MAX: f64 = 1.5;
/// The quality from which on the steps of the AVIF encoder's scale are larger, and how much larger.
const AVIF_BEND: f64 = 82.0;
const AVIF_STRETCH: f64 = 4.2;
/// So many more steps a WebP or an AVIF needs at the lower effort that large ones are made with.
const LARGE_STEPS: f64 = 2.0;

/// The search for one format of one image, whose pictures come in ascending order.
#[derive(Clone, Debug)]
pub struct Search {
    format: ImageFormat,
    target: f64,
    /// What was found for the last picture but one, and for the last.
    found: Vec<Found>,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    size: ImageSize,
    /// Where the target would be met exactly.
    place: f64,
}

/// A picture that was looked at.
struct Look {
    quality: u8,
    /// How much better it is than asked for.
    excess: f64,
    /// Its file, if that is how it was found out.
    file: Option<Vec<u8>>,
}

impl Search {
    /// For a format, and a score of 1 to 100.
    pub fn new(format: ImageFormat, target: f32) -> Self {
        Self { format, target: f64::from(target), found: Vec::new() }
    }

    /// A file of the picture whose score is the target, within 1.5; where the scale doesn't reach so far, the nearest. One
    /// with too few pixels for a score is encoded at a middling quality. `reference` is what the picture is known by.
    ///
    /// # Errors
    /// The encoder fails.
    pub fn encode(&mut self, picture: &Picture, reference: Option<&Reference>) -> Result<Vec<u8>, ImageFault> {
        let Some(reference) = reference else { return self.encode_at(picture, QUALITY_OF_THE_TINY) };
        let best = self.find(picture, reference)?;
        match best.file {
            Some(file) => Ok(file),
            None => self.encode_at(picture, best.quality),
        }
    }

    /// The look that misses least, or a quality that is as sure.
    fn find(&mut self, picture: &Picture, reference: &Reference) -> Result<Look, ImageFault> {
        let mut looks: Vec<Look> = Vec::new();
        let mut quality = self.quality_at(self.first_place(picture.size));
        loop {
            looks.push(self.look(picture, reference, quality)?);
            // The best ones first. Of the others the files aren't needed any more.
            looks.sort_by(|a, b| a.excess.abs().total_cmp(&b.excess.abs()));
            looks.iter_mut().skip(1).for_each(|look| look.file = None);
            let best = &looks[0];
            let exact = self.place(best.quality) - best.excess / self.points_per_step(&looks);
            let next = untried(&looks, self.quality_at(exact)).filter(|_| looks.len() < LOOKS_MAX);
            let (Some(next), false) = (next, best.excess.abs() <= MISS_GOOD) else {
                self.note(picture.size, exact);
                return Ok(looks.swap_remove(0));
            };
            if best.excess.abs() <= MISS_SURE && picture.size.pixels() >= LARGE_PIXELS_MIN {
                self.note(picture.size, exact);
                return Ok(Look { quality: next, excess: 0.0, file: None });
            }
            quality = next;
        }
    }

    /// Where a quality lies in steps that all change the score about as much. Those of the AVIF encoder's own scale are larger
    /// from a place on: 2.6 hundredths of AV1's scale instead of half a one.
    fn place(&self, quality: u8) -> f64 {
        let quality = f64::from(quality);
        if self.format == ImageFormat::Avif { quality + (quality - AVIF_BEND).max(0.0) * AVIF_STRETCH } else { quality }
    }

    /// The quality that is nearest to a place.
    fn quality_at(&self, place: f64) -> u8 {
        let is_bent = self.format == ImageFormat::Avif && place > AVIF_BEND;
        on_scale(if is_bent { AVIF_BEND + (place - AVIF_BEND) / (1.0 + AVIF_STRETCH) } else { place })
    }

    fn encode_at(&self, picture: &Picture, quality: u8) -> Result<Vec<u8>, ImageFault> {
        encode_at(picture, self.format, Some(quality))
    }

    /// Where to look first.
    fn first_place(&self, size: ImageSize) -> f64 {
        let has_steps = |last: &Found| self.format != ImageFormat::Jpeg && is_large(size) && !is_large(last.size);
        let steps = |last: &Found| if has_steps(last) { LARGE_STEPS } else { 0.0 };
        match &*self.found {
            [] => 74.0 + 1.8 * (self.target - 75.0),
            [last] => last.place + steps(last),
            [before, .., last] => {
                let growth = |from: ImageSize, to: ImageSize| 1.0 - f64::from(from.width) / f64::from(to.width);
                let distance = growth(last.size, size) / growth(before.size, last.size).max(f64::EPSILON);
                last.place + (last.place - before.place) * TREND * distance.min(TREND_STEPS_MAX) + steps(last)
            }
        }
    }

    /// How many points of the score a step of the scale is worth: by experience, and by what was looked at as far as that
    /// is near it. Looks that are few steps apart tell more of the unevenness of the scale.
    fn points_per_step(&self, looks: &[Look]) -> f64 {
        let usual = match self.format {
            ImageFormat::Jpeg => 0.58,
            ImageFormat::WebP if looks.first().is_some_and(|look| look.quality < 72) => 0.4,
            _ => 0.7,
        };
        let [one, other, ..] = looks else { return usual };
        let steps = self.place(one.quality) - self.place(other.quality);
        ((one.excess - other.excess) / steps).clamp(0.6 * usual, 2.0 * usual)
    }

    fn note(&mut self, size: ImageSize, place: f64) {
        if self.found.len() == 2 {
            self.found.remove(0);
        }
        self.found.push(Found { size, place: place.clamp(1.0, self.place(100)) });
    }

    /// What browsers will show of the picture at this quality.
    fn look(&self, picture: &Picture, reference: &Reference, quality: u8) -> Result<Look, ImageFault> {
        let (file, shown) = if self.format == ImageFormat::Avif {
            let shown = guarded("encoding", || Ok(reconstruct(picture, quality)))?;
            (None, shown.ok_or_else(|| ImageFault::broken("no AVIF can be made of it"))?.picture)
        } else {
            let file = self.encode_at(picture, quality)?;
            let shown = decode(&file, &probe(self.format.extension(), &file, u64::MAX)?)?;
            (Some(file), shown)
        };
        let score = reference.score(&shown).ok_or_else(|| ImageFault::broken("its size changes when it is encoded"))?;
        Ok(Look { quality, excess: score - self.target, file })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the scale")]
fn on_scale(quality: f64) -> u8 {
    quality.round().clamp(1.0, 100.0) as u8
}

/// The next quality to look at: the expected one, or, if that was tried, one between the nearest that are too low and too
/// high, or beyond all of them. `None`: there is none.
fn untried(looks: &[Look], expected: u8) -> Option<u8> {
    let was_tried = |quality: &u8| looks.iter().any(|look| look.quality == *quality);
    if !was_tried(&expected) {
        return Some(expected);
    }
    let too_low = looks.iter().filter(|look| look.excess < 0.0).map(|look| look.quality).max();
    let too_high = looks.iter().filter(|look| look.excess >= 0.0).map(|look| look.quality).min();
    let next = match (too_low, too_high) {
        (Some(low), Some(high)) => low.midpoint(high),
        (Some(low), None) => on_scale(f64::from(low) + 1.0),
        (None, Some(high)) => on_scale(f64::from(high) - 1.0),
        (None, None) => return None,
    };
    Some(next).filter(|next| !was_tried(next))
}

#[cfg(test)]
mod tests {
    use super::Search;
    use crate::assets::image::{Channels, ImageFormat, ImageSize, Picture, Reference, resize};

    #[test]
    fn a_target_is_met_as_avif_too() {
        // No decoder is at hand: what the encoder reconstructs is looked at, and another test holds that to the file.
        let pixels = (0..160_u32 * 96).flat_map(|at| {
            let (x, y) = (at % 160, at / 160);
            [x + y / 3, 200 - x + (y % 16), 40 + (x * y / 64) % 90].map(|value| u8::try_from(value % 256).unwrap())
        });
        let size = ImageSize { width: 160, height: 96 };
        let original = Picture::new(size, Channels::Rgb, pixels.collect()).unwrap();
        for target in [65.0, 78.0, 86.0] {
            let mut search = Search::new(ImageFormat::Avif, target);
            for width in [96, 128, 160] {
                let picture = resize(&original, width).unwrap();
                let reference = Reference::new(&picture).unwrap();
                let found = search.find(&picture, &reference).unwrap();
                let miss = search.look(&picture, &reference, found.quality).unwrap().excess;
                assert!(miss.abs() <= 1.5, "{width} for {target}: off by {miss} at {}", found.quality);
            }
        }
    }

    #[test]
    fn a_place_is_that_of_its_quality() {
        for format in [ImageFormat::Jpeg, ImageFormat::Avif] {
            let search = Search::new(format, 75.0);
            for quality in 1..=100 {
                assert_eq!(search.quality_at(search.place(quality)), quality);
            }
            assert_eq!((search.quality_at(-9.0), search.quality_at(999.0)), (1, 100));
        }
    }
}
