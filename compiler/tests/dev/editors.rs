//! What editors, version control and people do to files, and what of that is a change.

use std::fs;
use std::io::Write;
use std::time::Duration;

use crate::server::{Server, until};
use crate::{new_site, write};

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
fn however_an_editor_saves_only_the_page_has_changed() {
    let root = new_site("saves");
    let server = Server::start(&root, &["--watch"]);
    let mut events = server.events("/a");
    let page = root.join("content/a.md");
    // Beside the file and renamed, as most editors do it.
    write(&root, "content/.a.md.swp", "swap");
    write(&root, "content/.a.md.swx", "Renamed.\n");
    fs::rename(root.join("content/.a.md.swx"), &page).unwrap();
    assert_eq!(events.next()["type"], "full");
    assert!(server.get("/a").contains("Renamed."));
    // The old file is kept under another name.
    fs::rename(&page, root.join("content/a.md~")).unwrap();
    write(&root, "content/a.md", "Beside the old one.\n");
    until("it is read", || server.get("/a").contains("Beside the old one."));
    // In two steps: emptied, then written.
    let mut file = fs::File::create(&page).unwrap();
    std::thread::sleep(Duration::from_millis(2));
    file.write_all(b"In two steps.\n").unwrap();
    drop(file);
    until("it is read whole", || server.get("/a").contains("In two steps."));
    for litter in [".#a.md", "#a.md#", "._a.md", ".DS_Store", "a.md.swp"] {
        write(&root, &format!("content/{litter}"), "litter");
    }
    write(&root, "content/a.md", "Last.\n");
    until("the last one is read", || server.changes().last().is_some_and(|_| server.get("/a").contains("Last.")));
    let changes = server.changes();
    assert!(changes.iter().all(|line| line.starts_with("kiln: content/a.md: ")), "{changes:#?}");
    for path in ["/.a.md.swp", "/a.md~", "/.DS_Store"] {
        assert!(server.get(path).starts_with("HTTP/1.1 404 "), "{path}");
    }
}

#[test]
fn what_lies_beside_the_folders_of_the_site_is_no_change_and_what_git_ignores_within_them_is_one() {
    // A build into `dist/` or an `npm install` would make all open pages again, or begin an endless loop.
    let root = new_site("ignored");
    write(&root, ".gitignore", "dist/\nnode_modules/\nstatic/made.css\n");
    write(&root, "dist/manifest.json", "{}");
    write(&root, "node_modules/a/index.js", "1");
    let server = Server::start(&root, &["--watch"]);
    let mut events = server.events_with("", "");
    let beside = ["dist/manifest.json", "dist/new.html", "node_modules/a/index.js", "node_modules/b/content/x.md"];
    for path in beside.iter().chain(&[".git/index", ".kiln/cache/00/x", "target/debug/x", "notes.md", ".gitignore"]) {
        write(&root, path, "other");
    }
    // What a tool makes for the site isn't kept in version control, and is part of the site.
    write(&root, "static/made.css", "p { color: blue }");
    assert_eq!(events.next()["type"], "css");
    until("the change is told", || !server.changes().is_empty());
    let changes = server.changes();
    assert!(changes.len() == 1 && changes[0].starts_with("kiln: static/made.css: "), "{changes:#?}");
    assert!(server.get("/static/made.css").contains("p{color:"));
}

#[test]
fn a_change_of_thousands_of_files_is_not_thousands_of_changes() {
    let root = new_site("branch");
    let server = Server::start(&root, &["--watch"]);
    for number in 0..2_000 {
        write(&root, &format!("content/many/{number}.txt"), "x\n");
    }
    until("all are there", || server.get("/many/1999.txt").starts_with("HTTP/1.1 200 "));
    // How many there are depends on the disk; one, as a rule.
    let changes = server.changes();
    assert!(changes.len() <= 20, "{changes:#?}");
}

#[test]
fn a_page_that_is_renamed_is_at_its_new_place_and_nowhere_else() {
    let root = new_site("renamed");
    let server = Server::start(&root, &["--watch"]);
    let mut events = server.events("/a");
    fs::rename(root.join("content/a.md"), root.join("content/z.md")).unwrap();
    assert_eq!(events.next()["type"], "full");
    assert!(server.get("/a").starts_with("HTTP/1.1 404 "));
    assert!(server.get("/z").contains("Text of a."));
    assert!(server.get("/").contains("href=\"/z\""));
}
