//! Style sheets and scripts at which a parser dies: too large for a folder of test sites. Each is a mistake of its file,
//! and not the end of `kiln`.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Builds a site of a page and one other file.
fn build(name: &str, path: &str, text: &str) -> (Output, std::path::PathBuf) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("apart").join(name);
    drop(fs::remove_dir_all(&root));
    let files = [
        ("site.toml", "base_url = \"https://example.com\"\n"),
        ("content/index.html", "<!doctype html><html lang=\"en\"><head><title>T</title></head><body></body></html>"),
        (path, text),
    ];
    for (path, text) in files {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    (command.args(["build", "--quiet", "--plain-names", "--no-compress", "--site"]).arg(&root).output().unwrap(), root)
}

#[test]
fn a_sum_that_is_too_long_for_the_compiler_of_scss_is_a_mistake() {
    let sum = format!("p {{ margin: 1px{}; }}", " + 1px".repeat(300_000));
    let (output, _) = build("sum", "styles/sum.scss", &sum);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("styles/sum.scss") && told.contains("too much memory"), "{told}");
}

#[test]
fn a_script_that_is_too_deep_for_the_minifier_is_a_mistake_and_can_be_kept() {
    // No brackets, which are counted before.
    let script = format!("x = {}a\n", "!".repeat(3_000_000));
    let (output, root) = build("script", "static/deep.js", &script);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("static/deep.js") && told.contains("js = \"keep\""), "{told}");
    let settings = "base_url = \"https://example.com\"\n[build]\njs = \"keep\"\n";
    fs::write(root.join("site.toml"), settings).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_kiln")).args(["build", "--quiet", "--site"]).arg(&root).status();
    assert!(status.unwrap().success());
}

#[test]
fn who_reads_no_order_is_told_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_kiln")).arg("work-apart").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no work was handed over"));
}
