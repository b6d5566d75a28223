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
fn a_text_that_xml_can_not_hold_does_not_break_a_feed() {
    // One such character, and no reader takes the feed any more.
    let awkward = "A &amp; <B>\u{1} \u{fffe}\u{ffff}שלום 🎉]]>";
    let written = r#""A &amp; <B>\u0001 \uFFFE\uFFFFשלום 🎉]]>""#;
    let text = format!("---\ntitle: {written}\ndate: 2026-01-02\nsummary: {written}\n---\nx\n");
    let name = "post.md";
    let file = SourceFile { path: "content/post.md".into(), name: name.into(), bytes: text.into_bytes().into() };
    let selection = Selection { drafts: false, future: false, today: jiff::civil::date(2026, 2, 1) };
    let awkward = || awkward.to_owned();
    let [title, author, description] = [awkward(), awkward(), awkward()];
    let config = Config { base_url: "https://example.com".to_owned(), title, author, description, ..Config::default() };
    let (site, mistakes) = Site::read(&[file], &config, selection);
    assert_eq!(mistakes, []);
    for made in make_files(&site.index, &[], &config) {
        let bytes = made.body.read().unwrap();
        let text = str::from_utf8(&bytes).unwrap();
        assert!(!text.contains(['\u{1}', '\u{fffe}', '\u{ffff}']), "{text}");
        let (shown, count) = match made.path.as_str() {
            "/feed.xml" => ("A &amp; &lt;B&gt; שלום 🎉]]&gt;<", 5),
            "/feed.json" => ("\"A & <B> שלום 🎉]]>\"", 5),
            _ => continue,
        };
        assert_eq!(text.matches(shown).count(), count, "{text}");
    }
}
