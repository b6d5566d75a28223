//! `kiln build` and `kiln check`: the road from a folder to a bundle, and what is told of it.

mod make;

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use make::{Packed, again_if_lost};

use super::apart::own_program;
use super::memory::read_memory_bytes_max;
use super::progress::ImageProgress;
use super::unchanged::{self, DIGITS, Record, digest_text};
use super::urls::record;
use super::{Failure, IO_EXIT_STATUS, Report, TOOL_EXIT_STATUS, open_last, open_previous};
use crate::assets::{Annex, AssetNames, ImageCounts, ImageWork, Progress, Silent, Workshop, is_text_asset};
use crate::cache::{CACHE_FOLDER, Cache, CacheKey};
use crate::config::{self, Config};
use crate::diagnostic::{self, Code, Diagnostic, Paint, SHOWN_COUNT_DEFAULT, Severity, SourceText};
use crate::output::{BUNDLE_NAME, Bases, Keeping, Output, Previous};
use crate::pipeline::{self, BuildOptions, Built};
use crate::site::{Selection, is_page};
use crate::source::{self, SourceFile, Sources};
use crate::tools::filter::{FilterBench, FilterMemory};
use crate::tools::tool;

/// What the command line says of a build or a check.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct BuildArguments {
    /// The site's folder.
    pub site: PathBuf,
    /// The folder to write, below the site's.
    pub out: PathBuf,
    /// Instead of `base_url` in `site.toml`.
    pub base_url: Option<String>,
    /// The bundle whose digested assets are carried along.
    pub previous: Option<PathBuf>,
    /// Drafts are built.
    pub drafts: bool,
    /// Pages dated after today are built.
    pub future: bool,
    /// Assets are named without digests.
    pub plain_names: bool,
    /// Compressed variants are made.
    pub compress: bool,
    /// Worker threads; 0: one for each core.
    pub job_count: usize,
    /// How many diagnostics a person sees; 0: all.
    pub error_limit: usize,
    /// What is published is recorded in `urls.lock`.
    pub lock: bool,
    /// Warnings fail the build.
    pub warnings_as_errors: bool,
    /// How diagnostics are shown.
    pub diagnostics: DiagnosticFormat,
    /// How the summary is shown.
    pub summary: SummaryFormat,
    /// Standard error shows colours.
    pub colours: bool,
}

impl Default for BuildArguments {
    fn default() -> Self {
        Self {
            site: ".".into(),
            out: "dist".into(),
            base_url: None,
            previous: None,
            drafts: false,
            future: false,
            plain_names: false,
            compress: true,
            job_count: 0,
            error_limit: SHOWN_COUNT_DEFAULT,
            lock: false,
            warnings_as_errors: false,
            diagnostics: DiagnosticFormat::Human,
            summary: SummaryFormat::Human,
            colours: false,
        }
    }
}

/// How diagnostics are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiagnosticFormat {
    /// With their source lines, on standard error.
    Human,
    /// One JSON object a line, on standard output.
    Json,
    /// Workflow commands of GitHub Actions, on standard output.
    GitHub,
    /// A SARIF 2.1.0 log, on standard output.
    Sarif,
}

/// How a build's summary is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SummaryFormat {
    /// A few lines on standard error.
    Human,
    /// One JSON object on standard output.
    Json,
    /// Not at all.
    Quiet,
}

/// Builds a site into its bundle.
///
/// # Errors
/// There is no site, or a file can't be read or written. Mistakes in the site are in the report.
pub fn build(arguments: &BuildArguments) -> Result<Report, Failure> {
    let start = Instant::now();
    let previous = arguments.previous.as_deref().map(open_previous).transpose()?;
    // One thread lists folders for a while.
    let open_last = || open_last(&arguments.site.join(&arguments.out).join(BUNDLE_NAME));
    let (loaded, last) = rayon::join(|| Loaded::read(arguments), open_last);
    let loaded = loaded?;
    let folder = loaded.out_folder(arguments)?;
    let options = loaded.options(arguments)?;
    let key = loaded.key(&options).filter(|_| previous.is_none() && !arguments.lock);
    if let Some(record) = key.as_ref().and_then(|key| unchanged::find(&loaded.cache, key, &folder)) {
        return Ok(Summary::of_unchanged(record, folder.join(BUNDLE_NAME), start).report(arguments.summary));
    }
    let pool = thread_pool(arguments.job_count)?;
    let bases = Bases { previous: previous.as_ref(), last: last.as_ref() };
    let (mut report, made) = again_if_lost(|| {
        let (report, packed) = pool.install(|| loaded.pack(&options, arguments, bases))?;
        let made = packed.map(|packed| Ok((pool.install(|| packed.write(&loaded.cache, &folder))?, packed)));
        Ok((report, made.transpose()?))
    })?;
    drop(last);
    let Some((digest, Packed { built, texts, bundle })) = made else { return Ok(report) };
    if arguments.lock {
        report.messages += &record(&arguments.site, &loaded.sources.past, &built.live)?;
    }
    let record = Record {
        bundle: digest.hex(DIGITS),
        texts: texts.iter().map(|(name, text)| ((*name).to_owned(), digest_text(text.as_bytes()))).collect(),
        bytes: bundle.len(),
        counts: built.counts,
        images: built.manifest.image_counts(),
    };
    // Warnings are to be told each time.
    if let Some(key) = key.filter(|_| built.diagnostics.is_empty()) {
        unchanged::keep(&loaded.cache, &key, &record);
    }
    let warnings = built.diagnostics.len();
    let summary = Summary { record, warnings, is_unchanged: false, bundle: folder.join(BUNDLE_NAME), start };
    let Report { result, messages, .. } = summary.report(arguments.summary);
    // Ten thousand pages take a while to give back, and nobody needs to wait for it.
    rayon::spawn(move || drop((loaded, built, bundle)));
    Ok(Report { result: report.result + &result, messages: report.messages + &messages, ..report })
}

/// Verifies everything that a build verifies, and writes nothing but the cache.
///
/// # Errors
/// There is no site, or a file can't be read. Mistakes in the site are in the report.
pub fn check(arguments: &BuildArguments) -> Result<Report, Failure> {
    let loaded = Loaded::read(arguments)?;
    let options = loaded.options(arguments)?;
    let pool = thread_pool(arguments.job_count)?;
    let mut built = pool.install(|| loaded.build(&options, arguments, None));
    let mut report = loaded.report(&built.diagnostics, arguments);
    if let (Some(output), 0) = (built.output.take(), report.exit_status) {
        // Compressed bodies are none that anything could be wrong with, and cost the most.
        let output = Output { compress: Vec::new(), ..output };
        pool.install(|| output.pack_checked(Bases::default(), &loaded.cache))?;
    }
    loaded.cache.finish();
    if arguments.diagnostics == DiagnosticFormat::Human && built.diagnostics.is_empty() {
        report.messages = format!("no mistakes in {}\n", plural(built.counts.pages, "page"));
    }
    Ok(report)
}

/// A site's settings, their text, and what is wrong with them.
pub(super) struct Settings {
    text: Option<SourceText>,
    /// `site.toml`, or its defaults.
    pub(super) config: Config,
    diagnostics: Vec<Diagnostic>,
}

impl Settings {
    /// Reads `site.toml` in a folder that has to be a site.
    pub(super) fn read(root: &Path) -> Result<Self, Failure> {
        if !root.is_dir() {
            return Err(Failure::Usage(format!("there is no folder `{}`", root.display())));
        }
        let file = source::read_file_if_there(&root.join(config::FILE_NAME))?.map(|bytes| SourceFile {
            path: config::FILE_NAME.into(),
            name: config::FILE_NAME.into(),
            bytes: bytes.into(),
        });
        let mut diagnostics = Vec::new();
        let text = file.and_then(|file| file.to_text().map_err(|mistake| diagnostics.push(mistake)).ok());
        let (config, mistakes) = text.as_ref().map_or_else(Default::default, Config::parse);
        diagnostics.extend(mistakes);
        // An empty site must not take the place of a good one because a folder was renamed.
        if !root.join(&config.paths.content).is_dir() {
            let (shown, content) = (root.display(), &config.paths.content);
            let message = format!("no site in `{shown}`: there is no folder `{content}`; `kiln new DIR` makes a site");
            return Err(Failure::Usage(message));
        }
        Ok(Self { text, config, diagnostics })
    }
}

/// A site's sources and settings, and what is wrong with them already.
pub(super) struct Loaded {
    config_text: Option<SourceText>,
    config: Config,
    /// The input.
    pub(super) sources: Sources,
    cache: Cache,
    diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    pub(super) fn read(arguments: &BuildArguments) -> Result<Self, Failure> {
        let root = &arguments.site;
        let Settings { text: config_text, mut config, mut diagnostics } = Settings::read(root)?;
        if let Some(base_url) = &arguments.base_url {
            config.set_base_url(base_url).map_err(|help| Failure::Usage(format!("--base-url `{base_url}`: {help}")))?;
        }
        diagnostics.extend(tool::run_tools(&config.tools, root));
        let (mut sources, mistakes) = Sources::read(root, &config.paths).map_err(|errors| {
            let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::Io(texts.join("\nerror: "))
        })?;
        diagnostics.extend(mistakes);
        // While `site.toml` has mistakes, the address may be one of them.
        if !diagnostics.iter().any(|one: &Diagnostic| one.code == Code::BadConfig) {
            diagnostics.extend(config.check_base_url());
        }
        let cache = Cache::new(root.join(CACHE_FOLDER)).used_at(SystemTime::now());
        let cache = cache.of_program(unchanged::program_identity());
        let selection = select(arguments, &config, build_time()?)?;
        let bench = FilterBench { root, cache: &cache, memory: &mut FilterMemory::default() };
        diagnostics.extend(pipeline::run_filters(&mut sources, &config, selection, bench));
        Ok(Self { config_text, config, sources, cache, diagnostics })
    }

    /// The folder to write, which must not be among the sources: the next build would publish what this one wrote.
    fn out_folder(&self, arguments: &BuildArguments) -> Result<PathBuf, Failure> {
        let out = &arguments.out;
        let folded =
            |path: PathBuf| std::path::absolute(path).map(|path| fold(&path)).map_err(|e| Failure::Io(e.to_string()));
        let (site, whole) = (folded(arguments.site.clone())?, folded(arguments.site.join(out))?);
        if whole == site || self.config.paths.all().into_iter().any(|folder| whole.starts_with(site.join(folder))) {
            let message = format!("--out `{}` is among the site's sources; name another folder", out.display());
            return Err(Failure::Usage(message));
        }
        Ok(arguments.site.join(out))
    }

    /// The same on threads of its own.
    pub(super) fn build_in_pool(&self, arguments: &BuildArguments) -> Result<Built, Failure> {
        let options = self.options(arguments)?;
        Ok(thread_pool(arguments.job_count)?.install(|| self.build(&options, arguments, None)))
    }

    /// The name of a build of this input; nothing if there is something to tell of it already.
    fn key(&self, options: &BuildOptions) -> Option<CacheKey> {
        let settings = format!("{:?}\n{}", self.config_text, self.config.base_url);
        self.diagnostics
            .is_empty()
            .then(|| unchanged::find_key(&self.sources, &settings, options, &self.cache))
            .flatten()
    }

    fn options(&self, arguments: &BuildArguments) -> Result<BuildOptions, Failure> {
        let time = build_time()?;
        Ok(BuildOptions {
            asset_names: if arguments.plain_names { AssetNames::Plain } else { AssetNames::Digested },
            keeping: Keeping::ByKind,
            image_work: ImageWork::Make,
            compress: arguments.compress,
            selection: select(arguments, &self.config, time)?,
            lists_urls: arguments.lock,
            time,
            live_reload: "",
        })
    }

    fn build(&self, options: &BuildOptions, arguments: &BuildArguments, last: Option<&Previous>) -> Built {
        let bar = ImageProgress::default();
        let is_told = arguments.summary == SummaryFormat::Human && arguments.diagnostics == DiagnosticFormat::Human;
        let progress: &dyn Progress = if is_told { &bar } else { &Silent };
        let annex = Annex::new(&own_program());
        let workshop =
            Workshop { cache: &self.cache, progress, annex: &annex, memory_bytes_max: read_memory_bytes_max() };
        let mut built = pipeline::build(&self.sources, &self.config, options, &workshop, last);
        built.diagnostics.extend(self.diagnostics.iter().cloned());
        diagnostic::sort(&mut built.diagnostics);
        built
    }

    pub(super) fn report(&self, diagnostics: &[Diagnostic], arguments: &BuildArguments) -> Report {
        let find_text = |path: &str| self.find_text(path);
        let mut report = Report::default();
        let site = site_prefix(&arguments.site);
        match arguments.diagnostics {
            DiagnosticFormat::Json => report.result = diagnostic::draw_json(diagnostics, &find_text),
            DiagnosticFormat::GitHub => report.result = diagnostic::draw_github(diagnostics, &find_text, &site),
            DiagnosticFormat::Sarif => report.result = diagnostic::draw_sarif(diagnostics, &find_text, &site),
            DiagnosticFormat::Human => {
                let paint = if arguments.colours { Paint::Color } else { Paint::Plain };
                report.messages = diagnostic::draw_human(diagnostics, &find_text, arguments.error_limit, paint);
            }
        }
        let fails = |diagnostic: &Diagnostic| arguments.warnings_as_errors || diagnostic.severity == Severity::Error;
        let of_others = |diagnostic: &Diagnostic| matches!(diagnostic.code, Code::FilterFailed | Code::ToolFailed);
        report.exit_status = if diagnostics.iter().any(|diagnostic| diagnostic.code == Code::ChangedFile) {
            IO_EXIT_STATUS
        } else if diagnostics.iter().any(of_others) {
            TOOL_EXIT_STATUS
        } else {
            u8::from(diagnostics.iter().any(fails))
        };
        report
    }

    /// The text of a page, a partial, a style sheet, a script or `site.toml` by its path. Other files have no lines to
    /// show.
    fn find_text(&self, path: &str) -> Option<Arc<str>> {
        if path == config::FILE_NAME {
            return self.config_text.as_ref().map(|text| Arc::clone(&text.text));
        }
        let Sources { content, templates, static_files, styles, data, defaults, past, .. } = &self.sources;
        if let Some(lock) = past.lock.as_ref().filter(|lock| &*lock.path == path) {
            return Some(Arc::clone(&lock.text));
        }
        let texts = content
            .iter()
            .filter(|file| is_page(file))
            .chain(templates.iter())
            .chain(data.iter())
            .chain(defaults.iter());
        let mut texts = texts.chain(styles.iter()).chain(static_files.iter().filter(|file| is_text_asset(file)));
        texts.find(|file| &*file.path == path).map(SourceFile::to_shown_text)
    }
}

/// What stands before a path of the site when it is seen from the folder in which the command runs: services that show
/// mistakes beside the sources want paths from the repository's root.
fn site_prefix(site: &Path) -> String {
    let plain: PathBuf = site.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if plain.as_os_str().is_empty() { String::new() } else { format!("{}/", plain.display()) }
}

/// Worker threads of a build. Their stacks are ordinary ones: nothing in the language recurses.
fn thread_pool(job_count: usize) -> Result<rayon::ThreadPool, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(job_count).build();
    pool.map_err(|error| Failure::Io(format!("can't start worker threads: {error}")))
}

/// HTTP dates end with the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

/// `SOURCE_DATE_EPOCH`, if it is set: the time that goes into what visitors are told.
pub(super) fn build_time() -> Result<Option<u64>, Failure> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else { return Ok(None) };
    let seconds = text.to_str().and_then(|text| text.parse().ok()).filter(|seconds| *seconds <= SECONDS_MAX);
    let message = || format!("SOURCE_DATE_EPOCH is `{}`, and should be seconds since 1970", text.display());
    seconds.map(Some).ok_or_else(|| Failure::Usage(message()))
}

/// Which pages are published.
fn select(arguments: &BuildArguments, config: &Config, time: Option<u64>) -> Result<Selection, Failure> {
    let drafts = arguments.drafts || config.build.drafts;
    Ok(Selection { drafts, future: arguments.future || config.build.future, today: today(time)? })
}

/// The day of the build, in UTC. Without `SOURCE_DATE_EPOCH` the clock says it, and it decides about pages of the future
/// alone.
pub(super) fn today(time: Option<u64>) -> Result<jiff::civil::Date, Failure> {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seconds = i64::try_from(time.unwrap_or_else(clock)).unwrap_or(i64::MAX);
    let timestamp = Timestamp::from_second(seconds).map_err(|error| Failure::Usage(format!("the clock: {error}")))?;
    Ok(timestamp.to_zoned(TimeZone::UTC).date())
}

/// What a finished build has to tell.
struct Summary {
    record: Record,
    warnings: usize,
    /// Nothing was made: it was there already.
    is_unchanged: bool,
    bundle: PathBuf,
    start: Instant,
}

impl Summary {
    fn of_unchanged(record: Record, bundle: PathBuf, start: Instant) -> Self {
        // Nothing was made, and nothing was looked for.
        let images = ImageCounts { decoded: 0, encoded: 0, from_cache: 0, dropped: 0, ..record.images };
        Self { record: Record { images, ..record }, warnings: 0, is_unchanged: true, bundle, start }
    }

    fn report(&self, format: SummaryFormat) -> Report {
        match format {
            SummaryFormat::Human => Report { messages: self.to_text(), ..Report::default() },
            SummaryFormat::Json => Report::result(self.to_json()),
            SummaryFormat::Quiet => Report::default(),
        }
    }

    fn to_text(&self) -> String {
        let counts = self.record.counts;
        let left_out = [
            (counts.drafts_left_out, plural(counts.drafts_left_out, "draft")),
            (counts.future_left_out, plural(counts.future_left_out, "page") + " of the future"),
        ];
        let left_out =
            left_out.into_iter().filter(|(count, _)| *count > 0).map(|(_, what)| format!(", {what} left out"));
        format!(
            "{}{} ({}), {}{} → {}, {} KiB, in {} ms\n",
            if self.is_unchanged { "nothing changed: " } else { "" },
            plural(counts.pages, "page"),
            plural(counts.posts, "post"),
            plural(counts.files, "file"),
            left_out.collect::<String>(),
            self.bundle.display(),
            self.record.bytes.div_ceil(1024),
            self.start.elapsed().as_millis(),
        ) + &images_line(self.record.images)
    }

    fn to_json(&self) -> String {
        let summary = serde_json::json!({
            "bundle": self.bundle.display().to_string(),
            "bytes": self.record.bytes,
            "changed": !self.is_unchanged,
            "counts": self.record.counts,
            "images": self.record.images,
            "milliseconds": u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "warnings": self.warnings,
        });
        format!("{summary}\n")
    }
}

/// What became of the images, if variants were made of any.
fn images_line(counts: ImageCounts) -> String {
    let ImageCounts { encoded, from_cache, dropped, original_bytes, best_bytes, .. } = counts;
    if encoded + from_cache + dropped == 0 {
        return String::new();
    }
    let kib = |bytes: u64| bytes.div_ceil(1024);
    format!(
        "images: {encoded} made, {from_cache} from the cache, {dropped} dropped; {} KiB of originals are {} KiB in their \
         best format\n",
        kib(original_bytes),
        kib(best_bytes),
    )
}

/// A number with its noun.
pub(super) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// An absolute path without `.` and `..`, by its words alone.
fn fold(path: &Path) -> PathBuf {
    let mut folded = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            folded.pop();
        } else {
            folded.push(part);
        }
    }
    folded
}
