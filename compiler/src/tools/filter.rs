//! `[[filters]]`: a command that gets a block of code and gives SVG or HTML for its place. What it gave is cached by the
//! command, its version and the block. No command is waited for without end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use rayon::prelude::*;

use super::process::{self, Ended, Ending, Excess, Order, Stop, Task};
use crate::cache::{Cache, CacheKey};
use crate::config::Filter;
use crate::diagnostic::{Code, Diagnostic, Place};

/// How long a command may take for one block. Guessed: a browser that draws a diagram starts in seconds.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How long a command may take to say its version. One that doesn't know the question may wait for input.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that a command may give for one block. Guessed.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a command's complaint that are shown.
const COMPLAINT_BYTES_MAX: usize = 400;

/// A block of code that a filter is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterInput {
    /// The word after the fence.
    pub language: String,
    /// What is in the block.
    pub code: String,
    /// Where it stands.
    pub place: Place,
}

/// What the commands gave.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Filtered {
    /// The languages that have a filter.
    pub languages: BTreeSet<String>,
    /// Markup by language and code.
    pub results: BTreeMap<(String, String), String>,
}

impl Filtered {
    /// No results yet, for these filters.
    pub fn none(filters: &[Filter]) -> Self {
        let languages = filters.iter().map(|filter| filter.language.clone()).collect();
        Self { languages, results: BTreeMap::new() }
    }

    /// What stands in a block's place; nothing if no filter gave it.
    pub fn find(&self, language: &str, code: &str) -> Option<&str> {
        if !self.languages.contains(language) {
            return None;
        }
        self.results.get(&(language.to_owned(), code.to_owned())).map(String::as_str)
    }
}

/// Why a command gave nothing, and what may help.
type Fault = (String, Option<String>);

/// What commands said and failed at. A development server keeps it from edit to edit, so that none waits for the same again.
#[derive(Debug, Default)]
pub struct FilterMemory {
    /// What programs said to `--version`.
    versions: BTreeMap<String, Vec<u8>>,
    /// Those of the last run.
    faults: HashMap<CacheKey, Fault>,
}

/// Where filters run, and what is known of their results.
#[derive(Debug)]
pub struct FilterBench<'a> {
    /// The site's folder.
    pub root: &'a Path,
    /// Has the results of all builds.
    pub cache: &'a Cache,
    /// Has what this program heard.
    pub memory: &'a mut FilterMemory,
}

/// Runs the filters for all blocks, in parallel. `own_files` are the bytes of files of the site that a filter's command
/// names: a script that changes is another version.
pub fn run(
    filters: &[Filter],
    inputs: &[FilterInput],
    own_files: impl Fn(&Filter) -> Vec<u8> + Sync,
    bench: FilterBench<'_>,
) -> (Filtered, Vec<Diagnostic>) {
    let FilterBench { root, cache, memory } = bench;
    let known_faults = std::mem::take(&mut memory.faults);
    let mut filtered = Filtered::none(filters);
    let mut diagnostics = Vec::new();
    for filter in filters {
        let mut blocks: Vec<_> = inputs.iter().filter(|input| input.language == filter.language).collect();
        blocks.sort_by(|a, b| (&a.code, &a.place).cmp(&(&b.code, &b.place)));
        blocks.dedup_by(|b, a| a.code == b.code);
        let Some(first) = blocks.first() else { continue };
        let version = match find_version(filter, root, &mut memory.versions) {
            Ok(version) => version,
            Err(message) => {
                let first = blocks.iter().min_by_key(|block| &block.place).unwrap_or(first);
                let diagnostic = Diagnostic::new(Code::FilterFailed, first.place.clone(), message);
                let help = "install it, or take this filter out of `site.toml`";
                diagnostics.push(diagnostic.with_help(help));
                continue;
            }
        };
        let own = own_files(filter);
        let results: Vec<_> = blocks
            .par_iter()
            .map(|block| {
                let command = filter.command.join("\0");
                let key = CacheKey::new("filter 1", &[command.as_bytes(), &version, &own, block.code.as_bytes()]);
                let result = match known_faults.get(&key) {
                    Some(fault) => Err(fault.clone()),
                    None => {
                        cache.find_or_make(&key, || filter_block(filter, &block.code, root).map(String::into_bytes))
                    }
                };
                (key, result)
            })
            .collect();
        for (block, (key, result)) in blocks.iter().zip(results) {
            match result {
                Ok(html) => {
                    let html = String::from_utf8_lossy(&html).into_owned();
                    filtered.results.insert((block.language.clone(), block.code.clone()), html);
                }
                Err((message, help)) => {
                    memory.faults.insert(key, (message.clone(), help.clone()));
                    let mut diagnostic = Diagnostic::new(Code::FilterFailed, block.place.clone(), message);
                    diagnostic.help = help;
                    diagnostics.push(diagnostic);
                }
            }
        }
    }
    (filtered, diagnostics)
}

/// What the command says to `--version`, whatever that is. It is asked once; one that can't be started is asked again.
fn find_version(filter: &Filter, root: &Path, versions: &mut BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, String> {
    let program = filter.command.first().cloned().unwrap_or_default();
    if let Some(version) = versions.get(&program) {
        return Ok(version.clone());
    }
    let version = ask_version(program.clone(), filter, root)?;
    versions.insert(program, version.clone());
    Ok(version)
}

fn ask_version(program: String, filter: &Filter, root: &Path) -> Result<Vec<u8>, String> {
    let command = [program, "--version".to_owned()];
    match run_command(&command, Vec::new(), root, VERSION_TIMEOUT) {
        Ok(Ended { ending: Ending::Exited(_), output, .. }) => Ok(output),
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(format!("`{}`, the filter for `{}`, can't be started: {error}", command[0], filter.language)),
    }
}

fn filter_block(filter: &Filter, code: &str, root: &Path) -> Result<String, Fault> {
    let program = filter.command.first().map_or("", String::as_str);
    let name = format!("`{program}`, the filter for `{}`,", filter.language);
    let ended = run_command(&filter.command, code.as_bytes().to_vec(), root, TIMEOUT)
        .map_err(|error| (format!("{name} can't be started: {error}"), None))?;
    let fault = match ended.ending {
        Ending::Exited(status) if status.success() => None,
        Ending::Exited(status) => Some(format!("failed with {status}")),
        Ending::TooLong => Some(format!("took more than {} seconds", TIMEOUT.as_secs())),
        Ending::TooMuch => Some(format!("gave more than {} MB", OUTPUT_BYTES_MAX / 1024 / 1024)),
        Ending::Stopped => Some("was stopped".to_owned()),
    };
    if let Some(fault) = fault {
        let complaint = String::from_utf8_lossy(&ended.complaint);
        let complaint = complaint.trim();
        let shown = &complaint[..complaint.floor_char_boundary(COMPLAINT_BYTES_MAX)];
        let help = (!shown.is_empty()).then(|| format!("it says: {}", shown.replace('\n', " / ")));
        return Err((format!("{name} {fault}"), help));
    }
    let text = String::from_utf8(ended.output).map_err(|_| (format!("{name} gave what is not UTF-8"), None))?;
    let markup = without_prologue(&text);
    if !markup.starts_with('<') {
        return Err((format!("{name} gave no SVG and no HTML"), None));
    }
    Ok(markup.to_owned())
}

/// SVG as it stands in HTML: without the XML declaration and the document type.
fn without_prologue(text: &str) -> &str {
    let mut rest = text.trim_start_matches('\u{feff}').trim();
    for (start, end) in [("<?xml", "?>"), ("<!DOCTYPE", ">"), ("<!doctype", ">")] {
        if rest.starts_with(start) {
            rest = rest.find(end).map_or("", |at| rest[at + end.len()..].trim_start());
        }
    }
    rest
}

fn run_command(command: &[String], input: Vec<u8>, folder: &Path, timeout: Duration) -> std::io::Result<Ended> {
    let task = Task { input, timeout, output_bytes_max: OUTPUT_BYTES_MAX, excess: Excess::Ends };
    process::run(Order { command, folder, task }, &Stop::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svg_loses_what_stands_before_it() {
        assert_eq!(without_prologue("\u{feff}<?xml version=\"1.0\"?>\n<!DOCTYPE svg>\n<svg/>\n"), "<svg/>");
        assert_eq!(without_prologue(" <p>a</p>"), "<p>a</p>");
        assert_eq!(without_prologue("<?xml"), "");
    }
}
