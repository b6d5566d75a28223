//! Waits until something in a site's folder changes, and says what, once it is over. It reads no file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::config::Glob;

/// A change is over once nothing came for so long: editors write in two steps. Specified.
const QUIET_TIME: Duration = Duration::from_millis(10);
/// Or so long after the first event. Specified.
const CHANGE_TIME_MAX: Duration = Duration::from_millis(500);
/// The same for a change of very many files, such as another branch: it is one change, and a slow disk stops in between.
/// Guessed.
const MASS_QUIET_TIME: Duration = Duration::from_millis(100);
/// And so long after its first event. Guessed: 5,000 files take a slow disk two seconds.
const MASS_TIME_MAX: Duration = Duration::from_secs(5);
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

impl Touched {
    /// This and more.
    pub fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::Files(mut files), Self::Files(more)) => {
                files.extend(more);
                if files.len() > FILE_COUNT_MAX { Self::Anything } else { Self::Files(files) }
            }
            _ => Self::Anything,
        }
    }
}

/// How changes become known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// The system tells.
    Notice,
    /// By looking again and again: for mounts that tell nothing.
    Poll,
}

/// What of a site is watched. Folders need not be there yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope {
    /// Files at the site's root.
    pub files: Vec<Glob>,
    /// Folders, by their paths from there, with all that is below.
    pub folders: Vec<String>,
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
    lookout: Lookout,
    events: Receiver<notify::Result<Event>>,
}

/// Says what is watched while somebody waits for changes.
#[derive(Clone, Debug)]
pub struct Lookout {
    root: PathBuf,
    watched: Arc<Mutex<Watched>>,
}

#[derive(Debug)]
struct Watched {
    scope: Scope,
    /// `None`: whoever polls looks at all.
    system: Option<RecommendedWatcher>,
}

impl Lookout {
    /// Watches these from now on, and nothing else.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_scope(&self, scope: Scope) -> Result<(), notify::Error> {
        let mut watched = self.lock();
        let before = std::mem::replace(&mut watched.scope, scope);
        let Watched { scope, system: Some(system) } = &mut *watched else { return Ok(()) };
        for folder in before.folders.iter().filter(|folder| !scope.folders.contains(folder)) {
            // One that has gone isn't watched any more.
            system.unwatch(&self.root.join(folder)).ok();
        }
        // All of them: one that lies in another ended with it.
        for folder in scope.folders.iter().filter(|folder| self.root.join(folder).is_dir()) {
            system.watch(&self.root.join(folder), RecursiveMode::Recursive)?;
        }
        Ok(())
    }

    fn watch_folder(&self, folder: &str) {
        if let Some(system) = &mut self.lock().system {
            // One that is gone already is watched when it comes again.
            system.watch(&self.root.join(folder), RecursiveMode::Recursive).ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        // The scope is replaced as a whole.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Watches a site, and says how to watch something else.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(root: &Path, scope: Scope, method: Method) -> Result<(Self, Lookout), notify::Error> {
        // The system tells of absolute paths, whatever it was asked to watch.
        let root = std::path::absolute(root)?;
        let lookout = |system| Lookout {
            root: root.clone(),
            watched: Arc::new(Mutex::new(Watched { scope: Scope::default(), system })),
        };
        if method == Method::Poll {
            return Ok((Self::Poll, lookout(None)));
        }
        let (sender, events) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(sender)?;
        watcher.watch(&root, RecursiveMode::NonRecursive)?;
        let lookout = lookout(Some(watcher));
        lookout.set_scope(scope)?;
        Ok((Self::Notice(Notices { lookout: lookout.clone(), events }), lookout))
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
    fn wait(&mut self) -> Option<Touched> {
        let mut found = Found::default();
        while found.is_empty() {
            let event = self.events.recv().ok()?;
            self.add(event, &mut found);
        }
        let first = Instant::now();
        while let Some(wait) = found.patience(first.elapsed()) {
            match self.events.recv_timeout(wait) {
                Ok(event) => self.add(event, &mut found),
                Err(_) => break,
            }
        }
        for folder in std::mem::take(&mut found.folders_to_watch) {
            self.lookout.watch_folder(&folder);
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
        let watched = self.lookout.lock();
        let Scope { files, folders } = &watched.scope;
        for path in event.paths.iter().filter(|_| !is_look) {
            let below = path.strip_prefix(&self.lookout.root).ok().and_then(|below| below.to_str());
            let Some(below) = below else { continue };
            let holds = |folder: &&String| *folder == below || is_below(folder, below);
            if folders.iter().any(|folder| holds(&folder)) {
                found.folders_to_watch.extend(folders.iter().filter(holds).cloned());
                found.wants_all = true;
            } else if (!below.contains('/') && files.iter().any(|file| file.matches(below)))
                || folders.iter().any(|folder| is_below(below, folder))
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

    /// How long the next event is waited for, so long after the first one. `None`: what there is has to do.
    fn patience(&self, since_first: Duration) -> Option<Duration> {
        let is_mass = self.files.len() > FILE_COUNT_MAX;
        let (quiet, all) = if is_mass { (MASS_QUIET_TIME, MASS_TIME_MAX) } else { (QUIET_TIME, CHANGE_TIME_MAX) };
        all.checked_sub(since_first).map(|left| quiet.min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_of_branches_is_one_change_however_slow_the_disk_is() {
        let found =
            |count: usize| Found { files: (0..count).map(|number| number.to_string()).collect(), ..Found::default() };
        let at = Duration::from_millis;
        assert_eq!(found(FILE_COUNT_MAX).patience(at(499)), Some(at(1)));
        assert_eq!(found(FILE_COUNT_MAX).patience(at(501)), None);
        assert_eq!(found(FILE_COUNT_MAX + 1).patience(at(501)), Some(at(100)));
        assert_eq!(found(FILE_COUNT_MAX + 1).patience(at(4_999)), Some(at(1)));
        assert_eq!(found(5_000).patience(at(5_001)), None);
    }
}
