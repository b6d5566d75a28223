//! The development server: whatever is edited, every page is as a clean build makes it, and browsers are told.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod editors;
mod files;
mod served;
mod server;
mod settings;
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use compiler::assets::{Annex, AssetNames, ImageWork, Workshop};
use compiler::bytes::Bytes;
use compiler::cache::Cache;
use compiler::config::{self, Config};
use compiler::dev::{Desk, DevOptions, Edition};
use compiler::diagnostic::SourceText;
use compiler::output::Keeping;
use compiler::pipeline::{self, BuildOptions};
use compiler::site::Selection;
use compiler::source::{KnownFiles, Renewal, Sources};
use compiler::watch::Touched;
use proptest::prelude::*;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kiln");

/// A small site in a folder of its own.
fn new_site(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dev").join(name);
    drop(fs::remove_dir_all(&root));
    for (path, text) in SITE {
        write(&root, path, text);
    }
    root
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const SITE: [(&str, &str); 10] = [
    ("site.toml", "title = \"One\"\nbase_url = \"https://example.com\"\n"),
    (
        "content/index.html",
        "---\nlayout: base.html\ntitle: Home\n---\n<% each posts as=\"item.html\" %/>\n<a href=\"/about\">a</a>",
    ),
    (
        "content/about.md",
        "---\ntitle: About\n---\n# About\n\n![dot](dot.svg)\n\n<% generated_livereload_script.html %/>\n",
    ),
    ("content/dot.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"2\"/>"),
    ("content/a.md", "---\ntitle: A\ndate: 2026-01-01\nsummary: First\ntags: [x, y]\n---\nText of a.\n"),
    (
        "content/b.md",
        "---\ntitle: B\ndate: 2026-01-02\nsummary: Second\ntags: [y]\ndraft: true\n---\nText of [a](a.md).\n",
    ),
    (
        "templates/base.html",
        "<!doctype html><html lang=\"en\"><head><title>{{title ?? T}}</title><link rel=\"stylesheet\" href=\"{{+ /static/a.css}}\"></head><body>{{body}}</body></html>",
    ),
    ("templates/item.html", "<p><a href=\"{{url}}\">{{title}}</a> {{reading_time}}</p>"),
    ("templates/tags/term.html", "<h1>{{title}}</h1><% each term as=\"item.html\" %/>"),
    ("static/a.css", "p { color: red }"),
];

fn options(root: &Path) -> DevOptions {
    DevOptions {
        site: root.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        watch: None,
        interval: Duration::ZERO,
        allowed_hosts: Vec::new(),
        shows_unfinished: true,
        base_url: None,
        today: jiff::civil::date(2026, 6, 1),
        time: None,
        read_memory_bytes_max: || u64::MAX,
        program: PROGRAM.into(),
    }
}

/// A body as text, so that a difference can be read.
fn as_text(body: &Bytes) -> String {
    String::from_utf8_lossy(&body.read().unwrap()).into_owned()
}

/// Every page and file of an edition; `None` for a page with mistakes.
fn contents(edition: &Edition) -> BTreeMap<String, Option<String>> {
    let pages = edition.page_paths().map(|path| (path.to_owned(), edition.page_text(path).ok()));
    let files = edition.file_bodies().map(|(path, body)| (path.to_owned(), Some(as_text(body))));
    files.chain(pages).collect()
}

/// What `kiln build --plain-names --no-compress --drafts --future` makes; `None` if the site has mistakes.
fn clean_build(root: &Path) -> Option<BTreeMap<String, Option<String>>> {
    let text = fs::read_to_string(root.join("site.toml")).unwrap_or_default();
    let (config, mistakes) = Config::parse(&SourceText { path: config::FILE_NAME.into(), text: text.into() });
    let (sources, _) = Sources::read(root, &config.paths).unwrap();
    let options = BuildOptions {
        asset_names: AssetNames::Plain,
        keeping: Keeping::ByKind,
        image_work: ImageWork::Remember,
        compress: false,
        selection: Selection { drafts: true, future: true, today: jiff::civil::date(2026, 6, 1) },
        lists_urls: false,
        time: None,
        live_reload: "",
    };
    let cache = Cache::none();
    let output =
        pipeline::build(&sources, &config, &options, &Workshop::new(&cache, &Annex::new(Path::new(PROGRAM))), None)
            .output
            .filter(|_| mistakes.is_empty())?;
    let made = output.published.iter().filter(|one| one.location.is_empty() && one.status != 410);
    Some(made.map(|one| (one.path.clone(), Some(as_text(&one.body)))).collect())
}

/// What somebody does to a site.
#[derive(Clone, Debug)]
enum Edit {
    Write(&'static str, &'static str),
    Append(&'static str, &'static str),
    Delete(&'static str),
    Rename(&'static str, &'static str),
}

impl Edit {
    /// Does it, and names the files that it touched.
    fn apply(&self, root: &Path) -> BTreeSet<String> {
        let touched: &[&str] = match self {
            Self::Write(path, text) => {
                write(root, path, text);
                &[path]
            }
            Self::Append(path, text) => {
                let old = fs::read_to_string(root.join(path)).unwrap_or_default();
                write(root, path, &(old + text));
                &[path]
            }
            Self::Delete(path) => {
                drop(fs::remove_file(root.join(path)));
                &[path]
            }
            Self::Rename(from, to) => {
                let folder = root.join(to);
                fs::create_dir_all(folder.parent().unwrap()).unwrap();
                drop(fs::rename(root.join(from), root.join(to)));
                &[from, to]
            }
        };
        touched.iter().map(|path| (*path).to_owned()).collect()
    }
}

fn edits() -> impl Strategy<Value = (Edit, bool)> {
    let edit = prop_oneof![
        (0..SITE.len()).prop_map(|index| Edit::Write(SITE[index].0, SITE[index].1)),
        prop::sample::select(vec![
            Edit::Append("content/a.md", "More.\n"),
            Edit::Append("content/a.md", "<% item.html %/>\n"),
            Edit::Append("content/a.md", "<% unclosed %>\n"),
            Edit::Append("content/index.html", "<p>x</p>"),
            Edit::Append("templates/item.html", "!"),
            Edit::Append("templates/item.html", "{{missing}}"),
            Edit::Append("templates/item.html", "<% nowhere.html %/>"),
            Edit::Append("templates/base.html", "<!-- end -->"),
            Edit::Append("static/a.css", "a { color: blue }"),
            Edit::Append("site.toml", "language = \"de\"\n"),
            Edit::Append("site.toml", "nonsense"),
            Edit::Write("site.toml", "title = \"Two\"\n[build]\ntrailing_slash = true\n"),
            Edit::Write("content/a.md", "---\ntitle: New\ndate: 2025-01-01\nsummary: S\ntags: [z]\n---\nx\n"),
            Edit::Write("content/c/d.md", "---\ntitle: D\ndate: 2026-03-01\nsummary: S\n---\n[up](../about.md)\n"),
            Edit::Write("content/c/index.md", "---\ntitle: C\n---\n<% each children as=\"item.html\" %/>\n"),
            Edit::Write("content/about.md", "---\npath: no\n---\n"),
            Edit::Write("content/e.md", "---\npath: /about\n---\n"),
            Edit::Write("content/dot.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"7\" height=\"2\"/>"),
            Edit::Write("templates/tags/list.html", "<% each terms as=\"term.html\" %/>"),
            Edit::Write("templates/term.html", "<b>{{title}} {{count}}</b>"),
            Edit::Write("static/b.js", "1"),
            Edit::Rename("content/a.md", "content/z.md"),
            Edit::Rename("content/z.md", "content/a.md"),
            Edit::Rename("content/c/d.md", "content/d.md"),
            Edit::Rename("templates/item.html", "templates/items.html"),
            Edit::Rename("static/a.css", "static/c.css"),
            Edit::Delete("content/b.md"),
            Edit::Delete("content/dot.svg"),
            Edit::Delete("templates/tags/list.html"),
            Edit::Delete("templates/base.html"),
            Edit::Delete("site.toml"),
        ]),
    ];
    (edit, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_edits_every_page_is_as_a_clean_build_makes_it(edits in prop::collection::vec(edits(), 1..14)) {
        let root = new_site("random");
        let mut desk = Desk::new(options(&root));
        let mut edition = desk.open().unwrap();
        for (edit, is_told) in edits {
            let files = edit.apply(&root);
            let touched = if is_told { Touched::Files(files) } else { Touched::Anything };
            edition = desk.renew(&touched).unwrap().unwrap_or(edition);
            if let Some(expected) = clean_build(&root) {
                prop_assert_eq!(contents(&edition), expected, "after {:?}", edit);
            }
        }
    }
}

#[test]
fn what_changed_together_with_a_file_that_can_not_be_read_is_not_passed_over() {
    let root = new_site("unreadable");
    let mut desk = Desk::new(options(&root));
    desk.open().unwrap();
    write(&root, "content/a.md", "Changed.\n");
    fs::remove_file(root.join("content/b.md")).unwrap();
    // A link that leads nowhere can't be read, whoever asks.
    std::os::unix::fs::symlink("nowhere", root.join("content/b.md")).unwrap();
    let files = ["content/a.md", "content/b.md"].map(str::to_owned);
    assert!(desk.renew(&Touched::Files(files.into())).is_err());
    fs::remove_file(root.join("content/b.md")).unwrap();
    let edition = desk.renew(&Touched::Files(["content/b.md".to_owned()].into())).unwrap().unwrap();
    assert!(edition.page_text("/a").unwrap().contains("Changed."));
}

#[test]
fn what_was_published_before_is_read_again_when_it_changes() {
    // Whoever accepted a URL would see it reported as lost until something else was edited.
    let root = new_site("past");
    let mut desk = Desk::new(options(&root));
    desk.open().unwrap();
    write(&root, "urls.lock", "/gone content/gone.md\n");
    let touched = Touched::Files(["urls.lock".to_owned()].into());
    assert!(desk.renew(&touched).unwrap().is_some());
    assert!(desk.renew(&touched).unwrap().is_none());
}

#[test]
fn lists_of_sources_that_no_edit_touched_stay_the_same_ones() {
    // What was made of ten thousand pages would be looked for anew at each edit of a style sheet.
    let root = new_site("lists");
    let (paths, mut known) = (Config::default().paths, KnownFiles::default());
    let (mut sources, _) = Sources::read_changed(&root, &paths, &mut known).unwrap();
    let before = sources.clone();
    write(&root, "static/a.css", "p { color: blue }");
    let touched = ["static/a.css", "content/a.md", "content/.a.md.swp"].into_iter();
    assert_eq!(sources.renew(&root, &paths, touched, &mut known).unwrap(), Renewal::Done);
    assert!(Arc::ptr_eq(&sources.content, &before.content) && Arc::ptr_eq(&sources.templates, &before.templates));
    assert_ne!(sources.static_files, before.static_files);
    let (mut again, _) = Sources::read_changed(&root, &paths, &mut known).unwrap();
    again.keep_lists(&sources);
    assert!(again.lists().into_iter().zip(sources.lists()).all(|(one, other)| std::ptr::eq(one, other)));
}
