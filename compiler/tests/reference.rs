//! The site's reference pages against the program: every diagnostic, every key of `site.toml`, every command and option
//! stands on its page, and nothing stands there that doesn't exist.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use compiler::args::Arguments;
use compiler::config::Config;
use compiler::diagnostic::{Code, Severity, SourceText};
use runtime::http::response::reason_phrase;
use runtime::metrics::Event;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("content/docs").join(name)).unwrap()
}

/// The sections of a page by their headings.
fn sections(page: &str) -> BTreeMap<&str, &str> {
    page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect()
}

/// What stands as code in the first cell of each row.
fn first_cells(text: &str) -> Vec<&str> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |").map(|(cell, _)| cell));
    cells.flat_map(|cell| cell.trim_end_matches('`').split("`, `")).collect()
}

/// The words of a text that are options.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words.filter(|word| word.len() > 3 && word.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn every_diagnostic_stands_on_its_page_under_its_severity_with_its_meaning() {
    // The names are a promise to scripts, and what somebody looks for who got one.
    let page = page("diagnostics.md");
    let sections = sections(&page);
    for (severity, heading) in [(Severity::Error, "Errors"), (Severity::Warning, "Warnings")] {
        let codes = Code::ALL.iter().filter(|code| code.severity() == severity);
        let rows: Vec<_> = sections[heading].lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<_> =
            codes.map(|code| format!("| `{}` | {} | ", code.name(), code.meaning().replace('\'', "’"))).collect();
        assert_eq!(rows.len(), expected.len(), "{heading}: {:?}", first_cells(sections[heading]));
        for (row, expected) in rows.iter().zip(expected) {
            assert!(row.starts_with(&expected) && row.len() > expected.len() + 12, "{row}\nexpected: {expected}…");
        }
    }
}

/// The texts of all files below a folder of tests whose names end so.
fn texts(folder: &Path, endings: &[&str]) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
    files.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_diagnostic_is_shown_by_a_test_as_a_person_sees_it() {
    // What nobody looks at says the wrong thing of the wrong place.
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let shown = texts(&tests.join("sites"), &[".expected"])
        + &texts(&tests.join("templates"), &[".txt"])
        + &texts(&tests.join("commands"), &[".rs"]);
    // It takes a file that changes at the right moment: `held.rs` has one.
    let others = [Code::ChangedFile];
    let is_shown = |code: &&Code| shown.contains(&format!("[{}]: ", code.name()));
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !is_shown(code) && !others.contains(code)).collect();
    assert_eq!(missing, [] as [&Code; 0]);
}

/// A file with one key, written as its path says.
fn with_key(path: &str, is_list: bool) -> String {
    match path.rsplit_once('.') {
        None => format!("{path} = 1.5\n"),
        Some((table, key)) if is_list => format!("[[{table}]]\n{key} = 1.5\n"),
        Some((table, key)) => format!("[{table}]\n{key} = 1.5\n"),
    }
}

/// Whether the compiler knows a key: another type is a mistake of its own.
fn is_known(path: &str) -> bool {
    let is_list = ["headers.", "tools.", "filters."].iter().any(|table| path.starts_with(table));
    let source = SourceText { path: "site.toml".into(), text: with_key(path, is_list).into() };
    let (_, diagnostics) = Config::parse(&source);
    !diagnostics.iter().any(|diagnostic| diagnostic.message.contains("there is no key"))
}

/// The keys that the compiler asks for, by their last part.
fn keys_asked_for() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let folder = root().join("compiler/src/config");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(root().join("compiler/src/config.rs"));
    let readers = "text checked_text flag count list number quality widths";
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for reader in readers.split(' ') {
            let call = format!(".{reader}(\"");
            let calls = text.split(&call).skip(1);
            keys.extend(calls.map(|after| after.split('"').next().unwrap().to_owned()));
        }
    }
    keys
}

#[test]
fn every_key_of_the_settings_stands_on_its_page_and_no_other() {
    let page = page("settings.md");
    let keys = first_cells(&page);
    assert!(!is_known("nonsense") && !is_known("build.nonsense") && !is_known("tools.nonsense"));
    for key in &keys {
        assert!(is_known(key), "`{key}` is no key");
    }
    let asked = keys_asked_for();
    assert!(asked.len() > 30, "{asked:?}");
    for asked in asked {
        assert!(keys.iter().any(|key| key.rsplit('.').next() == Some(&asked)), "`{asked}` is missing");
    }
}

/// Each command that can be run, with its options.
fn commands(command: &clap::Command, name: &str) -> Vec<(String, BTreeSet<String>)> {
    let is_for_people = |inner: &&clap::Command| inner.get_name() != "help" && !inner.is_hide_set();
    let inner: Vec<_> = command.get_subcommands().filter(is_for_people).collect();
    if inner.is_empty() {
        let flags = command.get_arguments().filter_map(|argument| argument.get_long());
        let flags = flags.filter(|flag| *flag != "help").map(|flag| format!("--{flag}"));
        return vec![(name.to_owned(), flags.collect())];
    }
    inner.iter().flat_map(|inner| commands(inner, &format!("{name} {}", inner.get_name()))).collect()
}

#[test]
fn every_command_and_option_stands_on_its_page_and_no_other() {
    let page = page("options.md");
    let sections = sections(&page);
    let mut expected: BTreeMap<_, _> = commands(&Arguments::command(), "kiln").into_iter().collect();
    let mut server = options(runtime::args::HELP);
    server.retain(|option| !matches!(option.as_str(), "--help" | "--version"));
    expected.insert("kilnd".to_owned(), server);
    let found = sections.iter().map(|(name, text)| ((*name).to_owned(), options(&first_cells(text).join(" "))));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    for command in expected.keys().filter(|command| *command != "kilnd") {
        let verb = command.split(' ').take(2).collect::<Vec<_>>().join(" ");
        assert!(self::page("commands.md").contains(&verb), "`{command}` is not under the commands");
    }
}

#[test]
fn every_status_and_every_counter_of_the_server_stands_on_its_page() {
    let page = page("runtime.md");
    let statuses = (200..600).filter(|status| reason_phrase(*status) != "Other").map(|status| status.to_string());
    let missing: Vec<_> = statuses.filter(|status| !page.contains(status.as_str())).collect();
    assert_eq!(missing, [] as [&str; 0]);
    let is_there = |name: &str| page.contains(&format!("`{name}`")) || page.contains(&format!("`kilnd_{name}_total`"));
    let missing: Vec<_> = Event::ALL.into_iter().map(|(_, name)| name).filter(|name| !is_there(name)).collect();
    assert_eq!(missing, [] as [&str; 0]);
}
