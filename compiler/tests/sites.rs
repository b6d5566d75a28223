//! A site in, its published routes or its diagnostics out. Each folder of `tests/sites` is a site; the file beside it says
//! what `kiln` makes of it. `UPDATE=1` rewrites those files, and the diff is read.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bundle::BundleView;

fn sites() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sites");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut sites: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    sites.sort();
    sites
}

/// Builds a site and describes what came of it: messages, exit status, and each route with its body if it is text. Assets
/// have their plain names, unless the folder's name begins with `digested-`.
fn outcome(site: &Path) -> String {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sites").join(site.file_name().unwrap());
    drop(fs::remove_dir_all(&out));
    let is_digested = site.file_name().unwrap().to_string_lossy().starts_with("digested-");
    let output = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(["build", "--quiet", "--no-compress"])
        .args((!is_digested).then_some("--plain-names"))
        .arg("--site")
        .arg(site)
        .arg("--out")
        .arg(&out)
        .env("SOURCE_DATE_EPOCH", "1760000000")
        .output()
        .unwrap();
    let mut text = String::from_utf8(output.stderr).unwrap();
    writeln!(text, "exit status {}", output.status.code().unwrap()).unwrap();
    if let Ok(bytes) = fs::read(out.join("site.bundle")) {
        let heads = if site.join("show-heads").exists() { Heads::Shown } else { Heads::Hidden };
        describe(&BundleView::open(bytes).unwrap(), heads, &mut text);
    }
    text
}

/// Whether the fields of each head are written out: those of a site that has a file `show-heads`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heads {
    Shown,
    Hidden,
}

fn describe(view: &BundleView<Vec<u8>>, heads: Heads, text: &mut String) {
    for route in view.routes() {
        let (path, head) = (String::from_utf8_lossy(route.path()), route.identity().head());
        let fields = String::from_utf8_lossy(head.fields());
        let media_type = fields.lines().find_map(|line| line.strip_prefix("Content-Type: ")).unwrap_or("-").to_owned();
        let status_and_kind = format!("{} {:?}", route.status(), route.kind());
        writeln!(text, "\n==== {path} {status_and_kind} {media_type}").unwrap();
        for field in fields.lines().filter(|field| heads == Heads::Shown && !field.starts_with("ETag")) {
            writeln!(text, "{field}").unwrap();
        }
        if !route.location().is_empty() {
            writeln!(text, "→ {}", String::from_utf8_lossy(route.location())).unwrap();
        } else if let Ok(body) = str::from_utf8(route.identity().body()) {
            text.push_str(body);
            if !body.ends_with('\n') {
                text.push_str("⏎\n");
            }
        } else {
            writeln!(text, "({} bytes)", route.identity().body().len()).unwrap();
        }
    }
}

#[test]
fn every_site_gives_what_the_file_beside_it_says() {
    let mut differing = Vec::new();
    for site in sites() {
        let expected_file = site.with_extension("expected");
        let actual = outcome(&site);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&expected_file, &actual).unwrap();
        }
        let expected = fs::read_to_string(&expected_file).unwrap_or_default();
        if actual != expected {
            differing.push(format!("{}\n--- expected\n{expected}\n--- actual\n{actual}", site.display()));
        }
    }
    assert!(!sites().is_empty());
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}
