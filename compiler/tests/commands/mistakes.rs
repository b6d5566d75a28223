//! Mistakes that no folder of files in a repository can hold, as a person sees them.

use std::fs;
use std::os::unix::fs::symlink;

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
