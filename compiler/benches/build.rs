//! What a whole build costs, without the disk: a synthetic blog of Markdown posts with a layout, lists, tags and feeds.
#![expect(clippy::unwrap_used, reason = "a bench may stop where it stands")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;

use compiler::assets::{Annex, AssetNames, ImageWork, Workshop};
use compiler::cache::Cache;
use compiler::config::Config;
use compiler::output::Keeping;
use compiler::pipeline::{self, BuildOptions, Built};
use compiler::site::Selection;
use compiler::source::{SourceFile, Sources};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kiln");
const LAYOUT: &str = "<!doctype html><html lang=en><head><title>{{title}}</title>\
    <link rel=stylesheet href=\"{{+ /static/style.css}}\"></head><body><% nav.html %/><main>{{body}}</main></body></html>";
const NAV: &str = "<nav><a href=\"/\">Home</a> <a href=\"/tags\">Tags</a></nav>";
const ITEM: &str = "<li><a href=\"{{url}}\">{{title}}</a> {{date ??}}</li>";
const TERM: &str = "<% base.html %><slot:body><h1>{{title}}</h1><ul><% each term as=\"item.html\" %/></ul></slot:body><%/ base.html %>";
const TERMS: &str = "<% base.html %><slot:body><ul><% each terms as=\"item.html\" %/></ul></slot:body><%/ base.html %>";
const HOME: &str = "---\ntitle: Home\n---\n<% base.html %><slot:body><ul><% each posts as=\"item.html\" limit=\"20\" %/></ul></slot:body><%/ base.html %>";

fn file(folder: &str, name: &str, text: &str) -> SourceFile {
    SourceFile { path: format!("{folder}/{name}").into(), name: name.into(), bytes: text.as_bytes().into() }
}

/// A post of about 4 KB.
fn post(number: usize, count: usize) -> String {
    let tags = [number % 20, number % 7 + 20, number % 3 + 27];
    let day = number % 28 + 1;
    let mut text = format!(
        "---\ntitle: Post number {number}\ndate: 2025-03-{day:02}\nsummary: What number {number} says\n\
         tags: [tag{}, tag{}, tag{}]\n---\n",
        tags[0], tags[1], tags[2]
    );
    for part in 0..4 {
        let other = (number * 31 + part * 7) % count;
        write!(
            text,
            "\n## Part {part} of {number}\n\nSome **strong** and *soft* words with `code`, and [another post](/p{other}). {}\n\n\
             - one item\n- two items\n\n| name | value |\n| --- | ---: |\n| a | {number} |\n\n```rust\nfn main() {{ println!(\"{number}\"); }}\n```\n",
            "The kiln is closed and the fire is fed until the clay has changed for good. ".repeat(6)
        )
        .unwrap();
    }
    text
}

fn site(post_count: usize) -> Sources {
    let mut content: Vec<_> =
        (0..post_count).map(|number| file("content", &format!("p{number}.md"), &post(number, post_count))).collect();
    content.push(file("content", "index.html", HOME));
    content.sort_by(|a, b| a.path.cmp(&b.path));
    let partials = [
        ("base.html", LAYOUT),
        ("item.html", ITEM),
        ("nav.html", NAV),
        ("tags/list.html", TERMS),
        ("tags/term.html", TERM),
    ];
    Sources {
        content: content.into(),
        templates: partials.map(|(name, text)| file("templates", name, text)).to_vec().into(),
        static_files: vec![file("static", "style.css", "body { margin: auto }")].into(),
        ..Sources::default()
    }
}

fn build(sources: &Sources, compress: bool) -> Built {
    let config = Config { base_url: "https://example.com".to_owned(), ..Config::default() };
    let today = jiff::civil::date(2026, 1, 1);
    let options = BuildOptions {
        asset_names: AssetNames::Digested,
        keeping: Keeping::ByKind,
        image_work: ImageWork::Make,
        compress,
        selection: Selection { drafts: false, future: false, today },
        lists_urls: false,
        time: None,
        live_reload: "",
    };
    let cache = Cache::none();
    let built = pipeline::build(sources, &config, &options, &Workshop::new(&cache, &Annex::new(Path::new(PROGRAM))));
    assert!(built.output.is_some(), "{:?}", built.diagnostics.first());
    built
}

fn pages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render");
    group.sample_size(10);
    for post_count in [100, 1_000, 4_000] {
        let sources = site(post_count);
        group.throughput(Throughput::Elements(post_count as u64));
        group.bench_function(format!("{post_count} posts"), |bencher| {
            bencher.iter(|| build(black_box(&sources), false));
        });
    }
}

fn pack(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pack");
    group.sample_size(10);
    let sources = site(1_000);
    for (name, compress) in [("as they are", false), ("with gzip and Brotli", true)] {
        group.bench_function(format!("1000 posts {name}"), |bencher| {
            let output = || build(&sources, compress).output.unwrap();
            bencher.iter_batched(
                output,
                |output| output.pack(None, &Cache::none()).unwrap().len(),
                BatchSize::LargeInput,
            );
        });
    }
}

criterion_group!(benches, pages, pack);
criterion_main!(benches);
