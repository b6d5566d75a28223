//! The development server: whatever is edited, every page is as a clean build makes it, and browsers are told.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
use compiler::source::Sources;
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
        memory_bytes_max: u64::MAX,
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
    let output = pipeline::build(&sources, &config, &options, &Workshop::new(&cache, &Annex::new(Path::new(PROGRAM))))
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

/// A server that is ended with the test.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(root: &Path, flags: &[&str]) -> Self {
        Self::start_in(Path::new("."), &[flags, &["--site", root.to_str().unwrap()]].concat())
    }

    fn start_in(folder: &Path, flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_kiln"))
            .args(["dev", "--listen", "127.0.0.1:0"])
            .args(flags)
            .current_dir(folder)
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
    // A page with mistakes is served as it was. It is put in place whole: an empty file would be a page without mistakes.
    write(&root, "content/.a.md.swp", "<% nowhere.html %/>\n");
    fs::rename(root.join("content/.a.md.swp"), root.join("content/a.md")).unwrap();
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

/// A tool that runs this script.
fn tool(name: &str, script: &str, inputs: &str) -> String {
    format!("[[tools]]\nname = \"{name}\"\ncommand = [\"sh\", \"-c\", '{script}']\ninputs = [{inputs}]\n")
}

/// Waits until something is so; a test that waits for long has failed.
fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it takes too long until {what}");
}

fn is_gone(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']))
}

#[test]
fn a_tool_runs_at_the_start_and_when_what_it_reads_changes() {
    for flags in [&["--watch"][..], &["--poll"]] {
        let root = new_site(&format!("tools{}", flags[0]));
        write(&root, "js/a.ts", "one");
        let script = "echo ran >> runs; cat js/a.ts content/b.md > static/made.txt";
        write(&root, "site.toml", &tool("maker", script, "\"js/**/*.ts\", \"content/b.md\""));
        let server = Server::start(&root, flags);
        until("it ran", || server.get("/static/made.txt").contains("one"));
        // A file that is no source.
        write(&root, "js/a.ts", "two");
        until("it ran again", || server.get("/static/made.txt").contains("two"));
        // A source, and one that the tool doesn't read.
        write(&root, "content/a.md", "Other.\n");
        until("the page is new", || server.get("/a").contains("Other."));
        write(&root, "content/b.md", "Three.\n");
        until("it ran once more", || server.get("/static/made.txt").contains("Three."));
        // A run that was under way may have read the new text already, and one that was ended and begun anew counts twice.
        let count = fs::read_to_string(root.join("runs")).unwrap().lines().count();
        assert!((2..=6).contains(&count), "it ran {count} times");
    }
}

#[test]
fn nobody_waits_for_a_tool_and_one_that_hangs_is_ended_with_its_children() {
    let root = new_site("tool-hangs");
    let script = "sleep 600 & echo $! > child; mv child child-$(ls child-* 2>/dev/null | wc -l); wait";
    write(&root, "site.toml", &tool("sleeper", script, "\"content/a.md\""));
    let server = Server::start(&root, &["--watch"]);
    until("it runs", || root.join("child-0").exists());
    write(&root, "content/a.md", "Quick.\n");
    until("the page is new", || server.get("/a").contains("Quick."));
    let child = |number| fs::read_to_string(root.join(format!("child-{number}"))).unwrap();
    until("a new run begins", || root.join("child-1").exists());
    assert!(is_gone(&child(0)), "the run before is ended first");
    assert!(Command::new("kill").arg(server.process.id().to_string()).status().unwrap().success());
    until("its child is ended with the server", || is_gone(&child(1)));
}

#[test]
fn a_tool_that_fails_is_a_warning_until_it_succeeds() {
    let root = new_site("tool-fails");
    let script = "test -e good || { echo no such luck >&2; exit 3; }";
    write(&root, "site.toml", &tool("picky", script, "\"content/a.md\""));
    let server = Server::start(&root, &["--watch"]);
    let mut events = server.events("/about");
    let event = events.next();
    assert_eq!((&event["type"], &event["diagnostics"][0]["severity"]), (&"notes".into(), &"warning".into()));
    let help = event["diagnostics"][0]["help"].as_str().unwrap();
    assert!(help.contains("no such luck"), "{help}");
    assert!(server.get("/about").starts_with("HTTP/1.1 200"));
    write(&root, "good", "");
    write(&root, "content/a.md", "x\n");
    assert_eq!(events.next(), serde_json::json!({ "type": "notes", "diagnostics": [], "more": 0 }));
    // One that isn't there is one more, and takes the place of nothing.
    write(&root, "site.toml", &(tool("picky", script, "") + "[[tools]]\ncommand = [\"no-such-program\"]\n"));
    let found = std::iter::repeat_with(|| events.next()).find(|event| event["type"] == "notes").unwrap();
    assert!(found["diagnostics"][0]["help"].as_str().unwrap().contains("install `no-such-program`"), "{found}");
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
fn what_the_check_of_the_whole_site_finds_in_the_files_of_an_open_page_is_told_to_it() {
    let root = new_site("notes");
    let server = Server::start(&root, &["--watch"]);
    let (mut about, mut other) = (server.events("/about"), server.events("/a"));
    write(&root, "content/about.md", "# About\n\n[gone](nowhere.md)\n");
    assert_eq!(about.next()["type"], "full");
    let event = about.next();
    assert_eq!((&event["type"], &event["diagnostics"][0]["code"]), (&"notes".into(), &"broken-link".into()));
    // Whoever comes later is told too, and whom it doesn't concern isn't.
    assert_eq!(server.events("/about").next()["type"], "notes");
    write(&root, "content/about.md", "# About\n");
    assert_eq!(about.next()["type"], "full");
    assert_eq!(about.next()["diagnostics"], serde_json::json!([]));
    write(&root, "content/a.md", "x\n");
    assert_eq!(other.next()["type"], "full");
}

#[test]
fn style_sheets_that_are_compiled_are_watched_too() {
    let root = new_site("styles");
    write(&root, "styles/b.scss", "a { b { z-index: 17 } }");
    let server = Server::start(&root, &["--watch"]);
    assert!(server.get("/static/css/b.css").contains("17"));
    write(&root, "styles/b.scss", "a { b { z-index: 18 } }");
    until("it is compiled", || server.get("/static/css/b.css").contains("18"));
}

#[test]
fn folders_that_the_settings_name_while_it_runs_are_watched_from_then_on() {
    let root = new_site("paths");
    let server = Server::start(&root, &["--watch"]);
    write(&root, "pages/a.md", "Elsewhere.\n");
    write(&root, "site.toml", "[paths]\ncontent = \"pages\"\n");
    until("the other folder is read", || server.get("/a").contains("Elsewhere."));
    assert!(server.get("/about").starts_with("HTTP/1.1 404"));
    let mut events = server.events("/a");
    write(&root, "pages/a.md", "Again.\n");
    assert_eq!(events.next()["type"], "full");
    assert!(server.get("/a").contains("Again."));
}

#[test]
fn a_site_that_is_the_current_folder_is_watched() {
    // The default of `--site`: the system tells of absolute paths.
    let root = new_site("current-folder");
    let server = Server::start_in(&root, &["--watch"]);
    let mut events = server.events("/a");
    write(&root, "content/a.md", "Changed.\n");
    assert_eq!(events.next()["type"], "full");
}

#[test]
fn a_part_of_a_file_is_sent_to_whoever_asks_for_it() {
    // Without parts a browser plays a film from its beginning only.
    let root = new_site("parts");
    let server = Server::start(&root, &[]);
    let get = |range: &str| server.get_with("/static/a.css", &format!("Host: localhost\r\nRange: {range}\r\n"));
    let whole = server.get("/static/a.css");
    let body = whole.split_once("\r\n\r\n").unwrap().1;
    let part = get("bytes=2-5");
    let range = format!("Content-Range: bytes 2-5/{}\r\n", body.len());
    assert!(part.starts_with("HTTP/1.1 206 ") && part.contains(&range) && part.contains("no-store"), "{part}");
    assert!(part.contains("Content-Length: 4\r\n") && part.ends_with(&format!("\r\n\r\n{}", &body[2..6])), "{part}");
    assert!(get("bytes=100000-").starts_with("HTTP/1.1 416 "));
    assert!(get("lines=1-2").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_film_is_read_when_it_is_asked_for_and_never_sent_in_another_state() {
    // It stays on the disk, where it can change without a sign: same length, same time.
    let root = new_site("film");
    let film = |word: &str| format!("\0{}", word.repeat(3_000));
    write(&root, "static/film.bin", &film("one "));
    let time = std::time::SystemTime::now() - Duration::from_mins(1);
    let opened = || fs::File::options().write(true).open(root.join("static/film.bin")).unwrap();
    opened().set_modified(time).unwrap();
    let server = Server::start(&root, &[]);
    assert!(server.get("/static/film.bin").ends_with(&film("one ")));
    let part = server.get_with("/static/film.bin", "Host: localhost\r\nRange: bytes=5-7\r\n");
    assert!(part.ends_with("\r\n\r\none"), "{part}");
    write(&root, "static/film.bin", &film("two "));
    opened().set_modified(time).unwrap();
    assert!(server.get("/static/film.bin").starts_with("HTTP/1.1 503 "));
    until("the new one is sent", || server.get("/static/film.bin").ends_with(&film("two ")));
}

#[test]
fn what_changes_while_it_is_read_is_read_once_more() {
    let root = new_site("moving");
    for number in 0..500 {
        write(&root, &format!("content/many/{number}.md"), "x\n");
    }
    let server = Server::start(&root, &["--watch"]);
    let mut events = server.events("/many/7");
    fs::remove_dir_all(root.join("content/many")).unwrap();
    assert_eq!(events.next()["type"], "full");
    assert!(server.get("/many/7").starts_with("HTTP/1.1 404"));
    for number in 0..500 {
        write(&root, &format!("content/many/{number}.md"), "again\n");
    }
    until("they are all there", || server.get("/many/499").contains("again"));
    write(&root, "content/many/7.md", "once more\n");
    until("the folder is watched again", || server.get("/many/7").contains("once more"));
}

#[test]
fn a_browser_is_opened_if_that_is_asked_for() {
    let root = new_site("open");
    write(&root, "bin/xdg-open", "#!/bin/sh\necho \"$1\" > opened; mv opened opened.txt\n");
    let program = root.join("bin/xdg-open");
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", root.join("bin").display(), std::env::var("PATH").unwrap());
    let mut server = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(["dev", "--open", "--listen", "0.0.0.0:0"])
        .current_dir(&root)
        .env("PATH", path)
        .spawn()
        .unwrap();
    until("it is opened", || root.join("opened.txt").exists());
    let opened = fs::read_to_string(root.join("opened.txt")).unwrap();
    assert!(opened.starts_with("http://localhost:"), "{opened}");
    server.kill().unwrap();
    server.wait().unwrap();
}
