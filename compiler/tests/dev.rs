//! The development server: whatever is edited, every page is as a clean build makes it, and browsers are told.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use compiler::assets::{AssetNames, ImageWork, Workshop};
use compiler::cache::Cache;
use compiler::config::{self, Config};
use compiler::dev::{Desk, DevOptions, Edition};
use compiler::diagnostic::SourceText;
use compiler::output::Keeping;
use compiler::pipeline::{self, BuildOptions};
use compiler::site::Selection;
use compiler::source::Sources;
use compiler::watch::Touched;
use proptest::prelude::*;

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
    }
}

/// A body as text, so that a difference can be read.
fn as_text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
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
        time: None,
        live_reload: "",
    };
    let cache = Cache::none();
    let output =
        pipeline::build(&sources, &config, &options, &Workshop::new(&cache)).output.filter(|_| mistakes.is_empty())?;
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

/// A server that is ended with the test.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(root: &Path, flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_kiln"))
            .args(["dev", "--listen", "127.0.0.1:0"])
            .args(flags)
            // As people start it: in the site's folder, whose name is `.` then.
            .current_dir(root)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once("http://")?.1.split('/').next()?.to_owned())
        });
        // Nobody else reads what it says, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address: address.unwrap() }
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn get_with(&self, path: &str, fields: &str) -> String {
        let mut answer = String::new();
        let request = format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
        self.send(&request).read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.get_with(path, "Host: localhost\r\n")
    }

    /// The stream of events for a page, once it has begun.
    fn events(&self, page: &str) -> Events {
        let request = format!("GET /live-reload?page={page} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut events = Events(BufReader::new(self.send(&request)));
        while !events.line().starts_with(": kiln") {}
        // A browser is known once the thread that follows the sources has taken it in; a look goes the same way.
        self.send("POST /admin/cache/refresh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .read_to_string(&mut String::new())
            .unwrap();
        events
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

struct Events(BufReader<TcpStream>);

impl Events {
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
        line
    }

    /// The next event.
    fn next(&mut self) -> serde_json::Value {
        loop {
            if let Some(event) = self.line().strip_prefix("data: ") {
                return serde_json::from_str(event).unwrap();
            }
        }
    }
}

#[test]
fn an_open_page_is_told_of_what_concerns_it_and_of_nothing_else() {
    let root = new_site("told");
    let server = Server::start(&root, &["--watch"]);
    let about = server.get("/about");
    assert!(about.contains("<h1") && about.contains("new EventSource"), "{about}");
    assert!(about.contains("no-store"), "{about}");
    let mut events = server.events("/about");
    // Another page, then the style sheet: the first is none of its business.
    write(&root, "content/a.md", "---\ntitle: A\n---\nother\n");
    write(&root, "static/a.css", "p { color: blue }");
    assert_eq!(events.next()["type"], "css");
    write(&root, "content/about.md", "# Changed\n");
    assert_eq!(events.next()["type"], "full");
    assert!(server.get("/about").contains("Changed"));
    write(&root, "content/about.md", "# Broken <% nowhere.html %/>\n");
    let event = events.next();
    assert_eq!(event["type"], "error");
    assert_eq!(event["diagnostics"][0]["file"], "content/about.md");
    assert_eq!(event["hasPage"], true);
    let kept = server.get("/about");
    assert!(kept.starts_with("HTTP/1.1 200") && kept.contains("Changed"), "{kept}");
    write(&root, "content/about.md", "# Mended\n");
    assert_eq!(events.next()["type"], "full");
    assert!(server.get("/about").contains("Mended"));
    fs::remove_dir_all(root.join("content/")).unwrap();
    assert_eq!(events.next()["type"], "full");
    assert!(server.get("/about").starts_with("HTTP/1.1 404"));
    write(&root, "content/about.md", "# Again\n");
    assert_eq!(events.next()["type"], "full");
    assert!(server.get("/about").contains("Again"));
}

#[test]
fn a_style_sheet_that_is_compiled_is_watched_too() {
    // Who writes SCSS edits hardly anything else, and would load every page by hand.
    let root = new_site("styles");
    write(&root, "styles/_colours.scss", "$main: red;");
    write(&root, "styles/site.scss", "@import 'colours'; p { color: $main }");
    write(&root, "content/about.md", "<link rel=\"stylesheet\" href=\"/static/css/site.css\">\n");
    let server = Server::start(&root, &["--watch"]);
    assert!(server.get("/static/css/site.css").contains("red"));
    assert!(server.get("/about").contains("site.css"));
    let mut events = server.events("/about");
    write(&root, "styles/_colours.scss", "$main: blue;");
    assert_eq!(events.next()["type"], "css");
    let sheet = server.get("/static/css/site.css");
    assert!(sheet.contains("#00f") || sheet.contains("blue"), "{sheet}");
}

#[test]
fn without_watching_a_page_is_served_at_once_and_looked_at_behind() {
    let root = new_site("unwatched");
    let server = Server::start(&root, &["--interval", "0"]);
    assert!(server.get("/a").contains("Text of a."));
    write(&root, "content/a.md", "Other text.\n");
    let is_new = |_| server.get("/a").contains("Other text.");
    assert!((0..200).any(is_new), "it never changed");
    // A page with mistakes is served as it was.
    write(&root, "content/a.md", "<% nowhere.html %/>\n");
    let has_failed = |_| {
        assert!(server.get("/a").contains("Other text."));
        stats(&server)["revalidation_errors"].as_u64().unwrap() > 0
    };
    assert!((0..200).any(has_failed), "no mistake was found");
    // A file that nobody knew is looked for before it is said to be missing.
    write(&root, "content/new.md", "New.\n");
    assert!(server.get("/new").contains("New."));
    let stats = stats(&server);
    for counter in ["hits", "misses", "revalidations"] {
        assert!(stats[counter].as_u64().unwrap() > 0, "{counter}: {stats}");
    }
}

fn stats(server: &Server) -> serde_json::Value {
    let answer = server.get("/admin/cache/stats");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn foreign_names_and_foreign_pages_are_refused() {
    // Without it any page in the same browser could read drafts, by a name that leads here.
    let root = new_site("doors");
    let server = Server::start(&root, &["--allow-host", "dev.example"]);
    let status = |path: &str, fields: &str| server.get_with(path, fields)[9..12].to_owned();
    assert_eq!(status("/about", "Host: evil.example\r\n"), "403");
    assert_eq!(status("/about", "Host: dev.example:1\r\n"), "200");
    assert_eq!(status("/about/", "Host: localhost\r\n"), "308");
    assert_eq!(status("/admin/cache/stats", "Host: localhost\r\n"), "200");
    assert_eq!(status("/admin/cache/stats", "Host: localhost\r\nOrigin: https://evil.example\r\n"), "403");
    assert_eq!(status("/live-reload", "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n"), "403");
}
