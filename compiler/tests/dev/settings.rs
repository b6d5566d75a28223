//! Settings that change, filters among them, and those that can't be carried out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use compiler::dev::Desk;
use compiler::watch::Touched;

use super::server::Server;
use super::{new_site, options, write};

/// Has the server read everything, and waits for it.
fn refresh(server: &Server) {
    let mut answer = String::new();
    let request = "POST /admin/cache/refresh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    std::io::Read::read_to_string(&mut server.send(request), &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn write_script(root: &Path, path: &str, text: &str) {
    write(root, path, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
}

const FILTERED: &str = "title = \"One\"\n[[filters]]\nlanguage = \"dia\"\ncommand = [\"bin/dia\"]\n";
const DIAGRAM: &str = "---\ntitle: D\n---\n```dia\nx\n```\n";

#[test]
fn a_header_of_the_settings_is_that_of_files_and_redirects_too() {
    let root = new_site("headers");
    let settings = |value: &str| {
        let rule = format!("[[headers]]\npath = \"*\"\nset = {{ X-A = \"{value}\" }}\n");
        write(&root, "site.toml", &format!("{rule}[redirects]\n\"/old\" = \"/about\"\n"));
    };
    settings("first");
    let server = Server::start(&root, &[]);
    for value in ["first", "second"] {
        settings(value);
        refresh(&server);
        for path in ["/about", "/static/a.css", "/old"] {
            let answer = server.get(path);
            assert!(answer.contains(&format!("X-A: {value}\r\n")), "{path} {value}: {answer}");
        }
    }
}

#[test]
fn a_filter_that_is_installed_or_edited_shows_what_it_gives() {
    let root = new_site("filter-edited");
    write(&root, "site.toml", FILTERED);
    write(&root, "content/d.md", DIAGRAM);
    let server = Server::start(&root, &["--watch"]);
    assert!(server.get("/d").starts_with("HTTP/1.1 500"));
    write_script(&root, "bin/dia", "echo '<b>first</b>'");
    refresh(&server);
    assert!(server.get("/d").contains("<b>first</b>"));
    let mut events = server.events("/d");
    write_script(&root, "bin/dia", "echo '<b>second</b>'");
    while !server.get("/d").contains("<b>second</b>") {
        events.next();
    }
}

#[test]
fn a_filter_says_its_version_and_fails_once() {
    // Each edit of any page would wait for both.
    let root = new_site("filter-asked");
    write(&root, "site.toml", FILTERED);
    write(&root, "content/d.md", DIAGRAM);
    write_script(&root, "bin/dia", "echo \"$1\" >> asked; cat > /dev/null; exit 3");
    let mut desk = Desk::new(options(&root));
    desk.open().unwrap();
    for text in ["One.\n", "Two.\n", "Three.\n"] {
        write(&root, "content/a.md", text);
        let edition = desk.renew(&Touched::Files(["content/a.md".to_owned()].into())).unwrap().unwrap();
        assert!(edition.page_text("/a").is_ok() && edition.page_text("/d").is_err());
    }
    assert_eq!(fs::read_to_string(root.join("asked")).unwrap(), "--version\n\n");
    // Another block is asked about.
    write(&root, "content/d.md", &DIAGRAM.replace('x', "y"));
    desk.renew(&Touched::Anything).unwrap().unwrap();
    assert_eq!(fs::read_to_string(root.join("asked")).unwrap(), "--version\n\n\n");
}

#[test]
fn more_redirects_than_a_bundle_holds_are_a_mistake_and_no_end() {
    let root = new_site("many-patterns");
    let redirects: Vec<_> = (0..1_001).map(|number| format!("\"/{number}/:name\" = \"/about\"\n")).collect();
    write(&root, "site.toml", &format!("[redirects]\n{}", redirects.concat()));
    let server = Server::start(&root, &[]);
    assert!(server.get("/about").starts_with("HTTP/1.1 200"));
    assert!(server.get("/7/x").starts_with("HTTP/1.1 301"));
    write(&root, "content/new.md", "# New\n");
    refresh(&server);
    assert!(server.get("/new").starts_with("HTTP/1.1 200"));
}
