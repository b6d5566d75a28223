//! Waits until something in a site's folder changes, and says what, once it is over. It reads no file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

/// A change is over once nothing came for so long: editors write in two steps. Specified.
const QUIET_TIME: Duration = Duration::from_millis(10);
/// Or so long after the first event. Specified.
const CHANGE_TIME_MAX: Duration = Duration::from_millis(500);
/// Between two looks at a file system that tells nothing. Guessed: a look at 10,000 files takes 30 ms.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// More files than this are looked at all together.
const FILE_COUNT_MAX: usize = 200;

/// What may have changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Touched {
    /// These files, by their paths from the site's root.
    Files(BTreeSet<String>),
    /// Anything: look at all.
    Anything,
}

/// How changes become known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// The system tells.
    Notice,
    /// By looking again and again: for mounts that tell nothing.
    Poll,
}

/// Watches the sources of one site.
#[derive(Debug)]
pub enum Watcher {
    /// See [`Method::Notice`].
    Notice(Notices),
    /// See [`Method::Poll`].
    Poll,
}

/// What the system tells about some folders.
#[derive(Debug)]
pub struct Notices {
    /// Absolute, without links.
    root: PathBuf,
    files: Vec<String>,
    folders: Vec<String>,
    watcher: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
}

impl Watcher {
    /// Watches files at the site's root and folders below it. Folders need not be there yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(root: &Path, files: &[&str], folders: &[&str], method: Method) -> Result<Self, notify::Error> {
        if method == Method::Poll {
            return Ok(Self::Poll);
        }
        // Changes are told by absolute paths, whatever the folder was called here: `.` is what a site is mostly called.
        let root = root.canonicalize().map_err(notify::Error::io)?;
        let (sender, events) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(sender)?;
        watcher.watch(&root, RecursiveMode::NonRecursive)?;
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut notices = Notices { root, files: owned(files), folders: owned(folders), watcher, events };
        for folder in folders {
            if notices.root.join(folder).is_dir() {
                notices.watch_folder(folder)?;
            }
        }
        Ok(Self::Notice(notices))
    }

    /// Waits for the next change, until it is over. `None`: nothing will be told any more.
    pub fn wait(&mut self) -> Option<Touched> {
        match self {
            Self::Notice(notices) => notices.wait(),
            Self::Poll => {
                thread::sleep(POLL_INTERVAL);
                Some(Touched::Anything)
            }
        }
    }
}

impl Notices {
    fn watch_folder(&mut self, folder: &str) -> Result<(), notify::Error> {
        self.watcher.watch(&self.root.join(folder), RecursiveMode::Recursive)
    }

    fn wait(&mut self) -> Option<Touched> {
        let mut found = Found::default();
        while found.is_empty() {
            let event = self.events.recv().ok()?;
            self.add(event, &mut found);
        }
        let first = Instant::now();
        while let Some(left) = CHANGE_TIME_MAX.checked_sub(first.elapsed()) {
            match self.events.recv_timeout(QUIET_TIME.min(left)) {
                Ok(event) => self.add(event, &mut found),
                Err(_) => break,
            }
        }
        for folder in std::mem::take(&mut found.folders_to_watch) {
            // One that is gone already is watched when it comes again.
            self.watch_folder(&folder).ok();
        }
        let wants_all = found.wants_all || found.files.len() > FILE_COUNT_MAX;
        Some(if wants_all { Touched::Anything } else { Touched::Files(found.files) })
    }

    fn add(&self, event: notify::Result<Event>, found: &mut Found) {
        let Ok(event) = event else {
            found.wants_all = true;
            return;
        };
        found.wants_all |= event.need_rescan();
        let is_look = match event.kind {
            EventKind::Access(kind) => kind != AccessKind::Close(AccessMode::Write),
            _ => false,
        };
        for path in event.paths.iter().filter(|_| !is_look) {
            let Some(below) = path.strip_prefix(&self.root).ok().and_then(|below| below.to_str()) else { continue };
            if self.folders.iter().any(|folder| folder == below || folder.starts_with(&format!("{below}/"))) {
                found.folders_to_watch.extend(self.folders.iter().filter(|f| f.starts_with(below)).cloned());
                found.wants_all = true;
            } else if self.files.iter().any(|file| file == below)
                || self.folders.iter().any(|folder| is_below(below, folder))
            {
                found.files.insert(below.to_owned());
            }
        }
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// What a change has touched so far.
#[derive(Default)]
struct Found {
    files: BTreeSet<String>,
    wants_all: bool,
    /// Folders that came, or may have.
    folders_to_watch: BTreeSet<String>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.wants_all
    }
}
