//! Making a bundle and writing it, with what is to be done when the cache loses meanwhile what it had: pictures and what
//! was compressed lie there until the bundle is written, and anybody may prune it or delete it.

use std::path::Path;

use bundle::{Digest, PackedBundle};

use super::{BuildArguments, Loaded};
use crate::bytes::Bytes;
use crate::cache::Cache;
use crate::commands::{Failure, Report};
use crate::output::{Bases, PackError, write_dist};
use crate::pipeline::{BuildOptions, Built};

/// Why a build could not be made.
#[derive(Debug)]
pub(super) enum MakeError {
    /// What the cache had a moment ago is gone. What the system said.
    Lost(String),
    /// Another try would not help.
    Failed(Failure),
}

/// Makes something, and once more if the cache lost something meanwhile.
pub(super) fn again_if_lost<T>(mut work: impl FnMut() -> Result<T, MakeError>) -> Result<T, Failure> {
    let result = match work() {
        Err(MakeError::Lost(_)) => work(),
        result => result,
    };
    result.map_err(|error| match error {
        MakeError::Failed(failure) => failure,
        MakeError::Lost(error) => Failure::Io(format!("{error}; the cache is being emptied while this build runs")),
    })
}

/// A build that waits to be written.
pub(super) struct Packed {
    pub(super) built: Built,
    pub(super) bundle: PackedBundle<Bytes>,
    /// The files beside it.
    pub(super) texts: [(&'static str, String); 2],
}

impl Loaded {
    /// The bundle and what lies beside it, if the site has no mistakes.
    pub(super) fn pack(
        &self,
        options: &BuildOptions,
        arguments: &BuildArguments,
        bases: Bases<'_>,
    ) -> Result<(Report, Option<Packed>), MakeError> {
        let mut built = self.build(options, arguments, bases.last);
        let report = self.report(&built.diagnostics, arguments);
        let (Some(output), 0) = (built.output.take(), report.exit_status) else {
            // What was made for it is there when its mistakes are mended.
            self.cache.finish();
            return Ok((report, None));
        };
        let bundle = output.pack_checked(bases, &self.cache).map_err(|error| match error {
            PackError::Read(error) if self.cache.holds(&error) => MakeError::Lost(error.to_string()),
            error => MakeError::Failed(error.into()),
        })?;
        let texts = [
            ("manifest.json", built.manifest.to_manifest_json()),
            ("assets_meta.json", built.manifest.to_assets_meta_json()),
        ];
        Ok((report, Some(Packed { built, bundle, texts })))
    }
}

impl Packed {
    /// Writes all of it, and returns the bundle's digest.
    pub(super) fn write(&self, cache: &Cache, folder: &Path) -> Result<Digest, MakeError> {
        // Both wait for the disk.
        let ((), digest) = rayon::join(|| cache.finish(), || write_dist(folder, &self.texts, &self.bundle));
        digest.map_err(|error| {
            if cache.holds(&error.error) {
                MakeError::Lost(error.error.to_string())
            } else {
                MakeError::Failed(error.into())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::assets::image::{Channels, EncodeSettings, ImageFormat, ImageSize, Kind, Picture, Quality, encode};
    use crate::cache::CACHE_FOLDER;
    use crate::commands::build::SummaryFormat;

    /// A site of a page and a photograph large enough to have variants that aren't held in memory.
    fn site(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("kiln-make-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        let mut random = 1_u32;
        let pixels = (0..640 * 480 * 3).map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from(random >> 24).unwrap()
        });
        let size = ImageSize { width: 640, height: 480 };
        let picture = Picture::new(size, Channels::Rgb, pixels.collect()).unwrap();
        let settings = EncodeSettings { quality: Quality::Fixed(80), kind: Kind::Photograph };
        for (path, bytes) in [
            ("site.toml", b"base_url = \"https://example.com\"\n[images]\nformats = [\"webp\"]\n".to_vec()),
            ("content/index.html", b"<!doctype html><html lang=\"en\"><head><title>T</title></head></html>".to_vec()),
            ("static/noise.jpg", encode(&picture, ImageFormat::Jpeg, &settings).unwrap()),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), bytes).unwrap();
        }
        root
    }

    /// Builds, and loses the cache before the first `losses` writings.
    fn build(root: &Path, losses: usize) -> (Result<Digest, Failure>, usize) {
        let arguments =
            BuildArguments { site: root.into(), summary: SummaryFormat::Quiet, ..BuildArguments::default() };
        let loaded = Loaded::read(&arguments).unwrap();
        let options = loaded.options(&arguments).unwrap();
        let mut count = 0;
        let made = again_if_lost(|| {
            let (report, packed) = loaded.pack(&options, &arguments, Bases::default())?;
            count += 1;
            if count <= losses {
                fs::remove_dir_all(root.join(CACHE_FOLDER)).unwrap();
            }
            assert_eq!(report.exit_status, 0, "{}", report.messages);
            packed.unwrap().write(&loaded.cache, &root.join("dist"))
        });
        (made, count)
    }

    #[test]
    fn a_cache_that_is_lost_while_a_build_runs_is_made_again() {
        // `kiln cache prune` in another window would fail the build, with a message about a file that nobody knows.
        let root = site("lost");
        let (whole, count) = build(&root, 0);
        assert_eq!(count, 1);
        let (again, count) = build(&root, 1);
        assert_eq!((again.unwrap(), count), (whole.unwrap(), 2));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn one_that_is_lost_again_and_again_is_told_and_the_last_bundle_stays() {
        let root = site("lost-again");
        let (whole, _) = build(&root, 0);
        let bundle = fs::read(root.join("dist/site.bundle")).unwrap();
        let (failed, count) = build(&root, 2);
        let failure = failed.unwrap_err();
        assert_eq!((failure.exit_status(), count), (4, 2));
        assert!(failure.to_string().contains("the cache is being emptied"), "{failure}");
        assert!(fs::read(root.join("dist/site.bundle")).unwrap() == bundle && whole.is_ok());
        fs::remove_dir_all(root).unwrap();
    }
}
