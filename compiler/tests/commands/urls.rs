//! `urls.lock`: what is recorded, what is lost, and what is likely to have taken its place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Outcome, build, kiln, kiln_with, small_site, write};

fn accept(site: &Path) -> Outcome {
    kiln(&["urls", "accept", "--site", site.to_str().unwrap()])
}

fn check(site: &Path) -> Outcome {
    kiln(&["check", "--site", site.to_str().unwrap()])
}

fn lock(site: &Path) -> String {
    fs::read_to_string(site.join("urls.lock")).unwrap()
}

/// A page of words that no other page has, but for those of the layout.
fn page(number: usize) -> String {
    let mut state = number as u64 + 1;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("w{}", (state >> 33) % 100_000)
    };
    let words: Vec<_> = (0..120).map(|_| word()).collect();
    format!("---\ntitle: Page {number}\nlayout: base.html\n---\n{}\n", words.join(" "))
}

fn site_of_pages(name: &str, count: usize) -> PathBuf {
    let site = small_site(name);
    write(site.join("templates/base.html"), "<h1>{{title}}</h1><nav>the same words on every page</nav>{{body}}");
    for number in 0..count {
        write(site.join(format!("content/old/p{number}.md")), page(number));
    }
    site
}

#[test]
fn the_lock_is_a_line_a_url_with_its_source() {
    let site = small_site("lock");
    write(site.join("site.toml"), "base_url = \"https://example.com\"\n[redirects]\n\"/moved\" = \"/b\"\n");
    write(
        site.join("content/b.html"),
        "---\naliases: [/older]\n---\n<a href=\"/#top-part\">x</a> <a href=\"#own\" id=own>y</a>",
    );
    write(
        site.join("content/index.html"),
        "<link rel=stylesheet href=\"{{+ /static/a.css}}\"><h1 id=top-part>Home</h1>\n",
    );
    write(site.join("content/a file.txt"), "text");
    write(site.join("content/404.html"), "nothing here");
    write(site.join("content/soon.md"), "---\ndraft: true\n---\n");
    let outcome = accept(&site);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "urls.lock: 9 URLs, 9 new\n"), "{}", outcome.stderr);
    let expected = "/ content/index.html\n/#top-part content/index.html\n/a%20file.txt content/a file.txt\n\
        /b content/b.html\n/feed.json site.toml\n/feed.xml site.toml\n/robots.txt site.toml\n/sitemap.xml site.toml\n/static/a.css static/a.css\n";
    assert_eq!(lock(&site), expected);
    assert_eq!(accept(&site).stdout, "urls.lock: 9 URLs, 0 new\n");
    assert_eq!(lock(&site), expected);
    assert_eq!(check(&site).status, 0);
    write(site.join("site.toml"), "[redirects]\n\"/moved\" = \"/b\"\n");
    assert!(!check(&site).stderr.contains("lost-url"), "without an address there is no feed, and that is said once");
}

#[test]
fn nothing_is_checked_and_nothing_written_without_a_lock() {
    let site = small_site("no-lock");
    assert_eq!(build(&site).status, 0);
    assert!(!site.join("urls.lock").exists() && !site.join("urls.sketches").exists());
    assert_eq!(kiln(&["build", "--lock", "--site", site.to_str().unwrap()]).status, 0);
    assert!(lock(&site).contains("/ content/index.html\n"));
    assert_eq!(kiln(&["build", "--lock", "--drafts", "--site", site.to_str().unwrap()]).status, 2);
}

#[test]
fn a_lost_url_is_an_error_at_its_line_until_it_leads_somewhere_or_is_gone() {
    let site = site_of_pages("lost", 3);
    assert_eq!(accept(&site).status, 0);
    fs::rename(site.join("content/old/p1.md"), site.join("content/elsewhere.md")).unwrap();
    let outcome = check(&site);
    assert_eq!(outcome.status, 1);
    let expected = "error[lost-url]: `/old/p1`, from `content/old/p1.md`, was published and is lost: nothing answers it any more\n \
        --> urls.lock:5:1\n";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("probably it is `/elsewhere` now: write `\"/old/p1\" = \"/elsewhere\"`"),
        "{}",
        outcome.stderr
    );
    assert_eq!(build(&site).status, 1);
    let outcome = accept(&site);
    assert_eq!(outcome.status, 1, "accepting doesn't forget");
    assert!(
        lock(&site).contains("/old/p1 content/old/p1.md\n")
            && lock(&site).contains("/elsewhere content/elsewhere.md\n")
    );
    let roads = [
        "[redirects]\n\"/old/p1\" = \"/elsewhere\"\n",
        "[redirects]\n\"/old/p1\" = { status = 410 }\n",
        "[redirects]\n\"/old/:x\" = \"/elsewhere\"\n",
        "[redirects]\n\"/old/*\" = { status = 410 }\n",
        "[redirects]\n\"/*\" = \"https://example.org/:splat\"\n",
    ];
    for road in roads {
        write(site.join("site.toml"), road);
        assert!(!check(&site).stderr.contains("lost-url"), "{road}");
    }
    write(site.join("site.toml"), "[redirects]\n\"/old/:x\" = \"/old/:x/y\"\n");
    assert!(check(&site).stderr.contains("error[lost-url]: `/old/p1`"), "a pattern that leads to nothing is no road");
    write(site.join("site.toml"), "");
    write(site.join("content/elsewhere.md"), page(1).replace("---\ntitle", "---\naliases: [/old/p1]\ntitle"));
    assert_eq!(check(&site).status, 0);
    write(site.join("content/elsewhere.md"), page(1).replace("---\ntitle", "---\npath: /old/p1\ndraft: true\ntitle"));
    assert!(check(&site).stderr.contains("; it is a draft now"));
}

#[test]
fn a_part_that_others_link_to_is_locked_too() {
    let site = small_site("parts");
    write(site.join("content/a.html"), "<h2 id=install>Install</h2><h2 id=unlinked>x</h2>");
    write(site.join("content/b.html"), "<a href=\"/a#install\">x</a>");
    assert_eq!(accept(&site).status, 0);
    assert!(lock(&site).contains("/a#install content/a.html\n") && !lock(&site).contains("unlinked"));
    write(site.join("content/a.html"), "<h2 id=instal>Install</h2>");
    write(site.join("content/b.html"), "no link any more");
    let outcome = check(&site);
    assert_eq!(outcome.status, 1);
    assert!(outcome.stderr.contains("`/a#install` was linked to and is lost"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("is it `#instal` now?"), "{}", outcome.stderr);
    fs::remove_file(site.join("content/a.html")).unwrap();
    let outcome = check(&site);
    assert_eq!(outcome.stderr.matches("error[lost-url]").count(), 1, "a lost page is one mistake: {}", outcome.stderr);
}

#[test]
fn two_hundred_random_renames_and_deletions_are_all_found_and_nothing_else() {
    // The promise of the lock: every lost URL at its old source with the page that took its place, no false alarm.
    const COUNT: usize = 300;
    let site = site_of_pages("two-hundred", COUNT);
    assert_eq!(accept(&site).status, 0);
    let mut state = 42_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut changed = BTreeSet::new();
    while changed.len() < 200 {
        changed.insert(random(COUNT));
    }
    let mut renamed = Vec::new();
    for number in &changed {
        let old = site.join(format!("content/old/p{number}.md"));
        if random(4) == 0 {
            fs::remove_file(old).unwrap();
            continue;
        }
        // Half of them are edited as well: a third of their words goes.
        let mut text = page(*number);
        if random(2) == 0 {
            text.truncate(text.len() - text.len() / 3);
        }
        let new = format!("/new{}/x{}", random(5), number * 7919 % 1009);
        fs::remove_file(old).unwrap();
        write(site.join(format!("content{new}.md")), text);
        renamed.push((*number, new));
    }
    let outcome = kiln(&["check", "--site", site.to_str().unwrap(), "--format", "json"]);
    let found: Vec<serde_json::Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|one: &serde_json::Value| one["code"] == "lost-url")
        .collect();
    let lost: BTreeSet<String> =
        found.iter().map(|one| one["message"].as_str().unwrap().split('`').nth(1).unwrap().to_owned()).collect();
    assert_eq!(lost, changed.iter().map(|number| format!("/old/p{number}")).collect());
    assert_eq!(found.len(), 200);
    for (number, new) in &renamed {
        let message = format!("`/old/p{number}`, from `content/old/p{number}.md`, was published and is lost");
        let one = found.iter().find(|one| one["message"].as_str().unwrap().starts_with(&message)).unwrap();
        let help = one["help"].as_str().unwrap();
        assert!(help.starts_with(&format!("probably it is `{new}` now")), "{number}: {help}");
        let line = usize::try_from(one["line"].as_u64().unwrap()).unwrap();
        assert!(lock(&site).lines().nth(line - 1).unwrap().starts_with(&format!("/old/p{number} ")));
    }
}

#[test]
fn an_old_sites_sitemap_can_be_taken_over() {
    let site = small_site("sitemap");
    let sitemap = site.join("old.xml");
    let text = "<?xml version=\"1.0\"?>\n<urlset><url>\n<loc>https://old.example/caf%C3%A9?a=1&amp;b=2</loc></url>\n\
        <url><loc> <![CDATA[https://old.example]]> </loc></url><url><loc>https://old.example/a/</loc></url></urlset>";
    write(sitemap.clone(), text);
    let import = || kiln(&["urls", "import", sitemap.to_str().unwrap(), "--site", site.to_str().unwrap()]);
    let outcome = import();
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.starts_with("urls.lock: 3 URLs, 3 new;"), "{}", outcome.stdout);
    assert_eq!(lock(&site), "/ old.xml\n/a/ old.xml\n/caf%C3%A9 old.xml\n");
    assert!(import().stdout.starts_with("urls.lock: 3 URLs, 0 new;"));
    assert_eq!(check(&site).stderr.matches("error[lost-url]").count(), 2);
    for (wrong, message) in [
        ("<urlset>\n<loc>ftp://x/</loc>", "old.xml:2: this is no http or https URL"),
        ("<urlset><loc>https://x/", "`<loc>` is never closed"),
        ("<sitemapindex>", "a list of sitemaps"),
        ("", "there is no `<loc>`"),
    ] {
        write(sitemap.clone(), wrong);
        let outcome = import();
        assert_eq!(outcome.status, 1, "{wrong}");
        assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    }
    fs::remove_file(&sitemap).unwrap();
    assert_eq!(import().status, 4);
}

#[test]
fn an_import_never_writes_over_a_lock_that_can_not_be_read() {
    // One byte that is not UTF-8, or the marks of a conflict, and every URL ever published would be forgotten.
    let site = small_site("import-bad-lock");
    let sitemap = site.join("old.xml");
    write(sitemap.clone(), "<urlset><url><loc>https://old.example/a</loc></url></urlset>");
    for (lock, message) in [
        (&b"/ content/index.html\n/caf\xe9 content/x.md\n"[..], "not UTF-8"),
        (&b"/ content/index.html\n=======\n/b content/b.md\n"[..], "urls.lock:2:1"),
    ] {
        write(site.join("urls.lock"), lock);
        let outcome = kiln(&["urls", "import", sitemap.to_str().unwrap(), "--site", site.to_str().unwrap()]);
        assert_eq!(outcome.status, 1);
        assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
        assert_eq!(fs::read(site.join("urls.lock")).unwrap(), lock);
        assert_eq!(accept(&site).status, 1);
        assert_eq!(fs::read(site.join("urls.lock")).unwrap(), lock);
    }
}

#[test]
fn a_lock_that_can_not_be_read_is_a_mistake_at_its_line() {
    let site = small_site("bad-lock");
    write(site.join("urls.lock"), "<<<<<<< HEAD\r\n/ content/index.html\r\n\r\n/x\r\n");
    let outcome = check(&site);
    assert_eq!(outcome.status, 1);
    for place in ["urls.lock:1:1", "urls.lock:4:1"] {
        assert!(outcome.stderr.contains(place), "{}", outcome.stderr);
    }
    assert_eq!(outcome.stderr.matches("error[bad-lock]").count(), 2);
    assert_eq!(accept(&site).status, 1, "what can't be read isn't thrown away");
    assert!(lock(&site).starts_with("<<<<<<< HEAD"));
    write(site.join("urls.lock"), b"/ content/index.html\n/caf\xe9 x\n");
    assert!(kiln_with(&["check", "--site", site.to_str().unwrap()], &[]).stderr.contains("not UTF-8"));
}
