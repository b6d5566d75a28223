//! The sources being edited: what was read, what of it changed, and the plan that follows from it.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::DevOptions;
use super::client::MARKER;
use super::edition::Edition;
use crate::assets::{AssetNames, ImageWork, Workshop};
use crate::cache::{CACHE_FOLDER, Cache};
use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, Severity, SourceText};
use crate::output::Keeping;
use crate::pipeline::{BuildOptions, Memory, Plan, run_filters};
use crate::site::Selection;
use crate::source::{self, KnownFiles, ReadError, Renewal, SETTLING_TIME, SourceFile, Sources};
use crate::watch::{Method, Touched, Watcher};

/// Why a site can't be opened.
#[derive(Debug)]
pub enum DeskError {
    /// There is no site in the folder.
    NoSite(String),
    /// A file or folder can't be read.
    Read(Vec<ReadError>),
}

/// So often files that are being written are waited for: half a second in all, and then they are taken as they are.
const SETTLING_COUNT_MAX: usize = 25;

/// What changed, by paths from the site's root, and what came of it.
pub(super) struct Change {
    pub(super) edition: Arc<Edition>,
    pub(super) paths: Vec<String>,
}

/// All that is read of a site, and how it is read.
#[derive(Debug)]
pub struct Desk {
    options: DevOptions,
    config_text: Option<SourceText>,
    /// The last settings without mistakes.
    config: Config,
    /// What is wrong with `site.toml` as it is now, if that is worse than a warning.
    config_errors: Vec<Diagnostic>,
    sources: Sources,
    known: KnownFiles,
    memory: Memory,
    cache: Cache,
    /// What reading the folders found.
    walk_diagnostics: Vec<Diagnostic>,
    /// What running the filters found.
    filter_diagnostics: Vec<Diagnostic>,
    current: Option<Arc<Edition>>,
}

impl Desk {
    /// A desk with nothing on it.
    pub fn new(options: DevOptions) -> Self {
        let cache = Cache::new(options.site.join(CACHE_FOLDER));
        Self {
            cache,
            options,
            config_text: None,
            config: Config::default(),
            config_errors: Vec::new(),
            sources: Sources::default(),
            known: KnownFiles::default(),
            memory: Memory::default(),
            walk_diagnostics: Vec::new(),
            filter_diagnostics: Vec::new(),
            current: None,
        }
    }

    /// Reads the whole site.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn open(&mut self) -> Result<Arc<Edition>, DeskError> {
        self.read_config().map_err(|error| DeskError::Read(vec![error]))?;
        let (root, content) = (&self.options.site, &self.config.paths.content);
        if !root.join(content).is_dir() {
            let message =
                format!("no site in `{}`: there is no folder `{content}`; `kiln new DIR` makes a site", root.display());
            return Err(DeskError::NoSite(message));
        }
        self.read_all().map_err(DeskError::Read)?;
        self.run_filters();
        Ok(self.plan())
    }

    /// Watches what the site is made from.
    pub(super) fn watch(&self, root: &Path, method: Method) -> Result<Watcher, String> {
        let folders = self.config.paths.all();
        Watcher::start(root, &[config::FILE_NAME], &folders, method)
            .map_err(|error| format!("can't watch `{}`: {error}; `--poll` looks without being told", root.display()))
    }

    /// Looks at what was touched. `None`: nothing is other than it was.
    ///
    /// # Errors
    /// Every file that can't be read; all stays as it was.
    pub fn renew(&mut self, touched: &Touched) -> Result<Option<Arc<Edition>>, Vec<ReadError>> {
        Ok(self.find_change(touched)?.map(|change| change.edition))
    }

    /// The same, with the paths of what changed.
    pub(super) fn find_change(&mut self, touched: &Touched) -> Result<Option<Change>, Vec<ReadError>> {
        let before = self.sources.clone();
        let mut config_changed = false;
        let looks_at_config = match touched {
            Touched::Files(files) => files.contains(config::FILE_NAME),
            Touched::Anything => true,
        };
        if looks_at_config {
            config_changed = self.read_config().map_err(|error| vec![error])?;
        }
        let renewal = match touched {
            Touched::Files(files) if !config_changed => {
                let Self { sources, options, config, known, .. } = self;
                let files = files.iter().map(String::as_str);
                sources.renew(&options.site, &config.paths, files, known).map_err(|error| vec![error])?
            }
            _ => Renewal::WantsAll,
        };
        if renewal == Renewal::WantsAll {
            self.read_all()?;
        }
        self.run_filters();
        let mut paths = find_changed(&before, &self.sources);
        if config_changed {
            paths.insert(0, config::FILE_NAME.to_owned());
        }
        Ok((!paths.is_empty()).then(|| Change { edition: self.plan(), paths }))
    }

    /// Reads `site.toml`. Settings with mistakes don't take the place of good ones. Returns whether it changed.
    fn read_config(&mut self) -> Result<bool, ReadError> {
        let bytes = source::read_file_if_there(&self.options.site.join(config::FILE_NAME))?;
        let file = bytes.map(|bytes| SourceFile {
            path: config::FILE_NAME.into(),
            name: config::FILE_NAME.into(),
            bytes: bytes.into(),
        });
        let (text, mut mistakes) = match file.map(|file| file.to_text()) {
            Some(Ok(text)) => (Some(text), Vec::new()),
            Some(Err(mistake)) => (None, vec![mistake]),
            None => (None, Vec::new()),
        };
        if text == self.config_text && mistakes == self.config_errors && self.current.is_some() {
            return Ok(false);
        }
        let (mut config, found) = text.as_ref().map_or_else(Default::default, Config::parse);
        mistakes.extend(found);
        mistakes.retain(|mistake| mistake.code.severity() == Severity::Error);
        self.config_text = text;
        self.config_errors = mistakes;
        if let Some(base_url) = &self.options.base_url {
            // The command line was checked when the server started.
            config.set_base_url(base_url).ok();
        }
        if (self.config_errors.is_empty() || self.current.is_none()) && config != self.config {
            self.config = config;
            self.memory = Memory::default();
        }
        Ok(true)
    }

    fn read_all(&mut self) -> Result<(), Vec<ReadError>> {
        let (root, paths) = (&self.options.site, &self.config.paths);
        let mut found = Sources::read_changed(root, paths, &mut self.known)?;
        // Editors write in two steps; what is between them is nothing to show.
        for _ in 0..SETTLING_COUNT_MAX {
            if !self.known.is_settling {
                break;
            }
            thread::sleep(SETTLING_TIME);
            found = Sources::read_changed(root, paths, &mut self.known)?;
        }
        let (sources, diagnostics) = found;
        let filtered = std::mem::take(&mut self.sources.filtered);
        self.sources = Sources { filtered, ..sources };
        self.walk_diagnostics = diagnostics;
        Ok(())
    }

    /// Has filters make what they make of blocks of code. What they made before lies in the cache.
    fn run_filters(&mut self) {
        if self.config.filters.is_empty() {
            self.filter_diagnostics.clear();
            return;
        }
        let before = std::mem::take(&mut self.sources.filtered);
        let (root, cache) = (&self.options.site, &self.cache);
        self.filter_diagnostics = run_filters(&mut self.sources, &self.config, root, cache);
        if self.sources.filtered != before {
            // Pages are remembered by their own bytes.
            self.memory = Memory::default();
        }
    }

    fn plan(&mut self) -> Arc<Edition> {
        let DevOptions { shows_unfinished, today, time, .. } = self.options;
        let shows = |setting: bool| shows_unfinished || setting;
        let options = BuildOptions {
            asset_names: AssetNames::Plain,
            keeping: Keeping::Nothing,
            image_work: ImageWork::Remember,
            compress: false,
            selection: Selection {
                drafts: shows(self.config.build.drafts),
                future: shows(self.config.build.future),
                today,
            },
            time,
            live_reload: MARKER,
        };
        let workshop = Workshop::new(&self.cache);
        let mut plan = Plan::new(self.sources.clone(), self.config.clone(), options, &self.memory, &workshop);
        self.memory.sweep();
        plan.diagnostics.extend(self.walk_diagnostics.iter().chain(&self.filter_diagnostics).cloned());
        let edition =
            Arc::new(Edition::new(plan, self.config_text.clone(), self.config_errors.clone(), self.current.as_deref()));
        self.current = Some(Arc::clone(&edition));
        edition
    }
}

/// The paths of files that came, went or have other bytes.
fn find_changed(before: &Sources, after: &Sources) -> Vec<String> {
    let mut changed = Vec::new();
    for (before, after) in before.lists().into_iter().zip(after.lists()) {
        let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(a), Some(b)) if Arc::ptr_eq(&a.path, &b.path) => std::cmp::Ordering::Equal,
                (Some(a), Some(b)) => a.path.cmp(&b.path),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            let (gone, come) =
                (order.is_le().then(|| old.next()).flatten(), order.is_ge().then(|| new.next()).flatten());
            let is_same = match (gone, come) {
                (Some(a), Some(b)) => Arc::ptr_eq(&a.bytes, &b.bytes) || a.bytes == b.bytes,
                _ => false,
            };
            if !is_same {
                changed.extend(come.or(gone).map(|file| file.path.to_string()));
            }
        }
    }
    changed
}
