//! The real `kiln`, as a person calls it: what it prints, what it leaves on the disk, and its exit status.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod again;
mod documents;
mod edits;
mod formats;
mod mistakes;
mod urls;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A new empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commands").join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(path: PathBuf, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A site of one page and one style sheet.
fn small_site(name: &str) -> PathBuf {
    let site = folder(name);
    write(site.join("site.toml"), "base_url = \"https://example.com\"\n");
    write(site.join("content/index.html"), "<link rel=stylesheet href=\"{{+ /static/a.css}}\"><h1>Home</h1>\n");
    write(site.join("static/a.css"), "body{top:0}");
    site
}

struct Outcome {
    status: i32,
    stdout: String,
    stderr: String,
}

fn kiln(arguments: &[&str]) -> Outcome {
    kiln_with(arguments, &[])
}

fn kiln_with(arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(arguments)
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    Outcome {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn build(site: &Path) -> Outcome {
    kiln(&["build", "--site", site.to_str().unwrap()])
}

/// The names in a folder, sorted, temporary ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_build_leaves_the_bundle_and_two_lists() {
    let site = small_site("build");
    let outcome = build(&site);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, ""), "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("1 page (0 posts), 1 file → "), "{}", outcome.stderr);
    assert_eq!(names(&site.join("dist")), ["assets_meta.json", "manifest.json", "site.bundle"]);
    let manifest = fs::read_to_string(site.join("dist/manifest.json")).unwrap();
    assert!(manifest.starts_with("{\n  \"a.css\": \"a."), "{manifest}");
}

#[test]
fn two_builds_of_one_input_are_the_same_bytes() {
    // Without it a deploy would send everything, and nobody could verify a build.
    let site = small_site("twice");
    for number in 0..40 {
        write(site.join(format!("content/p{number}.md")), format!("# Page {number}\n\n{}", "words ".repeat(200)));
    }
    let bytes = |jobs: &str| {
        let arguments = ["build", "--quiet", "--site", site.to_str().unwrap(), "--jobs", jobs];
        assert_eq!(kiln(&arguments).status, 0);
        fs::read(site.join("dist/site.bundle")).unwrap()
    };
    let first = bytes("1");
    assert!(first == bytes("2") && first == bytes("7"));
}

#[test]
fn a_build_of_what_is_there_already_makes_nothing() {
    // A build that wrongly thinks so publishes yesterday's site.
    let site = small_site("unchanged");
    let is_unchanged = |flags: &[&str]| {
        let outcome = kiln(&[&["build", "--site", site.to_str().unwrap()], flags].concat());
        assert_eq!(outcome.status, 0, "{}", outcome.stderr);
        outcome.stderr.starts_with("nothing changed: 1 page (0 posts), 1 file → ")
    };
    let bundle = site.join("dist/site.bundle");
    assert!(!is_unchanged(&[]));
    let before = fs::metadata(&bundle).unwrap().modified().unwrap();
    assert!(is_unchanged(&[]) && is_unchanged(&["--jobs", "1"]));
    assert_eq!(fs::metadata(&bundle).unwrap().modified().unwrap(), before);
    for flags in [["--no-compress"].as_slice(), &["--plain-names"], &["--base-url", "https://other.example"]] {
        assert!(!is_unchanged(flags) && is_unchanged(flags), "{flags:?}");
    }
    assert!(!is_unchanged(&[]) && is_unchanged(&[]));
    // What lies there is looked at, and not only whether something does.
    let good = fs::read(&bundle).unwrap();
    for (name, bytes) in [("site.bundle", good[..good.len() - 1].to_vec()), ("manifest.json", b"{}".to_vec())] {
        fs::write(site.join("dist").join(name), bytes).unwrap();
        assert!(!is_unchanged(&[]) && is_unchanged(&[]), "{name}");
        assert!(fs::read(&bundle).unwrap() == good);
    }
    for path in ["content/index.html", "static/a.css", "site.toml"] {
        let path = site.join(path);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n\n")).unwrap();
        assert!(!is_unchanged(&[]) && is_unchanged(&[]), "{}", path.display());
    }
    // Warnings are told each time.
    write(site.join("templates/unused.html"), "x");
    for _ in 0..2 {
        assert!(build(&site).stderr.contains("no page uses the partial `unused.html`"));
    }
}

#[test]
fn a_failed_build_leaves_the_last_good_one() {
    let site = small_site("last-good");
    assert_eq!(build(&site).status, 0);
    let before = fs::read(site.join("dist/site.bundle")).unwrap();
    write(site.join("content/index.html"), "<% nowhere.html %/>");
    let outcome = build(&site);
    assert_eq!(outcome.status, 1);
    assert!(outcome.stderr.contains("content/index.html:1:4"), "{}", outcome.stderr);
    assert_eq!(fs::read(site.join("dist/site.bundle")).unwrap(), before);
    assert_eq!(names(&site.join("dist")), ["assets_meta.json", "manifest.json", "site.bundle"]);
}

#[test]
fn a_folder_that_can_not_be_written_is_exit_status_4() {
    let site = small_site("unwritable");
    write(site.join("dist"), "a file where the folder should be");
    let outcome = build(&site);
    assert_eq!(outcome.status, 4);
    assert!(outcome.stderr.contains("can't write"), "{}", outcome.stderr);
}

#[test]
fn a_check_writes_nothing_and_can_speak_json() {
    let site = small_site("check");
    let site_text = site.to_str().unwrap();
    let outcome = kiln(&["check", "--site", site_text]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, "no mistakes in 1 page\n"));
    write(site.join("content/index.html"), "\n  <% nowhere.html %/>");
    let outcome = kiln(&["check", "--site", site_text, "--format", "json"]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (1, ""));
    let line: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(line["file"], "content/index.html");
    assert_eq!((&line["line"], &line["column"]), (&2.into(), &6.into()));
    assert_eq!((&line["severity"], &line["code"]), (&"error".into(), &"unknown-partial".into()));
    assert!(!site.join("dist").exists());
}

#[test]
fn a_check_finds_what_a_bundle_has_no_room_for() {
    // It said that all is well, and the build failed without a place.
    let site = small_site("long-policy");
    let page =
        |count: usize| (0..count).map(|n| format!("<p style=\"top:{n}px\">x</p>\n")).collect::<Vec<_>>().concat();
    for (count, status, message) in [
        (151, 0, ""),
        (152, 0, "warning[long-policy]: the page has 152 scripts and styles of its own"),
        (1_300, 1, "error[too-long-policy]: the page has 1300 scripts and styles of its own"),
    ] {
        write(site.join("content/index.html"), page(count));
        for command in ["check", "build"] {
            let outcome = kiln(&[command, "--site", site.to_str().unwrap()]);
            assert_eq!(outcome.status, status, "{}", outcome.stderr);
            assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
            assert_eq!(outcome.stderr.contains("-policy]"), count > 151, "{}", outcome.stderr);
            assert_eq!(outcome.stderr.contains("content/index.html:152:"), count > 151, "{}", outcome.stderr);
        }
    }
    write(site.join("site.toml"), "[security]\ncsp = \"off\"\n");
    assert_eq!(build(&site).status, 0);
    // What else a head has no room for: `check` looks at it as `build` does.
    let rules = (0..20)
        .map(|n| format!("[[headers]]\npath = \"/\"\nset = {{ X-{n} = \"{}\" }}\n", "x".repeat(4_000)))
        .collect::<Vec<_>>()
        .concat();
    write(site.join("site.toml"), rules);
    write(site.join("content/index.html"), "x");
    for command in ["check", "build"] {
        let outcome = kiln(&[command, "--site", site.to_str().unwrap()]);
        assert_eq!(outcome.status, 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("a head is too long"), "{}", outcome.stderr);
    }
}

#[test]
fn warnings_fail_only_when_asked_to() {
    let site = small_site("warnings");
    write(site.join("templates/unused.html"), "nobody wants me");
    let site = site.to_str().unwrap();
    let outcome = kiln(&["check", "--site", site]);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("warning[unused-partial]"), "{}", outcome.stderr);
    assert_eq!(kiln(&["check", "--site", site, "--warnings-as-errors"]).status, 1);
    assert_eq!(kiln(&["build", "--site", site, "--warnings-as-errors"]).status, 1);
}

#[test]
fn a_thousand_mistakes_are_fifty_and_a_count() {
    let site = small_site("many");
    write(site.join("content/index.html"), "<% nowhere.html %/>\n".repeat(1000));
    let site = site.to_str().unwrap();
    let shown = |arguments: &[&str]| kiln(arguments).stderr.matches("error[").count();
    assert_eq!(shown(&["check", "--site", site]), 50);
    assert_eq!(shown(&["check", "--site", site, "--error-limit", "3"]), 3);
    assert_eq!(shown(&["check", "--site", site, "--error-limit", "0"]), 1000);
    assert!(kiln(&["check", "--site", site]).stderr.contains("1000 errors"));
    assert_eq!(kiln(&["check", "--site", site, "--format", "json"]).stdout.lines().count(), 1000);
}

#[test]
fn no_site_is_exit_status_2() {
    let empty = folder("no-site");
    let outcome = build(&empty);
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("no site in `"), "{}", outcome.stderr);
    let outcome = build(&empty.join("nowhere"));
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("there is no folder `"), "{}", outcome.stderr);
    assert_eq!(kiln(&["build", "--no-such-flag"]).status, 2);
    assert_eq!(kiln(&["build", "--site", empty.to_str().unwrap(), "--error-limit", "x"]).status, 2);
}

#[test]
fn a_text_that_is_not_utf_8_is_a_mistake_with_its_place() {
    let site = small_site("encoding");
    write(site.join("content/latin.html"), b"<p>first</p>\n<p>caf\xe9</p>\n");
    write(site.join("templates/latin.html"), b"\xff");
    let outcome = build(&site);
    assert_eq!(outcome.status, 1);
    assert!(outcome.stderr.contains("content/latin.html:2:7"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("templates/latin.html"), "{}", outcome.stderr);
}

#[test]
fn links_may_not_leave_the_site() {
    let site = small_site("links");
    let secret = folder("links-outside");
    write(secret.join("secret.html"), "secret");
    symlink(secret.join("secret.html"), site.join("content/secret.html")).unwrap();
    symlink(&secret, site.join("templates")).unwrap();
    symlink(&secret, site.join("static/secrets")).unwrap();
    symlink("index.html", site.join("content/again.html")).unwrap();
    let outcome = build(&site);
    assert_eq!(outcome.status, 1);
    assert_eq!(outcome.stderr.matches("error[link-outside]").count(), 3, "{}", outcome.stderr);
    for link in ["content/secret.html", "static/secrets", "templates"] {
        assert!(outcome.stderr.contains(&format!("--> {link}")), "{link}: {}", outcome.stderr);
    }
    fs::remove_file(site.join("content/secret.html")).unwrap();
    fs::remove_file(site.join("templates")).unwrap();
    fs::remove_file(site.join("static/secrets")).unwrap();
    assert_eq!(build(&site).status, 0, "a link within the site is fine");
}

#[test]
fn what_can_not_be_read_is_exit_status_4_and_named() {
    // A link that leads nowhere, and one that leads back up: root may read everything else.
    let site = small_site("unreadable");
    symlink("nowhere", site.join("content/dangling.html")).unwrap();
    symlink("..", site.join("content/loop")).unwrap();
    let outcome = build(&site);
    assert_eq!(outcome.status, 4);
    assert!(outcome.stderr.contains("content/dangling.html`"), "{}", outcome.stderr);
    assert!(!site.join("dist").exists());
}

#[test]
fn a_named_pipe_does_not_make_a_build_wait_for_ever() {
    let site = small_site("pipe");
    assert!(Command::new("mkfifo").arg(site.join("content/pipe.html")).status().unwrap().success());
    let outcome = build(&site);
    assert_eq!(outcome.status, 4);
    assert!(outcome.stderr.contains("it is neither a file nor a folder"), "{}", outcome.stderr);
}

#[test]
fn a_date_of_the_build_that_is_no_number_is_exit_status_2() {
    let site = small_site("epoch");
    let arguments = ["build", "--site", site.to_str().unwrap()];
    for wrong in ["yesterday", "-1", "253402300800", "1e9"] {
        let outcome = kiln_with(&arguments, &[("SOURCE_DATE_EPOCH", wrong)]);
        assert_eq!(outcome.status, 2, "{wrong}");
    }
    assert_eq!(kiln_with(&arguments, &[("SOURCE_DATE_EPOCH", "1760000000")]).status, 0);
    let head = kiln(&["inspect", site.join("dist/site.bundle").to_str().unwrap(), "/"]).stdout;
    assert!(head.contains("Last-Modified: Thu, 09 Oct 2025 08:53:20 GMT\n"), "{head}");
}

#[test]
fn pages_of_the_future_and_drafts_are_built_when_asked_for() {
    let site = small_site("future");
    write(site.join("content/soon.md"), "---\ndate: 2030-01-01\n---\nsoon");
    write(site.join("content/draft.md"), "---\ndraft: true\n---\ndraft");
    let site = site.to_str().unwrap();
    let summary = |arguments: &[&str], now| {
        let arguments = [&["build", "--site", site], arguments].concat();
        kiln_with(&arguments, &[("SOURCE_DATE_EPOCH", now)]).stderr
    };
    let before = "1760000000";
    assert!(
        summary(&[], before).starts_with("1 page (0 posts), 1 file, 1 draft left out, 1 page of the future left out")
    );
    assert!(summary(&["--drafts", "--future"], before).starts_with("3 pages (0 posts), 1 file →"));
    assert!(summary(&[], "1893456000").starts_with("2 pages (0 posts), 1 file, 1 draft left out →"), "2030-01-01");
}

#[test]
fn the_last_builds_digested_assets_are_carried_along_once() {
    // Without it a visitor who loaded a page before a deploy would lose its style sheet.
    let site = small_site("previous");
    let bundle = |name: &str| site.join(name).join("site.bundle").to_str().unwrap().to_owned();
    let assets = |name: &str| -> Vec<String> {
        let listing = kiln(&["inspect", &bundle(name)]).stdout;
        let lines = listing.lines().filter(|line| line.contains("/static/a.") && !line.ends_with("/static/a.css"));
        lines
            .map(|line| {
                line.split_whitespace()
                    .skip(1)
                    .filter(|word| word.parse::<u64>().is_err())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect()
    };
    let site_text = site.to_str().unwrap();
    assert_eq!(kiln(&["build", "--site", site_text, "--out", "one"]).status, 0);
    write(site.join("static/a.css"), "body { color: red }\n");
    assert_eq!(kiln(&["build", "--site", site_text, "--out", "two", "--previous", &bundle("one")]).status, 0);
    write(site.join("static/a.css"), "body { color: blue }\n");
    assert_eq!(kiln(&["build", "--site", site_text, "--out", "three", "--previous", &bundle("two")]).status, 0);
    let kinds =
        |name: &str| assets(name).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(kinds("one"), ["asset"]);
    assert_eq!(assets("two").len(), 2);
    assert_eq!(assets("three").len(), 2, "{:?}", assets("three"));
    assert!(kinds("three").contains(&"kept".to_owned()));
    let missing = kiln(&["build", "--site", site_text, "--previous", "/nowhere.bundle"]);
    assert_eq!(missing.status, 4);
    write(site.join("broken.bundle"), "no bundle");
    let broken = kiln(&["build", "--site", site_text, "--previous", site.join("broken.bundle").to_str().unwrap()]);
    assert_eq!(broken.status, 1);
}

#[test]
fn inspect_shows_routes_and_heads_and_refuses_what_is_damaged() {
    let site = small_site("inspect");
    // Without the site's address there are no feeds.
    fs::remove_file(site.join("site.toml")).unwrap();
    assert_eq!(build(&site).status, 0);
    let bundle = site.join("dist/site.bundle");
    let bundle_text = bundle.to_str().unwrap();
    let listing = kiln(&["inspect", bundle_text]);
    assert!(listing.stdout.contains("compiler: kiln 0.1.0\n"), "{}", listing.stdout);
    assert!(listing.stdout.contains("3 routes: "), "{}", listing.stdout);
    let head = kiln(&["inspect", bundle_text, "/"]);
    assert!(head.stdout.starts_with("HTTP/1.1 200 OK\nContent-Length: "), "{}", head.stdout);
    assert!(head.stdout.contains("Content-Type: text/html; charset=utf-8\n"), "{}", head.stdout);
    let missing = kiln(&["inspect", bundle_text, "/static/a.cs"]);
    assert_eq!(missing.status, 1);
    assert!(missing.stderr.contains("did you mean `/static/a.css`?"), "{}", missing.stderr);
    assert_eq!(kiln(&["inspect", bundle_text, "--verify"]).status, 0);
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[100] ^= 1;
    fs::write(&bundle, &bytes).unwrap();
    let damaged = kiln(&["inspect", bundle_text, "--verify"]);
    assert_eq!(damaged.status, 1);
    assert!(damaged.stderr.contains("damaged: its digest is not that of its content"), "{}", damaged.stderr);
    fs::write(&bundle, &bytes[..90]).unwrap();
    assert!(kiln(&["inspect", bundle_text]).stderr.contains("cut short"));
    assert_eq!(kiln(&["inspect", "/nowhere"]).status, 4);
}

#[test]
fn an_export_has_no_rule_for_more_than_one_path() {
    // Hosts take `*` and `:name` for gaps: one page's fields would be those of all.
    let site = small_site("export-gaps");
    write(site.join("content/c*.html"), "---\nnoindex: true\naliases: [\"/go/:there\"]\n---\n<h1>C</h1>");
    write(site.join("content/:any.html"), "<h1>Any</h1>");
    write(site.join("site.toml"), "[redirects]\n\"/old/:slug\" = \"/:slug\"\n");
    assert_eq!(build(&site).status, 0);
    let (bundle, out) = (site.join("dist/site.bundle"), site.join("out"));
    assert_eq!(kiln(&["export", bundle.to_str().unwrap(), out.to_str().unwrap()]).status, 0);
    let headers = fs::read_to_string(out.join("_headers")).unwrap();
    let rules: Vec<_> = headers.lines().filter(|line| line.starts_with('/') && line.len() < 9).collect();
    assert_eq!(rules, ["/", "/%3Aany", "/c%2A"]);
    let redirects = fs::read_to_string(out.join("_redirects")).unwrap();
    assert_eq!(redirects, "/go/%3Athere /c* 301\n/old/:slug /:slug 301\n");
}

#[test]
fn an_export_is_a_plain_folder() {
    let site = small_site("export");
    fs::remove_file(site.join("site.toml")).unwrap();
    write(site.join("content/blog/post.md"), format!("# Post\n\n{}", "many words ".repeat(100)));
    write(site.join("content/old.md"), "---\naliases: [/older]\n---\nold");
    assert_eq!(build(&site).status, 0);
    let (bundle, out) = (site.join("dist/site.bundle"), site.join("out"));
    let arguments = ["export", bundle.to_str().unwrap(), out.to_str().unwrap()];
    assert_eq!(kiln(&arguments).status, 0);
    assert_eq!(names(&out), ["_headers", "_redirects", "blog", "index.html", "old.html", "static"]);
    assert_eq!(names(&out.join("blog")), ["post.html", "post.html.br", "post.html.gz"]);
    assert_eq!(fs::read_to_string(out.join("_redirects")).unwrap(), "/older /old 301\n");
    let headers = fs::read_to_string(out.join("_headers")).unwrap();
    assert!(headers.starts_with("/\n  Cache-Control: public, max-age=0, must-revalidate\n"), "{headers}");
    assert_eq!(fs::read(out.join("static/a.css")).unwrap(), b"body{top:0}");
    assert_eq!(kiln(&arguments).status, 2, "a folder with something in it is left alone");
}

#[test]
fn an_export_leaves_out_what_a_plain_host_can_not_do_and_says_so() {
    // Without it a page behind a password would lie open on the static host.
    let site = small_site("export-private");
    write(site.join("content/admin/secret.md"), "---\ntitle: x\ndate: 2025-01-01\nsummary: secret\n---\nsecret");
    write(site.join("site.toml"), "base_url = \"https://example.com\"\n[redirects]\n\"/gone\" = { status = 410 }\n");
    assert_eq!(build(&site).status, 0);
    let (bundle, out) = (site.join("dist/site.bundle"), site.join("out"));
    let outcome = kiln(&["export", bundle.to_str().unwrap(), out.to_str().unwrap()]);
    assert_eq!(outcome.status, 0);
    assert!(
        outcome.stderr.contains("`/admin/secret` is left out: a plain host asks for no password"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("`/gone` is left out"), "{}", outcome.stderr);
    assert!(!out.join("admin").exists());
    for name in ["feed.xml", "feed.json", "sitemap.xml", "_headers", "_redirects"] {
        assert!(!fs::read_to_string(out.join(name)).unwrap().contains("secret"), "{name}");
    }
}

#[test]
fn an_export_that_can_not_be_whole_writes_nothing() {
    let site = small_site("export-clash");
    write(site.join("content/LICENSE"), "a file");
    write(site.join("content/x.html"), "---\npath: /LICENSE/x\n---\na page");
    assert_eq!(build(&site).status, 0);
    let (bundle, out) = (site.join("dist/site.bundle"), site.join("out"));
    let outcome = kiln(&["export", bundle.to_str().unwrap(), out.to_str().unwrap()]);
    assert_eq!(outcome.status, 1);
    assert!(outcome.stderr.contains("`LICENSE` would have to be a file and"), "{}", outcome.stderr);
    assert!(names(&out).is_empty());
}

#[test]
fn an_export_never_writes_one_file_over_another() {
    type Pair<'a> = (&'a str, &'a [(&'a str, &'a str)], [&'a str; 2]);
    // Which of the two a visitor gets would depend on the order in which they were written.
    let long = "x(); ".repeat(200);
    let pairs: [Pair<'_>; 4] = [
        (
            "export-twice",
            &[("hello.md", "x"), ("y.html", "---\npath: /hello.html\n---\ny")],
            ["`/hello`", "`/hello.html`"],
        ),
        ("export-gz", &[("a.js", &long), ("a.js.gz", "packed")], ["the compressed `/a.js`", "`/a.js.gz`"]),
        ("export-headers", &[("_headers", "/\n")], ["`/_headers`", "the headers for the host"]),
        ("export-redirects", &[("_redirects", "")], ["`/_redirects`", "the redirects for the host"]),
    ];
    for (name, files, both) in pairs {
        let site = small_site(name);
        for (path, text) in files {
            write(site.join("content").join(path), text);
        }
        assert_eq!(build(&site).status, 0, "{name}");
        let (bundle, out) = (site.join("dist/site.bundle"), site.join("out"));
        let outcome = kiln(&["export", bundle.to_str().unwrap(), out.to_str().unwrap()]);
        assert_eq!(outcome.status, 1, "{name}");
        assert!(outcome.stderr.contains("would both be the file"), "{}", outcome.stderr);
        assert!(both.iter().all(|one| outcome.stderr.contains(one)), "{}", outcome.stderr);
        assert!(names(&out).is_empty());
    }
}

#[test]
fn a_renamed_folder_of_pages_does_not_replace_the_last_good_site() {
    let site = small_site("renamed");
    write(site.join("site.toml"), "title = \"x\"\n");
    assert_eq!(build(&site).status, 0);
    let before = fs::read(site.join("dist/site.bundle")).unwrap();
    fs::rename(site.join("content"), site.join("contents")).unwrap();
    let outcome = build(&site);
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("there is no folder `content`"), "{}", outcome.stderr);
    assert_eq!(fs::read(site.join("dist/site.bundle")).unwrap(), before);
}

#[test]
fn a_build_does_not_write_among_its_sources() {
    // Without it the next build would publish the bundle of this one.
    let site = small_site("out");
    let site_text = site.to_str().unwrap();
    let absolute = [site.join("content"), site.join("static/x"), site.clone(), site.join("x/..")];
    let roundabout = format!("../{}/content/x", site.file_name().unwrap().to_str().unwrap());
    let absolute = absolute.iter().map(|path| path.to_str().unwrap());
    for out in [".", "content", "content/x", "static", "dist/../content", &roundabout].into_iter().chain(absolute) {
        let outcome = kiln(&["build", "--site", site_text, "--out", out]);
        assert_eq!(outcome.status, 2, "{out}");
        assert!(outcome.stderr.contains("is among the site's sources"), "{}", outcome.stderr);
    }
    assert_eq!(kiln(&["build", "--site", site_text, "--out", "contents"]).status, 0);
}

#[test]
fn a_new_site_builds_without_a_word() {
    let parent = folder("new");
    let site = parent.join("my site");
    let outcome = kiln(&["new", site.to_str().unwrap()]);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    let outcome = kiln(&["check", "--site", site.to_str().unwrap(), "--warnings-as-errors"]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, "no mistakes in 3 pages\n"));
    assert_eq!(kiln(&["new", site.to_str().unwrap()]).status, 2, "a folder with something in it is left alone");
}

#[test]
fn a_summary_can_be_json() {
    let site = small_site("json");
    let outcome = kiln(&["build", "--json", "--site", site.to_str().unwrap()]);
    let summary: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(summary["counts"]["pages"], 1);
    assert_eq!(summary["bytes"], fs::metadata(site.join("dist/site.bundle")).unwrap().len());
}

#[test]
fn the_doctor_lists_what_there_is_and_what_is_missing() {
    let site = small_site("doctor");
    let doctor = || kiln(&["doctor", "--site", site.to_str().unwrap()]);
    let outcome = doctor();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
    assert!(outcome.stdout.starts_with("kiln 0.") && outcome.stdout.contains("cores"), "{}", outcome.stdout);
    write(site.join("run.sh"), "#!/bin/sh\ntouch ran\n");
    let tools = ["\"sh\"", "\"./run.sh\"", "\"no-such-program\", \"x\""];
    write(site.join("site.toml"), tools.map(|tool| format!("[[tools]]\ncommand = [{tool}]\n")).concat());
    let outcome = doctor();
    assert_eq!(outcome.status, 3);
    for line in ["`sh` is there", "`./run.sh` is there\n", "`no-such-program` is missing"] {
        assert!(outcome.stdout.contains(line), "{}", outcome.stdout);
    }
    assert!(!site.join("ran").exists());
}

#[test]
fn tools_run_in_order_before_the_sources_are_read() {
    let site = small_site("tools");
    write(
        site.join("site.toml"),
        "[[tools]]\ncommand = [\"sh\", \"-c\", \"echo 'b{color:red}' > static/b.css\"]\n\
         [[tools]]\ncommand = [\"sh\", \"-c\", \"cat static/b.css >> static/a.css\"]\n",
    );
    let outcome = build(&site);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    let manifest = fs::read_to_string(site.join("dist/manifest.json")).unwrap();
    assert!(manifest.contains("b.css"), "{manifest}");
    assert!(fs::read_to_string(site.join("static/a.css")).unwrap().ends_with("b{color:red}\n"));
}

#[test]
fn a_failed_tool_is_exit_status_3_and_what_it_left_running_is_not_waited_for() {
    let site = small_site("tool-fails");
    write(site.join("site.toml"), "[[tools]]\ncommand = [\"sh\", \"-c\", \"sleep 600 & exit 4\"]\n");
    write(site.join("content/other.html"), "<% nowhere.html %/>");
    let outcome = kiln(&["check", "--site", site.to_str().unwrap()]);
    assert_eq!(outcome.status, 3, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("error[tool-failed]: the tool `sh` failed with exit status: 4"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("error[unknown-partial]"), "{}", outcome.stderr);
}

#[test]
fn a_build_that_is_ended_ends_its_tools_and_what_they_started() {
    // Tools are in groups of their own, which the terminal's Ctrl-C doesn't reach.
    let site = small_site("tool-ended");
    let script = "sleep 600 & echo $! > child; mv child ready; wait";
    write(site.join("site.toml"), format!("[[tools]]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"));
    let mut build = Command::new(env!("CARGO_BIN_EXE_kiln")).args(["build", "--site"]).arg(&site).spawn().unwrap();
    let until = |is_so: &dyn Fn() -> bool| {
        for _ in 0..6_000 {
            if is_so() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("it takes too long");
    };
    until(&|| site.join("ready").exists());
    let child = fs::read_to_string(site.join("ready")).unwrap();
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {}", build.id())]).status().unwrap().success());
    assert_eq!(build.wait().unwrap().code(), None, "it ended by the signal");
    until(&|| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']))
    });
}

#[test]
fn an_exported_page_carries_its_policy() {
    // A plain host may take no notice of `_headers`, and then nothing would hold.
    let site = small_site("export-policy");
    let page = "<!doctype html><head><meta charset=utf-8><title>x</title><script>x()</script>".to_owned()
        + &"<p>some words that compress well".repeat(20);
    write(site.join("content/index.html"), page);
    let rule = "[[headers]]\npath = \"/\"\nset = { Content-Security-Policy-Report-Only = \"img-src 'none'\" }\n";
    write(site.join("site.toml"), rule);
    assert_eq!(build(&site).status, 0);
    let (bundle, plain) = (site.join("dist/site.bundle"), site.join("plain"));
    assert_eq!(kiln(&["export", bundle.to_str().unwrap(), plain.to_str().unwrap()]).status, 0);
    let html = fs::read_to_string(plain.join("index.html")).unwrap();
    let start = "<!doctype html><head><meta charset=utf-8><meta http-equiv=\"Content-Security-Policy\" content=\"default-src \
        'self'; script-src 'self' 'sha256-";
    assert!(html.starts_with(start), "{html}");
    // Who may show it in a frame, and what is only reported, can stand in a field alone.
    assert!(!html.contains("frame-ancestors"));
    let headers = fs::read_to_string(plain.join("_headers")).unwrap();
    let of_page = headers.lines().skip_while(|line| *line != "/").skip(1).take_while(|line| line.starts_with(' '));
    let policies: Vec<_> = of_page.filter(|line| line.starts_with("  Content-Security-Policy")).collect();
    let expected =
        ["  Content-Security-Policy: frame-ancestors 'none'", "  Content-Security-Policy-Report-Only: img-src 'none'"];
    assert_eq!(policies, expected, "{headers}");
    let mut unpacked = Vec::new();
    let packed = fs::read(plain.join("index.html.br")).unwrap();
    brotli::BrotliDecompress(&mut &packed[..], &mut unpacked).unwrap();
    assert_eq!(unpacked, html.as_bytes());
}
