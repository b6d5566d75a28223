//! What an image's numbers mean as colours, and their conversion to sRGB.

use std::sync::Arc;

use moxcms::{
    Chromaticity, CicpProfile, CmsError, ColorPrimaries, ColorProfile, DataColorSpace, Layout, MatrixCoefficients,
    TransformOptions, curve_from_gamma,
};

use super::{Channels, ImageFault, guarded};

/// How far a channel may be off for a profile to count as sRGB's: the many copies of it differ by one step.
const SRGB_STEPS_MAX: u8 = 2;

/// What the channels of stored pixels are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Model {
    Gray,
    Rgb,
    Cmyk,
}

/// How stored numbers become colours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Color {
    /// They are sRGB already, or nothing else is said, which means the same.
    Srgb,
    /// Inks without a profile: converted as browsers do.
    PlainCmyk,
    /// By a profile that isn't sRGB's.
    Profile(Model, Source),
}

/// Where the profile comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// An ICC profile.
    Icc(Arc<[u8]>),
    /// Code points of ITU-T H.273: primaries, transfer.
    Cicp(u8, u8),
    /// PNG's exponent, and its white point and primaries, as x and y, each times 100,000.
    Gamma(u32, Option<[u32; 8]>),
}

impl Color {
    /// Colours by an embedded profile. One that can't be read or is for other channels is ignored, as browsers do.
    pub(super) fn from_icc(icc: Option<&[u8]>, model: Model) -> Self {
        let unsaid = if model == Model::Cmyk { Self::PlainCmyk } else { Self::Srgb };
        let Some(icc) = icc else { return unsaid };
        let model = match (ColorProfile::new_from_slice(icc).map(|profile| profile.color_space), model) {
            (Ok(DataColorSpace::Rgb), Model::Gray | Model::Rgb) => Model::Rgb,
            (Ok(DataColorSpace::Gray), Model::Gray) => Model::Gray,
            (Ok(DataColorSpace::Cmyk), Model::Cmyk) => Model::Cmyk,
            _ => return unsaid,
        };
        Self::from_source(model, Source::Icc(icc.into())).unwrap_or(unsaid)
    }

    /// Colours by code points; `None` if they are unknown.
    pub(super) fn from_cicp(primaries: u8, transfer: u8) -> Option<Self> {
        Self::from_source(Model::Rgb, Source::Cicp(primaries, transfer))
    }

    /// Colours by PNG's `gAMA` and `cHRM`; `None` if they are impossible.
    pub(super) fn from_gamma(gamma: u32, chromaticities: Option<[u32; 8]>) -> Option<Self> {
        Self::from_source(Model::Rgb, Source::Gamma(gamma, chromaticities))
    }

    /// Whether four inks stand for a pixel.
    pub(super) fn is_inks(&self) -> bool {
        matches!(self, Self::PlainCmyk | Self::Profile(Model::Cmyk, _))
    }

    fn from_source(model: Model, source: Source) -> Option<Self> {
        let is_srgb = guarded("reading the colour profile", || Ok(is_srgb(model, &source))).ok()??;
        Some(if is_srgb { Self::Srgb } else { Self::Profile(model, source) })
    }
}

impl Source {
    fn profile(&self) -> Option<ColorProfile> {
        match self {
            Self::Icc(bytes) => ColorProfile::new_from_slice(bytes).ok(),
            Self::Cicp(primaries, transfer) => {
                let cicp = CicpProfile {
                    color_primaries: (*primaries).try_into().ok()?,
                    transfer_characteristics: (*transfer).try_into().ok()?,
                    matrix_coefficients: MatrixCoefficients::Identity,
                    full_range: true,
                };
                let profile = ColorProfile::new_from_cicp(cicp);
                profile.red_trc.is_some().then_some(profile)
            }
            Self::Gamma(gamma, chromaticities) => gamma_profile(*gamma, *chromaticities),
        }
    }
}

fn gamma_profile(gamma: u32, chromaticities: Option<[u32; 8]>) -> Option<ColorProfile> {
    let mut profile = ColorProfile::new_srgb();
    profile.cicp = None;
    if let Some(numbers) = chromaticities {
        #[expect(clippy::cast_possible_truncation, reason = "five digits fit")]
        let [white, red, green, blue] = [0, 2, 4, 6].map(|at| Chromaticity {
            x: (f64::from(numbers[at]) / 100_000.0) as f32,
            y: (f64::from(numbers[at + 1]) / 100_000.0) as f32,
        });
        if [white, red, green, blue].iter().any(|point| point.y <= 0.0) {
            return None;
        }
        profile.update_rgb_colorimetry(white.to_xyyb(), ColorPrimaries { red, green, blue });
    }
    // 0.45455 stands for sRGB's own curve, which has no exponent (PNG section 11.3.2.2).
    let exponent = 100_000.0 / f64::from(gamma);
    if !(0.1..=10.0).contains(&exponent) {
        return None;
    }
    if (exponent - 2.2).abs() > 0.05 {
        #[expect(clippy::cast_possible_truncation, reason = "between 0.1 and 10")]
        let curve = curve_from_gamma(exponent as f32);
        profile.red_trc = Some(curve.clone());
        profile.green_trc = Some(curve.clone());
        profile.blue_trc = Some(curve);
    }
    Some(profile)
}

/// Whether a profile changes no colour visibly; `None` if it can't be used at all.
fn is_srgb(model: Model, source: &Source) -> Option<bool> {
    let (layout, samples): (_, Vec<u8>) = match model {
        Model::Gray => (Layout::Gray, (0..=u8::MAX).collect()),
        Model::Rgb => {
            let steps = [0, 32, 64, 96, 128, 160, 192, 224, 255];
            let colors = steps.map(|red| steps.map(|green| steps.map(|blue| [red, green, blue])));
            (Layout::Rgb, colors.as_flattened().as_flattened().as_flattened().to_vec())
        }
        Model::Cmyk => (INKS, vec![0; 4]),
    };
    let shown = shown_colors(source, layout, &samples)?;
    let is_near = |stored: &u8, shown: &u8| stored.abs_diff(*shown) <= SRGB_STEPS_MAX;
    Some(match model {
        Model::Gray => samples.iter().zip(shown.iter().step_by(3)).all(|(stored, shown)| is_near(stored, shown)),
        Model::Rgb => samples.iter().zip(&shown).all(|(stored, shown)| is_near(stored, shown)),
        Model::Cmyk => false,
    })
}

/// The sRGB colours of stored pixels, three channels of 8 bits each.
fn shown_colors(source: &Source, layout: Layout, stored: &[u8]) -> Option<Vec<u8>> {
    let options = TransformOptions::default();
    let transform = source.profile()?.create_transform_8bit(layout, &ColorProfile::new_srgb(), Layout::Rgb, options);
    let mut shown = vec![0; stored.len() / layout.channels() * 3];
    transform.ok()?.transform(stored, &mut shown).ok()?;
    Some(shown)
}

/// Converts pixels to sRGB where they stand. Inks have their own function.
///
/// # Errors
/// The profile can't be used after all.
pub(super) fn convert_8(color: &Color, channels: Channels, pixels: &mut [u8]) -> Result<(), ImageFault> {
    match color {
        Color::Srgb | Color::PlainCmyk => Ok(()),
        Color::Profile(Model::Gray, source) => {
            // Grey stays grey, so that a table of 256 entries is the whole conversion.
            let steps: Vec<u8> = (0..=u8::MAX).collect();
            let table = shown_colors(source, Layout::Gray, &steps).ok_or_else(unusable)?;
            for pixel in pixels.chunks_exact_mut(channels.count()) {
                pixel[..3].iter_mut().for_each(|value| *value = table[usize::from(*value) * 3]);
            }
            Ok(())
        }
        Color::Profile(_, source) => {
            let (profile, layout) = (source.profile().ok_or_else(unusable)?, layout(channels));
            let srgb = ColorProfile::new_srgb();
            let transform = profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default());
            let transform = transform.map_err(|_| unusable())?;
            in_place(pixels, channels, |stored, shown| transform.transform(stored, shown))
        }
    }
}

/// The same for 16 bits a channel, so that wide gamuts lose nothing before they are narrowed.
///
/// # Errors
/// The profile can't be used after all.
pub(super) fn convert_16(color: &Color, channels: Channels, pixels: &mut [u16]) -> Result<(), ImageFault> {
    let Color::Profile(model, source) = color else { return Ok(()) };
    let (profile, srgb) = (source.profile().ok_or_else(unusable)?, ColorProfile::new_srgb());
    let transform =
        |from, to| profile.create_transform_16bit(from, &srgb, to, TransformOptions::default()).map_err(|_| unusable());
    if *model == Model::Gray {
        let steps: Vec<u16> = (0..=u16::MAX).collect();
        let mut table = vec![0; steps.len() * 3];
        transform(Layout::Gray, Layout::Rgb)?.transform(&steps, &mut table).map_err(|_| unusable())?;
        for pixel in pixels.chunks_exact_mut(channels.count()) {
            pixel[..3].iter_mut().for_each(|value| *value = table[usize::from(*value) * 3]);
        }
        return Ok(());
    }
    let transform = transform(layout(channels), layout(channels))?;
    in_place(pixels, channels, |stored, shown| transform.transform(stored, shown))
}

/// Colours of inks: by their profile, else as browsers do it. `inks` holds four bytes a pixel, 255 for no ink, which is
/// how Adobe stores them.
///
/// # Errors
/// The profile can't be used after all.
pub(super) fn convert_inks(color: &Color, inks: &[u8]) -> Result<Vec<u8>, ImageFault> {
    if let Color::Profile(Model::Cmyk, source) = color {
        let straight: Vec<u8> = inks.iter().map(|ink| u8::MAX - ink).collect();
        return shown_colors(source, INKS, &straight).ok_or_else(unusable);
    }
    let (pixels, _) = inks.as_chunks::<4>();
    let scaled = |ink: u8, black: u8| {
        u8::try_from((u16::from(ink) * u16::from(black) + 127) / 255).expect("a product of two bytes over 255 is one")
    };
    Ok(pixels
        .iter()
        .flat_map(|[cyan, magenta, yellow, black]| [cyan, magenta, yellow].map(|i| scaled(*i, *black)))
        .collect())
}

/// Four channels are `Rgba` to moxcms, whatever they mean.
const INKS: Layout = Layout::Rgba;

fn layout(channels: Channels) -> Layout {
    match channels {
        Channels::Rgb => Layout::Rgb,
        Channels::Rgba => Layout::Rgba,
    }
}

/// moxcms writes to another place than it reads from: pieces of some thousand pixels keep that small.
fn in_place<T: Copy>(
    pixels: &mut [T],
    channels: Channels,
    transform: impl Fn(&[T], &mut [T]) -> Result<(), CmsError>,
) -> Result<(), ImageFault> {
    let mut stored = Vec::new();
    for piece in pixels.chunks_mut(4096 * channels.count()) {
        stored.clear();
        stored.extend_from_slice(piece);
        transform(&stored, piece).map_err(|_| unusable())?;
    }
    Ok(())
}

fn unusable() -> ImageFault {
    ImageFault::new("its colour profile can't be used", "convert the image to sRGB")
}
