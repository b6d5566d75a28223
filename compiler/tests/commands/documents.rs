//! What the program says of itself, and the small helpers around a site: completions, manual pages, version, a new post,
//! the difference of two bundles.

use std::fs;

use super::{build, folder, kiln, kiln_with, names, small_site, write};

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = kiln(&["completions", shell]);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{shell}");
        for word in ["kiln", "inspect", "warnings-as-errors"] {
            assert!(outcome.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(kiln(&["completions", "cmd"]).status, 2);
}

#[test]
fn every_command_has_a_manual_page_and_it_is_always_the_same() {
    let folder = folder("man");
    let whole = kiln(&["man"]);
    assert!(whole.status == 0 && whole.stdout.contains(".TH kiln 1"), "{}", whole.stdout);
    for out in ["one", "two"] {
        assert_eq!(kiln(&["man", folder.join(out).to_str().unwrap()]).status, 0);
    }
    let pages = names(&folder.join("one"));
    for page in ["kiln.1", "kiln-build.1", "kiln-check.1", "kiln-urls.1", "kiln-urls-accept.1", "kiln-post.1"] {
        assert!(pages.contains(&page.to_owned()), "{page}: {pages:?}");
    }
    for page in pages {
        assert_eq!(
            fs::read(folder.join("one").join(&page)).unwrap(),
            fs::read(folder.join("two").join(&page)).unwrap()
        );
    }
    write(folder.join("file"), "");
    assert_eq!(kiln(&["man", folder.join("file").to_str().unwrap()]).status, 4);
}

#[test]
fn the_version_names_the_bundles_format() {
    let outcome = kiln(&["--version"]);
    assert!(outcome.stdout.starts_with("kiln 0.1.0 ("), "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with("bundle format 1)\n"), "{}", outcome.stdout);
}

#[test]
fn a_post_has_its_name_its_date_and_never_takes_anothers_place() {
    let site = small_site("post");
    let post = |title: &str| {
        kiln_with(&["post", title, "--site", site.to_str().unwrap()], &[("SOURCE_DATE_EPOCH", "1760000000")])
    };
    let outcome = post("Café: \"a\" story & more");
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.ends_with("content/cafe-a-story-more.md\n"), "{}", outcome.stdout);
    let text = fs::read_to_string(site.join("content/cafe-a-story-more.md")).unwrap();
    assert!(text.starts_with("---\ntitle: \"Café: \\\"a\\\" story & more\"\ndate: 2025-10-09\nsummary: "), "{text}");
    let built = build(&site);
    assert!(built.status == 0 && built.stderr.contains("(1 post)"), "{}", built.stderr);
    write(site.join("content/index.html"), "<% each posts as=\"item.html\" %/>");
    write(site.join("templates/item.html"), "{{title}}");
    assert_eq!(build(&site).status, 0);
    assert_eq!(post("Cafe A STORY more").status, 2);
    assert_eq!(fs::read_to_string(site.join("content/cafe-a-story-more.md")).unwrap(), text);
    write(site.join("content/taken.html"), "x");
    assert_eq!(post("Taken").status, 2);
    for nothing in ["", "!!!", "a\nb"] {
        assert_eq!(post(nothing).status, 2, "{nothing:?}");
    }
    write(site.join("templates/post.html"), "{{body}}");
    fs::create_dir(site.join("content/blog")).unwrap();
    assert!(post("Second").stdout.ends_with("content/blog/second.md\n"));
    assert!(fs::read_to_string(site.join("content/blog/second.md")).unwrap().contains("layout: post.html\n"));
    assert_eq!(build(&site).status, 0);
    assert_eq!(kiln(&["post", "x", "--site", folder("post-nowhere").to_str().unwrap()]).status, 2);
}

#[test]
fn two_bundles_differ_by_what_came_went_and_changed() {
    let site = small_site("diff");
    write(site.join("content/went.html"), "went");
    write(site.join("content/same.html"), "same");
    write(site.join("content/changed.html"), "before");
    let build = |out: &str| {
        let arguments = ["build", "--quiet", "--plain-names", "--site", site.to_str().unwrap(), "--out", out];
        assert_eq!(kiln(&arguments).status, 0);
        site.join(out).join("site.bundle").to_str().unwrap().to_owned()
    };
    let old = build("one");
    fs::remove_file(site.join("content/went.html")).unwrap();
    write(site.join("content/changed.html"), "afterwards");
    write(site.join("content/came.html"), "came here");
    let settings = fs::read_to_string(site.join("site.toml")).unwrap();
    write(site.join("site.toml"), settings + "[redirects]\n\"/went\" = \"/came\"\n\"/old/*\" = \"/came\"\n");
    let new = build("two");
    let outcome = kiln(&["inspect", "--diff", &old, &new]);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("+ page     /came  identity 9\n+ pattern  /old/*  identity "),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("~ page     /changed  body: identity 6 → 10 (+4)\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("~ redirect /went  status, kind, location, body"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("\n2 came, 0 went, 3 changed, "), "{}", outcome.stdout);
    let back: serde_json::Value =
        serde_json::from_str(&kiln(&["inspect", "--diff", &new, &old, "--json"]).stdout).unwrap();
    assert_eq!(back["went"][0]["path"], "/came");
    assert_eq!(back["changed"][0]["after"]["bytes"]["identity"], 6);
    let same = kiln(&["inspect", "--diff", &old, &old]);
    assert!(
        same.stdout.starts_with("0 came, 0 went, 0 changed, ") && same.stdout.ends_with("no byte more or less\n"),
        "{}",
        same.stdout
    );
    assert_eq!(kiln(&["inspect", "--diff", &old]).status, 2);
    assert_eq!(kiln(&["inspect", "--diff", &old, "/nowhere"]).status, 4);
    assert_eq!(kiln(&["inspect"]).status, 2);
}
