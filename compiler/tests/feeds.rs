//! What is made for machines, at its bounds.

use compiler::config::Config;
use compiler::feeds::{MadeFile, make_files};
use compiler::site::{Selection, Site};
use compiler::source::SourceFile;

/// The sitemaps of a site of so many pages.
fn sitemaps(page_count: usize) -> Vec<MadeFile> {
    let page = |number: usize| {
        let name = format!("page-{number}.html");
        SourceFile { path: format!("content/{name}").into(), name: name.into(), bytes: b"x".to_vec().into() }
    };
    let files: Vec<_> = (0..page_count).map(page).collect();
    let selection = Selection { drafts: false, future: false, today: jiff::civil::date(2026, 1, 1) };
    let config = Config { base_url: "https://example.com".to_owned(), ..Config::default() };
    let (site, mistakes) = Site::read(&files, &config, selection);
    assert_eq!(mistakes, []);
    let mut made = make_files(&site.index, &[], &config);
    made.retain(|file| file.path.starts_with("/sitemap"));
    made
}

#[test]
fn a_sitemap_of_more_than_50_000_urls_is_split() {
    // Search engines refuse a longer one as a whole.
    let text = |file: &MadeFile| String::from_utf8(file.body.read().unwrap().to_vec()).unwrap();
    let whole = sitemaps(50_000);
    assert_eq!(whole.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["/sitemap.xml"]);
    assert_eq!(text(&whole[0]).matches("<url><loc>").count(), 50_000);
    let split = sitemaps(50_001);
    let paths: Vec<_> = split.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["/sitemap-1.xml", "/sitemap-2.xml", "/sitemap.xml"]);
    let counts: Vec<_> = split.iter().map(|file| text(file).matches("<url><loc>").count()).collect();
    assert_eq!(counts, [50_000, 1, 0]);
    assert!(text(&split[2]).contains("<sitemap><loc>https://example.com/sitemap-2.xml</loc></sitemap>"));
}

#[test]
fn what_xml_can_not_hold_is_in_no_feed() {
    // One such character, and readers refuse the whole feed (XML 1.0 section 2.2).
    let text =
        "---\ntitle: \"a\\uffff\\ufffe\\u0001\\u0085 &amp; b\"\ndate: 2026-01-01\nsummary: \"s\\u000b\"\n---\nText\n";
    let file = SourceFile { path: "content/a.md".into(), name: "a.md".into(), bytes: text.as_bytes().to_vec().into() };
    let selection = Selection { drafts: false, future: false, today: jiff::civil::date(2026, 2, 1) };
    let texts = ["title", "author", "description"].map(|name| format!("{name}\u{1}\u{fffe}\u{ffff} &amp; <b>"));
    let [title, author, description] = texts;
    let base_url = "https://example.com".to_owned();
    let config = Config { base_url, title, author, description, ..Config::default() };
    let (site, _) = Site::read(&[file], &config, selection);
    let made = make_files(&site.index, &[], &config);
    let feed = made.iter().find(|file| file.path == "/feed.xml").unwrap();
    let feed = String::from_utf8(feed.body.read().unwrap().to_vec()).unwrap();
    assert!(!feed.contains(|c: char| matches!(c, '\u{fffe}' | '\u{ffff}') || (c.is_control() && c != '\n')), "{feed}");
    for part in
        ["<title>title &amp; &lt;b&gt;</title>", "<name>author &amp; &lt;b&gt;</name>", "<title>a &amp; b</title>"]
    {
        assert!(feed.contains(part), "{part} in {feed}");
    }
}
