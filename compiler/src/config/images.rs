//! `[images]`: which variants are made of the site's pictures.

use toml::Spanned;
use toml::de::DeValue;

use super::glob::Glob;
use super::{Reader, whole_number, with_article};

/// Pixels of the widest variant, and of a side of any picture. A guess, above what cameras make.
pub const IMAGE_SIDE_MAX: u32 = 20_000;

/// What is made of the site's pictures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Images {
    /// Ascending, each once, at least 1.
    pub widths: Vec<u32>,
    /// Formats that are made beside a picture's own, the one that browsers are to take first first.
    pub formats: Vec<ModernFormat>,
    /// Graphics are made in AVIF too.
    pub png_avif: bool,
    /// Of JPEG.
    pub jpeg_quality: Quality,
    /// Of WebP made from photographs.
    pub webp_quality: Quality,
    /// Of AVIF.
    pub avif_quality: Quality,
    /// A picture with more pixels is a mistake.
    pub max_pixels: u64,
    /// Pictures of which no variants are made.
    pub exclude: Vec<Glob>,
}

/// A format that a browser takes before the original's, if it knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ModernFormat {
    /// The smaller one.
    Avif,
    /// The one that all browsers know.
    WebP,
}

/// How good a lossy picture has to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Quality {
    /// The encoder's own scale, 1 to 100.
    Fixed(u8),
    /// A SSIMULACRA2 score, 1 to 100: the encoder's quality is searched for each picture.
    Target(u8),
}

impl Default for Images {
    fn default() -> Self {
        Self {
            widths: vec![360, 480, 640, 728, 876, 1024, 1600],
            formats: vec![ModernFormat::Avif, ModernFormat::WebP],
            png_avif: false,
            jpeg_quality: Quality::Fixed(80),
            webp_quality: Quality::Fixed(80),
            avif_quality: Quality::Fixed(80),
            max_pixels: 40_000_000,
            exclude: vec![Glob::parse("favicon*")],
        }
    }
}

impl Images {
    /// Whether no variants are made of the file with this path below its folder.
    pub fn is_excluded(&self, name: &str) -> bool {
        self.exclude.iter().any(|glob| glob.matches(name))
    }

    pub(super) fn read(&mut self, table: &mut Reader<'_>) {
        table.widths("widths", &mut self.widths);
        table.list("formats", &mut self.formats, |name| match name {
            "avif" => Ok(ModernFormat::Avif),
            "webp" => Ok(ModernFormat::WebP),
            _ => Err("a format is `avif` or `webp`; a picture's own is always made"),
        });
        // Whatever order they are written in: the other way round, no browser would ever take the smaller one.
        self.formats.sort_unstable();
        self.formats.dedup();
        table.flag("png_avif", &mut self.png_avif);
        table.quality("jpeg_quality", &mut self.jpeg_quality);
        table.quality("webp_quality", &mut self.webp_quality);
        table.quality("avif_quality", &mut self.avif_quality);
        let sides = u64::from(IMAGE_SIDE_MAX);
        if let Some(pixels) = table.number("max_pixels", 1..=sides * sides) {
            self.max_pixels = pixels;
        }
        table.list("exclude", &mut self.exclude, |pattern| match pattern {
            "" => Err("a pattern names files, such as `favicon*` or `img/icons/**`"),
            pattern => Ok(Glob::parse(pattern)),
        });
    }
}

impl Reader<'_> {
    fn widths(&mut self, key: &'static str, field: &mut Vec<u32>) {
        let Some(items) = self.typed(key, "a list of whole numbers", DeValue::as_array) else { return };
        field.clear();
        for item in items {
            let width = whole_number(item.get_ref()).and_then(|width| u32::try_from(width).ok());
            if let Some(width) = width.filter(|width| (1..=IMAGE_SIDE_MAX).contains(width)) {
                field.push(width);
            } else {
                let text = self.source.text.get(item.span()).unwrap_or_default();
                let help = format!("a width is a whole number of pixels from 1 to {IMAGE_SIDE_MAX}");
                self.report(item.span(), format!("`{}{key}` can't hold {text}", self.prefix), Some(&help));
            }
        }
        field.sort_unstable();
        field.dedup();
    }

    /// `80`, or `{ target = 75 }`.
    fn quality(&mut self, key: &'static str, field: &mut Quality) {
        let Some(value) = self.value(key) else { return };
        match read_quality(value) {
            Ok(quality) => *field = quality,
            Err(found) => {
                let message = format!("`{}{key}` can't be {found}", self.prefix);
                let help = "write a number from 1 to 100, or `{ target = 75 }` for a SSIMULACRA2 score";
                self.report(value.span(), message, Some(help));
            }
        }
    }
}

/// A quality, or what stands there instead.
fn read_quality(value: &Spanned<DeValue<'_>>) -> Result<Quality, String> {
    let percent = |value: &DeValue<'_>| {
        let number = whole_number(value).and_then(|number| u8::try_from(number).ok());
        number.filter(|number| (1..=100).contains(number))
    };
    match value.get_ref() {
        DeValue::Integer(number) => percent(value.get_ref()).map(Quality::Fixed).ok_or_else(|| number.to_string()),
        DeValue::Table(table) if table.len() == 1 => {
            let target = table.get("target").and_then(|target| percent(target.get_ref()));
            target.map(Quality::Target).ok_or_else(|| "this table".to_owned())
        }
        other => Err(with_article(other.type_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::{ModernFormat, Quality};
    use crate::diagnostic::SourceText;

    fn parse(text: &str) -> (super::Images, Vec<String>) {
        let source = SourceText { path: "site.toml".into(), text: text.into() };
        let (config, diagnostics) = Config::parse(&source);
        (config.images, diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect())
    }

    #[test]
    fn every_key_is_read() {
        let (images, mistakes) = parse(
            "[images]\nwidths = [1_600, 0x10, 16]\nformats = [\"webp\", \"avif\", \"webp\"]\npng_avif = true\n\
             jpeg_quality = 70\nwebp_quality = { target = 75 }\navif_quality = 1\nmax_pixels = 1_000\nexclude = [\"a*\"]\n",
        );
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(images.widths, [16, 1600]);
        assert_eq!(images.formats, [ModernFormat::Avif, ModernFormat::WebP]);
        assert!(images.png_avif && images.max_pixels == 1000);
        assert_eq!(
            (images.jpeg_quality, images.webp_quality, images.avif_quality),
            (Quality::Fixed(70), Quality::Target(75), Quality::Fixed(1))
        );
        assert!(images.is_excluded("b/a.png") && !images.is_excluded("favicon.png"));
    }

    #[test]
    fn every_wrong_value_is_reported_and_leaves_the_default() {
        let (images, mistakes) = parse(
            "[images]\nwidths = [0, 20_001, -1, \"x\", 20_000]\nformats = [\"jxl\"]\njpeg_quality = 0\n\
             webp_quality = { target = 101 }\navif_quality = { aim = 3 }\nmax_pixels = 400_000_001\nexclude = [\"\"]\n",
        );
        assert_eq!(mistakes.len(), 10, "{mistakes:#?}");
        assert_eq!(images.widths, [20_000]);
        assert_eq!((images.jpeg_quality, images.max_pixels), (Quality::Fixed(80), 40_000_000));
    }
}
