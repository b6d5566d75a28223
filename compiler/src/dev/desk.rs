//! The sources being edited: what was read, what of it changed, and the plan that follows from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use super::DevOptions;
use super::client::MARKER;
use super::edition::Edition;
use super::images::MadeImages;
use crate::assets::{Annex, AssetNames, ImageWork, Workshop, is_text_asset};
use crate::cache::{CACHE_FOLDER, Cache};
use crate::config::{self, Config, Glob, Tool};
use crate::diagnostic::{Diagnostic, Severity, SourceText};
use crate::output::Keeping;
use crate::pipeline::{BuildOptions, Memory, Plan, run_filters};
use crate::site::Selection;
use crate::source::{
    self, Inputs, KnownFiles, LOCK_NAME, ReadError, Renewal, SETTLING_TIME, SKETCHES_NAME, SourceFile, Sources,
};
use crate::tools::filter::{FilterBench, FilterMemory};
use crate::watch::{Lookout, Method, Scope, Touched, Watcher};

/// Why a site can't be opened.
#[derive(Debug)]
pub enum DeskError {
    /// There is no site in the folder.
    NoSite(String),
    /// A file or folder can't be read.
    Read(Vec<ReadError>),
}

/// The files at a site's root.
const OWN_FILES: [&str; 3] = [config::FILE_NAME, LOCK_NAME, SKETCHES_NAME];

/// So often files that are being written are waited for: half a second in all, and then they are taken as they are.
pub(super) const SETTLING_COUNT_MAX: usize = 25;

/// Whether somebody is about to write more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// A file was changed a moment ago.
    UnderWay,
    /// Not as far as can be seen.
    Finished,
}

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
    filter_memory: FilterMemory,
    cache: Cache,
    annex: Annex,
    /// What reading the folders found.
    walk_diagnostics: Vec<Diagnostic>,
    /// What running the filters found.
    filter_diagnostics: Vec<Diagnostic>,
    current: Option<Arc<Edition>>,
    /// Whether the last look failed: the next one is at everything, since something may have been passed over.
    is_unsure: bool,
    /// Whether settings were read that no edition has yet.
    has_new_config: bool,
    /// What tools read besides the sources.
    inputs: Inputs,
    /// What of that changed and nobody asked about yet.
    changed_inputs: Vec<String>,
    /// Has other folders watched when the settings name others.
    lookout: Option<Lookout>,
}

impl Desk {
    /// A desk with nothing on it.
    pub fn new(options: DevOptions) -> Self {
        let cache = Cache::new(options.site.join(CACHE_FOLDER));
        Self {
            cache,
            annex: Annex::new(&options.program),
            options,
            config_text: None,
            config: Config::default(),
            config_errors: Vec::new(),
            sources: Sources::default(),
            known: KnownFiles::default(),
            memory: Memory::default(),
            filter_memory: FilterMemory::default(),
            walk_diagnostics: Vec::new(),
            filter_diagnostics: Vec::new(),
            current: None,
            is_unsure: false,
            has_new_config: false,
            inputs: Inputs::default(),
            changed_inputs: Vec::new(),
            lookout: None,
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
        // All tools run at the start.
        self.renew_inputs();
        self.changed_inputs.clear();
        let edition = self.plan();
        // What was highlighted for the first time; an edit adds too little to be written down.
        self.cache.finish();
        Ok(edition)
    }

    /// Gets ready for the next edit: nobody waits for it.
    pub(super) fn prepare(&self) {
        let Sources { styles, static_files, .. } = &self.sources;
        if !styles.is_empty() || static_files.iter().any(is_text_asset) {
            self.annex.prepare();
        }
    }

    /// Watches what the site is made from, and what its tools read.
    pub(super) fn watch(&mut self, method: Method) -> Result<Watcher, String> {
        let root = &self.options.site;
        let (watcher, lookout) = Watcher::start(root, self.scope(), method)
            .map_err(|error| format!("can't watch `{}`: {error}; `--poll` looks without being told", root.display()))?;
        self.lookout = Some(lookout);
        Ok(watcher)
    }

    fn scope(&self) -> Scope {
        let patterns = self.patterns();
        let own = self.config.paths.all().into_iter().map(str::to_owned);
        let mut files: Vec<Glob> = OWN_FILES.iter().map(|name| Glob::parse(name)).collect();
        files.extend(patterns.iter().copied().cloned());
        Scope { files, folders: own.chain(Inputs::folders(&patterns, &self.config.paths)).collect() }
    }

    /// What tools read, and what filters are made of.
    fn patterns(&self) -> Vec<&Glob> {
        let of_filters = self.config.filters.iter().flat_map(|filter| &filter.own_files);
        self.config.tools.iter().flat_map(|tool| &tool.inputs).chain(of_filters).collect()
    }

    /// The site's tools.
    pub(super) fn tools(&self) -> &[Tool] {
        &self.config.tools
    }

    /// The files that changed since somebody asked, which tools may read and nothing else does.
    pub(super) fn take_changed_inputs(&mut self) -> Vec<String> {
        std::mem::take(&mut self.changed_inputs)
    }

    fn renew_inputs(&mut self) {
        let mut inputs = std::mem::take(&mut self.inputs);
        self.changed_inputs.extend(inputs.renew(&self.options.site, &self.config.paths, &self.patterns()));
        self.inputs = inputs;
    }

    /// What may have changed of a page or file: of what it is made from, what looks otherwise than it did; and whether some
    /// of that is being written.
    pub(super) fn find_touched(&self, path: &str) -> (Touched, Progress) {
        let Some(current) = &self.current else { return (Touched::Anything, Progress::Finished) };
        let root = &self.options.site;
        let files = current.files_behind(path).into_iter().chain(current.source_of(path));
        let mut changed: BTreeSet<String> =
            files.filter(|file| !self.known.is_as_it_was(root, file)).map(|file| file.to_string()).collect();
        let is_being_written = changed.iter().any(|file| source::is_being_written(&root.join(file)));
        changed.insert(config::FILE_NAME.to_owned());
        (Touched::Files(changed), if is_being_written { Progress::UnderWay } else { Progress::Finished })
    }

    /// Takes the variants that were made of images, unless the images or their settings have changed since.
    pub(super) fn add_images(&mut self, made: MadeImages) -> Option<Arc<Edition>> {
        if made.settings != self.config.images {
            return None;
        }
        let added: Vec<bool> = made.images.into_iter().map(|(file, read)| self.memory.add_image(&file, read)).collect();
        added.contains(&true).then(|| self.plan())
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
        let mut config_changed = std::mem::take(&mut self.has_new_config);
        let looks_at_config = match touched {
            Touched::Files(files) => files.contains(config::FILE_NAME),
            Touched::Anything => true,
        };
        if looks_at_config {
            config_changed |= self.read_config().map_err(|error| vec![error])?;
        }
        if let Some(lookout) = self.lookout.as_ref().filter(|_| config_changed) {
            // A folder that can't be watched is looked at with the others all the same.
            lookout.set_scope(self.scope()).ok();
        }
        let is_known = |path: &String| OWN_FILES.contains(&path.as_str()) || self.config.paths.hold(path);
        if !matches!(touched, Touched::Files(files) if !config_changed && files.iter().all(is_known)) {
            self.renew_inputs();
        }
        let is_of_past = |path: &String| [LOCK_NAME, SKETCHES_NAME].contains(&path.as_str());
        let renewal = match touched {
            Touched::Files(files) if !config_changed && !self.is_unsure && !files.iter().any(is_of_past) => {
                let Self { sources, options, config, known, .. } = self;
                let files = files.iter().map(String::as_str);
                // What can't be read now may have gone a moment ago.
                sources.renew(&options.site, &config.paths, files, known).unwrap_or(Renewal::WantsAll)
            }
            _ => Renewal::WantsAll,
        };
        self.is_unsure = false;
        if renewal == Renewal::WantsAll
            && let Err(errors) = self.read_all()
        {
            self.sources = before;
            (self.is_unsure, self.has_new_config) = (true, config_changed);
            return Err(errors);
        }
        let mistakes_before = self.filter_diagnostics.clone();
        self.run_filters();
        let mut paths = find_changed(&before, &self.sources);
        if paths.is_empty() && (self.sources.filtered != before.filtered || self.filter_diagnostics != mistakes_before)
        {
            // A program was installed, or a script of the site that a filter names is another.
            paths.push("what filters give".to_owned());
        }
        if self.sources.past != before.past {
            paths.insert(0, LOCK_NAME.to_owned());
        }
        if config_changed {
            paths.insert(0, config::FILE_NAME.to_owned());
        }
        Ok((!paths.is_empty()).then(|| Change { edition: self.plan(), paths }))
    }

    /// Reads all again and takes nothing for known: what was read or made before isn't where it was.
    ///
    /// # Errors
    /// Every file that can't be read; the sources stay as they were.
    pub(super) fn read_anew(&mut self) -> Result<Arc<Edition>, Vec<ReadError>> {
        self.known = KnownFiles::default();
        self.read_all()?;
        self.memory = Memory::default();
        self.filter_memory = FilterMemory::default();
        self.run_filters();
        Ok(self.plan())
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
        let is_same = text == self.config_text && (text.is_some() || mistakes == self.config_errors);
        if is_same && self.current.is_some() {
            return Ok(false);
        }
        let (mut config, found) = text.as_ref().map_or_else(Default::default, Config::parse);
        mistakes.extend(found);
        mistakes.retain(|mistake| mistake.severity == Severity::Error);
        self.config_text = text;
        self.config_errors = mistakes;
        if let Some(base_url) = &self.options.base_url {
            // The command line was checked when the server started.
            config.set_base_url(base_url).ok();
        }
        if (self.config_errors.is_empty() || self.current.is_none()) && config != self.config {
            self.config = config;
            self.memory = Memory::default();
            self.filter_memory = FilterMemory::default();
        }
        Ok(true)
    }

    fn read_all(&mut self) -> Result<(), Vec<ReadError>> {
        let (root, paths) = (&self.options.site, &self.config.paths);
        // Editors write in two steps, and folders go file by file; what is between is nothing to show.
        let mut found = Sources::read_changed(root, paths, &mut self.known);
        for _ in 0..SETTLING_COUNT_MAX {
            let is_going = |error: &ReadError| error.error.kind() == std::io::ErrorKind::NotFound;
            if !found.as_ref().map_or_else(|errors| errors.iter().all(is_going), |_| self.known.is_settling) {
                break;
            }
            thread::sleep(SETTLING_TIME);
            found = Sources::read_changed(root, paths, &mut self.known);
        }
        let (mut sources, diagnostics) = found?;
        sources.keep_lists(&self.sources);
        sources.filtered = std::mem::take(&mut self.sources.filtered);
        self.sources = sources;
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
        let selection = self.selection();
        let bench = FilterBench { root: &self.options.site, cache: &self.cache, memory: &mut self.filter_memory };
        self.filter_diagnostics = run_filters(&mut self.sources, &self.config, selection, bench);
        if self.sources.filtered != before {
            // Pages are remembered by their own bytes.
            self.memory = Memory::default();
        }
    }

    /// The pages that are shown.
    fn selection(&self) -> Selection {
        let DevOptions { shows_unfinished, today, .. } = self.options;
        let shows = |setting: bool| shows_unfinished || setting;
        Selection { drafts: shows(self.config.build.drafts), future: shows(self.config.build.future), today }
    }

    fn plan(&mut self) -> Arc<Edition> {
        let options = BuildOptions {
            asset_names: AssetNames::Plain,
            keeping: Keeping::Nothing,
            image_work: ImageWork::Remember,
            compress: false,
            selection: self.selection(),
            lists_urls: false,
            time: self.options.time,
            live_reload: MARKER,
        };
        let workshop = Workshop::new(&self.cache, &self.annex);
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
    let lists = before.lists().into_iter().zip(after.lists());
    for (before, after) in lists.filter(|(before, after)| !std::ptr::eq(*before, *after)) {
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
                (Some(a), Some(b)) => a.bytes == b.bytes,
                _ => false,
            };
            if !is_same {
                changed.extend(come.or(gone).map(|file| file.path.to_string()));
            }
        }
    }
    changed
}
