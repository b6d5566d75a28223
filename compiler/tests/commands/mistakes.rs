//! Mistakes that no folder of files in a repository can hold, as a person sees them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{kiln, small_site, write};

#[test]
fn a_name_that_can_not_be_a_url_is_a_mistake_at_its_file() {
    // Servers and clients take such a name for another one.
    let site = small_site("bad-path");
    write(site.join("content/a\\b.txt"), "x");
    write(site.join("static/c\u{7}.txt"), "x");
    let outcome = kiln(&["check", "--site", site.to_str().unwrap()]);
    assert_eq!(outcome.status, 1);
    assert_eq!(
        outcome.stderr,
        "error[bad-path]: the file's path has a control character or a backslash\n --> content/a\\b.txt:1:1\n\n\
         error[bad-path]: the file's path has a control character or a backslash\n --> static/c\u{2407}.txt:1:1\n\n\
         2 errors\n"
    );
}

#[test]
fn a_link_out_of_the_site_is_a_mistake_at_the_link() {
    // It would publish what lies beside the site.
    let site = small_site("link-outside");
    symlink("/etc/passwd", site.join("content/secret.txt")).unwrap();
    let outcome = kiln(&["check", "--site", site.to_str().unwrap()]);
    assert_eq!(outcome.status, 1);
    assert_eq!(
        outcome.stderr,
        "error[link-outside]: the link leads out of the site, to `/etc/passwd`\n --> content/secret.txt:1:1\n = help: copy what \
         it leads to into the site\n\n1 error\n"
    );
}

#[test]
fn a_page_of_more_than_256_megabytes_is_a_mistake_at_the_page() {
    // It would end the build by its memory.
    let site = small_site("page-too-large");
    write(site.join("templates/large.html"), "a".repeat(1024 * 1024));
    write(site.join("content/index.html"), "<% large.html %/>\n".repeat(257));
    let outcome = kiln(&["check", "--site", site.to_str().unwrap()]);
    assert_eq!(outcome.status, 1);
    assert_eq!(
        outcome.stderr,
        "error[page-too-large]: the page renders to more than 256 MB\n --> content/index.html:1:1\n = help: a partial or a \
         collection is repeated too often\n\n1 error\n"
    );
    fs::remove_dir_all(site).unwrap();
}

/// What a check says of a site with these settings; nothing if they are fine.
fn said_of(site: &Path, settings: &str) -> String {
    write(site.join("site.toml"), format!("base_url = \"https://example.com\"\n{settings}"));
    let outcome = kiln(&["check", "--site", site.to_str().unwrap()]);
    assert_eq!(outcome.status, i32::from(outcome.stderr.contains("error[")), "{}", outcome.stderr);
    outcome.stderr.lines().find(|line| line.starts_with("error[")).unwrap_or_default().to_owned()
}

#[test]
fn settings_have_bounds() {
    let site = small_site("setting-bounds");
    let wait = |seconds: u64| format!("[[tools]]\ncommand = [\"true\"]\ntimeout_seconds = {seconds}\n");
    assert_eq!(said_of(&site, &wait(86_400)), "");
    let message = "error[bad-config]: `tools.timeout_seconds` is a whole number from 0 to 86400";
    for seconds in [86_401, i64::MAX as u64] {
        assert_eq!(said_of(&site, &wait(seconds)), message);
    }
    let taxonomy = |len: usize| format!("[taxonomies]\ntags = {{ path = \"/{}\" }}\n", "a".repeat(len - 1));
    assert_eq!(said_of(&site, &taxonomy(1_000)), "");
    assert!(said_of(&site, &taxonomy(1_001)).starts_with("error[bad-config]: a taxonomy can't be published at"));
    let name = format!("[taxonomies]\n{} = {{}}\n", "a".repeat(1_001));
    assert_eq!(said_of(&site, &name), "error[bad-config]: the name of a taxonomy is too long");
    let deep = |brackets: usize| format!("x = {}1{}\n", "{ a.a.a.a.a.a.a.a = ".repeat(brackets), " }".repeat(brackets));
    assert_eq!(said_of(&site, &deep(8)), "error[bad-config]: there is no key `x`");
    assert_eq!(said_of(&site, &deep(9)), "error[bad-config]: it is nested too deep");
    write(site.join("content/b.md"), format!("+++\ntitle = \"B\"\n{}+++\nText\n", deep(78)));
    assert_eq!(said_of(&site, ""), "error[bad-front-matter]: it is nested too deep");
    write(site.join("content/b.md"), format!("---\ntitle: B\ntags: [{}]\n---\nText\n", "a".repeat(501)));
    assert_eq!(said_of(&site, ""), "error[bad-front-matter]: a term of 501 letters is too long");
    write(site.join("content/b.md"), format!("---\ntitle: B\ntags: [{}]\n---\nText\n", "a".repeat(500)));
    assert_eq!(said_of(&site, ""), "");
    write(site.join("data/x.toml"), format!("row = [{}]\n", deep(78).trim_start_matches("x = ").trim()));
    assert_eq!(said_of(&site, ""), "error[bad-data]: it is nested too deep");
}

#[test]
fn a_page_of_five_thousand_lines_and_a_hundred_thousand_links_is_checked_to_its_end() {
    let site = small_site("many-links");
    write(site.join("content/about.md"), "# About\n\n## Part\n");
    let line = |broken: &str| format!("{}{broken}\n", "[a](about.md#part) ".repeat(20));
    let lines = |broken: &str| [line("").repeat(4_998), line(broken), line("")].concat();
    write(site.join("content/long.md"), lines("[b](/nowhere)"));
    let outcome = kiln(&["check", "--site", site.to_str().unwrap()]);
    assert_eq!(outcome.status, 1);
    let place = " --> content/long.md:4999:381\n";
    assert!(outcome.stderr.starts_with("error[broken-link]: ") && outcome.stderr.contains(place), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("\n1 error\n"), "{}", outcome.stderr);
    write(site.join("content/long.md"), lines(""));
    assert_eq!(kiln(&["check", "--site", site.to_str().unwrap()]).status, 0);
    fs::remove_dir_all(site).unwrap();
}
