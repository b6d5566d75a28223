//! The site's tools while it is written: each runs at the start, and again when a file changes that it reads. They run
//! one after the other on a thread of their own, and nobody waits for them; what they write is an edit like any other.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Tool;
use crate::diagnostic::{Diagnostic, Span};
use crate::tools::process::Stop;
use crate::tools::tool::run_tool;

/// A tool is stopped and begun anew so often in a row when what it reads changes while it runs. From then on it is left
/// to end, and waits before it runs again: it may be reading what it writes. Guessed.
const ROUND_COUNT_MAX: u32 = 3;
/// The longest of these waits. Guessed: it costs little, and an author's last change isn't left out for long.
const PAUSE_MAX: Duration = Duration::from_secs(32);

/// The tools, and which of them are to run.
#[derive(Debug)]
pub(super) struct Tools {
    site: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// The number of the tool that runs, and what stops it.
    running: Option<(usize, Stop)>,
}

#[derive(Debug)]
struct Entry {
    tool: Tool,
    is_due: bool,
    /// How often in a row something that it reads changed while it ran.
    rounds: u32,
    ended: Option<Instant>,
    failure: Option<Diagnostic>,
}

/// A run that came to its end by itself.
#[derive(Debug)]
pub(super) struct ToolRun {
    pub(super) tool: Tool,
    pub(super) time: Duration,
    pub(super) failure: Option<Diagnostic>,
    /// Whether it failed before for the same reason.
    pub(super) is_known: bool,
}

impl Tools {
    pub(super) fn new(site: PathBuf) -> Self {
        Self { site, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes these for the tools from now on. Those that are new, or other than they were, run.
    pub(super) fn set(&self, tools: &[Tool]) {
        let mut state = self.lock();
        let mut before = std::mem::take(&mut state.entries).into_iter();
        let entries = tools.iter().map(|tool| match before.next().filter(|entry| is_same(&entry.tool, tool)) {
            Some(entry) => Entry { tool: tool.clone(), ..entry },
            None => Entry { tool: tool.clone(), is_due: true, rounds: 0, ended: None, failure: None },
        });
        state.entries = entries.collect();
        if let Some((number, stop)) = &state.running
            && state.entries.get(*number).is_none_or(|entry| entry.is_due)
        {
            stop.send();
        }
        self.changed.notify_all();
    }

    /// Has the tools run that read one of these files. `ended`: the tool whose run may be what changed them. Returns the
    /// names of tools that have to wait from now on.
    pub(super) fn note_changed(&self, paths: &[String], ended: Option<&Tool>) -> Vec<String> {
        let mut state = self.lock();
        let State { entries, running } = &mut *state;
        let mut waiting = Vec::new();
        for (number, entry) in entries.iter_mut().enumerate() {
            let stop = running.as_ref().filter(|(running, _)| *running == number).map(|(_, stop)| stop);
            let has_ended = stop.is_none() && ended.is_some_and(|ended| is_same(ended, &entry.tool));
            if !paths.iter().any(|path| entry.tool.reads(path)) {
                if has_ended && !entry.is_due {
                    entry.rounds = 0;
                }
                continue;
            }
            entry.is_due = true;
            if stop.is_some() || has_ended {
                entry.rounds = entry.rounds.saturating_add(1);
                if entry.rounds == ROUND_COUNT_MAX + 1 {
                    waiting.push(entry.tool.name.clone());
                }
            }
            if let Some(stop) = stop.filter(|_| entry.rounds <= ROUND_COUNT_MAX) {
                stop.send();
            }
        }
        self.changed.notify_all();
        waiting
    }

    /// What the tools that failed complain of, in their order.
    pub(super) fn failures(&self) -> Vec<Diagnostic> {
        self.lock().entries.iter().filter_map(|entry| entry.failure.clone()).collect()
    }

    /// Runs tools whenever they are to run, for ever.
    pub(super) fn work(&self, tell: impl Fn(ToolRun)) {
        loop {
            let (number, tool, stop) = self.take();
            let start = Instant::now();
            let failure = run_tool(&tool, &self.site, &stop).map(Diagnostic::as_warning);
            let mut state = self.lock();
            state.running = None;
            let Some(entry) = state.entries.get_mut(number).filter(|entry| is_same(&entry.tool, &tool)) else {
                continue;
            };
            entry.ended = Some(Instant::now());
            if stop.is_sent() {
                continue;
            }
            let is_known = failure.is_some() && entry.failure == failure;
            entry.failure.clone_from(&failure);
            drop(state);
            tell(ToolRun { tool, time: start.elapsed(), failure, is_known });
        }
    }

    /// The first tool that is to run now; waits for one.
    fn take(&self) -> (usize, Tool, Stop) {
        let mut state = self.lock();
        loop {
            let pauses = state.entries.iter().map(|entry| entry.is_due.then(|| entry.pause_left()));
            let pauses: Vec<Option<Duration>> = pauses.collect();
            if let Some(number) = pauses.iter().position(|pause| *pause == Some(Duration::ZERO)) {
                let stop = Stop::default();
                state.running = Some((number, stop.clone()));
                let entry = &mut state.entries[number];
                entry.is_due = false;
                return (number, entry.tool.clone(), stop);
            }
            let pause = pauses.into_iter().flatten().min().unwrap_or(PAUSE_MAX);
            state = self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done between changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// How long the tool has to wait until it may run.
    fn pause_left(&self) -> Duration {
        let Some(beyond) = self.rounds.checked_sub(ROUND_COUNT_MAX + 1) else { return Duration::ZERO };
        let pause = Duration::from_secs(1 << beyond.min(5)).min(PAUSE_MAX);
        self.ended.map_or(Duration::ZERO, |ended| pause.saturating_sub(ended.elapsed()))
    }
}

/// Whether two are the same tool, wherever they stand in `site.toml`.
fn is_same(one: &Tool, other: &Tool) -> bool {
    let plain = |tool: &Tool| Tool { span: Span::default(), ..tool.clone() };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Glob;

    fn end_run(tools: &Tools) {
        let mut state = tools.lock();
        state.running = None;
        state.entries[0].ended = Some(Instant::now());
    }

    #[test]
    fn a_tool_that_reads_what_it_writes_is_stopped_a_few_times_and_then_waits_between_its_runs() {
        let tool = Tool {
            name: "writer".to_owned(),
            command: vec!["true".to_owned()],
            inputs: vec![Glob::parse("*.txt")],
            timeout_seconds: 1,
            span: Span::default(),
        };
        let tools = Tools::new(".".into());
        tools.set(std::slice::from_ref(&tool));
        let change = ["static/a.txt".to_owned()];
        for _ in 0..ROUND_COUNT_MAX {
            let (_, _, stop) = tools.take();
            assert!(tools.note_changed(&change, None).is_empty());
            assert!(stop.is_sent());
            end_run(&tools);
        }
        let (_, _, stop) = tools.take();
        assert_eq!(tools.note_changed(&change, None), ["writer"], "it is told once");
        assert!(tools.note_changed(&change, None).is_empty());
        assert!(!stop.is_sent(), "it is left to end");
        end_run(&tools);
        assert!(tools.lock().entries[0].pause_left() > Duration::ZERO);
        // Its next run changes nothing: from then on it runs at once.
        tools.lock().entries[0].is_due = false;
        tools.note_changed(&["static/a.css".to_owned()], Some(&tool));
        assert_eq!(tools.lock().entries[0].pause_left(), Duration::ZERO);
        tools.note_changed(&change, None);
        tools.take();
    }

    #[test]
    fn only_tools_that_are_other_than_they_were_run_when_the_settings_change() {
        let tool = |name: &str, start| Tool {
            name: name.to_owned(),
            command: vec![name.to_owned()],
            inputs: Vec::new(),
            timeout_seconds: 1,
            span: Span::new(start, start + 1),
        };
        let tools = Tools::new(".".into());
        tools.set(&[tool("a", 1), tool("b", 5)]);
        assert_eq!((tools.take().0, tools.take().0), (0, 1));
        tools.set(&[tool("a", 8), tool("c", 9)]);
        assert!(tools.lock().running.as_ref().is_some_and(|(number, stop)| *number == 1 && stop.is_sent()));
        let (number, due, _) = tools.take();
        assert_eq!((number, due.name.as_str()), (1, "c"));
    }
}
