//! Commands of the site's own that run before its sources are read. They run one after the other, in the site's folder
//! and without a shell. What they print is kept, and shown if they fail.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::process::{Ended, Ending, Excess, Order, Stop, Task, run};
use crate::config::{FILE_NAME, Tool};
use crate::diagnostic::{Code, Diagnostic, Place};

/// Bytes of a tool's last words that are shown. The rest is read and dropped. Guessed: a screen or two.
const OUTPUT_BYTES_MAX: usize = 4_096;
/// How long a program may take to say its version, and how much of that is shown. Guessed.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
const VERSION_CHARS_MAX: usize = 80;

/// Runs all tools in their order. One that fails doesn't keep the others from running: all failures are told at once.
pub fn run_tools(tools: &[Tool], site: &Path) -> Vec<Diagnostic> {
    tools.iter().filter_map(|tool| run_tool(tool, site, &Stop::default())).collect()
}

/// Runs one tool, and says what is wrong if it fails. One that was stopped didn't.
pub fn run_tool(tool: &Tool, site: &Path, stop: &Stop) -> Option<Diagnostic> {
    let shown = tool.command.join(" ");
    let failure = |what: &str, help: String| {
        let place = Place { path: FILE_NAME.into(), span: tool.span };
        let message = format!("the tool `{}` {what}: `tools.command` is `{shown}`", tool.name);
        Some(Diagnostic::new(Code::ToolFailed, place, message).with_help(help))
    };
    let timeout = Duration::from_secs(tool.timeout_seconds);
    let ended = match run(order(&tool.command, site, timeout), stop) {
        Ok(ended) => ended,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let program = tool.command.first().map_or("", String::as_str);
            let help = format!("install `{program}`, or give its path; `kiln doctor` looks for all tools");
            return failure("can't be started", help);
        }
        Err(error) => return failure("can't be started", error.to_string()),
    };
    let output = last_words(&ended);
    match ended.ending {
        Ending::Stopped => None,
        Ending::Exited(status) if status.success() => None,
        Ending::Exited(status) => failure(&format!("failed with {status}"), output),
        Ending::TooLong | Ending::TooMuch => {
            let what = format!("was ended after {} seconds", tool.timeout_seconds);
            failure(&what, format!("`timeout_seconds` gives it longer; {output}"))
        }
    }
}

/// Whether a program is on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It is; this is the first line that it prints when asked for its version.
    There(String),
    /// It can't be started.
    Missing,
}

/// Looks for a program, from a site's folder. A program that is named by its path is not started: a script of the site's
/// own might do its work whatever it is asked.
pub fn look_for(program: &str, site: &Path) -> Presence {
    if program.contains('/') {
        return if site.join(program).is_file() { Presence::There(String::new()) } else { Presence::Missing };
    }
    let command = [program.to_owned(), "--version".to_owned()];
    let Ok(ended) = run(order(&command, site, VERSION_TIMEOUT), &Stop::default()) else {
        return Presence::Missing;
    };
    let text = String::from_utf8_lossy(&[ended.output, ended.complaint].concat()).into_owned();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    Presence::There(line.chars().filter(|character| !character.is_control()).take(VERSION_CHARS_MAX).collect())
}

fn order<'a>(command: &'a [String], folder: &'a Path, timeout: Duration) -> Order<'a> {
    let task = Task { input: Vec::new(), timeout, output_bytes_max: OUTPUT_BYTES_MAX, excess: Excess::Drops };
    Order { command, folder, task }
}

fn last_words(ended: &Ended) -> String {
    let text = [String::from_utf8_lossy(&ended.output), String::from_utf8_lossy(&ended.complaint)].concat();
    let text = text.trim();
    if text.is_empty() { "it printed nothing".to_owned() } else { format!("it printed:\n{text}") }
}
