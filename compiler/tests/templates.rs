//! The template language, tested by files: each case in `tests/templates/*.txt` is a small site, and what it renders to
//! or what is wrong with it, as a person sees it. `UPDATE=1` rewrites what is expected.
//!
//! A case begins with a line `@@@ what it shows`. Its files follow, each after a line `=== path`, and then what is
//! expected: `=== renders path` for each page if nothing is an error, `=== reports` if anything is reported. In
//! brackets after a path: `crlf`, `bom`, `no final newline`, `png 40x30` (such an image, whatever stands below).

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compiler::assets::{AssetManifest, AssetNames};
use compiler::config::Config;
use compiler::diagnostic::{self, Diagnostic, Paint, Severity, draw_human};
use compiler::render::{Materials, render_page};
use compiler::site::{Selection, Site};
use compiler::source::SourceFile;
use compiler::template::TemplateSet;

/// If fewer are found, files of cases have been lost or aren't read, and all would seem well.
const CASE_COUNT_MIN: usize = 150;

struct Case {
    name: String,
    /// As they stand in the file: heading and text.
    inputs: Vec<(String, String)>,
    expected: Vec<(String, String)>,
}

#[test]
fn every_case_gives_what_is_expected() {
    // The language is what these files say it is.
    let mut count = 0;
    let mut failed = Vec::new();
    for path in case_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let cases = parse_cases(&text);
        let mut rewritten = text[..text.find("@@@ ").unwrap_or(text.len())].to_owned();
        for case in &cases {
            count += 1;
            let actual = run(case);
            write_case(&mut rewritten, case, &actual);
            if actual != case.expected && std::env::var_os("UPDATE").is_none() {
                let mut shown = format!("{}: {}\n", path.display(), case.name);
                write_sections(&mut shown, &actual);
                failed.push(shown);
            }
        }
        if std::env::var_os("UPDATE").is_some() && rewritten != text {
            std::fs::write(&path, rewritten).unwrap();
        }
    }
    assert!(failed.is_empty(), "{} cases differ; this is what they give:\n\n{}", failed.len(), failed.join("\n\n"));
    assert!(count >= CASE_COUNT_MIN, "only {count} cases were found");
}

#[test]
fn no_truncation_of_a_case_panics() {
    // An editor saves half a tag many times a day.
    for path in case_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        for case in parse_cases(&text) {
            let Some(last) = case.inputs.len().checked_sub(1) else { continue };
            let whole = case.inputs[last].1.clone();
            let step = (whole.len() / 40).max(1);
            for end in (0..whole.len()).step_by(step).filter(|end| whole.is_char_boundary(*end)) {
                let mut inputs = case.inputs.clone();
                inputs[last].1.truncate(end);
                run(&Case { name: case.name.clone(), inputs, expected: Vec::new() });
            }
        }
    }
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}

fn parse_cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("@@@ ") {
            cases.push(Case { name: name.trim().to_owned(), inputs: Vec::new(), expected: Vec::new() });
        } else if let Some(case) = cases.last_mut() {
            let heading = line.strip_prefix("=== ").map(|heading| heading.trim().to_owned());
            match heading {
                Some(heading) if is_expectation(&heading) => case.expected.push((heading, String::new())),
                Some(heading) => case.inputs.push((heading, String::new())),
                None => {
                    let section = case.expected.last_mut().or(case.inputs.last_mut());
                    section.unwrap_or_else(|| panic!("`{}` has text before its first section", case.name)).1 += line;
                }
            }
        }
    }
    for (_, text) in cases.iter_mut().flat_map(|case| case.inputs.iter_mut().chain(&mut case.expected)) {
        // Blank lines part the cases, and end nothing.
        text.truncate(text.trim_end_matches('\n').len());
        text.push('\n');
    }
    cases
}

fn is_expectation(heading: &str) -> bool {
    heading.starts_with("renders ") || heading == "reports"
}

fn write_case(out: &mut String, case: &Case, expected: &[(String, String)]) {
    writeln!(out, "@@@ {}", case.name).unwrap();
    write_sections(out, &case.inputs);
    write_sections(out, expected);
    out.push('\n');
}

fn write_sections(out: &mut String, sections: &[(String, String)]) {
    for (heading, text) in sections {
        writeln!(out, "=== {heading}\n{}", text.trim_end_matches('\n')).unwrap();
    }
}

/// The folders of a site, from its cases' sections.
#[derive(Default)]
struct Folders {
    content: Vec<SourceFile>,
    templates: Vec<SourceFile>,
    static_files: Vec<SourceFile>,
    config: Config,
}

fn read_folders(case: &Case) -> Folders {
    let mut folders = Folders::default();
    folders.config.base_url.push_str("https://example.org");
    for (heading, text) in &case.inputs {
        let (path, options) = match heading.split_once(" (") {
            Some((path, options)) => (path, options.trim_end_matches(')')),
            None => (heading.as_str(), ""),
        };
        let (folder, name) = path.split_once('/').unwrap_or_else(|| panic!("{path} stands in no folder"));
        let file = SourceFile { path: path.into(), name: name.into(), bytes: bytes_of(text, options).into() };
        match folder {
            "content" => folders.content.push(file),
            "templates" => folders.templates.push(file),
            "static" => folders.static_files.push(file),
            "settings" => match name {
                "smart_punctuation" => folders.config.markdown.smart_punctuation = true,
                "plain_headings" => folders.config.markdown.heading_anchors = false,
                _ => panic!("there is no setting {name}"),
            },
            _ => panic!("{path} is in no folder of a site"),
        }
    }
    for files in [&mut folders.content, &mut folders.templates, &mut folders.static_files] {
        files.sort_by(|a, b| a.path.cmp(&b.path));
    }
    folders
}

fn bytes_of(text: &str, options: &str) -> Vec<u8> {
    let mut text = text.to_owned();
    for option in options.split(", ").filter(|option| !option.is_empty()) {
        match option {
            "no final newline" => text.truncate(text.trim_end_matches('\n').len()),
            "crlf" => text = text.replace('\n', "\r\n"),
            "bom" => text.insert(0, '\u{feff}'),
            _ => return png(option.strip_prefix("png ").unwrap_or_else(|| panic!("what is {option}?"))),
        }
    }
    text.into_bytes()
}

fn png(size: &str) -> Vec<u8> {
    let (width, height) = size.split_once('x').unwrap();
    let image = image::DynamicImage::new_rgb8(width.parse().unwrap(), height.parse().unwrap());
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// What a case gives, in the sections of the file.
fn run(case: &Case) -> Vec<(String, String)> {
    let folders = read_folders(case);
    let selection = Selection { drafts: true, future: true, today: jiff::civil::date(2026, 1, 1) };
    let (templates, mut diagnostics) = TemplateSet::parse(&folders.templates);
    let (site, mistakes) = Site::read(&folders.content, &folders.config, selection);
    diagnostics.extend(mistakes);
    let (manifest, mistakes) =
        AssetManifest::of_originals(&folders.static_files, &folders.content, AssetNames::Digested);
    let materials = Materials { site: &site, templates: &templates, manifest: &manifest, live_reload: "" };
    diagnostics.extend(mistakes);
    let mut used = Vec::new();
    let mut rendered = Vec::new();
    for page in &site.pages {
        let result = render_page(page, &materials);
        diagnostics.extend(result.reports());
        used.extend(result.partials);
        rendered.push((format!("renders {}", page.source.path), result.text));
    }
    diagnostics.extend(templates.find_unused(used.iter().map(String::as_str)));
    diagnostic::sort(&mut diagnostics);
    let mut sections = Vec::new();
    if !diagnostics.iter().any(|diagnostic| diagnostic.code.severity() == Severity::Error) {
        for (heading, text) in rendered {
            let note = if text.ends_with('\n') { "" } else { " (no final newline)" };
            sections.push((format!("{heading}{note}"), text.trim_end_matches('\n').to_owned() + "\n"));
        }
    }
    if !diagnostics.is_empty() {
        sections.push(("reports".to_owned(), draw(&diagnostics, &folders)));
    }
    sections
}

fn draw(diagnostics: &[Diagnostic], folders: &Folders) -> String {
    let files = folders.content.iter().chain(&folders.templates).chain(&folders.static_files);
    let texts: BTreeMap<_, _> =
        files.filter_map(|file| Some((Arc::clone(&file.path), file.to_text().ok()?.text))).collect();
    draw_human(diagnostics, &|path| texts.get(path).cloned(), 50, Paint::Plain)
}
