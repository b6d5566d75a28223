//! A whole build on one screen: sources in, everything to publish out, a line a stage. It reads no disk and no clock;
//! filters, which run programs, have done their part before (`run_filters`).

mod filters;
mod finished;
mod gaps;
mod publish;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rayon::prelude::*;

use finished::Finished;
use gaps::Gaps;

pub use filters::run_filters;
pub use publish::publish_page;

use crate::assets::{
    self, AssetManifest, AssetNames, AssetOptions, AssetSources, ImageWork, ReadAsset, Workshop, find_integrity,
    is_integrity_of, make_assets,
};
use crate::bytes::Bytes;
use crate::cache::{ByAddress, FileMemo, LastMemo};
use crate::config::{self, Config, Csp};
use crate::data::Data;
use crate::diagnostic::{self, Code, Diagnostic, Place, Severity, Span};
use crate::feeds::{self, MadeFile};
use crate::html::{find_ids, minify};
use crate::markdown::{STYLE_SHEET, STYLE_SHEET_PATH};
use crate::output::{Keeping, Output, Overweight, Previous, media_type};
use crate::render::{
    Integrity, Links, Materials, RenderedPage, render_page, report_broken_links, report_lacks, report_mistakes,
};
use crate::search;
use crate::site::{
    self, BodyReader, Defaults, Index, LeftOut, LinkTargets, Page, PageHead, Reading, Selection, Site, SiteMemory,
    Target, Taxonomy,
};
use crate::source::{FileList, SourceFile, Sources};
use crate::template::{ParsedPartial, TemplateSet};
use crate::urls::{self, LiveUrl};

/// What a build is told besides its sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuildOptions {
    /// Whether pages name assets by their digest.
    pub asset_names: AssetNames,
    /// What clients may keep.
    pub keeping: Keeping,
    /// Whether variants of images that the cache doesn't have are made.
    pub image_work: ImageWork,
    /// Whether compressed variants are made.
    pub compress: bool,
    /// Which pages are published.
    pub selection: Selection,
    /// Whether it is told what is published under names that stay.
    pub lists_urls: bool,
    /// The time of the build in seconds since 1970, if it is to be told to visitors.
    pub time: Option<u64>,
    /// Markup for the tag `generated_livereload_script.html`: nothing in what is published.
    pub live_reload: &'static str,
}

/// What a build made, as far as it could.
#[derive(Debug)]
pub struct Built {
    /// Everything to publish; `None` if there are errors.
    pub output: Option<Output>,
    /// Static files by their public names.
    pub manifest: AssetManifest,
    /// Everything that is wrong, sorted by file and position.
    pub diagnostics: Vec<Diagnostic>,
    /// What there was.
    pub counts: Counts,
    /// Every URL that is published under a name that stays, if that was asked for.
    pub live: Vec<LiveUrl>,
}

/// How many there were of what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Pages that are published.
    pub pages: usize,
    /// Those of them that are blog posts.
    pub posts: usize,
    /// Drafts that were left out.
    pub drafts_left_out: usize,
    /// Pages dated after today that were left out.
    pub future_left_out: usize,
    /// Files under `static/`, and files among the pages.
    pub files: usize,
}

/// So many of the files that a page loads are named if they are too much. Guessed.
const HEAVIEST_COUNT: usize = 4;

/// What was made of single files, kept in memory for the next plan of the same site with the same settings and options.
#[derive(Debug, Default)]
pub struct Memory {
    site: SiteMemory,
    partials: FileMemo<ParsedPartial>,
    assets: FileMemo<ReadAsset>,
    made: LastMemo<MadeFrom, Vec<MadeFile>>,
    search: LastMemo<ByAddress<Site>, Option<MadeFile>>,
    other_files: LastMemo<ByAddress<Vec<SourceFile>>, FileList>,
}

/// What feeds and sitemaps are made from.
#[derive(PartialEq, Debug)]
struct MadeFrom {
    index: ByAddress<Index>,
    made_pages: Vec<Arc<PageHead>>,
}

impl Memory {
    /// Remembers an image that has its variants by now, if it is there and still waits for them.
    pub fn add_image(&self, file: &SourceFile, made: ReadAsset) -> bool {
        let is_waiting = self.assets.find(&file.path, &file.bytes).is_some_and(|known| known.is_waiting);
        if is_waiting {
            self.assets.keep(&file.path, &file.bytes, made);
        }
        is_waiting
    }

    /// Forgets files that the last plan didn't have.
    pub fn sweep(&self) {
        self.partials.sweep();
        self.assets.sweep();
    }
}

/// A site that is read and put in order, so that each of its pages can be rendered by itself.
#[derive(Debug)]
pub struct Plan {
    /// What it was made from.
    pub sources: Sources,
    /// The files among the pages, published where they stand.
    pub other_files: FileList,
    /// The site's settings.
    pub config: Config,
    /// What the build was told.
    pub options: BuildOptions,
    /// The partials.
    pub templates: TemplateSet,
    /// The pages.
    pub site: Arc<Site>,
    /// The files that pages name.
    pub manifest: AssetManifest,
    /// Everything that links can lead to.
    pub targets: LinkTargets,
    /// What browsers verify style sheets and scripts with, by their digested URLs.
    pub integrity: BTreeMap<String, String>,
    /// What is published for machines.
    pub made: Vec<MadeFile>,
    /// What is wrong with single pages, partials and files. The rest is known by `check`.
    pub diagnostics: Vec<Diagnostic>,
}

impl Plan {
    /// Reads a site. Files that `memory` knows are not read again.
    pub fn new(
        sources: Sources,
        config: Config,
        options: BuildOptions,
        memory: &Memory,
        workshop: &Workshop<'_>,
    ) -> Self {
        let (templates, mut diagnostics) = TemplateSet::parse_changed(&sources.templates, &memory.partials);
        let (defaults, mistakes) = Defaults::read(&sources.defaults);
        diagnostics.extend(mistakes);
        diagnostics.extend(defaults.check_layouts(&templates));
        let bodies = BodyReader::new(&config.markdown, &sources.filtered, workshop.cache);
        let reading = Reading { config: &config, defaults: &defaults, bodies: &bodies };
        let (site, mistakes) = memory
            .site
            .find_or_read(&sources, || read_site(&sources, &templates, options.selection, &reading, &memory.site));
        diagnostics.extend(mistakes.iter().cloned());
        let static_files = add_highlight_sheet(&sources, &site, &config);
        let other_files = find_other_files(&sources, memory);
        let asset_sources =
            AssetSources { static_files: &static_files, content: &other_files, styles: &sources.styles };
        let BuildOptions { asset_names: names, image_work, .. } = options;
        let asset_options = AssetOptions { names, images: &config.images, image_work };
        let (manifest, mut mistakes) =
            make_assets(asset_sources, &config.build, &asset_options, workshop, &memory.assets);
        mistakes.retain(|mistake| mistake.code != Code::BlockedSource || config.security.csp == Csp::Auto);
        diagnostics.extend(mistakes);
        let mut made = make_files(&site, &config, memory);
        let of_site = ByAddress(Arc::clone(&site));
        made.extend(memory.search.find_or_make(of_site, |site| search::make_index(&site.0, &config, workshop.cache)));
        let paths = asset_paths(&manifest).map(|(path, _)| path).chain(made.iter().map(|file| file.path.as_str()));
        let targets = LinkTargets::new(&site, &other_files, &config, paths);
        let integrity = if config.build.integrity { find_integrity(&manifest) } else { BTreeMap::new() };
        Self { sources, other_files, config, options, templates, site, manifest, targets, integrity, made, diagnostics }
    }

    fn links(&self) -> Links<'_> {
        let Self { targets, templates, integrity, .. } = self;
        Links { targets, templates, integrity, is_checked: self.config.check_internal_links }
    }

    /// Makes one page: all that its bytes depend on is in the plan.
    pub fn render(&self, page: &Page) -> RenderedPage {
        let Self { site, templates, manifest, options, .. } = self;
        let materials = Materials { site, templates, manifest, live_reload: options.live_reload };
        let mut rendered = self.links().resolve(page, render_page(page, &materials));
        if self.config.build.minify {
            rendered.text = minify(&rendered.text);
        }
        // Ten thousand pages wait to be written.
        rendered.text.shrink_to_fit();
        rendered
    }

    /// What is wrong with the site as a whole. `rendered` are all pages, in order.
    pub fn check(&self, rendered: &[RenderedPage]) -> Vec<Diagnostic> {
        let Self { site, templates, manifest, targets, config, sources, .. } = self;
        let made_paths = self.made.iter().map(|file| file.path.as_str());
        let mut diagnostics =
            site::check_unique(site, &self.sources.content, config, asset_paths(manifest), made_paths);
        diagnostics.extend(rendered.iter().flat_map(|page| page.diagnostics.iter().cloned()));
        diagnostics.extend(report_lacks(rendered, templates));
        let of_pages = rendered.iter().flat_map(|page| &page.diagnostics);
        let gaps = Gaps::find(self.diagnostics.iter().chain(of_pages), templates);
        diagnostics.extend(report_broken_links(rendered.iter().flat_map(|page| &page.broken_links), targets));
        let pages: Vec<_> = site.all_pages().collect();
        let has_policy = config.security.csp == Csp::Auto;
        let is_of_policy = |code| matches!(code, Code::BlockedSource | Code::LongPolicy | Code::TooLongPolicy);
        diagnostics.extend(report_mistakes(&pages, rendered, |mistake, page, rendered| {
            (!is_of_policy(mistake.code) || has_policy) && !gaps.may_explain(mistake, page, rendered)
        }));
        diagnostics.extend(self.links().check_fragments(&pages, rendered));
        diagnostics.extend(site::check_redirects(config, targets));
        if let Some(lock) = &sources.past.lock {
            let number_of: HashMap<&str, usize> =
                (0..).zip(&pages).map(|(number, page)| (page.url.as_str(), number)).collect();
            let ids = |url: &str| number_of.get(url).map(|number| find_ids(&rendered[*number].text));
            let mut lost = urls::check(&sources.past, &self.live_urls(rendered), targets, config, &ids);
            // A part of a page may stand where a template has a gap.
            let is_part = |span: Span| lock.text[span.start..span.end].contains('#');
            lost.retain(|one| gaps.is_empty() || one.code != Code::LostUrl || !is_part(one.place.span));
            diagnostics.append(&mut lost);
        }
        // A use that can't be read may be that of a partial which seems unused.
        if gaps.is_empty() {
            let named = rendered.iter().flat_map(|page| page.partials.iter().map(String::as_str));
            let of_terms: Vec<_> = site.index.taxonomies.iter().flat_map(Taxonomy::partials).collect();
            let named = named.chain(named_by_left_out(site)).chain(of_terms.iter().map(String::as_str));
            diagnostics.extend(templates.find_unused(named));
        }
        diagnostics
    }

    /// What pages say themselves of the digests of the site's files, where that is wrong: no browser would load them. In
    /// development files have other bytes, as they name each other otherwise.
    fn check_integrities(&self, rendered: &[RenderedPage]) -> Vec<Diagnostic> {
        let pages = self.site.all_pages().zip(rendered);
        let written: Vec<_> =
            pages.flat_map(|(page, rendered)| rendered.integrities.iter().map(move |one| (page, one))).collect();
        if written.is_empty() {
            return Vec::new();
        }
        let assets = self.manifest.published().map(|asset| (asset.path.to_owned(), asset.bytes));
        let files = self.other_files.iter().map(|file| (format!("/{}", file.name), &file.bytes));
        let bytes_at: HashMap<String, &Bytes> = files.chain(assets).collect();
        let report = |(page, one): (&Page, &Integrity)| {
            let url = match self.targets.resolve(&page.content_path, &one.url) {
                Target::Url(url) => url,
                Target::Unchanged | Target::Broken(_) => one.url.clone(),
            };
            let path = site::percent_decode(url.split(['?', '#']).next().unwrap_or_default())?;
            // One that can't be read any more fails the build when it is written.
            let bytes = bytes_at.get(&path)?.read().ok()?;
            let message = format!("`integrity` is not that of `{path}`: no browser would load it");
            let diagnostic = Diagnostic::new(Code::WrongIntegrity, one.place.clone(), message);
            let help = "leave it out: kiln writes it for the site's own style sheets and scripts";
            (!is_integrity_of(&one.value, &bytes)).then(|| diagnostic.with_help(help))
        };
        written.into_iter().filter_map(report).collect()
    }

    /// Every URL that is published under a name that stays: pages, files, and the parts of pages that others link to.
    /// Digested names come and go, and so do the later parts of a list.
    pub fn live_urls(&self, rendered: &[RenderedPage]) -> Vec<LiveUrl> {
        let Self { other_files, config, site, manifest, .. } = self;
        let live = |url: String, source: &str, content: &Bytes| LiveUrl {
            url,
            source: source.into(),
            content: content.clone(),
        };
        let pages: Vec<_> = site.all_pages().collect();
        let stays = |page: &Page| page.route.as_str() != "/404" && page.part.is_none_or(|part| part.number == 1);
        let source_of = |page: &Page| {
            let partial = page.is_made.then(|| page.body.template().references().next()).flatten();
            let of_partial = |(partial, _): (&str, Span)| format!("{}/{partial}", config.paths.templates);
            partial.map_or_else(|| page.source.path.to_string(), of_partial)
        };
        let of_pages = pages
            .iter()
            .filter(|page| stays(page))
            .map(|page| live(page.url.clone(), &source_of(page), &Arc::clone(&page.source.text).into()));
        let parts = self.links().linked_parts(&pages, rendered);
        let parts = parts.iter().filter(|(number, _)| stays(pages[*number])).map(|(number, name)| {
            let url = format!("{}#{}", pages[*number].url, site::percent_encode(name));
            live(url, &source_of(pages[*number]), &Bytes::default())
        });
        let files = other_files
            .iter()
            .map(|file| live(site::percent_encode(&format!("/{}", file.name)), &file.path, &file.bytes));
        let assets = manifest.published().filter(|asset| !asset.is_digested);
        let assets = assets.map(|asset| live(site::percent_encode(asset.path), asset.source_path, asset.bytes));
        let made = self.made.iter();
        let made = made.map(|file| live(file.path.clone(), config::FILE_NAME, &file.body));
        let mut urls: Vec<_> = of_pages.chain(parts).chain(files).chain(assets).chain(made).collect();
        urls.sort_by(|a, b| a.url.cmp(&b.url));
        // A site's own feed or sitemap takes the made one's place.
        urls.dedup_by(|b, a| a.url == b.url);
        urls
    }

    /// Pages that weigh more than they may, with what weighs most.
    fn report_overweight(&self, overweight: impl Iterator<Item = Overweight>) -> Vec<Diagnostic> {
        let mut places: HashMap<&str, Place> = HashMap::new();
        let report = |one: Overweight| {
            if places.is_empty() {
                let pages = self.site.all_pages();
                places = pages.map(|page| (page.route.as_str(), page.source.place(Span::default()))).collect();
            }
            let path = one.path.trim_end_matches('/');
            let place = places.get(if path.is_empty() { "/" } else { path })?.clone();
            let Overweight { path, key, bytes_max, bytes, parts } = one;
            let message = format!("`{path}` weighs {bytes} bytes on the wire, and `budget.{key}` allows {bytes_max}");
            let shown: Vec<String> = parts
                .iter()
                .take(HEAVIEST_COUNT)
                .map(|(part, bytes)| format!("{} {bytes}", if *part == path { "the page itself" } else { part }))
                .collect();
            let help = format!("the heaviest: {}", shown.join(", "));
            Some(Diagnostic::new(Code::OverBudget, place, message).with_help(help))
        };
        overweight.filter_map(report).collect()
    }

    /// How many there are of what.
    pub fn counts(&self) -> Counts {
        Counts {
            pages: self.site.all_pages().count(),
            posts: self.site.index.posts.len(),
            drafts_left_out: left_out_count(&self.site, LeftOut::Draft),
            future_left_out: left_out_count(&self.site, LeftOut::Future),
            files: self.sources.static_files.len() + self.other_files.iter().count(),
        }
    }
}

/// Builds a site. `last` is the bundle of an earlier build: what is still the same is taken from it.
pub fn build(
    sources: &Sources,
    config: &Config,
    options: &BuildOptions,
    workshop: &Workshop<'_>,
    last: Option<&Previous>,
) -> Built {
    let mut plan = Plan::new(sources.clone(), config.clone(), *options, &Memory::default(), workshop);
    let pages: Vec<_> = plan.site.all_pages().collect();
    let rendered = render_all(&plan, &pages, &Finished::new(&plan, workshop.cache, last));
    let mut diagnostics = plan.check(&rendered);
    diagnostics.extend(plan.check_integrities(&rendered));
    diagnostics.append(&mut plan.diagnostics);
    let is_sound = !diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let live = if options.lists_urls { plan.live_urls(&rendered) } else { Vec::new() };
    let output = is_sound.then(|| plan.publish(rendered));
    let overweight = output.iter().flat_map(|output| output.find_overweight(config.budget, workshop.cache));
    diagnostics.extend(plan.report_overweight(overweight));
    diagnostic::sort(&mut diagnostics);
    let counts = plan.counts();
    let manifest = std::mem::take(&mut plan.manifest);
    // Taking ten thousand pages apart takes as long as packing a thousand, and nobody needs to wait for it.
    rayon::spawn(move || drop(plan));
    Built { output, manifest, diagnostics, counts, live }
}

/// All pages, in their order. Those that list others take longest and come first, so that no thread is left alone with one
/// at the end.
fn render_all(plan: &Plan, pages: &[&Page], finished: &Finished<'_>) -> Vec<RenderedPage> {
    let (posts, lists): (Vec<usize>, Vec<usize>) = (0..pages.len()).partition(|number| pages[*number].is_post());
    let order = [lists, posts].concat();
    let render = |number: usize| finished.find_or_make(pages[number], || plan.render(pages[number]));
    let rendered = order.into_par_iter().with_max_len(PAGES_AT_ONCE).map(|number| (number, render(number)));
    let mut rendered: Vec<_> = rendered.collect();
    rendered.par_sort_unstable_by_key(|(number, _)| *number);
    rendered.into_iter().map(|(_, page)| page).collect()
}

/// Pages that a thread renders before others may take what is left. Guessed.
const PAGES_AT_ONCE: usize = 16;

/// All pages with what they list.
fn read_site(
    sources: &Sources,
    templates: &TemplateSet,
    selection: Selection,
    reading: &Reading<'_>,
    memory: &SiteMemory,
) -> (Site, Vec<Diagnostic>) {
    let (mut site, mut diagnostics) = Site::read_changed(&sources.content, selection, reading, memory);
    let (data, mistakes) = Data::read(&sources.data);
    diagnostics.extend(mistakes);
    site.data = data;
    site.add_term_pages(templates, reading.config, memory);
    diagnostics.extend(site.add_list_pages(templates, reading.config));
    (site, diagnostics)
}

/// The static files, and the style sheet of highlighted code where pages or partials need it and the site has none.
fn add_highlight_sheet<'a>(sources: &'a Sources, site: &Site, config: &Config) -> Cow<'a, [SourceFile]> {
    let files = Cow::Borrowed(&sources.static_files[..]);
    let name = STYLE_SHEET_PATH.trim_start_matches("/static/");
    let compiled = || sources.styles.iter().filter_map(assets::sheet_name);
    let is_own = || files.iter().any(|file| *file.name == *name) || compiled().any(|sheet| sheet == name);
    let names_it =
        |file: &SourceFile| file.bytes.read().is_ok_and(|bytes| find_bytes(&bytes, STYLE_SHEET_PATH.as_bytes()));
    let is_needed =
        || site.pages.iter().any(|page| page.body.facts.has_styled_code) || sources.templates.iter().any(names_it);
    if !config.markdown.highlight || is_own() || !is_needed() {
        return files;
    }
    let mut files = files.into_owned();
    files.push(SourceFile {
        path: STYLE_SHEET_PATH.trim_start_matches('/').into(),
        name: name.into(),
        bytes: STYLE_SHEET.as_bytes().into(),
    });
    files.into()
}

fn find_bytes(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The partials of pages that will be published another day: they are no left-overs.
fn named_by_left_out(site: &Site) -> impl Iterator<Item = &str> {
    site.left_out.iter().flat_map(|(page, _)| {
        let layout = page.layout.iter().map(|(name, _)| name.as_str());
        page.body.template().references().map(|(name, _)| name).chain(layout)
    })
}

fn left_out_count(site: &Site, reason: LeftOut) -> usize {
    site.left_out.iter().filter(|(_, found)| *found == reason).count()
}

/// Files among the pages that are published where they stand.
fn find_other_files(sources: &Sources, memory: &Memory) -> FileList {
    memory.other_files.find_or_make(ByAddress(Arc::clone(&sources.content)), |content| {
        Arc::new(content.0.iter().filter(|file| !site::is_page(file)).cloned().collect())
    })
}

/// The public paths of assets, each with the file it comes from.
fn asset_paths(manifest: &AssetManifest) -> impl Iterator<Item = (&str, &str)> {
    manifest.published().map(|asset| (asset.path, asset.source_path))
}

fn media_type_of(path: &str) -> String {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    media_type(&extension.to_ascii_lowercase())
}

/// The feeds and the sitemap, which depend on the pages' heads alone.
fn make_files(site: &Site, config: &Config, memory: &Memory) -> Vec<MadeFile> {
    let made_pages = site.made_pages.iter().map(|page| Arc::clone(&page.head)).collect();
    let input = MadeFrom { index: ByAddress(Arc::clone(&site.index)), made_pages };
    memory.made.find_or_make(input, |from| feeds::make_files(&from.index.0, &from.made_pages, config))
}
