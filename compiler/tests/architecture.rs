//! The house rules that a machine can hold: which module may use which, which crate which, and the few doors to the
//! disk, the network and raw memory. A new edge is a design change: it is made in `ARCHITECTURE.md` first.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The compiler's modules; each uses only those before it.
const COMPILER_ORDER: &str = "diagnostic config bytes cache tools source template front_matter data markdown site assets html \
    render feeds search security urls output pipeline watch dev commands args";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file below a folder: its path from there, and its text.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let top = root().join(folder);
    let mut files = Vec::new();
    let mut waiting = vec![top.clone()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// A file's text without comment lines and without its unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The names that follow `crate::` in a text, those in braces too: `use crate::{a, b::C}` has `a` and `b`.
fn modules_used(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String { text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect() };
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(list) => names.extend(list.split('}').next().unwrap().split(',').map(|item| name(item.trim()))),
            None => drop(names.insert(name(after))),
        }
    }
    names
}

#[test]
fn a_module_uses_only_modules_before_it() {
    // Without it data would flow in circles within a year.
    let order: Vec<_> = COMPILER_ORDER.split_whitespace().collect();
    let place = |module: &str| order.iter().position(|name| *name == module);
    for (file, text) in rust_files("compiler/src") {
        let module = file.split(['/', '.']).next().unwrap();
        if matches!(module, "lib" | "main") {
            continue;
        }
        let own = place(module).unwrap_or_else(|| panic!("`{file}` is in no room of ARCHITECTURE.md"));
        for used in modules_used(&code(&text)) {
            let other = place(&used).unwrap_or_else(|| panic!("`{file}` uses `crate::{used}`, which is no module"));
            assert!(other <= own, "`{file}` uses `{used}`, which comes after `{module}`");
        }
    }
}

#[test]
fn the_order_in_the_documentation_is_this_one() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let words = text.split_whitespace().map(|word| word.trim_matches('`')).collect::<Vec<_>>().join(" ");
    let order = COMPILER_ORDER.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&order), "ARCHITECTURE.md has another order of modules");
}

#[test]
fn crates_depend_in_one_direction() {
    let dependencies = |name: &str| -> BTreeSet<String> {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let section = manifest.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap_or_default();
        let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::to_owned);
        names.filter(|name| ["bundle", "runtime", "compiler"].contains(&name.as_str())).collect()
    };
    assert!(dependencies("bundle").is_empty());
    assert_eq!(dependencies("runtime"), BTreeSet::from(["bundle".to_owned()]));
    assert!(dependencies("compiler").contains("bundle"));
    assert!(dependencies("compiler").is_subset(&BTreeSet::from(["bundle".to_owned(), "runtime".to_owned()])));
}

/// Checks that words of code stand in no file but those that are named.
fn only_in(folder: &str, words: &[&str], allowed: &[&str]) {
    for (file, text) in rust_files(folder) {
        let code = code(&text);
        for word in words.iter().filter(|_| !allowed.contains(&file.as_str())) {
            assert!(!code.contains(word), "`{folder}/{file}` says `{word}`; only {allowed:?} may");
        }
    }
}

#[test]
fn there_is_one_door_to_the_disk() {
    let words = ["std::fs", "fs::", "walkdir", "File::open", "File::create"];
    let doors = [
        "bytes.rs",
        "source.rs",
        "source/inputs.rs",
        "source/known.rs",
        "cache.rs",
        "cache/pack.rs",
        "cache/prune.rs",
        "output/dist.rs",
        "commands/new.rs",
        "commands/post.rs",
        "commands/export.rs",
    ];
    only_in("compiler/src", &words, &doors);
    only_in("bundle/src", &words, &[]);
}

/// Where the runtime binds, is handed, accepts and serves sockets, and where it opens one as a client.
const NETWORK_DOORS: [&str; 8] = [
    "listener.rs",
    "probe.rs",
    "server.rs",
    "server/door.rs",
    "server/held.rs",
    "server/lounge.rs",
    "server/stream.rs",
    "systemd.rs",
];

#[test]
fn there_is_one_door_to_the_network_and_one_to_raw_memory() {
    let raw_memory = ["unsafe {", "unsafe fn", "unsafe impl"];
    for folder in ["bundle/src", "compiler/src"] {
        only_in(folder, &["std::net", "TcpStream", "TcpListener"], &[]);
        only_in(folder, &raw_memory, &[]);
    }
    only_in("runtime/src", &raw_memory, &["estate.rs", "mapped.rs", "listener.rs", "priority.rs"]);
    let sockets = ["TcpListener", "TcpStream", "UnixListener", "UnixStream", "socket2", "may::net", "CoIo"];
    only_in("runtime/src", &sockets, &NETWORK_DOORS);
}

#[test]
fn what_varies_is_an_argument() {
    // Without it two builds of one input could differ: no clock and no environment between the doors.
    let words = ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "env::var"];
    // A program's time limit never reaches its result. What a development server does depends on when things happen; what
    // it makes doesn't.
    let clocks = [
        "main.rs",
        "commands/build.rs",
        "commands/cache.rs",
        "tools/process.rs",
        "watch.rs",
        "dev/check.rs",
        "dev/looks.rs",
        "dev/studio.rs",
        "dev/tools.rs",
    ];
    only_in("compiler/src", &words, &clocks);
    only_in("compiler/src", &["process::Command", "Command::new"], &["tools/process.rs", "commands/dev.rs"]);
    only_in("bundle/src", &words, &[]);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for folder in ["bundle/src", "compiler/src", "runtime/src"] {
        for (file, text) in rust_files(folder) {
            assert!(text.starts_with("//! "), "`{folder}/{file}` doesn't begin with `//!`");
        }
    }
}
