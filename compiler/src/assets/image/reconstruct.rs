//! What browsers will show of an AVIF, without a decoder for it: the picture that its encoder keeps to predict the next one
//! from. The settings are those that `ravif` gives to the same encoder, and a test holds the coded bytes against its own.

use rav1e::prelude::*;

use super::encode::{AVIF_SPEED_LARGE, avif_speed, light_and_differences};
use super::{Channels, Picture};

/// An AVIF's coded colours, and the picture that they decode to.
pub(super) struct Reconstruction {
    #[cfg_attr(not(test), expect(dead_code, reason = "only a test compares them"))]
    pub(super) coded: Vec<u8>,
    pub(super) picture: Picture,
}

/// The colours of a picture after coding at a quality of 1 to 100; its opacities are taken over as they are.
pub(super) fn reconstruct(picture: &Picture, quality: u8) -> Option<Reconstruction> {
    reconstruct_at(picture, quality, avif_speed(picture.size))
}

fn reconstruct_at(picture: &Picture, quality: u8, speed: u8) -> Option<Reconstruction> {
    let config = Config::new().with_encoder_config(encoder_config(picture, quality, speed)).with_threads(1);
    let mut context: Context<u8> = config.new_context().ok()?;
    let mut frame = context.new_frame();
    fill(&mut frame, picture);
    context.send_frame(frame).ok()?;
    context.flush();
    loop {
        match context.receive_packet() {
            Ok(packet) => {
                let shown = shown(packet.rec.as_deref()?, picture)?;
                return Some(Reconstruction { coded: packet.data, picture: shown });
            }
            Err(EncoderStatus::Encoded) => {}
            Err(_) => return None,
        }
    }
}

fn encoder_config(picture: &Picture, quality: u8, speed: u8) -> EncoderConfig {
    let quantizer = quantizer(quality);
    let is_fine = quantizer < self::quantizer(55);
    let is_coarse = quantizer > self::quantizer(80);
    let has_less_effort = speed == AVIF_SPEED_LARGE;
    let mut config = EncoderConfig::with_speed_preset(speed);
    config.width = picture.size.width as usize;
    config.height = picture.size.height as usize;
    config.time_base = Rational::new(1, 1);
    config.sample_aspect_ratio = Rational::new(1, 1);
    config.chroma_sampling = ChromaSampling::Cs444;
    config.pixel_range = PixelRange::Full;
    config.color_description = Some(ColorDescription {
        color_primaries: ColorPrimaries::BT709,
        transfer_characteristics: TransferCharacteristics::SRGB,
        matrix_coefficients: MatrixCoefficients::BT601,
    });
    config.still_picture = true;
    config.min_key_frame_interval = 0;
    config.max_key_frame_interval = 0;
    config.quantizer = usize::from(quantizer);
    config.min_quantizer = quantizer;
    config.tune = Tune::Psychovisual;
    config.tiles = 1;
    let speed = &mut config.speed_settings;
    speed.multiref = false;
    speed.rdo_lookahead_frames = 1;
    speed.scene_detection_mode = SceneDetectionSpeed::None;
    speed.fast_deblock = !is_coarse;
    speed.cdef = is_fine;
    speed.lrf = is_fine && !has_less_effort;
    speed.sgr_complexity = SGRComplexityLevel::Reduced;
    speed.motion.include_near_mvs = false;
    speed.motion.use_satd_subpel = false;
    speed.partition.encode_bottomup = false;
    let block_min = if has_less_effort { BlockSize::BLOCK_16X16 } else { BlockSize::BLOCK_8X8 };
    speed.partition.partition_range = PartitionRange::new(block_min, BlockSize::BLOCK_16X16);
    speed.prediction.fine_directional_intra = false;
    speed.prediction.prediction_modes = PredictionModesSetting::Simple;
    speed.transform.enable_inter_tx_split = has_less_effort;
    speed.transform.rdo_tx_decision = false;
    speed.transform.reduced_tx_set = has_less_effort;
    speed.transform.tx_domain_rate = false;
    config
}

/// AV1's scale, 0 to 255 and finest first, at a place on `ravif`'s.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
fn quantizer(quality: u8) -> u8 {
    let quality = f32::from(quality) / 100.0;
    let share = match quality {
        0.82.. => (1.0 - quality) * 2.6,
        0.25.. => quality.mul_add(-0.5, 0.875),
        _ => 1.0 - quality,
    };
    (share * 255.0).round() as u8
}

/// Writes the picture into a frame for the encoder.
fn fill(frame: &mut Frame<u8>, picture: &Picture) {
    let width = picture.size.width as usize;
    let strides = [0, 1, 2].map(|plane| frame.planes[plane].cfg.stride);
    for (index, pixel) in picture.pixels.chunks_exact(picture.channels.count()).enumerate() {
        let (x, y) = (index % width, index / width);
        for (plane, value) in light_and_differences([pixel[0], pixel[1], pixel[2]]).into_iter().enumerate() {
            frame.planes[plane].data_origin_mut()[y * strides[plane] + x] = value;
        }
    }
}

/// The way back.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn shown(frame: &Frame<u8>, original: &Picture) -> Option<Picture> {
    let width = original.size.width as usize;
    let planes = [0, 1, 2].map(|plane| (frame.planes[plane].data_origin(), frame.planes[plane].cfg.stride));
    let mut pixels = Vec::with_capacity(original.pixels.len());
    for (index, stored) in original.pixels.chunks_exact(original.channels.count()).enumerate() {
        let (x, y) = (index % width, index / width);
        let [light, blue_difference, red_difference] = planes.map(|(plane, stride)| f32::from(plane[y * stride + x]));
        let (blue_difference, red_difference) = (blue_difference - 128.0, red_difference - 128.0);
        let red = red_difference.mul_add(1.402, light);
        let green = red_difference.mul_add(-0.714_136, blue_difference.mul_add(-0.344_136, light));
        let blue = blue_difference.mul_add(1.772, light);
        pixels.extend([red, green, blue].map(|value| value.round() as u8));
        if original.channels == Channels::Rgba {
            pixels.push(stored[3]);
        }
    }
    Picture::new(original.size, original.channels, pixels)
}

#[cfg(test)]
mod tests {
    use super::reconstruct_at;
    use crate::assets::image::encode::{AVIF_SPEED, AVIF_SPEED_LARGE, encode_avif};
    use crate::assets::image::{Channels, ImageSize, Picture};

    #[test]
    fn what_is_scored_is_what_is_written() {
        let pixels = (0..96_u32 * 64).flat_map(|at| {
            let (x, y) = (at % 96, at / 96);
            [x * 2, y * 3, (x ^ y) & 127].map(|value| u8::try_from(value).unwrap())
        });
        let size = ImageSize { width: 96, height: 64 };
        let picture = Picture::new(size, Channels::Rgb, pixels.collect()).unwrap();
        for speed in [AVIF_SPEED, AVIF_SPEED_LARGE] {
            for quality in [30, 60, 80, 90] {
                let coded = reconstruct_at(&picture, quality, speed).unwrap().coded;
                let file = encode_avif(&picture, f32::from(quality), speed).unwrap();
                assert!(file.ends_with(&coded), "at {quality} with speed {speed}");
            }
        }
    }
}
