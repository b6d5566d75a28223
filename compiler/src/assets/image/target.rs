//! The search for the quality whose result looks as good as asked for.

use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

use super::encode::encode_at;
use super::reconstruct::reconstruct;
use super::{Channels, ImageFault, ImageFormat, Picture, decode, guarded, probe};

/// How near two pictures of one size look, as SSIMULACRA2: 100 for no difference, 90 for none that is seen, 70 for good.
/// `None` if the sizes differ, or a side has fewer than 8 pixels.
pub fn score(original: &Picture, other: &Picture) -> Option<f64> {
    if original.size != other.size {
        return None;
    }
    compute_frame_ssimulacra2(linear(original)?, linear(other)?).ok()
}

fn linear(picture: &Picture) -> Option<Rgb> {
    // What is transparent is looked at on a middling grey.
    let opacity = |pixel: &[u8]| if picture.channels == Channels::Rgba { f32::from(pixel[3]) / 255.0 } else { 1.0 };
    let shown = |pixel: &[u8]| {
        let opacity = opacity(pixel);
        [0, 1, 2].map(|channel| (f32::from(pixel[channel]) / 255.0).mul_add(opacity, 0.5 * (1.0 - opacity)))
    };
    let pixels = picture.pixels.chunks_exact(picture.channels.count()).map(shown).collect();
    let (width, height) = (picture.size.width as usize, picture.size.height as usize);
    Rgb::new(pixels, width, height, TransferCharacteristic::SRGB, ColorPrimaries::BT709).ok()
}

/// The places on the encoders' scales between which the search goes: below, pictures fall apart; above, bytes explode.
/// Guessed.
const QUALITY_RANGE: (u8, u8) = (20, 97);
/// Encodings at most for one picture: halving finds any place between those two in seven.
const TRIES_MAX: usize = 7;
/// For pictures with so few pixels that they have no score: the default of all formats.
const QUALITY_OF_THE_TINY: u8 = 80;
/// How much better than asked for a result may be: the spread that the design of the image road allows. One step of a scale
/// changes the score by about half of it: measured with 20 photographs 728 wide, near 80, 0.6 for JPEG and 0.8 for WebP.
const EXCESS_MAX: f64 = 1.5;

/// A file whose score is the one asked for or a little more, as far as the scale allows. A picture with too few pixels for
/// a score is encoded at a middling quality.
pub(super) fn encode_to_score(picture: &Picture, format: ImageFormat, target: f32) -> Result<Vec<u8>, ImageFault> {
    let (mut low, mut high) = QUALITY_RANGE;
    let mut best = None;
    let mut quality = first_guess(target);
    for _ in 0..TRIES_MAX {
        let (file, shown) = attempt(picture, format, quality)?;
        let Some(found) = score(picture, &shown) else { return encode_at(picture, format, Some(QUALITY_OF_THE_TINY)) };
        let excess = found - f64::from(target);
        if excess >= 0.0 {
            best = Some((quality, file));
            high = quality - 1;
        } else {
            low = quality + 1;
        }
        if low > high || (0.0..=EXCESS_MAX).contains(&excess) {
            break;
        }
        quality = next_guess(quality, excess).clamp(low, high);
    }
    match best {
        Some((_, Some(file))) => Ok(file),
        Some((quality, None)) => encode_at(picture, format, Some(quality)),
        None => encode_at(picture, format, Some(high)),
    }
}

/// Scores of 60 to 90 lie near these places on all three scales. Guessed.
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

/// What browsers will show of the picture at this quality; with the file, if that is how it was found out.
fn attempt(picture: &Picture, format: ImageFormat, quality: u8) -> Result<(Option<Vec<u8>>, Picture), ImageFault> {
    if format == ImageFormat::Avif {
        let shown = guarded("encoding", || Ok(reconstruct(picture, quality)))?;
        return shown.map(|shown| (None, shown.picture)).ok_or_else(|| ImageFault::broken("no AVIF can be made of it"));
    }
    let file = encode_at(picture, format, Some(quality))?;
    let shown = decode(&file, &probe(format.extension(), &file, u64::MAX)?)?;
    Ok((Some(file), shown))
}
