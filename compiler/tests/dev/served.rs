//! What browsers get and are told.

use std::fs;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::server::{Server, is_gone, stats, until};
use crate::{new_site, write};

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
fn a_file_that_an_open_pages_style_sheet_names_concerns_it_whatever_it_is_called() {
    let root = new_site("named");
    let names = ["logo@2x.svg", "my logo.svg", "plain.svg"];
    let image =
        |color: &str| format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\" fill=\"{color}\"/>");
    for name in names {
        write(&root, &format!("static/{name}"), &image("red"));
    }
    let rule = |(selector, name)| format!("{selector} {{ background: url(\"{name}\") }}\n");
    let rules: Vec<_> = ["p", "h1", "a"].into_iter().zip(names).map(rule).collect();
    write(&root, "static/a.css", &rules.concat());
    let server = Server::start(&root, &["--watch"]);
    assert!(server.get("/about").starts_with("HTTP/1.1 200"));
    for name in names {
        let mut events = server.events("/about");
        write(&root, &format!("static/{name}"), &image("blue"));
        assert!(["css", "full"].map(Into::into).contains(&events.next()["type"]), "{name}");
        write(&root, &format!("static/{name}"), &image("red"));
        events.next();
    }
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
    until("it changes", || server.get("/a").contains("Other text."));
    // A page with mistakes is served as it was. It is put in place whole: an empty file would be a page without mistakes.
    write(&root, "content/.a.md.swp", "<% nowhere.html %/>\n");
    fs::rename(root.join("content/.a.md.swp"), root.join("content/a.md")).unwrap();
    until("the mistake is found", || {
        assert!(server.get("/a").contains("Other text."));
        stats(&server)["revalidation_errors"].as_u64().unwrap() > 0
    });
    // A file that nobody knew is looked for before it is said to be missing.
    write(&root, "content/new.md", "New.\n");
    assert!(server.get("/new").contains("New."));
    let stats = stats(&server);
    for counter in ["hits", "misses", "revalidations"] {
        assert!(stats[counter].as_u64().unwrap() > 0, "{counter}: {stats}");
    }
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
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("it is opened", || root.join("opened.txt").exists());
    let opened = fs::read_to_string(root.join("opened.txt")).unwrap();
    assert!(opened.starts_with("http://localhost:"), "{opened}");
    server.kill().unwrap();
    let said = String::from_utf8(server.wait_with_output().unwrap().stderr).unwrap();
    assert!(said.contains("warning: it listens beyond this machine"), "{said}");
}

#[test]
fn a_page_that_was_never_made_without_mistakes_is_told_to_be_broken_and_the_server_goes_on() {
    let root = new_site("never-good");
    write(&root, "content/a.md", "# Broken <% nowhere.html %/>\n");
    let server = Server::start(&root, &["--watch"]);
    let page = server.get("/a");
    assert!(page.starts_with("HTTP/1.1 500 ") && page.contains("new EventSource"), "{page}");
    let mut events = server.events("/a");
    let event = events.next();
    assert_eq!((&event["type"], &event["hasPage"]), (&"error".into(), &false.into()));
    assert!(server.get("/about").starts_with("HTTP/1.1 200 "));
    write(&root, "content/a.md", "# Mended\n");
    assert_eq!(events.next()["type"], "full");
    assert!(server.get("/a").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_browser_is_told_by_the_page_that_it_shows_and_by_what_it_saw_of_it() {
    let root = new_site("seen");
    let server = Server::start(&root, &["--watch"]);
    let page = server.get("/about");
    let digest = page.split_once("data-kiln=\"").unwrap().1.split('"').next().unwrap();
    // The server was restarted, or the page changed while nobody listened.
    assert_eq!(server.events_with("?page=/about&seen=other", "").next()["type"], "full");
    let mut same = server.events_with(&format!("?page=/about&seen={digest}"), "");
    let mut by_referrer = server.events_with("", "Referer: http://localhost/about?x#y\r\n");
    let mut all = server.events_with("", "");
    write(&root, "content/a.md", "---\ntitle: A\n---\nother\n");
    assert_eq!(all.next()["type"], "full", "who names no page is told of every change");
    write(&root, "static/a.css", "p { color: blue }");
    for events in [&mut same, &mut by_referrer, &mut all] {
        assert_eq!(events.next()["type"], "css");
    }
}

#[test]
fn unfinished_pages_are_shown_and_marked_unless_that_is_not_wanted() {
    let root = new_site("unfinished");
    write(&root, "content/later.md", "---\ntitle: Later\ndate: 2999-01-01\nsummary: S\n---\nx\n");
    let server = Server::start(&root, &[]);
    for (path, mark) in [("/b", "draft"), ("/later", "future"), ("/a", "")] {
        let page = server.get(path);
        assert!(page.contains(&format!("data-mark=\"{mark}\"")), "{path}: {page}");
    }
    let server = Server::start(&root, &["--no-drafts"]);
    for path in ["/b", "/later"] {
        assert!(server.get(path).starts_with("HTTP/1.1 404 "), "{path}");
    }
}

#[test]
fn each_change_is_one_line_in_the_terminal() {
    let root = new_site("lines");
    let server = Server::start(&root, &["--watch"]);
    let mut events = server.events("/a");
    for (path, text) in [("content/a.md", "x\n"), ("templates/base.html", "<p>{{body}}</p>"), ("content/a.md", "y\n")] {
        write(&root, path, text);
        assert_eq!(events.next()["type"], "full");
    }
    until("all is told", || server.changes().len() >= 3);
    let changes = server.changes();
    let is_as_it_should = |(line, path): (&String, &str)| {
        line.starts_with(&format!("kiln: {path}: 1 open page made, 1 told to reload, ")) && line.ends_with(" ms")
    };
    let paths = ["content/a.md", "templates/base.html", "content/a.md"];
    assert!(changes.len() == 3 && changes.iter().zip(paths).all(is_as_it_should), "{changes:#?}");
}

#[test]
fn what_waits_for_the_next_style_sheet_ends_with_the_server_however_it_ends() {
    let root = new_site("orphan");
    let server = Server::start(&root, &["--watch"]);
    let own = server.process.id().to_string();
    let find = || {
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let mut children = processes.filter(|id| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&own))
        });
        children.find(|id| fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.ends_with(b"work-apart\0")))
    };
    until("one waits", || find().is_some());
    let first = find().unwrap();
    let mut events = server.events_with("", "");
    write(&root, "static/a.css", "p { color: blue }");
    assert_eq!(events.next()["type"], "css");
    until("another one waits", || find().is_some_and(|id| id != first));
    assert!(is_gone(&first), "each works once");
    let second = find().unwrap();
    // No signal that it could do anything about.
    drop(server);
    until("it is gone", || is_gone(&second));
}

#[test]
fn the_script_stands_once_where_it_is_wanted_and_the_policy_allows_it() {
    // A page's own policy would keep the browser from ever hearing of a change.
    let root = new_site("script");
    write(&root, "content/marked.md", "# Marked\n\n<% generated_livereload_script.html %/>\n\nLast.\n");
    let server = Server::start(&root, &[]);
    for (path, own_end) in [("/marked", "Last."), ("/a", ""), ("/tags/y", "")] {
        let page = server.get(path);
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        let (before, rest) = body.split_once("<script data-kiln=").unwrap();
        let (script, after) = rest.split_once('>').unwrap().1.split_once("</script>").unwrap();
        // Where the page has its tag, else at the end of the body.
        let (after, _) = after.split_once("</body>").unwrap_or((after, ""));
        assert!(before.contains("<h1") || path == "/a", "{path}: {page}");
        assert_eq!(after.contains("Last."), own_end == "Last.", "{path}: {after}");
        assert!(!after.contains("<script") && (!own_end.is_empty() || after.trim().is_empty()), "{path}: {after}");
        let hash = STANDARD.encode(Sha256::digest(script));
        let policy = head.lines().find_map(|line| line.strip_prefix("Content-Security-Policy: ")).unwrap();
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{path}: {policy}");
        assert!(head.contains("no-store"), "{path}: {head}");
    }
}

#[test]
fn a_burst_of_requests_starts_one_look_and_none_before_the_interval_is_over() {
    let root = new_site("burst");
    let server = Server::start(&root, &["--interval", "3600000"]);
    for _ in 0..20 {
        assert!(server.get("/a").contains("Text of a."));
    }
    let stats = stats(&server);
    assert_eq!((&stats["revalidations"], &stats["misses"], &stats["hits"]), (&0.into(), &1.into(), &19.into()));
}
