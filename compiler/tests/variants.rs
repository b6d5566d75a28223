//! The road of images through the real `kiln`: which variants a build has, what pages make of them, what a second build
//! has still to do, and what is left when one is killed.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bundle::{BundleView, RouteKind};

/// A new empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variants").join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(path: PathBuf, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A picture with soft colours and some grain, as a camera makes them.
fn photograph(width: u32, height: u32) -> image::DynamicImage {
    let mut grain = 7_u32;
    let pixel = |x: u32, y: u32| {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = u8::try_from(grain >> 28).unwrap();
        let part = |value: u32, of: u32| u8::try_from(value * 200 / of).unwrap() + noise;
        image::Rgb([part(x, width), part(y, height), part(x + y, width + height)])
    };
    image::DynamicImage::ImageRgb8(image::RgbImage::from_fn(width, height, pixel))
}

fn encoded(picture: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    // As good as cameras make them, so that there is something to save.
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 97);
    photograph(width, height).write_with_encoder(encoder).unwrap();
    bytes
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let shade = |value: u32| u8::try_from(value % 256).unwrap();
    let drawing = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([shade(x / 9 * 40), shade(y / 7 * 30), 0]));
    encoded(&image::DynamicImage::ImageRgb8(drawing), image::ImageFormat::Png)
}

const HEAD: &str = "<!doctype html><html lang=en><head><title>x</title></head><body>\n";

/// The quality of AVIF is so low that it is kept for certain.
const SETTINGS: &str = "base_url = \"https://example.org\"\n[images]\nwidths = [60, 90, 500]\navif_quality = 1\n";

/// A site with a photograph under `static/`, a drawing beside its page, and both in the page.
fn site(name: &str) -> PathBuf {
    let site = folder(name);
    write(site.join("site.toml"), SETTINGS);
    write(site.join("static/img/a.jpg"), jpeg(120, 80));
    write(site.join("content/cat, big.png"), png(100, 70));
    let images =
        "<% img src=\"/static/img/a.jpg\" alt=\"A\" sizes=\"50vw\" %/>\n<% img src=\"cat, big.png\" alt=\"\" %/>\n";
    write(site.join("content/index.html"), format!("{HEAD}{images}</body></html>\n"));
    site
}

struct Outcome {
    status: i32,
    stdout: String,
    stderr: String,
}

fn kiln(arguments: &[&str], site: &Path) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(arguments)
        .args(["--site", site.to_str().unwrap()])
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap();
    Outcome {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Builds a site and returns what is told of its images.
fn build(site: &Path) -> serde_json::Value {
    let outcome = kiln(&["build", "--json"], site);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    let summary: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    summary["images"].clone()
}

fn bundle(site: &Path) -> BundleView<Vec<u8>> {
    BundleView::open(fs::read(site.join("dist/site.bundle")).unwrap()).unwrap()
}

/// The bodies of a bundle by path, with digests as `#`.
fn routes(site: &Path) -> BTreeMap<String, (RouteKind, Vec<u8>)> {
    let is_digest = |part: &str| part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let view = bundle(site);
    let routes = view.routes().map(|route| {
        let path = String::from_utf8(route.path().to_vec()).unwrap();
        let path: Vec<_> = path.split('.').map(|part| if is_digest(part) { "#" } else { part }).collect();
        (path.join("."), (route.kind(), route.identity().body().to_vec()))
    });
    routes.collect()
}

fn page(site: &Path) -> String {
    let text = String::from_utf8(routes(site)["/"].1.clone()).unwrap();
    let is_digest = |part: &str| part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('.').map(|part| if is_digest(part) { "#" } else { part }).collect::<Vec<_>>().join(".")
}

#[test]
fn pages_show_images_with_all_that_browsers_choose_from() {
    let site = site("markup");
    build(&site);
    let text = page(&site);
    let photograph = "<picture>\
        <source type=\"image/avif\" srcset=\"/static/img/a.w60.#.avif 60w, /static/img/a.w90.#.avif 90w, /static/img/a.#.avif 120w\" sizes=\"50vw\">\
        <source type=\"image/webp\" srcset=\"/static/img/a.w60.#.webp 60w, /static/img/a.w90.#.webp 90w, /static/img/a.#.webp 120w\" sizes=\"50vw\">\
        <img src=\"/static/img/a.#.jpg\" alt=\"A\" width=\"120\" height=\"80\" \
        srcset=\"/static/img/a.w60.#.jpg 60w, /static/img/a.w90.#.jpg 90w, /static/img/a.#.jpg 120w\" sizes=\"50vw\" decoding=\"async\" /></picture>\n";
    assert!(text.contains(photograph), "{text}");
    assert!(text.contains("<source type=\"image/webp\" srcset=\"/cat%2C%20big."), "{text}");
    assert!(text.contains("<img src=\"/cat,%20big.png\" alt=\"\" width=\"100\" height=\"70\""), "{text}");
    assert!(!text.contains("cat%2C%20big.avif"), "a graphic has no AVIF unless it is asked for: {text}");
}

#[test]
fn a_page_can_name_one_variant() {
    let site = site("one-variant");
    let named = "<a href=\"{{+ /static/img/a.w60.jpg}}\">{{+ /static/img/a.webp}}</a>";
    write(site.join("content/index.html"), format!("{HEAD}<p>{named}</p></body></html>\n"));
    build(&site);
    let text = page(&site);
    assert!(text.contains("<a href=\"/static/img/a.w60.#.jpg\">/static/img/a.#.webp</a>"), "{text}");
    // One that isn't made is a mistake like every name without a file.
    write(site.join("content/index.html"), format!("{HEAD}<p>{{{{+ /static/img/a.w61.jpg}}}}</p></body></html>\n"));
    let outcome = kiln(&["build"], &site);
    assert_eq!(outcome.status, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("there is no asset `/static/img/a.w61.jpg`"), "{}", outcome.stderr);
}

#[test]
fn every_variant_is_published_and_listed_under_both_its_names() {
    let site = site("names");
    build(&site);
    let routes = routes(&site);
    let kinds = |path: &str| routes.get(path).map(|(kind, _)| *kind);
    for extension in ["jpg", "webp", "avif"] {
        for stem in ["a", "a.w60", "a.w90"] {
            assert_eq!(kinds(&format!("/static/img/{stem}.{extension}")), Some(RouteKind::File), "{stem}.{extension}");
            assert_eq!(
                kinds(&format!("/static/img/{stem}.#.{extension}")),
                Some(RouteKind::Asset),
                "{stem}.{extension}"
            );
        }
    }
    assert_eq!(kinds("/cat, big.png"), Some(RouteKind::File), "an image beside a page keeps its name");
    assert_eq!(kinds("/cat, big.#.png"), None);
    assert_eq!(kinds("/cat, big.#.webp"), Some(RouteKind::Asset));
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(site.join("dist").join(name)).unwrap()).unwrap()
    };
    let (manifest, sizes) = (read("manifest.json"), read("assets_meta.json"));
    assert_eq!(sizes["img/a.w60.webp"], serde_json::json!({ "width": 60, "height": 40 }));
    assert_eq!(sizes["img/a.jpg"], serde_json::json!({ "width": 120, "height": 80 }));
    let digested = manifest["img/a.w90.avif"].as_str().unwrap();
    let parts: Vec<_> = digested.split('.').collect();
    assert!(matches!(parts[..], ["img/a", "w90", digest, "avif"] if digest.len() == 16), "{digested}");
    assert_eq!(manifest.as_object().unwrap().len(), 9);
    assert_eq!(sizes.as_object().unwrap().len(), 9);
}

#[test]
fn a_second_build_decodes_and_encodes_nothing() {
    // Without it every build would take as long as the first.
    let site = site("warm");
    let first = build(&site);
    assert_eq!((&first["images"], &first["decoded"], &first["from_cache"]), (&2.into(), &2.into(), &0.into()));
    assert!(first["encoded"].as_u64().unwrap() >= 13, "{first}");
    let before = fs::read(site.join("dist/site.bundle")).unwrap();
    // As on a machine that was handed the cache alone.
    fs::remove_dir_all(site.join("dist")).unwrap();
    let second = build(&site);
    assert_eq!((&second["decoded"], &second["encoded"]), (&0.into(), &0.into()), "{second}");
    assert_eq!(second["dropped"], first["dropped"]);
    assert_eq!(
        second["from_cache"].as_u64().unwrap() + second["dropped"].as_u64().unwrap(),
        first["encoded"].as_u64().unwrap()
    );
    assert!(fs::read(site.join("dist/site.bundle")).unwrap() == before);
    // The same picture under another name, in another folder, is known too.
    fs::rename(site.join("static/img/a.jpg"), site.join("static/b.jpg")).unwrap();
    write(site.join("content/index.html"), format!("{HEAD}<% img src=\"/static/b.jpg\" alt=\"\" %/></body></html>"));
    assert_eq!(build(&site)["encoded"], 0);
    // Another width is made by itself.
    write(
        site.join("site.toml"),
        "base_url = \"https://example.org\"\n[images]\nwidths = [60, 90, 110]\navif_quality = 1\n",
    );
    let wider = build(&site);
    assert!((1..=3).contains(&wider["encoded"].as_u64().unwrap()) || wider["decoded"] == 1, "{wider}");
}

/// All files of the cache.
fn entries(site: &Path) -> Vec<PathBuf> {
    let mut entries = Vec::new();
    let mut waiting = vec![site.join(".kiln/cache")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { waiting.push(path) } else { entries.push(path) }
        }
    }
    entries.sort();
    entries
}

#[test]
fn damaged_results_are_made_again_and_the_cache_can_go_elsewhere() {
    let site = site("damaged");
    build(&site);
    let before = fs::read(site.join("dist/site.bundle")).unwrap();
    for (number, entry) in entries(&site).iter().enumerate() {
        let mut bytes = fs::read(entry).unwrap();
        match number % 3 {
            0 => bytes.truncate(bytes.len() / 2),
            1 => *bytes.last_mut().unwrap() ^= 1,
            _ => continue,
        }
        fs::write(entry, bytes).unwrap();
    }
    // Whether the word that nothing changed is among the damaged is chance.
    fs::remove_dir_all(site.join("dist")).unwrap();
    assert!(build(&site)["encoded"].as_u64().unwrap() > 0);
    assert!(fs::read(site.join("dist/site.bundle")).unwrap() == before);
    // A folder without paths in it: another machine may have it.
    let other = self::site("damaged-other");
    fs::create_dir_all(other.join(".kiln")).unwrap();
    fs::rename(site.join(".kiln/cache"), other.join(".kiln/cache")).unwrap();
    assert_eq!(build(&other)["encoded"], 0);
}

#[test]
fn what_a_search_finds_does_not_depend_on_what_is_kept_or_on_threads() {
    // A search begins where those of the narrower pictures ended: also when only a wide one is missing.
    let site = site("searched");
    let settings = "base_url = \"https://example.org\"\n[images]\nwidths = [60, 90, 500]\nformats = [\"webp\"]\n\
                    jpeg_quality = { target = 70 }\nwebp_quality = { target = 70 }\n";
    write(site.join("site.toml"), settings);
    assert_eq!(build(&site)["encoded"], 10);
    let first = routes(&site);
    for (number, entry) in entries(&site).into_iter().enumerate() {
        if number % 2 == 0 {
            fs::remove_file(entry).unwrap();
        }
    }
    fs::remove_dir_all(site.join("dist")).unwrap();
    let outcome = kiln(&["build", "--jobs", "1"], &site);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(routes(&site) == first);
    // Another target is another picture.
    write(site.join("site.toml"), settings.replace("70", "85"));
    build(&site);
    assert!(routes(&site) != first);
}

#[test]
fn a_build_that_is_killed_leaves_the_last_good_site_and_a_cache_that_works() {
    let site = site("killed");
    build(&site);
    let before = fs::read(site.join("dist/site.bundle")).unwrap();
    let expected = {
        let whole = self::site("killed-whole");
        write(whole.join("static/img/b.jpg"), jpeg(240, 160));
        build(&whole);
        fs::read(whole.join("dist/site.bundle")).unwrap()
    };
    write(site.join("static/img/b.jpg"), jpeg(240, 160));
    // Whenever it is killed, it is one of: nothing was done yet, something was, all was.
    for wait_ms in [0, 10, 40, 120, 300] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kiln"))
            .args(["build", "--quiet", "--site", site.to_str().unwrap()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = fs::read(site.join("dist/site.bundle")).unwrap();
        assert!(now == before || now == expected, "killed after {wait_ms} ms");
    }
    build(&site);
    assert!(fs::read(site.join("dist/site.bundle")).unwrap() == expected);
}

#[test]
fn an_image_that_can_not_be_used_is_an_error_that_names_it_and_nothing_is_written() {
    let half = jpeg(64, 48);
    let cases: [(&str, Vec<u8>, &str, &str); 6] = [
        ("static/img/a.jpg", Vec::new(), "broken-image", "it is empty"),
        ("static/img/a.jpg", half[..half.len() / 2].to_vec(), "broken-image", ""),
        ("static/img/a.jpg", png(4, 4), "image-type-mismatch", "its name says JPEG, but it is PNG"),
        ("content/b.png", b"no image".to_vec(), "broken-image", "it is no image"),
        ("static/img/a.jpg", jpeg(200, 200), "broken-image", "more than the limit, 39999"),
        ("content/b.webp", jpeg(8, 8), "image-type-mismatch", "its name says WebP, but it is JPEG"),
    ];
    for (path, bytes, code, reason) in cases {
        let site = site("broken");
        write(site.join("site.toml"), "base_url = \"https://example.org\"\n[images]\nmax_pixels = 39_999\n");
        write(site.join(path), bytes);
        let outcome = kiln(&["build"], &site);
        assert_eq!(outcome.status, 1, "{path} {reason}");
        assert!(outcome.stderr.contains(&format!("error[{code}]: `{path}` can't be used: ")), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(reason), "{reason}: {}", outcome.stderr);
        assert!(!site.join("dist").exists());
    }
}

#[test]
fn a_name_that_a_file_has_already_is_not_taken_for_a_variant() {
    // Without it one of the two would never be seen, and nobody would know which.
    let site = site("clash");
    write(site.join("static/img/a.w60.jpg"), jpeg(60, 40));
    write(site.join("static/img/a.png"), png(120, 80));
    let outcome = kiln(&["build"], &site);
    assert_eq!(outcome.status, 1);
    for path in ["/static/img/a.w60.jpg", "/static/img/a.webp"] {
        assert!(outcome.stderr.contains(&format!("`{path}`")), "{path}: {}", outcome.stderr);
    }
    assert!(outcome.stderr.contains("error[duplicate-url]"), "{}", outcome.stderr);
}

#[test]
fn what_is_excluded_or_moves_or_is_drawn_is_published_as_it_is() {
    let site = folder("as-it-is");
    write(
        site.join("site.toml"),
        "base_url = \"https://example.org\"\n[images]\nwidths = [20]\nexclude = [\"icons/**\"]\n",
    );
    let gif = b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x03\0\x02\0\0\x02\x02\x84\x51\0;";
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"2\" height=\"1\"/>";
    write(site.join("static/icons/a.png"), png(40, 40));
    write(site.join("static/b.gif"), gif);
    write(site.join("static/c.svg"), svg);
    let names = ["icons/a.png", "b.gif", "c.svg"];
    let tags = names.map(|name| format!("<% img src=\"/static/{name}\" alt=\"\" %/>\n")).concat();
    write(site.join("content/index.html"), format!("{HEAD}{tags}</body></html>"));
    let counts = build(&site);
    assert_eq!((&counts["encoded"], &counts["dropped"]), (&0.into(), &0.into()));
    let text = page(&site);
    assert!(!text.contains("<picture>") && !text.contains("srcset"), "{text}");
    // And the files that the compiler makes: two feeds, the sitemap, robots.txt.
    assert_eq!(routes(&site).len(), 11, "{:?}", routes(&site).keys());
    assert_eq!(routes(&site)["/static/b.gif"].1, gif);
}

#[test]
fn no_url_serves_what_a_camera_wrote_beside_the_picture() {
    let mut photograph = jpeg(64, 48);
    let exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0 latitude 51.4778";
    let mut segment = vec![0xFF, 0xE1];
    segment.extend_from_slice(&u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    segment.extend_from_slice(exif);
    photograph.splice(2..2, segment);
    let site = folder("metadata");
    write(site.join("site.toml"), "base_url = \"https://example.org\"\n");
    write(site.join("static/a.jpg"), &photograph);
    write(site.join("content/b.jpg"), &photograph);
    write(site.join("content/index.html"), format!("{HEAD}</body></html>"));
    build(&site);
    let bytes = fs::read(site.join("dist/site.bundle")).unwrap();
    assert!(!bytes.windows(8).any(|window| window == b"latitude"));
}

#[test]
fn an_image_that_is_wanted_first_is_named_in_the_pages_head() {
    let site = site("preload");
    let first = "<% img src=\"/static/img/a.jpg\" alt=\"\" fetchpriority=\"high\" %/>";
    write(site.join("content/index.html"), format!("{HEAD}{first}{first}</body></html>"));
    write(site.join("content/bare.html"), first);
    build(&site);
    let text = page(&site);
    let link = "<link rel=\"preload\" as=\"image\" imagesrcset=\"/static/img/a.w60.#.avif 60w, /static/img/a.w90.#.avif 90w, \
        /static/img/a.#.avif 120w\" imagesizes=\"100vw\" type=\"image/avif\"></head>";
    assert!(text.contains(link), "{text}");
    assert_eq!(text.matches("rel=\"preload\"").count(), 1);
    assert!(!String::from_utf8_lossy(&routes(&site)["/bare"].1).contains("preload"), "a page without a head gets none");
}

#[test]
fn the_cache_can_be_bounded() {
    let site = site("prune");
    build(&site);
    let count = entries(&site).len();
    let nothing = kiln(&["cache", "prune"], &site);
    assert_eq!((nothing.status, nothing.stdout.starts_with("0 of ")), (0, true), "{}", nothing.stdout);
    assert_eq!(entries(&site).len(), count);
    let all = kiln(&["cache", "prune", "--max-bytes", "0"], &site);
    assert!(all.stdout.starts_with(&format!("{count} of {count} results removed")), "{}", all.stdout);
    assert!(entries(&site).is_empty());
    assert!(build(&site)["encoded"].as_u64().unwrap() > 0);
    assert_eq!(kiln(&["cache", "prune", "--max-bytes", "much"], &site).status, 2);
    assert_eq!(kiln(&["cache", "prune"], &site.join("nowhere")).status, 2);
}

#[test]
fn a_person_is_told_what_became_of_the_images() {
    let site = site("told");
    let first = kiln(&["build"], &site);
    assert!(
        first.stderr.contains("\nimages: ") && first.stderr.contains(" made, 0 from the cache, "),
        "{}",
        first.stderr
    );
    let second = kiln(&["build"], &site);
    assert!(second.stderr.starts_with("nothing changed: ") && !second.stderr.contains("images"), "{}", second.stderr);
    fs::remove_dir_all(site.join("dist")).unwrap();
    let third = kiln(&["build"], &site);
    assert!(third.stderr.contains("\nimages: 0 made, "), "{}", third.stderr);
    assert_eq!(kiln(&["build", "--quiet"], &site).stderr, "");
}
