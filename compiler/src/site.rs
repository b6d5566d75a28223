//! The site as values: its pages, what they are called, and the paths at which everything is published. Nothing is
//! rendered here.

mod body;
mod collection;
mod defaults;
mod index;
mod links;
mod list_pages;
mod listing;
mod page;
mod redirects;
mod route;
mod taxonomy;
mod urls;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use body::{BodyFacts, BodyReader, PageBody};
use collection::Selections;
pub use collection::{Item, Query, QueryMistake, QueryPart, Selected};
pub use defaults::Defaults;
pub use index::Index;
use jiff::civil::Date;
pub use links::{LinkTargets, Target, is_elsewhere};
pub use list_pages::Part;
pub(crate) use list_pages::size_of;
pub use listing::{Listing, Listings};
pub use page::{OFFERED_FIELDS, Page, PageFile, PageHead, Reading};
pub use redirects::{check_redirects, patterns_in_order};
pub use route::{RoutePath, percent_decode, percent_encode};
pub use taxonomy::{Taxonomy, Term};
pub use urls::{check_unique, is_behind_password};

use crate::cache::{ByAddress, Cache, FileMemo, LastMemo};
use crate::config::Config;
use crate::data::Data;
use crate::diagnostic::Diagnostic;
use crate::front_matter::{Fields, Value};
use crate::source::{SourceFile, Sources};
use crate::template::TemplateSet;
use crate::tools::filter::Filtered;

/// Which pages are published besides the finished ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selection {
    /// Those with `draft: true`.
    pub drafts: bool,
    /// Those dated after `today`.
    pub future: bool,
    /// The day of the build.
    pub today: Date,
}

/// Why a page is not published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeftOut {
    /// `draft: true`
    Draft,
    /// Its date is after the day of the build.
    Future,
}

impl Selection {
    /// Why a page with this front matter is not published, if it isn't.
    pub fn leaves_out(self, fields: &Fields) -> Option<LeftOut> {
        let value = |name: &str| fields.get(name).map(|field| &field.value);
        let is_draft = value("draft") == Some(&Value::Bool(true));
        let date = value("date").and_then(Value::as_date_time);
        let is_future = date.is_some_and(|date| date.date() > self.today);
        if is_draft && !self.drafts {
            Some(LeftOut::Draft)
        } else {
            (is_future && !self.future).then_some(LeftOut::Future)
        }
    }
}

/// What became of reading one page.
#[derive(Clone, Debug)]
pub struct ReadPage {
    /// The page, if it can be read as one at all.
    pub page: Option<Arc<PageFile>>,
    /// What is wrong with it.
    pub mistakes: Arc<[Diagnostic]>,
}

/// What was made of pages, kept in memory for the next reading of the same site with the same settings.
#[derive(Debug, Default)]
pub struct SiteMemory {
    pages: FileMemo<ReadPage>,
    index: LastMemo<Vec<Arc<PageHead>>, Arc<Index>>,
    term_pages: LastMemo<TermPagesFrom, Vec<Page>>,
    whole: LastMemo<SiteFrom, (Arc<Site>, Arc<[Diagnostic]>)>,
}

/// What a site is made from besides what stays the same for as long as it is remembered.
#[derive(PartialEq, Debug)]
struct SiteFrom {
    lists: [ByAddress<Vec<SourceFile>>; 4],
}

/// What the pages of taxonomies are made from.
#[derive(PartialEq, Debug)]
struct TermPagesFrom {
    index: ByAddress<Index>,
    /// For each taxonomy, whether there are partials for its list and for its terms.
    has_partials: Vec<[bool; 2]>,
}

impl SiteMemory {
    /// The site that was read last if it was read of these sources, else what `read` gives, with what is wrong with it.
    pub fn find_or_read(
        &self,
        sources: &Sources,
        read: impl FnOnce() -> (Site, Vec<Diagnostic>),
    ) -> (Arc<Site>, Arc<[Diagnostic]>) {
        let Sources { content, templates, data, defaults, .. } = sources;
        let lists = [content, templates, data, defaults].map(|list| ByAddress(Arc::clone(list)));
        self.whole.find_or_make(SiteFrom { lists }, |_| {
            let (site, diagnostics) = read();
            // Pages that this reading didn't have are gone.
            self.pages.sweep();
            (Arc::new(site), diagnostics.into())
        })
    }
}

/// All pages of a site.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Ascending by path of the source.
    pub pages: Vec<Page>,
    /// How they stand to each other.
    pub index: Arc<Index>,
    /// Pages that no file holds: those of taxonomies.
    pub made_pages: Vec<Page>,
    /// Pages that are not published, and why.
    pub left_out: Vec<(Page, LeftOut)>,
    /// Data that pages list.
    pub data: Data,
    /// The settings that pages show.
    pub config: Config,
    selections: Selections,
}

impl Site {
    /// Reads all pages among the files of the folder of pages, in parallel.
    pub fn read(content: &[SourceFile], config: &Config, selection: Selection) -> (Self, Vec<Diagnostic>) {
        let defaults = Defaults::default();
        let bodies = BodyReader::new(&config.markdown, &Filtered::default(), &Cache::none());
        let reading = Reading { config, defaults: &defaults, bodies: &bodies };
        Self::read_changed(content, selection, &reading, &SiteMemory::default())
    }

    /// The same, where a file that was read before is not read again.
    pub fn read_changed(
        content: &[SourceFile],
        selection: Selection,
        reading: &Reading<'_>,
        memory: &SiteMemory,
    ) -> (Self, Vec<Diagnostic>) {
        let Reading { config, defaults, .. } = *reading;
        let read = |file: &&SourceFile| match PageFile::read(file, reading) {
            Ok((page, mistakes)) => ReadPage { page: Some(Arc::new(page)), mistakes: mistakes.into() },
            Err(mistakes) => ReadPage { page: None, mistakes: mistakes.into() },
        };
        let files: Vec<_> = content.iter().filter(|file| is_page(file)).collect();
        let results = memory.pages.find_or_make_all(&files, |file| (defaults.name_with(file), &file.bytes), read);
        let mut site = Self { config: config.clone(), ..Self::default() };
        let mut diagnostics = Vec::new();
        for ReadPage { page, mistakes } in results {
            // A page that nobody will see may be unfinished: its mistakes count when it is published.
            let left_out = page.as_ref().and_then(|page| selection.leaves_out(&page.front_matter));
            match (page, left_out) {
                (Some(page), Some(reason)) => site.left_out.push((Page::alone(page), reason)),
                (page, _) => {
                    diagnostics.extend(mistakes.iter().cloned());
                    site.pages.extend(page.map(Page::alone));
                }
            }
        }
        site.pages.sort_by(|a, b| a.source.path.cmp(&b.source.path));
        let heads = site.pages.iter().map(|page| Arc::clone(&page.head)).collect();
        site.index = memory.index.find_or_make(heads, |heads| Arc::new(Index::new(heads, config)));
        diagnostics.extend(site.index.mistakes.iter().cloned());
        site.link_posts();
        (site, diagnostics)
    }

    /// Links each post to its neighbours.
    fn link_posts(&mut self) {
        for pair in self.index.posts.windows(2) {
            let [newer, older] = [pair[0], pair[1]];
            self.pages[older].next = Some(Arc::clone(&self.pages[newer].file));
            self.pages[newer].previous = Some(Arc::clone(&self.pages[older].file));
        }
    }

    /// Adds the pages of each taxonomy whose partials there are: `tags/list.html` for the list of its terms,
    /// `tags/term.html` for each of them.
    pub fn add_term_pages(&mut self, templates: &TemplateSet, config: &Config, memory: &SiteMemory) {
        let index = ByAddress(Arc::clone(&self.index));
        let has_partial = |taxonomy: &Taxonomy| taxonomy.partials().map(|partial| templates.find(&partial).is_some());
        let has_partials = index.0.taxonomies.iter().map(has_partial).collect();
        let input = TermPagesFrom { index, has_partials };
        let pages = memory.term_pages.find_or_make(input, |TermPagesFrom { index, has_partials }| {
            let taxonomies = index.0.taxonomies.iter().zip(has_partials);
            taxonomies.flat_map(|(taxonomy, has_partials)| term_pages(taxonomy, *has_partials, config)).collect()
        });
        self.made_pages.extend(pages);
    }

    /// Pages of files, then made ones.
    pub fn all_pages(&self) -> impl Iterator<Item = &Page> {
        self.pages.iter().chain(&self.made_pages)
    }

    /// Whether a page is published at a path.
    pub fn has_page_at(&self, path: &str) -> bool {
        let is_there = |route: &RoutePath| self.made_pages.iter().any(|page| page.route == *route);
        RoutePath::parse(path).is_ok_and(|route| self.index.find(&route).is_some() || is_there(&route))
    }

    /// The page at a path.
    pub fn find(&self, route: &RoutePath) -> Option<&Page> {
        self.index.find(route).map(|number| &self.pages[number])
    }
}

/// The pages of a taxonomy, as far as there are partials for the list of its terms and for each of them.
fn term_pages(taxonomy: &Taxonomy, [has_list, has_term]: [bool; 2], config: &Config) -> Vec<Page> {
    let Taxonomy { name, route, terms } = taxonomy;
    let [list, term_partial] = taxonomy.partials();
    let mut pages = Vec::new();
    if has_list {
        let count = Value::Number(terms.len().to_string());
        let fields = BTreeMap::from([("title", Value::Text(capitalised(name))), ("count", count)]);
        pages.push(Page::alone(PageFile::made(route.clone(), &list, &fields, config)));
    }
    if has_term {
        let made = |term: &Term| PageFile::made(term.route.clone(), &term_partial, &term.fields, config);
        pages.extend(terms.iter().map(|term| Page::alone(made(term))));
    }
    pages
}

/// `tags` as a title.
fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// Whether a file below the folder of pages is a page; all others are published where they stand.
pub fn is_page(file: &SourceFile) -> bool {
    matches!(&*file.extension(), "html" | "md" | "markdown")
}
