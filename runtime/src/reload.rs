//! Replacing what is served: a bundle's file is looked at every second, and at once when somebody asks; a new one is
//! checked on a thread of its own and then swapped in. A bad one is refused, and the old one goes on.

use std::fmt::Display;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use bundle::{BundleView, OpenError};

use crate::limits::{CHECK_PIECE_BYTES, LOOK_MS};
use crate::mapped::{FileIdentity, MappedFile};
use crate::metrics::Event;
use crate::priority;
use crate::server::Remote;
use crate::site::{Site, SiteHandler};

/// Why a file can't be served.
#[derive(Debug)]
pub enum LoadError {
    /// It can't be read.
    Unreadable(io::Error),
    /// It is no bundle, or a damaged one.
    Bad(OpenError),
}

impl Display for LoadError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(error) => write!(out, "can't be read: {error}"),
            Self::Bad(error) => write!(out, "is {error}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Maps and checks a bundle.
///
/// # Errors
/// Why it can't be served.
pub fn load(path: &Path) -> Result<Site<MappedFile>, LoadError> {
    let file = MappedFile::open(path).map_err(LoadError::Unreadable)?;
    // The map is not read: whoever cuts the file short meanwhile would end the process.
    let mut reader = Yielding(file.file().try_clone().map_err(LoadError::Unreadable)?);
    let opened = BundleView::open_read(file, &mut reader).map_err(LoadError::Unreadable)?;
    opened.map(Site::new).map_err(LoadError::Bad)
}

/// Reads in small pieces and lets others have the processor between them: on a machine with one, a hundred megabytes would
/// hold up requests for as long as the scheduler lets a thread run.
struct Yielding<R>(R);

impl<R: Read> Read for Yielding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::thread::yield_now();
        let len = buffer.len().min(CHECK_PIECE_BYTES);
        self.0.read(&mut buffer[..len])
    }
}

/// Where the sites of a handler come from, in the handler's order.
pub struct Reloader {
    handler: Arc<SiteHandler<MappedFile>>,
    sources: Vec<Source>,
    wakes: (Sender<Wake>, Receiver<Wake>),
    report: fn(&str),
}

/// Why files are looked at before their time.
enum Wake {
    /// Somebody wants every file loaded again.
    Asked,
    /// A check is over.
    Checked,
}

/// A file that is being checked.
struct Check {
    /// What it looked like before.
    found: FileIdentity,
    /// Somebody asked for it.
    is_asked: bool,
    loaded: Receiver<Loaded>,
}

type Loaded = Result<Site<MappedFile>, LoadError>;

/// One file, and what was seen of it.
struct Source {
    path: PathBuf,
    served: FileIdentity,
    refused: Option<FileIdentity>,
    /// What was refused couldn't be read, for want of descriptors perhaps: it is tried again.
    is_unreadable: bool,
    /// It was written over, so that there is nothing whole to serve until a whole bundle is there.
    is_torn: bool,
    /// What it looked like last time, while it isn't what is served.
    seen: Option<FileIdentity>,
    /// Somebody wants it loaded again, however it looks.
    is_asked: bool,
    check: Option<Check>,
}

/// Asks for a look at the files now.
#[derive(Clone)]
pub struct ReloadRequest(Sender<Wake>);

impl ReloadRequest {
    /// Has every file loaded again, soon.
    pub fn send(&self) {
        // The other end only goes with the process.
        self.0.send(Wake::Asked).ok();
    }
}

impl Reloader {
    /// For a handler that serves these files, which looked like that when they were loaded; `report` tells a person.
    pub fn new(handler: Arc<SiteHandler<MappedFile>>, files: Vec<(PathBuf, FileIdentity)>, report: fn(&str)) -> Self {
        let source = |(path, served)| Source {
            path,
            served,
            refused: None,
            is_unreadable: false,
            is_torn: false,
            seen: None,
            is_asked: false,
            check: None,
        };
        Self { handler, sources: files.into_iter().map(source).collect(), wakes: channel(), report }
    }

    /// A way to ask for a look at the files.
    pub fn request(&self) -> ReloadRequest {
        ReloadRequest(self.wakes.0.clone())
    }

    /// Looks after the files from now on, on a thread of its own; `remote` reaches the server that serves them.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(mut self, remote: Remote) -> io::Result<()> {
        std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
            loop {
                let wake = self.wakes.1.recv_timeout(Duration::from_millis(LOOK_MS));
                // Since the last swap, who has nothing more to do with what was replaced has let go of it.
                if self.handler.alive_count() > self.handler.alive_count_max() {
                    remote.end_oldest_answers();
                }
                for number in 0..self.sources.len() {
                    self.take_checked(number, &remote);
                    self.sources[number].is_asked |= matches!(wake, Ok(Wake::Asked));
                    // Between two looks at a file is a second, in which nobody wrote to it if they are alike.
                    if !matches!(wake, Ok(Wake::Checked)) {
                        self.look(number, &remote);
                    }
                }
                self.forget_overwritten(&remote);
            }
        })?;
        Ok(())
    }

    /// Lets go of earlier bundles that were written over: what a cache would keep of them for a year is something else now.
    fn forget_overwritten(&self, remote: &Remote) {
        for site in self.handler.forget_overwritten() {
            remote.end_answers_from(site.bytes().file());
            (self.report)("an earlier bundle was written over in place; what only that one had isn't served any more");
        }
    }

    /// Looks whether a file changed, and has it checked then.
    fn look(&mut self, number: usize, remote: &Remote) {
        let source = &mut self.sources[number];
        if let Some(site) = self.handler.overwritten(number).filter(|_| !source.is_torn) {
            // The map shows what is being written: nothing of it may be served.
            source.is_torn = true;
            self.handler.mark_torn(number);
            let shown = source.path.display();
            (self.report)(&format!("`{shown}` was written over in place; answering 503 until a whole bundle is there"));
            // What is under way would end as something that never was.
            remote.end_answers_from(site.bytes().file());
        }
        // A file that is gone is still served: the map holds it.
        let Ok(found) = std::fs::metadata(&source.path).map(|metadata| FileIdentity::from(&metadata)) else { return };
        if source.served == found && !source.is_torn && !source.is_asked {
            source.seen = None;
            return;
        }
        let is_being_written = source.is_torn && source.served.is_same_file(found);
        if source.seen.replace(found) != Some(found) && is_being_written {
            // Reading it now would be reading a file that may shrink under our hands.
            return;
        }
        // What comes while another is checked has its turn after it.
        if source.check.is_none() && (source.is_asked || source.is_unreadable || source.refused != Some(found)) {
            self.check(number, found);
        }
    }

    /// Has a file checked on a thread that leaves the processor to whoever answers. Files are looked at meanwhile.
    fn check(&mut self, number: usize, found: FileIdentity) {
        let source = &mut self.sources[number];
        let (result, loaded) = channel();
        let (path, wake) = (source.path.clone(), self.wakes.0.clone());
        // While everything is answered with 503, nobody is served by waiting.
        let is_urgent = source.is_torn;
        let check = move || {
            if !is_urgent {
                // Where the system refuses, it is done all the same.
                priority::run_when_idle().ok();
            }
            // The other ends only go with the process.
            result.send(load(&path)).ok();
            wake.send(Wake::Checked).ok();
        };
        match std::thread::Builder::new().name("check".to_owned()).spawn(check) {
            Ok(_) => {
                let is_asked = std::mem::take(&mut source.is_asked);
                source.check = Some(Check { found, is_asked, loaded });
            }
            // It is tried again with the next look.
            Err(error) => (self.report)(&format!("`{}` can't be checked yet: {error}", source.path.display())),
        }
    }

    /// Takes what a check has found, if it is over.
    fn take_checked(&mut self, number: usize, remote: &Remote) {
        let source = &mut self.sources[number];
        let Some(Check { found, is_asked, loaded }) = &source.check else { return };
        let (found, is_asked) = (*found, *is_asked);
        let loaded = match loaded.try_recv() {
            Ok(loaded) => loaded,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err(LoadError::Unreadable(io::Error::other("the check broke off"))),
        };
        source.check = None;
        match loaded {
            Ok(site) => {
                source.served = site.bytes().identity();
                (source.refused, source.is_torn, source.seen) = (None, false, None);
                source.is_unreadable = false;
                let shown = source.path.display().to_string();
                self.swap(number, site, remote);
                (self.report)(&format!("now serving the new `{shown}`"));
            }
            Err(error) => {
                source.is_unreadable = matches!(error, LoadError::Unreadable(_));
                // What is tried each second is told once.
                if source.refused.replace(found) == Some(found) && !is_asked {
                    return;
                }
                remote.metrics().count(Event::BundleRefused);
                let torn = "still answering 503 until a whole bundle is there";
                let consequence = if source.is_torn { torn } else { "what was served before goes on" };
                (self.report)(&format!("`{}` {error}; {consequence}", source.path.display()));
            }
        }
    }

    fn swap(&self, number: usize, site: Site<MappedFile>, remote: &Remote) {
        self.handler.replace(number, site);
        remote.metrics().count(Event::BundleTaken);
        remote.begin_epoch();
    }
}
