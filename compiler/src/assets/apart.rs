//! Work on style sheets and scripts by parsers that aren't ours: it is done in a process of its own, this program run as
//! `kiln work-apart`, so that a text on which such a parser hangs, or which overflows its stack, is a mistake of that text
//! and not the end of the build. What is asked and answered are pure functions of texts, and this file alone knows how
//! the two processes talk: an order as JSON, then for each chore a line of JSON as soon as it is done.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rayon::prelude::*;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::script::minify_script;
use super::style::{Sheets, minify_style};
use crate::diagnostic::{Code, Diagnostic, Place, SourceText, Span};
use crate::tools::process::{self, Ended, Ending, Excess, Order as Run, Stop, Task, Waiting};

/// The command of this program that does the work.
pub const COMMAND: &str = "work-apart";
/// Seconds of a processor that a process may take, and how many more for each of its chores. Guessed: the sheets of a large
/// framework take less than one.
const SECONDS: u64 = 10;
const CHORE_SECONDS: u64 = 1;
/// So many times as long a process may take by the clock: a busy machine is nobody's mistake. Guessed.
const WAIT_TIMES: u64 = 6;
/// Chores that one process does at most. Guessed: starting one takes 4 ms.
const CHORES_MAX: usize = 16;
/// Bytes that a process may give. Guessed.
const OUTPUT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of memory that a process grants itself, its deep stack among them. Guessed.
const MEMORY_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// What a Rust program says when it has used up its memory or its stack.
const EXHAUSTED: [&str; 2] = ["memory allocation of", "has overflowed its stack"];
const SIGKILL: i32 = Signal::KILL.as_raw();
const SIGXCPU: i32 = Signal::XCPU.as_raw();

/// One thing to be done to a text.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(super) enum Chore<'a> {
    /// SCSS becomes CSS.
    Compile {
        /// One of the order's sheets.
        path: Cow<'a, str>,
        /// The folder of styles, of which the path names a file.
        folder: Cow<'a, str>,
    },
    /// CSS loses what no browser needs.
    MinifyStyle(Text<'a>),
    /// A script does.
    MinifyScript {
        /// The script.
        script: Text<'a>,
        /// Whether its name says that it is a module.
        is_module: bool,
    },
}

/// A text with its path.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(super) struct Text<'a> {
    path: Cow<'a, str>,
    text: Cow<'a, str>,
}

impl<'a> From<&'a SourceText> for Text<'a> {
    fn from(source: &'a SourceText) -> Self {
        Self { path: Cow::Borrowed(&source.path), text: Cow::Borrowed(&source.text) }
    }
}

impl Text<'_> {
    fn to_source(&self) -> SourceText {
        SourceText { path: (&*self.path).into(), text: (&*self.text).into() }
    }
}

/// What the process reads.
#[derive(Serialize, Deserialize)]
struct Order<'a> {
    /// What sheets may import.
    sheets: Cow<'a, [Text<'a>]>,
    chores: Cow<'a, [Chore<'a>]>,
}

/// What came of a chore.
#[derive(Default, Debug)]
pub(super) struct Done {
    /// The new text, if there is one.
    pub text: Option<String>,
    /// What is wrong with the old one.
    pub mistakes: Vec<Diagnostic>,
}

/// Why nothing came of a chore.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// It took too long.
    TooLong,
    /// It used up its stack or memory.
    TooMuchMemory,
    /// It made more than anyone can want.
    TooMuchOutput,
    /// A signal ended the process, none of those that mean that it used up something.
    Signal(i32),
    /// The process ended by itself, with this status.
    Status(i32),
    /// It wasn't tried: others had used up all patience.
    GivenUp,
    /// The process couldn't be started.
    NotStarted,
}

impl Loss {
    /// What the end of a process means that hasn't answered everything.
    fn of(ended: &Ended) -> Self {
        let status = match ended.ending {
            Ending::TooLong | Ending::Stopped => return Self::TooLong,
            Ending::TooMuch => return Self::TooMuchOutput,
            Ending::Exited(status) => status,
        };
        let complaint = String::from_utf8_lossy(&ended.complaint);
        match status.signal() {
            // Past its seconds of CPU time.
            Some(SIGXCPU) => Self::TooLong,
            // What Rust says before it gives up.
            Some(_) if EXHAUSTED.iter().any(|words| complaint.contains(words)) => Self::TooMuchMemory,
            Some(signal) => Self::Signal(signal),
            None => Self::Status(status.code().unwrap_or_default()),
        }
    }

    /// What is said of it, where `result` is what can't be had; `help` says how to do without.
    pub(super) fn mistake(self, place: Place, result: &str, help: &str) -> Diagnostic {
        let (code, reason) = match self {
            Self::TooLong => (Code::TooCostly, "it takes too long".to_owned()),
            Self::TooMuchMemory => (Code::TooCostly, "it takes too much memory".to_owned()),
            Self::TooMuchOutput => (Code::TooCostly, "what is made of it is too long".to_owned()),
            Self::Signal(SIGKILL) => {
                let reason = "the process that does it was killed, as a system does when its memory runs out";
                (Code::TooCostly, reason.to_owned())
            }
            Self::Signal(signal) => (Code::TooCostly, format!("the process that does it was ended by signal {signal}")),
            Self::Status(status) => (Code::TooCostly, format!("the process that does it ended with status {status}")),
            Self::GivenUp => (Code::TooCostly, "others before it failed in the same way".to_owned()),
            Self::NotStarted => {
                (Code::ToolFailed, "for that `kiln` runs itself, and it couldn't be started".to_owned())
            }
        };
        let diagnostic = Diagnostic::new(code, place, format!("{result}: {reason}"));
        if self == Self::NotStarted { diagnostic } else { diagnostic.with_help(help) }
    }
}

/// A line of the answer.
#[derive(Serialize, Deserialize)]
struct Answer {
    text: Option<String>,
    mistakes: Vec<Mistake>,
}

/// A diagnostic on its way between the processes.
#[derive(Serialize, Deserialize)]
struct Mistake {
    code: String,
    path: String,
    start: usize,
    end: usize,
    message: String,
    help: Option<String>,
}

impl From<Done> for Answer {
    fn from(done: Done) -> Self {
        let mistake = |Diagnostic { code, place, message, help, .. }: Diagnostic| Mistake {
            code: code.name().to_owned(),
            path: place.path.to_string(),
            start: place.span.start,
            end: place.span.end,
            message,
            help,
        };
        Self { text: done.text, mistakes: done.mistakes.into_iter().map(mistake).collect() }
    }
}

impl Done {
    /// As the cache keeps it: with its warnings, which are told at each build.
    pub(super) fn into_kept(self) -> Option<Vec<u8>> {
        serde_json::to_vec(&Answer::from(self)).ok()
    }

    /// What was kept.
    pub(super) fn from_kept(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Answer>(bytes).ok()?.into_done()
    }
}

impl Answer {
    /// `None` if another version of this program wrote it.
    fn into_done(self) -> Option<Done> {
        let diagnostic = |Mistake { code, path, start, end, message, help }| {
            let code = *Code::ALL.iter().find(|one| one.name() == code)?;
            let place = Place { path: path.into(), span: Span::new(start, end) };
            Some(Diagnostic { help, ..Diagnostic::new(code, place, message) })
        };
        let mistakes: Option<_> = self.mistakes.into_iter().map(diagnostic).collect();
        Some(Done { text: self.text, mistakes: mistakes? })
    }
}

/// Where chores are done: this program, and perhaps a process of it that waits for them.
#[derive(Debug)]
pub struct Annex {
    program: PathBuf,
    waiting: Mutex<Option<Waiting>>,
}

impl Annex {
    /// The annex of this program.
    pub fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), waiting: Mutex::default() }
    }

    /// Starts a process ahead, unless one waits already: the next chores needn't wait until there is one. Each does no more
    /// than it is asked once, so that its bounds of time and memory are those of one piece of work.
    pub fn prepare(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.as_ref().is_some_and(Waiting::is_there) {
            // Where it can't be started, whoever needs one will be told.
            *waiting = self.command().and_then(|command| Waiting::start(&command, Path::new("/")).ok());
        }
    }

    fn command(&self) -> Option<[String; 2]> {
        Some([self.program.to_str()?.to_owned(), COMMAND.to_owned()])
    }

    /// Has an order done, by the process that waits, if one does.
    fn run(&self, order: &Order<'_>) -> Option<Ended> {
        let task = Task {
            input: serde_json::to_vec(order).ok()?,
            timeout: Duration::from_secs(WAIT_TIMES * seconds_for(order.chores.len())),
            output_bytes_max: OUTPUT_BYTES_MAX,
            excess: Excess::Ends,
        };
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = match waiting.filter(Waiting::is_there) {
            Some(waiting) => waiting.run(task, &Stop::default()),
            None => process::run(Run { command: &self.command()?, folder: Path::new("/"), task }, &Stop::default()),
        };
        ended.ok()
    }
}

/// Seconds of a processor that a process may take for so many chores.
fn seconds_for(chore_count: usize) -> u64 {
    SECONDS + CHORE_SECONDS * chore_count as u64
}

/// Has chores done, in their order. All of them see `sheets`.
pub(super) fn do_apart(sheets: &[SourceText], chores: &[Chore<'_>], annex: &Annex) -> Vec<Result<Done, Loss>> {
    let sheets: Vec<Text<'_>> = sheets.iter().map(Text::from).collect();
    let size = chores.len().div_ceil(rayon::current_num_threads()).clamp(1, CHORES_MAX);
    chores.par_chunks(size).flat_map_iter(|chores| do_one_after_another(&sheets, chores, annex)).collect()
}

/// So many chores are lost before the others aren't tried any more: a site whose sheets all hang would be built for an hour.
const LOSSES_MAX: usize = 3;

/// A chore at which a process ends is lost, unless others took their part of its time and memory: then it is the first one
/// of the process that does what is left.
fn do_one_after_another(sheets: &[Text<'_>], mut chores: &[Chore<'_>], annex: &Annex) -> Vec<Result<Done, Loss>> {
    let mut results = Vec::new();
    while !chores.is_empty() {
        let order = Order { sheets: Cow::Borrowed(sheets), chores: Cow::Borrowed(chores) };
        let Some(ended) = annex.run(&order) else {
            results.extend(chores.iter().map(|_| Err(Loss::NotStarted)));
            break;
        };
        let lines = ended.output.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        let answers = lines.map_while(|line| serde_json::from_slice::<Answer>(line).ok()?.into_done());
        let count = results.len();
        results.extend(answers.take(chores.len()).map(Ok));
        chores = &chores[results.len() - count..];
        let is_first = results.len() == count;
        if let Some((_, rest)) = chores.split_first().filter(|_| is_first) {
            results.push(Err(Loss::of(&ended)));
            chores = rest;
        }
        if results.iter().filter(|result| result.is_err()).count() == LOSSES_MAX {
            results.extend(chores.iter().map(|_| Err(Loss::GivenUp)));
            break;
        }
    }
    results
}

/// What the other process does: reads an order, does its chores, and answers each as soon as it is done.
///
/// # Errors
/// The order can't be read, or nobody listens any more.
pub fn work_apart(input: impl Read, mut output: impl Write) -> io::Result<()> {
    process::limit_this_one(MEMORY_BYTES_MAX, seconds_for(CHORES_MAX))?;
    let order: Order<'static> = serde_json::from_reader(io::BufReader::new(input))?;
    process::limit_this_one(MEMORY_BYTES_MAX, seconds_for(order.chores.len()))?;
    let sheets = Sheets::new(order.sheets.iter().map(Text::to_source));
    for chore in &*order.chores {
        let mut line = serde_json::to_vec(&Answer::from(do_chore(chore, &sheets)))?;
        line.push(b'\n');
        output.write_all(&line)?;
        output.flush()?;
    }
    Ok(())
}

fn do_chore(chore: &Chore<'_>, sheets: &Sheets) -> Done {
    let result = match chore {
        Chore::Compile { path, folder } => return sheets.compile(path, folder),
        Chore::MinifyStyle(sheet) => minify_style(&sheet.to_source()),
        Chore::MinifyScript { script, is_module } => minify_script(&script.to_source(), *is_module),
    };
    match result {
        Ok(text) => Done { text: Some(text), mistakes: Vec::new() },
        Err(mistakes) => Done { text: None, mistakes },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(script: &str) -> Loss {
        let command = ["sh", "-c", script].map(str::to_owned);
        let timeout = if script.contains("sleep") { Duration::from_millis(500) } else { Duration::from_secs(SECONDS) };
        let task = Task { input: Vec::new(), timeout, output_bytes_max: 100, excess: Excess::Ends };
        Loss::of(&process::run(Run { command: &command, folder: Path::new("/"), task }, &Stop::default()).unwrap())
    }

    #[test]
    fn each_way_in_which_the_process_ends_is_told_apart() {
        // "Too much memory" for all of them sends people looking for a mistake that isn't there.
        assert_eq!(loss("sleep 600"), Loss::TooLong);
        assert_eq!(loss("kill -XCPU $$"), Loss::TooLong);
        assert_eq!(loss("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$"), Loss::TooMuchMemory);
        assert_eq!(loss("echo 'thread x has overflowed its stack' >&2; kill -ABRT $$"), Loss::TooMuchMemory);
        assert_eq!(loss("head -c 101 /dev/zero"), Loss::TooMuchOutput);
        assert_eq!(loss("kill -SEGV $$"), Loss::Signal(11));
        assert_eq!(loss("kill -KILL $$"), Loss::Signal(9));
        assert_eq!(loss("exit 7"), Loss::Status(7));
        let no_program = do_apart(
            &[],
            &[Chore::MinifyStyle(Text { path: "a".into(), text: "".into() })],
            &Annex::new(Path::new("/no")),
        );
        assert_eq!(no_program.into_iter().map(Result::err).collect::<Vec<_>>(), [Some(Loss::NotStarted)]);
    }

    #[test]
    fn each_is_said_in_its_own_words() {
        let place = || Place { path: "a.scss".into(), span: Span::default() };
        let losses = [
            Loss::TooLong,
            Loss::TooMuchMemory,
            Loss::TooMuchOutput,
            Loss::Signal(9),
            Loss::Signal(11),
            Loss::Status(7),
            Loss::GivenUp,
            Loss::NotStarted,
        ];
        let messages = losses.map(|loss| loss.mistake(place(), "it can't be", "").message);
        assert_eq!(std::collections::BTreeSet::from(messages.clone()).len(), messages.len(), "{messages:?}");
    }
}
