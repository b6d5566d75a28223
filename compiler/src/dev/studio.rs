//! The threads that do the work of the development server, and what they share with those who answer requests. One
//! thread follows the sources (`edit`), one makes pages that are waited for (`fetch`), one checks the whole site when
//! nothing else is to be done (`check`), one makes variants of images after that (`images`), and one runs the site's
//! tools (`tools`).

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::desk::{Desk, Progress, SETTLING_COUNT_MAX};
use super::edition::{Edition, Ready, Shown};
use super::images::{self, MadeImages};
use super::live_reload::{Client, Clients, Told};
use super::looks::Looks;
use super::notes::Notes;
use super::terminal::Terminal;
use super::tools::{ToolRun, Tools};
use super::{DevOptions, check};
use crate::bytes::ReadError;
use crate::config::Tool;
use crate::diagnostic::{self, Diagnostic, Paint, SHOWN_COUNT_DEFAULT};
use crate::source::SETTLING_TIME;
use crate::watch::{Touched, Watcher};

/// How long to wait before another look whether there is time. Guessed.
const PATIENCE: Duration = Duration::from_millis(20);
/// The whole site is checked once nothing changed for so long. Guessed: what is open comes first.
const CHECK_DELAY: Duration = Duration::from_millis(300);
/// Files that can't be read are named so far: it is one fault, as a rule. Guessed.
const READ_ERROR_COUNT_MAX: usize = 5;
/// Paths that are named in the line about a change.
const NAMED_PATH_COUNT_MAX: usize = 3;

/// How often what was there already, and how often not.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) revalidations: AtomicU64,
    pub(super) revalidation_errors: AtomicU64,
}

/// What those who answer and those who work share.
pub(super) struct Studio {
    current: Mutex<Arc<Edition>>,
    /// The current edition's number, to be looked at without the lock.
    number: AtomicU64,
    /// Woken when there is a new edition.
    replaced: Condvar,
    pub(super) clients: Clients,
    pub(super) counters: Counters,
    edits: Mutex<Sender<Edit>>,
    fetches: Mutex<Sender<Fetch>>,
    is_watched: bool,
    looks: Mutex<Looks>,
    /// Edits and pages that somebody waits for, sent and not done yet.
    waiting_count: AtomicUsize,
    pub(super) terminal: Terminal,
    tools: Tools,
    notes: Mutex<Notes>,
    /// The mistakes that were shown with the last change: the check of the whole site need not show them again.
    told: Mutex<Vec<Diagnostic>>,
    inbox: Mutex<Option<(Receiver<Edit>, Receiver<Fetch>)>>,
}

/// Something for the thread that follows the sources.
pub(super) enum Edit {
    /// Look at these.
    Look(Touched),
    /// Look at what a page or file is made from. So often files were found that were being written.
    LookBehind { path: String, settling_count: usize },
    /// Look at all, and say when it is done.
    LookFirst(may::sync::mpsc::Sender<()>),
    /// A browser waits.
    Join(Client),
    /// A tool ended.
    ToolRan(ToolRun),
    /// Images got their variants.
    Images(MadeImages),
    /// A file of the edition with this number can't be read any more: take nothing for known.
    ReadAnew(u64),
}

/// Something that somebody waits for.
pub(super) enum Fetch {
    /// A page.
    Page { edition: Arc<Edition>, path: String, reply: may::sync::mpsc::Sender<Option<Arc<Shown>>> },
    /// Some of a file's bytes.
    File { file: Arc<Ready>, part: Range<usize>, reply: may::sync::mpsc::Sender<Result<Vec<u8>, ReadError>> },
}

impl Studio {
    pub(super) fn new(edition: Arc<Edition>, options: &DevOptions, terminal: Terminal) -> Arc<Self> {
        let DevOptions { site, interval, watch, .. } = options.clone();
        let (edits, edit_inbox) = mpsc::channel();
        let (fetches, fetch_inbox) = mpsc::channel();
        Arc::new(Self {
            number: AtomicU64::new(edition.number),
            current: Mutex::new(edition),
            replaced: Condvar::new(),
            clients: Clients::default(),
            counters: Counters::default(),
            edits: Mutex::new(edits),
            fetches: Mutex::new(fetches),
            is_watched: watch.is_some(),
            looks: Mutex::new(Looks::new(interval)),
            waiting_count: AtomicUsize::new(0),
            terminal,
            tools: Tools::new(site),
            notes: Mutex::default(),
            told: Mutex::default(),
            inbox: Mutex::new(Some((edit_inbox, fetch_inbox))),
        })
    }

    /// The state of the site now.
    pub(super) fn current(&self) -> Arc<Edition> {
        Arc::clone(&self.current_lock())
    }

    /// Whether an edition is the current one.
    pub(super) fn is_current(&self, edition: &Edition) -> bool {
        self.number.load(Ordering::Acquire) == edition.number
    }

    /// A page, made while the caller waits if nobody asked for it before. To be called in a coroutine.
    pub(super) fn fetch(&self, edition: &Arc<Edition>, path: String) -> Option<Arc<Shown>> {
        if let Some(shown) = edition.find_shown(&path) {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
            return Some(shown);
        }
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = may::sync::mpsc::channel();
        self.waiting_count.fetch_add(1, Ordering::AcqRel);
        send(&self.fetches, Fetch::Page { edition: Arc::clone(edition), path, reply });
        answer.recv().ok().flatten()
    }

    /// Some bytes of a file of the edition with a number, read while the caller waits if they aren't held. `None`: they
    /// can't be read any more, and all is being read anew. To be called in a coroutine.
    pub(super) fn read(&self, file: &Arc<Ready>, part: Range<usize>, number: u64) -> Option<Vec<u8>> {
        if let Some(bytes) = file.body.held() {
            return Some(bytes[part].to_vec());
        }
        let (reply, answer) = may::sync::mpsc::channel();
        self.waiting_count.fetch_add(1, Ordering::AcqRel);
        send(&self.fetches, Fetch::File { file: Arc::clone(file), part, reply });
        match answer.recv().ok()? {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.terminal.say(&format!("error: {error}"));
                self.ask(Edit::ReadAnew(number));
                None
            }
        }
    }

    /// Has the sources of a page or file looked at, if that was long enough ago. Nobody waits for it, and it never happens
    /// twice at a time.
    pub(super) fn revalidate(&self, path: &str) {
        if !self.is_watched && lock(&self.looks).begin(path) {
            self.ask(Edit::LookBehind { path: path.to_owned(), settling_count: 0 });
        }
    }

    /// Has the sources looked at, and waits for it. To be called in a coroutine.
    pub(super) fn look_first(&self) {
        let (reply, answer) = may::sync::mpsc::channel();
        self.ask(Edit::LookFirst(reply));
        // If the thread is gone there is nothing newer to wait for.
        answer.recv().ok();
    }

    /// Has the thread that follows the sources do something.
    pub(super) fn ask(&self, edit: Edit) {
        self.waiting_count.fetch_add(1, Ordering::AcqRel);
        send(&self.edits, edit);
    }

    /// Whether somebody waits for something else than what is made when there is time.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting_count.load(Ordering::Acquire) > 0
    }

    /// The first edition after number `seen` that stays the current one for a while.
    pub(super) fn wait_for_quiet(&self, seen: u64) -> Arc<Edition> {
        let mut current = self.current_lock();
        while current.number <= seen {
            current = self.replaced.wait(current).unwrap_or_else(PoisonError::into_inner);
        }
        loop {
            let number = current.number;
            let waited = self.replaced.wait_timeout(current, CHECK_DELAY).unwrap_or_else(PoisonError::into_inner);
            current = waited.0;
            if current.number == number && waited.1.timed_out() {
                return Arc::clone(&current);
            }
        }
    }

    /// Waits for as long as somebody else does: for what is made when there is time.
    pub(super) fn give_way(&self) {
        while self.is_busy() {
            thread::sleep(PATIENCE);
        }
    }

    fn current_lock(&self) -> MutexGuard<'_, Arc<Edition>> {
        lock(&self.current)
    }

    /// Shows mistakes, unless they were the last that were shown.
    fn tell_once(&self, errors: &[Diagnostic], edition: &Edition) {
        let mut told = lock(&self.told);
        if *told != errors {
            self.terminal.show(&draw(errors, edition, self.terminal.paint));
            *told = errors.to_vec();
        }
    }

    /// Whether these mistakes were the last that were shown with a change.
    pub(super) fn has_told(&self, errors: &[Diagnostic]) -> bool {
        *lock(&self.told) == errors
    }

    /// Has open pages tell what the check of an edition found in their files, if it is still the current one.
    pub(super) fn note_site(&self, diagnostics: &[Diagnostic], edition: &Edition) {
        let mut notes = lock(&self.notes);
        if self.is_current(edition) {
            notes.of_site = diagnostics.to_vec();
            self.clients.note_all(edition, &notes);
        }
    }

    fn replace(&self, edition: &Arc<Edition>) {
        *self.current_lock() = Arc::clone(edition);
        self.number.store(edition.number, Ordering::Release);
        self.replaced.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send<T>(sender: &Mutex<Sender<T>>, message: T) {
    // It fails when the process ends, and then nobody is left to care.
    lock(sender).send(message).ok();
}

/// Starts the threads.
///
/// # Errors
/// What the system says.
pub(super) fn start(
    studio: Arc<Studio>,
    desk: Desk,
    watcher: Option<Watcher>,
    options: DevOptions,
) -> std::io::Result<()> {
    studio.tools.set(desk.tools());
    let (edits, fetches) = lock(&studio.inbox).take().expect("a studio's threads are started once");
    let spawn =
        |name: &str, work: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.to_owned()).spawn(work).map(drop);
    let shared = Arc::clone(&studio);
    spawn("edit", Box::new(move || edit(&shared, desk, &edits)))?;
    let shared = Arc::clone(&studio);
    spawn("fetch", Box::new(move || fetch(&shared, &fetches)))?;
    if let Some(mut watcher) = watcher {
        // What changed before anybody watched.
        studio.ask(Edit::Look(Touched::Anything));
        let shared = Arc::clone(&studio);
        let watch = move || {
            while let Some(touched) = watcher.wait() {
                shared.ask(Edit::Look(touched));
            }
        };
        spawn("watch", Box::new(watch))?;
    }
    let shared = Arc::clone(&studio);
    spawn("tools", Box::new(move || shared.tools.work(|run| shared.ask(Edit::ToolRan(run)))))?;
    let shared = Arc::clone(&studio);
    spawn("images", Box::new(move || images::work(&shared, &options)))?;
    spawn("check", Box::new(move || check::work(&studio)))
}

/// Follows the sources.
fn edit(studio: &Arc<Studio>, mut desk: Desk, edits: &Receiver<Edit>) {
    let mut next = None;
    desk.prepare();
    while let Some(edit) = next.take().or_else(|| edits.recv().ok()) {
        match edit {
            Edit::Look(mut touched) => {
                // What changed during the last look is looked at together.
                while let Ok(more) = edits.try_recv() {
                    let Edit::Look(more) = more else {
                        next = Some(more);
                        break;
                    };
                    touched = touched.and(more);
                    studio.waiting_count.fetch_sub(1, Ordering::AcqRel);
                }
                follow(studio, &mut desk, &touched, None);
            }
            Edit::LookBehind { path, settling_count } => look_behind(studio, &mut desk, &path, settling_count),
            Edit::LookFirst(reply) => {
                follow(studio, &mut desk, &Touched::Anything, None);
                // Whoever waited may have gone.
                reply.send(()).ok();
            }
            Edit::Join(client) => studio.clients.join(client, &studio.current(), &lock(&studio.notes)),
            Edit::ToolRan(run) => take_tool_run(studio, &mut desk, &run),
            Edit::Images(made) => {
                let start = Instant::now();
                let count = made.count();
                if let Some(edition) = desk.add_images(made) {
                    let what = format!("{count} {} got variants", if count == 1 { "image" } else { "images" });
                    replace(studio, &edition, &what, start);
                }
            }
            Edit::ReadAnew(number) => read_anew(studio, &mut desk, number),
        }
        desk.prepare();
        studio.waiting_count.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Looks at what a page is made from, and now and then at everything.
fn look_behind(studio: &Arc<Studio>, desk: &mut Desk, path: &str, settling_count: usize) {
    let is_whole = lock(&studio.looks).is_whole_due();
    let whole = (Touched::Anything, Progress::Finished);
    let (touched, progress) = if is_whole { whole } else { desk.find_touched(path) };
    if progress == Progress::UnderWay && settling_count < SETTLING_COUNT_MAX {
        // Half a file is worse than a late one, and other edits don't wait for it.
        let (shared, path) = (Arc::clone(studio), path.to_owned());
        let later = move || {
            thread::sleep(SETTLING_TIME);
            shared.ask(Edit::LookBehind { path, settling_count: settling_count + 1 });
        };
        if thread::Builder::new().spawn(later).is_ok() {
            return;
        }
    }
    let start = Instant::now();
    follow(studio, desk, &touched, None);
    lock(&studio.looks).end(Some(path), is_whole, start);
}

/// Looks at what was touched. `tool`: the one that ended just now, and may have touched it.
fn follow(studio: &Studio, desk: &mut Desk, touched: &Touched, tool: Option<&Tool>) {
    let start = Instant::now();
    studio.counters.revalidations.fetch_add(1, Ordering::Relaxed);
    let found = desk.find_change(touched);
    let mut changed = desk.take_changed_inputs();
    match found {
        Ok(Some(change)) => {
            replace(studio, &change.edition, &name_some(&change.paths), start);
            changed.extend(change.paths);
        }
        Ok(None) => {}
        Err(errors) => tell_unread(studio, &errors),
    }
    studio.tools.set(desk.tools());
    for name in studio.tools.note_changed(&changed, tool) {
        studio.terminal.say(&format!(
            "what the tool `{name}` reads changes while it runs, again and again: it waits between its runs from now on"
        ));
    }
}

/// Has the place taken of an edition of which a file can't be read any more.
fn read_anew(studio: &Studio, desk: &mut Desk, number: u64) {
    let is_current = || studio.current().number == number;
    if is_current() {
        // As a rule the file was saved a moment ago.
        follow(studio, desk, &Touched::Anything, None);
    }
    if is_current() {
        let start = Instant::now();
        match desk.read_anew() {
            Ok(edition) => replace(studio, &edition, "all was read anew", start),
            Err(errors) => tell_unread(studio, &errors),
        }
    }
}

fn tell_unread(studio: &Studio, errors: &[ReadError]) {
    studio.counters.revalidation_errors.fetch_add(1, Ordering::Relaxed);
    for error in errors.iter().take(READ_ERROR_COUNT_MAX) {
        studio.terminal.say(&format!("error: {error}"));
    }
    if let Some(more) = errors.len().checked_sub(READ_ERROR_COUNT_MAX).filter(|more| *more > 0) {
        studio.terminal.say(&format!("error: {more} more files can't be read"));
    }
}

/// Puts a new edition in the place of the current one, and tells whom it concerns. What is open is made before anybody
/// can ask for it.
fn replace(studio: &Studio, edition: &Arc<Edition>, what: &str, start: Instant) {
    let (before, open) = (studio.current(), studio.clients.open_pages());
    let pages: Vec<_> = open.iter().filter_map(|page| edition.page_path(page)).collect();
    let shown: Vec<_> = pages.par_iter().filter_map(|path| edition.show(path)).collect();
    // They were about the edition before.
    lock(&studio.notes).of_site.clear();
    studio.replace(edition);
    let told = studio.clients.tell_all(&before, edition);
    let errors = unique(shown.iter().flat_map(|shown| shown.errors.iter()).chain(edition.config_errors()));
    studio.terminal.say(&describe(what, shown.len(), told, start.elapsed()));
    if errors.is_empty() {
        lock(&studio.told).clear();
    } else {
        studio.counters.revalidation_errors.fetch_add(1, Ordering::Relaxed);
        studio.tell_once(&errors, edition);
    }
}

/// What a tool wrote is an edit like any other; what it complained of is shown until it runs again.
fn take_tool_run(studio: &Studio, desk: &mut Desk, run: &ToolRun) {
    let ToolRun { tool, time, failure, is_known } = run;
    let Studio { terminal, .. } = studio;
    match failure {
        None => terminal.say(&format!("the tool `{}` is done, {} ms", tool.name, time.as_millis())),
        Some(_) if *is_known => terminal.say(&format!("the tool `{}` fails as before", tool.name)),
        Some(failure) => {
            terminal.show(&draw(std::slice::from_ref(failure), &studio.current(), terminal.paint));
        }
    }
    follow(studio, desk, &Touched::Anything, Some(tool));
    let mut notes = lock(&studio.notes);
    notes.of_tools = studio.tools.failures();
    studio.clients.note_all(&studio.current(), &notes);
}

fn unique<'a>(errors: impl Iterator<Item = &'a Diagnostic>) -> Vec<Diagnostic> {
    let mut errors: Vec<_> = errors.cloned().collect();
    diagnostic::sort(&mut errors);
    errors
}

pub(super) fn draw(diagnostics: &[Diagnostic], edition: &Edition, paint: Paint) -> String {
    diagnostic::draw_human(diagnostics, &|path| edition.find_text(path), SHOWN_COUNT_DEFAULT, paint)
}

/// The first of some paths, and how many more there are.
fn name_some(paths: &[String]) -> String {
    let shown = paths.iter().take(NAMED_PATH_COUNT_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMED_PATH_COUNT_MAX) {
        0 => shown,
        count => format!("{shown} and {count} more"),
    }
}

/// One line: what changed, what was made of it, how long it took.
fn describe(what: &str, made: usize, told: Told, time: Duration) -> String {
    let pages = if made == 1 { "1 open page".to_owned() } else { format!("{made} open pages") };
    let Told { reloaded, warned } = told;
    let told = match (reloaded, warned) {
        (0, 0) => String::new(),
        (reloaded, 0) => format!(", {reloaded} told to reload"),
        (0, warned) => format!(", {warned} told of mistakes"),
        (reloaded, warned) => format!(", {reloaded} told to reload, {warned} of mistakes"),
    };
    format!("{what}: {pages} made{told}, {} ms", time.as_millis())
}

/// Makes pages that are waited for, and reads files.
fn fetch(studio: &Studio, fetches: &Receiver<Fetch>) {
    for fetch in fetches {
        // Whoever waited may have gone.
        match fetch {
            Fetch::File { file, part, reply } => drop(reply.send(file.body.read_part(part))),
            Fetch::Page { edition, path, reply } => {
                let shown = edition.show(&path);
                if let Some(shown) = shown.as_ref().filter(|shown| !shown.errors.is_empty()) {
                    studio.counters.revalidation_errors.fetch_add(1, Ordering::Relaxed);
                    studio.tell_once(&shown.errors, &edition);
                }
                reply.send(shown).ok();
            }
        }
        studio.waiting_count.fetch_sub(1, Ordering::AcqRel);
    }
}
