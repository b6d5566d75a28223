//! The site as values: its pages, what they are called, and the paths at which everything is published. Nothing is
//! rendered here.

mod collection;
mod defaults;
mod links;
mod list_pages;
mod page;
mod redirects;
mod route;
mod taxonomy;
mod urls;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use rayon::prelude::*;

pub use collection::{Item, Query, QueryMistake, QueryPart, Selected};
pub use defaults::Defaults;
pub use links::{LinkTargets, Target, is_elsewhere};
pub use list_pages::Part;
pub(crate) use list_pages::size_of;
pub use page::{OFFERED_FIELDS, Page, PageFile, Reading};
pub use redirects::{check_redirects, patterns_in_order};
pub use route::{RoutePath, percent_decode, percent_encode};
pub use taxonomy::{Taxonomy, Term};
pub use urls::check_unique;

use crate::cache::FileMemo;
use crate::config::Config;
use crate::data::Data;
use crate::diagnostic::Diagnostic;
use crate::front_matter::Value;
use crate::source::SourceFile;
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

/// What became of reading one page.
#[derive(Clone, Debug)]
pub struct ReadPage {
    /// The page, if it can be read as one at all.
    pub page: Option<Arc<PageFile>>,
    /// What is wrong with it.
    pub mistakes: Arc<[Diagnostic]>,
}

/// All pages of a site.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Ascending by path of the source.
    pub pages: Vec<Page>,
    /// Numbers of the posts, newest first.
    pub posts: Vec<usize>,
    /// Pages that no file holds: those of taxonomies.
    pub made_pages: Vec<Page>,
    /// Taxonomies with their terms.
    pub taxonomies: Vec<Taxonomy>,
    /// Pages that are not published, and why.
    pub left_out: Vec<(Page, LeftOut)>,
    /// Data that pages list.
    pub data: Data,
    /// The settings that pages show.
    pub config: Config,
    /// Numbers of all pages by weight, then title.
    order: Vec<usize>,
    /// Numbers of the pages one segment below each path, in the same order.
    children: HashMap<RoutePath, Vec<usize>>,
    /// Numbers of the pages below each folder of pages, its index left out, in the same order.
    sections: BTreeMap<String, Vec<usize>>,
    by_route: HashMap<RoutePath, usize>,
}

impl Site {
    /// Reads all pages among the files of the folder of pages, in parallel.
    pub fn read(content: &[SourceFile], config: &Config, selection: Selection) -> (Self, Vec<Diagnostic>) {
        let (defaults, filtered) = (Defaults::default(), Filtered::default());
        let reading = Reading { config, defaults: &defaults, filtered: &filtered };
        Self::read_changed(content, selection, &reading, &FileMemo::default())
    }

    /// The same, where a file that was read before is not read again.
    pub fn read_changed(
        content: &[SourceFile],
        selection: Selection,
        reading: &Reading<'_>,
        memo: &FileMemo<ReadPage>,
    ) -> (Self, Vec<Diagnostic>) {
        let Reading { config, defaults, .. } = *reading;
        let read = |file: &SourceFile| {
            memo.find_or_make(&defaults.name_with(file), &file.bytes, || match PageFile::read(file, reading) {
                Ok((page, mistakes)) => ReadPage { page: Some(Arc::new(page)), mistakes: mistakes.into() },
                Err(mistakes) => ReadPage { page: None, mistakes: mistakes.into() },
            })
        };
        let results: Vec<_> = content.par_iter().filter(|file| is_page(file)).map(read).collect();
        let mut site = Self { config: config.clone(), ..Self::default() };
        let mut diagnostics = Vec::new();
        for ReadPage { page, mistakes } in results {
            let left_out = page.as_ref().and_then(|page| {
                // A page that nobody will see may be unfinished: its mistakes count when it is published.
                let is_draft = page.has_flag("draft") && !selection.drafts;
                let is_future = page.is_after(selection.today) && !selection.future;
                if is_draft { Some(LeftOut::Draft) } else { is_future.then_some(LeftOut::Future) }
            });
            match (page, left_out) {
                (Some(page), Some(reason)) => site.left_out.push((Page::alone(page), reason)),
                (page, _) => {
                    diagnostics.extend(mistakes.iter().cloned());
                    site.pages.extend(page.map(Page::alone));
                }
            }
        }
        site.index();
        for settings in config.taxonomies.iter().filter(|settings| !settings.path.is_empty()) {
            let (taxonomy, mistakes) = Taxonomy::gather(settings, &site.pages, config);
            site.taxonomies.push(taxonomy);
            diagnostics.extend(mistakes);
        }
        (site, diagnostics)
    }

    /// Adds the pages of each taxonomy whose partials there are: `tags/list.html` for the list of its terms,
    /// `tags/term.html` for each of them.
    pub fn add_term_pages(&mut self, templates: &TemplateSet, config: &Config) {
        for taxonomy in &self.taxonomies {
            let Taxonomy { name, route, terms } = taxonomy;
            let [list, term_partial] = taxonomy.partials();
            if templates.find(&list).is_some() {
                let count = Value::Number(terms.len().to_string());
                let fields = BTreeMap::from([("title", Value::Text(capitalised(name))), ("count", count)]);
                self.made_pages.push(Page::alone(PageFile::made(route.clone(), &list, &fields, config)));
            }
            if templates.find(&term_partial).is_some() {
                let pages = terms
                    .iter()
                    .map(|term| Page::alone(PageFile::made(term.route.clone(), &term_partial, &term.fields, config)));
                self.made_pages.extend(pages);
            }
        }
    }

    /// Pages of files, then made ones.
    pub fn all_pages(&self) -> impl Iterator<Item = &Page> {
        self.pages.iter().chain(&self.made_pages)
    }

    /// The page at a path.
    pub fn find(&self, route: &RoutePath) -> Option<&Page> {
        self.by_route.get(route).map(|number| &self.pages[*number])
    }

    /// All pages by weight, then title.
    fn in_order(&self) -> impl Iterator<Item = &Page> {
        self.order.iter().map(|number| &self.pages[*number])
    }

    /// Sorts the pages and links each post to its neighbours.
    fn index(&mut self) {
        self.pages.sort_by(|a, b| a.source.path.cmp(&b.source.path));
        let pages = &self.pages;
        self.by_route = pages.iter().enumerate().map(|(number, page)| (page.route.clone(), number)).collect();
        // What is compared is looked up once: comparing ten thousand pages would look it up 300,000 times.
        let key = |(number, page): (usize, &'_ Page)| (page.weight(), page.title().into_owned(), number);
        let mut keys: Vec<_> = pages.iter().enumerate().map(key).collect();
        keys.sort_unstable_by(|(weight_a, title_a, a), (weight_b, title_b, b)| {
            let by_route = || pages[*a].route.cmp(&pages[*b].route).then(a.cmp(b));
            weight_a.total_cmp(weight_b).then_with(|| title_a.cmp(title_b)).then_with(by_route)
        });
        self.order = keys.into_iter().map(|(_, _, number)| number).collect();
        for number in &self.order {
            let page = &pages[*number];
            if let Some(parent) = page.route.parent().filter(|_| page.route.as_str() != "/404") {
                self.children.entry(parent).or_default().push(*number);
            }
            let (mut folder, name) = page.content_path.rsplit_once('/').unwrap_or(("", &page.content_path));
            let mut is_index = name.starts_with("index.");
            while !folder.is_empty() {
                let section = self.sections.entry(folder.to_owned()).or_default();
                section.extend((!is_index).then_some(*number));
                is_index = false;
                folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
        }
        self.posts = (0..pages.len()).filter(|number| pages[*number].is_post()).collect();
        self.posts.sort_by(|a, b| {
            let (a, b) = (&pages[*a], &pages[*b]);
            b.date.cmp(&a.date).then_with(|| a.route.cmp(&b.route))
        });
        for pair in self.posts.windows(2) {
            let [newer, older] = [pair[0], pair[1]];
            self.pages[older].next = Some(Arc::clone(&self.pages[newer].file));
            self.pages[newer].previous = Some(Arc::clone(&self.pages[older].file));
        }
    }
}

/// `tags` as a title.
fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// Whether a file below the folder of pages is a page; all others are published where they stand.
pub fn is_page(file: &SourceFile) -> bool {
    matches!(file.extension().as_str(), "html" | "md" | "markdown")
}
