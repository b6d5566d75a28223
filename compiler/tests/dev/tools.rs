//! The site's tools while it is written.

use std::fs;
use std::process::Command;

use crate::server::{Server, is_gone, until};
use crate::{new_site, write};

/// A tool that runs this script.
fn tool(name: &str, script: &str, inputs: &str) -> String {
    format!("[[tools]]\nname = \"{name}\"\ncommand = [\"sh\", \"-c\", '{script}']\ninputs = [{inputs}]\n")
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
fn a_tool_that_writes_what_was_there_changes_nothing() {
    let root = new_site("tool-same");
    write(&root, "static/made.txt", "same\n");
    write(&root, "site.toml", &tool("again", "echo same > made; mv made static/made.txt", "\"content/a.md\""));
    let server = Server::start(&root, &["--watch"]);
    until("it ran", || server.said().iter().any(|line| line.contains("the tool `again` is done")));
    write(&root, "static/a.css", "p { color: blue }");
    until("the change is told", || server.changes().iter().any(|line| line.contains("static/a.css")));
    let changes = server.changes();
    assert!(!changes.iter().any(|line| line.contains("made.txt")), "{changes:#?}");
}
