//! `[[filters]]`: a command that gets a block of code and gives SVG or HTML for its place. What it gave is cached by the
//! command, its version and the block. No command is waited for without end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::cache::{Cache, CacheKey};
use crate::config::Filter;
use crate::diagnostic::{Code, Diagnostic, Place};

/// How long a command may take for one block. Guessed: a browser that draws a diagram starts in seconds.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How long a command may take to say its version. One that doesn't know the question may wait for input.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that a command may give for one block. Guessed.
const OUTPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of a command's complaint that are shown.
const COMPLAINT_BYTES_MAX: usize = 400;

/// Between two looks whether a command has ended.
const POLL: Duration = Duration::from_millis(3);

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

/// Runs the filters for all blocks, in parallel, in the site's folder. `own_files` are the bytes of files of the site that
/// a filter's command names: a script that changes is another version.
pub fn run(
    filters: &[Filter],
    inputs: &[FilterInput],
    root: &Path,
    own_files: impl Fn(&Filter) -> Vec<u8> + Sync,
    cache: &Cache,
) -> (Filtered, Vec<Diagnostic>) {
    let mut filtered = Filtered::none(filters);
    let mut diagnostics = Vec::new();
    for filter in filters {
        let mut blocks: Vec<_> = inputs.iter().filter(|input| input.language == filter.language).collect();
        blocks.sort_by(|a, b| (&a.code, &a.place).cmp(&(&b.code, &b.place)));
        blocks.dedup_by(|b, a| a.code == b.code);
        let Some(first) = blocks.first() else { continue };
        let version = match find_version(filter, root) {
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
                cache.find_or_make(&key, || filter_block(filter, &block.code, root).map(String::into_bytes))
            })
            .collect();
        for (block, result) in blocks.iter().zip(results) {
            match result {
                Ok(html) => {
                    let html = String::from_utf8_lossy(&html).into_owned();
                    filtered.results.insert((block.language.clone(), block.code.clone()), html);
                }
                Err((message, help)) => {
                    let mut diagnostic = Diagnostic::new(Code::FilterFailed, block.place.clone(), message);
                    diagnostic.help = help;
                    diagnostics.push(diagnostic);
                }
            }
        }
    }
    (filtered, diagnostics)
}

/// What the command says to `--version`, whatever that is.
fn find_version(filter: &Filter, root: &Path) -> Result<Vec<u8>, String> {
    let program = filter.command.first().map_or("", String::as_str);
    let mut command = new_command(program, root);
    let outcome = wait(command.arg("--version").stdin(Stdio::null()), Vec::new(), VERSION_TIMEOUT);
    match outcome {
        Ok(outcome) => Ok(outcome.output),
        Err(Fault::NotStarted(error)) => {
            Err(format!("`{program}`, the filter for `{}`, can't be started: {error}", filter.language))
        }
        Err(Fault::TooLong | Fault::TooMuch) => Ok(Vec::new()),
    }
}

fn filter_block(filter: &Filter, code: &str, root: &Path) -> Result<String, (String, Option<String>)> {
    let [program, arguments @ ..] = &filter.command[..] else { return Ok(String::new()) };
    let name = format!("`{program}`, the filter for `{}`,", filter.language);
    let mut command = new_command(program, root);
    let outcome = wait(command.args(arguments).stdin(Stdio::piped()), code.as_bytes().to_vec(), TIMEOUT);
    let outcome = outcome.map_err(|fault| {
        let what = match fault {
            Fault::NotStarted(error) => format!("can't be started: {error}"),
            Fault::TooLong => format!("took more than {} seconds", TIMEOUT.as_secs()),
            Fault::TooMuch => format!("gave more than {} MB", OUTPUT_BYTES_MAX / 1024 / 1024),
        };
        (format!("{name} {what}"), None)
    })?;
    if let Some(status) = outcome.failure {
        let complaint = String::from_utf8_lossy(&outcome.complaint);
        let complaint = complaint.trim();
        let shown = &complaint[..complaint.floor_char_boundary(COMPLAINT_BYTES_MAX)];
        let help = (!shown.is_empty()).then(|| format!("it says: {}", shown.replace('\n', " / ")));
        return Err((format!("{name} failed with {status}"), help));
    }
    let text = String::from_utf8(outcome.output).map_err(|_| (format!("{name} gave what is not UTF-8"), None))?;
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

/// A program of the site is named by its path there, all others by their names.
fn new_command(program: &str, root: &Path) -> Command {
    let own = std::path::absolute(root).map(|root| root.join(program)).ok().filter(|_| program.contains('/'));
    let mut command = own.map_or_else(|| Command::new(program), Command::new);
    command.current_dir(root).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a command gave.
struct Outcome {
    output: Vec<u8>,
    complaint: Vec<u8>,
    /// Its exit status, if that isn't 0.
    failure: Option<String>,
}

enum Fault {
    NotStarted(std::io::Error),
    TooLong,
    TooMuch,
}

/// Starts a command, feeds it and waits. Its streams are read by threads of their own, so that none of them can fill up
/// and stop it, and so that a grandchild which keeps them open is not waited for.
fn wait(command: &mut Command, input: Vec<u8>, timeout: Duration) -> Result<Outcome, Fault> {
    let deadline = Instant::now() + timeout;
    let mut child = command.spawn().map_err(Fault::NotStarted)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that doesn't read all of its input is none the worse.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let output = read_in_background(child.stdout.take());
    let complaint = read_in_background(child.stderr.take());
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            _ => return end(child),
        }
    };
    let left = || deadline.saturating_duration_since(Instant::now());
    let output = output.recv_timeout(left()).map_err(|_| Fault::TooLong)?;
    let complaint = complaint.recv_timeout(left()).unwrap_or_default();
    if output.len() as u64 > OUTPUT_BYTES_MAX {
        return Err(Fault::TooMuch);
    }
    Ok(Outcome { output, complaint, failure: (!status.success()).then(|| status.to_string()) })
}

fn end(mut child: Child) -> Result<Outcome, Fault> {
    // It may have ended by itself just now.
    drop(child.kill());
    drop(child.wait());
    Err(Fault::TooLong)
}

fn read_in_background(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // What was read before a fault is what there is.
            drop(stream.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut bytes));
        }
        // Nobody listens any more if it took too long.
        drop(sender.send(bytes));
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = new_command("sh", Path::new("."));
        command.args(["-c", script]).stdin(Stdio::piped());
        command
    }

    #[test]
    fn nothing_is_waited_for_without_end() {
        // A command that hangs, or leaves a child behind that keeps its output open, would stop every build.
        for script in ["sleep 600", "sleep 600 & exit 0"] {
            let outcome = wait(&mut shell(script), Vec::new(), Duration::from_millis(50));
            assert!(matches!(outcome, Err(Fault::TooLong)), "{script}");
        }
    }

    #[test]
    fn streams_that_are_full_stop_nothing() {
        let input = vec![b'a'; 1_000_000];
        let outcome = wait(&mut shell("cat; cat /dev/zero | head -c 1000000 >&2; exit 3"), input, TIMEOUT);
        let Ok(Outcome { output, complaint, failure }) = outcome else { panic!("it ended in time") };
        assert_eq!((output.len(), complaint.len(), failure.is_some()), (1_000_000, 1_000_000, true));
        assert!(wait(&mut shell("exit 0"), vec![b'a'; 1_000_000], TIMEOUT).is_ok());
    }

    #[test]
    fn svg_loses_what_stands_before_it() {
        assert_eq!(without_prologue("\u{feff}<?xml version=\"1.0\"?>\n<!DOCTYPE svg>\n<svg/>\n"), "<svg/>");
        assert_eq!(without_prologue(" <p>a</p>"), "<p>a</p>");
        assert_eq!(without_prologue("<?xml"), "");
    }
}
