//! A build after another one takes from it what is still the same. Whatever was edited in between, and whatever became of
//! what the other one left, it makes the bytes that a first build makes, and says the same.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use compiler::assets::{Annex, AssetNames, ImageWork, Workshop};
use compiler::bytes::OpenFile;
use compiler::cache::{CACHE_FOLDER, Cache};
use compiler::config::Config;
use compiler::diagnostic::SourceText;
use compiler::output::{Bases, Keeping, Previous, write_dist};
use compiler::pipeline::{self, BuildOptions};
use compiler::site::Selection;
use compiler::source::Sources;

use super::{folder, kiln, write};

/// What a build prints about mistakes, and the bundle if there is one.
type Made = (i32, String, Option<Vec<u8>>);

fn build(site: &Path) -> Made {
    let outcome = kiln(&["build", "--quiet", "--site", site.to_str().unwrap()]);
    (outcome.status, outcome.stderr, fs::read(site.join("dist/site.bundle")).ok())
}

/// What a first build of the same sources makes.
fn build_elsewhere(site: &Path, name: &str) -> Made {
    let other = folder(name);
    for part in ["content", "templates", "static", "data", "site.toml"] {
        copy(&site.join(part), &other.join(part));
    }
    build(&other)
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// A site in which pages depend on each other in every way that there is.
fn site(name: &str) -> PathBuf {
    let site = folder(name);
    let settings = "base_url = \"https://example.com\"\n[search]\npath = \"/search.json\"\n[taxonomies]\n\
        tags = { path = \"/tags\" }\n";
    write(site.join("site.toml"), settings);
    let base = "<!doctype html><html lang=en><head><title>{{title}}</title><% generated_head.html %/>\
        <link rel=stylesheet href=\"{{+ /static/a.css}}\"></head><body>{{body}}<% footer.html %/>\
        <ul><% each posts as=\"latest.html\" limit=\"2\" %/><% each pages as=\"latest.html\" sort=\"title desc\" limit=\"1\" %/>\
        <% each page.tags as=\"latest.html\" %/><% each data/links as=\"link.html\" %/></ul></body></html>";
    write(site.join("templates/base.html"), base);
    write(site.join("templates/footer.html"), "<footer>made by hand</footer>");
    let post = "<% base.html %><slot:body><h1>{{title}}</h1>{{body}}<p>{{previous_post_title ??}} {{next_post_title ??}}\
        {{reading_time}}</slot:body><%/ base.html %>";
    write(site.join("templates/post.html"), post);
    write(site.join("templates/item.html"), "<li><a href=\"{{url}}\">{{title}}</a> {{word_count}}</li>");
    write(site.join("templates/tags/term.html"), "<h1>{{title}}</h1><% each term as=\"item.html\" %/>");
    write(site.join("templates/latest.html"), "<li>{{title}} {{previous_post_title ??}} {{count ??}} {{current}}</li>");
    write(site.join("templates/link.html"), "<li>{{value}}</li>");
    write(site.join("data/links.json"), "[\"one\", \"two\"]");
    write(site.join("static/a.css"), "body{top:0}");
    write(site.join("content/index.md"), "---\ntitle: Home\n---\n<ul>\n<% each posts as=\"item.html\" %/>\n</ul>\n");
    write(site.join("content/about.md"), "---\ntitle: About\n---\n# About\n\nSee [the third](blog/p3.md#the-end).\n");
    for number in 0..5 {
        let text = format!(
            "---\ntitle: Post {number}\ndate: 2026-01-0{}\nsummary: s\ntags: [t{}]\nlayout: post.html\n---\n\
             Words of post {number}.\n\n```rust\nfn f{number}() {{}}\n```\n\n## The end\n\n[Next](p{}.md)\n",
            number + 1,
            number % 2,
            (number + 1) % 5,
        );
        write(site.join(format!("content/blog/p{number}.md")), text);
    }
    site
}

fn replace(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{} has no `{from}`", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn whatever_is_edited_a_build_makes_what_a_first_build_makes() {
    // A page that stays as it was though it should not is the worst that a cache can do.
    type Edit = (&'static str, fn(&Path));
    let edits: [Edit; 20] = [
        ("nothing", |_| {}),
        ("a text", |site| replace(site.join("content/blog/p2.md"), "Words of", "Other words of")),
        ("a title, which stands in the pages beside it", |site| {
            replace(site.join("content/blog/p2.md"), "Post 2", "The second");
        }),
        ("a title that every page lists", |site| replace(site.join("content/blog/p4.md"), "Post 4", "The fifth")),
        ("a tag", |site| replace(site.join("content/blog/p3.md"), "t1", "t0")),
        ("data", |site| write(site.join("data/links.json"), "[\"three\"]")),
        ("an order, and with it what is beside what", |site| {
            replace(site.join("content/blog/p1.md"), "2026-01-02", "2026-02-02");
        }),
        ("a part of a page that another one names", |site| {
            replace(site.join("content/blog/p3.md"), "The end", "A new end");
        }),
        ("the name of that part", |site| replace(site.join("content/about.md"), "#the-end", "#a-new-end")),
        ("a path that others name", |site| {
            replace(site.join("content/blog/p4.md"), "summary", "path: /four\nsummary");
        }),
        ("a page that goes", |site| fs::remove_file(site.join("content/blog/p0.md")).unwrap()),
        ("the page that named it", |site| replace(site.join("content/blog/p4.md"), "p0.md", "p1.md")),
        ("a page that comes", |site| write(site.join("content/new.md"), "---\ntitle: New\n---\n`new`\n")),
        ("a partial in a partial", |site| write(site.join("templates/footer.html"), "<footer>made again</footer>")),
        ("a partial with a mistake in it", |site| {
            write(site.join("templates/footer.html"), "<footer><img src=\"/static/b.txt\"></footer>");
        }),
        ("the file that it wants", |site| {
            write(site.join("static/b.txt"), "text");
            write(site.join("templates/footer.html"), "<footer><a href=\"/static/b.txt\">b</a></footer>");
        }),
        ("a style sheet", |site| write(site.join("static/a.css"), "body{top:1px}")),
        ("a setting", |site| replace(site.join("site.toml"), "example.com", "other.example")),
        ("defaults", |site| write(site.join("content/_defaults.toml"), "description = \"of all\"\n")),
        ("a draft that others name", |site| {
            replace(site.join("content/blog/p3.md"), "summary", "draft: true\nsummary");
        }),
    ];
    let site = site("again");
    assert_eq!(build(&site).0, 0);
    let mut failed = Vec::new();
    for (what, edit) in edits {
        edit(&site);
        let (again, first) = (build(&site), build_elsewhere(&site, "again-elsewhere"));
        assert_eq!(again.1, first.1, "after {what}");
        assert!(again.0 == first.0 && (again.0 != 0 || again.2 == first.2), "after {what} the bytes differ");
        failed.extend((again.0 != 0).then_some(what));
    }
    let wrong = [
        "a part of a page that another one names",
        "a page that goes",
        "a partial with a mistake in it",
        "a draft that others name",
    ];
    assert_eq!(failed, wrong);
}

#[test]
fn whatever_becomes_of_what_a_build_left_the_next_one_makes_the_same() {
    let site = site("again-damaged");
    let first = build(&site);
    let bundle = site.join("dist/site.bundle");
    let whole_bundle = first.2.clone().unwrap();
    let again = |what: &str| {
        // What was kept of whole builds would make this one in no time.
        for entry in fs::read_dir(site.join(".kiln/cache")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            }
        }
        assert!(build(&site) == first, "{what}");
    };
    again("as it is");
    for name in ["pages.pack", "routes.pack"] {
        let pack = site.join(".kiln/cache").join(name);
        let whole_pack = fs::read(&pack).unwrap();
        for index in (0..whole_pack.len()).step_by(whole_pack.len() / 5) {
            fs::write(&pack, &whole_pack[..index]).unwrap();
            again(&format!("{name} cut at {index}"));
            let mut changed = whole_pack.clone();
            changed[index] ^= 1;
            fs::write(&pack, changed).unwrap();
            again(&format!("{name} changed at {index}"));
        }
    }
    let words = whole_bundle.windows(5).position(|window| window == b"Words").unwrap();
    // Its header, a page, a head, and what is compressed of a page.
    let head = whole_bundle.windows(5).position(|window| window == b"ETag:").unwrap();
    let coded = whole_bundle.windows(4).rposition(|window| window == [0x1f, 0x8b, 8, 0]).unwrap() + 20;
    for index in [20, words, head + 8, coded, whole_bundle.len() - 1] {
        let mut changed = whole_bundle.clone();
        changed[index] ^= 1;
        fs::write(&bundle, changed).unwrap();
        again(&format!("bundle changed at {index}"));
    }
    fs::write(&bundle, &whole_bundle[..words]).unwrap();
    again("bundle cut");
    fs::remove_file(&bundle).unwrap();
    again("no bundle");
    // Another site's bundle has other texts at the same paths.
    let other = self::site("again-other");
    replace(other.join("templates/footer.html"), "hand", "others");
    fs::write(&bundle, build(&other).2.unwrap()).unwrap();
    again("another bundle");
}

/// How many results a build had to make, as far as any are remembered.
fn count_made(site: &Path) -> u64 {
    let options = BuildOptions {
        asset_names: AssetNames::Digested,
        keeping: Keeping::ByKind,
        image_work: ImageWork::Make,
        compress: false,
        selection: Selection { drafts: false, future: false, today: jiff::civil::date(2026, 6, 1) },
        lists_urls: false,
        time: None,
        live_reload: "",
    };
    let text = fs::read_to_string(site.join("site.toml")).unwrap();
    let (config, _) = Config::parse(&SourceText { path: "site.toml".into(), text: text.into() });
    let (sources, _) = Sources::read(site, &config.paths).unwrap();
    let cache = Cache::new(site.join(CACHE_FOLDER)).of_program(Some("a test".to_owned()));
    let path = site.join("dist/site.bundle");
    let last = File::open(&path).ok().map(|mut file| {
        let view = bundle::open_front(&mut file).unwrap().unwrap();
        Previous { file: OpenFile::new(file, &path), view }
    });
    let annex = Annex::new(Path::new(env!("CARGO_BIN_EXE_kiln")));
    let workshop = Workshop::new(&cache, &annex);
    let output = pipeline::build(&sources, &config, &options, &workshop, last.as_ref()).output.unwrap();
    let packed = output.pack_checked(Bases { last: last.as_ref(), ..Bases::default() }, &cache).unwrap();
    write_dist(&site.join("dist"), &[], &packed).unwrap();
    cache.finish();
    cache.counts().misses
}

#[test]
fn only_what_an_edit_concerns_is_made_again() {
    // With 10,000 pages, an edit of one took as long as parsing and rendering all.
    let site = site("again-counted");
    count_made(&site);
    // The home page shows how many words other pages have, which they know themselves alone.
    assert_eq!(count_made(&site), 1);
    // A body, its words for the search, its page; and what is sent of it, of the home page and of its tag's.
    replace(site.join("content/blog/p1.md"), "Words of", "Other words of");
    assert_eq!(count_made(&site), 1 + 6);
    // Every page lists the latest post, and shows nothing of its text.
    replace(site.join("content/blog/p4.md"), "Words of", "Other words of");
    assert_eq!(count_made(&site), 1 + 6);
    replace(site.join("content/blog/p4.md"), "Post 4", "Post four");
    // And the page beside it. All others are remembered too, but with another list; all are sent with it but
    // the other tag's page.
    assert_eq!(count_made(&site), 1 + 4 + 8);
}
