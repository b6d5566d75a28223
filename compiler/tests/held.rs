//! What a build holds in memory: not its pictures. They lie in the site's folder and in the cache until the bundle is
//! written, and what isn't there any more by then fails the build.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

use bundle::{Body, BundleView};
use compiler::assets::{Annex, AssetNames, ImageWork, Workshop};
use compiler::bytes::Bytes;
use compiler::cache::{CACHE_FOLDER, Cache};
use compiler::config::Config;
use compiler::diagnostic::{Code, SourceText};
use compiler::output::{Bases, Keeping, write_dist};
use compiler::pipeline::{self, BuildOptions, Built};
use compiler::site::Selection;
use compiler::source::Sources;

const OPTIONS: BuildOptions = BuildOptions {
    asset_names: AssetNames::Digested,
    keeping: Keeping::ByKind,
    image_work: ImageWork::Make,
    compress: true,
    selection: Selection { drafts: false, future: false, today: jiff::civil::date(2026, 6, 1) },
    lists_urls: false,
    time: None,
    live_reload: "",
};

/// A picture that no format makes small.
fn photograph(number: u32) -> Vec<u8> {
    let mut grain = number;
    let pixel = |_, _| {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb(grain.to_be_bytes()[..3].try_into().unwrap())
    };
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
    image::DynamicImage::ImageRgb8(image::RgbImage::from_fn(160, 120, pixel)).write_with_encoder(encoder).unwrap();
    bytes
}

/// The same with a comment, which is never published: the original has to be written anew.
fn with_comment(mut jpeg: Vec<u8>) -> Vec<u8> {
    jpeg.splice(2..2, b"\xff\xfe\x00\x08secret".iter().copied());
    jpeg
}

/// A site with three photographs.
fn site(name: &str) -> PathBuf {
    let site = Path::new(env!("CARGO_TARGET_TMPDIR")).join("held").join(name);
    drop(fs::remove_dir_all(&site));
    for folder in ["content", "static"] {
        fs::create_dir_all(site.join(folder)).unwrap();
    }
    let page = "<!doctype html><html lang=en><head><title>x</title></head><body>x</body></html>\n";
    fs::write(site.join("content/index.html"), page).unwrap();
    fs::write(site.join("static/a.jpg"), photograph(1)).unwrap();
    fs::write(site.join("static/b.jpg"), with_comment(photograph(2))).unwrap();
    fs::write(site.join("content/c.jpg"), photograph(3)).unwrap();
    site
}

fn config() -> Config {
    let text = "[images]\nwidths = [120]\nformats = [\"webp\"]\n";
    Config::parse(&SourceText { path: "site.toml".into(), text: text.into() }).0
}

fn read(site: &Path) -> Sources {
    Sources::read(site, &config().paths).unwrap().0
}

fn annex() -> Annex {
    Annex::new(Path::new(env!("CARGO_BIN_EXE_kiln")))
}

fn build(sources: &Sources, cache: &Cache) -> Built {
    pipeline::build(sources, &config(), &OPTIONS, &Workshop::new(cache, &annex()), None)
}

/// How many of the bytes are in memory.
fn held_len(bytes: &Bytes) -> usize {
    bytes.held().map_or(0, <[u8]>::len)
}

/// Bytes that are held, and bytes that there are.
fn held_and_all(built: &Built) -> (usize, usize) {
    let bodies = || built.output.as_ref().unwrap().published.iter().map(|one| &one.body);
    (bodies().map(held_len).sum(), bodies().map(Body::len).sum())
}

/// The files of a cache.
fn entries(site: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(site.join(CACHE_FOLDER)).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir());
    folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
}

#[test]
fn no_picture_is_held_where_there_is_a_cache() {
    // With 500 photographs a build took 690 MB.
    let site = site("cache");
    let sources = read(&site);
    let held: usize = sources.lists().into_iter().flatten().map(|file| held_len(&file.bytes)).sum();
    assert!(held < 1_000, "{held} bytes of the sources are held");
    let cache = Cache::new(site.join(CACHE_FOLDER));
    for time in ["first", "second"] {
        let built = build(&sources, &cache);
        assert_eq!(built.manifest.image_counts().encoded > 0, time == "first");
        let (held, all) = held_and_all(&built);
        assert!(held < 1_000 && all > 100_000, "the {time} time {held} bytes of {all} are held");
    }
}

#[test]
fn a_bundle_has_the_same_bytes_whether_its_pictures_were_held_or_not() {
    let site = site("same");
    let sources = read(&site);
    let kept = Cache::new(site.join(CACHE_FOLDER));
    let bundles: Vec<_> = [Cache::none(), Cache::new("/proc/no-such-folder".into()), kept]
        .iter()
        .map(|cache| {
            let built = build(&sources, cache);
            let packed = built.output.unwrap().pack_checked(Bases::default(), cache).unwrap();
            write_dist(&site.join("dist"), &[], &packed).unwrap();
            fs::read(site.join("dist/site.bundle")).unwrap()
        })
        .collect();
    assert!(bundles[0] == bundles[1] && bundles[1] == bundles[2]);
    let view = BundleView::open(&bundles[0]).unwrap();
    let original = view.find(b"/static/a.jpg").unwrap().identity().body().to_vec();
    assert_eq!(original, photograph(1));
    assert_eq!(view.find(b"/static/b.jpg").unwrap().identity().body(), photograph(2), "without its comment");
}

#[test]
fn a_photograph_that_changes_while_the_site_is_built_fails_the_build() {
    // Its old digest would stand in the name of other bytes, which browsers keep for ever.
    let site = site("changed");
    let (sources, cache) = (read(&site), Cache::none());
    let output = build(&sources, &cache).output.unwrap();
    let packed = output.clone().pack_checked(Bases::default(), &cache).unwrap();
    let dist = site.join("dist");
    write_dist(&dist, &[("a.txt", "good".to_owned())], &packed).unwrap();
    let good = fs::read(dist.join("site.bundle")).unwrap();

    fs::write(site.join("static/a.jpg"), photograph(4)).unwrap();
    let error = write_dist(&dist, &[("a.txt", "other".to_owned())], &packed).unwrap_err().to_string();
    assert!(error.contains("static/a.jpg`: it was changed after it had been read"), "{error}");
    let packed = output.pack_checked(Bases::default(), &cache).unwrap();
    write_dist(&dist, &[("a.txt", "other".to_owned())], &packed).unwrap_err();
    assert_eq!(fs::read(dist.join("site.bundle")).unwrap(), good);
    assert_eq!(fs::read_to_string(dist.join("a.txt")).unwrap(), "good");
    assert_eq!(fs::read_dir(&dist).unwrap().count(), 2, "nothing half written is left");

    // The same a little earlier, while the images are looked at.
    let built = build(&sources, &cache);
    let [diagnostic] = &built.diagnostics[..] else { panic!("{:?}", built.diagnostics) };
    assert_eq!((diagnostic.code, &*diagnostic.place.path), (Code::ChangedFile, "static/a.jpg"));
    assert!(built.output.is_none());
}

#[test]
fn a_result_that_is_damaged_in_the_cache_meanwhile_is_never_published() {
    let site = site("damaged");
    let (sources, cache) = (read(&site), Cache::new(site.join(CACHE_FOLDER)));
    let output = build(&sources, &cache).output.unwrap();
    let packed = output.pack_checked(Bases::default(), &cache).unwrap();
    for entry in entries(&site) {
        let mut bytes = fs::read(&entry).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(entry, bytes).unwrap();
    }
    let error = write_dist(&site.join("dist"), &[], &packed).unwrap_err().to_string();
    assert!(error.contains(CACHE_FOLDER) && error.contains("it was changed"), "{error}");
    assert!(!site.join("dist/site.bundle").exists());
    // The next build makes them again.
    let cache = Cache::new(site.join(CACHE_FOLDER));
    let output = build(&read(&site), &cache).output.unwrap();
    let packed = output.pack_checked(Bases::default(), &cache).unwrap();
    write_dist(&site.join("dist"), &[], &packed).unwrap();
}

#[test]
fn a_picture_that_needs_more_memory_than_there_is_is_an_error_with_both_numbers() {
    // Without it the system would end the build, or another process, and nobody would know why.
    let site = site("much");
    let (sources, cache) = (read(&site), Cache::none());
    let build = |memory_bytes_max| {
        let annex = annex();
        let workshop = Workshop { memory_bytes_max, ..Workshop::new(&cache, &annex) };
        pipeline::build(&sources, &config(), &OPTIONS, &workshop, None).diagnostics
    };
    let diagnostics = build(100_000);
    assert!(diagnostics.len() == 3 && diagnostics.iter().all(|one| one.code == Code::BrokenImage), "{diagnostics:?}");
    assert!(diagnostics[0].message.contains("takes 1 MB of memory, and there are 0 MB"), "{}", diagnostics[0].message);
    assert_eq!(build(1_000_000), []);
}
