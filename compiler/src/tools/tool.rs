//! Commands of the site's own that run before its sources are read. They run one after the other, in the site's folder
//! and without a shell. What they print is kept, and shown if they fail.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::config::{FILE_NAME, Tool};
use crate::diagnostic::{Code, Diagnostic, Place};

/// Bytes of a tool's last words that are shown. The rest is read and dropped. Guessed: a screen or two.
const OUTPUT_BYTES_MAX: usize = 4_096;
/// How long a program may take to say its version, and how much of that is shown. Guessed.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
const VERSION_CHARS_MAX: usize = 80;
/// How long the first and the longest sleep between two looks at a tool are.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LONGEST: Duration = Duration::from_millis(50);

/// Runs all tools in their order. One that fails doesn't keep the others from running: all failures are told at once.
pub fn run_tools(tools: &[Tool], site: &Path) -> Vec<Diagnostic> {
    tools.iter().filter_map(|tool| run_tool(tool, site).err()).map(|failure| *failure).collect()
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
    let Ok(ended) = run(&[program.to_owned(), "--version".to_owned()], site, VERSION_TIMEOUT) else {
        return Presence::Missing;
    };
    let text = String::from_utf8_lossy(&ended.output);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    Presence::There(line.chars().filter(|character| !character.is_control()).take(VERSION_CHARS_MAX).collect())
}

fn run_tool(tool: &Tool, site: &Path) -> Result<(), Box<Diagnostic>> {
    let timeout = Duration::from_secs(tool.timeout_seconds as u64);
    let shown = tool.command.join(" ");
    let failure = |what: String, help: String| {
        let place = Place { path: FILE_NAME.into(), span: tool.span };
        let message = format!("the tool `{}` {what}: `tools.command` is `{shown}`", tool.name);
        Box::new(Diagnostic::new(Code::ToolFailed, place, message).with_help(help))
    };
    let ended = run(&tool.command, site, timeout).map_err(|error| {
        let program = tool.command.first().map_or("", String::as_str);
        let help = match error.kind() {
            io::ErrorKind::NotFound => {
                format!("install `{program}`, or give its path; `kiln doctor` looks for all tools")
            }
            _ => error.to_string(),
        };
        failure("can't be started".to_owned(), help)
    })?;
    let output = last_words(&ended.output);
    match ended.status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(failure(format!("failed with {status}"), output)),
        None => {
            let what = format!("was ended after {} seconds", tool.timeout_seconds);
            Err(failure(what, format!("`timeout_seconds` gives it longer; {output}")))
        }
    }
}

fn last_words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    if text.is_empty() { "it printed nothing".to_owned() } else { format!("it printed:\n{text}") }
}

/// What came of a command.
struct Ended {
    /// `None` if it took too long and was ended.
    status: Option<ExitStatus>,
    /// The end of what it printed.
    output: Vec<u8>,
}

/// Runs a command to its end, or ends it after a time. It shares our terminal's group, so that Ctrl-C ends both.
fn run(command: &[String], folder: &Path, timeout: Duration) -> io::Result<Ended> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
    ];
    let kept = pipes.map(|pipe| {
        let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
        let ours = Arc::clone(&kept);
        let reader = pipe.map(|pipe| thread::spawn(move || keep_end(pipe, &ours)));
        (kept, reader)
    });
    let status = wait(&mut child, timeout)?;
    let mut output = Vec::new();
    for (kept, reader) in kept {
        // What the command left running may hold the pipe for ever: then what came so far must do.
        let mut waited = Duration::ZERO;
        while reader.as_ref().is_some_and(|reader| !reader.is_finished()) && waited < Duration::from_secs(1) {
            thread::sleep(LOOK_FIRST);
            waited += LOOK_FIRST;
        }
        output.append(&mut kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
    Ok(Ended { status, output })
}

/// Waits for the end of a process, and ends it after a time. A second or two more or less make no difference, so the
/// sleeps are counted and no clock is read.
fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let (mut waited, mut sleep) = (Duration::ZERO, LOOK_FIRST);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if waited >= timeout {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(sleep);
        waited += sleep;
        sleep = (sleep * 2).min(LOOK_LONGEST);
    }
}

/// Reads to the end and keeps the last bytes.
fn keep_end(mut pipe: impl Read, kept: &std::sync::Mutex<Vec<u8>>) {
    let mut buffer = [0; 4_096];
    while let Ok(len @ 1..) = pipe.read(&mut buffer) {
        let mut kept = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.extend_from_slice(&buffer[..len]);
        let excess = kept.len().saturating_sub(OUTPUT_BYTES_MAX);
        kept.drain(..excess);
    }
}
