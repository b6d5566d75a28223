//! The search for the quality whose result looks as good as asked for.

use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

use super::encode::encode_at;
use super::{ImageFault, ImageFormat, Picture, decode, probe};

/// How near two pictures of one size look, as SSIMULACRA2: 100 for no difference, 90 for none that is seen, 70 for good.
/// `None` if the sizes differ, or a side has fewer than 8 pixels.
pub fn score(original: &Picture, other: &Picture) -> Option<f64> {
    if original.size != other.size {
        return None;
    }
    compute_frame_ssimulacra2(linear(original)?, linear(other)?).ok()
}

fn linear(picture: &Picture) -> Option<Rgb> {
    let pixels = picture
        .pixels
        .chunks_exact(picture.channels.count())
        .map(|pixel| [0, 1, 2].map(|channel| f32::from(pixel[channel]) / 255.0))
        .collect();
    let (width, height) = (picture.size.width as usize, picture.size.height as usize);
    Rgb::new(pixels, width, height, TransferCharacteristic::SRGB, ColorPrimaries::BT709).ok()
}

/// The places on the encoders' scales between which the search goes: below, pictures fall apart; above, bytes explode.
const QUALITY_RANGE: (u8, u8) = (20, 97);
/// Encodings at most for one picture.
const TRIES_MAX: usize = 7;
/// How much better than asked for a result may be: one step of a scale changes the score by about half of it.
const EXCESS_MAX: f64 = 1.5;

/// A file whose score is the one asked for or a little more, as far as the scale allows. A picture with too few pixels for
/// a score is encoded at a middling quality.
pub(super) fn encode_to_score(picture: &Picture, format: ImageFormat, target: f32) -> Result<Vec<u8>, ImageFault> {
    let (mut low, mut high) = QUALITY_RANGE;
    let mut best: Option<Vec<u8>> = None;
    let mut quality = first_guess(target);
    for _ in 0..TRIES_MAX {
        let file = encode_at(picture, format, Some(quality))?;
        let Some(found) = file_score(picture, format, &file)? else { return encode_at(picture, format, Some(80)) };
        let excess = found - f64::from(target);
        if excess >= 0.0 {
            best = Some(file);
            high = quality - 1;
        } else {
            low = quality + 1;
        }
        if low > high || (0.0..=EXCESS_MAX).contains(&excess) {
            break;
        }
        quality = next_guess(quality, excess).clamp(low, high);
    }
    best.map_or_else(|| encode_at(picture, format, Some(high)), Ok)
}

/// Scores of 60 to 90 lie near these places on all three scales.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the scale")]
fn first_guess(target: f32) -> u8 {
    (target + 5.0).clamp(f32::from(QUALITY_RANGE.0), f32::from(QUALITY_RANGE.1)) as u8
}

/// A step changes the score by about 0.7 where it is neither very good nor very bad.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the scale")]
fn next_guess(quality: u8, excess: f64) -> u8 {
    let aimed = f64::from(quality) - (excess - EXCESS_MAX / 2.0) / 0.7;
    aimed.round().clamp(f64::from(QUALITY_RANGE.0), f64::from(QUALITY_RANGE.1)) as u8
}

/// The score of a file that was made of this picture.
fn file_score(picture: &Picture, format: ImageFormat, file: &[u8]) -> Result<Option<f64>, ImageFault> {
    let probe = probe(format.extension(), file, u64::MAX)?;
    if !probe.can_vary() {
        return Ok(None);
    }
    Ok(score(picture, &decode(file, &probe)?))
}
